"""The CPU backend's compiler half: a program to the LLVM dialect. `launch.py` runs what it emits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

from aecompiler.backends.base import Artifact, Executable
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.host import host_target
from aecompiler.backends.cpu.parallel_runtime import HELP
from aecompiler.backends.cpu.passes.prepare_functions import PREFIX
from aecompiler.backends.cpu.schedule import CpuSchedule
from aecompiler.backends.cpu.target import CpuTarget
from aecompiler.bindings import ir
from aecompiler.passes.infra import run_pipeline


class CpuBackend:
    """Direct lowering to LLVM, compiled and run in this process."""

    target: ClassVar[CpuTarget] = host_target()

    def schedule(self, options: Mapping[str, Any]) -> CpuSchedule:
        """The schedule with these options; see `CpuSchedule`."""
        return CpuSchedule.from_options(options)

    def pipeline(self, schedule: CpuSchedule) -> str:
        """Pipeline text that `aec-opt --pass-pipeline` replays."""
        block_q = schedule.resolved(self.target).block_q
        return f"builtin.module(attn-cpu-reference{{block-q={block_q}}})"

    def emit(self, module: Any, entry: str, schedule: CpuSchedule) -> Artifact:
        """Lower `module` in place; the artifact's binary is the bytecode of the result."""
        run_pipeline(module, self.pipeline(schedule))
        buffer = io.BytesIO()
        module.operation.write_bytecode(buffer)
        code = buffer.getvalue()
        return Artifact(
            target=self.target.name,
            entry=PREFIX + entry,
            binary=code,
            metadata={
                "opt_level": schedule.opt_level,
                "threads": schedule.resolved(self.target).threads,
                "parallel": HELP in ir.SymbolTable(module.operation),
            },
            render=lambda: _text(code),
        )

    def load(self, artifact: Artifact) -> Executable:
        """Compile the artifact to machine code in this process."""
        from aecompiler.backends.cpu.launch import CpuExecutable, JitCode

        return CpuExecutable(JitCode(artifact), artifact, artifact.metadata["threads"])


def _text(code: bytes) -> str:
    from aecompiler.bindings import ir

    with ir.Context():
        return str(ir.Module.parse(code))


BACKEND = CpuBackend()
