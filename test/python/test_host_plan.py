"""Plans: what is read from host functions, what is refused, and what the functions made of them do."""

from __future__ import annotations

import json

import pytest
from device_fakes import FakeTensor, Run

from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError

QKV = "!tt.ptr<bf16> i64 i64 i64"
KERNELS = {
    "unary": ["!tt.ptr<f32>", "i64", "!tt.ptr<f32>", "i64", "i32"],
    "three": [*(f"{QKV} " * 3).split(), "i32", "f32"],
    "scalars": ["!tt.ptr<f32>", "i8", "i8", "i16", "i32", "i64", "i32", "i16", "i16", "f32", "f64"],
}


def plan_of(text, kernels=KERNELS):
    with make_context() as context:
        context.allow_unregistered_dialects = True
        module = ir.Module.parse(text)
        plan = read_plan(module.body.operations[0].operation, kernels)
    return json.loads(json.dumps(plan))


def run(text, arguments, results=None):
    plan = plan_of(text)
    return Run(make_program(plan), kernel_names(plan), arguments, results or [None] * len(plan["returns"]))


def refused(text, kernels=KERNELS):
    with pytest.raises(CompileError) as caught:
        plan_of(text, kernels)
    assert caught.value.diagnostics[0].line, "the place is said"
    return caught.value.diagnostics[0].message


UNARY = """
func.func @f(%x: tensor<?x?xf32> {attn.name = "x", attn.dims = ["N", ""]}) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %n = tensor.dim %x, %c0 : tensor<?x?xf32>
  %m = tensor.dim %x, %c1 : tensor<?x?xf32>
  %g = arith.ceildivui %n, %c64 : index
  %e = tensor.empty(%n, %m) : tensor<?x?xf32>
  %r = "tt_host.launch"(%g, %c1, %c1, %x, %e, %n) {kernel = @unary, outputs = array<i64: 1>}
    : (index, index, index, tensor<?x?xf32>, tensor<?x?xf32>, index) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}
"""


def test_plan_says_what_the_function_takes_and_returns():
    plan = plan_of(UNARY)
    assert plan["function"] == "f"
    assert plan["arguments"] == [{"name": "x", "dtype": "f32", "shape": ["N", None]}]
    assert plan["results"] == [{"name": "result0", "dtype": "f32", "shape": [None, None]}]
    assert kernel_names(plan) == ["unary"]


def test_launch_gets_addresses_strides_and_sizes():
    x = FakeTensor((130, 8))
    made = run(UNARY, [x])
    (launch,) = made.launches
    (result,) = made.results
    assert launch.grid == (3, 1, 1)
    assert launch.stream == 7
    assert launch.misaligned == 0
    assert launch.values == (x.address, 8, result.address, 8, 130)
    assert result.shape == (130, 8)


def test_result_is_computed_in_the_callers_memory():
    x, out = FakeTensor((5, 8)), FakeTensor((5, 8), (16, 1))
    made = run(UNARY, [x], [out])
    assert made.results == [out]
    assert made.launches[0].values == (x.address, 8, out.address, 16, 5)
    assert [event[0] for event in made.events] == ["launch"]


def test_rows_with_gaps_are_copied_first():
    x = FakeTensor((5, 8), (1, 5))
    made = run(UNARY, [x])
    copy = made.events[0]
    assert copy[:2] == ("contiguous", x)
    assert made.launches[0].values[:2] == (copy[2].address, 8)


def test_result_with_gaps_is_computed_beside():
    x, out = FakeTensor((5, 8)), FakeTensor((5, 8), (1, 5))
    made = run(UNARY, [x], [out])
    assert [event[0] for event in made.events] == ["empty", "launch", "copy"]
    assert made.events[2][1] is out
    assert made.events[2][2].address == made.launches[0].values[2]
    assert made.results == [out]


