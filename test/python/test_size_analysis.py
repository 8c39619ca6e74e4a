"""Sizes and places that lowered code trusts: checked at each call, guarded in the code, or refused."""

import re

import numpy as np
import pytest
from ir_programs import ALL, attention

import aecompiler as aec
from aecompiler.errors import CompileError

X = np.arange(12.0, dtype=np.float32).reshape(3, 4)


def kernel(text):
    return aec.compile(text, opt_level=0)


def function(body, arguments, result):
    return f"func.func @f({arguments}) -> {result} {{\n{body}\n  return %r : {result}\n}}"


def agrees(compiled, *args):
    """Call a kernel of one result and compare with the reference; returns the result."""
    result = compiled(*args)
    np.testing.assert_array_equal(result, compiled.evaluate_reference(*args)[0])
    return result


def refuses(message, compiled, *args):
    with pytest.raises(ValueError, match=re.escape(message)):
        compiled(*args)


# Slices and insertions at places that follow from the arguments.


def test_slice_at_an_argument_is_checked_at_the_call():
    slices = kernel(
        function(
            "  %r = tensor.extract_slice %x[%n, 0] [2, 4] [1, 1] : tensor<?x4xf32> to tensor<2x4xf32>",
            "%x: tensor<?x4xf32>, %n: index",
            "tensor<2x4xf32>",
        )
    )
    assert agrees(slices, X, 1).tolist() == X[1:].tolist()
    for offset in (2, -1, 1 << 40, -(1 << 63)):
        message = f"slice of 2 elements from {offset} on, by 1, to lie inside dimension 0 of size 3"
        refuses(message, slices, X, offset)


def test_size_of_a_slice_is_checked_at_the_call():
    slices = kernel(
        function(
            "  %r = tensor.extract_slice %x[0, 0] [%n, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>",
            "%x: tensor<?x4xf32>, %n: index",
            "tensor<?x4xf32>",
        )
    )
    assert agrees(slices, X, 2).tolist() == X[:2].tolist()
    assert agrees(slices, X, 0).shape == (0, 4)
    refuses("slice of 4 elements from 0 on", slices, X, 4)
    refuses("expects a size to be at least 0, got -1", slices, X, -1)


def test_insertion_at_an_argument_is_checked_at_the_call():
    inserts = kernel(
        function(
            """  %c = arith.constant dense<7.0> : tensor<2xf32>
  %r = tensor.insert_slice %c into %x[%n, 0] [1, 2] [1, 3] : tensor<2xf32> into tensor<?x4xf32>""",
            "%x: tensor<?x4xf32>, %n: index",
            "tensor<?x4xf32>",
        )
    )
    expected = X.copy()
    expected[2, ::3] = 7
    assert agrees(inserts, X, 2).tolist() == expected.tolist()
    refuses("slice of 1 elements from 3 on, by 1, to lie inside dimension 0 of size 3", inserts, X, 3)


def test_negative_padding_is_refused_at_the_call():
    pads = kernel(
        function(
            """  %z = arith.constant 0.0 : f32
  %r = tensor.pad %x low[%n, 0] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %z : f32
  } : tensor<?x4xf32> to tensor<?x4xf32>""",
            "%x: tensor<?x4xf32>, %n: index",
            "tensor<?x4xf32>",
        )
    )
    assert agrees(pads, X, 2).shape == (5, 4)
    refuses("expects a size to be at least 0, got -1", pads, X, -1)


def test_arithmetic_of_a_narrow_integer_wraps_before_it_is_a_size():
    slices = kernel(
        function(
            """  %c = arith.constant 100 : i8
  %sum = arith.addi %n, %c : i8
  %m = arith.index_cast %sum : i8 to index
  %r = tensor.extract_slice %x[%m, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<1x4xf32>""",
            "%x: tensor<?x4xf32>, %n: i8",
            "tensor<1x4xf32>",
        )
    )
    assert agrees(slices, X, -99).tolist() == X[1:2].tolist()
    refuses("from -56 on", slices, X, 100)


