"""The AMD backend: what is compiled, and programs whose kernels run in the simulator."""

from __future__ import annotations

import re

import numpy as np
import pytest
from example_files import load

import aecompiler as aec
from aecompiler.backends.amd.artifact import AmdArtifact
from aecompiler.backends.amd.backend import AmdBackend
from aecompiler.backends.amd.schedule import AmdSchedule, attempts
from aecompiler.backends.amd.target import GFX942, GFX950, NAMED_TARGETS
from aecompiler.backends.base import get_backend, simulated
from aecompiler.backends.gpu.artifact import ALIGNED, UNALIGNED
from aecompiler.errors import BackendError, CompileError, ResourceError
from aecompiler.tools import run as aec_run
from aecompiler.tools.tolerances import default_tolerance

pytest.importorskip("triton")

CHIPS = pytest.mark.parametrize("target", NAMED_TARGETS)
ROADS = pytest.mark.parametrize("road", ["triton", "mlir"])
SIZES = {"B": 1, "S": 37, "Sq": 5, "Skv": 37, "T": 37}
SMALL = {"block_q": 32, "block_kv": 32, "waves": 2}

demo = load("demo")


def softmax(dtype="f16", heads=2, features=16):
    t = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=t, k=t, v=t)
    def f(q, k, v):
        return aec.attention(q, k, v)

    return f


def random(*shape, dtype=np.float16, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def qkv(*shape, dtype=np.float16):
    return [random(*shape, dtype=dtype, seed=seed) for seed in range(3)]


def check(kernel, *values, **named):
    report = aec.check(kernel, *values, **named)
    assert report.max_rel_error <= default_tolerance(kernel.arguments), str(report)
    assert report.out_of_bounds == 0


# ---- programs in the simulator -----------------------------------------------------------------------


@CHIPS
@pytest.mark.parametrize("name", ["softmax", "grouped_query", "sliding_window", "softcap", "retention"])
def test_example_by_triton_agrees_with_the_reference_in_the_simulator(name, target):
    module = load(name)
    kernel = aec.compile(module.build(dtype="bf16"), target, simulate=True, road="triton", **SMALL)
    check(kernel, **demo.draw(kernel, getattr(module, "inputs", {}), SIZES))
    assert kernel.launches is not None
    assert sum(launch.counts.instructions for launch in kernel.launches) > 0
    assert sum(launch.counts.classes["mfma"] for launch in kernel.launches) > 0


@ROADS
def test_layouts_of_arguments_are_those_of_the_call(road):
    kernel = aec.compile(softmax(), "amd:gfx942", simulate=True, road=road, **SMALL)
    expected = kernel(*qkv(1, 2, 19, 16))
    by_sequence = [np.ascontiguousarray(each.transpose(0, 2, 1, 3)) for each in qkv(1, 2, 19, 16)]
    np.testing.assert_array_equal(kernel(*[each.transpose(0, 2, 1, 3) for each in by_sequence]), expected)
    reversed_rows = [np.ascontiguousarray(each[..., ::-1]) for each in qkv(1, 2, 19, 16)]
    np.testing.assert_array_equal(kernel(*[each[..., ::-1] for each in reversed_rows]), expected)


@ROADS
def test_misaligned_arguments_run_the_form_that_assumes_nothing(road):
    kernel = aec.compile(softmax(), "amd:gfx942", simulate=True, road=road, **SMALL)
    given = qkv(1, 2, 19, 16)
    expected = kernel(*given)
    shifted = []
    for each in given:
        memory = np.zeros(each.size + 1, each.dtype)
        memory[1:] = each.ravel()
        shifted.append(memory[1:].reshape(each.shape))
    np.testing.assert_allclose(kernel(*shifted), expected, atol=1e-3)


@ROADS
def test_empty_calls_launch_nothing(road):
    kernel = aec.compile(softmax(), "amd:gfx942", simulate=True, road=road, **SMALL)
    assert kernel(*qkv(0, 2, 5, 16)).shape == (0, 2, 5, 16)
    assert kernel(*qkv(1, 2, 0, 16)).shape == (1, 2, 0, 16)
    assert kernel.launches == ()


def test_scalars_and_results_of_the_caller():
    t = aec.tensor("B", 1, "S", 16, dtype="f32")

    @aec.program(q=t, k=t, v=t, scale=aec.scalar("f32"), window=aec.scalar("index"))
    def f(q, k, v, scale, window):
        return aec.attention(
            q, k, v, score=lambda s, b, h, i, j: s * scale, mask=lambda b, h, i, j: i - j < window
        )

    kernel = aec.compile(f, "amd:gfx950", simulate=True, road="triton", **SMALL)
    given = qkv(1, 1, 21, 16, dtype=np.float32)
    check(kernel, *given, 0.25, 7)
    out = np.empty((1, 1, 21, 16), np.float32)
    assert kernel(*given, 0.25, 7, out=out) is out
    np.testing.assert_array_equal(kernel(*given, 0.25, 7), out)


def test_tensors_of_torch_give_tensors_of_torch():
    torch = pytest.importorskip("torch")
    kernel = aec.compile(softmax(), "amd:gfx942", simulate=True, road="triton", **SMALL)
    given = [torch.from_numpy(each) for each in qkv(1, 2, 9, 16)]
    result = kernel(*given)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), kernel(*qkv(1, 2, 9, 16)))


