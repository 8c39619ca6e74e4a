"""Loads object files of LLVM into this process, without a linker.

Object files are what LLVM makes before anything is at its address: ELF on Linux. Code of ExecutionEngine is
made for the large code model, so that nearly all that is left to do is to write 64-bit addresses. What this
loader does not know it refuses, and the caller compiles instead; it never guesses.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import platform
import struct
import sys
from collections.abc import Mapping

_HEADER = struct.Struct("<4sBB10xHHI8xQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")

_MAGIC, _CLASS_64, _LITTLE_ENDIAN, _RELOCATABLE = b"\x7fELF", 2, 1, 1
_SYMTAB, _RELA, _NOBITS = 2, 4, 8
_WRITABLE, _ALLOCATED, _EXECUTABLE, _THREAD_LOCAL = 0x1, 0x2, 0x4, 0x400
_UNDEFINED, _RESERVED = 0, 0xFF00

_READ, _WRITE, _EXECUTE = 1, 2, 4
_UNWINDING = b".eh_frame"
"""Tables for exceptions; code of ours raises none."""


@dataclasses.dataclass(frozen=True)
class Relocation:
    """How a place in code is filled in: `struct` format of the number, and whether it is a distance."""

    format: str
    relative: bool


_RELOCATIONS: Mapping[tuple[str, int], Mapping[int, Relocation]] = {
    ("x86_64", 62): {
        1: Relocation("<Q", relative=False),  # R_X86_64_64
        2: Relocation("<i", relative=True),  # R_X86_64_PC32
        4: Relocation("<i", relative=True),  # R_X86_64_PLT32
        24: Relocation("<q", relative=True),  # R_X86_64_PC64
    },
}
"""By the machine's name and its number in ELF: the kinds of relocations that LLVM's code needs there."""


def is_supported() -> bool:
    """Whether object files can be loaded on this machine at all."""
    return sys.platform.startswith("linux") and any(
        machine == platform.machine().lower() for machine, _ in _RELOCATIONS
    )


class ObjectError(Exception):
    """The object file can't be loaded here."""


@dataclasses.dataclass(slots=True)
class _Section:
    name: bytes
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    address: int = 0

    @property
    def is_loaded(self) -> bool:
        """Whether it takes part in what is run."""
        return bool(self.flags & _ALLOCATED) and not self.name.startswith(_UNWINDING) and self.size > 0

    @property
    def protection(self) -> int:
        """What may be done with its memory once it is ready; nothing is both written to and run."""
        if self.flags & _EXECUTABLE:
            return _READ | _EXECUTE
        return _READ | _WRITE if self.flags & _WRITABLE else _READ


