"""Run work in a supervised child process, so that a native crash or a hang ends with a report.

MLIR aborts, overflows its stack or loops for ever on some inputs, and a process can't report its own death.
The child is a fork: it shares what the parent has imported, and costs about a millisecond. The parent must
not have started threads or imported MLIR.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aecompiler.tools.command_line import INTERNAL, usage
from aecompiler.tools.errors import UsageError

_STACK_BYTES = 1 << 30
"""The parser of MLIR recurses on nested regions: give it a deep stack."""

_GRACE_SECONDS = 15
"""How long after its deadline the child ends itself, when nobody else did."""

_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Reporter:
    """The child's line to its parent: facts that are still known when the child is dead."""

    def __init__(self, write_end: int | None = None):
        self._write_end = write_end
        self.facts: dict[str, str] = {}

    def __call__(self, key: str, value: str) -> None:
        """Set the fact `key`; the latest value counts."""
        if self.facts.get(key) == value:
            return
        self.facts[key] = value
        if self._write_end is None:
            return
        record = f"{key}={value}".replace("\\", "\\\\").replace("\n", "\\n") + "\n"
        data = record.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._write_end, data) :]


@dataclass
class Outcome:
    """How the child ended: `status` is the work's return value, or `None` when it did not get to return."""

    status: int | None = None
    timed_out: bool = False
    signal: int | None = None
    exit_code: int | None = None
    facts: dict[str, str] = field(default_factory=dict)

    def describe(self, timeout: float) -> str:
        """What happened to a child that did not return, as the end of "pass 'x' ..."."""
        if self.timed_out:
            return f"did not finish within {timeout:g} s (see --timeout)"
        if self.signal is not None:
            names = {number.value: number.name for number in signal.Signals}
            return f"crashed ({names.get(self.signal, f'signal {self.signal}')})"
        return f"ended the process (exit status {self.exit_code})"


def run_supervised(prog: str, work: Callable[[Reporter], int], timeout: float = 0.0) -> int:
    """Run `work` of the tool `prog` in a child: its exit status, or that of a mistake or a bug, reported."""

    def guarded(report: Reporter) -> int:
        try:
            return work(report)
        except UsageError as error:
            return usage(prog, error)
        except BaseException:
            import traceback

            sys.stderr.write(f"{prog}: internal error:\n")
            traceback.print_exc()
            return INTERNAL

    outcome = supervise(guarded, timeout)
    if outcome.status is not None:
        return outcome.status
    doing = outcome.facts.get("doing", "starting")
    sys.stderr.write(f"{prog}: internal error: {doing} {outcome.describe(timeout)}\n")
    return INTERNAL


class _Ended(BaseException):
    """A signal told this process to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def can_supervise() -> bool:
    """Whether this platform has what it takes; without, work runs in the process itself, unsupervised."""
    return hasattr(os, "fork")


def supervise(work: Callable[[Reporter], int], timeout: float, *, quiet: bool = False) -> Outcome:
    """Run `work` in a child for at most `timeout` seconds (0: no limit), and wait for its end.

    `quiet` discards what the child writes to stdout and stderr. A signal that ends this process ends the
    child too.
    """
    if not can_supervise():
        return Outcome(status=work(Reporter()))
    with _ending_signals():
        sys.stdout.flush()
        sys.stderr.flush()
        read_end, write_end = os.pipe()
        alive_read, alive_write = os.pipe()
        pid: int | None = None
        try:
            # A signal just after the fork would end this process without the child that it does not know yet.
            with _held_signals() as mask:
                pid = os.fork()
                if pid == 0:
                    os.close(read_end)
                    os.close(alive_write)
                    _child(work, write_end, alive_read, mask, timeout, quiet)
            os.close(write_end)
            os.close(alive_read)
            outcome = _wait(pid, read_end, timeout)
        except BaseException:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise
        finally:
            os.close(read_end)
            os.close(alive_write)
    return outcome


@contextlib.contextmanager
def _ending_signals() -> Iterator[None]:
    """Turn the signals that end a process into an exception, and obey them once it has passed through."""

    def end(number: int, frame: object) -> None:
        raise _Ended(number)

    before = {}
    try:
        for number in _ENDING_SIGNALS:
            # A shell starts background jobs with SIGINT ignored, nohup does so with SIGHUP.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, end)
    except ValueError:  # not in the main thread: signals are none of our business
        pass
    try:
        yield
    except _Ended as ended:
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _held_signals() -> Iterator[set[int]]:
    """Keep the signals that end a process waiting, and give the mask of signals of before."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        # Handlers of signals that came before run inside this call, and may raise.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(pid: int, read_end: int, timeout: float) -> Outcome:
    deadline = time.monotonic() + timeout if timeout else None
    received = b""
    outcome = Outcome()
    while True:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        # Some systems refuse to wait for years.
        ready, _, _ = select.select([read_end], [], [], None if remaining is None else min(remaining, 1e6))
        if ready:
            data = os.read(read_end, 1 << 16)
            if not data:
                break
            received += data
        elif remaining is not None and remaining <= 0:
            outcome.timed_out = True
            os.kill(pid, signal.SIGKILL)
            break
    _, state = os.waitpid(pid, 0)
    for record in received.decode("utf-8", "replace").split("\n"):
        key, separator, value = record.partition("=")
        if separator:
            outcome.facts[key] = value.replace("\\n", "\n").replace("\\\\", "\\")
    if os.WIFSIGNALED(state):
        outcome.signal = os.WTERMSIG(state)
    else:
        outcome.exit_code = os.WEXITSTATUS(state)
        # A library may call exit(): only the work's own return value counts.
        if outcome.facts.get("returned") == str(outcome.exit_code):
            outcome.status = outcome.exit_code
    return outcome


def _child(
    work: Callable[[Reporter], int],
    write_end: int,
    alive_read: int,
    mask: set[int],
    timeout: float,
    quiet: bool,
) -> None:
    """Run `work` and leave the process; never returns to the caller's stack."""
    status = INTERNAL
    try:
        for number in _ENDING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _end_with_parent(alive_read, timeout)
        _set_limits()
        if quiet:
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
        report = Reporter(write_end)
        status = work(report)
        # Work that cares for its output has flushed it and seen the error.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        report("returned", str(status))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        # Nothing after the work is worth its time: no destructors, no atexit handlers of the parent.
        os._exit(status)


def _end_with_parent(alive_read: int, timeout: float) -> None:
    """Die when the parent is killed, even inside native code: the kernel then sends SIGIO, which kills."""
    if timeout and hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(min(int(timeout) + _GRACE_SECONDS, 1 << 30))
    if not hasattr(os, "O_ASYNC"):
        return
    import fcntl

    with contextlib.suppress(OSError):
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(alive_read, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(alive_read, fcntl.F_SETFL, fcntl.fcntl(alive_read, fcntl.F_GETFL) | os.O_ASYNC)
    # The kernel tells of no end that came before it was asked. Nothing is written: readable means ended.
    if select.select([alive_read], [], [], 0)[0]:
        os._exit(INTERNAL)


def _set_limits() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
    # A core dump of a crash that gets reported anyway takes longer than the work.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
