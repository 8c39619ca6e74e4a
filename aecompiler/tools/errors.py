"""The mistakes that the tools report in one line, and exceptions as one line."""

from __future__ import annotations


class UsageError(Exception):
    """A mistake in the command line or in a file that it names."""


class FlagError(UsageError):
    """A mistake in the command line that a look at the flags helps to mend."""


def describe(error: BaseException) -> str:
    """`Type: message`, the first line of it."""
    message = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
