"""Scalar operations, branches and the instructions that only steer a wave."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.operands import Run, read_scalar, write_scalar
from aecompiler.backends.amd.simulator.state import ALL_LANES, VCC, WORD, Wave
from aecompiler.backends.amd.simulator.text import Instruction

Operation = Callable[..., int]


def signed(value: int, bits: int = 32) -> int:
    """The integer that the low `bits` of `value` mean in two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _count_leading(value: int, bits: int) -> int:
    return bits - value.bit_length() if value else WORD


def _sign_run(value: int) -> int:
    """How often the sign stands before another bit follows, or -1 where none does."""
    flipped = value ^ WORD if value >> 31 else value
    return _count_leading(flipped, 32)


def _field(offset_and_width: int, bits: int) -> tuple[int, int]:
    return offset_and_width & bits - 1, offset_and_width >> 16 & 0x7F


def _extract(value: int, where: int, bits: int) -> int:
    offset, width = _field(where, bits)
    return value >> offset & (1 << width) - 1


def _extract_signed(value: int, where: int, bits: int) -> int:
    """A field with its sign; what is beyond the top of the value is the sign of the value."""
    offset, width = _field(where, bits)
    return signed(signed(value, bits) >> offset, width) if width else 0


def _carry(result: int, _a: int, _b: int) -> int:
    return int(not 0 <= result <= WORD)


def _overflow(result: int, _a: int, _b: int) -> int:
    return int(not -(1 << 31) <= result < 1 << 31)


def _not_zero(result: int, _a: int, _b: int) -> int:
    return int(result != 0)


# Two sources: name -> (words of the result, words of each source, whether they are signed, operation, SCC).
_BINARY: dict[str, tuple[int, tuple[int, int], bool, Operation, Operation | None]] = {
    "s_add_i32": (1, (1, 1), True, lambda a, b: a + b, _overflow),
    "s_sub_i32": (1, (1, 1), True, lambda a, b: a - b, _overflow),
    "s_add_u32": (1, (1, 1), False, lambda a, b: a + b, _carry),
    "s_sub_u32": (1, (1, 1), False, lambda a, b: a - b, _carry),
    "s_mul_i32": (1, (1, 1), False, lambda a, b: a * b, None),
    "s_mul_hi_u32": (1, (1, 1), False, lambda a, b: a * b >> 32, None),
    "s_mul_hi_i32": (1, (1, 1), True, lambda a, b: a * b >> 32, None),
    "s_min_i32": (1, (1, 1), True, min, lambda r, a, b: int(a < b)),
    "s_max_i32": (1, (1, 1), True, max, lambda r, a, b: int(a > b)),
    "s_min_u32": (1, (1, 1), False, min, lambda r, a, b: int(a < b)),
    "s_max_u32": (1, (1, 1), False, max, lambda r, a, b: int(a > b)),
    "s_pack_ll_b32_b16": (1, (1, 1), False, lambda a, b: a & 0xFFFF | b << 16, None),
    "s_pack_lh_b32_b16": (1, (1, 1), False, lambda a, b: a & 0xFFFF | b & 0xFFFF0000, None),
    "s_pack_hh_b32_b16": (1, (1, 1), False, lambda a, b: a >> 16 | b & 0xFFFF0000, None),
    "s_bfm_b32": (1, (1, 1), False, lambda a, b: ((1 << (a & 31)) - 1) << (b & 31), None),
    "s_bfm_b64": (2, (1, 1), False, lambda a, b: ((1 << (a & 63)) - 1) << (b & 63), None),
    "s_bfe_u32": (1, (1, 1), False, lambda a, b: _extract(a, b, 32), _not_zero),
    "s_bfe_i32": (1, (1, 1), False, lambda a, b: _extract_signed(a, b, 32), _not_zero),
    "s_bfe_u64": (2, (2, 1), False, lambda a, b: _extract(a, b, 64), _not_zero),
    "s_bfe_i64": (2, (2, 1), False, lambda a, b: _extract_signed(a, b, 64), _not_zero),
    "s_lshl_b32": (1, (1, 1), False, lambda a, b: a << (b & 31) & WORD, _not_zero),
    "s_lshr_b32": (1, (1, 1), False, lambda a, b: a >> (b & 31), _not_zero),
    "s_ashr_i32": (1, (1, 1), True, lambda a, b: a >> (b & 31), _not_zero),
    "s_lshl_b64": (2, (2, 1), False, lambda a, b: a << (b & 63) & ALL_LANES, _not_zero),
    "s_lshr_b64": (2, (2, 1), False, lambda a, b: a >> (b & 63), _not_zero),
    "s_ashr_i64": (2, (2, 1), True, lambda a, b: a >> (b & 63), _not_zero),
}
for _shift in range(1, 5):
    _BINARY[f"s_lshl{_shift}_add_u32"] = (
        1,
        (1, 1),
        False,
        lambda a, b, n=_shift: (a << n) + b,
        lambda r, a, b: int(r > WORD),
    )
