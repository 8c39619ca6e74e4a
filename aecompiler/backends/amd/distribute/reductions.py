"""Reductions of tiles: in a lane, between the lanes of a wave, and between waves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Layout
from aecompiler.bindings import arith, ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.structured_ops import identity_of

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer

Combine = Callable[[ir.Value, ir.Value], ir.Value]

_FLOATS: dict[str, Combine] = {
    "add": arith.addf,
    "mul": arith.mulf,
    "maximumf": arith.maximumf,
    "minimumf": arith.minimumf,
    "maxnumf": arith.maxnumf,
    "minnumf": arith.minnumf,
}
_INTEGERS: dict[str, Combine] = {
    "add": arith.addi,
    "mul": arith.muli,
    "maxsi": arith.maxsi,
    "minsi": arith.minsi,
    "maxui": arith.maxui,
    "minui": arith.minui,
    "and": arith.andi,
    "or": arith.ori,
    "xor": arith.xori,
}


_WITHOUT_NANS = {arith.maximumf: arith.maxnumf, arith.minimumf: arith.minnumf}


_SWAPS = {16: "permlane16_swap", 32: "permlane32_swap"}
"""Instructions that swap rows of 16 or 32 lanes of two registers."""


def combine_of(op: ir.Operation) -> Combine:
    """How two elements are combined."""
    kind = str(op.attributes["kind"]).partition("<")[2].rstrip(">")
    element = fr.element_type(op.operands[0].type)
    known = _INTEGERS if isinstance(element, ir.IntegerType) else _FLOATS
    if kind not in known:
        raise PassFailure(op, f"unsupported: a reduction by '{kind}' of {element}")
    return known[kind]


def reduce_tile(writer: Writer, op: ir.Operation) -> Fragment:
    """The fragment of a `vector.multi_reduction`."""
    combine = combine_of(op)
    source, start = op.operands
    fragment = writer.fragment(source, writer.places.homes[source])
    dims = sorted((int(each) for each in op.attributes["reduction_dims"]), reverse=True)
    layout = fragment.layout
    target = functools.reduce(Layout.without, dims, layout)
    fragment = Fragment(target, within_lanes(fragment, target, dims, combine))
    for bit, place in enumerate(layout.lanes):
        if place is not None and place[0] in dims:
            swaps = writer.choice.target.has_permlane_swaps
            fragment = _between_lanes(fragment, 1 << bit, combine, swaps=swaps)
    if any(place is not None and place[0] in dims for place in layout.waves):
        fragment = between_waves(writer, fragment, layout, dims, combine)
    if _is_identity(start, combine):
        return fragment
    if isinstance(start.type, ir.VectorType):
        starts: Sequence[ir.Value] = writer.fragment(start, target).parts
    else:
        starts = [writer.scalar(start)]
    return Fragment(target, tuple(map(combine, starts, fragment.parts)))


def within_lanes(
    fragment: Fragment, target: Layout, dims: Sequence[int], combine: Combine
) -> tuple[ir.Value, ...]:
    """Each register of the result, of all that a lane has for it."""
    layout = fragment.layout
    found: dict[int, list[ir.Value]] = {}
    kept = [dim for dim in range(layout.rank) if dim not in dims]
    own = [bit for bit in layout.registers if bit[0] in dims]
    is_whole = fragment.width > 1 and own[: fr.WIDTH.bit_length() - 1] == list(
        layout.registers[: fragment.width.bit_length() - 1]
    )
    if is_whole:  # parts of which all elements are reduced: by pairs of elements first
        parts: dict[int, list[ir.Value]] = {}
        for number, part in enumerate(fragment.parts):
            index = layout.register_index(number * fragment.width)
            parts.setdefault(target.register_of([index[dim] for dim in kept]), []).append(part)
        for register, values in parts.items():
            total = _tree(values, combine)
            found[register] = [fr.extract(total, n) for n in range(fragment.width)]
    else:
        for register in range(layout.count):
            index = layout.register_index(register)
            place = target.register_of([index[dim] for dim in kept])
            found.setdefault(place, []).append(fragment.element(register))
    elements = [_tree(found[register], combine) for register in range(target.count)]
    return fr.fragment_of(target, elements).parts


def _tree(values: Sequence[ir.Value], combine: Combine) -> ir.Value:
    """All values combined, neighbours first."""
    if combine in _WITHOUT_NANS and len(values) > 1:
        return _extreme(values, combine)
    return _pairwise(values, combine)


def _extreme(values: Sequence[ir.Value], combine: Combine) -> ir.Value:
    """A maximum or minimum that is NaN where a value is: that of numbers, and whether any is NaN apart.

    There are instructions for numbers, of three operands, and one that finds a NaN in two values.
    """
    of_numbers = _WITHOUT_NANS[combine]
    no_nans = arith.FastMathFlags.nnan
    numbers = _pairwise(values, lambda a, b: of_numbers(a, b, fastmath=no_nans))
    pairs = [*zip(values[::2], values[1::2], strict=False)]
    if len(values) % 2:
        pairs.append((values[-1], values[-1]))
    tests = [arith.cmpf(arith.CmpFPredicate.UNO, a, b) for a, b in pairs]
    return arith.select(_pairwise(tests, arith.ori), fr.not_a_number(numbers.type), numbers)


def _pairwise(values: Sequence[ir.Value], combine: Combine) -> ir.Value:
    left = list(values)
    while len(left) > 1:
        pairs = [combine(a, b) for a, b in zip(left[::2], left[1::2], strict=False)]
        left = pairs + left[len(pairs) * 2 :]
    return left[0]


def _between_lanes(fragment: Fragment, distance: int, combine: Combine, *, swaps: bool) -> Fragment:
    """Combine each lane's values with those of the lane whose number differs in one bit."""
    elements = [combine(*_both(each, distance, swaps)) for each in fragment.elements()]
    return fr.fragment_of(fragment.layout, elements)


