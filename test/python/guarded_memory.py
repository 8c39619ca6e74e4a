"""Memory next to pages that nobody may touch: what reads or writes out of bounds ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

_PROT_NONE = 0
_libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Memory for arrays whose last (`side` is "end") or first ("start") byte is next to a forbidden page."""

    def __init__(self, side: str):
        self.side = side
        self._maps: list[mmap.mmap] = []  # what must stay mapped

    def memory(self, size: int) -> int:
        """The address of `size` bytes."""
        pages = -(-size // mmap.PAGESIZE)
        map_ = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
        self._maps.append(map_)
        start = ctypes.addressof(ctypes.c_char.from_buffer(map_))
        for page in (0, pages + 1):
            if _libc.mprotect(ctypes.c_void_p(start + page * mmap.PAGESIZE), mmap.PAGESIZE, _PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        inside = start + mmap.PAGESIZE
        return inside if self.side == "start" else inside + pages * mmap.PAGESIZE - size

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """A new array, of bytes that are no number anyone computed."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.empty(shape, dtype)
        data = (ctypes.c_char * size).from_address(self.memory(size))
        ctypes.memset(data, 0x7F, size)
        return np.frombuffer(data, dtype).reshape(shape)

    def copy(self, value: Any) -> Any:
        """A copy of an array; a number as it is."""
        if not isinstance(value, np.ndarray):
            return value
        made = self.empty(value.shape, value.dtype)
        made[...] = value
        return made
