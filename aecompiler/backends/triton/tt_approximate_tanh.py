"""The pass `tt-approximate-tanh`: tanh as one instruction of NVIDIA's GPUs."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.elementwise import LIBRARIES
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_CALLED = LIBRARIES["libdevice"].function("tanh", 32)


@register_pass
class ApproximateTanh(Pass):
    """Compute tanh of f32 in kernels by the approximate instruction of NVIDIA's GPUs.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`, which call tanh in NVIDIA's library. *After*: they
    have the instruction `tanh.approx.f32` of sm_75 and later instead, whose relative error is at most 2^-11.
    A score cap * tanh(s / cap) has an error of cap / 2048 then, and its weight a relative error of as much.

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

    def run(self, op: ir.Operation) -> None:
        """Replace every call of tanh in a kernel of `op`."""
        for kernel in rw.walk_list(op, "tt.func"):
            for call in rw.walk_list(kernel, "tt.extern_elementwise"):
                if ir.StringAttr(call.attributes["symbol"]).value != _CALLED:
                    continue
                with ir.InsertionPoint(call), call.location:
                    result = tt.assembly("tanh.approx.f32 $0, $1;", call.operands[0])
                call.results[0].replace_all_uses_with(result)
                call.erase()
