"""The bodies of structured operations, evaluated on a vector of elements at once."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.positions import Positions, Spread
from aecompiler.backends.cpu.vectorize.ranges import Ranges
from aecompiler.bindings import arith, ir, memref, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_safety import clamped_index
from aecompiler.passes.structured_ops import UnsupportedTile

Element: TypeAlias = Any
"""A value of a body: a scalar (the same in each lane), a vector, or a `Spread` over the lanes."""


class Scope:
    """What bodies see of the outside: scalars, and captured tensors in memory."""

    def __init__(self, lanes: int, scalars: Mapping[ir.Value, ir.Value], captures: Mapping):
        self.lanes = lanes
        self.scalars = scalars
        self.captures = captures
        self.ranges = Ranges()
        self.positions = Positions(self.ranges, lanes)

    def vector(self, element: Element) -> ir.Value:
        """An element as a vector."""
        if isinstance(element, Spread):
            return element.vector()
        return vec.broadcast(element, self.lanes)

    def evaluate(
        self,
        block: ir.Block,
        arguments: Mapping[ir.Value, Element],
        indices: Mapping[int, Element],
        uniform: MutableMapping[ir.Value, ir.Value],
        results: Sequence[ir.Value] | None = None,
    ) -> list[Element]:
        """What the body yields, for these arguments and `linalg.index`es.

        `uniform` keeps what depends on no lane, for the other vectors of the same row. A number that all
        lanes of one vector share, such as the head of packed rows, may be another one in the next.
        """
        *ops, terminator = block.operations
        wanted = list(terminator.operands) if results is None else results
        known: dict[ir.Value, Element] = dict(arguments)
        of_lanes = {value for value, element in arguments.items() if _is_of_lanes(element)}
        if results is not None:
            ops = _needed(ops, results)
        for op in ops:
            operation = op.operation
            if len(operation.results) != 1:
                raise UnsupportedTile(f"'{operation.name}' in a body")
            result = operation.results[0]
            if result in known:
                continue
            if operation.name == "linalg.index":
                known[result] = indices[operation.attributes["dim"].value]
                if _is_of_lanes(known[result]):
                    of_lanes.add(result)
                continue
            if result in uniform:
                known[result] = uniform[result]
                continue
            operands = [self._element(known, value) for value in operation.operands]
            value = self._operation(operation, operands, known)
            known[result] = value
            if _is_of_lanes(value) or not of_lanes.isdisjoint(operation.operands):
                of_lanes.add(result)
            else:
                uniform[result] = value
        return [self._element(known, value) for value in wanted]

    def _element(self, known: Mapping[ir.Value, Element], value: ir.Value) -> Element:
        if value in known:
            return known[value]
        if value in self.scalars:
            return self.scalars[value]
        if value in self.captures:
            return value  # a tensor: only tensor.extract and tensor.dim read it
        raise UnsupportedTile(f"a body that reads {value}")

    def _operation(self, op: ir.Operation, operands: list[Element], known: Mapping) -> Element:
        name = op.name
        if name == "tensor.extract":
            return self._extract(op, operands, known)
        if name == "tensor.dim":
            if isinstance(operands[1], Spread) or vec.is_vector(operands[1]):
                raise UnsupportedTile("the size of a dimension that varies")
            return memref.DimOp(self.captures[op.operands[0]], operands[1]).result
        if not name.startswith(("arith.", "math.")) or len(op.results) != 1 or len(op.regions):
            raise UnsupportedTile(f"'{name}' in a body")
        position = self.positions.operation(op, operands)
        if position is not None:
            return position
        if name == "arith.extf" and vec.element_type(operands[0]) == op.results[0].type:
            return operands[0]  # loaded in the wider type
        fused = self._multiply_add(op, operands, known) or self._scaled(op, known)
        if fused is not None:
            return fused
        flat = [self.vector(v) if isinstance(v, Spread) else v for v in operands]
        type_ = op.results[0].type
        if any(vec.is_vector(v) for v in flat):
            condition = name == "arith.select" and not vec.is_vector(flat[0])
            flat = [v if condition and i == 0 else vec.broadcast(v, self.lanes) for i, v in enumerate(flat)]
            type_ = vec.vector_type(type_, self.lanes)
        attributes = {attribute.name: attribute.attr for attribute in _attributes(op)}
        if name == "arith.constant":
            return arith.constant(type_, op.attributes["value"])
        return ir.Operation.create(name, results=[type_], operands=flat, attributes=attributes).results[0]

    def _multiply_add(self, op: ir.Operation, operands: list[Element], known: Mapping) -> Element | None:
        """`c + a * b` of vectors as one instruction, where nothing else uses the product."""
        if op.name != "arith.addf" or not any(
            not isinstance(v, Spread) and vec.is_vector(v) for v in operands
        ):
            return None
        for position in (1, 0):
            product = op.operands[position]
            if isinstance(product.owner, ir.Block) or product.owner.operation.name != "arith.mulf":
                continue
            if product.owner.operation.block != op.block or len(list(product.uses)) != 1:
                continue
            a, b = (self._element(known, value) for value in product.owner.operation.operands)
            if not (vec.is_vector(a) or vec.is_vector(b)):
                continue
            lanes = [vec.broadcast(v, self.lanes) for v in (a, b, operands[1 - position])]
            return vector.fma(*lanes)
        return None

    def _scaled(self, op: ir.Operation, known: Mapping) -> Element | None:
        """Products with and quotients by constants, one after the other, as one product."""
        value, factor = op.results[0], 1.0
        while (found := _constant_factor(value)) is not None and (
            value == op.results[0] or _used_once(value)
        ):
            value, factor = found[0], factor * found[1]
        if value == op.results[0] or not 1e-30 < abs(factor) < 1e30:
            return None
        element = self._element(known, value)
        if isinstance(element, Spread) or not vec.is_vector(element):
            return None
        constant = rw.constant(op.results[0].type, factor)
        return arith.mulf(element, vec.broadcast(constant, self.lanes))

    # ---- captured tensors --------------------------------------------------------------------

    def _extract(self, op: ir.Operation, operands: list[Element], known: Mapping) -> Element:
        tensor_value, *indices = operands
        buffer = self.captures[tensor_value]
        if not any(isinstance(i, Spread) or vec.is_vector(i) for i in indices):
            return memref.load(buffer, indices)
        shaped = ir.MemRefType(buffer.type)
        metadata = list(memref.ExtractStridedMetadataOp(buffer).results)
        base, offset, strides = metadata[0], metadata[1], metadata[2 + shaped.rank :]
        layout = ir.StridedLayoutAttr.get(ir.ShapedType.get_dynamic_stride_or_offset(), [1])
        flat_type = ir.MemRefType.get([rw.DYNAMIC], shaped.element_type, layout)
        most = rw.index((1 << 62) - 1)

        def flat(start: ir.Value) -> ir.Value:
            return memref.ReinterpretCastOp(
                flat_type, base, [start], [most], [], [rw.DYNAMIC], [rw.DYNAMIC], [1]
            ).result

        def gather() -> ir.Value:
            total = vec.broadcast(rw.index(0), self.lanes)
            start = offset
            for position, stride in zip(indices, strides, strict=True):
                if isinstance(position, Spread) or vec.is_vector(position):
                    scaled = arith.muli(self.vector(position), vec.broadcast(stride, self.lanes))
                    total = arith.addi(total, scaled)
                else:
                    start = arith.addi(start, arith.muli(position, stride))
            mask = vec.broadcast(rw.constant(ir.IntegerType.get_signless(1), 1), self.lanes)
            rest = vec.broadcast(rw.constant(shaped.element_type, 0), self.lanes)
            type_ = vec.vector_type(shaped.element_type, self.lanes)
            return vector.GatherOp(type_, flat(start), [rw.index(0)], total, mask, rest).result

        def neighbours(first: ir.Value) -> ir.Value:
            start = arith.addi(offset, first)
            for position, stride in zip(indices[:-1], strides[:-1], strict=True):
                start = arith.addi(start, arith.muli(position, stride))
            loaded = vec.load(flat(start), [rw.index(0)], self.lanes)
            if not is_reversed:
                return loaded
            return vector.ShuffleOp(loaded, loaded, list(reversed(range(self.lanes)))).result

        run = self._run(op, indices, known)
        if run is None:
            return gather()
        first, is_inside, is_reversed = run
        are_neighbours = arith.cmpi(arith.CmpIPredicate.eq, strides[-1], rw.index(1))
        type_ = vec.vector_type(shaped.element_type, self.lanes)
        whole = arith.andi(is_inside, are_neighbours)
        return rw.if_else(whole, [type_], lambda: [neighbours(first)], lambda: [gather()])[0]

    def _run(
        self, op: ir.Operation, indices: Sequence[Element], known: Mapping
    ) -> tuple[ir.Value, ir.Value, bool] | None:
        """Of neighbours that are read: the first, whether none is clamped, whether they go backwards."""
        if any(isinstance(i, Spread) or vec.is_vector(i) for i in indices[:-1]):
            return None
        clamped = clamped_index(op.operands[len(op.operands) - 1])
        position = self._element(known, clamped[0]) if clamped else indices[-1]
        if not isinstance(position, Spread):
            return None
        low = min(position.steps)
        steps = tuple(range(low, low + self.lanes))
        if position.steps not in (steps, steps[::-1]):
            return None
        is_reversed = position.steps != steps
        first = arith.addi(position.base, rw.index(low))
        if not clamped:
            return first, rw.constant(ir.IntegerType.get_signless(1), 1), is_reversed
        after = arith.addi(first, rw.index(self.lanes - 1))
        last = self._element(known, clamped[1])
        kinds = arith.CmpIPredicate
        bounds = arith.cmpi(kinds.sge, first, rw.index(0)), arith.cmpi(kinds.sle, after, last)
        return first, arith.andi(*bounds), is_reversed


def _needed(ops: Sequence[ir.OpView], results: Sequence[ir.Value]) -> list[ir.OpView]:
    """The operations of a body that compute `results`."""
    wanted, found = set(results), []
    for op in reversed(ops):
        if any(result in wanted for result in op.operation.results):
            found.append(op)
            wanted.update(op.operation.operands)
    return found[::-1]


def _is_of_lanes(element: Element) -> bool:
    return isinstance(element, Spread) or vec.is_vector(element)


def _used_once(value: ir.Value) -> bool:
    return len(list(value.uses)) == 1


def _constant_factor(value: ir.Value) -> tuple[ir.Value, float] | None:
    """`(x, c)` where the f32 `value` is x * c, or x / (1 / c)."""
    if isinstance(value.owner, ir.Block) or not isinstance(value.type, ir.F32Type):
        return None
    op = value.owner.operation
    if op.name not in ("arith.mulf", "arith.divf"):
        return None
    a, b = op.operands
    number = rw.float_value(b)
    if number is not None and 1e-30 < abs(number) < 1e30:
        return a, (number if op.name == "arith.mulf" else 1.0 / number)
    number = rw.float_value(a)
    if op.name == "arith.mulf" and number is not None and 1e-30 < abs(number) < 1e30:
        return b, number
    return None


def _attributes(op: ir.Operation) -> list[ir.NamedAttribute]:
    return [op.attributes[i] for i in range(len(op.attributes))]
