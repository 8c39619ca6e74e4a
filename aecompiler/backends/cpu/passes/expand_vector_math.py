"""The pass `cpu-expand-vector-math`: functions of vectors, without calls."""

from __future__ import annotations

import functools
import math as numbers
from collections.abc import Callable, Sequence

from aecompiler.bindings import arith, ir, llvm, math, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass

_LOG2_E = numbers.log2(numbers.e)

_EXP2_F32 = (
    *(0.001326472724711154, 0.009671512688150646, 0.05550733743574232),
    *(0.24022242084635143, 0.6931469775987164, 1.0),
)
"""2^f for f between -1/2 and 1/2: of those that are 1 at 0, that of the smallest relative error (9e-8)."""
_EXP_F32 = tuple(c * _LOG2_E ** (5 - n) for n, c in enumerate(_EXP2_F32))
"""exp(f) for f between -ln(2) / 2 and ln(2) / 2."""
_EXP2_F64 = tuple(numbers.log(2) ** n / numbers.factorial(n) for n in range(13, -1, -1))
_LN2 = numbers.log(2)
_LN2_F32_FUSED = (0.693147182464599609375, -1.904654299957e-09)
"""ln 2 in two parts, for products that are not rounded."""
_LN2_F32 = (0.693359375, -2.12194440e-4)
_LN2_F64 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
"""ln 2 in two parts, the first of so few digits that its product with an exponent is exact."""
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
    exp and exp2 of f64, are polynomials. Their largest errors, measured in units in the last place, are 2 for
    exp and exp2 (f64: 1), 1 for log, 4.3 for tanh; results below the smallest normal number may be 0. exp and
    exp2 are right for infinities and NaN. Other functions are computed element by element. Chains of
    `arith.maximumf` or `arith.minimumf` become comparisons that hand on NaN, for which the two zeros are
    equal. Sums of products are `vector.fma`, which LLVM rounds twice where there is no instruction for it.
    With `scale-instruction`, f32 vectors of 512 bits use the instructions of AVX-512 (F and DQ) that scale by
    powers of two, bound, look up 32 numbers, and approximate 1 / x.

    ```mlir
    %0 = math.exp %x : vector<16xf32>
    ```
    becomes
    ```mlir
    %s = vector.fma %x, %log2e, %shift : vector<16xf32>
    %n = arith.subf %s, %shift : vector<16xf32>
    ...
    %4 = vector.fma %3, %f, %c1 : vector<16xf32>
    %0 = llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%4, %n, ...) : ...
    ```
    """

    NAME = "cpu-expand-vector-math"

    scale_instruction: bool = option(False, "use the instructions of AVX-512 for powers of two and 1 / x")

    def run(self, op: ir.Operation) -> None:
        """Rewrite operations in `op`."""
        for child in rw.walk_list(op):
            expand = self._expansion(child)
            if expand is None or (child.name in _EXTREMES and _leads_on(child)):
                continue
            if any(ir.VectorType(value.type).scalable for value in child.operands):
                raise PassFailure(child, "unsupported: a vector whose size is known to the processor alone")
            values, chain = _leaves(child) if child.name in _EXTREMES else (list(child.operands), [])
            type_ = ir.VectorType(child.results[0].type)
            with ir.InsertionPoint(child), child.location:
                if type_.rank == 1:
                    new = expand(*values)
                else:
                    new = vector.shape_cast(type_, expand(*map(_flat, values)))
            child.results[0].replace_all_uses_with(new)
            for old in (child, *chain):
                old.erase()

    def _expansion(self, op: ir.Operation) -> Callable[..., ir.Value] | None:
        """What makes something else of an operation on vectors of rank 1."""
        if len(op.results) != 1 or not isinstance(op.results[0].type, ir.VectorType) or op.name in _NATIVE:
            return None
        if op.name in _EXTREMES:
            return lambda *values: _extreme(values, _EXTREMES[op.name])
        element = ir.VectorType(op.results[0].type).element_type
        table: dict[str, Callable[..., ir.Value]] = {}
        if isinstance(element, ir.F32Type):
            table = {
                "math.exp": self._exp,
                "math.exp2": self._exp2,
                "math.tanh": self._tanh,
                "math.log": _log,
            }
        elif isinstance(element, ir.F64Type):
            table = {
                "math.exp": lambda x: _exp_f64(x, _LOG2_E),
                "math.exp2": lambda x: _exp_f64(x, 1.0),
            }
        if op.name in table or not op.name.startswith("math."):
            return table.get(op.name)
        return lambda *values: _by_element(op, values)

    def _has_instructions(self, x: ir.Value) -> bool:
        return self.scale_instruction and ir.VectorType(x.type).shape == [16]

    def _exp2(self, x: ir.Value) -> ir.Value:
        """2^x for f32: a polynomial of what rounding leaves, scaled by the rounded power."""
        if self._has_instructions(x):
            # The difference is exact, and NaN for infinities; the instruction then looks at n alone.
            n = math.roundeven(x)
            return self._scaled_by_instruction(_polynomial(arith.subf(x, n), _EXP2_F32), n)
        bounded = _bounded(x, -126.0, 128.0)
        shifted, n = _nearest(bounded, 1.0)
        mantissa = _polynomial(arith.subf(bounded, n), _EXP2_F32)
        return _scaled(mantissa, shifted, x, low=-126.0, high=128.0)

    def _exp(self, x: ir.Value) -> ir.Value:
        """exp(x) = 2^n exp(x - n ln 2) for f32, with ln 2 in two parts: n times the first is exact."""
        if self._has_instructions(x):
            return self._exp_by_table(x)
        low, high = -126.0 / _LOG2_E, 128.0 / _LOG2_E
        bounded = _bounded(x, low, high)
        shifted, n = _nearest(bounded, _LOG2_E)
        mantissa = _polynomial(_without_powers(bounded, n, _LN2_F32), _EXP_F32)
        return _scaled(mantissa, shifted, x, low=low, high=high)

    def _exp_by_table(self, x: ir.Value) -> ir.Value:
        """As `_exp`, with n in 32nds: the powers of fractions are looked up, and the rest is squared only."""
        shifted, n = _nearest(x, _LOG2_E, fraction_bits=5)
        # Where x is so large that nothing is left of its digits, any rest will do: n then says all.
        rest = self._at_most_half(_without_powers(x, n, _LN2_F32_FUSED))
        integers = ir.VectorType.get(ir.VectorType(x.type).shape, ir.IntegerType.get_signless(32))
        fractions = [_numbers(x, [2.0 ** (n / 32) for n in range(first, first + 16)]) for first in (0, 16)]
        arguments = [fractions[0], vector.bitcast(integers, shifted), fractions[1]]
        name = "llvm.x86.avx512.vpermi2var.ps.512"  # looks at the last 5 bits
        power = llvm.CallIntrinsicOp(x.type, name, arguments, [], []).results[0]
        linear = _fma(rest, _splat(x, 0.5), _splat(x, 1.0 + (_LN2 / 64) ** 2 / 8))
        mantissa = _fma(arith.mulf(power, rest), linear, power)
        return self._scaled_by_instruction(mantissa, n)

    def _at_most_half(self, x: ir.Value) -> ir.Value:
        """`x` between -1/2 and 1/2, a number also for NaN: of the smaller absolute value, the sign of `x`."""
        i16, i32 = (ir.IntegerType.get_signless(bits) for bits in (16, 32))
        smaller, rounding = rw.constant(i32, 2), rw.constant(i32, 4)
        arguments = [x, _splat(x, 0.5), smaller, x, rw.constant(i16, -1), rounding]
        return llvm.CallIntrinsicOp(x.type, "llvm.x86.avx512.mask.range.ps.512", arguments, [], []).results[0]

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
        error = _fma(arith.negf(quotient), below, above)
        return _fma(error, guess, quotient)


def _splat(like: ir.Value, value: float | int) -> ir.Value:
    type_ = ir.VectorType(like.type)
    element = type_.element_type
    integer = isinstance(element, ir.IntegerType)
    scalar = ir.IntegerAttr.get(element, value) if integer else ir.FloatAttr.get(element, value)
    return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, scalar))


def _numbers(like: ir.Value, values: Sequence[float]) -> ir.Value:
    """A vector of these numbers."""
    type_ = ir.VectorType(like.type)
    elements = [ir.FloatAttr.get(type_.element_type, value) for value in values]
    return arith.constant(type_, ir.DenseElementsAttr.get(elements, type_))


def _fma(a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """`a * b + c`: rounded once where there is an instruction for it, else twice and without a call."""
    return vector.fma(a, b, c)


def _compare(predicate: arith.CmpFPredicate, a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.cmpf(predicate, a, b)


_EXTREMES = {"arith.maximumf": arith.CmpFPredicate.OGT, "arith.minimumf": arith.CmpFPredicate.OLT}


def _leads_on(op: ir.Operation) -> bool:
    """Whether the largest of something is used once only, for the largest of more."""
    uses = list(op.results[0].uses)
    user = uses[0].owner.operation if len(uses) == 1 else None
    return user is not None and user.name == op.name and user.block == op.block


def _leaves(op: ir.Operation) -> tuple[list[ir.Value], list[ir.Operation]]:
    """What the last operation of a chain takes the largest of, and the operations before it, last first."""
    leaves: list[ir.Value] = []
    chain: list[ir.Operation] = []
    for operand in op.operands:
        owner = operand.owner
        if isinstance(owner, ir.Block) or owner.operation.name != op.name or not _leads_on(owner.operation):
            leaves.append(operand)
            continue
        more, inner = _leaves(owner.operation)
        leaves += more
        chain += [owner.operation, *inner]
    return leaves, chain


def _extreme(values: Sequence[ir.Value], beats: arith.CmpFPredicate) -> ir.Value:
    """The largest or smallest; NaN if one of them is NaN: two are looked at by one comparison."""
    unordered = [
        _compare(arith.CmpFPredicate.UNO, a, b)
        for a, b in zip(values[::2], [*values[1::2], values[-1]], strict=False)
    ]
    best = list(values)
    while len(best) > 1:
        rest = best[len(best) & ~1 :]
        best = [
            arith.select(_compare(beats, a, b), a, b) for a, b in zip(best[::2], best[1::2], strict=False)
        ] + rest
    return arith.select(functools.reduce(arith.ori, unordered), _splat(best[0], float("nan")), best[0])


def _bounded(x: ir.Value, low: float, high: float) -> ir.Value:
    """`x` in an interval; NaN stays NaN."""
    lower, upper = _splat(x, low), _splat(x, high)
    x = arith.select(_compare(arith.CmpFPredicate.OLT, x, lower), lower, x)
    return arith.select(_compare(arith.CmpFPredicate.OGT, x, upper), upper, x)


def _polynomial(x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
    """Horner's scheme, the highest power first."""
    result = _splat(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = _fma(result, x, _splat(x, coefficient))
    return result


def _nearest(x: ir.Value, factor: float, *, fraction_bits: int = 0) -> tuple[ir.Value, ir.Value]:
    """`(s, n)`: n is `factor * x`, rounded to so many bits of a fraction, and in the last bits of s."""
    bits = 52 if ir.VectorType(x.type).element_type.width == 64 else 23
    shift = _splat(x, 1.5 * 2.0 ** (bits - fraction_bits))
    shifted = arith.addf(x, shift) if factor == 1.0 else _fma(x, _splat(x, factor), shift)
    return shifted, arith.subf(shifted, shift)


def _without_powers(x: ir.Value, n: ir.Value, parts: Sequence[float]) -> ir.Value:
    """`x - n ln 2`, with ln 2 in parts."""
    for part in parts:
        x = _fma(n, _splat(x, -part), x)
    return x


def _scaled(mantissa: ir.Value, shifted: ir.Value, x: ir.Value, *, low: float, high: float) -> ir.Value:
    """`mantissa * 2^n` by adding to the exponent; 0 for x below `low`, infinity for x not below `high`."""
    type_ = ir.VectorType(x.type)
    integer = ir.IntegerType.get_signless(type_.element_type.width)
    integers = ir.VectorType.get(type_.shape, integer)
    n = vector.bitcast(integers, shifted)
    exponent = arith.shli(n, _splat(n, 52 if integer.width == 64 else 23))
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
    shifted, n = _nearest(bounded, factor)
    if factor == 1.0:
        rest = arith.subf(bounded, n)
    else:
        rest = arith.mulf(_without_powers(bounded, n, _LN2_F64), _splat(x, factor))
    return _scaled(_polynomial(rest, _EXP2_F64), shifted, x, low=low, high=high)


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
    tail = _fma(power, _splat(x, _LN2_F32[1]), tail)
    tail = _fma(square, _splat(x, -0.5), tail)
    value = _fma(power, _splat(x, _LN2_F32[0]), arith.addf(f, tail))
    infinity, zero = _splat(x, float("inf")), _splat(x, 0.0)
    value = arith.select(_compare(kinds.OEQ, x, infinity), infinity, value)
    value = arith.select(_compare(kinds.OEQ, x, zero), _splat(x, float("-inf")), value)
    return arith.select(_compare(kinds.ULT, x, zero), _splat(x, float("nan")), value)


def _flat(value: ir.Value) -> ir.Value:
    """A vector of any rank as one of rank 1."""
    type_ = ir.VectorType(value.type)
    return vector.shape_cast(ir.VectorType.get([numbers.prod(type_.shape)], type_.element_type), value)


def _by_element(op: ir.Operation, values: Sequence[ir.Value]) -> ir.Value:
    """The operation on each element of its operands, `values`."""
    element = ir.VectorType(op.results[0].type).element_type
    (lanes,) = ir.VectorType(values[0].type).shape
    attributes = {op.attributes[i].name: op.attributes[i].attr for i in range(len(op.attributes))}
    elements = []
    for lane in range(lanes):
        operands = [vector.ExtractOp(value, [], [lane]).result for value in values]
        new = ir.Operation.create(op.name, results=[element], operands=operands, attributes=attributes)
        elements.append(new.results[0])
    return vector.from_elements(ir.VectorType.get([lanes], element), elements)
