"""Numbers of one type as another, where no value may change unnoticed."""

from __future__ import annotations

import numpy as np

from aecompiler.arrays import numpy_dtype

FLOATS = ("f16", "bf16", "f32", "f64")


def convert(array: np.ndarray, dtype: str, *, rounding: bool = False, what: str | None = None) -> np.ndarray:
    """The array with elements of `dtype` (a name such as "bf16").

    A conversion that changes a value raises ValueError, unless `rounding` allows it between float types.
    `what` names the numbers in the message, when they come from no file.
    """
    target = numpy_dtype(dtype)
    if array.dtype == target:
        return array
    if not is_number(array):
        raise ValueError(f"expects {dtype}, got {array.dtype}")
    if array.dtype.kind == "O" and dtype in FLOATS:
        array = _as_float64(array, dtype)
    floats = dtype in FLOATS and array.dtype.kind in "fV"
    with np.errstate(all="ignore"):
        if not (rounding and floats) and not _fits(array, dtype):
            got = what or f"{array.dtype} with values"
            advice = "; --cast rounds them" if floats else ""
            raise ValueError(f"expects {dtype}, got {got} that {dtype} does not have{advice}")
        return array.astype(target)


def is_number(array: np.ndarray) -> bool:
    """Whether the elements are booleans, integers or floats; bfloat16 is one, long Python integers are."""
    if array.dtype.kind == "O":
        return all(isinstance(number, int) for number in array.flat)
    return array.dtype.kind in "biuf" or array.dtype == numpy_dtype("bf16")


def _as_float64(array: np.ndarray, dtype: str) -> np.ndarray:
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"expects {dtype}, got numbers that {dtype} does not have") from None


def _fits(array: np.ndarray, dtype: str) -> bool:
    """Whether every value is one of `dtype`. Values are compared, not what casting forth and back gives: that
    wraps both ways."""
    if not array.size:
        return True
    floating = array.dtype.kind in "fV"
    if dtype not in FLOATS:
        low, high = _range(dtype)
        if floating:
            # high + 1 is a power of 2, which a float holds; NaN is in no range.
            wide = array.astype(np.result_type(array.dtype, np.float64))
            return bool(np.all((wide >= low) & (wide < float(high + 1)) & (wide == np.rint(wide))))
        return low <= int(array.min()) and int(array.max()) <= high
    converted = array.astype(numpy_dtype(dtype))
    if floating:
        back = converted.astype(array.dtype)
        return bool(np.all((back == array) | ((back != back) & (array != array))))
    if array.dtype.kind == "b":
        return True
    limits = np.iinfo(array.dtype)
    rounded = converted.astype(np.float64)
    inside = (rounded >= float(limits.min)) & (rounded < float(limits.max + 1))
    return bool(np.all(inside & (np.where(inside, rounded, 0).astype(array.dtype) == array)))


def _range(dtype: str) -> tuple[int, int]:
    if dtype == "i1":
        return 0, 1
    limits = np.iinfo(numpy_dtype(dtype))
    return int(limits.min), int(limits.max)
