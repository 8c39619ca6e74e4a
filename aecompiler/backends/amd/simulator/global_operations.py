"""Instructions on global memory: `global_`, `flat_`, `buffer_` and scalar loads, also straight into local
memory.

A raw buffer access takes part word by word: words whose offset, from the vector register and the instruction,
lies beyond the descriptor's num_records read as zero and aren't stored. Whether the scalar offset counts in
this check differs between chips and modes, so that an access that depends on it is an error. A stride in the
descriptor is taken for that of the cache's swizzle where its bit is set, and refused elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from aecompiler.backends.amd.simulator.errors import SimulationError, UnknownInstruction
from aecompiler.backends.amd.simulator.local_operations import _cells
from aecompiler.backends.amd.simulator.metadata import ADDS_LANE
from aecompiler.backends.amd.simulator.operands import (
    Run,
    read_pairs,
    read_scalar,
    read_words,
    register,
    register_mask,
    vector_row,
    write_scalar,
)
from aecompiler.backends.amd.simulator.state import LANE, M0, Wave
from aecompiler.backends.amd.simulator.text import Instruction
from aecompiler.backends.amd.simulator.vector import refuse_modifiers
from aecompiler.backends.amd.target import AmdTarget

_ACCESS = re.compile(
    r"(global|flat|buffer)_(load|store)_(lds_)?(dword(?:x[234])?|[us]byte|[us]short|byte|short)(_d16)?(_hi)?"
)
_BYTES = {"dword": 4, "dwordx2": 8, "dwordx3": 12, "dwordx4": 16}
_CACHE = {"glc", "slc", "scc", "sc0", "sc1", "nt"}
_SCALAR_LOAD = re.compile(r"s_(buffer_)?load_dword(?:x(\d+))?")
# Addresses [active lanes] (uint64) with the words of each lane that take part, or None for all of them.
Locate = Callable[[Wave], tuple[np.ndarray, np.ndarray | None]]


def build_global(instruction: Instruction, target: AmdTarget) -> Run | None:
    """The closure of an instruction on global memory, or None for an unknown opcode."""
    scalar = _SCALAR_LOAD.fullmatch(instruction.opcode)
    if scalar:
        return _scalar_load(instruction, bool(scalar.group(1)), int(scalar.group(2) or 1))
    if instruction.opcode in ("s_memtime", "s_memrealtime"):
        return _time(instruction)
    match = _ACCESS.fullmatch(instruction.opcode)
    if match is None:
        return None
    kind, direction, lds, size, d16, high = match.groups()
    width = _BYTES.get(size, 1 if "byte" in size else 2)
    to_local = bool(lds) or "lds" in instruction.modifiers
    stored = direction == "store"
    operands = list(instruction.operands)
    if kind == "buffer":
        data = "" if to_local else operands.pop(0)
        locate = _buffer(instruction, operands, width)
    else:
        refuse_modifiers(instruction, _CACHE | {"offset", "lds"})
        data = "" if to_local else operands.pop(1 if stored else 0)
        locate = _flat(instruction, operands)
    unit = "flat" if kind == "flat" else "vmem"
    if to_local:
        if width > target.direct_to_lds_bytes:
            return None
        return _load_to_local(instruction, locate, width)
    if stored:
        return _store(instruction, locate, data, width, bool(high), unit)
    part = None if width >= 4 else (size.startswith("s") and size != "short", bool(d16), bool(high))
    return _load(instruction, locate, data, width, part, unit)


def _flat(instruction: Instruction, operands: list[str]) -> Locate:
    """Addresses of global and flat accesses: pairs of vector registers, or a scalar base and offsets."""
    base = operands[1] if len(operands) > 1 else "off"
    offset = np.uint64(instruction.integer("offset") & (1 << 64) - 1)
    if base == "off":
        pairs = read_pairs(operands[0])

        def from_vector(wave: Wave) -> tuple[np.ndarray, None]:
            addresses = pairs(wave) + offset
            return (addresses if wave.full else addresses[wave.mask]), None

        return from_vector
    words, scalar = read_words(operands[0]), read_scalar(base, 2)

    def from_scalar(wave: Wave) -> tuple[np.ndarray, None]:
        addresses = words(wave).astype(np.uint64) + np.uint64(scalar(wave)) + offset
        return (addresses if wave.full else addresses[wave.mask]), None

    return from_scalar


def _buffer(instruction: Instruction, operands: list[str], width: int) -> Locate:
    """Addresses of a raw buffer access and which words of each lane are within num_records."""
    refuse_modifiers(instruction, _CACHE | {"offset", "offen", "lds"})
    if len(operands) == 2:  # the vector offset may be left out
        operands = ["off", *operands]
    vector, descriptor, scalar = operands
    found = register(descriptor)
    if found is None or found[0] != "s" or found[2] != 4:
        raise UnknownInstruction(f"expects a descriptor of four registers, got '{descriptor}'", instruction)
    first, soffset = found[1], read_scalar(scalar)
    words = read_words(vector) if "offen" in instruction.modifiers else None
    fixed = np.uint64(instruction.integer("offset"))
    unit = min(width, 4)
    ends = np.arange(unit, width + unit, unit).astype(np.uint64)[:, None]

    def locate(wave: Wave) -> tuple[np.ndarray, np.ndarray | None]:
        low, high, records, flags = wave.scalar[first : first + 4]
        if flags & ADDS_LANE:
            raise SimulationError("scratch memory (spilled registers) isn't modelled", instruction)
        if high >> 16 & 0x3FFF and not high >> 30 & 1:
            raise SimulationError("a buffer with a stride isn't modelled", instruction)
        base, extra = low | (high & 0xFFFF) << 32, soffset(wave)
        offsets = np.zeros(64, np.uint64) + fixed if words is None else words(wave).astype(np.uint64) + fixed
        if not wave.full:
            offsets = offsets[wave.mask]
        inside: np.ndarray | None = offsets + ends <= np.uint64(records)
        assert inside is not None
        if extra and ((offsets + ends + np.uint64(extra) <= np.uint64(records)) != inside).any():
            raise SimulationError("whether the access is in bounds depends on the scalar offset", instruction)
        if inside.all():
            inside = None
        return offsets + np.uint64(base + extra), inside

    return locate


def _fetch(
    wave: Wave, addresses: np.ndarray, inside: np.ndarray | None, width: int, instruction: Instruction
) -> np.ndarray:
    """Words [words, active lanes], zero where they don't take part."""
    lanes = LANE if wave.full else LANE[wave.mask]
    if inside is None:
        return wave.memory.read(addresses, width, instruction, lanes)
    words = np.zeros((max(1, width // 4), addresses.size), np.uint32)
    whole = inside.all(axis=0)
    if whole.any():
        words[:, whole] = wave.memory.read(addresses[whole], width, instruction, lanes[whole])
    for word, takes in enumerate(inside & ~whole):
        if takes.any():
            here = addresses[takes] + np.uint64(4 * word)
            words[word, takes] = wave.memory.read(here, min(width, 4), instruction, lanes[takes])[0]
    return words


def _load(
    instruction: Instruction,
    locate: Locate,
    data: str,
    width: int,
    part: tuple[bool, bool, bool] | None,
    unit: str,
) -> Run:
    """A load into registers. `part` says for less than a word: signed, into one half, into the upper half."""
    row, written, count = vector_row(data), register_mask(data), max(1, width // 4)

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, unit, written)
        if not wave.exec:
            return
        addresses, inside = locate(wave)
        words = _fetch(wave, addresses, inside, width, instruction)
        if part is not None:
            words = _place(words, wave.words[row] if wave.full else wave.words[row][wave.mask], width, *part)
        if wave.full:
            wave.vector[row : row + count] = words
        else:
            wave.vector[row : row + count, wave.mask] = words

    return run


def _place(
    words: np.ndarray, old: np.ndarray, width: int, signed: bool, half: bool, high: bool
) -> np.ndarray:
    """A byte or a half extended to a word, or put into one half of the old one."""
    if signed:
        shift = 32 - 8 * width
        words = ((words << np.uint32(shift)).view(np.int32) >> np.int32(shift)).view(np.uint32)
    if not half:
        return words
    words = words & np.uint32(0xFFFF)
    if high:
        return old & np.uint32(0xFFFF) | words << np.uint32(16)
    return old & np.uint32(0xFFFF0000) | words


def _store(instruction: Instruction, locate: Locate, data: str, width: int, high: bool, unit: str) -> Run:
    row, count, shift = vector_row(data), max(1, width // 4), np.uint32(16)

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, unit)
        if not wave.exec:
            return
        addresses, inside = locate(wave)
        words, lanes = wave.vector[row : row + count], LANE
        if not wave.full:
            words, lanes = words[:, wave.mask], LANE[wave.mask]
        if high:
            words = words >> shift
        if inside is None:
            wave.memory.write(addresses, words, width, instruction, lanes)
            return
        for word, takes in enumerate(inside):
            if takes.any():
                here = addresses[takes] + np.uint64(4 * word)
                wave.memory.write(
                    here, words[word : word + 1, takes], min(width, 4), instruction, lanes[takes]
                )

    return run


def _load_to_local(instruction: Instruction, locate: Locate, width: int) -> Run:
    """A load straight into local memory: lane l's bytes go to M0 + the instruction's offset + l * width."""
    offset, count = instruction.integer("offset"), max(1, width // 4)
    slot = max(width, 4)

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction, into_local=True)
        wave.counters.issue(instruction, "vmem", 0, number)
        if not wave.exec:
            return
        addresses, inside = locate(wave)
        words = _fetch(wave, addresses, inside, width, instruction)
        lanes = LANE if wave.full else LANE[wave.mask]
        targets = (wave.scalar[M0] & 0x3FFFF) + offset + lanes * slot
        local.bounds(targets, slot, instruction)
        places = (targets >> 2) + np.arange(count)[:, None]
        cells = _cells(places, 4, local.cell)

        def same() -> np.ndarray:
            return np.zeros(cells.shape, bool)

        local.write(wave.identity, wave.epoch, cells, number, instruction, same)
        local.words[places] = words

    return run


def _scalar_load(instruction: Instruction, buffer: bool, count: int) -> Run:
    refuse_modifiers(instruction, {"offset", "glc"})
    data, base, *rest = instruction.operands
    write, written = write_scalar(data, count), register_mask(data)
    fixed = instruction.integer("offset")
    extra = read_scalar(rest[0]) if rest else read_scalar("0")
    address, records = read_scalar(base, 2), read_scalar(base, 4)

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, "smem", written)
        offset = extra(wave) + fixed
        start = address(wave)
        if buffer:
            start &= (1 << 48) - 1
            if offset + 4 * count > records(wave) >> 64 & 0xFFFFFFFF:
                raise SimulationError("a scalar buffer load out of bounds isn't modelled", instruction)
        where = np.array([start + offset & ~3], np.uint64)
        words = wave.memory.read(where, 4 * count, instruction, LANE[:1])[:, 0]
        write(wave, int.from_bytes(np.ascontiguousarray(words).tobytes(), "little"))

    return run


def _time(instruction: Instruction) -> Run:
    """A clock that stands still: times aren't simulated."""
    write, written = write_scalar(instruction.operands[0], 2), register_mask(instruction.operands[0])

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, "smem", written)
        write(wave, 0)

    return run
