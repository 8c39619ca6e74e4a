"""Single instructions in the simulator where plain arithmetic would not give what AMD's documents say."""

import dataclasses
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from amd_assembly import LANE, kernel, result_of

from aecompiler.backends.amd.simulator import Program, Runaway, SimulationError, UnknownInstruction, simulate
from aecompiler.backends.amd.target import NAMED_TARGETS

NAN, ONE, TWO, THREE = "0x7fc00000", "1.0", "2.0", "0x40400000"


def bits(number: float) -> int:
    return int(np.float32(number).view(np.uint32))


def scalar_result(code: str) -> int:
    """What s8 is at the end of `code`."""
    return int(result_of(f"{code}\nv_mov_b32_e32 v1, s8")[0])


@pytest.mark.parametrize(
    ("compare", "value", "constant", "expected"),
    [
        *(("eq_i32", -1, "0xffff", 1), ("gt_i32", 5, "0xff00", 1), ("lt_i32", -300, "0xff00", 1)),
        *(("eq_u32", 0xFFFF, "0xffff", 1), ("gt_u32", 5, "0xff00", 0), ("lt_i32", 5, "7", 1)),
    ],
)
def test_short_constants_of_comparisons_have_a_sign(compare, value, constant, expected):
    code = f"s_mov_b32 s9, {value}\ns_cmpk_{compare} s9, {constant}\ns_cselect_b32 s8, 1, 0"
    assert scalar_result(code) == expected


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("s_bfe_i32 s8, 0xf0000000, 0x8001c", 0xFFFFFFFF),  # 8 bits from bit 28: the sign goes on
        ("s_bfe_u32 s8, 0xf0000000, 0x8001c", 0xF),
        ("s_bfe_i32 s8, 0x0000f000, 0x4000c", 0xFFFFFFFF),
        ("s_ff1_i32_b32 s8, 0", 0xFFFFFFFF),
        ("s_flbit_i32_b32 s8, 0", 0xFFFFFFFF),
        ("s_flbit_i32 s8, -1", 0xFFFFFFFF),
        ("s_abs_i32 s8, 0x80000000", 0x80000000),
        ("s_bfm_b32 s8, 32, 0", 0),
    ],
)
def test_scalar_instructions_at_the_ends_of_words(instruction, expected):
    assert scalar_result(instruction) == expected


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        *(((ONE, THREE, TWO), 2.0), ((NAN, THREE, TWO), 2.0), ((THREE, NAN, TWO), 2.0)),
        *(((THREE, TWO, NAN), 2.0), ((TWO, THREE, NAN), 2.0), ((ONE, NAN, NAN), 1.0)),
    ],
)
def test_median_with_a_nan_is_the_smallest_of_the_others(operands, expected):
    code = "".join(f"v_mov_b32_e32 v{n}, {operand}\n" for n, operand in enumerate(operands, 3))
    assert result_of(code + "v_med3_f32 v1, v3, v4, v5")[0] == bits(expected)


def test_classes_tell_signalling_from_quiet_nans():
    for pattern, name in ((0x7F800001, 1), (0x7FC00000, 2), (0xFF800001, 1), (0x7F800000, 0x200)):
        for asked in (1, 2, 3, 0x200):
            code = f"v_mov_b32_e32 v3, {pattern:#x}\nv_mov_b32_e32 v4, {asked}\n"
            code += "v_cmp_class_f32_e32 vcc, v3, v4\nv_cndmask_b32_e64 v1, 0, 1, vcc"
            got = result_of(code)
            assert (got == bool(name & asked)).all(), (hex(pattern), asked)


@pytest.mark.parametrize("opcode", ["v_rcp_f32_e32", "v_rcp_iflag_f32_e32"])
def test_reciprocals_take_denormal_numbers_for_zero(opcode):
    assert result_of(f"v_mov_b32_e32 v3, 0x00400000\n{opcode} v1, v3")[0] == bits(np.inf)
    assert result_of(f"v_mov_b32_e32 v3, 0x7f000000\n{opcode} v1, v3")[0] == 0


