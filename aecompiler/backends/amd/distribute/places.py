"""Where each value of a kernel on whole tiles is: the analysis before `amd-distribute-tiles` writes lanes.

Results of products and reductions, what loops carry, and what is read to be shared by waves have a *home*:
the one layout that they are computed in. All other values, positions and masks above all, are computed in
each layout that something asks for. A home that does not suit a use is left through local memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.backends.amd.distribute.direct import ELEMENT_BYTES, RUN, Lines, choose_lines, fits
from aecompiler.backends.amd.distribute.layouts import (
    LANE_BITS,
    Layout,
    bits_of,
    blocked,
    dealt,
    dealt_within_waves,
    uniform,
)
from aecompiler.backends.amd.distribute.offsets import Sums, unit_places
from aecompiler.backends.amd.distribute.operand_layouts import layout_of_part, moved_source, repeated_source
from aecompiler.backends.amd.distribute.products import (
    Form,
    Product,
    choose_instruction,
    form_of,
    place_operands,
    result_layout,
)
from aecompiler.backends.amd.distribute.tile_facts import factor_dim, is_all_true, is_zero, sum_of_places
from aecompiler.backends.amd.target import AmdTarget
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure

BYTES = {
    **{"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "index": 4},
    **{"f16": 2, "bf16": 2, "f32": 4, "f64": 8},
}
"""The sizes of elements in memory."""

WIDEST = 16
"""Bytes that a lane reads from memory at a time."""

_LOOPS = ("scf.for", "scf.while")


@dataclass(frozen=True)
class Choice:
    """What is chosen for a kernel: the chip, log2 of the number of waves, rows of matrix instructions."""

    target: AmdTarget
    waves: int
    matrix: int
    is_near: bool = False
    """Whether there are less than 2^31 bytes behind each address."""
    is_direct: bool = False
    """Whether loops load tiles straight into local memory, where that can be."""


def is_tile(value: ir.Value) -> bool:
    """Whether a value is spread over lanes."""
    return isinstance(value.type, ir.VectorType)


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The sizes of a tile, none of a number."""
    return tuple(value.type.shape) if is_tile(value) else ()


def element_bytes(value: ir.Value) -> int:
    """The size of an element."""
    element = value.type.element_type if is_tile(value) else value.type
    return BYTES[str(element)]


