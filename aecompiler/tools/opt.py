"""aec-opt: read MLIR, run passes over it, print the result (`aec-opt --help`).

This process stays light: it reads the flags and the input, forks a child for the work, and reports when the
child dies. Nothing here may import MLIR.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from aecompiler.bytecode import is_bytecode
from aecompiler.errors import PipelineError
from aecompiler.tools import opt_flags
from aecompiler.tools.command_line import FAILED, INTERNAL, OK, run_tool, usage
from aecompiler.tools.errors import UsageError, describe
from aecompiler.tools.files import replace_file
from aecompiler.tools.opt_flags import PROG
from aecompiler.tools.supervise import Outcome, Reporter, supervise

_MAX_INPUT_BYTES = 1 << 30
_REPRODUCE_SECONDS = 60


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status: 0 ok, 1 diagnostics, 2 usage or pipeline, 3 internal error."""
    return run_tool(PROG, lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    args = opt_flags.parse(argv)
    informs = args.help or args.version or args.list_passes or args.show_dialects
    data = b"" if informs else _read(args.input)
    outcome = supervise(lambda report: _work(args, data, report), args.timeout)
    status = INTERNAL if outcome.status is None else outcome.status
    if status == INTERNAL:
        _explain(args, outcome)
    if status == INTERNAL or (status == FAILED and args.crash_reproducer and "failed_at" in outcome.facts):
        _write_reproducer(args, data, outcome)
    return status


def _read(path: str) -> bytes:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MAX_INPUT_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read '{path}': {reason}") from None
    if len(data) > _MAX_INPUT_BYTES:
        raise UsageError(f"cannot read '{path}': larger than {_MAX_INPUT_BYTES >> 20} MiB")
    return data


def _work(args: Namespace, data: bytes, report: Reporter) -> int:
    """The child's side: an exception that is nobody's mistake but ours is told to the parent as text."""
    if args.debug:
        import faulthandler

        faulthandler.enable()
    try:
        with _numpy_on_demand():
            from aecompiler.tools.opt_driver import Driver
        return Driver(args, data, report).run()
    except (UsageError, PipelineError) as error:
        return usage(PROG, error)
    except BaseException as error:  # KeyboardInterrupt too: a signal ends this process without one
        _report_bug(error, report, debug=args.debug)
        return INTERNAL


class _OnDemand(ModuleType):
    """Stands for a module until somebody needs one of its attributes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _numpy_on_demand() -> Iterator[None]:
    """MLIR's bindings import numpy for builders that no pass of ours uses: a fifth of our start-up time."""
    if "numpy" in sys.modules:
        yield
        return
    sys.modules["numpy"] = stand_in = _OnDemand("numpy")
    try:
        yield
    finally:
        if sys.modules.get("numpy") is stand_in:
            del sys.modules["numpy"]


def _report_bug(error: BaseException, report: Reporter, *, debug: bool) -> None:
    import traceback

    from aecompiler.passes.infra import InvalidIRError

    if isinstance(error, InvalidIRError):
        report("bug", "made invalid IR")
    else:
        report("bug", f"raised {describe(error)}")
        # The middle of an endless recursion tells nothing.
        report("traceback", "".join(traceback.format_exception(error, limit=-40)))
    if debug:
        traceback.print_exception(error)


def _explain(args: Namespace, outcome: Outcome) -> None:
    doing = outcome.facts.get("doing", "starting")
    subject = doing if doing.startswith("pass '") else f"{PROG}, while {doing},"
    what = outcome.facts.get("bug") or outcome.describe(args.timeout)
    sys.stderr.write(f"{PROG}: internal error: {subject} {what}\n")


def _write_reproducer(args: Namespace, data: bytes, outcome: Outcome) -> None:
    """Replay up to the failure in another child, and let it write the file; else keep the input as it is."""
    place_text = outcome.facts.get("failed_at") or outcome.facts.get("place")
    trace = outcome.facts.get("traceback", "")
    if place_text is None:
        if trace and not args.debug:
            sys.stderr.write(f"{PROG}: note: --debug prints the traceback\n")
        return
    is_text = not is_bytecode(data)
    parsed = not place_text.endswith(":-1")
    path = args.crash_reproducer or _default_path("reproducer.mlir" if is_text or parsed else "input.mlirbc")
    command = f"{PROG} {shlex.quote(path)} --run-reproducer"
    command += "".join(f" --load-pass-module={shlex.quote(file)}" for file in args.load_pass_module)
    header = f"Written by {PROG} for: {shlex.join([PROG, *args.argv])}\nReplay: {command}\n"
    if trace:
        header += f"\n{trace}"

    def reproduce(method: str) -> bool:
        def work(report: Reporter) -> int:
            from aecompiler.tools.opt_driver import Driver, Place

            driver = Driver(args, data, report)
            return getattr(driver, method)(Place.parse(place_text), header, path)

        limit = min(args.timeout or _REPRODUCE_SECONDS, _REPRODUCE_SECONDS)
        return supervise(work, max(limit, 1.0), quiet=True).status == OK

    if (parsed and reproduce("reproduce")) or (is_text and reproduce("reproduce_input")):
        hint = " with the traceback" if trace else ""
        sys.stderr.write(f"{PROG}: note: reproducer{hint}: {path}\n{PROG}: note: replay: {command}\n")
        return
    if not is_text and not parsed and _keep(path, data):
        # Bytecode that can't be read holds no pipeline: the flags are given again.
        command = shlex.join([PROG, path, *args.flags])
        sys.stderr.write(f"{PROG}: note: copy of the input: {path}\n{PROG}: note: replay: {command}\n")
    else:
        sys.stderr.write(f"{PROG}: note: cannot write a reproducer to '{path}'\n")
    if trace and not args.debug:
        sys.stderr.write(trace)


def _keep(path: str, data: bytes) -> bool:
    try:
        replace_file(path, lambda file: file.write(data))
    except UsageError:
        return False
    return True


def _default_path(name: str) -> str:
    import tempfile

    return os.path.join(tempfile.mkdtemp(prefix="aec-opt-"), name)


if __name__ == "__main__":
    sys.exit(main())
