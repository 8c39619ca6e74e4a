"""Launches without a GPU: what the driver gets, from compiled programs whose kernels are stubs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest
from device_fakes import PARAMETERS, FakeDriver, FakeTensor

from aecompiler.backends.gpu import launch
from aecompiler.backends.nvidia.artifact import ALIGNED, UNALIGNED, KernelCode, NvidiaArtifact
from aecompiler.backends.nvidia.launch import CudaExecutable
from aecompiler.errors import BackendError, UnsupportedError

PLAN = {
    "function": "scale",
    "arguments": [
        {"name": "x", "dtype": "f32", "shape": ["N", 8]},
        {"name": "y", "dtype": "f32", "shape": ["N", None]},
        {"name": "factor", "dtype": "f32", "shape": None},
    ],
    "results": [{"name": "o", "dtype": "f32", "shape": ["N", 8]}],
    "types": [
        *({"dtype": "f32", "rank": 2}, {"dtype": "f32", "rank": 2}, "f32"),
        *("index", "index", "index", {"dtype": "f32", "rank": 2}),
    ],
    "labels": ["x", "y", "factor", "x.shape[0]", None, None, None],
    "body": [
        {"op": "dim", "results": [3], "tensor": 0, "dimension": 0},
        {"op": "constant", "results": [4], "value": 8},
        {"op": "constant", "results": [5], "value": 1},
        {"op": "alloc", "results": [6], "sizes": [3, 4], "output": 0},
        {"op": "launch", "kernel": "k", "grid": [3, 5, 5], "arguments": [0, 6, 3, 2], "outputs": [1]},
    ],
    "returns": [6],
    "owned": [True],
}
MANIFEST = {
    "target": "nvidia:sm_90",
    "capability": [9, 0],
    "entry": "scale",
    "versions": {},
    "plan": PLAN,
    "kernels": {"k": {"parameters": list(PARAMETERS), "num_warps": 4, "num_stages": 3, "stage": "ttir"}},
}


def code(form, shared=70000):
    return KernelCode(
        symbol="k",
        binary=f"cubin {form}".encode(),
        ptx=f"// ptx {form}",
        threads=128,
        shared=shared,
        scratch=2,
        registers=96,
        spills=0,
    )


def artifact(compile_form=None, **others):
    def refuse(*_):
        raise AssertionError("nothing is to be compiled")

    return NvidiaArtifact.make(
        MANIFEST,
        {("k", form): f"text {form}" for form in (ALIGNED, UNALIGNED)},
        {("k", ALIGNED): code(ALIGNED)},
        compile_form=compile_form or refuse,
        **others,
    )


@pytest.fixture(autouse=True)
def torch_stand_in(monkeypatch):
    """Streams and memory without torch's."""
    monkeypatch.setattr(launch, "current_stream", lambda: lambda index: 40 + index)
    monkeypatch.setattr(
        launch, "empty_on", lambda index: lambda sizes, dtype: FakeTensor(sizes, device_index=index)
    )


def executable(found, made=None):
    return CudaExecutable(made or artifact(), lambda: found)


def arguments(rows=3, device_index=0, address=None):
    x = FakeTensor((rows, 8), address=address, device_index=device_index)
    return [x, FakeTensor((rows, 2), device_index=device_index), 0.5]


def test_launch_gets_the_kernel_the_grid_and_the_parameters():
    found = FakeDriver()
    given = arguments()
    (result,) = executable(found)(given, [None])
    assert found.loaded == [(0, b"cubin aligned", "k", 70000)]
    ((function, grid, threads, shared, stream, pointers),) = found.launches
    assert (function, grid, threads, shared, stream) == (1001, (3, 1, 1), 128, 70000, 40)
    assert found.values(PARAMETERS) == [given[0].address, 8, result.address, 8, 3, 0.5]
    assert len(pointers) >= len(PARAMETERS) + 2, "there are null pointers for what the compiler adds"
    assert all(slot == bytes(8) for slot in found.slots[len(PARAMETERS) :])


