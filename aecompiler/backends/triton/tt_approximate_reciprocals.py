"""The pass `tt-approximate-reciprocals`: 1 / d as one instruction of NVIDIA's GPUs."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import LEAST_NORMAL, SPREAD, is_f32, number_of
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_NOT_NEGATIVE = ("math.exp", "math.exp2", "math.absf")


@register_pass
class ApproximateReciprocals(Pass):
    """Compute 1 / d of f32 in kernels by the instruction of NVIDIA's GPUs, where d is no tiny number.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`. Triton divides by code that scales d, since the
    instruction takes numbers below 2^-126 as 0. *After*: where d is a positive constant plus terms that are
    not negative, such as 1 + exp(-x) of a sigmoid, the reciprocal is the instruction `rcp.approx.ftz.f32`
    alone, whose error is one unit in the last place at most; of the quotient it is two. Reciprocals of
    numbers above 2^126 are 0.

    ```mlir
    %d = arith.addf %e, %one : tensor<64x64xf32>      // %e = math.exp2 ...
    %y = arith.divf %one, %d : tensor<64x64xf32>
    ```
    becomes
    ```mlir
    %y = "tt.elementwise_inline_asm"(%d) {asm_string = "rcp.approx.ftz.f32 $0, $1;", ...}
         : (tensor<64x64xf32>) -> tensor<64x64xf32>
    ```
    """

    NAME = "tt-approximate-reciprocals"

    def run(self, op: ir.Operation) -> None:
        """Replace such quotients in every kernel of `op`."""
        for kernel in kir.defined_kernels(op):
            for quotient in rw.walk_list(kernel, "arith.divf"):
                one, denominator = quotient.operands
                if number_of(one) != 1.0 or not is_f32(one) or _least(denominator) < LEAST_NORMAL:
                    continue
                with ir.InsertionPoint(quotient), quotient.location:
                    result = tt.assembly("rcp.approx.ftz.f32 $0, $1;", denominator)
                quotient.results[0].replace_all_uses_with(result)
                quotient.erase()


def _least(value: ir.Value) -> float:
    """A number that all elements are at least, unless they are NaN; -inf where nothing is known."""
    op = rw.definer(value)
    if op is None:
        return float("-inf")
    number = number_of(value)
    if number is not None:
        return number
    if op.name in _NOT_NEGATIVE:
        return 0.0
    if op.name in SPREAD:
        return _least(op.operands[0])
    if op.name == "arith.addf":
        left, right = (_least(operand) for operand in op.operands)
        return max(left, right) if min(left, right) >= 0 else float("-inf")
    return float("-inf")
