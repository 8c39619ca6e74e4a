"""Vector operations on the lanes of a wave: how they are put together, and the tables of integer operations.

A table gives for each opcode its type, `result=sources` in the letters of `operands`, and a function of
arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator import lanes
from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.floating import FLOATS
from aecompiler.backends.amd.simulator.operands import (
    Read,
    Run,
    is_negated,
    read_scalar,
    read_vector,
    read_words,
    vector_row,
    write_scalar,
    write_vector,
)
from aecompiler.backends.amd.simulator.state import Wave, to_bits, to_lanes
from aecompiler.backends.amd.simulator.text import Instruction

U, S, Q, L = np.uint32, np.int32, np.uint64, np.int64
_FIVE_BITS, _SIX_BITS = U(31), Q(63)
_DPP_MODIFIERS = {
    *(
        "quad_perm",
        "row_shl",
        "row_shr",
        "row_ror",
        "row_newbcast",
        "row_mirror",
        "row_half_mirror",
        "row_bcast",
    ),
    *("wave_shl", "wave_shr", "wave_rol", "wave_ror", "row_mask", "bank_mask", "bound_ctrl"),
}
_SDWA_MODIFIERS = {"dst_sel", "dst_unused", "src0_sel", "src1_sel"}


def _wide(*values: Any) -> list:
    return [np.asarray(value).astype(Q) for value in values]


def _high(a: Any, b: Any) -> Any:
    a, b = _wide(a, b)
    return (a * b >> Q(32)).astype(U)


def _high_signed(a: Any, b: Any) -> Any:
    return (np.asarray(a).astype(L) * b >> L(32)).astype(S)


def _low24(a: Any) -> Any:
    return a & U(0xFFFFFF)


def _signed24(a: Any) -> Any:
    return a << S(8) >> S(8)


def _bits(count: Any) -> Any:
    """Masks of the low `count` bits, modulo 32."""
    return (U(1) << (count & _FIVE_BITS)) - U(1)


def _extract_signed(value: Any, offset: Any, width: Any) -> Any:
    width = (width & S(31)).astype(L)
    field = np.asarray(value).astype(L) >> (offset & S(31)).astype(L) & (L(1) << width) - L(1)
    sign = L(1) << np.maximum(width - L(1), L(0))
    return np.where(width > 0, (field ^ sign) - sign, L(0)).astype(S)


def _reverse(value: Any) -> Any:
    value = np.broadcast_to(value, 64)
    bits = np.unpackbits(np.ascontiguousarray(value).view(np.uint8), bitorder="little").reshape(64, 32)
    return np.packbits(bits[:, ::-1], axis=1, bitorder="little").view(U)[:, 0]


def _permute_bytes(a: Any, b: Any, selector: Any) -> Any:
    """v_perm_b32: each byte of the selector picks one of the eight bytes of (a, b), or a constant."""
    if not np.ndim(selector) and all(byte < 8 for byte in int(selector).to_bytes(4, "little")):
        both = np.empty((64, 2), U)
        both[:, 0], both[:, 1] = b, a
        chosen = both.view(np.uint8)[:, list(int(selector).to_bytes(4, "little"))]
        return np.ascontiguousarray(chosen).view(U)[:, 0]
    a, b, selector = (np.broadcast_to(value, 64) for value in (a, b, selector))
    source = np.zeros((64, 14), np.uint8)
    source[:, 0:4] = np.ascontiguousarray(b)[:, None].view(np.uint8)
    source[:, 4:8] = np.ascontiguousarray(a)[:, None].view(np.uint8)
    signs = source[:, 1::2] >> 7
    source[:, 8:12] = signs[:, :4] * np.uint8(255)
    source[:, 13] = 255
    chosen = np.ascontiguousarray(selector)[:, None].view(np.uint8)
    return np.take_along_axis(source, np.minimum(chosen, 13).astype(np.intp), 1).view(U)[:, 0]


def _first_bit_high(value: Any) -> Any:
    value = np.broadcast_to(value, 64).astype(np.float64)
    return np.where(value == 0, U(0xFFFFFFFF), (32 - np.frexp(value)[1]).astype(U))


def _first_bit_of_sign(value: Any) -> Any:
    """The bits at the top that are those of the sign, all ones where these are all bits."""
    return _first_bit_high((value ^ (value >> S(31))).view(U))


def _first_bit_low(value: Any) -> Any:
    return np.where(value == 0, U(0xFFFFFFFF), np.bitwise_count((value & -value) - U(1)).astype(U))


def _funnel(high: Any, low: Any, shift: Any) -> Any:
    """The low 32 bits of (high, low) shifted right."""
    high, low, shift = _wide(high, low, shift)
    return ((high << Q(32) | low) >> shift).astype(U)


def _median(a: Any, b: Any, c: Any) -> Any:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


_ADD, _SUBTRACT = (lambda a, b: a + b), (lambda a, b: a - b)
_INTEGERS: dict[str, tuple[str, Callable]] = {
    "v_mov_b32": ("u=u", lambda a: a),
    "v_mov_b64": ("q=q", lambda a: a),
    "v_accvgpr_read_b32": ("u=u", lambda a: a),
    "v_accvgpr_write_b32": ("u=u", lambda a: a),
    "v_accvgpr_mov_b32": ("u=u", lambda a: a),
    "v_not_b32": ("u=u", lambda a: ~a),
    "v_bfrev_b32": ("u=u", _reverse),
    "v_ffbh_u32": ("u=u", _first_bit_high),
    "v_ffbh_i32": ("u=i", _first_bit_of_sign),
    "v_ffbl_b32": ("u=u", _first_bit_low),
    "v_add_u32": ("u=uu", _ADD),
    "v_sub_u32": ("u=uu", _SUBTRACT),
    "v_subrev_u32": ("u=uu", lambda a, b: b - a),
    "v_add_i32": ("u=uu", _ADD),
    "v_sub_i32": ("u=uu", _SUBTRACT),
    "v_mul_lo_u32": ("u=uu", lambda a, b: a * b),
    "v_mul_hi_u32": ("u=uu", _high),
    "v_mul_hi_i32": ("i=ii", _high_signed),
    "v_mul_u32_u24": ("u=uu", lambda a, b: _low24(a) * _low24(b)),
    "v_mul_hi_u32_u24": ("u=uu", lambda a, b: _high(_low24(a), _low24(b))),
    "v_mul_i32_i24": ("i=ii", lambda a, b: _signed24(a) * _signed24(b)),
    "v_mad_u32_u24": ("u=uuu", lambda a, b, c: _low24(a) * _low24(b) + c),
    "v_mad_i32_i24": ("i=iii", lambda a, b, c: _signed24(a) * _signed24(b) + c),
    "v_lshlrev_b32": ("u=uu", lambda a, b: b << (a & _FIVE_BITS)),
    "v_lshrrev_b32": ("u=uu", lambda a, b: b >> (a & _FIVE_BITS)),
    "v_ashrrev_i32": ("i=ii", lambda a, b: b >> (a & S(31))),
    "v_and_b32": ("u=uu", lambda a, b: a & b),
    "v_or_b32": ("u=uu", lambda a, b: a | b),
    "v_xor_b32": ("u=uu", lambda a, b: a ^ b),
    "v_xnor_b32": ("u=uu", lambda a, b: ~(a ^ b)),
    "v_min_u32": ("u=uu", np.minimum),
    "v_max_u32": ("u=uu", np.maximum),
    "v_min_i32": ("i=ii", np.minimum),
    "v_max_i32": ("i=ii", np.maximum),
    "v_min3_u32": ("u=uuu", lambda a, b, c: np.minimum(np.minimum(a, b), c)),
    "v_max3_u32": ("u=uuu", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    "v_min3_i32": ("i=iii", lambda a, b, c: np.minimum(np.minimum(a, b), c)),
    "v_max3_i32": ("i=iii", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    "v_med3_u32": ("u=uuu", _median),
    "v_med3_i32": ("i=iii", _median),
    "v_add3_u32": ("u=uuu", lambda a, b, c: a + b + c),
    "v_lshl_add_u32": ("u=uuu", lambda a, b, c: (a << (b & _FIVE_BITS)) + c),
    "v_add_lshl_u32": ("u=uuu", lambda a, b, c: (a + b) << (c & _FIVE_BITS)),
    "v_lshl_or_b32": ("u=uuu", lambda a, b, c: a << (b & _FIVE_BITS) | c),
    "v_and_or_b32": ("u=uuu", lambda a, b, c: a & b | c),
    "v_or3_b32": ("u=uuu", lambda a, b, c: a | b | c),
    "v_xad_u32": ("u=uuu", lambda a, b, c: (a ^ b) + c),
    "v_bfe_u32": ("u=uuu", lambda a, b, c: a >> (b & _FIVE_BITS) & _bits(c)),
    "v_bfe_i32": ("i=iii", _extract_signed),
    "v_bfi_b32": ("u=uuu", lambda a, b, c: a & b | ~a & c),
    "v_bfm_b32": ("u=uu", lambda a, b: _bits(a) << (b & _FIVE_BITS)),
    "v_bcnt_u32_b32": ("u=uu", lambda a, b: np.bitwise_count(a).astype(U) + b),
    "v_perm_b32": ("u=uuu", _permute_bytes),
    "v_alignbit_b32": ("u=uuu", lambda a, b, c: _funnel(a, b, c & _FIVE_BITS)),
    "v_alignbyte_b32": ("u=uuu", lambda a, b, c: _funnel(a, b, (c & U(3)) << U(3))),
    "v_lshlrev_b64": ("q=uq", lambda a, b: b << (np.asarray(a).astype(Q) & _SIX_BITS)),
    "v_lshrrev_b64": ("q=uq", lambda a, b: b >> (np.asarray(a).astype(Q) & _SIX_BITS)),
    "v_ashrrev_i64": ("l=ul", lambda a, b: b >> (np.asarray(a).astype(L) & L(63))),
    "v_lshl_add_u64": ("q=quq", lambda a, b, c: (a << (np.asarray(b).astype(Q) & Q(7))) + c),
    "v_add_u16": ("t=tt", _ADD),
    "v_sub_u16": ("t=tt", _SUBTRACT),
    "v_subrev_u16": ("t=tt", lambda a, b: b - a),
    "v_mul_lo_u16": ("t=tt", lambda a, b: a * b),
    "v_lshlrev_b16": ("t=tt", lambda a, b: b << (a & np.uint16(15))),
    "v_lshrrev_b16": ("t=tt", lambda a, b: b >> (a & np.uint16(15))),
    "v_ashrrev_i16": ("s=ss", lambda a, b: b >> (a & np.int16(15))),
    "v_max_i16": ("s=ss", np.maximum),
    "v_min_i16": ("s=ss", np.minimum),
    "v_max_u16": ("t=tt", np.maximum),
    "v_min_u16": ("t=tt", np.minimum),
}
_TABLE = _INTEGERS | FLOATS


def _saturated(function: Callable) -> Callable:
    """A sum or difference of unsigned numbers that stops at the ends of their range."""
    return lambda a, b: np.clip(function(*(np.asarray(x).astype(L) for x in (a, b))), 0, 0xFFFFFFFF).astype(U)


_SATURATED = {name: _saturated(_INTEGERS[name][1]) for name in ("v_add_u32", "v_sub_u32", "v_subrev_u32")}
# Operations that read their destination: it is their last source.
_ACCUMULATING = {"v_fmac_f32", "v_mac_f32", "v_fmac_f16", "v_fmac_f64", "v_pk_fmac_f16", "v_dot2c_f32_f16"}


def build_elementwise(instruction: Instruction) -> Run | None:
    """The closure of an instruction of the tables, in any encoding, or None for an unknown opcode."""
    entry = _TABLE.get(instruction.opcode)
    if entry is None:
        return None
    (kind, sources), function = entry[0].split("="), entry[1]
    operands, modifiers = instruction.operands, instruction.modifiers
    known = {"clamp", "mul", "div"} if kind in "fhd" else set()
    if instruction.opcode in _SATURATED:
        known = {"clamp"}
        function = _SATURATED[instruction.opcode] if "clamp" in modifiers else function
    known |= {"dpp": _DPP_MODIFIERS, "sdwa": _SDWA_MODIFIERS}.get(instruction.encoding, set())
    refuse_modifiers(instruction, known)
    given = [*operands, operands[0]] if instruction.opcode in _ACCUMULATING else operands
    if len(given) != len(sources) + 1:
        raise UnknownInstruction(f"expects {len(sources)} sources", instruction)
    special: list[Read | None] = [None] * len(sources)
    write_lanes = None
    if instruction.encoding in ("dpp", "sdwa") and set(kind + sources) & set("qld"):
        raise UnknownInstruction(
            f"unknown encoding '{instruction.encoding}' of pairs of registers", instruction
        )
    if instruction.encoding == "dpp":
        special[0], write_lanes = lanes.dpp(instruction)
    elif instruction.encoding == "sdwa":
        special[: min(2, len(sources))] = [
            lanes.sdwa_source(instruction, n) for n in range(min(2, len(sources)))
        ]
    texts = [text[5:-1] if text.startswith("sext(") else text for text in given[1:]]
    reads = [
        read_vector(text, letter, words) for text, letter, words in zip(texts, sources, special, strict=True)
    ]
    write = write_vector(operands[0], kind)
    if kind in "fhd" and modifiers.keys() & {"clamp", "mul", "div"}:
        function = _scaled(function, kind, instruction)
    run = _apply(function, reads, write)
    if write_lanes is not None:
        return _on_lanes(run, write_lanes)
    if "dst_sel" in modifiers and modifiers["dst_sel"] != "DWORD":
        return _into_part(run, instruction)
    return run


def refuse_modifiers(instruction: Instruction, known: set[str]) -> None:
    """Raise where an instruction has a modifier outside `known`."""
    unknown = set(instruction.modifiers) - known
    if unknown:
        raise UnknownInstruction(f"unknown modifiers {sorted(unknown)} of {instruction.opcode}", instruction)


def _apply(function: Callable, reads: list[Read], write: Callable) -> Run:
    if len(reads) == 1:
        (a,) = reads
        return lambda wave: write(wave, function(a(wave)))
    if len(reads) == 2:
        a, b = reads
        return lambda wave: write(wave, function(a(wave), b(wave)))
    a, b, c = reads
    return lambda wave: write(wave, function(a(wave), b(wave), c(wave)))


def _scaled(function: Callable, kind: str, instruction: Instruction) -> Callable:
    """`function` with its result multiplied or divided by a constant and clamped to [0, 1]; NaN becomes 0."""
    modifiers = instruction.modifiers
    number: Any = {"f": np.float32, "h": np.float16, "d": np.float64}[kind]
    factor = number(int(modifiers.get("mul", "1")) / int(modifiers.get("div", "1")))
    clamp = "clamp" in modifiers

    def scaled(*values: Any) -> Any:
        result = function(*values) * factor
        return np.fmin(np.fmax(result, number(0)), number(1)) if clamp else result

    return scaled


def _on_lanes(run: Run, write_lanes: Callable[[Wave], np.ndarray]) -> Run:
    """`run` with other lanes written than the active ones."""

    def masked(wave: Wave) -> None:
        mask, full = wave.mask, wave.full
        wave.mask, wave.full = write_lanes(wave), False
        run(wave)
        wave.mask, wave.full = mask, full

    return masked


def _into_part(run: Run, instruction: Instruction) -> Run:
    """`run` with its result placed in a part of the destination."""
    row = vector_row(instruction.operands[0])

    def placed(wave: Wave) -> None:
        old = wave.words[row].copy()
        run(wave)
        new = lanes.sdwa_result(instruction, old, wave.words[row].copy())
        wave.words[row][:] = np.where(wave.mask, new, old)

    return placed


# Operations with masks of lanes: carries and selections.


def build_masked(instruction: Instruction) -> Run | None:
    """The closure of an operation that reads or writes a mask of lanes, or None for an unknown opcode."""
    name = instruction.opcode
    if name == "v_cndmask_b32":
        return _select(instruction)
    if name in _CARRIES:
        return _carry(instruction, *_CARRIES[name])
    if name in ("v_mad_u64_u32", "v_mad_i64_i32"):
        return _multiply_wide(instruction)
    if name in ("v_bitop3_b32", "v_bitop3_b16"):
        return _bitwise(instruction, is_half=name.endswith("16"))
    return None


def _select(instruction: Instruction) -> Run:
    """v_cndmask_b32: the second source where the mask is set."""
    operands = instruction.operands
    kind = "f" if any("|" in text or is_negated(text) for text in operands[1:3]) else "u"
    special: list[Read | None] = [None, None]
    write_lanes = None
    if instruction.encoding == "dpp":
        special[0], write_lanes = lanes.dpp(instruction)
    elif instruction.encoding == "sdwa":
        special = [lanes.sdwa_source(instruction, position) for position in range(2)]
    known = {"dpp": _DPP_MODIFIERS, "sdwa": _SDWA_MODIFIERS}.get(instruction.encoding, set())
    refuse_modifiers(instruction, known)
    a, b = (read_vector(text, kind, words) for text, words in zip(operands[1:3], special, strict=True))
    mask = read_scalar(operands[3] if len(operands) > 3 else "vcc", 2)
    write = write_vector(operands[0], kind)

    def run(wave: Wave) -> None:
        write(wave, np.where(to_lanes(mask(wave)), b(wave), a(wave)))

    if write_lanes is not None:
        return _on_lanes(run, write_lanes)
    return _into_part(run, instruction) if instruction.modifiers.get("dst_sel", "DWORD") != "DWORD" else run


# name -> (sign of the second source, whether sources are swapped, whether there is a carry in)
_CARRIES = {
    "v_add_co_u32": (1, False, False),
    "v_addc_co_u32": (1, False, True),
    "v_sub_co_u32": (-1, False, False),
    "v_subb_co_u32": (-1, False, True),
    "v_subrev_co_u32": (-1, True, False),
    "v_subbrev_co_u32": (-1, True, True),
}


def _carry(instruction: Instruction, sign: int, swapped: bool, carries_in: bool) -> Run:
    refuse_modifiers(instruction, set())
    destination, out, left, right, *into = instruction.operands
    a, b = read_words(right if swapped else left), read_words(left if swapped else right)
    write, write_carry = write_vector(destination, "i"), write_scalar(out, 2)
    carry = read_scalar(into[0] if into else "vcc", 2) if carries_in else None

    def run(wave: Wave) -> None:
        x, y = np.asarray(a(wave)).astype(L), np.asarray(b(wave)).astype(L)
        if carry is not None:
            y = y + to_lanes(carry(wave))
        result = np.broadcast_to(x + y if sign > 0 else x - y, 64)
        carried = (result < 0) | (result > 0xFFFFFFFF)
        write(wave, result.astype(U).view(S))
        write_carry(wave, to_bits(carried & wave.mask))

    return run


def _multiply_wide(instruction: Instruction) -> Run:
    refuse_modifiers(instruction, set())
    destination, out, left, right, addend = instruction.operands
    kind, number = ("u", Q) if "u64" in instruction.opcode else ("i", L)
    wide = "q" if kind == "u" else "l"
    a, b = read_vector(left, kind), read_vector(right, kind)
    c, write = read_vector(addend, wide), write_vector(destination, wide)
    write_carry = write_scalar(out, 2)

    def run(wave: Wave) -> None:
        product = np.asarray(a(wave)).astype(number) * np.asarray(b(wave)).astype(number)
        result = product + c(wave)
        write(wave, result)
        carried = np.broadcast_to(result < product, 64)
        write_carry(wave, to_bits(carried & wave.mask) if kind == "u" else 0)

    return run


def _bitwise(instruction: Instruction, *, is_half: bool) -> Run:
    """v_bitop3_b32 and _b16: any function of three bits, as a table of eight (gfx950)."""
    refuse_modifiers(instruction, {"bitop3"})
    table = instruction.integer("bitop3")
    reads = [read_words(text) for text in instruction.operands[1:4]]
    write = write_vector(instruction.operands[0], "t" if is_half else "u")
    terms = [k for k in range(8) if table >> k & 1]

    def run(wave: Wave) -> None:
        values = [read(wave) for read in reads]
        result = U(0)
        for k in terms:
            a, b, c = (value if k >> 2 - n & 1 else ~value for n, value in enumerate(values))
            result = result | a & b & c
        write(wave, np.broadcast_to(result, 64).astype(np.uint16) if is_half else result)

    return run