def test_kernel_is_loaded_once_for_each_device():
    found = FakeDriver()
    run = executable(found)
    for index in (0, 0, 1, 1, 0):
        run(arguments(device_index=index), [None])
    assert [each[0] for each in found.loaded] == [0, 1]
    assert [each[0] for each in found.launches] == [1001, 1001, 1002, 1002, 1001]
    assert [each[4] for each in found.launches] == [40, 40, 41, 41, 40]


def test_context_of_the_device_is_made_current_where_it_is_not():
    found = FakeDriver()
    run = executable(found)
    run(arguments(), [None])
    found.context_now = found.context(0)
    run(arguments(), [None])
    assert found.pushed == [100]


def test_empty_grid_launches_nothing():
    found = FakeDriver()
    (result,) = executable(found)(arguments(rows=0), [None])
    assert result.shape == (0, 8)
    assert found.launches == []


def test_misaligned_tensor_takes_the_other_form_which_is_compiled_once():
    compiled = []

    def compile_form(made, kernel, form):
        compiled.append((made.source(kernel, form), form))
        return code(form)

    found = FakeDriver()
    run = executable(found, artifact(compile_form))
    for address in (1 << 20, (1 << 20) + 4, (1 << 20) + 8):
        run(arguments(address=address), [None])
    assert compiled == [("text unaligned", UNALIGNED)]
    assert [each[1] for each in found.loaded] == [b"cubin aligned", b"cubin unaligned"]
    assert [each[0] for each in found.launches] == [1001, 1002, 1002]


def test_tensors_on_several_devices_are_refused_by_name():
    given = [FakeTensor((3, 8)), FakeTensor((3, 2), device_index=1), 0.5]
    message = "argument 'y': expects a tensor on the device of 'x', cuda:0, got cuda:1"
    with pytest.raises(ValueError, match=message):
        executable(FakeDriver())(given, [None])
    with pytest.raises(
        ValueError, match="result 'o': expects a tensor on the device of 'x', cuda:1, got cuda:0"
    ):
        executable(FakeDriver())(arguments(device_index=1), [FakeTensor((3, 8))])


def test_other_chip_is_refused():
    with pytest.raises(BackendError, match="'scale' is compiled for nvidia:sm_90, and device 0 is an sm_80"):
        executable(FakeDriver(capability=(8, 0)))(arguments(), [None])


def test_grid_that_is_too_large_is_refused():
    plan = {**PLAN, "body": [dict(each) for each in PLAN["body"]]}
    plan["body"][-1]["grid"] = [5, 3, 5]
    made = NvidiaArtifact.make({**MANIFEST, "plan": plan}, {}, {("k", ALIGNED): code(ALIGNED)})
    with pytest.raises(ValueError, match="kernel 'k' can't be launched on a grid of 1 x 65536 x 1 blocks"):
        executable(FakeDriver(), made)(arguments(rows=65536), [None])


def test_refusal_of_the_driver_names_the_kernel():
    found = FakeDriver()
    found.answer = 9
    with pytest.raises(BackendError, match="kernel 'k' can't be launched: CUDA_ERROR_FAKE"):
        executable(found)(arguments(), [None])


