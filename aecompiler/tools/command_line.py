"""What the command lines of the tools share."""

from __future__ import annotations

import argparse
from typing import NoReturn


class UsageError(Exception):
    """A mistake in the command line or in a file that it names."""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` for a bad command line, where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        """Report `message`."""
        raise UsageError(message)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """The help's layout."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=110)
