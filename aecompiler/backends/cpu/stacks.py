"""The stacks of threads: how much code needs, and where the stack of the calling thread ends."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Mapping

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

RESERVE = 128 * 2**10
"""What libraries need beside our own code, and the pages that guard a stack."""

_REGISTER_BYTES = 64
_OTHER_BYTES = 4 * 2**10
"""Assumed of what is not an array of numbers: contexts of parallel loops, and frames of calls."""


def stack_need(module: ir.Module) -> int:
    """The bytes of stack that a call of a function of `module` may need: of the deepest chain of calls.

    Counted are the arrays on the stack, and a vector register for each operation, since LLVM may keep all
    results of a function in memory (it keeps a tenth of them there).
    """
    functions = {rw.symbol_name(op): op for op in rw.walk_list(module.operation, "llvm.func")}
    own: dict[str, int] = {}
    callees: dict[str, set[str]] = {}
    for name, function in functions.items():
        operations = rw.walk_list(function)
        arrays = [op for op in operations if op.name == "llvm.alloca"]
        own[name] = _REGISTER_BYTES * len(operations) + sum(_array_bytes(op) for op in arrays)
        used = (op.attributes for op in operations if op.name in ("llvm.call", "llvm.mlir.addressof"))
        callees[name] = {
            ir.FlatSymbolRefAttr(attributes[key]).value
            for attributes in used
            for key in ("callee", "global_name")
            if key in attributes
        }
    found: dict[str, int] = {}
    return max((_deepest(name, own, callees, found) for name in functions), default=0)


def _deepest(
    name: str, own: Mapping[str, int], callees: Mapping[str, set[str]], found: dict[str, int]
) -> int:
    if name not in found:
        found[name] = own.get(name, 0)
        deepest = max((_deepest(callee, own, callees, found) for callee in callees.get(name, ())), default=0)
        found[name] += deepest
    return found[name]


def _array_bytes(alloca: ir.Operation) -> int:
    """The bytes that an `llvm.alloca` takes."""
    element = ir.TypeAttr(alloca.attributes["elem_type"]).value
    count = alloca.operands[0].owner
    if not isinstance(element, (ir.IntegerType, ir.FloatType)) or isinstance(count, ir.Block):
        return _OTHER_BYTES
    if count.operation.name != "llvm.mlir.constant":
        return _OTHER_BYTES
    return ir.IntegerAttr(count.operation.attributes["value"]).value * max(1, element.width // 8) + 64


@functools.cache
def _thread_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "pthread_getattr_np"):
        return None
    library.pthread_self.restype = ctypes.c_void_p
    library.pthread_getattr_np.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.pthread_attr_getstack.argtypes = (ctypes.c_void_p,) * 3
    library.pthread_attr_destroy.argtypes = (ctypes.c_void_p,)
    return library


def _find_lowest() -> int:
    library = _thread_library()
    attributes = (ctypes.c_int64 * 64)()  # larger than any pthread_attr_t
    if library is None or library.pthread_getattr_np(library.pthread_self(), attributes):
        return 0
    address, size = ctypes.c_size_t(), ctypes.c_size_t()
    failed = library.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return 0 if failed else address.value


class _Stack(threading.local):
    """The lowest address of each thread's stack; 0, far below, where that is not known."""

    def __init__(self) -> None:
        self.lowest = _find_lowest()


_stack = _Stack()


def lowest_address() -> int:
    """Where the stack of the calling thread ends, found once for each thread."""
    return _stack.lowest
