"""aec-translate for NVIDIA's chips."""

from __future__ import annotations

from typing import Any, ClassVar

from aecompiler.backends.nvidia.backend import NvidiaBackend, find_backend
from aecompiler.backends.triton.compiler import CompiledKernel, compile_kernel
from aecompiler.backends.triton.kernel_text import KernelText
from aecompiler.backends.triton.report import KernelReport, report_of
from aecompiler.backends.triton.sass import disassemble
from aecompiler.tools.errors import UsageError
from aecompiler.tools.translation import KernelTranslation

FORMS = ("tt", "ttg", "llvm", "ptx", "cubin", "sass", "archive")
_STAGES = {"ttg": "ttgir", "llvm": "llir", "ptx": "ptx"}
"""Texts that Triton's stages make, by the form that they are asked for as."""


class NvidiaTranslation(KernelTranslation):
    """One file on its way to NVIDIA's machine code."""

    BINARY: ClassVar[str] = "cubin"
    KERNEL_OPTIONS: ClassVar[tuple[str, ...]] = ("num_warps", "num_stages")

    def check(self) -> None:
        """Refuse a form that the target does not have."""
        if self.args.emit not in (None, *FORMS):
            raise UsageError(
                f"--emit={self.args.emit}: target '{self.args.target}' has the forms {', '.join(FORMS)}"
            )

    def backend(self) -> NvidiaBackend:
        """The target's backend."""
        return find_backend(self.args.target)

    def compiled(self, kernel: KernelText) -> CompiledKernel:
        """The kernel by Triton's compiler."""
        return compile_kernel(
            kernel.text,
            kernel.name,
            self.target,
            num_warps=kernel.num_warps,
            num_stages=kernel.num_stages,
            stage=kernel.stage,
            isolated=True,
            timeout=self.args.timeout,
        )

    def text(self, made: CompiledKernel) -> str:
        """A stage, or the binary disassembled."""
        return disassemble(made.cubin) if self.args.emit == "sass" else made.stages[_STAGES[self.args.emit]]

    def binary(self, made: CompiledKernel) -> tuple[bytes, dict[str, Any]]:
        """The cubin, and what a launch must know."""
        facts = {"threads": made.threads, "shared_bytes": made.shared, "scratch_pointers": made.scratch}
        return made.cubin, facts

    def report_of(self, made: CompiledKernel) -> KernelReport:
        """What the machine code is like."""
        return report_of(made, self.target)
