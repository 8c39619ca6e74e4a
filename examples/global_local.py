"""Global and local attention: a window around each query, and a few positions that see and are seen by all.

    keep j where |i - j| < window or j < globals or i < globals

Beltagy, Peters and Cohan, "Longformer", 2020, https://arxiv.org/abs/2004.05150
Zaheer et al., "Big Bird", 2020, https://arxiv.org/abs/2007.14062
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, window=8, globals=4, dtype="f32"):
    """Attention to both sides of a window; the first `globals` positions are global."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def global_local(q, k, v):
        def mask(b, h, i, j):
            return (aec.abs(i - j) < window) | (j < globals) | (i < globals)

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return global_local


global_local = build()

if __name__ == "__main__":
    demo.run(global_local, B=2, S=53)
