"""Mistakes in region functions: what they take, what they return, and what is given instead of one."""

from __future__ import annotations

import pytest
from mistakes import check_mistake, collector

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
