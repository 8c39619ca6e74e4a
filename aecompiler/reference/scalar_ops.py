"""`arith`, `math` and `ub`: operation name to numpy, elementwise on scalars and tensors alike.

Floats are float64 throughout, so casts between float types do nothing. Integers wrap at their own width.
Where upstream leaves a result undefined the dialect's rules apply, or else the harmless choice: division by
zero gives 0 and remainder by zero the dividend, a shift by the width or more shifts everything out, a float
out of range converts to the nearest integer and NaN to 0, poison is 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from aecompiler.reference.machine import HANDLERS, Frame, Instruction, implements
from aecompiler.reference.values import ValueType, signed, unsigned, widen, wrap

Array = np.ndarray


def _floats(name: str, function: Callable[..., Array]) -> None:
    HANDLERS[name] = lambda op, args, frame: [function(*args)]


def _signed(name: str, function: Callable[..., Array]) -> None:
    HANDLERS[name] = lambda op, args, frame: [wrap(function(*map(signed, args)), op.result_types[0].width)]


def _unsigned(name: str, function: Callable[..., Array]) -> None:
    def handler(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
        width = op.result_types[0].width
        return [wrap(function(*(unsigned(value, width) for value in args)), width)]

    HANDLERS[name] = handler


# ---- integers ----


def _nonzero(b: Array) -> Array:
    return np.where(b == 0, b.dtype.type(1), b)


def _divide_floor(a: Array, b: Array) -> Array:
    return np.where(b == 0, a.dtype.type(0), np.floor_divide(a, _nonzero(b)))


def _divide_ceil(a: Array, b: Array) -> Array:
    floor = _divide_floor(a, b)
    return np.where(b == 0, floor, floor + (floor * b != a))


def _divide_trunc(a: Array, b: Array) -> Array:
    floor = _divide_floor(a, b)
    inexact = (floor * b != a) & (b != 0)
    return floor + (inexact & ((a < 0) != (b < 0)))


def _shift(function: Callable[[Array, Array], Array], beyond: Callable[[Array], Array]) -> Callable:
    """`beyond`: the result for an amount of the width or more."""

    def handler(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
        width = op.result_types[0].width
        value = unsigned(args[0], width) if op.name == "arith.shrui" else signed(args[0])
        amount = unsigned(args[1], width)
        inside = amount < width
        shifted = function(value, np.where(inside, amount, np.uint64(0)).astype(value.dtype))
        return [wrap(np.where(inside, shifted, beyond(value)), width)]

    return handler


def _extended(function: Callable[[Array, Array], Array], is_signed: bool) -> Callable:
    """The exact result in two halves; the second is one bit for sums."""

    def handler(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
        width, high_width = (type_.width for type_ in op.result_types)
        exact = function(*((signed(a) if is_signed else unsigned(a, width)).astype(object) for a in args))
        mask = (1 << width) - 1
        low, high = np.asarray(exact & mask), np.asarray((exact >> width) & mask)
        return [
            wrap(low.astype(np.uint64), width),
            wrap(high.astype(np.uint64), high_width),
        ]

    return handler


def _power(base: Array, exponent: Array) -> Array:
    result, square, rest = np.ones_like(base * exponent), base, np.maximum(exponent, 0)
    for _ in range(63):
        result = np.where(rest & 1, result * square, result)
        square, rest = square * square, rest >> 1
    parity = np.where(exponent & 1, base, np.int64(1))
    inverse = np.where(np.abs(base) == 1, parity, np.int64(0))
    return np.where(exponent < 0, inverse, result)


def _bit_counts(function: Callable[[int, int], int]) -> Callable:
    def handler(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
        width = op.result_types[0].width
        counts = np.frompyfunc(lambda bits: function(int(bits), width), 1, 1)(unsigned(args[0], width))
        return [wrap(np.asarray(counts).astype(np.int64), width)]

    return handler


_SIGNED: dict[str, Callable[..., Array]] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": _divide_trunc,
    "arith.floordivsi": _divide_floor,
    "arith.ceildivsi": _divide_ceil,
    "arith.remsi": lambda a, b: a - _divide_trunc(a, b) * b,
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "math.absi": np.abs,
    "math.ipowi": _power,
}

_UNSIGNED: dict[str, Callable[..., Array]] = {
    "arith.divui": _divide_floor,
    "arith.ceildivui": _divide_ceil,
    "arith.remui": lambda a, b: a - _divide_floor(a, b) * b,
    "arith.maxui": np.maximum,
    "arith.minui": np.minimum,
}

for _name, _function in _SIGNED.items():
    _signed(_name, _function)
for _name, _function in _UNSIGNED.items():
    _unsigned(_name, _function)

HANDLERS.update(
    {
        "arith.shli": _shift(np.left_shift, np.zeros_like),
        "arith.shrui": _shift(np.right_shift, np.zeros_like),
        "arith.shrsi": _shift(np.right_shift, lambda value: np.where(value < 0, np.int64(-1), np.int64(0))),
        "arith.addui_extended": _extended(np.add, is_signed=False),
        "arith.subui_extended": _extended(np.subtract, is_signed=False),
        "arith.mului_extended": _extended(np.multiply, is_signed=False),
        "arith.mulsi_extended": _extended(np.multiply, is_signed=True),
        "math.ctpop": _bit_counts(lambda bits, width: bits.bit_count()),
        "math.ctlz": _bit_counts(lambda bits, width: width - bits.bit_length()),
        "math.cttz": _bit_counts(lambda bits, width: (bits & -bits).bit_length() - 1 if bits else width),
    }
)


# ---- floats ----


def _libm(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function that numpy lacks, element by element."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(ufunc(x)).astype(np.float64)


def _round_half_away(x: Array) -> Array:
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1.0, x), whole)


_FLOATS: dict[str, Callable[..., Array]] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.remf": np.fmod,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,  # a NaN operand gives NaN
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,  # a NaN operand gives the other one
    "arith.minnumf": np.fmin,
    "arith.extf": np.asarray,
    "arith.truncf": np.asarray,
    "arith.convertf": np.asarray,
    "arith.flush_denormals": np.asarray,
    "math.absf": np.abs,
    "math.acos": np.arccos,
    "math.acosh": np.arccosh,
    "math.asin": np.arcsin,
    "math.asinh": np.arcsinh,
    "math.atan": np.arctan,
    "math.atan2": np.arctan2,
    "math.atanh": np.arctanh,
    "math.cbrt": np.cbrt,
    "math.ceil": np.ceil,
    "math.clampf": lambda value, low, high: np.minimum(np.maximum(value, low), high),
    "math.copysign": np.copysign,
    "math.cos": np.cos,
    "math.cosh": np.cosh,
    "math.erf": _libm(math.erf),
    "math.erfc": _libm(math.erfc),
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.expm1": np.expm1,
    "math.floor": np.floor,
    "math.fma": lambda a, b, c: a * b + c,
    "math.isfinite": np.isfinite,
    "math.isinf": np.isinf,
    "math.isnan": np.isnan,
    "math.log": np.log,
    "math.log10": np.log10,
    "math.log1p": np.log1p,
    "math.log2": np.log2,
    "math.powf": np.power,
    "math.round": _round_half_away,
    "math.roundeven": np.rint,
    "math.rsqrt": lambda x: 1.0 / np.sqrt(x),
    "math.sin": np.sin,
    "math.sinh": np.sinh,
    "math.sqrt": np.sqrt,
    "math.tan": np.tan,
    "math.tanh": np.tanh,
    "math.trunc": np.trunc,
}

for _name, _function in _FLOATS.items():
    _floats(_name, _function)

_SMALLEST_NORMAL = {"f16": 2.0**-14, "bf16": 2.0**-126, "f32": 2.0**-126, "f64": 2.0**-1022}


@implements("math.sincos")
def _sincos(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [np.sin(args[0]), np.cos(args[0])]


@implements("math.fpowi")
def _fpowi(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [np.power(args[0], signed(args[1]).astype(np.float64))]


@implements("math.isnormal")
def _isnormal(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    element = op.operand_types[0].element
    if element not in _SMALLEST_NORMAL:
        raise op.unsupported(f"'math.isnormal' op on {element}")
    return [np.isfinite(args[0]) & (np.abs(args[0]) >= _SMALLEST_NORMAL[element])]


# ---- comparisons, selection, conversions ----

_INTEGER_PREDICATES = (
    *((np.equal, signed), (np.not_equal, signed)),
    *((function, signed) for function in (np.less, np.less_equal, np.greater, np.greater_equal)),
    *((function, unsigned) for function in (np.less, np.less_equal, np.greater, np.greater_equal)),
)

_ORDERED = (np.equal, np.greater, np.greater_equal, np.less, np.less_equal, np.not_equal)


@implements("arith.cmpi")
def _cmpi(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    function, view = _INTEGER_PREDICATES[op.attributes["predicate"].value]
    if view is unsigned:
        return [function(*(unsigned(value, op.operand_types[0].width) for value in args))]
    return [function(*map(signed, args))]


@implements("arith.cmpf")
def _cmpf(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    # Predicates: false, six ordered ones, ord, six unordered ones, uno, true.
    predicate = op.attributes["predicate"].value
    a, b = args
    unordered = np.isnan(a) | np.isnan(b)
    if predicate in (0, 15):
        return [np.full_like(unordered, predicate == 15)]
    if predicate in (7, 14):
        return [unordered if predicate == 14 else ~unordered]
    holds = _ORDERED[(predicate - 1) % 7](a, b)
    return [holds & ~unordered if predicate < 7 else holds | unordered]


@implements("arith.select")
def _select(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    condition, *choices = args
    if op.operand_types[0].rank < op.result_types[0].rank:
        condition = condition.reshape(condition.shape + (1,) * op.result_types[0].rank)
    return [np.where(condition, *choices)]


@implements("arith.extsi", "arith.trunci", "arith.index_cast")
def _cast_signed(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [wrap(signed(args[0]), op.result_types[0].width)]


@implements("arith.extui", "arith.index_castui")
def _cast_unsigned(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [wrap(unsigned(args[0], op.operand_types[0].width), op.result_types[0].width)]


@implements("arith.sitofp")
def _signed_to_float(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [signed(args[0]).astype(np.float64)]


@implements("arith.uitofp")
def _unsigned_to_float(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [unsigned(args[0], op.operand_types[0].width).astype(np.float64)]


@implements("arith.fptosi", "arith.fptoui")
def _float_to_integer(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    width, is_signed = op.result_types[0].width, op.name == "arith.fptosi"
    low = -(2 ** (width - 1)) if is_signed else 0
    high = 2 ** (width - 1) - 1 if is_signed else 2**width - 1
    held = np.int64 if is_signed else np.uint64
    whole = np.trunc(np.nan_to_num(args[0], nan=0.0))
    # float(high) may round up to high + 1, which is out of the range of the cast.
    inside = (whole > low) & (whole < float(high))
    integers = np.where(inside, whole, 0.0).astype(held)
    return [wrap(np.where(inside, integers, np.where(whole <= low, held(low), held(high))), width)]


def float_dtype(element: str) -> np.dtype:
    """The numpy type of a float type by its MLIR name."""
    if element in ("f16", "f32", "f64"):
        return np.dtype(f"f{int(element[1:]) // 8}")
    import ml_dtypes

    name = "bfloat16" if element == "bf16" else re.sub(r"^f(\d+)", r"float\1_", element).lower()
    return np.dtype(getattr(ml_dtypes, name))


@implements("arith.bitcast", "tensor.bitcast")
def _bitcast(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, target = op.operand_types[0], op.result_types[0]
    if source.is_float == target.is_float:
        if source.element != target.element and source.is_float:
            raise op.unsupported(f"'{op.name}' op from {source.element} to {target.element}")
        return [args[0]]
    if source.is_float:
        bits = args[0].astype(float_dtype(source.element))
        return [wrap(bits.view(f"i{target.width // 8}").astype(np.int64), target.width)]
    bits = args[0].astype(f"i{source.width // 8}")
    return [bits.view(float_dtype(target.element)).astype(np.float64)]


# ---- constants ----


@implements("arith.constant")
def _constant(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    type_, lanes = op.result_types[0], (1,) * len(frame.lanes)
    value = op.attributes["value"]
    data = np.asarray(value.value) if type_.shape is None else _dense(value, type_)
    return [widen(data, type_).reshape(lanes + type_.static_shape)]


@implements("ub.poison")
def _poison(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    type_ = op.result_types[0]
    return [np.zeros((1,) * len(frame.lanes) + type_.static_shape, type_.dtype)]


def _dense(attribute: object, type_: ValueType) -> Array:
    """The elements of a dense attribute."""
    shape = type_.static_shape
    if getattr(attribute, "is_splat", False):
        return np.full(shape, attribute.get_splat_value().value)  # type: ignore
    try:
        return np.array(attribute)
    except (TypeError, ValueError, BufferError):
        # The bindings hand out no buffer of narrow floats: their text has the exact values.
        return _parse_dense(str(attribute), type_.element).reshape(shape)


def _parse_dense(text: str, element: str) -> Array:
    dtype = float_dtype(element)
    payload = text[text.index("<") + 1 : text.rindex("> :")]
    if payload.startswith('"0x'):
        return np.frombuffer(bytes.fromhex(payload[3:-1]), dtype)
    numbers = re.findall(r"[^\s\[\],]+", payload)
    bits = np.dtype(f"u{dtype.itemsize}")
    return np.array(
        [
            np.array(int(number, 16), bits).view(dtype) if number.startswith("0x") else dtype.type(number)
            for number in numbers
        ],
        dtype,
    )
