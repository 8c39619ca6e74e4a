"""Math functions and conversions of kernels for AMD's chips, executed in the simulator against float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from amd_lanes import elementwise, module

from aecompiler.backends.amd.codegen.compiler import compile_module
from aecompiler.backends.amd.simulator import Program, simulate
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

pytest.importorskip("triton")

CHIPS = pytest.mark.parametrize("chip", ["gfx942", "gfx950"])
DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
Function = Callable[[np.ndarray], np.ndarray]


def each(function: Callable[[float], float]) -> Function:
    return lambda x: np.array([function(float(value)) for value in x])


ANY = np.concatenate([np.linspace(-3, 3, 58), [0.0, -0.0, 1e-3, -1e-3, 20.0, -20.0]])
POSITIVE = np.concatenate([np.linspace(0.05, 40, 60), [1e-30, 1e30, 1.0, 2.0]])
UNIT = np.linspace(-0.99, 0.99, 64)

FUNCTIONS: dict[str, tuple[np.ndarray, Function]] = {
    "acos": (UNIT, np.arccos),
    "acosh": (POSITIVE[20:60] + 1, np.arccosh),
    "asin": (UNIT, np.arcsin),
    "asinh": (ANY, np.arcsinh),
    "atan": (ANY, np.arctan),
    "atanh": (UNIT, np.arctanh),
    "cbrt": (ANY, np.cbrt),
    "ceil": (ANY, np.ceil),
    "cos": (ANY, np.cos),
    "cosh": (ANY, np.cosh),
    "erf": (ANY, each(math.erf)),
    "erfc": (ANY[:58], each(math.erfc)),
    "exp": (ANY, np.exp),
    "exp2": (ANY, np.exp2),
    "expm1": (ANY, np.expm1),
    "floor": (ANY, np.floor),
    "log": (POSITIVE, np.log),
    "log10": (POSITIVE, np.log10),
    "log1p": (POSITIVE - 0.04, np.log1p),
    "log2": (POSITIVE, np.log2),
    "roundeven": (ANY, np.round),
    "rsqrt": (POSITIVE, lambda x: x**-0.5),
    "sin": (ANY, np.sin),
    "sinh": (ANY, np.sinh),
    "sqrt": (POSITIVE, np.sqrt),
    "tan": (UNIT, np.tan),
    "tanh": (ANY, np.tanh),
    "trunc": (ANY, np.trunc),
}


def assemblies(chip: str, *kernels: str) -> dict[str, str]:
    with make_context():
        made = compile_module(ir.Module.parse(module(*kernels)), chip, waves=1)
    return {name: kernel.assembly for name, kernel in made.items()}


def run(assembly: str, name: str, chip: str, x: np.ndarray, dtype: str) -> np.ndarray:
    """What the kernel makes of x, which has at most 64 elements."""
    given, result = np.zeros(64, x.dtype), np.zeros(64, DTYPES[dtype])
    given[: len(x)] = x
    arrays = [array.view(f"u{array.itemsize}") for array in (given, result)]
    simulate(Program.parse(assembly, name, chip), arrays, 1, 64)
    return result[: len(x)]


def units_off(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error in units of the last place of the type of `got`, or of its smallest normal number."""
    dtype = got.dtype
    rounded = wanted.astype(dtype).astype(np.float64)
    least = float(ml_dtypes.finfo(dtype).tiny)
    unit = 2.0 ** np.floor(np.log2(np.maximum(np.abs(rounded), least))) * float(ml_dtypes.finfo(dtype).eps)
    return float(np.max(np.abs(got.astype(np.float64) - wanted) / unit))


@CHIPS
def test_functions_in_f32(chip):
    kernels = [elementwise(f"%r = math.{name} %x : f32", name=name) for name in FUNCTIONS]
    found = assemblies(chip, *kernels)
    for name, (points, function) in FUNCTIONS.items():
        x = points.astype(np.float32)
        got = run(found[name], name, chip, x, "f32")
        assert units_off(got, function(x.astype(np.float64))) < 4, name


