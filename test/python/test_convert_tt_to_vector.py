"""The pass `convert-tt-to-vector`: kernels on vectors, run on numpy, agree with the reference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from example_files import FOLDER, load
from tt_vectors import VectorProgram
from vector_interpreter import kernels_of

from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline
from aecompiler.passes.rewriting import walk_list
from aecompiler.reference.evaluate import evaluate
from aecompiler.signature import arguments_of, functions_of, inlined
from aecompiler.tools.tolerances import default_tolerance

NAMES = sorted(path.stem for path in (FOLDER / "mlir").glob("*.mlir"))
UPSTREAM = ("arith.", "gpu.", "math.", "memref.", "scf.", "ub.", "vector.")

ODD = {"B": 2, "S": 37, "Sq": 5, "Skv": 37, "T": 37, "Blocks": 5, "Bounds": 5}
ONE = {"B": 1, "S": 1, "Sq": 1, "Skv": 1, "T": 1, "Blocks": 1, "Bounds": 2}
BEYOND_TILES = {"B": 1, "S": 65, "Sq": 17, "Skv": 65, "T": 65, "Blocks": 9, "Bounds": 3}
NOTHING = {"B": 2, "S": 0, "Sq": 0, "Skv": 0, "T": 0, "Blocks": 0, "Bounds": 1}
SMALL_TILES = "block-q=16 block-kv=16 chunk=16 diagonal-chunk=16"
PARTS = (
    "block-kv=32 retry-block-kv=16 packed-rows=32 split-programs=3 split-features=true fuse-operands=false"
)


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest error of a result, relative to its largest magnitude; infinite if one alone is finite."""
    got, finite = np.asarray(got, np.float64), np.isfinite(expected)
    assert got.shape == expected.shape
    if (np.isfinite(got) != finite).any():
        return np.inf
    error = np.abs(got[finite] - expected[finite]).max(initial=0.0)
    return float(error / max(np.abs(expected[finite]).max(initial=0.0), 1e-30))


def check(
    name: str,
    sizes: dict[str, int],
    options: str = "",
    infinite: float = 0.0,
    then: str = "",
    **build: Any,
) -> None:
    """Run an example on vectors and compare it with the reference.

    `infinite` is the part of what q, k and v hold that is made infinite or NaN; passes `then` follow.
    """
    example = load(name)
    text = str(example.build(**build))
    with make_context(allow_unregistered_dialects=True):
        module, function = inlined(text.encode(), name)
        arguments = arguments_of(function, None)
        inputs = getattr(example, "inputs", {})
        values = [*load("demo").draw(SimpleNamespace(arguments=arguments), inputs, sizes).values()]
        if name == "block_sparse_decode":  # all blocks that are drawn may be left out
            values[3] = np.arange(values[3].size).reshape(values[3].shape) % 3 != 1
        rng = np.random.default_rng(1)
        for value in values[:3] if infinite else ():
            value[rng.random(value.shape) < infinite] = rng.choice([np.inf, -np.inf, np.nan])
        expected = evaluate(function, values)
        results = VectorProgram(module, name, options, then)(values)
    for result, right in zip(results, expected, strict=True):
        assert difference(result, right) <= default_tolerance(arguments)


@pytest.mark.parametrize("name", NAMES)
def test_mlir_examples_are_upstream_operations_on_vectors(name: str) -> None:
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse((FOLDER / "mlir" / f"{name}.mlir").read_text())
        run_pipeline(
            module, "builtin.module(attn-tt{library=ocml approximate-reciprocals=false},canonicalize,cse)"
        )
        (host,) = (op for key, op in functions_of(module).items() if key == name)
        before = str(host)
        kernels = [each.attributes["sym_name"] for each in walk_list(module.operation, "tt.func")]
        run_pipeline(module, "builtin.module(convert-tt-to-vector)")
        assert str(functions_of(module)[name]) == before
        made = walk_list(module.operation, "gpu.func")
        assert [each.attributes["sym_name"] for each in made] == kernels
        assert all(op.name.startswith(UPSTREAM) for kernel in made for op in walk_list(kernel))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        (ODD, ""),
        (NOTHING, ""),
        (BEYOND_TILES, SMALL_TILES),
        (ONE, SMALL_TILES),
        (ODD, PARTS),
        (ODD, "chunk=1"),
    ],
    ids=["odd", "nothing", "beyond_tiles", "one", "parts", "steps"],
)
def test_vectors_agree_with_reference(name: str, sizes: dict[str, int], options: str) -> None:
    check(name, sizes, options)


