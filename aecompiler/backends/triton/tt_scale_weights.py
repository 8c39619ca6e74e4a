"""The pass `tt-scale-weights`: weights of f16 as large as they can be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.carried_scales import CarriedScale
from aecompiler.backends.triton.constant_factors import Constants, is_f32
from aecompiler.backends.triton.weight_bounds import bound_of, powers_of
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_MOST_EXPONENT = 15
"""2^15 is the largest power of two in f16."""

_ROUNDING = 8
"""The power of two by which the power of s - m may exceed 1, both being rounded, of scores below 2^24."""

_MOST_FACTOR = 64
"""The largest power of two that is used, however small weights are: 2^-k is no denormal number."""

_NEEDS = "needs what is not scaled"


@register_pass
class ScaleWeights(Pass):
    """Multiply weights by a power of two before they are rounded to f16.

    For chips whose matrix instructions take denormal numbers of f16 for 0: weights below 2^-14 would be lost
    in the product with v, however many there are, while the sum of the weights has them. *Before*: kernels
    (`tt.func`) of `convert-tiles-to-tt`, after `tt-fold-exponents`. *After*: weights that are known to be at
    most B are multiplied, in f32, by 2^k with B * 2^k at most 2^`exponent`. The accumulator of their product
    carries that factor through its loops, and is multiplied by 2^-k behind them. Weights of softmax have B =
    1 and k = 15: those below 2^-29 are lost.

    Multiples by powers of two are exact. So nothing else changes, as long as no accumulator is beyond
    2^(128 - k). Where bounds are small, k is at most 64.

    A weight has a bound if it is the power of s - m, with an m that is at least the maximum of the row of s,
    the quotient of a constant and that or another one plus a power, as in sigmoid, a constant, or a choice or
    product of such. Rounded, the power of s - m exceeds 1 where scores are beyond 10^6, and f16 may overflow.
    Kernels that ask whether the accumulator is finite, by a product with 0, see that, and compute the tile
    again. Where one does not ask, k is less by 8 for each such power: those of scores below 2^24 are no more
    than 2^8.

    Whatever has the factor has it everywhere: from rounded weights it goes, in f32, through products with an
    accumulator that has it or is 0, sums and choices of what has it, multiples, and what loops carry and
    branches give if all of that has it. Where anything else is made of it, it is multiplied by 2^-k first,
    but not within the innermost loop around the product: such weights stay as they are, and so do those whose
    bound is not known. `--explain tt-scale-weights` says which, and why.

    ```mlir
    %r = scf.for ... iter_args(%acc = %zeros) -> (tensor<64x64xf32>) {
      ...
      %p = math.exp2 %d : tensor<64x64xf32>
      %old = arith.mulf %acc, %alphas : tensor<64x64xf32>
      %w = arith.truncf %p : tensor<64x64xf32> to tensor<64x64xf16>
      %new = "tt.dot"(%w, %v, %old) ...
      scf.yield %new : tensor<64x64xf32>
    }
    ```
    becomes
    ```mlir
    %s = scf.for ... iter_args(%acc = %zeros) -> (tensor<64x64xf32>) {
      ...
      %p = math.exp2 %d : tensor<64x64xf32>
      %old = arith.mulf %acc, %alphas : tensor<64x64xf32>
      %large = arith.mulf %p, %c32768 : tensor<64x64xf32>
      %w = arith.truncf %large : tensor<64x64xf32> to tensor<64x64xf16>
      %new = "tt.dot"(%w, %v, %old) ...
      scf.yield %new : tensor<64x64xf32>
    }
    %r = arith.mulf %s, %c2^-15 : tensor<64x64xf32>
    ```
    """

    NAME = "tt-scale-weights"

    exponent: int = option(_MOST_EXPONENT, "weights are scaled to at most this power of two")

    def __post_init__(self) -> None:
        if not 1 <= self.exponent <= _MOST_EXPONENT:
            raise ValueError(f"expects exponent to be 1 to {_MOST_EXPONENT}, got {self.exponent}")

    def run(self, op: ir.Operation) -> None:
        """Scale the weights of every kernel in `op`."""
        for kernel in kir.defined_kernels(op):
            plan = self._plan(kernel)
            if plan.factor > 1:
                _apply(plan, Constants(kir.body_of(kernel)))

    def explain(self, op: ir.Operation) -> str:
        """For each kernel, what its weights are multiplied by, or why they are not."""
        texts = []
        for kernel in kir.defined_kernels(op):
            plan = self._plan(kernel)
            lines = [
                f"weights {number}: " + plan.reasons.get(weight, f"times {plan.factor:g}")
                for number, weight in enumerate(plan.found)
            ]
            texts.append(f"kernel @{rw.symbol_name(kernel)}: {_listed(lines)}")
        return "\n".join(texts)

    def _plan(self, kernel: ir.Operation) -> _Plan:
        """What is multiplied: as many weights of a kernel as may be."""
        plan = _Plan(_rounded_weights(kernel))
        bounds: dict[ir.Value, float] = {}
        for weight in plan.found:
            bound = bound_of(weight.owner.operation.operands[0])
            if not bound:
                plan.reasons[weight] = "as they are, how large they are is not known"
            else:
                bounds[weight] = bound
        while bounds:
            scale = CarriedScale(bounds)
            refused = _refused(scale)
            if not refused:
                exponent = self.exponent - math.ceil(math.log2(max(bounds.values())))
                unseen = max(map(_powers_of, bounds.keys() - scale.asked), default=0)
                exponent = min(max(exponent - _ROUNDING * unseen, 0), _MOST_FACTOR)
                plan.scale, plan.factor = scale, 2.0**exponent
                break
            for weight, reason in refused.items():
                plan.reasons[weight] = reason
                del bounds[weight]
        return plan


@dataclass
class _Plan:
    """`found`: the rounded weights of a kernel; `reasons`: why some of them stay."""

    found: list[ir.Value]
    reasons: dict[ir.Value, str] = field(default_factory=dict)
    scale: CarriedScale | None = None
    factor: float = 1.0


def _powers_of(weight: ir.Value) -> int:
    """How many powers of differences a rounded weight is a product of."""
    return powers_of(weight.owner.operation.operands[0])


def _rounded_weights(kernel: ir.Operation) -> list[ir.Value]:
    """What is rounded from f32 to f16 to be a factor of a product."""
    found: dict[ir.Value, None] = {}
    for product in rw.walk_list(kernel, "tt.dot"):
        for factor in list(product.operands)[:2]:
            op = rw.definer(factor)
            while op is not None and op.name == "tt.trans":
                op = rw.definer(op.operands[0])
            if op is None or op.name != "arith.truncf" or not is_f32(op.operands[0]):
                continue
            if isinstance(op.results[0].type.element_type, ir.F16Type):
                found[op.results[0]] = None
    return list(found)


def _refused(scale: CarriedScale) -> dict[ir.Value, str]:
    """The seeds of which something is needed unscaled where that can't be, or in each turn of their loop."""
    found: dict[ir.Value, str] = {}
    for each in scale.exits:
        for seed in scale.values[each.value]:
            loop = _innermost_loop(seed.owner.operation)
            if not is_f32(each.value) or (loop is not None and _is_within(each.op, loop)):
                found[seed] = f"as they are, for '{_cause(scale, seed, loop) or each.op.name}' {_NEEDS}"
    return found


