"""What moves values between lanes: DPP, parts of registers (SDWA), readlane, permutes and swaps.

Controls of DPP are those of gfx9: rows are 16 lanes, banks of lanes are 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator.errors import SimulationError, UnknownInstruction
from aecompiler.backends.amd.simulator.operands import (
    Read,
    Run,
    bare,
    read_scalar,
    read_words,
    vector_row,
    write_scalar,
    write_vector,
)
from aecompiler.backends.amd.simulator.state import LANE, LANES, Wave
from aecompiler.backends.amd.simulator.text import Instruction

_ROW, _IN_ROW = LANE // 16 * 16, LANE % 16
_NOWHERE = -1


def _dpp_source(name: str, value: str) -> np.ndarray:
    """The lane that each lane reads, -1 where there is none."""
    if name == "quad_perm":
        quad = [int(part) for part in value.strip("[]").split(",")]
        return LANE // 4 * 4 + np.array(quad)[LANE % 4]
    if name in ("row_shl", "row_shr"):
        inside = _IN_ROW + int(value) * (1 if name == "row_shl" else -1)
        return np.where((inside >= 0) & (inside < 16), _ROW + inside, _NOWHERE)
    if name == "row_ror":
        return _ROW + (_IN_ROW - int(value)) % 16
    if name == "row_newbcast":
        return _ROW + int(value)
    if name == "row_mirror":
        return _ROW + 15 - _IN_ROW
    if name == "row_half_mirror":
        return LANE // 8 * 8 + 7 - LANE % 8
    if name == "row_bcast":
        # the last lane of a row goes to the next row, or lane 31 to the rows behind it
        if value == "15":
            return np.where(LANE >= 16, _ROW - 1, _NOWHERE)
        return np.where(LANE >= 32, 31, _NOWHERE)
    if name in ("wave_shl", "wave_shr"):
        lane = LANE + (1 if name == "wave_shl" else -1)
        return np.where((lane >= 0) & (lane < LANES), lane, _NOWHERE)
    if name in ("wave_rol", "wave_ror"):
        return (LANE + (1 if name == "wave_rol" else -1)) % LANES
    raise KeyError(name)


def dpp(instruction: Instruction) -> tuple[Read, Callable[[Wave], np.ndarray]]:
    """How an instruction with DPP reads its first source, and which lanes it writes.

    A lane whose source lies outside, or is not active, reads 0 with `bound_ctrl`, and is not written without
    it. The lanes are asked for first, while the wave still has its own mask; that also fetches what is read.
    """
    modifiers = instruction.modifiers
    source = None
    for name, value in modifiers.items():
        try:
            source = _dpp_source(name, value)
        except KeyError:
            continue
    if source is None:
        raise UnknownInstruction(f"unknown DPP control in '{instruction.text}'")
    rows, banks = instruction.integer("row_mask", 15), instruction.integer("bank_mask", 15)
    chosen = (rows >> LANE // 16 & 1 & banks >> LANE % 16 // 4 & 1).astype(bool)
    zeros = "bound_ctrl" in modifiers
    inside, take = source >= 0, np.where(source >= 0, source, 0)
    row = vector_row(bare(instruction.operands[1]))
    nothing = np.uint32(0)

    held = [np.zeros(LANES, np.uint32)]

    def lanes(wave: Wave) -> np.ndarray:
        valid = inside if wave.full else inside & wave.mask[take]
        held[0] = np.where(valid, wave.words[row][take], nothing)
        return chosen & wave.mask if zeros else chosen & wave.mask & valid

    def read(wave: Wave) -> np.ndarray:
        return held[0]

    return read, lanes


def sdwa_source(instruction: Instruction, position: int) -> Read:
    """Reads the part of source `position` (0 or 1) that an instruction with SDWA selects, as uint32."""
    text = instruction.operands[position + 1]
    extended = re.fullmatch(r"sext\((.*)\)", text)
    words = read_words(bare(extended.group(1) if extended else text))
    part = instruction.modifiers.get(f"src{position}_sel", "DWORD")
    if part == "DWORD":
        return words
    kind, _, number = part.partition("_")
    if kind not in ("BYTE", "WORD"):
        raise UnknownInstruction(f"unknown selection '{part}' in '{instruction.text}'")
    bits = 8 if kind == "BYTE" else 16
    down = np.uint32(bits * int(number))
    up = np.uint32(32 - bits)
    mask = np.uint32((1 << bits) - 1)
    if extended:
        shift = np.int32(32 - bits)
        return lambda wave: ((words(wave) >> down << up).view(np.int32) >> shift).view(np.uint32)
    return lambda wave: words(wave) >> down & mask


def sdwa_result(instruction: Instruction, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The destination of an instruction with SDWA from its old value and the result (uint32)."""
    part = instruction.modifiers.get("dst_sel", "DWORD")
    if part == "DWORD":
        return new
    kind, _, number = part.partition("_")
    bits = 8 if kind == "BYTE" else 16
    shift, mask = np.uint32(bits * int(number)), np.uint32((1 << bits) - 1)
    placed = (new & mask) << shift
    unused = instruction.modifiers.get("dst_unused", "UNUSED_PAD")
    if unused == "UNUSED_PAD":
        return placed
    if unused == "UNUSED_PRESERVE":
        return old & ~(mask << shift) | placed
    raise UnknownInstruction(f"unknown treatment '{unused}' in '{instruction.text}'")


