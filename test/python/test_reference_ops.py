"""Scalar operations of arith and math in the reference."""

import math
from fractions import Fraction

import numpy as np
import pytest
from ir_programs import run

from aecompiler.reference import supported_operations

INF, NAN = math.inf, math.nan

NOT_EVALUATED = {
    "arith.scaling_extf": "microscaling formats: no attention program holds them",
    "arith.scaling_truncf": "microscaling formats: no attention program holds them",
}


@pytest.mark.parametrize("dialect", ["arith", "math"])
def test_every_op_of_the_bindings_is_evaluated_or_excepted(dialect):
    from aecompiler import bindings

    names = {
        cls.OPERATION_NAME
        for cls in vars(getattr(bindings, dialect)).values()
        if isinstance(cls, type) and hasattr(cls, "OPERATION_NAME")
    }
    assert len(names) > 40
    supported = supported_operations()
    assert names - supported == {name for name in NOT_EVALUATED if name.startswith(f"{dialect}.")}
    assert not supported & NOT_EVALUATED.keys()


def test_reference_loads_no_bindings():
    import subprocess
    import sys

    code = (
        "import sys, aecompiler.reference, aecompiler.reference.oracles\n"
        "print([m for m in sys.modules if 'mlir' in m or m.startswith(('torch', 'aecompiler.passes'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def elementwise(op: str, types: list[str], results: list[str]) -> str:
    """A function that applies one op to tensors of unknown length."""
    shaped = [f"tensor<?x{type_}>" for type_ in types]
    out = [f"tensor<?x{type_}>" for type_ in results]
    names = ", ".join(f"%{letter}" for letter in "xyz"[: len(types)])
    arguments = ", ".join(f"%{letter}: {type_}" for letter, type_ in zip("xyz", shaped, strict=False))
    produced = ", ".join(f"%r{n}" for n in range(len(out)))
    signature = f"({', '.join(shaped)}) -> ({', '.join(out)})"
    return f"""func.func @f({arguments}) -> ({", ".join(out)}) {{
  {produced} = "{op}"({names}) : {signature}
  return {produced} : {", ".join(out)}
}}"""


# ---- integers: all pairs of i8, and the corners of wider types, against Python's exact integers ----


def to_signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def trunc_div(a, b):
    return 0 if b == 0 else math.trunc(Fraction(a, b))


def floor_div(a, b):
    return 0 if b == 0 else a // b


def ceil_div(a, b):
    return 0 if b == 0 else -(-a // b)


SIGNED = {
    "addi": lambda a, b: a + b,
    "subi": lambda a, b: a - b,
    "muli": lambda a, b: a * b,
    "divsi": trunc_div,
    "floordivsi": floor_div,
    "ceildivsi": ceil_div,
    "remsi": lambda a, b: a - trunc_div(a, b) * b,
    "maxsi": max,
    "minsi": min,
    "andi": lambda a, b: a & b,
    "ori": lambda a, b: a | b,
    "xori": lambda a, b: a ^ b,
}

UNSIGNED = {
    "divui": floor_div,
    "ceildivui": ceil_div,
    "remui": lambda a, b: a - floor_div(a, b) * b,
    "maxui": max,
    "minui": min,
}

SHIFTS = {
    "shli": lambda a, b, width: a << b if b < width else 0,
    "shrsi": lambda a, b, width: a >> min(b, width - 1),
    "shrui": lambda a, b, width: (a & ((1 << width) - 1)) >> b if b < width else 0,
}


def operand_pairs(width: int) -> list[tuple[int, int]]:
    if width == 8:
        values = [*range(-128, 128, 5), -128, -1, 0, 1, 127]
    else:
        top = 1 << (width - 1)
        values = [-top, -top + 1, -7, -3, -2, -1, 0, 1, 2, 3, 5, width - 1, width, top - 2, top - 1]
    return [(a, b) for a in values for b in values]


def run_integers(op: str, width: int, pairs, results=None):
    text = elementwise(f"arith.{op}", [f"i{width}"] * 2, results or [f"i{width}"])
    a, b = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    return run(text, a, b)


@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("op", [*SIGNED, *UNSIGNED, *SHIFTS])
def test_integer_arithmetic_wraps_at_its_width(op, width):
    pairs, mask = operand_pairs(width), (1 << width) - 1
    if op in SIGNED:
        exact = [SIGNED[op](a, b) for a, b in pairs]
    elif op in UNSIGNED:
        exact = [UNSIGNED[op](a & mask, b & mask) for a, b in pairs]
    else:
        exact = [SHIFTS[op](a, b & mask, width) for a, b in pairs]
    (result,) = run_integers(op, width, pairs)
    expected = np.array([to_signed(value, width) for value in exact], np.float64)
    np.testing.assert_array_equal(result, expected)


PREDICATES = [
    ("eq", lambda a, b, ua, ub: a == b),
    ("ne", lambda a, b, ua, ub: a != b),
    ("slt", lambda a, b, ua, ub: a < b),
    ("sle", lambda a, b, ua, ub: a <= b),
    ("sgt", lambda a, b, ua, ub: a > b),
    ("sge", lambda a, b, ua, ub: a >= b),
    ("ult", lambda a, b, ua, ub: ua < ub),
    ("ule", lambda a, b, ua, ub: ua <= ub),
    ("ugt", lambda a, b, ua, ub: ua > ub),
    ("uge", lambda a, b, ua, ub: ua >= ub),
]


@pytest.mark.parametrize("width", [8, 32, 64])
@pytest.mark.parametrize(("name", "holds"), PREDICATES)
def test_integer_comparison(name, holds, width):
    pairs, mask = operand_pairs(width), (1 << width) - 1
    type_ = f"tensor<?xi{width}>"
    text = f"""func.func @f(%x: {type_}, %y: {type_}) -> tensor<?xi1> {{
  %r = arith.cmpi {name}, %x, %y : {type_}
  return %r : tensor<?xi1>
}}"""
    a, b = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    expected = [holds(a, b, a & mask, b & mask) for a, b in pairs]
    np.testing.assert_array_equal(run(text, a, b)[0], np.array(expected, float))


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("op", ["addui_extended", "subui_extended", "mului_extended", "mulsi_extended"])
def test_extended_arithmetic(op, width):
    pairs, mask = operand_pairs(width), (1 << width) - 1
    is_carry = not op.startswith("mul")
    function = {"a": lambda a, b: a + b, "s": lambda a, b: a - b, "m": lambda a, b: a * b}[op[0]]
    view = (lambda a: a) if op.startswith("mulsi") else (lambda a: a & mask)
    exact = [function(view(a), view(b)) for a, b in pairs]
    low, high = run_integers(op, width, pairs, [f"i{width}", "i1" if is_carry else f"i{width}"])
    np.testing.assert_array_equal(low, [float(to_signed(value, width)) for value in exact])
    halves = [(value >> width) & 1 if is_carry else to_signed(value >> width, width) for value in exact]
    np.testing.assert_array_equal(high, [float(value) for value in halves])


def unary_integers(op: str, values, width: int):
    return run(elementwise(op, [f"i{width}"], [f"i{width}"]), np.array(values))[0].tolist()


def test_bit_counts_and_powers():
    assert unary_integers("math.ctpop", [0, 1, -1, 6], 8) == [0, 1, 8, 2]
    assert unary_integers("math.ctlz", [0, 1, -1, 6], 8) == [8, 7, 0, 5]
    assert unary_integers("math.cttz", [0, 1, -1, 6], 8) == [8, 0, 0, 1]
    assert unary_integers("math.absi", [0, 5, -5, -128], 8) == [0, 5, 5, -128]
    text = elementwise("math.ipowi", ["i32", "i32"], ["i32"])
    base, exponent = np.array([3, -2, 7, 1, -1, 2, 2]), np.array([4, 3, 0, -5, -3, -1, 32])
    assert run(text, base, exponent)[0].tolist() == [81, -8, 1, 1, -1, 0, 0]


@pytest.mark.parametrize(
    ("op", "source", "target", "values", "expected"),
    [
        ("arith.extsi", "i8", "i32", [-1, 5], [-1, 5]),
        ("arith.extui", "i8", "i32", [-1, 5], [255, 5]),
        ("arith.extsi", "i1", "i32", [True, False], [-1, 0]),
        ("arith.extui", "i1", "i32", [True, False], [1, 0]),
        ("arith.trunci", "i32", "i8", [257, 128, -129], [1, -128, 127]),
        ("arith.trunci", "i32", "i1", [2, 3], [0, 1]),
        ("arith.index_cast", "i32", "index", [-7], [-7]),
        ("arith.index_castui", "i32", "index", [-1], [4294967295]),
        ("arith.index_cast", "index", "i8", [300], [44]),
        ("arith.sitofp", "i8", "f32", [-3, 127], [-3, 127]),
        ("arith.uitofp", "i8", "f32", [-3, 127], [253, 127]),
        ("arith.sitofp", "i1", "f32", [True], [-1]),
        ("arith.uitofp", "i1", "f32", [True], [1]),
        ("arith.fptosi", "f32", "i32", [2.9, -2.9, 0.0], [2, -2, 0]),
        ("arith.fptosi", "f64", "i8", [300.0, -300.0, NAN], [127, -128, 0]),
        ("arith.fptosi", "f64", "i64", [INF, -INF], [float(2**63), float(-(2**63))]),
        ("arith.fptoui", "f64", "i8", [255.0, 3.5, -1.0], [-1, 3, 0]),
        ("arith.truncf", "f64", "bf16", [1.2345], [1.2345]),
        ("arith.bitcast", "f32", "i32", [1.0, -0.0], [0x3F800000, -(1 << 31)]),
        ("arith.bitcast", "i32", "f32", [0x3F800000], [1.0]),
        ("arith.bitcast", "bf16", "i16", [1.0], [0x3F80]),
    ],
)
def test_conversions(op, source, target, values, expected):
    assert run(elementwise(op, [source], [target]), np.array(values))[0].tolist() == expected


# ---- floats ----

SAMPLES = [-3.7, -2.5, -1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0, 1.5, 2.5, 4.2]

UNARY = {
    **{name: getattr(math, name) for name in ("atan", "cos", "cosh", "erf", "erfc", "exp", "expm1")},
    **{
        name: getattr(math, name)
        for name in ("sin", "sinh", "tan", "tanh", "asinh", "ceil", "floor", "trunc")
    },
    **{
        name: getattr(math, name)
        for name in ("acos", "acosh", "asin", "atanh", "log", "log2", "log10", "log1p")
    },
    "absf": abs,
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x),
    "exp2": lambda x: 2.0**x,
    "round": lambda x: math.copysign(math.floor(abs(x) + 0.5), x),
    "roundeven": round,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "sqrt": math.sqrt,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_float_op(name):
    values, expected = [], []
    for x in SAMPLES:
        try:
            expected.append(UNARY[name](x))
        except (ValueError, ZeroDivisionError):
            continue
        values.append(x)
    assert len(values) > 3
    (result,) = run(elementwise(f"math.{name}", ["f64"], ["f64"]), np.array(values))
    np.testing.assert_allclose(result, expected, rtol=1e-15, atol=1e-16)


PAIRS = [(1.5, -2.0), (-1.5, 2.0), (NAN, 1.0), (1.0, NAN), (INF, 1.0), (0.0, 0.0), (7.5, 2.0)]


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("arith.addf", lambda a, b: a + b),
        ("arith.subf", lambda a, b: a - b),
        ("arith.mulf", lambda a, b: a * b),
        ("arith.divf", lambda a, b: a / b if b else NAN),
        ("arith.remf", lambda a, b: math.fmod(a, b) if b and a != INF else NAN),
        ("arith.maximumf", lambda a, b: NAN if a != a or b != b else max(a, b)),
        ("arith.minimumf", lambda a, b: NAN if a != a or b != b else min(a, b)),
        ("arith.maxnumf", lambda a, b: b if a != a else a if b != b else max(a, b)),
        ("arith.minnumf", lambda a, b: b if a != a else a if b != b else min(a, b)),
        ("math.atan2", math.atan2),
        ("math.copysign", math.copysign),
        ("math.powf", lambda a, b: NAN if a < 0 and b % 1 else 1.0 if a == 1 else math.pow(a, b)),
    ],
)
def test_binary_float_op(op, function):
    a, b = (np.array(column) for column in zip(*PAIRS, strict=True))
    (result,) = run(elementwise(op, ["f64", "f64"], ["f64"]), a, b)
    np.testing.assert_allclose(result, [function(*pair) for pair in PAIRS], rtol=1e-15)


