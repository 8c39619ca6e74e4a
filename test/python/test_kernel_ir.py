"""What passes on kernels share: slices and dead operations, and which dimensions are one."""

from __future__ import annotations

import contextlib

import pytest

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.tile_axes import SOURCES, TileAxes, is_elementwise
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure


@contextlib.contextmanager
def kernel(body, arguments=""):
    """A kernel of a text, and its operations by the names that they have in attributes `name`."""
    text = f"""
"tt.func"() ({{
^bb0({arguments}):
  {body}
  "tt.return"() : () -> ()
}}) {{sym_name = "f"}} : () -> ()
"""
    with make_context(allow_unregistered_dialects=True), ir.Location.unknown():
        module = ir.Module.parse(text)
        (function,) = kir.kernels(module.operation)
        named = {
            ir.StringAttr(op.attributes["name"]).value: op
            for op in rw.walk_list(function)
            if "name" in op.attributes
        }
        yield function, named
        assert module.operation.verify()


def names_of(operations):
    return [ir.StringAttr(op.attributes["name"]).value for op in operations if "name" in op.attributes]


# ---- kernels and slices --------------------------------------------------------------------------------


def test_kernels_need_a_context_that_knows_them():
    with make_context():
        module = ir.Module.parse("func.func @f() { return }")
        with pytest.raises(PassFailure, match="needs a context that allows unregistered dialects"):
            kir.kernels(module.operation)


def test_kernels_are_functions_of_triton():
    with make_context(allow_unregistered_dialects=True):
        text = """
          func.func @host() { return }
          "tt.func"() ({ "tt.return"() : () -> () }) {sym_name = "a"} : () -> ()
          "tt.func"() ({ "tt.return"() : () -> () }) {sym_name = "b"} : () -> ()
          "tt.function"() : () -> ()
        """
        module = ir.Module.parse(text)
        assert [rw.symbol_name(each) for each in kir.kernels(module.operation)] == ["a", "b"]


CHAIN = """
  %a = "tt.make_range"() {name = "a", start = 0 : i32, end = 16 : i32} : () -> tensor<16xi32>
  %b = arith.addi %x, %x {name = "b"} : i32
  %c = "tt.splat"(%b) {name = "c"} : (i32) -> tensor<16xi32>
  %d = scf.if %yes -> (tensor<16xi32>) {
    scf.yield %c : tensor<16xi32>
  } else {
    scf.yield %a : tensor<16xi32>
  } {name = "d"}
  %e = arith.addi %d, %d {name = "e"} : tensor<16xi32>
  %g = arith.muli %x, %x {name = "g"} : i32
"""


def test_slice_has_what_values_are_computed_from_in_order():
    with kernel(CHAIN, "%x: i32, %yes: i1") as (function, named):
        block = kir.body_of(function)
        assert names_of(kir.slice_in(block, [named["e"].results[0]])) == ["a", "b", "c", "d", "e"]
        assert names_of(kir.slice_in(block, [named["c"].results[0]])) == ["b", "c"]
        assert kir.slice_in(block, list(block.arguments)) == []


def test_users_are_those_of_users_too():
    with kernel(CHAIN, "%x: i32, %yes: i1") as (function, named):
        block = kir.body_of(function)
        assert names_of(kir.users_in(block, [named["a"].results[0]])) == ["d", "e"]
        assert names_of(kir.users_in(block, [block.arguments[0]])) == ["b", "c", "d", "e", "g"]
        assert kir.users_in(block, list(named["e"].results)) == []


def test_operands_are_those_of_nested_operations_too():
    with kernel(CHAIN, "%x: i32, %yes: i1") as (function, named):
        operands = kir.operands_of(named["d"])
        assert kir.body_of(function).arguments[1] in operands
        assert named["a"].results[0] in operands
        assert named["c"].results[0] in operands


def test_definer_of_an_argument_is_none():
    with kernel(CHAIN, "%x: i32, %yes: i1") as (function, named):
        assert rw.definer(kir.body_of(function).arguments[0]) is None
        assert rw.definer(named["e"].results[0]) == named["e"]


