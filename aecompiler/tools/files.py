"""Files of the tools: written so that a reader sees the old content or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import BinaryIO

from aecompiler.tools.errors import UsageError


def replace_file(path: str, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` make the content of `path`, which is replaced in one go: a failure leaves the old.

    A link stays one, and an old file keeps its mode. Raises `UsageError`.
    """
    try:
        if _is_device(path):
            with open(path, "wb") as file:
                write(file)
            return
        target = os.path.realpath(path)
        temporary = _temporary(target)
        try:
            with open(temporary, "xb") as file:
                write(file)
            if os.path.exists(target):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise _unwritable(path, error) from None


def check_writable(path: str) -> None:
    """Raises `UsageError` if `replace_file` could not write `path`: ask before long work."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(None, "Is a directory")
        if not _is_device(path):
            target = os.path.realpath(path)
            if not os.path.isdir(os.path.dirname(target)):
                raise UsageError(f"cannot write '{path}': no folder '{os.path.dirname(path)}'")
            temporary = _temporary(target)
            with open(temporary, "xb"):
                os.unlink(temporary)
    except OSError as error:
        raise _unwritable(path, error) from None


def _is_device(path: str) -> bool:
    """Whether `path` is a device or a pipe, which is written to and not replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _temporary(target: str) -> str:
    """A new name beside `target`: a file is replaced in one go only within its file system."""
    return f"{target}.{os.urandom(4).hex()}.tmp"


def _unwritable(path: str, error: OSError) -> UsageError:
    return UsageError(f"cannot write '{path}': {error.strerror or error}")
