"""The interpreter of kernels itself: what is wrong in a kernel must not pass unseen."""

from __future__ import annotations

import numpy as np
import pytest
import triton_interpreter

from aecompiler.bindings import ir
from aecompiler.dialect import make_context

COPY = """
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %programs = arith.constant {programs} : index
  %n = tensor.dim %x, %zero : tensor<?xf32>
  %new = tensor.empty(%n) : tensor<?xf32>
  %o = "tt_host.launch"(%programs, %one, %one, %x, %new, %n) {{kernel = @k, outputs = array<i64: {output}>}}
    : (index, index, index, tensor<?xf32>, tensor<?xf32>, index) -> tensor<?xf32>
  return %o : tensor<?xf32>
}}
"tt.func"() ({{
^bb0(%x: !tt.ptr<f32>, %o: !tt.ptr<f32>, %n: i32):
  %place = "tt.make_range"() {{start = 0 : i32, end = 8 : i32}} : () -> tensor<8xi32>
  %end = "tt.splat"(%n) : (i32) -> tensor<8xi32>
  %inside = arith.cmpi slt, %place, %end : tensor<8xi32>
  %all = arith.constant dense<true> : tensor<8xi1>
  %from = "tt.splat"(%x) : (!tt.ptr<f32>) -> tensor<8x!tt.ptr<f32>>
  %to = "tt.splat"(%o) : (!tt.ptr<f32>) -> tensor<8x!tt.ptr<f32>>
  %reads = "tt.addptr"(%from, %place) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %writes = "tt.addptr"(%to, %place) : (tensor<8x!tt.ptr<f32>>, tensor<8xi32>) -> tensor<8x!tt.ptr<f32>>
  %values = "tt.load"(%reads, {load}) {{operandSegmentSizes = array<i32: 1, 1, 0>}}
    : (tensor<8x!tt.ptr<f32>>, tensor<8xi1>) -> tensor<8xf32>
  "tt.store"(%writes, %values, {store}) : (tensor<8x!tt.ptr<f32>>, tensor<8xf32>, tensor<8xi1>) -> ()
  "tt.return"() : () -> ()
}}) {{sym_name = "k"}} : () -> ()
"""


def copy(x, *, load="%inside", store="%inside", output=1, programs=1):
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(COPY.format(load=load, store=store, output=output, programs=programs))
    return triton_interpreter.run(module, "f", [x])[0]


def test_a_kernel_copies():
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(copy(x), x)


def test_a_view_with_steps_is_copied_first():
    x = np.arange(10, dtype=np.float32)[::2]
    np.testing.assert_array_equal(copy(x), x)


def test_what_no_program_writes_is_seen():
    assert (copy(np.zeros(5, np.float32), programs=0) == 77).all()


def test_a_load_out_of_bounds_is_an_error():
    with pytest.raises(AssertionError, match="load out of bounds: 7 of 5"):
        copy(np.zeros(5, np.float32), load="%all")


def test_a_store_out_of_bounds_is_an_error():
    with pytest.raises(AssertionError, match="store out of bounds: 7 of 5"):
        copy(np.zeros(5, np.float32), store="%all")


def test_any_access_to_no_elements_is_an_error():
    with pytest.raises(AssertionError, match="load out of bounds: 7 of 0"):
        copy(np.zeros(0, np.float32), load="%all")


def test_a_write_to_an_input_is_an_error():
    with pytest.raises(AssertionError, match="a write to an input"):
        copy(np.zeros(5, np.float32), output=0)


def test_two_programs_that_write_one_element_are_an_error():
    with pytest.raises(AssertionError, match="a second write to an element"):
        copy(np.zeros(5, np.float32), programs=2)


@pytest.mark.parametrize("backwards", [False, True])
def test_pointers_reach_the_elements_of_a_view_only(backwards):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    view = whole[::-2, 1:4] if backwards else whole[::2, 1:4]
    pointers = triton_interpreter.pointers_to(view)
    memory, start = pointers.memory, pointers.offset
    stride = view.strides[0] // 4
    places = start + stride * np.arange(2)[:, None] + np.arange(3)
    memory.check(places, "load")
    np.testing.assert_array_equal(memory.data[places], view)
    with pytest.raises(AssertionError, match="between the elements of a view"):
        memory.check(start[None] + (3 if not backwards else -3), "load")


def test_a_number_that_32_bits_do_not_hold_is_an_error():
    text = COPY.format(load="%inside", store="%inside", output=1, programs=1)
    text = text.replace("%x, %new, %n)", "%x, %new, %big)")
    text = text.replace("%new =", "%big = arith.constant 4294967296 : index\n  %new =")
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(text)
    with pytest.raises(AssertionError, match="no i32"):
        triton_interpreter.run(module, "f", [np.zeros(5, np.float32)])


@pytest.mark.parametrize("op", ["divsi", "remsi"])
def test_division_of_all_bytes_is_toward_zero(op):
    text = f"""func.func @f(%a: tensor<65024xi8>, %b: tensor<65024xi8>) -> tensor<65024xi8> {{
      %c = arith.{op} %a, %b : tensor<65024xi8>
      return %c : tensor<65024xi8>
    }}"""
    values = np.arange(-127, 128)
    a, b = (each.reshape(-1) for each in np.meshgrid(np.arange(-128, 128), values[values != 0]))
    with make_context():
        module = ir.Module.parse(text)
    (got,) = triton_interpreter.run(module, "f", [a, b])
    quotient = np.trunc(a / b).astype(int)
    want = quotient if op == "divsi" else a - quotient * b
    np.testing.assert_array_equal(got, want.astype(np.int8))
