"""Values of a kernel: scalars, and tensors over some of the loops of an operation.

What depends on the row alone is a tensor of rows until it meets something that depends on the key: a mask
comparison costs one number per row and one per key. Numbers of type `index` have a range, from which follows
whether 32 bits hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

Range = tuple[int, int]
"""The least and the largest value of a number."""

_INT32 = (-(1 << 31), (1 << 31) - 1)
_INT64 = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True)
class Lanes:
    """A scalar, or a tensor whose dimensions are `loops`, in increasing order.

    `range` is that of a number of type `index`, which has 32 bits if they hold all of the range; None for
    other values.
    """

    value: ir.Value
    loops: tuple[int, ...] = ()
    range: Range | None = None

    @property
    def element(self) -> ir.Type:
        """The type of an element."""
        return tt.element_of(self.value)


def number(value: ir.Value, loops: tuple[int, ...], limits: Range) -> Lanes:
    """A number of type `index` held in an i32 or i64 of the same value."""
    fits = _fits(limits, _INT32)
    return Lanes(_as_bits(value, 32 if fits else 64), loops, limits if _fits(limits, _INT64) else _INT64)


def constant(value: int) -> Lanes:
    """A constant of type `index`."""
    bits = 32 if _fits((value, value), _INT32) else 64
    return Lanes(tt.constant(tt.integer(bits), value), (), (value, value))


def type_range(type_: ir.Type) -> Range:
    """What an integer type holds, as a signed number; a bit is 0 or -1 as MLIR extends it."""
    bits = type_.width
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _fits(limits: Range, into: Range) -> bool:
    return into[0] <= limits[0] and limits[1] <= into[1]


def _as_bits(value: ir.Value, bits: int) -> ir.Value:
    element = tt.element_of(value)
    if element.width == bits:
        return value
    new = tt.typed(tt.shape_of(value), tt.integer(bits))
    return arith.extsi(new, value) if element.width < bits else arith.trunci(new, value)


def wide(lanes: Lanes) -> ir.Value:
    """The number as i64."""
    return _as_bits(lanes.value, 64)


def narrow(lanes: Lanes) -> ir.Value | None:
    """The number as i32, if that holds it."""
    return _as_bits(lanes.value, 32) if lanes.range and _fits(lanes.range, _INT32) else None


def bits_32(lanes: Lanes) -> ir.Value:
    """The lower 32 bits of a number: all of one that is known to be no larger."""
    return _as_bits(lanes.value, 32)


# ---- broadcasting --------------------------------------------------------------------------------


def spread(lanes: Lanes, loops: Sequence[int], sizes: Sequence[int]) -> Lanes:
    """The value over more loops; `sizes` are those of all loops of the operation."""
    loops = tuple(loops)
    if lanes.loops == loops:
        return lanes
    shape = [sizes[loop] for loop in loops]
    if not lanes.loops:
        return Lanes(tt.splat(lanes.value, shape), loops, lanes.range)
    value = lanes.value
    for axis, loop in enumerate(loops):
        if loop not in lanes.loops:
            value = tt.expand_dims(value, axis)
    return Lanes(tt.broadcast(value, shape), loops, lanes.range)


def together(values: Sequence[Lanes], sizes: Sequence[int]) -> tuple[list[Lanes], tuple[int, ...]]:
    """The values over all loops of any of them."""
    loops = tuple(sorted({loop for each in values for loop in each.loops}))
    return [spread(each, loops, sizes) for each in values], loops


# ---- arithmetic on numbers of type index -----------------------------------------------------------


def _corners(a: Range, b: Range, operation: Callable[[int, int], int]) -> Range:
    found = [operation(x, y) for x in a for y in b]
    return min(found), max(found)


def _quotients(a: Range, b: Range, rounding: Callable[[int, int], int]) -> Range:
    """Nothing is divided by 0."""
    if b[0] < 0:
        return _INT64
    return _corners(a, (max(b[0], 1), max(b[1], 1)), rounding)


def _toward_zero(a: int, b: int) -> int:
    return -(-a // b) if a < 0 else a // b


def _remainders(a: Range, b: Range) -> Range:
    """Nothing is divided by 0."""
    if b[0] < 0:
        return _INT64
    most = max(b[1] - 1, 0)
    return (0 if a[0] >= 0 else max(-most, a[0])), min(most, max(a[1], 0))


def _least_unsigned(a: Range, b: Range) -> Range:
    """A number below 0 is larger than all others, also in 32 bits."""
    highest = [high for low, high in (a, b) if low >= 0]
    return (0, min(highest)) if highest else _INT64


_RANGES: dict[str, Callable[[Range, Range], Range]] = {
    "addi": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subi": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "muli": lambda a, b: _corners(a, b, lambda x, y: x * y),
    "minsi": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "maxsi": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minui": _least_unsigned,
    "divsi": lambda a, b: _quotients(a, b, _toward_zero),
    "floordivsi": lambda a, b: _quotients(a, b, lambda x, y: x // y),
    "ceildivsi": lambda a, b: _quotients(a, b, lambda x, y: -(-x // y)),
    "remsi": _remainders,
    "andi": lambda a, b: (0, min(a[1], b[1])) if a[0] >= 0 and b[0] >= 0 else _INT64,
    "ori": lambda a, b: (0, (1 << max(a[1], b[1]).bit_length()) - 1) if a[0] >= 0 and b[0] >= 0 else _INT64,
    "xori": lambda a, b: (0, (1 << max(a[1], b[1]).bit_length()) - 1) if a[0] >= 0 and b[0] >= 0 else _INT64,
}

_UNSIGNED = {"minui": "minsi", "maxui": "maxsi", "divui": "divsi", "remui": "remsi", "ceildivui": "ceildivsi"}
"""What is the same for numbers that are not negative."""


def compute(op: str, a: Lanes, b: Lanes, sizes: Sequence[int]) -> Lanes:
    """`arith.<op>` of numbers of type `index`."""
    assert a.range is not None
    assert b.range is not None
    if op in _UNSIGNED and a.range[0] >= 0 and b.range[0] >= 0:
        op = _UNSIGNED[op]
    limits = _RANGES[op](a.range, b.range) if op in _RANGES else _INT64
    (a, b), loops = together([a, b], sizes)
    left, right = narrow(a), narrow(b)
    if left is None or right is None or not _fits(limits, _INT32):
        left, right = wide(a), wide(b)
    return number(binary(op, left, right), loops, limits)


def binary(op: str, left: ir.Value, right: ir.Value) -> ir.Value:
    """`arith.<op>` of integers; those that Triton's lowering does not know, by others."""
    if op in ("floordivsi", "ceildivsi"):
        if (bits := _shift(right)) is not None and not tt.shape_of(left):
            return _shifted(op, left, bits)
        # Toward zero, and one further where that was on the wrong side.
        quotient, rest = arith.divsi(left, right), arith.remsi(left, right)
        zero, one = (tt.constant(left.type, each) for each in (0, 1))
        is_exact = arith.cmpi(arith.CmpIPredicate.eq, rest, zero)
        same = arith.cmpi(arith.CmpIPredicate.sge, arith.xori(left, right), zero)
        if op == "floordivsi":
            stays = arith.ori(is_exact, same)
            return arith.select(stays, quotient, arith.subi(quotient, one))
        differ = arith.xori(same, tt.constant(same.type, 1))
        return arith.select(arith.ori(is_exact, differ), quotient, arith.addi(quotient, one))
    if op == "ceildivui":
        zero, one = (tt.constant(left.type, each) for each in (0, 1))
        is_zero = arith.cmpi(arith.CmpIPredicate.eq, left, zero)
        return arith.select(is_zero, zero, arith.addi(arith.divui(arith.subi(left, one), right), one))
    return getattr(arith, op)(left, right)


