"""Stacks of any size: scratch memory of kernels is there, and no thread may overflow."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from cpu_kernels import GRID, Grid, emit

from aecompiler.backends.cpu import launch, stacks
from aecompiler.backends.cpu.stacks import lowest_address, stack_need
from aecompiler.backends.cpu.threads import run_with_stack
from aecompiler.bindings import ir

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the stacks of threads")

ATTEND = """
import threading
import numpy as np
import aecompiler as aec
x = aec.tensor("B", 2, "S", 256)

@aec.program(q=x, k=x, v=x)
def attend(q, k, v):
    return aec.attention(q, k, v)

kernel = aec.compile(attend, threads=3)
arrays = [np.random.default_rng(n).standard_normal((1, 2, 300, 256)).astype(np.float32) for n in range(3)]
score = arrays[0] @ arrays[1].swapaxes(2, 3)
weights = np.exp(score - score.max(-1, keepdims=True))
want = weights / weights.sum(-1, keepdims=True) @ arrays[2]

def check():
    for _ in range(10):
        np.testing.assert_allclose(kernel(*arrays), want, rtol=1e-3, atol=1e-4)
    print("right")
"""


def in_a_process(code, **options):
    done = subprocess.run(
        [sys.executable, "-c", ATTEND + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
@pytest.mark.parametrize("size", [64, 256, 512, 1024])
def test_threads_with_small_stacks(size):
    """Of the application's own, and helpers that start while its choice is in force."""
    code = f"""
    threading.stack_size({size} * 1024)
    check()
    caller = threading.Thread(target=check)
    caller.start()
    caller.join()
    """
    assert in_a_process(code) == "right\nright\n"


@linux
def test_a_main_thread_with_a_small_stack():
    """The limit is set late, since MLIR needs more to compile."""
    code = """
    import resource
    resource.setrlimit(resource.RLIMIT_STACK, (400 * 1024, resource.RLIM_INFINITY))
    check()
    """
    assert in_a_process(code) == "right\n"


@linux
def test_a_small_stack_and_no_other_thread(monkeypatch):
    """An error, where there would be a crash."""
    code = """
    from aecompiler.backends.cpu import launch
    launch.run_with_stack = lambda function, size: False
    threading.stack_size(64 * 1024)
    def call():
        try:
            check()
        except MemoryError as error:
            print(error)
    caller = threading.Thread(target=call)
    caller.start()
    caller.join()
    """
    printed = in_a_process(code)
    assert printed.startswith("'aec.attend' needs ")
    assert printed.endswith(
        " KiB of stack, more than this thread has, and there is no other thread to be had\n"
    )


@linux
def test_the_usual_thread_runs_calls_itself(monkeypatch):
    monkeypatch.setattr(launch, "run_with_stack", lambda function, size: pytest.fail("it has another thread"))
    Grid(threads=2).check((10, 10))


@linux
def test_where_the_stack_ends():
    """Within the mapping that holds the variables of the thread, and different from thread to thread."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(lowest_address())) for _ in range(2)]
    before = threading.stack_size(2**20)
    try:
        for thread in threads:
            thread.start()
    finally:
        threading.stack_size(before)
    for thread in threads:
        thread.join()
    assert all(found)
    assert lowest_address() not in found
    assert lowest_address() == lowest_address()


def test_an_unknown_stack_is_not_checked(monkeypatch):
    monkeypatch.setattr(stacks, "_thread_library", lambda: None)
    assert stacks._find_lowest() == 0
    monkeypatch.setattr(launch, "lowest_address", lambda: 0)
    Grid(threads=2).check((10, 10))


def test_the_need_is_that_of_the_deepest_chain_of_calls():
    text = """
    llvm.func @small() {
      %n = llvm.mlir.constant(1000 : i64) : i64
      %a = llvm.alloca %n x f32 : (i64) -> !llvm.ptr
      llvm.return
    }
    llvm.func @large() {
      %n = llvm.mlir.constant(30000 : i64) : i64
      %a = llvm.alloca %n x f64 : (i64) -> !llvm.ptr
      llvm.return
    }
    llvm.func @by_address() {
      %large = llvm.mlir.addressof @large : !llvm.ptr
      llvm.call %large() : !llvm.ptr, () -> ()
      llvm.return
    }
    llvm.func @top() {
      llvm.call @small() : () -> ()
      llvm.call @by_address() : () -> ()
      llvm.call @top() : () -> ()
      llvm.return
    }"""
    with ir.Context():
        need = stack_need(ir.Module.parse(text))
    assert 240_000 < need < 242_000
    with ir.Context():
        assert stack_need(ir.Module.parse("")) == 0
    assert 0 < emit(GRID).metadata["stack"] < 64 * 1024


# ---- a call on another thread ----


def test_a_function_runs_on_a_stack_of_its_own():
    ran = []
    before = threading.stack_size(256 * 1024)
    try:
        done = run_with_stack(lambda: ran.append((threading.get_ident(), lowest_address())), 2**24)
    finally:
        after = threading.stack_size(before)
    assert done
    assert after == 256 * 1024
    assert ran[0][0] != threading.get_ident()


def test_no_more_threads_to_be_had(monkeypatch):
    def refuse(function, arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    assert not run_with_stack(lambda: pytest.fail("it runs"), 2**24)


@pytest.mark.skipif(sys.platform == "win32", reason="needs interval timers")
def test_an_interrupt_waits_for_the_other_thread():
    ended = []

    def work():
        time.sleep(0.3)
        ended.append(True)

    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_with_stack(work, 2**20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert ended
