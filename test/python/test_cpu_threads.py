"""Parallel loops on the CPU: every item once, whoever calls, and whatever becomes of the helpers."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import GRID, Grid, build, emit, run

from aecompiler.backends.cpu import threads as pools
from aecompiler.backends.cpu.parallel_runtime import HELP
from aecompiler.backends.cpu.threads import Pool, pool

SLOW = 2000  # a delay with which a few hundred items are worth sharing


@pytest.fixture(scope="module")
def grid():
    return Grid(threads=4)


@pytest.fixture
def fresh_pool(monkeypatch):
    monkeypatch.setattr(pools, "_pool", Pool())
    return pools.pool()


def in_a_process(code, timeout=60):
    """Run `code` after the imports of these tests; its output."""
    here = Path(__file__).parent
    start = f"import sys; sys.path.insert(0, {str(here)!r})\nfrom cpu_kernels import *\n"
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=here.parents[1],
    )
    assert done.returncode == 0, done.stderr
    return done


# ---- items ----


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (2, 3), (7, 31), (300, 7)])
def test_every_item_is_run_once(shape, threads):
    Grid(threads).check(shape, SLOW)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_no_items(grid, shape):
    grid.check(shape, SLOW)


def test_a_million_items(grid):
    grid.check((1000, 1003), 1)


def test_lower_bounds_and_steps():
    text = """
    func.func @f(%x: tensor<10x20xf32>) -> tensor<10x20xf32> {
      %one = arith.constant dense<1.0> : tensor<1x1xf32>
      %r = scf.forall (%i, %j) = (1, 3) to (10, 18) step (4, 5) shared_outs(%o = %x) -> (tensor<10x20xf32>) {
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %one into %o[%i, %j] [1, 1] [1, 1]
            : tensor<1x1xf32> into tensor<10x20xf32>
        }
      }
      return %r : tensor<10x20xf32>
    }"""
    x = np.zeros((10, 20), np.float32)
    out = np.full_like(x, np.nan)
    run(build(text, threads=2), [x], [out])
    want = np.zeros_like(x)
    want[1:10:4, 3:18:5] = 1
    np.testing.assert_array_equal(out, want)
    assert not x.any()  # the input is not written to


def test_a_loop_in_a_loop_runs_on_the_thread_that_meets_it():
    text = """
    func.func @f(%x: tensor<?xf32>) -> tensor<?x64xf32> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %x, %c0 : tensor<?xf32>
      %empty = tensor.empty(%n) : tensor<?x64xf32>
      %r = scf.forall (%i) in (%n) shared_outs(%o = %empty) -> (tensor<?x64xf32>) {
        %row = tensor.empty() : tensor<64xf32>
        %v = tensor.extract %x[%i] : tensor<?xf32>
        %filled = scf.forall (%j) in (64) shared_outs(%p = %row) -> (tensor<64xf32>) {
          %k = arith.index_cast %j : index to i32
          %f = arith.sitofp %k : i32 to f32
          %s = arith.addf %v, %f : f32
          %cell = tensor.from_elements %s : tensor<1xf32>
          scf.forall.in_parallel {
            tensor.parallel_insert_slice %cell into %p[%j] [1] [1] : tensor<1xf32> into tensor<64xf32>
          }
        }
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %filled into %o[%i, 0] [1, 64] [1, 1]
            : tensor<64xf32> into tensor<?x64xf32>
        }
      }
      return %r : tensor<?x64xf32>
    }"""
    x = np.arange(5000, dtype=np.float32)
    out = np.full((5000, 64), np.nan, np.float32)
    run(build(text, threads=4), [x], [out])
    np.testing.assert_array_equal(out, x[:, None] + np.arange(64, dtype=np.float32))


def test_temporary_buffers_belong_to_an_item():
    text = """
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %x, %c0 : tensor<?x64xf32>
      %empty = tensor.empty(%n) : tensor<?x64xf32>
      %r = scf.forall (%i) in (%n) shared_outs(%o = %empty) -> (tensor<?x64xf32>) {
        %row = tensor.extract_slice %x[%i, 0] [1, 64] [1, 1] : tensor<?x64xf32> to tensor<64xf32>
        %scratch = tensor.empty() : tensor<64xf32>
        %a = linalg.exp ins(%row : tensor<64xf32>) outs(%scratch : tensor<64xf32>) -> tensor<64xf32>
        %b = linalg.add ins(%a, %row : tensor<64xf32>, tensor<64xf32>) outs(%scratch : tensor<64xf32>)
          -> tensor<64xf32>
        %c = linalg.mul ins(%a, %b : tensor<64xf32>, tensor<64xf32>) outs(%scratch : tensor<64xf32>)
          -> tensor<64xf32>
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %c into %o[%i, 0] [1, 64] [1, 1] : tensor<64xf32> into tensor<?x64xf32>
        }
      }
      return %r : tensor<?x64xf32>
    }"""
    x = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    out = np.full_like(x, np.nan)
    run(build(text, threads=4), [x], [out])
    np.testing.assert_allclose(out, np.exp(x) * (np.exp(x) + x), rtol=1e-5, atol=1e-6)


# ---- who works ----


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the numbers of threads")
def test_helpers_take_part(fresh_pool):
    text = """
    func.func private @gettid() -> i32
    func.func @f(%x: tensor<?xi32>) -> tensor<?xi32> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %x, %c0 : tensor<?xi32>
      %empty = tensor.empty(%n) : tensor<?xi32>
      %r = scf.forall (%i) in (%n) shared_outs(%o = %empty) -> (tensor<?xi32>) {
        %id = func.call @gettid() : () -> i32
        %cell = tensor.from_elements %id : tensor<1xi32>
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %cell into %o[%i] [1] [1] : tensor<1xi32> into tensor<?xi32>
        }
      }
      return %r : tensor<?xi32>
    }"""
    who = np.zeros(1_000_000, np.int32)
    executable = build(text, threads=3)
    seen = set()
    for _ in range(20):  # others may be busy on this machine
        run(executable, [who], [who])
        seen |= set(who.tolist())
        if len(seen) == 3:
            break
    assert len(seen) == 3
    assert threading.get_native_id() in seen


def test_little_work_wakes_nobody(fresh_pool, monkeypatch):
    woken = []
    monkeypatch.setattr(Pool, "_start", lambda self, count: woken.append(count))  # helpers never come
    grid = Grid(threads=4)
    grid.check((4, 4))
    assert fresh_pool._queue.qsize() == 0
    grid.check((64, 64), SLOW)
    assert fresh_pool._queue.qsize() == 3  # and the call has returned without them
    assert woken


def test_one_thread_has_no_helpers(fresh_pool):
    Grid(threads=1).check((64, 64), SLOW)
    assert fresh_pool._started == 0
    assert fresh_pool._queue.qsize() == 0


def test_no_more_threads_to_be_had(fresh_pool, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    Grid(threads=4).check((64, 64), SLOW)
    assert fresh_pool._started == 0


def test_a_call_while_the_same_thread_starts_helpers(fresh_pool, monkeypatch):
    """As a signal handler or a `__del__` may do: the inner call must not wait for the outer one."""
    grid = Grid(threads=4)
    start, inner = threading.Thread.start, []

    def interrupted(thread):
        if not inner:
            inner.append(None)
            inner[:] = [np.array_equal(*grid((64, 64), SLOW))]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    outer = threading.Thread(target=grid.check, args=((64, 64), SLOW), daemon=True)
    start(outer)
    outer.join(60)
    assert not outer.is_alive()
    assert inner == [True]
    assert fresh_pool._started == 3


def test_helpers_have_a_stack_of_their_own_size(fresh_pool, monkeypatch):
    """The application's choice for its threads is neither taken nor changed."""
    sizes, start = [], threading.Thread.start

    def note(thread):
        sizes.append(threading.stack_size(pools.STACK_BYTES))
        start(thread)

    before = threading.stack_size(256 * 1024)
    try:
        monkeypatch.setattr(threading.Thread, "start", note)
        Grid(threads=3).check((64, 64), SLOW)
    finally:
        after = threading.stack_size(before)
    assert after == 256 * 1024
    assert sizes == [pools.STACK_BYTES] * 2


