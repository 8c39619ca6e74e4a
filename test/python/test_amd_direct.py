"""Tiles that go straight into local memory: where elements lie, and kernels that load them so, simulated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from amd_road import attention, check, compiled, operands
from hypothesis import given, settings
from hypothesis import strategies as st

import aecompiler as aec
from aecompiler.backends.amd.backend import AmdBackend
from aecompiler.backends.amd.distribute.direct import ELEMENT_BYTES, choose_lines, fits
from aecompiler.backends.amd.distribute.products import (
    choose_instruction,
    form_of,
    place_operands,
    result_layout,
)
from aecompiler.backends.amd.target import GFX942, GFX950
from aecompiler.errors import BackendError

pytest.importorskip("triton")

CAUSAL = {"mask": aec.masks.causal(align="end"), "normalize": aec.normalizers.softmax(lse=True)}
LINE = 1024
"""Bytes that the lanes of a wave load at a time."""


def readers(keys: int, features: int, rows: int, waves: int, matrix: int):
    """How products of queries and keys, and of weights and values, read a tile of [keys, features]."""
    first = form_of(choose_instruction(GFX950, "f16", rows, keys, features, matrix))
    scores = result_layout(first, rows, keys, waves)
    yield place_operands(first, scores, features, 8, None, None).right.permuted((1, 0))
    second = form_of(choose_instruction(GFX950, "f16", rows, features, keys, matrix))
    result = result_layout(second, rows, features, waves)
    yield place_operands(second, result, keys, 8, scores, None).right


@settings(deadline=None, max_examples=40)
@given(
    keys=st.sampled_from([16, 32, 64, 128]),
    features=st.sampled_from([16, 32, 64, 128, 256]),
    waves=st.integers(0, 3),
    matrix=st.sampled_from([16, 32]),
)
def test_each_element_has_a_place_of_its_own_and_loads_fill_whole_lines(keys, features, waves, matrix):
    if not fits((keys, features), 1, waves):
        return
    for reader in readers(keys, features, max(32, 16 << waves), waves, matrix):
        lines = choose_lines((keys, features), 1, waves, GFX950.lds_banks, [reader])
        bits = [
            (dim, bit) for dim, size in enumerate((keys, features)) for bit in range(size.bit_length() - 1)
        ]
        places = {
            sum(lines.weights[bit] for n, bit in enumerate(bits) if number >> n & 1)
            for number in range(1 << len(bits))
        }
        assert len(places) == keys * features
        assert max(places) < lines.size
        for lane, place in enumerate(lines.layout.lanes):
            assert lines.weights[place] * ELEMENT_BYTES == 16 << lane
        assert all(lines.weights[place] * ELEMENT_BYTES >= LINE for place in lines.layout.waves)


def main_loop(assembly: str) -> list[str]:
    """The block of code with the most matrix instructions."""
    blocks = re.split(r"^\.\w+:.*$", assembly, flags=re.MULTILINE)
    block = max(blocks, key=lambda text: text.count("v_mfma"))
    return [
        line.strip() for line in block.splitlines() if line.startswith("\t") and line.strip()[:1].isalpha()
    ]


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize(("features", "tile"), [(64, (64, 64)), (128, (64, 64)), (64, (128, 64))])
def test_loops_have_one_barrier_and_no_access_that_conflicts(features, tile, dtype):
    program = attention(1, 1, features, features, dtype=dtype)
    kernel = compiled(program, "gfx950", block_q=tile[0], block_kv=tile[1])
    check(kernel, operands(kernel, 1, 64, 256))
    (name,) = kernel.artifact.manifest["kernels"]
    loop = main_loop(kernel.artifact.code(name, "aligned").assembly)
    opcodes = [line.split()[0] for line in loop]
    assert opcodes.count("s_barrier") == 1
    assert sum(line.endswith(" lds") for line in loop) == 2 * tile[1] * features * ELEMENT_BYTES // (4 * LINE)
    assert "ds_read_b64_tr_b16" in opcodes
    assert not any(opcode.startswith(("ds_write", "v_perm_b32")) for opcode in opcodes)
    (launch,) = kernel.launches
    assert launch.counts.hot_loop.read_conflict_cycles == 0
    assert launch.counts.hot_loop.write_conflict_cycles == 0


def test_barriers_for_other_bytes_leave_the_next_tiles_on_their_way():
    kernel = compiled(attention(1, 1, 64, 64, **CAUSAL), "gfx950", block_q=16, block_kv=64, waves=4)
    check(kernel, operands(kernel, 1, 5, 200))
    (name,) = kernel.artifact.manifest["kernels"]
    loop = main_loop(kernel.artifact.code(name, "aligned").assembly)
    assert sum(line == "s_barrier" for line in loop) > 1
    (wait,) = (number for number, line in enumerate(loop) if "vmcnt" in line)
    assert wait < min(number for number, line in enumerate(loop) if line.endswith(" lds"))


@pytest.mark.parametrize(
    ("dqk", "dv", "dtype", "tile", "waves"),
    [
        (64, 64, "bf16", (32, 32), 2),
        (128, 32, "f16", (64, 64), 4),
        (32, 128, "f16", (32, 64), 2),
        (256, 64, "bf16", (16, 32), 1),
        (96, 80, "f16", (32, 32), 2),
        (64, 128, "f16", (64, 32), 8),
        (16, 16, "f16", (32, 128), 2),
    ],
)
def test_tiles_of_any_size_agree_with_the_reference(dqk, dv, dtype, tile, waves):
    program = attention(2, 1, dqk, dv, dtype=dtype, **CAUSAL)
    kernel = compiled(program, "gfx950", block_q=tile[0], block_kv=tile[1], waves=waves)
    for sq, skv in ((1, 1), (33, 97), (tile[0], 2 * tile[1]), (5, tile[1] - 1)):
        check(kernel, operands(kernel, 1, sq, skv))
    (name,) = kernel.artifact.manifest["kernels"]
    straight = " lds" in kernel.artifact.code(name, "aligned").assembly
    assert straight == fits((tile[1], 1 << (dv - 1).bit_length()), 1, waves.bit_length() - 1)


def test_tiles_are_loaded_to_registers_where_that_is_asked_for():
    options = {"block_q": 32, "block_kv": 32, "waves": 2, "loads": "registers"}
    kernel = compiled(attention(1, 1, 64, 64, **CAUSAL), "gfx950", **options)
    check(kernel, operands(kernel, 1, 33, 97))
    (name,) = kernel.artifact.manifest["kernels"]
    assert " lds" not in kernel.artifact.code(name, "aligned").assembly


def test_tensors_that_are_not_aligned_are_loaded_to_registers():
    kernel = compiled(attention(1, 1, 64, 64, **CAUSAL), "gfx950", block_q=32, block_kv=32, waves=2)
    q, k, v = operands(kernel, 1, 33, 65)
    wide = np.zeros((1, 1, 65, 67), k.dtype)
    view = wide[..., 1:65]
    view[:] = k
    for key in (np.ascontiguousarray(k.swapaxes(2, 3)).swapaxes(2, 3), view):
        check(kernel, [q, key, v])
    (name,) = kernel.artifact.manifest["kernels"]
    assert " lds" in kernel.artifact.code(name, "aligned").assembly
    assert " lds" not in kernel.artifact.code(name, "unaligned").assembly


def test_chips_without_such_loads_are_refused():
    message = "expects loads to be registers, or '' to choose, for amd:gfx942, got 'local'"
    with pytest.raises(BackendError, match=re.escape(message)):
        AmdBackend(GFX942).schedule({"loads": "local"})
    AmdBackend(GFX942).schedule({"loads": "registers"})
