"""Arithmetic of host functions: what plans compute is what the reference does, in the types of the IR."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_host_plan import run

from aecompiler.backends.gpu import host_arithmetic
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

INTEGERS = ("i1", "i8", "i16", "i32", "i64", "index")
BINARY = (
    *("addi", "subi", "muli", "divsi", "divui", "ceildivsi", "ceildivui", "floordivsi", "remsi", "remui"),
    *("andi", "ori", "xori", "shli", "shrsi", "shrui", "minsi", "maxsi", "minui", "maxui"),
)


@st.composite
def programs(draw):
    """A random function on integers: its text, and arguments."""
    types = [draw(st.sampled_from(INTEGERS)) for _ in range(3)]
    values = [(f"%a{n}", type_) for n, type_ in enumerate(types)]
    lines = []
    for n in range(draw(st.integers(1, 12))):
        name, (a, type_) = f"%v{n}", draw(st.sampled_from(values))
        b = draw(st.sampled_from([value for value, other in values if other == type_]))
        kind = draw(st.sampled_from(("binary", "compare", "select", "convert", "constant")))
        if kind == "binary":
            lines.append(f"{name} = arith.{draw(st.sampled_from(BINARY))} {a}, {b} : {type_}")
        elif kind == "compare":
            predicate = draw(st.sampled_from(host_arithmetic.PREDICATES["arith.cmpi"]))
            lines.append(f"{name} = arith.cmpi {predicate}, {a}, {b} : {type_}")
            type_ = "i1"
        elif kind == "select":
            conditions = [value for value, other in values if other == "i1"]
            if not conditions:
                continue
            lines.append(f"{name} = arith.select {draw(st.sampled_from(conditions))}, {a}, {b} : {type_}")
        elif kind == "constant":
            low, high = _range(type_)
            number = draw(st.integers(low, high))
            text = ("false", "true")[number] if type_ == "i1" else number
            lines.append(
                f"{name} = arith.constant {text} : {type_}"
                if type_ != "i1"
                else f"{name} = arith.constant {text}"
            )
        else:
            to = draw(st.sampled_from(INTEGERS))
            operation = _conversion(type_, to, draw(st.booleans()))
            if operation is None:
                continue
            lines.append(f"{name} = arith.{operation} {a} : {type_} to {to}")
            type_ = to
        values.append((name, type_))
    name, type_ = values[-1]
    arguments = ", ".join(f"{value} : {other}" for value, other in values[:3])
    body = "\n  ".join(lines)
    text = f"func.func @f({arguments}) -> {type_} {{\n  {body}\n  return {name} : {type_}\n}}"
    edges = [st.sampled_from([low, high, 0, 1]) | st.integers(low, high) for low, high in map(_range, types)]
    return text, [draw(edge) for edge in edges]


def _range(type_):
    if type_ == "i1":
        return 0, 1
    bits = host_arithmetic.width(type_)
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _conversion(from_, to, is_unsigned):
    if from_ == to:
        return None
    if "index" in (from_, to):
        return "index_castui" if is_unsigned else "index_cast"
    if host_arithmetic.width(from_) > host_arithmetic.width(to):
        return "trunci"
    return "extui" if is_unsigned else "extsi"


@settings(max_examples=300, deadline=None)
@given(programs())
def test_random_arithmetic_is_that_of_the_reference(program):
    import numpy as np

    from aecompiler.reference import evaluate as registers_handlers  # noqa: F401
    from aecompiler.reference.machine import Decoder, Frame
    from aecompiler.reference.values import parse_type, widen

    text, arguments = program
    with make_context():
        module = ir.Module.parse(text)
        block = module.body.operations[0].operation.regions[0].blocks[0]
        types = [parse_type(str(value.type)) for value in block.arguments]
        values = [widen(np.asarray(value), type_) for value, type_ in zip(arguments, types, strict=True)]
        with np.errstate(all="ignore"):
            (expected,) = Frame().run(Decoder().block(block), values)
    made = run(text, arguments)
    assert int(made.events[-1][2]) == int(expected), text


@pytest.mark.parametrize(
    ("operation", "a", "b", "expected"),
    [
        ("addf", 0.1, 0.2, "0x1.3333340000000p-2"),
        ("divf", 1.0, 3.0, "0x1.5555560000000p-2"),
        ("divf", 1.0, 0.0, "inf"),
        ("divf", -1.0, 0.0, "-inf"),
        ("divf", 0.0, 0.0, "nan"),
        ("mulf", 3e38, 10.0, "inf"),
        ("subf", 1.0, 2.0**-30, "0x1.0000000000000p+0"),
    ],
)
def test_floats_are_rounded_to_their_type(operation, a, b, expected):
    body = f"%r = arith.{operation} %a, %b : f32\n  return %r : f32"
    text = f"func.func @f(%a: f32, %b: f32) -> f32 {{\n  {body}\n}}"
    a, b = map(host_arithmetic.round_f32, (a, b))
    assert run(text, [a, b]).events[-1][2].hex() == expected


def test_conversion_of_an_integer_rounds_once():
    # Just above half-way between two f32: rounding to f64 first would make it exactly half-way.
    text = "func.func @f(%a: i64) -> f32 {\n  %r = arith.sitofp %a : i64 to f32\n  return %r : f32\n}"
    number = (1 << 62) + (1 << 38) + 1
    assert run(text, [number]).events[-1][2] == float((1 << 62) + (1 << 39))
    assert run(text, [-number]).events[-1][2] == -float((1 << 62) + (1 << 39))


def test_bf16_is_rounded_as_ml_dtypes_does():
    import ml_dtypes
    import numpy as np

    values = np.concatenate(
        [np.random.default_rng(1).normal(size=2000) * 10.0 ** np.arange(-45, 39, 0.042), [0.0, 1e-41, 3.4e38]]
    )
    with np.errstate(over="ignore"):
        expected = values.astype(np.float64).astype(ml_dtypes.bfloat16).astype(np.float64)
    for value, rounded in zip(values, expected, strict=True):
        assert host_arithmetic.round_bf16(float(value)) == rounded, value


def test_infinite_constants_and_comparisons():
    text = """
func.func @f(%a: f32, %n: index) -> index {
  %inf = arith.constant 0xFF800000 : f32
  %c = arith.cmpf ogt, %a, %inf : f32
  %m = arith.constant 7 : index
  %r = arith.select %c, %n, %m : index
  return %r : index
}"""
    assert run(text, [0.0, 3]).events[-1][2] == 3
    assert run(text, [float("-inf"), 3]).events[-1][2] == 7
    assert run(text, [float("nan"), 3]).events[-1][2] == 7
