"""One tile program as a `tt.func`: its parameters, its grid, and what values are in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import control_flow, tensor_operations
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.descriptors import Descriptors
from aecompiler.backends.triton.elementwise import LIBRARIES, evaluate
from aecompiler.backends.triton.kernel_abi import ALIGNMENT, ITEM_BYTES, LAUNCH, MOST_SIZE
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.memory import (
    Global,
    Region,
    gather,
    memory_of,
    parameters_of,
)
from aecompiler.backends.triton.stores import early_stores
from aecompiler.backends.triton.structured import Structured
from aecompiler.backends.triton.tiles import Tile
from aecompiler.backends.triton.windows import Window
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_program import CHUNKS
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.structured_ops import UnsupportedTile, is_structured

_PURE = ("arith.", "math.")
_READS = ("tensor.extract_slice", "tensor.extract", "tensor.dim", LAUNCH)
"""Uses of a tensor by which a kernel reads it, or its sizes are asked for."""

_OPERAND_RANK = 4
"""The dimensions of q, k and v: batch, head, sequence, feature."""

_PROGRAMS = (0, (1 << 31) - 1)
"""The numbers of programs that a launch can have."""


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """The options of `convert-tiles-to-tt`."""

    precision: str
    library: str
    section: int
    pairs: bool
    descriptors: bool
    chunk_stages: int
    chunk_shared_bytes: int


Entry = Lanes | Tile | Global | Window
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
        self.stored: set[ir.Operation] = set()
        """Insertions at the end of the grid that are done before."""
        self.outside: dict[ir.Value, ir.Operation] = {}
        """Constants and scalars from outside that are computed again, operands first."""
        body = loop.regions[0].blocks[0]
        rank = len(body.arguments) - len(loop.results)
        self.positions = list(body.arguments)[:rank]
        self.outs = list(body.arguments)[rank:]
        operands = list(loop.operands)
        self.inits = [_own_memory(init, loop) for init in operands[len(operands) - len(self.outs) :]]
        dynamic = iter(operands)
        self.bounds: list[int | ir.Value] = [
            next(dynamic) if bound == rw.DYNAMIC else bound for bound in loop.attributes["staticUpperBound"]
        ]
        self.body = body
        self.function: ir.Operation
        self.descriptors = Descriptors(self)
        self.has_chunks = any(CHUNKS in each.attributes for each in (loop, *rw.walk_list(loop, "scf.for")))
        """Whether the program is a part of a chunked recurrence."""

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
            added, known = parameters_of(value.type)
            types += added
            multiples += known
            counts.append(len(added))
        self.function = tt.func(self.name, types)
        block = self.function.regions[0].blocks[0]
        with ir.InsertionPoint(block):
            self._bind(block, counts)
            self._enter_grid()
            self.block(self.body)
            tt.ret()
        described = self.descriptors.arguments
        if described:  # there is no other form of the kernel: what else is read may lie anywhere
            fixed = {n for n, value in enumerate(self.arguments) if self._is_own_memory(value)}
            known = [n in (*described, *fixed) for n, count in enumerate(counts) for _ in range(count)]
            multiples = [each if has else 1 for each, has in zip(multiples, known, strict=True)]
        tt.promise(self.function, [*multiples, *[1] * len(described)])

    def _is_own_memory(self, value: ir.Value) -> bool:
        """Whether a tensor is made for kernels alone, so that all its rows begin at multiples of 16 bytes."""
        if isinstance(value.owner, ir.Block) or not isinstance(value.type, ir.RankedTensorType):
            return False
        made, shape = value.owner.operation, value.type.shape
        if made.name == "tensor.empty" and value in self.inits:
            value = self.loop.results[self.inits.index(value)]
        elif made.name != LAUNCH:
            return False
        row_bytes = shape[-1] * ITEM_BYTES.get(str(value.type.element_type), 1) if shape else 0
        read = all(use.owner.operation.name in _READS for use in value.uses)
        return read and shape[-1] != rw.DYNAMIC and row_bytes % ALIGNMENT == 0

    @property
    def reads_narrow_floats(self) -> bool:
        """Whether there is an argument of floats of fewer than 32 bits."""
        elements = [getattr(value.type, "element_type", value.type) for value in self.arguments]
        return any(str(element) in ("f16", "bf16") for element in elements)

    @property
    def rounds_chunks(self) -> bool:
        """Whether factors of products of chunks are rounded to bf16, as q, k and v are in memory.

        Gates of that type say nothing of the factors; they have fewer dimensions, but for those of features.
        """
        tensors = [each.type for each in self.arguments if isinstance(each.type, ir.RankedTensorType)]
        return self.has_chunks and any(
            each.rank >= _OPERAND_RANK and str(each.element_type) == "bf16" for each in tensors
        )

    @property
    def precision(self) -> str:
        """How products of f32 are computed: for an inverse beside bf16 the digits of tf32 are enough."""
        return "tf32" if self.rounds_chunks else self.options.precision

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
        sizes = []
        at = 0
        for number, (value, count) in enumerate(zip(self.arguments, counts, strict=True)):
            given = parameters[at : at + count]
            at += count
            if isinstance(value.type, ir.RankedTensorType):
                self.entries[value] = memory_of(number, value.type.element_type, given)
            elif isinstance(value.type, ir.IndexType):
                is_size = not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tensor.dim"
                limits = (0, MOST_SIZE) if is_size else ln.type_range(tt.integer(32))
                sizes += [at - count] if is_size else []
                self.entries[value] = ln.number(given[0], (), limits)
            else:
                self.entries[value] = Lanes(_from_parameter(given[0], value.type))
        if sizes:
            self.function.attributes[kir.SIZES] = ir.DenseI64ArrayAttr.get(sizes)
        for op in self.outside.values():
            self._run(op)
        for out, init in zip(self.outs, self.inits, strict=True):
            self.entries[out] = self.entries[init]
            self.outputs.append(self.arguments.index(init))

    # ---- the grid --------------------------------------------------------------------------------

    def _enter_grid(self) -> None:
        """The positions of this program in the grid of the loop, from its number.

        Where the last position decides how much a program has to do, it moves slowest within a section of
        some of the others: neighbours read the same keys, and the tiles that come first, which are the
        longest, are started first. Otherwise it moves fastest.
        """
        *outer, last = [
            ln.constant(bound) if isinstance(bound, int) else self.lanes(bound) for bound in self.bounds
        ]
        pid = ln.number(tt.program_id(0), (), _PROGRAMS)
        everything = functools.reduce(_product, outer, ln.constant(1))
        is_even = not self._is_uneven()
        if is_even or self.options.section == 1:
            tiles = self._int("maxsi", last, ln.constant(1))
            number, tile = self._int("divui", pid, tiles), self._int("remui", pid, tiles)
        else:
            number, tile = self._in_sections(pid, everything, last)
        if self.options.pairs and not is_even:
            tile = self._paired(tile, last)
        self.entries[self.positions[-1]] = _within(tile, last)
        wide = [n for n, bound in enumerate(outer) if bound.range != (1, 1)]
        for place in range(len(outer) - 1, -1, -1):
            position, bound = self.positions[place], outer[place]
            if place in wide[:1]:  # no program is beyond the last of the slowest one
                self.entries[position] = _within(number, bound)
                number = ln.constant(0)
            else:
                self.entries[position] = _within(self._int("remui", number, bound), bound)
                number = self._int("divui", number, bound)

    def _is_uneven(self) -> bool:
        """Whether a loop turns as often as the last position of the grid says."""
        dependent = {self.positions[-1]}
        for op in rw.walk_list(self.loop):
            if op.name == "scf.for" and any(bound in dependent for bound in list(op.operands)[:2]):
                return True
            if any(operand in dependent for operand in op.operands):
                dependent.update(op.results)
        return False

    def _in_sections(self, pid: Lanes, everything: Lanes, last: Lanes) -> tuple[Lanes, Lanes]:
        """The number of a program among all but the last position, and its last position.

        Of `everything` there are sections of a few, and in a section all tiles.
        """
        few = self._int("minsi", ln.constant(self.options.section), everything)
        few = self._int("maxsi", few, ln.constant(1))
        in_section = self._int("maxsi", _product(few, last), ln.constant(1))
        section = self._int("divui", pid, in_section)
        rest = self._int("remui", pid, in_section)
        first = _product(section, few)
        here = self._int("minsi", few, self._int("subi", everything, first))
        here = self._int("maxsi", here, ln.constant(1))
        number, place = self._int("remui", rest, here), self._int("divui", rest, here)
        if self.options.pairs:
            number, place = self._pairs_in_section(rest, here, last)
        return _number_of_programs(arith.addi, first, number), place

    def _pairs_in_section(self, rest: Lanes, here: Lanes, last: Lanes) -> tuple[Lanes, Lanes]:
        """The same, where programs 2 n and 2 n + 1 have neighbouring places of one number.

        Of an odd number of places the last ones come last.
        """
        two, one = ln.constant(2), ln.constant(1)
        paired = _product(here, self._int("subi", last, self._int("remui", last, two)))
        is_paired = ln.less(rest, paired, ())
        pair, other = self._int("divui", rest, two), self._int("remui", rest, two)
        number = ln.choose(is_paired, self._int("remui", pair, here), self._int("subi", rest, paired), ())
        place = self._int("addi", _product(self._int("divui", pair, here), two), other)
        return number, ln.choose(is_paired, place, self._int("subi", last, one), ())

    def _paired(self, place: Lanes, last: Lanes) -> Lanes:
        """The tile at a place of the order first, last, second, last but one, ..."""
        half = self._int("divui", place, ln.constant(2))
        from_end = self._int("subi", self._int("subi", last, ln.constant(1)), half)
        is_even = ln.equal(self._int("remui", place, ln.constant(2)), ln.constant(0), ())
        return ln.choose(is_even, half, from_end, ())

    def _int(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        return ln.compute(op, a, b, ())

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
            if not shape:
                return Tile(None, gather(found, (), ()), ())
            if rw.DYNAMIC in shape:
                raise UnsupportedTile("a tensor in memory that is not cut into tiles")
            offsets = (ln.constant(0),) * rank
            region = Region(
                found, offsets, tuple(range(rank)), shape, tt.register_sizes(shape), (None,) * rank
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

    def gather(
        self, op: ir.Operation, places: Sequence[Lanes], sizes: Sequence[int], inside: Sequence[Lanes] = ()
    ) -> Lanes:
        """`tensor.extract` from a tensor in memory, where all of `inside` hold."""
        memory = self.memory(op.operands[0])
        found = gather(memory, places, sizes, inside)
        if isinstance(op.results[0].type, ir.IndexType):
            return ln.number(found.value, found.loops, (-(1 << 63), (1 << 63) - 1))
        return found

    @property
    def has_merged_tiles(self) -> bool:
        """Whether there are tiles whose first dimensions are one in registers."""
        return any(isinstance(each, Tile) and each.merged > 1 for each in self.entries.values())

    # ---- operations ------------------------------------------------------------------------------

    def block(self, block: ir.Block) -> None:
        """All operations of a block but the terminator of a nested one."""
        early = early_stores(self.loop, self.inits) if block == self.body else {}
        self.stored.update(insertion for each in early.values() for insertion in each)
        for number, view in enumerate(block.operations):
            if view.operation.name != "scf.yield":
                self._run(view.operation)
            for insertion in early.get(number, ()):
                self._run(insertion)

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


_HANDLERS = {**tensor_operations.HANDLERS, **control_flow.HANDLERS}


def _own_memory(init: ir.Value, loop: ir.Operation) -> ir.Value:
    """The tensor that a kernel writes: one that exists before and that nothing else in the grid needs, or a
    `tensor.empty` for an output alone, since of one that is shared, each output would be the other."""
    op = rw.definer(init)
    if op is None or op.name != "tensor.empty":
        uses = [operand for each in (loop, *rw.walk_list(loop)) for operand in each.operands]
        if uses.count(init) > 1:
            message = "unsupported: a grid that writes a tensor which it has under another name"
            raise PassFailure(loop, message)
        return init
    with ir.InsertionPoint(op), op.location:
        return op.clone().results[0]


def _block_of(value: ir.Value) -> ir.Block:
    """The block in which a value is defined."""
    owner = value.owner
    return owner if isinstance(owner, ir.Block) else owner.operation.block


def _product(a: Lanes, b: Lanes) -> Lanes:
    """A product that is a number of programs, of which there are no more than a launch can have."""
    return _number_of_programs(arith.muli, a, b)


def _number_of_programs(operation: Callable[..., ir.Value], a: Lanes, b: Lanes) -> Lanes:
    return ln.number(operation(*(ln.bits_32(each) for each in (a, b))), (), _PROGRAMS)


def _within(position: Lanes, bound: Lanes) -> Lanes:
    """A position of the grid, known to be less than the bound's largest value."""
    assert bound.range is not None
    return ln.number(position.value, (), (0, max(bound.range[1] - 1, 0)))


def _from_parameter(value: ir.Value, type_: ir.Type) -> ir.Value:
    if type_ == tt.integer(1):
        return arith.cmpi(arith.CmpIPredicate.ne, value, tt.constant(value.type, 0))
    return arith.bitcast(type_, value) if value.type != type_ else value
