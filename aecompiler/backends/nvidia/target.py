"""What the NVIDIA backend knows of a chip.

Limits of a multiprocessor, of a block and of a thread, and the rate of special functions, follow the tables
by compute capability in NVIDIA's CUDA C++ Programming Guide ("Technical Specifications per Compute
Capability", "Throughput of Native Arithmetic Instructions"); barriers, NVIDIA's occupancy calculator. What
differs between chips of one capability is that of the chip named in `chip`, from NVIDIA's documents on it:
the A100, GA102, Ada, H100 and RTX Blackwell architecture whitepapers, and the data sheets of the A40, L40S,
H200, HGX B200 and RTX PRO 6000. Rates of the tensor cores are for dense operands with sums in f32, and a
multiply-add counts as two operations; multiplied by `multiprocessors` and `clock_hz` they give the peaks that
those documents state.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from aecompiler.backends.base import Target
from aecompiler.errors import BackendError

KIB, MIB = 2**10, 2**20
MHZ, GB = 10**6, 10**9

MatrixInstruction = Literal["mma", "wgmma", "tcgen05"]
Version = tuple[int, ...]
"""A version of Triton, its first number first; () where none is known."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaTarget(Target):
    """A chip, as far as schedules depend on it; bytes, registers and rates are per multiprocessor (SM).

    `capability`: compute capability, major and minor; `chip`: the product that the other numbers belong to.
    `multiprocessors`, `clock_hz`, `l2_bytes`, `memory_bytes_per_second`: of the whole chip.
    `shared_bytes`: shared memory of an SM; `shared_bytes_per_block`: the most that one block may ask for;
    `reserved_shared_bytes`: what the system takes beside each block.
    `registers`: of an SM, 32 bits each; `registers_per_thread`: the most that one thread may have.
    `warps`, `blocks`: the most that are resident on an SM.
    `barriers`: those of an SM for threads of blocks, where their number limits that of blocks; else 0.
    `tensor_memory_bytes`: memory beside the tensor cores of Blackwell, 0 where there is none.
    `tensor_flops`: types of operands of the tensor cores, each with its floating-point operations per clock.
    `fma_flops`: operations of f32 multiply-adds outside of them, per clock.
    `special_functions`: exp2, log2, reciprocals, sines and tanh, per clock.
    `matrix_instruction`: "mma" (a warp, operands in registers), "wgmma" (four warps, operands in shared
    memory) or "tcgen05" (one thread, sums in tensor memory).
    `has_tma`: whether tensors are copied by descriptors, with barriers in shared memory that count bytes.
    `wrong_transposes`: the first version of Triton from which on products are guarded against transposes of
    other products' results (`tt-guard-transposes`), and the first that needs it no more.
    """

    capability: tuple[int, int]
    chip: str
    multiprocessors: int
    clock_hz: int
    l2_bytes: int
    memory_bytes_per_second: int
    shared_bytes: int
    shared_bytes_per_block: int
    reserved_shared_bytes: int = 1 * KIB
    registers: int = 64 * KIB
    registers_per_thread: int = 255
    warps: int
    blocks: int
    barriers: int = 0
    tensor_memory_bytes: int = 0
    tensor_flops: tuple[tuple[str, int], ...]
    fma_flops: int = 256
    special_functions: int = 16
    matrix_instruction: MatrixInstruction
    has_tma: bool
    wrong_transposes: tuple[Version, Version] | None = None

    warp_size: int = 32
    threads_per_block: int = 1024
    register_unit: int = 256
    """Registers are given to a warp in multiples of this many."""
    shared_unit: int = 128
    """Shared memory is given to a block in multiples of this many bytes."""

    @property
    def specializes_warps(self) -> bool:
        """Whether warps may have tasks of their own, with products of wgmma and copies by TMA."""
        return self.matrix_instruction == "wgmma" and self.has_tma

    def guards_transposes(self, triton: Version) -> bool:
        """Whether products are guarded against transposes of other products' results."""
        if self.wrong_transposes is None:
            return False
        first, fixed = self.wrong_transposes
        return not triton or first <= triton < fixed

    @property
    def arch(self) -> int:
        """The capability as one number: 90 of sm_90."""
        major, minor = self.capability
        return 10 * major + minor

    def flops_per_clock(self, dtype: str) -> int:
        """Operations of an SM's tensor cores per clock on operands of this type; 0 where there are none."""
        return dict(self.tensor_flops).get(dtype, 0)

    def peak_flops(self, dtype: str) -> float:
        """Operations of all tensor cores per second on operands of this type."""
        return float(self.flops_per_clock(dtype) * self.multiprocessors * self.clock_hz)


