"""Operands of instructions as closures over a wave: what reads them, what writes them, which registers they
are.

They are made once, when a program is loaded. Vector operands are read as arrays of 64 values or as one value
that all lanes share; reads return views of registers, so whoever keeps one must copy it.

Types are letters: u, i, f: 32 bits as uint32, int32, float32; q, l, d: pairs of registers as uint64, int64,
float64; h, s, t: the low half as float16, int16, uint16.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.state import ACCUMULATORS, EXEC, M0, SCALARS, VCC, WORD, Wave

Read = Callable[[Wave], Any]
Write = Callable[[Wave, Any], None]
Run = Callable[[Wave], Any]

_REGISTER = re.compile(r"([vas])(?:(\d+)|\[(\d+)(?::(\d+))?\])")
_NAMED = {
    "vcc": (VCC, 2),
    "vcc_lo": (VCC, 1),
    "vcc_hi": (VCC + 1, 1),
    "flat_scratch": (102, 2),
    "flat_scratch_lo": (102, 1),
    "flat_scratch_hi": (103, 1),
    "xnack_mask": (104, 2),
    "m0": (M0, 1),
    "exec": (EXEC, 2),
    "exec_lo": (EXEC, 1),
    "exec_hi": (EXEC + 1, 1),
}
_REGISTERS = {"v": ACCUMULATORS, "a": ACCUMULATORS, "s": 102}
_SHIFT32 = np.uint64(32)
_NUMPY = {
    "u": np.uint32,
    "i": np.int32,
    "f": np.float32,
    "q": np.uint64,
    "l": np.int64,
    "d": np.float64,
    "h": np.float16,
    "s": np.int16,
    "t": np.uint16,
}


def register(text: str) -> tuple[str, int, int] | None:
    """The file ("v", "a", "s"), first number and count of the registers that `text` names, or None.

    `UnknownInstruction` where these are more than the chips have.
    """
    if text in _NAMED:
        return "s", *_NAMED[text]
    match = _REGISTER.fullmatch(text)
    if match is None:
        return None
    file, single, first, last = match.groups()
    start = int(single or first)
    end = int(last) if last else start
    if not start <= end < _REGISTERS[file]:
        raise UnknownInstruction(f"no such registers: '{text}'")
    return file, start, end - start + 1


def vector_row(text: str) -> int:
    """The row of the first vector register that `text` names in `Wave.vector`."""
    found = register(text)
    if found is None or found[0] == "s":
        raise UnknownInstruction(f"expects a vector register, got '{text}'")
    return found[1] + (ACCUMULATORS if found[0] == "a" else 0)


def is_vector(text: str) -> bool:
    """Whether `text`, without modifiers, names vector registers."""
    found = register(bare(text))
    return found is not None and found[0] != "s"


def bare(text: str) -> str:
    """`text` without the signs and bars that modify its value."""
    if text.startswith("neg("):  # of a constant
        return text[4:-1].strip("|")
    if re.fullmatch(r"-[\d.].*", text):
        return text
    return text.lstrip("-").strip("|")


def is_negated(text: str) -> bool:
    """Whether an operand's value is negated after it is read."""
    return bare(text) != text and text.startswith(("-", "neg("))


def register_mask(text: str) -> int:
    """The registers of an operand as a mask: vector, accumulation and then scalar registers."""
    match = re.fullmatch(r"-?\|?([vas][\d\[:\]]+|\w+)\|?", text)
    found = register(match.group(1)) if match else None
    if found is None:
        return 0
    file, first, count = found
    base = {"v": 0, "a": ACCUMULATORS, "s": SCALARS}[file]
    return ((1 << count) - 1) << base + first


# Scalar operands: Python integers without sign.


def constant(text: str, width: int = 1) -> int | None:
    """The bits of an inline constant or literal in an operand of `width` registers, or None."""
    size = 32 * width
    if re.fullmatch(r"-?\d+|-?0x[0-9a-fA-F]+", text):
        return int(text, 0) & ((1 << size) - 1)
    if re.fullmatch(r"-?(\d+\.\d*|\.\d+|\d+)(e[+-]?\d+)?", text):
        code = "<f" if width == 1 else "<d"
        return int.from_bytes(struct.pack(code, float(text)), "little")
    return None


def read_scalar(text: str, width: int = 1) -> Read:
    """Reads a scalar operand of `width` registers."""
    value = constant(text, width)
    if value is not None:
        return lambda wave: value
    if text == "null":
        return lambda wave: 0
    if text == "scc":
        return lambda wave: wave.scc
    if text in ("vccz", "execz"):
        raise UnknownInstruction(f"unknown operand '{text}'")
    found = register(text)
    if found is None or found[0] != "s":
        raise UnknownInstruction(f"unknown scalar operand '{text}'")
    first = found[1]
    if first == EXEC:
        return (lambda wave: wave.exec) if width == 2 else (lambda wave: wave.exec & WORD)
    if first == EXEC + 1:
        return lambda wave: wave.exec >> 32
    if width == 1:
        return lambda wave: wave.scalar[first]
    if width == 2:
        return lambda wave: wave.scalar[first] | wave.scalar[first + 1] << 32
    return lambda wave: sum(wave.scalar[first + k] << 32 * k for k in range(width))


