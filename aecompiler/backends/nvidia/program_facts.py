"""What the choice of a schedule knows of a program: sizes, types, operations of an element, tiles of masks.

Operations are counted in the regions of attention, not known by the name of a variant: what varies along a
row of scores is computed for each element of a tile.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from aecompiler.backends.triton.host_sizes import size_of
from aecompiler.bindings import ir
from aecompiler.dialect.attention import ROW_PROGRAMS, AttentionOp
from aecompiler.dialect.online import OnlineAttentionOp
from aecompiler.dialect.regions import Level, levels
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_counts import MaskTiles, Visits

LENGTH = 4096
"""What lengths of a program are taken for where neither its types nor a person says them."""

TOKENS = 16384
"""How many rows, or keys if these are more, all sequences have together, where batches are not known."""

FEATURES = 2048
"""How many features all heads of a row have together, where heads are not known."""

MOST_TESTS = 32
"""Tiles of a mask that are tested for tiles of one size: each compilation looks at some dozens of sizes."""

_FORMS = (AttentionOp.OPERATION_NAME, OnlineAttentionOp.OPERATION_NAME)
_ELEMENT = (Level.ELEMENT, Level.HEAD, Level.HEAD, Level.ROW, Level.ELEMENT)
"""Of the last arguments of a region: the score, batch, head, row and key."""

_FREE = (
    "arith.constant",
    "arith.index_cast",
    "arith.index_castui",
    "attn.yield",
    "tensor.cast",
    "tensor.dim",
)
_SPECIAL = {
    "math.exp": (1, 1),
    "math.exp2": (1, 0),
    "math.log": (1, 2),
    "math.log2": (1, 0),
    "math.log1p": (1, 20),
    "math.expm1": (1, 20),
    "math.sqrt": (1, 2),
    "math.rsqrt": (1, 1),
    "math.sin": (1, 20),
    "math.cos": (1, 20),
    "math.tanh": (1, 1),
    "math.erf": (1, 20),
    "math.powf": (2, 40),
    "arith.divf": (1, 2),
}
"""Instructions of an operation: of the special function unit, and of others, where inputs have 16 bits."""

_TWICE = ("arith.maximumf", "arith.minimumf", "arith.maxnumf", "arith.minnumf", "max", "min")
"""Of these a multiprocessor starts half as many as of other operations."""

_INTEGER_DIVISION = (
    "arith.ceildivsi",
    "arith.ceildivui",
    "arith.divsi",
    "arith.divui",
    "arith.floordivsi",
    "arith.remsi",
    "arith.remui",
)
_DIVISION_OPERATIONS = 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramFacts:
    """What schedules depend on: the features of q and of v, the type of all operands, and what is computed.

    `operations`: instructions for each element of a tile, beside both products; `special` of them: those of
    the special function unit; `loads`: elements of captured tensors that are read for each. `mask_operations`
    are added in tiles with masked elements. `kept`: numbers for each column of a tile that are the same in
    all tiles (places as floats), so that they stay in registers.
    """

    features: int
    value_features: int
    element: str
    operations: float = 0.0
    special: float = 0.0
    loads: float = 0.0
    mask_operations: float = 0.0
    kept: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a call: all heads of queries of all batches, and the lengths of q and of k.

    `group` query heads share a kv head; 1 where the types don't say how many.
    """

    heads: int
    rows: int
    keys: int
    group: int = 1


