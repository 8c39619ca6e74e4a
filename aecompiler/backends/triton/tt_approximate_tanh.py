"""The pass `tt-approximate-tanh`: tanh as one instruction of NVIDIA's GPUs."""

from __future__ import annotations

import enum

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import as_multiple
from aecompiler.backends.triton.elementwise import LIBRARIES
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_CALLED = LIBRARIES["libdevice"].function("tanh", 32)


class Tanh(enum.Enum):
    """How tanh of f32 is computed."""

    LIBRARY = "library"
    """By the device's library: a few dozen instructions, and a branch."""
    APPROXIMATE = "approximate"
    """By one instruction."""
    NARROW = "narrow"
    """By one instruction in kernels whose products are of factors of 16 bits, otherwise by the library."""


@register_pass
class ApproximateTanh(Pass):
    """Compute tanh of f32 in kernels by the approximate instruction of NVIDIA's GPUs.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`, which call tanh in NVIDIA's library. *After*: they
    have the instruction `tanh.approx.f32` of sm_75 and later instead, whose relative error is at most 2^-11.
    A score cap * tanh(s / cap) has an error of cap / 2048 then, and its weight a relative error of as much.
    Rounded to bf16, a factor of the score has a relative error of 2^-9 already, to f16 of 2^-12: with
    `narrow=true` only kernels whose products are all of 16-bit factors are changed. Constant factors of an
    argument, as of (s * scale) / cap, become one.

    ```mlir
    %y = "tt.extern_elementwise"(%x) {symbol = "__nv_tanhf", ...} : (tensor<64x64xf32>) -> tensor<64x64xf32>
    ```
    becomes
    ```mlir
    %y = "tt.elementwise_inline_asm"(%x) {asm_string = "tanh.approx.f32 $0, $1;", ...}
         : (tensor<64x64xf32>) -> tensor<64x64xf32>
    ```
    """

    NAME = "tt-approximate-tanh"

    narrow: bool = option(False, "only in kernels whose products are of factors of 16 bits")

    def run(self, op: ir.Operation) -> None:
        """Replace every call of tanh in a kernel of `op`."""
        for kernel in kir.defined_kernels(op):
            if self.narrow and not _has_narrow_products(kernel):
                continue
            for call in rw.walk_list(kernel, "tt.extern_elementwise"):
                if ir.StringAttr(call.attributes["symbol"]).value != _CALLED:
                    continue
                with ir.InsertionPoint(call), call.location:
                    argument = _with_one_factor(call.operands[0])
                    result = tt.assembly("tanh.approx.f32 $0, $1;", argument)
                call.results[0].replace_all_uses_with(result)
                call.erase()
            kir.erase_dead(kir.body_of(kernel))


def _with_one_factor(value: ir.Value) -> ir.Value:
    """The same value, with its constant factors in one; what that rounds is far below the error of tanh."""
    factor, base = 1.0, value
    count = 0
    while (multiple := as_multiple(base)) is not None:
        factor = factor / multiple.number if multiple.is_quotient else factor * multiple.number
        base, count = multiple.base, count + 1
    if count < 2 or not _LEAST <= abs(factor) <= 1 / _LEAST:
        return value
    number = tt.constant(tt.element_of(base), factor)
    shape = tt.shape_of(base)
    return arith.mulf(base, tt.splat(number, shape) if shape else number)


_LEAST = 2.0**-100
"""Factors beyond may be no normal numbers."""


def _has_narrow_products(kernel: ir.Operation) -> bool:
    dots = rw.walk_list(kernel, "tt.dot")
    return bool(dots) and all(str(tt.element_of(dot.operands[0])) in ("f16", "bf16") for dot in dots)
