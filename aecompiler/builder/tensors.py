"""Operations on whole tensors: products, outer products, reductions, transposes, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aecompiler.bindings import ir, linalg, tensor
from aecompiler.builder import arithmetic, dtypes, emit, indexing, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.tracing import Dim, Scope, current_scope

_PRODUCTS = {(1, 2): "vecmat", (2, 1): "matvec", (1, 1): "dot", (2, 2): "matmul"}


def _tensor(value: Any, what: str) -> values.Value:
    value = arithmetic.operand(value)
    if not isinstance(value, values.Value) or not value._dims:
        raise TraceError(f"{what} expects a tensor, got a scalar")
    arithmetic.elements(current_scope(), value)
    if value.dtype == dtypes.BOOL:
        raise TraceError(f"{what} expects numbers, got booleans; use aec.cast or aec.where first")
    return value


def _shapes(*tensors: values.Value) -> str:
    return " and ".join(arithmetic.shape_text(value) for value in tensors)


def as_dtype(value: values.Value, dtype: str) -> ir.Value:
    """The tensor as `dtype`, through an elementwise operation where the type differs."""
    if value.dtype == dtype:
        return value._ir
    return arithmetic.elementwise(lambda a, *, loc: a, (value,), (dtype,), dtype)._ir


def matmul(left: Any, right: Any) -> values.Value:
    """`left @ right` of vectors and matrices: vector-matrix, matrix-vector, inner and matrix products."""
    a, b = _tensor(left, "`@`"), _tensor(right, "`@`")
    scope = current_scope()
    name = _PRODUCTS.get((a.ndim, b.ndim))
    if name is None:
        raise TraceError(
            f"unsupported: `@` of tensors of shapes {_shapes(a, b)}; expects vectors and matrices"
        )
    if not scope.trace.dims.unify(a._dims[-1], b._dims[0]):
        raise TraceError(f"`@` expects equal inner sizes, got shapes {_shapes(a, b)}")
    dtype = arithmetic.result_dtype(scope, (a, b), floating=True)
    compute = arithmetic.compute_dtype(dtype)
    trace, loc = scope.trace, scope.trace.location()
    dims = (*a._dims[:-1], *b._dims[1:])
    for value in (a, b):
        for axis, dim in enumerate(value._dims):
            if isinstance(dim, str):
                trace.size(value._ir, axis, dim)
    inputs = [as_dtype(a, compute), as_dtype(b, compute)]
    init = emit.filled(0, arithmetic.size_values(trace, dims), compute, loc)
    with loc:
        built = getattr(linalg, name)(*inputs, outs=[init])
    if not dims:
        built = tensor.extract(built, [], loc=loc)
    result = values.Value(built, compute, dims, scope, a._varying or b._varying)
    return result if compute == dtype else result.astype(dtype)


def outer(left: Any, right: Any) -> values.Value:
    """The outer product of two vectors: element (i, j) is left[i] * right[j]."""
    a, b = _tensor(left, "aec.outer"), _tensor(right, "aec.outer")
    if a.ndim != 1 or b.ndim != 1:
        raise TraceError(f"aec.outer expects two vectors, got shapes {_shapes(a, b)}")
    return a[:, None] * b[None, :]


def _axes(value: values.Value, axis: Any, what: str) -> list[int]:
    """Different axes of a tensor as non-negative numbers, in the order given; None is all of them."""
    given = range(value.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = []
    for item in given:
        if isinstance(item, bool) or not isinstance(item, int) or not -value.ndim <= item < value.ndim:
            raise TraceError(
                f"{what} expects axes of a tensor of shape {arithmetic.shape_text(value)}, got {item!r}"
            )
        axes.append(item % value.ndim)
    if len(set(axes)) != len(axes):
        raise TraceError(f"{what} expects different axes, got {axis}")
    return axes


def reduction(kind: str, value: Any, axis: Any = None, *, keepdims: bool = False) -> values.Value:
    """Reduce the row of a normaliser (scalars), or axes of a tensor; integers count as floats."""
    value = arithmetic.operand(value)
    if not isinstance(value, values.Value):
        raise TraceError(f"`.{kind}` expects a traced value, got a Python number")
    scope = current_scope()
    if not value._dims:
        return _row_reduce(scope, kind, value, axis)
    value = _tensor(value, f"`.{kind}`")
    axes = sorted(_axes(value, axis, f"`.{kind}`"))
    dtype = arithmetic.result_dtype(scope, (value,), floating=True)
    compute = arithmetic.compute_dtype(dtype)
    trace, loc = scope.trace, scope.trace.location()
    for position, dim in enumerate(value._dims):
        if isinstance(dim, str):
            trace.size(value._ir, position, dim)
    dims = tuple(dim for position, dim in enumerate(value._dims) if position not in axes)
    source = as_dtype(value, compute)
    built = emit.reduce(kind, source, axes, arithmetic.size_values(trace, dims), compute, loc)
    if not dims:  # one number for the whole tensor is a scalar
        built = tensor.extract(built, [], loc=loc)
    result = values.Value(built, compute, dims, scope, value._varying)
    if compute != dtype:
        result = result.astype(dtype)
    if not keepdims:
        return result
    if not dims:
        ones = (1,) * value.ndim
        single = tensor.from_elements(emit.tensor_type(ones, dtype), [result._ir], loc=loc)
        return values.Value(single, dtype, ones, scope, value._varying)
    return indexing.new_axes(
        scope, result, [None if position in axes else slice(None) for position in range(value.ndim)]
    )


def _row_reduce(scope: Scope, kind: str, value: values.Value, axis: Any) -> values.Value:
    from aecompiler.dialect import RowReduceOp

    if scope.kind != "normalize":
        raise TraceError(
            f"`.{kind}()` of a scalar reduces a row and exists in normalisers only; this is {scope.title}"
        )
    if axis is not None:
        raise TraceError(f"`.{kind}()` reduces the row and takes no axis, got {axis!r}")
    if value.dtype == dtypes.BOOL:
        raise TraceError(f"`.{kind}()` expects numbers, got a boolean; use aec.where(cond, 1.0, 0.0)")
    loc = scope.trace.location()
    operand = emit.cast(value._ir, value.dtype, scope.acc, loc)
    op = RowReduceOp(operand.type, operand, kind=ir.StringAttr.get(kind), loc=loc)
    return values.Value(op.results[0], scope.acc, (), scope, varying=False)


def transpose(value: Any, permutation: Sequence[int]) -> values.Value:
    """The tensor with its dimensions reordered: dimension n of the result is dimension `permutation[n]`."""
    value = _tensor(value, "transpose")
    axes = _axes(value, permutation, "transpose")
    if len(axes) != value.ndim:
        raise TraceError(f"transpose expects a permutation of {value.ndim} dimensions, got {permutation!r}")
    scope = current_scope()
    trace, loc = scope.trace, scope.trace.location()
    for axis, dim in enumerate(value._dims):
        if isinstance(dim, str):
            trace.size(value._ir, axis, dim)
    dims = tuple(value._dims[axis] for axis in axes)
    init = emit.empty(arithmetic.size_values(trace, dims), value.dtype, loc)
    with loc:
        built = linalg.transpose(value._ir, outs=[init], permutation=axes).results[0]
    return values.Value(built, value.dtype, dims, scope, value._varying)


def concat(parts: Sequence[Any], axis: int = -1) -> values.Value:
    """Tensors one after the other along `axis`, whose sizes must be static; other sizes must be equal."""
    tensors = [_tensor(part, "aec.concat") for part in parts]
    if not tensors:
        raise TraceError("aec.concat expects at least one tensor")
    scope = current_scope()
    trace, loc, rank = scope.trace, scope.trace.location(), tensors[0].ndim
    if any(part.ndim != rank for part in tensors) or not -rank <= axis < rank:
        raise TraceError(
            f"aec.concat expects tensors of one rank and an axis of them, got axis {axis} and shapes "
            + _shapes(*tensors)
        )
    axis %= rank
    dtype = arithmetic.result_dtype(scope, tensors)
    dims = list(tensors[0]._dims)
    total = 0
    for part in tensors:
        size = part._dims[axis]
        if not isinstance(size, int):
            raise TraceError(f"unsupported: aec.concat along dimension {axis} of dynamic size")
        total += size
        for other, dim in enumerate(part._dims):
            if other == axis:
                continue
            if not trace.dims.unify(dims[other], dim):
                raise TraceError(
                    "aec.concat expects equal sizes outside of its axis, got shapes " + _shapes(*tensors)
                )
            if isinstance(dim, str):
                trace.size(part._ir, other, dim)
    dims[axis] = total
    built = emit.empty(arithmetic.size_values(trace, dims), dtype, loc)
    offset = 0
    for part in tensors:
        if 0 not in part._dims:  # of nothing, even the offset would be out of bounds for upstream
            built = _insert(scope, as_dtype(part, dtype), built, part._dims, axis, offset, loc)
        offset += part._dims[axis]  # type: ignore[operator]
    return values.Value(built, dtype, tuple(dims), scope, any(part._varying for part in tensors))


def _insert(
    scope: Scope,
    source: ir.Value,
    into: ir.Value,
    dims: tuple[Dim, ...],
    axis: int,
    offset: int,
    loc: ir.Location,
) -> ir.Value:
    sizes = arithmetic.size_values(scope.trace, dims)
    dynamic = ir.ShapedType.get_dynamic_size()
    return tensor.insert_slice(
        source,
        into,
        [],
        [size for size in sizes if isinstance(size, ir.Value)],
        [],
        [offset if position == axis else 0 for position in range(len(dims))],
        [dynamic if isinstance(size, ir.Value) else size for size in sizes],
        [1] * len(dims),
        loc=loc,
    )
