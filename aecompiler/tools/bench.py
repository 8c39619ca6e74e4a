"""aec-bench: time kernels beside their peers, in one process, after checking them (`aec-bench --help`)."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from aecompiler.tools.benchmark import Case, Record, WrongResultError, cases_of, measure, record
from aecompiler.tools.command_line import FAILED, OK, USAGE, Parser
from aecompiler.tools.errors import UsageError

PROG = "aec-bench"

DESCRIPTION = """\
Time kernels beside their peers, in one process. Each result is checked against the float64 reference before
it is timed; calls of both sides take turns, and medians are reported.

  aec-bench --list
  aec-bench softmax-causal gated-retention/1x4x256x64 --json results.json"""

EPILOG = """\
ratio is peer_ms / ours_ms: above 1, ours is faster. The JSON file is a list of records with the fields case,
shape, dtype, target, ours_ms, peer, peer_ms, ratio, error, versions; it is replaced after each case. A failed
case has no times in it.

Exit status: 0 success, 1 a case failed (the others still run), 2 bad usage."""


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = Parser(PROG, DESCRIPTION, epilog=EPILOG)
    parser.add_argument("-h", "--help", action="help", help="print this text")
    parser.add_argument(
        "cases", metavar="CASE", nargs="*", help="a case from --list, or its front part: all cases below it"
    )
    parser.add_argument("--list", action="store_true", help="print the cases, one per line, and their peers")
    parser.add_argument("--all", action="store_true", help="run all cases")
    parser.add_argument("--json", metavar="FILE", help="write the records to this file")
    parser.add_argument("--repeat", metavar="N", type=_positive, default=20, help="timed calls (default: 20)")
    parser.add_argument(
        "--bench-dir",
        metavar="DIR",
        help="where the cases are (default: bench/ of the checkout that aecompiler is installed from)",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expects a number of at least 1, got '{text}'")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 a case failed, 2 usage."""
    try:
        args = build_parser().parse_args(sys.argv[1:] if argv is None else argv)
        folder = _folder(args.bench_dir)
        cases, status = _load(folder)
        if args.list:
            for each in cases:
                print(f"{each.key}  ({each.peer})")
            return status
        if args.json and not Path(args.json).absolute().parent.is_dir():
            raise UsageError(f"--json: no folder '{Path(args.json).parent}'")
        chosen = cases if args.all else _select(args.cases, cases)
    except UsageError as error:
        sys.stderr.write(f"{PROG}: error: {error}\nrun '{PROG} --help' for the flags\n")
        return USAGE
    return max(status, _run(chosen, args.repeat, args.json))


def _folder(given: str | None) -> Path:
    folder = Path(given) if given else Path(__file__).parents[2] / "bench"
    if not folder.is_dir():
        hint = "" if given else "; give --bench-dir"
        raise UsageError(f"no folder '{folder}'{hint}")
    return folder


def _load(folder: Path) -> tuple[list[Case], int]:
    """The cases of all files of a folder; a file that can't be imported is reported and left out."""
    cases: list[Case] = []
    status = OK
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"aecompiler_bench_{path.stem}", path)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            status = FAILED
            _report(str(path), error)
        else:
            cases += cases_of(module)
    return cases, status


def _select(texts: Sequence[str], cases: Sequence[Case]) -> list[Case]:
    if not texts:
        raise UsageError("expects a CASE, --all or --list")
    for text in texts:
        if not any(each.selected_by(text) for each in cases):
            names = ", ".join(dict.fromkeys(each.name for each in cases)) or "none"
            raise UsageError(f"no case '{text}' (cases: {names})")
    return [each for each in cases if any(each.selected_by(text) for text in texts)]


def _run(cases: Sequence[Case], repeat: int, path: str | None) -> int:
    status = OK
    records: list[Record] = []
    width = max((len(each.key) for each in cases), default=0)
    for each in cases:
        try:
            found = measure(each, repeat)
            print(
                f"{each.key:<{width}}  ours {found.ours_ms:9.3f} ms  {each.peer} {found.peer_ms:9.3f} ms  "
                f"ratio {found.ratio:6.3f}  error {found.error:.1e}",
                flush=True,
            )
        except WrongResultError as error:
            status = FAILED
            sys.stderr.write(f"{PROG}: {each.key}: wrong result, not timed: {error}\n")
            found = record(each, error=error.error)
        except Exception as error:  # whatever a case raises: the others still run
            status = FAILED
            _report(each.key, error)
            found = record(each)
        records.append(found)
        if path is not None:
            _write(path, records)
    return status


def _report(what: str, error: Exception) -> None:
    """One line for an error, with the place it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    sys.stderr.write(f"{PROG}: {what}: {type(error).__name__}: {error}{where}\n")


def _write(path: str, records: Sequence[Record]) -> None:
    """Replace the file: a reader sees the old records or the new ones, never half of them."""
    # NaN and infinity are no JSON.
    text = json.dumps([_finite(dataclasses.asdict(each)) for each in records], indent=2, allow_nan=False)
    handle, temporary = tempfile.mkstemp(dir=Path(path).absolute().parent, prefix=".aec-bench-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _finite(fields: dict) -> dict:
    error = fields["error"]
    return fields if error is None or abs(error) < float("inf") else {**fields, "error": None}


if __name__ == "__main__":
    sys.exit(main())
