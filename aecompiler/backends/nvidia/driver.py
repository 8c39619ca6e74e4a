"""NVIDIA's driver library, through ctypes: contexts, modules, functions, launches.

Found when it is first asked for: `driver()` raises `BackendError` on a machine without one. Kernels run in
the *primary* context of a device, the one that torch uses, so that its tensors and streams are valid in it.
Modules stay loaded as long as the process lives: a kernel may be running, or be part of a CUDA graph.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from aecompiler.errors import BackendError

LIBRARY = "libcuda.so.1"

_SUCCESS = 0
_MAJOR, _MINOR, _SHARED_PER_BLOCK = 75, 76, 97  # CUdevice_attribute
_LOCAL_BYTES, _REGISTERS, _MAX_DYNAMIC_SHARED = 3, 4, 8  # CUfunction_attribute
_CAPTURE_RELAXED = 2  # CUstreamCaptureMode

_STREAM_NON_BLOCKING = 1  # CUstream_flags

_P, _I, _U, _L, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_size_t

_ZEROS_BYTES = 256

LAUNCH_CONFIG = "<7I4xQQI4x"
"""CUlaunchConfig for `struct`: the grid, the block, bytes of shared memory, the stream, and no attributes."""

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (_U,),
    "cuDeviceGet": (_P, _I),
    "cuDeviceGetCount": (_P,),
    "cuDeviceGetAttribute": (_P, _I, _I),
    "cuDevicePrimaryCtxRetain": (_P, _I),
    "cuCtxGetCurrent": (_P,),
    "cuCtxPushCurrent_v2": (_P,),
    "cuCtxPopCurrent_v2": (_P,),
    "cuModuleLoadData": (_P, _P),
    "cuModuleGetFunction": (_P, _P, ctypes.c_char_p),
    "cuFuncSetAttribute": (_P, _I, _I),
    "cuFuncGetAttribute": (_P, _I, _P),
    "cuMemAlloc_v2": (_P, _S),
    "cuMemsetD8Async": (_L, ctypes.c_ubyte, _S, _P),
    "cuStreamCreate": (_P, _U),
    "cuStreamSynchronize": (_P,),
    "cuStreamDestroy_v2": (_P,),
    "cuLaunchKernelEx": (_P, _P, _P, _P),
    "cuThreadExchangeStreamCaptureMode": (_P,),
    "cuGetErrorName": (_I, _P),
    "cuGetErrorString": (_I, _P),
}
_NEWER: dict[str, tuple[Any, ...]] = {
    "cuFuncLoad": (_P,),
    "cuTensorMapEncodeTiled": (_P, _I, _U, _P, _P, _P, _P, _P, _I, _I, _I, _I),
}
"""What old drivers do not have, and is only called where it is needed or there."""


class DriverError(BackendError):
    """The driver refused a call; `name` is that of its error."""

    def __init__(self, what: str, name: str, text: str):
        super().__init__(f"{what}: {name} ({text})")
        self.name = name


def _declare(function: Any, types: tuple[Any, ...]) -> None:
    function.argtypes, function.restype = types, _I


class _Place(threading.local):
    """Where the driver writes a context to, for each thread: each call asks for the current one."""

    def __init__(self) -> None:
        self.context = _P()
        self.reference = ctypes.byref(self.context)


class Driver:
    """The functions of the library that are used here; `DriverError` for what the driver refuses."""

    def __init__(self, library: Any):
        for name, types in _SIGNATURES.items():
            _declare(getattr(library, name), types)
        for name, types in _NEWER.items():
            if (function := getattr(library, name, None)) is not None:
                _declare(function, types)
        self.library = library
        self.launch_kernel: Callable[..., int] = library.cuLaunchKernelEx
        """`cuLaunchKernelEx` itself, which returns an error's number for `check`. It takes the addresses of
        a `LAUNCH_CONFIG`, the function, and of pointers to its parameters: `ctypes` converts four numbers,
        and not the eleven of `cuLaunchKernel`."""
        self._get_current = library.cuCtxGetCurrent
        self._here = _Place()
        self._contexts: dict[int, int] = {}
        self._zeros: dict[int, int] = {}
        self._lock = threading.Lock()
        self.check(library.cuInit(0), "the NVIDIA driver can't be used")

    def check(self, code: int, what: str) -> None:
        """Raise `DriverError`, with `what` failed, unless the driver answered that all is well."""
        if code != _SUCCESS:
            raise DriverError(what, self._text("cuGetErrorName", code), self._text("cuGetErrorString", code))

    def _text(self, function: str, code: int) -> str:
        found = ctypes.c_char_p()
        if getattr(self.library, function)(code, ctypes.byref(found)) or found.value is None:
            return f"error {code}"
        return found.value.decode(errors="replace")

    # ---- devices and contexts ----

    def device_count(self) -> int:
        """The number of devices that this process may use."""
        count = _I()
        self.check(self.library.cuDeviceGetCount(ctypes.byref(count)), "devices can't be counted")
        return count.value

    def _attribute(self, device: int, attribute: int) -> int:
        value = _I()
        code = self.library.cuDeviceGetAttribute(ctypes.byref(value), attribute, self._handle(device))
        self.check(code, f"device {device} can't be asked for what it has")
        return value.value

    def _handle(self, device: int) -> int:
        handle = _I()
        self.check(self.library.cuDeviceGet(ctypes.byref(handle), device), f"there is no device {device}")
        return handle.value

    def capability(self, device: int) -> tuple[int, int]:
        """The compute capability of a device."""
        return self._attribute(device, _MAJOR), self._attribute(device, _MINOR)

    def shared_bytes(self, device: int) -> int:
        """The most shared memory that a block on a device may ask for."""
        return self._attribute(device, _SHARED_PER_BLOCK)

    def context(self, device: int) -> int:
        """The primary context of a device, which is kept from now on."""
        if device not in self._contexts:
            context = _P()
            code = self.library.cuDevicePrimaryCtxRetain(ctypes.byref(context), self._handle(device))
            self.check(code, f"device {device} can't be used")
            self._contexts[device] = context.value or 0
        return self._contexts[device]

    def current(self) -> int:
        """The context that is current on this thread, or 0."""
        here = self._here
        if code := self._get_current(here.reference):
            self.check(code, "the context can't be had")
        return here.context.value or 0

    @contextlib.contextmanager
    def using(self, context: int) -> Iterator[None]:
        """Make a context current on this thread."""
        if self.current() == context:
            yield
            return
        self.check(self.library.cuCtxPushCurrent_v2(context), "the device can't be made current")
        try:
            yield
        finally:
            self.library.cuCtxPopCurrent_v2(ctypes.byref(_P()))

    # ---- memory ----

    def zeros(self, device: int) -> int:
        """The address of a few zeros on a device, which stay there and which nobody may write to.

        May be called while this thread captures a CUDA graph.
        """
        with self._lock:
            if device not in self._zeros:
                with self.using(self.context(device)), self._beside_capture():
                    self._zeros[device] = self._new_zeros()
            return self._zeros[device]

    def _new_zeros(self) -> int:
        address, stream, what = _L(), _P(), "memory can't be had"
        self.check(self.library.cuMemAlloc_v2(ctypes.byref(address), _ZEROS_BYTES), what)
        # The default stream would wait for others, which a graph that is captured does not allow.
        self.check(self.library.cuStreamCreate(ctypes.byref(stream), _STREAM_NON_BLOCKING), what)
        try:
            self.check(self.library.cuMemsetD8Async(address.value, 0, _ZEROS_BYTES, stream), what)
            self.check(self.library.cuStreamSynchronize(stream), what)
        finally:
            self.library.cuStreamDestroy_v2(stream)
        return address.value

    # ---- code ----

    def load_function(self, device: int, binary: bytes, name: str, shared: int) -> int:
        """The kernel `name` of a cubin, on a device, with `shared` bytes of shared memory at its launches.

        May be called while this thread captures a CUDA graph.
        """
        available = self.shared_bytes(device)
        if shared > available:
            raise BackendError(
                f"kernel '{name}' needs {shared} bytes of shared memory, and device {device} has {available}"
            )
        module, function = _P(), _P()
        with self.using(self.context(device)), self._beside_capture():
            code = self.library.cuModuleLoadData(ctypes.byref(module), binary)
            self.check(code, f"kernel '{name}' can't be loaded on device {device}")
            code = self.library.cuModuleGetFunction(ctypes.byref(function), module, name.encode())
            self.check(code, f"kernel '{name}' is not in its binary")
            code = self.library.cuFuncSetAttribute(function, _MAX_DYNAMIC_SHARED, shared)
            self.check(code, f"kernel '{name}' can't have {shared} bytes of shared memory")
            # Not at the first launch, which may be part of a graph. Drivers before 12.4 don't have it.
            load = getattr(self.library, "cuFuncLoad", None)
            if load is not None:
                self.check(load(function), f"kernel '{name}' can't be loaded on device {device}")
        return function.value or 0

    @contextlib.contextmanager
    def _beside_capture(self) -> Iterator[None]:
        """Allow calls that have nothing to do with a graph that is being captured."""
        mode = _I(_CAPTURE_RELAXED)
        exchange = self.library.cuThreadExchangeStreamCaptureMode
        self.check(exchange(ctypes.byref(mode)), "the capture mode can't be changed")
        try:
            yield
        finally:
            exchange(ctypes.byref(mode))

    def registers(self, function: int) -> int:
        """The registers of a thread of a kernel."""
        return self._function_attribute(function, _REGISTERS)

    def local_bytes(self, function: int) -> int:
        """The bytes of memory that a thread of a kernel has beside its registers."""
        return self._function_attribute(function, _LOCAL_BYTES)

    def _function_attribute(self, function: int, attribute: int) -> int:
        value = _I()
        code = self.library.cuFuncGetAttribute(ctypes.byref(value), attribute, function)
        self.check(code, "a kernel can't be asked for what it needs")
        return value.value


@functools.cache
def driver() -> Driver:
    """The driver of this machine; `BackendError` where there is none."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendError(f"no NVIDIA driver here: {error}") from None
    try:
        return Driver(library)
    except AttributeError as error:
        raise BackendError(f"the NVIDIA driver here is too old: {error}") from None


def card_capability() -> tuple[int, int]:
    """The compute capability of the card that code is compiled for: torch's current device, or the first."""
    found = driver()
    if not found.device_count():
        raise BackendError("no NVIDIA GPU here")
    torch = sys.modules.get("torch")
    ready = torch is not None and torch.cuda.is_initialized()
    return found.capability(torch.cuda.current_device() if torch is not None and ready else 0)