def _both(value: ir.Value, distance: int, swaps: bool) -> tuple[ir.Value, ir.Value]:
    """The values of a lane and of the one whose number differs by this bit, in the same order in both."""
    if not swaps or value.type.width != 32 or distance not in _SWAPS:
        return value, shuffled(value, distance)
    llvm, rocdl = load("dialects.llvm"), load("dialects.rocdl")
    i32 = ir.IntegerType.get_signless(32)
    bits = value if value.type == i32 else arith.bitcast(i32, value)
    pair = getattr(rocdl, _SWAPS[distance])(
        ir.Type.parse("!llvm.struct<(i32, i32)>"), bits, bits, False, False
    )
    first, second = (llvm.extractvalue(i32, pair, [place]) for place in (0, 1))
    if value.type == i32:
        return first, second
    return arith.bitcast(value.type, first), arith.bitcast(value.type, second)


def shuffled(value: ir.Value, distance: int, *, up: bool = False) -> ir.Value:
    """The value of the lane whose number differs by this bit, or, `up`, is smaller by this distance."""
    gpu = load("dialects.gpu")
    mode = gpu.ShuffleMode.UP if up else gpu.ShuffleMode.XOR

    def words(word: ir.Value) -> ir.Value:
        return gpu.ShuffleOp(word, fr.integer(distance), fr.integer(1 << LANE_BITS), mode).results[0]

    return moved(value, words)


def by_lane(word: ir.Value, source: ir.Value) -> ir.Value:
    """The i32 of the lane with a number."""
    rocdl = load("dialects.rocdl")
    return rocdl.ds_bpermute(word.type, arith.shli(source, fr.integer(2)), word)


