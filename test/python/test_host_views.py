"""Views of tensors between kernels: what plans say of them, and what host programs make of them."""

from __future__ import annotations

import numpy as np
import pytest
from test_host_plan import plan_of, refused

from aecompiler.backends.gpu.host_program import make_program

torch = pytest.importorskip("torch")


def empty(sizes, dtype):
    assert dtype == "f32"
    return torch.empty(sizes)


def results_of(body, arguments, types, results=None):
    """What a function of arguments %x and %n returns, copied into memory of its own."""
    text = f"func.func @f({types[0]}) -> {types[1]} {{\n{body}\n  return %r : {types[1]}\n}}"
    program = make_program(plan_of(text))
    return program([], 0, empty, arguments, results or [None])[0]


def of(shape):
    return torch.arange(float(np.prod(shape))).reshape(shape)


SLICE = """
  %r = tensor.extract_slice %x[%n, 1, 0] [2, 1, 3] [1, 1, 2] : tensor<?x4x6xf32> to tensor<2x3xf32>"""

VIEWS = {
    "slice": (
        SLICE,
        "%x: tensor<?x4x6xf32>, %n: index",
        "tensor<2x3xf32>",
        (5, 4, 6),
        lambda x: x[2:4, 1, ::2],
    ),
    "slice of size 0": (
        "  %r = tensor.extract_slice %x[%n] [%n] [1] : tensor<?xf32> to tensor<?xf32>",
        "%x: tensor<?xf32>, %n: index",
        "tensor<?xf32>",
        (3,),
        lambda x: x[2:2],
    ),
    "transpose": (
        """
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x4x6xf32>
  %e = tensor.empty(%m) : tensor<6x?x4xf32>
  %r = linalg.transpose ins(%x : tensor<?x4x6xf32>) outs(%e : tensor<6x?x4xf32>) permutation = [2, 0, 1]""",
        "%x: tensor<?x4x6xf32>, %n: index",
        "tensor<6x?x4xf32>",
        (5, 4, 6),
        lambda x: x.permute(2, 0, 1),
    ),
    "broadcast": (
        """
  %e = tensor.empty(%n) : tensor<4x?x6xf32>
  %r = linalg.broadcast ins(%x : tensor<4x6xf32>) outs(%e : tensor<4x?x6xf32>) dimensions = [1]""",
        "%x: tensor<4x6xf32>, %n: index",
        "tensor<4x?x6xf32>",
        (4, 6),
        lambda x: x[:, None].expand(4, 2, 6),
    ),
    "expand_shape": (
        """
  %r = tensor.expand_shape %x [[0, 1], [2]] output_shape [%n, 3, 2]
    : tensor<?x2xf32> into tensor<?x3x2xf32>""",
        "%x: tensor<?x2xf32>, %n: index",
        "tensor<?x3x2xf32>",
        (6, 2),
        lambda x: x.reshape(2, 3, 2),
    ),
    "collapse_shape": (
        "  %r = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x3x2xf32> into tensor<?x2xf32>",
        "%x: tensor<?x3x2xf32>, %n: index",
        "tensor<?x2xf32>",
        (2, 3, 2),
        lambda x: x.reshape(6, 2),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("order", ["as it is", "reversed"])
def test_views_are_those_of_torch(name, order):
    """Also of memory whose dimensions stand in another order; %n is 2, or 0 for a slice without elements."""
    body, arguments, result, shape, view = VIEWS[name]
    x = of(shape)
    if order == "reversed":
        x = of(shape[::-1]).permute(*reversed(range(len(shape))))
    number = 2
    if name == "slice of size 0":
        body, number = body.replace("[%n] [%n]", "[2] [%n]"), 0
    got = results_of(body, [x, number], (arguments, result))
    assert torch.equal(got, view(x))
    assert got.data_ptr() != x.data_ptr() or not got.numel(), "a result has memory of its own"
    given = torch.empty(view(x).shape)
    assert results_of(body, [x, number], (arguments, result), [given]) is given
    assert torch.equal(given, view(x))


def test_a_choice_of_tensors_copies_none():
    body = "  %r = arith.select %n, %x, %y : tensor<?xf32>"
    x, y = of((3,)), of((5,)) + 9
    for condition, want in ((True, x), (False, y)):
        got = results_of(
            body, [x, y, condition], ("%x: tensor<?xf32>, %y: tensor<?xf32>, %n: i1", "tensor<?xf32>")
        )
        assert torch.equal(got, want)


def test_slices_with_other_steps_are_refused():
    text = """
func.func @f(%x: tensor<8xf32>, %n: index) -> tensor<2xf32> {
  %r = tensor.extract_slice %x[1] [2] [%n] : tensor<8xf32> to tensor<2xf32>
  return %r : tensor<2xf32>
}"""
    rule = "unsupported: a slice with steps that are not known to be positive"
    assert refused(text) == f"'tensor.extract_slice' op {rule}"