# Instructions that move values between lanes.


def _read_first_lane(instruction: Instruction) -> Run:
    write, words = write_scalar(instruction.operands[0]), read_words(instruction.operands[1])

    def run(wave: Wave) -> None:
        values = np.broadcast_to(words(wave), LANES)
        lane = (wave.exec & -wave.exec).bit_length() - 1 if wave.exec else 0
        write(wave, int(values[lane]))

    return run


def _read_lane(instruction: Instruction) -> Run:
    write, row = write_scalar(instruction.operands[0]), vector_row(instruction.operands[1])
    lane = read_scalar(instruction.operands[2])
    return lambda wave: write(wave, int(wave.words[row][lane(wave) & 63]))


def _write_lane(instruction: Instruction) -> Run:
    row, value = vector_row(instruction.operands[0]), read_scalar(instruction.operands[1])
    lane = read_scalar(instruction.operands[2])

    def run(wave: Wave) -> None:
        wave.words[row][lane(wave) & 63] = value(wave)

    return run


def _swap_rows(lanes: int) -> Callable[[Instruction], Run]:
    """Swap odd groups of `lanes` lanes of the first register with even groups of the second."""
    odd = LANE // lanes % 2 == 1
    above, below = (LANE + lanes) % LANES, (LANE - lanes) % LANES

    def build(instruction: Instruction) -> Run:
        a, b = (vector_row(operand) for operand in instruction.operands)

        def run(wave: Wave) -> None:
            if not wave.full:
                raise SimulationError("a swap of lanes with inactive lanes isn't modelled", instruction)
            first, second = wave.words[a].copy(), wave.words[b].copy()
            wave.words[a][:] = np.where(odd, second[below], first)
            wave.words[b][:] = np.where(odd, second, first[above])

        return run

    return build


def _count_below(instruction: Instruction) -> Run:
    """v_mbcnt: bits of the mask that stand below each lane, plus the second source."""
    low = "lo" in instruction.opcode
    below = np.array(
        [(1 << min(max(lane - (0 if low else 32), 0), 32)) - 1 for lane in range(LANES)], np.uint32
    )
    mask, add = read_words(instruction.operands[1]), read_words(instruction.operands[2])
    write = write_vector(instruction.operands[0], "u")
    return lambda wave: write(wave, np.bitwise_count(mask(wave) & below).astype(np.uint32) + add(wave))


_MOVES: dict[str, Callable[[Instruction], Run]] = {
    "v_readfirstlane_b32": _read_first_lane,
    "v_readlane_b32": _read_lane,
    "v_writelane_b32": _write_lane,
    "v_permlane16_swap_b32": _swap_rows(16),
    "v_permlane32_swap_b32": _swap_rows(32),
    "v_mbcnt_lo_u32_b32": _count_below,
    "v_mbcnt_hi_u32_b32": _count_below,
}


def build_lane_move(instruction: Instruction) -> Run | None:
    """The closure of an instruction that moves values between lanes, or None for an unknown opcode."""
    build = _MOVES.get(instruction.opcode)
    return build(instruction) if build else None


def swizzle_lanes(text: str) -> np.ndarray:
    """The lane that each lane reads by ds_swizzle_b32, from its offset as a number or as `swizzle(...)`."""
    match = re.fullmatch(r"swizzle\((\w+),\s*(.*)\)", text)
    if match:
        mode, rest = match.group(1), [part.strip().strip("\"'") for part in match.group(2).split(",")]
        if mode == "SWAP":
            return LANE ^ int(rest[0])
        if mode == "REVERSE":
            return LANE ^ int(rest[0]) - 1
        if mode == "BROADCAST":
            return LANE // int(rest[0]) * int(rest[0]) + int(rest[1])
        if mode == "QUAD_PERM":
            return LANE // 4 * 4 + np.array([int(part) for part in rest])[LANE % 4]
        if mode == "BITMASK_PERM":
            masks = [0, 0, 0]  # and, or, xor
            for bit, character in zip(range(4, -1, -1), rest[0], strict=True):
                masks[0] |= (character in "pi") << bit
                masks[1] |= (character == "1") << bit
                masks[2] |= (character == "i") << bit
            return LANE & ~31 | ((LANE & 31 & masks[0] | masks[1]) ^ masks[2])
        raise UnknownInstruction(f"unknown mode '{mode}' of ds_swizzle_b32")
    pattern = int(text, 0)
    if pattern & 0x8000:
        return LANE // 4 * 4 + (pattern >> 2 * (LANE % 4) & 3)
    inside = (LANE & 31 & pattern & 31 | pattern >> 5 & 31) ^ pattern >> 10 & 31
    return LANE & ~31 | inside


def gather(values: np.ndarray, source: np.ndarray, active: Any) -> np.ndarray:
    """`values[source]`, 0 from inactive lanes."""
    return np.where(active[source], values[source], np.uint32(0))