_RELATIONS = ("eq", "gt", "ge", "lt", "le", "ne")
FLOAT_PREDICATES = [
    "false",
    *(f"o{r}" for r in _RELATIONS),
    "ord",
    *(f"u{r}" for r in _RELATIONS),
    "uno",
    "true",
]


@pytest.mark.parametrize("name", FLOAT_PREDICATES)
def test_float_comparison(name):
    values = [1.0, 2.0, NAN, INF]
    pairs = [(a, b) for a in values for b in values]
    relation = {
        "eq": "__eq__",
        "gt": "__gt__",
        "ge": "__ge__",
        "lt": "__lt__",
        "le": "__le__",
        "ne": "__ne__",
    }

    def holds(a: float, b: float) -> bool:
        unordered = a != a or b != b
        if name in ("false", "true"):
            return name == "true"
        if name in ("ord", "uno"):
            return unordered == (name == "uno")
        return (name[0] == "u") if unordered else getattr(a, relation[name[1:]])(b)

    text = f"""func.func @f(%x: tensor<?xf64>, %y: tensor<?xf64>) -> tensor<?xi1> {{
  %r = arith.cmpf {name}, %x, %y : tensor<?xf64>
  return %r : tensor<?xi1>
}}"""
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    assert run(text, a, b)[0].astype(bool).tolist() == [holds(*pair) for pair in pairs]


