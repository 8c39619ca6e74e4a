"""Programs and arguments of the tests of kernels, and how a refusal is checked."""

import re

import numpy as np
import pytest
from ir_programs import WEIGHTS, attention

import aecompiler as aec

NAMED = """
func.func @named(
    %x: tensor<?x?x4xf32> {attn.name = "left", attn.dims = ["B", "S", ""]},
    %y: tensor<?x?x4xf32> {attn.name = "right", attn.dims = ["B", "S", ""]},
    %n: index {attn.name = "count"}, %f: f32)
    -> (tensor<?x?x4xf32> {attn.name = "total"}) {
  %s = arith.addf %x, %y : tensor<?x?x4xf32>
  return %s : tensor<?x?x4xf32>
}"""
SHAPES = {"q": "?x2x?x4", "k": "?x2x?x4", "v": "?x2x?x3"}


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def qkv(sq=5, skv=7, b=1):
    return [random(b, 2, sq, 4), random(b, 2, skv, 4, seed=1), random(b, 2, skv, 3, seed=2)]


def softmax_kernel():
    """Softmax attention of two heads, features 4 and 3, f32."""
    return aec.compile(attention(**SHAPES, element="f32", normalize=WEIGHTS), opt_level=0)


def refuses(exception, message, kernel, *args, **kwargs):
    with pytest.raises(exception, match=f"^{re.escape(message)}$"):
        kernel(*args, **kwargs)
