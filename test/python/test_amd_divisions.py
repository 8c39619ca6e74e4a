"""Quotients of integers that all lanes share, as products in f64: exact, whatever a reciprocal is off by."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from amd_lanes import module
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.backends.amd.codegen.compiler import compile_module
from aecompiler.backends.amd.simulator import Program, simulate
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

MOST = (1 << 32) - 1
OFF = Fraction(1, 1 << 23)
"""What AMD says that a reciprocal in f64 may be off by, relative to it: 2^29 units of the last place."""

PAIRS = [
    *((n, d) for d in (1, 2, 3, 7, 8, 63, 64, 65) for n in (0, 1, 62, 63, 64, 65, 4095, MOST - 1, MOST)),
    *((n, d) for d in (12345, 65535, 65536, 65537, MOST // 2, MOST) for n in (d - 1, d, 65536, MOST)),
]

KERNEL = """
  gpu.func @divide(%n: i32, %d: i32, %o: !llvm.ptr<1>) kernel {
    %q = arith.divui %n, %d : i32
    %r = arith.remui %n, %d : i32
    llvm.store %q, %o : i32, !llvm.ptr<1>
    %next = llvm.getelementptr %o[1] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32
    llvm.store %r, %next : i32, !llvm.ptr<1>
    gpu.return
  }"""


@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950"])
def test_quotients_and_remainders_are_those_of_integers(chip):
    pytest.importorskip("triton")
    with make_context():
        assembly = compile_module(ir.Module.parse(module(KERNEL)), chip, waves=1)["divide"].assembly
    assert assembly.count("v_rcp_f64") == 1
    program = Program.parse(assembly, "divide", chip)
    for n, d in PAIRS:
        result = np.zeros(2, np.uint32)
        simulate(program, [n, d, result], 1, 64)
        assert tuple(map(int, result)) == divmod(n, d), (n, d)


def numbers():
    """Numbers of 32 bits, and those around powers of two."""
    near = st.tuples(st.integers(0, 31), st.integers(-2, 2)).map(lambda each: (1 << each[0]) + each[1])
    return st.one_of(st.integers(0, MOST), near.filter(lambda each: each >= 0))


@settings(max_examples=500)
@given(d=numbers().filter(bool), times=numbers(), below=st.integers(-2, 2), off=st.sampled_from([-1, 0, 1]))
def test_reciprocals_may_be_off_by_as_much_as_they_are_said_to(d, times, below, off):
    """The steps of the pass, each rounded once, on dividends around multiples of the divisor."""
    n = min(max(0, times % (MOST // d + 1) * d + below), MOST)
    guess = float(Fraction(1, d) * (1 + off * OFF))
    error = float(1 - Fraction(d) * Fraction(guess))
    reciprocal = float(Fraction(guess) * Fraction(error) + Fraction(guess))
    product = float(Fraction(n + 0.5) * Fraction(reciprocal))
    assert math.floor(product) == n // d
