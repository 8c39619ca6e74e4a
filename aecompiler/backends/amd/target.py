"""What the AMD backend knows of a chip.

A target is one device of the HIP runtime: one of the two dies of an MI250, a whole MI300X or MI355X. Numbers
of compute units, clocks, caches and memory are from AMD's CDNA 2, CDNA 3 and CDNA 4 architecture whitepapers
and the data sheets of the MI250, MI300X and MI355X; registers, local memory and instructions from AMD's
"CDNA2", "CDNA3" and "CDNA4 Instruction Set Architecture" documents; units of allocation from LLVM's "User
Guide for AMDGPU Backend". Cycles of a matrix instruction are those that its SIMD can't begin another one, so
that operations per clock, compute units and the clock multiply to the peaks that the data sheets state.
"""

from __future__ import annotations

import dataclasses

from aecompiler.backends.base import Target
from aecompiler.errors import BackendError

KIB, MIB = 2**10, 2**20
MHZ, GB = 10**6, 10**9


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatrixInstruction:
    """One instruction of the matrix cores: D = A B + C, with A of m x k, B of k x n, C and D of m x n.

    `name`: the mnemonic in assembly; `dtype`: the type of the elements of A and B; `sum_dtype`: that of C, D.
    `cycles`: how long one wave's instruction keeps the matrix core of its SIMD.
    """

    name: str
    m: int
    n: int
    k: int
    dtype: str
    sum_dtype: str
    cycles: int

    @property
    def operand_elements(self) -> int:
        """Elements of A, and as many of B, that each of 64 lanes holds."""
        return self.m * self.k // 64

    @property
    def sum_elements(self) -> int:
        """Elements of C and D that each of 64 lanes holds."""
        return self.m * self.n // 64

    @property
    def flops(self) -> int:
        """Operations of one instruction; a multiply-add counts as two."""
        return 2 * self.m * self.n * self.k


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmdTarget(Target):
    """A chip, as far as code and schedules depend on it.

    `chip`: LLVM's name of the processor; `product`: the one that numbers of the whole chip belong to.
    `compute_units`, `clock_hz`, `memory_bytes_per_second`: of the device; `l2_bytes`: of one XCD.
    `xcds`: dies with compute units and an L2 cache of their own, over which consecutive workgroups are dealt.
    `infinity_cache_bytes`, `infinity_cache_bytes_per_second`: of the cache beside the memory; 0 for none.
    `lds_bytes`: local memory of a compute unit, which one workgroup may have all of; `lds_unit`: what it is
    given in multiples of; `lds_banks`: of four bytes; `lds_bytes_per_clock`: read by a compute unit.
    `special_functions`: exponentials, logarithms, roots and reciprocals of a compute unit per clock.
    `matrix_instructions`: those that products may use, the most operations per instruction last.
    `direct_to_lds_bytes`: the most that one lane loads from memory into LDS without a register.
    `has_transposed_lds_reads`: `ds_read_b64_tr_b16` and its kin.
    `has_bf16_conversions`: `v_cvt_pk_bf16_f32`; elsewhere rounding to bf16 takes integer arithmetic.
    `has_permlane_swaps`: `v_permlane16_swap_b32` and `v_permlane32_swap_b32`.
    `matrix_flushes_denormals`: the matrix cores take denormal numbers of f16 and bf16, and give such sums of
    them, as 0 (AMD's MIOpen documentation, "MI200 matrix fused multiply-add behavior specifics").
    """

    chip: str
    product: str
    compute_units: int
    xcds: int
    clock_hz: int
    l2_bytes: int
    infinity_cache_bytes: int = 0
    infinity_cache_bytes_per_second: int = 0
    memory_bytes_per_second: int
    lds_bytes: int
    lds_unit: int
    lds_banks: int
    lds_bytes_per_clock: int
    special_functions: int
    matrix_instructions: tuple[MatrixInstruction, ...]
    direct_to_lds_bytes: int
    has_transposed_lds_reads: bool
    has_bf16_conversions: bool
    has_permlane_swaps: bool
    matrix_flushes_denormals: bool = False

    wave_size: int = 64
    simds: int = 4
    """SIMDs of a compute unit; a wave stays on one."""
    waves_per_simd: int = 8
    """The most waves that are resident on a SIMD."""
    registers: int = 512
    """Vector registers of a SIMD, of 4 bytes for each of 64 lanes, which its waves share."""
    registers_per_wave: int = 512
    """The most vector registers that a wave may have: half for any instruction (VGPRs), half for accumulation
    (AGPRs)."""
    vgprs_per_wave: int = 256
    register_unit: int = 8
    """Vector registers are given to a wave in multiples of this many."""
    scalar_registers: int = 800
    """Scalar registers of a SIMD."""
    scalar_register_unit: int = 16
    threads_per_workgroup: int = 1024
    barriers: int = 16
    """The most workgroups of several waves that are resident on a compute unit."""

    @property
    def loads_tiles_directly(self) -> bool:
        """Whether tiles may go straight into LDS, and be turned when they are read there."""
        return self.direct_to_lds_bytes >= 16 and self.has_transposed_lds_reads

    def instructions_for(self, dtype: str) -> tuple[MatrixInstruction, ...]:
        """The matrix instructions for operands of this type; none where the matrix cores do not take it."""
        return tuple(each for each in self.matrix_instructions if each.dtype == dtype)

    def flops_per_clock(self, dtype: str) -> int:
        """Operations of a compute unit's matrix cores per clock on operands of this type; 0 for none."""
        rates = [self.simds * each.flops // each.cycles for each in self.instructions_for(dtype)]
        return max(rates, default=0)

    def peak_flops(self, dtype: str) -> float:
        """Operations of all matrix cores per second on operands of this type."""
        return float(self.flops_per_clock(dtype) * self.compute_units * self.clock_hz)


def _mfma(spelling: str, *rows: tuple[int, int, int, str, str, int]) -> tuple[MatrixInstruction, ...]:
    """Instructions by m, n, k, type of operands, suffix and cycles; sums are f64 for f64, else f32."""
    found = []
    for m, n, k, dtype, suffix, cycles in rows:
        sum_dtype = "f64" if dtype == "f64" else "f32"
        name = spelling.format(sum=sum_dtype, m=m, n=n, k=k, suffix=suffix)
        found.append(
            MatrixInstruction(name=name, m=m, n=n, k=k, dtype=dtype, sum_dtype=sum_dtype, cycles=cycles)
        )
    return tuple(found)


_CDNA2, _CDNA3 = "v_mfma_{sum}_{m}x{n}x{k}{suffix}", "v_mfma_{sum}_{m}x{n}x{k}_{suffix}"

GFX90A = AmdTarget(
    name="amd:gfx90a",
    chip="gfx90a",
    product="MI250, one of two dies",
    compute_units=104,
    xcds=1,
    clock_hz=1700 * MHZ,
    l2_bytes=8 * MIB,
    memory_bytes_per_second=1638 * GB,
    lds_bytes=64 * KIB,
    lds_unit=512,
    lds_banks=32,
    lds_bytes_per_clock=128,
    special_functions=16,
    matrix_instructions=_mfma(
        _CDNA2,
        (16, 16, 4, "f64", "f64", 32),
        (16, 16, 4, "f32", "f32", 32),
        (32, 32, 2, "f32", "f32", 64),
        (16, 16, 16, "f16", "f16", 32),
        (32, 32, 8, "f16", "f16", 64),
        (16, 16, 16, "bf16", "bf16_1k", 32),
        (32, 32, 8, "bf16", "bf16_1k", 64),
    ),
    direct_to_lds_bytes=4,
    has_transposed_lds_reads=False,
    has_bf16_conversions=False,
    has_permlane_swaps=False,
    matrix_flushes_denormals=True,
)
GFX942 = AmdTarget(
    name="amd:gfx942",
    chip="gfx942",
    product="MI300X",
    compute_units=304,
    xcds=8,
    clock_hz=2100 * MHZ,
    l2_bytes=4 * MIB,
    infinity_cache_bytes=256 * MIB,
    infinity_cache_bytes_per_second=17200 * GB,
    memory_bytes_per_second=5300 * GB,
    lds_bytes=64 * KIB,
    lds_unit=512,
    lds_banks=32,
    lds_bytes_per_clock=128,
    special_functions=16,
    matrix_instructions=_mfma(
        _CDNA3,
        (16, 16, 4, "f64", "f64", 32),
        (16, 16, 4, "f32", "f32", 32),
        (32, 32, 2, "f32", "f32", 64),
        (16, 16, 8, "xf32", "xf32", 16),
        (32, 32, 4, "xf32", "xf32", 32),
        (16, 16, 16, "f16", "f16", 16),
        (32, 32, 8, "f16", "f16", 32),
        (16, 16, 16, "bf16", "bf16", 16),
        (32, 32, 8, "bf16", "bf16", 32),
    ),
    direct_to_lds_bytes=4,
    has_transposed_lds_reads=False,
    has_bf16_conversions=False,
    has_permlane_swaps=False,
)
GFX950 = AmdTarget(
    name="amd:gfx950",
    chip="gfx950",
    product="MI355X",
    compute_units=256,
    xcds=8,
    clock_hz=2400 * MHZ,
    l2_bytes=4 * MIB,
    infinity_cache_bytes=256 * MIB,
    infinity_cache_bytes_per_second=17200 * GB,
    memory_bytes_per_second=8000 * GB,
    lds_bytes=160 * KIB,
    lds_unit=1280,
    lds_banks=64,
    lds_bytes_per_clock=256,
    special_functions=32,
    matrix_instructions=_mfma(
        _CDNA3,
        (16, 16, 4, "f64", "f64", 64),
        (16, 16, 4, "f32", "f32", 32),
        (32, 32, 2, "f32", "f32", 64),
        (16, 16, 16, "f16", "f16", 16),
        (32, 32, 8, "f16", "f16", 32),
        (16, 16, 32, "f16", "f16", 16),
        (32, 32, 16, "f16", "f16", 32),
        (16, 16, 16, "bf16", "bf16", 16),
        (32, 32, 8, "bf16", "bf16", 32),
        (16, 16, 32, "bf16", "bf16", 16),
        (32, 32, 16, "bf16", "bf16", 32),
    ),
    direct_to_lds_bytes=16,
    has_transposed_lds_reads=True,
    has_bf16_conversions=True,
    has_permlane_swaps=True,
)

NAMED_TARGETS = {target.name: target for target in (GFX90A, GFX942, GFX950)}


def named_target(name: str) -> AmdTarget:
    """The target of a name such as "amd:gfx942"; `BackendError` for one that is not known."""
    if name not in NAMED_TARGETS:
        raise BackendError(f"unknown target '{name}' (targets: {', '.join(NAMED_TARGETS)})")
    return NAMED_TARGETS[name]


def target_of(chip: str) -> AmdTarget:
    """The target of LLVM's name of a chip, such as "gfx942"; `BackendError` for one that is not known.

    Features after the name, as the HIP runtime appends them ("gfx942:sramecc+:xnack-"), do not matter.
    """
    return named_target(f"amd:{chip.partition(':')[0]}")
