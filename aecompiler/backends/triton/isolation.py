"""Compiling a kernel by Triton in a process of its own, which may crash or hang without harm to this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aecompiler.backends.base import Target
from aecompiler.backends.isolated_calls import ProcessEnded, call_isolated
from aecompiler.backends.triton import complaints
from aecompiler.backends.triton.complaints import Source
from aecompiler.backends.triton.stages import refuse
from aecompiler.diagnostics import Diagnostic

Made = TypeVar("Made")


def compile_isolated(
    compile_kernel: Callable[..., Made],
    text: str,
    name: str,
    target: Target,
    *,
    timeout: float,
    **options: Any,
) -> Made:
    """What `compile_kernel(text, name, target, **options)` returns, in a process of its own."""
    try:
        doing = f"compiling kernel '{name}'"
        return call_isolated(compile_kernel, text, name, target, doing=doing, timeout=timeout, **options)
    except ProcessEnded as end:
        complaint = complaints.first_complaint(end.written, Source(text, ""))
        said = complaint.message if complaint else complaints.first_line(end.written)
        place = complaint or Diagnostic("error", "")
        message = f"{end.how}: {said}" if said else end.how
        found = Diagnostic("error", message, place.file, place.line, place.column)
        raise refuse(name, target.name, "Triton", found) from None
