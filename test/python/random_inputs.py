"""What the arguments of random programs hold, and how they lie in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

POISON = 4
"""Of so many keys the last is poisoned, in calls that poison keys."""


def fill(rng: np.random.Generator, shape: list[int], dtype: str, values: str, length: int) -> np.ndarray:
    """An array of a tensor's `values`; `length` is that of the sequences that offsets are of."""
    if values == "offsets":
        return _offsets(rng, shape[0], length)
    if values == "documents":
        return np.cumsum(rng.random(shape) < 0.1, axis=-1).astype(numpy_type(dtype))
    if values == "lengths":
        return rng.integers(0, rng.choice((3, 20, 140)), shape).astype(numpy_type(dtype))
    if dtype in ("i8", "i32", "i64", "index"):
        return rng.integers(-3, 9, shape).astype(numpy_type(dtype))
    if dtype == "i1":
        return rng.random(shape) < 0.6
    array = rng.standard_normal(shape)
    if values == "with -inf":
        array[rng.random(shape) < 0.2] = -np.inf
    if values == "with the lowest":
        array[rng.random(shape) < 0.2] = np.finfo(np.float32).min
    return array.astype(numpy_type(dtype))


def spoil(rng: np.random.Generator, array: np.ndarray, name: str, call: Mapping[str, Any]) -> np.ndarray:
    """Numbers that are none: in k and v at one key, or at the poisoned keys; in q at one row.

    In `infinite` calls products with a third of the keys are -inf.
    """
    if not array.shape[2]:
        return array
    if call.get("infinite") and name != "v":
        array = np.abs(array)
        if name == "k":
            array[:, :, ::3] = -np.inf
        return array
    if name == "q":
        if call.get("nan row"):
            array[:, :, rng.integers(0, array.shape[2])] = rng.choice((np.nan, np.inf))
        return array
    if call.get("nan"):
        array[:, :, rng.integers(0, array.shape[2])] = np.nan
    if call.get("poison"):
        array[:, :, POISON - 1 :: POISON] = rng.choice((np.nan, np.inf, -np.inf))
    return array


def lay_out(array: np.ndarray, call: Mapping[str, Any]) -> np.ndarray:
    """The array as a view with other strides; `shared` by the heads, the first one's for all."""
    match call.get("layout"):
        case "bshd":
            return np.ascontiguousarray(array.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
        case "every other feature":
            wide = np.full((*array.shape[:3], 2 * array.shape[3]), 7, array.dtype)
            wide[..., ::2] = array
            return wide[..., ::2]
        case "features first":
            return np.ascontiguousarray(array.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
        case "backwards":
            return np.ascontiguousarray(array[:, :, ::-1])[:, :, ::-1]
        case "shared" if array.shape[1]:
            return np.broadcast_to(array[:, :1], array.shape)
    return array


def _offsets(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Cumulative lengths: mostly well formed, sometimes with gaps at the ends."""
    bounds = np.sort(rng.integers(0, length + 1, count))
    if rng.random() < 0.7 and count > 1:
        bounds[0], bounds[-1] = 0, length
    return bounds.astype(np.int32)


def numpy_type(name: str) -> Any:
    """The numpy type of an element type."""
    if name == "bf16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return {
        **{"f16": np.float16, "f32": np.float32, "f64": np.float64},
        **{"i8": np.int8, "i32": np.int32, "i64": np.int64, "index": np.int64},
    }[name]