# Places that are read from memory.


@pytest.mark.parametrize("offset", [0, 1, 100, -5])
def test_slice_at_a_place_from_memory_reads_the_nearest_elements(offset):
    slices = kernel(
        function(
            """  %c0 = arith.constant 0 : index
  %n = tensor.extract %t[%c0] : tensor<1xi64>
  %m = arith.index_cast %n : i64 to index
  %r = tensor.extract_slice %x[%m, 0] [2, 4] [1, 1] : tensor<?x4xf32> to tensor<2x4xf32>""",
            "%x: tensor<?x4xf32>, %t: tensor<1xi64>",
            "tensor<2x4xf32>",
        )
    )
    result = agrees(slices, X, np.array([offset]))
    assert result.tolist() == X[np.clip([offset, offset + 1], 0, 2)].tolist()


@pytest.mark.parametrize("offset", [0, 1, 100, -5])
def test_insertion_at_a_place_from_memory_lies_inside(offset):
    inserts = kernel(
        function(
            """  %c0 = arith.constant 0 : index
  %n = tensor.extract %t[%c0] : tensor<1xi64>
  %m = arith.index_cast %n : i64 to index
  %c = arith.constant dense<7.0> : tensor<2xf32>
  %r = tensor.insert_slice %c into %x[%m, %m] [1, 2] [1, 2] : tensor<2xf32> into tensor<3x4xf32>""",
            "%x: tensor<3x4xf32>, %t: tensor<1xi64>",
            "tensor<3x4xf32>",
        )
    )
    row, column = np.clip(offset, 0, 2), np.clip(offset, 0, 1)
    expected = X.copy()
    expected[row, [column, column + 2]] = 7
    assert agrees(inserts, X, np.array([offset])).tolist() == expected.tolist()


@pytest.mark.parametrize("position", [0, 2, 3, -1, 1 << 40])
def test_inserted_element_lies_inside(position):
    inserts = kernel(
        function(
            "  %r = tensor.insert %y into %x[%n] : tensor<?xf32>",
            "%x: tensor<?xf32>, %y: f32, %n: index",
            "tensor<?xf32>",
        )
    )
    expected = X[0].copy()
    expected[np.clip(position, 0, 3)] = 9
    assert agrees(inserts, X[0], 9.0, position).tolist() == expected.tolist()
    refuses("expects x.shape[0] to be at least 1, got 0", inserts, X[0, :0], 9.0, position)


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_number_of_a_dimension_is_clamped(axis):
    sizes = kernel(
        function(
            """  %s = tensor.dim %x, %n : tensor<?x?xf32>
  %i = arith.index_cast %s : index to i32
  %r = arith.sitofp %i : i32 to f32""",
            "%x: tensor<?x?xf32>, %n: index",
            "f32",
        )
    )
    assert agrees(sizes, X, axis) == (3 if axis < 1 else 4)


@pytest.mark.parametrize("offset", [0, 2, 3, 300_000_000, -7])
def test_strided_insertion_in_a_step_lies_inside(offset):
    """It wrote where its offset said."""
    text = """
func.func @f(%q: tensor<1x1x2x4xf32>, %s0: tensor<1x1x4x4xf32>, %n: index)
    -> (tensor<1x1x2x4xf32>, tensor<1x1x4x4xf32>) {
  %o, %f = "attn.recurrence"(%q, %q, %q, %s0) ({
  ^step(%S: tensor<4x4xf32>, %qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<4xf32>,
        %b: index, %h: index, %t: index):
    %two = tensor.extract_slice %vt[0] [2] [1] : tensor<4xf32> to tensor<2xf32>
    %S1 = tensor.insert_slice %two into %S[%n, 0] [1, 2] [1, 2] : tensor<2xf32> into tensor<4x4xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<4x4xf32>, tensor<4xf32>) -> ()
  }) : (tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>, tensor<1x1x4x4xf32>)
    -> (tensor<1x1x2x4xf32>, tensor<1x1x4x4xf32>)
  return %o, %f : tensor<1x1x2x4xf32>, tensor<1x1x4x4xf32>
}"""
    x, state = np.random.default_rng(0).standard_normal((2, 1, 1, 4, 4)).astype(np.float32)
    compiled = kernel(text)
    q = x[:, :, :2].copy()
    _, final = compiled(q, state, offset)
    expected = state.copy()
    expected[0, 0, np.clip(offset, 0, 3), ::2] = q[0, 0, 1, :2]
    np.testing.assert_array_equal(final, expected)
    np.testing.assert_array_equal(final, compiled.evaluate_reference(q, state, offset)[1])


