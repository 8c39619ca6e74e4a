"""Tiles whose rows are positions of several heads: boxes of both dimensions, copied as rows of features."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.nvidia.hopper.rebuild import rebuild
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

LOAD, STORE = "tt.descriptor_load", "tt.descriptor_store"
_RESHAPE = "tt.reshape"


def copy_as_rows(function: ir.Operation) -> None:
    """Let copies by descriptors make and take the rows that boxes are reshaped to: the order is the same."""
    for op in rw.walk_list(function, _RESHAPE):
        made = rw.definer(op.operands[0])
        if made is not None and made.name == LOAD:
            with ir.InsertionPoint(made), made.location:
                rows = rebuild(made, list(made.operands), [op.results[0].type])
            op.results[0].replace_all_uses_with(rows.results[0])
            op.erase()
            made.erase()
            continue
        for store in [use.owner.operation for use in op.results[0].uses if use.owner.operation.name == STORE]:
            store.operands[1] = op.operands[0]
        if not list(op.results[0].uses):
            op.erase()


def box_of_group(box: Sequence[int]) -> tuple[int, ...]:
    """What of a tile of rows one group of warps has."""
    rows = min(ROWS, box[-2])
    heads = [ROWS // rows] if len(box) > 2 else []
    return (*box[:-3], *heads, rows, box[-1])


def begin_of_group(box: Sequence[int], group: int) -> tuple[int, int]:
    """How many heads and positions behind the first the rows of a group begin."""
    return divmod(ROWS * group, box[-2])