def test_helpers_that_come_late_find_the_call_over(fresh_pool):
    """Tickets lie in the queue until after the call; they are looked at then, and nothing happens."""
    started, fresh_pool._started = fresh_pool._started, 100
    grid = Grid(threads=3)
    for _ in range(3):
        grid.check((64, 64), SLOW)
    assert fresh_pool._queue.qsize() == 6
    fresh_pool._started = started
    grid.check((64, 64), SLOW)  # starts the helpers
    deadline = time.monotonic() + 30
    while fresh_pool._queue.qsize() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert fresh_pool._queue.qsize() == 0
    grid.check((64, 64), SLOW)


def test_the_runtime_is_added_only_for_parallel_loops():
    assert emit(GRID).metadata["parallel"]
    assert HELP in emit(GRID).text
    plain = emit("func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n return %x : tensor<4xf32>\n}")
    assert not plain.metadata["parallel"]
    assert HELP not in plain.text


# ---- from where ----


def test_calls_from_several_threads_at_once(grid):
    wrong = []

    def call(number):
        for turn in range(20):
            out, want = grid((20 + number, 10 + turn), SLOW)
            if not np.array_equal(out, want):
                wrong.append((number, turn))

    callers = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


def test_several_kernels_come_and_go(fresh_pool):
    """A kernel's code may go as soon as it has returned, whatever helpers still hold."""
    for turn in range(10):
        Grid(threads=4).check((30, turn + 1), SLOW)


