"""Single operations on MLIR values.

Constants, casts and the element functions, alike for scalars and tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aecompiler.bindings import arith, ir, linalg, math, tensor
from aecompiler.builder.dtypes import BOOL, dtype_of, ir_type, is_float, is_half, promote

Kernel = Callable[
    ..., ir.Value
]  # (*operands, loc=) -> result: one element function on scalars or equal tensors

_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def like(type_: ir.Type, dtype: str) -> ir.Type:
    """The type of the same shape as `type_` with elements of `dtype`."""
    if isinstance(type_, ir.RankedTensorType):
        return ir.RankedTensorType.get(type_.shape, ir_type(dtype))
    return ir_type(dtype)


def tensor_type(shape: Sequence[int | None], dtype: str) -> ir.RankedTensorType:
    """A ranked tensor type; None is a dynamic dimension."""
    dynamic = ir.ShapedType.get_dynamic_size()
    return ir.RankedTensorType.get([dynamic if dim is None else dim for dim in shape], ir_type(dtype))


def constant(number: float, dtype: str, loc: ir.Location, shape: Sequence[int] | None = None) -> ir.Value:
    """A constant scalar, or a constant tensor of one value when a static shape is given."""
    element = ir_type(dtype)
    attribute = ir.FloatAttr.get(element, number) if is_float(dtype) else ir.IntegerAttr.get(element, number)
    if shape is None:
        return arith.ConstantOp(element, attribute, loc=loc).result
    type_ = tensor_type(shape, dtype)
    return arith.ConstantOp(type_, ir.DenseElementsAttr.get_splat(type_, attribute), loc=loc).result


def index(number: int, loc: ir.Location) -> ir.Value:
    """A constant of index type."""
    return constant(number, "index", loc)


def cast(value: ir.Value, source: str, target: str, loc: ir.Location) -> ir.Value:
    """`value` with elements of `target`.

    Floats round, floats to integers truncate, anything to a boolean is `!= 0`.
    """
    if source == target:
        return value
    type_ = like(value.type, target)
    if target == BOOL:
        return compare("ne", source)(value, constant_like(value, 0, source, loc), loc=loc)
    if is_float(source) and is_float(target):
        if is_half(source) and is_half(target):
            return cast(cast(value, source, "f32", loc), "f32", target, loc)
        wider = promote(source, target) == target
        return (arith.extf if wider else arith.truncf)(type_, value, loc=loc)
    if is_float(target):
        if source == BOOL:
            return arith.uitofp(type_, value, loc=loc)
        if source == "index":
            return cast(cast(value, "index", "i64", loc), "i64", target, loc)
        return arith.sitofp(type_, value, loc=loc)
    if is_float(source):
        if target == "index":
            return cast(cast(value, source, "i64", loc), "i64", "index", loc)
        return arith.fptosi(type_, value, loc=loc)
    if source == BOOL:
        return (
            arith.index_castui(type_, value, loc=loc)
            if target == "index"
            else arith.extui(type_, value, loc=loc)
        )
    if "index" in (source, target):
        return arith.index_cast(type_, value, loc=loc)
    wider = promote(source, target) == target
    return (arith.extsi if wider else arith.trunci)(type_, value, loc=loc)


def constant_like(value: ir.Value, number: float, dtype: str, loc: ir.Location) -> ir.Value:
    """A constant of `dtype` with the shape of `value`, which is a scalar or a tensor of static shape."""
    shape = list(value.type.shape) if isinstance(value.type, ir.RankedTensorType) else None
    return constant(number, dtype, loc, shape)


def compare(name: str, dtype: str) -> Kernel:
    """The comparison `name` (lt, le, gt, ge, eq, ne) of two values of `dtype`; with a NaN only ne is true."""
    if is_float(dtype):
        predicate = arith.CmpFPredicate.UNE if name == "ne" else arith.CmpFPredicate[f"O{name.upper()}"]
        return lambda a, b, *, loc: arith.cmpf(predicate, a, b, loc=loc)
    signed = name if name in ("eq", "ne") else f"s{name}"
    integer = arith.CmpIPredicate[signed]
    return lambda a, b, *, loc: arith.cmpi(integer, a, b, loc=loc)


def _remainder(a: ir.Value, b: ir.Value, *, loc: ir.Location) -> tuple[ir.Value, ir.Value]:
    """The exact remainder of a division that truncates, and whether one that floors is a step below it."""
    zero = constant_like(a, 0, dtype_of(a.type), loc)
    rest = arith.remf(a, b, loc=loc)
    signs = [arith.cmpf(arith.CmpFPredicate.OLT, x, zero, loc=loc) for x in (rest, b)]
    differ = arith.xori(*signs, loc=loc)
    return rest, arith.andi(arith.cmpf(arith.CmpFPredicate.UNE, rest, zero, loc=loc), differ, loc=loc)


def _floor_divide_float(a: ir.Value, b: ir.Value, *, loc: ir.Location) -> ir.Value:
    """Python's `a // b`, exact where `floor(a / b)` would round up or lose the sign of a tiny quotient.

    Division by zero is `a / b`.
    """
    dtype = dtype_of(a.type)
    rest, below = _remainder(a, b, loc=loc)
    whole = arith.divf(arith.subf(a, rest, loc=loc), b, loc=loc)  # a whole number but for rounding
    lower = arith.subf(whole, constant_like(a, 1, dtype, loc), loc=loc)
    nearest = math.roundeven(arith.select(below, lower, whole, loc=loc), loc=loc)
    quotient = arith.divf(a, b, loc=loc)
    by_zero = arith.cmpf(arith.CmpFPredicate.OEQ, b, constant_like(b, 0, dtype, loc), loc=loc)
    return arith.select(by_zero, quotient, math.copysign(nearest, quotient, loc=loc), loc=loc)


def _modulo_float(a: ir.Value, b: ir.Value, *, loc: ir.Location) -> ir.Value:
    """Python's `a % b`, exact, with the sign of b."""
    rest, below = _remainder(a, b, loc=loc)
    result = arith.select(below, arith.addf(rest, b, loc=loc), rest, loc=loc)
    return math.copysign(result, b, loc=loc)


