"""Random programs around attn operations: none reads or writes out of bounds, and none is silently wrong.

Each call must either be refused with `ValueError` or `TypeError`, or give what the float64 reference gives.
It runs in a child process with inputs, results and the memory behind empty arrays next to pages that nobody
may touch, and with memory that the kernel allocates filled, so that what a kernel should not do shows.

By default a fixed set of 150 different programs is compiled. `--programs N` draws half of N new ones.
"""

from __future__ import annotations

import collections
import ctypes
import faulthandler
import json
import os
import signal
import time
import traceback
from typing import Any

import numpy as np
import pytest
from guarded_memory import Guarded
from host_programs import HostProgram, host_programs
from hypothesis import HealthCheck, given, reject, settings

import aecompiler as aec
from aecompiler import arrays
from aecompiler.backends.base import Buffer
from aecompiler.backends.cpu import launch

PROGRAMS = 150

SECONDS = 60
"""How long a program and its calls may take before it counts as one that does not end."""

COMPILED, EXAMPLES_RAN, CALLS_RAN = 0.6, 0.6, 0.4
"""The least shares of programs that compile, and of those whose example and whose calls give results.

Far below what is usual, and asked of many programs only: chance must not decide.
"""

_M_PERTURB = -6
_libc = ctypes.CDLL(None, use_errno=True)


class GuardedResults(Guarded):
    """Guarded memory for results, too."""

    def allocate(self, dtype: str, shape: tuple[int, ...], like_torch: bool) -> tuple[Buffer, np.ndarray]:
        """In place of `arrays.allocate`."""
        array = self.empty(shape, arrays.numpy_dtype(dtype))
        strides = tuple(stride // array.itemsize for stride in array.strides)
        return Buffer(array.ctypes.data, shape, strides), array


def run_call(kernel: Any, inputs: list[Any]) -> str:
    """Run one call in both places; returns what became of it."""
    outcomes = []
    for side in ("end", "start"):
        memory = GuardedResults(side)
        arrays.allocate = memory.allocate  # this is a process of its own
        launch._DUMMY = (ctypes.c_char * 0).from_address(memory.memory(0))
        placed = [memory.copy(value) for value in inputs]
        try:
            outputs = kernel(*placed)
        except (ValueError, TypeError):
            outcomes.append("refused")
            continue
        for before, after in zip(inputs, placed, strict=True):
            np.testing.assert_array_equal(after, before, err_msg="an input was written to")
        outcomes.append("ran")
        expected = kernel.evaluate_reference(*inputs)
        for result, got, want in zip(kernel.results, outputs, expected, strict=True):
            assert got.shape == want.shape, f"{result.name}: shape {got.shape}, expected {want.shape}"
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=result.name)
    assert len(set(outcomes)) == 1, f"one call was treated in two ways: {outcomes}"
    return outcomes[0]


def run_program(program: HostProgram) -> list[str]:
    """Compile, and run each call: what became of them; nothing for a program that is refused."""
    try:
        kernel = aec.compile(program.text, opt_level=0)
    except (aec.CompileError, aec.UnsupportedError):
        return []
    outcomes = []
    for call in program.calls:
        try:
            outcomes.append(run_call(kernel, program.inputs(call)))
        except Exception as error:
            raise AssertionError(f"call {call}: {error}") from error
    return outcomes


def in_a_child(program: HostProgram) -> list[str]:
    """`run_program` in a process of its own; an error there, also a crash, is an AssertionError here."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        answer: dict[str, Any] = {}
        try:
            faulthandler.disable()  # a crash is reported by the parent
            signal.alarm(SECONDS)
            _libc.mallopt(_M_PERTURB, 0x80)  # new memory is filled with 0x7f, freed memory with 0x80
            answer["outcomes"] = run_program(program)
        except BaseException:
            answer["error"] = traceback.format_exc()
        os.write(writer, json.dumps(answer).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = json.loads(pipe.read() or "{}")
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"{signal.Signals(os.WTERMSIG(status)).name} in\n{program!r}"
    assert "error" not in answer, f"{answer['error']}\nin\n{program!r}"
    return answer["outcomes"]


@pytest.mark.timeout(0)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_program_reads_out_of_bounds_or_is_silently_wrong(request, report_lines):
    wanted = request.config.getoption("--programs")
    count = PROGRAMS if wanted is None else max(1, wanted // 2)
    seen: set[str] = set()
    found: collections.Counter[str] = collections.Counter()
    failed: list[HostProgram] = []
    start = time.monotonic()
    aec.compile("func.func @f(%x: f32) -> f32 { return %x : f32 }").evaluate_reference(1.0)  # imports

    @settings(
        max_examples=count,
        derandomize=wanted is None,
        database=None,
        deadline=None,
        print_blob=wanted is not None,
        suppress_health_check=list(HealthCheck),
    )
    @given(program=host_programs())
    def property_(program: HostProgram) -> None:
        if program.text in seen and not failed:
            reject()
        seen.add(program.text)
        try:
            outcomes = in_a_child(program)
        except BaseException:
            failed.append(program)  # from here on hypothesis reduces it, and runs programs again
            raise
        found["programs"] += 1
        found["compiled"] += bool(outcomes)
        found["examples"] += outcomes[:1] == ["ran"]
        found["calls"] += len(outcomes)
        found["ran"] += outcomes.count("ran")

    property_()
    report_lines.append(
        f"{found['programs']} random host programs: {found['compiled']} compiled, {found['examples']} ran "
        f"their example; {found['ran']} of {found['calls']} calls gave results "
        f"({time.monotonic() - start:.0f} s)"
    )
    assert found["programs"] >= count
    assert found["ran"] > 0
    if count < 100:
        return
    assert found["compiled"] >= COMPILED * found["programs"]
    assert found["examples"] >= EXAMPLES_RAN * found["compiled"]
    assert found["ran"] >= CALLS_RAN * found["calls"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("side", ["end", "start"])
def test_guards_catch_what_is_read_outside(side):
    if (child := os.fork()) == 0:
        faulthandler.disable()
        address = Guarded(side).empty((3,), np.float32).ctypes.data
        ctypes.c_float.from_address(address + (12 if side == "end" else -4)).value  # noqa: B018
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGSEGV
