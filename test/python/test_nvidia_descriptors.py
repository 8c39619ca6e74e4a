"""Descriptors of tensors from the host function to the launch, without a GPU."""

from __future__ import annotations

import json

import pytest
from device_fakes import FakeDriver, FakeTensor, Run
from test_host_plan import plan_of, refused
from test_nvidia_driver import Library

from aecompiler.backends.gpu import launch
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.backends.nvidia import tensor_map
from aecompiler.backends.nvidia.artifact import ALIGNED, KernelCode, NvidiaArtifact
from aecompiler.backends.nvidia.driver import Driver, DriverError
from aecompiler.backends.nvidia.launch import CudaExecutable
from aecompiler.backends.triton.kernel_abi import parameter_places, parse_descriptor
from aecompiler.saved_kernel import load

LAYOUT = "#ttg.nvmma_shared<{swizzlingByteWidth = 128, transposed = false, elementBitWidth = 16}>"
BOX = f"!tt.tensordesc<tensor<1x64x128xbf16, {LAYOUT}>>"
TENSOR = ["!tt.ptr<bf16>", "i64", "i64"]
PARAMETERS = [*TENSOR, *TENSOR, *TENSOR, BOX, "!tt.tensordesc<tensor<1x16x32xbf16>>"]

FUNCTION = """
func.func @f(%x: tensor<?x?x128xbf16> {attn.name = "x"}, %w: tensor<?x?x8xbf16>) -> tensor<?x?x32xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x128xbf16>
  %n = tensor.dim %x, %c1 : tensor<?x?x128xbf16>
  %e = tensor.empty(%b, %n) : tensor<?x?x32xbf16>
  %r = "tt_host.launch"(%n, %c1, %c1, %x, %w, %e)
    {kernel = @k, outputs = array<i64: 2>, descriptors = array<i64: 0, 2>}
    : (index, index, index, tensor<?x?x128xbf16>, tensor<?x?x8xbf16>, tensor<?x?x32xbf16>)
    -> tensor<?x?x32xbf16>
  return %r : tensor<?x?x32xbf16>
}
"""


def plan(text=FUNCTION):
    return plan_of(text, {"k": PARAMETERS})


def run(arguments, results=(None,)):
    made = plan()
    return Run(make_program(made), kernel_names(made), arguments, list(results))


def tensors(x=(2, 5, 128), w=(2, 5, 8), **options):
    return [FakeTensor(x, **options), FakeTensor(w)]


# ---- types ----


@pytest.mark.parametrize(
    ("type_", "box", "swizzle", "copied"),
    [
        (BOX, (1, 64, 128), 128, (1, 64, 64)),
        (BOX.replace("tensor<", "").replace(">>>", ">>"), (1, 64, 128), 128, (1, 64, 64)),
        (BOX.replace("128, tr", "64, tr"), (1, 64, 128), 64, (1, 64, 32)),
        (BOX.replace("Width = 128", "Width = 0"), (1, 64, 128), 0, (1, 64, 128)),
        ("!tt.tensordesc<tensor<1x1x128x256xf16>>", (1, 1, 128, 256), 128, (1, 1, 128, 64)),
        ("!tt.tensordesc<tensor<16x16xf16>>", (16, 16), 32, (16, 16)),
        ("!tt.tensordesc<16x32xbf16>", (16, 32), 64, (16, 32)),
    ],
)
def test_types_say_what_is_copied(type_, box, swizzle, copied):
    found = parse_descriptor(type_)
    assert (found.box, found.swizzle_bytes, found.copied_box) == (box, swizzle, copied)


def test_other_types_are_no_descriptors():
    for type_ in ("i32", "!tt.ptr<bf16>", "tensor<16x16xf16>", "!tt.tensordesc<?x16xf16>"):
        assert parse_descriptor(type_) is None


def test_descriptors_stand_at_multiples_of_64_bytes_in_the_parameters():
    form, places = parameter_places(["i32", BOX, "!tt.ptr<f16>", BOX])
    assert places == [0, 64, 192, 256]
    assert form == "<i4x56x128sQ56x128s"


# ---- plans and host programs ----


def test_a_plan_says_which_arguments_have_descriptors():
    (instruction,) = [each for each in plan()["body"] if each["op"] == "launch"]
    assert instruction["descriptors"] == [0, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("array<i64: 0, 2>}", "array<i64: 0, 7>}"),
            "expects descriptors to be positions of tensors, got [0, 7]",
        ),
        (
            ("array<i64: 0, 2>}", "array<i64: 0>}"),
            f"expects 'k' to have the parameters ({', '.join(TENSOR * 3)}, a descriptor), "
            f"got ({', '.join(PARAMETERS)})",
        ),
        (
            (", descriptors = array<i64: 0, 2>}", "}"),
            f"expects 'k' to have the parameters ({', '.join(TENSOR * 3)}), got ({', '.join(PARAMETERS)})",
        ),
    ],
)
def test_descriptors_that_the_kernel_does_not_have_are_refused(change, message):
    assert refused(FUNCTION.replace(*change), {"k": PARAMETERS}) == f"'tt_host.launch' op {message}"


@pytest.mark.parametrize(
    "type_", ["!tt.tensordesc<tensor<16x32xbf16>>", "!tt.tensordesc<tensor<1x16x32xf16>>"]
)
def test_boxes_of_other_tensors_are_refused(type_):
    message = refused(FUNCTION, {"k": [*PARAMETERS[:-1], type_]}).removeprefix("'tt_host.launch' op ")
    assert message == f"expects 'k' to have a descriptor of boxes of tensor<?x?x32xbf16>, got {type_}"


def test_a_descriptor_gets_the_address_the_sizes_and_the_strides():
    x, w = given = tensors()
    made = run(given)
    (result,) = made.results
    pointers = [x.address, 640, 128, w.address, 40, 8, result.address, 160, 32]
    described = [(x.address, (2, 5, 128), (640, 128, 1)), (result.address, (2, 5, 32), (160, 32, 1))]
    assert made.launches[0].values == (*pointers, *described)
    assert [event[0] for event in made.events] == ["empty", "launch"]


@pytest.mark.parametrize(
    "layout",
    [
        {"address": (1 << 20) + 8},
        {"strides": (5 * 129, 129, 1)},
        {"strides": (640, 1, 5)},
    ],
)
def test_a_tensor_that_can_not_be_described_is_copied(layout):
    x, w = given = tensors(**layout)
    made = run(given)
    kind, copy = next((e[0], e[2] if e[0] == "contiguous" else e[1]) for e in made.events)
    assert kind in ("contiguous", "empty")
    (launched,) = made.launches
    assert launched.values[:3] == (copy.address, 640, 128)
    assert launched.values[-2] == (copy.address, (2, 5, 128), (640, 128, 1))
    if kind == "empty":
        assert ("copy", copy, x) in made.events
    assert launched.misaligned == 0
    assert launched.values[3] == w.address


@pytest.mark.parametrize(("sizes", "stride"), [((1, 5), 3), ((2, 5), 0), ((2, 0), 0)])
def test_strides_of_one_element_and_of_expanded_tensors_need_no_copy(sizes, stride):
    made = run(tensors((*sizes, 128), strides=(stride, 128, 1)))
    assert [event[0] for event in made.events] == ["empty", "launch"]
    assert made.launches[0].values[-2][2] == (stride, 128, 1)


def test_tensors_without_a_descriptor_may_lie_anywhere():
    x, w = tensors()
    w.address += 2
    made = run([x, w])
    assert [event[0] for event in made.events] == ["empty", "launch"]
    assert made.launches[0].misaligned == 0
    assert made.launches[0].values[3] == w.address


@pytest.mark.parametrize("layout", [{"address": (1 << 20) + 2}, {"strides": (5 * 36, 36, 1)}])
def test_a_result_that_can_not_be_described_is_computed_beside(layout):
    out = FakeTensor((2, 5, 32), **layout)
    made = run(tensors(), [out])
    assert [event[0] for event in made.events] == ["empty", "launch", "copy"]
    beside = made.events[0][1]
    assert made.events[-1][1:] == (out, beside)
    assert made.launches[0].values[-1] == (beside.address, (2, 5, 32), (160, 32, 1))
    assert made.results == [out]


def test_a_result_that_can_be_described_is_computed_in_place():
    out = FakeTensor((2, 5, 32), (5 * 40, 40, 1))
    made = run(tensors(), [out])
    assert [event[0] for event in made.events] == ["launch"]
    assert made.launches[0].values[-1] == (out.address, (2, 5, 32), (200, 40, 1))


CHOSEN = FUNCTION.replace(
    "%w: tensor<?x?x8xbf16>", "%w: tensor<?x?x8xbf16>, %y: tensor<?x?x128xbf16>, %c: i1"
).replace(
    '  %r = "tt_host.launch"(%n, %c1, %c1, %x',
    """  %z = scf.if %c -> (tensor<?x?x128xbf16>) {
    scf.yield %x : tensor<?x?x128xbf16>
  } else {
    scf.yield %y : tensor<?x?x128xbf16>
  }
  %r = "tt_host.launch"(%n, %c1, %c1, %z""",
)


def test_of_a_chosen_tensor_only_the_one_that_is_taken_is_copied():
    made = plan(CHOSEN)
    program, names = make_program(made), kernel_names(made)
    x, w = tensors()
    y = FakeTensor((2, 5, 128), address=(1 << 20) + 4)
    first = Run(program, names, [x, w, y, 1], [None])
    assert first.launches[0].values[-2][0] == x.address
    assert [event[0] for event in first.events] == ["empty", "launch"]
    second = Run(program, names, [x, w, y, 0], [None])
    kinds = [event[0] for event in second.events]
    assert sorted(kinds) == ["copy", "empty", "empty", "launch"]
    (copied,) = [event for event in second.events if event[0] == "copy"]
    assert copied[2] is y
    assert second.launches[0].values[-2][0] == copied[1].address


# ---- launches ----


def artifact():
    manifest = {
        "target": "nvidia:sm_90",
        "capability": [9, 0],
        "entry": "f",
        "versions": {},
        "plan": plan(),
        "kernels": {"k": {"parameters": PARAMETERS, "num_warps": 4, "num_stages": 3, "stage": "ttgir"}},
    }

    def refuse(*_):
        raise AssertionError("nothing is to be compiled")

    code = KernelCode(
        symbol="k", binary=b"cubin", ptx="// ptx", threads=384, shared=9, scratch=2, registers=168, spills=0
    )
    return NvidiaArtifact.make(
        manifest, {("k", ALIGNED): "text"}, {("k", ALIGNED): code}, compile_form=refuse
    )


@pytest.fixture(autouse=True)
def torch_stand_in(monkeypatch):
    """Streams and memory without torch's."""
    monkeypatch.setattr(launch, "current_stream", lambda: lambda index: 40 + index)
    monkeypatch.setattr(
        launch, "empty_on", lambda index: lambda sizes, dtype: FakeTensor(sizes, device_index=index)
    )


def found_driver():
    return FakeDriver(parameters=PARAMETERS)


def test_a_launch_gets_maps_by_value():
    found = found_driver()
    x, w = given = tensors()
    (result,) = CudaExecutable(artifact(), lambda: found)(given, [None])
    *values, first, second = found.values(PARAMETERS)
    assert values == [x.address, 640, 128, w.address, 40, 8, result.address, 160, 32]
    assert [first, second] == [bytes([n]) + bytes(127) for n in (1, 2)]
    assert found.encoded == [
        {
            "address": x.address,
            "sizes": [2, 5, 128],
            "strides": [1280, 256],
            "box": [1, 64, 64],
            "swizzle": 3,
        },
        {
            "address": result.address,
            "sizes": [2, 5, 32],
            "strides": [320, 64],
            "box": [1, 16, 32],
            "swizzle": 2,
        },
    ]
    assert all(slot == bytes(8) for slot in found.slots[len(PARAMETERS) :]), "what the compiler adds is null"


def test_maps_are_made_once_for_a_tensor():
    found = found_driver()
    call = CudaExecutable(artifact(), lambda: found)
    given, out = tensors(), FakeTensor((2, 5, 32))
    for _ in range(3):
        call(given, [out])
    assert len(found.encoded) == 2
    call([FakeTensor((2, 5, 128), (0, 128, 1), given[0].address), given[1]], [out])
    assert [each["strides"] for each in found.encoded[2:]] == [[0, 256]]
    call(given, [FakeTensor((2, 5, 32))])
    assert len(found.encoded) == 4, "the map of an argument serves for other results"


def test_only_the_last_maps_are_kept(monkeypatch):
    monkeypatch.setattr(tensor_map, "_MOST_MAPS", 2)
    found = found_driver()
    call = CudaExecutable(artifact(), lambda: found)
    calls = [(tensors(), FakeTensor((2, 5, 32))) for _ in range(3)]
    counts = []
    for n in (0, 1, 1, 2, 2, 1, 0):
        given, out = calls[n]
        call(given, [out])
        counts.append(len(found.encoded))
    assert counts == [2, 4, 4, 6, 6, 6, 8]


def test_the_map_of_a_tensor_without_elements_reads_zeros():
    found = found_driver()
    CudaExecutable(artifact(), lambda: found)(tensors((0, 5, 128)), [None])
    assert [each["address"] for each in found.encoded] == [found.zeros(0)] * 2
    assert found.encoded[0] == {
        "address": found.zeros(0),
        "sizes": [1, 1, 1],
        "strides": [16, 16],
        "box": [1, 64, 64],
        "swizzle": 3,
    }


def test_the_stride_of_a_dimension_of_one_element_may_be_anything():
    found = found_driver()
    CudaExecutable(artifact(), lambda: found)(tensors((1, 5, 128), strides=(3, 128, 1)), [None])
    assert found.encoded[0]["strides"] == [16, 256]


def test_a_saved_kernel_with_descriptors_has_one_form(tmp_path):
    made = artifact()
    made.save(tmp_path / "kernel.zip")
    loaded = load(tmp_path / "kernel.zip")
    assert list(loaded.artifact.manifest["kernels"]["k"]["forms"]) == [ALIGNED]
    assert json.loads(json.dumps(loaded.artifact.manifest["plan"])) == plan()
    found = found_driver()
    given = tensors()
    CudaExecutable(loaded.artifact, lambda: found)(given, [None])
    assert found.encoded[0]["address"] == given[0].address


# ---- the driver ----


def test_zeros_are_made_once_beside_any_capture():
    library = Library()
    library.values |= {"cuMemAlloc_v2": 0x1000, "cuStreamCreate": 0x5}
    found = Driver(library)
    assert [found.zeros(0), found.zeros(0)] == [0x1000, 0x1000]
    calls = library.calls[library.calls.index("cuCtxPushCurrent_v2") :]
    assert calls == [
        *("cuCtxPushCurrent_v2", "cuThreadExchangeStreamCaptureMode", "cuMemAlloc_v2", "cuStreamCreate"),
        *("cuMemsetD8Async", "cuStreamSynchronize", "cuStreamDestroy_v2"),
        *("cuThreadExchangeStreamCaptureMode", "cuCtxPopCurrent_v2"),
    ]


def test_want_of_memory_for_zeros_says_so():
    with pytest.raises(DriverError, match="memory can't be had: CUDA_ERROR_X"):
        Driver(Library(cuMemAlloc_v2=2)).zeros(0)
