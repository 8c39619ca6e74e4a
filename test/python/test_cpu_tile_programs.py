"""Tile programs written by hand, run as loops over vectors: forms that earlier passes seldom make."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aecompiler.backends.base import Buffer
from aecompiler.backends.cpu import pipelines
from aecompiler.backends.cpu.kernel_cache import CpuArtifact
from aecompiler.backends.cpu.launch import CpuExecutable, JitCode
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline

SELECT = """
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @f(%x: tensor<?x16xf32>, %m: tensor<?x16xi1>) -> tensor<16x16xf32> {
  %e = tensor.empty() : tensor<16x16xf32>
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<16x16xf32>) {
    %s = tensor.extract_slice %x[0, 0] [16, 16] [1, 1] : tensor<?x16xf32> to tensor<16x16xf32>
    %t = tensor.extract_slice %m[0, 0] [16, 16] [1, 1] : tensor<?x16xi1> to tensor<16x16xi1>
    %em = tensor.empty() : tensor<16x16xi1>
    %not = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%t : tensor<16x16xi1>) outs(%em : tensor<16x16xi1>) {
    ^bb0(%c: i1, %b: i1):
      %true = arith.constant true
      %z = arith.xori %c, %true : i1
      linalg.yield %z : i1
    } -> tensor<16x16xi1>
    %first = tensor.extract_slice %not[0, 0] [16, 16] [1, 1] : tensor<16x16xi1> to tensor<16x16xi1>
    %en = tensor.empty() : tensor<16x16xf32>
    %g = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%s, %t, %first : tensor<16x16xf32>, tensor<16x16xi1>, tensor<16x16xi1>)
        outs(%en : tensor<16x16xf32>) {
    ^bb0(%a: f32, %c: i1, %d: i1, %b: f32):
      %two = arith.addf %a, %a : f32
      %y = arith.select %c, %a, %two : f32
      %n = arith.negf %y : f32
      %z = arith.select %d, %n, %y : f32
      linalg.yield %z : f32
    } -> tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %r : tensor<16x16xf32>
}
"""

RESHAPE = """
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @f(%x: tensor<32x16xf32>) -> tensor<16x16xf32> {{
  %e = tensor.empty() : tensor<16x16xf32>
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<16x16xf32>) {{
    %s = tensor.extract_slice %x[0, 0] [32, 16] [1, 1] : tensor<32x16xf32> to tensor<32x16xf32>
    %em = tensor.empty() : tensor<32x16xf32>
    %g = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}}
        ins(%s : tensor<32x16xf32>) outs(%em : tensor<32x16xf32>) {{
    ^bb0(%a: f32, %b: f32):
      %y = arith.addf %a, %a : f32
      linalg.yield %y : f32
    }} -> tensor<32x16xf32>
    %t = tensor.extract_slice %g[{start}, 0] [16, 16] [1, 1] : tensor<32x16xf32> to tensor<16x16xf32>
    %w = tensor.expand_shape %t [[0, 1], [2]] output_shape [4, 4, 16]
        : tensor<16x16xf32> into tensor<4x4x16xf32>
    %v = tensor.collapse_shape %w [[0, 1], [2]] : tensor<4x4x16xf32> into tensor<16x16xf32>
    %en = tensor.empty() : tensor<16x16xf32>
    %h = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}}
        ins(%v : tensor<16x16xf32>) outs(%en : tensor<16x16xf32>) {{
    ^bb0(%a: f32, %b: f32):
      %y = arith.negf %a : f32
      linalg.yield %y : f32
    }} -> tensor<16x16xf32>
    scf.forall.in_parallel {{
      tensor.parallel_insert_slice %h into %o[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }}
  }}
  return %r : tensor<16x16xf32>
}}
"""


def run(text, inputs, outputs, bits=256):
    """Run the function @f of a program, whose tile program has to be vectorized."""
    vectorize = f"cpu-vectorize-tiles{{vector-bits={bits}}}"
    with make_context():
        module = ir.Module.parse(text)
        run_pipeline(module, f"builtin.module(cpu-prepare-functions,{vectorize})")
        assert "f.tile0" in str(module)
        module = ir.Module.parse(text)
        steps = pipelines.lower_tensors(vectorize, vector_bits=bits)
        run_pipeline(module, f"builtin.module({steps})")
        code = io.BytesIO()
        module.operation.write_bytecode(code)
    metadata = {"opt_level": 1, "parallel": False, "runtime": False, "stack": 0, "threads": 1}
    artifact = CpuArtifact(target="cpu", entry="aec.f", binary=code.getvalue(), metadata=metadata, render=str)
    buffers = [
        [Buffer(a.ctypes.data, a.shape, tuple(s // a.itemsize for s in a.strides)) for a in arrays]
        for arrays in (inputs, outputs)
    ]
    CpuExecutable(JitCode(artifact), artifact, 1)(*buffers)


@pytest.mark.parametrize("bits", [128, 256])
def test_tiles_of_truth_values_have_a_byte_for_each(bits):
    random = np.random.default_rng(0)
    x = random.standard_normal((16, 16)).astype(np.float32)
    mask = random.random((16, 16)) < 0.5
    got = np.full_like(x, np.nan)
    run(SELECT, [x, mask], [got], bits)
    np.testing.assert_array_equal(got, np.where(mask, x, -2 * x))


@pytest.mark.parametrize("start", [0, 8])
def test_reshapes_of_a_slice_begin_where_the_slice_does(start):
    x = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float32)
    got = np.full((16, 16), np.nan, np.float32)
    run(RESHAPE.format(start=start), [x], [got])
    np.testing.assert_array_equal(got, -2 * x[start : start + 16])
