"""Instructions on local memory (`ds_...`), with those that use its crossbar to move values between lanes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from aecompiler.backends.amd.simulator.lanes import gather, swizzle_lanes
from aecompiler.backends.amd.simulator.operands import Run, register_mask, vector_row, write_vector
from aecompiler.backends.amd.simulator.state import LANE, Wave
from aecompiler.backends.amd.simulator.text import Instruction
from aecompiler.backends.amd.simulator.vector import refuse_modifiers
from aecompiler.backends.amd.target import AmdTarget

_ACCESS = re.compile(r"ds_(read|write)(2st64|2)?_([biu])(8|16|32|64|96|128)(_d16)?(_hi)?")
_CELL_TYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32}
_OFFSETS = {"offset", "offset0", "offset1"}
_STEPS = {width: np.arange(width // 4)[:, None] for width in (4, 8, 12, 16)}


def access_bytes(opcode: str) -> int | None:
    """Bytes that each lane accesses at one place by an LDS instruction, or None for other instructions."""
    if opcode == "ds_read_b64_tr_b16":
        return 8
    match = _ACCESS.fullmatch(opcode)
    return int(match.group(4)) // 8 if match else None


def build_local(instruction: Instruction, target: AmdTarget, cell: int) -> Run | None:
    """The closure of an instruction on local memory, or None for an unknown opcode.

    `cell` is the size in bytes by which local memory looks for races.
    """
    name = instruction.opcode
    if name in ("ds_bpermute_b32", "ds_permute_b32"):
        return _permute(instruction, backward=name == "ds_bpermute_b32")
    if name == "ds_swizzle_b32":
        return _swizzle(instruction)
    if name == "ds_read_b64_tr_b16":
        return _read_transposed(instruction, cell) if target.has_transposed_lds_reads else None
    match = _ACCESS.fullmatch(name)
    if match is None:
        return None
    refuse_modifiers(instruction, _OFFSETS)
    width = int(match.group(4)) // 8
    if match.group(2):
        scale = width * (64 if match.group(2) == "2st64" else 1)
        offsets = [instruction.integer(f"offset{n}") * scale for n in (0, 1)]
    else:
        offsets = [instruction.integer("offset")]
    if match.group(1) == "read":
        if width < 4:
            return _read_part(instruction, offsets[0], width, match)
        return _read_words(instruction, offsets, width, cell)
    if width < 4:
        return _write_part(instruction, offsets[0], width, bool(match.group(6)))
    return _write_words(instruction, offsets, width, cell)


def _addresses(wave: Wave, row: int, offset: np.uint32) -> np.ndarray:
    """The addresses [active lanes] that a register and an offset give: 32-bit sums, which may wrap around."""
    words = wave.words[row] + offset
    return (words if wave.full else words[wave.mask]).astype(np.int64)


def _count_conflicts(wave: Wave, index: int, row: int, width: int, times: int, writes: bool) -> None:
    """Add the conflict cycles of an access; offsets turn the banks around and don't matter."""
    addresses = wave.words[row].astype(np.int64)
    cycles = wave.banks.conflict_cycles(addresses, wave.mask, wave.exec, width, writes)
    if cycles:
        wave.conflicts[index] += times * cycles


def _word_places(wave: Wave, row: int, offsets: list[np.uint32], width: int, one: Instruction) -> np.ndarray:
    """Indices of the words [offsets * words of a place, active lanes] of an access, which must be inside."""
    places = []
    for offset in offsets:
        addresses = _addresses(wave, row, offset)
        wave.local.bounds(addresses, width, one)
        places.append((addresses >> 2) + _STEPS[width])
    return places[0] if len(places) == 1 else np.concatenate(places)


def _cells(places: np.ndarray, unit: int, cell: int) -> np.ndarray:
    """Cells of accesses to `places` counted in `unit` bytes; cells of one place stand side by side."""
    factor = unit // cell
    if factor == 1:
        return places
    return (places[..., None] * factor + np.arange(factor)).reshape(*places.shape[:-1], -1)


