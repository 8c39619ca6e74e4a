"""The flags of aec-opt."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from aecompiler.tools.command_line import Parser, add_information, seconds
from aecompiler.tools.errors import FlagError, UsageError

PROG = "aec-opt"
_LONG_FLAG = re.compile(r"-[A-Za-z][\w-]+(=.*)?\Z", re.DOTALL)
_UPSTREAM_NAMES = re.compile(r"--mlir-(print-ir-(?:before|after)(?:-all|-change)?|timing)(?=\Z|=)")
_REPRODUCER_NAME = re.compile(r"--mlir-pass-pipeline-crash-reproducer(?=\Z|=)")
_PASS_FLAG = re.compile(r"--([A-Za-z][\w.-]*)(?:=.*)?\Z", re.DOTALL)

USAGE = "aec-opt [FILE] [--pass-pipeline=PIPELINE | --PASS[=OPTIONS]...] [flags]"
DESCRIPTION = """\
Read MLIR, run passes over it, and print the result. The passes of aecompiler, listed below, mix freely with
those of MLIR (https://mlir.llvm.org/docs/Passes), named pipelines, and nested anchors. Flags that are named
otherwise in mlir-opt can be given by that name.

  aec-opt program.mlir --attn-canonicalize --cse
  aec-opt program.mlir --pass-pipeline='builtin.module(attn-canonicalize,func.func(canonicalize,cse))'
"""
EPILOG = """\
Exit status: 0 success, 1 the input is invalid or a pass refused it, 2 bad usage or pipeline, 3 internal error
(a bug in a pass, a native crash, or a hang). Diagnostics go to stderr as file:line:col: error: message."""


class _Once(argparse.Action):
    """Store a value; a second one is an error rather than a silent winner."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        given = namespace.__dict__.setdefault("_given", set())
        if self.dest in given:
            raise FlagError(f"{option_string} is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise argparse.ArgumentTypeError(f"expects true or false, got '{text}'")
    return _BOOLEANS[text]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"expects pass names separated by commas, got '{text}'")
    return names


def build_parser() -> Parser:
    """The flags that are no passes."""
    parser = Parser(PROG, DESCRIPTION, usage=USAGE)
    yes: dict[str, Any] = {"action": "store_true"}

    add = parser.add_argument_group("input and output").add_argument
    add("input", nargs="*", metavar="FILE", help="MLIR text or bytecode; standard input when absent or -")
    add(
        "-o",
        dest="output",
        metavar="FILE",
        action=_Once,
        default="-",
        help="write here; untouched on failure",
    )
    add("--split-input-file", **yes, help="process the parts between '// -----' lines one by one")
    add("--allow-unregistered-dialect", **yes, help="accept operations of unknown dialects")
    add("--emit-bytecode", **yes, help="write MLIR bytecode instead of text")
    add("--mlir-print-debuginfo", **yes, help="print locations")
    add("--mlir-print-op-generic", **yes, help="print operations in the generic form")

    add = parser.add_argument_group("passes").add_argument
    add("--pass-pipeline", action=_Once, metavar="PIPELINE", help="the passes to run, as pipeline text")
    add(
        "--PASS[=OPTIONS]",
        dest="placeholder",
        action="store_true",
        help="run a pass or named pipeline; repeatable, in order",
    )
    add(
        "--load-pass-module",
        metavar="FILE.py",
        action="append",
        default=[],
        help="import a Python file that registers passes; repeatable",
    )
    add(
        "--verify-each",
        nargs="?",
        const=True,
        default=True,
        type=_boolean,
        metavar="BOOL",
        action=_Once,
        help="verify the IR after each pass (default: true)",
    )
    add("--dump-pass-pipeline", **yes, help="print the pipeline, expanded, to stderr before running it")

    add = parser.add_argument_group("tests").add_argument
    add(
        "--verify-diagnostics",
        **yes,
        help="compare diagnostics with 'expected-error@+1 {{text}}' comments instead of printing them",
    )

    add = parser.add_argument_group("looking inside").add_argument
    add(
        "--explain",
        metavar="PASS",
        action=_Once,
        help="print what this pass finds, as text, instead of the IR; if the pipeline lacks it, it runs last",
    )
    for when in ("before", "after"):
        add(
            f"--print-ir-{when}",
            metavar="PASS,...",
            type=_names,
            action="extend",
            default=[],
            help=f"print the IR {when} these passes, to stderr",
        )
    for when in ("before", "after"):
        add(
            f"--print-ir-{when}-all",
            **yes,
            help=f"print the IR {when} every pass",
        )
    add(
        "--print-ir-after-change",
        **yes,
        help="print the IR after passes that changed it; narrows the flags above",
    )
    add("--timing", **yes, help="print how long each pass took, to stderr")

    add = parser.add_argument_group("failures").add_argument
    add(
        "--crash-reproducer",
        metavar="FILE",
        action=_Once,
        help="on any failure, write the IR before the failing pass and the remaining pipeline here; "
        "for internal errors the default is a new file in the temporary directory",
    )
    add("--run-reproducer", **yes, help="run the pipeline that is stored in the input")
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=300.0,
        action=_Once,
        help="end a run that takes longer, with status 3; 0 for no limit (default: 300)",
    )
    add("--debug", **yes, help="print the Python traceback of an internal error")

    information = parser.add_argument_group("information")
    add_information(information)
    add = information.add_argument
    add("--list-passes", **yes, help="print our passes and pipelines, one per line")
    add("--show-dialects", **yes, help="print the names of the available dialects")
    return parser


