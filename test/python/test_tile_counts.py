"""How many tiles a mask leaves, counted of all tiles that are tested, or of some."""

from __future__ import annotations

import dataclasses

import pytest

import aecompiler as aec
from aecompiler.algebra.tile_classes import TileClasses
from aecompiler.backends.nvidia.program_facts import attention_ops
from aecompiler.library import masks
from aecompiler.passes.tile_counts import MaskTiles, Visited

BLOCK_Q, BLOCK_KV = 64, 16


@pytest.fixture
def tests(monkeypatch):
    """The tiles that are tested."""
    found = []
    test = TileClasses.test

    def counted(self, rows, tile, block):
        found.append(tile)
        return test(self, rows, tile, block)

    monkeypatch.setattr(TileClasses, "test", counted)
    return found


def visits(mask, length=512, **how):
    """What a mask leaves of tiles of rows."""
    x = aec.tensor(1, 1, length, 16, dtype="f16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v, mask=mask)

    module = attention.module
    with module.context:
        (op,) = attention_ops(module)
        return dataclasses.replace(MaskTiles.of(op, length), **how).visits(BLOCK_Q, BLOCK_KV)


def test_ranges_are_counted_without_tests(tests):
    assert visits(masks.causal(), 256) == [Visited(4 * n, 4) for n in range(4)]
    assert tests == []


def test_each_tile_is_tested_where_nothing_else_is_said(tests):
    assert visits(masks.dilated(3)) == [Visited(0, 512 // BLOCK_KV)] * (512 // BLOCK_Q)
    assert len(tests) == (512 // BLOCK_KV) * (512 // BLOCK_Q)


@pytest.mark.parametrize("mask", [masks.dilated(3), masks.causal() & masks.dilated(5)])
def test_some_tiles_stand_for_the_others(tests, mask):
    found = visits(mask, most_tests=40)
    assert len(tests) <= 32
    assert found == visits(mask)


def test_two_tiles_are_tested_for_each_tile_of_rows_at_least(tests):
    found = visits(masks.dilated(3), most_tests=1)
    assert len(tests) == 2 * len(found)
    assert {each.all for each in found} == {512 // BLOCK_KV}
