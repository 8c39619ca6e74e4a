"""aec-bench: time kernels beside their peers, in one process, after checking them (`aec-bench --help`).

A supervised child does the work, so that a native crash in a kernel ends with a message.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from aecompiler.tools.benchmark import Case, Record, WrongResultError, cases_of, record
from aecompiler.tools.command_line import FAILED, OK, Parser, add_information, count, inform, run_tool
from aecompiler.tools.errors import FlagError, UsageError, describe
from aecompiler.tools.files import check_writable, replace_file
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter, run_supervised

PROG = "aec-bench"

DESCRIPTION = """\
Time kernels beside their peers, in one process. Each result is checked against the float64 reference before
it is timed; calls of both sides take turns, allocate their results, may use the same number of threads
(AECOMPILER_NUM_THREADS; torch gets as many), and medians are reported. Cases without a peer measure something
else: compile-time how long compiling takes, memory by how much a call raises the resident memory.

  aec-bench --list
  aec-bench softmax-causal gated-retention/1x4x256x64 --json results.json
  aec-bench compile-time memory"""

EPILOG = """\
ratio is peer_ms / ours_ms: above 1, ours is faster; cost, for a variant, is its time divided by that of plain
softmax attention, also ours. The JSON file is a list of records with the fields case, shape, dtype, target,
ours_ms, peer, peer_ms, ratio, cost, figures, error, repeat, cpu, threads, peer_threads, versions; it is
replaced after each case. A failed case has no times and figures in it. Figures of compile-time, in a process
that has compiled another program: cold_ms and warm_ms, without and with the kernel in the cache; in one that
has not: first_cold_ms and first_warm_ms. Figures of memory: rise_mib, and rise, in parts of the size of
inputs and outputs.

Exit status: 0 success, 1 a case failed (the others still run), 2 bad usage, input or output, 3 internal error
(a bug, or a native crash, which ends the run; the JSON file keeps the cases before)."""


def build_parser() -> Parser:
    """The flags."""
    parser = Parser(PROG, DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument_group("cases").add_argument
    add("cases", metavar="CASE", nargs="*", help="a case from --list, or its front part: all cases below it")
    add("--all", action="store_true", help="run all cases")
    add("--list", action="store_true", help="print the cases, one per line, and their peers; run nothing")
    add(
        "--bench-dir",
        metavar="DIR",
        help="where the cases are (default: bench/ of the checkout that aecompiler is installed from)",
    )
    add = parser.add_argument_group("results").add_argument
    add(
        "--repeat",
        metavar="N",
        type=count,
        default=20,
        help="timed calls; processes, of 5 at most, where no call is timed (default: 20)",
    )
    add("--json", metavar="FILE", help="write the records to this file")
    add_information(parser.add_argument_group("other"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 a case failed, 2 usage, 3 internal error."""
    return run_tool(PROG, lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: list[str]) -> int:
    args = build_parser().parse_args(argv)
    if inform(args, lambda: build_parser().format_help()):
        return OK
    if args.cases and args.all:
        raise FlagError("CASE and --all exclude each other")
    if args.list and args.json:
        raise FlagError("--list and --json exclude each other")
    if not (args.cases or args.all or args.list):
        raise FlagError("expects a CASE, --all or --list")
    folder = _folder(args.bench_dir)
    if args.json:
        check_writable(args.json)
    return run_supervised(PROG, lambda report: _work(args, folder, report))


def _work(args: Namespace, folder: Path, report: Reporter) -> int:
    cases, status = _load(folder, report)
    chosen = _select(args.cases, cases) if args.cases else cases
    if args.list:
        write_stdout("".join(f"{each.key}  ({each.peer or 'no peer'})\n" for each in chosen))
        return status
    return max(status, _run(chosen, args.repeat, args.json, report))


def _folder(given: str | None) -> Path:
    folder = Path(given) if given else Path(__file__).parents[2] / "bench"
    if not folder.is_dir():
        hint = "" if given else "; give --bench-dir"
        raise UsageError(f"no folder '{folder}'{hint}")
    return folder


def _load(folder: Path, report: Reporter) -> tuple[list[Case], int]:
    """The cases of all files of a folder; a file that can't be imported is reported and left out.

    Raises UsageError for one that ends the process.
    """
    cases: list[Case] = []
    status = OK
    sys.path.append(str(folder))  # a file may import one beside it
    for path in sorted(folder.glob("*.py")):
        report("doing", f"loading {path}")
        spec = importlib.util.spec_from_file_location(f"aecompiler_bench_{path.stem}", path)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # torch.compile looks up the module of what it compiles
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            status = FAILED
            _report(str(path), error)
        except BaseException as error:
            raise UsageError(f"cannot load '{path}': {describe(error)}") from None
        else:
            cases += cases_of(module)
    return cases, status


def _select(texts: Sequence[str], cases: Sequence[Case]) -> list[Case]:
    for text in texts:
        if not any(each.selected_by(text) for each in cases):
            names = ", ".join(dict.fromkeys(each.name for each in cases)) or "none"
            raise UsageError(f"no case '{text}' (cases: {names})")
    return [each for each in cases if any(each.selected_by(text) for text in texts)]


def _run(cases: Sequence[Case], repeat: int, path: str | None, report: Reporter) -> int:
    status = OK
    records: list[Record] = []
    width = max((len(each.key) for each in cases), default=0)
    for each in cases:
        report("doing", f"measuring {each.key}")
        found, is_measured = _measure(each, repeat)
        records.append(found)
        if path is not None:
            _write(path, records)
        if is_measured:
            write_stdout(f"{each.key:<{width}}  {_results(found)}  error {found.error:.1e}\n")
        else:
            status = FAILED
    return status


def _results(found: Record) -> str:
    """The numbers of a record, and how they were measured."""
    threads = "" if found.threads is None else f", {found.threads} threads"
    if found.figures:
        figures = (f"{name} {figure:.3f}" for name, figure in found.figures.items())
        return f"{'  '.join(figures)}  ({found.repeat} processes{threads})"
    cost = "" if found.cost is None else f"  cost {found.cost:5.2f}"
    return (
        f"ours {found.ours_ms:9.3f} ms  {found.peer} {found.peer_ms:9.3f} ms  ratio {found.ratio:6.3f}{cost}"
        f"  ({found.repeat} calls{threads})"
    )


def _measure(case: Case, repeat: int) -> tuple[Record, bool]:
    """The record of a case, and whether it was measured; a failure is reported, and has no times."""
    try:
        return case.measure(case, repeat), True
    except WrongResultError as error:
        sys.stderr.write(f"{PROG}: {case.key}: wrong result, not timed: {error}\n")
        return record(case, repeat, error=error.error), False
    except BaseException as error:  # whatever a case raises, SystemExit too: the others still run
        _report(case.key, error)
        return record(case, repeat), False


def _report(what: str, error: BaseException) -> None:
    """One line for an error, with the place it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    sys.stderr.write(f"{PROG}: {what}: {describe(error)}{where}\n")


def _write(path: str, records: Sequence[Record]) -> None:
    # NaN and infinity are no JSON.
    text = json.dumps([_finite(dataclasses.asdict(each)) for each in records], indent=2, allow_nan=False)
    replace_file(path, lambda file: file.write(f"{text}\n".encode()))


def _finite(fields: dict) -> dict:
    error = fields["error"]
    return fields if error is None or abs(error) < float("inf") else {**fields, "error": None}


if __name__ == "__main__":
    sys.exit(main())
