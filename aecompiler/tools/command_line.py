"""What the command lines of the tools share: exit statuses, flags and their values, and reporting mistakes.

Nothing here may import MLIR or numpy.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from aecompiler.tools.errors import FlagError, UsageError
from aecompiler.tools.streams import open_standard_streams, write_stdout

OK, FAILED, USAGE, INTERNAL = range(4)
"""Exit statuses: success; the input is invalid, or a check failed; bad usage, files included; a bug, a crash
or a hang."""

_INTERRUPTED = 130  # what a shell says of a process that SIGINT ended


class Parser(argparse.ArgumentParser):
    """The flags of a tool; raises `FlagError` where argparse would end the process."""

    def __init__(self, prog: str, description: str, *, usage: str | None = None, epilog: str | None = None):
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )

    def error(self, message: str) -> NoReturn:
        """Report `message`."""
        raise FlagError(message)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34, width=110)


def run_tool(prog: str, work: Callable[[], int]) -> int:
    """Call `work`, the main function of the tool `prog`: its exit status, or that of a mistake, reported."""
    open_standard_streams()
    try:
        return work()
    except UsageError as error:
        return usage(prog, error)
    except KeyboardInterrupt:
        return _INTERRUPTED


def add_information(group: argparse._ArgumentGroup) -> None:
    """The flags that every tool has, for `inform`."""
    group.add_argument("-h", "--help", action="store_true", help="print this text")
    group.add_argument(
        "--version", action="store_true", help="print the versions of aecompiler and MLIR's bindings"
    )


def inform(args: argparse.Namespace, help_text: Callable[[], str]) -> bool:
    """Print what --help or --version ask for; whether one of them was given."""
    if args.help or args.version:
        write_stdout(help_text() if args.help else version_text())
    return args.help or args.version


def usage(prog: str, error: Exception) -> int:
    """Report a mistake of the user; returns the exit status."""
    hint = f"\nrun '{prog} --help' for the flags" if isinstance(error, FlagError) else ""
    sys.stderr.write(f"{prog}: error: {error}{hint}\n")
    return USAGE


def version_text() -> str:
    """The versions of aecompiler and of the distribution that MLIR's bindings come from."""
    from aecompiler import bindings

    distributions = {"mlir": "mlir-python-bindings", "torch_mlir": "torch-mlir"}
    names = ("aecompiler", distributions.get(bindings.PREFIX, bindings.PREFIX))
    known = versions_of(names)
    return "".join(f"{name} {known.get(name, '(version unknown)')}\n" for name in names)


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    from importlib import metadata  # costs start-up time

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# ---- values of flags -----------------------------------------------------------------------------


def natural(text: str) -> int:
    """A whole number, 0 included, for argparse."""
    if not re.fullmatch("[0-9]{1,4000}", text):
        raise argparse.ArgumentTypeError(f"expects a whole number, got '{text}'")
    return int(text)


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"expects a whole number of at least 1, got '{text}'")
    return int(text)


def not_negative(text: str) -> float:
    """A finite number of at least 0, for argparse."""
    value = _float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expects a number of at least 0, got '{text}'")
    return value


def seconds(text: str) -> float:
    """A time limit, for argparse."""
    value = _float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"expects a number of seconds, 0 for no limit, got '{text}'")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def split_name(option: str, text: str, names: str) -> tuple[str, str]:
    """`NAME=VALUE` as two strings. Raises UsageError."""
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise UsageError(f"{option} expects {names}, got '{text}'")
    return name, value


def parse_shape(text: str, option: str = "--shape", example: str = "2x8x128x64") -> tuple[int, ...]:
    """`2x8x128x64` as a tuple. Raises UsageError."""
    if not re.fullmatch(r"[0-9]+([x,][0-9]+)*", text):
        raise UsageError(f"{option} expects sizes joined by x, as {example}, got '{text}'")
    return tuple(parse_size(option, size) for size in re.split("[x,]", text))


def parse_size(option: str, text: str) -> int:
    """A size of a dimension. Raises UsageError."""
    # More than 18 digits is more than an index holds.
    if not re.fullmatch("0*[0-9]{1,18}", text):
        raise UsageError(f"{option}: expects a size, got '{text}'")
    return int(text)


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """The options of repeated `--option NAME=VALUE`: true or false, whole numbers, and words."""
    found: dict[str, Any] = {}
    for text in texts:
        name, value = split_name("--option", text, "NAME=VALUE")
        if name in found:
            raise UsageError(f"--option {name} is given twice")
        found[name] = _option_value(value)
    return found


def _option_value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
