"""aec-run: compile a program, run it on arrays from files or random ones, check it (`aec-run --help`).

This process only reads the flags; a supervised child does the work, so that a native crash or a hang of a
hand-written program ends with a message. Nothing here may import MLIR or numpy.
"""

from __future__ import annotations

import argparse
import sys

from aecompiler.tools.command_line import (
    OK,
    Parser,
    add_information,
    count,
    inform,
    natural,
    not_negative,
    run_tool,
    seconds,
)
from aecompiler.tools.errors import FlagError
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter, run_supervised

PROG = "aec-run"
_FOR_A_RUN = (
    *("input", "dim", "shape", "seed", "cast", "target", "function", "simulate", "option"),
    *("output", "print", "check", "tolerance", "time", "repeat", "plot_mask", "plot_tile"),
)

DESCRIPTION = """\
Compile an attention program, run it, and print, save or check its results:

  aec-run alibi.mlir --dim B=2 --dim S=128 --check
  aec-run model.py:attention --input q=q.npy --input kv.safetensors --input scale=0.125 --output o.npy

PROGRAM is a file of MLIR, or an object of a Python file or module: a program (@aec.program), or a function
without required parameters that returns one."""

EPILOG = """
Exit status: 0 success, 1 the program is invalid or --check failed, 2 bad usage, input or output, 3 internal
error (a bug, a native crash, or a hang)."""


def build_parser() -> Parser:
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
    add("--seed", metavar="N", type=natural, help="of the random inputs (default: 0)")
    add("--cast", action="store_true", help="round floats in files to the argument's type")
    add = parser.add_argument_group("compilation").add_argument
    add("--target", metavar="NAME", help="compile for this target (default: cpu)")
    add("--function", metavar="NAME", help="the function of a .mlir file with several")
    add(
        "--simulate",
        action="store_true",
        help="execute the target's code in a simulator, which needs no chip of it and says nothing of time "
        "(amd:gfx942 and the like)",
    )
    add(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the target's schedule, as block_q=32; repeatable",
    )
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
        type=not_negative,
        help="largest error relative to a result's largest value (default: f64 1e-10, f32 2e-5, f16 2e-3, "
        "bf16 1.6e-2)",
    )
    add(
        "--plot-mask",
        metavar="FILE.png",
        help="draw which tiles of each mask are full, partial and empty (needs matplotlib)",
    )
    add(
        "--plot-tile",
        metavar="ROWSxKEYS",
        help="the tiles of --plot-mask (default: 64x64)",
    )
    add("--mlir", action="store_true", help="print the program as MLIR, as aec-opt takes it, and run nothing")
    add("--time", action="store_true", help="print the median time of a call, after a warm-up")
    add("--repeat", metavar="N", type=count, help="calls that --time measures (default: 20)")
    other = parser.add_argument_group("other")
    other.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=0.0,
        help="end a run that takes longer, with status 3 (default: no limit)",
    )
    add_information(other)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 invalid or check failed, 2 usage, 3 internal error."""
    return run_tool(PROG, lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    if inform(args, _help):
        return OK
    if args.program is None:
        raise FlagError("expects a PROGRAM")
    _check_conflicts(args, parser)
    return run_supervised(PROG, lambda report: _work(args, report), args.timeout)


def _check_conflicts(args: argparse.Namespace, parser: Parser) -> None:
    """Refuse flags that would do nothing, and fill in the defaults of those that are not given."""
    if args.mlir:
        for flag in _FOR_A_RUN:
            if getattr(args, flag) != parser.get_default(flag):
                raise FlagError(f"--mlir and --{flag.replace('_', '-')} exclude each other")
    for flag, other in (("tolerance", "check"), ("repeat", "time"), ("plot_tile", "plot_mask")):
        if getattr(args, flag) is not None and not getattr(args, other):
            names = [name.replace("_", "-") for name in (flag, other)]
            raise FlagError(f"--{names[0]} expects --{names[1]} beside it")
    if args.simulate and args.time:
        raise FlagError("--simulate and --time exclude each other: a simulator counts instructions, not time")
    args.seed = args.seed or 0
    args.target = args.target or "cpu"
    args.repeat = args.repeat or 20
    args.plot_tile = args.plot_tile or "64x64"


def _help() -> str:
    from aecompiler.tools.run_values import HELP

    return f"{build_parser().format_help()}\n{HELP}\n{EPILOG}\n"


def _work(args: argparse.Namespace, report: Reporter) -> int:
    from aecompiler.tools.run_driver import run

    status = run(args, report)
    write_stdout("")  # what the user's Python has printed
    return status


if __name__ == "__main__":
    sys.exit(main())