def parse(argv: list[str]) -> argparse.Namespace:
    """The flags in `argv`; `passes` holds (name, options) of the pass flags in order. Raises `UsageError`."""
    # As in MLIR's own tools, one dash is as good as two.
    argv = [f"-{item}" if _LONG_FLAG.match(item) else item for item in argv]
    argv = [_UPSTREAM_NAMES.sub(r"--\1", item) for item in argv]
    argv = [_REPRODUCER_NAME.sub("--crash-reproducer", item) for item in argv]
    parser = build_parser()
    files, own, passes = _sort(argv, parser)
    args, rest = parser.parse_known_args(own)
    if rest:
        raise FlagError(f"unexpected argument '{rest[0]}'")
    args.argv, args.flags = argv, own + passes
    args.passes = []
    for item in passes:
        name, _, options = item.removeprefix("--").partition("=")
        args.passes.append((name, options.strip()))
    if args.placeholder:
        raise FlagError("--PASS stands for the name of a pass")
    if len(files) > 1:
        raise UsageError(f"expects one input file, got {' and '.join(files)}")
    args.input = files[0] if files else "-"
    _check_conflicts(args)
    return args


def _sort(argv: Sequence[str], parser: Parser) -> tuple[list[str], list[str], list[str]]:
    """The items of `argv` that are files, our own flags with their values, and pass flags.

    argparse can't be asked: to it an unknown flag with a space inside is a file.
    """
    actions = {flag: action for action in parser._actions for flag in action.option_strings}
    files: list[str] = []
    own: list[str] = []
    passes: list[str] = []
    items = list(argv)
    while items:
        item = items.pop(0)
        match = _PASS_FLAG.match(item)
        if item == "--":
            return [*files, *items], own, passes
        if item == "-" or not item.startswith("-"):
            files.append(item)
        elif match and f"--{match[1]}" not in actions:
            passes.append(item)
        else:
            own.append(item)
            wanted = actions[item].nargs if item in actions else 0
            if items and (wanted is None or (wanted == "?" and items[0] in _BOOLEANS)):
                own.append(items.pop(0))  # its value
    return files, own, passes


def _check_conflicts(args: argparse.Namespace) -> None:
    first_pass = f"--{args.passes[0][0]}" if args.passes else None
    clashes = [
        (args.pass_pipeline is not None and first_pass, "--pass-pipeline", first_pass),
        (args.run_reproducer and args.pass_pipeline is not None, "--run-reproducer", "--pass-pipeline"),
        (args.run_reproducer and first_pass, "--run-reproducer", first_pass),
        (args.run_reproducer and args.split_input_file, "--run-reproducer", "--split-input-file"),
        (args.emit_bytecode and args.split_input_file, "--emit-bytecode", "--split-input-file"),
        (args.emit_bytecode and args.explain is not None, "--emit-bytecode", "--explain"),
        (args.emit_bytecode and args.mlir_print_debuginfo, "--emit-bytecode", "--mlir-print-debuginfo"),
        (args.emit_bytecode and args.mlir_print_op_generic, "--emit-bytecode", "--mlir-print-op-generic"),
    ]
    for clash, one, other in clashes:
        if clash:
            raise UsageError(f"{one} and {other} exclude each other")
    if args.explain == "":
        raise UsageError("--explain expects the name of a pass")
    if args.crash_reproducer == "":
        raise UsageError("--crash-reproducer expects a file name")