_BITWISE: dict[str, Operation] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "andn2": lambda a, b: a & ~b,
    "orn2": lambda a, b: a | ~b,
    "nand": lambda a, b: ~(a & b),
    "nor": lambda a, b: ~(a | b),
    "xnor": lambda a, b: ~(a ^ b),
}
# One source: name -> (words of the result, words of the source, operation, whether SCC = result != 0).
_UNARY: dict[str, tuple[int, int, Operation, bool]] = {
    "s_mov_b32": (1, 1, lambda a: a, False),
    "s_mov_b64": (2, 2, lambda a: a, False),
    "s_not_b32": (1, 1, lambda a: ~a & WORD, True),
    "s_not_b64": (2, 2, lambda a: ~a & ALL_LANES, True),
    "s_abs_i32": (1, 1, lambda a: abs(signed(a)), True),
    "s_brev_b32": (1, 1, lambda a: int(f"{a:032b}"[::-1], 2), False),
    "s_bcnt1_i32_b32": (1, 1, int.bit_count, True),
    "s_bcnt1_i32_b64": (1, 2, int.bit_count, True),
    "s_ff1_i32_b32": (1, 1, lambda a: (a & -a).bit_length() - 1, False),
    "s_ff1_i32_b64": (1, 2, lambda a: (a & -a).bit_length() - 1, False),
    "s_flbit_i32_b32": (1, 1, lambda a: _count_leading(a, 32), False),
    "s_flbit_i32_b64": (1, 2, lambda a: _count_leading(a, 64), False),
    "s_flbit_i32": (1, 1, _sign_run, False),
    "s_sext_i32_i8": (1, 1, lambda a: signed(a, 8), False),
    "s_sext_i32_i16": (1, 1, lambda a: signed(a, 16), False),
}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "lg": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
# Instructions without an effect on values: hints, and states of the machine that aren't modelled.
_IGNORED = {
    *("s_nop", "s_setprio", "s_sleep", "s_inst_prefetch", "s_sethalt", "s_icache_inv", "s_dcache_inv"),
    *(
        "s_dcache_wb",
        "s_ttracedata",
        "s_wakeup",
        "buffer_wbl2",
        "buffer_inv",
        "buffer_wbinvl1",
        "buffer_invl2",
    ),
    *("buffer_wbinvl1_vol",),
}
_CONDITIONS: dict[str, Callable[[Wave], object]] = {
    "s_branch": lambda wave: True,
    "s_cbranch_scc0": lambda wave: not wave.scc,
    "s_cbranch_scc1": lambda wave: wave.scc,
    "s_cbranch_vccz": lambda wave: not (wave.scalar[VCC] | wave.scalar[VCC + 1]),
    "s_cbranch_vccnz": lambda wave: wave.scalar[VCC] | wave.scalar[VCC + 1],
    "s_cbranch_execz": lambda wave: not wave.exec,
    "s_cbranch_execnz": lambda wave: wave.exec,
}


def build_scalar(instruction: Instruction, labels: Mapping[str, int]) -> Run | None:
    """The closure that executes a scalar instruction or a branch, or None for an unknown opcode."""
    name, operands = instruction.opcode, instruction.operands
    if name in _IGNORED:
        return lambda wave: None
    if name in _CONDITIONS:
        return _branch(_CONDITIONS[name], labels, operands[0])
    if name in _BINARY:
        return _binary(_BINARY[name], operands)
    if name in _UNARY:
        return _unary(_UNARY[name], operands)
    if not name.startswith("s_"):
        return None
    stem, _, suffix = name[2:].rpartition("_")
    if suffix in ("b32", "b64"):
        width = 1 if suffix == "b32" else 2
        if stem in _BITWISE:
            operation = _BITWISE[stem]
            limit = (1 << 32 * width) - 1
            return _binary(
                (width, (width, width), False, lambda a, b: operation(a, b) & limit, _not_zero), operands
            )
        if stem == "cselect":
            return _select(width, operands)
        if stem == "cmov":
            return _select(width, [operands[0], operands[1], operands[0]])
        if stem.endswith("_saveexec") and stem[: -len("_saveexec")] in _BITWISE:
            return _save_exec(_BITWISE[stem[: -len("_saveexec")]], operands)
        if stem in ("bitset0", "bitset1"):
            return _set_bit(width, stem == "bitset1", operands)
        if stem in ("bitcmp0", "bitcmp1"):
            return _test_bit(width, stem == "bitcmp1", operands)
    if stem.startswith(("cmp_", "cmpk_")):
        left, right = operands
        if stem.startswith("cmpk_"):  # a constant of 16 bits, of which the negative ones are printed as such
            right = str(_constant_of(right, suffix == "i32"))
        return _compare(stem.partition("_")[2], suffix, [left, right])
    special = {
        "s_movk_i32": lambda value, k: k,
        "s_addk_i32": lambda value, k: signed(value) + k,
        "s_mulk_i32": lambda value, k: value * k,
    }
    if name in special:
        return _with_constant(special[name], operands, name == "s_addk_i32")
    if name in ("s_addc_u32", "s_subb_u32"):
        return _with_carry(name == "s_addc_u32", operands)
    return None


