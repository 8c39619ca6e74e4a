"""Operators and functions on traced values: each runs on traced f64 values and on numpy."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from builder_programs import close, run

from aecompiler import builder as aec
from aecompiler.compiler import compile

X = np.array([-2.75, -1.5, -0.5, 0.0, 0.3, 1.0, 2.5, 7.0])
Y = np.array([1.5, -2.0, 0.25, 3.0, -0.75, 1.0, 2.5, -4.0])
M = np.array([-7, -6, -1, 0, 1, 5, 6, 13])
N = np.array([3, -3, 4, -2, 5, -5, 2, 1])

FLOAT_OPERATIONS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "numbers on the left": lambda x, y: (1 + x) + (1 - x) * (2 * x) - 3 / y + 7 // y + 7 % y,
    "numbers on the right": lambda x, y: (x + 1) * 2 - y / 3 + (x // 2) + (x % 0.75),
    "negative": lambda x, y: -x + +y,
    "abs": lambda x, y: abs(x - y),
    "divmod": lambda x, y: divmod(x, y)[0] + 10 * divmod(x, y)[1],
    "square": lambda x, y: x**2 + y**3 - x**1,
    "power 0": lambda x, y: x**0,
    "power 7": lambda x, y: x**7,
    "power 65": lambda x, y: (x / 8) ** 65,
    "power -66": lambda x, y: (abs(y) + 1) ** -66,
    "power -2": lambda x, y: y**-2,
    "power 2.0": lambda x, y: x**2.0,
    "power 0.5": lambda x, y: abs(x) ** 0.5,
    "power -0.5": lambda x, y: abs(y) ** -0.5,
    "power 1.7": lambda x, y: abs(y) ** 1.7,
    "power of traced values": lambda x, y: abs(y) ** x,
    "2 **": lambda x, y: 2**x,
    "3 **": lambda x, y: 3**x,
}


def elementwise(function, *arrays, dtypes=None, result=None):
    """Trace `function` over tensors and evaluate it."""
    names = {"float64": "f64", "int64": "i64", "bool": "i1"}
    dtypes = dtypes or [names[str(a.dtype)] for a in arrays]
    specs = {f"x{n}": aec.tensor("N", dtype=dtype) for n, dtype in enumerate(dtypes)}
    program = aec.trace(lambda **values: function(*values.values()), name="f", **specs)
    if result is not None:
        assert program.results[0].spec.dtype == result
    return run(program, *arrays)[0]


@pytest.mark.parametrize("name", FLOAT_OPERATIONS)
def test_operators_on_floats_agree_with_numpy(name):
    function = FLOAT_OPERATIONS[name]
    close(elementwise(function, X, Y, result="f64"), function(X, Y))


INTEGER_OPERATIONS = {
    "add": lambda m, n: m + n - 3 + (4 - m),
    "mul": lambda m, n: m * n * 2,
    "floordiv": lambda m, n: m // n,
    "mod": lambda m, n: m % n,
    "floordiv by numbers": lambda m, n: m // 4 + 100 * (m // -4) + 7 // n,
    "mod by numbers": lambda m, n: m % 4 + 100 * (m % -4) + 7 % n,
    "bits": lambda m, n: (m & n) + 10 * (m | n) + 100 * (m ^ n) + (m & 3) + (1 | n),
    "invert": lambda m, n: ~m,
    "shifts": lambda m, n: (m << 3) + (m >> 1),
    "negative": lambda m, n: -m,
    "abs": lambda m, n: abs(m),
    "power": lambda m, n: m**3 + n**2,
}


@pytest.mark.parametrize("name", INTEGER_OPERATIONS)
def test_operators_on_integers_agree_with_numpy(name):
    function = INTEGER_OPERATIONS[name]
    close(elementwise(function, M, N, result="i64"), function(M, N))


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_comparisons_of_nan_integers_and_numbers(name):
    compare = getattr(operator, name)
    x = np.append(X, np.nan)
    y = np.append(Y, 1.0)
    close(elementwise(compare, x, y, result="i1"), compare(x, y))
    close(elementwise(compare, M, N, result="i1"), compare(M, N))
    close(elementwise(lambda x: compare(x, 1), X), compare(X, 1))
    close(elementwise(lambda x: compare(1, x), X), compare(1, X))


def test_boolean_operators_agree_with_numpy():
    def function(x, y):
        return ((x > 0) & (y > 0)) | ~(x > y) ^ (x == y) | ((x > 0) == (y > 0)) & True

    close(elementwise(function, X, Y, result="i1"), function(X, Y))


NUMBERS = [np.float64(3), np.float32(-2.5), np.int64(4), np.array(1.5), np.sqrt(64)]
OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", OPERATORS)
def test_numpy_scalars_are_numbers_on_both_sides(name, number):
    function, x = getattr(operator, name), abs(X) + 0.25
    close(elementwise(lambda x: function(x, number), x), function(x, float(number)))
    with np.errstate(invalid="ignore"):
        close(elementwise(lambda x: function(number, x), x), function(float(number), x))


@pytest.mark.parametrize("name", ["and", "or", "xor", "eq", "ne"])
@pytest.mark.parametrize("number", [np.bool_(True), np.bool_(False)], ids=repr)
def test_numpy_booleans_are_booleans_on_both_sides(name, number):
    function = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name))
    close(elementwise(lambda x: function(x > 0, number), X), function(X > 0, number))
    close(elementwise(lambda x: function(number, x > 0), X), function(number, X > 0))


@pytest.mark.parametrize("name", ["and", "or", "xor", "lshift", "rshift"])
def test_numpy_integers_are_integers_on_both_sides(name):
    function = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name))
    n = abs(M)
    close(elementwise(lambda m: function(m, np.int64(5)), n, result="i64"), function(n, 5))
    close(elementwise(lambda m: function(np.int64(5), m), n, result="i64"), function(5, n))


def test_functions_of_numpy_scalars_are_numbers():
    close(elementwise(lambda x: np.log2(np.e) * x, X), np.log2(np.e) * X)
    assert type(aec.maximum(np.float64(1), np.int64(2))) is int
    assert type(aec.abs(np.float64(-1))) is float


EDGES = [0.0, 0.1, 0.5, 1.0, 3.0, 7.5, 10.0, 1e-300, 1e300, math.inf]
EDGES = [*EDGES, *[-edge for edge in EDGES], math.nan]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["floordiv", "mod"])
def test_floor_division_equals_numpys_for_zeros_infinities_and_nan(name, dtype):
    """Of the reference and of the kernel, the sign of zeros included; numpy's is Python's, but at b = 0."""
    function = getattr(operator, name)
    spec = aec.tensor("N", dtype=dtype)
    program = aec.trace(lambda a, b: function(a, b), a=spec, b=spec)
    kind = {"f32": np.float32, "f64": np.float64}[dtype]
    with np.errstate(all="ignore"):
        a, b = (x.ravel().astype(kind) for x in np.meshgrid(EDGES, EDGES))
        found = {"kernel": compile(program, target="cpu")(a, b), "reference": run(program, a, b)[0]}
        expected = {"kernel": function(a, b), "reference": function(a.astype(float), b.astype(float))}
    for which, values in found.items():
        np.testing.assert_array_equal(values, expected[which], err_msg=which)
        numbers = ~np.isnan(values)
        np.testing.assert_array_equal(np.signbit(values[numbers]), np.signbit(expected[which][numbers]))


def test_floor_division_of_scalars_equals_pythons():
    pairs = [(-0.5, math.inf), (5.0, math.inf), (1.0, 0.1), (-1e-300, 3.0), (-7.5, 2.0), (0.5, -math.inf)]
    for name in ("floordiv", "mod"):
        function = getattr(operator, name)
        found = [
            elementwise(lambda x, b=b, function=function: function(x, b), np.array([a]))[0] for a, b in pairs
        ]
        assert found == [function(a, b) for a, b in pairs]


def test_torch_scalars_are_numbers():
    torch = pytest.importorskip("torch")

    def function(x, two, four):
        return two * x + x / four - two

    found = elementwise(lambda x: function(x, torch.tensor(2.0), torch.tensor(4)), X, result="f64")
    close(found, function(X, 2, 4))


def _erf(x):
    return np.array([math.erf(each) for each in x])


FUNCTIONS = {
    "exp": (aec.exp, np.exp),
    "exp2": (aec.exp2, np.exp2),
    "expm1": (aec.expm1, np.expm1),
    "log": (lambda x: aec.log(abs(x) + 1), lambda x: np.log(abs(x) + 1)),
    "log2": (lambda x: aec.log2(abs(x) + 1), lambda x: np.log2(abs(x) + 1)),
    "log1p": (lambda x: aec.log1p(abs(x)), lambda x: np.log1p(abs(x))),
    "tanh": (aec.tanh, np.tanh),
    "sigmoid": (aec.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "erf": (aec.erf, _erf),
    "sqrt": (lambda x: aec.sqrt(abs(x)), lambda x: np.sqrt(abs(x))),
    "rsqrt": (lambda x: aec.rsqrt(abs(x) + 1), lambda x: 1 / np.sqrt(abs(x) + 1)),
    "abs": (aec.abs, np.abs),
    "floor": (aec.floor, np.floor),
    "ceil": (aec.ceil, np.ceil),
    "sin": (aec.sin, np.sin),
    "cos": (aec.cos, np.cos),
    "maximum": (lambda x: aec.maximum(x, 0.5), lambda x: np.maximum(x, 0.5)),
    "minimum": (lambda x: aec.minimum(0.5, x), lambda x: np.minimum(x, 0.5)),
    "max of two": (
        lambda x: aec.max(x, 0.5) + aec.max(1, x),
        lambda x: np.maximum(x, 0.5) + np.maximum(1, x),
    ),
    "min of two": (lambda x: aec.min(x, -x), lambda x: np.minimum(x, -x)),
    "clamp": (lambda x: aec.clamp(x, -1, 2), lambda x: np.clip(x, -1, 2)),
    "clamp below": (lambda x: aec.clamp(x, low=0), lambda x: np.maximum(x, 0)),
    "clamp above": (lambda x: aec.clamp(x, high=0), lambda x: np.minimum(x, 0)),
    "where": (lambda x: aec.where(x > 0, x, -1), lambda x: np.where(x > 0, x, -1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree_with_numpy(name):
    ours, numpys = FUNCTIONS[name]
    close(elementwise(ours, X, result="f64"), numpys(X))
    close(elementwise(ours, M), numpys(M))  # integers count as floats where the result is one


def test_functions_of_numbers_are_numbers():
    values = [
        aec.exp(1),
        aec.exp2(3),
        aec.log(2.0),
        aec.sigmoid(0),
        aec.maximum(1, 2),
        aec.min(1, 2),
        aec.where(True, 3, 4),
        aec.clamp(7, 0, 5),
        aec.abs(-2),
        aec.floor(1.5),
        aec.rsqrt(4),
    ]
    assert values == [math.e, 8.0, math.log(2), 0.5, 2, 1, 3, 5, 2, 1.0, 0.5]
    assert aec.exp(1000) == math.inf


def test_integers_become_floats_where_they_must():
    assert elementwise(lambda m: m / 2, M, result="f32").tolist() == (M / 2).tolist()
    assert elementwise(lambda m: m * 0.5, M, result="f32").tolist() == (M * 0.5).tolist()
    assert elementwise(lambda m: 2 ** (m // 2), M, result="f32").tolist() == (2.0 ** (M // 2)).tolist()
    assert elementwise(lambda m, x: m * x, M, X, result="f64").tolist() == (M * X).tolist()
    assert elementwise(aec.floor, M, result="i64").tolist() == M.tolist()
    assert elementwise(lambda m: aec.where(m > 0, 1, 0), M, result="index").tolist() == (M > 0).tolist()


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("f16", "f16", "f16"),
        ("f16", "bf16", "f32"),
        ("bf16", "f32", "f32"),
        ("f32", "f64", "f64"),
        ("i32", "f16", "f16"),
        ("i8", "i64", "i64"),
        ("i32", "index", "index"),
    ],
)
def test_types_of_tensors_combine(left, right, result):
    arrays = np.ones(3), np.ones(3)
    assert elementwise(lambda x, y: x + y, *arrays, dtypes=(left, right), result=result).tolist() == [2] * 3


def test_scalars_are_weak_beside_tensors():
    program = aec.trace(lambda x, a: x * a + 0.5, x=aec.tensor(3, dtype="f16"), a=aec.scalar("f32"))
    assert program.results[0].spec.dtype == "f16"


def test_casts_truncate_floats_and_keep_integers():
    values = np.array([-2.75, -0.5, 0.0, 3.99])
    assert elementwise(lambda x: aec.cast(x, "i32"), values, result="i32").tolist() == [-2, 0, 0, 3]
    assert elementwise(lambda x: x.astype("index"), values, result="index").tolist() == [-2, 0, 0, 3]
    assert elementwise(lambda x: aec.cast(x, bool), values, result="i1").tolist() == [1, 1, 0, 1]
    assert elementwise(lambda x: aec.cast(x > 0, "f32"), values, result="f32").tolist() == [0, 0, 0, 1]
    assert elementwise(lambda x: aec.cast(x > 0, "index"), values, result="index").tolist() == [0, 0, 0, 1]
    for dtype in ("i8", "i16", "i64", "index", "f64"):
        assert elementwise(lambda m, to=dtype: aec.cast(m, to), M, result=dtype).tolist() == M.tolist()


def test_casts_to_halves_round_in_a_kernel():
    values = np.array([1.0, -2.5, 1 + 2**-7, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-12])
    program = aec.trace(
        lambda x: (aec.cast(aec.cast(x, "bf16"), "f64"), aec.cast(aec.cast(x, "f16"), "f64")),
        x=aec.tensor("N", dtype="f64"),
    )
    bf16, f16 = compile(program, target="cpu")(values)
    assert bf16.tolist() == [1.0, -2.5, 1 + 2**-7, 1.0, 1 + 2**-6, 1.0]  # 8 bits, ties go to even
    assert f16.tolist() == [1.0, -2.5, 1 + 2**-7, 1 + 2**-8, 1 + 3 * 2**-8, 1.0]  # 11 bits
