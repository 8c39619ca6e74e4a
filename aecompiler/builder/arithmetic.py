"""Elementwise operations on traced values: operands, promotion, broadcasting, and one emission for each
scope.

Scalars become `arith`/`math` operations. Tensors of a step have static shapes: their operands are broadcast
and the same operations are applied to whole tensors. Tensors of the function's body have dynamic shapes and
become one `linalg.generic` per operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf
from typing import Any

from aecompiler.bindings import ir, linalg, tensor
from aecompiler.builder import dtypes, emit, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.numbers import found, plain_number
from aecompiler.builder.tracing import Dim, Scope, Trace, current_scope

Operand = Any  # a traced Value, or a Python number

_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_BITWISE = ("and", "or", "xor")


def symbol(name: str) -> str:
    """An operation as the user writes it."""
    return f"`{_SYMBOLS.get(name, name)}`"


def operand(thing: Any) -> Operand:
    """A traced value that may be used here, or a Python number; an error for anything else."""
    if isinstance(thing, values.Value):
        return usable(thing)
    plain = plain_number(thing)
    if plain is None:
        raise TraceError(f"expects traced values and Python numbers, {found(thing)}")
    return plain


def usable(value: values.Value) -> values.Value:
    """`value`, if it may be used in the scope that is being traced."""
    scope = current_scope()
    if value._scope.trace is not scope.trace:
        raise TraceError("a traced value of another program can't be used here; pass it as an argument")
    if not scope.contains(value._scope):
        raise TraceError(
            f"a value of {value._scope.title} can't be used in {scope.title}: "
            "it exists in its own region only; return it, or compute it again"
        )
    return value


def elements(scope: Scope, value: values.Value) -> values.Value:
    """`value`, if its elements can take part in arithmetic in `scope`."""
    if not value._dims:
        return value
    if scope.kind in ("score", "mask", "normalize"):
        raise TraceError(
            f"a tensor of shape {shape_text(value)} can't be used as a whole in {scope.title}; "
            f"read one element of it, for example x[{', '.join('bhij'[: len(value._dims)])}]"
        )
    if scope.kind == "step" and not all(isinstance(dim, int) for dim in value._dims):
        raise TraceError(
            f"a tensor of shape {shape_text(value)} can't be used as a whole in {scope.title}; "
            "read the part for this step, for example gate[b, h, t]"
        )
    return value


def shape_text(value: values.Value) -> str:
    """The shape of a tensor as the user knows it, dynamic dimensions by their names."""
    return dims_text(value._dims)


def dims_text(dims: Sequence[Dim]) -> str:
    """A shape for a message."""
    texts = ["?" if isinstance(dim, str) and "." in dim else str(dim) for dim in dims]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def result_dtype(scope: Scope, operands: Sequence[Operand], *, floating: bool = False) -> str:
    """The common type of `operands`; floats of a region have at least the precision of its scores.

    Numbers are weak, and so are scalars beside tensors: they decide only whether the result is a float.
    """
    traced = [value for value in operands if isinstance(value, values.Value)]
    strong = [value for value in traced if value._dims] or traced
    dtype = reduce(dtypes.promote, [value.dtype for value in strong])
    weak = [value.dtype for value in traced if dtypes.is_float(value.dtype)]
    if not dtypes.is_float(dtype):
        if weak:
            dtype = reduce(dtypes.promote, weak)
        elif floating or any(isinstance(value, float) for value in operands):
            dtype = scope.acc
    if dtypes.is_float(dtype) and scope.kind != "function":
        dtype = dtypes.promote(dtype, scope.acc)
    return dtype


def number(value: float, dtype: str) -> float:
    """A Python number as a constant of `dtype`, or an error when the type has no such value."""
    if dtypes.is_float(dtype):
        if dtypes.LARGEST[dtype] < abs(value) != inf:
            raise TraceError(f'the constant is out of range for {dtype}; infinity is float("inf")')
        return float(value)
    if dtype == dtypes.BOOL:
        return int(bool(value))
    if isinstance(value, float):
        raise TraceError(
            f"expects an integer constant for {dtype}, got {value}; use aec.cast on the other operand"
        )
    if not dtypes.in_range(int(value), dtype):
        raise TraceError(f"the constant {value} is out of range for {dtype}")
    return int(value)


def broadcast(trace: Trace, shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """The common shape by the rules of numpy; dynamic dimensions must be equal, and are never stretched."""
    result: list[Dim] = []
    for axis in range(max(map(len, shapes), default=0)):
        common: Dim = 1
        for shape in shapes:
            if axis >= len(shape):
                continue
            dim = shape[-1 - axis]
            if dim == 1:
                continue
            if common == 1:
                common = dim
            elif not trace.dims.unify(common, dim):
                texts = " and ".join(dims_text(shape) for shape in shapes if shape)
                message = f"expects shapes that broadcast, got {texts}"
                if isinstance(common, str) or isinstance(dim, str):
                    message += (
                        ", whose equality can't be checked at the call; "
                        "declare both dimensions with one name or one number"
                    )
                raise TraceError(message)
        result.append(common)
    return tuple(reversed(result))


def elementwise(
    kernel: emit.Kernel,
    operands: Sequence[Operand],
    computes: Sequence[str],
    produced: str,
    result: str | None = None,
) -> values.Value:
    """Apply `kernel` to operands cast to the types `computes`; it gives `produced`, which is cast to
    `result`.

    Shapes broadcast. Errors: shapes that don't, and tensors where the scope takes scalars only.
    """
    scope = current_scope()
    trace, loc, result = scope.trace, scope.trace.location(), result or produced
    for value in operands:
        if isinstance(value, values.Value):
            elements(scope, value)
    traced = [value for value in operands if isinstance(value, values.Value)]
    dims = broadcast(trace, [value._dims for value in traced])
    varying = any(value._varying for value in traced)
    if dims and scope.kind == "function":
        built = _generic(trace, kernel, operands, computes, produced, result, dims, loc)
    else:
        shape = [dim for dim in dims if isinstance(dim, int)]
        inputs = []
        for value, dtype in zip(operands, computes, strict=True):
            if isinstance(value, values.Value):
                inputs.append(
                    stretch(value, emit.cast(value._ir, value.dtype, dtype, loc), dtype, shape, loc)
                )
            else:
                inputs.append(emit.constant(number(value, dtype), dtype, loc, shape or None))
        built = emit.cast(kernel(*inputs, loc=loc), produced, result, loc)
    return values.Value(built, result, dims, scope, varying)


def stretch(
    value: values.Value, built: ir.Value, dtype: str, shape: Sequence[int], loc: ir.Location
) -> ir.Value:
    """`built`, which has the shape of `value`, broadcast to a static shape."""
    own = value._dims
    if list(own) == list(shape):
        return built
    if not own:
        return tensor.splat(emit.tensor_type(shape, dtype), built, [], loc=loc)
    offset = len(shape) - len(own)
    missing = [axis for axis in range(len(shape)) if axis < offset or own[axis - offset] != shape[axis]]
    units = [axis for axis in range(len(own)) if axis + offset in missing]
    squeezed = squeeze(built, own, units, dtype, loc)
    with loc:
        return linalg.broadcast(squeezed, outs=[emit.empty(shape, dtype, loc)], dimensions=missing).results[0]


def squeeze(
    built: ir.Value, dims: Sequence[Dim], units: Sequence[int], dtype: str, loc: ir.Location
) -> ir.Value:
    """`built` without the dimensions `units`, which have size 1."""
    if not units:
        return built
    kept = [axis for axis in range(len(dims)) if axis not in units]
    shape = [dims[axis] for axis in kept]
    owner = built.owner
    if isinstance(owner, ir.Operation | ir.OpView) and owner.name == "tensor.expand_shape":
        source = owner.operands[0]
        if list(source.type.shape) == shape:  # only undoes the `None` of an index
            return source
    groups: list[list[int]] = [[] for _ in kept]
    for axis in range(len(dims)):
        if kept:
            place = max(sum(1 for k in kept if k <= axis) - 1, 0)
            groups[place].append(axis)
    attribute = ir.ArrayAttr.get(
        [
            ir.ArrayAttr.get([ir.IntegerAttr.get(ir.IntegerType.get_signless(64), axis) for axis in group])
            for group in groups
        ]
    )
    static = [dim if isinstance(dim, int) else None for dim in shape]
    return tensor.collapse_shape(emit.tensor_type(static, dtype), built, attribute, loc=loc)


def size_values(trace: Trace, dims: Sequence[Dim]) -> list[int | ir.Value]:
    """Static sizes as ints and dynamic ones as the values that were computed for their symbols."""
    return [dim if isinstance(dim, int) else trace.sizes[dim] for dim in dims]


def _generic(
    trace: Trace,
    kernel: emit.Kernel,
    operands: Sequence[Operand],
    computes: Sequence[str],
    produced: str,
    result: str,
    dims: tuple[Dim, ...],
    loc: ir.Location,
) -> ir.Value:
    rank = len(dims)
    inputs, maps, scalars = [], [], {}
    for position, (value, dtype) in enumerate(zip(operands, computes, strict=True)):
        if isinstance(value, values.Value) and value._dims:
            offset = rank - len(value._dims)
            axes = [
                None if dim == 1 and dims[offset + axis] != 1 else offset + axis
                for axis, dim in enumerate(value._dims)
            ]
            inputs.append((position, value))
            maps.append(emit.parallel_map(rank, axes))
            for axis, dim in enumerate(value._dims):
                if isinstance(dim, str):
                    trace.size(value._ir, axis, dim)
        elif isinstance(value, values.Value):
            scalars[position] = emit.cast(value._ir, value.dtype, dtype, loc)
    init = emit.empty(size_values(trace, dims), result, loc)

    def body(*arguments: ir.Value) -> ir.Value:
        own = {position: argument for (position, _), argument in zip(inputs, arguments, strict=False)}
        resolved = []
        for position, (value, dtype) in enumerate(zip(operands, computes, strict=True)):
            if position in own:
                resolved.append(emit.cast(own[position], value.dtype, dtype, loc))
            elif position in scalars:
                resolved.append(scalars[position])
            else:
                resolved.append(emit.constant(number(value, dtype), dtype, loc))
        return emit.cast(kernel(*resolved, loc=loc), produced, result, loc)

    maps.append(emit.parallel_map(rank, range(rank)))
    return emit.generic([value._ir for _, value in inputs], maps, init, ["parallel"] * rank, body, loc)


def compute_dtype(dtype: str) -> str:
    """The type in which arithmetic on `dtype` is done: 16-bit floats compute in f32 and round once."""
    return "f32" if dtypes.is_half(dtype) else dtype


def binary(name: str, left: Any, right: Any) -> values.Value:
    """The operator `name` on two operands, at least one of them traced."""
    left, right = operand(left), operand(right)
    scope = current_scope()
    has_bool = any(isinstance(x, values.Value) and x.dtype == dtypes.BOOL for x in (left, right))
    if has_bool and name not in (*_BITWISE, "eq", "ne"):
        raise TraceError(
            f"{symbol(name)} expects numbers, got a boolean; use aec.where(cond, a, b), "
            'or aec.cast(cond, "f32") for 0 and 1'
        )
    number = next((x for x in (left, right) if not isinstance(x, (values.Value, bool))), None)
    if has_bool and number is not None:
        advice = "use it as it is, or ~x" if name in ("eq", "ne") else "compare it first"
        raise TraceError(f"{symbol(name)} of a boolean expects a boolean, got the number {number}; {advice}")
    dtype = result_dtype(scope, (left, right), floating=name == "truediv")
    if has_bool and dtype != dtypes.BOOL:
        raise TraceError(
            f"{symbol(name)} expects two booleans or two integers, got a boolean and {dtype}; "
            "compare the number first"
        )
    if dtypes.is_float(dtype) and name in (*_BITWISE, "lshift", "rshift"):
        raise TraceError(
            f"{symbol(name)} expects booleans or integers, got {dtype}; "
            "put comparisons in parentheses: `(a < b) & (c < d)`"
        )
    if not dtypes.is_float(dtype) and not isinstance(right, values.Value):
        if name in ("floordiv", "mod") and right == 0:
            raise TraceError(f"{symbol(name)} by zero")
        if name in ("lshift", "rshift") and not 0 <= right < _width(dtype):
            raise TraceError(f"{symbol(name)} expects a shift of 0 to {_width(dtype) - 1} bits, got {right}")
    compute = compute_dtype(dtype)
    kernel = emit.binary(name, compute)
    if name in COMPARISONS:
        return elementwise(kernel, (left, right), (compute, compute), dtypes.BOOL)
    return elementwise(kernel, (left, right), (compute, compute), compute, dtype)


def _width(dtype: str) -> int:
    return {"index": 64, dtypes.BOOL: 1}.get(dtype) or int(dtype[1:])


def unary(kernel_of: Any, value: Any, *, floating: bool) -> values.Value:
    """An element function of one operand.

    `kernel_of(dtype)` builds it, and `floating` ones take integers as floats.
    """
    value = operand(value)
    scope = current_scope()
    if value.dtype == dtypes.BOOL:
        raise TraceError(
            'expects a number, got a boolean; use aec.where(cond, a, b), or aec.cast(cond, "f32") for 0 and 1'
        )
    dtype = result_dtype(scope, (value,), floating=floating)
    compute = compute_dtype(dtype)
    return elementwise(kernel_of(compute), (value,), (compute,), compute, dtype)


def power(base: Any, exponent: Any) -> values.Value:
    """`base ** exponent`: small integer powers multiply, 2 ** x is exp2, x ** 0.5 is sqrt, the rest is powf.

    An integer to a constant integer from 0 to 64 stays an integer; any other power is a float.
    """
    from aecompiler.builder import functions

    base, exponent = operand(base), operand(exponent)
    if isinstance(exponent, float) and exponent.is_integer() and abs(exponent) <= 64:
        base = functions.cast(base, result_dtype(current_scope(), (base,), floating=True))
        exponent = int(exponent)
    if isinstance(exponent, int) and not isinstance(exponent, bool) and isinstance(base, values.Value):
        if exponent < 0 and abs(exponent) <= 64:
            return 1.0 / power(base, -exponent)
        if 0 <= exponent <= 64:
            return _repeated_product(base, exponent)
    if isinstance(base, values.Value) and isinstance(exponent, float) and abs(exponent) == 0.5:
        return functions.sqrt(base) if exponent > 0 else functions.rsqrt(base)
    if not isinstance(base, values.Value) and base == 2:
        return functions.exp2(exponent)
    for x in (base, exponent):
        if isinstance(x, values.Value) and x.dtype == dtypes.BOOL:
            raise TraceError("`**` expects numbers, got a boolean; use aec.where(cond, a, b)")
    dtype = result_dtype(current_scope(), (base, exponent), floating=True)
    compute = compute_dtype(dtype)
    return elementwise(emit.binary("pow", compute), (base, exponent), (compute, compute), compute, dtype)


def _repeated_product(base: values.Value, exponent: int) -> values.Value:
    if exponent == 0:
        dtype = result_dtype(current_scope(), (base,))
        return elementwise(lambda a, *, loc: emit.constant_like(a, 1, dtype, loc), (base,), (dtype,), dtype)
    result: values.Value | None = None
    square = base
    while True:
        if exponent & 1:
            result = square if result is None else result * square
        exponent >>= 1
        if not exponent:
            assert result is not None
            return result
        square = square * square
