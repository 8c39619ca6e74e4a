"""Kernels in Triton's dialects to the binaries of NVIDIA's chips, by Triton's stages and its assembler.

What the assembler says is kept.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton import complaints, ptxas
from aecompiler.backends.triton.sass import disassemble, parse_blocks
from aecompiler.backends.triton.stages import Compilation, Machine, Stage, compilation
from aecompiler.backends.triton.wgmma_addresses import untold_descriptors
from aecompiler.backends.triton.wgmma_descriptors import separate_bases, shared_bases
from aecompiler.diagnostics import Diagnostic

_TENSOR_MEMORY_COLUMNS = 512


Copied = tuple[tuple[int, ...], int]
"""The box that is copied through a descriptor at a time, and the bytes of the swizzle."""

_SWIZZLES = (0, 32, 64, 128)
"""The bytes of a swizzle, by Triton's number for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledKernel:
    """A kernel for one chip, and what a launch of it needs to know.

    `stages`: the text at each stage, by Triton's names: "ttir" (only if it was given that), "ttgir", "llir",
    "ptx". `ptx`: what was assembled, Triton's but for descriptors of wgmma that ptxas computes wrongly
    (`wgmma_descriptors.py`).
    `shared`: bytes of dynamic shared memory; `num_warps`: of a block, those that Triton adds included;
    `threads`: of a block; `scratch`: how many pointers Triton appended to the kernel's parameters.
    `registers`: of a thread at the kernel's start; `spills`: bytes that a thread's instructions store to and
    load from memory for want of registers; `stack`: bytes of that memory.
    `static_shared`: bytes of shared memory beside the dynamic ones; `tensor_memory`: columns of it, on chips
    that have it; `barriers`: those for the threads of a block.
    `copies`: for each descriptor the box that is copied at a time, and the bytes of the swizzle.
    `warnings`: what the assembler warns of, as that wgmma instructions were serialized.
    """

    name: str
    cubin: bytes
    ptx: str
    stages: dict[str, str]
    shared: int
    num_warps: int
    threads: int
    scratch: int
    registers: int
    spills: int
    spill_stores: int = 0
    spill_loads: int = 0
    stack: int = 0
    static_shared: int = 0
    tensor_memory: int = 0
    barriers: int = 0
    copies: tuple[Copied, ...] = ()
    warnings: tuple[str, ...] = ()


def compile_kernel(
    text: str,
    name: str,
    target: NvidiaTarget,
    *,
    num_warps: int = 4,
    num_stages: int = 3,
    stage: Stage = "ttir",
    isolated: bool = False,
    timeout: float = 0.0,
) -> CompiledKernel:
    """Compile the kernel `name`, the only function of the module `text`.

    The text is as Triton 3.6 has it, also where later versions spell it in another way (`spellings.py`). At
    the stage "ttgir" the numbers of warps and stages are those of the text. `isolated` compiles in a
    process of its own, where LLVM's abort on some inputs, and a compilation of more than `timeout` seconds
    (0: no limit), become errors. Raises `CompileError`, which names the kernel and quotes what was complained
    about first, and `BackendError` where Triton is missing.
    """
    options = {"num_warps": num_warps, "num_stages": num_stages}
    if isolated:
        from aecompiler.backends.triton.isolation import compile_isolated

        return compile_isolated(compile_kernel, text, name, target, timeout=timeout, stage=stage, **options)
    with compilation(text, name, machine_of(target), stage) as found:
        return _compile(found, target, options)


def machine_of(target: NvidiaTarget) -> Machine:
    """A chip as Triton knows it."""
    return Machine(
        target=target.name,
        backend="cuda",
        arch=target.arch,
        lanes=target.warp_size,
        module="triton.backends.nvidia.compiler",
        assembly="ptx",
        registers=2 * (target.registers_per_thread + 1),  # half of them spilled, which still works
        block_registers=2 * target.registers,
        options={"arch": f"sm{target.arch}"},
    )


def _compile(work: Compilation, target: NvidiaTarget, options: dict[str, int]) -> CompiledKernel:
    parameters = work.lower(options)
    ptx, metadata = separate_bases(work.stages["ptx"]), work.metadata
    tensor_memory = metadata.get("tmem_size") or 0
    work.check_most("bytes of shared memory", metadata["shared"], target.shared_bytes_per_block)
    work.check_most("columns of tensor memory", tensor_memory, _TENSOR_MEMORY_COLUMNS)
    work.check_scratch()
    assembled = _assemble(work, ptx, target.arch)
    if shared_bases(ptx):
        _check_addresses(work, assembled.cubin)
    num_warps = metadata.get("num_warps", options["num_warps"])
    return CompiledKernel(
        name=work.name,
        cubin=assembled.cubin,
        ptx=ptx,
        stages=work.stages,
        shared=metadata["shared"],
        num_warps=num_warps,
        threads=num_warps * target.warp_size,
        scratch=_count_parameters(ptx, work.name) - parameters,
        registers=assembled.registers,
        spills=assembled.spill_stores + assembled.spill_loads,
        spill_stores=assembled.spill_stores,
        spill_loads=assembled.spill_loads,
        stack=assembled.stack,
        static_shared=assembled.static_shared,
        barriers=assembled.barriers,
        tensor_memory=tensor_memory,
        copies=tuple(_copied(each) for each in metadata.get("tensordesc_meta") or ()),
        warnings=assembled.warnings,
    )


def _assemble(work: Compilation, ptx: str, arch: int) -> ptxas.Assembled:
    from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability

    try:
        return ptxas.assemble(ptx, work.folder, get_ptxas(arch), sm_arch_from_capability(arch))
    except ptxas.AssemblyError as error:
        work.refuse("ptxas", complaints.first_ptxas_complaint(str(error), ptx, work.source), error)


def _check_addresses(work: Compilation, cubin: bytes) -> None:
    """Refuse a kernel that takes operands of wgmma from where its text does not say."""
    found = untold_descriptors(parse_blocks(disassemble(cubin), work.name))
    if found:
        work.refuse("ptxas", Diagnostic("error", f"computes the address of an operand too late: {found[0]}"))


def _copied(descriptor: dict[str, Any]) -> Copied:
    return tuple(descriptor["block_size"]), _SWIZZLES[descriptor["swizzle"]]


def _count_parameters(ptx: str, name: str) -> int:
    declared = re.search(rf"\.entry\s+{re.escape(name)}\s*\((?P<parameters>[^)]*)\)", ptx)
    return len(re.findall(r"\.param\b", declared["parameters"])) if declared else 0
