"""The standard streams of the tools: a closed, full or broken one must not change the work or the status."""

from __future__ import annotations

import io
import os
import sys

from aecompiler.tools.errors import UsageError


def open_standard_streams() -> None:
    """Give closed standard streams a file, lest a pipe of ours takes their number and receives the output.

    Standard output is one that can't be written: losing the output must be an error. Losing what is said on
    standard error is none: nobody could be told, and the work is worth more.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDONLY if number < 2 else os.O_WRONLY)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    # Anything but the process's own stream was put there by somebody who wants to have it.
    if sys.stderr is sys.__stderr__ or sys.__stderr__ is None:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lossy(2, "w", closefd=False)),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )


def write_stdout(output: str | bytes) -> None:
    """Write to standard output, behind what Python holds back for it. Raises `UsageError`.

    A reader that has gone is no error: it has seen enough.
    """
    data = output.encode("utf-8", "surrogateescape") if isinstance(output, str) else output
    try:
        sys.stdout.flush()
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
    except BrokenPipeError:
        pass
    except OSError as error:
        raise UsageError(f"cannot write to standard output: {error.strerror or error}") from None
    except ValueError:
        raise UsageError("cannot write to standard output: it is closed") from None


class _Lossy(io.FileIO):
    """A file that drops what can't be written."""

    def write(self, data):  # type: ignore[no-untyped-def, override]
        """Write `data`, or not."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        return len(data) if written is None else written
