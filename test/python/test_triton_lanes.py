"""Numbers of type `index` and their ranges in kernels; what the emitter of Triton's operations refuses."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import triton_interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.memory import parameters_of
from aecompiler.bindings import arith, func, ir
from aecompiler.dialect import make_context

WORD = 1 << 64
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


@functools.cache
def context():
    return make_context(allow_unregistered_dialects=True)


def signed(value):
    return (value + (1 << 63)) % WORD - (1 << 63)


def toward_zero(x, y):
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def unsigned(function):
    return lambda x, y: function(x % WORD, y % WORD)


MEANING = {
    "addi": lambda x, y: x + y,
    "subi": lambda x, y: x - y,
    "muli": lambda x, y: x * y,
    "minsi": min,
    "maxsi": max,
    "divsi": toward_zero,
    "floordivsi": lambda x, y: x // y,
    "ceildivsi": lambda x, y: -(-x // y),
    "remsi": lambda x, y: x - y * toward_zero(x, y),
    "andi": lambda x, y: x & y,
    "ori": lambda x, y: x | y,
    "xori": lambda x, y: x ^ y,
    "minui": unsigned(min),
    "maxui": unsigned(max),
    "divui": unsigned(lambda x, y: x // y),
    "remui": unsigned(lambda x, y: x % y),
    "ceildivui": unsigned(lambda x, y: -(-x // y)),
}
"""What operations of `arith` on numbers of 64 bits mean, before the result is cut to them."""


def run(types, build, arguments):
    """What a function of values of `types` gives, built by `build`."""
    with context(), ir.Location.unknown():
        module = ir.Module.create()
        types = [ir.Type.parse(each) for each in types]
        with ir.InsertionPoint(module.body):
            function = func.FuncOp("f", (types, []))
            block = function.add_entry_block()
            with ir.InsertionPoint(block):
                results = build(*block.arguments)
                func.ReturnOp(results)
            inputs = ir.FunctionType.get(types, [each.type for each in results])
            function.attributes["function_type"] = ir.TypeAttr.get(inputs)
        assert module.operation.verify()
        return triton_interpreter.run(module, "f", arguments)


def limits():
    """Limits of numbers around 0, around where 32 bits end, and of 64 bits."""
    near = [st.integers(-40, 40)]
    near += [
        st.integers(sign * (1 << bits) - 3, sign * (1 << bits) + 3) for sign in (1, -1) for bits in (30, 31)
    ]
    number = st.one_of(*near, st.integers(LOWEST, HIGHEST))
    return st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))


@st.composite
def operands(draw):
    """Two numbers, each with limits that it is known to be in."""
    found = [draw(limits()) for _ in range(2)]
    return found, [draw(st.sampled_from(each) | st.integers(*each)) for each in found]


def test_meanings_are_known_for_all_operations_with_ranges():
    assert MEANING.keys() == {*ln._RANGES, *ln._UNSIGNED}


@pytest.mark.parametrize("op", MEANING)
@settings(max_examples=250)
@given(drawn=operands())
def test_arithmetic_on_numbers_stays_in_its_range(op, drawn):
    (first, second), (x, y) = drawn
    is_defined = ("div" not in op and "rem" not in op) or (y != 0 and (x, y) != (LOWEST, -1))
    if not is_defined:
        return
    found = {}

    def build(a, b):
        result = ln.compute(op, ln.number(a, (), first), ln.number(b, (), second), ())
        found["range"] = result.range
        found["bits"] = result.element.width
        return [ln.wide(result)]

    (result,) = run(["i64", "i64"], build, [x, y])
    assert int(result) == signed(MEANING[op](x, y))
    low, high = found["range"]
    assert low <= int(result) <= high
    assert found["bits"] == (32 if low >= -(1 << 31) and high < 1 << 31 else 64)


@given(drawn=operands())
def test_comparisons_choices_and_absolute_values_of_numbers(drawn):
    (first, second), (x, y) = drawn
    found = []

    def build(a, b):
        a, b = ln.number(a, (), first), ln.number(b, (), second)
        less = ln.less(a, b, ())
        numbers = [ln.choose(less, a, b, ()), ln.absolute(a)]
        found.extend(each.range for each in numbers)
        return [less.value, ln.equal(a, b, ()).value, *map(ln.wide, numbers)]

    less, equal, chosen, absolute = run(["i64", "i64"], build, [x, y])
    assert (bool(less), bool(equal)) == (x < y, x == y)
    assert int(chosen) == min(x, y)
    assert int(absolute) == signed(abs(x))
    for value, (low, high) in zip((chosen, absolute), found, strict=True):
        assert low <= int(value) <= high


@pytest.mark.parametrize("op", ["floordivsi", "ceildivsi", "ceildivui"])
def test_quotients_of_all_bytes(op):
    """All pairs of bytes but those whose quotient is not defined."""
    a, b = (each.reshape(-1) for each in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    keep = (b != 0) & ((a != -128) | (b != -1) | (op == "ceildivui"))
    a, b = a[keep], b[keep]
    type_ = f"tensor<{len(a)}xi8>"
    (got,) = run([type_, type_], lambda x, y: [ln.binary(op, x, y)], [a, b])
    if op == "ceildivui":
        a, b = a % 256, b % 256
    want = a // b if op == "floordivsi" else -(-a // b)
    np.testing.assert_array_equal(got, want.astype(np.int8))


@pytest.mark.parametrize("op", ["floordivsi", "ceildivsi"])
@pytest.mark.parametrize("bits", range(7))
def test_quotients_of_a_scalar_and_a_power_of_two_have_no_division(op, bits):
    names = []

    def build(x):
        result = ln.binary(op, x, tt.constant(x.type, 1 << bits))
        names.extend(view.operation.name for view in ir.InsertionPoint.current.block.operations)
        return [result]

    for number in (-128, -127, -65, -64, -63, -1, 0, 1, 63, 64, 65, 127):
        (got,) = run(["i8"], build, [number])
        wanted = number // (1 << bits) if op == "floordivsi" else -(-number // (1 << bits))
        assert int(got) == wanted
    assert not {"arith.divsi", "arith.remsi"} & set(names)


def test_values_come_together_over_all_of_their_loops():
    sizes = (2, 4, 8)
    rows, columns = np.arange(2, dtype=np.float32), np.arange(8, dtype=np.float32) * 10

    def build(x, y, z):
        values, loops = ln.together([Lanes(x, (0,)), Lanes(y, (2,)), Lanes(z)], sizes)
        assert loops == (0, 2)
        assert all(each.loops == loops for each in values)
        a, b, c = (each.value for each in values)
        return [arith.addf(arith.addf(a, b), c)]

    (got,) = run(["tensor<2xf32>", "tensor<8xf32>", "f32"], build, [rows, columns, 0.5])
    np.testing.assert_array_equal(got, rows[:, None] + columns + 0.5)


# ---- what the emitter refuses ------------------------------------------------------------------------

REFUSED = {
    "an axis of the grid": (lambda v: tt.program_id(3), "'tt.get_program_id' expects an axis of 0 to 2"),
    "a range": (lambda v: tt.make_range(24), "'tt.make_range' expects a power of two, not 24"),
    "splat": (lambda v: tt.splat(v["row"], [4]), "'tt.splat' expects a scalar, got tensor<4xf32>"),
    "expand": (
        lambda v: tt.expand_dims(v["row"], 2),
        "'tt.expand_dims' expects a tensor with room at 2, got tensor<4xf32>",
    ),
    "broadcast": (
        lambda v: tt.broadcast(v["row"], [8]),
        r"'tt.broadcast' expects a tensor that fits \[8\], got tensor<4xf32>",
    ),
    "another rank": (
        lambda v: tt.broadcast(v["row"], [2, 4]),
        r"'tt.broadcast' expects a tensor that fits \[2, 4\], got tensor<4xf32>",
    ),
    "trans": (
        lambda v: tt.trans(v["matrix"], [0, 0]),
        r"'tt.trans' expects the order \[0, 0\] to fit, got tensor<4x8xf32>",
    ),
    "addptr": (
        lambda v: tt.addptr(v["row"], v["places"]),
        "'tt.addptr' expects pointers and integers, got tensor<4xf32>, tensor<4xi32>",
    ),
    "offsets": (
        lambda v: tt.addptr(v["pointers"], v["row"]),
        "'tt.addptr' expects pointers and integers, got tensor<4x!tt.ptr<f32>>, tensor<4xf32>",
    ),
    "load": (lambda v: tt.load(v["row"]), "expects a pointer, got f32"),
    "mask": (
        lambda v: tt.load(v["pointers"], v["row"]),
        "'tt.load' expects one i1 each, got tensor<4xf32>",
    ),
    "other": (
        lambda v: tt.load(v["pointers"], v["mask"], v["places"]),
        "'tt.load' expects one f32 each, got tensor<4xi32>",
    ),
    "other without a mask": (
        lambda v: tt.load(v["pointers"], None, v["row"]),
        "'tt.load' expects a mask beside other values",
    ),
    "store": (
        lambda v: tt.store(v["pointers"], v["places"]),
        "'tt.store' expects a value of the type pointed to",
    ),
    "mask of a store": (
        lambda v: tt.store(v["pointers"], v["row"], v["row"]),
        "'tt.store' expects a bit each, got tensor<4xf32>",
    ),
    "dot": (
        lambda v: tt.dot(v["matrix"], v["matrix"], v["matrix"], "ieee"),
        "'tt.dot' expects matrices that fit",
    ),
    "dot of rows": (
        lambda v: tt.dot(v["row"], v["row"], v["row"], "ieee"),
        "'tt.dot' expects matrices that fit",
    ),
    "gather": (
        lambda v: tt.gather(v["matrix"], v["places"], 0),
        "'tt.gather' expects places that fit but along 0, got tensor<4x8xf32>, tensor<4xi32>",
    ),
    "reduce": (
        lambda v: tt.reduce(v["row"], 1, arith.addf),
        "'tt.reduce' expects a tensor with a dimension 1, got tensor<4xf32>",
    ),
    "a call": (
        lambda v: tt.library_call("__nv_powf", [v["row"], v["matrix"]], v["row"].type, "libdevice"),
        "'__nv_powf' expects operands of one shape, got tensor<4xf32>, tensor<4x8xf32>",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_operations_on_wrong_types_are_refused(case):
    make, message = REFUSED[case]
    types = {
        "row": "tensor<4xf32>",
        "places": "tensor<4xi32>",
        "mask": "tensor<4xi1>",
        "matrix": "tensor<4x8xf32>",
        "pointers": "tensor<4x!tt.ptr<f32>>",
    }

    with context(), ir.Location.unknown():
        module = ir.Module.create()
        function = ir.Operation.create("test.function", regions=1, ip=ir.InsertionPoint(module.body))
        block = function.regions[0].blocks.append(*[ir.Type.parse(each) for each in types.values()])
        values = dict(zip(types, block.arguments, strict=True))
        with ir.InsertionPoint(block), pytest.raises(TypeError, match=message):
            make(values)


def test_operations_that_change_nothing_are_not_made():
    def build(x):
        assert tt.broadcast(x, [4, 8]) == x
        assert tt.trans(x, [0, 1]) == x
        return [x]

    run(["tensor<4x8xf32>"], build, [np.zeros((4, 8))])


@pytest.mark.parametrize(("size", "padded"), [(1, 16), (16, 16), (17, 32), (24, 32), (64, 64), (65, 128)])
def test_sizes_in_registers_are_powers_of_two(size, padded):
    assert tt.register_size(size) == padded


def test_bits_are_bytes_in_memory():
    with context(), ir.Location.unknown():
        pointers = [
            parameters_of(ir.RankedTensorType.get([], element))[0][0]
            for element in (tt.integer(1), ir.BF16Type.get())
        ]
        assert str(pointers[0]) == "!tt.ptr<i8>"
        assert str(tt.pointee(pointers[1])) == "bf16"
