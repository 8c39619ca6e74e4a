"""The `attn` dialect object, its context, and what all its verifiers share."""

import threading
from collections.abc import Callable

from aecompiler.bindings import declare_dialects, ext, ir

declare_dialects("attn")


class Attn(ext.Dialect, name="attn"):
    """Attention programs: what is computed for each query, before any order, tile or machine is chosen."""

    @classmethod
    def load(cls) -> None:
        """Register the dialect in the current context; a second call is a no-op."""
        try:
            super().load()
        except ext.DialectAlreadyLoadedError:
            return


_LOADING = threading.Lock()
"""Registering the ops writes to what all contexts of the process share."""


def make_context(*, allow_unregistered_dialects: bool = False) -> ir.Context:
    """A context with the `attn` dialect loaded.

    Threading is off: a Python verifier that runs on MLIR's threads deadlocks on the interpreter lock.
    """
    context = ir.Context()
    context.enable_multithreading(False)
    context.allow_unregistered_dialects = allow_unregistered_dialects
    with context, _LOADING:
        Attn.load()
    return context


class Invalid(Exception):
    """Raised inside a verifier: the op and the cause, reported as `'dialect.op' op <message>`."""

    def __init__(self, op, message: str):
        super().__init__(message)
        self.op, self.message = op, message


def verifier(check: Callable) -> Callable:
    """Turn a function that raises `Invalid` into a verifier hook.

    Python verifiers run before IRDL's structural checks, so a check looks at operand counts, blocks and
    terminators itself; a lookup error that gets this far is reported as malformed IR and never as success.
    """

    def verify(op) -> bool:
        try:
            check(op)
        except Invalid as error:
            error.op.location.emit_error(f"'{error.op.operation.name}' op {error.message}")
            return False
        except (IndexError, KeyError, AttributeError, TypeError, ValueError) as error:
            op.location.emit_error(f"'{op.operation.name}' op is malformed: {error}")
            return False
        return True

    verify.__name__, verify.__doc__ = check.__name__, check.__doc__
    return verify
