"""Where the tensors of a tile program live: scratch memory on the stack, and how values get there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.values import Machine, Memory, Rows, Splat
from aecompiler.bindings import arith, ir, memref, scf, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile

MAX_SCRATCH = 2 << 20
"""Bytes of scratch memory of one tile program, on the stack of the thread that runs it.

Helpers have `threads.STACK_BYTES` of that. The calling thread may have any size: a call looks how much is
left (`stacks.py`), and runs on another thread where it is too little.
"""


class Storage:
    """Scratch memory of one function; all of it is allocated at the function's entry."""

    def __init__(self, entry: ir.Block, machine: Machine, lanes: int):
        self.entry, self.machine, self.lanes = entry, machine, lanes
        self._bytes = 0
        self._free: dict[str, list[ir.Value]] = {}
        self._taken: list[list[ir.Value]] = [[]]

    def allocate(self, shape: Sequence[int], element: ir.Type) -> ir.Value:
        """A buffer; inside `scope` it is given back at the end of the scope."""
        if rw.DYNAMIC in shape:
            raise UnsupportedTile("a tensor whose sizes are not known")
        type_ = ir.MemRefType.get(list(shape), element)
        free = self._free.get(str(type_))
        if free:
            buffer = free.pop()
        else:
            self._bytes += prod(shape) * max(1, vec.width(element) // 8)
            if self._bytes > MAX_SCRATCH:
                raise UnsupportedTile("tiles larger than a stack should hold")
            with ir.InsertionPoint.at_block_begin(self.entry):
                buffer = memref.AllocaOp(type_, [], [], alignment=64).result
        self._taken[-1].append(buffer)
        return buffer

    @contextmanager
    def scope(self) -> Iterator[list[ir.Value]]:
        """What is allocated inside is free again afterwards, but what is put into the list, or part of it."""
        self._taken.append([])
        kept: list[ir.Value] = []
        yield kept
        still_used = {_whole(buffer) for buffer in kept}
        for buffer in self._taken.pop():
            if buffer in still_used:
                self._taken[-1].append(buffer)
            else:
                self._free.setdefault(str(buffer.type), []).append(buffer)

    # ---- conversions -------------------------------------------------------------------------

    def from_rows(self, rows: Rows) -> Memory:
        """Vectors, stored one after the other."""
        element = vec.element_type(rows.vectors[0])
        buffer = self.allocate([len(rows.vectors) * self.lanes], element)
        for position, value in enumerate(rows.vectors):
            vec.store(value, buffer, [rw.index(position * self.lanes)])
        return Memory(buffer, owned=True)

    def to_rows(self, memory: Memory) -> Rows:
        """A buffer of rank 1 as vectors."""
        (length,) = memory.type.shape
        if length == rw.DYNAMIC:
            raise UnsupportedTile("a tensor whose sizes are not known")
        if length % self.lanes:
            raise UnsupportedTile(f"a row of {length} elements on vectors of {self.lanes}")
        starts = range(0, length, self.lanes)
        return Rows(tuple(vec.load(memory.memref, [rw.index(s)], self.lanes) for s in starts))

    def fill(self, memory: Memory, value: Splat) -> None:
        """Fill memory of rank 1 or 2."""
        if value.scalar is None:
            return
        if memory.type.rank == 1:
            (length,) = memory.type.shape

            def single(i: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                memref.store(value.scalar, memory.memref, [i])
                return []

            vec.loop(0, length, 1, [], single)
            return
        vec.fill_rows(memory.memref, value.scalar, 0, self.lanes)

    def pad(self, memory: Memory, shape: Sequence[int], zero: ir.Value) -> Memory:
        """Static memory of `shape`, `zero` beyond what `memory` has: a copy, unless it has all."""
        rank = len(shape)
        if list(memory.type.shape) == list(shape):
            return Memory(memory.memref)
        if rank == 2 and memory.type.is_dynamic_dim(0):
            return self._whole_or_padded(memory, shape, zero)
        buffer = self.allocate(shape, memory.type.element_type)
        if rank == 3:
            for outer in range(shape[0]):
                sizes = [1, *(vec.size(memory.memref, d) for d in (1, 2))]
                source = vec.subview(memory.memref, [outer, 0, 0], sizes, (1, 2))
                target = vec.subview(buffer, [outer, 0, 0], [1, *shape[1:]], (1, 2))
                self._copy_padded(source, target, zero)
        elif rank == 2:
            self._copy_padded(memory.memref, buffer, zero)
        else:
            self.fill(Memory(buffer), Splat(zero))
            vec.copy_rows(memory.memref, buffer, self.lanes)
        return Memory(buffer, owned=True)

    def _whole_or_padded(self, memory: Memory, shape: Sequence[int], zero: ir.Value) -> Memory:
        """`memory`, [rows, columns], if it has all rows: only the last tile of a tensor does not."""
        buffer = self.allocate(shape, memory.type.element_type)
        dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
        layout = ir.StridedLayoutAttr.get(dynamic, [dynamic, 1])
        type_ = ir.MemRefType.get(list(shape), memory.type.element_type, layout)
        rows = vec.size(memory.memref, 0)
        is_whole = arith.cmpi(arith.CmpIPredicate.eq, rows, rw.index(shape[0]))
        choice = scf.IfOp(is_whole, [type_], has_else=True)
        with ir.InsertionPoint(choice.then_block):
            scf.YieldOp([memref.cast(type_, memory.memref)])
        with ir.InsertionPoint(choice.else_block):
            self._copy_padded(memory.memref, buffer, zero)
            scf.YieldOp([memref.cast(type_, buffer)])
        return Memory(choice.results[0])

    def _copy_padded(self, source: ir.Value, target: ir.Value, zero: ir.Value) -> None:
        vec.copy_rows(source, target, self.lanes)
        vec.fill_rows(target, zero, vec.size(source, 0), self.lanes)

    def widen(self, memory: Memory, element: ir.Type) -> Memory:
        """A copy in a wider type."""
        buffer = self.allocate(list(memory.type.shape), element)
        vec.copy_rows(memory.memref, buffer, self.lanes)
        return Memory(buffer, owned=True)

    def interleave(self, memory: Memory) -> ir.Value:
        """Rows of bf16, [n, columns], as [n / 2, columns] of i32: rows 2 m and 2 m + 1 in one word."""
        rows, columns = memory.type.shape
        i32 = ir.IntegerType.get_signless(32)
        bf16 = memory.type.element_type
        buffer = self.allocate([rows // 2, columns], i32)
        whole = columns - columns % self.lanes

        def words(n: ir.Value, c: ir.Value, count: int) -> None:
            pair = vec.twice(n)
            even, odd = (vec.load(memory.memref, [vec.plus(pair, o), c], count) for o in (0, 1))
            both = vector.InterleaveOp(even, odd).result
            word = vector.bitcast(vec.vector_type(i32, count), both)
            vec.store(word, buffer, [n, c])

        def row(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            def strip(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                words(n, c, self.lanes)
                return []

            def single(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                words(n, c, 1)
                return []

            vec.loop(0, whole, self.lanes, [], strip)
            vec.loop(whole, columns, 1, [], single)
            return []

        assert isinstance(bf16, ir.BF16Type)
        vec.loop(0, rows // 2, 1, [], row)
        return buffer


def _whole(buffer: ir.Value) -> ir.Value:
    """The buffer that another is a view of."""
    while (op := rw.definer(buffer)) is not None and len(op.operands) and op.name.startswith("memref."):
        buffer = op.operands[0]
    return buffer
