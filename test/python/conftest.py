"""Fixtures, options and marker handling that all tests share.

`--slow` runs the tests marked slow, `--programs N` sets how many random programs `test_random_programs.py`
compiles, and `test_host_programs.py` half as many. Tests marked `cuda` or `rocm` are skipped where the device
is absent.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis.internal.conjecture import providers


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("aecompiler")
    group.addoption("--slow", action="store_true", help="also run the tests marked slow")
    group.addoption(
        "--programs",
        type=int,
        default=None,
        metavar="N",
        help="number of random programs, drawn anew each time (default: fixed sets)",
    )


@pytest.fixture
def report_lines(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that a test wants to see printed after the run, whatever its outcome."""
    lines: list[str] = []
    yield lines
    request.node.user_properties.extend(("measurement", line) for line in lines)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    # Properties come with the reports, from other processes as well.
    reports = [report for group in terminalreporter.stats.values() for report in group]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    lines = sorted({str(line) for name, line in properties if name == "measurement"})
    if lines:
        terminalreporter.section("measurements")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_configure() -> None:
    os.environ["AECOMPILER_CACHE"] = "0"  # kernels are compiled anew, in processes that tests start as well
    # Hypothesis also draws numbers that it finds in modules that are loaded: fixed sets of random programs
    # would change with each number in the sources, and with the tests that a process has run before.
    found = providers._local_constants
    providers._get_local_constants = lambda: found


def _device() -> str | None:
    """`cuda` or `rocm` when torch finds such a device."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    return "rocm" if torch.version.hip else "cuda"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {name for item in items for name in ("cuda", "rocm") if name in item.keywords}
    device = _device() if wanted else None
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="needs --slow"))
        for name in wanted:
            if name in item.keywords and name != device:
                item.add_marker(pytest.mark.skip(reason=f"no {name} device"))


@pytest.fixture
def mlir_context() -> Iterator[Any]:
    """A fresh context with the dialect, and an unknown location, both current."""
    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context

    with make_context() as context, ir.Location.unknown():
        yield context


@pytest.fixture
def filecheck() -> Callable[[Any, str], None]:
    """`filecheck(text, checks)`: CHECK lines against a string; the report is the AssertionError's text."""
    from filecheck.finput import FInput
    from filecheck.matcher import Matcher
    from filecheck.options import Options
    from filecheck.parser import Parser, pattern_for_opts

    def check(text: Any, checks: str) -> None:
        options = Options(match_filename="<checks>", check_prefixes=["CHECK"], enable_var_scope=True)
        parser = Parser(options, io.StringIO(inspect.cleandoc(checks)), *pattern_for_opts(options))
        report = io.StringIO()
        with contextlib.redirect_stderr(report), contextlib.redirect_stdout(report):
            status = Matcher(options, FInput("<ir>", str(text)), parser).run()
        assert status == 0, report.getvalue()

    return check


@pytest.fixture(scope="session")
def softmax() -> Any:
    """The kernel of softmax attention, `kernels.softmax_kernel`."""
    from kernels import softmax_kernel

    return softmax_kernel()


@pytest.fixture(scope="session")
def named() -> Any:
    """The kernel of `kernels.NAMED`, whose arguments and sizes have names."""
    from kernels import NAMED

    import aecompiler as aec

    return aec.compile(NAMED, opt_level=0)
