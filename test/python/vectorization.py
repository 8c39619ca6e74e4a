"""Which tile programs were vectorized, seen between the passes of the CPU's pipeline.

The target `watched` is the CPU, which counts them as it compiles.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from aecompiler.backends.base import register_backend
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.backends.cpu.kernel_cache import CpuArtifact
from aecompiler.backends.cpu.passes.vectorize_tiles import VectorizeTiles
from aecompiler.backends.cpu.schedule import CpuSchedule, pipeline_for
from aecompiler.backends.cpu.target import CpuTarget
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes import rewriting as rw
from aecompiler.passes.pipeline import Instrumentation, Pipeline


class TileCount(Instrumentation):
    """Counts tile programs: before `cpu-vectorize-tiles`, and what it leaves as they are."""

    before = left = 0

    def before_pass(self, step: Any, op: ir.Operation) -> None:
        if step.name == VectorizeTiles.NAME:
            self.before = tile_programs(op)

    def after_pass(self, step: Any, op: ir.Operation) -> None:
        if step.name == VectorizeTiles.NAME:
            self.left = tile_programs(op)


def tile_programs(module: ir.Operation) -> int:
    """The parallel loops of a module that yield tensors."""
    return sum(bool(len(loop.results)) for loop in rw.walk_list(module, "scf.forall"))


def run_to_vectors(module: ir.Module, text: str) -> tuple[TileCount, str]:
    """Run a pipeline up to and including `cpu-vectorize-tiles`; the tile programs, and the rest as text."""
    pipeline, count = Pipeline(text), TileCount()
    (step,) = (step for step in pipeline.steps if step.name == VectorizeTiles.NAME)
    pipeline.run(module, instrumentation=count, stop_before=step.index + 1)
    return count, pipeline.text(step.index + 1)


def count_tiles(program: Any, target: CpuTarget, **options: Any) -> TileCount:
    """The tile programs of a program of the builder, compiled up to and including `cpu-vectorize-tiles`."""
    source = io.BytesIO()
    program.module.operation.write_bytecode(source)
    with make_context():
        module = ir.Module.parse(source.getvalue())
        return run_to_vectors(module, pipeline_for(CpuSchedule.from_options(options), target))[0]


class WatchedBackend(CpuBackend):
    """The CPU backend; the metadata of what it emits has `tiles`, a `TileCount`."""

    def emit(self, module: Any, entry: str, schedule: CpuSchedule) -> CpuArtifact:
        count, rest = run_to_vectors(module, self.pipeline(schedule))
        artifact = _Rest(rest).emit(module, entry, schedule)
        return dataclasses.replace(artifact, metadata={**artifact.metadata, "tiles": count})


class _Rest(CpuBackend):
    """What is left of the pipeline."""

    def __init__(self, rest: str):
        self.rest = rest

    def pipeline(self, schedule: CpuSchedule) -> str:
        return self.rest


BACKEND = WatchedBackend()
register_backend("watched", __name__)
