"""aec-run: compile a program, run it on arrays from files or random ones, check it (`aec-run --help`).

This process only reads the flags; a supervised child does the work, so that a native crash or a hang of a
hand-written program ends with a message. Nothing here may import MLIR or numpy.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import Any

from aecompiler.tools.command_line import FAILED, INTERNAL, OK, USAGE, Parser
from aecompiler.tools.errors import UsageError
from aecompiler.tools.supervise import Reporter, supervise

PROG = "aec-run"

DESCRIPTION = """\
Compile an attention program, run it, and print, save or check its results:

  aec-run alibi.mlir --dim B=2 --dim S=128 --check
  aec-run model.py:attention --input q=q.npy --input kv.safetensors --input scale=0.125 --output o.npy

PROGRAM is a file of MLIR, or an object of a Python file or module: a program (@aec.program), or a function
without arguments that returns one."""

EPILOG = """
Exit status: 0 success, 1 the program is invalid or --check failed, 2 bad usage, input or output, 3 internal
error (a bug, a native crash, or a hang)."""


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = Parser(PROG, DESCRIPTION)
    parser.add_argument(
        "program", metavar="PROGRAM", nargs="?", help="FILE.mlir, FILE.py:NAME or MODULE:NAME"
    )
    add = parser.add_argument_group("inputs").add_argument
    add(
        "--input",
        metavar="[NAME=]VALUE",
        action="append",
        default=[],
        help="the value of an argument (see below); an .npz or .safetensors file without a name gives all of "
        "its entries that are arguments; repeatable",
    )
    add(
        "--dim",
        metavar="NAME=SIZE",
        action="append",
        default=[],
        help="the size of a named dimension; repeatable",
    )
    add(
        "--shape",
        metavar="NAME=AxBxC",
        action="append",
        default=[],
        help="the shape of an argument, as q=2x8x128x64; repeatable",
    )
    add("--seed", metavar="N", type=_natural, default=0, help="of the random inputs (default: 0)")
    add("--cast", action="store_true", help="round floats in files to the argument's type")
    add = parser.add_argument_group("compilation").add_argument
    add("--target", metavar="NAME", default="cpu", help="compile for this target (default: cpu)")
    add("--function", metavar="NAME", help="the function of a .mlir file with several")
    add = parser.add_argument_group("results").add_argument
    add(
        "--output",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help="write the results, or the one named, to .npy, .npz or .safetensors (in the first two bf16 is "
        "float32); repeatable",
    )
    add("--print", action="store_true", help="print the elements of the results")
    add(
        "--check",
        action="store_true",
        help="compare with the float64 reference; exit with 1 above the tolerance, and if an unmasked "
        "element reads a tensor out of bounds",
    )
    add(
        "--tolerance",
        metavar="X",
        type=_positive,
        help="largest error relative to a result's largest value (default: f64 1e-10, f32 2e-5, f16 2e-3, "
        "bf16 1.6e-2)",
    )
    add("--mlir", action="store_true", help="print the program as MLIR, as aec-opt takes it, and run nothing")
    add("--time", action="store_true", help="print the median time of a call, after a warm-up")
    add("--repeat", metavar="N", type=_natural, default=20, help="calls that --time measures (default: 20)")
    add = parser.add_argument_group("other").add_argument
    add(
        "--timeout",
        metavar="SECONDS",
        type=_positive,
        default=0.0,
        help="end a run that takes longer, with status 3 (default: no limit)",
    )
    add("-h", "--help", action="store_true", help="print this text")
    return parser


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expects a whole number, got '{text}'")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expects a number of at least 0, got '{text}'")
    return value


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 invalid or check failed, 2 usage, 3 internal error."""
    try:
        args = build_parser().parse_args(sys.argv[1:] if argv is None else argv)
        if args.help:
            sys.stdout.write(_help())
            return OK
        if args.program is None:
            raise UsageError("expects a PROGRAM")
    except UsageError as error:
        return usage(error)
    outcome = supervise(lambda report: _work(args, report), args.timeout)
    if outcome.status is None:
        doing = outcome.facts.get("doing", "starting")
        sys.stderr.write(f"{PROG}: internal error: {doing} {outcome.describe(args.timeout)}\n")
        return INTERNAL
    return outcome.status


def _help() -> str:
    from aecompiler.tools.run_values import HELP

    return f"{build_parser().format_help()}\n{HELP}\n{EPILOG}\n"


def usage(error: Exception) -> int:
    """Report a mistake of the user."""
    sys.stderr.write(f"{PROG}: error: {error}\nrun '{PROG} --help' for the flags\n")
    return USAGE


def _work(args: Any, report: Reporter) -> int:
    from aecompiler.errors import AecError, BackendError
    from aecompiler.tools.run_driver import run

    try:
        return run(args, report)
    except (UsageError, BackendError) as error:
        return usage(error)
    except AecError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except BrokenPipeError:
        return OK
    except KeyboardInterrupt:
        raise
    except BaseException:
        sys.stderr.write(f"{PROG}: internal error:\n")
        traceback.print_exc()
        return INTERNAL


if __name__ == "__main__":
    sys.exit(main())