def test_permuted_bytes_of_large_selectors():
    code = "v_mov_b32_e32 v3, 0x80017f02\nv_mov_b32_e32 v4, 0x01808003\n"
    for selector, expected in ((0x0D0C0504, 0xFF007F02), (0x0B0A0908, 0xFF0000FF), (0xFF0C0807, 0xFF00FF80)):
        got = result_of(f"{code}v_mov_b32_e32 v5, {selector:#x}\nv_perm_b32 v1, v3, v4, v5")[0]
        assert got == expected, hex(selector)


def test_rounding_toward_zero_keeps_infinities_and_the_largest_number():
    for value, expected in ((65519.9, 0x7BFF), (1e30, 0x7BFF), (np.inf, 0x7C00), (-1e-9, 0x8000), (6e-8, 1)):
        code = f"v_mov_b32_e32 v3, {bits(value):#x}\nv_cvt_pkrtz_f16_f32 v1, v3, v3"
        assert result_of(code)[0] == expected * 0x10001, value


def test_pairs_of_registers_have_no_other_encodings():
    """A lane's second register would be read from its own lane."""
    for instruction in (
        "v_mov_b64_dpp v[2:3], v[4:5] row_newbcast:3 row_mask:0xf bank_mask:0xf",
        "v_add_f64_dpp v[2:3], v[4:5], v[6:7] row_newbcast:3 row_mask:0xf bank_mask:0xf",
    ):
        with pytest.raises(UnknownInstruction, match="unknown encoding 'dpp' of pairs of registers"):
            kernel(instruction)


@pytest.mark.parametrize(
    "instruction",
    [
        *("v_mov_b32_e32 v256, v0", "v_add_f64 v[255:256], v[0:1], v[0:1]", "v_accvgpr_write_b32 a256, v0"),
        *("s_mov_b32 s102, 0", "s_mov_b64 s[9:8], 0", "v_mov_b32_e32 v1, s127"),
    ],
)
def test_registers_that_no_chip_has_are_refused(instruction):
    with pytest.raises(UnknownInstruction, match="no such registers"):
        kernel(instruction)


@pytest.mark.parametrize(
    "line", ["image_load v0, v1", "frobnicate", "tbuffer_load_format_x v0, off", "x = 5"]
)
def test_lines_that_are_neither_labels_nor_directives_are_instructions(line):
    with pytest.raises(UnknownInstruction, match=f"unsupported on gfx942: {line.split()[0]}"):
        kernel(line)


def test_instructions_behind_a_label_in_its_line_are_executed():
    code = "v_mov_b32_e32 v1, 3\ns_branch .LBB0_2\n.LBB0_1: v_mov_b32_e32 v1, 4\n.LBB0_2: s_nop 0"
    assert (result_of(code) == 3).all()
    assert (result_of(code.replace("s_branch .LBB0_2", "s_branch .LBB0_1")) == 4).all()


def test_loops_with_barriers_have_an_end():
    program = kernel(".LBB0_1:\ns_barrier\ns_branch .LBB0_1")
    with pytest.raises(Runaway, match="has executed 1000 instructions and hasn't ended"):
        simulate(program, [np.zeros(1, np.uint32)], 1, 128, limit=1000)


def product_of(number: float, dtype: str, chip: str) -> float:
    """Sixteen times the product of `number` and 1, as a matrix instruction has it."""
    suffix = {"gfx90a": "{}16x16x16{}", "gfx942": "{}16x16x16_{}"}[chip]
    name = suffix.format("v_mfma_f32_", {("bf16", "gfx90a"): "bf16_1k"}.get((dtype, chip), dtype))
    one, shift = (0x3C00, 0) if dtype == "f16" else (0x3F80, 16)
    word = np.float16(number).view(np.uint16) if dtype == "f16" else bits(number) >> shift
    code = f"v_mov_b32_e32 v4, {int(word) * 0x10001:#x}\nv_mov_b32_e32 v5, v4\n"
    code += f"v_mov_b32_e32 v6, {one * 0x10001:#x}\nv_mov_b32_e32 v7, v6\n"
    code += f"{name} v[12:15], v[4:5], v[6:7], 0\nv_mov_b32_e32 v1, v12"
    found = result_of(code, chip=chip).view(np.float32)
    assert (found == found[0]).all()
    return float(found[0])


