"""The warp that copies tiles: the loads of a kernel, and what their places are computed from."""

from __future__ import annotations

from aecompiler.backends.nvidia.hopper.packed_rows import LOAD
from aecompiler.backends.nvidia.hopper.warp_role import WarpRole
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure


class Producer(WarpRole):
    """Clones the loads of the kernel as copies into shared memory, and the scalars that they need."""

    def build(self) -> None:
        """Build everything but the end of the region."""
        self.needed = self._needed()
        left = len(self.roles.before)
        put_off = self.roles.resident if self.memory.is_persistent and left else []
        for view in self.roles.block.operations:
            op = view.operation
            with op.location:
                if op in self.roles.loops:
                    self._loop_over_steps(op)
                elif op not in put_off:
                    self._operation(op)
                if op in self.roles.before:
                    left -= 1
                    if not left:
                        # Tiles of keys are copied while the consumers still hold the rows of the tile before.
                        for load in put_off:
                            self._operation(load)
                        self.next_step()

    def _needed(self) -> set[ir.Value]:
        """The values that places of loads and bounds of loops over them are computed from."""
        needed: set[ir.Value] = set()
        todo: list[ir.Value] = []
        for load in rw.walk_list(self.roles.function, LOAD):
            todo += load.operands
        for loop in self.roles.loops:
            todo += list(loop.operands)[:3]
        while todo:
            value = todo.pop()
            if value in needed:
                continue
            needed.add(value)
            op = rw.definer(value)
            if op is None:
                todo += self._carried(value)
            elif op in self.roles.loops:
                todo += self._around(op, list(op.results).index(value))
            elif len(op.regions) or tt.shape_of(value) or not kir.is_pure(op):
                raise PassFailure(op, "unsupported: places of tiles that are no arithmetic on scalars")
            else:
                todo += op.operands
        return needed

    def _carried(self, argument: ir.Value) -> list[ir.Value]:
        """What an argument of a block is, in terms of other values."""
        owner = argument.owner.owner.operation
        at = list(argument.owner.arguments).index(argument)
        if owner not in self.roles.loops or at == 0:
            return []
        return self._around(owner, at - 1)

    def _around(self, loop: ir.Operation, at: int) -> list[ir.Value]:
        """What a carried value of a loop begins as, is in a turn, and becomes."""
        block = loop.regions[0].blocks[0]
        *_, last = block.operations
        return [loop.operands[at + 3], block.arguments[at + 1], last.operation.operands[at]]

    def _loop_over_steps(self, op: ir.Operation) -> None:
        kept = [
            at
            for at, result in enumerate(op.results)
            if op.regions[0].blocks[0].arguments[at + 1] in self.needed
        ]
        bounds = [self.mapping[value] for value in list(op.operands)[:3]]
        self.loop(op, kept, bounds, [self.mapping[op.operands[at + 3]] for at in kept])

    def turn(self, op: ir.Operation, block: ir.Block) -> list[ir.Value]:
        """One turn: the loads of a step."""
        *body, last = block.operations
        for view in body:
            self._operation(view.operation)
        kept = [at for at in range(len(op.results)) if block.arguments[at + 1] in self.needed]
        return [self.mapping[last.operation.operands[at]] for at in kept]

    def _operation(self, op: ir.Operation) -> None:
        with op.location:
            if op.name == LOAD and self.roles.is_resident(op):
                self._load_rows(op)
            elif op.name == LOAD:
                self._load(op)
            elif op.name == "tt.get_program_id" and self.program is not None:
                self.mapping[op.results[0]] = self.program
            elif any(result in self.needed for result in op.results):
                rw.clone_op(op, self.mapping)

    def _load_rows(self, op: ir.Operation) -> None:
        at = self.roles.resident.index(op)
        descriptor, *places = (self.mapping[value] for value in op.operands)
        for group in range(self.roles.consumers):
            number, parity = self.rows_slot(group)
            own = self.begin_rows(op, places, group)
            if self.memory.resident_empty:
                empty = ttg.memdesc_index(self.buffers[self.memory.resident_empty[at]], number)
                ttg.wait_barrier(empty, arith.xori(parity, self.number(1)), self.true)
            full = ttg.memdesc_index(self.buffers[self.memory.resident_full[at]], number)
            self._copy(
                descriptor, own, full, ttg.memdesc_index(self.buffers[self.memory.resident[at]], number)
            )

    def _load(self, op: ir.Operation) -> None:
        if not self.slots:
            # A fresh barrier counts as one whose phase before the first has ended.
            before = arith.xori(self.slot(0).parity, self.number(1))
            ttg.wait_barrier(self.in_slot(self.memory.empty), before, self.true)
        at = self.roles.ring_of(op)
        behind = self.roles.behind[at]
        descriptor, *places = (self.mapping[value] for value in op.operands)
        full, buffer = (self.in_slot(each[at], behind) for each in (self.memory.full, self.memory.rings))
        self._copy(descriptor, places, full, buffer)

    def _copy(self, descriptor: ir.Value, places: list[ir.Value], full: ir.Value, buffer: ir.Value) -> None:
        tile = lo.MemDesc.of(buffer.type)
        ttg.barrier_expect(full, lo.tile_bytes(tile.shape, tile.element), self.true)
        ttg.tma_load(descriptor, places, full, buffer, self.true)
