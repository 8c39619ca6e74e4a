"""A target `tiled`: softmax programs in the tile form, run on the CPU as they stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from streaming_forms import stream_softmax

from aecompiler.backends.base import Artifact, register_backend
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.backends.cpu.pipelines import lower_tensors
from aecompiler.backends.cpu.schedule import CpuSchedule
from aecompiler.passes.infra import run_pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class TiledSchedule(CpuSchedule):
    """The options of `attn-tile` and `attn-fuse-elementwise` as text; without `fuse` nothing is fused."""

    tile: str = "block-q=16 block-kv=16"
    fuse: str = ""


class TiledBackend(CpuBackend):
    """The CPU backend, with `attn.attention` as the online softmax on tiles."""

    def schedule(self, options: Mapping[str, Any]) -> TiledSchedule:
        return TiledSchedule.from_options({"opt_level": 0, **options})

    def pipeline(self, schedule: TiledSchedule) -> str:
        steps = ["cpu-guard-operations", f"attn-tile{{{schedule.tile}}}"]
        if schedule.fuse:
            steps.append(f"attn-fuse-elementwise{{{schedule.fuse}}}")
        steps += ["convert-attn-to-linalg", lower_tensors()]
        return f"builtin.module({','.join(steps)})"

    def emit(self, module: Any, entry: str, schedule: TiledSchedule) -> Artifact:
        stream_softmax(module)
        return super().emit(module, entry, schedule)


def tile_level(program: Any, fuse: str = "", tile: str = TiledSchedule.tile) -> str:
    """The tile form of a program of the builder as text, simplified."""
    import io

    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context

    source = io.BytesIO()
    program.module.operation.write_bytecode(source)
    with make_context():
        module = ir.Module.parse(source.getvalue())
        stream_softmax(module)
        fusion = f"attn-fuse-elementwise{{{fuse}}}," if fuse else ""
        run_pipeline(
            module,
            f"builtin.module(cpu-guard-operations,attn-tile{{{tile}}},{fusion}canonicalize,cse)",
        )
        return str(module)


BACKEND = TiledBackend()
register_backend("tiled", __name__)