@pytest.mark.parametrize("options", ["", SMALL_TILES, PARTS])
@pytest.mark.parametrize("name", ["softmax", "softcap", "sinks", "document"])
def test_values_that_are_not_finite_stay_where_they_are(name: str, options: str) -> None:
    check(name, ODD, options, infinite=0.004)


@pytest.mark.parametrize("name", NAMES)
def test_passes_on_vectors_leave_results_as_they_are(name: str) -> None:
    passes = (
        "amd-merge-bounds,canonicalize,cse,amd-relax-maxima,amd-vote-nans,amd-extract-elements,"
        "amd-prefetch-tiles"
    )
    check(name, ODD, SMALL_TILES, then=f"{passes},canonicalize,cse")


@pytest.mark.parametrize("infinite", [0.001, 0.02])
@pytest.mark.parametrize("name", ["softmax", "softcap", "sinks", "sliding_window", "off_by_one", "alibi"])
def test_other_maxima_leave_results_as_they_are(name: str, infinite: float) -> None:
    passes = "amd-relax-maxima,amd-vote-nans,amd-extract-elements,amd-prefetch-tiles"
    check(name, ODD, "block-kv=16", infinite=infinite, then=passes)


@pytest.mark.parametrize("name", ["softmax", "sinks", "sliding_window", "off_by_one", "alibi"])
def test_maxima_of_softmax_are_relaxed(name: str) -> None:
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse((FOLDER / "mlir" / f"{name}.mlir").read_text())
        passes = (
            "attn-tt{library=ocml},canonicalize,cse,convert-tt-to-vector,canonicalize,cse,amd-relax-maxima"
        )
        run_pipeline(module, f"builtin.module({passes})")
        assert walk_list(module.operation, "arith.maxnumf")


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_16_bits_agree_with_reference(name: str, dtype: str) -> None:
    check(name, ODD, dtype=dtype)


@pytest.mark.parametrize("name", ["softmax", "mamba2", "sigmoid"])
def test_vectors_of_64_bits_agree_with_reference(name: str) -> None:
    check(name, ODD, dtype="f64")


def run_kernel(body: str, parameters: str, grid: int, *arguments: Any) -> None:
    """Run a kernel of a `tt.func` on arrays and numbers."""
    text = f"""
"tt.func"() ({{
^bb0({parameters}):
  %steps = "tt.make_range"() {{start = 0 : i32, end = 8 : i32}} : () -> tensor<8xi32>
  {body}
  "tt.return"() : () -> ()
}}) {{sym_name = "f"}} : () -> ()
"""
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(text)
        run_pipeline(module, "builtin.module(convert-tt-to-vector,canonicalize,cse)")
        kernels_of(module)["f"](grid, *arguments)


