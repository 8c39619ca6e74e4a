"""What aec-opt tells about itself: help, passes, dialects, versions."""

from __future__ import annotations

import textwrap
from typing import Any

from aecompiler import bindings
from aecompiler.dialect import make_context
from aecompiler.passes import options as opts
from aecompiler.passes.infra import PASSES, PIPELINES, NamedPipeline, options_of, summary
from aecompiler.passes.options import Option
from aecompiler.tools.opt_flags import EPILOG, build_parser

_WIDTH = 110

# The bindings can look up a dialect by name, but not list them: the dialects of MLIR, and ours.
_DIALECTS = (
    "acc affine amdgpu amx arith arm_neon arm_sme arm_sve async attn bufferization builtin cf complex "
    "dlti emitc func gpu index irdl linalg llvm math memref ml_program mpi nvgpu nvvm omp pdl "
    "pdl_interp ptr quant rocdl scf shape shard smt sparse_tensor spirv tensor tosa transform ub vcix "
    "vector wasmssa x86 x86vector xegpu xevm "
)


def help_text() -> str:
    """The flags, then every pass and named pipeline with its summary and options."""
    parts = [build_parser().format_help().rstrip()]
    parts.append("passes of aecompiler:\n" + "\n".join(_entries(PASSES)))
    if PIPELINES:
        parts.append(
            "named pipelines (they may stand inside any pipeline):\n" + "\n".join(_entries(PIPELINES))
        )
    parts.append(EPILOG)
    return "\n\n".join(parts) + "\n"


def list_passes() -> str:
    """One line per pass and pipeline: the name and the summary."""
    known: dict[str, Any] = {**PASSES, **PIPELINES}
    width = max(map(len, known), default=0)
    return "".join(f"{name:{width}}  {summary(known[name])}\n" for name in sorted(known))


def show_dialects() -> str:
    """The names of the dialects that can be parsed."""
    context = make_context()
    return "".join(f"{name}\n" for name in _DIALECTS.split() if _has_dialect(context, name))


def versions() -> str:
    """Of aecompiler and of the distribution that MLIR's bindings come from."""
    from importlib import metadata

    lines = []
    distributions = {"mlir": "mlir-python-bindings", "torch_mlir": "torch-mlir"}
    for name in ("aecompiler", distributions.get(bindings.PREFIX, bindings.PREFIX)):
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} (version unknown)")
    return "\n".join(lines) + "\n"


def _entries(registry: dict[str, Any]) -> list[str]:
    lines = []
    for name in sorted(registry):
        entry = registry[name]
        named = isinstance(entry, NamedPipeline)
        anchor = "" if named or entry.ANCHOR == "builtin.module" else f" (on {entry.ANCHOR})"
        lines.append(f"  --{name}{anchor}")
        lines += textwrap.wrap(summary(entry), _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        options = entry.options if named else options_of(entry)
        for option in options.values():
            lines += _option(option)
    return lines


def _option(option: Option) -> list[str]:
    head = f"      {option.key}=<{opts.metavar(option.type)}>"
    text = f"{option.help} (default: {opts.render(option.default)})"
    if len(head) < 36:
        return textwrap.wrap(
            text, _WIDTH, initial_indent=f"{head:38}", subsequent_indent=" " * 38, break_on_hyphens=False
        )
    return [head, *textwrap.wrap(text, _WIDTH, initial_indent=" " * 38, subsequent_indent=" " * 38)]


def _has_dialect(context: Any, name: str) -> bool:
    try:
        context.get_dialect_descriptor(name)
    except ValueError:
        return False
    return True
