"""The exceptions that aecompiler raises on purpose. Anything else that escapes is a bug."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecompiler.diagnostics import Diagnostic


class AecError(Exception):
    """Base of all errors of this package."""


class CompileError(AecError):
    """A program is invalid, or a pass refused it.

    `diagnostics` holds one entry per finding, in the order they were reported, each with severity, message,
    file, line and column. The text of the exception is the rendered diagnostics.
    """

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()):
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class ResourceError(CompileError):
    """A kernel needs more of a resource than the target has; with smaller tiles it may fit."""


class PipelineError(AecError, ValueError):
    """The text of a pass pipeline is malformed, or names an unknown pass or option."""


class UnsupportedError(AecError):
    """A valid program asks for something that is not built."""


class BackendError(AecError):
    """A backend is unknown, or its dependencies are missing on this machine."""
