"""LLVM IR as the LLVM inside Triton reads it.

The bindings print LLVM IR with an LLVM that is younger than Triton's (22 in Triton 3.6, 23 in 3.7 and 3.8, 24
in 3.9), and the text of LLVM IR is no stable format. `respell` writes what the younger one prints in words
that all of these read, line by line, so that a complaint's line is that of the text before:

- floating-point constants. LLVM 24 prints the shortest decimal number that reads back, `f0x3E38AA3B` for a
  bit pattern, `+inf`, `+qnan`, `-nan(0x12)` and `+snan(0x1)`; older ones read only decimal numbers that are
  exact. All become bit patterns in the old way: `0x` and 16 digits of the value as a double, or `0xH` and
  `0xR` and 4 digits for half and bfloat;
- comments between operands, `/* (nan) */ i32 3`, and to the end of a line, go;
- attributes of intrinsics, which LLVM knows itself, go from their declarations: so do new ones that older
  versions don't know, as `nocreateundeforpoison`, and the same word elsewhere;
- `"uniform-work-group-size"` has a value, "true";
- the line with the layout of data, and that of the triple: Triton's LLVM has its own.

What else MLIR's translation emits, all of these versions read: `nneg`, `samesign`, `disjoint`, `nuw` on
`getelementptr`, `range` and `captures`, `splat (...)`, `!mmra`. What is found otherwise is refused by LLVM's
parser, with the line (`BackendError`).

This module needs neither MLIR nor Triton.
"""

from __future__ import annotations

import re
import struct

from aecompiler.errors import BackendError

_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<comment>/\*.*?\*/ ?)"
    r"|(?P<rest>;.*)"
    r"|(?<![\w.%@#!$-])(?P<type>half|bfloat|float|double)(?![\w.$-])"
    r"|(?<![\w.%@#!$-])(?P<bits>f0x[0-9A-Fa-f]+)"
    r"|(?<![\w.%@#!$-])(?P<special>[-+](?:inf|qnan|(?:s?nan)\(0x[0-9A-Fa-f]+\)))"
    r"|(?<![\w.%@#!$-])(?P<decimal>[-+]?\d+\.\d*(?:[eE][-+]?\d+)?)(?![\w.])"
)
_VERBATIM = ("!", "source_filename", "module asm")
"""What lines begin with that hold no constants: metadata, and strings."""

_DROPPED = re.compile(r"^target (datalayout|triple)\b")
_INTRINSIC = re.compile(r"^(declare\b.*@llvm\..*\))(?: #\d+)?$")
_NEW_ATTRIBUTES = re.compile(r"\bnocreateundeforpoison ?")
_BARE_UNIFORM = re.compile(r'"uniform-work-group-size"(?!=)')

_EXPONENT, _FRACTION = (
    {"half": 5, "bfloat": 8, "float": 8, "double": 11},
    {
        "half": 10,
        "bfloat": 7,
        "float": 23,
        "double": 52,
    },
)
"""Bits of a floating-point type beside the sign."""


def respell(text: str) -> str:
    """LLVM IR that LLVM 22 to 24 read, with as many lines; `BackendError` names a line that can't be read."""
    return "".join(f"{_line(line, number)}\n" for number, line in enumerate(text.split("\n"), start=1))[:-1]


def _line(line: str, number: int) -> str:
    if _DROPPED.match(line):
        return ""
    if line.startswith(_VERBATIM):
        return line
    type_ = ""

    def token(found: re.Match[str]) -> str:
        nonlocal type_
        kind = found.lastgroup
        if kind in ("comment", "rest"):
            return ""
        if kind == "type":
            type_ = found[0]
        if kind in ("string", "type"):
            return found[0]
        if not type_:
            raise _error(number, line, f"constant '{found[0]}' stands behind no floating-point type")
        bits = _BITS[str(kind)](found[0], type_)
        if bits is None:
            raise _error(number, line, f"'{found[0]}' is no constant of type {type_}")
        return _spelled(bits, type_)

    line = _TOKEN.sub(token, line).rstrip()
    line = _INTRINSIC.sub(r"\1", line)
    line = _NEW_ATTRIBUTES.sub("", line)
    return _BARE_UNIFORM.sub('"uniform-work-group-size"="true"', line)


def _error(number: int, line: str, what: str) -> BackendError:
    return BackendError(f"LLVM IR, line {number}: {what}: {line.strip()}")


def _size(type_: str) -> int:
    return 1 + _EXPONENT[type_] + _FRACTION[type_]


def _pattern(literal: str, type_: str) -> int | None:
    """The bits of `f0x3F800000`."""
    digits = literal[3:]
    return int(digits, 16) if 4 * len(digits) <= _size(type_) else None


def _special(literal: str, type_: str) -> int | None:
    """The bits of `+inf`, `-qnan`, `+nan(0x123)` (quiet) and `+snan(0x1)`."""
    fraction = _FRACTION[type_]
    bits = ((1 << _EXPONENT[type_]) - 1) << fraction
    if literal[0] == "-":
        bits |= 1 << (_size(type_) - 1)
    name, _, payload = literal[1:].rstrip(")").partition("(")
    if payload:
        value = int(payload, 16)
        if value >= 1 << (fraction - 1) or (name == "snan" and not value):
            return None
        bits |= value
    return bits if name in ("inf", "snan") else bits | 1 << (fraction - 1)


def _decimal(literal: str, type_: str) -> int | None:
    """The bits of the number of the type that is nearest."""
    value = float(literal)
    try:
        if type_ == "double":
            return _unpacked("<d", "<Q", value)
        if type_ == "half":
            return _unpacked("<e", "<H", value)
        single = _unpacked("<f", "<I", value)
    except OverflowError:
        return None
    if type_ == "float":
        return single
    return (single + 0x7FFF + (single >> 16 & 1)) >> 16  # to the nearest, ties to even


_BITS = {"bits": _pattern, "special": _special, "decimal": _decimal}


def _unpacked(source: str, target: str, value: float) -> int:
    (bits,) = struct.unpack(target, struct.pack(source, value))
    return bits


def _spelled(bits: int, type_: str) -> str:
    if type_ == "half":
        return f"0xH{bits:04X}"
    if type_ == "bfloat":
        return f"0xR{bits:04X}"
    if type_ == "float":
        bits = _widened(bits)
    return f"0x{bits:016X}"


def _widened(bits: int) -> int:
    """The bits of a float's value as a double; a NaN keeps its payload, which it would lose in Python."""
    sign, exponent, fraction = bits >> 31, bits >> 23 & 0xFF, bits & 0x7FFFFF
    if exponent == 0xFF:
        return sign << 63 | 0x7FF << 52 | fraction << 29
    return _unpacked("<d", "<Q", struct.unpack("<f", struct.pack("<I", bits))[0])
