"""The pass `amd-merge-bounds`: several bounds of one position in a tile are one."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.bindings import arith, ir, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_SLT, _SLE, _SGT, _SGE = 2, 3, 4, 5
_TURNED = {_SLT: _SGT, _SLE: _SGE, _SGT: _SLT, _SGE: _SLE}


@dataclass(frozen=True)
class _Spread:
    """A tile whose elements are those of a vector along one axis, or all a number."""

    source: ir.Value
    axis: int | None


@dataclass(frozen=True)
class _Bound:
    """What positions along the columns of a tile are at most, or at least: a number, or one of each row."""

    position: ir.Value
    limit: _Spread
    is_upper: bool
    is_strict: bool


@register_pass
class MergeBounds(Pass):
    """Compare a position with the least of its bounds.

    *Before*: kernels of `convert-tt-to-vector`. *After*: where the positions along the columns of a tile have
    several upper bounds that are numbers or differ from row to row, as the end of the keys and the diagonal,
    or several lower ones, they are compared once, with a bound of each row. That is a minimum, or a maximum,
    for each row in place of a comparison for each element, and of the bits that a wave keeps of each there
    are half as many.

    ```mlir
    %in = arith.cmpi slt, %j, %end : vector<64xi32>       // and spread over rows
    %below = arith.cmpi sge, %rows, %columns : vector<64x64xi32>
    %mask = arith.andi %ins, %below : vector<64x64xi1>
    ```
    becomes
    ```mlir
    %last = arith.subi %end, %c1 : i32
    %limit = arith.minsi %i, %lasts : vector<64xi32>      // and spread over columns
    %mask = arith.cmpi sge, %limits, %columns : vector<64x64xi32>
    ```
    """

    NAME = "amd-merge-bounds"

    def run(self, op: ir.Operation) -> None:
        """Change the masks of every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for mask in rw.walk_list(function, "arith.andi"):
                if _is_mask(mask) and not all(_is_mask(use.owner.operation) for use in mask.results[0].uses):
                    _merge(mask)


def _is_mask(op: ir.Operation) -> bool:
    """Whether an operation is a conjunction of the bits of a tile."""
    if op.name != "arith.andi":
        return False
    type_ = op.results[0].type
    return isinstance(type_, ir.VectorType) and type_.rank == 2 and str(type_.element_type) == "i1"


def _merge(mask: ir.Operation) -> None:
    """Replace a conjunction by one with fewer terms, if there are bounds to merge."""
    groups: dict[tuple[ir.Value, bool], list[_Bound]] = {}
    others: list[ir.Value] = []
    for term in _terms(mask.results[0]):
        bound = _bound(term)
        if bound is None:
            others.append(term)
        else:
            groups.setdefault((bound.position, bound.is_upper), []).append(bound)
    if all(len(bounds) == 1 for bounds in groups.values()):
        return
    shape = list(mask.results[0].type.shape)
    with ir.InsertionPoint(mask), mask.location:
        found = [*others, *(_compared(bounds, shape) for bounds in groups.values())]
        result = found[0]
        for each in found[1:]:
            result = arith.andi(result, each)
    mask.results[0].replace_all_uses_with(result)
    mask.erase()


def _terms(value: ir.Value) -> list[ir.Value]:
    op = rw.definer(value)
    if op is not None and _is_mask(op):
        return [term for operand in op.operands for term in _terms(operand)]
    return [value]


def _spread(value: ir.Value) -> _Spread | None:
    """What a tile is spread from; None for one that differs along both axes."""
    op = rw.definer(value)
    if op is None or op.name != "vector.broadcast":
        return None
    source = op.operands[0]
    if not isinstance(source.type, ir.VectorType):
        return _Spread(source, None)
    if source.type.rank == 1:
        return _Spread(source, 1)
    inner = rw.definer(source)
    if inner is None or inner.name != "vector.shape_cast" or inner.operands[0].type.rank != 1:
        return None
    rows, columns = source.type.shape
    return _Spread(inner.operands[0], 0 if columns == 1 and rows > 1 else 1)


def _bound(term: ir.Value) -> _Bound | None:
    """The bound of a position along columns that a term is."""
    op = rw.definer(term)
    if op is None:
        return None
    if op.name == "arith.cmpi":
        sides = [_spread(operand) for operand in op.operands]
    else:
        inside = _spread(term)
        op = None if inside is None or inside.axis != 1 else rw.definer(inside.source)
        if op is None or op.name != "arith.cmpi":
            return None
        sides = [_line(operand) for operand in op.operands]
    predicate = ir.IntegerAttr(op.attributes["predicate"]).value
    if predicate not in _TURNED or None in sides or str(op.operands[0].type.element_type) != "i32":
        return None
    left, right = sides
    assert left is not None
    assert right is not None
    if left.axis != 1 and right.axis == 1:
        left, right, predicate = right, left, _TURNED[predicate]
    if left.axis != 1 or right.axis == 1:
        return None
    return _Bound(left.source, right, predicate in (_SLT, _SLE), predicate in (_SLT, _SGT))


def _line(value: ir.Value) -> _Spread | None:
    """One side of a comparison of vectors along columns: a number that all have, or the vector."""
    op = rw.definer(value)
    if (
        op is not None
        and op.name == "vector.broadcast"
        and not isinstance(op.operands[0].type, ir.VectorType)
    ):
        return _Spread(op.operands[0], None)
    return _Spread(value, 1)


def _compared(bounds: list[_Bound], shape: list[int]) -> ir.Value:
    """The comparison of positions with all bounds, which are of one kind."""
    position, is_upper = bounds[0].position, bounds[0].is_upper
    nearest = arith.minsi if is_upper else arith.maxsi
    numbers = [_closed(each) for each in bounds if each.limit.axis is None]
    rows = [_closed(each) for each in bounds if each.limit.axis == 0]
    i32 = ir.IntegerType.get_signless(32)
    number = numbers[0] if numbers else None
    for each in numbers[1:]:
        number = nearest(number, each)
    tile = ir.VectorType.get(shape, i32)
    columns = vector.broadcast(tile, position)
    if not rows:
        limits = vector.broadcast(tile, number)
    else:
        row = rows[0]
        for each in rows[1:]:
            row = nearest(row, each)
        if number is not None:
            row = nearest(row, vector.broadcast(row.type, number))
        column = vector.shape_cast(ir.VectorType.get([shape[0], 1], i32), row)
        limits = vector.broadcast(tile, column)
    predicate = arith.CmpIPredicate.sle if is_upper else arith.CmpIPredicate.sge
    return arith.cmpi(predicate, columns, limits)


def _closed(bound: _Bound) -> ir.Value:
    """The last, or the first, position within a bound; the least numbers of 32 bits are none."""
    limit = bound.limit.source
    if not bound.is_strict:
        return limit
    most = (1 << 31) - 2
    one, end = (_like(limit, each) for each in (1, -most - 1 if bound.is_upper else most))
    if bound.is_upper:
        return arith.subi(arith.maxsi(limit, end), one)
    return arith.addi(arith.minsi(limit, end), one)


def _like(value: ir.Value, number: int) -> ir.Value:
    """A number of i32, for each element of a vector if a value is one."""
    constant = arith.constant(ir.IntegerType.get_signless(32), number)
    return vector.broadcast(value.type, constant) if isinstance(value.type, ir.VectorType) else constant