def test_want_of_memory_is_a_memory_error(monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch has it."""

    def refuse(sizes, dtype):
        raise OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(launch, "empty_on", lambda index: refuse)
    with pytest.raises(MemoryError, match="'scale' needs more memory than there is: tried to allocate"):
        executable(FakeDriver())(arguments(), [None])


def test_calls_in_threads_do_not_mix_their_parameters():
    barrier, one_at_a_time = threading.Barrier(2), threading.Lock()
    seen = {}

    class Slow(FakeDriver):
        def launch_kernel(self, *launched):
            barrier.wait(timeout=20)  # both calls have packed their parameters, and neither has launched
            with one_at_a_time:
                answer = super().launch_kernel(*launched)
                seen[self.launches[-1][1][0]] = self.slots
            barrier.wait(timeout=20)
            return answer

    found = Slow()
    run = executable(found)
    threads = [threading.Thread(target=run, args=(arguments(rows=rows), [None])) for rows in (3, 5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {int.from_bytes(slots[4][:4], "little") for slots in seen.values()} == {3, 5}
    for rows, slots in seen.items():
        assert int.from_bytes(slots[4][:4], "little") == rows


# ---- artifacts ----


def test_artifact_survives_a_file(tmp_path):
    made = artifact(lambda made, kernel, form: code(form, shared=100))
    made.save(tmp_path / "kernel.zip", {"equal": [[[0, 0], [1, 0]]]})
    loaded = NvidiaArtifact.load(tmp_path / "kernel.zip")
    assert loaded.manifest["plan"] == PLAN
    assert loaded.manifest["sizes"] == {"equal": [[[0, 0], [1, 0]]]}
    assert loaded.target == "nvidia:sm_90"
    assert loaded.code("k", ALIGNED) == code(ALIGNED)
    assert loaded.code("k", UNALIGNED) == code(UNALIGNED, shared=100)
    assert "// ptx aligned" in loaded.text


def test_equal_artifacts_are_equal_files():
    assert artifact().binary == artifact().binary


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_file_that_is_no_artifact_is_refused(tmp_path, data):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(BackendError, match="expects an archive of a compiled program"):
        NvidiaArtifact.load(tmp_path / "f")


def test_artifact_of_another_format_is_refused(monkeypatch):
    from aecompiler.backends.gpu import artifact as module

    data = artifact().binary
    monkeypatch.setattr(module, "FORMAT", 2)
    with pytest.raises(BackendError, match="expects a compiled program of format 2, got 1"):
        NvidiaArtifact.from_bytes(data)


def test_missing_text_is_an_error_that_says_so():
    made = NvidiaArtifact.make(MANIFEST, {}, {("k", ALIGNED): code(ALIGNED)})
    with pytest.raises(BackendError, match="kernel 'k' has no text of its unaligned form"):
        made.code("k", UNALIGNED)


def test_saved_kernel_loads_without_mlir_and_triton(tmp_path):
    artifact(lambda made, kernel, form: code(form)).save(tmp_path / "kernel.zip")
    program = """
    import sys

    class Block:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("mlir", "torch_mlir", "triton", "sympy"):
                raise ImportError(f"{name} is blocked")

    sys.meta_path.insert(0, Block())
    from aecompiler import saved_kernel
    kernel = saved_kernel.load(sys.argv[1])
    print(kernel.name, *map(str, kernel.arguments), *map(str, kernel.results))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "kernel.zip")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stderr == ""
    assert done.stdout == "scale x: (N, 8) f32 y: (N, ?) f32 factor: f32 o: (N, 8) f32\n"


def test_cpu_kernels_can_not_be_saved(softmax, tmp_path):
    with pytest.raises(UnsupportedError, match="unsupported: saving code for cpu"):
        softmax.save(tmp_path / "kernel.zip")


def test_rules_of_a_saved_kernel_are_checked():
    from aecompiler.arrays import Argument
    from aecompiler.saved_kernel import _Rules

    arguments = [Argument("x", "tensor", ("N", None), "f32"), Argument("y", "tensor", ("N", None), "f32")]
    rules = _Rules(arguments, {"equal": [[[0, 1], [1, 1]]], "fixed": [[0, 1, 8]], "at_least": [[1, 0, 2]]})
    rules.check([(3, 8), (3, 8)])
    for shapes, message in (
        ([(3, 8), (4, 8)], r"expects x\.shape\[0\] and y\.shape\[0\] to be equal, got 3 and 4"),
        ([(3, 8), (3, 9)], r"expects x\.shape\[1\] and y\.shape\[1\] to be equal, got 8 and 9"),
        ([(3, 9), (3, 9)], r"expects x\.shape\[1\] to be 8, got 9"),
        ([(1, 8), (1, 8)], r"expects y\.shape\[0\] to be at least 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            rules.check(shapes)
