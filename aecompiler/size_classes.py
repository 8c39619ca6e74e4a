"""Sizes of the values of a function as classes, for the analysis that finds which must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aecompiler import diagnostics
from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC
from aecompiler.errors import CompileError
from aecompiler.passes.index_arithmetic import ARITHMETIC, UNSIGNED_ARITHMETIC, is_widening, width_of
from aecompiler.sizes import Call, Formula, Size, Sizes, wrap


def unsupported(op: ir.Operation, what: str) -> CompileError:
    """The error for an operation whose sizes nothing can check."""
    return diagnostics.error_at(op, f"unsupported: {what}")


def is_tensor(value: ir.Value) -> bool:
    """Whether `value` is a ranked tensor."""
    return isinstance(value.type, ir.RankedTensorType)


class _Anything(int):
    """Stands for an argument when only the question is whether a size follows from the arguments."""

    def __new__(cls) -> _Anything:
        return super().__new__(cls, 1)

    def __getitem__(self, _: int) -> int:
        return 1


class SizeClasses:
    """The sizes of the values of a function: which are equal, and which a call tells."""

    def __init__(self, names: Sequence[str]):
        self.sizes = Sizes(names)
        self.dims_of: dict[ir.Value, list[Size]] = {}
        self.index_of: dict[ir.Value, Size] = {}
        self.scratch: list[tuple[tuple[Size, ...], int]] = []  # as `tensors`, of what lowerings add
        self.some_call = Call([_Anything() for _ in names])

    def new(self, constant: int | None = None) -> Size:
        """A class of its own, of a size that is known or not."""
        size = Size(constant)
        self.sizes.classes.append(size)
        return size

    def equal(self, a: Size, b: Size, op: Any = None) -> None:
        """Merge two classes; an error at `op` if they are never equal."""
        a, b = a.root(), b.root()
        if a is b:
            return
        if a.constant is not None and b.constant is not None and a.constant != b.constant:
            message = f"expects equal sizes, got {a.constant} and {b.constant}"
            raise diagnostics.error_at(op, message) if op is not None else CompileError(message)
        b.parent = a
        a.constant = b.constant if a.constant is None else a.constant
        a.places += b.places
        a.formulas += b.formulas

    def equal_dims(self, a: ir.Value, b: ir.Value, pairs: Iterable[tuple[int, int]], op: Any) -> None:
        """Dimension d of `a` is as large as e of `b`, for all pairs (d, e)."""
        for d, e in pairs:
            self.equal(self.dims(a)[d], self.dims(b)[e], op)

    def _fresh(self, type_: ir.Type) -> list[Size]:
        shape = ir.RankedTensorType(type_).shape
        return [self.new(None if size == DYNAMIC else size) for size in shape]

    def dims(self, value: ir.Value) -> list[Size]:
        """The sizes of a tensor; unknown ones where nothing was found out."""
        if value not in self.dims_of:
            self.dims_of[value] = self._fresh(value.type)
        return self.dims_of[value]

    def define(self, value: ir.Value, sizes: Sequence[Size], op: Any) -> None:
        """`value` has these sizes, and those of its type."""
        for own, size in zip(self.dims(value), sizes, strict=True):
            self.equal(size, own, op)

    def index(self, value: ir.Value) -> Size:
        """A value of type index (or integer), as a size."""
        if value not in self.index_of:
            self.index_of[value] = self._index(value)
        return self.index_of[value]

    def _index(self, value: ir.Value) -> Size:
        if isinstance(value.owner, ir.Block):
            return self.new()
        op = value.owner.operation
        if op.name == "arith.constant":
            return self.new(ir.IntegerAttr(op.attributes["value"]).value)
        if is_widening(op):
            return self.index(op.operands[0])
        size = self.new()
        if op.name == "tensor.dim":
            dimension = self.index(op.operands[1]).constant
            dims = self.dims(op.operands[0])
            return dims[dimension] if dimension is not None and 0 <= dimension < len(dims) else size
        if (width := width_of(value.type)) is None:
            return size
        if op.name in ARITHMETIC:
            size.formulas.append(self._computed(op, ARITHMETIC[op.name], width, wrap))
        elif op.name in UNSIGNED_ARITHMETIC:
            size.formulas.append(
                self._computed(op, UNSIGNED_ARITHMETIC[op.name], width, lambda v, w: v % (1 << w))
            )
        return size

    def _computed(
        self,
        op: ir.Operation,
        compute: Callable[[int, int], int],
        width: int,
        read: Callable[[int, int], int],
    ) -> Formula:
        left, right = (self.index(operand) for operand in op.operands)

        def formula(call: Call) -> int | None:
            a, b = call.value(left), call.value(right)
            return None if a is None or b is None else wrap(compute(read(a, width), read(b, width)), width)

        return formula

    def part(self, part: int | ir.Value) -> Size:
        """An offset, size or stride of a slice: a number, or a value."""
        return self.new(part) if isinstance(part, int) else self.index(part)

    def known(self, size: Size, op: ir.Operation, what: str = "a size") -> None:
        """Refuse a size that a call does not tell: nothing could check it."""
        if self.some_call.value(size) is None:
            raise unsupported(op, f"{what} that does not follow from the arguments")

    def nonnegative(self, size: Size, op: ir.Operation, least: int = 0) -> None:
        """A call must give this size a value of at least 0, or `least`."""
        self.known(size, op)
        constant = size.root().constant
        if constant is None:
            self.sizes.at_least.append((size, least))
        elif constant < least:
            raise diagnostics.error_at(op, f"expects a size of at least {least}, got {constant}")
