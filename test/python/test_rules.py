"""The pure shape rules of the dialect."""

import pytest

from aecompiler.dialect import rules

Q, K, V = (2, 8, None, 64), (2, 2, None, 64), (2, 2, None, 128)


@pytest.mark.parametrize(
    ("q", "k", "v"),
    [
        (Q, K, V),
        ((None, None, None, 64), (None, None, None, 64), (None, None, None, 64)),
        ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
        ((1, 0, 3, 8), (1, 2, 3, 8), (1, 2, 3, 8)),
        ((None, 4, 5, 8), (3, 4, 6, 8), (None, 4, None, 1)),
    ],
)
def test_attention_operands_accepts_legal_shapes(q, k, v):
    assert rules.attention_operands(q, k, v) is None


@pytest.mark.parametrize(
    ("q", "k", "v", "message"),
    [
        ((8, None, 64), K, V, "expects q to have rank 4 (batch, head, sequence, feature), got rank 3"),
        (Q, K, (2, 2, None, None), "expects v to have a static feature size, got 2x2x?x?"),
        (Q, (2, 2, None, 32), V, "expects q and k to have equal feature sizes, got 64 and 32"),
        (Q, (None, 2, 9, 64), (3, 2, 9, 64), "expects q and v to have equal batch sizes, got 2 and 3"),
        (Q, K, (2, 4, None, 128), "expects k and v to have equal head counts, got 2 and 4"),
        (Q, (2, 2, 5, 64), (2, 2, 6, 64), "expects k and v to have equal sequence lengths, got 5 and 6"),
        (
            (2, 3, None, 64),
            K,
            V,
            "expects q's head count to be a multiple of the kv head count, got 3 and 2",
        ),
        (
            (2, None, None, 64),
            K,
            V,
            "expects the head counts of q and k to be both static or both dynamic, got ? and 2",
        ),
    ],
)
def test_attention_operands_names_the_rule(q, k, v, message):
    assert rules.attention_operands(q, k, v) == message


def test_recurrence_operands_reads_smaller_head_counts_in_groups():
    assert (
        rules.recurrence_operands(
            (1, 1, None, 8), (1, 2, None, 8), (1, 4, None, 16), (1, 4, 8, 16), varlen=False
        )
        is None
    )


def test_recurrence_operands_with_offsets_frees_the_batch_of_initial():
    q, v, initial = (1, 4, None, 8), (1, 4, None, 16), (7, 4, 8, 16)
    assert rules.recurrence_operands(q, q, v, initial, varlen=True) is None
    assert (
        rules.recurrence_operands(q, q, v, initial, varlen=False)
        == "expects q and initial to have equal batch sizes, got 1 and 7"
    )


@pytest.mark.parametrize(
    ("heads", "largest"), [([4, 2, 1], 4), ([0, 0], 0), ([None, None], None), ([None, 3], None)]
)
def test_largest_head_count(heads, largest):
    assert rules.largest_head_count(heads) == largest