@CHIPS
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_functions_in_narrow_types_are_rounded_once(chip, dtype):
    """To half a unit, but for the error in f32 before."""
    names = ("exp", "exp2", "log", "log1p", "log2", "rsqrt", "sqrt", "tanh", "erf", "sin", "floor")
    kernels = [elementwise(f"%r = math.{name} %x : {dtype}", dtype=dtype, name=name) for name in names]
    found = assemblies(chip, *kernels)
    for name in names:
        points, function = FUNCTIONS[name]
        x = np.clip(points, -8, 8).astype(DTYPES[dtype])
        x = np.maximum(x, DTYPES[dtype](0.05)) if points is POSITIVE or name == "log1p" else x
        wanted = function(x.astype(np.float64))
        assert units_off(run(found[name], name, chip, x, dtype), wanted) < 0.501, name


@CHIPS
def test_functions_in_f64(chip):
    names = ("exp", "exp2", "log", "log2", "log10", "tanh", "sqrt", "rsqrt")
    kernels = [elementwise(f"%r = math.{name} %x : f64", dtype="f64", name=name) for name in names]
    found = assemblies(chip, *kernels)
    for name in names:
        x, function = FUNCTIONS[name]
        got = run(found[name], name, chip, x, "f64")
        np.testing.assert_allclose(got, function(x), rtol=1e-15, atol=1e-300, err_msg=name)


@CHIPS
def test_functions_of_two_numbers(chip):
    bodies = {
        "powf": ("%r = math.powf %x, %y : f32", lambda x, y: x**y),
        "atan2": ("%r = math.atan2 %x, %y : f32", np.arctan2),
        "remf": ("%r = arith.remf %x, %y : f32", np.fmod),
        "copysign": ("%r = math.copysign %x, %y : f32", np.copysign),
    }
    y = np.float32(-2.75)
    constant = f"%y = arith.constant {y} : f32\n    "
    powers = "%n = arith.constant -3 : i32\n    %r = math.fpowi %x, %n : f32, i32"
    kernels = [elementwise(constant + body, name=name) for name, (body, _) in bodies.items()]
    found = assemblies(chip, *kernels, elementwise(powers, name="fpowi"))
    x = np.linspace(0.05, 9, 64, dtype=np.float32)
    for name, (_, function) in bodies.items():
        wanted = function(x.astype(np.float64), float(y))
        assert units_off(run(found[name], name, chip, x, "f32"), wanted) < 4, name
    assert units_off(run(found["fpowi"], "fpowi", chip, x, "f32"), x.astype(np.float64) ** -3) < 4


@CHIPS
def test_exponentials_at_their_ends(chip):
    """Powers of 2 below 2^-126 are 0: the instruction has no denormal results. Those of e are kept."""
    kernels = [elementwise(f"%r = math.{name} %x : f32", name=name) for name in ("exp", "exp2", "log2")]
    found = assemblies(chip, *kernels)
    x = np.array([-math.inf, -200, -126, -126.5, 127.5, 128, math.inf, math.nan], np.float32)
    got = run(found["exp2"], "exp2", chip, x, "f32")
    assert got[[0, 1, 3]].tolist() == [0, 0, 0]
    assert got[2] == 2.0**-126
    np.testing.assert_allclose(got[4], 2.0**127.5, rtol=1e-6)
    assert np.isposinf(got[[5, 6]]).all()
    assert np.isnan(got[7])
    x = np.array([-math.inf, -110, -90, 88, 89, math.inf, math.nan], np.float32)
    got = run(found["exp"], "exp", chip, x, "f32")
    assert got[[0, 1]].tolist() == [0, 0]
    np.testing.assert_allclose(got[2], math.exp(-90), rtol=1e-5)  # 8e-40, with fewer digits
    np.testing.assert_allclose(got[3], math.exp(88), rtol=1e-6)
    assert np.isposinf(got[[4, 5]]).all()
    assert np.isnan(got[6])
    x = np.array([0, 2.0**-140, -1, math.inf], np.float32)
    got = run(found["log2"], "log2", chip, x, "f32")
    assert np.isneginf(got[0])
    assert got[1] == -140
    assert np.isnan(got[2])
    assert np.isposinf(got[3])


