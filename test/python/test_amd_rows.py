"""Rows of tiles in local memory on AMD's chips: where elements are, and that accesses do not conflict."""

from __future__ import annotations

import itertools

import pytest
from amd_road import attention, check, compiled, operands
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.backends.amd.distribute.layouts import blocked, dealt
from aecompiler.backends.amd.distribute.rows import Rows, choose_rows


def place(rows: Rows, index: tuple[int, ...]) -> int:
    """The place of an element, by the factors of its index."""
    return sum((index[dim] >> n) * factor for dim in range(len(index)) for n, factor in rows.factors(dim))


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 6), st.integers(3, 7), st.integers(0, 2), st.booleans(), st.sampled_from([8, 16, 32]))
def test_elements_have_places_of_their_own(rows, columns, waves, is_turned, bits):
    shape = (1 << rows, 1 << columns)
    reader = dealt(shape, [(1, 0), (1, 1)], waves, [0, 1])
    writer = blocked(shape, waves, 0 if is_turned else 1, 128 // bits, 1 if is_turned else None)
    found = choose_rows(writer, reader, 1, bits, 32)
    places = [place(found, index) for index in itertools.product(*map(range, shape))]
    assert len(set(places)) == len(places)
    assert max(places) == found.size - 1
    for register in range(reader.count):
        assert found.shift(reader, register) == place(found, reader.register_index(register))


def test_a_vector_has_no_gaps():
    layout = blocked((256,), 1, 0, 4)
    assert choose_rows(layout, layout, 0, 32, 32).size == 256


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("chip", ["gfx90a", "gfx942"])
@pytest.mark.parametrize(("features", "tile"), [(64, (64, 64)), (128, (64, 64)), (128, (128, 64))])
def test_neither_reads_nor_writes_of_the_loop_conflict(features, tile, chip, dtype):
    pytest.importorskip("triton")
    program = attention(1, 1, features, features, dtype=dtype)
    kernel = compiled(program, chip, block_q=tile[0], block_kv=tile[1])
    check(kernel, operands(kernel, 1, 64, 128))
    (launch,) = kernel.launches
    assert launch.counts.hot_loop.read_conflict_cycles == 0
    assert launch.counts.hot_loop.write_conflict_cycles == 0
