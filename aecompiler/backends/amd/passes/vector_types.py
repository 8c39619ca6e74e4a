"""Types and constants of vectors, and the identities of what reductions combine by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aecompiler.bindings import arith, ir

KINDS = {
    "arith.addf": "add",
    "arith.addi": "add",
    "arith.mulf": "mul",
    "arith.muli": "mul",
    "arith.maximumf": "maximumf",
    "arith.minimumf": "minimumf",
    "arith.maxnumf": "maxnumf",
    "arith.minnumf": "minnumf",
    "arith.maxsi": "maxsi",
    "arith.minsi": "minsi",
    "arith.maxui": "maxui",
    "arith.minui": "minui",
    "arith.andi": "and",
    "arith.ori": "or",
    "arith.xori": "xor",
}
"""The kinds of reductions of `vector` by the operation that they combine by."""

_OF_FLOATS = {
    "add": -0.0,  # 0 would make a sum of -0 be 0
    "mul": 1.0,
    "maximumf": -math.inf,
    "minimumf": math.inf,
    "maxnumf": math.nan,
    "minnumf": math.nan,
}


def identity(kind: str, element: ir.Type) -> int | float:
    """What a kind of reduction leaves every element of a type as it is with."""
    if not isinstance(element, ir.IntegerType):
        return _OF_FLOATS[kind]
    highest = (1 << (element.width - 1)) - 1
    of_integers = {"add": 0, "mul": 1, "maxsi": -highest - 1, "minsi": highest}
    return (of_integers | {"maxui": 0, "minui": -1, "and": -1, "or": 0, "xor": 0})[kind]


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The shape of a vector; () for a scalar."""
    return tuple(value.type.shape) if isinstance(value.type, ir.VectorType) else ()


def element_of(value: ir.Value) -> ir.Type:
    """The type of the elements of a vector, or of a scalar."""
    return value.type.element_type if isinstance(value.type, ir.VectorType) else value.type


def typed(shape: Sequence[int], element: ir.Type) -> ir.Type:
    """A vector type, or the type of its elements for the shape ()."""
    return ir.VectorType.get(list(shape), element) if shape else element


def constant(type_: ir.Type, number: int | float) -> ir.Value:
    """A scalar, or a vector of it."""
    element = type_.element_type if isinstance(type_, ir.VectorType) else type_
    integer = isinstance(element, (ir.IntegerType, ir.IndexType))
    value = ir.IntegerAttr.get(element, int(number)) if integer else ir.FloatAttr.get(element, float(number))
    if isinstance(type_, ir.VectorType):
        value = ir.DenseElementsAttr.get_splat(type_, value)
    return arith.ConstantOp(type_, value).result


def integer(bits: int) -> ir.Type:
    """The signless integer type of `bits`."""
    return ir.IntegerType.get_signless(bits)
