"""What stands at one place of a tile, wherever registers, lanes and waves have it: simulated."""

from __future__ import annotations

import numpy as np
import pytest
from amd_lanes import module
from hypothesis import given
from hypothesis import strategies as st

from aecompiler.backends.amd.codegen.compiler import compile_module
from aecompiler.backends.amd.distribute.layouts import dealt_within_waves
from aecompiler.backends.amd.simulator import Program, simulate
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline

TYPES = {"f16": np.float16, "f32": np.float32, "f64": np.float64, "i32": np.int32}
SIZES = st.sampled_from([1, 2, 8, 16, 64, 128, 256])


def read(name: str, rows: int, columns: int, dtype: str) -> str:
    """A tile from memory without gaps."""
    tile = f"vector<{rows}x{columns}x"
    zero = "0" if dtype == "i32" else "0.0"
    return f"""
    %step{name} = arith.constant dense<{columns}> : vector<{rows}xindex>
    %i{name} = vector.step : vector<{rows}xindex>
    %j{name} = vector.step : vector<{columns}xindex>
    %starts{name} = arith.muli %i{name}, %step{name} : vector<{rows}xindex>
    %first{name} = vector.shape_cast %starts{name} : vector<{rows}xindex> to vector<{rows}x1xindex>
    %at{name} = vector.broadcast %first{name} : vector<{rows}x1xindex> to {tile}index>
    %along{name} = vector.broadcast %j{name} : vector<{columns}xindex> to {tile}index>
    %places{name} = arith.addi %at{name}, %along{name} : {tile}index>
    %all{name} = arith.constant dense<true> : {tile}i1>
    %zeros{name} = arith.constant dense<{zero}> : {tile}{dtype}>
    %{name} = vector.gather %m{name}[%c0] [%places{name}], %all{name}, %zeros{name}
      : memref<?x{dtype}>, {tile}index>, {tile}i1>, {tile}{dtype}> into {tile}{dtype}>"""


def kernel(tile: str, rows: int, columns: int, dim: int, dtype: str) -> str:
    """A kernel that stores what stands at each place along a dimension of the tile %x."""
    size, left = (rows, columns) if dim == 0 else (columns, rows)
    add = "0" if dtype == "i32" else "-0.0"
    spread = f"vector<{rows}x1xi1>" if dim == 0 else f"vector<1x{columns}xi1>"
    return module(f"""
  gpu.func @places(%mx: memref<?x{dtype}>, %ma: memref<?xf16>, %mb: memref<?xf16>, %o: memref<?x{dtype}>)
      kernel attributes {{amd.divisibility = array<i64: 16, 16, 16, 16>}} {{
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %size = arith.constant {size} : index
    %left = arith.constant {left} : index
    %start = arith.constant dense<{add}> : vector<{left}x{dtype}>
    %nothing = arith.constant dense<{add.strip("-")}> : vector<{rows}x{columns}x{dtype}>
    %some = arith.constant dense<true> : vector<{left}xi1>
    %n0 = vector.step : vector<{left}xindex>
    %n = arith.index_cast %n0 : vector<{left}xindex> to vector<{left}xi32>
    %k0 = vector.step : vector<{size}xindex>
    %k = arith.index_cast %k0 : vector<{size}xindex> to vector<{size}xi32>
    {tile}
    scf.for %t = %c0 to %size step %c1 {{
      %t32 = arith.index_cast %t : index to i32
      %ts = vector.broadcast %t32 : i32 to vector<{size}xi32>
      %here = arith.cmpi eq, %k, %ts : vector<{size}xi32>
      %here1 = vector.shape_cast %here : vector<{size}xi1> to {spread}
      %heres = vector.broadcast %here1 : {spread} to vector<{rows}x{columns}xi1>
      %chosen = arith.select %heres, %x, %nothing
        : vector<{rows}x{columns}xi1>, vector<{rows}x{columns}x{dtype}>
      %found = vector.multi_reduction <add>, %chosen, %start [{dim}]
        : vector<{rows}x{columns}x{dtype}> to vector<{left}x{dtype}>
      %at = arith.muli %t, %left : index
      vector.scatter %o[%at] [%n], %some, %found
        : memref<?x{dtype}>, vector<{left}xi32>, vector<{left}xi1>, vector<{left}x{dtype}>
    }}
    gpu.return
  }}""")


