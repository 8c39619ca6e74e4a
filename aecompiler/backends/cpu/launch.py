"""Runs what the CPU backend emits: machine code in this process, called through ctypes."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aecompiler.backends.base import Artifact, Buffer, Scalar
from aecompiler.backends.cpu import kernel_cache
from aecompiler.backends.cpu.kernel_cache import CachedKernel, CpuArtifact
from aecompiler.backends.cpu.memory_runtime import CALL, DONE, NO_STACK, OUTCOME_WORD, STATE_WORDS
from aecompiler.backends.cpu.object_file import LoadedObject, ObjectError
from aecompiler.backends.cpu.parallel_runtime import HELP
from aecompiler.backends.cpu.stacks import RESERVE, lowest_address
from aecompiler.backends.cpu.threads import STACK_BYTES, pool, run_with_stack
from aecompiler.errors import BackendError

_DUMMY = (ctypes.c_int64 * 64)()
"""What the descriptor of an empty array points to."""

_GUARD_CELLS = 2 + STATE_WORDS
"""What the native `CALL` gets: its only argument, a pointer to that, and the state behind the argument."""

_PACKED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""How all functions are called: MLIR makes a wrapper for each, which takes pointers to the arguments."""


class Code(Protocol):
    """Machine code in this process, which stays there as long as the object lives."""

    def address(self, name: str) -> int | None:
        """The address of the wrapper of the function `name`, or None."""


class JitCode:
    """Code that LLVM makes in this process, from the bytecode of a module in the LLVM dialect."""

    def __init__(self, artifact: Artifact, keep_object: bool = False):
        from aecompiler.bindings import execution_engine, ir

        # The engine copies nothing: context, module and engine live as long as this object.
        self._context = ir.Context()
        self._context.enable_multithreading(False)
        with self._context:
            self._module = ir.Module.parse(artifact.binary)
            try:
                self.engine = execution_engine.ExecutionEngine(
                    self._module, opt_level=artifact.metadata["opt_level"], enable_object_dump=keep_object
                )
            except RuntimeError as error:
                raise BackendError(
                    f"'{artifact.entry}' can't be compiled by LLVM, which says why on the standard error "
                    f"stream: {error}"
                ) from None

    def address(self, name: str) -> int | None:
        """The address of the wrapper of the function `name`; the first look-up compiles."""
        return self.engine.raw_lookup(name)


def find_code(artifact: CpuArtifact) -> Code:
    """The code of an artifact: from its object file if there is one, else compiled, and kept if it may be."""
    if artifact.cached_object:
        try:
            return LoadedObject(artifact.cached_object)
        except ObjectError:
            kernel_cache.drop(artifact.cache_key)
    elif artifact.is_cached:  # no object file of it could be had, or loaded: it won't be tried again
        return JitCode(artifact)
    compiled = JitCode(artifact, keep_object=bool(artifact.cache_key))
    if not artifact.cache_key or not compiled.address(entry_point(artifact)):
        return compiled
    binary = kernel_cache.object_of(compiled.engine)
    loaded: Code = compiled
    try:
        loaded = LoadedObject(binary)
    except ObjectError:
        binary = b""  # the next process will compile, but skip the passes
    # The number of threads is the caller's, not the code's.
    metadata = {name: value for name, value in artifact.metadata.items() if name != "threads"}
    kernel_cache.store(artifact.cache_key, CachedKernel(artifact.binary, binary, metadata))
    return loaded


def entry_point(artifact: Artifact) -> str:
    """The function that is called: MLIR's C interface of the entry."""
    return f"_mlir_ciface_{artifact.entry}"


