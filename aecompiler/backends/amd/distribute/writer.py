"""Writes the kernel of one lane, value by value, in the layouts that were chosen before."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.access import Access, Pointer
from aecompiler.backends.amd.distribute.comparisons import compare_positions
from aecompiler.backends.amd.distribute.direct import ELEMENT_BYTES, Copies, DirectTile
from aecompiler.backends.amd.distribute.extracts import extract_tile
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.lane_positions import LanePositions
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.backends.amd.distribute.matrices import multiply
from aecompiler.backends.amd.distribute.offsets import Number, Sums
from aecompiler.backends.amd.distribute.operand_layouts import moved_source, repeated_source
from aecompiler.backends.amd.distribute.places import Choice, Places, is_tile
from aecompiler.backends.amd.distribute.reaches import REACH, Reaches
from aecompiler.backends.amd.distribute.reductions import reduce_tile, scan_tile
from aecompiler.backends.amd.distribute.shared_memory import Exchange, SharedMemory, Staged
from aecompiler.backends.amd.distribute.shuffles import shuffle
from aecompiler.backends.amd.distribute.votes import VOTE, vote_tile
from aecompiler.backends.triton.kernel_ir import SIZES
from aecompiler.bindings import arith, ir, load, scf, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.tile_program import RETRY

WORKGROUP = "#gpu.address_space<workgroup>"

REGISTERS = "amd.registers"
"""The attribute of a kernel that says how many vector registers a lane needs, as is estimated."""

SHARED_BYTES = "amd.shared_bytes"
"""The attribute of a kernel that says how many bytes of local memory it has."""


class Writer:
    """Writes a kernel of lanes behind a kernel on whole tiles."""

    def __init__(self, function: ir.Operation, choice: Choice, divisors: Sequence[int]):
        self.function, self.choice = function, choice
        self.old = function.regions[0].blocks[0]
        known = {
            argument: divisor
            for argument, divisor in zip(self.old.arguments, divisors, strict=True)
            if not isinstance(argument.type, ir.MemRefType)
        }
        sizes = ir.DenseI64ArrayAttr(function.attributes[SIZES]) if SIZES in function.attributes else ()
        self.sums = Sums(known, [self.old.arguments[number] for number in sizes])
        self.places = Places(function, choice, self.sums)
        self.numbers: dict[ir.Value, ir.Value] = {}
        """What scalars of the old kernel are in the new one."""
        self.pointers: dict[ir.Value, Pointer] = {}
        self.buffers: dict[ir.Value, list[Number]] = {}
        """Where buffers begin that were made of a memory."""
        self.memory: SharedMemory
        self.exchange: Exchange
        self.access = Access(self)
        self.reaches = Reaches(list(self.old.arguments), self.sums.scalars)
        self.fragments: dict[tuple[ir.Value, Layout], Fragment] = {}
        self.staged: dict[tuple[ir.Value, Layout], Staged] = {}
        self.tiles: dict[ir.Value, DirectTile] = {}
        """What loops hand on in local memory."""
        self._loops: list[ir.Operation] = []
        """The loops around what is being written, the innermost last."""
        self.lanes: LanePositions

    # ---- the kernel ------------------------------------------------------------------------------

    def write(self) -> ir.Operation:
        """The new kernel, at the insertion point."""
        gpu = load("dialects.gpu")
        i64 = ir.IntegerType.get_signless(64)
        pointer = ir.Type.parse("!llvm.ptr<1>")
        memrefs = [each for each in self.old.arguments if isinstance(each.type, ir.MemRefType)]
        types = [pointer if each in memrefs else each.type for each in self.old.arguments]
        threads = 64 << self.choice.waves
        function = gpu.GPUFuncOp(
            ir.FunctionType.get([*types, *[i64] * len(memrefs)], []),
            rw.symbol_name(self.function),
            kernel=True,
            known_block_size=[threads, 1, 1],
        )
        block = function.add_entry_block()
        parameters = list(block.arguments)
        sizes = iter(parameters[len(types) :])
        for old, new in zip(self.old.arguments, parameters, strict=False):
            if old in memrefs:
                self.pointers[old] = Pointer(new, next(sizes), old.type.element_type)
            else:
                self.numbers[old] = new
        arena = block.add_argument(_arena_type(1), self.function.location)
        function.attributes["workgroup_attributions"] = ir.IntegerAttr.get(i64, 1)
        with ir.InsertionPoint(block), self.function.location:
            self.lanes = LanePositions()
            self.memory = SharedMemory(arena)
            self.exchange = Exchange(
                self.memory, self.choice.target.lds_banks, lambda *of: self.lanes.position(*of)
            )
            self.block(self.old)
            gpu.ReturnOp([])
        used = self.memory.place()
        arena.set_type(_arena_type(max(used, 1)))
        function.operation.attributes[REACH] = self.reaches.attribute()
        function.operation.attributes[SHARED_BYTES] = ir.IntegerAttr.get(i64, used)
        return function.operation

    def number(self, number: Number, bits: int) -> ir.Value:
        """A sum of products of scalars, of i32 or i64."""
        type_ = ir.IntegerType.get_signless(bits)
        total = None
        for factors, count in number.items():
            term = fr.integer(count, bits) if count != 1 or not factors else None
            for factor in factors:
                value = fr.resized(self.scalar(self.sums.scalars[factor]), type_)
                term = value if term is None else arith.muli(term, value)
            assert term is not None
            total = term if total is None else arith.addi(total, term)
        return fr.integer(0, bits) if total is None else total

    def changes(self, value: ir.Value) -> bool:
        """Whether a scalar may be another one in each turn of the innermost loop that is being written."""
        if not self._loops:
            return False
        block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
        while True:
            owner = block.owner.operation
            if owner == self._loops[-1]:
                return True
            if owner == self.function:
                return False
            block = owner.block

    # ---- values ----------------------------------------------------------------------------------

    def scalar(self, value: ir.Value) -> ir.Value:
        """What a scalar of the old kernel is."""
        return self.numbers[value]

    def any_fragment(self, value: ir.Value) -> Fragment:
        """A value where it is."""
        layout = self.places.homes.get(value) or self.places.layouts(value)[0]
        return self.fragment(value, layout)

    def fragment(self, value: ir.Value, layout: Layout) -> Fragment:
        """A value in a layout that it was said to be needed in."""
        if (value, layout) in self.fragments:
            return self.fragments[value, layout]
        if (value, layout) in self.staged:
            return self.exchange.read(self.staged[value, layout], layout)
        if value in self.tiles:
            self.memory.use(self.tiles[value].copies.buffer)
            return self.tiles[value].read(layout, self.lanes.weigh)
        op = rw.definer(value)
        if op is not None and self._is_held(op):
            return Fragment(layout, self.fragment(op.operands[0], moved_source(op, layout)).parts)
        raise AssertionError(f"a value that nothing computed in {layout}: {value}")

    def define(self, value: ir.Value, fragment: Fragment) -> None:
        """Say what a value is, and bring it to all layouts that it is needed in."""
        self.fragments[value, fragment.layout] = fragment
        if value not in self.places.homes:
            return
        for layout in self.places.layouts(value):
            if (value, layout) in self.fragments:
                continue
            if fragment.layout.same_lanes(layout):
                self.fragments[value, layout] = _renumbered(fragment, layout)
                continue
            staged = self.exchange.write(fragment, layout)
            if self._is_read_at_once(value):
                self.fragments[value, layout] = self.exchange.read(staged, layout)
            else:
                self.staged[value, layout] = staged

    def _is_read_at_once(self, value: ir.Value) -> bool:
        """Whether a value is used where it can't be read from local memory when it is needed."""
        uses = [use.owner.operation for use in value.uses]
        block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
        return len(uses) != 1 or uses[0].block != block or uses[0].name != "vector.contract"

    # ---- operations ------------------------------------------------------------------------------

    def block(self, block: ir.Block) -> list[ir.Value]:
        """Write all of a block but its terminator; the terminator's operands."""
        *operations, end = [view.operation for view in block.operations]
        for op in operations:
            with op.location:
                self.operation(op)
        return list(end.operands)

    def operation(self, op: ir.Operation) -> None:
        """Write an operation."""
        match op.name:
            case "scf.for":
                self._for(op)
            case "scf.if":
                self._if(op)
            case "scf.while":
                self._while(op)
            case "vector.contract":
                self.define(op.results[0], multiply(self, op))
            case "vector.multi_reduction":
                self._reduce(op)
            case "vector.extract":
                self._extract(op)
            case "vector.scan":
                self.define(op.results[0], scan_tile(self, op))
            case "vector.shuffle":
                for layout in self.places.computed(op.results[0]):
                    self.define(op.results[0], shuffle(self, op, layout))
            case "vector.gather" if op.results[0] in self.places.held:
                self._load_directly(op)
            case "vector.gather":
                for layout in self.places.computed(op.results[0]):
                    self.define(op.results[0], self.access.gather(op, layout))
            case "vector.scatter":
                self.access.scatter(op)
            case "gpu.grid_dim":
                self.numbers[op.results[0]] = self._count_of_groups()
            case "memref.load":
                self.numbers[op.results[0]] = self.access.load(op.operands[0], op.operands[1])
            case "memref.store":
                self.access.store(self.scalar(op.operands[0]), op.operands[1], op.operands[2])
            case _ if any(is_tile(each) for each in op.results):
                self._elementwise(op)
            case _ if any(is_tile(each) for each in op.operands):
                raise PassFailure(op, "unsupported: a number from a tile")
            case _:
                rw.clone_op(op, self.numbers)

    @staticmethod
    def _count_of_groups() -> ir.Value:
        """The number of workgroups, the first argument that the runtime writes behind a kernel's own."""
        llvm = load("dialects.llvm")
        i32 = ir.IntegerType.get_signless(32)
        name = ir.StringAttr.get("llvm.amdgcn.implicitarg.ptr")
        hidden = llvm.call_intrinsic(ir.Type.parse("!llvm.ptr<4>"), name, [], [], [])
        return arith.index_cast(ir.IndexType.get(), llvm.load(i32, hidden))

    def _is_held(self, op: ir.Operation) -> bool:
        """Whether an operation turns a tile that is in local memory, and is done where it is read."""
        return op.name == "vector.transpose" and op.operands[0] in self.places.held

    def _load_directly(self, op: ir.Operation) -> None:
        """Load a tile that a loop hands on in local memory; the first load is before the loop."""
        head = self.places.held[op.results[0]]
        if head not in self.tiles:
            self._allocate_copies(head)
        self.memory.use(self.tiles[head].copies.buffer)
        self.access.gather_into(self.tiles[head], op)

    def _allocate_copies(self, head: ir.Value) -> None:
        """Give local memory to all tiles that a loop hands on."""
        heads = [each for each in dict.fromkeys(self.places.held.values()) if each.owner == head.owner]
        lines = [self.places.lines_of(each) for each in heads]
        ends = list(itertools.accumulate(each.size * ELEMENT_BYTES for each in lines))
        byte = ir.IntegerType.get_signless(8)
        copies = Copies(self.memory.allocate(2 * ends[-1], byte, 8, is_near=True), ends[-1])
        for each, its, origin in zip(heads, lines, [0, *ends], strict=False):
            self.tiles[each] = DirectTile(its, fr.element_type(each.type), copies, origin)

    def _elementwise(self, op: ir.Operation) -> None:
        (result,) = op.results
        if self._is_held(op):
            return
        for layout in self.places.computed(result):
            self.define(result, self._computed(op, layout))

    def _computed(self, op: ir.Operation, layout: Layout) -> Fragment:
        operands = list(op.operands)
        element = fr.element_type(op.results[0].type)
        width = fr.part_width(layout)
        type_ = fr.part_type(element, width)
        count = layout.count // width
        match op.name:
            case "vector.broadcast":
                return self._repeated(op, layout)
            case "vector.transpose" | "vector.shape_cast":
                source = moved_source(op, layout)
                return Fragment(layout, self.fragment(operands[0], source).parts)
            case "vector.step":
                first = self.lanes.position(layout, 0)
                return fr.fragment_from(layout, lambda r: fr.plus(first, layout.register_index(r)[0]))
            case "arith.constant":
                return self._constant(op, layout, type_, count)
            case "arith.index_cast" | "arith.index_castui":
                given = self.fragment(operands[0], layout).parts
                same = element.width == 32
                return Fragment(layout, given if same else tuple(arith.extsi(type_, each) for each in given))
        if op.name == "arith.cmpi" and (found := compare_positions(self, op, layout)) is not None:
            return found
        sources: list[list[ir.Value]] = []
        for each in operands:
            if is_tile(each):
                sources.append(list(self.fragment(each, layout).parts))
            else:
                sources.append([self.scalar(each)] * count)
        if not sources:  # as of ub.poison
            return Fragment(layout, tuple(rw.clone_as(op, [], type_) for _ in range(count)))
        parts = [rw.clone_as(op, list(each), type_) for each in zip(*sources, strict=True)]
        return Fragment(layout, tuple(parts))

    def _constant(self, op: ir.Operation, layout: Layout, type_: ir.Type, count: int) -> Fragment:
        value = op.attributes["value"]
        if not value.is_splat:
            raise PassFailure(op, "unsupported: a tile of several constants")
        splat = value.get_splat_value()
        if isinstance(type_, ir.VectorType):
            one = arith.ConstantOp(type_, ir.DenseElementsAttr.get_splat(type_, splat)).result
        else:
            one = arith.ConstantOp(type_, splat).result
        return Fragment(layout, (one,) * count)

    def _repeated(self, op: ir.Operation, layout: Layout) -> Fragment:
        (source,) = op.operands
        width = fr.part_width(layout)
        if not is_tile(source):
            scalar = self.scalar(source)
            part = scalar if width == 1 else vector.broadcast(fr.part_type(scalar.type, width), scalar)
            return Fragment(layout, (part,) * (layout.count // width))
        inner = repeated_source(op, layout)
        fragment = self.fragment(source, inner)
        lead = layout.rank - inner.rank
        elements: dict[int, ir.Value] = {}

        def element(register: int) -> ir.Value:
            index = list(layout.register_index(register))[lead:]
            index = [0 if inner.shape[dim] == 1 else each for dim, each in enumerate(index)]
            number = inner.register_of(index)
            if number not in elements:
                elements[number] = fragment.element(number)
            return elements[number]

        return fr.fragment_from(layout, element)

    def _reduce(self, op: ir.Operation) -> None:
        result = op.results[0]
        if VOTE in op.attributes:
            self.numbers[result] = vote_tile(self, op)
            return
        found = reduce_tile(self, op)
        if is_tile(result):
            self.define(result, found)
        else:
            rocdl = load("dialects.rocdl")
            self.numbers[result] = _to_all_lanes(rocdl, found.parts[0])

    def _extract(self, op: ir.Operation) -> None:
        (result,), found = op.results, extract_tile(self, op)
        if is_tile(result):
            self.define(result, found)
        else:
            self.numbers[result] = _to_all_lanes(load("dialects.rocdl"), found.parts[0])

    # ---- control flow ----------------------------------------------------------------------------

    def _flat_as(self, values: Sequence[ir.Value], heads: Sequence[ir.Value]) -> list[ir.Value]:
        """Values that become `heads`, in the layouts of those."""
        found: list[ir.Value] = []
        for value, head in zip(values, heads, strict=True):
            if head in self.places.held:
                continue
            if is_tile(value):
                found += self.fragment(value, self.places.homes[head]).parts
            else:
                found.append(self.scalar(value))
        return found

    def _bind(self, heads: Sequence[ir.Value], flat: Sequence[ir.Value]) -> None:
        """Say what values are that are handed on as `flat`."""
        left = list(flat)
        for head in heads:
            if head in self.places.held:
                continue
            if is_tile(head):
                layout = self.places.homes[head]
                count = layout.count // fr.part_width(layout)
                self.define(head, Fragment(layout, tuple(left[:count])))
                del left[:count]
            else:
                self.numbers[head] = left.pop(0)

    def _for(self, op: ir.Operation) -> None:
        body = op.regions[0].blocks[0]
        lower, upper, step, *inits = op.operands
        induction, *carried = body.arguments
        bounds = [self.scalar(each) for each in (lower, upper, step)]
        copies = next((self.tiles[each].copies for each in carried if each in self.places.held), None)
        first = [fr.integer(0)] if copies else []
        loop = scf.ForOp(*bounds, [*first, *self._flat_as(inits, carried)])
        self._loops.append(op)
        self.numbers[induction] = loop.induction_variable
        given = list(loop.inner_iter_args)
        if copies:
            copies.turn = given[0]
        with ir.InsertionPoint(loop.body):
            self._bind(carried, given[len(first) :])
            ends = self.block(body)
            turns = [copies.next] if copies else []
            scf.YieldOp([*turns, *self._flat_as(ends, carried)])
        self._loops.pop()
        if copies:
            self.memory.use(copies.buffer)
        for name in op.attributes:
            if name.startswith(("attn.", "amd.")):
                loop.operation.attributes[name] = op.attributes[name]
        self._bind(op.results, list(loop.results)[len(first) :])

    def _if(self, op: ir.Operation) -> None:
        results = list(op.results)
        types = [type_ for value in results for type_ in self._types(value)]
        has_else = len(op.regions[1].blocks) > 0
        lanes = self.lanes
        branch = scf.IfOp(self.scalar(op.operands[0]), types, has_else=has_else)
        for region, block in zip(op.regions, (branch.then_block, branch.else_block), strict=False):
            if not len(region.blocks) or block is None:
                continue
            with ir.InsertionPoint(block):
                if RETRY in op.attributes and len(region.blocks[0].operations) > 1:
                    self.lanes = LanePositions(apart=True)
                ends = self.block(region.blocks[0])
                scf.YieldOp(self._flat_as(ends, results))
            self.lanes = lanes
        self._bind(results, list(branch.results))

    def _while(self, op: ir.Operation) -> None:
        before, after = (region.blocks[0] for region in op.regions)
        heads, passed = list(before.arguments), list(after.arguments)
        types = [type_ for value in op.results for type_ in self._types(value)]
        loop = scf.WhileOp(types, self._flat_as(list(op.operands), heads))
        self._loops.append(op)
        first = loop.before.blocks.append(*[t for value in heads for t in self._types(value)])
        second = loop.after.blocks.append(*types)
        with ir.InsertionPoint(first):
            self._bind(heads, list(first.arguments))
            condition, *ends = self.block(before)
            scf.ConditionOp(self.scalar(condition), self._flat_as(ends, passed))
        with ir.InsertionPoint(second):
            self._bind(passed, list(second.arguments))
            scf.YieldOp(self._flat_as(self.block(after), heads))
        self._loops.pop()
        self._bind(op.results, list(loop.results))

    def _types(self, value: ir.Value) -> list[ir.Type]:
        """The types that a value is handed on as."""
        if not is_tile(value):
            return [value.type]
        layout = self.places.homes[value]
        width = fr.part_width(layout)
        return [fr.part_type(fr.element_type(value.type), width)] * (layout.count // width)


def _arena_type(size: int) -> ir.Type:
    return ir.Type.parse(f"memref<{size}xi8, {WORKGROUP}>")


def _renumbered(fragment: Fragment, layout: Layout) -> Fragment:
    """The same elements in the registers of another layout."""
    source = fragment.layout
    elements = [
        fragment.element(source.register_of(layout.register_index(register)))
        for register in range(layout.count)
    ]
    return fr.fragment_of(layout, elements)


def _to_all_lanes(rocdl: object, value: ir.Value) -> ir.Value:
    """A number that all lanes have, as one that the whole wave has."""
    i32 = ir.IntegerType.get_signless(32)
    width = value.type.width
    if width == 64:
        return value
    bits: ir.Value = value
    if isinstance(value.type, ir.FloatType) or not isinstance(value.type, ir.IntegerType):
        bits = arith.bitcast(ir.IntegerType.get_signless(width), value)
    wide = bits if width == 32 else arith.extui(i32, bits)
    wide = rocdl.readfirstlane(i32, wide)  # type: ignore[attr-defined]
    bits = wide if width == 32 else arith.trunci(bits.type, wide)
    return bits if bits.type == value.type else arith.bitcast(value.type, bits)
