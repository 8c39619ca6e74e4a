"""Document masking: several documents packed into one sequence, each blind to the others.

    keep j where j <= i and document[b, i] = document[b, j]

The document of each position is an argument; no mask tensor of S x S numbers exists.

Grattafiori et al., "The Llama 3 Herd of Models", 2024, https://arxiv.org/abs/2407.21783
"""

import demo
import numpy as np

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=4, features=16, dtype="f32"):
    """Causal attention within documents, document [B, S]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, document=aec.tensor("B", "S", dtype="i32"))
    def document(q, k, v, document):
        def same_document(b, h, i, j):
            return document[b, i] == document[b, j]

        return aec.attention(
            q,
            k,
            v,
            score=lambda s: s * features**-0.5,
            mask=masks.causal() & same_document,
            normalize=normalizers.softmax(),
        )

    return document


def documents(rng, shape):
    """Numbers that grow along the sequence: a new document begins at one position in eight."""
    return np.cumsum(rng.random(shape) < 1 / 8, axis=-1)


document = build()
inputs = {"document": documents}

if __name__ == "__main__":
    demo.run(document, inputs, B=2, S=59)