class CpuExecutable:
    """A compiled function. Calls release the interpreter lock, share no state and may overlap."""

    def __init__(self, code: Code, artifact: Artifact, threads: int):
        address = code.address(entry_point(artifact))
        if not address:
            raise BackendError(
                f"'{artifact.entry}' can't be linked: it calls a function that this process does not have, "
                "named on the standard error stream"
            )
        self._name = artifact.entry
        self._function = _Function(code, address)
        self._guard: _Function | None = None
        self._address = address
        if artifact.metadata["runtime"]:
            self._guard = _Function(code, code.address(CALL) or 0)
        self._need = artifact.metadata["stack"] + RESERVE
        self._helper: _Function | None = None
        self._threads = threads
        # Code that needs more than helpers have, which nobody has seen yet, goes without.
        if threads > 1 and artifact.metadata["parallel"] and self._need <= STACK_BYTES:
            self._helper = _Function(code, code.address(HELP) or 0)

    def __call__(self, arguments: Sequence[Buffer | Scalar], results: Sequence[Buffer]) -> None:
        """Run; whoever calls keeps the memory behind the buffers alive.

        Raises `MemoryError` where code gets no memory; results may have been written to by then.
        """
        count = len(arguments) + len(results)
        pointers = (
            ctypes.c_void_p * (count + 1)
        )()  # to each argument: a scalar, or a pointer to a descriptor
        cells = (ctypes.c_void_p * (count + 1 + _GUARD_CELLS))()
        cell = ctypes.addressof(cells)
        size = ctypes.sizeof(ctypes.c_void_p)
        keep = []
        for position, value in enumerate((*arguments, *results)):
            pointers[position] = cell + position * size
            if isinstance(value, Scalar):
                data = ctypes.create_string_buffer(value.data, 8)
                pointers[position] = ctypes.addressof(data)
            else:
                data = _descriptor(value)
                cells[position] = ctypes.addressof(data)
            keep.append(data)
        pointers[count] = cell + count * size  # the ticket; null where the call has one thread
        if self._helper is None:
            self._run(ctypes.addressof(pointers), cells)
            return
        threads = pool()
        ticket = threads.take(self._helper, self._threads)
        cells[count] = ticket.address
        try:
            self._run(ctypes.addressof(pointers), cells)
        finally:
            threads.give_back(ticket)

    def _run(self, arguments: int, cells: ctypes.Array) -> None:
        """Call the function; on a thread with more stack where the calling one has too little."""
        if self._guard is None:  # nothing in it fails, or takes much of the stack
            self._function(arguments)
            return
        guard = self._guard
        outcome = self._call(guard, arguments, cells)
        if outcome == NO_STACK:
            outcomes: list[int] = []
            stack = STACK_BYTES * (1 + self._need // STACK_BYTES)
            if not run_with_stack(lambda: outcomes.append(self._call(guard, arguments, cells)), stack):
                raise MemoryError(
                    f"'{self._name}' needs {self._need >> 10} KiB of stack, more than this thread has, and "
                    "there is no other thread to be had"
                )
            (outcome,) = outcomes
        if outcome != DONE:
            raise MemoryError(f"'{self._name}' needs more memory than there is")

    def _call(self, guard: _Function, arguments: int, cells: ctypes.Array) -> int:
        """Call the function by the native `CALL`, for which the last cells are; the outcome."""
        size = ctypes.sizeof(ctypes.c_void_p)
        first = len(cells) - _GUARD_CELLS
        start = ctypes.addressof(cells) + first * size
        words = [self._address, arguments, lowest_address(), self._need, _thread_key(), DONE]
        cells[first:] = [start + 2 * size, start, *words]
        guard(start + size)
        return cells[-STATE_WORDS + OUTCOME_WORD] or DONE


@functools.cache
def _thread_key() -> int:
    """A key of the system for values of threads: where native code keeps its innermost frame."""
    if os.name == "nt":
        return ctypes.WinDLL("kernel32").TlsAlloc()  # type: ignore[attr-defined]
    key = ctypes.c_size_t(0)
    if ctypes.CDLL(None).pthread_key_create(ctypes.byref(key), None):
        raise BackendError("this process has no key left for values of threads")
    return key.value


class _Function:
    """A function of loaded code, which lives as long as this."""

    __slots__ = ("_code", "_function")

    def __init__(self, code: Code, address: int):
        self._code = code
        self._function: Callable[[int], Any] = _PACKED(address)

    def __call__(self, arguments: int) -> None:
        self._function(arguments)


def _descriptor(buffer: Buffer) -> ctypes.Array:
    """MLIR's memref descriptor: allocated, aligned, offset, sizes, strides; all of them 64 bits."""
    address, strides = buffer.address, buffer.strides
    if 0 in buffer.shape:
        address, strides = ctypes.addressof(_DUMMY), (0,) * len(strides)
    return (ctypes.c_int64 * (3 + 2 * len(strides)))(address, address, 0, *buffer.shape, *strides)
