"""`x[...]`: reading elements of tensors, slices, and new dimensions of size 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aecompiler.bindings import arith, ir, tensor
from aecompiler.builder import arithmetic, dtypes, emit, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.tracing import Dim, Scope, current_scope


@dataclass
class _Axis:
    """What an index does with one dimension.

    Where the part starts, and its size (None: one element, no dimension).
    """

    start: int | ir.Value
    size: Dim | None
    step: int = 1


def getitem(value: values.Value, key: Any) -> values.Value:
    """`value[key]`: one element for an integer per dimension, otherwise a slice of the tensor."""
    scope = current_scope()
    arithmetic.usable(value)
    if not value._dims:
        raise TraceError(f"a scalar of type {value.dtype} can't be indexed")
    items = _expand(value, key if isinstance(key, tuple) else (key,))
    indices = [item for item in items if item is not None]
    if all(not isinstance(item, slice) for item in items) and len(items) == len(value._dims):
        return _element(scope, value, items)
    if scope.kind in ("score", "mask", "normalize"):
        given, rank = sum(not isinstance(item, slice) for item in indices), len(value._dims)
        fact = "got a new dimension (None)" if given == rank else f"got {given}"
        raise TraceError(
            f"{scope.title} reads one element at a time: expects {_indices(rank)} "
            f"for a tensor of shape {arithmetic.shape_text(value)}, {fact}"
        )
    axes = [_axis(scope, value, axis, item) for axis, item in enumerate(indices)]
    varying = value._varying or any(isinstance(item, values.Value) and item._varying for item in indices)
    built, dims = _slice(scope, value, axes)
    result = values.Value(built, value.dtype, dims, scope, varying)
    if any(item is None for item in items):
        return new_axes(scope, result, items)
    return result


def _expand(value: values.Value, key: tuple[Any, ...]) -> list[Any]:
    """The key with one entry per dimension (an integer or a slice), and None for each new dimension."""
    rank, used = len(value._dims), sum(item is not None and item is not Ellipsis for item in key)
    if used > rank:
        raise TraceError(
            f"expects at most {_indices(rank)} for a tensor of shape {arithmetic.shape_text(value)}, "
            f"got {used}"
        )
    if sum(item is Ellipsis for item in key) > 1:
        raise TraceError("expects at most one `...` in an index")
    items: list[Any] = []
    for item in key:
        if item is Ellipsis:
            items += [slice(None)] * (rank - used)
        else:
            items.append(item if item is None or isinstance(item, slice) else _integer(item))
    return items + [slice(None)] * (rank - sum(item is not None for item in items))


def _indices(count: int) -> str:
    return f"{count} index" if count == 1 else f"{count} indices"


def _integer(item: Any) -> Any:
    """An index operand: a traced integer or a Python int."""
    if isinstance(item, (list, str)) or item is None:
        raise TraceError(f"expects integers, slices, None and `...` as indices, got {type(item).__name__}")
    item = arithmetic.operand(item)
    dtype = (
        item.dtype if isinstance(item, values.Value) else {bool: "i1", int: "index"}.get(type(item), "f64")
    )
    if isinstance(item, values.Value) and item._dims:
        raise TraceError(f"expects a scalar as index, got a tensor of shape {arithmetic.shape_text(item)}")
    if dtype == dtypes.BOOL:
        raise TraceError(
            "expects an integer as index, got a boolean; use aec.where(cond, a, b) on the elements"
        )
    if dtypes.is_float(dtype):
        raise TraceError(
            f'expects an integer as index, got {dtype}; use `//` for `/`, or aec.cast(x, "index")'
        )
    return item


def _position(scope: Scope, value: values.Value, axis: int, item: Any) -> int | ir.Value:
    """An index into dimension `axis`, with negative Python ints counted from its end."""
    loc, dim = scope.trace.location(), value._dims[axis]
    if isinstance(item, int):
        if isinstance(dim, int):
            if not -dim <= item < dim:
                raise TraceError(f"index {item} is out of bounds for dimension {axis} of size {dim}")
            return item % dim
        if item >= 0 and scope.kind != "function":
            return item
        position = emit.index(item, loc)
        if item < 0:
            position = arith.addi(size_of(value, axis), position, loc=loc)
    else:
        position = emit.cast(item._ir, item.dtype, "index", loc)
    if scope.kind != "function":
        return position  # reads in regions are clamped by definition
    size = emit.index(dim, loc) if isinstance(dim, int) else size_of(value, axis)
    last = arith.subi(size, emit.index(1, loc), loc=loc)
    return arith.maxsi(arith.minsi(position, last, loc=loc), emit.index(0, loc), loc=loc)


def size_of(value: values.Value, axis: int) -> ir.Value:
    """The run-time size of a dynamic dimension as a value of index type."""
    symbol = value._dims[axis]
    assert isinstance(symbol, str)
    return value._scope.trace.size(value._ir, axis, symbol)


def _element(scope: Scope, value: values.Value, items: list[Any]) -> values.Value:
    loc = scope.trace.location()
    positions = [_position(scope, value, axis, item) for axis, item in enumerate(items)]
    operands = [emit.index(p, loc) if isinstance(p, int) else p for p in positions]
    varying = value._varying or any(isinstance(item, values.Value) and item._varying for item in items)
    return values.Value(tensor.extract(value._ir, operands, loc=loc), value.dtype, (), scope, varying)


def _axis(scope: Scope, value: values.Value, axis: int, item: Any) -> _Axis:
    dim = value._dims[axis]
    if not isinstance(item, slice):
        return _Axis(_position(scope, value, axis, item), None)
    bounds = [None if bound is None else _integer(bound) for bound in (item.start, item.stop)]
    step = 1 if item.step is None else item.step
    if not isinstance(step, int) or step < 1:
        raise TraceError(f"expects the step of a slice to be a positive Python int, got {item.step}")
    static = not any(isinstance(bound, values.Value) for bound in bounds)
    if static and isinstance(dim, int):
        part = range(*slice(bounds[0], bounds[1], step).indices(dim))
        return _Axis(part.start if part else 0, len(part), step)  # an empty part starts in bounds
    if static and bounds[0] in (None, 0) and bounds[1] is None and step == 1:
        if isinstance(dim, str):
            size_of(value, axis)
        return _Axis(0, dim)
    if scope.kind != "function":
        raise TraceError(
            f"expects slices of static size in {scope.title}, got one of dimension {axis} that is dynamic"
        )
    if step != 1:
        raise TraceError(f"unsupported: a step of {step} in a slice of dynamic size")
    return _dynamic_axis(scope, value, axis, bounds)


def _dynamic_axis(scope: Scope, value: values.Value, axis: int, bounds: list[Any]) -> _Axis:
    """A slice of a size that is known at run time.

    Bounds are clamped as in Python, traced ones count from the start.
    """
    trace, loc, dim = scope.trace, scope.trace.location(), value._dims[axis]
    zero = emit.index(0, loc)
    size = emit.index(dim, loc) if isinstance(dim, int) else size_of(value, axis)

    def clamped(bound: Any, default: ir.Value) -> ir.Value:
        if bound is None:
            return default
        if isinstance(bound, values.Value):
            position = emit.cast(bound._ir, bound.dtype, "index", loc)
        else:
            position = emit.index(bound, loc)
            if bound < 0:
                position = arith.addi(size, position, loc=loc)
        return arith.maxsi(arith.minsi(position, size, loc=loc), zero, loc=loc)

    def text(bound: Any) -> str:
        return (
            "" if bound is None else f"%{hash(bound._ir)}" if isinstance(bound, values.Value) else str(bound)
        )

    symbol = f"{trace.dims.find(dim)}[{text(bounds[0])}:{text(bounds[1])}]"
    start, stop = clamped(bounds[0], zero), clamped(bounds[1], size)
    length = arith.maxsi(arith.subi(stop, start, loc=loc), zero, loc=loc)
    trace.sizes.setdefault(symbol, length)
    return _Axis(start, symbol)


def _slice(scope: Scope, value: values.Value, axes: list[_Axis]) -> tuple[ir.Value, tuple[Dim, ...]]:
    dims = tuple(axis.size for axis in axes if axis.size is not None)
    if dims == value._dims and not any(isinstance(axis.start, ir.Value) or axis.start for axis in axes):
        return value._ir, dims
    for position, axis in enumerate(axes):
        if scope.kind != "function" and isinstance(axis.size, str):
            raise TraceError(
                f"{scope.title} expects parts of static shape, but dimension {position} of a tensor of shape "
                f"{arithmetic.shape_text(value)} is dynamic; index it with an integer"
            )
    trace, dynamic, dynamic_size = (
        scope.trace,
        ir.ShapedType.get_dynamic_stride_or_offset(),
        ir.ShapedType.get_dynamic_size(),
    )
    if 0 in dims:  # upstream takes the offset 0 of a dimension of size 0 for out of bounds
        return emit.empty(arithmetic.size_values(trace, dims), value.dtype, trace.location()), dims
    offsets = [axis.start for axis in axes]
    sizes = arithmetic.size_values(trace, [1 if axis.size is None else axis.size for axis in axes])
    built = tensor.extract_slice(
        emit.tensor_type([dim if isinstance(dim, int) else None for dim in dims], value.dtype),
        value._ir,
        [offset for offset in offsets if isinstance(offset, ir.Value)],
        [size for size in sizes if isinstance(size, ir.Value)],
        [],
        [dynamic if isinstance(offset, ir.Value) else offset for offset in offsets],
        [dynamic_size if isinstance(size, ir.Value) else size for size in sizes],
        [axis.step for axis in axes],
        loc=trace.location(),
    )
    return built, dims


def new_axes(scope: Scope, value: values.Value, items: list[Any]) -> values.Value:
    """Insert a dimension of size 1 for each None of `items`; integers among them have left no dimension."""
    trace, old = scope.trace, iter(value._dims)
    dims: list[Dim] = []
    groups: list[list[int]] = [[] for _ in value._dims]
    seen = 0
    for item in items:
        if item is not None and not isinstance(item, slice):
            continue
        if groups:
            groups[min(max(seen - (item is None), 0), len(groups) - 1)].append(len(dims))
        seen += item is not None
        dims.append(1 if item is None else next(old))
    i64 = ir.IntegerType.get_signless(64)
    reassociation = ir.ArrayAttr.get(
        [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, axis) for axis in group]) for group in groups]
    )
    for axis, dim in enumerate(value._dims):
        if isinstance(dim, str):
            trace.size(value._ir, axis, dim)
    sizes = arithmetic.size_values(trace, dims)
    dynamic = ir.ShapedType.get_dynamic_size()
    built = tensor.expand_shape(
        emit.tensor_type([dim if isinstance(dim, int) else None for dim in dims], value.dtype),
        value._ir,
        reassociation,
        [size for size in sizes if isinstance(size, ir.Value)],
        [dynamic if isinstance(size, ir.Value) else size for size in sizes],
        loc=trace.location(),
    )
    trace.scratch.append(built.owner)
    return values.Value(built, value.dtype, tuple(dims), scope, value._varying)