def _read_words(instruction: Instruction, offsets: list[int], width: int, cell: int) -> Run:
    destination, source = vector_row(instruction.operands[0]), vector_row(instruction.operands[1])
    written, index = register_mask(instruction.operands[0]), instruction.index
    count = width // 4 * len(offsets)
    unsigned = [np.uint32(offset) for offset in offsets]

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction)
        wave.counters.issue(instruction, "lds", written, number)
        if not wave.exec:
            return
        places = _word_places(wave, source, unsigned, width, instruction)
        local.read(wave.identity, wave.epoch, _cells(places, 4, cell), number, instruction)
        if wave.full:
            wave.vector[destination : destination + count] = local.words.take(places)
        else:
            wave.vector[destination : destination + count, wave.mask] = local.words.take(places)
        _count_conflicts(wave, index, source, width, len(offsets), False)

    return run


def _write_words(instruction: Instruction, offsets: list[int], width: int, cell: int) -> Run:
    address = vector_row(instruction.operands[0])
    rows = [vector_row(text) + k for text in instruction.operands[1:] for k in range(width // 4)]
    first, count = rows[0], len(rows)
    together = rows == list(range(first, first + count))
    unsigned = [np.uint32(offset) for offset in offsets]
    kind, index = _CELL_TYPES[cell], instruction.index

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction)
        wave.counters.issue(instruction, "lds", 0, number)
        if not wave.exec:
            return
        places = _word_places(wave, address, unsigned, width, instruction)
        data = wave.vector[first : first + count] if together else wave.vector[rows]
        if not wave.full:
            data = data[:, wave.mask]
        cells = _cells(places, 4, cell)

        def same() -> np.ndarray:
            return local.bytes.view(kind)[cells] == np.ascontiguousarray(data).view(kind)

        local.write(wave.identity, wave.epoch, cells, number, instruction, same)
        local.words[places] = data
        _count_conflicts(wave, index, address, width, len(offsets), True)

    return run


def _read_part(instruction: Instruction, offset: int, width: int, match: re.Match) -> Run:
    """Reads of 8 and 16 bits: zero or sign extended, or into one half of the register."""
    destination, source = vector_row(instruction.operands[0]), vector_row(instruction.operands[1])
    written, index = register_mask(instruction.operands[0]), instruction.index
    is_signed, into_half, high = match.group(3) == "i", bool(match.group(5)), bool(match.group(6))
    cell_count, unsigned = _part_cells(width), np.uint32(offset)
    write = write_vector(instruction.operands[0], "u")
    extended = np.int16 if into_half else np.int32

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction)
        wave.counters.issue(instruction, "lds", written, number)
        if not wave.exec:
            return
        addresses = _addresses(wave, source, unsigned)
        local.bounds(addresses, width, instruction)
        local.read(wave.identity, wave.epoch, cell_count(addresses, local.cell), number, instruction)
        part = local.bytes[addresses] if width == 1 else local.halves[addresses >> 1]
        if is_signed:
            part = part.view(np.int8 if width == 1 else np.int16).astype(extended)
            part = part.view(np.uint16 if into_half else np.uint32)
        value = np.zeros(64, np.uint32)
        value[wave.mask] = part
        if into_half:
            old = wave.words[destination]
            value = (
                old & np.uint32(0xFFFF) | value << np.uint32(16)
                if high
                else old & np.uint32(0xFFFF0000) | value
            )
        write(wave, value)
        _count_conflicts(wave, index, source, width, 1, False)

    return run


