"""Arguments that calls of CPU kernels update, in programs written as IR."""

from __future__ import annotations

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.errors import CompileError

X, Y = np.arange(9.0, dtype=np.float32).reshape(3, 3), np.arange(9.0, 0, -1, dtype=np.float32).reshape(3, 3)

PROGRAMS = {
    "the old value is a result": (
        """
        func.func @f(%x: tensor<3x3xf32> {attn.in_place = 0 : i64}, %y: tensor<3x3xf32>)
            -> (tensor<3x3xf32>, tensor<3x3xf32>) {
          %n = arith.addf %x, %y : tensor<3x3xf32>
          return %n, %x : tensor<3x3xf32>, tensor<3x3xf32>
        }""",
        (X + Y, Y),
        X,
    ),
    "elements change places": (
        """
        func.func @f(%x: tensor<3x3xf32> {attn.in_place = 0 : i64}, %y: tensor<3x3xf32>) -> tensor<3x3xf32> {
          %e = tensor.empty() : tensor<3x3xf32>
          %n = linalg.transpose ins(%x : tensor<3x3xf32>) outs(%e : tensor<3x3xf32>) permutation = [1, 0]
          return %n : tensor<3x3xf32>
        }""",
        (X.T, Y),
        None,
    ),
    "two arguments change places": (
        """
        func.func @f(%x: tensor<3x3xf32> {attn.in_place = 1 : i64},
                     %y: tensor<3x3xf32> {attn.in_place = 0 : i64}) -> (tensor<3x3xf32>, tensor<3x3xf32>) {
          return %x, %y : tensor<3x3xf32>, tensor<3x3xf32>
        }""",
        (Y, X),
        None,
    ),
    "the old value is read after a branch": (
        """
        func.func @f(%x: tensor<3x3xf32> {attn.in_place = 0 : i64}, %y: tensor<3x3xf32>)
            -> (tensor<3x3xf32>, tensor<3x3xf32>) {
          %c = arith.constant 0 : index
          %first = tensor.extract %y[%c, %c] : tensor<3x3xf32>
          %zero = arith.constant 0.0 : f32
          %is_positive = arith.cmpf ogt, %first, %zero : f32
          %n = scf.if %is_positive -> tensor<3x3xf32> {
            %twice = arith.addf %y, %y : tensor<3x3xf32>
            scf.yield %twice : tensor<3x3xf32>
          } else {
            %square = arith.mulf %y, %y : tensor<3x3xf32>
            scf.yield %square : tensor<3x3xf32>
          }
          %m = arith.mulf %x, %y : tensor<3x3xf32>
          return %n, %m : tensor<3x3xf32>, tensor<3x3xf32>
        }""",
        (Y + Y, Y),
        X * Y,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("opt_level", [0, 3])
def test_nothing_reads_an_argument_after_its_update(name, opt_level):
    text, after, result = PROGRAMS[name]
    x, y = X.copy(), Y.copy()
    got = aec.compile(text, opt_level=opt_level)(x, y)
    np.testing.assert_array_equal(x, after[0])
    np.testing.assert_array_equal(y, after[1])
    if result is not None:
        np.testing.assert_array_equal(got, result)


def test_an_argument_is_as_large_as_the_result_that_it_becomes():
    kernel = aec.compile("""
      func.func @f(%x: tensor<?xf32> {attn.in_place = 0 : i64}, %y: tensor<?xf32>) -> tensor<?xf32> {
        %n = arith.negf %y : tensor<?xf32>
        return %n : tensor<?xf32>
      }""")
    x, y = np.zeros(2, np.float32), np.ones(4, np.float32)
    with pytest.raises(ValueError, match=r"expects y.shape\[0\] and x.shape\[0\] to be equal, got 4 and 2"):
        kernel(x, y)
    np.testing.assert_array_equal(x, 0)


@pytest.mark.parametrize("number", ["3 : i64", "-1 : i64", "0 : i32", '"0"', "unit"])
def test_an_argument_is_no_result_that_there_is_not(number):
    text = f"""
      func.func @f(%x: tensor<4xf32> {{attn.in_place = {number}}}) -> tensor<4xf32> {{
        %n = arith.negf %x : tensor<4xf32>
        return %n : tensor<4xf32>
      }}"""
    with pytest.raises(CompileError, match=r"expects 'attn\.in_place' of argument 0 to be the number"):
        aec.compile(text)