@pytest.mark.parametrize(("dtype", "normal"), [("f16", 2.0**-14), ("bf16", 2.0**-126)])
def test_matrix_instructions_of_gfx90a_take_denormal_numbers_for_zero(dtype, normal):
    for chip in ("gfx90a", "gfx942"):
        assert product_of(normal, dtype, chip) == 16 * normal
        assert product_of(-normal / 2, dtype, chip) == (0 if chip == "gfx90a" else -8 * normal)


def test_errors_of_products_in_f64_are_exact():
    """The last bit of the product is 2^-82, which extended precision has not."""
    values = {4: 1 + 2.0**-52, 6: 1 + 2.0**-30, 8: -((1 + 2.0**-52) * (1 + 2.0**-30))}
    code = ""
    for row, value in values.items():
        word = int(np.float64(value).view(np.uint64))
        code += f"v_mov_b32_e32 v{row}, {word & 0xFFFFFFFF:#x}\nv_mov_b32_e32 v{row + 1}, {word >> 32:#x}\n"
    code += "v_fma_f64 v[10:11], v[4:5], v[6:7], v[8:9]\nv_mov_b32_e32 v1, "
    low, high = (int(result_of(f"{code}v{row}\nv_lshlrev_b32_e32 v10, 2, v0")[0]) for row in (10, 11))
    got = np.uint64(low | high << 32).view(np.float64)
    assert float(got) == float(Fraction(values[4]) * Fraction(values[6]) + Fraction(values[8])) != 0


@pytest.mark.parametrize(("angle", "piece"), [(1.0, 0), (1.0, 1), (-3e40, 0), (1e200, 2), (1e300, 1)])
def test_pieces_of_two_over_pi(angle, piece):
    """The pieces that matter for an angle sum up to what is left of 2 / pi, but for whole turns."""
    mpmath = pytest.importorskip("mpmath")
    low, high = (int(np.float64(angle).view(np.uint64)) >> shift & 0xFFFFFFFF for shift in (0, 32))
    setup = f"v_mov_b32_e32 v4, {low:#x}\nv_mov_b32_e32 v5, {high:#x}\n"
    code = f"{setup}v_trig_preop_f64 v[6:7], v[4:5], {piece}\nv_mov_b32_e32 v1, "
    words = [int(result_of(code + register)[0]) for register in ("v6", "v7")]
    got = float(np.uint64(words[0] | words[1] << 32).view(np.float64))
    exponent = int(np.float64(angle).view(np.uint64)) >> 52 & 0x7FF
    shift = 53 * piece + max(exponent - 1077, 0)
    with mpmath.workprec(2000):
        left = mpmath.frac(2 / mpmath.pi * mpmath.mpf(2) ** shift)
        want = mpmath.floor(left * 2**53) * mpmath.mpf(2) ** (-53 - shift + (128 if exponent >= 1968 else 0))
        assert got == float(want)


def test_scratch_memory_is_refused():
    """On gfx90a it is a buffer, whose accesses would be beyond its end: zeros are read, nothing is stored."""
    program = kernel("buffer_store_dword v0, off, s[0:3], 0 offset:4", pointers=0, chip="gfx90a")
    directives = {"user_sgpr_private_segment_buffer": 1, "user_sgpr_count": 4}
    metadata = dataclasses.replace(program.metadata, directives=directives, private_bytes=64)
    program = Program.load(program.body, metadata, "k", "gfx90a")
    with pytest.raises(
        SimulationError, match=r"scratch memory \(spilled registers\) isn't modelled.*line 6: buf"
    ):
        simulate(program, [], 1, 64)


def test_other_modes_of_floats_are_refused():
    program = kernel("v_mov_b32_e32 v1, v0")
    assert (result_of("v_mov_b32_e32 v1, v0") == LANE).all()
    for name, value in (("float_denorm_mode_32", 0), ("float_round_mode_16_64", 3)):
        program.metadata.directives[name] = value
        with pytest.raises(SimulationError, match=rf"expects \.amdhsa_{name} [03], .*, got {value}"):
            Program.load(program.body, program.metadata, "k", "gfx942")
        del program.metadata.directives[name]


