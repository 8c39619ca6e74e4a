"""Arrays of one type as another: what changes a value is refused, however the types wrap."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from aecompiler.tools.conversion import convert


@pytest.mark.parametrize(
    ("values", "source", "dtype"),
    [
        ([200], "uint8", "i8"),
        ([4_000_000_000], "uint32", "i32"),
        ([2**63], "uint64", "i64"),
        ([-1], "int8", "i1"),
        ([2], "int8", "i1"),
        ([2.0**63], "float64", "i64"),
        ([-1.5], "float32", "i32"),
        ([np.nan], "float32", "i32"),
        ([np.inf], "float64", "i64"),
        ([2**53 + 1], "int64", "f64"),
        ([2**63 - 1], "int64", "f64"),
        ([2**64 - 1], "uint64", "f64"),
        ([2**24 + 1], "int32", "f32"),
        ([70000], "int32", "f16"),
        ([257], "int16", "bf16"),
        ([1e300], "float64", "f32"),
        ([0.1], "float64", "f32"),
    ],
)
def test_value_that_a_type_does_not_have_is_refused(values: list[Any], source: str, dtype: str) -> None:
    with pytest.raises(ValueError, match=f"expects {dtype}, got {source} with values that {dtype} does not"):
        convert(np.array(values, source), dtype)


@pytest.mark.parametrize(
    ("values", "source", "dtype"),
    [
        ([0, 127], "uint8", "i8"),
        ([2**31 - 1], "uint32", "i32"),
        ([-(2**63), 2**63 - 1024], "float64", "i64"),
        ([0, 1], "int64", "i1"),
        ([True, False], "bool", "f32"),
        ([2**63], "uint64", "f64"),
        ([-(2**63), 2**53], "int64", "f64"),
        ([256, -3], "int16", "bf16"),
        ([0.5, np.nan, -np.inf, -0.0], "float64", "f16"),
        ([], "uint64", "i8"),
    ],
)
def test_value_that_a_type_has_stays(values: list[Any], source: str, dtype: str) -> None:
    array = np.array(values, source)
    converted = convert(array, dtype)
    np.testing.assert_array_equal(converted.astype(np.longdouble), array.astype(np.longdouble))


def test_rounding_is_for_floats_only() -> None:
    assert convert(np.array([0.1]), "f32", rounding=True) == np.float32(0.1)
    assert convert(np.array([1.001]), "bf16", rounding=True).dtype == ml_dtypes.bfloat16
    with pytest.raises(ValueError, match="expects i32"):
        convert(np.array([0.1]), "i32", rounding=True)
    with pytest.raises(ValueError, match="expects f32, got int64 with values"):
        convert(np.array([2**53 + 1]), "f32", rounding=True)


def test_long_integers_are_compared_as_they_are() -> None:
    with pytest.raises(ValueError, match="expects i64"):
        convert(np.array([10**22]), "i64", rounding=True)
    assert convert(np.array([10**22]), "f32", rounding=True) == np.float32(1e22)
    with pytest.raises(ValueError, match="expects f64, got numbers that f64 does not have"):
        convert(np.array([10**400]), "f64", rounding=True)
