"""The threads that help kernels: a pool for the process, and the tickets that native code calls it with.

`parallel_runtime.py` says what native code does with a ticket. Python's part is small on purpose. The thread
that calls a kernel runs no Python between the call and its return: it wakes helpers by a method that is
written in C, so that no exception (an interrupt, for instance) can end the call while others still work
for it. A helper is a Python thread that waits for tickets and calls native code, which lets go of the
interpreter lock. Helpers that never come, since the process has forked, is ending, or may have no more
threads, cost speed alone.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from aecompiler.backends.cpu.parallel_runtime import (
    OBJECT_WORD,
    THREADS_WORD,
    TICKET_WORDS,
    WAKE_WORD,
    WOKEN_WORD,
    YIELD_WORD,
)

STACK_BYTES = 8 * 2**20
"""The stack of a helper: kernels have scratch memory there. Memory that is not used is only reserved."""

_WAKE = ctypes.CFUNCTYPE(None, ctypes.py_object)


class Ticket:
    """What one call of a kernel is known by to its helpers. `help` runs the kernel's native helper on it."""

    __slots__ = ("_cells", "_words", "address", "arguments", "help")

    def __init__(self, wake: int, give_way: int):
        self._words = (ctypes.c_int64 * TICKET_WORDS)()
        self._words[WAKE_WORD], self._words[YIELD_WORD] = wake, give_way
        self._words[OBJECT_WORD] = id(self)
        self.address = ctypes.addressof(self._words)
        # The native helper is called as `void(void **)`, with pointers to its arguments.
        self._cells = (ctypes.c_void_p * 2)(0, self.address)
        self._cells[0] = ctypes.addressof(self._cells) + ctypes.sizeof(ctypes.c_void_p)
        self.arguments = ctypes.addressof(self._cells)
        self.help: Callable[[int], None] | None = None

    def prepare(self, helper: Callable[[int], None], threads: int) -> None:
        """Fill in what differs from call to call."""
        self.help = helper
        self._words[THREADS_WORD] = threads

    @property
    def is_expected(self) -> bool:
        """Whether a helper has been woken that has not looked at the ticket yet."""
        return self._words[WOKEN_WORD] != 0


class Pool:
    """The helpers of a process; they start when a call first asks for so many, and stay."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._wake = _WAKE(self._queue.put)
        self._wake_address = ctypes.cast(self._wake, ctypes.c_void_p).value or 0
        self._give_way = _give_way_address()
        self._free: deque[Ticket] = deque()
        self._started = 0
        self._starting = threading.Lock()

    def take(self, helper: Callable[[int], None], threads: int) -> Ticket:
        """A ticket for one call on so many threads, that of the caller included."""
        if self._started < threads - 1:
            self._start(threads - 1)
        try:
            ticket = self._free.pop()
        except IndexError:
            ticket = Ticket(self._wake_address, self._give_way)
        ticket.prepare(helper, threads)
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """The call has returned."""
        if not ticket.is_expected:  # else it is left to the helpers that will still look at it
            ticket.help = None
            self._free.append(ticket)

    def _start(self, count: int) -> None:
        # Whoever starts helpers at this moment may be this very thread: a signal handler, or a `__del__`,
        # may call a kernel between any two steps of it. So nobody waits; a call does with what there is.
        if not self._starting.acquire(blocking=False):
            return
        try:
            while self._started < count:
                thread = threading.Thread(
                    target=_serve,
                    args=(self._queue.get,),
                    name=f"aecompiler-{self._started}",
                    daemon=True,
                )
                try:
                    with stack_size(STACK_BYTES):
                        thread.start()
                except RuntimeError:  # no more threads here, or the interpreter is ending
                    return
                self._started += 1
        finally:
            self._starting.release()


@contextlib.contextmanager
def stack_size(size: int) -> Iterator[None]:
    """Threads that start inside have a stack of that size, whatever the application has chosen for its own.

    Python has one setting for all threads to come. One that another thread starts in these microseconds gets
    a stack of our size too; a size that another thread chooses meanwhile stays chosen.
    """
    before = threading.stack_size(size)
    try:
        yield
    finally:
        if (now := threading.stack_size(before)) != size:
            threading.stack_size(now)


def run_with_stack(function: Callable[[], None], size: int) -> bool:
    """Run a function that raises nothing on a new thread with a stack of that size; False if there is none.

    An interrupt is raised after the function's end.
    """
    ended = threading.Lock()
    ended.acquire()

    def run() -> None:
        try:
            function()
        finally:
            ended.release()

    try:
        with stack_size(size):
            _thread.start_new_thread(run, ())  # not Thread.start, which waits, and may be interrupted then
    except RuntimeError:  # no more threads here, or the interpreter is ending
        return False
    interrupt: BaseException | None = None
    while True:
        try:
            ended.acquire()
            break
        except BaseException as error:  # of a signal handler
            interrupt = error
    if interrupt is not None:
        raise interrupt
    return True


def _serve(get: Callable[[], Ticket]) -> None:
    """The life of a helper."""
    while True:
        ticket: Any = get()
        # Taken once: the function keeps the code of its kernel alive while it runs.
        helper = ticket.help
        if helper is not None:
            helper(ticket.arguments)
        del ticket, helper


def _give_way_address() -> int:
    """A function that lets another thread run on this processor."""
    if os.name == "nt":
        function = ctypes.WinDLL("kernel32").SwitchToThread  # type: ignore[attr-defined]
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_pool = Pool()


def pool() -> Pool:
    """The pool of this process."""
    return _pool


def _after_fork() -> None:
    """The child has none of the threads, and tickets may be in a state that only they would leave."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