@dataclasses.dataclass(frozen=True)
class Form:
    """An attention op: its facts, sizes, the text of its mask, and the tiles that this leaves."""

    facts: ProgramFacts
    shape: Shape
    mask: str
    visits: Visits = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of the operands of an attention op."""

    batch: int
    heads: int
    rows: int
    keys: int


def supposed_sizes(op: ir.Operation, length: int, queries: int = 0) -> Sizes:
    """The sizes of a call: those of the types, and usual ones where these don't say them.

    There are as many queries as keys, unless `queries` says how many.
    """
    q, k = (ir.RankedTensorType(value.type) for value in list(op.operands)[:2])
    rows, keys = (
        supposed if type_.is_dynamic_dim(2) else type_.shape[2]
        for type_, supposed in ((q, queries or length), (k, length))
    )
    return Sizes(
        batch=max(1, TOKENS // max(rows, keys, 1)) if q.is_dynamic_dim(0) else q.shape[0],
        heads=max(1, FEATURES // q.shape[3]) if q.is_dynamic_dim(1) else q.shape[1],
        rows=rows,
        keys=keys,
    )


def attention_ops(module: Any) -> list[ir.Operation]:
    """The attention ops of a module, or of a function."""
    found: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name in _FORMS:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def read_forms(module: Any, length: int = 0, queries: int = 0) -> list[Form]:
    """The attention ops of a module; lengths that it does not say are taken for `length` (0: `LENGTH`).

    Those of q are taken for `queries`, if it is given.
    """
    with module.context:
        return [_form_of(op, length or LENGTH, queries) for op in attention_ops(module)]


def length_place(module: Any, entry: str) -> tuple[int, int] | None:
    """An argument of a function, and the dimension of it, that says how long calls are; None if none does.

    It is the length of k, else of q, of the first attention op that reads an argument as it is.
    """
    with module.context:
        arguments = _arguments_of(module, entry)
        for op in attention_ops(module):
            for value in (op.operands[1], op.operands[0]):
                if value in arguments and ir.RankedTensorType(value.type).is_dynamic_dim(2):
                    return arguments.index(value), 2
    return None


def queries_place(module: Any, entry: str) -> tuple[int, int] | None:
    """An argument of a function, and the dimension of it, that says how many queries calls have.

    It is the length of q of the first attention op, if that is an argument as it is, and none of k's.
    """
    with module.context:
        arguments = _arguments_of(module, entry)
        for op in attention_ops(module)[:1]:
            q, k = list(op.operands)[:2]
            is_free = q in arguments and ir.RankedTensorType(q.type).is_dynamic_dim(2)
            if is_free and size_of(q, 2) != size_of(k, 2):
                return arguments.index(q), 2
    return None


def _arguments_of(module: Any, entry: str) -> list[ir.Value]:
    functions = [view.operation for view in module.body.operations]
    block = next(each.regions[0].blocks[0] for each in functions if rw.symbol_name(each) == entry)
    return list(block.arguments)


def _form_of(op: ir.Operation, length: int, queries: int) -> Form:
    q, k, v = (ir.RankedTensorType(value.type) for value in list(op.operands)[:3])
    sizes = supposed_sizes(op, length, queries)
    facts = ProgramFacts(
        features=q.shape[3], value_features=v.shape[3], element=str(q.element_type), **_operations_of(op)
    )
    tiles = MaskTiles.of(op, length, MOST_TESTS)
    mask = str(tiles.analysis.reading.formula)
    are_known = not (q.is_dynamic_dim(1) or k.is_dynamic_dim(1)) and k.shape[1]
    group = q.shape[1] // k.shape[1] if are_known else 1
    shape = Shape(heads=sizes.batch * sizes.heads, rows=sizes.rows, keys=sizes.keys, group=group)
    return Form(facts, shape, mask, functools.cache(tiles.visits))


# ---- operations of an element ------------------------------------------------------------------------


def _operations_of(op: ir.Operation) -> dict[str, float]:
    found = {"operations": 0.0, "special": 0.0, "loads": 0.0, "kept": 0.0}
    score, mask = (op.regions[number].blocks[0] for number in (0, 1))
    normalize = op.regions[ROW_PROGRAMS[op.name]].blocks[0]
    scaling = _scaling_of_weights(normalize) if op.name == AttentionOp.OPERATION_NAME else set()
    for each in (*_of_elements(score), *_of_elements(normalize)):
        if each in scaling:
            continue
        special, others = _instructions(each)
        found["special"] += special
        found["operations"] += others
        found["loads"] += each.name == "tensor.extract"
        found["kept"] += each.name in ("arith.sitofp", "arith.uitofp")
    # Positions are the same for all rows or keys of a tile: comparisons and what combines them remain.
    masked = [each for each in _of_elements(mask, Level.ROW) if str(each.results[0].type) == "i1"]
    loads = sum(each.name == "tensor.extract" for each in _of_elements(mask, Level.ROW))
    return {**found, "mask_operations": float(len(masked) + 4 * loads + bool(masked))}


def _of_elements(block: ir.Block, least: Level = Level.ELEMENT) -> Iterator[ir.Operation]:
    """The operations of a region whose results, or operands of a reduction, vary along the row."""
    arguments = len(block.arguments)
    given = [*[Level.ROW] * (arguments - len(_ELEMENT)), *_ELEMENT[-arguments:]]
    known = levels(block, given)
    for view in block.operations:
        op = view.operation
        of = op.operands if op.name == "attn.row_reduce" else op.results
        if op.name not in _FREE and any(known.get(value, Level.HEAD) >= least for value in of):
            yield op


def _scaling_of_weights(block: ir.Block) -> set[ir.Operation]:
    """The last operations of a weight that multiply it by what is the same for the row: sums are, instead."""
    known = levels(block, _ELEMENT)
    found: set[ir.Operation] = set()
    weight = block.operations[len(block.operations) - 1].operation.operands[0]
    while not isinstance(weight.owner, ir.Block):
        op = weight.owner.operation
        varying = [value for value in op.operands if known.get(value, Level.HEAD) == Level.ELEMENT]
        is_factor = op.name == "arith.mulf" or (op.name == "arith.divf" and op.operands[0] in varying)
        if not is_factor or len(varying) != 1:
            break
        found.add(op)
        weight = varying[0]
    return found


def _instructions(op: ir.Operation) -> tuple[int, int]:
    """Special ones, and others."""
    if op.name in _SPECIAL:
        return _SPECIAL[op.name]
    if op.name in _INTEGER_DIVISION:
        return 0, _DIVISION_OPERATIONS
    if op.name == "tensor.extract":
        return 0, 2 * (len(op.operands) - 1)  # clamps of indices
    kind = ir.StringAttr(op.attributes["kind"]).value if op.name == "attn.row_reduce" else op.name
    return 0, 2 if kind in _TWICE else 1
