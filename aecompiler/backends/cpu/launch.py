"""Runs what the CPU backend emits: machine code in this process, called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from aecompiler.backends.base import Artifact, Buffer, Scalar
from aecompiler.bindings import execution_engine, ir
from aecompiler.errors import BackendError

_DUMMY = (ctypes.c_int64 * 64)()
"""What the descriptor of an empty array points to."""


class CpuExecutable:
    """A compiled function. Calls release the interpreter lock, share no state and may overlap."""

    def __init__(self, artifact: Artifact):
        # The engine copies nothing: context, module and engine live as long as this object.
        self._context = ir.Context()
        self._context.enable_multithreading(False)
        with self._context:
            self._module = ir.Module.parse(artifact.binary)
            try:
                self._engine = execution_engine.ExecutionEngine(
                    self._module, opt_level=artifact.metadata["opt_level"]
                )
            except RuntimeError as error:
                raise BackendError(
                    f"'{artifact.entry}' can't be compiled by LLVM, which says why on the standard error "
                    f"stream: {error}"
                ) from None
        # The engine compiles at the first look-up, and knows a wrapper `void(void **)` by this name.
        address = self._engine.raw_lookup(f"_mlir_ciface_{artifact.entry}")
        if not address:
            raise BackendError(
                f"'{artifact.entry}' can't be linked: it calls a function that this process does not have, "
                "named on the standard error stream"
            )
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)

    def __call__(self, arguments: Sequence[Buffer | Scalar], results: Sequence[Buffer]) -> None:
        """Run; whoever calls keeps the memory behind the buffers alive."""
        count = len(arguments) + len(results)
        pointers = (ctypes.c_void_p * count)()  # to each argument: a scalar, or a pointer to a descriptor
        cells = (ctypes.c_void_p * count)()
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
        self._function(ctypes.addressof(pointers))


def _descriptor(buffer: Buffer) -> ctypes.Array:
    """MLIR's memref descriptor: allocated, aligned, offset, sizes, strides; all of them 64 bits."""
    address, strides = buffer.address, buffer.strides
    if 0 in buffer.shape:
        address, strides = ctypes.addressof(_DUMMY), (0,) * len(strides)
    return (ctypes.c_int64 * (3 + 2 * len(strides)))(address, address, 0, *buffer.shape, *strides)