def test_last_dimension_of_one_element_needs_no_copy():
    made = run(UNARY, [FakeTensor((5, 1), (7, 3))])
    assert [event[0] for event in made.events] == ["empty", "launch"]
    assert made.launches[0].values[1] == 7


@pytest.mark.parametrize(
    ("tensor", "is_misaligned"),
    [
        (FakeTensor((5, 8)), False),
        (FakeTensor((5, 8), address=(1 << 20) + 8), True),
        (FakeTensor((5, 6)), True),
        (FakeTensor((5, 6), (8, 1)), False),
        (FakeTensor((1, 6)), True),  # the result's stride is 6, too, and its only row is never left
        (FakeTensor((0, 8), address=0), False),
    ],
)
def test_alignment_is_that_of_addresses_and_strides(tensor, is_misaligned):
    out = FakeTensor(tensor.shape, (64, 1))
    launch = run(UNARY, [tensor], [out]).launches[0]
    assert (launch.misaligned != 0) == (is_misaligned and tensor.shape[0] != 1)


def test_equal_empty_tensors_are_different_memory():
    made = run(
        """
func.func @f(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<4x8xf32>
  %a = "tt_host.launch"(%c1, %c1, %c1, %x, %e, %c1) {kernel = @unary, outputs = array<i64: 1>}
    : (index, index, index, tensor<4x8xf32>, tensor<4x8xf32>, index) -> tensor<4x8xf32>
  %b = "tt_host.launch"(%c1, %c1, %c1, %a, %e, %c1) {kernel = @unary, outputs = array<i64: 1>}
    : (index, index, index, tensor<4x8xf32>, tensor<4x8xf32>, index) -> tensor<4x8xf32>
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}""",
        [FakeTensor((4, 8))],
    )
    a, b = made.results
    assert made.launches[0].values[2] == a.address
    assert made.launches[1].values[::2] == (a.address, b.address, 1)
    assert a.address != b.address


UPDATE = """
func.func @f(%x: tensor<4x8xf32>) -> (RESULTS) {{
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<4x8xf32>
  %a = "tt_host.launch"(%c1, %c1, %c1, %x, %e, %c1) {{kernel = @unary, outputs = array<i64: 1>}}
    : (index, index, index, tensor<4x8xf32>, tensor<4x8xf32>, index) -> tensor<4x8xf32>
  %b = "tt_host.launch"(%c1, %c1, %c1, %x, {written}, %c1) {{kernel = @unary, outputs = array<i64: 1>}}
    : (index, index, index, tensor<4x8xf32>, tensor<4x8xf32>, index) -> tensor<4x8xf32>
  return {returned} : RESULTS
}}"""


def update(written, *returned):
    types = ", ".join(["tensor<4x8xf32>"] * len(returned))
    text = UPDATE.format(written=written, returned=", ".join(returned)).replace("RESULTS", types)
    return run(text, [FakeTensor((4, 8))])


def test_tensor_that_nobody_else_uses_is_updated_in_place():
    made = update("%a", "%b")
    assert [event[0] for event in made.events] == ["empty", "launch", "launch"]
    assert made.launches[0].values[2] == made.launches[1].values[2] == made.results[0].address


def test_tensor_that_is_used_elsewhere_is_copied_before_an_update():
    made = update("%a", "%a", "%b")
    a, b = made.results
    kinds = [event[0] for event in made.events]
    assert kinds[:5] == ["empty", "launch", "empty", "copy", "launch"]
    assert made.launches[0].values[2] == a.address
    assert made.launches[1].values[2] not in (a.address, made.launches[0].values[2])
    assert made.events[-1][0] == "copy"
    assert made.events[-1][1] is b


def test_argument_is_never_written_to():
    made = update("%x", "%b")
    x = made.launches[1].values[0]
    assert made.launches[1].values[2] != x


