"""The CPU backend's compiler half: a program to the LLVM dialect. `launch.py` runs what it emits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from aecompiler.backends.base import Executable
from aecompiler.backends.cpu import kernel_cache
from aecompiler.backends.cpu.code_quality import is_vectorized, optimization_level
from aecompiler.backends.cpu.host import host_target
from aecompiler.backends.cpu.kernel_cache import CachedKernel, CpuArtifact
from aecompiler.backends.cpu.memory_runtime import CALL
from aecompiler.backends.cpu.names import PREFIX
from aecompiler.backends.cpu.parallel_runtime import HELP
from aecompiler.backends.cpu.schedule import CHOOSE_LEVEL, CpuSchedule, pipeline_for
from aecompiler.backends.cpu.stacks import stack_need
from aecompiler.backends.cpu.target import CpuTarget
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.disk_cache import open_cache
from aecompiler.passes.infra import run_pipeline


class CpuBackend:
    """Programs as loops over vectors, or in their direct form; compiled by LLVM and run in this process."""

    target: ClassVar[CpuTarget] = host_target()
    memory: ClassVar[Literal["host"]] = "host"

    def schedule(self, options: Mapping[str, Any]) -> CpuSchedule:
        """The schedule with these options; see `CpuSchedule`."""
        return CpuSchedule.from_options(options)

    def pipeline(self, schedule: CpuSchedule) -> str:
        """Pipeline text that `aec-opt --pass-pipeline` replays."""
        return pipeline_for(schedule, self.target)

    def emit(self, module: Any, entry: str, schedule: CpuSchedule) -> CpuArtifact:
        """Lower `module` in place, unless the result is in the cache; the binary is its bytecode."""
        pipeline = self.pipeline(schedule)
        key, kernel = "", None
        if open_cache() is not None:
            key = kernel_cache.key_of(module, entry, pipeline, schedule.opt_level, self.target)
            kernel = kernel_cache.load(key)
        is_cached = kernel is not None
        if kernel is None:
            # The passes are imported, and so registered, where something is to be compiled.
            from aecompiler.backends.cpu import pipelines  # noqa: F401
            from aecompiler.backends.cpu.passes.vectorize_tiles import NOT_VECTORIZED
            from aecompiler.passes.attn_derive_chunked import NOT_CHUNKED, NOT_PROVED

            found = run_pipeline(module, pipeline)

            def reasons(mark: str) -> list[str]:
                texts = (diagnostic.message.partition(mark) for diagnostic in found)
                return [reason for _, found_mark, reason in texts if found_mark]

            lowered = bytecode_of(module)
            symbols = ir.SymbolTable(module.operation)
            level = schedule.opt_level
            if level == CHOOSE_LEVEL:
                level = optimization_level(module)
            metadata = {
                "opt_level": level,
                "parallel": HELP in symbols,
                "runtime": CALL in symbols,
                "stack": stack_need(module),
                "vectorized": is_vectorized(module),
                "not_vectorized": reasons(NOT_VECTORIZED),
                "not_chunked": reasons(NOT_CHUNKED),
                "not_proved": reasons(NOT_PROVED),
            }
            kernel = CachedKernel(lowered, b"", metadata)
        code = kernel.code
        chosen = [name for name in ("block_q", "block_kv", "chunk") if getattr(schedule, name)]
        if chosen:
            for reason in dict.fromkeys(kernel.metadata["not_vectorized"]):
                text = f"tiles of the chosen {' and '.join(chosen)} are not vectorized: {reason}"
                warnings.warn(text, stacklevel=3)
        if schedule.chunk:
            for reason in dict.fromkeys(kernel.metadata["not_chunked"]):
                warnings.warn(f"a recurrence is not taken in the chosen chunk: {reason}", stacklevel=3)
        for reason in dict.fromkeys(kernel.metadata["not_proved"]):
            warnings.warn(f"a recurrence is taken position by position: {reason}", stacklevel=3)
        return CpuArtifact(
            target=self.target.name,
            entry=PREFIX + entry,
            binary=code,
            metadata={**kernel.metadata, "threads": schedule.resolved(self.target).threads},
            render=lambda: _text(code),
            cache_key=key,
            is_cached=is_cached,
            cached_object=kernel.binary,
        )

    def load(self, artifact: CpuArtifact) -> Executable:
        """Make the artifact callable: by its object file from the cache, or else by LLVM in this process."""
        from aecompiler.backends.cpu.launch import CpuExecutable, find_code

        return CpuExecutable(find_code(artifact), artifact, artifact.metadata["threads"])


def _text(code: bytes) -> str:
    with ir.Context():
        return str(ir.Module.parse(code))


BACKEND = CpuBackend()
