"""Positions in vector code: what is known of their size, and comparisons that need no more than 32 bits."""

from __future__ import annotations

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.vectorize.ranges import LARGEST_SIZE, Range, Ranges
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.library import masks, normalizers
from aecompiler.passes.infra import run_pipeline

I64 = np.iinfo(np.int64)
EXTREMES = [0, 1, -1, 40, -70, 1 << 20, -(1 << 22), 1 << 31, -(1 << 31), 1 << 61, 1 << 62]
EXTREMES += [I64.max, I64.max - 3, I64.max - 40, I64.min, I64.min + 5, I64.min + 60]

MASKS = {
    "sum above": lambda i, j, x: i + x > j,
    "difference": lambda i, j, x: i - x <= j,
    "reversed": lambda i, j, x: x - i < j,
    "beside": lambda i, j, x: i >= x,
    "distance": lambda i, j, x: i - j < x,
    "equal": lambda i, j, x: i - j == x,
    "unequal": lambda i, j, x: i + j != x,
    "both": lambda i, j, x: (i - j >= 0) & (i - j < x),
    "remainder": lambda i, j, x: (i - j) % 3 == 0,
    "minimum": lambda i, j, x: aec.min(i, x) <= j,
}


def program_of(mask, dtype="f32"):
    q = aec.tensor("B", 2, "Sq", 8, dtype=dtype)
    kv = aec.tensor("B", 2, "Skv", 8, dtype=dtype)

    @aec.program(q=q, k=kv, v=kv, x=aec.tensor("B", dtype="i64"))
    def program(q, k, v, x):
        return aec.attention(
            q, k, v, mask=lambda b, h, i, j: mask(i, j, x[b]), normalize=normalizers.softmax()
        )

    return program


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_extreme_numbers_are_those_of_the_direct_form(name):
    program = program_of(MASKS[name])
    fast, direct = aec.compile(program), aec.compile(program, direct=True)
    rng = np.random.default_rng(0)
    batch = len(EXTREMES)
    for sq, skv in ((67, 70), (3, 70)):
        q = rng.standard_normal((batch, 2, sq, 8), np.float32)
        k, v = rng.standard_normal((2, batch, 2, skv, 8), np.float32)
        x = np.array(EXTREMES, np.int64)
        found, expected = (np.asarray(kernel(q, k, v, x)) for kernel in (fast, direct))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def function_body(text):
    """The values of a function, by what they are in the text."""
    module = ir.Module.parse(text)
    block = module.body.operations[0].regions[0].blocks[0]
    return module, block


def test_ranges_follow_from_sizes_and_constants():
    with make_context():
        module, block = function_body("""
        func.func @f(%t: tensor<?xf32>, %x: index, %w: i32) {
          %c0 = arith.constant 0 : index
          %c5 = arith.constant 5 : index
          %n = tensor.dim %t, %c0 : tensor<?xf32>
          %sum = arith.addi %n, %c5 : index
          %difference = arith.subi %c5, %n : index
          %least = arith.minui %n, %c5 : index
          %wide = arith.index_cast %w : i32 to index
          %unknown = arith.addi %x, %c5 : index
          %wrapped = arith.muli %n, %n : index
          %part = arith.remui %n, %c5 : index
          %no_part = arith.remui %difference, %c5 : index
          %choice = arith.addi %least, %wide : index
          return
        }""")
        ranges = Ranges()
        every = Range(int(I64.min), int(I64.max))
        found = [ranges.of(op.results[0]) for op in list(block.operations)[2:-1]]
        assert found == [
            Range(0, LARGEST_SIZE),
            Range(5, LARGEST_SIZE + 5),
            Range(5 - LARGEST_SIZE, 5),
            Range(0, 5),
            Range(-(1 << 31), (1 << 31) - 1),
            every,
            every,
            Range(0, 4),
            every,
            Range(-(1 << 31), (1 << 31) + 4),
        ]
        ranges.known[block.arguments[1]] = Range(3, 4)
        assert ranges.of(list(block.operations)[7].results[0]) == Range(8, 9)
        del module


@pytest.mark.parametrize("mask", [masks.causal(), masks.window(9), masks.causal(align="end")])
@pytest.mark.parametrize("heads", [1, 4])
def test_affine_masks_need_no_vectors_of_64_bits(mask, heads):
    """Also where the query heads of a group are rows of one tile."""
    q = aec.tensor("B", heads, "Sq", 8)
    kv = aec.tensor("B", 1, "Skv", 8)

    @aec.program(q=q, k=kv, v=kv)
    def program(q, k, v):
        return aec.attention(q, k, v, mask=mask, normalize=normalizers.softmax())

    text = vectorized(program)
    assert "vector<16xi32>" in text
    assert "vector<16xindex>" not in text
    assert "vector<16xi64>" not in text


def test_positions_of_which_nothing_is_known_are_compared_in_64_bits():
    assert "vector<16xi" in vectorized(program_of(MASKS["distance"]))
    assert "vector<16xindex>" not in vectorized(program_of(MASKS["distance"]))
    assert "vector<16xindex>" in vectorized(program_of(MASKS["difference"]))


def vectorized(program):
    """The program after `cpu-vectorize-tiles`, without what nothing uses."""
    text = str(program.module)
    with make_context():
        module = ir.Module.parse(text)
        run_pipeline(
            module,
            "builtin.module(attn-guard-operations,attn-derive-online,attn-tile{block-q=32 decode-rows=16},"
            "convert-attn-to-linalg,canonicalize,cse,cpu-prepare-functions,func.func(cpu-sink-results),"
            "cpu-vectorize-tiles{vector-bits=512},canonicalize)",
        )
        return str(module)


def test_vectors_of_packed_rows_may_each_have_one_head():
    """In a tile for few queries the rows of one vector are those of a head, of the next those of another."""
    q, kv = aec.tensor(1, 2, "Sq", 3, dtype="f64"), aec.tensor(1, 1, "Skv", 3, dtype="f64")

    @aec.program(q=q, k=kv, v=kv)
    def program(q, k, v):
        return aec.attention(q, k, v, normalize=lambda s, b, h, i, j: aec.where(i != h, s, 2.0 * s))

    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, heads, 5, 3)) for heads in (2, 1, 1))
    kernel = aec.compile(program)
    (want,) = kernel.evaluate_reference(q, k, v)
    np.testing.assert_allclose(kernel(q, k, v), want, atol=1e-12)