def test_other_float_ops():
    x = np.array([0.5, -INF, NAN, 1e-40, 0.0])
    for name, expected in {
        "isnan": [0, 0, 1, 0, 0],
        "isinf": [0, 1, 0, 0, 0],
        "isfinite": [1, 0, 0, 1, 1],
        "isnormal": [1, 0, 0, 0, 0],
    }.items():
        assert run(elementwise(f"math.{name}", ["f32"], ["i1"]), x)[0].tolist() == expected
    three = np.array([0.5]), np.array([2.0]), np.array([3.0])
    assert run(elementwise("math.fma", ["f64"] * 3, ["f64"]), *three)[0].tolist() == [4.0]
    assert run(elementwise("math.clampf", ["f64"] * 3, ["f64"]), *three)[0].tolist() == [2.0]
    assert run(elementwise("math.fpowi", ["f64", "i32"], ["f64"]), three[1], np.array([-2]))[0] == [0.25]
    sin, cos = run(elementwise("math.sincos", ["f64"], ["f64", "f64"]), three[0])
    assert (sin[0], cos[0]) == (math.sin(0.5), math.cos(0.5))


def test_constants_have_the_value_of_their_type():
    import ml_dtypes

    def value(constant: str) -> list:
        type_ = constant.rpartition(" : ")[2]
        (result,) = run(
            f"func.func @f() -> {type_} {{\n  %c = arith.constant {constant}\n  return %c : {type_}\n}}"
        )
        return result.tolist()

    assert value("0.1 : f32") == float(np.float32(0.1))
    assert value("0.1 : bf16") == float(ml_dtypes.bfloat16(0.1))
    assert value("0xFF80 : bf16") == -INF
    assert value("-5 : i8") == -5
    assert value("dense<[1, -2]> : tensor<2xi16>") == [1, -2]
    assert value("dense<[true, false]> : tensor<2xi1>") == [1, 0]
    assert value("dense<[[1, 2], [3, 4]]> : tensor<2x2xindex>") == [[1, 2], [3, 4]]
    assert value("dense<0.1> : tensor<2xf16>") == [float(np.float16(0.1))] * 2
    assert value("dense<[0.1, -2.5]> : tensor<2xf16>") == [float(np.float16(0.1)), -2.5]
    assert value("dense<[0.1, 0x7F80, -2.5]> : tensor<3xbf16>") == [float(ml_dtypes.bfloat16(0.1)), INF, -2.5]
    assert value("dense<[[0.1], [1.0]]> : tensor<2x1xbf16>") == [[float(ml_dtypes.bfloat16(0.1))], [1.0]]
    assert value("dense<0x7F80> : tensor<2xbf16>") == [INF, INF]
    assert value('dense<"0x803F0040"> : tensor<2xbf16>') == [1.0, 2.0]
    assert value("dense<> : tensor<0x3xf32>") == []
