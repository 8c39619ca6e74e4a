"""The pass `cpu-expand-math`: what MLIR does not lower, or lowers to functions that are missing."""

from __future__ import annotations

from collections.abc import Callable

from aecompiler.bindings import arith, ir, math
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_SMALLEST_NORMAL = {"f16": 2.0**-14, "bf16": 2.0**-126, "f32": 2.0**-126, "f64": 2.0**-1022}


@register_pass
class ExpandMath(Pass):
    """Expand scalar operations that can't be taken to LLVM, or that LLVM would take to a missing function.

    *Before*: scalar arith and math operations. *After*: there is no `math.isinf`, no `math.isnormal`, no
    `math.expm1` and `math.log1p` (MLIR's own expansion loses all digits near 0), no
    `math.ipowi` on index, no `math.fma` on f16 or bf16, no `arith.truncf` from f64 to f16 or bf16 and no
    `arith.convertf`: the latter three take the way over f32.

    ```mlir
    %0 = math.isinf %x : f32
    ```
    becomes
    ```mlir
    %a = math.absf %x : f32
    %0 = arith.cmpf oeq, %a, %inf : f32
    ```
    """

    NAME = "cpu-expand-math"

    def run(self, op: ir.Operation) -> None:
        """Rewrite operations in `op`."""
        for child in rw.walk_list(op):
            expand = _EXPANSIONS.get(child.name)
            if expand is None or any(isinstance(v.type, ir.ShapedType) for v in child.operands):
                continue
            with ir.InsertionPoint(child), child.location:
                new = expand(child)
            if new is not None:
                child.results[0].replace_all_uses_with(new)
                child.erase()


def _narrow(type_: ir.Type) -> bool:
    return isinstance(type_, (ir.F16Type, ir.BF16Type))


def _isinf(op: ir.Operation) -> ir.Value:
    value = op.operands[0]
    return arith.cmpf(arith.CmpFPredicate.OEQ, math.absf(value), rw.constant(value.type, float("inf")))


def _isnormal(op: ir.Operation) -> ir.Value:
    value = op.operands[0]
    size = math.absf(value)
    smallest = rw.constant(value.type, _SMALLEST_NORMAL[str(value.type)])
    return arith.andi(
        arith.cmpf(arith.CmpFPredicate.OGE, size, smallest),
        arith.cmpf(arith.CmpFPredicate.OLT, size, rw.constant(value.type, float("inf"))),
    )


def _ipowi(op: ir.Operation) -> ir.Value | None:
    base, exponent = op.operands
    if not isinstance(base.type, ir.IndexType):
        return None
    i64 = ir.IntegerType.get_signless(64)
    power = math.ipowi(arith.index_cast(i64, base), arith.index_cast(i64, exponent))
    return arith.index_cast(base.type, power)


def _fma(op: ir.Operation) -> ir.Value | None:
    type_ = op.results[0].type
    if not _narrow(type_):
        return None
    f32 = ir.F32Type.get()
    return arith.truncf(type_, math.fma(*(arith.extf(f32, value) for value in op.operands)))


def _truncf(op: ir.Operation) -> ir.Value | None:
    (value,), type_ = op.operands, op.results[0].type
    if not (isinstance(value.type, ir.F64Type) and _narrow(type_)):
        return None
    # Rounding twice is rounding once if the first rounds to odd: towards zero, with a sticky last bit.
    f32, i32 = ir.F32Type.get(), ir.IntegerType.get_signless(32)
    nearest = arith.truncf(f32, value)
    back = arith.extf(value.type, nearest)
    bits = arith.bitcast(i32, nearest)
    larger = arith.cmpf(arith.CmpFPredicate.OGT, math.absf(back), math.absf(value))
    towards_zero = arith.subi(bits, arith.extui(i32, larger))
    odd = arith.bitcast(f32, arith.ori(towards_zero, rw.constant(i32, 1)))
    inexact = arith.cmpf(arith.CmpFPredicate.ONE, back, value)
    return arith.truncf(type_, arith.select(inexact, odd, nearest))


def _expm1(op: ir.Operation) -> ir.Value:
    """(u - 1) (x / log(u)) with u = exp(x): the errors of u - 1 and of log(u) cancel (Kahan)."""

    def expand(x: ir.Value) -> ir.Value:
        one, infinity = rw.constant(x.type, 1.0), rw.constant(x.type, float("inf"))
        u = math.exp(x)
        less = arith.subf(u, one)
        value = arith.mulf(less, arith.divf(x, math.log(u)))
        value = arith.select(_equal(u, one), x, value)
        # Where exp is 0 or infinite, exp - 1 is right and its logarithm is not finite.
        value = arith.select(_equal(u, infinity), u, value)
        return arith.select(_equal(less, rw.constant(x.type, -1.0)), less, value)

    return _in_f32(op, expand)


def _log1p(op: ir.Operation) -> ir.Value:
    """log(u) (x / (u - 1)) with u = 1 + x: the errors of log(u) and of u - 1 cancel (Kahan)."""

    def expand(x: ir.Value) -> ir.Value:
        one, infinity = rw.constant(x.type, 1.0), rw.constant(x.type, float("inf"))
        u = arith.addf(one, x)
        value = arith.mulf(math.log(u), arith.divf(x, arith.subf(u, one)))
        value = arith.select(_equal(u, one), x, value)
        return arith.select(_equal(u, infinity), u, value)

    return _in_f32(op, expand)


def _equal(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.cmpf(arith.CmpFPredicate.OEQ, a, b)


def _in_f32(op: ir.Operation, expand: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """`expand` of the operand, computed in f32 for the narrow types."""
    (x,) = op.operands
    if not _narrow(x.type):
        return expand(x)
    return arith.truncf(x.type, expand(arith.extf(ir.F32Type.get(), x)))


def _convertf(op: ir.Operation) -> ir.Value:
    """Between f16 and bf16, over f32."""
    return arith.truncf(op.results[0].type, arith.extf(ir.F32Type.get(), op.operands[0]))


_EXPANSIONS: dict[str, Callable[[ir.Operation], ir.Value | None]] = {
    "math.isinf": _isinf,
    "math.isnormal": _isnormal,
    "math.expm1": _expm1,
    "math.ipowi": _ipowi,
    "math.log1p": _log1p,
    "math.fma": _fma,
    "arith.convertf": _convertf,
    "arith.truncf": _truncf,
}