def test_kernel_says_that_it_is_simulated():
    kernel = aec.compile(softmax(), "amd:gfx942", simulate=True, road="triton", **SMALL)
    assert repr(kernel).endswith("on amd:gfx942, simulated>")
    kernel(*qkv(1, 2, 33, 16))
    (launch,) = kernel.launches
    assert launch.grid == (4, 1, 1)
    assert launch.counts.instructions > launch.counts.classes["mfma"] > 0


def test_run_on_the_command_line_says_that_it_is_simulated(tmp_path, capfd):
    path = tmp_path / "f.mlir"
    path.write_text(str(softmax()))
    command = [str(path), "--target", "amd:gfx942", "--simulate", "--dim", "B=1", "--dim", "S=9", "--check"]
    options = [f"--option={name}={value}" for name, value in SMALL.items()]
    assert aec_run.main([*command, *options]) == 0
    out = capfd.readouterr().out
    assert re.search(
        r"^simulated kernel f_0 for amd:gfx942: 2x1x1 workgroups, \d+ wave instructions$", out, re.M
    )
    assert "[1, 2, 9, 16], simulated\n" in out
    assert re.search(r"^check \w+ \(simulated\): ok: ", out, re.M)


# ---- without a simulator -----------------------------------------------------------------------------


def test_run_without_a_gpu_is_an_error_that_names_the_simulator(tmp_path, capfd):
    torch = pytest.importorskip("torch")
    if torch.version.hip is not None:
        pytest.skip("torch is built for ROCm")
    path = tmp_path / "f.mlir"
    path.write_text(str(softmax()))
    assert (
        aec_run.main([str(path), "--target=amd:gfx942", "--option=road=triton", "--dim=B=1", "--dim=S=9"])
        == 2
    )
    assert "no AMD GPU can be used here: torch is not built for ROCm; " in capfd.readouterr().err


def test_targets_without_a_simulator_are_refused():
    with pytest.raises(BackendError, match="target 'cpu' has no simulator"):
        aec.compile(softmax(), "cpu", simulate=True)


def test_unknown_chip_is_refused():
    with pytest.raises(BackendError, match=r"unknown target 'amd:gfx1100' \(targets: amd:gfx90a, amd:gfx942"):
        get_backend("amd:gfx1100")


def test_simulated_backend_makes_the_same_code():
    backend = get_backend("amd:gfx942")
    assert (backend.memory, simulated(backend).memory) == ("cuda", "host")
    options = {"road": "triton", **SMALL}
    assert backend.pipeline(backend.schedule(options)) == simulated(backend).pipeline(
        backend.schedule(options)
    )


# ---- what is compiled --------------------------------------------------------------------------------


