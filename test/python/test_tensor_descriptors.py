"""Descriptors of tensors in kernels: boxes that are cut at the ends of a tensor."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tensor_descriptors
import triton_interpreter
import warp_interpreter

from aecompiler.bindings import ir
from aecompiler.dialect import make_context


def describe(array, *, writable=False):
    return tensor_descriptors.describe(array, triton_interpreter.pointers_to(array, writable=writable))


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, 2, 1), (0, -2, 0), (-1, 0, 0), (0, 4, -9), (1, 3, 2)])
@pytest.mark.parametrize("layout", ["whole", "turned", "backwards"])
def test_elements_outside_are_zero(corner, layout):
    array = np.arange(1.0, 61).reshape(3, 5, 4)
    array = {"whole": array, "turned": array.transpose(2, 0, 1), "backwards": array[::-1, ::-1]}[layout]
    wide = np.pad(array, 9)
    box = (2, 3, 4)
    want = wide[tuple(slice(low + 9, low + 9 + size) for low, size in zip(corner, box, strict=True))]
    np.testing.assert_array_equal(describe(array).load(corner, box), want)


def test_nothing_outside_is_written():
    array = np.zeros((3, 5))
    whole = describe(array, writable=True)
    whole.store((2, -1), (2, 3), np.arange(1.0, 7).reshape(2, 3))
    want = np.zeros((3, 5))
    want[2, :2] = [2, 3]
    np.testing.assert_array_equal(array, want)
    with pytest.raises(AssertionError, match="a second write to an element"):
        whole.store((2, 1), (1, 1), np.ones((1, 1)))


def test_an_input_is_not_written():
    with pytest.raises(AssertionError, match="a write to an input"):
        describe(np.zeros((3, 5))).store((0, 0), (1, 1), np.ones((1, 1)))


def test_a_box_has_the_rank_of_the_tensor():
    with pytest.raises(AssertionError, match="a box of 2 dimensions at 2 positions of a tensor of 3"):
        describe(np.zeros((3, 5, 2))).load((0, 0), (1, 1))


def test_a_tensor_without_elements_is_zero():
    assert (describe(np.zeros((0, 4))).load((0, 0), (2, 4)) == 0).all()


@pytest.mark.parametrize(
    ("text", "box", "element"),
    [
        ("!tt.tensordesc<tensor<1x1x128x64xbf16>>", (1, 1, 128, 64), "bf16"),
        ("!tt.tensordesc<tensor<64x8xf16, #ttg.nvmma_shared<{transposed = false}>>>", (64, 8), "f16"),
        ("!tt.tensordesc<1x32xbf16, #ttg.nvmma_shared<{transposed = false}>>", (1, 32), "bf16"),
    ],
)
def test_a_type_says_the_box(text, box, element):
    with make_context(allow_unregistered_dialects=True):
        type_ = ir.Type.parse(text)
        assert tensor_descriptors.box_of(type_) == box
        assert tensor_descriptors.element_of(type_) == element


COPY = """
func.func @f(%x: tensor<?x3x?x16xbf16>, %b: index, %n: index) -> tensor<?x3x?x16xbf16> {
  %one = arith.constant 1 : index
  %new = tensor.empty(%b, %n) : tensor<?x3x?x16xbf16>
  %o = "tt_host.launch"(%b, %one, %one, %one, %x, %new)
    {kernel = @k, outputs = array<i64: 2>, descriptors = array<i64: 2, 1>}
    : (index, index, index, index, tensor<?x3x?x16xbf16>, tensor<?x3x?x16xbf16>) -> tensor<?x3x?x16xbf16>
  return %o : tensor<?x3x?x16xbf16>
}
"tt.func"() ({
^bb0(%h: i32, %x: !tt.ptr<bf16>, %x0: i64, %x1: i64, %x2: i64,
     %o: !tt.ptr<bf16>, %o0: i64, %o1: i64, %o2: i64,
     %to: !tt.tensordesc<tensor<1x1x8x16xbf16>>, %from: !tt.tensordesc<tensor<1x1x8x16xbf16>>):
  %b = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %zero = arith.constant 0 : i32
  %two = arith.constant 2 : i32
  %tile = "tt.descriptor_load"(%from, %b, %h, %two, %zero) {cache = 1 : i32, evict = 1 : i32}
    : (!tt.tensordesc<tensor<1x1x8x16xbf16>>, i32, i32, i32, i32) -> tensor<8x16xbf16>
  "tt.descriptor_store"(%to, %tile, %b, %h, %zero, %zero)
    : (!tt.tensordesc<tensor<1x1x8x16xbf16>>, tensor<8x16xbf16>, i32, i32, i32, i32) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "k"} : () -> ()
"""


@pytest.mark.parametrize("run", [triton_interpreter.run, warp_interpreter.run])
@pytest.mark.parametrize("rows", [4, 8, 20])
def test_a_kernel_copies_by_descriptors(run, rows):
    x = np.random.default_rng(0).normal(size=(2, rows, 3, 16)).astype(ml_dtypes.bfloat16).swapaxes(1, 2)
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(COPY)
    (got,) = run(module, "f", [x, 2, 9])
    want = np.full((2, 3, 9, 16), 77, x.dtype)
    want[:, 1, :8] = np.pad(x[:, 1, 2:10], ((0, 0), (0, max(0, 10 - rows)), (0, 0)))
    np.testing.assert_array_equal(got, want)
