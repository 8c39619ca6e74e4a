"""The pass `cpu-expand-vector-math`: functions of vectors, without calls."""

from __future__ import annotations

import math as numbers
import struct
from collections.abc import Callable, Sequence

from aecompiler.bindings import arith, ir, llvm, math, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_LOG2_E = numbers.log2(numbers.e)

_EXP2_F32 = (
    *(0.001326472724711154, 0.009671512688150646, 0.05550733743574232),
    *(0.24022242084635143, 0.6931469775987164, 1.0),
)
"""2^f for f between -1/2 and 1/2: of those that are 1 at 0, that of the smallest relative error (9e-8)."""
_EXP2_F64 = tuple(numbers.log(2) ** n / numbers.factorial(n) for n in range(13, -1, -1))
_TANH_ODD = (
    *(-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08),
    *(1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
)
_TANH_EVEN = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_TANH_ONE = 7.90531110763549805
"""Beyond it tanh is 1 in f32."""

_LOG_F32 = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_SQRT_HALF = 0x3F3504F3
"""The bits of sqrt(1/2) in f32."""

_NATIVE = frozenset(
    f"math.{name}"
    for name in ("absf", "absi", "sqrt", "floor", "ceil", "trunc", "roundeven", "copysign", "fma")
)


@register_pass
class ExpandVectorMath(Pass):
    """Expand functions of vectors into arithmetic.

    LLVM would call the scalar function of the C library for each element. *Before*: any IR. *After*: no
    operation of math on vectors is left but those that are instructions. exp, exp2, log and tanh of f32, and
    exp and exp2 of f64, are polynomials, right to about 2 units in the last place; results below the smallest
    normal number are 0. exp and exp2 are right for infinities and NaN. Other functions are
    computed element by element. `arith.maximumf` and `arith.minimumf` become comparisons that hand on NaN,
    for which the two zeros are equal. With `scale-instruction`, f32 vectors of 512 bits use the instructions
    of AVX-512 that scale by powers of two and that approximate 1 / x.

    ```mlir
    %0 = math.exp %x : vector<16xf32>
    ```
    becomes
    ```mlir
    %n = math.roundeven %scaled : vector<16xf32>
    ...
    %4 = math.fma %3, %f, %c1 : vector<16xf32>
    %0 = llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%4, %n, ...) : ...
    ```
    """

    NAME = "cpu-expand-vector-math"

    scale_instruction: bool = option(False, "use the instructions of AVX-512 for powers of two and 1 / x")

    def run(self, op: ir.Operation) -> None:
        """Rewrite operations in `op`."""
        # Users first: what is known of an operand stands in the operations that are not expanded yet.
        for child in reversed(rw.walk_list(op)):
            if not child.name.startswith(("math.", "arith.m")) or len(child.results) != 1:
                continue
            if not isinstance(child.results[0].type, ir.VectorType) or child.name in _NATIVE:
                continue
            with ir.InsertionPoint(child), child.location:
                new = self._expand(child)
            if new is not None:
                child.results[0].replace_all_uses_with(new)
                child.erase()

    def _expand(self, op: ir.Operation) -> ir.Value | None:
        known = {
            "arith.maximumf": lambda a, b: _extreme(a, b, arith.CmpFPredicate.OGT),
            "arith.minimumf": lambda a, b: _extreme(a, b, arith.CmpFPredicate.OLT),
        }
        f32 = {
            "math.exp": self._exp,
            "math.exp2": self._exp2,
            "math.tanh": self._tanh,
            "math.log": _log,
        }
        f64 = {"math.exp": lambda x: _exp_f64(x, _LOG2_E), "math.exp2": lambda x: _exp_f64(x, 1.0)}
        element = ir.VectorType(op.results[0].type).element_type
        table: dict[str, Callable] = dict(known)
        if isinstance(element, ir.F32Type):
            table.update(f32)
        elif isinstance(element, ir.F64Type):
            table.update(f64)
        if op.name in table:
            return table[op.name](*op.operands)
        return _by_element(op) if op.name.startswith("math.") else None

    def _has_instructions(self, x: ir.Value) -> bool:
        return self.scale_instruction and ir.VectorType(x.type).shape == [16]

    def _exp2(self, x: ir.Value) -> ir.Value:
        """2^x for f32: a polynomial of what rounding leaves, scaled by the rounded power."""
        if not self._has_instructions(x):
            n = math.roundeven(_bounded(x, -126.0, 128.0))
            mantissa = _polynomial(arith.subf(_bounded(x, -126.0, 128.0), n), _EXP2_F32)
            return _scaled(mantissa, n, x, low=-126.0, high=128.0, mantissa_bits=23)
        # The difference is exact, and NaN for infinities; the instruction then looks at n alone.
        n = math.roundeven(x)
        return self._scaled_by_instruction(_polynomial(arith.subf(x, n), _EXP2_F32), n)

    def _exp(self, x: ir.Value) -> ir.Value:
        """exp(x) = 2^(x log2(e)) for f32, with log2(e), and a constant factor of x, in two parts."""
        factor, bound = _LOG2_E, _bound(x)
        if (scaled := _constant_factor(x)) is not None and abs(scaled[1]) > 1e-30:
            x, factor = scaled[0], scaled[1] * _LOG2_E
        first = struct.unpack("f", struct.pack("f", factor))[0]
        instruction = self._has_instructions(x)
        low, high = (-160.0, 130.0) if instruction else (-126.0, 128.0)
        bounded = x
        if not (instruction and bound < 80):
            bounded = _bounded(x, *sorted((low / factor, high / factor)))
        n = math.roundeven(arith.mulf(bounded, _splat(x, first)))
        rest = math.fma(bounded, _splat(x, first), arith.negf(n))
        rest = math.fma(bounded, _splat(x, factor - first), rest)
        mantissa = _polynomial(rest, _EXP2_F32)
        if instruction:
            return self._scaled_by_instruction(mantissa, n)
        x = arith.mulf(x, _splat(x, first))
        return _scaled(mantissa, n, x, low=low, high=high, mantissa_bits=23)

    def _scaled_by_instruction(self, mantissa: ir.Value, n: ir.Value) -> ir.Value:
        i16, i32 = (ir.IntegerType.get_signless(bits) for bits in (16, 32))
        arguments = [mantissa, n, mantissa, rw.constant(i16, -1), rw.constant(i32, 4)]
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        return llvm.CallIntrinsicOp(n.type, name, arguments, [], []).results[0]

    def _tanh(self, x: ir.Value) -> ir.Value:
        """A rational function, odd in x, where the result is not 1 yet."""
        bounded = _bounded(x, -_TANH_ONE, _TANH_ONE)
        square = arith.mulf(bounded, bounded)
        above = arith.mulf(bounded, _polynomial(square, _TANH_ODD))
        below = _polynomial(square, _TANH_EVEN)
        if not self._has_instructions(x):
            return arith.divf(above, below)
        # 1 / below to 14 bits, and one step of Newton's method; `below` is positive and not small.
        i16 = ir.IntegerType.get_signless(16)
        name = "llvm.x86.avx512.rcp14.ps.512"
        guess = llvm.CallIntrinsicOp(x.type, name, [below, below, rw.constant(i16, -1)], [], []).results[0]
        quotient = arith.mulf(above, guess)
        error = math.fma(arith.negf(quotient), below, above)
        return math.fma(error, guess, quotient)


def _splat(like: ir.Value, value: float | int) -> ir.Value:
    type_ = ir.VectorType(like.type)
    element = type_.element_type
    integer = isinstance(element, ir.IntegerType)
    scalar = ir.IntegerAttr.get(element, value) if integer else ir.FloatAttr.get(element, value)
    return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, scalar))