def _branch(condition: Callable[[Wave], object], labels: Mapping[str, int], label: str) -> Run:
    if label not in labels:
        raise UnknownInstruction(f"unknown label '{label}'")
    target = labels[label]

    def run(wave: Wave) -> None:
        if condition(wave):
            wave.pc = target

    return run


def _binary(entry: tuple, operands: list[str]) -> Run:
    width, (left, right), is_signed, operation, condition = entry
    read_a, read_b = read_scalar(operands[1], left), read_scalar(operands[2], right)
    write = write_scalar(operands[0], width)

    def run(wave: Wave) -> None:
        a, b = read_a(wave), read_b(wave)
        if is_signed:
            a, b = signed(a, 32 * left), signed(b, 32 * right)
        result = operation(a, b)
        write(wave, result)
        if condition is not None:
            wave.scc = condition(result, a, b)

    return run


def _unary(entry: tuple[int, int, Operation, bool], operands: list[str]) -> Run:
    width, source, operation, sets_scc = entry
    read, write = read_scalar(operands[1], source), write_scalar(operands[0], width)

    def run(wave: Wave) -> None:
        result = operation(read(wave))
        write(wave, result)
        if sets_scc:
            wave.scc = int(result != 0)

    return run


def _select(width: int, operands: list[str]) -> Run:
    read_a, read_b = read_scalar(operands[1], width), read_scalar(operands[2], width)
    write = write_scalar(operands[0], width)
    return lambda wave: write(wave, read_a(wave) if wave.scc else read_b(wave))


def _save_exec(operation: Operation, operands: list[str]) -> Run:
    """d = EXEC, EXEC = source op EXEC; the `n2` forms invert EXEC."""
    write, read, set_exec = write_scalar(operands[0], 2), read_scalar(operands[1], 2), write_scalar("exec", 2)

    def run(wave: Wave) -> None:
        old, source = wave.exec, read(wave)
        write(wave, old)
        set_exec(wave, operation(source, old) & ALL_LANES)
        wave.scc = int(wave.exec != 0)

    return run


def _set_bit(width: int, one: bool, operands: list[str]) -> Run:
    read, write = read_scalar(operands[0], width), write_scalar(operands[0], width)
    which = read_scalar(operands[1])

    def run(wave: Wave) -> None:
        bit = 1 << (which(wave) & 32 * width - 1)
        write(wave, read(wave) | bit if one else read(wave) & ~bit)

    return run


def _test_bit(width: int, one: bool, operands: list[str]) -> Run:
    read, which = read_scalar(operands[0], width), read_scalar(operands[1])

    def run(wave: Wave) -> None:
        wave.scc = int((read(wave) >> (which(wave) & 32 * width - 1) & 1) == one)

    return run


def _compare(condition: str, suffix: str, operands: list[str]) -> Run | None:
    if condition not in _COMPARE or suffix not in ("i32", "u32", "u64"):
        return None
    width, is_signed, compare = (2 if suffix == "u64" else 1), suffix == "i32", _COMPARE[condition]
    read_a, read_b = read_scalar(operands[0], width), read_scalar(operands[1], width)

    def run(wave: Wave) -> None:
        a, b = read_a(wave), read_b(wave)
        wave.scc = int(compare(signed(a), signed(b)) if is_signed else compare(a, b))

    return run


def _constant_of(text: str, is_signed: bool) -> int:
    """A constant of 16 bits, extended by its sign or by zeros."""
    value = int(text, 0)
    return signed(value, 16) if is_signed else value & 0xFFFF


def _with_constant(operation: Operation, operands: list[str], sets_scc: bool) -> Run:
    """Operations on a register and a signed 16-bit constant."""
    read, write = read_scalar(operands[0]), write_scalar(operands[0])
    k = _constant_of(operands[1], True)

    def run(wave: Wave) -> None:
        result = operation(read(wave), k)
        write(wave, result)
        if sets_scc:
            wave.scc = _overflow(result, 0, 0)

    return run


def _with_carry(add: bool, operands: list[str]) -> Run:
    read_a, read_b = read_scalar(operands[1]), read_scalar(operands[2])
    write = write_scalar(operands[0])

    def run(wave: Wave) -> None:
        a, b = read_a(wave), read_b(wave)
        result = a + b + wave.scc if add else a - b - wave.scc
        write(wave, result)
        wave.scc = _carry(result, a, b)

    return run