@ROADS
def test_artifact_is_read_back_and_compiles_its_other_form(road):
    made = aec.compile(softmax(), "amd:gfx942", road=road, **SMALL).artifact
    again = AmdArtifact.from_bytes(made.binary)
    assert again.manifest == made.manifest
    aligned, unaligned = (again.code("f_0", form) for form in (ALIGNED, UNALIGNED))
    assert aligned == made.code("f_0", ALIGNED)
    assert aligned.binary.startswith(b"\x7fELF")
    assert aligned.threads == unaligned.threads == 128
    assert aligned.assembly != unaligned.assembly
    assert aligned.spans == (road == "mlir")
    assert made.text.startswith(aligned.assembly[:100])


def test_saved_file_holds_all_forms(tmp_path):
    aec.compile(softmax(), "amd:gfx942", road="triton", **SMALL).save(tmp_path / "kernel.zip")
    saved = AmdArtifact.load(tmp_path / "kernel.zip")
    assert set(saved.manifest["kernels"]["f_0"]["forms"]) == {ALIGNED, UNALIGNED}


def test_options_of_triton_reach_its_compiler():
    def code(**options):
        kernel = aec.compile(softmax(), "amd:gfx942", road="triton", **SMALL, **options)
        return kernel.artifact.code("f_0", ALIGNED)

    assert "v_mfma_f32_32x32x8" in code(matrix_rows=32).assembly
    assert "v_mfma_f32_16x16x16" in code(matrix_rows=16).assembly
    assert code(waves_per_simd=8).resources.registers <= 64


def test_tiles_that_have_no_room_are_replaced_by_smaller_ones():
    program = softmax(dtype="f32", features=256)
    with pytest.raises(ResourceError, match="expects at most 65536 bytes of local memory in a block, got"):
        aec.compile(program, "amd:gfx942", road="triton", block_q=128, block_kv=128)
    kernel = aec.compile(program, "amd:gfx942", road="triton")
    code = kernel.artifact.code("f_0", ALIGNED)
    assert code.lds_bytes <= GFX942.lds_bytes


def test_recurrence_is_taken_in_chunks():
    module = load("gated_retention")
    kernel = aec.compile(module.build(dtype="bf16"), "amd:gfx942", simulate=True, road="triton")
    check(kernel, **demo.draw(kernel, getattr(module, "inputs", {}), SIZES))
    assert len(kernel.launches) > 1


# ---- schedules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"road": "cuda"}, "expects road to be one of triton, mlir, or '' to choose, got 'cuda'"),
        ({"block_q": 8}, "expects block_q to be 16 to"),
        ({"waves": 3}, "expects waves to be one of 1, 2, 4, 8, 16, or 0 to choose, got 3"),
        ({"num_stages": 9}, "expects num_stages to be 1 to 4, or 0 to choose, got 9"),
        ({"matrix_rows": 4}, "expects matrix_rows to be one of 16, 32, or 0 to choose, got 4"),
        ({"pack": "rows"}, "expects pack to be one of none, heads, or '' to choose, got 'rows'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AmdSchedule.from_options(options)


def test_pipeline_is_text_that_can_be_replayed():
    backend = AmdBackend(GFX950)
    schedule = backend.schedule({"block_q": 64, "chunk": 32, "split": "keys"})
    assert backend.pipeline(schedule) == (
        "builtin.module(attn-tt{block-q=64 block-kv=64 split-programs=512 precision=ieee library=ocml "
        "approximate-reciprocals=false chunk=32 chunk-shared-bytes=163840})"
    )


def test_what_is_given_stands_in_all_attempts():
    found = attempts(AmdSchedule(block_q=48, waves=2))
    assert {(each.block_q, each.waves) for each in found} == {(48, 2)}
    assert len({each.block_kv for each in found}) > 1


def test_kernel_that_triton_refuses_is_an_error_with_its_name():
    from aecompiler.backends.amd.triton_road import compile_kernel

    with pytest.raises(
        CompileError, match="kernel 'f' for amd:gfx942: Triton's parser: expects a public function"
    ):
        compile_kernel(
            '"tt.func"() ({\n"tt.return"() : () -> ()\n}) {function_type = () -> (), noinline = false, '
            'sym_name = "g", sym_visibility = "public"} : () -> ()',
            *("f", GFX942),
            waves=4,
            options={},
        )
