"""Operations on two values in each lane, comparisons, and the steps of a division.

The modifiers of packed operations choose for the low result (`op_sel`, `neg_lo`) and for the high one
(`op_sel_hi`, `neg_hi`) which half of each source it takes, and whether it is negated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator import lanes
from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.floating import (
    FLOAT_CONDITIONS,
    INTEGER_CONDITIONS,
    div_fmas,
    div_scale,
    float_class,
    fma,
    to_half,
)
from aecompiler.backends.amd.simulator.operands import (
    Read,
    Run,
    bare,
    constant,
    half_constant,
    is_negated,
    is_vector,
    read_scalar,
    read_vector,
    read_words,
    register,
    vector_row,
    write_scalar,
    write_vector,
)
from aecompiler.backends.amd.simulator.state import Wave, to_bits, to_lanes
from aecompiler.backends.amd.simulator.text import Instruction
from aecompiler.backends.amd.simulator.vector import refuse_modifiers

F, H, U = np.float32, np.float16, np.uint32
_SELECTIONS = {"op_sel", "op_sel_hi", "neg_lo", "neg_hi"}
_PAIRS: dict[str, Callable] = {
    "v_pk_add_f32": lambda a, b: a + b,
    "v_pk_mul_f32": lambda a, b: a * b,
    "v_pk_fma_f32": lambda a, b, c: fma(a, b, c).astype(F),
}
_HALVES: dict[str, tuple[type, Callable]] = {
    "v_pk_add_f16": (H, lambda a, b: a + b),
    "v_pk_mul_f16": (H, lambda a, b: a * b),
    "v_pk_fma_f16": (H, lambda a, b, c: fma(a, b, c).astype(H)),
    "v_pk_max_f16": (H, np.fmax),
    "v_pk_min_f16": (H, np.fmin),
    "v_pk_add_u16": (np.uint16, lambda a, b: a + b),
    "v_pk_sub_u16": (np.uint16, lambda a, b: a - b),
    "v_pk_mul_lo_u16": (np.uint16, lambda a, b: a * b),
    "v_pk_add_i16": (np.int16, lambda a, b: a + b),
    "v_pk_sub_i16": (np.int16, lambda a, b: a - b),
    "v_pk_max_i16": (np.int16, np.maximum),
    "v_pk_min_i16": (np.int16, np.minimum),
    "v_pk_max_u16": (np.uint16, np.maximum),
    "v_pk_min_u16": (np.uint16, np.minimum),
    "v_pk_lshlrev_b16": (np.uint16, lambda a, b: b << (a & np.uint16(15))),
    "v_pk_lshrrev_b16": (np.uint16, lambda a, b: b >> (a & np.uint16(15))),
    "v_pk_ashrrev_i16": (np.int16, lambda a, b: b >> (a & np.int16(15))),
}


def build_packed(instruction: Instruction) -> Run | None:
    """The closure of an operation of this file, or None for an unknown opcode."""
    name = instruction.opcode
    if name in _PAIRS:
        return _pair(instruction, _PAIRS[name])
    if name == "v_pk_mov_b32":
        return _move_pair(instruction)
    if name in _HALVES:
        return _halves(instruction, *_HALVES[name])
    if name in ("v_fma_mix_f32", "v_fma_mixlo_f16", "v_fma_mixhi_f16"):
        return _mixed(instruction)
    if name == "v_pack_b32_f16":
        return _pack(instruction)
    if name in ("v_div_scale_f32", "v_div_scale_f64"):
        return _divide_scale(instruction, "d" if name.endswith("64") else "f")
    if name in ("v_div_fmas_f32", "v_div_fmas_f64"):
        return _divide_fmas(instruction, "d" if name.endswith("64") else "f")
    if name.startswith(("v_cmp_", "v_cmpx_")):
        return compare(instruction)
    return None


def _read_half_of_pair(text: str, high: bool) -> Read:
    """The low or high word of a pair of registers as uint32; a constant other than 0 has a low word only."""
    text = bare(text)
    if is_vector(text):
        row = vector_row(text) + high
        return lambda wave: wave.words[row]
    found = register(text)
    if found is not None and found[2] == 2:
        scalar = read_scalar(text, 2)
        shift = 32 * high
        return lambda wave: U(scalar(wave) >> shift & 0xFFFFFFFF)
    if high and constant(text) != 0:
        raise UnknownInstruction(f"unknown upper word of the constant '{text}'")
    return read_words(text)


def _signed(read: Read, negative: bool) -> Read:
    return (lambda wave: -read(wave)) if negative else read


def _absolute(read: Read) -> Read:
    return lambda wave: abs(read(wave))


def _as_floats(words: Read) -> Read:
    return lambda wave: words(wave).view(F)


def _pair(instruction: Instruction, function: Callable) -> Run:
    """An operation on pairs of f32."""
    refuse_modifiers(instruction, _SELECTIONS)
    destination, *sources = instruction.operands
    count, row = len(sources), vector_row(destination)
    reads: list[list[Read]] = []
    for selected, negated, high in (("op_sel", "neg_lo", False), ("op_sel_hi", "neg_hi", True)):
        which = instruction.bits(selected, count, high)
        signs = instruction.bits(negated, count, False)
        one = []
        for text, half, sign in zip(sources, which, signs, strict=True):
            words = _read_half_of_pair(text, half)
            one.append(_signed(_as_floats(words), sign ^ text.startswith("-v")))
        reads.append(one)

    def run(wave: Wave) -> None:
        results = [function(*(read(wave) for read in part)) for part in reads]
        for place, result in zip((row, row + 1), results, strict=True):
            np.copyto(wave.floats[place], result, where=wave.mask)

    return run


def _move_pair(instruction: Instruction) -> Run:
    """v_pk_mov_b32: the low result from the first source, the high one from the second."""
    refuse_modifiers(instruction, _SELECTIONS)
    destination, first, second = instruction.operands
    row = vector_row(destination)
    low = _read_half_of_pair(first, instruction.bits("op_sel", 2, False)[0])
    high = _read_half_of_pair(second, instruction.bits("op_sel", 2, False)[1])

    def run(wave: Wave) -> None:
        a, b = low(wave), high(wave)
        if np.ndim(a):
            a = a.copy()
        if np.ndim(b):
            b = b.copy()
        np.copyto(wave.words[row], a, where=wave.mask)
        np.copyto(wave.words[row + 1], b, where=wave.mask)

    return run


def _half(words: Any, high: bool) -> Any:
    return (words >> U(16) if high else words).astype(np.uint16)


def _half_operand(text: str) -> Read:
    """The words of an operand of halves: a float constant is an f16 in the low half."""
    value = constant(text)
    if value is not None and re.fullmatch(r"-?\d+\.\d*", text):
        shared = U(np.float16(float(text)).view(np.uint16))
        return lambda wave: shared
    return read_words(text)


def _halves(instruction: Instruction, number: type, function: Callable) -> Run:
    """An operation on the two halves of words."""
    refuse_modifiers(instruction, _SELECTIONS)
    destination, *sources = instruction.operands
    count = len(sources)
    reads, write = [_half_operand(text) for text in sources], write_vector(destination, "u")
    low, high = instruction.bits("op_sel", count, False), instruction.bits("op_sel_hi", count, True)
    signs = instruction.bits("neg_lo", count, False), instruction.bits("neg_hi", count, False)

    def run(wave: Wave) -> None:
        words = [read(wave) for read in reads]
        parts = []
        for which, negative in zip((low, high), signs, strict=True):
            values = [_half(word, half).view(number) for word, half in zip(words, which, strict=True)]
            values = [-value if sign else value for value, sign in zip(values, negative, strict=True)]
            parts.append(np.asarray(function(*values)).view(np.uint16).astype(U))
        write(wave, parts[0] | parts[1] << U(16))

    return run


def _mixed(instruction: Instruction) -> Run:
    """a * b + c where each source is an f32 or a half of a word as f16."""
    refuse_modifiers(instruction, {"op_sel", "op_sel_hi"})
    destination, *sources = instruction.operands
    is_half, upper = instruction.bits("op_sel_hi", 3, False), instruction.bits("op_sel", 3, False)
    reads: list[Read] = []
    for text, half, high in zip(sources, is_half, upper, strict=True):
        words = read_words(half_constant(bare(text)) if half else bare(text))

        def as_half(wave: Wave, words: Read = words, high: bool = high) -> Any:
            return _half(words(wave), high).view(H).astype(F)

        read: Read = as_half if half else _as_floats(words)
        if "|" in text:
            read = _absolute(read)
        reads.append(_signed(read, is_negated(text)))
    if instruction.opcode == "v_fma_mix_f32":
        write = write_vector(destination, "f")
        return lambda wave: write(wave, fma(*(read(wave) for read in reads)))
    row, write = vector_row(destination), write_vector(destination, "u")
    shift = U(0 if "lo" in instruction.opcode else 16)
    keep = U(0xFFFF0000 if "lo" in instruction.opcode else 0xFFFF)

    def run(wave: Wave) -> None:
        result = to_half(fma(*(read(wave) for read in reads)).astype(F))
        write(wave, wave.words[row] & keep | result << shift)

    return run


def _pack(instruction: Instruction) -> Run:
    """v_pack_b32_f16: two halves to one word."""
    refuse_modifiers(instruction, {"op_sel"})
    destination, *sources = instruction.operands
    reads, write = [_half_operand(bare(text)) for text in sources], write_vector(destination, "u")
    signs = [U(0x8000 if bare(text) != text else 0) for text in sources]
    if any("|" in text for text in sources):
        raise UnknownInstruction("unknown modifier of v_pack_b32_f16", instruction)
    low, high, *_ = instruction.bits("op_sel", 3, False)

    def run(wave: Wave) -> None:
        first = _half(reads[0](wave), low).astype(U) ^ signs[0]
        second = _half(reads[1](wave), high).astype(U) ^ signs[1]
        write(wave, first | second << U(16))

    return run


def _divide_scale(instruction: Instruction, kind: str) -> Run:
    refuse_modifiers(instruction, set())
    destination, out, *sources = instruction.operands
    reads = [read_vector(text, kind) for text in sources]
    write, write_mask = write_vector(destination, kind), write_scalar(out, 2)

    def run(wave: Wave) -> None:
        result, scaled = div_scale(kind, *(read(wave) for read in reads))
        write(wave, result)
        write_mask(wave, to_bits(scaled & wave.mask))

    return run


def _divide_fmas(instruction: Instruction, kind: str) -> Run:
    refuse_modifiers(instruction, set())
    reads, vcc = [read_vector(text, kind) for text in instruction.operands[1:]], read_scalar("vcc", 2)
    write = write_vector(instruction.operands[0], kind)

    def run(wave: Wave) -> None:
        a, b, c = (read(wave) for read in reads)
        scaled = vcc(wave)
        write(wave, div_fmas(kind, a, b, c, to_lanes(scaled) if scaled else None))

    return run


_COMPARE = re.compile(r"v_cmp(x?)_(\w+)_([fiu])(16|32|64)")


def compare(instruction: Instruction) -> Run | None:
    """Comparisons: a mask of the active lanes where the condition holds; `v_cmpx` also makes it EXEC."""
    match = _COMPARE.fullmatch(instruction.opcode)
    if match is None:
        return None
    sets_exec, condition, letter, bits = match.groups()
    refuse_modifiers(instruction, {"src0_sel", "src1_sel"} if instruction.encoding == "sdwa" else set())
    out, left, right = instruction.operands
    kinds = {
        "f16": "h",
        "f32": "f",
        "f64": "d",
        "i16": "s",
        "u16": "t",
        "i32": "i",
        "u32": "u",
        "i64": "l",
        "u64": "q",
    }
    kind = kinds[letter + bits]
    special: list[Read | None] = [None, None]
    if instruction.encoding == "sdwa":
        special = [lanes.sdwa_source(instruction, position) for position in range(2)]
    elif instruction.encoding == "dpp":
        raise UnknownInstruction("comparisons with DPP aren't known", instruction)
    a = read_vector(left, kind, special[0])
    if condition == "class":
        b, function = read_vector(right, "u", special[1]), float_class
    else:
        table = FLOAT_CONDITIONS if letter == "f" else INTEGER_CONDITIONS
        if condition not in table:
            return None
        b, function = read_vector(right, kind, special[1]), table[condition]
    write = write_scalar(out, 2)

    def run(wave: Wave) -> None:
        holds = function(a(wave), b(wave))
        if not np.ndim(holds):
            holds = np.full(64, holds)
        bits = to_bits(holds & wave.mask)
        write(wave, bits)
        if sets_exec:
            wave.set_exec(bits)

    return run