def test_dead_operations_are_erased_and_effects_are_kept():
    body = """
      %a = arith.addi %x, %x {name = "dead"} : i32
      %b = arith.addi %x, %a {name = "dead too"} : i32
      %c = "tt.load"(%p) {name = "a read"} : (!tt.ptr<i32>) -> i32
      "tt.store"(%p, %x) {name = "a write"} : (!tt.ptr<i32>, i32) -> ()
      %d = "test.unknown"() {name = "unknown"} : () -> i32
      %e = scf.if %yes -> (i32) {
        scf.yield %x : i32
      } else {
        scf.yield %x : i32
      } {name = "an empty branch"}
      %g = scf.if %yes -> (i32) {
        %h = arith.muli %x, %x {name = "dead inside"} : i32
        "tt.store"(%p, %x) {name = "a write inside"} : (!tt.ptr<i32>, i32) -> ()
        scf.yield %x : i32
      } else {
        scf.yield %x : i32
      } {name = "a branch that writes"}
      %i = "tt.elementwise_inline_asm"(%x) {name = "pure code", pure = true} : (i32) -> i32
      %j = "tt.elementwise_inline_asm"(%x) {name = "code", pure = false} : (i32) -> i32
    """
    with kernel(body, "%x: i32, %p: !tt.ptr<i32>, %yes: i1") as (function, _):
        kir.erase_dead(kir.body_of(function))
        left = ["a write", "unknown", "a write inside", "a branch that writes", "code"]
        assert names_of(rw.walk_list(function)) == left


# ---- dimensions that are one ---------------------------------------------------------------------------

DOT = """"tt.dot"(%a, %b, %c) {name = "dot"}
  : (tensor<16x32xf16>, tensor<32x64xf16>, tensor<16x64xf32>) -> tensor<16x64xf32>"""
MATRICES = "%a: tensor<16x32xf16>, %b: tensor<32x64xf16>, %c: tensor<16x64xf32>"
SUM = """({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.reduce.return"(%z) : (f32) -> ()
  })"""
TWO = "%a: tensor<16x32xf32>, %b: tensor<16x32xf32>, %yes: i1, %n: i32"


def same(body, arguments, one, other):
    """Whether two dimensions are one; each is a name of an operation or argument, and an axis.

    A name may be followed by the number of an operand: "dot:1".
    """
    with kernel(body, arguments) as (function, named):
        axes = TileAxes(function)
        by_letter = dict(zip("abcdefgh", kir.body_of(function).arguments, strict=False))

        def node(place):
            name, axis = place
            name, _, number = name.partition(":")
            if number:
                return axes.of_use(named[name], int(number), axis)
            return axes.of_value(by_letter[name] if name in by_letter else named[name].results[0], axis)

        return axes.same(node(one), node(other))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("a", 0), ("dot", 0), True),
        (("b", 1), ("dot", 1), True),
        (("a", 1), ("b", 0), True),
        (("c", 0), ("a", 0), True),
        (("c", 1), ("b", 1), True),
        (("a", 0), ("b", 1), False),
        (("a", 0), ("a", 1), False),
        (("dot", 0), ("dot", 1), False),
    ],
)
def test_axes_of_a_product(one, other, expected):
    assert same(f"%d = {DOT}", MATRICES, one, other) is expected


@pytest.mark.parametrize("axis", [0, 1])
def test_axes_of_elementwise_operations(axis):
    body = '%x = arith.addf %a, %b {name = "x"} : tensor<16x32xf32>'
    assert same(body, TWO, ("a", axis), ("x", axis))
    assert same(body, TWO, ("a", axis), ("b", axis))
    assert not same(body, TWO, ("a", axis), ("b", 1 - axis))


def test_axes_of_operands_that_are_scalars():
    body = '%x = arith.select %yes, %a, %b {name = "x"} : tensor<16x32xf32>'
    assert same(body, TWO, ("b", 1), ("x", 1))


def test_axes_of_memory_are_those_of_pointers():
    body = """%x = "tt.load"(%a) {name = "x"} : (tensor<16x!tt.ptr<f32>>) -> tensor<16xf32>
      "tt.store"(%b, %x) {name = "y"} : (tensor<16x!tt.ptr<f32>>, tensor<16xf32>) -> ()"""
    pointers = "%a: tensor<16x!tt.ptr<f32>>, %b: tensor<16x!tt.ptr<f32>>"
    assert same(body, pointers, ("a", 0), ("x", 0))
    assert same(body, pointers, ("a", 0), ("b", 0))


@pytest.mark.parametrize(("axis", "kept"), [(0, 1), (1, 0)])
def test_axes_of_a_vector_that_becomes_a_matrix(axis, kept):
    shape = "1x16" if axis == 0 else "16x1"
    body = f"""%x = "tt.expand_dims"(%a) {{name = "x", axis = {axis} : i32}}
          : (tensor<16xf32>) -> tensor<{shape}xf32>"""
    assert same(body, "%a: tensor<16xf32>", ("a", 0), ("x", kept))
    assert not same(body, "%a: tensor<16xf32>", ("a", 0), ("x", axis))


