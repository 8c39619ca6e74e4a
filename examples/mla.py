"""Multi-head latent attention, absorbed: all heads read one compressed cache, which is both key and value.

    s_ij = q_i . c_j / sqrt(Dk),  j < length_b        o_i = sum_j softmax(s_i)_j c_j[:latent]

The projections that would expand the cache to keys and values are folded into q and into what follows o. A
cache entry holds `latent` compressed features and `rope` rotary ones; the value is the first part of the
key. 1 / sqrt(Dk) is that of the keys before compression (128 + 64 in DeepSeek-V2), not of the cache entry
(512 + 64). Batch entries have caches of different lengths; pages of a paged cache are gathered before.

DeepSeek-AI, "DeepSeek-V2", 2024, https://arxiv.org/abs/2405.04434
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=16, latent=64, rope=8, key_features=24, dtype="f32"):
    """Decoding: q [B, heads, Sq, latent + rope] over a cache [B, 1, Skv, latent + rope] with length [B]."""
    q = aec.tensor("B", heads, "Sq", latent + rope, dtype=dtype)
    cache = aec.tensor("B", 1, "Skv", latent + rope, dtype=dtype)

    @aec.program(q=q, cache=cache, length=aec.tensor("B", dtype="i32"))
    def mla(q, cache, length):
        return aec.attention(
            q,
            cache,
            cache[..., :latent],
            score=lambda s: s * key_features**-0.5,
            mask=lambda b, h, i, j: j < length[b],
            normalize=normalizers.softmax(),
        )

    return mla


def lengths(rng, shape):
    """Lengths of the caches; one of them is empty."""
    return rng.integers(1, 50, shape) * (rng.permutation(shape[0]) > 0)


mla = build()
inputs = {"length": lengths}

if __name__ == "__main__":
    demo.run(mla, inputs, B=3, Sq=1, Skv=53)
