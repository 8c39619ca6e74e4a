"""The driver's wrapper against a library that notes its calls; and what tensor maps are refused."""

from __future__ import annotations

import ctypes

import pytest

from aecompiler.backends.nvidia import driver as module
from aecompiler.backends.nvidia import tensor_map
from aecompiler.backends.nvidia.driver import Driver, DriverError
from aecompiler.errors import BackendError


class Library:
    """libcuda, as far as it is called: notes the calls, and writes what `values` says where it is wanted."""

    def __init__(self, **answers):
        self.answers = answers
        self.values = {
            "cuDevicePrimaryCtxRetain": 0xC0,
            "cuModuleLoadData": 0xA0,
            "cuModuleGetFunction": 0xF0,
        }
        self.calls = []
        self.current = 0

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)
        function = _Function(self, name)
        setattr(self, name, function)
        return function


class _Function:
    def __init__(self, library, name):
        self.library, self.name = library, name

    def __call__(self, *arguments):
        library = self.library
        library.calls.append(self.name)
        value = library.values.get(self.name)
        if self.name == "cuDeviceGetAttribute":
            value = {75: 9, 76: 0, 97: 232448}[arguments[1]]
        if self.name == "cuFuncGetAttribute":
            value = {3: 16, 4: 168}[arguments[1]]
        if self.name == "cuCtxGetCurrent":
            value = library.current
        if self.name == "cuCtxPushCurrent_v2":
            library.current = arguments[0]
        if self.name == "cuCtxPopCurrent_v2":
            library.current = 0
        if self.name in ("cuGetErrorName", "cuGetErrorString"):
            value = {"cuGetErrorName": b"CUDA_ERROR_X", "cuGetErrorString": b"all is lost"}[self.name]
        if value is not None:
            place = arguments[1 if self.name.startswith("cuGetError") else 0]
            place._obj.value = value
        return library.answers.get(self.name, 0)


def test_kernel_is_loaded_in_the_primary_context_beside_any_capture():
    library = Library()
    found = Driver(library)
    assert found.load_function(0, b"cubin", "k", 70000) == 0xF0
    calls = library.calls[library.calls.index("cuCtxPushCurrent_v2") :]
    assert calls == [
        *("cuCtxPushCurrent_v2", "cuThreadExchangeStreamCaptureMode"),
        *("cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuFuncLoad"),
        *("cuThreadExchangeStreamCaptureMode", "cuCtxPopCurrent_v2"),
    ]
    assert library.current == 0


def test_context_that_is_current_stays():
    library = Library()
    found = Driver(library)
    library.current = found.context(0)
    with found.using(0xC0):
        pass
    assert "cuCtxPushCurrent_v2" not in library.calls


def test_capability_and_resources_are_read():
    found = Driver(Library())
    assert found.capability(0) == (9, 0)
    assert found.shared_bytes(0) == 232448
    assert found.registers(1) == 168
    assert found.local_bytes(1) == 16


def test_too_much_shared_memory_is_refused_before_loading():
    library = Library()
    message = "kernel 'k' needs 232449 bytes of shared memory, and device 0 has 232448"
    with pytest.raises(BackendError, match=message):
        Driver(library).load_function(0, b"cubin", "k", 232449)
    assert "cuModuleLoadData" not in library.calls


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("cuModuleLoadData", "kernel 'k' can't be loaded on device 0"),
        ("cuModuleGetFunction", "kernel 'k' is not in its binary"),
        ("cuFuncSetAttribute", "kernel 'k' can't have 100 bytes of shared memory"),
    ],
)
def test_errors_say_what_failed_and_how_the_driver_calls_it(function, message):
    library = Library(**{function: 200})
    with pytest.raises(DriverError, match=rf"{message}: CUDA_ERROR_X \(all is lost\)") as caught:
        Driver(library).load_function(0, b"cubin", "k", 100)
    assert caught.value.name == "CUDA_ERROR_X"
    assert library.current == 0, "the context is given back"


def test_driver_that_can_not_start_says_so():
    with pytest.raises(DriverError, match="the NVIDIA driver can't be used: CUDA_ERROR_X"):
        Driver(Library(cuInit=100))


def test_machine_without_a_driver_says_so(monkeypatch):
    monkeypatch.setattr(module, "LIBRARY", "libcuda-that-nobody-has.so.1")
    with pytest.raises(BackendError, match="no NVIDIA driver here: libcuda-that-nobody-has"):
        module.driver.__wrapped__()


# ---- tensor maps ----

GOOD = {
    "address": 1 << 20,
    "dtype": "bf16",
    "sizes": (2, 8, 1000, 128),
    "strides": (8 * 1000 * 128, 1000 * 128, 128, 1),
    "box": (1, 1, 64, 64),
    "swizzle_bytes": 128,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "i1"}, "expects a tensor map's element type to be one of i8, "),
        ({"swizzle_bytes": 16}, "expects a swizzle of 0, 32, 64 or 128 bytes, got 16"),
        ({"box": (64, 64)}, "expects 1 to 5 sizes, and as many strides and sizes of the box, got 4, 4 and 2"),
        ({"address": 8}, "at a multiple of 16 bytes, got address 0x8"),
        ({"strides": (8, 8, 8, 2)}, "expects the last stride of a tensor map to be 1, got 2"),
        ({"sizes": (2, 8, 0, 128)}, r"expects sizes of 1 to 2\^32 in a tensor map, got 0 in dimension 2"),
        ({"box": (1, 1, 257, 64)}, "expects a box of 1 to 256, got 257 in dimension 2"),
        ({"strides": (8, 8, 7, 1)}, r"multiples of 16 bytes below 2\^40, got 14 in dimension 2"),
        ({"strides": (1 << 39, 8, 8, 1)}, rf"below 2\^40, got {1 << 40} in dimension 0"),
        ({"box": (1, 1, 64, 4)}, "expects rows of a box to be multiples of 16 bytes, got 8"),
        ({"box": (1, 1, 64, 128)}, "expects rows of a box to fit into the swizzle, 128 bytes, got 256"),
    ],
)
def test_what_the_hardware_can_not_copy_is_refused(change, message):
    tensor_map.check(**GOOD)
    with pytest.raises(ValueError, match=message):
        tensor_map.check(**{**GOOD, **change})


def test_tensor_map_is_encoded_from_the_last_dimension():
    library = Library()
    seen = []

    def encode(*arguments):
        place, dtype, rank, address, sizes, strides, box, steps, *rest = arguments
        seen.append((dtype, rank, address, *map(list, (sizes, strides, box, steps)), rest, place % 64))
        ctypes.memmove(place, bytes(range(128)), 128)
        return 0

    library.cuTensorMapEncodeTiled = encode
    assert tensor_map.encode(Driver(library), **GOOD) == bytes(range(128))
    sizes, strides, box = [128, 1000, 8, 2], [256, 256000, 2048000], [64, 64, 1, 1]
    assert seen == [(9, 4, 1 << 20, sizes, strides, box, [1] * 4, [0, 3, 2, 0], 0)]