EDGES = [
    *(0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-3, 65504.0, 65520.0, 70000.0, 3.4e38, 3.39e38),
    *(
        1 + 2.0**-8,
        1 + 3 * 2.0**-8,
        1 + 2.0**-8 + 2.0**-20,
        1 + 2.0**-11,
        1 + 3 * 2.0**-11,
        2.0**-25,
        2.0**-24,
    ),
    *(1.5 * 2.0**-24, 2.0**-130, 1.5 * 2.0**-133, 2.0**-134, 2.0**-149, 6.1e-5),
]


@CHIPS
@pytest.mark.parametrize("to", ["f16", "bf16"])
def test_rounding_f32_is_to_the_nearest_and_to_even(chip, to):
    found = assemblies(chip, elementwise(f"%r = arith.truncf %x : f32 to {to}", to=to))
    with np.errstate(over="ignore"):
        x = np.array(EDGES, np.float32)
        wanted = x.astype(DTYPES[to])
    got = run(found["f"], "f", chip, x, to)
    np.testing.assert_array_equal(got.astype(np.float32), wanted.astype(np.float32))
    assert (np.signbit(got) == np.signbit(wanted))[~np.isnan(x)].all()


@CHIPS
def test_rounding_f64_to_bf16_is_one_rounding(chip):
    """1 + 2^-8 + 2^-40 is above the middle of two numbers, which by way of f32 it would be on."""
    found = assemblies(chip, elementwise("%r = arith.truncf %x : f64 to bf16", dtype="f64", to="bf16"))
    x = np.array([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 3 * 2.0**-8 - 2.0**-40, -1e300, 1e-300, math.nan])
    got = run(found["f"], "f", chip, x, "bf16").astype(np.float64)
    np.testing.assert_array_equal(got, [1 + 2.0**-7, 1.0, 1 + 2.0**-7, -math.inf, 0.0, math.nan])


@CHIPS
def test_conversions_between_narrow_types(chip):
    found = assemblies(
        chip,
        elementwise("%r = arith.convertf %x : f16 to bf16", dtype="f16", to="bf16", name="narrow"),
        elementwise("%r = arith.extf %x : bf16 to f32", dtype="bf16", to="f32", name="wide"),
    )
    x = np.array([0.1, -3.14159, 65504.0, 6e-8, math.inf], np.float16)
    wanted = x.astype(np.float32).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(run(found["narrow"], "narrow", chip, x, "bf16"), wanted)
    np.testing.assert_array_equal(run(found["wide"], "wide", chip, wanted, "f32"), wanted.astype(np.float32))


@CHIPS
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32"])
def test_classes_of_numbers(chip, dtype):
    names = ("isinf", "isnormal", "isnan", "isfinite")
    body = f"%c = math.NAME %x : {dtype}\n    %r = arith.uitofp %c : i1 to {dtype}"
    kernels = [elementwise(body.replace("NAME", name), dtype=dtype, name=name) for name in names]
    found = assemblies(chip, *kernels)
    tiny = float(ml_dtypes.finfo(DTYPES[dtype]).tiny)
    x = np.array([0, -0.0, 1, -2, tiny, -tiny, tiny / 2, math.inf, -math.inf, math.nan]).astype(DTYPES[dtype])
    value = x.astype(np.float64)
    wanted = {
        "isinf": np.isinf(value),
        "isnormal": np.isfinite(value) & (np.abs(value) >= tiny),
        "isnan": np.isnan(value),
        "isfinite": np.isfinite(value),
    }
    for name in names:
        got = run(found[name], name, chip, x, dtype).astype(np.float64)
        np.testing.assert_array_equal(got, wanted[name].astype(np.float64), err_msg=name)


@CHIPS
def test_angles_of_many_turns_in_f64(chip):
    """The library multiplies by the bits of 2 / pi that matter, and takes the errors of these products."""
    found = assemblies(chip, elementwise("%r = math.sin %x : f64", dtype="f64", name="sin"))
    x = np.array([1.0, -1e5, 1e9, 1e10, 1e16, -3e22, 1e150, 1e300])
    got = run(found["sin"], "sin", chip, x, "f64")
    np.testing.assert_allclose(got, np.sin(x), rtol=0, atol=2.0**-52)
