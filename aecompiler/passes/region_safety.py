"""Make the regions of an attn op total: no operation in them can trap or read outside a tensor.

A lowering evaluates regions at elements where the program does not (padding, masked elements, the clamped
rows of a last block), and captured indices may be any integer. The dialect defines the result of both
(docs/dialect.md):

- an index of a captured tensor is clamped to [0, size - 1]; an empty captured tensor reads as 0;
- integer division by zero gives 0, the remainder by zero is the dividend, and `MIN / -1` wraps;
- a shift by the width or more gives 0, or the sign;
- a float outside the range of the integer it is converted to saturates, and NaN converts to 0;
- an inserted slice is moved to lie inside; a dimension's number is clamped, too;
- `tensor.empty` and `ub.poison` are 0;
- flags that promise something of the operands (no overflow, exact, no NaN) promise nothing.

`make_total` writes these rules out with ordinary operations, in place, so that what follows may clone and
speculate the regions freely. `make_surroundings_total` does the same for scalar operations around attn ops,
and for slices and insertions there that a caller can't check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from aecompiler.bindings import arith, ir, scf, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, is_checked_at_the_call, slice_parts
from aecompiler.passes.registry import PassFailure

_DIVISIONS = ("arith.divsi", "arith.floordivsi", "arith.ceildivsi")
_UNSIGNED_DIVISIONS = ("arith.divui", "arith.ceildivui")
_REMAINDERS = ("arith.remsi", "arith.remui")
_SIGNED = (*_DIVISIONS, "arith.remsi")


def make_total(op: ir.Operation) -> None:
    """Rewrite what is inside an attn op, in place; captures that may be empty are replaced before it."""
    guard_operations(rw.walk_list(op))


def make_surroundings_total(op: ir.Operation) -> None:
    """Rewrite the operations inside `op` that are not inside an attn op."""
    inside = {nested for program in rw.walk_list(op, "attn.") for nested in rw.walk_list(program)}
    guard_operations([child for child in rw.walk_list(op) if child not in inside and not _is_checked(child)])


def _is_checked(op: ir.Operation) -> bool:
    return op.name in _SLICES and is_checked_at_the_call(op, _SLICES[op.name])


_SLICES = {"tensor.extract_slice": 1, "tensor.insert_slice": 2}
"""Slice operations, and the operands that come before their offsets."""

_PROMISES = ("isExact", "nonNeg", "isDisjoint")


def drop_promises(op: ir.Operation) -> None:
    """Take away the flags by which a result is undefined for some operands.

    Integers wrap, and masked scores are -inf and rows may be NaN, whatever an operation's flags say.
    """
    for name in _PROMISES:
        if name in op.attributes:
            del op.attributes[name]
    if "overflowFlags" in op.attributes:
        op.attributes["overflowFlags"] = ir.Attribute.parse("#arith.overflow<none>")
    if "fastmath" in op.attributes:
        flags = set(re.findall(r"\w+", str(op.attributes["fastmath"]).partition("<")[2]))
        if "fast" in flags:
            flags = {"reassoc", "nsz", "arcp", "contract", "afn", "nnan", "ninf"}
        kept = flags - {"nnan", "ninf"}
        if kept != flags:
            text = ",".join(sorted(kept)) or "none"
            op.attributes["fastmath"] = ir.Attribute.parse(f"#arith.fastmath<{text}>")


def guard_elements(op: ir.Operation) -> None:
    """Clamp the indices into `tensor.from_elements` inside `op`: MLIR folds them by their flat number."""
    for child in rw.walk_list(op, "tensor.extract"):
        source = child.operands[0].owner
        if isinstance(source, ir.Block) or source.operation.name != "tensor.from_elements":
            continue
        if child.name == "tensor.extract":
            with ir.InsertionPoint(child), child.location:
                _guard_extract(child)


def divides_by_zero(op: ir.Operation) -> bool:
    """Whether `op` is an integer division or remainder whose divisor may be 0."""
    divisions = (*_DIVISIONS, *_UNSIGNED_DIVISIONS, *_REMAINDERS)
    return op.name in divisions and _may_be_zero(op.operands[1])


def guard_zero_divisors(op: ir.Operation) -> None:
    """Write out what integer divisions and remainders inside `op` give for a divisor that may be 0."""
    for child in rw.walk_list(op):
        if divides_by_zero(child):
            with ir.InsertionPoint(child), child.location:
                _guard_division(child, by_zero_only=True)


def _may_be_zero(divisor: ir.Value) -> bool:
    known = rw.constant_value(divisor)
    if known is not None or isinstance(divisor.owner, ir.Block):
        return not known
    op = divisor.owner.operation
    if op.name != "arith.select" or not rw.constant_value(op.operands[1]):
        return True
    # The select that `guard_zero_divisors` makes: d == 0 ? 1 : d.
    condition = op.operands[0].owner
    return (
        isinstance(condition, ir.Block)
        or condition.operation.name != "arith.cmpi"
        or condition.operation.attributes["predicate"].value != arith.CmpIPredicate.eq
        or condition.operation.operands[0] != op.operands[2]
        or rw.constant_value(condition.operation.operands[1]) != 0
    )


def guard_operations(candidates: list[ir.Operation]) -> None:
    """Rewrite these operations, in their order."""
    for op in candidates:
        drop_promises(op)
    ops = [op for op in candidates if op.name in _GUARDS]
    readers: dict[ir.Value, list[ir.Operation]] = {}
    for op in ops:
        if op.name in _READS and may_be_empty(op.operands[0]):
            readers.setdefault(op.operands[0], []).append(op)
    for source, reads in readers.items():
        for before, group in _by_place(source, reads):
            with ir.InsertionPoint(before), before.location:
                readable = nonempty(source, group)
            for read in group:
                read.operands[0] = readable
    guard_again(ops)


def guard_again(candidates: list[ir.Operation]) -> None:
    """Guard operations of a total region whose operands have changed, in their order."""
    for op in candidates:
        if op.name in _GUARDS:
            with ir.InsertionPoint(op), op.location:
                _GUARDS[op.name](op)


_READS = ("tensor.extract", "tensor.extract_slice")


def _by_place(
    source: ir.Value, reads: list[ir.Operation]
) -> Iterable[tuple[ir.Operation, list[ir.Operation]]]:
    """The reads of `source`, with the operation in the block that defines it which they stand in."""
    block = source.owner if isinstance(source.owner, ir.Block) else source.owner.operation.block
    places: dict[ir.Operation, list[ir.Operation]] = {}
    for read in reads:
        place = read
        while place.block != block:
            place = place.parent.operation
        places.setdefault(place, []).append(read)
    return places.items()


def may_be_empty(source: ir.Value) -> bool:
    """Whether only a dynamic size can be 0; a read of a tensor with a static size of 0 is replaced by 0."""
    return rw.DYNAMIC in source.type.shape and 0 not in source.type.shape


def nonempty(source: ir.Value, readers: list[ir.Operation]) -> ir.Value:
    """`source`, or where one of its sizes is 0, a constant tensor of zeros with sizes 1.

    Sizes that a reader takes a slice of stay static. The constant needs no memory to be freed later, unlike a
    tensor of the sizes that `source` has.
    """
    shape = source.type.shape
    sliced = {
        d
        for reader in readers
        if reader.name == "tensor.extract_slice"
        for d, size in enumerate(reader.attributes["static_sizes"])
        if size != 1
    }
    kept = [size if d in sliced else rw.DYNAMIC for d, size in enumerate(shape)]
    choice = ir.RankedTensorType.get(kept, source.type.element_type)
    zeros = ir.RankedTensorType.get([1 if size == rw.DYNAMIC else size for size in kept], choice.element_type)
    empty = None
    for d, size in enumerate(shape):
        if size == rw.DYNAMIC:
            is_zero = arith.cmpi(arith.CmpIPredicate.eq, tensor.dim(source, rw.index(d)), rw.index(0))
            empty = is_zero if empty is None else arith.ori(empty, is_zero)
    branch = scf.IfOp(empty, [choice], has_else=True)
    with ir.InsertionPoint(branch.then_block):
        scf.YieldOp([tensor.cast(choice, rw.constant_of(zeros, 0))])
    with ir.InsertionPoint(branch.else_block):
        scf.YieldOp([source if source.type == choice else tensor.cast(choice, source)])
    return branch.results[0]


# ---- guards: each is called with the insertion point before the operation ------------------------


def _replace(op: ir.Operation, value: ir.Value) -> None:
    op.results[0].replace_all_uses_with(value)
    op.erase()


def clamp_index(position: ir.Value, last: ir.Value | int) -> ir.Value:
    """`position` clamped to [0, last]; nothing is created where it is known to lie there."""
    known = rw.constant_value(position)
    if isinstance(last, int):
        if known is not None:
            return position if 0 <= known <= last else rw.index(max(0, min(known, last)))
        if last <= 0:
            return rw.index(0)
        if _is_clamped(position, last):
            return position
        last = rw.index(last)
    return arith.maxsi(arith.minsi(position, last), rw.index(0))


def clamped_index(position: ir.Value) -> tuple[ir.Value, ir.Value] | None:
    """`(position, last)` of what `clamp_index` has made."""
    found = []
    for name in ("arith.maxsi", "arith.minsi"):
        if isinstance(position.owner, ir.Block) or position.owner.operation.name != name:
            return None
        position, limit = position.owner.operation.operands
        found.append(limit)
    return (position, found[1]) if rw.constant_value(found[0]) == 0 else None


def _is_clamped(position: ir.Value, last: int) -> bool:
    """Whether `position` is what `clamp_index` makes."""
    found = clamped_index(position)
    return found is not None and rw.constant_value(found[1]) == last


def _last(source: ir.Value, dimension: int) -> ir.Value | int:
    """The last index of a dimension."""
    shaped = source.type
    if shaped.is_dynamic_dim(dimension):
        return arith.subi(tensor.dim(source, rw.index(dimension)), rw.index(1))
    return shaped.shape[dimension] - 1


def _guard_extract(op: ir.Operation) -> None:
    source = op.operands[0]
    if 0 in source.type.shape:
        _replace(op, rw.constant(source.type.element_type, 0))
    else:
        _clamp_positions(op, 0)


def _clamp_positions(op: ir.Operation, tensor_at: int) -> None:
    """Clamp the operands behind the tensor, operand `tensor_at`, which are the indices into it."""
    source = op.operands[tensor_at]
    for d in range(source.type.rank):
        at = tensor_at + 1 + d
        op.operands[at] = clamp_index(op.operands[at], _last(source, d))


def _guard_extract_slice(op: ir.Operation) -> None:
    """Read elements with clamped indices, unless the slice is full or of size 1 in each dimension."""
    source, result = op.operands[0], op.results[0]
    shape = source.type.shape
    offsets, sizes, strides = slice_parts(op, 1)
    if 0 in shape:
        _replace(op, rw.constant_like(result, 0))
        return
    if _is_verified(shape, offsets, sizes, strides):
        return
    dropped = dropped_dimensions(sizes, result.type)
    if all(
        size == 1 or (offset == 0 and stride == 1 and size == extent)
        for offset, size, stride, extent in zip(offsets, sizes, strides, shape, strict=True)
    ):
        clamped: list[int | ir.Value] = []
        for d, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            if size == 1:
                position = rw.index(offset) if isinstance(offset, int) else offset
                last = _last(source, d)
                fits = isinstance(offset, int) and isinstance(last, int) and 0 <= offset <= last
                clamped.append(offset if fits else clamp_index(position, last))
            else:
                clamped.append(0)
        keep = [d for d in range(len(shape)) if d not in dropped]
        _replace(op, rw.extract_slice(source, clamped, sizes, keep))
        return
    keep = [d for d in range(len(shape)) if d not in dropped]
    lasts = [_last(source, d) for d in range(len(shape))]

    def element(_inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
        positions = []
        for d in range(len(shape)):
            position = _as_index(offsets[d])
            if d in keep:
                step = arith.muli(rw.loop_index(keep.index(d)), _as_index(strides[d]))
                position = arith.addi(position, step)
            positions.append(clamp_index(position, lasts[d]))
        return [tensor.extract(source, positions)]

    out = tensor.empty([sizes[d] for d in keep], result.type.element_type)
    loops = tuple(range(len(keep)))
    (read,) = rw.generic([], [(out, loops)], "p" * len(keep), element)
    if read.type != result.type:
        read = tensor.cast(result.type, read)
    _replace(op, read)


def _is_verified(shape: Sequence[int], *parts: Sequence[int | ir.Value]) -> bool:
    """Whether MLIR has checked that a slice lies inside: it does with static numbers and positive strides."""
    static = all(isinstance(number, int) for part in parts for number in part)
    return static and rw.DYNAMIC not in shape and all(stride > 0 for stride in parts[2])


def _as_index(number: int | ir.Value) -> ir.Value:
    return rw.index(number) if isinstance(number, int) else number


def _guard_insert_slice(op: ir.Operation) -> None:
    """Clamp the offsets so that the slice lies inside."""
    value, into = op.operands[0], op.operands[1]
    offsets, sizes, strides = slice_parts(op, 2)
    shape = into.type.shape
    if _is_verified(shape, offsets, sizes, strides):
        return
    clamped: list[int | ir.Value] = []
    for offset, size, stride, whole in zip(offsets, sizes, strides, shape, strict=True):
        if offset == 0 and stride == 1 and size == whole and whole != rw.DYNAMIC:
            clamped.append(offset)
            continue
        if isinstance(stride, int) and stride < 1:
            raise PassFailure(op, f"expects strides of at least 1, got {stride}")
        if not (isinstance(size, int) and isinstance(stride, int)) or whole == rw.DYNAMIC:
            raise PassFailure(
                op, "unsupported: an insertion at an offset that no caller can check, with dynamic sizes"
            )
        extent = (size - 1) * stride + 1
        if extent > whole:
            raise PassFailure(op, f"expects {size} elements by {stride} to fit a dimension of size {whole}")
        clamped.append(clamp_index(_as_index(offset), whole - extent))
    _replace(op, rw.insert_slice(value, into, clamped, sizes, strides))


def _guard_insert(op: ir.Operation) -> None:
    into = op.operands[1]
    if 0 in into.type.shape:
        _replace(op, into)
    else:
        _clamp_positions(op, 1)


def _guard_dim(op: ir.Operation) -> None:
    source, axis = op.operands
    rank = source.type.rank
    known = rw.constant_value(axis)
    if known is not None and 0 <= known < rank:
        return
    if rank == 0:
        _replace(op, rw.index(0))
        return
    size = rw.dim(source, 0)
    for d in range(1, rank):
        reaches = arith.cmpi(arith.CmpIPredicate.sge, axis, rw.index(d))
        size = arith.select(reaches, rw.dim(source, d), size)
    _replace(op, size)


def _compare(predicate: str, value: ir.Value, number: int) -> ir.Value:
    return arith.cmpi(getattr(arith.CmpIPredicate, predicate), value, rw.constant_like(value, number))


def _replace_after(op: ir.Operation, build: Callable[[ir.Value], ir.Value]) -> None:
    """Replace the uses of the result of `op`, which stays, by what `build(result)` makes of it."""
    result = op.results[0]
    uses = [(use.owner, use.operand_number) for use in result.uses]
    with ir.InsertionPoint.after(op), op.location:
        replacement = build(result)
    for owner, number in uses:
        owner.operation.operands[number] = replacement


def _guard_division(op: ir.Operation, *, by_zero_only: bool = False) -> None:
    """By 0 the quotient is 0 and the remainder the dividend; `MIN / -1` wraps. Both would trap."""
    dividend, divisor = op.operands
    signed = op.name in _SIGNED and not by_zero_only
    known = rw.constant_value(divisor)
    if known is not None and known != 0 and not (signed and known == -1):
        return
    by_zero = special = _compare("eq", divisor, 0)
    if signed:
        by_minus_one = _compare("eq", divisor, -1)
        special = arith.ori(by_zero, by_minus_one)
    op.operands[1] = arith.select(special, rw.constant_like(divisor, 1), divisor)

    def choose(result: ir.Value) -> ir.Value:
        if op.name in _REMAINDERS:
            return arith.select(by_zero, dividend, result)
        zero = rw.constant_like(divisor, 0)
        if signed:
            result = arith.select(by_minus_one, arith.subi(zero, dividend), result)
        return arith.select(by_zero, zero, result)

    _replace_after(op, choose)


def _guard_shift(op: ir.Operation) -> None:
    amount = op.operands[1]
    element = amount.type.element_type if isinstance(amount.type, ir.RankedTensorType) else amount.type
    width = 64 if isinstance(element, ir.IndexType) else element.width
    known = rw.constant_value(amount)
    if known is not None and 0 <= known < width:
        return
    inside = _compare("ult", amount, width)
    arithmetic = op.name == "arith.shrsi"
    op.operands[1] = arith.select(inside, amount, rw.constant_like(amount, width - 1 if arithmetic else 0))
    if not arithmetic:
        _replace_after(op, lambda result: arith.select(inside, result, rw.constant_like(result, 0)))


def _guard_ipowi(op: ir.Operation) -> None:
    """0 to a negative power, which the expansion computes as 1 / 0, is 0 like every division by zero."""
    base, exponent = op.operands
    undefined = arith.andi(_compare("eq", base, 0), _compare("slt", exponent, 0))
    zero = rw.constant_like(exponent, 0)
    op.operands[1] = arith.select(undefined, zero, exponent)
    _replace_after(op, lambda power: arith.select(undefined, rw.constant_like(power, 0), power))


def _guard_float_to_int(op: ir.Operation) -> None:
    value, result = op.operands[0], op.results[0]
    element = result.type.element_type if isinstance(result.type, ir.RankedTensorType) else result.type
    signed = op.name == "arith.fptosi"
    width = element.width
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1)) if signed else (0, 2**width)
    lower, upper = rw.constant_like(value, float(low)), rw.constant_like(value, float(high))
    too_high = arith.cmpf(arith.CmpFPredicate.OGE, value, upper)
    inside = arith.andi(
        arith.cmpf(arith.CmpFPredicate.OGE, value, lower),
        arith.cmpf(arith.CmpFPredicate.OLT, value, upper),
    )
    op.operands[0] = arith.select(inside, value, rw.constant_like(value, 0.0))

    def saturate(number: ir.Value) -> ir.Value:
        largest = high - 1 if signed else -1  # the attribute holds the bits
        number = arith.select(too_high, rw.constant_like(number, largest), number)
        if signed:
            too_low = arith.cmpf(arith.CmpFPredicate.OLT, value, lower)
            number = arith.select(too_low, rw.constant_like(number, low), number)
        return number

    _replace_after(op, saturate)


def _guard_empty(op: ir.Operation) -> None:
    """What nobody wrote is 0, unless it is where an operation puts its result without reading it."""
    result = op.results[0]
    if all(_overwrites(use.owner.operation, use.operand_number) for use in result.uses):
        return
    if result.type.has_static_shape:
        _replace(op, rw.constant_of(result.type, 0))
        return
    _replace(op, tensor.splat(result.type, rw.constant(result.type.element_type, 0), list(op.operands)))


def _overwrites(user: ir.Operation, position: int) -> bool:
    if not user.name.startswith("linalg.") or not len(user.regions):
        return False
    first_output = len(user.operands) - len(user.results)
    argument = user.regions[0].blocks[0].arguments[position]
    return position >= first_output and not list(argument.uses)


def _guard_poison(op: ir.Operation) -> None:
    """Poison that reaches an index or a divisor would be undefined behaviour: any value will do, take 0."""
    _replace(op, rw.constant_like(op.results[0], 0))


_GUARDS: dict[str, Callable[[ir.Operation], None]] = {
    "tensor.dim": _guard_dim,
    "tensor.empty": _guard_empty,
    "tensor.extract": _guard_extract,
    "tensor.insert": _guard_insert,
    "tensor.extract_slice": _guard_extract_slice,
    "tensor.insert_slice": _guard_insert_slice,
    "arith.shli": _guard_shift,
    "arith.shrsi": _guard_shift,
    "arith.shrui": _guard_shift,
    "arith.fptosi": _guard_float_to_int,
    "arith.fptoui": _guard_float_to_int,
    "math.ipowi": _guard_ipowi,
    "ub.poison": _guard_poison,
    **dict.fromkeys((*_DIVISIONS, *_UNSIGNED_DIVISIONS, *_REMAINDERS), _guard_division),
}
