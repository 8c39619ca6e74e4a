"""What aec-opt tells about itself: help, passes, dialects, versions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from aecompiler.dialect import make_context
from aecompiler.passes import options as opts
from aecompiler.passes.infra import PASSES, PIPELINES, NamedPipeline, options_of, summary
from aecompiler.passes.options import Option
from aecompiler.passes.pipeline import MODULE
from aecompiler.tools.opt_flags import EPILOG, build_parser

_WIDTH = 110
_NEUTRAL = "for every target"

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
    for group in _groups(PASSES, PIPELINES):
        for kind, registry in (("passes", PASSES), ("named pipelines", PIPELINES)):
            entries = [registry[name] for name in sorted(registry) if _group(registry[name]) == group]
            if entries:
                lines = [line for entry in entries for line in _entry(entry)]
                parts.append("\n".join([f"{kind} {group}:", *lines]))
    parts.append(EPILOG)
    return "\n\n".join(parts) + "\n"


def list_passes() -> str:
    """One line per pass and pipeline, below the line of its group: the name and the summary."""
    known: dict[str, Any] = {**PASSES, **PIPELINES}
    width = max(map(len, known), default=0)
    lines = []
    for group in _groups(PASSES, PIPELINES):
        lines.append(f"{group}:\n")
        for name in sorted(known):
            if _group(known[name]) == group:
                lines.append(f"  {name:{width}}  {summary(known[name])}\n")
    return "".join(lines)


def show_dialects() -> str:
    """The names of the dialects that can be parsed."""
    context = make_context()
    return "".join(f"{name}\n" for name in _DIALECTS.split() if _has_dialect(context, name))


def _groups(*registries: Mapping[str, Any]) -> list[str]:
    """The groups of passes and pipelines, those for every target first."""
    found = {_group(entry) for registry in registries for entry in registry.values()}
    return sorted(found, key=lambda group: (group != _NEUTRAL, group))


def _group(entry: Any) -> str:
    """Whom a pass or pipeline is for, by the package that it stands in."""
    package = (entry.build if isinstance(entry, NamedPipeline) else entry).__module__.split(".")
    if package[:2] == ["aecompiler", "backends"]:
        return f"of the {package[2].upper()} backend"
    return _NEUTRAL if package[0] == "aecompiler" else "of loaded modules"


def _entry(entry: Any) -> list[str]:
    named = isinstance(entry, NamedPipeline)
    name = entry.name if named else entry.NAME
    anchor = "" if named or entry.ANCHOR == MODULE else f" (on {entry.ANCHOR})"
    lines = [f"  --{name}{anchor}"]
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
