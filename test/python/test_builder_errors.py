"""Mistakes in programs: each raises TraceError at the line that holds it, and says what to write instead."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from mistakes import check_mistake, collector, same, specs

from aecompiler import builder as aec
from aecompiler.errors import CompileError

MISTAKES, mistake = collector()


@pytest.mark.parametrize(("function", "message"), MISTAKES)
def test_mistake_is_reported_at_its_line(function, message):
    check_mistake(function, message)


# Scopes.


@mistake("a value of the score region can't be used in the mask region")
def value_of_another_region(q, k, v):
    leaked = []

    def score(s):
        leaked.append(s)
        return s

    def mask(i, j):
        return leaked[0] > 0  # <-

    return aec.attention(q, k, v, score=score, mask=mask)


@mistake("a value of the score region can't be used in the program")
def value_of_a_region_in_the_program(q, k, v):
    leaked = []
    aec.attention(q, k, v, score=lambda s: leaked.append(s) or s)
    return leaked[0] * 2  # <-


OTHER = []
aec.trace(lambda q, k, v: OTHER.append(q) or aec.attention(q, k, v), **{n: specs()[n] for n in "qkv"})


@mistake("a traced value of another program")
def value_of_another_program(s, b, h, i, j, slopes, table):
    return s + OTHER[0][b, h, i, 0]  # <-


@mistake("can't be called in the score region")
def attention_in_a_region(q, k, v):
    return aec.attention(q, k, v, score=lambda s: aec.attention(q, k, v))  # <-


@mistake("`.max()` of a scalar reduces a row and exists in normalisers only")
def row_reduction_in_a_score(s, b, h, i, j, slopes, table):
    return s - s.max()  # <-


# Operands.


@mistake("aec.attention expects q and k to have equal feature sizes, got 64 and 32")
def feature_sizes(q, k, v):
    return aec.attention(q, v, v)  # <-


@mistake("aec.attention expects q to have rank 4 (batch, head, sequence, feature), got rank 1")
def wrong_rank(q, k, v, slopes):
    return aec.attention(slopes, k, v)  # <-


@mistake("aec.attention expects q's head count to be a multiple of the kv head count, got 3 and 2")
def head_counts(q, k, v):
    return aec.attention(q[:, :3], k, v)  # <-


@mistake("expects q, k and v to have one type of f16, bf16, f32 and f64, got q f16, k f32, v f32")
def mixed_types(q, k, v):
    return aec.attention(q.astype("f16"), k, v)  # <-


@mistake("aec.attention expects k to be a tensor, got a scalar")
def scalar_operand(q, k, v, n):
    return aec.attention(q, n, v)  # <-


@mistake("got a numpy.ndarray of shape (2, 2)")
def concrete_operand(q, k, v):
    return aec.attention(q, np.ones((2, 2)), v)  # <-


@mistake("aec.attention expects k and v to have equal sequence lengths")
def lengths_that_cannot_be_checked(q, k, v):
    return aec.attention(q, k, v[:, :, 1:])  # <-


@mistake("expects out_dtype to be q's type f32 or f32, got 'f16'")
def output_type(q, k, v):
    return aec.attention(q, k, v, out_dtype="f16")  # <-


@mistake("expects shapes that broadcast, got (B, 4, Sq, 64) and (4, Sq, 3)")
def shapes_that_do_not_broadcast(q, k, v):
    return aec.attention(q * q[0, :, :, :3], k, v)  # <-


# Recurrences.


@mistake("expects the step function to return the new state and the output, got one value")
def step_of_one_value(q):
    def step(S, q, k, v):
        return S  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects the output of the step function to have shape (32,), got shape (64,)")
def step_with_a_wrong_output(q):
    def step(S, q, k, v):
        return S, q  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects the new state of the step function to have shape (64, 32), got a scalar")
def step_with_a_scalar_state(q):
    def step(S, q, k, v):
        return 0.0, v  # <-

    return aec.recurrence(*same(q), step)


@mistake("`@` expects equal inner sizes, got shapes (64, 32) and (64,)")
def product_of_wrong_sizes(q):
    def step(S, q, k, v):
        return S, S @ q  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects shapes that broadcast, got (64,) and (64, 32)")
def missing_new_axis(q):
    def step(S, q, k, v):
        return q * S, v  # <-

    return aec.recurrence(*same(q), step)


@mistake("can't be used as a whole in the step region; read the part for this step")
def gate_without_an_index(q, ids):
    def step(S, q, k, v):
        return S * ids, v  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects parts of static shape, but dimension 1 of a tensor of shape (B, Skv) is dynamic")
def gate_with_too_few_indices(q, ids):
    def step(S, q, k, v, b):
        return S * ids[b], v  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects the step function to take (S, q, k, v, b, h, t, heads, features)")
def step_without_its_vectors(q):
    def step(state, gate):  # <-
        return state, gate

    return aec.recurrence(*same(q), step)


@mistake("aec.outer expects two vectors")
def outer_product_of_a_matrix(q):
    def step(S, q, k, v):
        return aec.outer(S, v), v  # <-

    return aec.recurrence(*same(q), step)


@mistake("expects offsets to be an i32 tensor of rank 1")
def wrong_offsets(q, ids):
    return aec.recurrence(*same(q), lambda S, q, k, v: (S, v), offsets=ids)  # <-


@mistake("aec.recurrence expects initial to have k's feature size 64 as its third size, got 4")
def wrong_initial_state(q):
    state = q[:, :, 0, :, None][:, :, :4]
    return aec.recurrence(*same(q), lambda S, q, k, v: (S, v), initial=state)  # <-


# Tensors of the program.


@mistake("`.sum` expects axes of a tensor of shape (B, 4, Sq, 64), got 4")
def axis_out_of_range(q):
    return aec.sum(q, 4)  # <-


@mistake("aec.max of a tensor and 1 may mean an axis or a number; write axis=1, or aec.maximum(a, b)")
def maximum_with_an_integer(q):
    return aec.max(q, 1)  # <-


@mistake("aec.min of a tensor and (0, 1) may mean an axis or a number")
def minimum_with_several_integers(q):
    return aec.min(q, (0, 1))  # <-


@mistake("aec.max of two values takes no axis and no keepdims; use aec.maximum")
def maximum_of_two_values_with_an_axis(q):
    return aec.max(q, q, axis=1)  # <-


@mistake("`.min` expects a traced value, got a Python number")
def minimum_of_one_number(q):
    return q * aec.min(3)  # <-


@mistake("transpose expects different axes, got (0, 1, 2, 2)")
def axes_that_repeat(q):
    return aec.transpose(q, (0, 1, 2, 2))  # <-


@mistake("transpose expects a permutation of 4 dimensions, got 1")
def permutation_that_is_a_number(q):
    return aec.transpose(q, 1)  # <-


@mistake("unsupported: aec.concat along dimension 2 of dynamic size")
def concatenation_along_a_dynamic_size(q):
    return aec.concat([q, q], 2)  # <-


@mistake("unsupported: `@` of tensors of shapes (B, 4, Sq, 64) and (B, 4, Sq, 64)")
def batched_product(q):
    return q @ q  # <-


@mistake("expects the step of a slice to be a positive Python int, got -1")
def reversed_slice(q):
    return q[::-1]  # <-


# Results.


@mistake("expects the program to return at least one tensor, got nothing; add a `return`")
def program_without_return(q, k, v):
    aec.attention(q, k, v)  # <-


@mistake("expects result 1 of the program to be a tensor, got float")
def result_that_is_a_number(q, k, v):
    return aec.attention(q, k, v), 1.0  # <-


@mistake("expects result 0 of the program to be a tensor, got <traced index>")
def result_that_is_a_scalar(q, n):
    return n  # <-


# Not at a line of a function.


def test_the_verifier_points_at_the_line():
    """What only the dialect's verifier finds carries the user's line as well."""

    def program(q):
        def step(S, q, k, v):
            T = S * S  # not affine
            return T, v

        return aec.recurrence(*same(q), step)

    with pytest.raises(CompileError, match=r"expects the step to be affine in the state") as error:
        aec.trace(program, q=specs()["q"])
    _, first = inspect.getsourcelines(program)
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.file, diagnostic.line) == (__file__, first + 2)
    assert "T = S * S" in str(error.value)


def test_a_helper_of_the_user_is_the_line_that_is_named():
    def half(x):
        return x if x > 0 else x / 2

    with pytest.raises(aec.TraceError, match=r"aec.where") as error:
        aec.trace(lambda q, k, v: aec.attention(q, k, v, score=half), **{n: specs()[n] for n in "qkv"})
    assert error.value.place.line == inspect.getsourcelines(half)[1] + 1


def test_a_value_outside_of_its_trace():
    with pytest.raises(aec.TraceError, match=r"only be used while its program is traced"):
        OTHER[0] * 2
    with pytest.raises(aec.TraceError, match=r"call it in a function given to aec.program or aec.trace"):
        aec.attention(OTHER[0], OTHER[0], OTHER[0])


def test_a_failed_trace_leaves_nothing_behind():
    with pytest.raises(aec.TraceError):
        aec.trace(
            lambda q, k, v: aec.attention(q, k, v, score=lambda s: s and s), **{n: specs()[n] for n in "qkv"}
        )
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v), **{n: specs()[n] for n in "qkv"})
    program.verify()


def test_a_caught_mistake_in_a_region_leaves_no_operation_behind():
    def attention(q, k, v):
        with pytest.raises(ZeroDivisionError):
            aec.attention(q, k, v, score=lambda s, kv_len: s / kv_len + 1 / 0)
        return aec.attention(q, k, v)

    def recurrence(q, gate):
        def step(S, q, k, v, b, h):
            return gate[b, h, 0][:, None] * S, 1 / 0

        with pytest.raises(ZeroDivisionError):
            aec.recurrence(*same(q), step)
        return aec.recurrence(*same(q), lambda S, q, k, v: (S, v))

    program = aec.trace(attention, **{n: specs()[n] for n in "qkv"})
    assert str(program).count('"attn.attention"') == 1
    assert "divf" not in str(program).partition('"attn.attention"')[0]
    program = aec.trace(recurrence, q=specs()["q"], gate=aec.tensor("B", 4, "Sq", 64))
    assert str(program).count('"attn.recurrence"') == 1


def test_a_callable_object_whose_func_is_itself_is_traced():
    class Score:
        def __call__(self, s):
            return s * 2

    score = Score()
    score.func = score
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v, score=score), **{n: specs()[n] for n in "qkv"})
    assert "arith.mulf" in str(program)


def test_values_can_be_printed_and_probed():
    seen = []

    def score(s, h):
        seen.extend([repr(s), f"{h}", hasattr(s, "exp"), hasattr(s, "dtype")])
        return s

    aec.trace(
        lambda q, k, v: seen.append(repr(q)) or aec.attention(q, k, v, score=score),
        **{n: specs()[n] for n in "qkv"},
    )
    assert seen == [
        "<traced f32 tensor of shape (B, 4, Sq, 64)>",
        "<traced f32>",
        "<traced index>",
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: aec.tensor("B", 1.5), TypeError, "dimensions to be int, str or None, got 1.5"),
        (lambda: aec.tensor(), ValueError, "at least one dimension; declare a number by aec.scalar"),
        (lambda: aec.program(lambda q: q), TypeError, "expects declarations by name"),
        (lambda: aec.tensor(-1), ValueError, "at least 0, got -1"),
        (lambda: aec.tensor(2**63), ValueError, "at most 2**63 - 1, got 9223372036854775808"),
        (lambda: aec.tensor(True), TypeError, "dimensions to be int, str or None, got True"),
        (
            lambda: aec.tensor(4, dtype=np.dtype(">f4")),
            ValueError,
            "of the machine's byte order, got dtype('>f4')",
        ),
        (
            lambda: aec.program(name=aec.tensor(3))(lambda name: name),
            TypeError,
            "expects name= to be an option of the program, got a declaration",
        ),
        (
            lambda: aec.trace(lambda results: results, results=aec.scalar()),
            TypeError,
            "expects results= to be an option of the program, got a declaration",
        ),
        (lambda: aec.trace(lambda q: q, name=3, q=aec.tensor(4)), TypeError, "name to be a string, got 3"),
        (
            lambda: aec.trace(lambda q: q, results="out", q=aec.tensor(4)),
            TypeError,
            "results to be a list of names, got 'out'",
        ),
        (lambda: aec.tensor("a b"), ValueError, "identifiers, got 'a b'"),
        (lambda: aec.tensor(4, dtype="f8"), ValueError, "expects dtype to be one of"),
        (lambda: aec.scalar("u8"), ValueError, "expects dtype to be one of"),
        (lambda: aec.trace(lambda q: q), TypeError, "expects a declaration of 'q'"),
        (lambda: aec.trace(lambda: 1, q=aec.tensor(4)), TypeError, "has no parameter 'q'"),
        (lambda: aec.trace(lambda q: q, q="f32"), TypeError, "expects q to be declared by aec.tensor"),
        (lambda: aec.trace("f"), TypeError, "expects a function to trace, got str"),
    ],
)
def test_wrong_declarations_are_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_a_program_is_no_kernel():
    program = aec.trace(lambda q: q * 2, name="double", q=aec.tensor(4))
    with pytest.raises(TypeError, match=r"'double' is not a kernel: call aec.compile\(double"):
        program(np.ones(4))
