"""Runs blocks of operations on numpy arrays, one array operation for all *lanes* of a block at once.

A lane is one evaluation of a block: one (b, h, i, j) of a score region, one (b, h) of a step, one point of
a `linalg.generic`. In a frame with n lane axes, a scalar is an array with n axes, a tensor of rank r an array
with n + r axes, and a lane axis has size 1 where the value does not vary along it. A function body has none.

Operations are duck-typed: what is read is `.operation` (optional), `.name`, `.operands`, `.results`,
`.attributes`, `.regions` with `.blocks` with `.arguments` and `.operations`, `.location`, and the text of
types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aecompiler.errors import UnsupportedError
from aecompiler.reference.values import ValueType, parse_type

DYNAMIC = -(1 << 63)
"""Stands for a dynamic entry in `static_offsets` and the like."""


@dataclass(frozen=True)
class Instruction:
    """One operation, decoded: values are numbered."""

    name: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    operand_types: tuple[ValueType, ...]
    result_types: tuple[ValueType, ...]
    attributes: Any
    regions: tuple[tuple[Block, ...], ...]
    location: str

    def attribute(self, name: str, default: Any = None) -> Any:
        """The attribute `name`, or `default`."""
        # MLIR's attribute maps are no dicts in every version of the bindings.
        return self.attributes[name] if name in self.attributes else default  # noqa: SIM401

    def integers(self, name: str) -> list[int]:
        """The elements of a dense integer array attribute."""
        return [int(element) for element in self.attributes[name]]

    @property
    def body(self) -> Block:
        """The block of the first region."""
        return self.regions[0][0]

    def unsupported(self, what: str) -> UnsupportedError:
        """The error for a part of this operation that is not evaluated."""
        return UnsupportedError(f"unsupported: {what} in the reference evaluation, at {self.location}")


@dataclass(frozen=True)
class Block:
    """A decoded block: `instructions` without the terminator."""

    arguments: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    terminator: Instruction


Handler = Callable[["Instruction", "list[np.ndarray]", "Frame"], "Sequence[np.ndarray]"]

HANDLERS: dict[str, Handler] = {}
"""What evaluates each operation: (instruction, operands, frame) -> results."""


def implements(*names: str) -> Callable[[Handler], Handler]:
    """Register a function as the handler of the operations `names`."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


class Decoder:
    """Numbers values and decodes blocks; the same value always gets the same number."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        """The number of a value."""
        return self._numbers.setdefault(value, len(self._numbers))

    def block(self, block: Any) -> Block:
        """Decode a block and all that is inside."""
        *body, terminator = [self.instruction(op) for op in block.operations]
        return Block(tuple(map(self.number, block.arguments)), tuple(body), terminator)

    def instruction(self, op: Any) -> Instruction:
        """Decode one operation."""
        op = getattr(op, "operation", op)
        operands, results = list(op.operands), list(op.results)
        location = str(getattr(op, "location", "an unknown location"))
        try:
            operand_types, result_types = (
                tuple(parse_type(str(value.type)) for value in values) for values in (operands, results)
            )
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}, in '{op.name}' op at {location}") from None
        return Instruction(
            name=op.name,
            operands=tuple(map(self.number, operands)),
            results=tuple(map(self.number, results)),
            operand_types=operand_types,
            result_types=result_types,
            attributes=op.attributes,
            regions=tuple(
                tuple(self.block(block) for block in region.blocks if len(block.operations))
                for region in op.regions
            ),
            location=location,
        )


@dataclass
class Frame:
    """The values of one block under evaluation, on top of those of the block around it.

    `indices` are the loop indices of a structured op, for `linalg.index`. `misses` collects, for each read
    that was out of bounds in some lane, in which (arrays of bool that broadcast to `lanes`).
    """

    lanes: tuple[int, ...] = ()
    parent: Frame | None = None
    indices: Sequence[np.ndarray] = ()
    values: dict[int, np.ndarray] = field(default_factory=dict)
    misses: list[np.ndarray] = field(default_factory=list)

    def __getitem__(self, number: int) -> np.ndarray:
        """A value of this block, or of one around it with the lane axes that it lacks."""
        if number not in self.values:
            assert self.parent is not None, "a value is used before it is defined"
            outer, axes = self.parent[number], len(self.parent.lanes)
            inserted = (1,) * (len(self.lanes) - axes)
            self.values[number] = outer.reshape(outer.shape[:axes] + inserted + outer.shape[axes:])
        return self.values[number]

    def run(self, block: Block, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Evaluate `block`; return the operands of its terminator."""
        self.values.update(zip(block.arguments, arguments, strict=True))
        for instruction in block.instructions:
            self.step(instruction)
        return [self[number] for number in block.terminator.operands]

    def step(self, instruction: Instruction) -> None:
        """Evaluate one operation."""
        handler = HANDLERS.get(instruction.name)
        if handler is None:
            raise instruction.unsupported(f"'{instruction.name}' op")
        results = handler(instruction, [self[number] for number in instruction.operands], self)
        for number, result in zip(instruction.results, results, strict=True):
            self.values[number] = np.asarray(result)

    def inner(self, sizes: Sequence[int]) -> Frame:
        """A frame for a block that is evaluated at each point of `sizes` in each lane of this one."""
        axes, count = len(self.lanes), len(sizes)
        indices = [
            np.arange(size, dtype=np.int64).reshape((1,) * (axes + axis) + (-1,) + (1,) * (count - axis - 1))
            for axis, size in enumerate(sizes)
        ]
        return Frame((*self.lanes, *sizes), self, indices)

    def close(self, inner: Frame) -> None:
        """Take over what `inner` reports: a miss at any of its points is one of the lane."""
        axes = len(self.lanes)
        self.misses.extend(np.asarray(miss.any(axis=tuple(range(axes, miss.ndim)))) for miss in inner.misses)


def uniform(value: np.ndarray, instruction: Instruction) -> int:
    """A size, which must be the same in all lanes."""
    if value.size and (value != value.flat[0]).any():
        raise instruction.unsupported(f"'{instruction.name}' op with a size that varies")
    return int(value.flat[0]) if value.size else 0


def gather(source: np.ndarray, axes: int, indices: Sequence[np.ndarray]) -> np.ndarray:
    """`source[lane, indices...]` for all lanes; all index arrays begin with the `axes` lane axes.

    Indices are clamped; a source without elements reads as zeros.
    """
    shape, rank = source.shape, indices[0].ndim
    if 0 in shape[axes:]:
        return np.zeros(np.broadcast_shapes(*(index.shape for index in indices)), source.dtype)
    clamped = [np.clip(index, 0, size - 1) for index, size in zip(indices, shape[axes:], strict=True)]
    if all(size == 1 for size in shape[:axes]):
        return source.reshape(shape[axes:])[tuple(clamped)]
    lanes = [
        np.arange(size).reshape((1,) * axis + (-1,) + (1,) * (rank - axis - 1))
        for axis, size in enumerate(shape[:axes])
    ]
    return source[(*lanes, *clamped)]


def is_outside(indices: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """Where any index is outside of its axis."""
    outside = np.zeros((), np.bool_)
    for index, size in zip(indices, shape, strict=True):
        outside = outside | (index < 0) | (index >= size)
    return outside