def test_axes_of_a_broadcast_are_those_that_stay():
    body = '%x = "tt.broadcast"(%a) {name = "x"} : (tensor<16x1xf32>) -> tensor<16x32xf32>'
    assert same(body, "%a: tensor<16x1xf32>", ("a", 0), ("x", 0))
    assert not same(body, "%a: tensor<16x1xf32>", ("a", 1), ("x", 1))


def test_axes_of_a_transposed_matrix():
    body = """%x = "tt.trans"(%a) {name = "x", order = array<i32: 1, 0>}
          : (tensor<16x32xf32>) -> tensor<32x16xf32>"""
    assert same(body, "%a: tensor<16x32xf32>", ("a", 0), ("x", 1))
    assert same(body, "%a: tensor<16x32xf32>", ("a", 1), ("x", 0))
    assert not same(body, "%a: tensor<16x32xf32>", ("a", 0), ("x", 0))


@pytest.mark.parametrize("axis", [0, 1])
def test_axes_of_a_reduction(axis):
    size = 32 if axis == 0 else 16
    body = f"""%x = "tt.reduce"(%a) {SUM} {{name = "x", axis = {axis} : i32}}
          : (tensor<16x32xf32>) -> tensor<{size}xf32>"""
    assert same(body, TWO, ("a", 1 - axis), ("x", 0))
    assert not same(body, TWO, ("a", axis), ("x", 0))


def test_a_reduction_to_a_scalar_has_no_axes():
    body = f'%x = "tt.reduce"(%a) {SUM} {{name = "x", axis = 0 : i32}} : (tensor<16xf32>) -> f32'
    with kernel(body, "%a: tensor<16xf32>") as (function, _):
        TileAxes(function)


def test_axes_of_what_a_loop_carries():
    body = """%lo = arith.constant 0 : i32
      %x = scf.for %i = %lo to %n step %n iter_args(%carried = %a) -> (tensor<16x32xf32>) : i32 {
        %y = math.exp %carried {name = "y"} : tensor<16x32xf32>
        scf.yield %b : tensor<16x32xf32>
      } {name = "x"}"""
    for axis in (0, 1):
        for name in ("b", "x", "y"):
            assert same(body, TWO, ("a", axis), (name, axis))
            assert not same(body, TWO, ("a", axis), (name, 1 - axis))


def test_axes_of_what_a_branch_yields():
    body = """%x = scf.if %yes -> (tensor<16x32xf32>) {
        scf.yield %a : tensor<16x32xf32>
      } else {
        scf.yield %b : tensor<16x32xf32>
      } {name = "x"}"""
    assert same(body, TWO, ("a", 0), ("x", 0))
    assert same(body, TWO, ("a", 1), ("b", 1))


def test_each_use_of_a_source_is_a_tensor_of_its_own():
    """One constant may be rows here and keys there."""
    body = """%k = arith.constant dense<1.0> : tensor<16x16xf32>
      %x = arith.addf %a, %k {name = "x"} : tensor<16x16xf32>
      %t = "tt.trans"(%a) {order = array<i32: 1, 0>} : (tensor<16x16xf32>) -> tensor<16x16xf32>
      %y = arith.addf %t, %k {name = "y"} : tensor<16x16xf32>"""
    square = "%a: tensor<16x16xf32>"
    assert same(body, square, ("x:1", 0), ("a", 0))
    assert same(body, square, ("y:1", 0), ("a", 1))
    assert not same(body, square, ("x:1", 0), ("y:1", 0))


def test_operations_without_rules_are_refused_where_they_have_tensors():
    with kernel('"test.scalar"(%x) : (i32) -> ()', "%x: i32") as (function, _):
        TileAxes(function)
    body = '"test.tensor"(%x) : (tensor<4xi32>) -> ()'
    message = "an operation whose dimensions are not known"
    with kernel(body, "%x: tensor<4xi32>") as (function, _), pytest.raises(PassFailure, match=message):
        TileAxes(function)


def test_sources_are_not_elementwise():
    body = """%a = arith.constant {name = "constant"} dense<1> : tensor<16xi32>
      %b = "tt.splat"(%n) {name = "splat"} : (i32) -> tensor<16xi32>
      %c = arith.addi %a, %b {name = "sum"} : tensor<16xi32>
      %d = "tt.trans"(%m) {name = "trans", order = array<i32: 1, 0>}
        : (tensor<16x16xi32>) -> tensor<16x16xi32>"""
    with kernel(body, "%n: i32, %m: tensor<16x16xi32>") as (_, named):
        assert [name for name, op in named.items() if is_elementwise(op)] == ["sum"]
        assert {op.name for name, op in named.items() if name in ("constant", "splat")} <= set(SOURCES)
