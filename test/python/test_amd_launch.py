"""Launches on AMD GPUs without one: what the HIP runtime gets of programs whose kernels are stubs."""

from __future__ import annotations

import ctypes
import dataclasses
import random
import struct
import zipfile
from typing import Any

import pytest
from device_fakes import FakeTensor
from test_nvidia_launch import PLAN, torch_stand_in  # noqa: F401  (a fixture)

from aecompiler import saved_kernel
from aecompiler.backends.amd import hip
from aecompiler.backends.amd.artifact import AmdArtifact, KernelCode
from aecompiler.backends.amd.hip import HipError, Runtime
from aecompiler.backends.amd.launch import HipExecutable, argument_layout
from aecompiler.backends.amd.resources import Resources
from aecompiler.backends.gpu.artifact import ALIGNED, UNALIGNED
from aecompiler.backends.gpu.host_program import make_program
from aecompiler.errors import BackendError

PARAMETERS = ["!tt.ptr<f32>", "i64", "!tt.ptr<f32>", "i64", "i32", "f32"]
PLACES = [[0, 8], [8, 8], [16, 8], [24, 8], [32, 4], [36, 4]]
SCRATCH = [[40, 8], [48, 8]]
"""Pointers that a compiler has added."""

NO_DEVICE, INVALID, OUT_OF_MEMORY = 100, 1, 2
NAMES = {
    NO_DEVICE: b"hipErrorNoDevice",
    INVALID: b"hipErrorInvalidValue",
    OUT_OF_MEMORY: b"hipErrorOutOfMemory",
}


class Function:
    """A function of the library, whose types are declared as those of ctypes."""

    def __init__(self, work):
        self.work = work
        self.argtypes: Any = None
        self.restype: Any = None

    def __call__(self, *arguments):
        assert self.argtypes is not None, "a function is called whose types are not declared"
        assert len(arguments) == len(self.argtypes)
        return self.work(*arguments)


class FakeHip:
    """The library of the HIP runtime, as far as `Runtime` calls it; it notes what is asked for."""

    def __init__(self, devices=2, answers=None):
        self.devices, self.answers = devices, answers or {}
        self.device = 0
        self.loaded: list[tuple[int, bytes, bytes]] = []
        self.launches: list[dict[str, Any]] = []
        for name in dir(self):
            if name.startswith("_hip"):
                setattr(self, name[1:], Function(self._answering(name[1:], getattr(self, name))))

    def _answering(self, name, work):
        return lambda *arguments: self.answers.get(name) or work(*arguments)

    def _hipInit(self, flags):
        assert flags == 0
        return 0

    def _hipGetDeviceCount(self, count):
        count._obj.value = self.devices
        return 0 if self.devices else NO_DEVICE

    def _hipGetDevice(self, device):
        device._obj.value = self.device
        return 0

    def _hipSetDevice(self, device):
        self.device = device
        return 0

    def _hipModuleLoadData(self, module, binary):
        module._obj.value = 1 + len(self.loaded)
        self.loaded.append((self.device, binary, b""))
        return 0

    def _hipModuleGetFunction(self, function, module, name):
        device, binary, _ = self.loaded[module.value - 1]
        self.loaded[module.value - 1] = (device, binary, name)
        function._obj.value = 1000 + module.value
        return 0

    def _hipModuleLaunchKernel(self, function, x, y, z, threads, b, c, shared, stream, parameters, extra):
        assert parameters is None
        assert (b, c) == (1, 1)
        kinds = (ctypes.c_void_p * 5).from_address(extra)
        assert [kinds[0], kinds[2], kinds[4]] == [1, 2, 3], "pointer, size, end"
        size = ctypes.c_size_t.from_address(kinds[3]).value
        self.launches.append(
            {
                "device": self.device,
                "function": function,
                "grid": (x, y, z),
                "threads": threads,
                "shared": shared,
                "stream": stream,
                "arguments": ctypes.string_at(kinds[1], size),
            }
        )
        return 0

    def _hipGetErrorName(self, code):
        return NAMES[code]

    def _hipGetErrorString(self, code):
        return NAMES[code].removeprefix(b"hipError").lower()


