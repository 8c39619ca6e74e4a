"""Grouped-query attention: several query heads share one head of keys and values.

    o_h = softmax(q_h K_h'^T / sqrt(D)) V_h'        h' = h // (Hq / Hkv)

With one key head this is multi-query attention, with as many as query heads the ordinary kind. Nothing is
repeated in memory: the head counts of the tensors say it all. Llama 3.1 8B: 32 query heads, 8 key heads, 128.

Ainslie et al., "GQA", 2023, https://arxiv.org/abs/2305.13245
Shazeer, "Fast Transformer Decoding" (multi-query), 2019, https://arxiv.org/abs/1911.02150
"""

import demo

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=8, kv_heads=2, features=16, dtype="f32"):
    """Causal attention of `heads` query heads over `kv_heads` key heads; kv_heads=1 is multi-query."""
    q = aec.tensor("B", heads, "S", features, dtype=dtype)
    kv = aec.tensor("B", kv_heads, "S", features, dtype=dtype)

    @aec.program(q=q, k=kv, v=kv)
    def grouped_query(q, k, v):
        return aec.attention(
            q,
            k,
            v,
            score=lambda s: s * features**-0.5,
            mask=masks.causal(),
            normalize=normalizers.softmax(),
        )

    return grouped_query


grouped_query = build()

if __name__ == "__main__":
    demo.run(grouped_query, B=2, S=45)
