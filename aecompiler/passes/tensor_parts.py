"""Parts of tensors, and sizes, as they are reasoned about before any IR is made.

A part of a tensor is a box with unit strides: of each dimension an offset, a size, and whether the tensor
that holds the part has that dimension. Offsets and sizes are linear in values of the IR, so that equal ones
are found to be equal however a program computes them.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts

Symbol: TypeAlias = "ir.Value | tuple[ir.Value, int]"
"""An index, or the size of a dimension of a tensor."""


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A constant plus multiples of indices."""

    constant: int = 0
    terms: tuple[tuple[Symbol, int], ...] = ()

    def _key(self) -> tuple[int, frozenset]:
        return self.constant, frozenset(self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Linear) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def number(self) -> int | None:
        """The number that it always is, or None."""
        return None if self.terms else self.constant

    def __add__(self, other: Linear) -> Linear:
        terms = dict(self.terms)
        for symbol, factor in other.terms:
            terms[symbol] = terms.get(symbol, 0) + factor
        kept = tuple((symbol, factor) for symbol, factor in terms.items() if factor)
        return Linear(self.constant + other.constant, kept)

    def __mul__(self, factor: int) -> Linear:
        if factor == 0:
            return Linear()
        return Linear(self.constant * factor, tuple((symbol, f * factor) for symbol, f in self.terms))

    def uses(self, values: Collection[ir.Value]) -> bool:
        """Whether it is computed from one of `values`."""
        return any((s[0] if isinstance(s, tuple) else s) in values for s, _ in self.terms)

    def divided(self, divisor: int) -> Linear | None:
        """The exact quotient, if it is linear, too."""
        factors = [self.constant, *(factor for _, factor in self.terms)]
        if divisor < 1 or any(factor % divisor for factor in factors):
            return None
        return Linear(self.constant // divisor, tuple((s, f // divisor) for s, f in self.terms))


class Indices:
    """Builds offsets and sizes, each one once, at places that follow one another in one block."""

    def __init__(self) -> None:
        self._built: dict[object, ir.Value] = {}

    def build(self, linear: Linear) -> int | ir.Value:
        """`linear`, as a number where it is one."""
        if linear.number is not None:
            return linear.number
        if linear not in self._built:
            total: ir.Value | None = None
            if linear.constant:
                total = rw.index(linear.constant)
            for symbol, factor in linear.terms:
                term = self._symbol(symbol)
                if factor == -1 and total is not None:
                    total = arith.subi(total, term)
                    continue
                if factor != 1:
                    term = arith.muli(term, rw.index(factor))
                total = term if total is None else arith.addi(total, term)
            self._built[linear] = total
        return self._built[linear]

    def _symbol(self, symbol: Symbol) -> ir.Value:
        if not isinstance(symbol, tuple):
            return symbol
        if symbol not in self._built:
            self._built[symbol] = rw.dim(*symbol)
        return self._built[symbol]


def index_of(value: int | ir.Value) -> Linear:
    """An index of the IR."""
    return _Sizes().index_of(value)


def size_of(value: ir.Value, d: int) -> Linear:
    """The size of a dimension, found through the operations that make the tensor."""
    return _Sizes().size_of(value, d)


class _Sizes:
    """Sizes, each found once: branches share what comes before them."""

    def __init__(self) -> None:
        self._found: dict[tuple[ir.Value, int], Linear] = {}

    def index_of(self, value: int | ir.Value) -> Linear:
        if isinstance(value, int):
            return Linear(value)
        known = rw.constant_value(value)
        if known is not None:
            return Linear(known)
        if not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tensor.dim":
            source, axis = value.owner.operation.operands
            number = rw.constant_value(axis)
            if number is not None and 0 <= number < ir.RankedTensorType(source.type).rank:
                return self.size_of(source, number)
        return Linear(0, ((value, 1),))

    def size_of(self, value: ir.Value, d: int) -> Linear:
        shaped = ir.RankedTensorType(value.type)
        if not shaped.is_dynamic_dim(d):
            return Linear(shaped.shape[d])
        if (value, d) not in self._found:
            made = None
            if not isinstance(value.owner, ir.Block):
                made = self._size_from(value.owner.operation, value, d)
            self._found[value, d] = Linear(0, (((value, d), 1),)) if made is None else made
        return self._found[value, d]

    def _size_from(self, op: ir.Operation, value: ir.Value, d: int) -> Linear | None:
        """A size of a result, from the operands of `op`."""
        operands = list(op.operands)
        dialect = op.name.partition(".")[0]
        if dialect == "linalg" or op.name == "scf.forall":
            results = list(op.results)
            return self.size_of(operands[len(operands) - len(results) + results.index(value)], d)
        if dialect in ("arith", "math"):
            like = [each for each in operands if isinstance(each.type, ir.RankedTensorType)]
            return self.size_of(like[0], d) if like else None
        if op.name == "scf.if":
            number = list(op.results).index(value)
            handed_on = [
                list(region.blocks[0].operations)[-1].operation.operands[number] for region in op.regions
            ]
            ways = [self.size_of(each, d) for each in handed_on]
            # Equal ones are computed from the same values, which then come from before the conditional.
            return ways[0] if all(way == ways[0] for way in ways) else None
        before = sum(ir.RankedTensorType(value.type).is_dynamic_dim(axis) for axis in range(d))
        match op.name:
            case "tensor.empty" | "tensor.generate":
                return self.index_of(operands[before])
            case "tensor.splat":
                return self.index_of(operands[1 + before])
            case "tensor.cast":
                return self.size_of(operands[0], d)
            case "tensor.insert_slice" | "tensor.insert":
                return self.size_of(operands[1], d)
            case "tensor.pad":
                edges = [self.index_of(each[d]) for each in padding_of(op)]
                return functools.reduce(operator.add, edges, self.size_of(operands[0], d))
            case "tensor.extract_slice":
                sizes = slice_parts(op, 1)[1]
                dropped = dropped_dimensions(sizes, ir.RankedTensorType(value.type))
                return self.index_of([size for axis, size in enumerate(sizes) if axis not in dropped][d])
            case "tensor.concat":
                joined = operands if d == op.attributes["dim"].value else operands[:1]
                return functools.reduce(operator.add, (self.size_of(each, d) for each in joined))
            case "tensor.expand_shape":
                return self.index_of(operands[1 + before])
            case "tensor.collapse_shape":
                joined = [self.size_of(operands[0], axis) for axis in groups_of(op)[d]]
                longer = [size for size in joined if size.number != 1]
                return longer[0] if len(longer) == 1 else None
        return None


def padding_of(op: ir.Operation) -> tuple[list[int | ir.Value], list[int | ir.Value]]:
    """What `tensor.pad` adds before and after each dimension."""
    _, *dynamic = op.operands
    low, high = (
        [dynamic.pop(0) if number == rw.DYNAMIC else number for number in op.attributes[name]]
        for name in ("static_low", "static_high")
    )
    return low, high


def groups_of(op: ir.Operation) -> list[list[int]]:
    """The reassociation of `tensor.expand_shape` and `tensor.collapse_shape`."""
    return [[axis.value for axis in group] for group in op.attributes["reassociation"]]


@dataclasses.dataclass(frozen=True)
class Part:
    """What of one dimension belongs to a part, and whether a tensor with the part has the dimension."""

    offset: Linear
    size: Linear
    keep: bool
    whole: bool
    """Whether it is all of the dimension."""
    padded: int | None = None
    """The size that the tensor with the part has there, if that is more than `size`."""

    @property
    def extent(self) -> Linear:
        """The size that the tensor with the part has there."""
        return self.size if self.padded is None else Linear(self.padded)


Parts = tuple[Part, ...]


def whole(value: ir.Value, d: int, keep: bool = True) -> Part:
    """All of a dimension; one that is not kept has size 1."""
    return Part(Linear(), size_of(value, d) if keep else Linear(1), keep, whole=True)


def part(
    value: ir.Value, d: int, offset: Linear, size: Linear, keep: bool = True, padded: int | None = None
) -> Part:
    """A range of a dimension, which lies inside."""
    full = size_of(value, d)
    if padded is None and size == full and (offset == Linear() or full.number == 1):
        return whole(value, d, keep)
    return Part(offset, size, keep, whole=False, padded=padded)


def kept(values: Iterable, parts: Parts) -> list:
    """Of one value for each dimension, those of the dimensions that are kept."""
    return [value for value, each in zip(values, parts, strict=True) if each.keep]


def part_type(value: ir.Value, parts: Parts) -> ir.RankedTensorType:
    """The type of the tensor with a part of `value`."""
    sizes = [each.extent.number for each in parts if each.keep]
    shape = [rw.DYNAMIC if size is None else size for size in sizes]
    return ir.RankedTensorType.get(shape, ir.RankedTensorType(value.type).element_type)


def parts_of_slice(
    value: ir.Value, offsets: Sequence[int | ir.Value], sizes: Sequence[int | ir.Value], dropped: set[int]
) -> Parts:
    """The part of `value` that a slice operation of unit strides reads or writes."""
    return tuple(
        part(value, d, index_of(offset), index_of(size), d not in dropped)
        for d, (offset, size) in enumerate(zip(offsets, sizes, strict=True))
    )


def is_padded(parts: Parts) -> bool:
    """Whether the tensor with the part has more than the part."""
    return any(each.padded is not None for each in parts)


def padded_to(parts: Parts, shape: Sequence[int]) -> Parts:
    """The same parts in a tensor with these static sizes."""
    sizes = iter(shape)
    found = []
    for each in parts:
        size = next(sizes) if each.keep else 1
        if each.keep and each.size.number != size:
            each = dataclasses.replace(each, whole=False, padded=size)
        found.append(each)
    return tuple(found)