@pytest.mark.parametrize(
    ("control", "source"),
    [
        ("quad_perm:[1,0,3,2]", LANE ^ 1),
        ("row_ror:3", LANE // 16 * 16 + (LANE - 3) % 16),
        ("row_mirror", LANE // 16 * 16 + 15 - LANE % 16),
        ("row_half_mirror", LANE // 8 * 8 + 7 - LANE % 8),
        ("row_newbcast:5", LANE // 16 * 16 + 5),
        ("row_shl:1", np.where(LANE % 16 < 15, LANE + 1, -1)),
        ("row_shr:4", np.where(LANE % 16 >= 4, LANE - 4, -1)),
    ],
)
def test_dpp_reads_other_lanes(control, source):
    code = f"v_mov_b32_e32 v1, 99\nv_mov_b32_dpp v1, v0 {control} row_mask:0xf bank_mask:0xf"
    assert np.array_equal(result_of(code), np.where(source >= 0, source, 99))
    assert np.array_equal(result_of(code + " bound_ctrl:1"), np.where(source >= 0, source, 0))


def test_swizzle_and_permutes():
    swap = "ds_swizzle_b32 v1, v0 offset:swizzle(SWAP,16)\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(swap), LANE ^ 16)
    back = "v_xor_b32_e32 v2, 0x14, v10\nds_bpermute_b32 v1, v2, v0\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(back), LANE ^ 5)


def test_swaps_of_rows_exchange_halves():
    code = "v_mov_b32_e32 v1, v0\nv_add_u32_e32 v2, 0x64, v0\nv_permlane32_swap_b32_e32 v1, v2"
    assert np.array_equal(result_of(code, chip="gfx950"), np.where(LANE < 32, LANE, LANE - 32 + 100))


MATRIX_CASES = [
    (target.chip, matrix) for target in NAMED_TARGETS.values() for matrix in target.matrix_instructions
]


@pytest.mark.parametrize(
    ("chip", "matrix"), MATRIX_CASES, ids=[f"{chip}-{m.name}" for chip, m in MATRIX_CASES]
)
def test_matrix_instructions_multiply(chip, matrix):
    random = np.random.default_rng(0)
    m, n, k = matrix.m, matrix.n, matrix.k
    kinds = {
        "f16": np.float16,
        "bf16": ml_dtypes.bfloat16,
        "f32": np.float32,
        "xf32": np.float32,
        "f64": np.float64,
    }
    kind, wide = kinds[matrix.dtype], np.float64 if matrix.dtype == "f64" else np.float32
    a, b, c = random.standard_normal((m, k)), random.standard_normal((k, n)), random.standard_normal((m, n))
    a, b, c = a.astype(kind), b.astype(kind), c.astype(wide)
    each = m * k // 64
    left, right = np.zeros((64, each), kind), np.zeros((64, each), kind)
    rows, results = np.zeros((64, m * n // 64), int), m * n // 64
    for lane in range(64):
        left[lane] = a[lane % m, lane // m * each :][:each]
        right[lane] = b[lane // n * each :, lane % n][:each]
        for r in range(results):
            if matrix.dtype == "f64":
                rows[lane, r] = lane // 16 + 4 * r
            elif m == 16:
                rows[lane, r] = 4 * (lane // 16) + r
            else:
                rows[lane, r] = 8 * (r // 4) + 4 * (lane // 32) + r % 4
    columns = np.arange(64)[:, None] % n
    total = np.ascontiguousarray(c[rows, columns])
    words, out = left.nbytes // 256, total.nbytes // 256
    code = []
    for register, array, count, first in (
        (4, "s[2:3]", words, 16),
        (5, "s[4:5]", words, 32),
        (6, "s[6:7]", out, 64),
    ):
        code.append(f"v_mul_u32_u24_e32 v{register}, {4 * count}, v0")
        code += [f"global_load_dword v{first + r}, v{register}, {array} offset:{4 * r}" for r in range(count)]
    span = lambda first, count: f"v[{first}:{first + count - 1}]" if count > 1 else f"v{first}"  # noqa: E731
    code += [
        "s_waitcnt vmcnt(0)",
        f"{matrix.name} {span(64, out)}, {span(16, words)}, {span(32, words)}, {span(64, out)}",
    ]
    code += [f"global_store_dword v6, v{64 + r}, s[6:7] offset:{4 * r}" for r in range(out)]
    simulate(kernel("\n".join(code), 3, chip=chip), [left, right, total], 1, 64)
    expected = (a.astype(np.float64) @ b.astype(np.float64) + c)[rows, columns]
    tolerance = {"f64": 1e-14, "xf32": 1e-2}.get(matrix.dtype, 1e-5)
    assert np.abs(total - expected).max() < tolerance


DIVIDE = """v_lshlrev_b32_e32 v20, 3, v0
global_load_dwordx2 v[2:3], v20, s[2:3]
global_load_dwordx2 v[4:5], v20, s[4:5]
s_waitcnt vmcnt(0)
v_div_scale_f64 v[6:7], s[10:11], v[4:5], v[4:5], v[2:3]
v_rcp_f64_e32 v[8:9], v[6:7]
v_fma_f64 v[10:11], -v[6:7], v[8:9], 1.0
v_fma_f64 v[8:9], v[8:9], v[10:11], v[8:9]
v_div_scale_f64 v[12:13], vcc, v[2:3], v[4:5], v[2:3]
v_mul_f64 v[14:15], v[12:13], v[8:9]
v_fma_f64 v[6:7], -v[6:7], v[14:15], v[12:13]
v_div_fmas_f64 v[6:7], v[6:7], v[8:9], v[14:15]
v_div_fixup_f64 v[2:3], v[6:7], v[4:5], v[2:3]
global_store_dwordx2 v20, v[2:3], s[6:7]"""


def test_divisions_in_f64_are_right_at_the_ends_of_the_range():
    numbers = [0.0, -0.0, 1, -3.5, 1e-310, 5e-324, 2.3e-308, 7e300, -1e-300, 1.7e308, np.inf, -np.inf, np.nan]
    x, y = (np.ravel(each) for each in np.meshgrid(numbers, numbers))
    count = -(-x.size // 64) * 64
    x, y = (np.concatenate([each, np.ones(count - x.size)]) for each in (x, y))
    program = kernel(DIVIDE, pointers=3)
    for first in range(0, count, 64):
        part, out = slice(first, first + 64), np.zeros(64)
        simulate(program, [np.copy(x[part]), np.copy(y[part]), out], 1, 64)
        with np.errstate(all="ignore"):
            want = x[part] / y[part]
        np.testing.assert_allclose(out, want, rtol=3e-16, atol=5e-324)
        assert np.array_equal(np.signbit(out), np.signbit(want) & ~np.isnan(want))


def test_leading_bits_of_the_sign_are_counted():
    shifted = result_of("v_lshlrev_b32_e32 v1, v0, v0\nv_ffbh_i32_e32 v1, v1")
    numbers = (np.arange(64) << np.arange(64) % 32) & 0xFFFFFFFF
    numbers = np.where(numbers >> 31, ~numbers & 0xFFFFFFFF, numbers)
    assert [int(each) for each in shifted] == [32 - int(n).bit_length() if n else 0xFFFFFFFF for n in numbers]


def test_constants_of_mixed_sums_are_of_the_type_of_the_operand():
    code = "v_cvt_f32_u32_e32 v2, v0\nv_fma_mix_f32 v1, -v2, 1.0, {c} op_sel_hi:[0,{half},0]"
    halves = result_of(code.format(c="2.0", half=1)).view(np.float32)
    singles = result_of(code.format(c="neg(2.0)", half=0)).view(np.float32)
    assert np.array_equal(halves, 2.0 - LANE)
    assert np.array_equal(singles, -2.0 - LANE)


def test_both_words_of_the_constant_0_are_0():
    code = (
        "v_cvt_f32_u32_e32 v2, v0\nv_mov_b32_e32 v3, v2\nv_pk_add_f32 v[4:5], v[2:3], 0\nv_mov_b32_e32 v1, v5"
    )
    assert np.array_equal(result_of(code).view(np.float32), LANE)
    with pytest.raises(UnknownInstruction, match=r"upper word of the constant '1\.0'"):
        result_of(code.replace("v[2:3], 0", "v[2:3], 1.0"))
