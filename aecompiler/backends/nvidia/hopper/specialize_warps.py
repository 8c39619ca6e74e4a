"""The pass `ttg-specialize-warps`: one warp copies tiles, groups of warps compute on them."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.nvidia.hopper.consumer import Consumer
from aecompiler.backends.nvidia.hopper.limits import (
    PRODUCER_REGISTERS,
    needed_registers,
    registers_of_roles,
)
from aecompiler.backends.nvidia.hopper.packed_rows import LOAD, STORE, box_of_group, copy_as_rows
from aecompiler.backends.nvidia.hopper.producer import Producer
from aecompiler.backends.nvidia.hopper.rebuild import rebuild
from aecompiler.backends.nvidia.hopper.roles import Roles
from aecompiler.backends.nvidia.hopper.warp_role import SharedMemory, numbers, tile_of
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton.kernel_abi import LAUNCH
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass


@register_pass
class SpecializeWarps(Pass):
    """Split every kernel into a warp that copies tiles and groups of warps that compute on them.

    *Before*: kernels whose tiles are read by descriptors (`convert-tiles-to-tt{descriptors=true}`), the loops
    over tiles of keys skewed or not. *After*: the body of a kernel is a `ttg.warp_specialize`. Its default
    region and all partitions but the last are consumers: `consumers` groups of four warps, which compute 64
    rows each, the tile of rows cut in pieces. The last partition is the producer, one warp that copies tiles
    by TMA.

    Tiles of rows have buffers of their own. Tiles of keys go through rings of `stages` buffers, one ring for
    each load of a step; a step is a turn of a loop over tiles, or what stands before or after the loops. The
    step with the number n uses the slot n mod `stages`. For each slot there are barriers: `full`, one for
    each ring, whose phase ends when the copy has arrived, and `empty`, whose phase ends when all consumers
    have said that they are through with the tiles of the step. The producer waits for `empty` of the step
    before in that slot, the consumers for `full`.

    Rows that are reshaped from a box of heads and positions, or to one, are copied as such, a part of the box
    for each group.

    All roles compute the grid, the bounds of loops and the places of tiles themselves; places may be numbers
    that are read from memory, as those of a list of tiles. A tile that is stored by a descriptor goes through
    shared memory, that of the rows of q if it has the same shape. Kernels without products stay as they are.

    Refused, naming the operation: kernels with products but without such loads; tiles of rows of another size
    than 64 for each group; reductions over rows, unless they only decide on a branch, as that for values that
    are not finite; loads by descriptors in branches.
    """

    NAME = "ttg-specialize-warps"

    consumers: int = option(2, "the groups of four warps that compute, each on 64 rows")
    stages: int = option(2, "the buffers of a ring")
    programs: int = option(
        0, "the programs that compute all tiles of rows, one after the other; 0: one for each"
    )
    row_buffers: int = option(
        0, "buffers for the rows of a tile, 1 or 2, where a program computes several; 0: 2 if they have room"
    )
    shared_bytes: int = option(232448, "the shared memory that a block may have")
    registers: int = option(65536, "the registers of a multiprocessor")

    def __post_init__(self) -> None:
        if self.consumers not in PRODUCER_REGISTERS:
            raise ValueError(f"expects consumers to be 1 to 3, got {self.consumers}")
        if not 1 <= self.stages <= 8:
            raise ValueError(f"expects stages to be 1 to 8, got {self.stages}")
        if self.programs < 0:
            raise ValueError(f"expects programs to be 0 or more, got {self.programs}")
        if not 0 <= self.row_buffers <= 2:
            raise ValueError(f"expects row-buffers to be 0 to 2, got {self.row_buffers}")

    def run(self, op: ir.Operation) -> None:
        """Rewrite all kernels in `op`."""
        many, few = registers_of_roles(self.registers, self.consumers)
        for function in kir.kernels_with_products(op):
            copy_as_rows(function)
            roles = Roles(function, self.consumers)
            _check_registers(roles, many)
            with ir.InsertionPoint(function), function.location:
                self._build(_Specialized(roles, self.stages, (many, few), self.programs > 0))
            if self.programs:
                _launch_few(op, rw.symbol_name(function), self.programs)
            function.erase()

    def _build(self, kernel: _Specialized) -> None:
        """Build the kernel with as many buffers as have room."""
        least = self.row_buffers or 1
        most = (self.row_buffers or 2) if self.programs else 1
        for row_buffers in range(most, min(least, most) - 1, -1):
            new = kernel.build(row_buffers)
            if (needed := kernel.memory.bytes) <= self.shared_bytes:
                return
            new.erase()
        message = f"needs {needed} bytes of shared memory, a block may have {self.shared_bytes}"
        raise PassFailure(kernel.roles.function, message)


def _launch_few(module: ir.Operation, name: str, programs: int) -> None:
    """Launch so many programs of a kernel at most; its last argument is then the number of all tiles."""
    for launch in rw.walk_list(module, LAUNCH):
        if ir.FlatSymbolRefAttr(launch.attributes["kernel"]).value != name:
            continue
        tiles, *others = launch.operands
        with ir.InsertionPoint(launch), launch.location:
            few = arith.minui(tiles, rw.index(programs))
            types = [result.type for result in launch.results]
            new = rebuild(launch, [few, *others, tiles], types)
        for old, result in zip(launch.results, new.results, strict=True):
            old.replace_all_uses_with(result)
        launch.erase()


def _check_registers(roles: Roles, most: int) -> None:
    """Refuse tiles that a consumer has no registers for.

    Registers of all products are taken at the same time, and so are those of factors that are no tiles in
    shared memory.
    """
    for loop in roles.loops:
        tiles, factors = [], dict[ir.Value, None]()
        for dot in rw.walk_list(loop, "tt.dot"):
            begins = rw.definer(dot.operands[2])
            if begins is None or begins.name != dot.name:  # others add to what is counted
                tiles.append(tile_of(dot.results[0]))
            factor = rw.definer(dot.operands[0])
            if factor is None or factor.name != LOAD:
                factors[dot.operands[0]] = None  # once, if several products have it
        needed = needed_registers([*tiles, *map(tile_of, factors)])
        if needed > most:
            rule = f"needs about {needed} registers of a thread, which may have {most}: tiles are too large"
            raise PassFailure(loop, rule)


class _Specialized:
    """Builds the kernel anew, with its warps' roles."""

    def __init__(self, roles: Roles, stages: int, registers: tuple[int, int], is_persistent: bool):
        self.roles, self.stages, self.registers = roles, stages, registers
        self.is_persistent = is_persistent

    def build(self, row_buffers: int) -> ir.Operation:
        """Add the kernel at the insertion point."""
        roles = self.roles
        old = roles.function
        types = [self._parameter(argument) for argument in roles.block.arguments]
        given = list(old.attributes["arg_attrs"])
        # The number of all tiles comes after the other arguments, and before descriptors.
        at = next((n for n, type_ in enumerate(types) if lo.is_descriptor(type_)), len(types))
        more = [tt.integer(32)] if self.is_persistent else []
        types[at:at] = more
        given[at:at] = [ir.DictAttr.get({}) for _ in more]
        attributes = {
            "function_type": ir.TypeAttr.get(ir.FunctionType.get(types, [])),
            "arg_attrs": ir.ArrayAttr.get(given),
        }
        new = rebuild(old, [], [], attributes)
        block = new.regions[0].blocks.append(*types)
        with ir.InsertionPoint(block):
            self.memory = SharedMemory(roles, self.stages, row_buffers, self.is_persistent)
            arguments = list(block.arguments)
            tiles = [arguments.pop(at) for _ in more]
            self._partitions([*arguments, *self.memory.values, *tiles])
            tt.ret()
        return new

    def _parameter(self, argument: ir.Value) -> ir.Type:
        """The type of a parameter: descriptors know layouts in shared memory, and those of rows copy 64."""
        if not lo.is_descriptor(argument.type):
            return argument.type
        was = lo.descriptor_of(argument.type)
        uses = [use.owner.operation for use in argument.uses]
        of_rows = {op.name == STORE or self.roles.is_resident(op) for op in uses}
        if len(of_rows) > 1:
            raise PassFailure(uses[0], "unsupported: tiles of rows and of keys by one descriptor")
        box = box_of_group(was.box) if True in of_rows else was.box
        layout = lo.shared(lo.row_bytes(box, was.dtype), lo.bits_of(was.dtype))
        return lo.descriptor_type(dataclasses.replace(was, box=box, layout=layout))

    def _partitions(self, captures: list[ir.Value]) -> None:
        groups = self.roles.consumers
        consumer, producer = self.registers
        with_warps = [4] * (groups - 1) + [1]
        registers = [consumer] * (groups - 1) + [producer]
        op = ir.Operation.create(
            "ttg.warp_specialize",
            operands=captures,
            attributes={
                "partitionNumWarps": numbers(with_warps),
                "requestedRegisters": numbers(registers),
            },
            regions=2,
        )
        with ir.InsertionPoint(op.regions[0].blocks.append()):
            Consumer(self.roles, self.memory, captures, 0).run()
            tt.create("ttg.warp_yield", [], [])
        with ir.InsertionPoint(op.regions[1].blocks.append()):
            holder = ir.Operation.create("ttg.warp_specialize.partitions", regions=groups)
        for number, region in enumerate(holder.regions):
            block = region.blocks.append(*(value.type for value in captures))
            with ir.InsertionPoint(block):
                given = list(block.arguments)
                if number == groups - 1:
                    Producer(self.roles, self.memory, given).run()
                else:
                    Consumer(self.roles, self.memory, given, number + 1).run()
                tt.create("ttg.warp_return", [], [])