def _write_part(instruction: Instruction, offset: int, width: int, high: bool) -> Run:
    address, data_row = vector_row(instruction.operands[0]), vector_row(instruction.operands[1])
    shift, index = np.uint32(16 if high else 0), instruction.index
    kind = np.uint8 if width == 1 else np.uint16
    cell_count, unsigned = _part_cells(width), np.uint32(offset)

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction)
        wave.counters.issue(instruction, "lds", 0, number)
        if not wave.exec:
            return
        addresses = _addresses(wave, address, unsigned)
        local.bounds(addresses, width, instruction)
        data = (wave.words[data_row][wave.mask] >> shift).astype(kind)
        cells, cell_kind = cell_count(addresses, local.cell), _CELL_TYPES[local.cell]

        def same() -> np.ndarray:
            return local.bytes.view(cell_kind)[cells] == data.view(cell_kind)

        local.write(wave.identity, wave.epoch, cells, number, instruction, same)
        if width == 1:
            local.bytes[addresses] = data
        else:
            local.halves[addresses >> 1] = data
        _count_conflicts(wave, index, address, width, 1, True)

    return run


def _part_cells(width: int) -> Callable[[np.ndarray, int], np.ndarray]:
    shift = width.bit_length() - 1
    return lambda addresses, cell: _cells(addresses >> shift, width, cell)


def _read_transposed(instruction: Instruction, cell: int) -> Run:
    """ds_read_b64_tr_b16: each 16 lanes read 16 x 4 halves, and each gets one column of four rows of them.

    Lane l of 16 gets as its j-th half the half l % 4 that lane 4 j + l // 4 addresses.
    """
    refuse_modifiers(instruction, {"offset"})
    destination, source = vector_row(instruction.operands[0]), vector_row(instruction.operands[1])
    written, offset, index = (
        register_mask(instruction.operands[0]),
        instruction.integer("offset"),
        instruction.index,
    )
    lane, unsigned = LANE % 16, np.uint32(offset)
    from_lane = [LANE // 16 * 16 + 4 * j + lane // 4 for j in range(4)]

    def run(wave: Wave) -> None:
        local = wave.local
        number = local.begin(wave.identity, instruction)
        wave.counters.issue(instruction, "lds", written, number)
        if not wave.exec:
            return
        places = _word_places(wave, source, [unsigned], 8, instruction)
        cells = _cells(places, 4, cell)
        local.read(wave.identity, wave.epoch, cells, number, instruction)
        addresses = np.where(wave.mask, wave.words[source] + unsigned, 0)
        halves = local.halves[(addresses >> 1)[:, None] + np.arange(4)].astype(np.uint32)
        parts = [halves[lanes, lane % 4] for lanes in from_lane]
        for k in range(2):
            word = parts[2 * k] | parts[2 * k + 1] << np.uint32(16)
            np.copyto(wave.words[destination + k], word, where=wave.mask)
        _count_conflicts(wave, index, source, 8, 1, False)

    return run


def _permute(instruction: Instruction, backward: bool) -> Run:
    refuse_modifiers(instruction, {"offset"})
    destination, address, data = instruction.operands
    row, data_row, offset = vector_row(address), vector_row(data), instruction.integer("offset")
    written, write = register_mask(destination), write_vector(destination, "u")

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, "lds", written)
        lanes = (wave.words[row].astype(np.int64) + offset >> 2) & 63
        if backward:
            write(wave, gather(wave.words[data_row], lanes, wave.mask))
        else:
            value = np.zeros(64, np.uint32)
            value[lanes[wave.mask]] = wave.words[data_row][wave.mask]
            write(wave, value)

    return run


def _swizzle(instruction: Instruction) -> Run:
    refuse_modifiers(instruction, {"offset"})
    destination, data = instruction.operands
    lanes, row = swizzle_lanes(instruction.modifiers.get("offset", "0")), vector_row(data)
    written, write = register_mask(destination), write_vector(destination, "u")

    def run(wave: Wave) -> None:
        wave.counters.issue(instruction, "lds", written)
        write(wave, gather(wave.words[row], lanes, wave.mask))

    return run
