"""Mistakes in region functions: what they take, what they return, and what is given instead of one."""

from __future__ import annotations

import functools
from unittest import mock

import pytest
from mistakes import check_mistake, collector, same, specs

from aecompiler import builder as aec

MISTAKES, mistake = collector()


@pytest.mark.parametrize(("function", "message"), MISTAKES)
def test_mistake_is_reported_at_its_line(function, message):
    check_mistake(function, message)


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


DOUBLE = aec.trace(lambda q: q * 2, name="double", q=specs()["q"])


@mistake("expects score to be a function, got the program 'double'; give a function that is not decorated")
def score_that_is_a_program(q, k, v):
    return aec.attention(q, k, v, score=DOUBLE)  # <-


@mistake("expects the score function to return values, got the function <Mock")
def score_that_is_a_mock(q, k, v):
    return aec.attention(q, k, v, score=mock.Mock())  # <-


@mistake("expects score to be a Python function, got <function")
def score_that_wraps_itself(q, k, v):
    def score(s):
        return s

    score.__wrapped__ = score
    return aec.attention(q, k, v, score=score)  # <-


@mistake("expects mask to be a function, got bool")
def mask_that_is_no_function(q, k, v):
    return aec.attention(q, k, v, mask=True)  # <-


@mistake("parameter 'i' stands in the place of 'h'")
def indices_in_the_wrong_order(q, k, v):
    def mask(b, i, h, column):  # <-
        return b + i >= h

    return aec.attention(q, k, v, mask=mask)


@mistake(
    "expects the mask function to take (b, h, i, j, q_len, kv_len, heads, features), or some of them by these"
)
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


@mistake("expects parameter 'h' of the score function to have no default, which would be replaced by")
def default_of_an_index(q, k, v):
    h = 2
    return aec.attention(q, k, v, score=lambda s, h=h: s * h)  # <-


@mistake("expects parameter 'kv_len' of the normalize function to have no default")
def default_of_a_size(q, k, v):
    def normalize(row, *, kv_len=7):  # <-
        return row / kv_len

    return aec.attention(q, k, v, normalize=normalize)


@mistake("replaced by the region's own j; rename the parameter")
def partial_function_with_an_index(q, k, v):
    def score(s, j):  # <-
        return s + j

    return aec.attention(q, k, v, score=functools.partial(score, j=3))


@mistake("parameter 'scale' is none of them")
def unknown_keyword_parameter(q, k, v):
    def score(s, *, scale):  # <-
        return s * scale

    return aec.attention(q, k, v, score=score)


@mistake("expects the mask to be a boolean, got index")
def result_of_a_lambda_of_several_lines(q, k, v):
    return aec.attention(
        q,
        k,
        v,
        mask=lambda i, j: (
            i + j  # <-
        ),
    )


@mistake("expects the mask to be a boolean, got the number 2")
def number_of_a_lambda_of_several_lines(q, k, v):
    return aec.attention(
        q,
        k,
        v,
        mask=lambda: (
            2  # <-
        ),
    )


@mistake("expects the score to be a number, got a boolean")
def result_of_one_of_two_returns(q, k, v):
    def score(s, i, j):
        if q.ndim == 4:
            return i > j  # <-
        return s

    return aec.attention(q, k, v, score=score)


@mistake("a score function can't be called in the step region")
def score_applied_in_a_step(q):
    def step(S, q, k, v, b, h, t):
        return S, v * aec.apply("score", lambda s: s, 1.0, b, h, t, t)  # <-

    return aec.recurrence(*same(q), step)


@mistake("a mask function can't be called in the program")
def mask_applied_in_the_program(q):
    return q * aec.apply("mask", lambda: True, 0, 0, 0, 0)  # <-


@mistake("aec.apply expects the arguments (b, h, i, j) of a mask function, got 2")
def mask_applied_to_too_few_arguments(q, k, v):
    return aec.attention(q, k, v, mask=lambda i, j: aec.apply("mask", lambda i, j: i > j, i, j))  # <-


@mistake("aec.apply expects a kind of score, mask, normalize, step, got 'bias'")
def unknown_kind_applied(q, k, v):
    return aec.attention(q, k, v, score=lambda s: aec.apply("bias", lambda s: s, s))  # <-
