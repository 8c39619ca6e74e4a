"""Mistakes with traced values in Python code: truth values, protocols, numpy, types, indexing."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest
from mistakes import check_mistake, collector

from aecompiler import builder as aec

MISTAKES, mistake = collector()


@pytest.mark.parametrize(("function", "message"), MISTAKES)
def test_mistake_is_reported_at_its_line(function, message):
    check_mistake(function, message)


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


@mistake("can't be iterated or unpacked; use x.sum() for `sum(x)`")
def builtin_sum(q, k, v):
    return aec.attention(q, k, v, normalize=lambda row: row / sum(row))  # <-


@mistake("can't be iterated or unpacked; use x.max() for `max(x)`")
def builtin_max_of_a_row(q, k, v):
    return aec.attention(q, k, v, normalize=lambda row: row - max(row))  # <-


@mistake("can't be formatted as a number")
def formatted_value(s, b, h, i, j, slopes, table):
    print(f"{s:.2f}")  # <-
    return s


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


@mistake("a traced row has no attribute 'mean'; divide its sum: x.sum() / n")
def mean_of_a_row(q, k, v):
    return aec.attention(q, k, v, normalize=lambda row: row - row.mean())  # <-


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


@mistake("can't be an index of a torch tensor; to index an array with it, declare the array as an argument")
def index_of_a_torch_tensor(s, b, h, i, j, slopes, table):
    torch = pytest.importorskip("torch")
    return s + torch.ones(4)[h]  # <-


@mistake("numpy.max can't be applied to a traced value; use aec.max")
def numpy_reduction(q, k, v):
    return aec.attention(q, k, v, normalize=lambda row: row / np.max(row))  # <-


@mistake("got a numpy.MaskedConstant of shape ()")
def masked_number_of_numpy(s, b, h, i, j, slopes, table):
    return s + np.ma.masked  # <-


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


@mistake("`==` of a boolean expects a boolean, got the number 1; use it as it is, or ~x")
def boolean_compared_with_a_number(s, b, h, i, j, slopes, table):
    return aec.where((i >= j) == 1, s, 0.0)  # <-


@mistake("`&` of a boolean expects a boolean, got the number 1; compare it first")
def boolean_and_a_number(s, b, h, i, j, slopes, table):
    return aec.where((i >= j) & 1, s, 0.0)  # <-


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


@mistake("expects 1 index for a tensor of shape (4,), got 0")
def slice_in_a_score(s, b, h, i, j, slopes, table):
    return s + slopes[:]  # <-


@mistake(
    "the score region reads one element at a time: expects 2 indices for a tensor of shape (?, 3), got 1"
)
def too_few_indices(s, b, h, i, j, slopes, table):
    return s + table[h]  # <-


@mistake("expects at most 1 index for a tensor of shape (4,), got 2")
def too_many_indices(s, b, h, i, j, slopes, table):
    return s + slopes[b, h]  # <-


@mistake("expects 1 index for a tensor of shape (4,), got a new dimension (None)")
def new_dimension_in_a_score(s, b, h, i, j, slopes, table):
    return s + slopes[h, None]  # <-


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
