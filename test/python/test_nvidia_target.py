"""The tables of NVIDIA's chips agree with the peaks that NVIDIA states, and with each other."""

from __future__ import annotations

import pickle

import pytest

from aecompiler.backends.nvidia.target import NAMED_TARGETS, SM_90, named_target, target_of
from aecompiler.errors import BackendError

EVERY = pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.name)

STATED_TERAFLOPS = {
    "nvidia:sm_80": {"bf16": 312, "tf32": 156},
    "nvidia:sm_86": {"bf16": 149.7, "tf32": 74.8},
    "nvidia:sm_89": {"bf16": 362.05, "tf32": 183, "f8e4m3": 733},
    "nvidia:sm_90": {"bf16": 989.4, "tf32": 494.7, "f8e4m3": 1978.9},
    "nvidia:sm_100": {"bf16": 2250, "tf32": 1125, "f8e4m3": 4500},
    "nvidia:sm_120": {"bf16": 503.8, "tf32": 251.9, "f8e4m3": 1007.6},
}
"""Of dense operands with sums in f32, from the documents that target.py names."""


@EVERY
def test_rates_give_the_stated_peaks(target):
    for dtype, stated in STATED_TERAFLOPS[target.name].items():
        assert target.peak_flops(dtype) / 1e12 == pytest.approx(stated, rel=0.02)
    assert target.flops_per_clock("f16") == target.flops_per_clock("bf16")


@EVERY
def test_limits_are_consistent(target):
    major, minor = target.capability
    assert target.name == f"nvidia:sm_{major}{minor}" == f"nvidia:sm_{target.arch}"
    assert target.shared_bytes_per_block + target.reserved_shared_bytes == target.shared_bytes
    assert target.warps * target.warp_size >= target.threads_per_block
    assert (target.matrix_instruction == "tcgen05") == (target.tensor_memory_bytes > 0)
    assert target.has_tma == (major >= 9)


def test_unknown_type_has_no_rate():
    assert SM_90.flops_per_clock("i7") == 0


@EVERY
def test_targets_are_found_by_name_and_capability(target):
    assert named_target(target.name) is target_of(target.capability) is target
    assert pickle.loads(pickle.dumps(target)) == target
    assert hash(target) == hash(pickle.loads(pickle.dumps(target)))


@pytest.mark.parametrize("capability", [(7, 0), (9, 1), (10, 3)])
def test_unknown_capability_lists_the_known_targets(capability):
    major, minor = capability
    with pytest.raises(
        BackendError, match=rf"unknown target 'nvidia:sm_{major}{minor}' \(targets: nvidia:sm_80, .+sm_120\)"
    ):
        target_of(capability)