def write_scalar(text: str, width: int = 1) -> Write:
    """Writes the low `width` words of an integer to scalar registers."""
    found = register(text)
    if found is None or found[0] != "s":
        raise UnknownInstruction(f"expects a scalar register, got '{text}'")
    first = found[1]
    if first == EXEC:
        if width == 2:
            return lambda wave, value: wave.set_exec(value & (1 << 64) - 1)
        return lambda wave, value: wave.set_exec(wave.exec & ~WORD | value & WORD)
    if first == EXEC + 1:
        return lambda wave, value: wave.set_exec(wave.exec & WORD | (value & WORD) << 32)

    def write_one(wave: Wave, value: int) -> None:
        wave.scalar[first] = value & WORD

    def write_two(wave: Wave, value: int) -> None:
        wave.scalar[first] = value & WORD
        wave.scalar[first + 1] = value >> 32 & WORD

    def write_more(wave: Wave, value: int) -> None:
        for k in range(width):
            wave.scalar[first + k] = value >> 32 * k & WORD

    return {1: write_one, 2: write_two}.get(width, write_more)


# Vector operands.


def read_words(text: str) -> Read:
    """Reads 32 bits of an operand in each lane as uint32."""
    if is_vector(text):
        row = vector_row(bare(text))
        return lambda wave: wave.words[row]
    value = constant(text)
    if value is not None:
        shared = np.uint32(value)
        return lambda wave: shared
    scalar = read_scalar(text)
    return lambda wave: np.uint32(scalar(wave))


def read_pairs(text: str) -> Read:
    """Reads 64 bits of an operand in each lane as uint64."""
    if is_vector(text):
        row = vector_row(bare(text))
        return lambda wave: wave.words[row] | wave.words[row + 1].astype(np.uint64) << _SHIFT32
    scalar = read_scalar(text, 2)
    return lambda wave: np.uint64(scalar(wave))


def read_vector(text: str, kind: str, words: Read | None = None) -> Read:
    """Reads an operand in each lane as the type `kind`, with its sign and bars.

    `words` reads the bits instead of the registers that the text names: lanes permuted or parts selected.
    """
    inner = bare(text)
    negative, absolute = is_negated(text), "|" in text
    if kind in "qld":
        value = constant(inner)
        if kind == "d" and value is not None and not re.search(r"\.", inner) and "0x" in inner:
            # a literal of a 64-bit operand gives the upper half
            shared = np.uint64(value << 32).view(np.float64)
            read: Read = lambda wave: shared  # noqa: E731
        else:
            pairs, number = read_pairs(inner), _NUMPY[kind]
            read = pairs if kind == "q" else lambda wave: pairs(wave).view(number)
    elif words is None and is_vector(inner) and kind in "uif":
        row = vector_row(inner)
        if kind == "u":
            read = lambda wave: wave.words[row]  # noqa: E731
        elif kind == "i":
            read = lambda wave: wave.integers[row]  # noqa: E731
        else:
            read = lambda wave: wave.floats[row]  # noqa: E731
    else:
        read = _typed(words or read_words(half_constant(inner) if kind == "h" else inner), kind)
    if not (negative or absolute):
        return read
    if kind not in "fhd":
        raise UnknownInstruction(f"unknown modifier of an integer operand '{text}'")
    if absolute:
        return (lambda wave: -abs(read(wave))) if negative else (lambda wave: abs(read(wave)))
    return lambda wave: -read(wave)


def half_constant(text: str) -> str:
    """A float constant of a 16-bit operand as the integer of its bits."""
    if re.fullmatch(r"-?\d+\.\d*", text):
        return str(int(np.float16(float(text)).view(np.uint16)))
    return text


def _typed(words: Read, kind: str) -> Read:
    """Bits of 32-bit words as the type `kind`."""
    if kind == "u":
        return words
    number = _NUMPY[kind]
    if kind in "if":
        return lambda wave: words(wave).view(number)
    return lambda wave: words(wave).astype(np.uint16).view(number)


def write_vector(text: str, kind: str) -> Write:
    """Writes values of the type `kind` to the active lanes; 16-bit results clear the upper half."""
    row = vector_row(text)
    if kind in "qld":

        def write_pair(wave: Wave, value: Any) -> None:
            value = np.ascontiguousarray(np.broadcast_to(value, 64)).view(np.uint64)
            halves = (value.astype(np.uint32), (value >> _SHIFT32).astype(np.uint32))
            for half, word in zip(halves, (wave.words[row], wave.words[row + 1]), strict=True):
                np.copyto(word, half, where=wave.mask)

        return write_pair
    if kind in "hst":

        def write_half(wave: Wave, value: Any) -> None:
            value = np.asarray(value)
            np.copyto(wave.words[row], value.view(np.uint16), where=wave.mask)

        return write_half

    def write_words(wave: Wave, value: Any) -> None:
        if wave.full:
            wave.words[row][:] = value
        else:
            np.copyto(wave.words[row], value, where=wave.mask)

    def write_integers(wave: Wave, value: Any) -> None:
        if wave.full:
            wave.integers[row][:] = value
        else:
            np.copyto(wave.integers[row], value, where=wave.mask, casting="unsafe")

    def write_floats(wave: Wave, value: Any) -> None:
        if wave.full:
            wave.floats[row][:] = value
        else:
            np.copyto(wave.floats[row], value, where=wave.mask, casting="unsafe")

    return {"u": write_words, "i": write_integers, "f": write_floats}[kind]
