"""Mistakes in programs: each raises TraceError at the line that holds it, and says what to write instead."""

from __future__ import annotations

import builtins
import inspect
import math
import re

import numpy as np
import pytest

from aecompiler import builder as aec
from aecompiler.errors import CompileError

MARK = "# <-"

MISTAKES = []


def mistake(message):
    """Register a function whose line marked `# <-` must be reported with `message`."""

    def register(function):
        MISTAKES.append(pytest.param(function, message, id=function.__name__))
        return function

    return register


def specs():
    return {
        "q": aec.tensor("B", 4, "Sq", 64),
        "k": aec.tensor("B", 2, "Skv", 64),
        "v": aec.tensor("B", 2, "Skv", 32),
        "slopes": aec.tensor(4),
        "table": aec.tensor(None, 3),
        "ids": aec.tensor("B", "Skv", dtype="i32"),
        "n": aec.scalar("index"),
    }


def in_score(score):
    """A program that uses `score`."""
    return lambda q, k, v, slopes, table, ids, n: aec.attention(
        q, k, v, score=lambda s, b, h, i, j: score(s, b, h, i, j, slopes, table)
    )


@pytest.mark.parametrize(("function", "message"), MISTAKES)
def test_mistake_is_reported_at_its_line(function, message):
    source, first = inspect.getsourcelines(function)
    line = first + next(n for n, text in enumerate(source) if MARK in text)
    names = set(inspect.signature(function).parameters)
    program = function if "q" in names else in_score(function)
    with pytest.raises(aec.TraceError) as error:
        aec.trace(
            program, **{name: spec for name, spec in specs().items() if "q" not in names or name in names}
        )
    assert message in error.value.message
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.severity, diagnostic.file, diagnostic.line) == ("error", __file__, line)
    assert diagnostic.message == error.value.message
    text = str(error.value)
    assert re.match(rf"{re.escape(__file__)}:{line}:(\d+: )?error: ", text) or f":{line}: error: " in text
    assert source[line - first].strip() in text  # the user's line
    assert isinstance(error.value, CompileError)


# Truth values.


@mistake("use aec.where(cond, a, b) for `if`")
def if_statement(s, b, h, i, j, slopes, table):
    if s > 0:  # <-
        return s
    return -s


@mistake("use aec.where(cond, a, b) for `if`")
def if_expression(s, b, h, i, j, slopes, table):
    return s if i >= j else 0.0  # <-


@mistake("use `a & b` for `a and b`")
def boolean_and(s, b, h, i, j, slopes, table):
    return aec.where(i >= j and i < 7, s, 0.0)  # <-


@mistake("use `a | b` for `a or b`")
def boolean_or(s, b, h, i, j, slopes, table):
    keep = (i >= j) or (j == 0)  # <-
    return aec.where(keep, s, 0.0)


@mistake("use `~a` for `not a`")
def boolean_not(s, b, h, i, j, slopes, table):
    return aec.where(not (i >= j), s, 0.0)  # <-


@mistake("`(a <= x) & (x < b)` for the chained comparison")
def chained_comparison(s, b, h, i, j, slopes, table):
    return aec.where(0 <= i - j < 4, s, 0.0)  # <-


@mistake("use aec.maximum(a, b) for `max(a, b)`")
def builtin_max(s, b, h, i, j, slopes, table):
    return max(s, 0.0)  # <-


@mistake("use aec.minimum(a, b) for `min(a, b)`")
def builtin_min(s, b, h, i, j, slopes, table):
    return min(s, 30.0)  # <-


@mistake("`while` can't depend on it")
def while_loop(s, b, h, i, j, slopes, table):
    while i < j:  # <-
        s = s + 1
    return s


@mistake("`assert` can't test it")
def assertion(s, b, h, i, j, slopes, table):
    assert i >= 0  # <-
    return s


@mistake("`any(...)` can't depend on it")
def builtin_any(s, b, h, i, j, slopes, table):
    keep = any([i == j, i == 0])  # <-
    return aec.where(keep, s, 0.0)


@mistake("no truth value")
def filter_of_a_comprehension(s, b, h, i, j, slopes, table):
    return builtins.sum([s for n in range(3) if j > n])  # <-


# Python protocols.


@mistake("use aec.exp(x)")
def math_function(s, b, h, i, j, slopes, table):
    return math.exp(s)  # <-


