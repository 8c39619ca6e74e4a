"""Reads of captured tensors at a row and a key, `bias[i, j]`.

Keys lie side by side there, and rows are the lanes here: read where they are used, the elements of a vector
would be gathered from as many rows of the tensor. So a tile of them is read before, along the keys, and
transposed.
"""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.bodies import Element
from aecompiler.backends.cpu.vectorize.nests import Nests, element_loops
from aecompiler.backends.cpu.vectorize.transposes import Transposes
from aecompiler.backends.cpu.vectorize.values import Memory, Rows
from aecompiler.bindings import ir, memref
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import Generic

_FLOATS = (ir.F32Type, ir.F16Type, ir.BF16Type, ir.F64Type)


class Reads:
    """Makes the reads of one tile program cheap."""

    def __init__(self, nests: Nests, transposes: Transposes):
        self.nests, self.transposes = nests, transposes

    def prepare(self, generic: Generic) -> None:
        """Read what the body of an operation on elements reads at rows and keys."""
        key, lane = element_loops(generic)
        keys, rows = generic.sizes[key], generic.sizes[lane]
        if keys % self.nests.lanes or rows % self.nests.lanes:
            return
        for op in generic.block.operations:
            if op.operation.name == "tensor.extract" and _reads_along_keys(op.operation, generic, key, lane):
                self._read(op.operation.results[0], generic, key, lane)

    def _read(self, value: ir.Value, generic: Generic, key: int, lane: int) -> None:
        nests, lanes = self.nests, self.nests.lanes
        keys, rows = generic.sizes[key], generic.sizes[lane]
        straight = nests.storage.allocate([rows, keys], value.type)
        turned = nests.storage.allocate([keys, rows], value.type)
        of_rows = {
            generic.argument(operand): self._in_memory(operand.value)
            for operand in generic.ins
            if operand.loops == (lane,) and isinstance(nests.lookup(operand.value), (Rows, Memory))
        }

        def row(i: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            arguments: dict[ir.Value, Element] = {
                argument: memref.load(memory, [i]) for argument, memory in of_rows.items()
            }
            uniform: dict[ir.Value, ir.Value] = {}
            for first in range(0, keys, lanes):
                indices = {lane: i, key: nests.scope.positions.along(first)}
                (found,) = nests.scope.evaluate(generic.block, arguments, indices, uniform, [value])
                vec.store(nests.scope.vector(found), straight, [i, rw.index(first)])
            return []

        vec.loop(0, rows, 1, [], row)
        self.transposes.copy(straight, turned)
        nests.turned[value] = turned

    def _in_memory(self, value: ir.Value) -> ir.Value:
        found = self.nests.lookup(value)
        memory = self.nests.storage.from_rows(found) if isinstance(found, Rows) else found
        assert isinstance(memory, Memory)
        return memory.memref


def _reads_along_keys(op: ir.Operation, generic: Generic, key: int, lane: int) -> bool:
    """Whether the last index follows from the key alone, and the others from the row."""
    if not isinstance(op.results[0].type, _FLOATS) or len(op.operands) < 3:
        return False
    *others, last = (_loops_of(index, generic) for index in list(op.operands)[1:])
    rows = [loops for loops in others if loops != set()]
    return last == {key} and rows != [] and all(loops == {lane} for loops in rows)


def _loops_of(value: ir.Value, generic: Generic) -> set[int] | None:
    """The loops whose place alone decides about a value of a body; None if there is more."""
    found: set[int] = set()
    pending = [value]
    while pending:
        value = pending.pop()
        owner = value.owner
        if isinstance(owner, ir.Block):
            if owner != generic.block:
                continue
            operand = generic.operands[value.arg_number]
            if len(operand.loops) != 1 or operand in generic.outs:
                return None
            found.update(operand.loops)
        elif owner.operation.block == generic.block:
            if owner.operation.name == "linalg.index":
                found.add(owner.operation.attributes["dim"].value)
            pending.extend(owner.operation.operands)
    return found