def _cause(scale: CarriedScale, seed: ir.Value, loop: ir.Operation | None) -> str:
    """The operation within a loop because of which what follows has no factor, if there is one."""
    for value, seeds in scale.mixed.items():
        owner = value.owner
        op = owner.owner.operation if isinstance(owner, ir.Block) else owner.operation
        if loop is not None and seed in seeds and (op == loop or _is_within(op, loop)):
            return op.name
    return ""


def _innermost_loop(op: ir.Operation) -> ir.Operation | None:
    around = op.parent
    while around is not None and around.name != "scf.for":
        around = around.parent
    return None if around is None else around.operation


def _is_within(op: ir.Operation, around: ir.Operation) -> bool:
    parent = op.parent
    while parent is not None and parent.operation != around:
        parent = parent.parent
    return parent is not None


def _apply(plan: _Plan, constants: Constants) -> None:
    """Multiply the weights, and what leaves, back."""
    assert plan.scale is not None
    backs: dict[ir.Value, ir.Value] = {}
    for each in plan.scale.exits:
        if each.value not in backs:
            with _after(each.value), each.op.location:
                back = constants.like(each.value.type, 1 / plan.factor)
                backs[each.value] = arith.mulf(each.value, back)
        each.op.operands[each.position] = backs[each.value]
    for weight in plan.scale.seeds:
        op = weight.owner.operation
        with ir.InsertionPoint(op), op.location:
            factor = constants.like(op.operands[0].type, plan.factor)
            op.operands[0] = arith.mulf(op.operands[0], factor)


def _after(value: ir.Value) -> ir.InsertionPoint:
    """Where a value has just been computed."""
    if isinstance(value.owner, ir.Block):
        return ir.InsertionPoint.at_block_begin(value.owner)
    return ir.InsertionPoint.after(value.owner.operation)


def _listed(lines: list[str]) -> str:
    return "".join(f"\n  {line}" for line in lines) or "no weights of f16"