def code(form=ALIGNED, places=(*PLACES, *SCRATCH), spans=False):
    return KernelCode(
        symbol="k",
        binary=f"hsaco {form}".encode(),
        assembly=f"; assembly {form}",
        threads=256,
        shared=4096,
        spans=spans,
        arguments=[list(place) for place in places],
        resources=Resources(**{field.name: 0 for field in dataclasses.fields(Resources)}),
    )


def artifact(plan=PLAN, **others):
    manifest = {
        "target": "amd:gfx942",
        "chip": "gfx942",
        "road": "triton",
        "entry": "scale",
        "versions": {},
        "plan": plan,
        "kernels": {"k": {"parameters": PARAMETERS, "waves": 4, "options": {}}},
    }

    def compile_form(_artifact, kernel, form):
        assert (kernel, form) == ("k", UNALIGNED)
        return code(UNALIGNED)

    return AmdArtifact.make(
        manifest,
        {("k", form): f"text {form}" for form in (ALIGNED, UNALIGNED)},
        {("k", ALIGNED): code(**others)},
        compile_form=compile_form,
    )


def runtime(library, chip="gfx942:sramecc+:xnack-"):
    return Runtime(library, lambda device: chip)


def executable(library, made=None, **others):
    found = runtime(library, **others)
    return HipExecutable(made or artifact(), lambda: found)


def arguments(device_index=0, address=None):
    x = FakeTensor((3, 8), address=address, device_index=device_index)
    return [x, FakeTensor((3, 2), device_index=device_index), 0.5]


def test_launch_gets_the_kernel_the_grid_and_the_segment_of_arguments():
    library, given = FakeHip(), arguments()
    (result,) = executable(library)(given, [None])
    assert library.loaded == [(0, b"hsaco aligned", b"k")]
    (launch,) = library.launches
    assert launch["grid"] == (3, 1, 1)
    assert (launch["function"], launch["threads"], launch["shared"]) == (1001, 256, 4096)
    assert (launch["stream"], launch["device"]) == (40, 0)
    values = struct.unpack("<QqQqif", launch["arguments"][:40])
    assert values == (given[0].address, 8, result.address, 8, 3, 0.5)
    assert launch["arguments"][40:] == bytes(16), "there are null pointers for what the compiler adds"


def test_kernel_is_loaded_once_for_each_device_which_is_current_then():
    library = FakeHip()
    run = executable(library)
    for index in (0, 0, 1, 1, 0):
        run(arguments(device_index=index), [None])
    assert [device for device, _, _ in library.loaded] == [0, 1]
    assert [launch["device"] for launch in library.launches] == [0, 0, 1, 1, 0]
    assert library.device == 0, "the thread's device is as it was"


def test_misaligned_tensors_get_the_form_that_assumes_nothing():
    library = FakeHip()
    run = executable(library)
    run(arguments(), [None])
    run(arguments(address=(1 << 20) + 4), [None])
    assert [binary for _, binary, _ in library.loaded] == [b"hsaco aligned", b"hsaco unaligned"]


def test_arguments_stand_where_the_code_says():
    gaps = [[0, 8], [8, 8], [16, 8], [24, 8], [32, 4], [40, 4]]
    packed = argument_layout(PARAMETERS, code(places=gaps)).pack(1, 2, 3, 4, -5, 0.25)
    assert packed == struct.pack("<QqQqi4xf", 1, 2, 3, 4, -5, 0.25)


def test_bytes_behind_each_pointer_follow_the_parameters():
    launched = []
    plan = {
        **PLAN,
        "body": [{**each, "spans": True} if each["op"] == "launch" else each for each in PLAN["body"]],
    }
    given = [FakeTensor((3, 8), strides=(16, 1)), FakeTensor((3, 2)), 0.5]
    make_program(plan)(
        [lambda *values: launched.append(values)], 0, lambda sizes, _: FakeTensor(sizes), given, [None]
    )
    *_, x, result = launched[0]
    assert (x, result) == ((2 * 16 + 8) * 4, 3 * 8 * 4)
    layout = argument_layout(PARAMETERS, code(places=[*PLACES, *SCRATCH], spans=True))
    assert layout.pack(1, 2, 3, 4, 5, 0.5, 160, 96)[40:] == struct.pack("<qq", 160, 96)


def test_empty_grid_launches_nothing():
    library = FakeHip()
    executable(library)([FakeTensor((0, 8)), FakeTensor((0, 2)), 0.5], [None])
    assert library.launches == []