def test_a_busy_interpreter(grid):
    """Other Python threads hold the interpreter lock most of the time."""
    stop = threading.Event()

    def hog():
        while not stop.is_set():
            sum(range(1000))

    hogs = [threading.Thread(target=hog) for _ in range(2)]
    for thread in hogs:
        thread.start()
    try:
        for turn in range(10):
            grid.check((40, 20 + turn), SLOW)
    finally:
        stop.set()
        for thread in hogs:
            thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork():
    """A child has no helpers of its parent's; it starts its own, and both go on."""
    in_a_process("""
        import os
        grid = Grid(threads=3)
        grid.check((64, 64), 2000)
        for _ in range(3):
            child = os.fork()
            grid.check((64, 65), 2000)
            if not child:
                from aecompiler.backends.cpu.threads import pool
                os._exit(0 if pool()._started == 2 else 1)
            assert os.waitpid(child, 0)[1] == 0
    """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_others_compute():
    in_a_process("""
        import os, threading
        grid = Grid(threads=3)
        grid.check((2, 2))  # imports are done: forking in the middle of one is no good
        stop = threading.Event()
        def work():
            while not stop.is_set():
                grid.check((32, 32), 2000)
        worker = threading.Thread(target=work)
        worker.start()
        for _ in range(10):
            child = os.fork()
            if not child:
                out, want = grid((64, 64), 2000)
                os._exit(0 if np.array_equal(out, want) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        worker.join()
    """)


@pytest.mark.skipif(sys.platform == "win32", reason="needs interval timers")
def test_an_interrupt_waits_for_the_call_to_end():
    """The exception comes after the kernel: all is written by then, and nobody writes later."""
    in_a_process("""
        import signal
        grid = Grid(threads=3, opt_level=2)
        grid.check((8, 8))
        for turn in range(20):
            x, out = np.zeros((64, 64)), np.full((64, 64), np.nan)
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0003 * turn)
            try:
                run(grid.executable, [x, np.array([5000])], [out])
                signal.pause()
            except KeyboardInterrupt:
                pass
            signal.setitimer(signal.ITIMER_REAL, 0)
            np.testing.assert_array_equal(out, expected(x))
        grid.check((64, 64), 2000)
    """)


def test_the_interpreter_ends_while_helpers_wait_or_work():
    done = in_a_process("""
        import atexit, threading
        grid = Grid(threads=3)
        grid.check((64, 64), 2000)
        atexit.register(lambda: (grid.check((64, 64), 2000), print("at exit")))
        def work():
            while True:
                grid.check((64, 64), 2000)
        threading.Thread(target=work, daemon=True).start()
    """)
    assert done.stdout == "at exit\n"
    assert done.stderr == ""


def test_a_call_while_the_interpreter_is_ending():
    """Objects are destroyed after the helpers; a call of a kernel from there computes alone."""
    done = in_a_process("""
        class Late:
            def __init__(self):
                self.run, self.out = Grid(threads=3).executable, np.full((64, 64), np.nan)
                self.arrays = np.zeros((64, 64)), np.array([2000])
                self.buffers = [buffer(array) for array in self.arrays]
                self.result, self.print = buffer(self.out), print
            def __del__(self):
                self.run(self.buffers, [self.result])
                self.print(self.out.tobytes() == wanted)
        wanted = expected(np.zeros((64, 64))).tobytes()
        late = Late()
        late.run(late.buffers, [late.result])
        late.out[:] = np.nan
    """)
    assert done.stdout == "True\n"


def test_the_pool_is_one_for_all():
    assert pool() is pool()
    Grid(threads=3).check((64, 64), SLOW)
    Grid(threads=2).check((64, 64), SLOW)
    assert pool()._started >= 2
