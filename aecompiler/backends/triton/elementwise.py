"""Scalar operations of a program as operations on `Lanes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import differences
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.bindings import arith, ir, math
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile


@dataclass(frozen=True)
class DeviceLibrary:
    """The library of math functions of a kind of device: its name, and how its functions are called."""

    name: str
    function: Callable[[str, int], str]
    """The name of a function of C for floats of so many bits."""


LIBRARIES = {
    "libdevice": DeviceLibrary("libdevice", lambda name, bits: f"__nv_{name}{'f' if bits == 32 else ''}"),
    "ocml": DeviceLibrary("ocml", lambda name, bits: f"__ocml_{name}_f{bits}"),
}

_TRITON = {"exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "erf", "floor", "ceil", "absf", "fma"}
"""Functions of `math` that Triton lowers itself."""

_IN_C = {"powf": "pow", "roundeven": "rint", "round": "round", "trunc": "trunc", "copysign": "copysign"} | {
    name: name
    for name in (
        *("tanh", "sinh", "cosh", "tan", "asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh"),
        *("expm1", "log1p", "log10", "cbrt", "erfc"),
    )
}
"""Functions of `math` that are called in the device's library, by their names in C."""


def library_functions(library: DeviceLibrary, bits: int) -> dict[str, str]:
    """The functions of a library that operations of `math` on floats of so many bits call, by their names."""
    return {library.function(in_c, bits): name for name, in_c in _IN_C.items()}


_CASTS = frozenset({"extf", "truncf", "extsi", "extui", "trunci", "sitofp", "uitofp", "fptosi", "fptoui"})
_EXPANDED = frozenset({"floordivsi", "ceildivsi", "ceildivui"})


def evaluate(
    op: ir.Operation, operands: Sequence[Lanes], sizes: Sequence[int], library: DeviceLibrary
) -> Lanes:
    """An operation of `arith` or `math` with one result on values; `sizes` are those of all loops.

    Raises `UnsupportedTile` for another.
    """
    dialect, _, name = op.name.partition(".")
    if len(op.results) != 1 or dialect not in ("arith", "math"):
        raise UnsupportedTile(f"'{op.name}' on elements")
    result = op.results[0].type
    if name == "constant":
        return _constant(op)
    if name in ("index_cast", "index_castui"):
        return _index_cast(operands[0], result, unsigned=name == "index_castui")
    if name == "select":
        condition, yes, no = operands
        return ln.choose(condition, yes, no, sizes)
    if name == "cmpi" and operands[0].range is not None:
        left, right = operands
        return ln.compare(op.attributes["predicate"], left, right, sizes)
    if isinstance(result, ir.IndexType):
        if name == "absi":
            return ln.absolute(operands[0])
        if dialect != "arith" or len(operands) != 2:
            raise UnsupportedTile(f"'{op.name}' on numbers of type index")
        left, right = operands
        return ln.compute(name, left, right, sizes)
    spread, loops = ln.together(operands, sizes)
    values = [each.value for each in spread]
    if name == "negf":  # -0 - x is -x, and Triton lowers no other negation
        return Lanes(arith.subf(tt.constant(values[0].type, -0.0), values[0]), loops)
    if name in _EXPANDED:
        return Lanes(ln.binary(name, *values), loops)
    if dialect == "math" and name not in _TRITON:
        return Lanes(_math(op, name, values, library), loops)
    if name == "sitofp":
        difference = differences.as_float(values[0], result)
        if difference is not None:
            return Lanes(difference, loops)
        values = [_unextended(values[0])]
    type_ = tt.typed(tt.shape_of(values[0]), result)
    if name in _CASTS and tt.element_of(values[0]) == result:
        return Lanes(values[0], loops)
    attributes = {each: op.attributes[each] for each in op.attributes}
    new = ir.Operation.create(op.name, results=[type_], operands=values, attributes=attributes)
    return Lanes(new.results[0], loops)


def _unextended(value: ir.Value) -> ir.Value:
    """A signed number before it was extended, which is the same."""
    made = rw.definer(value)
    return made.operands[0] if made is not None and made.name == "arith.extsi" else value


def _constant(op: ir.Operation) -> Lanes:
    attribute = op.attributes["value"]
    if isinstance(op.results[0].type, ir.IndexType):
        return ln.constant(ir.IntegerAttr(attribute).value)
    if isinstance(op.results[0].type, ir.ShapedType):
        raise UnsupportedTile("a tensor of constants")
    return Lanes(arith.ConstantOp(op.results[0].type, attribute).result)


def _index_cast(operand: Lanes, result: ir.Type, *, unsigned: bool) -> Lanes:
    shape = tt.shape_of(operand.value)
    if operand.range is not None:  # from index
        bits, value = result.width, operand.value
        if tt.element_of(value).width == bits:
            return Lanes(value, operand.loops)
        value = ln.wide(operand)
        if bits < 64:
            value = arith.trunci(tt.typed(shape, tt.integer(bits)), value)
        return Lanes(value, operand.loops)
    bits = operand.element.width
    if bits == 64:
        return ln.number(operand.value, operand.loops, (-(1 << 63), (1 << 63) - 1))
    extend = arith.extui if unsigned else arith.extsi
    value = extend(tt.typed(shape, tt.integer(64)), operand.value)
    limits = (0, (1 << bits) - 1) if unsigned else ln.type_range(operand.element)
    if bits == 32 and not unsigned:
        value = operand.value
    return ln.number(value, operand.loops, limits)


def _math(op: ir.Operation, name: str, values: Sequence[ir.Value], library: DeviceLibrary) -> ir.Value:
    first = values[0]
    if name in ("isnan", "isinf", "isfinite"):
        return _class_of(name, first)
    if name == "absi":
        zero = tt.constant(first.type, 0)
        return arith.maxsi(first, arith.subi(zero, first))
    if name not in _IN_C:
        raise UnsupportedTile(f"'{op.name}' on elements")
    element, shape = tt.element_of(first), tt.shape_of(first)
    wide = element if element.width >= 32 else ir.F32Type.get()
    if wide != element:
        values = [arith.extf(tt.typed(shape, wide), value) for value in values]
    called = library.function(_IN_C[name], wide.width)
    result = tt.library_call(called, values, tt.typed(shape, wide), library.name)
    return result if wide == element else arith.truncf(first.type, result)


def _class_of(name: str, value: ir.Value) -> ir.Value:
    if name == "isnan":
        return arith.cmpf(arith.CmpFPredicate.UNO, value, value)
    infinity = tt.constant(value.type, float("inf"))
    predicate = arith.CmpFPredicate.OEQ if name == "isinf" else arith.CmpFPredicate.OLT
    return arith.cmpf(predicate, math.absf(value), infinity)
