"""Calls like earlier ones of a kernel for a GPU, whose checks need not be made again.

Two calls are alike if their tensors have the same sizes, strides, element types, layouts, devices and
classes, and if their scalars have the same bits. What a call's checks look at beyond that, addresses apart,
keeps it from being repeated. The second of calls that are alike is recorded, and the third is a repetition.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Sequence
from typing import Any

from aecompiler.arrays import Argument
from aecompiler.backends.base import RecordingExecutable
from aecompiler.bounded import keep
from aecompiler.updates import updated

_MOST_CALLS = 64
"""How many calls that are not alike are remembered."""

_bits = struct.Struct("=d").pack

Key = tuple[Any, ...]


class RepeatedCalls:
    """What is known of the calls of a kernel. Threads may share it."""

    def __init__(self, arguments: Sequence[Argument], executable: RecordingExecutable):
        self._are_tensors = tuple(argument.kind == "tensor" for argument in arguments)
        self._updated = updated(arguments)
        self._executable = executable
        self._seen: dict[Key, None] = {}
        self._recorded: dict[Key, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, values: Sequence[Any], out: Any) -> Sequence[Any] | None:
        """The results of a call, if it repeats an earlier one; else None, and nothing has happened."""
        given = () if out is None else out if isinstance(out, (tuple, list)) else (out,)
        if out is not None and not given:
            return None
        try:
            key, addresses = self._describe(values, given)
            recorded = self._recorded.get(key)
        except (AttributeError, RuntimeError, TypeError):  # of what is no tensor, or has no memory
            return None
        if recorded is None or _follows_derivatives():
            return None
        try:
            prepared = recorded.prepare(addresses)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's
                raise
            return None
        if prepared is None:
            return None
        written = [*given, *[values[n] for n in self._updated]]
        if written:
            note_write = sys.modules["torch"].autograd.graph.increment_version
            for each in written:
                note_write(each)
        recorded.launch(prepared)
        return given or prepared.results

    def note(self, values: Sequence[Any], inputs: Sequence[Any], given: Sequence[Any]) -> None:
        """Remember a call that was made: its values, what the kernel got for them, and given results."""
        try:
            key, _ = self._describe(values, given)
            is_known = key in self._recorded
        except (AttributeError, RuntimeError, TypeError):
            return
        if is_known or _follows_derivatives():
            return
        with self._lock:
            if key not in self._seen:
                keep(self._seen, key, None, _MOST_CALLS)
                return
        recorded = self._executable.record(inputs, given)
        with self._lock:
            keep(self._recorded, key, recorded, _MOST_CALLS)

    def _describe(self, values: Sequence[Any], given: Sequence[Any]) -> tuple[Key, tuple[int, ...]]:
        """What calls that are alike have in common, and the addresses of their tensors.

        Raises `TypeError` for a call that is like no other.
        """
        key: list[Any] = []
        addresses = []
        for is_tensor, value in zip(self._are_tensors, values, strict=True):
            if is_tensor:
                if value.requires_grad or value.is_neg():
                    raise TypeError
                key += (value.__class__, value.shape, value.stride(), value.dtype, value.layout, value.device)
                addresses.append(value.data_ptr())
            elif type(value) is float:
                key.append(_bits(value))  # since zeros are equal, and no number is equal to NaN
            elif type(value) is int:
                key.append(value)
            else:
                raise TypeError
        if any(values[n].is_inference() for n in self._updated):
            raise TypeError
        for value in given:
            if value.requires_grad or value.is_neg() or value.is_inference():
                raise TypeError
            key += (value.__class__, value.shape, value.stride(), value.dtype, value.layout, value.device)
            addresses.append(value.data_ptr())
        return tuple(key), tuple(addresses)


def _follows_derivatives() -> bool:
    """Whether torch follows derivatives forward: then each tensor is looked at."""
    return getattr(sys.modules["torch"].autograd.forward_ad, "_current_level", 0) >= 0
