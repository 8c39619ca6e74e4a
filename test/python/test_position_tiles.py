"""Regions of chunked forms with operations of every kind, evaluated on the positions of a chunk."""

import numpy as np
import pytest
import tiled_backend  # noqa: F401  registers the target
from cpu_numerics import assert_close, random

import aecompiler as aec

HEAD = """func.func @f(%q: tensor<?x2x?x4xf32> {attn.dims = ["B", "", "T", ""]},
    %k: tensor<?x2x?x4xf32> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x2x?x6xf32>,
    %initial: tensor<?x2x4x6xf32>, %x: tensor<?x4xf32> {attn.dims = ["T", ""]}, %y: tensor<?x6xf32>,
    %n: tensor<?xi32>) -> (tensor<?x2x?x6xf32>, tensor<?x2x4x6xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
"""
TAIL = """
  }) {chunk = 8 : i64, reads = "after", exponents = "any"}
    : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x6xf32>, tensor<?x2x4x6xf32>)
    -> (tensor<?x2x?x6xf32>, tensor<?x2x4x6xf32>)
  return %o, %final : tensor<?x2x?x6xf32>, tensor<?x2x4x6xf32>
}
"""

REGIONS = {
    "reduction and splat": """
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<f32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
      %sum = linalg.dot ins(%kt, %qt : tensor<4xf32>, tensor<4xf32>) outs(%init : tensor<f32>) -> tensor<f32>
      %s = tensor.extract %sum[] : tensor<f32>
      %e = math.tanh %s : f32
      %all = tensor.splat %e : tensor<4xf32>
      %key = arith.addf %all, %kt : tensor<4xf32>
      YIELD(%qt, %key, %vt)
    """,
    "product with a matrix": """
      %zero = arith.constant dense<0.1> : tensor<6xf32>
      %m = arith.constant dense<0.5> : tensor<4x6xf32>
      %w = linalg.vecmat ins(%qt, %m : tensor<4xf32>, tensor<4x6xf32>) outs(%zero : tensor<6xf32>)
          -> tensor<6xf32>
      %value = arith.mulf %w, %vt : tensor<6xf32>
      YIELD(%qt, %kt, %value)
    """,
    "parts put together": """
      %a = tensor.extract_slice %kt[0] [2] [1] : tensor<4xf32> to tensor<2xf32>
      %c = tensor.extract_slice %qt[1] [2] [2] : tensor<4xf32> to tensor<2xf32>
      %key = tensor.concat dim(0) %a, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
      %query = tensor.insert_slice %c into %qt[%t] [2] [1] : tensor<2xf32> into tensor<4xf32>
      YIELD(%query, %key, %vt)
    """,
    "elements at a place of the position": """
      %two = arith.constant 2 : index
      %at = arith.remui %t, %two : index
      %s = tensor.extract %qt[%at] : tensor<4xf32>
      %i = arith.index_cast %t : index to i32
      %f = arith.sitofp %i : i32 to f32
      %one = arith.constant 1.0 : f32
      %d = arith.addf %f, %one : f32
      %r = arith.divf %s, %d : f32
      %key = tensor.from_elements %s, %r, %r, %s : tensor<4xf32>
      YIELD(%qt, %key, %vt)
    """,
    "choices": """
      %three = arith.constant 3 : index
      %early = arith.cmpi slt, %t, %three : index
      %key = arith.select %early, %qt, %kt : tensor<4xf32>
      %positive = arith.cmpf ogt, %kt, %qt : tensor<4xf32>
      %query = arith.select %positive, %kt, %qt : tensor<4xi1>, tensor<4xf32>
      YIELD(%query, %key, %vt)
    """,
    "reads of other positions": """
      %one = arith.constant 1 : index
      %before = arith.subi %t, %one : index
      %row = tensor.extract_slice %x[%before, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<4xf32>
      %key = arith.addf %row, %kt : tensor<4xf32>
      %index = tensor.extract %n[%t] : tensor<?xi32>
      %place = arith.index_cast %index : i32 to index
      %column = tensor.extract_slice %y[%place, 0] [1, 6] [1, 1] : tensor<?x6xf32> to tensor<6xf32>
      %value = arith.mulf %column, %vt : tensor<6xf32>
      YIELD(%qt, %key, %value)
    """,
    "a sum of values": """
      %empty = tensor.empty() : tensor<6xf32>
      %value = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]} ins(%vt : tensor<6xf32>) outs(%empty : tensor<6xf32>) {
      ^bb0(%in: f32, %out: f32):
        %j = linalg.index 0 : index
        %y0 = tensor.extract %y[%t, %j] : tensor<?x6xf32>
        %new = arith.addf %in, %y0 : f32
        linalg.yield %new : f32
      } -> tensor<6xf32>
      YIELD(%qt, %kt, %value)
    """,
    "reshapes": """
      %square = tensor.expand_shape %kt [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
      %empty = tensor.empty() : tensor<2x2xf32>
      %turned = linalg.transpose ins(%square : tensor<2x2xf32>) outs(%empty : tensor<2x2xf32>)
          permutation = [1, 0]
      %key = tensor.collapse_shape %turned [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
      YIELD(%qt, %key, %vt)
    """,
    "a decay of the position": """
      %i = arith.index_cast %t : index to i32
      %f = arith.sitofp %i : i32 to f32
      %tenth = arith.constant -0.1 : f32
      %g = arith.mulf %f, %tenth : f32
      "attn.position_yield"(%qt, %kt, %vt, %g)
        {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
        : (tensor<4xf32>, tensor<4xf32>, tensor<6xf32>, f32) -> ()
    """,
    "values that are the same everywhere": """
      %key = arith.constant dense<0.5> : tensor<4xf32>
      %value = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : tensor<6xf32>
      YIELD(%qt, %key, %value)
    """,
}


def text_of(region):
    body = REGIONS[region]
    if "YIELD(" in body:
        body, _, operands = body.partition("YIELD(")
        body += f""""attn.position_yield"({operands.strip()[:-1]})
        {{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>}}
        : (tensor<4xf32>, tensor<4xf32>, tensor<6xf32>) -> ()"""
    return HEAD + body + TAIL


@pytest.mark.parametrize("options", ["", "value-block=4", "value-lanes=4"])
@pytest.mark.parametrize("region", REGIONS)
def test_region_on_tiles(region, options):
    kernel = aec.compile(text_of(region), target="tiled", chunked=options)
    for length in (1, 8, 21):
        arrays = [
            *(random(2, 2, length, size, seed=n) for n, size in enumerate((4, 4, 6))),
            *(random(2, 2, 4, 6), random(length, 4), random(length, 6)),
            np.arange(length, dtype=np.int32)[::-1] * 3 - 2,
        ]
        for got, want in zip(kernel(*arrays), kernel.evaluate_reference(*arrays), strict=True):
            assert_close(got, want, 1e-5)


@pytest.mark.parametrize("region", REGIONS)
def test_region_on_the_default_road(region):
    kernel = aec.compile(text_of(region))
    arrays = [
        *(random(2, 2, 37, size, seed=n) for n, size in enumerate((4, 4, 6))),
        *(random(2, 2, 4, 6), random(37, 4), random(37, 6)),
        np.arange(37, dtype=np.int32)[::-1] * 3 - 2,
    ]
    for got, want in zip(kernel(*arrays), kernel.evaluate_reference(*arrays), strict=True):
        assert_close(got, want, 1e-5)
