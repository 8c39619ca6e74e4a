"""Builds a role with layouts, a part of `ttg-assign-layouts`."""

from __future__ import annotations

from aecompiler.backends.nvidia.hopper.layout_choice import LayoutChoice, is_on_demand, is_zero, refuse
from aecompiler.backends.nvidia.hopper.rebuild import rebuild, splat_of
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.backends.triton.tile_axes import is_elementwise
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure


class LayoutBuilder:
    """Clones the operations of a block with the layouts of a `LayoutChoice`."""

    def __init__(self, choice: LayoutChoice):
        self.choice = choice
        self.mapping: dict[ir.Value, ir.Value] = {}
        """What scalars, buffers and values with a layout of their own have become."""
        self.made: dict[tuple[ir.Value, str, bool], ir.Value] = {}
        """Values made on demand, by layout, and whether they are transposed."""
        self.places: dict[ir.Value, ir.Operation] = {}
        """Where values that are made on demand were defined: before these, which are erased at the end."""

    def build(self, block: ir.Block, new: ir.Block) -> None:
        """Add the clones of all operations of `block` to `new`."""
        self._into(block, new, False)
        for place in self.places.values():
            place.erase()

    def _into(self, block: ir.Block, new: ir.Block, is_cold: bool) -> None:
        for old, argument in zip(block.arguments, new.arguments, strict=True):
            self.mapping[old] = argument
        with ir.InsertionPoint(new):
            for view in block.operations:
                with view.location:
                    self._operation(view.operation, is_cold)

    def _operation(self, op: ir.Operation, is_cold: bool) -> None:
        has_tensors = any(tt.shape_of(value) for value in (*op.operands, *op.results))
        if is_on_demand(op):
            self._put_off(op)
        elif op.name == "tt.dot":
            self._dot(op, is_cold)
        elif is_elementwise(op) and op.results and tt.shape_of(op.results[0]):
            if not self.choice[op.results[0]]:
                self._put_off(op)
            else:
                self._clone(op, self.choice[op.results[0]], is_cold)
        elif op.name in ("scf.for", "scf.if"):
            self._control_flow(op, is_cold)
        elif op.name == "tt.reduce":
            self._clone(op, self.choice.of_source(op, 0, is_cold), is_cold)
        elif op.name == "tt.store":
            self._clone(op, self.choice.of_source(op, 1, is_cold), is_cold)
        elif op.name == "ttg.local_store":
            self._clone(op, self.choice.of_source(op, 0, is_cold), is_cold)
        elif has_tensors and op.name != "scf.yield":
            raise refuse(op)
        elif op.name != "scf.yield":
            self._clone(op, "", is_cold)

    def _put_off(self, op: ir.Operation) -> None:
        """Note where an operation stands whose results are made on demand."""
        for result in op.results:
            self.places[result] = tt.constant(tt.integer(1), 0).owner.operation

    # ---- operations that stay where they are -----------------------------------------------------

    def _clone(self, op: ir.Operation, layout: str, is_cold: bool) -> None:
        """An operation whose operands have `layout`, and whose results have their own."""
        operands = [self.value(operand, layout) for operand in op.operands]
        new = rebuild(op, operands, [self._type(result) for result in op.results])
        self.mapping.update(zip(op.results, new.results, strict=True))
        for old_region, region in zip(op.regions, new.regions, strict=True):
            for old in old_region.blocks:
                self._into(old, region.blocks.append(*(each.type for each in old.arguments)), is_cold)

    def _type(self, value: ir.Value) -> ir.Type:
        return lo.with_layout(value.type, self.choice[value])

    def _control_flow(self, op: ir.Operation, is_cold: bool) -> None:
        fixed = len(op.operands) - len(op.results) if op.name == "scf.for" else len(op.operands)
        operands = list(op.operands)
        given = [self.mapping_of(value) for value in operands[:fixed]]
        given += [
            self.value(value, self.choice[result])
            for value, result in zip(operands[fixed:], op.results, strict=False)
        ]
        new = rebuild(op, given, [self._type(result) for result in op.results])
        self.mapping.update(zip(op.results, new.results, strict=True))
        for old_region, region in zip(op.regions, new.regions, strict=True):
            for old in old_region.blocks:
                block = region.blocks.append(*(self._type(argument) for argument in old.arguments))
                self._into(old, block, is_cold or op.name == "scf.if")
                *_, last = old.operations
                with ir.InsertionPoint(block), last.location:
                    yielded = [
                        self.value(value, self.choice[result])
                        for value, result in zip(last.operation.operands, op.results, strict=True)
                    ]
                    rebuild(last.operation, yielded, [])

    def _dot(self, op: ir.Operation, is_cold: bool) -> None:
        a, b, into = op.operands
        layout = self.choice[op.results[0]]
        if is_cold:
            operands = [
                self.value(a, lo.dot_operand(layout, 0)),
                self.value(b, lo.dot_operand(layout, 1)),
                self.value(into, layout),
            ]
            self.mapping[op.results[0]] = rebuild(op, operands, [self._type(op.results[0])]).results[0]
            return
        second = self._buffer(b)
        if second is None:
            raise PassFailure(op, "unsupported: a product whose second factor is no tile in shared memory")
        first = self._buffer(a)
        first = self.value(a, lo.dot_operand(layout, 0)) if first is None else first
        adds = not is_zero(into)
        begun = ttg.warp_group_dot(
            first, second, self.value(into, layout), tt.constant(tt.integer(1), int(adds))
        )
        self.mapping[op.results[0]] = ttg.warp_group_dot_wait([begun], 0)[0]

    def _buffer(self, value: ir.Value) -> ir.Value | None:
        """The tile in shared memory that a value was read from."""
        op = rw.definer(value)
        if op is not None and op.name == "ttg.local_load":
            return self.mapping_of(op.operands[0])
        if op is not None and op.name == "tt.trans":
            buffer = self._buffer(op.operands[0])
            return None if buffer is None else ttg.memdesc_trans(buffer)
        return None

    # ---- values ----------------------------------------------------------------------------------

    def mapping_of(self, value: ir.Value) -> ir.Value:
        """What a scalar or buffer has become; values from outside of the role are as they were."""
        return self.mapping.get(value, value)

    def value(self, value: ir.Value, layout: str) -> ir.Value:
        """A value in a layout; a scalar or buffer as it is."""
        if not tt.shape_of(value):
            return self.mapping_of(value)
        if self.choice[value]:
            return ttg.convert_layout(self.mapping_of(value), layout)
        return self._on_demand(value, layout, False)

    def _on_demand(self, value: ir.Value, layout: str, transposed: bool) -> ir.Value:
        """A value that takes any layout, or its transposed."""
        key = (value, layout, transposed)
        if key not in self.made:
            op = value.owner.operation
            with ir.InsertionPoint(self.places[value]), op.location:
                self.made[key] = self._make(op, value, layout, transposed)
        return self.made[key]

    def _make(self, op: ir.Operation, value: ir.Value, layout: str, transposed: bool) -> ir.Value:
        shape = tt.shape_of(value)[::-1] if transposed else tt.shape_of(value)
        plain = ir.RankedTensorType.get(list(shape), tt.element_of(value))
        type_ = lo.with_layout(plain, layout)
        if op.name == "tt.trans":
            return self._part(op.operands[0], layout, not transposed)
        if op.name == "tt.load" and lo.is_columns_of_wgmma(layout):
            return ttg.convert_layout(self._on_demand(value, lo.ONE_EACH, False), layout)
        if op.name == "arith.constant":
            return arith.ConstantOp(type_, splat_of(op, type_)).result
        if op.name == "ttg.local_load":
            buffer = self.mapping_of(op.operands[0])
            return ttg.local_load(ttg.memdesc_trans(buffer) if transposed else buffer, layout)
        attributes: dict[str, ir.Attribute] = {}
        operands = list(op.operands)
        if op.name == "tt.expand_dims":
            axis = op.attributes["axis"].value
            axis = 1 - axis if transposed else axis
            attributes["axis"] = ir.Attribute.parse(f"{axis} : i32")
            operands = [self._part(operands[0], lo.slice_of(layout, axis), False)]
        elif op.name == "tt.splat":
            operands = [self.mapping_of(operands[0])]
        else:
            operands = [self._part(operand, layout, transposed) for operand in operands]
        return rebuild(op, operands, [type_], attributes).results[0]

    def _part(self, value: ir.Value, layout: str, transposed: bool) -> ir.Value:
        """An operand of a value that is made on demand."""
        if not transposed or not tt.shape_of(value):
            return self.value(value, layout)
        if self.choice[value]:
            raise PassFailure(value.owner.operation, "unsupported: a computed tile that is transposed")
        return self._on_demand(value, layout, True)
