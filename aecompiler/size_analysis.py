"""Which sizes of a function's arguments must agree, found out from its operations.

Lowered code trusts sizes: a k that is longer than its v would be read past its end. `analyze` collects what
the operations of a function require of each other, as classes of sizes that are equal (`sizes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aecompiler import diagnostics
from aecompiler.bindings import ir
from aecompiler.dialect.regions import grows_with_loops
from aecompiler.dialect.types import DYNAMIC
from aecompiler.passes.index_arithmetic import (
    dropped_dimensions,
    is_checked_at_the_call,
    slice_parts,
    width_of,
)
from aecompiler.signature import updated_arguments
from aecompiler.size_classes import SizeClasses, is_tensor, unsupported
from aecompiler.sizes import Call, Size, Sizes, product, scalar, total

_WITHOUT_SIZES = frozenset(
    {
        "func.return",
        "scf.yield",
        "tensor.dim",
        "tensor.extract",
        "tensor.from_elements",
        "tensor.rank",
        "ub.poison",
    }
)
"""Operations on tensors that require nothing of sizes, or that are guarded."""


def analyze(function: Any, names: Sequence[str]) -> Sizes:
    """The requirements of a `func.func`; `names` are those of its arguments.

    Raises `CompileError` at an operation whose sizes contradict each other whatever the arguments are, do not
    follow from the arguments, or can't be checked.
    """
    analysis = classes_of(function, names)
    analysis.sizes.tensors = analysis.tensors()
    return analysis.sizes


def classes_of(function: Any, names: Sequence[str]) -> _Analysis:
    """The sizes of the values of a `func.func`, as classes of equal ones; raises what `analyze` does."""
    analysis = _Analysis(names)
    analysis.function(function)
    return analysis


class _Analysis(SizeClasses):
    """Goes through the operations of a function."""

    # ---- the function ----

    def function(self, function: Any) -> None:
        blocks = list(function.operation.regions[0].blocks)
        if len(blocks) != 1:
            raise unsupported(function.operation, f"{len(blocks)} blocks; use scf.if and scf.for")
        block = blocks[0]
        named: dict[str, Size] = {}
        attributes = function.operation.attributes
        dictionaries: list[Mapping[str, Any]] = list(attributes.get("arg_attrs", []))
        for number, argument in enumerate(block.arguments):
            if not is_tensor(argument):
                size = self.index_of[argument] = self.new()
                if (width := width_of(argument.type)) is not None:
                    size.formulas.append(scalar(number, width))
                continue
            for dimension, size in enumerate(self.dims(argument)):
                size.places.append((number, dimension))
            # A DictAttr, whose `get` is no dictionary's.
            names = dictionaries[number] if number < len(dictionaries) else {}
            if "attn.dims" not in names:
                continue
            for dimension, name in enumerate(names["attn.dims"]):
                text = ir.StringAttr(name).value
                if text:
                    self.sizes.dimension_names[number, dimension] = text
                    self.equal(named.setdefault(text, self.new()), self.dims(argument)[dimension])
        self.block(block)
        terminator = block.operations[len(block.operations) - 1].operation
        updated = updated_arguments(function)
        for number, value in enumerate(terminator.operands):
            if number in updated:  # an argument, in the caller's memory
                self.define(block.arguments[updated[number]], self.dims(value), terminator)
                continue
            self.sizes.results.append(self.dims(value) if is_tensor(value) else None)
        self.sizes.requirements = [
            each for each in self.sizes.requirements if not (isinstance(each, _Box) and each.is_whole)
        ]

    def block(self, block: ir.Block) -> None:
        for op in block.operations:
            name = op.operation.name
            handler = _HANDLERS.get(name)
            if handler is not None:
                handler(self, op.operation)
            elif name.startswith(("arith.", "math.")):
                self._elementwise(op.operation)
            elif name.startswith("linalg."):
                self._structured(op.operation)
            elif name == "func.call":
                raise unsupported(op.operation, "a call that can't be inlined (of itself, or of no body)")
            elif name not in _WITHOUT_SIZES and _touches_tensors(op.operation):
                raise unsupported(op.operation, "its sizes can't be checked")
            for result in op.operation.results:
                if is_tensor(result):
                    for size in self.dims(result):
                        self.known(size, op.operation)

    def tensors(self) -> list[tuple[tuple[Size, ...], int]]:
        """The sizes of all tensors, each once, and the bytes of an element."""
        found: dict[tuple[int, ...], tuple[tuple[Size, ...], int]] = {}
        for value, dims in self.dims_of.items():
            roots = tuple(size.root() for size in dims)
            key = tuple(id(size) for size in roots)
            width = -(-(width_of(value.type.element_type) or value.type.element_type.width) // 8)
            found[key] = (roots, max(width, found[key][1] if key in found else 0))
        return [*found.values(), *self.scratch]

    # ---- operations ----

    def _elementwise(self, op: ir.Operation) -> None:
        values = [v for v in (*op.operands, *op.results) if is_tensor(v)]
        for value in values[1:]:
            if len(self.dims(value)) == len(self.dims(values[0])):
                self.define(value, self.dims(values[0]), op)

    def _structured(self, op: ir.Operation) -> None:
        from aecompiler.bindings import linalg

        if not len(op.regions):
            raise unsupported(op, "its sizes can't be checked")
        _check_body(op)
        maps = [getattr(m, "value", m) for m in linalg.get_indexing_maps(op)]
        loops: dict[int, Size] = {}
        for operand, map_ in zip(op.operands, maps, strict=False):
            if not is_tensor(operand):
                continue
            for size, expr in zip(self.dims(operand), map_.results, strict=True):
                if isinstance(expr, ir.AffineDimExpr):
                    self.equal(loops.setdefault(expr.position, size), size, op)
                elif isinstance(expr, ir.AffineConstantExpr):
                    self.nonnegative(size, op, expr.value + 1)
                elif not grows_with_loops(expr):
                    raise unsupported(op, f"the index {expr}, whose ends are not those of its loops")
                elif any(DYNAMIC in v.type.shape for v in op.operands if is_tensor(v)):
                    raise unsupported(op, f"the index {expr} into a tensor of dynamic size")
        outs = list(op.operands)[len(op.operands) - len(op.results) :]
        for out, result in zip(outs, op.results, strict=True):
            if out.type == result.type:
                self.define(result, self.dims(out), op)

    def _attention(self, op: ir.Operation) -> None:
        _q, k, v = list(op.operands)[:3]
        # A lowering may hold the scores of some rows at once.
        self.scratch.append(((self.dims(k)[2], self.new(64)), 8))
        self._rows(op)
        for d in range(3):
            self.equal_dims(k, v, [(d, d)], op)
        self.equal_dims(v, op.results[0], [(3, 3)], op)

    def _rows(self, op: ir.Operation) -> None:
        """q and k belong together, and results have a value or a vector for each row of q."""
        q, k = list(op.operands)[:2]
        pairs = [(q, 0, k, 0)]
        if DYNAMIC in (q.type.shape[1], k.type.shape[1]):
            pairs.append((q, 1, k, 1))
        for a, d, b, e in pairs:
            self.equal_dims(a, b, [(d, e)], op)
        for result in op.results:
            self.equal_dims(q, result, [(d, d) for d in range(3)], op)

    def _recurrence(self, op: ir.Operation) -> None:
        q, k, v, initial, *offsets = op.operands
        o, final = op.results
        for value in (k, v, o):
            self.equal_dims(q, value, [(0, 0), (2, 2)], op)
            if DYNAMIC in q.type.shape[1:2]:
                self.equal_dims(q, value, [(1, 1)], op)
        self.equal_dims(initial, o, [(1, 1)], op)
        self.define(final, self.dims(initial), op)
        if not offsets:
            self.equal_dims(q, initial, [(0, 0)], op)
            return
        self.equal(self.new(1), self.dims(q)[0], op)
        sequences, edges = self.dims(initial)[0], self.dims(offsets[0])[0]
        self.nonnegative(edges, op, 1)

        def one_less(call: Call) -> int | None:
            value = call.value(edges)
            return None if value is None else value - 1

        if edges.root().places:
            one_less.__doc__ = f"one less than {self.sizes.place(edges.root().places[0])}"
        sequences.root().formulas.append(one_less)

    def _recurrence_step(self, op: ir.Operation) -> None:
        q, k, v, pool, slots = op.operands
        o, updated = op.results
        for value in (k, v, o):
            self.equal_dims(q, value, [(0, 0), (2, 2)], op)
            if DYNAMIC in q.type.shape[1:2]:
                self.equal_dims(q, value, [(1, 1)], op)
        self.equal_dims(q, slots, [(0, 0)], op)
        self.equal_dims(pool, o, [(1, 1)], op)
        self.define(updated, self.dims(pool), op)

    def _cast(self, op: ir.Operation) -> None:
        self.define(op.results[0], self.dims(op.operands[0]), op)

    def _insert(self, op: ir.Operation) -> None:
        into = op.operands[1]
        self.define(op.results[0], self.dims(into), op)
        for size in self.dims(into):
            self.nonnegative(size, op, 1)

    def _pad(self, op: ir.Operation) -> None:
        _check_body(op)
        dynamic = list(op.operands)[1:]
        low, high = (
            [self.part(dynamic.pop(0) if n == DYNAMIC else n) for n in op.attributes[name]]
            for name in ("static_low", "static_high")
        )
        for size in (*low, *high):
            self.nonnegative(size, op)
        parts = zip(low, self.dims(op.operands[0]), high, strict=True)
        for own, part in zip(self.dims(op.results[0]), parts, strict=True):
            own.root().formulas.append(total(part))

    def _new_tensor(self, op: ir.Operation) -> None:
        """tensor.empty, tensor.splat, tensor.generate: the operands of type index are the dynamic sizes."""
        _check_body(op)
        sizes = iter([v for v in op.operands if isinstance(v.type, ir.IndexType)][-_dynamic_rank(op) :])
        for own in self.dims(op.results[0]):
            if own.root().constant is None and (given := next(sizes, None)) is not None:
                self.nonnegative(self.index(given), op)
                self.equal(self.index(given), own, op)

    def _slice(self, op: ir.Operation, whole: ir.Value, first: int) -> list[Size]:
        """The sizes of a slice of `whole`, which a call checks to lie inside where nothing else does."""
        offsets, sizes, strides = slice_parts(op, first)
        checked = is_checked_at_the_call(op, first)
        found = [self.part(size) for size in sizes]
        for d, (own, size, offset, stride) in enumerate(
            zip(self.dims(whole), found, offsets, strides, strict=True)
        ):
            self.nonnegative(size, op)
            if not checked:
                continue
            if isinstance(offset, int) and isinstance(stride, int) and size.constant:
                self.nonnegative(own, op, offset + (size.constant - 1) * stride + 1)
                continue
            box = _Box(diagnostics.locate(op.location), d, own, size, self.part(offset), self.part(stride))
            for part in (box.offset, box.stride):
                self.known(part, op)
            self.sizes.requirements.append(box)
        return found

    def _extract_slice(self, op: ir.Operation) -> None:
        sizes = self._slice(op, op.operands[0], 1)
        self._define_slice(op.results[0], sizes, op, 1)

    def _insert_slice(self, op: ir.Operation) -> None:
        source, into = op.operands[0], op.operands[1]
        sizes = self._slice(op, into, 2)
        self._define_slice(source, sizes, op, 2)
        self.define(op.results[0], self.dims(into), op)

    def _define_slice(self, value: ir.Value, sizes: Sequence[Size], op: ir.Operation, first: int) -> None:
        """`value` is a slice of these sizes; those that its type drops are 1."""
        dropped = dropped_dimensions(slice_parts(op, first)[1], value.type)
        for d in dropped:
            self.equal(self.new(1), sizes[d], op)
        self.define(value, [size for d, size in enumerate(sizes) if d not in dropped], op)

    def _reshape(self, op: ir.Operation) -> None:
        """tensor.expand_shape and tensor.collapse_shape: a group of one dimension keeps its size."""
        groups = [[i.value for i in group] for group in op.attributes["reassociation"]]
        expand = op.name == "tensor.expand_shape"
        wide, narrow = (op.results[0], op.operands[0]) if expand else (op.operands[0], op.results[0])
        if expand:  # output_shape: all sizes, as operands where dynamic
            given = list(op.operands)[1:]
            for own, static in zip(self.dims(wide), op.attributes["static_output_shape"], strict=True):
                if static == DYNAMIC and given:
                    size = self.index(given.pop(0))
                    self.nonnegative(size, op)
                    self.equal(size, own, op)
        for d, group in enumerate(groups):
            members = [self.dims(wide)[e] for e in group]
            if len(members) == 1:
                self.equal(self.dims(narrow)[d], members[0], op)
            else:
                self.dims(narrow)[d].root().formulas.append(product(members))

    def _concat(self, op: ir.Operation) -> None:
        axis = op.attributes["dim"].value
        result = self.dims(op.results[0])
        parts = [self.dims(value) for value in op.operands]
        for part in parts:
            for d, size in enumerate(part):
                if d != axis:
                    self.equal(result[d], size, op)
        result[axis].root().formulas.append(total([part[axis] for part in parts]))

    def _for(self, op: ir.Operation) -> None:
        """scf.for: carried tensors keep their sizes, and the step leads to an end."""
        self._positive_step(self.index(op.operands[2]), op)
        block = op.regions[0].blocks[0]
        count = len(op.results)
        inits = list(op.operands)[len(op.operands) - count :]
        inner = list(block.arguments)[len(block.arguments) - count :]
        for init, argument in zip(inits, inner, strict=True):
            if is_tensor(init):
                self.dims_of[argument] = self.dims(init)
        self.block(block)
        yielded = block.operations[len(block.operations) - 1].operation.operands
        for init, out, result in zip(inits, yielded, op.results, strict=True):
            if is_tensor(init):
                self.define(out, self.dims(init), op)
                self.define(result, self.dims(init), op)

    def _positive_step(self, step: Size, op: ir.Operation) -> None:
        """Other steps never reach the end, in code that nothing could interrupt."""
        self.known(step, op, "a step")

        def requirement(call: Call) -> str | None:
            value = call.value(step)
            return (
                f"expects the step of a loop to be at least 1, got {value}"
                if not value or value < 1
                else None
            )

        constant = step.root().constant
        if constant is None:
            self.sizes.requirements.append(requirement)
        elif constant < 1:
            raise diagnostics.error_at(op, f"expects a step of at least 1, got {constant}")

    def _if(self, op: ir.Operation) -> None:
        """scf.if: both branches give the same sizes."""
        for region in op.regions:
            for block in region.blocks:
                self.block(block)
                yielded = block.operations[len(block.operations) - 1].operation.operands
                for value, result in zip(yielded, op.results, strict=True):
                    if is_tensor(result):
                        self.equal_dims(result, value, [(d, d) for d in range(result.type.rank)], op)


class _Box:
    """One dimension of a slice must lie inside of the tensor: a requirement of `Sizes`."""

    def __init__(
        self,
        place: diagnostics.Position,
        dimension: int,
        whole: Size,
        size: Size,
        offset: Size,
        stride: Size,
    ):
        self.place, self.dimension = place, dimension
        self.whole, self.size, self.offset, self.stride = whole, size, offset, stride

    @property
    def is_whole(self) -> bool:
        """Whether the slice takes all of the dimension, whatever its size is."""
        offset, stride = self.offset.root().constant, self.stride.root().constant
        return self.size.root() is self.whole.root() and (offset, stride) == (0, 1)

    def __call__(self, call: Call) -> str | None:
        values = [call.value(each) for each in (self.whole, self.size, self.offset, self.stride)]
        whole, size, offset, stride = [value for value in values if value is not None]  # all are known
        last = offset + (size - 1) * stride
        if size < 1 or (min(offset, last) >= 0 and max(offset, last) < whole):
            return None
        where = f" ({self.place.file}:{self.place.line})" if self.place.file and self.place.line else ""
        return (
            f"expects the slice of {size} elements from {offset} on, by {stride}, to lie inside dimension "
            f"{self.dimension} of size {whole}{where}"
        )


def _check_body(op: ir.Operation) -> None:
    """The body of an operation on tensors computes scalars: nothing could check a tensor of each element."""
    for region in op.regions:
        for block in region.blocks:
            for child in block.operations:
                if any(is_tensor(result) for result in child.operation.results):
                    raise unsupported(child.operation, f"a tensor inside the body of '{op.name}'")


def _touches_tensors(op: ir.Operation) -> bool:
    """Whether `op`, or an operation inside it, has operands or results that are tensors."""
    if any(isinstance(value.type, ir.ShapedType) for value in (*op.operands, *op.results)):
        return True
    return any(
        _touches_tensors(child.operation)
        for region in op.regions
        for block in region.blocks
        for child in block.operations
    )


def _dynamic_rank(op: ir.Operation) -> int:
    return sum(size == DYNAMIC for size in op.results[0].type.shape) or len(op.operands) + 1


_HANDLERS: dict[str, Callable[[_Analysis, ir.Operation], None]] = {
    "attn.attention": _Analysis._attention,
    "attn.online_attention": _Analysis._attention,
    "attn.online_reduce": _Analysis._rows,
    "attn.chunked_recurrence": _Analysis._recurrence,
    "attn.recurrence": _Analysis._recurrence,
    "attn.recurrence_step": _Analysis._recurrence_step,
    "tensor.bitcast": _Analysis._cast,
    "tensor.cast": _Analysis._cast,
    "tensor.insert": _Analysis._insert,
    "tensor.pad": _Analysis._pad,
    "tensor.empty": _Analysis._new_tensor,
    "tensor.splat": _Analysis._new_tensor,
    "tensor.generate": _Analysis._new_tensor,
    "tensor.extract_slice": _Analysis._extract_slice,
    "tensor.insert_slice": _Analysis._insert_slice,
    "tensor.expand_shape": _Analysis._reshape,
    "tensor.collapse_shape": _Analysis._reshape,
    "tensor.concat": _Analysis._concat,
    "scf.for": _Analysis._for,
    "scf.if": _Analysis._if,
}