def _rates(*, bf16: int, tf32: int, fp8: int = 0) -> tuple[tuple[str, int], ...]:
    eight = (("f8e4m3", fp8), ("f8e5m2", fp8)) if fp8 else ()
    return (("f16", bf16), ("bf16", bf16), ("tf32", tf32), *eight)


SM_80 = NvidiaTarget(
    name="nvidia:sm_80",
    capability=(8, 0),
    chip="A100",
    multiprocessors=108,
    clock_hz=1410 * MHZ,
    l2_bytes=40 * MIB,
    memory_bytes_per_second=2039 * GB,
    shared_bytes=164 * KIB,
    shared_bytes_per_block=163 * KIB,
    warps=64,
    blocks=32,
    tensor_flops=_rates(bf16=2048, tf32=1024),
    fma_flops=128,
    matrix_instruction="mma",
    has_tma=False,
)
SM_86 = NvidiaTarget(
    name="nvidia:sm_86",
    capability=(8, 6),
    chip="A40",
    multiprocessors=84,
    clock_hz=1740 * MHZ,
    l2_bytes=6 * MIB,
    memory_bytes_per_second=696 * GB,
    shared_bytes=100 * KIB,
    shared_bytes_per_block=99 * KIB,
    warps=48,
    blocks=16,
    tensor_flops=_rates(bf16=1024, tf32=512),
    matrix_instruction="mma",
    has_tma=False,
)
SM_89 = NvidiaTarget(
    name="nvidia:sm_89",
    capability=(8, 9),
    chip="L40S",
    multiprocessors=142,
    clock_hz=2520 * MHZ,
    l2_bytes=96 * MIB,
    memory_bytes_per_second=864 * GB,
    shared_bytes=100 * KIB,
    shared_bytes_per_block=99 * KIB,
    warps=48,
    blocks=24,
    tensor_flops=_rates(bf16=1024, tf32=512, fp8=2048),
    matrix_instruction="mma",
    has_tma=False,
)
SM_90 = NvidiaTarget(
    name="nvidia:sm_90",
    capability=(9, 0),
    chip="H200",
    multiprocessors=132,
    clock_hz=1830 * MHZ,
    l2_bytes=50 * MIB,
    memory_bytes_per_second=4800 * GB,
    shared_bytes=228 * KIB,
    shared_bytes_per_block=227 * KIB,
    warps=64,
    blocks=32,
    barriers=64,
    tensor_flops=_rates(bf16=4096, tf32=2048, fp8=8192),
    matrix_instruction="wgmma",
    wrong_transposes=((3, 4), (3, 8)),
    has_tma=True,
)
SM_100 = NvidiaTarget(
    name="nvidia:sm_100",
    capability=(10, 0),
    chip="B200",
    multiprocessors=148,
    clock_hz=1850 * MHZ,
    l2_bytes=126 * MIB,
    memory_bytes_per_second=8000 * GB,
    shared_bytes=228 * KIB,
    shared_bytes_per_block=227 * KIB,
    warps=64,
    blocks=32,
    barriers=64,
    tensor_memory_bytes=256 * KIB,
    tensor_flops=_rates(bf16=8192, tf32=4096, fp8=16384),
    matrix_instruction="tcgen05",
    has_tma=True,
)
SM_120 = NvidiaTarget(
    name="nvidia:sm_120",
    capability=(12, 0),
    chip="RTX PRO 6000 Blackwell",
    multiprocessors=188,
    clock_hz=2617 * MHZ,
    l2_bytes=128 * MIB,
    memory_bytes_per_second=1792 * GB,
    shared_bytes=100 * KIB,
    shared_bytes_per_block=99 * KIB,
    warps=48,
    blocks=24,
    barriers=24,
    tensor_flops=_rates(bf16=1024, tf32=512, fp8=2048),
    matrix_instruction="mma",
    has_tma=True,
)

NAMED_TARGETS = {target.name: target for target in (SM_80, SM_86, SM_89, SM_90, SM_100, SM_120)}
"""The chips that code can be made for, whether one is here or not."""


def named_target(name: str) -> NvidiaTarget:
    """The target of a name such as "nvidia:sm_90"; `BackendError` for one that is not known."""
    if name not in NAMED_TARGETS:
        raise BackendError(f"unknown target '{name}' (targets: {', '.join(NAMED_TARGETS)})")
    return NAMED_TARGETS[name]


def target_of(capability: tuple[int, int]) -> NvidiaTarget:
    """The target of a compute capability; `BackendError` for one that is not known.

    Code of one capability does not run on another where it uses the instructions that only one architecture
    has, so that no neighbour stands in for what is missing here.
    """
    major, minor = capability
    return named_target(f"nvidia:sm_{major}{minor}")
