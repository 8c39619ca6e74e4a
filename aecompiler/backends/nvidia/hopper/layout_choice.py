"""Which layout the values of a role have, a part of `ttg-assign-layouts`."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton.constant_factors import number_of
from aecompiler.backends.triton.tile_axes import SOURCES, is_elementwise
from aecompiler.bindings import ir
from aecompiler.passes.registry import PassFailure

_ON_DEMAND = (*SOURCES, "tt.expand_dims", "tt.broadcast", "tt.load", "tt.trans", "ttg.local_load")
_LEAST_COLUMNS = 8


class LayoutChoice:
    """The layouts of the values in a block and those nested in it, which must not change.

    A value without one is made on demand: in the layout of what uses it, and for each again. The layouts of
    products and of what is computed from them are found by going through the operations until nothing
    changes: a loop carries what it yields.
    """

    def __init__(self, block: ir.Block):
        self._found: dict[ir.Value, str] = {}
        self._reference = ""
        """The layout of the first product: that of values of rows which nothing else says anything of."""
        self._changed = True
        self._fills_in = False
        self._run(block)
        self._fills_in = True
        self._run(block)

    def __getitem__(self, value: ir.Value) -> str:
        """The layout of a value, "" where it is made on demand."""
        return self._found.get(value, "")

    def default(self, value: ir.Value, is_cold: bool) -> str:
        """The layout for a value that nothing says anything of."""
        shape = tt.shape_of(value)
        if len(shape) == 2:
            return lo.mma() if is_cold else lo.wgmma(max(shape[1], _LEAST_COLUMNS))
        if len(shape) == 1:
            reference = self._reference or lo.wgmma(64)
            return lo.slice_of(lo.mma() if is_cold else reference, 1)
        raise TypeError(f"expects a tensor of one or two dimensions, got {value.type}")

    def of_source(self, op: ir.Operation, number: int, is_cold: bool) -> str:
        """The layout in which an operand is used by an operation that takes any."""
        value = op.operands[number]
        return self[value] or self.default(value, is_cold)

    # ---- finding ---------------------------------------------------------------------------------

    def _run(self, block: ir.Block) -> None:
        self._changed = True
        while self._changed:
            self._changed = False
            self._block(block, False)

    def _block(self, block: ir.Block, is_cold: bool) -> None:
        for view in block.operations:
            self._operation(view.operation, is_cold)

    def _say(self, value: ir.Value, layout: str) -> None:
        if layout and tt.shape_of(value) and not self._found.get(value):
            self._found[value] = layout
            self._changed = True

    def _operation(self, op: ir.Operation, is_cold: bool) -> None:
        if op.name in _ON_DEMAND:
            return
        if op.name == "tt.dot":
            layout = lo.mma() if is_cold else lo.wgmma(tt.shape_of(op.results[0])[1])
            self._reference = self._reference or layout
            self._say(op.results[0], layout)
        elif op.name == "tt.reduce":
            layout = self.of_source(op, 0, is_cold)
            self._say(op.results[0], lo.slice_of(layout, op.attributes["axis"].value))
        elif op.name == "scf.for":
            self._for(op, is_cold)
        elif op.name == "scf.if":
            self._if(op, is_cold)
        elif is_elementwise(op):
            known = [self[operand] for operand in op.operands if self[operand]]
            for result in op.results:
                self._say(result, known[0] if known else "")

    def _for(self, op: ir.Operation, is_cold: bool) -> None:
        block = op.regions[0].blocks[0]
        *_, last = block.operations
        self._block(block, is_cold)
        for at, result in enumerate(op.results):
            argument = block.arguments[at + 1]
            self._carry([result, argument], [last.operation.operands[at], op.operands[at + 3]], is_cold)

    def _if(self, op: ir.Operation, is_cold: bool) -> None:
        yields = []
        for region in op.regions:
            for block in region.blocks:
                self._block(block, True)
                *_, last = block.operations
                yields.append(last.operation)
        for at, result in enumerate(op.results):
            self._carry([result], [each.operands[at] for each in yields], is_cold)

    def _carry(self, into: list[ir.Value], sources: list[ir.Value], is_cold: bool) -> None:
        if not tt.shape_of(into[0]):
            return
        known = next((self[value] for value in sources if self[value]), "")
        if not known and self._fills_in:
            known = self.default(into[0], is_cold)
        for value in into:
            self._say(value, known)


def refuse(op: ir.Operation) -> PassFailure:
    """The error for an operation on tensors that has no rule."""
    return PassFailure(op, "unsupported in a kernel with layouts")


def is_on_demand(op: ir.Operation) -> bool:
    """Whether an operation makes tensors that take any layout."""
    return op.name in _ON_DEMAND and any(tt.shape_of(result) for result in op.results)


def is_zero(value: ir.Value) -> bool:
    """Whether a tensor is 0 everywhere."""
    return number_of(value) == 0.0
