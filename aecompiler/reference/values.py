"""The types of values, read from their text, and how the reference holds values of each type.

A float of any width is held as float64 (the reference does not round), an index as int64, an integer of up to
64 bits as int64 with its sign extended, an i1 as bool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aecompiler.errors import UnsupportedError

_TENSOR = re.compile(r"tensor<((?:(?:\d+|\?)x)*)([a-z]\w*)(?:, .*)?>")
_ELEMENT = re.compile(r"index|[su]?i(?P<width>\d+)|b?f\d+\w*|tf32")


@dataclass(frozen=True)
class ValueType:
    """An element type by its name, and a tensor's sizes, `None` where dynamic; no `shape` for a scalar."""

    element: str
    shape: tuple[int | None, ...] | None = None

    @property
    def rank(self) -> int:
        """Number of tensor axes; 0 for a scalar."""
        return len(self.shape or ())

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The sizes of a tensor without dynamic ones; empty for a scalar."""
        if None in (self.shape or ()):
            raise UnsupportedError("unsupported: a dynamic size here in the reference evaluation")
        return tuple(size for size in self.shape or () if size is not None)

    @property
    def is_float(self) -> bool:
        """Whether the elements are floats; otherwise they are integers or indices."""
        return not (self.element == "index" or self.element[0] in "isu")

    @property
    def width(self) -> int:
        """Bits of an integer, of an index (64) or of a float."""
        return 64 if self.element == "index" else int(re.search(r"\d+", self.element)[0])  # type: ignore[index]

    @property
    def dtype(self) -> type:
        """The numpy type that holds the elements."""
        if self.is_float:
            return np.float64
        return np.bool_ if self.width == 1 else np.int64


@lru_cache(maxsize=4096)
def parse_type(text: str) -> ValueType:
    """The type printed as `text`; `UnsupportedError` for what the reference does not hold."""
    shape: tuple[int | None, ...] | None = None
    element = text
    if match := _TENSOR.fullmatch(text):
        sizes, element = match.groups()
        shape = tuple(None if size == "?" else int(size) for size in sizes.split("x")[:-1])
    found = _ELEMENT.fullmatch(element)
    if not found or int(found["width"] or 0) > 64:
        raise UnsupportedError(f"unsupported: type {text} in the reference evaluation")
    return ValueType(element, shape)


def signed(value: np.ndarray) -> np.ndarray:
    """The held integer as int64: an i1 that is set is -1."""
    return -value.astype(np.int64) if value.dtype == np.bool_ else value


def unsigned(value: np.ndarray, width: int) -> np.ndarray:
    """The held integer of `width` bits as a non-negative uint64."""
    bits = value.astype(np.uint64)
    return bits if width >= 64 or value.dtype == np.bool_ else bits & np.uint64((1 << width) - 1)


def wrap(value: np.ndarray, width: int) -> np.ndarray:
    """Hold the low `width` bits of an int64, uint64 or bool array as an integer of that width."""
    value = np.asarray(value)
    if value.dtype == np.bool_:
        return value if width == 1 else value.astype(np.int64)
    if width == 1:
        return (value & value.dtype.type(1)).astype(np.bool_)
    value = value.astype(np.int64)
    if width >= 64:
        return value
    shift = np.int64(64 - width)
    return (value << shift) >> shift


def widen(data: object, type_: ValueType) -> np.ndarray:
    """An argument from outside as the array that holds a value of `type_`."""
    array = np.asarray(data)
    if type_.is_float:
        return array.astype(np.float64)
    if array.dtype.kind == "u":
        array = array.astype(np.uint64).view(np.int64)
    return wrap(array if array.dtype == np.bool_ else array.astype(np.int64), type_.width)
