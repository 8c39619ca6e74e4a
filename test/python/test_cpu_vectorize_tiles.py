"""Tile programs as loops over vectors: every width, element type and odd size against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import FOLDER, load
from guarded_memory import Guarded
from vectorization import count_tiles

import aecompiler as aec
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.backends.cpu.target import NAMED_TARGETS
from aecompiler.library import masks, normalizers, scores
from aecompiler.tools.tolerances import default_tolerance

WIDTHS = {
    "avx512": "vector-bits=512 x86=true",
    "avx2": "vector-bits=256 tile-q=2 x86=true",
    "128 bits": "vector-bits=128 tile-q=2 x86=false",
    "pairs": "vector-bits=512 pair-products=true x86=true",
}
BLOCKS = {"avx2": "block-q=32", "128 bits": "block-q=16"}
TARGET = CpuBackend.target
NEEDS = {"avx512": "avx512f", "pairs": "avx512_bf16"}
demo = load("demo")
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "demo")


@pytest.fixture
def compile_for(monkeypatch):
    """Compile through `attn-cpu` with options of that pipeline."""

    def compile_(program, width, blocks=None):
        if not TARGET.has(NEEDS.get(width, "")) and width in NEEDS:
            pytest.skip(f"needs {NEEDS[width]}")
        options = f"{WIDTHS[width]} {blocks or BLOCKS.get(width, '')}"
        text = f"builtin.module(attn-cpu{{{options}}})"
        monkeypatch.setattr(CpuBackend, "pipeline", lambda self, schedule: text)
        return aec.compile(program, opt_level=1)

    return compile_


def causal(dtype, d, dv, heads=(2, 1)):
    """Causal softmax with its log-sum-exp, grouped queries."""
    hq, hkv = heads

    @aec.program(
        q=aec.tensor("B", hq, "Sq", d, dtype=dtype),
        k=aec.tensor("B", hkv, "Skv", d, dtype=dtype),
        v=aec.tensor("B", hkv, "Skv", dv, dtype=dtype),
    )
    def program(q, k, v):
        return aec.attention(
            q,
            k,
            v,
            score=scores.scale(),
            mask=masks.causal(align="end"),
            normalize=normalizers.softmax(lse=True),
        )

    return program


def check(kernel, sq, skv, b=1):
    arguments = demo.draw(kernel, {}, {"B": b, "Sq": sq, "Skv": skv})
    report = aec.check(kernel, **arguments)
    assert report.max_rel_error <= default_tolerance(kernel.arguments), f"{sq}, {skv}: {report}"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16", "f64"])
def test_causal_softmax_at_odd_sizes(compile_for, width, dtype):
    kernel = compile_for(causal(dtype, 64, 48), width)
    for sq, skv in ((1, 1), (1, 130), (63, 65), (64, 64), (67, 129), (130, 5), (0, 3), (3, 0)):
        check(kernel, sq, skv, b=2)


@pytest.mark.parametrize(("d", "dv"), [(5, 3), (16, 72), (80, 1), (128, 128)])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_feature_sizes_that_are_no_number_of_vectors(compile_for, dtype, d, dv):
    kernel = compile_for(causal(dtype, d, dv), "pairs" if dtype == "bf16" else "avx2")
    check(kernel, 67, 70)


@pytest.mark.parametrize(("block_q", "block_kv"), [(16, 64), (64, 6), (32, 5), (128, 32)])
def test_blocks_of_other_sizes(compile_for, block_q, block_kv):
    kernel = compile_for(causal("f32", 16, 16), "avx2", f"block-q={block_q} block-kv={block_kv}")
    check(kernel, 67, 70)


def test_blocks_that_are_no_number_of_vectors_take_the_general_road(compile_for):
    kernel = compile_for(causal("f32", 16, 16), "avx2", "block-q=6 decode-rows=0")
    check(kernel, 67, 70)


def test_blocks_too_large_for_the_stack_take_the_general_road(compile_for):
    kernel = compile_for(causal("f32", 16, 16), "avx2", "block-q=256 block-kv=4096 decode-rows=0")
    check(kernel, 67, 70)


@pytest.mark.parametrize("axis", [2, 3])
def test_inputs_with_any_strides(compile_for, axis):
    kernel = compile_for(causal("f32", 16, 16), "avx2")
    arrays = demo.draw(kernel, {}, {"B": 1, "Sq": 20, "Skv": 33}).values()
    strided = []
    for array in arrays:
        wide = np.repeat(array, 2, axis=axis)
        strided.append(wide[:, :, ::2] if axis == 2 else wide[..., ::2])
    for got, want in zip(kernel(*strided), kernel(*arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("width", ["avx2", "avx512"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_v_at_masked_keys_does_not_reach_the_output(compile_for, width, value):
    kernel = compile_for(causal("f32", 16, 16), width)
    q, k, v = demo.draw(kernel, {}, {"B": 1, "Sq": 70, "Skv": 70}).values()
    changed = v.copy()
    changed[:, :, 40:] = value
    clean, other = kernel(q, k, v)[0], kernel(q, k, changed)[0]
    np.testing.assert_allclose(other[:, :, :40], clean[:, :, :40], rtol=1e-5, atol=1e-6)
    assert not np.isfinite(other[:, :, 40:]).any()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_what_is_asked_for_behind_a_tensor_is_not_read(compile_for, width, dtype):
    kernel = compile_for(causal(dtype, 64, 64), width)
    assert "llvm.intr.prefetch" in kernel.artifact.text
    memory = Guarded("end")
    arrays = demo.draw(kernel, {}, {"B": 1, "Sq": 128, "Skv": 128}).values()
    guarded = [memory.copy(array) for array in arrays]
    for got, want in zip(kernel(*guarded), kernel(*arrays), strict=True):
        np.testing.assert_array_equal(got, want)


def test_scores_beyond_every_bound(compile_for):
    """Scores so large that only differences from the maximum can be raised to powers."""
    kernel = compile_for(causal("f32", 16, 16), "avx512" if TARGET.has("avx512f") else "avx2")
    q, k, v = demo.draw(kernel, {}, {"B": 1, "Sq": 70, "Skv": 70}).values()
    o, lse = kernel(q * 1e3, k * 1e3, v)
    want_o, want_lse = kernel.evaluate_reference(q * 1e3, k * 1e3, v)
    np.testing.assert_allclose(lse, want_lse, rtol=1e-6, atol=0.2)
    # A score of 1e6 is known to 0.06; where the largest leads by more, its key alone counts.
    ahead = np.abs(want_o[..., :, None, :] - np.repeat(v, 2, axis=1)[..., None, :, :]).max(-1).min(-1) < 1e-9
    assert ahead.mean() > 0.9
    np.testing.assert_allclose(o[ahead], want_o[ahead], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", [TARGET, NAMED_TARGETS["cpu:neon"]], ids=["here", "neon"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_tile_program_of_the_examples_is_vectorized(name, target):
    program = getattr(load(name), name)
    tiles = count_tiles(program, target)
    assert tiles.before > 0
    assert tiles.left == 0


def test_a_tile_program_that_stays_is_counted():
    tiles = count_tiles(causal("f32", 16, 16), NAMED_TARGETS["cpu:avx2"], block_q=512, block_kv=4096)
    assert (tiles.before, tiles.left) == (2, 1)  # the one for decoding has tiles of its own