def test_returned_argument_is_copied():
    text = "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> { return %x : tensor<4xf32> }"
    x = FakeTensor((4,))
    made = run(text, [x])
    assert made.results[0] is not x
    assert made.events[-1] == ("copy", made.results[0], x)


def test_result_that_is_returned_twice_is_copied():
    made = update("%e", "%b", "%b")
    first, second = made.results
    assert first is not second
    assert made.events[-1] == ("copy", second, first)


def test_scalar_result_is_a_tensor_of_one_element():
    made = run("func.func @f(%x: f32) -> f32 { return %x : f32 }", [2.5])
    assert made.results[0].shape == ()
    assert made.events[-1] == ("fill", made.results[0], 2.5)


BRANCHES = """
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %few = arith.cmpi ult, %n, %c1 : index
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %r = scf.if %few -> tensor<?x8xf32> {
    THEN
  } else {
    %b = "tt_host.launch"(%c1, %c1, %c1, %x, %e, %n) {kernel = @unary, outputs = array<i64: 1>}
      : (index, index, index, tensor<?x8xf32>, tensor<?x8xf32>, index) -> tensor<?x8xf32>
    scf.yield %b : tensor<?x8xf32>
  }
  return %r : tensor<?x8xf32>
}"""
LAUNCH_FEW = """
    %a = "tt_host.launch"(%c1, %n, %c1, %x, %e, %n) {kernel = @unary, outputs = array<i64: 1>}
      : (index, index, index, tensor<?x8xf32>, tensor<?x8xf32>, index) -> tensor<?x8xf32>
    scf.yield %a : tensor<?x8xf32>"""


@pytest.mark.parametrize(("rows", "grid"), [(0, (1, 0, 1)), (3, (1, 1, 1))])
def test_each_branch_computes_the_result_in_place(rows, grid):
    x, out = FakeTensor((rows, 8)), FakeTensor((rows, 8))
    made = run(BRANCHES.replace("THEN", LAUNCH_FEW), [x], [out])
    assert made.launches[0].grid == grid
    assert made.launches[0].values[2] == out.address
    assert [event[0] for event in made.events] == ["launch"]


@pytest.mark.parametrize(
    ("rows", "kinds"), [(0, ["empty", "copy"]), (3, ["empty", "launch", "empty", "copy"])]
)
def test_branch_may_yield_an_argument(rows, kinds):
    x = FakeTensor((rows, 8))
    made = run(BRANCHES.replace("THEN", "scf.yield %x : tensor<?x8xf32>"), [x])
    assert [event[0] for event in made.events] == kinds
    assert made.results[0] is not x


def test_scalars_reach_kernels_as_their_parameters_hold_them():
    text = """
func.func @f(%x: tensor<f32>, %a: i1, %b: i8, %c: i16, %d: i32, %e: i64, %n: index, %g: f16, %h: bf16,
             %i: f32, %j: f64) -> tensor<f32> {
  %c1 = arith.constant 1 : index
  %e0 = tensor.empty() : tensor<f32>
  %r = "tt_host.launch"(%c1, %c1, %c1, %e0, %a, %b, %c, %d, %e, %n, %g, %h, %i, %j)
    {kernel = @scalars, outputs = array<i64: 0>}
    : (index, index, index, tensor<f32>, i1, i8, i16, i32, i64, index, f16, bf16, f32, f64) -> tensor<f32>
  return %r : tensor<f32>
}"""
    made = run(text, [FakeTensor(()), 1, -3, 300, -70000, 1 << 40, 12, -1.5, 1.0, 0.5, 0.25])
    values = made.launches[0].values
    assert values[1:] == (1, -3, 300, -70000, 1 << 40, 12, -0x4200, 0x3F80, 0.5, 0.25)


def test_size_that_kernels_can_not_count_is_refused_by_name():
    run(UNARY, [FakeTensor((1 << 30, 8))])
    with pytest.raises(ValueError, match=r"expects x\.shape\[0\] to be 0 to 1073741824, got 1073741825"):
        run(UNARY, [FakeTensor(((1 << 30) + 1, 8))])


