"""What the roles of warps share: buffers and barriers, steps, and clones of the kernel's body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aecompiler.backends.nvidia.hopper.limits import Buffers, Tile
from aecompiler.backends.nvidia.hopper.packed_rows import STORE, begin_of_group
from aecompiler.backends.nvidia.hopper.roles import Roles
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.bindings import arith, ir, scf
from aecompiler.passes import rewriting as rw


class SharedMemory(Buffers):
    """The buffers and barriers of a kernel as values; `stores` are places of buffers by what writes them."""

    def __init__(self, roles: Roles, stages: int, row_buffers: int, is_persistent: bool):
        self.stages, self.row_buffers, self.is_persistent = stages, row_buffers, is_persistent
        tiles = {load.operands[0]: load.results[0] for loads in roles.in_loop for load in loads}
        stores = rw.walk_list(roles.function, STORE)
        super().__init__(
            resident=[tile_of(load.results[0]) for load in roles.resident],
            rings=[tile_of(tiles[descriptor]) for descriptor in roles.rings],
            stored=[tile_of(store.operands[1]) for store in stores],
            consumers=roles.consumers,
            stages=stages,
            row_buffers=row_buffers,
            is_persistent=is_persistent,
        )
        self.stores: dict[ir.Operation, int] = dict(zip(stores, self.stored, strict=True))
        self.values: list[ir.Value] = [ttg.local_alloc(buffer) for buffer in self.all]
        for at in (*self.resident_full, *self.resident_empty, *self.full):
            self._init(at, 1)
        self._init(self.empty, roles.consumers)
        ttg.fence()

    def _init(self, at: int, count: int) -> None:
        for number in range(self.all[at].shape[0]):
            ttg.init_barrier(ttg.memdesc_index(self.values[at], _i32(number)), count)


def tile_of(value: ir.Value) -> Tile:
    """The shape and element type of a value."""
    return Tile(tt.shape_of(value), str(tt.element_of(value)))


def numbers(values: Sequence[int]) -> ir.Attribute:
    """An attribute of numbers of 32 bits."""
    return ir.DenseI32ArrayAttr.get(list(values))


def _i32(value: int) -> ir.Value:
    return tt.constant(tt.integer(32), value)


class Slot(NamedTuple):
    """A place in a ring, and the parity of the phase that ends when its tile has arrived."""

    number: ir.Value
    parity: ir.Value


class WarpRole:
    """One role's part of a kernel, built at the insertion point.

    `captures` are the parameters of the kernel and then its shared memory, as values of this region; where a
    program computes several tiles of rows, the last is the number of all tiles.
    """

    def __init__(self, roles: Roles, memory: SharedMemory, captures: Sequence[ir.Value]):
        self.roles, self.memory = roles, memory
        parameters = list(roles.block.arguments)
        self.mapping: dict[ir.Value, ir.Value] = dict(zip(parameters, captures, strict=False))
        self.buffers = list(captures[len(parameters) :])
        self.tiles = self.buffers.pop() if memory.is_persistent else None
        """How many tiles of rows there are in all, where a program computes several."""
        self.turn_of_tile: ir.Value | None = None
        self.program: ir.Value | None = None
        self.entry = ir.InsertionPoint.current.block
        self._constants: dict[str, ir.Value] = {}
        self.true = self.constant(tt.integer(1), 1)
        self.step = self.number(0)
        """The number of the step."""
        self.slots: dict[int, Slot] = {}
        """Its place in rings, and those of steps before it, that were asked for."""

    def run(self) -> None:
        """Build the role, for the tile of rows of this program or for all that it computes in turn."""
        if self.tiles is None:
            self.build()
            self.finish()
            return
        own, programs = tt.program_id(0), tt.num_programs(0)
        one, two = self.number(1), self.number(2)
        # Tiles are taken in pairs, as many by each program; of the rest, one by each if that is enough.
        share = arith.divsi(arith.shrui(self.tiles, one), programs)
        paired = arith.muli(share, two)
        rest = arith.subi(self.tiles, arith.muli(paired, programs))
        in_pairs = arith.cmpi(arith.CmpIPredicate.sgt, rest, programs)
        first = arith.select(in_pairs, arith.muli(own, two), own)
        left = arith.maxsi(arith.subi(rest, first), self.number(0))
        count = arith.addi(paired, arith.minsi(left, arith.addi(arith.extui(own.type, in_pairs), one)))

        def enter(turn: ir.Value) -> None:
            pair = arith.addi(arith.muli(arith.shrui(turn, one), programs), own)
            in_pair = arith.addi(arith.muli(pair, two), arith.andi(turn, one))
            is_rest = arith.cmpi(arith.CmpIPredicate.sge, turn, paired)
            alone = arith.addi(arith.muli(paired, programs), arith.addi(first, arith.subi(turn, paired)))
            self.program = arith.select(is_rest, alone, in_pair)

        loop = scf.ForOp(self.number(0), count, one, [self.step, *self.start_range()])
        with ir.InsertionPoint(loop.body):
            self.step, *carried = loop.inner_iter_args
            self.slots = {}
            self.turn_of_tile = loop.induction_variable
            enter(self.turn_of_tile)
            self.build()
            # The last step of a tile is the first of the next, so that the ring stays full.
            scf.YieldOp([self.step, *self.add_to_range(carried, self.turn_of_tile)])
        self.step, *carried = loop.results
        self.turn_of_tile = None
        self.finish_range(carried, enter)

    def finish(self) -> None:
        """What comes after the tile of rows."""

    def start_range(self) -> list[ir.Value]:
        """What is carried from one tile of rows to the next."""
        return []

    def add_to_range(self, carried: list[ir.Value], turn: ir.Value) -> list[ir.Value]:
        """What is carried after the tile of a turn."""
        return carried

    def finish_range(self, carried: list[ir.Value], enter: Callable[[ir.Value], None]) -> None:
        """What comes after all tiles of rows; `enter` goes back to that of a turn."""

    def rows_slot(self, group: int, behind: int = 0) -> Slot:
        """The place of a group's rows of this tile, or of so many before, among the buffers of rows."""
        own, turn = self.number(group), self.turn_of_tile
        if turn is None:
            return Slot(own, self.number(0))
        if behind:
            turn = arith.subi(turn, self.number(behind))
        if self.memory.row_buffers == 1:
            return Slot(own, arith.andi(turn, self.number(1)))
        round_, place = arith.shrui(turn, self.number(1)), arith.andi(turn, self.number(1))
        place = arith.muli(place, self.number(self.roles.consumers))
        return Slot(arith.addi(place, own), arith.andi(round_, self.number(1)))

    def begin_rows(self, copy: ir.Operation, places: list[ir.Value], group: int) -> list[ir.Value]:
        """Where the rows of a group begin that a copy by a descriptor of all rows at `places` has."""
        places = list(places)
        heads, rows = begin_of_group(lo.descriptor_of(copy.operands[0].type).box, group)
        for axis, more in ((-3, heads), (-2, rows)):
            if more:
                places[axis] = arith.addi(places[axis], self.number(more))
        return places

    def build(self) -> None:
        """Build the role for one tile of rows."""
        raise NotImplementedError

    def constant(self, type_: ir.Type, value: int) -> ir.Value:
        """A constant scalar, at the beginning of the role."""
        key = f"{value} : {type_}"
        if key not in self._constants:
            with ir.InsertionPoint.at_block_begin(self.entry):
                self._constants[key] = tt.constant(type_, value)
        return self._constants[key]

    def number(self, value: int) -> ir.Value:
        """A constant of 32 bits."""
        return self.constant(tt.integer(32), value)

    def in_slot(self, at: int, behind: int = 0) -> ir.Value:
        """The barrier or buffer of a ring for this step, or for the one that is so many steps back."""
        return ttg.memdesc_index(self.buffers[at], self.slot(behind).number)

    def slot(self, behind: int) -> Slot:
        """The place in a ring of this step, or of one before."""
        if behind not in self.slots:
            stages = self.memory.stages
            step = arith.subi(self.step, self.number(behind)) if behind else self.step
            if stages & (stages - 1) == 0:
                number = arith.andi(step, self.number(stages - 1))
                turn = arith.shrui(step, self.number(stages.bit_length() - 1))
            else:
                number = arith.remui(step, self.number(stages))
                turn = arith.divui(step, self.number(stages))
            self.slots[behind] = Slot(number, arith.andi(turn, self.number(1)))
        return self.slots[behind]

    def next_step(self) -> None:
        """What follows belongs to the next step."""
        self.step = arith.addi(self.step, self.number(1))
        self.slots = {}

    def loop(
        self, op: ir.Operation, kept: Sequence[int], bounds: Sequence[ir.Value], inits: Sequence[ir.Value]
    ) -> None:
        """Clone a loop over steps, with those of its carried values that are `kept`; `body` builds a turn."""
        new = scf.ForOp(*bounds, [*inits, self.step])
        block = op.regions[0].blocks[0]
        with ir.InsertionPoint(new.body):
            self.mapping[block.arguments[0]] = new.induction_variable
            *carried, self.step = new.inner_iter_args
            self.slots = {}
            self.mapping.update(
                {block.arguments[at + 1]: value for at, value in zip(kept, carried, strict=True)}
            )
            yielded = self.turn(op, block)
            self.next_step()
            scf.YieldOp([*yielded, self.step])
        *results, self.step = new.results
        self.slots = {}
        self.mapping.update({op.results[at]: value for at, value in zip(kept, results, strict=True)})

    def turn(self, op: ir.Operation, block: ir.Block) -> list[ir.Value]:
        """Build the body of a loop over steps; the values that it hands on."""
        raise NotImplementedError