# Functions.


def test_sizes_inside_a_called_function_are_checked():
    inner = attention(q="?x2x?x8", k="?x2x?x8", v="?x2x?x8", element="f32", normalize="yield %s", mask=ALL)
    name = re.search(r"func\.func @(\w+)", inner)[1]
    t = "tensor<?x2x?x8xf32>"
    text = inner.replace("func.func @", "func.func private @") + function(
        f"  %r = func.call @{name}(%q, %k, %v) : ({t}, {t}, {t}) -> {t}", f"%q: {t}, %k: {t}, %v: {t}", t
    )
    calls = kernel(text)
    q, k, v = (np.ones((1, 2, n, 8), np.float32) for n in (3, 5, 5))
    agrees(calls, q, k, v)
    refuses("expects k.shape[2] and v.shape[2] to be equal, got 5 and 4", calls, q, k, v[:, :, :4])


def test_calls_of_two_functions_in_a_row_are_inlined():
    """The process crashed at the second, whose operand is the result of the first."""
    t = "tensor<?xf32>"
    functions = [
        function(f"  %r = arith.{name} %x, %x : {t}", f"%x: {t}", t).replace(
            "func @f", f"func private @{name}"
        )
        for name in ("addf", "mulf")
    ]
    calls = f"  %s = func.call @addf(%x) : ({t}) -> {t}\n  %r = func.call @mulf(%s) : ({t}) -> {t}"
    text = "\n".join([*functions, function(calls, f"%x: {t}", t)])
    assert agrees(kernel(text), B).tolist() == [0, 4]


@pytest.mark.parametrize("t", ["tensor<?xf32>", "f32"])
def test_function_that_calls_itself_is_refused(t):
    text = function(f"  %r = func.call @g(%x) : ({t}) -> {t}", f"%x: {t}", t) + function(
        f"  %r = func.call @g(%x) : ({t}) -> {t}", f"%x: {t}", t
    ).replace("func.func @f", "func.func private @g")
    with pytest.raises(CompileError, match=r"'func\.call' op unsupported: a call that can't be inlined"):
        kernel(text)


def test_function_of_several_blocks_is_refused():
    text = """func.func @f(%c: i1, %x: tensor<?xf32>) -> tensor<?xf32> {
  cf.cond_br %c, ^a, ^b
^a:
  return %x : tensor<?xf32>
^b:
  return %x : tensor<?xf32>
}"""
    with pytest.raises(CompileError, match=r"'func.func' op unsupported: 3 blocks; use scf.if and scf.for"):
        kernel(text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "  %r = tensor.gather %x[%i] gather_dims([0])"
            " : (tensor<?xf32>, tensor<4x1xindex>) -> tensor<4xf32>",
            "'tensor.gather' op unsupported: its sizes can't be checked",
        ),
        (
            """  %e = tensor.empty() : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0 * 2)>, affine_map<(d0) -> (d0)>],
      iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4xf32>""",
            "'linalg.generic' op unsupported: the index d0 * 2 into a tensor of dynamic size",
        ),
        (
            """  %y = tensor.splat %z : tensor<1xf32>
  %e = tensor.empty() : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0 mod 3)>, affine_map<(d0) -> (d0)>],
      iterator_types = ["parallel"]} ins(%y : tensor<1xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4xf32>""",
            "'linalg.generic' op unsupported: the index d0 mod 3, whose ends are not those of its loops",
        ),
        (
            """  %c0 = arith.constant 0 : index
  %m = tensor.extract %i[%c0, %c0] : tensor<4x1xindex>
  %s = tensor.extract_slice %x[0] [%m] [1] : tensor<?xf32> to tensor<?xf32>
  %r = tensor.extract_slice %x[0] [4] [1] : tensor<?xf32> to tensor<4xf32>""",
            "'tensor.extract_slice' op unsupported: a size that does not follow from the arguments",
        ),
    ],
)
def test_operation_whose_sizes_cannot_be_checked_is_refused_at_its_place(body, message):
    text = function(body, "%x: tensor<?xf32>, %i: tensor<4x1xindex>, %z: f32", "tensor<4xf32>")
    with pytest.raises(CompileError, match=re.escape(message)) as error:
        kernel(text)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.line > 1