def test_number_beyond_32_bits_is_refused_by_name():
    text = UNARY.replace("%x: tensor", '%k: index {attn.name = "k"}, %x: tensor').replace(
        "%e, %n)", "%e, %k)"
    )
    for number in (-(1 << 31), (1 << 31) - 1):
        assert run(text, [number, FakeTensor((3, 8))]).launches[0].values[-1] == number
    with pytest.raises(ValueError, match="expects k to be -2147483648 to 2147483647, got 2147483648"):
        run(text, [1 << 31, FakeTensor((3, 8))])


# ---- refusals ----


def test_other_operation_is_refused():
    message = refused(
        "func.func @f(%x: tensor<4xf32>, %v: f32) -> tensor<4xf32> {\n"
        "  %y = linalg.fill ins(%v : f32) outs(%x : tensor<4xf32>) -> tensor<4xf32>\n"
        "  return %y : tensor<4xf32>\n}"
    )
    assert message.startswith("'linalg.fill' op unsupported: this operation between kernels")


def test_dimension_that_is_not_constant_is_refused():
    text = """
func.func @f(%x: tensor<?xf32>, %d: index) -> index {
  %n = tensor.dim %x, %d : tensor<?xf32>
  return %n : index
}"""
    assert refused(text) == "'tensor.dim' op expects a constant dimension of the tensor"


def test_kernel_of_other_parameters_is_refused():
    message = refused(UNARY, {"unary": ["!tt.ptr<f32>", "i32"]})
    assert message == (
        "'tt_host.launch' op expects 'unary' to have the parameters "
        "(!tt.ptr<f32>, i64, !tt.ptr<f32>, i64, i32), got (!tt.ptr<f32>, i32)"
    )


def test_missing_kernel_is_refused():
    assert refused(UNARY, {}) == "'tt_host.launch' op expects a kernel of this module, got 'unary'"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("array<i64: 1>", "array<i64: 2>", "expects outputs to be positions of tensors, got [2]"),
        ("array<i64: 1>", "array<i64: 7>", "expects outputs to be positions of tensors, got [7]"),
        ("array<i64: 1>", "array<i64>", "expects results of the types of the outputs"),
    ],
)
def test_wrong_outputs_are_refused(old, new, message):
    assert refused(UNARY.replace(old, new)) == f"'tt_host.launch' op {message}"


def test_tensor_of_one_number_is_filled():
    text = "func.func @f() -> tensor<2x3xf32> {\n  %c = arith.constant dense<NUMBER> : tensor<2x3xf32>\n"
    text += "  return %c : tensor<2x3xf32>\n}"
    for written, number in (("1.5", 1.5), ("0xFF800000", float("-inf"))):
        made = run(text.replace("NUMBER", written), [])
        assert made.events[1] == ("fill", made.events[0][1], number)
        assert made.results[0].shape == (2, 3)


def test_other_tensor_constants_and_arithmetic_are_refused():
    constant = "%c = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>"
    text = "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {{\n  {}\n  return %c : tensor<2xf32>\n}}"
    message = refused(text.format(constant))
    assert message == "'arith.constant' op unsupported: a tensor of different constants between kernels"
    message = refused(text.format("%c = arith.addf %x, %x : tensor<2xf32>"))
    assert message == "'arith.addf' op unsupported: arithmetic on tensors between kernels"


def test_memory_of_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"result 'result0': expects shape \(5, 8\), got \(5, 9\)"):
        run(UNARY, [FakeTensor((5, 8))], [FakeTensor((5, 9))])
    text = "func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> { return %x : tensor<?xf32> }"
    with pytest.raises(ValueError, match=r"result 'result0': expects shape \(4,\), got \(1,\)"):
        run(text, [FakeTensor((4,))], [FakeTensor((1,))])