def test_code_for_another_chip_is_refused():
    with pytest.raises(BackendError, match="'scale' is compiled for amd:gfx942, and device 0 is a gfx90a"):
        executable(FakeHip(), chip="gfx90a:sramecc+")(arguments(), [None])


def test_machine_without_a_device_is_an_error_that_says_so():
    with pytest.raises(BackendError, match="no AMD GPU here: the HIP runtime finds no device"):
        runtime(FakeHip(devices=0))


def test_machine_without_the_runtime_is_an_error_that_says_so():
    torch = pytest.importorskip("torch")
    if torch.version.hip is not None:
        pytest.skip("torch is built for ROCm")
    with pytest.raises(BackendError, match="no AMD GPU can be used here: torch is not built for ROCm"):
        HipExecutable(artifact()).require_device()


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        ("hipInit", NO_DEVICE, "the HIP runtime can't be used: hipErrorNoDevice"),
        ("hipGetDeviceCount", INVALID, "devices can't be counted: hipErrorInvalidValue"),
        ("hipModuleLoadData", OUT_OF_MEMORY, "kernel 'k' can't be loaded on device 0: hipErrorOutOfMemory"),
        ("hipModuleGetFunction", INVALID, "kernel 'k' is not in its code object: hipErrorInvalidValue"),
        ("hipModuleLaunchKernel", INVALID, "kernel 'k' can't be launched: hipErrorInvalidValue"),
    ],
)
def test_what_the_runtime_refuses_says_what_failed(function, answer, message):
    with pytest.raises(HipError) as caught:
        executable(FakeHip(answers={function: answer}))(arguments(), [None])
    assert str(caught.value).startswith(message)


def test_tensors_of_different_devices_are_refused():
    given = arguments()
    given[1] = FakeTensor((3, 2), device_index=1)
    with pytest.raises(ValueError, match="argument 'y': expects a tensor on the device of 'x', cuda:0"):
        executable(FakeHip())(given, [None])


def test_saved_kernel_that_is_damaged_is_refused(tmp_path):
    artifact().save(tmp_path / "kernel.zip")
    whole, choose = (tmp_path / "kernel.zip").read_bytes(), random.Random(0)
    files = [whole[: choose.randrange(len(whole))] for _ in range(20)]
    for _ in range(200):
        at = choose.randrange(len(whole))
        files.append(whole[:at] + choose.randbytes(choose.choice((1, 30))) + whole[at + 30 :])
    refused = 0
    for data in files:
        (tmp_path / "damaged.zip").write_bytes(data)
        try:
            saved_kernel.load(tmp_path / "damaged.zip")
        except BackendError as error:
            refused += "expects an archive of a compiled program: " in str(error)
    assert refused > 200


@pytest.mark.parametrize(
    ("manifest", "rule"),
    [("[1]", "its manifest is no table"), ('{"format": 1}', "has no target, entry")],
)
def test_manifest_that_says_too_little_is_refused(tmp_path, manifest, rule):
    with zipfile.ZipFile(tmp_path / "kernel.zip", "w") as archive:
        archive.writestr("manifest.json", manifest)
    with pytest.raises(BackendError, match=f"expects an archive of a compiled program: .*{rule}"):
        saved_kernel.load(tmp_path / "kernel.zip")


def test_saved_kernel_is_loaded_for_its_vendor(tmp_path):
    artifact().save(tmp_path / "kernel.zip")
    kernel = saved_kernel.load(tmp_path / "kernel.zip")
    assert [argument.name for argument in kernel.arguments] == ["x", "y", "factor"]
    assert isinstance(kernel._executable, HipExecutable)
    again = kernel.artifact.code("k", UNALIGNED)
    assert (again.binary, again.resources, again.lds_bytes) == (
        b"hsaco unaligned",
        code().resources,
        4096,
    )


def test_library_of_torch_is_the_first_that_is_tried(monkeypatch):
    torch = pytest.importorskip("torch")
    tried = []

    def load(name):
        tried.append(name)
        raise OSError

    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(hip.ctypes, "CDLL", load)
    hip.runtime.cache_clear()
    with pytest.raises(BackendError, match="no AMD GPU can be used here: there is no libamdhip64"):
        hip.runtime()
    assert tried[0].startswith(torch.__path__[0])
    assert tried[1:] == list(hip.LIBRARIES)
