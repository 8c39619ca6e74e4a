"""Walks the body of a tile program and builds its vector form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.structured import Structured
from aecompiler.backends.cpu.vectorize.tensors import kept_dimensions
from aecompiler.backends.cpu.vectorize.values import Deferred, Memory, Rows, Splat
from aecompiler.bindings import ir, scf
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import Generic, UnsupportedTile, is_structured


class TileProgram(Structured):
    """Builds the vector form of the operations of a tile program, at the insertion point."""

    # ---- operations --------------------------------------------------------------------------------

    def block(self, block: ir.Block) -> list[ir.Value]:
        """All operations of a block; returns the operands of its terminator."""
        *ops, terminator = block.operations
        done: set[int] = set()
        operations = [op.operation for op in ops]
        for number, op in enumerate(operations):
            if number not in done:
                self._operation(op, operations, number, done)
        return list(terminator.operation.operands)

    def operation(self, op: ir.Operation) -> None:
        """One operation from outside of the program's block."""
        self._operation(op, [op], 0, set())

    def _operation(self, op: ir.Operation, ops: list[ir.Operation], number: int, done: set[int]) -> None:
        handler = self._handler(op)
        if is_structured(op):
            self._generic(Generic(op), ops, number, done)
        elif handler is not None:
            handler(op)
        elif self._is_scalar(op):
            rw.clone_op(op, self.scalars)
        else:
            raise UnsupportedTile(f"'{op.name}' in a tile program")

    # ---- control flow ----------------------------------------------------------------------------

    @contextmanager
    def _region(self) -> Iterator[None]:
        """A region that may not run: what comes after does not know its values, nor their ranges."""
        values, ranges = dict(self.values), dict(self.scope.ranges.known)
        transposed = dict(self.nests.transposed)
        yield
        self.values, self.scope.ranges.known = values, ranges
        self.nests.transposed = transposed

    def _scf_for(self, op: ir.Operation) -> None:
        lower, upper, step, *inits = op.operands
        block = op.regions[0].blocks[0]
        induction, *arguments = block.arguments
        held = [self._carried(init, op) for init in inits]
        flat = [part for value in held for part in _parts(value)]
        loop = scf.ForOp(*(self._scalar(v) for v in (lower, upper, step)), flat)
        with ir.InsertionPoint(loop.body):
            self.scalars[induction] = loop.induction_variable
            self._bind(arguments, held, list(loop.inner_iter_args))
            with self.storage.scope(), self._region():
                scf.YieldOp(self._hand_over(self.block(block), held))
        self._bind(list(op.results), held, list(loop.results))

    def _carried(self, init: ir.Value, user: ir.Operation) -> Rows | Memory | ir.Value:
        """A carried value at the start: a scalar, vectors, or memory that the loop may overwrite."""
        if not isinstance(init.type, ir.RankedTensorType):
            return self._scalar(init)
        shaped = ir.RankedTensorType(init.type)
        value = self.lookup(init)
        if shaped.rank == 1:
            return self._rows(init)
        if shaped.rank != 2:
            raise UnsupportedTile("a carried tensor of another rank")
        memory = self._reusable(init, user) if isinstance(value, Memory) else None
        if memory is not None:
            return memory
        memory = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        self._assign(init, memory)
        return memory

    def _rows(self, value: ir.Value) -> Rows:
        found, shaped = self.lookup(value), ir.RankedTensorType(value.type)
        if isinstance(found, Rows):
            return found
        if isinstance(found, Splat):
            chunks = [chunk for group in self.nests.groups(shaped.shape[0]) for chunk in group]
            scalar = found.scalar
            if scalar is None:
                scalar = rw.constant(shaped.element_type, 0)
            return Rows(tuple(vec.broadcast(scalar, self.lanes) for _ in chunks))
        return self.storage.to_rows(self._memory(value))

    def _bind(
        self, originals: Sequence[ir.Value], like: Sequence[Rows | Memory | ir.Value], flat: list[ir.Value]
    ) -> None:
        """Say what carried values or results are: memory as it is, everything else from `flat`."""
        for original, value in zip(originals, like, strict=True):
            count = len(_parts(value))
            mine, flat = flat[:count], flat[count:]
            if isinstance(value, Rows):
                self.values[original] = Rows(tuple(mine))
            elif isinstance(value, Memory):
                self.values[original] = value
            else:
                (self.scalars[original],) = mine

    def _hand_over(
        self, yielded: Sequence[ir.Value], held: Sequence[Rows | Memory | ir.Value]
    ) -> list[ir.Value]:
        """Put what a body yields where it is expected; returns the vectors to yield."""
        memories = [value.memref for value in held if isinstance(value, Memory)]
        flat: list[ir.Value] = []
        for value, place in zip(yielded, held, strict=True):
            if isinstance(place, Memory):
                found = self.lookup(value)
                others = [m for m in memories if m != place.memref]
                if isinstance(found, Memory) and found.memref in others:
                    raise UnsupportedTile("a loop that exchanges its tensors")
                self._assign(value, place)
            elif isinstance(place, Rows):
                flat.extend(self._rows(value).vectors)
            else:
                flat.append(self._scalar(value))
        return flat

    def _assign(self, value: ir.Value, place: Memory) -> None:
        """Store a tensor at a place."""
        found = self.lookup(value)
        if isinstance(found, Splat):
            self.storage.fill(place, found)
            return
        if isinstance(found, Deferred):
            self._materialize(value)
            found = self.lookup(value)
        if not isinstance(found, Memory):
            raise UnsupportedTile("a tensor of rank 2 that is not in memory")
        if found.memref != place.memref:
            vec.copy_rows(found.memref, place.memref, self.lanes)

    def _scf_if(self, op: ir.Operation) -> None:
        types: list[ir.Type] = []
        for result in op.results:
            types.extend(self._flat_types(result.type))
        new = scf.IfOp(self._scalar(op.operands[0]), types, has_else=True)
        blocks = [new.then_block, new.else_block]
        branches: list[list[Rows | Memory | ir.Value]] = []
        for region, block in zip(op.regions, blocks, strict=True):
            with ir.InsertionPoint(block), self._region(), self.storage.scope() as kept:
                yielded = self.block(region.blocks[0]) if len(region.blocks) else []
                branches.append([self._branch_value(value) for value in yielded])
                kept.extend(value.memref for value in branches[-1] if isinstance(value, Memory))
        held: list[Rows | Memory | ir.Value] = []
        for result, first, second in zip(op.results, *branches, strict=True):
            if (
                not (isinstance(first, Memory) and isinstance(second, Memory))
                or first.memref == second.memref
            ):
                held.append(first)
                continue
            shaped = ir.RankedTensorType(result.type)
            place = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
            for block, memory in zip(blocks, (first, second), strict=True):
                with ir.InsertionPoint(block):
                    vec.copy_rows(memory.memref, place.memref, self.lanes)
            held.append(place)
        for block, values in zip(blocks, branches, strict=True):
            with ir.InsertionPoint(block):
                scf.YieldOp([part for value in values for part in _parts(value)])
        self._bind(list(op.results), held, list(new.results))

    def _flat_types(self, type_: ir.Type) -> list[ir.Type]:
        """The types of the SSA values that a value of a tile program becomes."""
        if not isinstance(type_, ir.RankedTensorType):
            return [type_]
        if type_.rank == 2:
            return []
        if type_.rank != 1:
            raise UnsupportedTile("a branch that yields a tensor of another rank")
        chunks = sum(len(group) for group in self.nests.groups(type_.shape[0]))
        return [vec.vector_type(type_.element_type, self.lanes)] * chunks

    def _branch_value(self, value: ir.Value) -> Rows | Memory | ir.Value:
        if not isinstance(value.type, ir.RankedTensorType):
            return self._scalar(value)
        return self._rows(value) if value.type.rank == 1 else self._memory(value)

    # ---- the end -----------------------------------------------------------------------------------

    def insert(self, op: ir.Operation) -> None:
        """A `tensor.parallel_insert_slice` into the buffer of its destination."""
        if op.name != "tensor.parallel_insert_slice" or op.operands[1] not in self.results:
            raise UnsupportedTile(f"'{op.name}' at the end of a tile program")
        found = self.lookup(op.operands[0])
        if isinstance(found, Memory) and found.memref in self.parts:
            if _same_slice(self.parts[found.memref], op):
                return  # written there already
            raise UnsupportedTile("a part of a result that is inserted elsewhere")
        source = self._memory(op.operands[0])
        offsets, sizes, strides = self._slice(op, 2)
        if any(stride != 1 for stride in strides):
            raise UnsupportedTile("a slice with strides")
        shape = list(ir.RankedTensorType(op.operands[0].type).shape)
        keep = kept_dimensions(list(ir.DenseI64ArrayAttr(op.attributes["static_sizes"])), shape)
        target = vec.subview(self.results[op.operands[1]], offsets, sizes, keep)
        if len(shape) < 3 and vec.fills_bytes(source.type.element_type):
            vec.copy_rows(source.memref, target, self.lanes)
        else:
            self.loops.copy(source.memref, target)


def _same_slice(part: ir.Operation, insert: ir.Operation) -> bool:
    """Whether a `tensor.extract_slice` of a result is what a `tensor.parallel_insert_slice` writes."""
    names = [f"static_{name}" for name in ("offsets", "sizes", "strides")]
    return (
        part.operands[0] == insert.operands[1]
        and list(part.operands)[1:] == list(insert.operands)[2:]
        and all(part.attributes[name] == insert.attributes[name] for name in names)
    )


def _parts(value: Rows | Memory | ir.Value) -> list[ir.Value]:
    """The SSA values that a loop or branch hands on for a value; memory is known to it anyway."""
    if isinstance(value, Memory):
        return []
    return list(value.vectors) if isinstance(value, Rows) else [value]
