"""Integer expressions as operations on indices: `aecompiler.algebra.Arithmetic` at the insertion point.

Numbers that are known stay Python's until an operation needs them, and fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_safety import guard_operations

Int: TypeAlias = int | ir.Value
Bool: TypeAlias = bool | ir.Value


def materialize(value: Int) -> ir.Value:
    """A value of type index."""
    return rw.index(value) if isinstance(value, int) else value


def materialize_bool(value: Bool) -> ir.Value:
    """A value of type i1."""
    i1 = ir.IntegerType.get_signless(1)
    return arith.constant(i1, int(value)) if isinstance(value, bool) else value


class IndexArithmetic:
    """Builds operations of type index and i1; `tensors` are what names of tensors stand for."""

    def __init__(self, tensors: Mapping[str, ir.Value]):
        self._tensors = tensors

    def add(self, a: Int, b: Int) -> Int:
        """a + b."""
        if isinstance(a, int):
            a, b = b, a
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return a if b == 0 and isinstance(b, int) else arith.addi(a, materialize(b))

    def multiply(self, a: Int, b: Int) -> Int:
        """a * b."""
        if isinstance(a, int):
            a, b = b, a
        if isinstance(b, int):
            if isinstance(a, int):
                return a * b
            if b in (0, 1):
                return a if b else 0
        return arith.muli(a, materialize(b))

    def quotient(self, a: Int, b: Int) -> Int:
        """floor(a / b), of any value where b is not positive."""
        if isinstance(b, int):
            if isinstance(a, int):
                return a // max(b, 1)
            if b <= 1:
                return a
            return arith.floordivsi(a, rw.index(b))
        return arith.floordivsi(materialize(a), arith.maxsi(b, rw.index(1)))

    def remainder(self, a: Int, b: Int) -> Int:
        """a - b * floor(a / b)."""
        product = self.multiply(self.quotient(a, b), b)
        if isinstance(a, int) and isinstance(product, int):
            return a - product
        return arith.subi(materialize(a), materialize(product))

    def maximum(self, a: Int, b: Int) -> Int:
        """The larger one."""
        return self._either(max, arith.maxsi, a, b)

    def minimum(self, a: Int, b: Int) -> Int:
        """The smaller one."""
        return self._either(min, arith.minsi, a, b)

    def _either(self, fold: Callable, build: Callable, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return fold(a, b)
        if a is b:
            return a
        return build(materialize(a), materialize(b))

    def at_most(self, a: Int, b: Int) -> Bool:
        """a <= b."""
        if isinstance(a, int) and isinstance(b, int):
            return a <= b
        if a is b:
            return True
        return arith.cmpi(arith.CmpIPredicate.sle, materialize(a), materialize(b))

    def both(self, a: Bool, b: Bool) -> Bool:
        """a and b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(x, bool):
                return y if x else False
        return arith.andi(a, b)

    def either(self, a: Bool, b: Bool) -> Bool:
        """a or b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(x, bool):
                return True if x else y
        return arith.ori(a, b)

    def opposite(self, a: Bool) -> Bool:
        """not a."""
        return not a if isinstance(a, bool) else arith.xori(a, materialize_bool(True))

    def choose(self, condition: Bool, a: Int, b: Int) -> Int:
        """a where the condition holds, else b."""
        if isinstance(condition, bool):
            return a if condition else b
        if a is b or (isinstance(a, int) and isinstance(b, int) and a == b):
            return a
        return arith.select(condition, materialize(a), materialize(b))

    def any_of(self, first: Int, last: Int, holds: Callable[[Int], Bool]) -> Bool:
        """Whether `holds(n)` for some n in [first, last]: a loop."""

        def body(n: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            return [materialize_bool(self.either(carried[0], holds(n)))]

        bounds = materialize(first), materialize(self.add(last, 1))
        (found,) = rw.for_loop(*bounds, rw.index(1), [materialize_bool(False)], body)
        return found

    def extremes(self, tensor_name: str, ranges: Sequence[tuple[Int, Int]]) -> tuple[Int, Int]:
        """The least and the largest element over ranges of clamped indices; 0 if the tensor is empty."""
        source = self._tensors[tensor_name]
        if 0 in source.type.shape:
            return 0, 0
        sizes = [materialize(size) for size in rw.sizes(source)]
        is_empty: Bool = False
        for d, size in enumerate(sizes):
            if source.type.is_dynamic_dim(d):
                is_empty = self.either(is_empty, self.at_most(size, 0))
        # One loop at least, which runs over nothing where there is nothing to read.
        looped = [d for d, (first, last) in enumerate(ranges) if first is not last] or [len(ranges) - 1]
        bounds = [[self._clamp(end, size) for end in ends] for ends, size in zip(ranges, sizes, strict=True)]

        def nest(at: list[Int], found: list[ir.Value]) -> list[ir.Value]:
            d = len(at)
            if d == len(bounds):
                element = self._element(source, [materialize(each) for each in at])
                return [arith.minsi(found[0], element), arith.maxsi(found[1], element)]
            first, last = bounds[d]
            if d not in looped:
                return nest([*at, first], found)
            end = self.choose(is_empty, first, self.add(last, 1))
            begin, end = materialize(first), materialize(end)
            return rw.for_loop(begin, end, rw.index(1), found, lambda n, inner: nest([*at, n], inner))

        low, high = nest([], [rw.index((1 << 63) - 1), rw.index(-(1 << 63))])
        return self.choose(is_empty, 0, low), self.choose(is_empty, 0, high)

    def element(self, tensor_name: str, at: Sequence[Int]) -> Int:
        """The element at clamped indices, without a loop; 0 if the tensor is empty."""
        source = self._tensors[tensor_name]
        if 0 in source.type.shape:
            return 0
        element = self._element(source, [materialize(each) for each in at])
        guard_operations([_read(element)])
        return element

    def _clamp(self, at: Int, size: ir.Value) -> Int:
        return self.maximum(self.minimum(at, self.add(size, -1)), 0)

    def _element(self, source: ir.Value, at: Sequence[ir.Value]) -> ir.Value:
        element = tensor.extract(source, list(at))
        if isinstance(element.type, ir.IndexType):
            return element
        is_truth = element.type.width == 1
        cast = arith.index_castui if is_truth else arith.index_cast
        return partial(cast, ir.IndexType.get())(element)


def _read(element: ir.Value) -> ir.Operation:
    """The `tensor.extract` that an element was read by."""
    op = element.owner.operation
    return op if op.name == "tensor.extract" else op.operands[0].owner.operation
