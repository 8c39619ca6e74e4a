"""Functions of vectors against numpy in a wider type: errors in units in the last place, and the edges."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest

from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.bindings import execution_engine, ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline

PROGRAM = """
func.func @f(%x: memref<?x{type}>, %y: memref<?x{type}>) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %step = arith.constant {lanes} : index
  %one = arith.constant dense<1.0> : vector<{lanes}x{type}>
  %n = memref.dim %x, %c0 : memref<?x{type}>
  scf.for %i = %c0 to %n step %step {{
    %a = vector.load %x[%i] : memref<?x{type}>, vector<{lanes}x{type}>
    %b = {op} %a : vector<{lanes}x{type}>
    vector.store {result}, %y[%i] : memref<?x{type}>, vector<{lanes}x{type}>
  }}
  return
}}
"""
EXPAND = "cpu-expand-vector-math{{scale-instruction={instruction}}}"
LOWER = (
    "convert-scf-to-cf,convert-math-to-llvm,convert-math-to-libm,convert-vector-to-llvm,finalize-memref-to-llvm,convert-func-to-llvm,"
    "convert-arith-to-llvm,convert-cf-to-llvm,canonicalize,reconcile-unrealized-casts"
)
DTYPES = {"f32": np.float32, "f64": np.float64}
ULPS = {"math.exp": 2.1, "math.exp2": 2.1, "math.log": 1.5, "math.tanh": 5, "math.sin": 1}
INSTRUCTIONS = pytest.param(
    True, marks=pytest.mark.skipif(not CpuBackend.target.has("avx512dq"), reason="needs avx512f and avx512dq")
)


def without_fma(module):
    """As LLVM does on a processor that has no instruction for it."""
    split = r"%p\1 = arith.mulf \2, \3 : \5\n%\1 = arith.addf %p\1, \4 : \5"
    text, count = re.subn(r"%(\w+) = vector.fma (\S+), (\S+), (\S+) : (.*)", split, str(module))
    assert count
    return ir.Module.parse(text)


def evaluate(op, type_, lanes, instruction, x, result="%b", fma=True):
    """`op` of an array, a vector at a time."""
    x = np.concatenate([x, np.zeros(-len(x) % lanes)]).astype(DTYPES[type_])
    y = np.empty_like(x)
    with make_context():
        module = ir.Module.parse(PROGRAM.format(op=op, type=type_, lanes=lanes, result=result))
        run_pipeline(module, f"builtin.module({EXPAND.format(instruction=str(instruction).lower())})")
        module = module if fma else without_fma(module)
        run_pipeline(module, f"builtin.module({LOWER})")
        engine = execution_engine.ExecutionEngine(module, opt_level=2)
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.raw_lookup("_mlir_ciface_f"))
        descriptors = [(ctypes.c_int64 * 5)(a.ctypes.data, a.ctypes.data, 0, len(a), 1) for a in (x, y)]
        pointers = [ctypes.c_void_p(ctypes.addressof(d)) for d in descriptors]
        function(ctypes.addressof((ctypes.c_void_p * 2)(*map(ctypes.addressof, pointers))))
    return x, y


@pytest.mark.parametrize("instruction", [False, INSTRUCTIONS])
@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("op", ULPS)
@pytest.mark.parametrize("type_", DTYPES)
def test_values(type_, op, lanes, instruction):
    low, high = (1e-6, 90) if op == "math.log" else (-86, 88)
    points = np.concatenate([np.linspace(low, high, 5000), np.geomspace(1e-6, 1, 2000)])
    if op != "math.log":
        points = np.concatenate([points, -points])
    x, y = evaluate(op, type_, lanes, instruction, np.clip(points, -86, 88))
    wide = np.longdouble if type_ == "f64" else np.float64
    want = getattr(np, op.removeprefix("math."))(x[: len(points)].astype(wide))
    error = np.abs(y[: len(points)] - want) / np.spacing(np.abs(want).astype(DTYPES[type_]))
    assert error.max() <= ULPS[op]


@pytest.mark.parametrize(
    ("type_", "op"),
    [
        *(("f32", op) for op in ("math.exp", "math.exp2", "math.log", "math.tanh")),
        *(("f64", op) for op in ("math.exp", "math.exp2")),
    ],
)
def test_values_without_fma(type_, op):
    """The products that have to be exact are, also where each operation rounds."""
    points = np.linspace(1e-6 if op == "math.log" else -86, 88, 5000)
    x, y = evaluate(op, type_, 8, False, points, fma=False)
    wide = np.longdouble if type_ == "f64" else np.float64
    want = getattr(np, op.removeprefix("math."))(x.astype(wide))
    error = np.abs(y - want) / np.spacing(np.abs(want).astype(DTYPES[type_]))
    assert error.max() <= ULPS[op] + 1


@pytest.mark.parametrize("instruction", [False, INSTRUCTIONS])
def test_exp_of_a_difference_is_as_right_as_that_of_a_number(instruction):
    """In a softmax the exponent is a difference; its digits count where it is large."""
    lines = (
        "arith.subf %one, %a : vector<16xf32>",
        "%e = math.exp %b : vector<16xf32>",
        "%unused = math.absf",
    )
    points = np.random.default_rng(0).uniform(-87, 87, 200_000)
    x, y = evaluate("\n    ".join(lines), "f32", 16, instruction, points, result="%e")
    want = np.exp((np.float32(1) - x).astype(np.float64))
    error = np.abs(y - want) / np.spacing(want.astype(np.float32))
    assert error.max() <= ULPS["math.exp"]


@pytest.mark.parametrize("instruction", [False, INSTRUCTIONS])
@pytest.mark.parametrize(("op", "function"), [("math.exp", np.exp), ("math.exp2", np.exp2)])
@pytest.mark.parametrize("type_", DTYPES)
def test_powers_at_the_edges(type_, op, function, instruction):
    big = np.finfo(DTYPES[type_]).max
    edges = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, big, -big, 1e30, -1e30, 1e5, -1e5, 1e-40, -1e9]
    x, y = evaluate(op, type_, 16, instruction, np.array(edges))
    with np.errstate(over="ignore", under="ignore"):
        want = function(x)
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(y == 0, want == 0)


@pytest.mark.parametrize("instruction", [False, INSTRUCTIONS])
@pytest.mark.parametrize("op", ["math.log", "math.tanh"])
def test_other_functions_at_the_edges(op, instruction):
    edges = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, -1.0, 3e38, 1e-30, 1e-38, 1e-45, 9.0, -9.0]
    x, y = evaluate(op, "f32", 16, instruction, np.array(edges))
    with np.errstate(all="ignore"):
        want = getattr(np, op.removeprefix("math."))(x)
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-42)


@pytest.mark.parametrize(("op", "function"), [("maximumf", np.maximum), ("minimumf", np.minimum)])
@pytest.mark.parametrize("first", [True, False])
def test_extremes_hand_on_nan(op, function, first):
    edges = np.array([np.nan, 1.0, -np.inf, np.inf, -3.0, 0.0, 7.0])
    # The operation of one vector and 1, in both orders: the name is followed by the vector.
    text = f"arith.{op} %one," if first else f"arith.{op} %a, %one : vector<16xf32> %unused = math.absf"
    _, y = evaluate(text.replace(" %unused", "\n    %unused"), "f32", 16, False, edges)
    np.testing.assert_array_equal(y[: len(edges)], function(edges, 1.0).astype(np.float32))
