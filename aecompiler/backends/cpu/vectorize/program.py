"""Walks the body of a tile program and builds its vector form."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.bodies import Scope
from aecompiler.backends.cpu.vectorize.contractions import (
    Contraction,
    as_contraction,
    pair_operands,
    rounds_weights,
)
from aecompiler.backends.cpu.vectorize.nests import Nests, element_loops
from aecompiler.backends.cpu.vectorize.storage import Storage
from aecompiler.backends.cpu.vectorize.transposes import Transposes, transposed_operand, widens_only
from aecompiler.backends.cpu.vectorize.values import (
    Deferred,
    Generic,
    Machine,
    Memory,
    Pairs,
    Rows,
    Splat,
    TileValue,
    UnsupportedTile,
    is_last_use,
)
from aecompiler.bindings import arith, ir, memref, scf
from aecompiler.passes import rewriting as rw

_NEUTRAL = frozenset({"tensor.empty", "linalg.fill", "tensor.splat"})
"""Operations that make a tensor without reading one, and can be done at any time."""


class TileProgram:
    """Builds the vector form of the operations of a tile program, at the insertion point."""

    def __init__(
        self,
        entry: ir.Block,
        machine: Machine,
        lanes: int,
        scalars: dict[ir.Value, ir.Value],
        captures: dict[ir.Value, ir.Value],
    ):
        self.machine, self.lanes = machine, lanes
        self.scalars, self.captures = scalars, captures
        self.values: dict[ir.Value, TileValue] = {}
        self.storage = Storage(entry, machine, lanes)
        self.scope = Scope(lanes, scalars, captures)
        self.nests = Nests(self.scope, self.storage, self.lookup)
        self.transposes = Transposes(self.nests)

    def lookup(self, value: ir.Value) -> TileValue:
        """What a tensor has become."""
        if value not in self.values:
            if value in self.captures:
                return Memory(self.captures[value])
            raise UnsupportedTile(f"a tensor from {value.owner}")
        return self.values[value]

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
        handler = getattr(self, "_" + op.name.replace(".", "_"), None)
        if op.name == "linalg.generic":
            self._generic(Generic(op), ops, number, done)
        elif handler is not None:
            handler(op)
        elif self._is_scalar(op):
            rw.clone_op(op, self.scalars)
        else:
            raise UnsupportedTile(f"'{op.name}' in a tile program")

    @staticmethod
    def _is_scalar(op: ir.Operation) -> bool:
        values = [*op.operands, *op.results]
        scalar = not any(isinstance(value.type, ir.ShapedType) for value in values)
        return scalar and not len(op.regions) and op.name.startswith(("arith.", "math."))

    def _scalar(self, value: ir.Value) -> ir.Value:
        return self.scalars[value]

    def _tensor_empty(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(None)

    def _linalg_fill(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(self._scalar(op.operands[0]))

    def _tensor_splat(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(self._scalar(op.operands[0]))

    def _arith_constant(self, op: ir.Operation) -> None:
        if not isinstance(op.results[0].type, ir.RankedTensorType):
            rw.clone_op(op, self.scalars)
            return
        attribute = op.attributes["value"]
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            raise UnsupportedTile("a tensor of constants")
        scalar = arith.constant(op.results[0].type.element_type, attribute.get_splat_value())
        self.values[op.results[0]] = Splat(scalar)

    def _tensor_dim(self, op: ir.Operation) -> None:
        source, dimension = op.operands
        place = self._scalar(dimension)
        self.scalars[op.results[0]] = memref.DimOp(self._memory(source).memref, place).result

    def _tensor_extract(self, op: ir.Operation) -> None:
        source, *indices = op.operands
        value = self.lookup(source)
        if isinstance(value, Splat) and value.scalar is not None:
            self.scalars[op.results[0]] = value.scalar
            return
        places = [self._scalar(index) for index in indices]
        self.scalars[op.results[0]] = memref.load(self._memory(source).memref, places)

    def _tensor_extract_slice(self, op: ir.Operation) -> None:
        source = self._memory(op.operands[0])
        offsets, sizes, strides = self._slice(op, 1)
        if any(stride != 1 for stride in strides):
            raise UnsupportedTile("a slice with strides")
        shape = ir.RankedTensorType(op.results[0].type).shape
        keep = _kept(list(ir.DenseI64ArrayAttr(op.attributes["static_sizes"])), list(shape))
        if keep:
            strides, _ = source.type.get_strides_and_offset()
            if strides[keep[-1]] != 1:
                raise UnsupportedTile("a slice whose elements do not lie side by side")
        self.values[op.results[0]] = Memory(vec.subview(source.memref, offsets, sizes, keep))

    def _slice(self, op: ir.Operation, first: int) -> tuple[list, list, list]:
        """Offsets, sizes and strides of a slice operation whose dynamic ones begin at operand `first`."""
        dynamic = iter(list(op.operands)[first:])
        found = []
        for name in ("static_offsets", "static_sizes", "static_strides"):
            static = list(ir.DenseI64ArrayAttr(op.attributes[name]))
            found.append([self._scalar(next(dynamic)) if n == rw.DYNAMIC else n for n in static])
        return found[0], found[1], found[2]

    def _tensor_pad(self, op: ir.Operation) -> None:
        low = list(ir.DenseI64ArrayAttr(op.attributes["static_low"]))
        shape = list(ir.RankedTensorType(op.results[0].type).shape)
        *body, terminator = op.regions[0].blocks[0].operations
        padding = terminator.operation.operands[0]
        source = self._memory(op.operands[0])
        padded = [d for d, (a, b) in enumerate(zip(source.type.shape, shape, strict=True)) if a != b]
        if any(low) or body or padding not in self.scalars or rw.DYNAMIC in shape:
            raise UnsupportedTile("padding other than by a scalar at the end")
        if padded not in ([], [max(0, len(shape) - 2)]):
            raise UnsupportedTile("padding of another dimension than the rows")
        self.values[op.results[0]] = self.storage.pad(source, shape, self._scalar(padding))

    def _tensor_collapse_shape(self, op: ir.Operation) -> None:
        self._reshape(op, memref.CollapseShapeOp)

    def _tensor_expand_shape(self, op: ir.Operation) -> None:
        source = self._memory(op.operands[0])
        shape = list(ir.RankedTensorType(op.results[0].type).shape)
        type_ = ir.MemRefType.get(shape, source.type.element_type)
        if rw.DYNAMIC in shape or not _is_contiguous(source.type):
            raise UnsupportedTile("a reshape of a tensor that is not contiguous")
        reassociation = op.attributes["reassociation"]
        buffer = memref.ExpandShapeOp(type_, source.memref, reassociation, [], shape).result
        self.values[op.results[0]] = Memory(buffer)

    def _reshape(self, op: ir.Operation, build: type) -> None:
        source = self._memory(op.operands[0])
        shape = list(ir.RankedTensorType(op.results[0].type).shape)
        if rw.DYNAMIC in shape or not _is_contiguous(source.type):
            raise UnsupportedTile("a reshape of a tensor that is not contiguous")
        type_ = ir.MemRefType.get(shape, source.type.element_type)
        buffer = build(type_, source.memref, op.attributes["reassociation"]).result
        self.values[op.results[0]] = Memory(buffer)

    def _memory(self, value: ir.Value) -> Memory:
        """A tensor in memory."""
        found = self.lookup(value)
        shaped = ir.RankedTensorType(value.type)
        if isinstance(found, Rows):
            found = self.storage.from_rows(found)
        elif isinstance(found, Splat):
            found = self.storage.splat(found, shaped.shape, shaped.element_type)
        elif isinstance(found, Deferred):
            self._materialize(value)
            found = self.lookup(value)
        if not isinstance(found, Memory):
            raise UnsupportedTile("a packed tensor in memory")
        return found

    # ---- structured operations -----------------------------------------------------------------------

    def _generic(self, generic: Generic, ops: list[ir.Operation], number: int, done: set[int]) -> None:
        op = generic.op
        contraction = as_contraction(generic)
        if all(not out.loops for out in generic.outs) and generic.rank == 2:
            self._in_memory(generic.ins)
            self.values[op.results[0]] = self.nests.total(generic)
        elif generic.rank == 1 and not generic.reductions:
            for value, rows in zip(op.results, self.nests.rows(self._with_rows(generic)), strict=True):
                self.values[value] = rows
        elif transposed_operand(generic) is not None:
            self._transposition(generic)
        elif contraction is not None:
            if self._may_wait(generic):
                self.values[op.results[0]] = Deferred(op)
            elif self._followers(contraction, [], ops, number):
                self._tile([], contraction, ops, number, done)
            else:
                self._product(contraction)
        elif generic.rank == 2 and len(generic.reductions) <= 1:
            if self._may_wait(generic):
                self.values[op.results[0]] = Deferred(op)
            else:
                self._tile([generic], None, ops, number, done)
        else:
            raise UnsupportedTile("a structured operation of another form")

    def _with_rows(self, generic: Generic) -> Generic:
        """Operands of rank 1 as vectors, where they are in memory that is padded or sliced."""
        for operand in generic.operands:
            value = self.lookup(operand.value)
            if isinstance(value, Memory) and len(operand.loops) == 1:
                self.values[operand.value] = self.storage.to_rows(value)
        return generic

    def _in_memory(self, operands: Sequence) -> None:
        for operand in operands:
            if isinstance(self.lookup(operand.value), (Deferred, Rows)):
                self.values[operand.value] = self._memory(operand.value)

    def _may_wait(self, generic: Generic) -> bool:
        """Whether users can compute the elements themselves: each is computed once, whatever runs."""
        if len(generic.outs) != 1 or (generic.reductions and as_contraction(generic) is None):
            return False
        value = generic.op.results[0]
        users = [use.owner.operation for use in value.uses]
        if not users or not all(user.name == "linalg.generic" for user in users):
            return False
        for user in users:
            reader = Generic(user)
            operand = next(each for each in reader.operands if each.value == value)
            if transposed_operand(reader) is not None or not is_last_use(value, user):
                return False
            product = as_contraction(reader)
            if product is not None and operand not in reader.outs:
                return False
            if generic.reductions and (product is not None or len(operand.loops) != 2 or reader.rank != 2):
                return False
        return True

    def _transposition(self, generic: Generic) -> None:
        result = generic.op.results[0]
        self._in_memory([operand for operand in generic.ins if len(operand.loops) == 2])
        plain, paired = self._wanted(result)
        shaped = ir.RankedTensorType(result.type)
        if paired and not (widens_only(generic) and shaped.shape[1] % self.lanes == 0):
            plain, paired = True, False
        if paired:
            pairs = Pairs(self._pair_buffer(shaped))
            self.transposes.pairs(generic, pairs)
            self.nests.pairs[result] = self.values[result] = pairs
        if plain:
            memory = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
            self.transposes.build(generic, memory)
            self.values[result] = memory

    def _pair_buffer(self, shaped: ir.RankedTensorType) -> ir.Value:
        rows, columns = shaped.shape
        return self.storage.allocate([rows // 2, columns], ir.IntegerType.get_signless(32))

    def _wanted(self, value: ir.Value) -> tuple[bool, bool]:
        """Whether users want a tensor of elements as it is, and whether some want pairs of rows."""
        plain = paired = False
        for use in value.uses:
            user = use.owner.operation
            found = None
            if user.name == "linalg.generic" and self.machine.pair_products:
                contraction = as_contraction(Generic(user))
                found = pair_operands(contraction)
                if found and contraction and found[1].value == value and self._rounds(contraction, value):
                    paired = True
                    continue
            plain = True
        return plain, paired

    def _rounds(self, contraction: Contraction, value: ir.Value) -> bool:
        """Whether `value`, the second operand of a product, may be rounded to bf16 or is bf16 anyway."""
        found = pair_operands(contraction)
        assert found is not None
        if rounds_weights(contraction, found[0]):
            return True
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.operation.name != "linalg.generic":
            return False
        generic = Generic(owner.operation)
        return transposed_operand(generic) is not None and widens_only(generic)

    def _product(self, contraction: Contraction) -> None:
        generic = contraction.generic
        out = generic.outs[0]
        self._in_memory(
            [operand for operand in generic.ins if len(operand.loops) == 2 and not self._packed(operand)]
        )
        target = self._reusable(out.value, generic.op)
        if target is None:
            shaped = ir.RankedTensorType(generic.op.results[0].type)
            target = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        self.nests.product(contraction, target)
        self.values[generic.op.results[0]] = target

    def _packed(self, operand) -> bool:
        return isinstance(self.lookup(operand.value), Pairs)

    def _reusable(self, value: ir.Value, user: ir.Operation) -> Memory | None:
        """The memory of an operand that `user` may overwrite, element by element."""
        found = self.lookup(value)
        if not is_last_use(value, user):
            return None
        if isinstance(found, Memory):
            return found if found.owned else None
        if isinstance(found, Deferred):
            generic = Generic(found.op)
            loops = generic.outs[0].loops
            for operand in generic.operands:
                if operand.loops == loops:
                    inner = self._reusable(operand.value, generic.op)
                    if inner is not None and inner.type.element_type == value.type.element_type:
                        return inner
        return None

    # ---- operations over the same elements -------------------------------------------------------

    def _followers(
        self, contraction: Contraction | None, members: list[Generic], ops: list[ir.Operation], number: int
    ) -> list[tuple[int, Generic]]:
        """Later reductions over the elements that `members` or the contraction compute, ready to go along."""
        made = {result for generic in members for result in generic.op.results}
        if contraction:
            made.add(contraction.result)
        shape = None
        for value in made:
            if len(value.type.shape) == 2:
                shape = list(value.type.shape)
        found = []
        for position in range(number + 1, len(ops)):
            op = ops[position]
            if op.name in _NEUTRAL and op.results[0] not in self.values:
                if all(v in self.scalars or isinstance(v.type, ir.ShapedType) for v in op.operands):
                    self._operation(op, ops, position, set())
                continue
            if op.name != "linalg.generic":
                continue
            generic = Generic(op)
            if (
                generic.rank != 2
                or len(generic.reductions) != 1
                or all(len(o.loops) != 1 for o in generic.outs)
            ):
                continue
            if transposed_operand(generic) is not None:
                continue
            fresh = [operand for operand in generic.ins if operand.value in made and len(operand.loops) == 2]
            if not fresh or any(list(operand.value.type.shape) != shape for operand in fresh):
                continue
            _, lane = element_loops(generic)
            if lane in generic.reductions:
                continue
            if all(v.value in made and len(v.loops) == 2 or self._ready(v.value) for v in generic.operands):
                found.append((position, generic))
                made.update(result for result in op.results if len(result.type.shape) == 2)
        return found

    def _ready(self, value: ir.Value) -> bool:
        return value in self.values or value in self.captures

    def _tile(
        self,
        members: list[Generic],
        contraction: Contraction | None,
        ops: list[ir.Operation],
        number: int,
        done: set[int],
    ) -> None:
        """Operations over the same elements, with those that can go along, in one loop nest."""
        for position, generic in self._followers(contraction, members, ops, number):
            members = [*members, generic]
            done.add(position)
        if contraction is None:
            contraction = self._waiting_product(members)
        if contraction is not None:
            self._in_memory([o for o in contraction.generic.ins if len(o.loops) == 2 and not self._packed(o)])
        targets: dict[ir.Value, list[Memory | Pairs]] = {}
        numbers = {generic.op.results[0] for generic in members}
        for generic in members:
            for position, out in enumerate(generic.outs):
                if len(out.loops) == 2:
                    self._target(generic, generic.op.results[position], numbers, targets)
        if contraction is not None and self.values.get(contraction.result) is None:
            self._target(contraction.generic, contraction.result, numbers, targets)
        rows = self.nests.tile(members, contraction, targets)
        self.values.update(rows)
        for value, places in targets.items():
            for place in places:
                if isinstance(place, Pairs):
                    self.nests.pairs[value] = place
                if isinstance(place, Memory) or value not in self.values:
                    self.values[value] = place

    def _target(
        self,
        generic: Generic,
        value: ir.Value,
        members: set[ir.Value],
        targets: dict[ir.Value, list[Memory | Pairs]],
    ) -> None:
        """Where a result of elements is stored, if anything later reads it."""
        users = [use.owner.operation for use in value.uses]
        if all(user.name == "linalg.generic" and user.results[0] in members for user in users):
            return
        plain, paired = self._wanted(value)
        shaped = ir.RankedTensorType(value.type)
        found: list[Memory | Pairs] = []
        if paired and (shaped.shape[0] % 2 or str(shaped.element_type) != "f32"):
            plain, paired = True, False
        if paired:
            found.append(Pairs(self._pair_buffer(shaped)))
        if plain:
            memory = self._in_place(generic, shaped, targets)
            found.append(
                memory or Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
            )
        targets[value] = found

    def _in_place(
        self, generic: Generic, shaped: ir.RankedTensorType, targets: dict[ir.Value, list[Memory | Pairs]]
    ) -> Memory | None:
        """Memory of an operand of the same shape that nothing reads afterwards."""
        taken = [m.memref for places in targets.values() for m in places]
        for operand in generic.operands:
            if len(operand.loops) != 2 or operand.value not in self.values:
                continue
            memory = self._reusable(operand.value, generic.op)
            if memory is None or memory.memref in taken or memory.type.element_type != shaped.element_type:
                continue
            if list(memory.type.shape) == list(shaped.shape):
                return memory
        return None

    def _waiting_product(self, members: Sequence[Generic]) -> Contraction | None:
        """The one product that waits to be the register tile of a nest; others are computed now."""
        found: list[Contraction] = []

        def search(generic: Generic) -> None:
            for operand in generic.operands:
                value = self.values.get(operand.value)
                if not isinstance(value, Deferred):
                    continue
                inner = Generic(value.op)
                contraction = as_contraction(inner)
                if contraction is None:
                    search(inner)
                elif not found:
                    found.append(contraction)
                elif found[0].generic.op != inner.op:
                    self._product(contraction)

        for generic in members:
            search(generic)
        return found[0] if found else None

    def _materialize(self, value: ir.Value) -> None:
        """Compute a value that is waiting."""
        found = self.values[value]
        assert isinstance(found, Deferred)
        generic = Generic(found.op)
        contraction = as_contraction(generic)
        if contraction is not None:
            self._product(contraction)
            return
        shaped = ir.RankedTensorType(value.type)
        memory = self._in_place(generic, shaped, {})
        memory = memory or Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        self.nests.tile([generic], self._waiting_product([generic]), {value: [memory]})
        self.values[value] = memory

    # ---- control flow ----------------------------------------------------------------------------

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
            with self.storage.scope():
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
            with ir.InsertionPoint(block):
                yielded = self.block(region.blocks[0]) if len(region.blocks) else []
                branches.append([self._branch_value(value) for value in yielded])
        held: list[Rows | Memory | ir.Value] = []
        for result, first, second in zip(op.results, *branches, strict=True):
            if not (isinstance(first, Memory) and isinstance(second, Memory)) or first.memref == second.memref:
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

    def insert(self, op: ir.Operation, targets: dict[ir.Value, ir.Value]) -> None:
        """A `tensor.parallel_insert_slice` into the buffer of its destination."""
        if op.name != "tensor.parallel_insert_slice" or op.operands[1] not in targets:
            raise UnsupportedTile(f"'{op.name}' at the end of a tile program")
        source = self._memory(op.operands[0])
        offsets, sizes, strides = self._slice(op, 2)
        if any(stride != 1 for stride in strides):
            raise UnsupportedTile("a slice with strides")
        shape = list(ir.RankedTensorType(op.operands[0].type).shape)
        keep = _kept(list(ir.DenseI64ArrayAttr(op.attributes["static_sizes"])), shape)
        target = vec.subview(targets[op.operands[1]], offsets, sizes, keep)
        if len(shape) < 3:
            vec.copy_rows(source.memref, target, self.lanes)
            return
        if len(shape) > 3 or shape[0] == rw.DYNAMIC:
            raise UnsupportedTile("a result of another form")
        for outer in range(shape[0]):
            parts = []
            for buffer in (source.memref, target):
                rest = [vec.size(buffer, d) for d in (1, 2)]
                parts.append(vec.subview(buffer, [outer, 0, 0], [1, *rest], (1, 2)))
            vec.copy_rows(parts[0], parts[1], self.lanes)


def _parts(value: Rows | Memory | ir.Value) -> list[ir.Value]:
    """The SSA values that a loop or branch hands on for a value; memory is known to it anyway."""
    if isinstance(value, Memory):
        return []
    return list(value.vectors) if isinstance(value, Rows) else [value]


def _kept(sizes: list[int], shape: list[int]) -> list[int]:
    """The dimensions of a slice of static `sizes` that its result of `shape` has: others have size 1."""
    keep: list[int] = []
    for dimension, size in enumerate(sizes):
        rest = len(shape) - len(keep)
        if rest and shape[len(keep)] == size and (size != 1 or len(sizes) - dimension == rest):
            keep.append(dimension)
    if len(keep) != len(shape):
        raise UnsupportedTile("a slice whose kept dimensions are not clear")
    return keep


def _is_contiguous(type_: ir.MemRefType) -> bool:
    if not type_.has_static_shape:
        return False
    strides, _ = type_.get_strides_and_offset()
    expected = 1
    for size, stride in zip(reversed(type_.shape), reversed(strides), strict=True):
        if stride != expected:
            return False
        expected *= size
    return True
