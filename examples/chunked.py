"""Chunked attention: the sequence is cut into chunks, and a query reads the past of its own chunk.

    keep j where j <= i and i // chunk = j // chunk

Llama 4 alternates such layers, with chunks of 8192, with layers of full attention.

Meta AI, "The Llama 4 herd", 2025, https://ai.meta.com/blog/llama-4-multimodal-intelligence/
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, chunk=16, dtype="f32"):
    """Causal attention within chunks."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def chunked(q, k, v):
        def mask(b, h, i, j):
            return (i >= j) & (i // chunk == j // chunk)

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return chunked


chunked = build()

if __name__ == "__main__":
    demo.run(chunked, B=2, S=53)