@mistake('for float(x) use aec.cast(x, "f32")')
def builtin_float(s, b, h, i, j, slopes, table):
    return s * float(i)  # <-


@mistake('for int(x) use aec.cast(x, "index")')
def builtin_int(s, b, h, i, j, slopes, table):
    return s * int(s)  # <-


@mistake("use aec.floor(x + 0.5)")
def builtin_round(s, b, h, i, j, slopes, table):
    return round(s)  # <-


@mistake("math.floor can't be applied to a traced value; use aec.floor")
def math_floor(s, b, h, i, j, slopes, table):
    return math.floor(s)  # <-


@mistake("such as range()")
def range_over_an_index(s, b, h, i, j, slopes, table):
    for _ in range(i):  # <-
        s = s + 1
    return s


@mistake("the index of a list or array")
def index_of_a_list(s, b, h, i, j, slopes, table):
    return s + [1.0, 2.0][h]  # <-


@mistake("a traced value can't be a key of a dict")
def key_of_a_dict(s, b, h, i, j, slopes, table):
    return s + {0: 1.0}[h]  # <-


@mistake("can't be iterated or unpacked")
def unpacking(s, b, h, i, j, slopes, table):
    first, *_ = slopes  # <-
    return s + first


@mistake("a traced scalar has no length")
def builtin_len(s, b, h, i, j, slopes, table):
    return s * len(s)  # <-


@mistake("`in` can't be decided while tracing")
def membership(s, b, h, i, j, slopes, table):
    return aec.where(h in slopes, s, 0.0)  # <-


@mistake("a traced value is immutable")
def item_assignment(s, b, h, i, j, slopes, table):
    slopes[h] = s  # <-
    return s


@mistake("a traced value is immutable: attribute 'scale'")
def attribute_assignment(s, b, h, i, j, slopes, table):
    s.scale = 2  # <-
    return s


@mistake("a traced value is not a function; index it with [...]")
def call_of_a_tensor(s, b, h, i, j, slopes, table):
    return s + slopes(h)  # <-


@mistake("a traced scalar has no attribute 'exp'")
def unknown_attribute(s, b, h, i, j, slopes, table):
    return s.exp()  # <-


@mistake("a traced tensor has no attribute 'view'")
def unknown_attribute_of_a_tensor(q, k, v):
    return aec.attention(q.view(2), k, v)  # <-


# numpy and torch.


@mistake("numpy.exp can't be applied to a traced value; use aec.exp")
def numpy_ufunc(s, b, h, i, j, slopes, table):
    return np.exp(s)  # <-


@mistake("numpy.where can't be applied to a traced value; use aec.where")
def numpy_function(s, b, h, i, j, slopes, table):
    return np.where(i >= j, s, 0.0)  # <-


@mistake("numpy.arctan can't be applied to a traced value; write it with")
def numpy_function_without_a_counterpart(s, b, h, i, j, slopes, table):
    return np.arctan(s)  # <-


@mistake("got a numpy.ndarray of shape (4,); declare it as an argument")
def numpy_array(s, b, h, i, j, slopes, table):
    return np.ones(4) * s  # <-


@mistake("to index an array with it, declare the array as an argument")
def index_of_a_numpy_array(s, b, h, i, j, slopes, table):
    return s + np.ones(4)[h]  # <-


@mistake("can't become a numpy array")
def numpy_conversion(s, b, h, i, j, slopes, table):
    return np.asarray(s)  # <-


@mistake("torch.exp can't be applied to a traced value; use aec.exp")
def torch_function(s, b, h, i, j, slopes, table):
    torch = pytest.importorskip("torch")
    return torch.exp(s)  # <-


@mistake("got a torch.Tensor of shape (4,); declare it as an argument")
def torch_tensor(s, b, h, i, j, slopes, table):
    torch = pytest.importorskip("torch")
    return torch.ones(4) * s  # <-


@mistake("got a torch.Tensor of shape (4,); declare it as an argument")
def torch_tensor_on_the_right(s, b, h, i, j, slopes, table):
    torch = pytest.importorskip("torch")
    return s + torch.ones(4)  # <-


# Types.


@mistake("`*` expects numbers, got a boolean; use aec.where(cond, a, b)")
def arithmetic_on_a_boolean(s, b, h, i, j, slopes, table):
    return s * (i >= j)  # <-


