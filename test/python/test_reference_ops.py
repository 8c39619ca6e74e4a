"""Single operations of arith, math, tensor, linalg and scf in the reference."""

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


# ---- tensor and linalg ----

X = np.arange(12.0).reshape(3, 4)


def function(body: str, result: str, arguments: str = "%x: tensor<?x?xf64>") -> str:
    return f"func.func @f({arguments}) -> {result} {{\n  {body}\n  return %r : {result}\n}}"


@pytest.mark.parametrize(
    ("body", "result", "expected"),
    [
        (
            "%r = tensor.extract_slice %x[1, 0] [2, 2] [1, 2] : tensor<?x?xf64> to tensor<2x2xf64>",
            "tensor<2x2xf64>",
            X[1:3, 0:4:2],
        ),
        (
            "%r = tensor.extract_slice %x[1, 0] [1, 4] [1, 1] : tensor<?x?xf64> to tensor<4xf64>",
            "tensor<4xf64>",
            X[1],
        ),
        (
            "%r = tensor.extract_slice %x[0, 2] [3, 1] [1, 1] : tensor<?x?xf64> to tensor<3xf64>",
            "tensor<3xf64>",
            X[:, 2],
        ),
        (
            """%c = arith.constant dense<7.0> : tensor<2xf64>
  %r = tensor.insert_slice %c into %x[1, 1] [1, 2] [1, 2] : tensor<2xf64> into tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.array([[0, 1, 2, 3], [4, 7, 6, 7], [8, 9, 10, 11]]),
        ),
        (
            """%z = arith.constant 0.5 : f64
  %i = arith.constant 2 : index
  %r = tensor.insert %z into %x[%i, %i] : tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.where(X == 10, 0.5, X),
        ),
        (
            """%s = tensor.cast %x : tensor<?x?xf64> to tensor<3x4xf64>
  %c = tensor.collapse_shape %s [[0, 1]] : tensor<3x4xf64> into tensor<12xf64>
  %r = tensor.expand_shape %c [[0, 1, 2]] output_shape [2, 3, 2] : tensor<12xf64> into tensor<2x3x2xf64>""",
            "tensor<2x3x2xf64>",
            X.reshape(2, 3, 2),
        ),
        (
            "%r = tensor.concat dim(1) %x, %x : (tensor<?x?xf64>, tensor<?x?xf64>) -> tensor<?x?xf64>",
            "tensor<?x?xf64>",
            np.concatenate([X, X], 1),
        ),
        (
            """%z = arith.constant -1.0 : f64
  %r = tensor.pad %x low[0, 1] high[1, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %z : f64
  } : tensor<?x?xf64> to tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.pad(X, ((0, 1), (1, 0)), constant_values=-1),
        ),
        (
            """%n = arith.constant 3 : index
  %r = tensor.generate %n {
  ^bb0(%i: index, %j: index):
    %v = tensor.extract %x[%j, %i] : tensor<?x?xf64>
    tensor.yield %v : f64
  } : tensor<?x3xf64>""",
            "tensor<?x3xf64>",
            X[:, :3].T,
        ),
        (
            """%a = arith.constant 1.0 : f64
  %b = arith.constant 2.0 : f64
  %r = tensor.from_elements %a, %b, %b, %a : tensor<2x2xf64>""",
            "tensor<2x2xf64>",
            np.array([[1, 2], [2, 1]]),
        ),
        (
            """%i = arith.constant 1 : index
  %r = tensor.dim %x, %i : tensor<?x?xf64>""",
            "index",
            np.array(4),
        ),
    ],
    ids=lambda value: (
        value.split("tensor.")[-1].split()[0] if isinstance(value, str) and "%r" in value else ""
    ),
)
def test_tensor_op(body, result, expected):
    np.testing.assert_array_equal(run(function(body, result), X)[0], expected)


MATRICES = "%x: tensor<?x?xf64>, %y: tensor<?x?xf64>, %z: tensor<?x?xf64>"
MAPS = {
    "nn": "affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>",
    "nt": "affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>",
}


@pytest.mark.parametrize("layout", ["nn", "nt"])
@pytest.mark.parametrize("op", ["linalg.matmul", "linalg.contract"])
def test_matrix_products(op, layout):
    y = np.random.default_rng(0).standard_normal((4, 2))
    body = f"""%r = {op} indexing_maps = [{MAPS[layout]}, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %y : tensor<?x?xf64>, tensor<?x?xf64>) outs(%z : tensor<?x?xf64>) -> tensor<?x?xf64>"""
    text = function(body, "tensor<?x?xf64>", MATRICES)
    (result,) = run(text, X, y if layout == "nn" else y.T, np.ones((3, 2)))
    np.testing.assert_allclose(result, X @ y + 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("op", "formula"),
    [
        ("dot", "k,k->"),
        ("vecmat", "k,kn->n"),
        ("matvec", "mk,k->m"),
        ("matmul", "mk,kn->mn"),
        ("batch_matmul", "bmk,bkn->bmn"),
        ("batch_matvec", "bmk,bk->bm"),
        ("batch_vecmat", "bk,bkn->bn"),
        ("batch_reduce_matmul", "bmk,bkn->mn"),
        ("mmt4d", "mkxz,nkyz->mnxy"),
    ],
)
@pytest.mark.parametrize("element", ["f64", "i32"])
def test_contraction(op, formula, element):
    rng, sizes = np.random.default_rng(0), dict(zip("bmknxyz", (2, 3, 4, 5, 2, 3, 2), strict=True))
    operands, (result,) = (part.split(",") for part in formula.split("->"))
    arrays = [rng.integers(-9, 9, [sizes[x] for x in letters]) for letters in (*operands, result)]
    types = [f"tensor<{'?x' * len(letters)}{element}>" for letters in (*operands, result)]
    text = function(
        f"%r = linalg.{op} ins(%a, %b : {types[0]}, {types[1]}) outs(%c : {types[2]}) -> {types[2]}",
        types[2],
        f"%a: {types[0]}, %b: {types[1]}, %c: {types[2]}",
    )
    np.testing.assert_array_equal(run(text, *arrays)[0], np.einsum(formula, *arrays[:2]) + arrays[2])


def test_elementwise_broadcast_transpose_reduce_and_map():
    body = """%e = tensor.empty() : tensor<4x3xf64>
  %t = linalg.transpose ins(%s : tensor<3x4xf64>) outs(%e : tensor<4x3xf64>) permutation = [1, 0]
  %q = linalg.square ins(%t : tensor<4x3xf64>) outs(%e : tensor<4x3xf64>) -> tensor<4x3xf64>
  %m = linalg.map { arith.subf } ins(%q, %t : tensor<4x3xf64>, tensor<4x3xf64>) outs(%e : tensor<4x3xf64>)
  %z = arith.constant dense<1.0> : tensor<4xf64>
  %sum = linalg.reduce { arith.addf } ins(%m : tensor<4x3xf64>) outs(%z : tensor<4xf64>) dimensions = [1]
  %w = tensor.empty() : tensor<3x4xf64>
  %r = linalg.broadcast ins(%sum : tensor<4xf64>) outs(%w : tensor<3x4xf64>) dimensions = [0]"""
    (result,) = run(function(body, "tensor<3x4xf64>", "%s: tensor<3x4xf64>"), X)
    np.testing.assert_array_equal(result, np.broadcast_to((X**2 - X).sum(0) + 1, (3, 4)))


@pytest.mark.parametrize("kind", ["exp", "add"])
def test_elementwise_kinds_and_fill(kind):
    ins = {"exp": "%x : tensor<?x?xf64>", "add": "%x, %x : tensor<?x?xf64>, tensor<?x?xf64>"}[kind]
    body = f"""%two = arith.constant 2.0 : f64
  %f = linalg.fill ins(%two : f64) outs(%x : tensor<?x?xf64>) -> tensor<?x?xf64>
  %e = linalg.elementwise kind=#linalg.elementwise_kind<{kind}> ins({ins})
      outs(%f : tensor<?x?xf64>) -> tensor<?x?xf64>
  %r = arith.mulf %e, %f : tensor<?x?xf64>"""
    expected = {"exp": np.exp(X), "add": X + X}[kind] * 2
    np.testing.assert_allclose(run(function(body, "tensor<?x?xf64>"), X)[0], expected, rtol=1e-15)


GENERIC = """%r = linalg.generic {{
    indexing_maps = [{maps}], iterator_types = [{iterators}]
  }} ins(%x : tensor<?x?xf64>) outs(%z : {out}) {{
  ^bb0(%a: f64, %c: f64):
    {body}
  }} -> {out}"""


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("%o = arith.maximumf %a, %c : f64", X.max(1)),
        ("%o = arith.addf %c, %a : f64", X.sum(1)),
        # A recurrence along the row: no associative operation of one value.
        (
            "%h = arith.constant 0.5 : f64\n    %t = arith.mulf %c, %h : f64\n"
            "    %o = arith.addf %t, %a : f64",
            None,
        ),
        ("%o = arith.subf %a, %c : f64", None),
    ],
    ids=["max", "sum", "horner", "alternating"],
)
def test_generic_reduction(combine, expected):
    if expected is None:
        expected = np.zeros(3)
        for column in X.T:
            expected = 0.5 * expected + column if "mulf" in combine else column - expected
    body = GENERIC.format(
        maps="affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>",
        iterators='"parallel", "reduction"',
        out="tensor<?xf64>",
        body=f"{combine}\n    linalg.yield %o : f64",
    )
    text = function(body, "tensor<?xf64>", "%x: tensor<?x?xf64>, %z: tensor<?xf64>")
    np.testing.assert_allclose(run(text, X, np.zeros(3))[0], expected, rtol=1e-15)


def test_generic_with_general_maps_and_index():
    # out[i, j] = x[j floordiv 2, (i + j) mod 4] + 10 i
    body = GENERIC.format(
        maps="affine_map<(d0, d1) -> (d1 floordiv 2, (d0 + d1) mod 4)>, affine_map<(d0, d1) -> (d0, d1)>",
        iterators='"parallel", "parallel"',
        out="tensor<?x?xf64>",
        body="""%i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    %f = arith.sitofp %n : i64 to f64
    %ten = arith.constant 10.0 : f64
    %m = arith.mulf %f, %ten : f64
    %o = arith.addf %a, %m : f64
    linalg.yield %o : f64""",
    )
    text = function(body, "tensor<?x?xf64>", "%x: tensor<?x?xf64>, %z: tensor<?x?xf64>")
    i, j = np.arange(5)[:, None], np.arange(6)[None, :]
    (result,) = run(text, X, np.zeros((5, 6)))
    np.testing.assert_array_equal(result, X[j // 2, (i + j) % 4] + 10 * i)


def test_generic_with_an_index_in_a_reduction_in_order():
    # The index of the largest element, by comparison: two outputs reduced together.
    text = """
func.func @f(%x: tensor<?xf64>, %m: tensor<f64>, %n: tensor<index>) -> (tensor<f64>, tensor<index>) {
  %r:2 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>, affine_map<(i) -> ()>],
    iterator_types = ["reduction"]
  } ins(%x : tensor<?xf64>) outs(%m, %n : tensor<f64>, tensor<index>) {
  ^bb0(%a: f64, %best: f64, %at: index):
    %i = linalg.index 0 : index
    %more = arith.cmpf ogt, %a, %best : f64
    %top = arith.select %more, %a, %best : f64
    %where = arith.select %more, %i, %at : index
    linalg.yield %top, %where : f64, index
  } -> (tensor<f64>, tensor<index>)
  return %r#0, %r#1 : tensor<f64>, tensor<index>
}"""
    x = np.array([0.5, 3.0, 2.0, 3.0])
    top, where = run(text, x, np.array(-INF), np.array(0))
    assert (top, where) == (3.0, 1)


def test_reading_what_nobody_wrote_gives_nan_and_poison_is_zero():
    assert np.isnan(run(function("%r = tensor.empty() : tensor<2xf64>", "tensor<2xf64>", ""))[0]).all()
    assert run(function("%r = ub.poison : f64", "f64", ""))[0] == 0


def test_loops_and_branches():
    text = """func.func @f(%n: index, %x: f64) -> f64 {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %r = scf.for %i = %zero to %n step %one iter_args(%acc = %x) -> f64 {
    %first = arith.cmpi eq, %i, %zero : index
    %next = scf.if %first -> f64 {
      scf.yield %acc : f64
    } else {
      %twice = arith.addf %acc, %acc : f64
      scf.yield %twice : f64
    }
    scf.yield %next : f64
  }
  return %r : f64
}"""
    assert run(text, 4, 1.5)[0] == 12.0
    assert run(text, 0, 1.5)[0] == 1.5
