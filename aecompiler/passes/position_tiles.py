"""Evaluate the region of a chunked form, which is about one position, on the positions of a chunk.

A value of the region of shape `s` becomes a tensor `[L, *s]` for the L positions: an operation on it becomes
a `linalg.generic` with one more loop in front. What does not depend on the position is computed once for the
head, before the loop over chunks. Scalars are computed together, as tensors `[L]`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect import regions
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.position_reads import dependent_values
from aecompiler.passes.region_safety import clamp_index
from aecompiler.passes.structured_ops import UnsupportedTile, operand_loops
from aecompiler.passes.tile_rows import pad


@dataclasses.dataclass(frozen=True)
class Lifted:
    """What a tensor of the region is on a chunk: `value` at those of the dimensions `[L, *s]` in `loops`.

    Its elements count as of type `element`, in which they are not before they are used.
    """

    value: ir.Value
    loops: tuple[int, ...]
    element: ir.Type


@dataclasses.dataclass(frozen=True)
class Columns:
    """A part of the value features: `count` of them from `first` on, `real` of which there are."""

    first: int | ir.Value
    real: int | ir.Value
    count: int
    values: frozenset[ir.Value]

    def of(self, whole: ir.Value) -> ir.Value:
        """The part of a tensor `[Dv]`."""
        return pad(rw.extract_slice(whole, [self.first], [self.real], (0,)), 0, self.count, self.real)


class PositionTiles:
    """The region of one head, whose values that do not depend on the position are computed where this is
    made.

    `heads` has what arguments of the region are outside. Of the values in `columns.values`, tensors `[Dv]`,
    only a part is computed.
    """

    def __init__(
        self,
        block: ir.Block,
        length: int,
        moving_arguments: Sequence[ir.Value],
        heads: Mapping[ir.Value, ir.Value],
        columns: Columns | None = None,
    ):
        self.block, self.length, self.columns = block, length, columns
        self.moving = dependent_values(block, moving_arguments)
        self.heads: dict[ir.Value, ir.Value] = dict(heads)
        self._parts: dict[ir.Value, ir.Value] = {}
        self.ops = list(block.operations)[:-1]
        self.order = {result: n for n, op in enumerate(self.ops) for result in op.operation.results}
        for op in self.ops:
            if op.operation.results[0] not in self.moving:
                self._compute_for_head(op.operation)
        self.places: dict[ir.Value, list[int | ir.Value]] = {}
        """Where the reads begin that arguments of the region stand for."""
        for value in columns.values if columns is not None else ():
            if value not in self.moving:
                self.head_value(value)

    def _compute_for_head(self, op: ir.Operation) -> None:
        """Compute what does not depend on the position; on tensors, as structured operations."""
        result = op.results[0]
        is_part = self.columns is not None and result in self.columns.values
        if is_part and _is_repeated(op):
            return  # its part is made of the number, no part of it: that of a value is no read from memory
        if not (op.name.startswith(("arith.", "math.")) and _is_tensor(result) and len(op.operands)):
            rw.clone_op(op, self.heads)
            return
        shape, element = self.shape(result), result.type.element_type
        every = tuple(range(len(shape)))
        tensors = [value for value in dict.fromkeys(op.operands) if _is_tensor(value)]

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            elements = dict(zip(tensors, inputs, strict=True))
            operands = [elements.get(value, self.heads.get(value, value)) for value in op.operands]
            return [rw.clone_as(op, operands, element)]

        ins = [(self.head_value(value), every) for value in tensors]
        out = (tensor.empty(shape, element), every)
        (self._parts if is_part else self.heads)[result] = rw.generic(ins, [out], "p" * len(every), body)[0]

    def enter(self, first: ir.Value, position: ir.Value, tiles: Mapping[ir.Value, Lifted]) -> None:
        """Begin a chunk, whose first position is `first`; `tiles` are what arguments of the region are."""
        self.first, self.position = first, position
        self.lifted: dict[ir.Value, Lifted] = dict(tiles)

    def is_moving(self, value: ir.Value) -> bool:
        """Whether a value depends on the position."""
        return value in self.moving

    def shape(self, value: ir.Value) -> list[int]:
        """The shape of a value of the region, of the part of it that is computed."""
        if not _is_tensor(value):
            return []
        if self.columns is not None and value in self.columns.values:
            return [self.columns.count]
        return list(value.type.shape)

    def head_value(self, value: ir.Value) -> ir.Value:
        """What a value that does not depend on the position is outside of the region."""
        found = self.heads.get(value, value)
        if self.columns is None or value not in self.columns.values:
            return found
        if value not in self._parts:
            self._parts[value] = self._part_of(value, self.columns)
        return self._parts[value]

    def _part_of(self, value: ir.Value, columns: Columns) -> ir.Value:
        """Some columns of a tensor `[Dv]` that does not depend on the position."""
        op = rw.definer(value)
        if op is None or not _is_repeated(op):
            return columns.of(self.heads.get(value, value))
        type_ = ir.RankedTensorType.get([columns.count], rw.element_of(value.type))
        if op.name == "tensor.splat":
            return tensor.splat(type_, self.heads.get(op.operands[0], op.operands[0]), [])
        return arith.constant(
            type_, ir.DenseElementsAttr.get_splat(type_, op.attributes["value"].get_splat_value())
        )

    # ---- scalars -----------------------------------------------------------------------------------

    def scalars(
        self, targets: Sequence[ir.Value], finish: Callable[[list[ir.Value]], list[ir.Value]]
    ) -> list[ir.Value]:
        """Tensors `[L]` of what `finish` makes of some scalars of the region, in one loop."""
        ops, leaves = self._cone(targets, expand=True)

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = self._mapping(dict(zip(leaves, inputs, strict=True)))
            for op in ops:
                rw.clone_op(op, mapping)
            return finish([mapping.get(value, value) for value in targets])

        outs = [(tensor.empty([self.length], value.type), (0,)) for value in targets]
        return rw.generic([(self.lifted[leaf].value, (0,)) for leaf in leaves], outs, "p", body)

    def _mapping(self, leaves: Mapping[ir.Value, ir.Value]) -> dict[ir.Value, ir.Value]:
        """What values of the region are in a body whose first loop is that over positions."""
        mapping = dict(self.heads)
        for leaf, element in leaves.items():
            mapping[leaf] = rw.convert_float(element, leaf.type) if _is_float(leaf.type) else element
        mapping[self.position] = arith.addi(self.first, rw.loop_index(0))
        return mapping

    def _cone(self, targets: Iterable[ir.Value], expand: bool) -> tuple[list[ir.OpView], list[ir.Value]]:
        """The operations on scalars that compute `targets` in a body, and the scalars they start from.

        Those are made ready as tensors. Floats are computed for each position once, and so are such: in
        bodies of more loops, without `expand`, all of them.
        """
        ops: dict[int, ir.OpView] = {}
        leaves: dict[ir.Value, None] = {}
        seen: set[ir.Value] = set()
        pending = [(value, expand) for value in targets]
        while pending:
            value, may_expand = pending.pop()
            if value in seen or not self.is_moving(value) or value == self.position:
                continue
            seen.add(value)
            if value in self.lifted:
                leaves[value] = None
            elif not _is_scalar_op(value.owner.operation, self.moving):
                self.lift(value)
                leaves[value] = None
            elif _is_float(value.type) and not may_expand:
                (made,) = self.scalars([value], lambda values: values)
                self.lifted[value] = Lifted(made, (0,), value.type)
                leaves[value] = None
            else:
                ops[self.order[value]] = self.ops[self.order[value]]
                pending.extend((operand, may_expand) for operand in value.owner.operands)
        return [ops[number] for number in sorted(ops)], list(leaves)

    # ---- tensors -----------------------------------------------------------------------------------

    def lift(self, value: ir.Value) -> Lifted:
        """A tensor that depends on the position, or a scalar that is no operation on scalars."""
        if value not in self.lifted:
            op = value.owner.operation
            # What it needs comes first: a chain of operations is no chain of calls.
            for result in self._needed(value):
                self._lift_op(result.owner.operation)
            if value not in self.lifted:
                self._lift_op(op)
        return self.lifted[value]

    def _needed(self, value: ir.Value) -> list[ir.Value]:
        """The tensors that are to be lifted for `value`, in order, itself included."""
        found: set[ir.Value] = set()
        pending = [value]
        while pending:
            each = pending.pop()
            if each in found or each in self.lifted or not self.is_moving(each) or each == self.position:
                continue
            found.add(each)
            op = each.owner.operation
            pending.extend(
                v for inner in (op, *regions.nested(op)) for v in inner.operation.operands if v in self.order
            )
        tensors = [each for each in found if not _is_scalar_op(each.owner.operation, self.moving)]
        return sorted(tensors, key=lambda each: self.order[each])

    def _lift_op(self, op: ir.Operation) -> None:
        if all(result in self.lifted for result in op.results):
            return
        name = op.name
        if name == "tensor.splat":
            self._alias(op, self._scalar_tile(op.operands[0]), (0,))
        elif name == "tensor.extract" and op.operands[0] in self.moving and len(op.operands) == 1:
            source = self.lift(op.operands[0])
            self._alias(op, source.value, source.loops)
        elif name == "linalg.broadcast":
            source, added = op.operands[0], list(op.attributes["dimensions"])
            rank = ir.RankedTensorType(op.results[0].type).rank
            kept = [d for d in range(rank) if d not in added]
            found = self.lift(source)
            self._alias(op, found.value, tuple(kept[loop - 1] + 1 if loop else 0 for loop in found.loops))
        elif name == "tensor.cast" and op.operands[0].type.shape == op.results[0].type.shape:
            found = self.lift(op.operands[0])
            self._alias(op, found.value, found.loops)
        elif name.startswith(("arith.", "math.")):
            self._elementwise(op)
        elif name.startswith("linalg.") and self._structured(op):
            pass
        elif name == "tensor.extract_slice" and op.operands[0] not in self.moving:
            self._gather(op)
        else:
            self._by_position(op)

    def _alias(self, op: ir.Operation, value: ir.Value, loops: tuple[int, ...]) -> None:
        self.lifted[op.results[0]] = Lifted(value, loops, rw.element_of(op.results[0].type))

    def _scalar_tile(self, value: ir.Value) -> ir.Value:
        """A tensor `[L]` of a scalar that depends on the position."""
        if value in self.lifted:
            return self.materialized(value)
        if not _is_scalar_op(value.owner.operation, self.moving):
            self.lift(value)
            return self.materialized(value)
        (made,) = self.scalars([value], lambda values: values)
        if _is_float(value.type):
            self.lifted[value] = Lifted(made, (0,), value.type)
        return made

    def materialized(self, value: ir.Value) -> ir.Value:
        """A value of the region as a whole tensor `[L, *s]` of its element type."""
        shape = self.shape(value)
        every = tuple(range(1 + len(shape)))
        element = rw.element_of(value.type)
        if self.is_moving(value):
            found = self.lift(value)
            if found.loops == every and found.value.type.element_type == element:
                return found.value
            source = (found.value, found.loops)
        elif _is_tensor(value):
            source = (self.head_value(value), every[1:])
        else:
            scalar = self.heads.get(value, value)
            return rw.fill(scalar, tensor.empty([self.length], element))
        empty = tensor.empty([self.length, *shape], element)

        def read(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            return [_convert(inputs[0], element)]

        return rw.generic([source], [(empty, every)], "p" * len(every), read)[0]

    def operand(self, value: ir.Value) -> rw.Indexed:
        """A tensor of the region as an operand of loops over `[L, *s]`."""
        if self.is_moving(value):
            found = self.lift(value)
            return found.value, found.loops
        rank = ir.RankedTensorType(value.type).rank
        return self.head_value(value), tuple(range(1, 1 + rank))

    def _elementwise(self, op: ir.Operation) -> None:
        """An operation of `arith` or `math` on tensors."""
        shape = self.shape(op.results[0])
        tensors = [v for v in dict.fromkeys(op.operands) if _is_tensor(v)]
        others = [v for v in op.operands if not _is_tensor(v)]
        ops, leaves = self._cone(others, expand=False)
        every = tuple(range(1 + len(shape)))
        ins = [self.operand(value) for value in tensors]
        ins += [(self.lifted[leaf].value, (0,)) for leaf in leaves]

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = self._mapping(dict(zip(leaves, inputs[len(tensors) :], strict=True)))
            for each in ops:
                rw.clone_op(each, mapping)
            elements = dict(zip(tensors, inputs, strict=False))
            operands = [
                _convert(elements[v], rw.element_of(v.type)) if v in elements else mapping.get(v, v)
                for v in op.operands
            ]
            return [rw.clone_as(op, operands, rw.element_of(op.results[0].type))]

        element = rw.element_of(op.results[0].type)
        out = (tensor.empty([self.length, *shape], element), every)
        (result,) = rw.generic(ins, [out], "p" * len(every), body)
        self.lifted[op.results[0]] = Lifted(result, every, element)

    def _structured(self, op: ir.Operation) -> bool:
        """An operation of `linalg`, if each index of its operands is a loop; whether it is."""
        try:
            maps = operand_loops(op)
        except UnsupportedTile:
            return False
        block = op.regions[0].blocks[0]
        if any(each.operation.regions for each in block.operations):
            return False
        count = len(op.operands) - len(op.results)
        outs = maps[count:]
        rank = 1 + max((loop for loops in maps for loop in loops), default=-1)
        kinds = "".join("p" if all(loop in loops for loops in outs) else "r" for loop in range(rank))
        if any(len(set(loops)) < len(loops) for loops in maps):
            return False
        inside = regions.defined_inside(op)
        outside = [
            value
            for inner in block.operations
            for value in inner.operation.operands
            if value in self.moving and value not in inside
        ]
        if any(_is_tensor(value) for value in outside):
            return False
        ops, leaves = self._cone(dict.fromkeys(outside), expand=False)
        ins: list[rw.Indexed] = []
        for value, loops in zip(list(op.operands)[:count], maps[:count], strict=True):
            if _is_tensor(value):
                found, dims = self.operand(value)
                ins.append((found, tuple(0 if d == 0 else loops[d - 1] + 1 for d in dims)))
            else:
                return False
        ins += [(self.lifted[leaf].value, (0,)) for leaf in leaves]
        into: list[rw.Indexed] = []
        arguments = list(block.arguments)
        for number, loops in enumerate(outs):
            init = op.operands[count + number]
            is_read = bool(list(arguments[count + number].uses))
            shape = [self.length, *self.shape(op.results[number])]
            made = self.materialized(init) if is_read else tensor.empty(shape, rw.element_of(init.type))
            into.append((made, (0, *(loop + 1 for loop in loops))))

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = self._mapping(dict(zip(leaves, inputs[count:], strict=True)))
            for each in ops:
                rw.clone_op(each, mapping)
            for argument, element in zip(arguments, [*inputs[:count], *outputs], strict=True):
                mapping[argument] = _convert(element, argument.type)
            *inner, terminator = block.operations
            for each in inner:
                if each.operation.name == "linalg.index":
                    loop = each.operation.attributes["dim"].value
                    mapping[each.operation.results[0]] = self._index(op, loop)
                else:
                    rw.clone_op(each, mapping)
            return [mapping.get(value, value) for value in terminator.operation.operands]

        results = rw.generic(ins, into, "p" + kinds, body)
        for old, new in zip(op.results, results, strict=True):
            every = tuple(range(1 + ir.RankedTensorType(old.type).rank))
            self.lifted[old] = Lifted(new, every, rw.element_of(old.type))
        return True

    def _gather(self, op: ir.Operation) -> None:
        """A slice of a tensor from outside, at places that depend on the position: element by element."""
        source, result = op.operands[0], op.results[0]
        offsets, sizes, strides = slice_parts(op, 1)
        dropped = dropped_dimensions(sizes, result.type)
        kept = [d for d in range(len(sizes)) if d not in dropped]
        ops, leaves = self._cone([each for each in offsets if isinstance(each, ir.Value)], expand=False)
        shape = [self.length, *self.shape(result)]
        every = tuple(range(len(shape)))

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = self._mapping(dict(zip(leaves, inputs, strict=True)))
            for each in ops:
                rw.clone_op(each, mapping)
            places = []
            for d, (offset, stride) in enumerate(zip(offsets, strides, strict=True)):
                place = rw.index(offset) if isinstance(offset, int) else mapping.get(offset, offset)
                if d in kept:
                    step = self._index(op, kept.index(d))
                    if stride != 1:
                        step = arith.muli(step, rw.index(stride))
                    place = arith.addi(place, step)
                    if shape[1:] != list(result.type.shape):  # some are padding
                        place = clamp_index(place, ir.RankedTensorType(source.type).shape[d] - 1)
                places.append(place)
            return [tensor.extract(self.heads.get(source, source), places)]

        ins = [(self.lifted[leaf].value, (0,)) for leaf in leaves]
        out = (tensor.empty(shape, result.type.element_type), every)
        (made,) = rw.generic(ins, [out], "p" * len(every), body)
        self.lifted[result] = Lifted(made, every, result.type.element_type)

    def _index(self, op: ir.Operation, loop: int) -> ir.Value:
        """Where a loop of a structured operation of the region is, in a body that has one more in front."""
        place = rw.loop_index(loop + 1)
        is_part = self.columns is not None and op.results[0] in self.columns.values
        if not is_part or self.columns is None or self.columns.first == 0:
            return place
        return arith.addi(self.columns.first, place)

    def _by_position(self, op: ir.Operation) -> None:
        """Any other operation: one position after the other."""
        used = (v for each in (op, *regions.nested(op)) for v in each.operation.operands)
        inside = regions.defined_inside(op)
        given = {
            value: self.materialized(value) if _is_tensor(value) else self._scalar_tile(value)
            for value in dict.fromkeys(used)
            if value in self.moving and value not in inside and value != self.position
        }
        shapes = [list(r.type.shape) if _is_tensor(r) else [] for r in op.results]
        empties = [
            tensor.empty([self.length, *shape], rw.element_of(result.type))
            for shape, result in zip(shapes, op.results, strict=True)
        ]

        def step(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            mapping = dict(self.heads)
            mapping[self.position] = arith.addi(self.first, number)
            for value, tile in given.items():
                shape = list(value.type.shape) if _is_tensor(value) else None
                if shape is None:
                    mapping[value] = tensor.extract(tile, [number])
                else:
                    offsets, sizes = [number, *[0] * len(shape)], [1, *shape]
                    mapping[value] = rw.extract_slice(tile, offsets, sizes, range(1, 1 + len(shape)))
            rw.clone_op(op, mapping)
            inserted = []
            for result, shape, into in zip(op.results, shapes, carried, strict=True):
                new = mapping[result]
                if _is_tensor(new):
                    new = rw.insert_slice(new, into, [number, *[0] * len(shape)], [1, *shape])
                else:
                    new = tensor.insert(new, into, [number])
                inserted.append(new)
            return inserted

        results = rw.for_loop(rw.index(0), rw.index(self.length), rw.index(1), empties, step)
        for old, new, shape in zip(op.results, results, shapes, strict=True):
            self.lifted[old] = Lifted(new, tuple(range(1 + len(shape))), rw.element_of(old.type))


def _is_repeated(op: ir.Operation) -> bool:
    """Whether a tensor has one number in all places."""
    return op.name == "tensor.splat" or (op.name == "arith.constant" and op.attributes["value"].is_splat)


def _is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def _is_float(type_: ir.Type) -> bool:
    return isinstance(type_, ir.FloatType)


def _convert(value: ir.Value, type_: ir.Type) -> ir.Value:
    return rw.convert_float(value, type_) if _is_float(type_) else value


def _is_scalar_op(op: ir.Operation, moving: set[ir.Value]) -> bool:
    """Whether an operation can stand in the body of another: one on scalars, or a read from outside."""
    if any(_is_tensor(result) for result in op.results):
        return False
    if op.name == "tensor.extract":
        return op.operands[0] not in moving
    return op.name.startswith(("arith.", "math.")) and not len(op.regions)