def test_constant_index_of_a_map_is_checked_at_the_call():
    reads = kernel(
        function(
            """  %e = tensor.empty() : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (2)>, affine_map<(d0) -> (d0)>],
      iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4xf32>""",
            "%x: tensor<?xf32>",
            "tensor<4xf32>",
        )
    )
    assert reads(X[1, :3]).tolist() == [6.0] * 4
    refuses("expects x.shape[0] to be at least 3, got 2", reads, X[1, :2])


# Control flow, and what it carries.

A, B = (np.arange(n, dtype=np.float32) for n in (8, 2))


def test_slice_in_a_function_that_a_loop_calls_is_guarded():
    """Its offset is an argument of the function, but no argument of the call."""
    t = "tensor<?xf32>"
    text = f"""
func.func private @g(%a: {t}, %o: index) -> f32 {{
  %c0 = arith.constant 0 : index
  %s = tensor.extract_slice %a[%o] [4] [1] : {t} to tensor<4xf32>
  %x = tensor.extract %s[%c0] : tensor<4xf32>
  return %x : f32
}}
func.func @f(%a: {t}) -> f32 {{
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %c20 = arith.constant 20 : index
  %zero = arith.constant 0.0 : f32
  %r = scf.for %i = %c10 to %c20 step %c1 iter_args(%acc = %zero) -> f32 {{
    %x = func.call @g(%a, %i) : ({t}, index) -> f32
    %y = arith.addf %acc, %x : f32
    scf.yield %y : f32
  }}
  return %r : f32
}}"""
    assert agrees(kernel(text), A) == 70


def test_branches_give_equal_sizes():
    chooses = kernel(
        function(
            """  %r = scf.if %c -> tensor<?xf32> {
    scf.yield %a : tensor<?xf32>
  } else {
    scf.yield %b : tensor<?xf32>
  }""",
            "%c: i1, %a: tensor<?xf32>, %b: tensor<?xf32>",
            "tensor<?xf32>",
        )
    )
    assert agrees(chooses, True, A, A + 1).tolist() == A.tolist()
    refuses("expects a.shape[0] and b.shape[0] to be equal, got 8 and 2", chooses, True, A, B)


def test_carried_tensors_keep_their_sizes():
    loops = kernel(
        function(
            """  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %a) -> tensor<?xf32> {
    %y = arith.addf %a, %x : tensor<?xf32>
    scf.yield %b : tensor<?xf32>
  }""",
            "%n: index, %a: tensor<?xf32>, %b: tensor<?xf32>",
            "tensor<?xf32>",
        )
    )
    assert agrees(loops, 2, A, A + 1).tolist() == (A + 1).tolist()
    refuses("expects a.shape[0] and b.shape[0] to be equal, got 8 and 2", loops, 2, A, B)


def test_tensor_that_no_memory_holds_is_refused_at_the_call():
    """The code can't tell, and would crash."""
    splats = kernel(
        function(
            """  %s = tensor.splat %z[%n, %n] : tensor<?x?xf32>
  %c0 = arith.constant 0 : index
  %r = tensor.extract %s[%c0, %c0] : tensor<?x?xf32>""",
            "%z: f32, %n: index",
            "f32",
        )
    )
    assert splats(3.0, 2) == 3
    for size in (1 << 31, 1 << 32, 1 << 62):
        with pytest.raises(MemoryError, match=f"to fit into memory, got one of {size}x{size} elements"):
            splats(3.0, size)


