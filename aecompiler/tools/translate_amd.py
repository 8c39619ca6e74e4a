"""aec-translate for AMD's chips, by both roads to them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from aecompiler.backends.amd import mlir_road, triton_road
from aecompiler.backends.amd.artifact import KernelCode
from aecompiler.backends.amd.backend import AmdBackend, facts_of, find_backend
from aecompiler.backends.amd.report import KernelReport, report_of
from aecompiler.backends.amd.schedule import AmdSchedule
from aecompiler.backends.triton.kernel_text import KernelText
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline
from aecompiler.tools.errors import UsageError
from aecompiler.tools.translation import KernelTranslation

FORMS = {
    "triton": ("tt", "ttg", "llvm", "asm", "hsaco", "archive"),
    "mlir": ("tt", "vector", "gpu", "rocdl", "llvm", "asm", "hsaco", "archive"),
}
"""The forms on each road."""

_STAGES = {"ttg": "ttgir", "llvm": "llir"}
"""Texts that Triton's stages make, by the form that they are asked for as."""

_FORMS_OF_LANES = ("vector", "gpu", "rocdl", "llvm")
"""Forms of the road "mlir" before code."""


@dataclasses.dataclass(frozen=True)
class Made:
    """What was made of a kernel: a text before its code, or its code and the texts on the way."""

    text: str = ""
    code: KernelCode | None = None
    stages: dict[str, str] = dataclasses.field(default_factory=dict)


class AmdTranslation(KernelTranslation):
    """One file on its way to AMD's machine code."""

    BINARY: ClassVar[str] = "hsaco"
    KERNEL_OPTIONS: ClassVar[tuple[str, ...]] = (
        *("road", "waves", "num_stages"),
        *("matrix_rows", "waves_per_simd", "kpack"),
    )
    WORD_OPTIONS: ClassVar[tuple[str, ...]] = ("road",)

    def check(self) -> None:
        """Refuse a form that is not on the road."""
        road = self._schedule().chosen_road
        if self.args.emit not in (None, *FORMS[road]):
            raise UsageError(
                f"--emit={self.args.emit}: target '{self.args.target}' has the forms "
                f"{', '.join(FORMS[road])} on the road '{road}'"
            )

    def _schedule(self) -> AmdSchedule:
        return self.schedule(self.backend())

    def backend(self) -> AmdBackend:
        """The target's backend."""
        return find_backend(self.args.target)

    def renamed(self, options: dict[str, Any]) -> dict[str, Any]:
        """Waves and stages as fields of `KernelText`; other options are the schedule's."""
        names = {"waves": "num_warps", "num_stages": "num_stages"}
        return {names[name]: value for name, value in options.items() if name in names}

    def module_text(self, module: ir.Module) -> str | None:
        """The module of kernels, or with these on whole tiles."""
        if self.args.emit != "vector":
            return super().module_text(module)
        from aecompiler.backends.amd import passes  # noqa: F401  (registers)

        with module.context:
            run_pipeline(module, mlir_road.TO_VECTORS)
        return f"{module}\n"

    def compiled(self, kernel: KernelText) -> Made:
        """The kernel by the chosen road, as far as is asked for."""
        schedule = self._schedule()
        facts = facts_of(kernel, schedule)
        if schedule.chosen_road == "triton":
            made = triton_road.compile_kernel(
                kernel.text,
                kernel.name,
                self.target,
                waves=facts["waves"],
                options=facts["options"],
                stage=kernel.stage,
                isolated=True,
                timeout=self.args.timeout,
            )
            return Made(code=made.code, stages=made.stages)
        if kernel.stage != "ttir":
            raise UsageError(f"'{self.name}' has layouts, which the road 'mlir' does not read")
        with make_context(allow_unregistered_dialects=True):
            text = ""
            if self.args.emit in _FORMS_OF_LANES:
                text = mlir_road.text_of(ir.Module.parse(kernel.text), self.target, facts, self.args.emit)
                if not self.args.report:
                    return Made(text)
            module = ir.Module.parse(kernel.text)
            codes = mlir_road.compile_kernels(module, self.target, facts, timeout=self.args.timeout)
            return Made(text, codes[kernel.name])

    def text(self, made: Made) -> str:
        """A text on the way, or the assembly."""
        if self.args.emit == "asm":
            return _code(made).assembly
        return made.text or made.stages[_STAGES[self.args.emit]]

    def binary(self, made: Made) -> tuple[bytes, dict[str, Any]]:
        """The code object, and what a launch must know."""
        code = _code(made)
        facts = {
            "threads": code.threads,
            "shared_bytes": code.shared,
            "arguments": code.arguments,
            "spans": code.spans,
        }
        return code.binary, facts

    def report_of(self, made: Made) -> KernelReport:
        """What the machine code is like."""
        return report_of(_code(made), self.target)


def _code(made: Made) -> KernelCode:
    if made.code is None:
        raise ValueError("the code was not made")
    return made.code