class LoadedObject:
    """An object file in memory, ready to run; `ObjectError` if it is damaged or needs what is not here."""

    def __init__(self, content: bytes):
        try:
            self._load(content)
        except (struct.error, IndexError, ValueError, OSError, OverflowError) as error:
            raise ObjectError(f"can't be loaded: {error}") from None

    def address(self, name: str) -> int | None:
        """The address of the wrapper that MLIR makes for a function, or None."""
        return self._functions.get(f"_mlir_{name}")

    def _load(self, content: bytes) -> None:
        sections, machine = _read_sections(content)
        known = _RELOCATIONS.get((platform.machine().lower(), machine))
        if not is_supported() or known is None:
            raise ObjectError("this machine has no loader for it")
        self._place(content, sections)
        (symbol_table,) = (s for s in sections if s.kind == _SYMTAB)
        names = sections[symbol_table.link]
        symbols = [
            _SYMBOL.unpack_from(content, symbol_table.offset + at)
            for at in range(0, symbol_table.size, _SYMBOL.size)
        ]
        self._functions: dict[str, int] = {}
        addresses: dict[int, int] = {}
        for number, (name_at, _, _, section, value, _) in enumerate(symbols):
            if _UNDEFINED < section < _RESERVED and sections[section].is_loaded:
                addresses[number] = sections[section].address + value
                self._functions[_string(content, names, name_at).decode()] = addresses[number]
        for table in sections:
            if table.kind == _RELA and sections[table.info].is_loaded:
                self._relocate(content, table, sections[table.info], known, symbols, addresses, names)
        self._protect()

    def _place(self, content: bytes, sections: list[_Section]) -> None:
        """Give sections their addresses and copy them there: code, constants, data; on pages of their own."""
        page = mmap.PAGESIZE
        loaded = [s for s in sections if s.is_loaded]
        if any(s.flags & _THREAD_LOCAL or s.alignment > page for s in loaded):
            raise ObjectError("it has sections of an unknown kind")
        if any(s.flags & _EXECUTABLE and s.flags & _WRITABLE for s in loaded):
            raise ObjectError("it has code that may be written to")
        end = 0
        places: list[tuple[_Section, int]] = []
        self._protections: list[tuple[int, int, int]] = []  # where pages begin, their bytes, what is allowed
        for protection in (_READ | _EXECUTE, _READ, _READ | _WRITE):
            start = end = _align(end, page)
            for section in loaded:
                if section.protection == protection:
                    place = _align(end, section.alignment)
                    places.append((section, place))
                    end = place + section.size
            if end > start:
                self._protections.append((start, _align(end, page) - start, protection))
        # Private: after a fork, what one process writes is not seen by the other.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, max(_align(end, page), page), flags=flags)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for section, place in places:
            section.address = self._base + place
            if section.kind != _NOBITS:
                data = content[section.offset : section.offset + section.size]
                if len(data) != section.size:
                    raise ObjectError("it is truncated")
                self._memory[place : place + section.size] = data

    def _relocate(
        self,
        content: bytes,
        table: _Section,
        target: _Section,
        known: Mapping[int, Relocation],
        symbols: list[tuple[int, ...]],
        addresses: dict[int, int],
        names: _Section,
    ) -> None:
        for at in range(0, table.size, _RELOCATION.size):
            offset, kind, number, addend = _RELOCATION.unpack_from(content, table.offset + at)
            how = known.get(kind)
            if how is None:
                raise ObjectError(f"it has a relocation of kind {kind}")
            if number not in addresses:
                if symbols[number][3] != _UNDEFINED:
                    raise ObjectError("it refers to what is not loaded")
                addresses[number] = process_symbol(_string(content, names, symbols[number][0]).decode())
            place = target.address + offset
            value = addresses[number] + addend - (place if how.relative else 0)
            if offset + struct.calcsize(how.format) > target.size:
                raise ObjectError("it has a relocation outside of its section")
            struct.pack_into(how.format, self._memory, place - self._base, value)

    def _protect(self) -> None:
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, size, protection in self._protections:
            if mprotect(self._base + start, size, protection):
                raise ObjectError(f"its memory can't be protected (errno {ctypes.get_errno()})")


def process_symbol(name: str) -> int:
    """The address of a function of this process, as of libm; `ObjectError` if there is none."""
    try:
        return ctypes.cast(ctypes.CDLL(None)[name], ctypes.c_void_p).value or 0
    except AttributeError:
        raise ObjectError(f"this process has no function '{name}'") from None


def _read_sections(content: bytes) -> tuple[list[_Section], int]:
    """The sections of an object file, and the number of its machine."""
    magic, bits, order, kind, machine, _, _, table, _, _, _, _, size, count, names = _HEADER.unpack_from(
        content
    )
    if (magic, bits, order, kind) != (
        _MAGIC,
        _CLASS_64,
        _LITTLE_ENDIAN,
        _RELOCATABLE,
    ) or size != _SECTION.size:
        raise ObjectError("it is no ELF object of 64 bits")
    sections = []
    starts = []
    for number in range(count):
        name, kind, flags, _, offset, length, link, info, alignment, _ = _SECTION.unpack_from(
            content, table + number * size
        )
        starts.append(name)
        sections.append(_Section(b"", kind, flags, offset, length, link, info, max(1, alignment)))
    for section, start in zip(sections, starts, strict=True):
        section.name = _string(content, sections[names], start)
    return sections, machine


def _string(content: bytes, table: _Section, start: int) -> bytes:
    return content[table.offset + start : content.index(b"\0", table.offset + start)]


def _align(number: int, alignment: int) -> int:
    return -(-number // alignment) * alignment
