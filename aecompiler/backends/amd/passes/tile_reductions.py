"""Products of matrices, reductions, scans and gathers of `tt` as operations of `vector`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.backends.amd.passes import vector_types as vt
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import arith, ir, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import PassFailure

if TYPE_CHECKING:
    import numpy as np

    from aecompiler.backends.amd.passes.whole_tiles import Converter

PRECISION = "amd.precision"
"""The attribute of products that says how those of f32 are computed: `ieee`, `tf32x3` or `tf32`."""

_NAMES = {number: name for name, number in tt.PRECISION.items()}
_MAPS = "affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>"
_ITERATORS = ", ".join(f"#vector.iterator_type<{each}>" for each in ("parallel", "parallel", "reduction"))


def _dot(kernel: Converter, op: ir.Operation) -> None:
    left, right, addend = kernel.operands(op)
    if any(len(vt.shape_of(each)) != 2 for each in (left, right, addend)):
        raise PassFailure(op, "unsupported: a product of what are no matrices")
    maps, iterators = (ir.ArrayAttr(ir.Attribute.parse(f"[{text}]")) for text in (_MAPS, _ITERATORS))
    product = vector.contract(addend.type, left, right, addend, maps, iterators, kind=_kind("add"))
    if (number := op.attributes["inputPrecision"].value) not in _NAMES:
        raise PassFailure(op, f"expects inputPrecision to be one of {sorted(_NAMES)}, got {number}")
    precision = _NAMES[number]
    product.owner.attributes[PRECISION] = ir.StringAttr.get(precision)
    kernel.define(op, product)


def _kind(name: str) -> ir.Attribute:
    return ir.Attribute.parse(f"#vector.kind<{name}>")


def _combining(op: ir.Operation) -> str:
    """The kind of what a reduction or scan of one tensor combines by; `PassFailure` for more operations."""
    if len(op.results) != 1 or len(op.operands) != 1:
        raise PassFailure(op, "unsupported: several tensors at once")
    if len(op.regions[0].blocks) != 1 or not list(op.regions[0].blocks[0].operations):
        raise PassFailure(op, "expects a region of one block that ends with what is returned")
    block = op.regions[0].blocks[0]
    *body, end = (view.operation for view in block.operations)
    if len(body) != 1:
        raise PassFailure(op, f"unsupported: combines by {len(body)} operations, not by one")
    (combine,) = body
    takes_both = {*combine.operands} == {*block.arguments} and len(combine.operands) == 2
    if combine.name not in vt.KINDS or not takes_both or [*end.operands] != [*combine.results]:
        raise PassFailure(op, f"unsupported: combines by '{combine.name}'")
    return vt.KINDS[combine.name]


def _axis(op: ir.Operation) -> int:
    axis, rank = op.attributes["axis"].value, len(tt.shape_of(op.operands[0]))
    if not 0 <= axis < rank:
        raise PassFailure(op, f"expects an axis of its operand, which has {rank} dimensions, got {axis}")
    return axis


def _reduce(kernel: Converter, op: ir.Operation) -> None:
    (value, *_), kind = kernel.operands(op), _combining(op)
    type_ = kernel.result_type(op)
    start = vt.constant(type_, vt.identity(kind, vt.element_of(value)))
    kernel.define(op, vector.multi_reduction(_kind(kind), value, start, [_axis(op)]))


def _scan(kernel: Converter, op: ir.Operation) -> None:
    (value, *_), kind, axis = kernel.operands(op), _combining(op), _axis(op)
    shape, element = list(vt.shape_of(value)), vt.element_of(value)
    size = shape.pop(axis)
    back = list(reversed(range(size))) if op.attributes["reverse"].value else None
    start = vt.constant(ir.VectorType.get(shape, element), vt.identity(kind, element))
    if back:
        value = _permuted(value, axis, back)
    value = vector.scan(_kind(kind), value, start, axis, True)[0]
    kernel.define(op, _permuted(value, axis, back) if back else value)


def _permuted(value: ir.Value, axis: int, places: list[int]) -> ir.Value:
    """What stands at known places along an axis."""
    order = list(range(len(vt.shape_of(value))))
    order[0], order[axis] = axis, 0
    value = _swapped(value, order)
    return _swapped(vector.shuffle(value, value, places), order)


def _swapped(value: ir.Value, order: list[int]) -> ir.Value:
    if order == sorted(order):
        return value
    shape = vt.shape_of(value)
    return vector.transpose(vt.typed([shape[d] for d in order], vt.element_of(value)), value, order)


def _gather(kernel: Converter, op: ir.Operation) -> None:
    (value, places), axis = kernel.operands(op), _axis(op)
    known = _known(op.operands[1])
    along = None if known is None else _only_along(axis, known)
    if along is not None:
        kernel.define(op, _permuted(value, axis, along))
        return
    if len(vt.shape_of(value)) != 1:
        raise PassFailure(op, "unsupported: places in a tensor of several dimensions that are not known")
    kernel.define(op, _chosen(value, places))


def _chosen(value: ir.Value, places: ir.Value) -> ir.Value:
    """The elements of a vector at places: sums that have one of them each, and otherwise nothing."""
    (size,), (count,), element = vt.shape_of(value), vt.shape_of(places), vt.element_of(value)
    steps = vector.step(vt.typed([size], ir.IndexType.get()))
    numbers = arith.index_cast(vt.typed([size], vt.element_of(places)), steps)
    here = arith.cmpi(arith.CmpIPredicate.eq, _rows(numbers, count), _columns(places, size))
    zero = vt.identity("add", element)
    chosen = arith.select(here, _rows(value, count), vt.constant(vt.typed([count, size], element), zero))
    return vector.multi_reduction(_kind("add"), chosen, vt.constant(vt.typed([count], element), zero), [1])


def _rows(value: ir.Value, count: int) -> ir.Value:
    """A matrix whose rows are all a vector."""
    (size,), element = vt.shape_of(value), vt.element_of(value)
    row = vector.shape_cast(vt.typed([1, size], element), value)
    return vector.broadcast(vt.typed([count, size], element), row)


def _columns(value: ir.Value, count: int) -> ir.Value:
    """A matrix whose columns are all a vector."""
    (size,), element = vt.shape_of(value), vt.element_of(value)
    column = vector.shape_cast(vt.typed([size, 1], element), value)
    return vector.broadcast(vt.typed([size, count], element), column)


_ARITHMETIC = {
    "arith.addi": "add",
    "arith.subi": "subtract",
    "arith.muli": "multiply",
    "arith.maxsi": "maximum",
    "arith.minsi": "minimum",
}
"""What numpy calls operations on integers."""


def _only_along(axis: int, known: np.ndarray) -> list[int] | None:
    """The numbers along an axis of an array if they are the same everywhere else."""
    rows = known.swapaxes(axis, -1).reshape(-1, known.shape[axis])
    return [int(each) for each in rows[0]] if (rows == rows[0]).all() else None


def _known(value: ir.Value) -> np.ndarray | None:
    """The integers that a tensor or scalar of a `tt.func` is, if they are the same in every program."""
    import numpy as np  # slow to import: paid where something is gathered

    op = rw.definer(value)
    if op is None:
        return None
    shape = tt.shape_of(value)
    if op.name == "tt.make_range":
        return np.arange(op.attributes["start"].value, op.attributes["end"].value)
    if op.name == "arith.constant":
        number = rw.constant_value(value)
        return None if number is None else np.full(shape, number)
    inputs = [_known(operand) for operand in op.operands]
    found = [each for each in inputs if each is not None]
    if not found or len(found) < len(inputs):
        return None
    if op.name in ("tt.splat", "tt.broadcast"):
        return np.broadcast_to(found[0], shape)
    if op.name in ("tt.expand_dims", "tt.reshape"):
        return found[0].reshape(shape)
    return getattr(np, _ARITHMETIC[op.name])(*found) if op.name in _ARITHMETIC else None


HANDLERS = {"tt.dot": _dot, "tt.reduce": _reduce, "tt.scan": _scan, "tt.gather": _gather}
"""What makes operations on vectors of these on tensors."""
