"""aec-translate: a program to the code of a target, as text or binary, and a report on it.

This process only reads the flags; a supervised child does the work (`aec-translate --help`). Nothing here may
import MLIR.
"""

from __future__ import annotations

import argparse
import sys

from aecompiler.tools.command_line import (
    OK,
    Parser,
    add_information,
    inform,
    run_tool,
    seconds,
)
from aecompiler.tools.errors import FlagError
from aecompiler.tools.supervise import Reporter, run_supervised

PROG = "aec-translate"
FORMS = (
    *("tt", "ttg", "vector", "gpu", "rocdl"),
    *("llvm", "ptx", "asm", "cubin", "hsaco", "sass", "archive"),
)

DESCRIPTION = """\
Print the code that a program becomes for a target, at a stage of its way down:

  aec-translate alibi.mlir --target=nvidia:sm_90 --emit=ptx
  aec-translate alibi.mlir --target=nvidia:sm_90 --report
  aec-translate alibi.mlir --target=amd:gfx942 --emit=asm --option=road=triton
  aec-translate alibi.mlir --target=cpu --emit=llvm

FILE is a program as MLIR or in Python (FILE.py:NAME, as aec-run takes it), a module that has been lowered to
kernels (tt.func), or a kernel in Triton's own form (.ttir, .ttgir). No chip of the target is needed."""

EPILOG = """\
forms of --emit:
  tt      the module of kernels in Triton's dialect (of --kernel: as Triton gets it)
  ttg     after Triton's passes, with layouts
  vector  AMD, road mlir: kernels on vectors that are whole tiles
  gpu     AMD, road mlir: what one lane does
  rocdl   AMD, road mlir: the same in LLVM's dialect
  llvm    LLVM IR; of the CPU as well
  ptx     assembly of NVIDIA's virtual machine
  asm     assembly of AMD's chips
  cubin   NVIDIA's binary; with -o DIR/ a file for each kernel, and kernels.json with what a launch must know
  hsaco   AMD's, in the same way
  sass    NVIDIA's binary, disassembled
  archive one file with all that another machine needs to run the program, without MLIR and Triton
          (aecompiler.saved_kernel.load)

Exit status: 0 success, 1 the program is invalid or was refused, 2 bad usage, input or output, 3 internal
error (a bug, a native crash, or a hang)."""


def build_parser() -> Parser:
    """The flags."""
    parser = Parser(PROG, DESCRIPTION, epilog=EPILOG)
    parser.add_argument("file", metavar="FILE", nargs="?", help="the input; - reads MLIR from standard input")
    add = parser.add_argument_group("code").add_argument
    add(
        "--target", metavar="NAME", help="compile for this target: cpu, nvidia:sm_90, amd:gfx942 and the like"
    )
    add("--emit", metavar="FORM", choices=FORMS, help=f"print this form: {', '.join(FORMS)}")
    add(
        "-o", dest="output", metavar="FILE", default="-", help="write to this file (default: standard output)"
    )
    add("--function", metavar="NAME", help="the function of a program with several")
    add("--kernel", metavar="NAME", help="this kernel only, where the program becomes several")
    add(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the target's schedule, as block_q=128; of a kernel num_warps or num_stages (AMD: "
        "waves, and others); repeatable",
    )
    add = parser.add_argument_group("report").add_argument
    add(
        "--report",
        action="store_true",
        help="print registers, spills, shared memory, occupancy, and instructions of the main loop (beside "
        "--emit: on standard error)",
    )
    add("--json", action="store_true", help="print the report as JSON")
    other = parser.add_argument_group("other")
    other.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=0.0,
        help="give up compiling a kernel that takes longer (default: no limit)",
    )
    add_information(other)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 invalid, 2 usage, 3 internal error."""
    return run_tool(PROG, lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    if inform(args, parser.format_help):
        return OK
    _check(args)
    return run_supervised(PROG, lambda report: _work(args, report))


def _check(args: argparse.Namespace) -> None:
    if args.file is None:
        raise FlagError("expects a FILE")
    if args.target is None:
        raise FlagError("expects --target")
    if args.emit is None and not args.report:
        raise FlagError("expects --emit or --report")
    if args.json and not args.report:
        raise FlagError("--json expects --report beside it")
    if args.emit is None and args.output != "-":
        raise FlagError("-o expects --emit beside it")


def _work(args: argparse.Namespace, report: Reporter) -> int:
    from aecompiler.tools.translate_driver import translate

    return translate(args, report)


if __name__ == "__main__":
    sys.exit(main())
