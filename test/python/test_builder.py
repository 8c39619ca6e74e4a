"""Programs from Python functions: what the operators mean, the IR they become, and where it points."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

from aecompiler import builder as aec
from aecompiler.bindings import ir
from aecompiler.reference.evaluate import evaluate

HEAD = {"q": ("B", 4, "Sq", 8), "k": ("B", 2, "Skv", 8), "v": ("B", 2, "Skv", 6)}


def specs(dtype="f32", **more):
    return {name: aec.tensor(*shape, dtype=dtype) for name, shape in HEAD.items()} | more


def run(program, *arguments):
    return evaluate(program.module.body.operations[0], arguments)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


# Operators. The same function runs on traced f64 values and on numpy.

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
def test_operators_on_floats(name):
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
def test_operators_on_integers(name):
    function = INTEGER_OPERATIONS[name]
    close(elementwise(function, M, N, result="i64"), function(M, N))


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_comparisons(name):
    compare = getattr(operator, name)
    x = np.append(X, np.nan)
    y = np.append(Y, 1.0)
    close(elementwise(compare, x, y, result="i1"), compare(x, y))
    close(elementwise(compare, M, N, result="i1"), compare(M, N))
    close(elementwise(lambda x: compare(x, 1), X), compare(X, 1))
    close(elementwise(lambda x: compare(1, x), X), compare(1, X))


def test_boolean_operators():
    def function(x, y):
        return ((x > 0) & (y > 0)) | ~(x > y) ^ (x == y) | ((x > 0) == (y > 0)) & True

    close(elementwise(function, X, Y, result="i1"), function(X, Y))


def test_numpy_scalars_are_numbers():
    def function(x):
        return np.float32(2) * x + x / np.float64(4) - np.int64(3) - np.array(1.5)

    close(elementwise(function, X, result="f64"), function(X))


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
    "minimum": (lambda x: aec.min(0.5, x), lambda x: np.minimum(x, 0.5)),
    "clamp": (lambda x: aec.clamp(x, -1, 2), lambda x: np.clip(x, -1, 2)),
    "clamp below": (lambda x: aec.clamp(x, low=0), lambda x: np.maximum(x, 0)),
    "clamp above": (lambda x: aec.clamp(x, high=0), lambda x: np.minimum(x, 0)),
    "where": (lambda x: aec.where(x > 0, x, -1), lambda x: np.where(x > 0, x, -1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
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


def test_casts():
    values = np.array([-2.75, -0.5, 0.0, 3.99])
    assert elementwise(lambda x: aec.cast(x, "i32"), values, result="i32").tolist() == [-2, 0, 0, 3]
    assert elementwise(lambda x: x.astype("index"), values, result="index").tolist() == [-2, 0, 0, 3]
    assert elementwise(lambda x: aec.cast(x, bool), values, result="i1").tolist() == [1, 1, 0, 1]
    assert elementwise(lambda x: aec.cast(x > 0, "f32"), values, result="f32").tolist() == [0, 0, 0, 1]
    assert elementwise(lambda x: aec.cast(x > 0, "index"), values, result="index").tolist() == [0, 0, 0, 1]
    assert elementwise(lambda x: aec.cast(aec.cast(x, "f16"), "bf16"), values, result="bf16") is not None
    for dtype in ("i8", "i16", "i64", "index", "f64"):
        assert elementwise(lambda m, to=dtype: aec.cast(m, to), M, result=dtype).tolist() == M.tolist()


# Regions.


def test_a_program_and_its_ir(filecheck):
    @aec.program(**specs("f16"), slopes=aec.tensor(4), offset=aec.scalar("index"))
    def alibi(q, k, v, slopes, offset):
        def score(s, b, h, i, j):
            return s * 0.5 + slopes[h] * (j - i)

        def softmax(row):
            m = row.max()
            p = aec.exp(row - m)
            total = p.sum()
            return p / total, m + aec.log(total)

        return aec.attention(
            q,
            k,
            v,
            score=score,
            mask=lambda i, j, q_len, kv_len: j <= i + offset + kv_len - q_len,
            normalize=softmax,
        )

    assert alibi.name == "alibi"
    assert [str(a) for a in alibi.arguments][-2:] == ["slopes: f32[4]", "offset: index"]
    assert [str(r) for r in alibi.results] == ["o: f16[B, 4, Sq, 6]", "extra0: f32[B, 4, Sq]"]
    filecheck(
        alibi,
        """
        CHECK-LABEL: func.func @alibi
        CHECK-SAME:    %[[Q:.*]]: tensor<?x4x?x8xf16> {attn.dims = ["B", "", "Sq", ""], attn.name = "q"}
        CHECK-SAME:    %[[K:.*]]: tensor<?x2x?x8xf16> {attn.dims = ["B", "", "Skv", ""], attn.name = "k"}
        CHECK-SAME:    %[[V:[a-z0-9]+]]: tensor<?x2x?x6xf16>
        CHECK-SAME:    %[[SLOPES:.*]]: tensor<4xf32> {attn.name = "slopes"}
        CHECK-SAME:    %[[OFFSET:.*]]: index {attn.name = "offset"}
        CHECK-SAME:    -> (tensor<?x4x?x6xf16> {attn.name = "o"}, tensor<?x4x?xf32> {attn.name = "extra0"})
        CHECK-DAG:     %[[SQ:.*]] = tensor.dim %[[Q]]
        CHECK-DAG:     %[[SKV:.*]] = tensor.dim %[[K]]
        CHECK:         "attn.attention"(%[[Q]], %[[K]], %[[V]]) ({
        CHECK-NEXT:    ^bb0(%[[S:.*]]: f32, %{{[a-z0-9]+}}: index, %[[H:[a-z0-9]+]]: index
        CHECK-SAME:         %[[I:[a-z0-9]+]]: index, %[[J:.*]]: index):
        CHECK:           %[[SCALED:.*]] = arith.mulf %[[S]]
        CHECK:           %[[SLOPE:.*]] = tensor.extract %[[SLOPES]][%[[H]]]
        CHECK:           %[[D:.*]] = arith.subi %[[J]], %[[I]] : index
        CHECK:           %[[D64:.*]] = arith.index_cast %[[D]] : index to i64
        CHECK:           %[[DF:.*]] = arith.sitofp %[[D64]] : i64 to f32
        CHECK:           %[[BIAS:.*]] = arith.mulf %[[SLOPE]], %[[DF]]
        CHECK:           %[[SCORE:.*]] = arith.addf %[[SCALED]], %[[BIAS]]
        CHECK:           "attn.yield"(%[[SCORE]]) : (f32) -> ()
        CHECK:         ^bb0(%{{.*}}: index, %{{.*}}: index, %[[I2:.*]]: index, %[[J2:.*]]: index):
        CHECK:           %[[SHIFTED:.*]] = arith.addi %[[I2]], %[[OFFSET]]
        CHECK:           %[[KEPT:.*]] = arith.cmpi sle, %[[J2]]
        CHECK:           "attn.yield"(%[[KEPT]]) : (i1) -> ()
        CHECK:           "attn.row_reduce"(%{{.*}}) {kind = "max"}
        CHECK:           "attn.row_reduce"(%{{.*}}) {kind = "sum"}
        CHECK:           "attn.yield"(%{{.*}}, %{{.*}}) : (f32, f32) -> ()
        """,
    )


def test_defaults_are_softmax_over_everything():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v), **specs("f64"))
    q, k, v = (np.random.default_rng(0).standard_normal((2, h, 5, d)) for h, d in ((4, 8), (2, 8), (2, 6)))
    s = np.einsum("bhid,bhjd->bhij", q, np.repeat(k, 2, 1))
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    close(run(program, q, k, v)[0], np.einsum("bhij,bhjd->bhid", p, np.repeat(v, 2, 1)))


def weights(arguments=(), **options):
    """The attention weights of one head over 3 queries and 4 keys with all products 0: v is the identity."""
    more = {f"x{n}": spec for n, (spec, _) in enumerate(arguments)}

    def program(q, k, v, **captured):
        return aec.attention(q, k, v, **{name: make(*captured.values()) for name, make in options.items()})

    shapes = {"q": (1, 2, 3, 1), "k": (1, 2, 4, 1), "v": (1, 2, "Skv", 4)}
    traced = aec.trace(program, **{n: aec.tensor(*s, dtype="f64") for n, s in shapes.items()}, **more)
    v = np.broadcast_to(np.eye(4), (1, 2, 4, 4))
    return run(traced, np.zeros((1, 2, 3, 1)), np.zeros((1, 2, 4, 1)), v, *[a for _, a in arguments])[0][0]


@pytest.mark.parametrize(
    "mask",
    [
        lambda b, h, i, j: i >= j,
        lambda i, j: i >= j,
        lambda j, i: i >= j,
        lambda b, head, row, column: row >= column,
        lambda *args: args[2] >= args[3],
        lambda b, h, *rest: rest[0] >= rest[1],
        lambda *, i, j: i >= j,
        lambda i, j, slack=0: i + slack >= j,
        lambda q_len, i, j, kv_len: i + q_len - 3 >= j + kv_len - 4,
    ],
)
def test_region_functions_take_what_they_name(mask):
    found = weights(mask=lambda: mask, normalize=lambda: lambda row: 1.0)
    np.testing.assert_array_equal(found, np.broadcast_to(np.tril(np.ones((3, 4))), (2, 3, 4)))


def test_scores_of_any_number_type_are_scores():
    for score in (
        lambda s, j: j,
        lambda s, j: aec.cast(j, "f16"),
        lambda: 2,
        lambda i: aec.where(i > 0, 1, 2),
    ):
        found = weights(score=lambda score=score: score, normalize=lambda: lambda row: row)
        assert found.max() in (2, 3)


def test_values_of_a_region_may_have_any_name():
    found = weights(score=lambda: lambda x, j: x + j, normalize=lambda: lambda x, i: x * i)
    np.testing.assert_array_equal(found[1], np.outer(np.arange(3), np.arange(4)))


def test_captured_tensors_are_read_at_any_integer_expression():
    table = np.arange(24.0).reshape(2, 3, 4)
    found = weights(
        [
            (aec.tensor(None, 3, None, dtype="f64"), table),
            (aec.tensor(4, dtype="i32"), np.array([3, 1, 2, 0], np.int32)),
        ],
        score=lambda table, order: (
            lambda h, i, j: table[1 - h, (i * 2 + 1) % 3, order[3 - j]] + table[-1, -1, -2]
        ),
        normalize=lambda *_: lambda row: row,
    )
    h, i, j = np.indices((2, 3, 4))
    np.testing.assert_array_equal(
        found, table[1 - h, (i * 2 + 1) % 3, np.array([3, 1, 2, 0])[3 - j]] + table[-1, -1, -2]
    )


def test_normalizers_may_cascade():
    bias = np.array([0.1, 0.7, -0.4, 2.0])

    def standardised(row):
        count = (row * 0 + 1).sum()
        mean = row.sum() / count
        deviation = aec.sqrt(((row - mean) ** 2).sum() / count)
        return (row - mean) / deviation + 0 * row.min() + 0 * row.prod()

    found = weights(
        [(aec.tensor(4, dtype="f64"), bias)], score=lambda x: lambda j: x[j], normalize=lambda x: standardised
    )
    close(found, np.broadcast_to((bias - bias.mean()) / bias.std(), (2, 3, 4)))


def test_halves_are_computed_in_the_type_of_the_score(filecheck):
    program = aec.trace(
        lambda q, k, v, bias: aec.attention(q, k, v, score=lambda s, i: s + bias[i] * 2),
        **specs("f16"),
        bias=aec.tensor(None, dtype="f16"),
    )
    filecheck(
        program,
        """
        CHECK: %[[X:.*]] = tensor.extract
        CHECK: %[[W:.*]] = arith.extf %[[X]] : f16 to f32
        CHECK: arith.mulf %[[W]], %{{.*}} : f32
        """,
    )


def test_a_step_and_its_ir(filecheck):
    @aec.program(
        q=aec.tensor("B", 2, "T", 8, dtype="bf16"),
        k=aec.tensor("B", 2, "T", 8, dtype="bf16"),
        v=aec.tensor("B", 4, "T", 6, dtype="bf16"),
        g=aec.tensor("B", 4, "T", 8),
        beta=aec.tensor("B", 4, "T"),
    )
    def kda(q, k, v, g, beta):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(g[b, h, t])[:, None] * S
            S = S + aec.outer(beta[b, h, t] * k, v - k @ S)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    assert [str(r) for r in kda.results] == ["o: bf16[B, 4, T, 6]", "final: f32[B, 4, 8, 6]"]
    filecheck(
        kda,
        """
        CHECK:       %[[EMPTY:.*]] = tensor.empty(%{{.*}}) : tensor<?x4x8x6xf32>
        CHECK:       %[[ZERO:.*]] = linalg.fill ins(%{{.*}}) outs(%[[EMPTY]]
        CHECK:       "attn.recurrence"(%{{.*}}, %{{.*}}, %{{.*}}, %[[ZERO]]) ({
        CHECK-NEXT:  ^bb0(%[[S:.*]]: tensor<8x6xf32>, %[[Q:.*]]: tensor<8xf32>, %[[K:.*]]: tensor<8xf32>
        CHECK:         %[[G:.*]] = tensor.extract_slice %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}, 0] [1, 1, 1, 8]
        CHECK:         %[[E:.*]] = math.exp %[[G]] : tensor<8xf32>
        CHECK-NOT:     tensor.expand_shape
        CHECK:         %[[ROWS:.*]] = linalg.broadcast ins(%[[E]] : tensor<8xf32>) {{.*}} dimensions = [1]
        CHECK:         %[[DECAYED:.*]] = arith.mulf %[[ROWS]], %[[S]] : tensor<8x6xf32>
        CHECK:         tensor.splat
        CHECK:         linalg.vecmat ins(%[[K]], %[[DECAYED]]
        CHECK:         %[[S1:.*]] = arith.addf %[[DECAYED]]
        CHECK:         %[[O:.*]] = linalg.vecmat ins(%[[Q]], %[[S1]]
        CHECK:         "attn.step_yield"(%[[S1]], %[[O]])
        """,
    )


def test_products_slices_and_reductions_in_a_step():
    """o collects one number per operation on S, q, k, v, in a step that is affine in S."""

    def step(S, q, k, v, b, h, t):
        numbers = [
            S[0, 1],
            S[t, -1],
            (S @ v)[2],
            (k @ S)[1],
            (S.T @ q)[0],
            aec.sum(S),
            aec.sum(S, 0)[1],
            S.sum(axis=1)[-1],
            (S[1:3, :] * 2).sum(),
            (q @ k) + q[:2].max() + k[1:].min() + q.prod(),
            (S[2] + v)[1],
            (S[:, 1] * q)[2],
            (aec.outer(q, v) @ v)[1],
            ((q[:, None] @ k[None]) @ S)[0, 1],
            aec.where(q > 0, k, -k).sum() + aec.maximum(v[0], 2.0),
            aec.concat([q, v]).sum(),
            (v[:1] * q).sum(keepdims=True)[0],
        ]
        one = v[:1] * 0 + 1
        return S, aec.concat([number * one for number in numbers])

    def program(q, k, v, initial):
        return aec.recurrence(q, k, v, step, initial=initial)

    rng = np.random.default_rng(1)
    q, k = rng.standard_normal((2, 1, 1, 2, 3))
    v, initial = rng.standard_normal((1, 1, 2, 17)), rng.standard_normal((1, 1, 3, 17))
    names = {"q": q, "k": k, "v": v, "initial": initial}
    traced = aec.trace(program, **{n: aec.tensor(*x.shape, dtype="f64") for n, x in names.items()})
    o, final = run(traced, *names.values())
    S, q, k, v = initial[0, 0], q[0, 0, 1], k[0, 0, 1], v[0, 0, 1]
    expected = [
        S[0, 1],
        S[1, -1],
        (S @ v)[2],
        (k @ S)[1],
        (S.T @ q)[0],
        S.sum(),
        S.sum(0)[1],
        S.sum(1)[-1],
        (S[1:3] * 2).sum(),
        q @ k + q[:2].max() + k[1:].min() + q.prod(),
        (S[2] + v)[1],
        (S[:, 1] * q)[2],
        (np.outer(q, v) @ v)[1],
        (np.outer(q, k) @ S)[0, 1],
        np.where(q > 0, k, -k).sum() + max(v[0], 2.0),
        np.concatenate([q, v]).sum(),
        v[0] * q.sum(),
    ]
    close(o[0, 0, 1], expected)
    close(final, initial)


# The program around the operations.


def test_results_are_named():
    def one(q, k, v):
        return aec.attention(q, k, v)

    def many(q, k, v):
        o = aec.attention(q, k, v)
        return {"first": o, "second": o * 2}

    def twice(q, k, v):
        return aec.attention(q, k, v), aec.attention(q, k, v), aec.attention(q, k, v) * 2

    def names(program):
        return [result.name for result in program.results]

    assert names(aec.trace(one, **specs())) == ["o"]
    assert names(aec.trace(one, results=["out"], **specs())) == ["out"]
    assert names(aec.trace(many, **specs())) == ["first", "second"]
    assert names(aec.trace(twice, **specs())) == ["o", "o1", "o2"]
    with pytest.raises(aec.TraceError, match="expects 2 results by name, got 1"):
        aec.trace(one, results=["a", "b"], **specs())


def test_tracing_twice_gives_equal_text():
    def program(q, k, v):
        x = q * 2 + q[:, :1]
        return aec.attention(x, k, v, score=lambda s, i: s + i)

    first, second = (aec.trace(program, **specs()) for _ in range(2))
    assert str(first) == str(second)
    assert first.context is not second.context


def test_unused_sizes_leave_no_operations():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, score=lambda s, q_len: s), **specs())
    assert "tensor.dim" not in str(program)
    assert "arith.constant 2 : index" not in str(program)


def test_every_operation_points_at_the_users_line():
    def program(q, k, v):
        def score(s, h):
            return s * 2 + h

        x = q + 1
        return aec.attention(x, k, v, score=score)

    traced = aec.trace(program, **specs())
    first = program.__code__.co_firstlineno
    lines = {}

    def visit(op):
        location = op.location
        assert isinstance(location, ir.FileLineColLoc), op
        assert location.filename == __file__
        lines.setdefault(op.name, set()).add(location.start_line - first)
        return ir.WalkResult.ADVANCE

    traced.module.body.operations[0].operation.walk(visit)
    assert lines["arith.mulf"] == lines["arith.sitofp"] == lines["attn.yield"] - {5} == {2}
    assert lines["linalg.generic"] == {4}
    assert lines["attn.attention"] == lines["func.return"] == {5}


def test_equal_sizes_share_a_name_that_the_call_checks(filecheck):
    """Dimensions without a name, or with two, that must be equal get one name."""

    def program(q, k, v, gate):
        return aec.attention(q, k, v) * gate

    x = aec.tensor(None, 4, None, 8)
    traced = aec.trace(program, q=x, k=x, v=x, gate=aec.tensor("B", 4, "S", 1))
    filecheck(
        traced,
        """
        CHECK: {attn.dims = ["B", "", "S", ""], attn.name = "q"}
        CHECK-SAME: {attn.dims = ["B", "", "[[KV:.*]]", ""], attn.name = "k"}
        CHECK-SAME: {attn.dims = ["B", "", "[[KV]]", ""], attn.name = "v"}
        CHECK-SAME: {attn.dims = ["B", "", "S", ""], attn.name = "gate"}
        """,
    )


def test_elementwise_work_around_attention():
    rng = np.random.default_rng(3)
    q, k, v = rng.standard_normal((3, 2, 4, 5, 8))
    gate, factor, cos = rng.standard_normal((2, 4, 5, 8)), np.array([1.5]), rng.standard_normal((5, 4))

    def program(q, k, v, gate, factor, cos, lam):
        def rotate(x):
            left, right = x[..., :4], x[..., 4:]
            return aec.concat([left * cos - right, right * cos + left])

        k = rotate(k) * aec.rsqrt(aec.sum(k * k, -1, keepdims=True) + 1e-6)
        q = rotate(q) * factor[0]
        first = aec.attention(q, k, v)
        second = aec.attention(k, q, v[:, :, :, :8])
        return aec.sigmoid(gate) * (first - lam * second), aec.transpose(first, (0, 2, 1, 3)) / q.shape[2]

    x = aec.tensor("B", 4, "S", 8, dtype="f64")
    traced = aec.trace(
        program,
        q=x,
        k=x,
        v=x,
        gate=x,
        factor=aec.tensor(1, dtype="f64"),
        cos=aec.tensor("S", 4, dtype="f64"),
        lam=aec.scalar("f64"),
    )
    out, transposed = run(traced, q, k, v, gate, factor, cos, 0.3)

    def rotate(x):
        left, right = x[..., :4], x[..., 4:]
        return np.concatenate([left * cos - right, right * cos + left], -1)

    def attend(q, k):
        s = q @ k.swapaxes(2, 3)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    k = rotate(k) / np.sqrt((k * k).sum(-1, keepdims=True) + 1e-6)
    q = rotate(q) * 1.5
    close(out, (attend(q, k) - 0.3 * attend(k, q)) / (1 + np.exp(-gate)))
    close(transposed, attend(q, k).transpose(0, 2, 1, 3) / 5)


SLICES = {
    "static": lambda x, n: x[:, 1:4, ::2],
    "whole": lambda x, n: x[:] + x[...],
    "negative": lambda x, n: x[:, -3:-1],
    "past the end": lambda x, n: x[:, 3:100, 6:2],
    "one row": lambda x, n: x[0, :, -1],
    "ellipsis": lambda x, n: x[..., 2],
    "new axes": lambda x, n: x[:, None, 0, :, None],
    "dynamic front": lambda x, n: x[1:],
    "dynamic back": lambda x, n: x[:-1] * 2,
    "beyond a dynamic end": lambda x, n: x[:100],
    "traced bounds": lambda x, n: x[n:, n : n + 2],
    "traced element": lambda x, n: x[n, n + 1] * x[n - 1, 0, n],
    "beyond a bound": lambda x, n: x[-1, n],
}


@pytest.mark.parametrize("name", SLICES)
def test_slices(name):
    function = SLICES[name]
    x = np.random.default_rng(0).standard_normal((3, 5, 6))
    traced = aec.trace(
        lambda x, n: function(x, n), x=aec.tensor("N", 5, 6, dtype="f64"), n=aec.scalar("index")
    )
    close(run(traced, x, 1)[0], function(x, 1))


@pytest.mark.parametrize("axis", [None, 1, -1, (0, 2), (2, 1, 0)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
def test_reductions_of_tensors(kind, keepdims, axis):
    x = np.random.default_rng(0).standard_normal((3, 5, 2))

    def program(x):
        return getattr(x, kind)(axis, keepdims=keepdims) + 0 * x.sum((0, 1, 2), keepdims=True)

    traced = aec.trace(program, x=aec.tensor("N", 5, 2, dtype="f64"))
    found = run(traced, x)[0]
    expected = getattr(x, kind)(axis, keepdims=keepdims)
    close(found, expected + np.zeros((1, 1, 1)))
    halves = aec.trace(program, x=aec.tensor("N", 5, 2, dtype="f16"))
    assert halves.results[0].spec.dtype == "f16"


def test_static_shapes_are_ints_and_dynamic_ones_traced():
    seen = []

    def program(q, k, v):
        seen.extend([q.shape, q.ndim, q.dtype, len(v[0, 0, 0])])
        return q * q.shape[0] * q.shape[1]

    traced = aec.trace(program, **specs("f64"))
    (batch, heads, _, features), ndim, dtype, length = seen
    assert (heads, features, ndim, dtype, length) == (4, 8, 4, "f64", 6)
    assert isinstance(batch, aec.Value)
    close(
        run(traced, np.ones((3, 4, 2, 8)), np.ones((3, 2, 2, 8)), np.ones((3, 2, 2, 6)))[0],
        np.full((3, 4, 2, 8), 12.0),
    )


def test_a_program_can_be_used_in_another_one():
    inner = aec.trace(
        lambda q, k, v: aec.attention(q, k, v, score=lambda s: s * 0.5), name="inner", **specs()
    )
    outer = aec.trace(lambda q, k, v: inner(q * 2, k, v), name="outer", **specs())
    assert str(outer).count("attn.attention") == 1


def test_parameters_with_defaults_stay_python_values():
    def program(q, k, v, scale=0.125):
        return aec.attention(q, k, v, score=lambda s: s * scale)

    assert "1.250000e-01" in str(aec.trace(program, **specs()))


def test_dtypes_of_numpy_and_torch_are_taken():
    torch = pytest.importorskip("torch")
    assert [
        aec.tensor(1, dtype=d).dtype for d in (np.float16, np.dtype("int32"), torch.bfloat16, bool, "float64")
    ] == [
        "f16",
        "i32",
        "bf16",
        "i1",
        "f64",
    ]


def test_outputs_of_halves_may_be_f32():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, out_dtype="f32"), **specs("bf16"))
    assert str(program.results[0]) == "o: f32[B, 4, Sq, 6]"


def test_f64_programs_accumulate_in_f64():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, score=lambda s, i: s + i), **specs("f64"))
    assert "f32" not in str(program)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda x: x[..., :1], id="of-an-empty-tensor"),
        pytest.param(lambda x: x[1:, :, 3:], id="behind-the-end"),
        pytest.param(lambda x: x[..., 0], id="one-element-beside-an-empty-dimension"),
    ],
)
@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 2, 3), (2, 2, 3)])
def test_slices_and_parts_of_size_zero(part, shape):
    x = np.ones(shape, np.float32)
    (result,) = run(aec.trace(part, x=aec.tensor(*shape)), x)
    np.testing.assert_array_equal(result, part(x))


def test_parts_of_size_zero_concatenate():
    program = aec.trace(
        lambda x, y, z: aec.concat([x, y, z, y], axis=0),
        x=aec.tensor(2, "N"),
        y=aec.tensor(0, "N"),
        z=aec.tensor(1, "N"),
    )
    x, y, z = (np.random.default_rng(n).standard_normal((n, 3)) for n in (2, 0, 1))
    np.testing.assert_array_equal(run(program, x, y, z)[0], np.concatenate([x, y, z, y]))