class Places:
    """The homes of values, the layouts that others are needed in, and where operands of products are."""

    def __init__(self, function: ir.Operation, choice: Choice, sums: Sums):
        self.choice, self.sums = choice, sums
        self.homes: dict[ir.Value, Layout] = {}
        self.needed: dict[ir.Value, list[Layout]] = {}
        self.products: dict[ir.Operation, Product] = {}
        self.held: dict[ir.Value, ir.Value] = {}
        """What loops hand on in local memory, its reads included, and what it is in the loop."""
        self._lines: dict[ir.Value, Lines] = {}
        self._block = function.regions[0].blocks[0]
        self._reads: dict[ir.Value, bool] = {}
        while self._find(self._block):
            pass
        while self._settle(self._block):
            while self._find(self._block):
                pass
        self._need_block(self._block)

    def layouts(self, value: ir.Value) -> list[Layout]:
        """All layouts that a value is needed in."""
        return self.needed.get(value, [])

    # ---- homes -----------------------------------------------------------------------------------

    def _find(self, block: ir.Block) -> bool:
        """Give homes to values of a block; whether one was new."""
        changed = False
        for view in block.operations:
            op = view.operation
            for region in op.regions:
                for inner in region.blocks:
                    changed |= self._find(inner)
            if op.name in ("scf.for", "scf.while", "scf.if"):
                changed |= self._find_carried(op)
            elif op.name == "vector.contract":
                changed |= self._set(op.results[0], self._result_of_product(op))
            elif op.name == "vector.multi_reduction":
                changed |= self._find_reduction(op)
            elif op.name == "vector.extract" and op.operands[0] in self.homes:
                changed |= self._set(op.results[0], self.homes[op.operands[0]].without(0))
            elif len(op.results) == 1 and is_tile(op.results[0]) and op.name.startswith(("arith.", "math.")):
                homes = [self.homes[each] for each in op.operands if each in self.homes]
                if homes:
                    changed |= self._set(op.results[0], homes[0])
            elif op.name in ("vector.transpose", "vector.shape_cast") and op.operands[0] in self.homes:
                changed |= self._set(op.results[0], self._moved(op, self.homes[op.operands[0]]))
            elif op.name == "vector.scan":
                changed |= self._set(op.results[0], self._scanned(op))
        return changed

    def _set(self, value: ir.Value, layout: Layout) -> bool:
        if value in self.homes or not is_tile(value):
            return False
        self.homes[value] = layout
        return True

    def _carried(self, op: ir.Operation) -> list[list[ir.Value]]:
        """Values of a loop or a branch that are one, each time something goes on."""
        results = list(op.results)
        if op.name == "scf.if":
            ends = [list(_terminator(region.blocks[0]).operands) for region in op.regions]
            return [list(each) for each in zip(results, *ends, strict=True)]
        if op.name == "scf.for":
            body = op.regions[0].blocks[0]
            ends = list(_terminator(body).operands)
            inits = list(op.operands)[3:]
            return [list(each) for each in zip(results, list(body.arguments)[1:], ends, inits, strict=True)]
        before, after = (region.blocks[0] for region in op.regions)
        passed = list(_terminator(before).operands)[1:]
        again = list(_terminator(after).operands)
        first = [list(each) for each in zip(before.arguments, again, op.operands, strict=True)]
        return first + [list(each) for each in zip(results, after.arguments, passed, strict=True)]

    def _find_carried(self, op: ir.Operation) -> bool:
        changed = False
        for same in self._carried(op):
            homes = [self.homes[each] for each in same if each in self.homes]
            if not homes:
                continue
            heads = same[:1] if op.name == "scf.if" else same[:2]
            for value in heads:
                changed |= self._set(value, homes[0])
        return changed

    def _find_reduction(self, op: ir.Operation) -> bool:
        source, result = op.operands[0], op.results[0]
        if source not in self.homes:
            return False
        return self._set(result, self._reduced(op, self.homes[source]))

    def _reduced(self, op: ir.Operation, layout: Layout) -> Layout:
        for dim in sorted((int(each) for each in op.attributes["reduction_dims"]), reverse=True):
            layout = layout.without(dim)
        return layout

    def _moved(self, op: ir.Operation, source: Layout) -> Layout:
        """The layout of a transpose or another shape, given that of its operand."""
        if op.name == "vector.transpose":
            return source.permuted(list(op.attributes["permutation"]))
        return source.reshaped(tuple(op.results[0].type.shape))

    def _settle(self, block: ir.Block) -> bool:
        """Give one value a home that must have one and has none from what it is computed of."""
        for view in block.operations:
            op = view.operation
            for region in op.regions:
                for inner in region.blocks:
                    if self._settle(inner):
                        return True
            if op.name in ("scf.for", "scf.while", "scf.if"):
                for same in self._carried(op):
                    if not is_tile(same[0]) or same[0] in self.homes or same[0] in self.held:
                        continue
                    if op.name == "scf.for" and self._goes_straight(op, same):
                        self.held |= dict.fromkeys(same, same[1])
                        return True
                    return self._set(same[0], self._chosen(same))
            if op.name == "vector.multi_reduction" and op.operands[0] not in self.homes:
                return self._set(op.operands[0], self._default(op.operands[0]))
            if op.name == "vector.extract" and op.operands[0] not in self.homes:
                return self._set(op.operands[0], self._extracted(op.operands[0]))
        return False

    def _chosen(self, same: list[ir.Value]) -> Layout:
        """The home of what a loop or a branch hands on: where it goes to, or as factors are read, or any."""
        if (home := self._destination(same[0], set())) is not None:
            return home
        k = next((found for each in same[:2] if (found := factor_dim(each)) is not None), None)
        return self._default(same[0]) if k is None else self._copied(same[-2], k)

    def _goes_straight(self, loop: ir.Operation, same: list[ir.Value]) -> bool:
        """Whether what a loop hands on is read ahead, a factor of one product, and loaded in whole pieces."""
        result, head, *reads = same
        body = loop.regions[0].blocks[0]
        if not self.choice.is_direct or list(result.uses) or element_bytes(head) != ELEMENT_BYTES:
            return False
        uses = list(head.uses)
        if len(uses) == 1 and uses[0].owner.operation.name == "vector.transpose":
            uses = list(uses[0].owner.operation.results[0].uses)
        if len(uses) != 1 or uses[0].operand_number != 1 or uses[0].owner.operation.block != body:
            return False
        if uses[0].owner.operation.name != "vector.contract":
            return False
        for read, block in zip(reads, (body, loop.block), strict=True):
            op = rw.definer(read)
            if op is None or op.name != "vector.gather" or op.block != block or len(list(read.uses)) != 1:
                return False
            if not self._is_in_pieces(op):
                return False
        return True

    def _is_in_pieces(self, gather: ir.Operation) -> bool:
        """Whether a tile is read in pieces of 16 bytes that are there as a whole or not, and are 0 then."""
        *_, mask, other = gather.operands
        result = gather.results[0]
        inner, total = self._contiguous(result), sum_of_places(self.sums, gather)
        return (
            is_zero(other)
            and fits(shape_of(result), inner, self.choice.waves)
            and self.sums.aligned_run(total, inner, RUN) == RUN
            and (is_all_true(mask) or self.sums.constant_run(mask, inner, RUN) == RUN)
        )

    def lines_of(self, value: ir.Value) -> Lines:
        """How a tile that is held in local memory lies there."""
        head = self.held[value]
        if head not in self._lines:
            read = next(
                each
                for each in self.held
                if self.held[each] == head and (op := rw.definer(each)) and op.name == "vector.gather"
            )
            self._lines[head] = choose_lines(
                shape_of(head),
                self._contiguous(read),
                self.choice.waves,
                self.choice.target.lds_banks,
                self.layouts(head),
            )
        return self._lines[head]

    def _destination(self, value: ir.Value, seen: set[ir.Value]) -> Layout | None:
        """The home of what a value becomes when it is handed on; None where that has none."""
        if value in self.homes:
            return self.homes[value]
        if value in seen:
            return None
        seen.add(value)
        for use in value.uses:
            op, number = use.owner.operation, use.operand_number
            if op.name != "scf.yield":
                continue
            parent = op.parent.operation
            if parent.name == "scf.while":
                continue
            if (home := self._destination(parent.results[number], seen)) is not None:
                return home
        return None

    def _default(self, value: ir.Value) -> Layout:
        """A layout that suits memory where elements follow each other along the last dimension."""
        shape = shape_of(value)
        if not shape:
            return uniform(self.choice.waves)
        return blocked(shape, self.choice.waves, len(shape) - 1, WIDEST // element_bytes(value))

    def _extracted(self, value: ir.Value) -> Layout:
        """Places along the first dimension within waves: what stands at one needs no local memory."""
        shape, inner = shape_of(value), self._contiguous(value)
        run = bits_of(min(WIDEST // element_bytes(value), shape[inner]))
        return dealt_within_waves(shape, [(inner, bit) for bit in range(run)], self.choice.waves, inner)

    def _scanned(self, op: ir.Operation) -> Layout:
        """Neighbours along the dimension of a scan in neighbouring lanes of one wave."""
        shape, dim = shape_of(op.results[0]), ir.IntegerAttr(op.attributes["reduction_dim"]).value
        first = [(dim, bit) for bit in range(LANE_BITS, bits_of(shape[dim]))]
        order = [dim, *reversed([each for each in range(len(shape)) if each != dim])]
        return dealt(shape, first, self.choice.waves, order)

    def resting(self, value: ir.Value) -> Layout:
        """Where a value is that is asked for anywhere."""
        return self.homes.get(value) or self._default(value)

    # ---- products --------------------------------------------------------------------------------

    def _form(self, op: ir.Operation) -> Form:
        (m, k), (_, n) = shape_of(op.operands[0]), shape_of(op.operands[1])
        dtype = str(op.operands[0].type.element_type)
        try:
            size = self.choice.matrix or (m >> self.choice.waves)
            return form_of(choose_instruction(self.choice.target, dtype, m, n, k, size))
        except LookupError as error:
            raise PassFailure(op, f"unsupported: {error}") from None

    def _result_of_product(self, op: ir.Operation) -> Layout:
        (m, _), (_, n) = shape_of(op.operands[0]), shape_of(op.operands[1])
        return result_layout(self._form(op), m, n, self.choice.waves)

    def _product(self, op: ir.Operation) -> Product:
        """Where the operands are; those that are read from memory for several waves get a home."""
        left, right = list(op.operands)[:2]
        wide = WIDEST // element_bytes(left)
        found = place_operands(
            self._form(op),
            self.homes[op.results[0]],
            shape_of(left)[1],
            wide,
            self.homes.get(left),
            self.homes.get(right),
        )
        for operand, layout, k in ((left, found.left, 1), (right, found.right, 0)):
            repeated = any(place is None for place in layout.waves)
            if operand not in self.homes and repeated and self._is_read(operand):
                self.homes[operand] = self._copied(operand, k)
        return found

    def _is_read(self, value: ir.Value) -> bool:
        """Whether elements of a tile, and not of a part of it that is repeated, are read from memory."""
        if value not in self._reads:
            op = rw.definer(value)
            self._reads[value] = op is not None and (
                op.name == "vector.gather"
                or (
                    op.name.startswith(("arith.", "math.", "vector.transpose", "vector.shape_cast"))
                    and any(is_tile(each) and self._is_read(each) for each in op.operands)
                )
            )
        return self._reads[value]

    def _copied(self, value: ir.Value, k: int) -> Layout:
        """How a factor is read that waves share: along what follows in memory; in blocks if that is not k."""
        contiguous = self._contiguous(value)
        other = None if contiguous == k else k
        return blocked(shape_of(value), self.choice.waves, contiguous, WIDEST // element_bytes(value), other)

    def _contiguous(self, value: ir.Value) -> int:
        """The dimension along which elements follow each other in memory; the last if there is none."""
        op = rw.definer(value)
        last = len(shape_of(value)) - 1
        if op is None:
            return last
        if op.name == "vector.gather":
            steps = self.sums.of(list(op.operands)[-3]).steps
            found = [dim for dim, step in steps.items() if step == {(): 1}]
            return found[0] if found else last
        if op.name == "vector.transpose":
            return list(op.attributes["permutation"]).index(self._contiguous(op.operands[0]))
        if op.name == "vector.shape_cast":
            places = unit_places(op.operands[0].type.shape, value.type.shape)
            found_at = None if places is None else places[self._contiguous(op.operands[0])]
            return last if found_at is None else found_at
        for each in op.operands:
            if is_tile(each) and self._is_read(each):
                return self._contiguous(each)
        return last

    # ---- needs -----------------------------------------------------------------------------------

    def _need(self, value: ir.Value, layout: Layout) -> None:
        op = rw.definer(value)
        if op is not None and op.name == "vector.transpose" and op.operands[0] in self.held:
            self._need(op.operands[0], moved_source(op, layout))
        if is_tile(value):
            found = self.needed.setdefault(value, [])
            if layout not in found:
                found.append(layout)

    def computed(self, value: ir.Value) -> list[Layout]:
        """The layouts that an operation computes its result in."""
        if value in self.homes:
            return [self.homes[value]]
        return self.layouts(value)

    def _need_block(self, block: ir.Block) -> None:
        for view in reversed(list(block.operations)):
            self._need_operands(view.operation)

    def _need_operands(self, op: ir.Operation) -> None:
        if op.name in ("scf.for", "scf.while", "scf.if"):
            for same in self._carried(op):
                if is_tile(same[0]) and same[0] not in self.held:
                    for value in same:
                        self._need(value, self.homes[same[0]])
            for region in reversed(list(op.regions)):
                for block in region.blocks:
                    self._need_block(block)
            return
        operands = list(op.operands)
        match op.name:
            case "vector.contract":
                self.products[op] = found = self._product(op)
                for value, layout in zip(operands, (found.left, found.right, found.result), strict=True):
                    self._need(value, layout)
            case "vector.multi_reduction":
                self._need(operands[0], self.homes[operands[0]])
                if is_tile(op.results[0]):
                    self._need(operands[1], self.homes[op.results[0]])
            case "vector.extract":
                self._need(operands[0], self.homes[operands[0]])
            case "vector.scatter":
                self._need_scatter(op)
            case "vector.gather":
                held = op.results[0] in self.held
                for layout in [self.lines_of(op.results[0]).layout] if held else self.computed(op.results[0]):
                    self.need_access(operands[-3], operands[-2], layout)
                    self._need(operands[-1], layout)
            case "vector.scan":
                self._need(operands[0], self.homes[op.results[0]])
            case "vector.shuffle":
                for each in operands:
                    self._need(each, self.resting(each))
            case _:
                for result in op.results:
                    for layout in self.computed(result):
                        self._need_elementwise(op, layout)

    def _need_scatter(self, op: ir.Operation) -> None:
        """Values are stored from where they are, others from where memory likes them."""
        operands = list(op.operands)
        value, offsets, mask = operands[-1], operands[-3], operands[-2]
        layout = self.resting(value)
        self._need(value, layout)
        self.need_access(offsets, mask, layout)

    def need_access(self, offsets: ir.Value, mask: ir.Value, layout: Layout) -> None:
        """What an access to memory needs of its offsets and its mask."""
        for _, vector, dims in self.sums.of(offsets).others:
            self._need(vector, layout_of_part(layout, vector, dims))
        if not is_all_true(mask):
            self._need(mask, layout)

    def _need_elementwise(self, op: ir.Operation, layout: Layout) -> None:
        operands = list(op.operands)
        match op.name:
            case "vector.broadcast":
                if is_tile(operands[0]):
                    self._need(operands[0], repeated_source(op, layout))
            case "vector.transpose" | "vector.shape_cast":
                self._need(operands[0], moved_source(op, layout))
            case "vector.step" | "arith.constant" | "ub.poison":
                pass
            case name if name.startswith(("arith.", "math.")):
                for each in operands:
                    self._need(each, layout)
            case _:
                raise PassFailure(op, "unsupported: an operation on tiles that lanes don't know")


def _terminator(block: ir.Block) -> ir.Operation:
    return list(block.operations)[-1].operation
