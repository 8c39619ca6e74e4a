"""The structured operations of a tile program: which nests they become, and what is done together."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.contractions import (
    Contraction,
    as_contraction,
    pair_operands,
    rounds_weights,
)
from aecompiler.backends.cpu.vectorize.nests import MAX_CHUNKS, element_loops
from aecompiler.backends.cpu.vectorize.sums import running_sum
from aecompiler.backends.cpu.vectorize.tensors import Tensors
from aecompiler.backends.cpu.vectorize.transposes import transposed_operand, widens_only
from aecompiler.backends.cpu.vectorize.values import Deferred, Memory, Pairs, Rows, Splat, is_last_use
from aecompiler.bindings import ir
from aecompiler.passes.structured_ops import Generic, is_structured
from aecompiler.passes.tile_sums import RunningSum

_NEUTRAL = frozenset({"tensor.empty", "linalg.fill", "tensor.splat"})
"""Operations that make a tensor without reading one, and can be done at any time."""


class Structured(Tensors):
    """Builds the structured operations of a tile program."""

    # ---- structured operations -----------------------------------------------------------------------

    def _generic(self, generic: Generic, ops: list[ir.Operation], number: int, done: set[int]) -> None:
        op = generic.op
        contraction = as_contraction(generic)
        if (law := RunningSum.of(op)) is not None:
            self._running_sum(generic, law)
        elif all(not out.loops for out in generic.outs) and generic.rank == 2:
            self._in_memory(generic.ins)
            self.values[op.results[0]] = self.nests.total(generic)
        elif self._is_rows(generic):
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
        elif self._may_wait(generic):
            self._prepare(generic)
            self.values[op.results[0]] = Deferred(op)
        elif self._in_registers(generic):
            self._prepare(generic)
            self._tile([generic], None, ops, number, done)
        else:
            self._loose(generic)

    def _is_rows(self, generic: Generic) -> bool:
        """Whether an operation goes over rows alone, whose values then stay in vectors."""
        return generic.rank == 1 and not generic.reductions and generic.sizes[0] % self.lanes == 0

    def _in_registers(self, generic: Generic, stored: bool = True) -> bool:
        """Whether an operation is over elements [n, lanes] whose rows are vectors, and reduces n only.

        `stored`: its results may have to be stored, not only handed on in registers.
        """
        if generic.rank != 2 or all(len(operand.loops) != 2 for operand in generic.operands):
            return False
        n_loop, lane = element_loops(generic)
        size = generic.sizes[lane]
        if size % self.lanes or size // self.lanes > MAX_CHUNKS or set(generic.reductions) - {n_loop}:
            return False
        outs = [(n_loop, lane), (lane,)] if generic.reductions else [(n_loop, lane)]
        if any(operand.loops not in outs for operand in generic.outs):
            return False
        readable = all(each.loops in ((n_loop, lane), (lane,), (n_loop,), ()) for each in generic.ins)
        in_memory = [each for each in generic.ins if len(each.loops) == 2 and self._is_memory(each.value)]
        in_memory += [each for each in generic.outs if len(each.loops) == 2] if stored else []
        return readable and all(vec.fills_bytes(each.value.type.element_type) for each in in_memory)

    def _is_memory(self, value: ir.Value) -> bool:
        return isinstance(self.values.get(value), Memory) or value in self.captures

    def _prepare(self, generic: Generic) -> None:
        """Rows of which single elements are read go to memory; captured tensors are read along their rows."""
        if generic.rank == 2 and any(len(operand.loops) == 2 for operand in generic.operands):
            n_loop, _ = element_loops(generic)
            self._in_memory([each for each in generic.operands if each.loops == (n_loop,)])
            if self._in_registers(generic, stored=False):
                self.reads.prepare(generic)

    def _loose(self, generic: Generic) -> None:
        """An operation whose operands are in memory, whatever its loops."""
        self._readable(generic)
        targets = []
        for result in generic.op.results:
            shaped = ir.RankedTensorType(result.type)
            targets.append(Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True))
        self.loops.build(generic, targets)
        self.values.update(zip(generic.op.results, targets, strict=True))

    def _readable(self, generic: Generic) -> None:
        """Let all that an operation reads be in memory, or computed from what is, element by element."""
        for operand in generic.operands:
            value = self.lookup(operand.value)
            if isinstance(value, Deferred) and as_contraction(Generic(value.op)) is None:
                self._readable(Generic(value.op))
            elif not isinstance(value, (Memory, Splat)):
                self.values[operand.value] = self._memory(operand.value)

    def _running_sum(self, generic: Generic, law: RunningSum) -> None:
        source, shaped = generic.ins[0], ir.RankedTensorType(generic.op.results[0].type)
        memory = self._memory(source.value)
        target = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        running_sum(memory.memref, target.memref, law, self.lanes)
        self.values[generic.op.results[0]] = target

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
        if not users or not all(is_structured(user) for user in users):
            return False
        for user in users:
            reader = Generic(user)
            operand = next(each for each in reader.operands if each.value == value)
            if transposed_operand(reader) is not None or not is_last_use(value, user):
                return False
            product = as_contraction(reader)
            if product is not None and operand not in reader.outs:
                return False
            together = product is not None or self._in_registers(reader, stored=False)
            if together and not (generic.reductions or self._in_registers(generic, stored=False)):
                return False
            if self._is_rows(reader) or (generic.reductions and not together):
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

    def _settle(self, contraction: Contraction) -> None:
        """Compute products that wait for what a product begins with: it has registers for its own only."""

        def search(value: ir.Value) -> None:
            found = self.values.get(value)
            if not isinstance(found, Deferred):
                return
            inner = Generic(found.op)
            product = as_contraction(inner)
            if product is not None:
                self._product(product)
                return
            for operand in inner.operands:
                search(operand.value)

        search(contraction.generic.outs[0].value)

    def _product(self, contraction: Contraction) -> None:
        generic = contraction.generic
        out = generic.outs[0]
        self._settle(contraction)
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
            handler = self._handler(op)
            if op.name in _NEUTRAL and handler is not None and op.results[0] not in self.values:
                if all(v in self.scalars or isinstance(v.type, ir.ShapedType) for v in op.operands):
                    handler(op)
                continue
            if not is_structured(op):
                continue
            generic = Generic(op)
            if (
                not self._in_registers(generic)
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
            if all((v.value in made and len(v.loops) == 2) or self._ready(v.value) for v in generic.operands):
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
            self._settle(contraction)
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
        if all(is_structured(user) and user.results[0] in members for user in users):
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
        if not self._in_registers(generic):
            self._loose(generic)
            return
        shaped = ir.RankedTensorType(value.type)
        memory = self._in_place(generic, shaped, {})
        memory = memory or Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        self.nests.tile([generic], self._waiting_product([generic]), {value: [memory]})
        self.values[value] = memory
