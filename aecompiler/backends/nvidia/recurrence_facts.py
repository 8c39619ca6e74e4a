"""What the choice of a schedule knows of recurrences in chunks: their structure, and the sizes of a call.

The structure is what `attn-derive-chunked` derives, not known by the name of a mechanism: whether a chunk
decays, by one number for a head or by one for each key feature, and whether it erases.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from aecompiler.backends.nvidia.program_facts import FEATURES, LENGTH
from aecompiler.bindings import ir
from aecompiler.dialect.chunked import ChunkedRecurrenceOp, parts_of, terminator_of
from aecompiler.dialect.recurrence import RecurrenceOp
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attn_derive_chunked import structures_of

TOKENS = 32768
"""How many positions all sequences have together where batches are not known: as measured, many."""

Decays = Literal["none", "head", "feature"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrenceFacts:
    """The features of a key and of a value, the type of q, and what a chunk takes.

    `decays`: none, one for each head, or one for each key feature. `erases`: whether there is a rank-one
    term.
    `heads_alike`: the heads that share a head of q and of k; 1 where the types don't say how many.
    """

    features: int
    value_features: int
    element: str
    decays: Decays = "none"
    erases: bool = False
    heads_alike: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrenceForm:
    """A recurrence in chunks: its facts, the heads of all sequences, and how long these are."""

    facts: RecurrenceFacts
    heads: int
    length: int


def read_recurrences(module: Any, length: int = 0, sequences: int = 0) -> list[RecurrenceForm]:
    """The recurrences of a module that have a chunked form; packed sequences are left out.

    Lengths that it does not say are taken for `length` (0: `LENGTH`), and batches for `sequences` (0: as many
    as have `TOKENS` positions).
    """
    with module.context:
        found = [
            _form_of(op, decays, erases, length or LENGTH, sequences)
            for op, decays, erases in _structures(module.operation)
            if len(op.operands) == _OPERANDS
        ]
    return [form for form in found if form.facts.features and form.facts.value_features]


_OPERANDS = 4
"""q, k, v and the first state; packed sequences have offsets too."""


def _structures(root: ir.Operation) -> list[tuple[ir.Operation, Decays, bool]]:
    """The ops with what their chunks take, of both forms."""
    found: list[tuple[ir.Operation, Decays, bool]] = []
    for op, transition in structures_of(root):
        scalar: Decays = "feature" if transition.diagonal else "head"
        found.append(
            (op, "none" if transition.decay is None else scalar, transition.erase is not None),
        )
    for op in rw.walk_list(root, ChunkedRecurrenceOp.OPERATION_NAME):
        parts = parts_of(terminator_of(op))
        decay = parts.get("log_decay")
        kind: Decays = "feature" if decay is not None and _is_tensor(decay) else "head"
        found.append((op, "none" if decay is None else kind, "erase" in parts))
    return found


def _is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def recurrence_ops(root: ir.Operation) -> list[ir.Operation]:
    """The recurrences in `root`, in chunks or not, whose sequences are not packed."""
    found = [each for each in rw.walk_list(root, "attn.") if each.name in _NAMES]
    return [each for each in found if len(each.operands) == _OPERANDS]


_NAMES = (RecurrenceOp.OPERATION_NAME, ChunkedRecurrenceOp.OPERATION_NAME)


def supposed_heads(op: ir.Operation, length: int, sequences: int = 0) -> tuple[int, int]:
    """The batch and the heads of the state of a recurrence: those of the types, else usual ones."""
    q, state = (ir.RankedTensorType(op.operands[number].type) for number in (0, 3))
    positions = length if q.is_dynamic_dim(2) else q.shape[2]
    batch = (sequences or max(1, TOKENS // max(positions, 1))) if q.is_dynamic_dim(0) else q.shape[0]
    heads = max(1, FEATURES // max(state.shape[2], 1)) if state.is_dynamic_dim(1) else state.shape[1]
    return batch, heads


def _form_of(op: ir.Operation, decays: Decays, erases: bool, length: int, sequences: int) -> RecurrenceForm:
    q, k, _, state = (ir.RankedTensorType(value.type) for value in list(op.operands)[:4])
    key_features, value_features = state.shape[2:]
    batch, heads = supposed_heads(op, length, sequences)
    counts = [each.shape[1] for each in (q, k) if not each.is_dynamic_dim(1) and each.shape[1]]
    alike = heads // max(counts) if len(counts) == 2 and not state.is_dynamic_dim(1) else 1
    facts = RecurrenceFacts(
        features=key_features,
        value_features=value_features,
        element=str(q.element_type),
        decays=decays,
        erases=erases,
        heads_alike=max(1, alike),
    )
    return RecurrenceForm(
        facts=facts, heads=max(1, batch * heads), length=length if q.is_dynamic_dim(2) else q.shape[2]
    )