def _shift(divisor: ir.Value) -> int | None:
    """n, of a constant 2^n."""
    known = rw.constant_value(divisor)
    if known is None or known <= 0 or known & (known - 1):
        return None
    return known.bit_length() - 1


def _shifted(op: str, left: ir.Value, bits: int) -> ir.Value:
    """The quotient of a scalar and 2^bits, which a shift rounds down."""
    floor = arith.shrsi(left, tt.constant(left.type, bits))
    if op == "floordivsi":
        return floor
    rest = arith.andi(left, tt.constant(left.type, (1 << bits) - 1))
    is_over = arith.cmpi(arith.CmpIPredicate.ne, rest, tt.constant(left.type, 0))
    return arith.select(is_over, arith.addi(floor, tt.constant(left.type, 1)), floor)


def compare(predicate: ir.Attribute, a: Lanes, b: Lanes, sizes: Sequence[int]) -> Lanes:
    """`arith.cmpi` of numbers of type `index`."""
    (a, b), loops = together([a, b], sizes)
    left, right = narrow(a), narrow(b)
    if left is None or right is None:
        left, right = wide(a), wide(b)
    return Lanes(arith.CmpIOp(predicate, left, right).result, loops)


def digits(place: Lanes, shape: Sequence[int], sizes: Sequence[int]) -> list[Lanes]:
    """The position along each dimension of `shape` of its element number `place`, which may lie beyond it."""
    found: list[Lanes] = []
    for size in shape[:0:-1]:
        found.insert(0, compute("remui", place, constant(size), sizes))
        place = compute("divui", place, constant(size), sizes)
    return [place, *found]


def less(a: Lanes, b: Lanes, sizes: Sequence[int]) -> Lanes:
    """a < b, of numbers of type `index`."""
    return compare(_predicate(arith.CmpIPredicate.slt), a, b, sizes)


def equal(a: Lanes, b: Lanes, sizes: Sequence[int]) -> Lanes:
    """a == b, of numbers of type `index`."""
    return compare(_predicate(arith.CmpIPredicate.eq), a, b, sizes)


def _predicate(predicate: arith.CmpIPredicate) -> ir.Attribute:
    return ir.IntegerAttr.get(tt.integer(64), predicate.value)


def absolute(a: Lanes) -> Lanes:
    """|a|, of a number of type `index`."""
    assert a.range is not None
    low, high = a.range
    limits = (0, max(abs(low), abs(high)))
    value = a.value if _fits(limits, _INT32) else wide(a)
    zero = tt.constant(value.type, 0)
    return number(arith.maxsi(value, arith.subi(zero, value)), a.loops, limits)


def choose(condition: Lanes, a: Lanes, b: Lanes, sizes: Sequence[int]) -> Lanes:
    """`arith.select`; of numbers of type `index` it has the range of both."""
    limits = None
    if a.range is not None and b.range is not None:
        limits = (min(a.range[0], b.range[0]), max(a.range[1], b.range[1]))
        as_bits = narrow if _fits(limits, _INT32) else wide
        a, b = (Lanes(as_bits(each), each.loops, each.range) for each in (a, b))
    (condition, a, b), loops = together([condition, a, b], sizes)
    return Lanes(arith.select(condition.value, a.value, b.value), loops, limits)
