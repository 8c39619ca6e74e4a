"""AMD's HIP runtime, through ctypes: devices, modules, functions, launches.

Found when it is first asked for: `runtime()` raises `BackendError` on a machine without one, or without a
device. Functions, their types and their meaning are those of the HIP API reference ("Initialization and
Version", "Device Management", "Module Management", "Error Handling"). The library is the one that torch has
loaded, so that its tensors and streams are valid in it. Modules stay loaded as long as the process lives: a
kernel may be running, or be part of a graph.

This code has only been run on a library that stands in for the runtime.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aecompiler.errors import BackendError

LIBRARIES = ("libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5")

_SIMULATE = "simulate=True of aec.compile, or --simulate of aec-run, needs none"

_SUCCESS = 0
_BUFFER_POINTER, _BUFFER_SIZE, _END = 1, 2, 3  # HIP_LAUNCH_PARAM_*

_P, _I, _U, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_size_t

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "hipInit": (_U,),
    "hipGetDeviceCount": (_P,),
    "hipGetDevice": (_P,),
    "hipSetDevice": (_I,),
    "hipModuleLoadData": (_P, _P),
    "hipModuleGetFunction": (_P, _P, ctypes.c_char_p),
    "hipModuleLaunchKernel": (_P, _U, _U, _U, _U, _U, _U, _U, _P, _P, _P),
}
_TEXTS = ("hipGetErrorName", "hipGetErrorString")


class HipError(BackendError):
    """The runtime refused a call; `name` is that of its error."""

    def __init__(self, what: str, name: str, text: str):
        super().__init__(f"{what}: {name} ({text})")
        self.name = name


class Runtime:
    """The functions of the library that are used here; `HipError` for what the runtime refuses.

    A context is a device's number: `hipSetDevice` makes a device current on a thread.
    """

    def __init__(self, library: Any, find_chip: Callable[[int], str] | None = None):
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, _I
        for name in _TEXTS:
            function = getattr(library, name)
            function.argtypes, function.restype = (_I,), ctypes.c_char_p
        self.library = library
        self._find_chip = find_chip or _chip_by_torch
        self._lock = threading.Lock()
        self.check(library.hipInit(0), "the HIP runtime can't be used")
        if not self.device_count():
            raise BackendError("no AMD GPU here: the HIP runtime finds no device")

    def check(self, code: int, what: str) -> None:
        """Raise `HipError`, with `what` failed, unless the runtime answered that all is well."""
        if code != _SUCCESS:
            name, text = (getattr(self.library, each)(code) or b"?" for each in _TEXTS)
            raise HipError(what, name.decode(errors="replace"), text.decode(errors="replace"))

    def device_count(self) -> int:
        """The number of devices that this process may use; the runtime's error for none is 0."""
        count = _I()
        code = self.library.hipGetDeviceCount(ctypes.byref(count))
        name = self.library.hipGetErrorName(code) if code else b""
        if name == b"hipErrorNoDevice":
            return 0
        self.check(code, "devices can't be counted")
        return count.value

    def chip(self, device: int) -> str:
        """LLVM's name of a device's processor, such as "gfx942", without its features."""
        return self._find_chip(device).partition(":")[0]

    def current(self) -> int:
        """The device that is current on this thread."""
        device = _I()
        self.check(self.library.hipGetDevice(ctypes.byref(device)), "the current device can't be had")
        return device.value

    @contextlib.contextmanager
    def using(self, device: int) -> Iterator[None]:
        """Make a device current on this thread."""
        before = self.current()
        if before == device:
            yield
            return
        self.check(self.library.hipSetDevice(device), f"device {device} can't be made current")
        try:
            yield
        finally:
            self.library.hipSetDevice(before)

    def load_function(self, device: int, binary: bytes, name: str) -> int:
        """The kernel `name` of a code object, on a device."""
        module, function = _P(), _P()
        with self._lock, self.using(device):
            code = self.library.hipModuleLoadData(ctypes.byref(module), binary)
            self.check(code, f"kernel '{name}' can't be loaded on device {device}")
            code = self.library.hipModuleGetFunction(ctypes.byref(function), module, name.encode())
            self.check(code, f"kernel '{name}' is not in its code object")
        return function.value or 0

    def launch(
        self,
        function: int,
        grid: tuple[int, int, int],
        threads: int,
        shared: int,
        stream: int,
        arguments: bytes,
    ) -> int:
        """Launch a kernel whose segment of arguments holds these bytes; returns the runtime's answer.

        The runtime copies the arguments before it returns, and adds those that are hidden.
        """
        size, data = _S(len(arguments)), ctypes.create_string_buffer(arguments, len(arguments))
        extra = (_P * 5)(
            _BUFFER_POINTER,
            ctypes.addressof(data),
            _BUFFER_SIZE,
            ctypes.addressof(size),
            _END,
        )
        return self.library.hipModuleLaunchKernel(
            function, *grid, threads, 1, 1, shared, stream, None, ctypes.addressof(extra)
        )


@functools.cache
def runtime() -> Runtime:
    """The HIP runtime of this machine; `BackendError` where there is none, or no device."""
    try:
        import torch
    except ImportError as error:
        raise BackendError(f"no AMD GPU can be used here: torch can't be imported: {error}") from None
    if torch.version.hip is None:
        raise BackendError(f"no AMD GPU can be used here: torch is not built for ROCm; {_SIMULATE}")
    for name in (str(Path(torch.__file__ or "").parent / "lib" / LIBRARIES[0]), *LIBRARIES):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(name)
            break
    else:
        raise BackendError(f"no AMD GPU can be used here: there is no {LIBRARIES[0]}; {_SIMULATE}")
    try:
        return Runtime(library)
    except AttributeError as error:
        raise BackendError(f"the HIP runtime here is too old: {error}") from None


def _chip_by_torch(device: int) -> str:
    import torch

    return torch.cuda.get_device_properties(device).gcnArchName
