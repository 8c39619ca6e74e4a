"""Programs from Python functions: regions and steps, the IR they become, and where it points."""

from __future__ import annotations

import numpy as np
import pytest
from builder_programs import close, run, specs

from aecompiler import builder as aec
from aecompiler.bindings import ir

# Regions.


def test_a_program_becomes_one_function_with_named_arguments(filecheck):
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


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param(lambda s, j: j, [[0, 1, 2, 3]] * 3, id="index"),
        pytest.param(lambda s, j: aec.cast(j, "f16"), [[0, 1, 2, 3]] * 3, id="f16"),
        pytest.param(lambda: 2, [[2] * 4] * 3, id="number"),
        pytest.param(lambda: np.float64(0.5), [[0.5] * 4] * 3, id="number of numpy"),
        pytest.param(lambda i: aec.where(i > 0, 1, 2), [[2] * 4, [1] * 4, [1] * 4], id="two numbers"),
    ],
)
def test_scores_of_any_number_type_are_scores(score, expected):
    found = weights(score=lambda: score, normalize=lambda: lambda row: row)
    np.testing.assert_array_equal(found, [expected] * 2)


def test_sizes_of_a_region_are_parameters():
    found = weights(
        score=lambda: (
            lambda q_len, kv_len, heads, features: 1000 * q_len + 100 * kv_len + 10 * heads + features
        ),
        mask=lambda: lambda heads, features: heads > features,
        normalize=lambda: lambda row, *, heads, features: row + heads / 4 + features / 8,
    )
    assert np.unique(found).tolist() == [3421.625]


def test_sizes_of_a_step_are_parameters_when_static_or_dynamic():
    def step(S, q, k, v, heads, features):
        return S, v * heads + features

    for heads in (3, None):
        x = aec.tensor(1, heads, "T", 2, dtype="f64")
        traced = aec.trace(lambda x: aec.recurrence(x, x, x, step)[0], x=x)
        np.testing.assert_array_equal(run(traced, np.ones((1, 3, 4, 2)))[0], np.full((1, 3, 4, 2), 5.0))


def test_region_functions_are_applied_in_one_another():
    def mask(i, j):
        return i >= j

    def score(s, b, h, i, j):
        x = aec.apply("score", lambda x, j, kv_len: x + j * kv_len, s, b, h, i, j)
        return aec.where(aec.apply("mask", mask, b, h, i, j), x, -1.0)

    found = weights(score=lambda: score, normalize=lambda: lambda row: row)
    i, j = np.indices((3, 4))
    np.testing.assert_array_equal(found, [np.where(i >= j, 4.0 * j, -1.0)] * 2)


def test_steps_are_applied_in_one_another():
    def scaled(S, q, k, v, b, h, t):
        return aec.apply("step", lambda S, q, k, v, features: (S, v * features), S, q, k, v, b, h, t)

    x = aec.tensor(1, 1, "T", 3, dtype="f64")
    traced = aec.trace(lambda x: aec.recurrence(x, x, x, scaled)[0], x=x)
    np.testing.assert_array_equal(run(traced, np.ones((1, 1, 2, 3)))[0], np.full((1, 1, 2, 3), 3.0))


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
        spread = (row.max() - row.min()) * row.prod()
        return (row - mean) / deviation + spread

    found = weights(
        [(aec.tensor(4, dtype="f64"), bias)], score=lambda x: lambda j: x[j], normalize=lambda x: standardised
    )
    expected = (bias - bias.mean()) / bias.std() + (bias.max() - bias.min()) * bias.prod()
    close(found, np.broadcast_to(expected, (2, 3, 4)))


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


def test_a_step_becomes_one_recurrence(filecheck):
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


def test_products_slices_and_reductions_in_a_step_equal_numpys():
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


def test_dtypes_and_sizes_of_numpy_and_torch_are_taken():
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
    assert aec.tensor(np.int64(2), np.uint8(3)).shape == (2, 3)


def test_outputs_of_halves_may_be_f32():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, out_dtype="f32"), **specs("bf16"))
    assert str(program.results[0]) == "o: f32[B, 4, Sq, 6]"


def test_f64_programs_accumulate_in_f64():
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, score=lambda s, i: s + i), **specs("f64"))
    assert "f32" not in str(program)