def _constant(value: ir.Value) -> float | None:
    """The number that is in each lane of a vector."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    if owner.operation.name == "vector.broadcast":
        return rw.float_value(owner.operation.operands[0])
    if owner.operation.name == "arith.constant":
        attribute = owner.operation.attributes["value"]
        if isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat:
            return ir.FloatAttr(attribute.get_splat_value()).value
    return None


def _constant_factor(x: ir.Value) -> tuple[ir.Value, float] | None:
    """`(y, c)` where `x` is y * c."""
    if isinstance(x.owner, ir.Block) or x.owner.operation.name != "arith.mulf":
        return None
    a, b = x.owner.operation.operands
    for value, factor in ((a, _constant(b)), (b, _constant(a))):
        if factor is not None and numbers.isfinite(factor):
            return value, factor
    return None


def _bound(x: ir.Value) -> float:
    """What the absolute value of `x` does not exceed, unless it is NaN."""
    if isinstance(x.owner, ir.Block):
        return numbers.inf
    if x.owner.operation.name == "math.tanh":
        return 1.0
    scaled = _constant_factor(x)
    return numbers.inf if scaled is None else _bound(scaled[0]) * abs(scaled[1])


def _compare(predicate: arith.CmpFPredicate, a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.cmpf(predicate, a, b)


def _extreme(a: ir.Value, b: ir.Value, beats: arith.CmpFPredicate) -> ir.Value:
    """The larger or smaller; NaN if one of them is NaN."""
    best = arith.select(_compare(beats, a, b), a, b)  # b, where one is NaN
    return arith.select(_compare(arith.CmpFPredicate.UNO, a, a), a, best)


def _bounded(x: ir.Value, low: float, high: float) -> ir.Value:
    """`x` in an interval; NaN stays NaN."""
    lower, upper = _splat(x, low), _splat(x, high)
    x = arith.select(_compare(arith.CmpFPredicate.OLT, x, lower), lower, x)
    return arith.select(_compare(arith.CmpFPredicate.OGT, x, upper), upper, x)


def _polynomial(x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
    """Horner's scheme, the highest power first."""
    result = _splat(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = math.fma(result, x, _splat(x, coefficient))
    return result


def _scaled(
    mantissa: ir.Value, n: ir.Value, x: ir.Value, *, low: float, high: float, mantissa_bits: int
) -> ir.Value:
    """`mantissa * 2^n` by adding to the exponent; 0 for x below `low`, infinity for x not below `high`."""
    type_ = ir.VectorType(x.type)
    integer = ir.IntegerType.get_signless(type_.element_type.width)
    integers = ir.VectorType.get(type_.shape, integer)
    # Rounded to nearest, n is a small integer: in the last bits of n + 1.5 * 2^mantissa_bits.
    shifted = vector.bitcast(integers, arith.addf(n, _splat(n, 1.5 * 2.0**mantissa_bits)))
    exponent = arith.shli(shifted, _splat(shifted, mantissa_bits))
    value = vector.bitcast(type_, arith.addi(vector.bitcast(integers, mantissa), exponent))
    value = arith.select(_compare(arith.CmpFPredicate.OLT, x, _splat(x, low)), _splat(x, 0.0), value)
    value = arith.select(
        _compare(arith.CmpFPredicate.OGE, x, _splat(x, high)), _splat(x, float("inf")), value
    )
    return arith.select(_compare(arith.CmpFPredicate.UNO, x, x), x, value)


def _exp_f64(x: ir.Value, factor: float) -> ir.Value:
    """2^(factor x) for f64."""
    low, high = -1022.0 / factor, 1024.0 / factor
    bounded = _bounded(x, low, high)
    if factor == 1.0:
        n = math.roundeven(bounded)
        rest = arith.subf(bounded, n)
    else:
        n = math.roundeven(arith.mulf(bounded, _splat(x, factor)))
        # x - n ln 2 in two steps, the first of which is exact.
        high_part = 6.93147180369123816490e-01
        rest = math.fma(n, _splat(x, -high_part), bounded)
        rest = math.fma(n, _splat(x, -1.90821492927058770002e-10), rest)
        rest = arith.mulf(rest, _splat(x, factor))
    return _scaled(_polynomial(rest, _EXP2_F64), n, x, low=low, high=high, mantissa_bits=52)


def _log(x: ir.Value) -> ir.Value:
    """log(2^k m) = k ln 2 + log(m), with m between sqrt(1/2) and sqrt(2)."""
    type_ = ir.VectorType(x.type)
    integers = ir.VectorType.get(type_.shape, ir.IntegerType.get_signless(32))
    kinds = arith.CmpFPredicate
    tiny = _compare(kinds.OLT, x, _splat(x, 2.0**-126))
    normal = arith.select(tiny, arith.mulf(x, _splat(x, 2.0**23)), x)
    bits = vector.bitcast(integers, normal)
    k = arith.shrsi(arith.subi(bits, _splat(bits, _SQRT_HALF)), _splat(bits, 23))
    m = vector.bitcast(type_, arith.subi(bits, arith.shli(k, _splat(bits, 23))))
    power = arith.sitofp(type_, k)
    power = arith.select(tiny, arith.subf(power, _splat(x, 23.0)), power)
    f = arith.subf(m, _splat(x, 1.0))
    square = arith.mulf(f, f)
    tail = arith.mulf(arith.mulf(_polynomial(f, _LOG_F32), f), square)
    tail = math.fma(power, _splat(x, -2.12194440e-4), tail)
    tail = math.fma(square, _splat(x, -0.5), tail)
    value = math.fma(power, _splat(x, 0.693359375), arith.addf(f, tail))
    infinity, zero = _splat(x, float("inf")), _splat(x, 0.0)
    value = arith.select(_compare(kinds.OEQ, x, infinity), infinity, value)
    value = arith.select(_compare(kinds.OEQ, x, zero), _splat(x, float("-inf")), value)
    return arith.select(_compare(kinds.ULT, x, zero), _splat(x, float("nan")), value)


def _by_element(op: ir.Operation) -> ir.Value:
    """The operation on each element of its vectors."""
    type_ = ir.VectorType(op.results[0].type)
    (lanes,) = type_.shape
    attributes = {op.attributes[i].name: op.attributes[i].attr for i in range(len(op.attributes))}
    elements = []
    for lane in range(lanes):
        operands = [vector.ExtractOp(value, [], [lane]).result for value in op.operands]
        new = ir.Operation.create(
            op.name, results=[type_.element_type], operands=operands, attributes=attributes
        )
        elements.append(new.results[0])
    return vector.from_elements(type_, elements)
