"""The warps that compute: the kernel's body on 64 of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.nvidia.hopper.packed_rows import LOAD, STORE
from aecompiler.backends.nvidia.hopper.rebuild import rebuild, splat_of
from aecompiler.backends.nvidia.hopper.roles import Roles
from aecompiler.backends.nvidia.hopper.warp_role import SharedMemory, WarpRole
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.backends.triton.tile_axes import SOURCES
from aecompiler.bindings import arith, ir, scf
from aecompiler.passes import rewriting as rw

_MOST = (1 << 31) - 1


class Consumer(WarpRole):
    """Clones the body of the kernel for the rows of one group of warps, the one with the number `group`."""

    def __init__(self, roles: Roles, memory: SharedMemory, captures: Sequence[ir.Value], group: int):
        super().__init__(roles, memory, captures)
        self.group = group

    def build(self) -> None:
        """Build everything but the end of the region, and but what is computed again."""
        self.is_right: ir.Value | None = None
        release = self.roles.release_after(self.roles.before) if self.roles.before else None
        for view in self.roles.block.operations:
            op = view.operation
            with op.location:
                if op in self.roles.loops:
                    self._loop_over_steps(op)
                elif self.roles.retry is not None and op == self.roles.retry:
                    self._take_first(op)
                elif op.name != "tt.return":
                    self._operation(op)
                if release is not None and op == release:
                    self._release()
                    self.next_step()
                    if self._releases_rows_late:
                        ttg.tma_store_wait()
                        self._release_rows(behind=1)
        if not self._releases_rows_late:
            self._release_rows()

    @property
    def _releases_rows_late(self) -> bool:
        """Whether the next tile of rows is begun before the results of this one are out of shared memory."""
        return self.memory.row_buffers > 1 and bool(self.roles.before)

    def _release_rows(self, behind: int = 0) -> None:
        """Say that the buffers of the rows of this tile, or of so many before, may be overwritten."""
        always = self.true
        if behind and self.turn_of_tile is not None:
            always = arith.cmpi(arith.CmpIPredicate.sge, self.turn_of_tile, self.number(behind))
        number = self.rows_slot(self.group, behind).number
        for at in self.memory.resident_empty:
            ttg.arrive_barrier(ttg.memdesc_index(self.buffers[at], number), always)

    # ---- what may be computed again --------------------------------------------------------------

    def _take_first(self, op: ir.Operation) -> None:
        """The branch as if its first region were taken; where it is not, stores are left out."""
        self.is_right = self._operand(op, 0)
        *_, last = op.regions[0].blocks[0].operations
        for number, result in enumerate(op.results):
            self.mapping[result] = self._operand(last.operation, number)

    def finish(self) -> None:
        """Compute again, after everything else, what was not right: so it takes no registers from that."""
        if self.is_right is None:
            return
        wrong = arith.xori(self.is_right, self.true)
        again = scf.IfOp(wrong)
        with ir.InsertionPoint(again.then_block):
            self._again()
            scf.YieldOp([])

    def start_range(self) -> list[ir.Value]:
        """The first tile that is not right, the one after the last, and a bit for each: none yet."""
        if self.roles.retry is None:
            return []
        return [self.number(_MOST), self.number(0), self.constant(tt.integer(64), 0)]

    def add_to_range(self, carried: list[ir.Value], turn: ir.Value) -> list[ir.Value]:
        """The range with this tile, if it is not right."""
        if self.is_right is None:
            return []
        first, _, bits = carried
        new = arith.minsi(first, turn)
        marked = arith.ori(bits, arith.shli(self.constant(tt.integer(64), 1), self._bit(turn, new)))
        changed = (new, arith.addi(turn, self.number(1)), marked)
        return [arith.select(self.is_right, *each) for each in zip(carried, changed, strict=True)]

    def _bit(self, turn: ir.Value, first: ir.Value) -> ir.Value:
        """The place of a tile's bit; all from the 64th on share one."""
        place = arith.minsi(arith.subi(turn, first), self.number(63))
        return arith.extui(tt.integer(64), place)

    def finish_range(self, carried: list[ir.Value], enter: Callable[[ir.Value], None]) -> None:
        """Compute the tiles of the range again that are marked."""
        if self._releases_rows_late:
            ttg.tma_store_wait()
        if not carried:
            return
        first, end, bits = carried
        again = scf.IfOp(arith.cmpi(arith.CmpIPredicate.slt, first, end))
        with ir.InsertionPoint(again.then_block):
            loop = scf.ForOp(first, end, self.number(1))
            with ir.InsertionPoint(loop.body):
                turn = loop.induction_variable
                marked = scf.IfOp(arith.trunci(tt.integer(1), arith.shrui(bits, self._bit(turn, first))))
                with ir.InsertionPoint(marked.then_block):
                    enter(turn)
                    self._again()
                    scf.YieldOp([])
                scf.YieldOp([])
            scf.YieldOp([])

    def _again(self) -> None:
        """The results of a tile of rows by the second region of the branch."""
        self.is_right = None
        retry = self.roles.retry
        assert retry is not None
        for op in self.roles.needed_for_retry():
            if op == retry:
                *body, last = retry.regions[1].blocks[0].operations
                for each in body:
                    self._operation(each.operation)
                for number, result in enumerate(retry.results):
                    self.mapping[result] = self._operand(last.operation, number)
            else:
                self._operation(op)

    # ---- loops over tiles of keys ----------------------------------------------------------------

    def _loop_over_steps(self, op: ir.Operation) -> None:
        if op == self.roles.loops[0]:
            ttg.block_barrier()  # or Triton's analysis puts one more into the loop
        bounds = [self._operand(op, number) for number in range(3)]
        inits = [self._operand(op, number) for number in range(3, len(op.operands))]
        self.loop(op, range(len(inits)), bounds, inits)

    def turn(self, op: ir.Operation, block: ir.Block) -> list[ir.Value]:
        """One turn: the loads of the step become waits."""
        release = self.roles.release_after(self.roles.in_loop[self.roles.loops.index(op)])
        *body, last = block.operations
        for view in body:
            self._operation(view.operation)
            if view.operation == release:
                self._release()
        return [self._operand(last.operation, number) for number in range(len(last.operation.operands))]

    def _release(self) -> None:
        ttg.arrive_barrier(self.in_slot(self.memory.empty), self.true)

    # ---- operations ------------------------------------------------------------------------------

    def _operation(self, op: ir.Operation) -> None:
        with op.location:
            if op.name == LOAD:
                self.mapping[op.results[0]] = self._load(op)
            elif op.name in (STORE, "tt.store"):
                self._store(op)
            elif op.name == "tt.get_program_id" and self.program is not None:
                self.mapping[op.results[0]] = self.program
            elif op.name not in SOURCES:
                self._clone(op)

    def _clone(self, op: ir.Operation) -> None:
        operands = [self._operand(op, number) for number in range(len(op.operands))]
        new = rebuild(op, operands, [self._type(result) for result in op.results])
        self.mapping.update(zip(op.results, new.results, strict=True))
        for old_region, region in zip(op.regions, new.regions, strict=True):
            for old in old_region.blocks:
                block = region.blocks.append(*(self._type(argument) for argument in old.arguments))
                self.mapping.update(zip(old.arguments, block.arguments, strict=True))
                with ir.InsertionPoint(block):
                    for view in old.operations:
                        self._operation(view.operation)

    def _type(self, value: ir.Value) -> ir.Type:
        return _of_rows(value.type, self.roles.rows_of_value(value))

    def _operand(self, op: ir.Operation, number: int) -> ir.Value:
        value = op.operands[number]
        made = rw.definer(value)
        if made is None or made.name not in SOURCES:
            return self.mapping[value]
        return self._source(made, self.roles.rows_of_use(op, number))

    def _source(self, op: ir.Operation, rows: tuple[bool, ...]) -> ir.Value:
        """What an operation without tensors as operands makes, for a use with these rows."""
        type_ = _of_rows(op.results[0].type, rows)
        if op.name == "arith.constant":
            if not rows:
                return self._scalar_constant(op)
            return arith.ConstantOp(type_, splat_of(op, type_)).result
        if op.name == "tt.splat":
            return tt.splat(self._operand(op, 0), type_.shape)
        if not rows[0]:
            return tt.make_range(type_.shape[0])
        return self._own_rows(tt.make_range(ROWS))

    def _scalar_constant(self, op: ir.Operation) -> ir.Value:
        if op.results[0] not in self.mapping:
            with ir.InsertionPoint.at_block_begin(self.entry):
                self.mapping[op.results[0]] = op.clone().results[0]
        return self.mapping[op.results[0]]

    def _own_rows(self, rows: ir.Value) -> ir.Value:
        """Numbers of rows of this group, from those of the first."""
        if not self.group:
            return rows
        return arith.addi(rows, tt.splat(self.number(ROWS * self.group), [ROWS]))

    # ---- tiles by descriptors --------------------------------------------------------------------

    def _load(self, op: ir.Operation) -> ir.Value:
        if self.roles.is_resident(op):
            at = self.roles.resident.index(op)
            own, parity = self.rows_slot(self.group)
            full = ttg.memdesc_index(self.buffers[self.memory.resident_full[at]], own)
            ttg.wait_barrier(full, parity, self.true)
            return ttg.local_load(ttg.memdesc_index(self.buffers[self.memory.resident[at]], own))
        at = self.roles.ring_of(op)
        behind = self.roles.behind[at]
        ttg.wait_barrier(self.in_slot(self.memory.full[at], behind), self.slot(behind).parity, self.true)
        return ttg.local_load(self.in_slot(self.memory.rings[at], behind))

    def _store(self, op: ir.Operation) -> None:
        operands = [self._operand(op, number) for number in range(len(op.operands))]
        if self.is_right is None:
            self._write(op, operands)
            return
        # What is not right is written once, later: a copy by TMA could still be under way.
        branch = scf.IfOp(self.is_right)
        with ir.InsertionPoint(branch.then_block):
            self._write(op, operands)
            scf.YieldOp([])

    def _write(self, op: ir.Operation, operands: list[ir.Value]) -> None:
        if op.name == STORE:
            descriptor, tile, *places = operands
            self._copy_out(op, descriptor, tile, places)
        else:
            rebuild(op, operands, [])

    def _copy_out(
        self, op: ir.Operation, descriptor: ir.Value, tile: ir.Value, places: list[ir.Value]
    ) -> None:
        number = self.rows_slot(self.group).number
        buffer = ttg.memdesc_index(self.buffers[self.memory.stores[op]], number)
        ttg.local_store(tile, buffer)
        ttg.fence()
        ttg.tma_store(descriptor, self.begin_rows(op, places, self.group), buffer)
        if self.turn_of_tile is None or not self._releases_rows_late:
            ttg.tma_store_wait()


def _of_rows(type_: ir.Type, rows: Sequence[bool]) -> ir.Type:
    if not any(rows):
        return type_
    shape = [ROWS if is_row else size for size, is_row in zip(type_.shape, rows, strict=True)]
    return ir.RankedTensorType.get(shape, type_.element_type)
