"""One tile program as a `tt.func`: its parameters, grid, control flow, loads and stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.elementwise import LIBRARIES, evaluate
from aecompiler.backends.triton.kernel_text import NUM_WARPS
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.memory import (
    ALIGNMENT,
    Global,
    Region,
    bytes_of,
    gather,
    memory_of,
    parameters_of,
)
from aecompiler.backends.triton.parts import part_of, put, take
from aecompiler.backends.triton.structured import Structured
from aecompiler.backends.triton.tiles import Tile
from aecompiler.bindings import arith, ir, scf
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.structured_ops import UnsupportedTile, is_structured, operand_loops
from aecompiler.passes.tile_rows import OPERAND

_PURE = ("arith.", "math.")

MOST_NUMBER = ln.MOST_SIZE
"""Loops go no further to either side: they count tiles."""


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """The options of `convert-tiles-to-tt`."""

    precision: str
    library: str
    section: int
    least_value_features: int
    odd_warps: int


Entry = Lanes | Tile | Global
"""What a value of the tile program is in the kernel."""


class KernelBuilder:
    """Builds the kernel of an `scf.forall`. `arguments` are the host's values for its parameters."""

    def __init__(self, loop: ir.Operation, name: str, options: KernelOptions):
        self.loop, self.name, self.options = loop, name, options
        self.library = LIBRARIES[options.library]
        self.entries: dict[ir.Value, Entry] = {}
        self.arguments: list[ir.Value] = []
        """The host's values for the parameters."""
        self.outputs: list[int] = []
        self.outside: dict[ir.Value, ir.Operation] = {}
        """Constants and scalars from outside that are computed again, operands first."""
        body = loop.regions[0].blocks[0]
        rank = len(body.arguments) - len(loop.results)
        self.least = _least_sizes(loop, options.least_value_features)
        self.positions = list(body.arguments)[:rank]
        self.outs = list(body.arguments)[rank:]
        operands = list(loop.operands)
        self.inits = [_own_memory(init) for init in operands[len(operands) - len(self.outs) :]]
        dynamic = iter(operands)
        self.bounds: list[int | ir.Value] = [
            next(dynamic) if bound == rw.DYNAMIC else bound for bound in loop.attributes["staticUpperBound"]
        ]
        self.body = body

    def build(self) -> None:
        """Add the `tt.func` at the insertion point."""
        lows, steps = (list(self.loop.attributes[f"static{each}"]) for each in ("LowerBound", "Step"))
        if any(lows) or any(step != 1 for step in steps):
            raise PassFailure(self.loop, "unsupported: a grid with bounds or steps that are not 0, n and 1")
        types: list[ir.Type] = []
        multiples: list[int] = []
        counts = []
        self.arguments = self._captured()
        for value in self.arguments:
            if isinstance(value.type, ir.RankedTensorType):
                added, known = parameters_of(value.type)
            else:
                added, known = [_parameter(value.type)], [1]
            types += added
            multiples += known
            counts.append(len(added))
        block = tt.func(self.name, types, multiples)
        if self.options.odd_warps and _has_odd_rows(self.loop):
            warps = ir.IntegerAttr.get(tt.integer(32), self.options.odd_warps)
            block.owner.operation.attributes[NUM_WARPS] = warps
        with ir.InsertionPoint(block):
            self._bind(block, counts)
            self._enter_grid()
            self._block(self.body)
            tt.ret()

    @property
    def reads_narrow_floats(self) -> bool:
        """Whether there is an argument of floats of fewer than 32 bits."""
        elements = [getattr(value.type, "element_type", value.type) for value in self.arguments]
        return any(str(element) in ("f16", "bf16") for element in elements)

    # ---- parameters ------------------------------------------------------------------------------

    def _captured(self) -> list[ir.Value]:
        """Values from outside that become arguments: tensors, sizes of tensors, scalars.

        Scalars that are computed from others are computed again in the kernel, where their ranges follow.
        """
        found: dict[ir.Value, None] = {}
        inside: set[ir.Block] = {self.body}
        operations = rw.walk_list(self.loop)
        for op in operations:
            inside.update(block for region in op.regions for block in region.blocks)

        def visit(value: ir.Value) -> None:
            if _block_of(value) in inside or value in found:
                return
            if not isinstance(value.owner, ir.Block):
                op = value.owner.operation
                is_tensor = isinstance(value.type, ir.RankedTensorType)
                if op.name == "arith.constant" or (
                    not is_tensor and (op.name.startswith(_PURE) or op.name == "tensor.extract")
                ):
                    if value not in self.outside:
                        for operand in op.operands:
                            visit(operand)
                        self.outside[value] = op
                    return
            found[value] = None

        for value in (*self.bounds, *self.inits):
            if not isinstance(value, int):
                visit(value)
        for op in operations:
            for operand in op.operands:
                visit(operand)
        for op in operations:  # sizes that are asked for inside are arguments as well
            if op.name == "tensor.dim" and _block_of(op.operands[0]) not in inside:
                found.setdefault(self._size_outside(op))
        return list(found)

    def _size_outside(self, op: ir.Operation) -> ir.Value:
        """The size that a `tensor.dim` inside asks for, as a value of the host."""
        with ir.InsertionPoint(self.loop), op.location:
            axis = rw.constant_value(op.operands[1])
            if axis is None:
                raise UnsupportedTile("the size of a dimension that varies")
            size = rw.dim(op.operands[0], axis)
        op.results[0].replace_all_uses_with(size)
        return size

    def _bind(self, block: ir.Block, counts: Sequence[int]) -> None:
        """What the parameters of the kernel stand for."""
        parameters = list(block.arguments)
        at = 0
        for value, count in zip(self.arguments, counts, strict=True):
            given = parameters[at : at + count]
            at += count
            if isinstance(value.type, ir.RankedTensorType):
                self.entries[value] = memory_of(value.type.element_type, given)
            elif isinstance(value.type, ir.IndexType):
                is_size = not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tensor.dim"
                limits = (0, ln.MOST_SIZE) if is_size else ln.type_range(tt.integer(32))
                self.entries[value] = ln.number(given[0], (), limits)
            else:
                self.entries[value] = Lanes(_from_parameter(given[0], value.type))
        for op in self.outside.values():
            self._run(op)
        for out, init in zip(self.outs, self.inits, strict=True):
            self.entries[out] = self.entries[init]
            self.outputs.append(self.arguments.index(init))

    # ---- the grid --------------------------------------------------------------------------------

    def _enter_grid(self) -> None:
        """The positions of this program in the grid of the loop, from its number.

        The last position moves slowest within a section of some of the others: neighbours read the same keys,
        and the tiles that come first, which are the longest, are started first.
        """
        *outer, last = [
            ln.constant(bound) if isinstance(bound, int) else self.lanes(bound) for bound in self.bounds
        ]
        pid = ln.number(tt.program_id(0), (), (0, (1 << 31) - 1))
        everything = ln.constant(1)
        for bound in outer:
            everything = self._int("muli", everything, bound)
        # of `everything`, sections of a few; in a section all tiles
        few = ln.constant(self.options.section)
        in_section = self._int("muli", few, last)
        section = self._int("divui", pid, in_section)
        rest = self._int("remui", pid, in_section)
        first = self._int("muli", section, few)
        here = self._int("minsi", few, self._int("subi", everything, first))
        here = self._int("maxsi", here, ln.constant(1))
        tile = self._int("divui", rest, here)
        number = self._int("addi", first, self._int("remui", rest, here))
        self.entries[self.positions[-1]] = _within(tile, last)
        for position, bound in zip(self.positions[-2::-1], outer[::-1], strict=True):
            self.entries[position] = _within(self._int("remui", number, bound), bound)
            number = self._int("divui", number, bound)

    def _int(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        return ln.compute(op, a, b, ())

    def register_sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """What sizes are rounded up to in registers."""
        return tuple(max(tt.register_size(size), self.least.get(size, 0)) for size in sizes)

    # ---- values ----------------------------------------------------------------------------------

    def entry(self, value: ir.Value) -> Entry:
        """What a value is in the kernel."""
        if value not in self.entries:
            raise UnsupportedTile(f"a value of type {value.type} that is not known here")
        return self.entries[value]

    def lanes(self, value: ir.Value) -> Lanes:
        """The scalar that a value is."""
        found = self.entry(value)
        if not isinstance(found, Lanes):
            raise UnsupportedTile(f"a tensor as a scalar: {value.type}")
        return found

    def tile(self, value: ir.Value) -> Tile:
        """The tile that a tensor is."""
        found = self.entry(value)
        if isinstance(found, Global):
            rank = len(found.strides) + 1
            shape = tuple(ir.RankedTensorType(value.type).shape)
            if rw.DYNAMIC in shape or not shape:
                raise UnsupportedTile("a tensor in memory that is not cut into tiles")
            offsets = (ln.constant(0),) * rank
            region = Region(
                found, offsets, tuple(range(rank)), shape, self.register_sizes(shape), (None,) * rank
            )
            return Tile(region.load(), None, shape, clean=True)
        if not isinstance(found, Tile):
            raise UnsupportedTile(f"a scalar as a tile: {value.type}")
        return found

    def memory(self, value: ir.Value) -> Global:
        """The tensor in memory that a value is."""
        found = self.entry(value)
        if not isinstance(found, Global):
            raise UnsupportedTile("elements of a tensor that is not in memory")
        return found

    def gather(self, op: ir.Operation, places: Sequence[Lanes], sizes: Sequence[int]) -> Lanes:
        """`tensor.extract` from a tensor in memory."""
        memory = self.memory(op.operands[0])
        found = gather(memory, places, sizes)
        if isinstance(op.results[0].type, ir.IndexType):
            return ln.number(found.value, found.loops, (-(1 << 63), (1 << 63) - 1))
        return found

    # ---- operations ------------------------------------------------------------------------------

    def _block(self, block: ir.Block) -> None:
        """All operations of a block but the terminator of a nested one."""
        for view in block.operations:
            if view.operation.name != "scf.yield":
                self._run(view.operation)

    def _run(self, op: ir.Operation) -> None:
        with op.location:
            try:
                self._operation(op)
            except UnsupportedTile as reason:
                raise PassFailure(op, f"unsupported in a kernel: {reason}") from None
            except TypeError as reason:
                raise PassFailure(op, f"has no valid form in Triton's dialect: {reason}") from None

    def _operation(self, op: ir.Operation) -> None:
        handler = _HANDLERS.get(op.name)
        if handler is not None:
            handler(self, op)
        elif is_structured(op) and isinstance(op.results[0].type, ir.RankedTensorType):
            for result, tile in zip(op.results, Structured(self, op).build(), strict=True):
                self.entries[result] = tile
        elif op.name.startswith(_PURE):
            operands = [self.lanes(operand) for operand in op.operands]
            self.entries[op.results[0]] = evaluate(op, operands, (), self.library)
        else:
            raise UnsupportedTile(f"'{op.name}'")

    def _empty(self, op: ir.Operation) -> None:
        zero = tt.constant(_stored(op.results[0].type.element_type), 0)
        self.entries[op.results[0]] = Tile(None, Lanes(zero), tuple(op.results[0].type.shape))

    def _constant(self, op: ir.Operation) -> None:
        type_ = op.results[0].type
        if not isinstance(type_, ir.RankedTensorType):
            self.entries[op.results[0]] = evaluate(op, (), (), self.library)
            return
        attribute = op.attributes["value"]
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            raise UnsupportedTile("a tensor of different constants")
        number = attribute.get_splat_value().value
        scalar = Lanes(tt.constant(_stored(type_.element_type), number))
        self.entries[op.results[0]] = Tile(None, scalar, tuple(type_.shape))

    def _fill(self, op: ir.Operation) -> None:
        shape = tuple(op.results[0].type.shape)
        self.entries[op.results[0]] = Tile(None, self.lanes(op.operands[0]), shape)

    def _extract(self, op: ir.Operation) -> None:
        source = self.entry(op.operands[0])
        if isinstance(source, Tile) and not source.shape:
            self.entries[op.results[0]] = source.scalar()
            return
        places = [self.lanes(place) for place in list(op.operands)[1:]]
        self.entries[op.results[0]] = self.gather(op, places, ())

    def _extract_slice(self, op: ir.Operation) -> None:
        source = self.entry(op.operands[0])
        if isinstance(source, Tile):
            self.entries[op.results[0]] = self._part_of_tile(op, source)
            return
        offsets, sizes, kept = self._slice_of(op)
        if not isinstance(source, Global):
            raise UnsupportedTile("a part of a scalar")
        shape, limits = [], []
        for position, axis in enumerate(kept):
            size = sizes[axis]
            whole = _size_of_tile(op.results[0], position)
            if whole is None and not isinstance(size, int):
                raise UnsupportedTile("a part of a tensor that is not padded to a known size")
            shape.append(size if whole is None and isinstance(size, int) else whole or 0)
            limits.append(None if whole in (None, size) else self._as_lanes(size))
        padded = self.register_sizes(shape)
        region = Region(source, tuple(offsets), tuple(kept), tuple(shape), padded, tuple(limits))
        self.entries[op.results[0]] = Tile(region.load(), None, tuple(shape), True, tuple(limits))

    def _part_of_tile(self, op: ir.Operation, source: Tile) -> Tile:
        """A part of known size, or of a size that is known in the kernel only, from the first element on."""
        sizes = self._mixed(op, 1)[1]
        full = tuple(
            size if isinstance(size, int) else whole for size, whole in zip(sizes, source.shape, strict=True)
        )
        part = part_of(op, full)
        known = source.limits or (None,) * len(sizes)
        limits: list[Lanes | None] = []
        for axis, (size, limit) in enumerate(zip(sizes, known, strict=True)):
            is_known = isinstance(size, int) and limit is None
            if not part.is_beginning(axis) and not is_known:
                raise UnsupportedTile("a part of a tile of unknown size that is not its beginning")
            limits.append(limit if size == source.shape[axis] else size if isinstance(size, Lanes) else None)
        taken = take(source, part, self.register_sizes(full))
        is_clean = source.clean and full == source.shape
        return dataclasses.replace(taken, limits=tuple(limits), clean=is_clean)

    def _insert_slice(self, op: ir.Operation) -> None:
        small, tile = self.tile(op.operands[0]), self.tile(op.operands[1])
        part = part_of(op, small.shape)
        if small.has_limits or tile.has_limits or any(step != 1 for step in part.steps):
            raise UnsupportedTile("a tile that is put into others with steps, or whose size is not known")
        padded, own = (self.register_sizes(each.shape) for each in (tile, small))
        self.entries[op.results[0]] = put(small, tile, part, padded, own)

    def _as_lanes(self, size: int | Lanes) -> Lanes:
        return ln.constant(size) if isinstance(size, int) else size

    def _slice_of(self, op: ir.Operation) -> tuple[list[Lanes], list[int | Lanes], list[int]]:
        """Offsets, sizes and the kept dimensions of a slice whose steps are 1."""
        places, sizes, steps = self._mixed(op, 1 if op.name == "tensor.extract_slice" else 2)
        offsets = [self._as_lanes(place) for place in places]
        if any(step != 1 for step in steps):
            raise UnsupportedTile("a slice with steps")
        small = op.results[0].type if op.results else op.operands[0].type
        kept = _kept(sizes, list(small.shape))
        return offsets, sizes, kept

    def _mixed(self, op: ir.Operation, fixed: int) -> list[list[int | Lanes]]:
        """Offsets, sizes and steps of a slice; its first `fixed` operands are tensors."""
        dynamic = iter(list(op.operands)[fixed:])
        return [
            [self.lanes(next(dynamic)) if value == rw.DYNAMIC else value for value in op.attributes[name]]
            for name in ("static_offsets", "static_sizes", "static_strides")
        ]

    def _pad(self, op: ir.Operation) -> None:
        """A tile with zeros where the tensor has nothing."""
        source = self.tile(op.operands[0])
        shape = tuple(op.results[0].type.shape)
        *_, terminator = op.regions[0].blocks[0].operations
        value = rw.float_value(terminator.operands[0])
        if value is None:
            value = rw.constant_value(terminator.operands[0])
        if value != 0 or any(list(op.attributes["static_low"])) or source.shape != shape:
            raise UnsupportedTile("padding other than by zeros after a part of a tensor in memory")
        if source.clean or not source.has_limits:
            self.entries[op.results[0]] = dataclasses.replace(source, limits=())
            return
        padded = self.register_sizes(source.shape)
        lanes = source.whole(padded)
        for axis, limit in enumerate(source.limits):
            if limit is not None:
                position = ln.number(tt.make_range(padded[axis]), (axis,), (0, padded[axis] - 1))
                inside = ln.less(position, limit, padded)
                zero = Lanes(tt.constant(lanes.element, 0))
                lanes = ln.choose(inside, lanes, zero, padded)
        self.entries[op.results[0]] = Tile(lanes.value, None, shape)

    def _dim(self, op: ir.Operation) -> None:
        """The size of a tile; those of tensors in memory are arguments."""
        if isinstance(self.entries.get(op.operands[0]), Global):
            return
        tile = self.tile(op.operands[0])
        axis = rw.constant_value(op.operands[1])
        if axis is None:
            raise UnsupportedTile("the size of a dimension that varies")
        limit = tile.limits[axis] if tile.limits else None
        self.entries[op.results[0]] = limit or ln.constant(tile.shape[axis])

    def _for(self, op: ir.Operation) -> None:
        lower, upper, step, *inits = op.operands
        low, high = self.lanes(lower), self.lanes(upper)
        low, high = (self._int("minsi", each, ln.constant(MOST_NUMBER)) for each in (low, high))
        low, high = (self._int("maxsi", each, ln.constant(-MOST_NUMBER)) for each in (low, high))
        bounds = [ln.narrow(each) for each in (low, high, self.lanes(step))]
        if any(bound is None for bound in bounds):
            raise UnsupportedTile("a loop whose bounds do not fit 32 bits")
        assert low.range is not None
        assert high.range is not None
        block = op.regions[0].blocks[0]
        iv, *carried = block.arguments
        starts = [self._carried(init) for init in inits]
        loop = scf.ForOp(*bounds, [each.value for each in starts])
        with ir.InsertionPoint(loop.body):
            limits = (low.range[0], max(high.range[1] - 1, low.range[0]))
            self.entries[iv] = ln.number(loop.induction_variable, (), limits)
            for argument, init, value in zip(carried, inits, loop.inner_iter_args, strict=True):
                self.entries[argument] = self._received(init.type, value)
            self._block(block)
            *_, terminator = block.operations
            scf.YieldOp([self._carried(value).value for value in terminator.operands])
        for result, value in zip(op.results, loop.results, strict=True):
            self.entries[result] = self._received(result.type, value)

    def _if(self, op: ir.Operation) -> None:
        condition = self.lanes(op.operands[0])
        types = [self._carried_type(result.type) for result in op.results]
        has_else = len(op.regions[1].blocks) > 0
        branch = scf.IfOp(condition.value, types, has_else=has_else)
        for region, new in zip(op.regions, (branch.then_block, branch.else_block), strict=True):
            if not len(region.blocks):
                continue
            with ir.InsertionPoint(new):
                self._block(region.blocks[0])
                *_, terminator = region.blocks[0].operations
                scf.YieldOp([self._carried(value).value for value in terminator.operands])
        for result, value in zip(op.results, branch.results, strict=True):
            self.entries[result] = self._received(result.type, value)

    def _carried(self, value: ir.Value) -> Lanes:
        """A value as control flow hands it on: a tensor of the tile's shape, a number in 64 bits."""
        if isinstance(value.type, ir.RankedTensorType):
            tile = self.tile(value)
            return tile.whole(self.register_sizes(tile.shape))
        lanes = self.lanes(value)
        return Lanes(ln.wide(lanes)) if lanes.range is not None else lanes

    def _carried_type(self, type_: ir.Type) -> ir.Type:
        if isinstance(type_, ir.RankedTensorType):
            return tt.typed(self.register_sizes(type_.shape), type_.element_type)
        return tt.integer(64) if isinstance(type_, ir.IndexType) else type_

    def _received(self, type_: ir.Type, value: ir.Value) -> Entry:
        if isinstance(type_, ir.RankedTensorType):
            if not type_.shape:
                return Tile(None, Lanes(value), ())
            return Tile(value, None, tuple(type_.shape))
        if isinstance(type_, ir.IndexType):
            return ln.number(value, (), (-(1 << 63), (1 << 63) - 1))
        return Lanes(value)

    def _in_parallel(self, op: ir.Operation) -> None:
        for view in op.regions[0].blocks[0].operations:
            with view.location:
                self._insert(view.operation)

    def _insert(self, op: ir.Operation) -> None:
        """The store of a tile."""
        tile, target = self.tile(op.operands[0]), self.memory(op.operands[1])
        offsets, _, kept = self._slice_of(op)
        limits = tile.limits or (None,) * len(tile.shape)
        padded = self.register_sizes(tile.shape)
        region = Region(target, tuple(offsets), tuple(kept), tile.shape, padded, limits)
        region.store(tile.whole(padded).value)

    def _cast(self, op: ir.Operation) -> None:
        self.entries[op.results[0]] = self.entry(op.operands[0])


_HANDLERS = {
    "tensor.empty": KernelBuilder._empty,
    "arith.constant": KernelBuilder._constant,
    "linalg.fill": KernelBuilder._fill,
    "tensor.extract": KernelBuilder._extract,
    "tensor.extract_slice": KernelBuilder._extract_slice,
    "tensor.insert_slice": KernelBuilder._insert_slice,
    "tensor.pad": KernelBuilder._pad,
    "tensor.dim": KernelBuilder._dim,
    "tensor.cast": KernelBuilder._cast,
    "scf.for": KernelBuilder._for,
    "scf.if": KernelBuilder._if,
    "scf.forall.in_parallel": KernelBuilder._in_parallel,
}


def _own_memory(init: ir.Value) -> ir.Value:
    """A `tensor.empty` for an output alone: of one that is shared, each output would be the other."""
    op = None if isinstance(init.owner, ir.Block) else init.owner.operation
    if op is None or op.name != "tensor.empty":
        raise PassFailure(op or init.owner.owner.operation, "unsupported: a grid that writes into a tensor")
    with ir.InsertionPoint(op), op.location:
        return op.clone().results[0]


def _operands(loop: ir.Operation) -> Iterator[tuple[str, ir.RankedTensorType]]:
    """The tiles of q, k and v, with their names."""
    for op in rw.walk_list(loop, "tensor.extract_slice"):
        if OPERAND in op.attributes:
            yield ir.StringAttr(op.attributes[OPERAND]).value, op.results[0].type


def _has_odd_rows(loop: ir.Operation) -> bool:
    """Whether rows of q, k or v in 16 bits are no multiple of 16 bytes, and not copied asynchronously."""
    return any(
        bytes_of(shaped.element_type) == 2 and shaped.shape[-1] * 2 % ALIGNMENT
        for _, shaped in _operands(loop)
    )


def _least_sizes(loop: ir.Operation, features: int) -> dict[int, int]:
    """To what sizes are rounded up beyond what is needed: those of the features of v, in 16 bits."""
    return {
        shaped.shape[-1]: features
        for name, shaped in _operands(loop)
        if name == "v" and str(shaped.element_type) in ("f16", "bf16")
    }


def _block_of(value: ir.Value) -> ir.Block:
    """The block in which a value is defined."""
    owner = value.owner
    return owner if isinstance(owner, ir.Block) else owner.operation.block


def _size_of_tile(part: ir.Value, axis: int) -> int | None:
    """The size that a part of a tensor is padded to, wherever it is; None if it is not."""
    for use in part.uses:
        user = use.owner.operation
        if user.name == "tensor.pad":
            size = user.results[0].type.shape[axis]
            if size != rw.DYNAMIC:
                return size
        if not is_structured(user) or not user.results:
            continue
        loops = operand_loops(user)
        loop = loops[use.operand_number][axis]
        for result, out in zip(user.results, loops[len(loops) - len(user.results) :], strict=True):
            found = _size_of_tile(result, out.index(loop)) if loop in out else None
            if found is not None:
                return found
    return None


def _kept(sizes: Sequence[int | Lanes], small: Sequence[int]) -> list[int]:
    """Which dimensions of a slice are those of a tensor of fewer dimensions: those dropped have size 1."""
    kept: list[int] = []
    for axis, size in enumerate(sizes):
        left = len(sizes) - axis - 1
        missing = len(small) - len(kept)
        static = rw.DYNAMIC if isinstance(size, Lanes) else size
        if missing and small[len(kept)] == static and not (static == 1 and left >= missing):
            kept.append(axis)
        elif static != 1:
            raise UnsupportedTile("a slice whose kept dimensions are not clear")
    if len(kept) != len(small):
        raise UnsupportedTile("a slice whose kept dimensions are not clear")
    return kept


def _within(position: Lanes, bound: Lanes) -> Lanes:
    """A position of the grid, known to be less than the bound's largest value."""
    assert bound.range is not None
    return ln.number(position.value, (), (0, max(bound.range[1] - 1, 0)))


def _stored(type_: ir.Type) -> ir.Type:
    return tt.integer(64) if isinstance(type_, ir.IndexType) else type_


def _parameter(type_: ir.Type) -> ir.Type:
    """The type of a kernel's parameter for a scalar of a type."""
    if isinstance(type_, ir.IndexType):
        return tt.integer(32)
    if type_ == tt.integer(1):
        return tt.integer(8)
    if str(type_) in ("f16", "bf16"):
        return tt.integer(16)
    return type_


def _from_parameter(value: ir.Value, type_: ir.Type) -> ir.Value:
    if type_ == tt.integer(1):
        return arith.cmpi(arith.CmpIPredicate.ne, value, tt.constant(value.type, 0))
    return arith.bitcast(type_, value) if value.type != type_ else value