POINTERS = """
  %xs = "tt.splat"(%x) : (!tt.ptr<f32>) -> tensor<8x!tt.ptr<f32>>
  %ys = "tt.splat"(%y) : (!tt.ptr<f32>) -> tensor<8x!tt.ptr<f32>>
  %px = "tt.addptr"(%xs, %steps) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %py = "tt.addptr"(%ys, %steps) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %v = "tt.load"(%px) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<8x!tt.ptr<f32>>) -> tensor<8xf32>
"""
STORE = '"tt.store"(%py, %r) : (tensor<8x!tt.ptr<f32>>, tensor<8xf32>) -> ()'


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_goes_from_either_end(reverse: bool) -> None:
    x, y = np.arange(1, 9, dtype=np.float32), np.zeros(8, np.float32)
    scan = f"""
  %r = "tt.scan"(%v) ({{
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %b : f32
    "tt.scan.return"(%c) : (f32) -> ()
  }}) {{axis = 0 : i32, reverse = {str(reverse).lower()}}} : (tensor<8xf32>) -> tensor<8xf32>
"""
    run_kernel(POINTERS + scan + STORE, "%x: !tt.ptr<f32>, %y: !tt.ptr<f32>", 1, x, y)
    np.testing.assert_array_equal(y, np.cumsum(x[::-1])[::-1] if reverse else np.cumsum(x))


def test_gather_at_unknown_places_keeps_every_bit() -> None:
    x = np.array([-0.0, 0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0], np.float32)
    y, places = np.zeros(8, np.float32), np.array([4, 0, 0, 3, 2, 7, 1, 6], np.int32)
    gather = """
  %zs = "tt.splat"(%z) : (!tt.ptr<i32>) -> tensor<8x!tt.ptr<i32>>
  %pz = "tt.addptr"(%zs, %steps) : (tensor<8x!tt.ptr<i32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<i32>>
  %p = "tt.load"(%pz) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<8x!tt.ptr<i32>>) -> tensor<8xi32>
  %r = "tt.gather"(%v, %p) {axis = 0 : i32} : (tensor<8xf32>, tensor<8xi32>) -> tensor<8xf32>
"""
    parameters = "%x: !tt.ptr<f32>, %y: !tt.ptr<f32>, %z: !tt.ptr<i32>"
    run_kernel(POINTERS + gather + STORE, parameters, 1, x, y, places)
    np.testing.assert_array_equal(y, x[places])
    np.testing.assert_array_equal(np.signbit(y[1:]), np.signbit(x[places[1:]]))


def test_sum_of_zeros_keeps_their_sign() -> None:
    x, y = np.full(8, -0.0, np.float32), np.ones(8, np.float32)
    total = """
  %s = "tt.reduce"(%v) ({
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %b : f32
    "tt.reduce.return"(%c) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<8xf32>) -> f32
  %r = "tt.splat"(%s) : (f32) -> tensor<8xf32>
"""
    run_kernel(POINTERS + total + STORE, "%x: !tt.ptr<f32>, %y: !tt.ptr<f32>", 1, x, y)
    assert np.signbit(y).all()


def test_offsets_of_32_bits_may_add_up_to_more() -> None:
    x, y, far = np.arange(8, dtype=np.float32), np.zeros(8, np.float32), 2**31 - 1
    load = '"tt.load"(%last) {operandSegmentSizes = array<i32: 1, 0, 0>}'
    moved = f"""
  %fars = "tt.splat"(%far) : (i32) -> tensor<8xi32>
  %back = arith.subi %fars, %steps : tensor<8xi32>
  %start = "tt.addptr"(%x, %base) : (!tt.ptr<f32>, i64) -> !tt.ptr<f32>
  %starts = "tt.splat"(%start) : (!tt.ptr<f32>) -> tensor<8x!tt.ptr<f32>>
  %once = "tt.addptr"(%starts, %back) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %twice = "tt.addptr"(%once, %back) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %last = "tt.addptr"(%twice, %steps) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %r = {load} : (tensor<8x!tt.ptr<f32>>) -> tensor<8xf32>
"""
    parameters = "%x: !tt.ptr<f32>, %y: !tt.ptr<f32>, %far: i32, %base: i64"
    run_kernel(POINTERS + moved + STORE, parameters, 1, x, y, far, 7 - 2 * far)
    np.testing.assert_array_equal(y, x[::-1])
