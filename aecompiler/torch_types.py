"""torch's element types, by the names that they have in the IR; torch is imported for the first."""

from __future__ import annotations

import functools
from typing import Any

_NAMES = {
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
    "i1": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "index": "int64",
}

DTYPES = frozenset(_NAMES)
"""The element types that tensors may have."""


@functools.cache
def torch_dtype(dtype: str) -> Any:
    """The torch type of an element type."""
    import torch

    return getattr(torch, _NAMES[dtype])