def run(text: str, waves: int, *inputs: np.ndarray, chip: str = "gfx942") -> tuple[np.ndarray, str]:
    """What a kernel of `kernel` stores, and its assembly."""
    pytest.importorskip("triton")
    passes = (
        f"amd-extract-elements,canonicalize,cse,amd-distribute-tiles{{chip={chip} waves={waves}}},"
        "canonicalize,cse,loop-invariant-code-motion,amd-place-barriers"
    )
    with make_context():
        made = ir.Module.parse(text)
        run_pipeline(made, f"builtin.module({passes})")
        found = compile_module(made, chip, waves=waves)["places"]
    result = np.zeros(inputs[0].size, inputs[0].dtype)
    arrays = [*inputs, result]
    sizes = [each.nbytes for each in arrays]
    program = Program.parse(found.assembly, "places", chip)
    simulate(program, [*arrays, *sizes], 1, 64 * waves, found.resources.lds_bytes)
    return result, found.assembly


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "rows", "columns", "waves"),
    [
        ("f32", 16, 64, 1),
        ("f32", 64, 32, 4),
        ("f16", 64, 64, 4),
        ("f64", 16, 16, 2),
        ("i32", 8, 16, 4),
        ("f32", 1, 128, 2),
    ],
)
def test_places_of_a_tile_from_memory(dtype, rows, columns, waves, dim):
    x = np.random.default_rng(0).standard_normal((rows, columns)) * 100
    x = x.astype(TYPES[dtype])
    x[0, 0], x[-1, -1] = (0, 1) if dtype == "i32" else (-0.0, np.inf)
    half = np.zeros(1, np.float16)
    result, assembly = run(
        kernel(read("x", rows, columns, dtype), rows, columns, dim, dtype), waves, x, half, half
    )
    expected = x if dim == 0 else x.T
    np.testing.assert_array_equal(result.reshape(expected.shape), expected)
    if x.shape[dim] > 1:
        assert not np.signbit(result[0]), "a sum of zeros and -0.0 is 0.0"
    assert "ds_swizzle" not in assembly
    assert "v_cmp_eq" not in assembly


@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize(("rows", "waves"), [(64, 4), (16, 4), (32, 4)])
@pytest.mark.parametrize("dim", [0, 1])
def test_places_of_a_product(rows, waves, dim, chip):
    """Waves have rows of it, and columns where rows are few: what another wave has comes through LDS."""
    draw = np.random.default_rng(1)
    a = draw.integers(-8, 8, (rows, 32)).astype(np.float16)
    b = draw.integers(-8, 8, (32, 64)).astype(np.float16)
    tile = f"""{read("a", rows, 32, "f16")}{read("b", 32, 64, "f16")}
    %zero = arith.constant dense<0.0> : vector<{rows}x64xf32>
    %x = vector.contract {{
        indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
          affine_map<(m, n, k) -> (m, n)>],
        iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}} %a, %b, %zero
      : vector<{rows}x32xf16>, vector<32x64xf16> into vector<{rows}x64xf32>"""
    unused = np.zeros((rows, 64), np.float32)
    result, _ = run(kernel(tile, rows, 64, dim, "f32"), waves, unused, a, b, chip=chip)
    expected = a.astype(np.float32) @ b.astype(np.float32)
    expected = expected if dim == 0 else expected.T
    np.testing.assert_array_equal(result.reshape(expected.shape), expected)


@given(rows=SIZES, columns=SIZES, waves=st.integers(0, 4), run=st.sampled_from([1, 4]))
def test_places_are_never_spread_over_waves(rows, columns, waves, run):
    first = [(1, bit) for bit in range(min(run, columns).bit_length() - 1)]
    layout = dealt_within_waves((rows, columns), first, waves, 1)
    assert not any(place is not None and place[0] == 0 for place in layout.waves)
    assert len(layout.waves) == waves