def steps(step, arguments="%n: index, %t: tensor<1xi64>"):
    return function(
        f"""  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  {step}
  %r = scf.for %i = %c0 to %c4 step %s iter_args(%x = %a) -> tensor<?xf32> {{
    %y = arith.addf %a, %x : tensor<?xf32>
    scf.yield %y : tensor<?xf32>
  }}""",
        f"%a: tensor<?xf32>, {arguments}",
        "tensor<?xf32>",
    )


def test_loop_whose_step_leads_nowhere_is_refused_at_the_call():
    """It never came back."""
    loops = kernel(steps("%s = arith.addi %n, %c0 : index"))
    t = np.array([1])
    assert agrees(loops, A, 2, t).tolist() == (3 * A).tolist()
    refuses("expects the step of a loop to be at least 1, got 0", loops, A, 0, t)
    refuses("expects the step of a loop to be at least 1, got -1", loops, A, -1, t)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("%s = arith.constant 0 : index", "'scf.for' op expects a step of at least 1, got 0"),
        (
            """%e = tensor.extract %t[%c0] : tensor<1xi64>
  %s = arith.index_cast %e : i64 to index""",
            "'scf.for' op unsupported: a step that does not follow from the arguments",
        ),
    ],
)
def test_loop_whose_step_no_call_could_mend_is_refused_at_its_place(step, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        kernel(steps(step))


# Slices of odd strides and ranks.


def test_negative_stride_reads_the_nearest_elements():
    slices = kernel(
        function(
            "  %r = tensor.extract_slice %x[1] [4] [-1] : tensor<?xf32> to tensor<4xf32>",
            "%x: tensor<?xf32>",
            "tensor<4xf32>",
        )
    )
    assert agrees(slices, A + 1).tolist() == [2, 1, 1, 1]


def test_insertion_of_a_negative_stride_is_refused():
    text = function(
        "  %r = tensor.insert_slice %y into %x[1] [4] [-1] : tensor<4xf32> into tensor<?xf32>",
        "%x: tensor<?xf32>, %y: tensor<4xf32>",
        "tensor<?xf32>",
    )
    with pytest.raises(
        CompileError, match=r"'tensor\.insert_slice' op expects strides of at least 1, got -1"
    ):
        kernel(text)


@pytest.mark.parametrize("place", ["[0, 0] [%n, 1]", "[0, 0] [1, %n]"])
def test_inserted_part_of_lower_rank_has_the_size_of_its_place(place):
    inserts = kernel(
        function(
            f"  %r = tensor.insert_slice %y into %x{place} [1, 1] : tensor<?xf32> into tensor<?x?xf32>",
            "%x: tensor<?x?xf32>, %y: tensor<?xf32>, %n: index",
            "tensor<?x?xf32>",
        )
    )
    expected = X.copy()
    expected[(slice(2), 0) if place.endswith("1]") else (0, slice(2))] = B
    assert agrees(inserts, X, B, 2).tolist() == expected.tolist()
    refuses("expects y.shape[0] to be 2, got 8", inserts, X, A, 2)


def test_true_is_minus_one_as_an_index():
    slices = kernel(
        function(
            """  %o = arith.index_cast %c : i1 to index
  %r = tensor.extract_slice %x[%o] [2] [1] : tensor<?xf32> to tensor<2xf32>""",
            "%x: tensor<?xf32>, %c: i1",
            "tensor<2xf32>",
        )
    )
    assert agrees(slices, A, False).tolist() == [0, 1]
    refuses("slice of 2 elements from -1 on", slices, A, True)


def test_sizes_that_a_reshape_is_given_are_checked():
    expands = kernel(
        function(
            "  %r = tensor.expand_shape %x [[0, 1]] output_shape [%n, %m]"
            " : tensor<?xf32> into tensor<?x?xf32>",
            "%x: tensor<?xf32>, %n: index, %m: index",
            "tensor<?x?xf32>",
        )
    )
    assert agrees(expands, A, 2, 4).tolist() == A.reshape(2, 4).tolist()
    refuses("expects a size to be at least 0, got -2", expands, A, -2, -4)
    refuses("expects x.shape[0] to be 6, got 8", expands, A, 2, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            """  %z = arith.constant 0.0 : f32
  %r = tensor.pad %x low[-1] high[0] {
  ^bb0(%i: index):
    tensor.yield %z : f32
  } : tensor<?xf32> to tensor<?xf32>""",
            "'tensor.pad' op expects a size of at least 0, got -1",
        ),
        (
            """  %c4 = arith.constant 4 : index
  %r = tensor.generate %c4 {
  ^bb0(%i: index):
    %s = tensor.extract_slice %x[%i] [2] [1] : tensor<?xf32> to tensor<2xf32>
    %y = tensor.extract %s[%i] : tensor<2xf32>
    tensor.yield %y : f32
  } : tensor<?xf32>""",
            "'tensor.extract_slice' op unsupported: a tensor inside the body of 'tensor.generate'",
        ),
    ],
)
def test_what_no_call_could_mend_is_refused_at_its_place(body, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        kernel(function(body, "%x: tensor<?xf32>", "tensor<?xf32>"))


# What nobody wrote.


@pytest.mark.parametrize("sizes", ["", "(%n)"])
def test_new_tensor_is_zero(sizes):
    shape = "?" if sizes else "4"
    inserts = kernel(
        function(
            f"""  %e = tensor.empty{sizes} : tensor<{shape}xf32>
  %r = tensor.insert_slice %y into %e[1] [2] [1] : tensor<2xf32> into tensor<{shape}xf32>""".replace(
                "empty :", "empty() :"
            ),
            "%y: tensor<2xf32>, %n: index",
            f"tensor<{shape}xf32>",
        )
    )
    for _ in range(3):
        assert agrees(inserts, B + 5, 4).tolist() == [0, 5, 6, 0]


def test_new_tensor_in_a_step_is_zero():
    text = """
func.func @f(%q: tensor<1x1x3x4xf32>, %s0: tensor<1x1x4x4xf32>)
    -> (tensor<1x1x3x4xf32>, tensor<1x1x4x4xf32>) {
  %o, %f = "attn.recurrence"(%q, %q, %q, %s0) ({
  ^step(%S: tensor<4x4xf32>, %qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<4xf32>,
        %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<2x2xf32>
    %flat = tensor.collapse_shape %e [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
    "attn.step_yield"(%S, %flat) : (tensor<4x4xf32>, tensor<4xf32>) -> ()
  }) : (tensor<1x1x3x4xf32>, tensor<1x1x3x4xf32>, tensor<1x1x3x4xf32>, tensor<1x1x4x4xf32>)
    -> (tensor<1x1x3x4xf32>, tensor<1x1x4x4xf32>)
  return %o, %f : tensor<1x1x3x4xf32>, tensor<1x1x4x4xf32>
}"""
    compiled = kernel(text)
    for _ in range(3):
        o, _ = compiled(np.ones((1, 1, 3, 4), np.float32), np.ones((1, 1, 4, 4), np.float32))
        assert not o.any()


def test_size_that_uses_another_many_times_over_is_found_once():
    """Each step doubled the time: this took longer than anybody waits."""
    count = 100
    lines = [
        f"  %x{n + 1} = arith.{'maxsi' if n % 2 else 'minsi'} %x{n}, %x{n} : index" for n in range(count)
    ]
    part = f"  %r = tensor.extract_slice %x[%x{count}] [2] [1] : tensor<?xf32> to tensor<2xf32>"
    slices = kernel(function("\n".join([*lines, part]), "%x: tensor<?xf32>, %x0: index", "tensor<2xf32>"))
    assert agrees(slices, A, 3).tolist() == [3, 4]
    refuses("slice of 2 elements from 7 on", slices, A, 7)