@mistake("expects a number, got a boolean; use aec.where(cond, a, b)")
def negation_of_a_boolean(s, b, h, i, j, slopes, table):
    return -(i >= j)  # <-


@mistake("put comparisons in parentheses")
def missing_parentheses(s, b, h, i, j, slopes, table):
    return aec.where(s > 0.5 & i, s, 0.0)  # <-


@mistake("`&` expects two booleans or two integers, got a boolean and index")
def mixed_operands_of_and(s, b, h, i, j, slopes, table):
    return aec.where((i >= j) & h, s, 0.0)  # <-


@mistake("`<<` expects booleans or integers, got f32")
def shift_of_a_float(s, b, h, i, j, slopes, table):
    return s << 2  # <-


@mistake("`<<` expects a shift of 0 to 63 bits, got 64")
def shift_too_far(s, b, h, i, j, slopes, table):
    return s + (i << 64)  # <-


@mistake("`//` by zero")
def division_by_zero(s, b, h, i, j, slopes, table):
    return s + i // 0  # <-


@mistake("is out of range for index")
def huge_integer(s, b, h, i, j, slopes, table):
    return s + i * 2**70  # <-


@mistake("is out of range for f32")
def huge_integer_as_a_float(s, b, h, i, j, slopes, table):
    return s + 10**5000  # <-


@mistake('is out of range for f32; infinity is float("inf")')
def huge_float(s, b, h, i, j, slopes, table):
    return aec.where(i > j, s, -1e39)  # <-


@mistake("got str")
def string_operand(s, b, h, i, j, slopes, table):
    return s + "1"  # <-


@mistake("got complex")
def complex_operand(s, b, h, i, j, slopes, table):
    return s * 1j  # <-


@mistake("got NoneType")
def none_operand(s, b, h, i, j, slopes, table):
    return s + None  # <-


@mistake("call it")
def function_as_an_operand(s, b, h, i, j, slopes, table):
    return s + aec.exp  # <-


@mistake("aec.where expects a boolean condition, got index")
def where_on_a_number(s, b, h, i, j, slopes, table):
    return aec.where(i, s, 0.0)  # <-


@mistake("aec.where expects two numbers or two booleans")
def where_of_mixed_kinds(s, b, h, i, j, slopes, table):
    return aec.where(i > 0, s, j > 0)  # <-


@mistake("aec.cast expects dtype to be one of f16, bf16")
def cast_to_an_unknown_type(s, b, h, i, j, slopes, table):
    return aec.cast(s, "f8")  # <-


@mistake("aec.log is not defined at -1")
def log_of_a_negative_number(s, b, h, i, j, slopes, table):
    return s * aec.log(-1)  # <-


# Indexing.


@mistake("expects 1 indices for a tensor of shape (4,), got 0")
def slice_in_a_score(s, b, h, i, j, slopes, table):
    return s + slopes[:]  # <-


@mistake(
    "the score region reads one element at a time: expects 2 indices for a tensor of shape (?, 3), got 1"
)
def too_few_indices(s, b, h, i, j, slopes, table):
    return s + table[h]  # <-


@mistake("expects at most 1 indices for a tensor of shape (4,), got 2")
def too_many_indices(s, b, h, i, j, slopes, table):
    return s + slopes[b, h]  # <-


@mistake("index 4 is out of bounds for dimension 0 of size 4")
def index_out_of_bounds(s, b, h, i, j, slopes, table):
    return s + slopes[4]  # <-


@mistake("expects an integer as index, got f32; use `//` for `/`")
def float_index(s, b, h, i, j, slopes, table):
    return s + slopes[h / 2]  # <-


@mistake("expects an integer as index, got a boolean")
def boolean_index(s, b, h, i, j, slopes, table):
    return s + slopes[i > j]  # <-


@mistake("expects integers, slices, None and `...` as indices, got list")
def list_index(s, b, h, i, j, slopes, table):
    return s + slopes[[0, 1]]  # <-


@mistake("a scalar of type f32 can't be indexed")
def indexed_scalar(s, b, h, i, j, slopes, table):
    return s[0]  # <-


@mistake("can't be used as a whole in the score region; read one element of it, for example x[b]")
def tensor_without_an_index(s, b, h, i, j, slopes, table):
    return s + slopes  # <-


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


