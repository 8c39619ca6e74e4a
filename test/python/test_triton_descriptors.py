"""Kernels that copy tiles through descriptors, interpreted, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from test_triton_kernels import MASKS, NORMALIZERS, attend, check, data, random
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.backends.nvidia import backend
from aecompiler.backends.nvidia.artifact import ALIGNED
from aecompiler.backends.triton.kernel_abi import Descriptor, parse_descriptor
from aecompiler.errors import BackendError
from aecompiler.passes import rewriting as rw

POINTERS = "block-q=16 block-kv=16"
TILE = f"{POINTERS} descriptors=true"


def program(q, k, v, dtype, **how):
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), **how)

    return aec.trace(
        attention,
        q=aec.tensor("B", q.shape[1], "Sq", q.shape[3], dtype=dtype),
        k=aec.tensor("B", k.shape[1], "Skv", k.shape[3], dtype=dtype),
        v=aec.tensor("B", v.shape[1], "Skv", v.shape[3], dtype=dtype),
    ).module


def inputs(sq, skv, d=16, dv=32, heads=2, kv_heads=2, dtype="bf16"):
    return (
        random(2, heads, sq, d, number=1, dtype=dtype),
        random(2, kv_heads, skv, d, number=2, dtype=dtype),
        random(2, kv_heads, skv, dv, number=3, dtype=dtype),
    )


def counts(module, tile=TILE):
    """How often kernels have each operation on memory, where no condition stands around it."""
    found: dict[str, int] = {}
    kernels = Kernels(module, tile)
    for op in rw.walk_list(kernels.module.operation, "tt."):
        parent = op.parent
        while parent is not None and parent.operation.name != "scf.if":
            parent = parent.operation.parent
        if parent is None and op.name.rpartition("_")[2].rpartition(".")[2] in ("load", "store"):
            found[op.name] = found.get(op.name, 0) + 1
    return found


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize(("sq", "skv"), [(35, 37), (16, 16), (1, 50), (33, 1), (32, 0), (0, 5)])
@pytest.mark.parametrize("mask", [None, aec.masks.causal])
def test_tiles_that_are_cut_off_are_copied_through_descriptors(dtype, sq, skv, mask):
    arrays = inputs(sq, skv, dtype=dtype)
    how = {} if mask is None else {"mask": mask()}
    module = program(*arrays, dtype, **how)
    check(module, arrays, dtype, tile=TILE)
    assert counts(module) == {"tt.descriptor_load": 5, "tt.descriptor_store": 1}


@pytest.mark.parametrize("case", MASKS)
def test_masks_keep_what_the_reference_keeps(case):
    make, captured = MASKS[case]
    attend(data(d=16, dtype="bf16"), captured, mask=make, dtype="bf16", rounded="bf16", tile=TILE)


@pytest.mark.parametrize("case", NORMALIZERS)
def test_normalizers_agree_with_the_reference(case):
    make, captured = NORMALIZERS[case]
    how = {"mask": lambda **_: aec.masks.causal(), "normalize": make}
    attend(data(d=16, dtype="f16"), captured, dtype="f16", rounded="f16", tile=TILE, **how)


def scaled(x):
    return x * 0.5


def norm_of_rows(x):
    return x * aec.rsqrt(aec.sum(x * x, -1, keepdims=True) * 0.0625 + 1e-6)


@pytest.mark.parametrize("of_k", [scaled, norm_of_rows])
@pytest.mark.parametrize("of_q", [scaled, norm_of_rows])
def test_tiles_of_tensors_that_are_computed_before_are_copied_too(of_q, of_k):
    arrays = inputs(35, 37, dv=16)

    def attention(q, k, v):
        return aec.attention(of_q(q), of_k(k), v)

    specs = {
        name: aec.tensor("B", 2, length, 16, dtype="bf16")
        for name, length in (("q", "Sq"), ("k", "Skv"), ("v", "Skv"))
    }
    module = aec.trace(attention, **specs).module
    by_pointers, by_descriptors = (
        [got for _, got, _ in Kernels(module, tile).run(arrays)] for tile in (POINTERS, TILE)
    )
    for one, other in zip(by_pointers, by_descriptors, strict=True):
        np.testing.assert_array_equal(one, other)
    # One kernel computes k, another takes the rest.
    assert counts(module) == {"tt.descriptor_load": 6, "tt.descriptor_store": 2}


def test_descriptors_of_grouped_heads_and_of_views():
    q, k, v = (x.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3) for x in inputs(21, 50, heads=4))
    module = program(q, k, v, "bf16", mask=aec.masks.causal())
    check(module, [q, k, v], "bf16", tile=TILE)


def test_masked_values_that_are_no_numbers_are_left_out_beside_descriptors():
    q, k, v = inputs(20, 40, dtype="f16")
    v[:, :, 30:] = np.nan
    check(program(q, k, v, "f16", mask=aec.masks.causal()), [q, k, v], "f16", tile=TILE)


@pytest.mark.parametrize(("d", "dv"), [(24, 16), (8, 16), (16, 24)])
def test_features_that_are_no_power_of_two_are_read_by_pointers(d, dv):
    arrays = inputs(20, 20, d, dv)
    module = program(*arrays, "bf16")
    check(module, arrays, "bf16", tile=TILE)
    found = counts(module)
    assert found["tt.load"] == (2 if dv == 24 else 3)
    assert ("tt.store" in found) == (dv == 24)


def test_other_types_are_read_by_pointers():
    arrays = inputs(20, 20, dtype="f32")
    assert set(counts(program(*arrays, "f32"))) == {"tt.load", "tt.store"}


def test_without_the_option_there_are_no_descriptors():
    found = counts(program(*inputs(20, 20), "bf16"), POINTERS)
    assert set(found) == {"tt.load", "tt.store"}


# ---- compiled ----


@pytest.mark.parametrize("features", [16, 32, 64, 128, 256])
def test_triton_copies_the_boxes_that_the_types_say(features, monkeypatch):
    pytest.importorskip("triton")
    pipeline = f"builtin.module(attn-tt{{{TILE}}})"
    monkeypatch.setattr(backend, "pipeline_for", lambda *_: pipeline)
    arrays = inputs(4, 4, features, features)
    kernel = aec.compile(program(*arrays, "bf16"), target="nvidia:sm_90", num_stages=1)
    ((name, facts),) = kernel.artifact.manifest["kernels"].items()
    described = [each for each in map(parse_descriptor, facts["parameters"]) if each is not None]
    assert [each.box for each in described] == [(1, 1, 16, features)] * 4
    assert list(facts["forms"]) == [ALIGNED]
    assert kernel.artifact.complete().manifest["kernels"][name]["forms"] == facts["forms"]
    assert "cp.async.bulk.tensor.4d" in kernel.artifact.text
    assert facts["forms"][ALIGNED]["scratch"] == 2


def test_other_boxes_than_the_types_say_are_an_error(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(backend, "pipeline_for", lambda *_: f"builtin.module(attn-tt{{{TILE}}})")
    monkeypatch.setattr(Descriptor, "swizzle_bytes", 0)
    with pytest.raises(
        BackendError, match=r"expects Triton to copy boxes and swizzles \(\(\(1, 1, 16, 64\), 0\)"
    ):
        aec.compile(program(*inputs(4, 4, 64, 64), "bf16"), target="nvidia:sm_90", num_stages=1)