def _modulo_integer(a: ir.Value, b: ir.Value, *, loc: ir.Location) -> ir.Value:
    return arith.subi(a, arith.muli(arith.floordivsi(a, b, loc=loc), b, loc=loc), loc=loc)


def binary(name: str, dtype: str) -> Kernel:
    """The element function `name` of two values of `dtype`."""
    if name in _COMPARISONS:
        return compare(name, dtype)
    floats: dict[str, Kernel] = {
        "add": arith.addf,
        "sub": arith.subf,
        "mul": arith.mulf,
        "truediv": arith.divf,
        "floordiv": _floor_divide_float,
        "mod": _modulo_float,
        "pow": math.powf,
        "maximum": arith.maximumf,
        "minimum": arith.minimumf,
    }
    integers: dict[str, Kernel] = {
        "add": arith.addi,
        "sub": arith.subi,
        "mul": arith.muli,
        "floordiv": arith.floordivsi,
        "mod": _modulo_integer,
        "and": arith.andi,
        "or": arith.ori,
        "xor": arith.xori,
        "lshift": arith.shli,
        "rshift": arith.shrsi,
        "maximum": arith.maxsi,
        "minimum": arith.minsi,
    }
    return (floats if is_float(dtype) else integers)[name]


def negate(dtype: str) -> Kernel:
    """The element function `-x`."""
    if is_float(dtype):
        return arith.negf
    return lambda a, *, loc: arith.subi(constant_like(a, 0, dtype, loc), a, loc=loc)


def empty(shape: Sequence[int | ir.Value], dtype: str, loc: ir.Location) -> ir.Value:
    """A tensor whose contents nobody reads."""
    return tensor.EmptyOp(list(shape), ir_type(dtype), loc=loc).result


def filled(number: float, shape: Sequence[int | ir.Value], dtype: str, loc: ir.Location) -> ir.Value:
    """A tensor with one value everywhere."""
    with loc:
        return linalg.fill(constant(number, dtype, loc), outs=[empty(shape, dtype, loc)])


def generic(
    inputs: Sequence[ir.Value],
    maps: Sequence[ir.AffineMap],
    init: ir.Value,
    iterators: Sequence[str],
    body: Callable[..., ir.Value],
    loc: ir.Location,
) -> ir.Value:
    """A `linalg.generic` with one result; `maps` holds one map per input and one for the result.

    `body` gets the elements of the inputs and of the result, and returns the new element.
    """
    op = linalg.GenericOp(
        [init.type],
        list(inputs),
        [init],
        ir.ArrayAttr.get([ir.AffineMapAttr.get(map_) for map_ in maps]),
        ir.ArrayAttr.get([ir.Attribute.parse(f"#linalg.iterator_type<{name}>") for name in iterators]),
        loc=loc,
    )
    elements = [value.type.element_type for value in (*inputs, init)]
    block = ir.Block.create_at_start(op.regions[0], elements, [loc] * len(elements))
    with ir.InsertionPoint(block):
        linalg.YieldOp([body(*block.arguments)], loc=loc)
    return op.results[0]


def parallel_map(rank: int, dims: Sequence[int | None]) -> ir.AffineMap:
    """The map from `rank` loops to the given loop per dimension; None reads position 0."""
    exprs = [ir.AffineConstantExpr.get(0) if dim is None else ir.AffineDimExpr.get(dim) for dim in dims]
    return ir.AffineMap.get(rank, 0, exprs)


_IDENTITIES = {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}
_COMBINE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


def reduce(
    kind: str,
    value: ir.Value,
    axes: Sequence[int],
    shape: Sequence[int | ir.Value],
    dtype: str,
    loc: ir.Location,
) -> ir.Value:
    """Reduce the `axes` of a float tensor, with `linalg.reduce`; `shape` is what remains."""
    init = filled(_IDENTITIES[kind], shape, dtype, loc)
    op = linalg.ReduceOp(result=[init.type], inputs=[value], inits=[init], dimensions=list(axes), loc=loc)
    element = ir_type(dtype)
    block = ir.Block.create_at_start(op.regions[0], [element, element], [loc, loc])
    with ir.InsertionPoint(block):
        linalg.YieldOp([binary(_COMBINE[kind], dtype)(*block.arguments, loc=loc)], loc=loc)
    return op.results[0]
