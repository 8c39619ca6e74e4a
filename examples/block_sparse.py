"""Block-sparse attention: a mask of blocks, chosen while the program runs.

    keep j where j <= i and blocks[b, h, i // size, j // size]

The mask of blocks is an argument, one number per block and head: a gate computes it from q and k.

Gao et al., "SeerAttention", 2024, https://arxiv.org/abs/2410.13276
"""

import demo

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=4, features=16, size=16, dtype="f32"):
    """Causal attention to the chosen blocks; a query without any gets zeros."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)
    blocks = aec.tensor("B", heads, "Blocks", "Blocks", dtype="i1")

    @aec.program(q=x, k=x, v=x, blocks=blocks)
    def block_sparse(q, k, v, blocks):
        def chosen(b, h, i, j):
            return blocks[b, h, i // size, j // size]

        return aec.attention(
            q,
            k,
            v,
            score=lambda s: s * features**-0.5,
            mask=masks.causal() & chosen,
            normalize=normalizers.softmax(),
        )

    return block_sparse


block_sparse = build()
inputs = {"blocks": lambda rng, shape: rng.random(shape) < 0.4}

if __name__ == "__main__":
    demo.run(block_sparse, inputs, B=2, S=61, Blocks=4)