def moved(value: ir.Value, move: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """A value of any type moved between lanes as words of 32 bits."""
    element = value.type
    i32, i64 = (ir.IntegerType.get_signless(bits) for bits in (32, 64))
    own = ir.IntegerType.get_signless(element.width)
    bits = value if element == own else arith.bitcast(own, value)
    if own == i64:
        low = move(arith.trunci(i32, bits))
        high = move(arith.trunci(i32, arith.shrui(bits, fr.integer(32, 64))))
        found = arith.ori(arith.extui(i64, low), arith.shli(arith.extui(i64, high), fr.integer(32, 64)))
    elif own == i32:
        found = move(bits)
    else:
        found = arith.trunci(own, move(arith.extui(i32, bits)))
    return found if found.type == element else arith.bitcast(element, found)


def between_waves(
    writer: Writer, fragment: Fragment, layout: Layout, dims: Sequence[int], combine: Combine
) -> Fragment:
    """Combine what waves have."""
    target = fragment.layout
    everything = of_all_waves(writer, fragment, layout, dims)
    return Fragment(target, within_lanes(everything, target, [0], combine))


def of_all_waves(writer: Writer, fragment: Fragment, layout: Layout, dims: Sequence[int]) -> Fragment:
    """What waves have that differ in `dims` of a layout, through local memory: each writes, and reads all.

    The fragment has one dimension more, in front and in registers: which of the waves.
    """
    target = fragment.layout
    bits = [n for n, place in enumerate(layout.waves) if place is not None and place[0] in dims]
    shape = (1 << len(bits), *target.shape)
    lanes = [None if place is None else (place[0] + 1, place[1]) for place in target.lanes]
    waves = [None if place is None else (place[0] + 1, place[1]) for place in target.waves]
    own = list(waves)
    for number, bit in enumerate(bits):
        own[bit] = (0, number)
    registers = tuple((dim + 1, bit) for dim, bit in target.registers)
    source = Layout(shape, registers, tuple(lanes), tuple(own))
    reader = Layout(
        shape, (*registers, *((0, number) for number in range(len(bits)))), tuple(lanes), tuple(waves)
    )
    staged = writer.exchange.write(Fragment(source, fragment.parts), reader)
    return writer.exchange.read(staged, reader)


def scan_tile(writer: Writer, op: ir.Operation) -> Fragment:
    """The fragment of a `vector.scan`: neighbours are in neighbouring lanes, then in registers.

    Each step combines with what a lane has that is twice as far away as in the step before.
    """
    combine = combine_of(op)
    result = op.results[0]
    layout = writer.places.homes[result]
    fragment = writer.fragment(op.operands[0], layout)
    dim = ir.IntegerAttr(op.attributes["reduction_dim"]).value
    if not ir.BoolAttr(op.attributes["inclusive"]).value or any(op.results[1].uses):
        raise PassFailure(op, "unsupported: a scan that is not inclusive, or whose total is used")
    bits = {bit: place[1] for bit, place in enumerate(layout.lanes) if place is not None and place[0] == dim}
    values = fragment.elements()
    for bit, own in bits.items():
        distance = 1 << bit
        has = arith.cmpi(arith.CmpIPredicate.uge, writer.lanes.position(layout, dim), fr.integer(1 << own))
        before = [shuffled(each, distance, up=True) for each in values]
        values = [
            arith.select(has, combine(left, each), each) for left, each in zip(before, values, strict=True)
        ]
    last = sum(1 << bit for bit in bits)
    found: dict[int, ir.Value] = {}
    for register in sorted(range(layout.count), key=lambda r: layout.register_index(r)[dim]):
        index = list(layout.register_index(register))
        value = values[register]
        if index[dim]:
            index[dim] -= 1 << len(bits)
            total = from_lane(writer, found[layout.register_of(index)], last)
            value = combine(total, value)
        found[register] = value
    return fr.fragment_of(layout, [found[register] for register in range(layout.count)])


def from_lane(writer: Writer, value: ir.Value, bits: int) -> ir.Value:
    """The value of the lane whose number has these bits set, too."""
    source = arith.ori(writer.lanes.lane, fr.integer(bits))
    return moved(value, lambda word: by_lane(word, source))


def _is_identity(start: ir.Value, combine: Combine) -> bool:
    """Whether a reduction starts from what changes nothing."""
    attribute = rw.constant_of_all(start)
    if attribute is None:
        return False
    element = start.type.element_type if isinstance(start.type, ir.VectorType) else start.type
    identity = identity_of(f"arith.{combine.__name__}", element)
    return identity is not None and attribute.value == identity
