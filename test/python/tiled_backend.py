"""A target `tiled`: programs in the tile form, run on the CPU as they stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aecompiler.backends.base import register_backend
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers the passes)
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.backends.cpu.schedule import CpuSchedule
from aecompiler.passes.infra import run_pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class TiledSchedule(CpuSchedule):
    """The options of passes as text: of `attn-derive-online`, of `attn-tile`, of `attn-tile-chunked`, and of
    `attn-fuse-elementwise`, without which there is no fusion."""

    derive: str = "max-passes=16"
    tile: str = "block-q=16 block-kv=16"
    fuse: str = ""
    chunked: str = ""


class TiledBackend(CpuBackend):
    """The CPU backend, without vectorising tiles."""

    def schedule(self, options: Mapping[str, Any]) -> TiledSchedule:
        return TiledSchedule.from_options({"opt_level": 0, **options})

    def pipeline(self, schedule: TiledSchedule) -> str:
        from aecompiler.backends.cpu.pipelines import lower_tensors

        front = _front(schedule.tile, schedule.fuse, schedule.derive)
        steps = [
            *front,
            f"attn-tile-chunked{{{schedule.chunked}}}",
            "convert-attn-to-linalg",
            lower_tensors(),
        ]
        return f"builtin.module({','.join(steps)})"


def _front(tile: str, fuse: str, derive: str = TiledSchedule.derive) -> list[str]:
    steps = ["attn-guard-operations", f"attn-derive-online{{{derive}}}", f"attn-tile{{{tile}}}"]
    return [*steps, f"attn-fuse-elementwise{{{fuse}}}"] if fuse else steps


def tile_level(program: Any, fuse: str = "", tile: str = TiledSchedule.tile) -> str:
    """The tile form of a program of the builder as text, simplified."""
    import io

    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context

    source = io.BytesIO()
    program.module.operation.write_bytecode(source)
    with make_context():
        module = ir.Module.parse(source.getvalue())
        run_pipeline(module, f"builtin.module({','.join([*_front(tile, fuse), 'canonicalize', 'cse'])})")
        return str(module)


BACKEND = TiledBackend()
register_backend("tiled", __name__)