# Region functions.


@mistake("expects the mask to be a boolean, got index; compare it, for example `x != 0`")
def mask_that_is_a_number(q, k, v):
    def mask(b, h, i, j):
        return i - j  # <-

    return aec.attention(q, k, v, mask=mask)


@mistake("expects the score to be a number, got a boolean; use aec.where(cond, a, b)")
def score_that_is_a_boolean(q, k, v):
    def score(s, b, h, i, j):
        return i > j  # <-

    return aec.attention(q, k, v, score=score)


@mistake("expects the score function to return a value, got None; add a `return`")
def score_without_return(q, k, v):
    def score(s, b, h, i, j):
        s = s * 2  # <-

    return aec.attention(q, k, v, score=score)


@mistake("expects the score to be one value, got a tuple of 2")
def score_of_two_values(q, k, v):
    def score(s):
        return s, s  # <-

    return aec.attention(q, k, v, score=score)


@mistake("the score: expects traced values and Python numbers, got str")
def score_that_is_a_string(q, k, v):
    def score(s):
        return "s"  # <-

    return aec.attention(q, k, v, score=score)


@mistake("expects extra 0 of the normalize function to be the same for the whole row")
def extra_that_varies(q, k, v):
    def softmax(row):
        p = aec.exp(row - row.max())
        return p / p.sum(), p  # <-

    return aec.attention(q, k, v, normalize=softmax)


@mistake("expects the normalize function to return values, got the function")
def normalizer_that_was_not_called(q, k, v):
    from aecompiler.library import normalizers

    return aec.attention(q, k, v, normalize=normalizers.softmax)  # <-


@mistake("expects mask to be a function, got bool")
def mask_that_is_no_function(q, k, v):
    return aec.attention(q, k, v, mask=True)  # <-


@mistake("parameter 'i' stands in the place of 'h'")
def indices_in_the_wrong_order(q, k, v):
    def mask(b, i, h, column):  # <-
        return b + i >= h

    return aec.attention(q, k, v, mask=mask)


@mistake("expects the mask function to take (b, h, i, j, q_len, kv_len), or some of them by these names")
def some_indices_under_other_names(q, k, v):
    def mask(row, col):  # <-
        return row >= col

    return aec.attention(q, k, v, mask=mask)


@mistake("or some of them by these names; got (j, x)")
def a_value_in_the_place_of_an_index(q, k, v):
    def score(j, x):  # <-
        return x + j

    return aec.attention(q, k, v, score=score)


@mistake("or some of them by these names; got (a, b, c, d, e)")
def too_many_parameters(q, k, v):
    def mask(a, b, c, d, e):  # <-
        return True

    return aec.attention(q, k, v, mask=mask)


@mistake("parameter 'scale' is none of them")
def unknown_keyword_parameter(q, k, v):
    def score(s, *, scale):  # <-
        return s * scale

    return aec.attention(q, k, v, score=score)


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


@mistake("expects q and k and v to have one type of f16, bf16, f32 and f64, got q f16, k f32, v f32")
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


def same(q):
    """q, k and v of one length."""
    return q, q, q[..., :32]


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


@mistake("expects the step function to take (S, q, k, v, b, h, t)")
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
        (lambda: aec.tensor("a b"), ValueError, "identifiers, got 'a b'"),
        (lambda: aec.tensor(4, dtype="f8"), ValueError, "expects dtype to be one of"),
        (lambda: aec.scalar("u8"), ValueError, "expects dtype to be one of"),
        (lambda: aec.trace(lambda q: q), TypeError, "expects a declaration of 'q'"),
        (lambda: aec.trace(lambda: 1, q=aec.tensor(4)), TypeError, "has no parameter 'q'"),
        (lambda: aec.trace(lambda q: q, q="f32"), TypeError, "expects q to be declared by aec.tensor"),
        (lambda: aec.trace("f"), TypeError, "expects a function to trace, got str"),
    ],
)
def test_wrong_declarations(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_a_program_is_no_kernel():
    program = aec.trace(lambda q: q * 2, name="double", q=aec.tensor(4))
    with pytest.raises(TypeError, match=r"'double' is not a kernel: call aec.compile\(double"):
        program(np.ones(4))
