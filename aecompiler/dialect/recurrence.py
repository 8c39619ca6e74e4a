"""The recurrent family: `attn.recurrence` and the terminator of its step.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from typing import Optional

from aecompiler.bindings import ext, ir
from aecompiler.dialect import regions
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.recurrent import (
    accumulator,
    check_recurrent,
    check_step,
    check_step_shape,
    define_operands,
)

Operand, Result, Region = ext.Operand, ext.Result, ext.Region


class RecurrenceOp(Attn.Operation, name="recurrence", traits=[ext.Pure]):
    """Recurrent attention: a matrix state, updated once per position by a step that is affine in it.

    ```
    S_(-1) = initial[b, h]
    (S_t, o[b, h, t, :]) = step(S_(t-1), q[b, hq, t, :], k[b, hk, t, :], v[b, hv, t, :])     t = 0 .. T-1
    final[b, h] = S_(T-1)
    ```

    Covers linear attention (Katharopoulos et al., 2020), RetNet, Mamba-2, GLA, RWKV-6, the delta rules and
    KDA: they differ in the step alone.

    **Operands.** `q`, `k`: `[B, Hx, T, Dk]`, `v`: `[B, Hx, T, Dv]`, ranked tensors of one element type out of
    f16, bf16, f32, f64. `initial`: `[B, H, Dk, Dv]` of the accumulator type, f32, or f64 for f64 operands. H
    is the largest of the four head counts; an operand with Hx heads is read at `h / (H / Hx)`. The feature
    sizes are static. The head counts are all static and divide H, or all are dynamic and equal. All other
    sizes may be dynamic; any may be 0. Optionally `offsets`: `[N + 1]` of i32, see below.

    **Results.** `o`: `[B, H, T, Dv]`, of q's element type or f32. `final`: of initial's type.

    **Region.** `step(S: tensor<Dk x Dv x acc>, q, k: tensor<Dk x acc>, v: tensor<Dv x acc>, b, h, t: index)`,
    one block, ended by `attn.step_yield` with the new state and the output. q, k and v arrive converted to
    the accumulator type. The output may read the state before or after the update. The step holds `arith`,
    `math`, `linalg` and `tensor` ops on static shapes and may use captures, tensors and scalars defined
    outside, read with `tensor.extract` or `tensor.extract_slice`: the gates. Its operations are total, and
    indices into captures clamped, as in `attn.attention`; a slice that is inserted is moved to lie inside,
    and a new tensor (`tensor.empty`) is 0. Bodies of linalg ops compute scalars.

    The step must be affine in S: sums, and products by what does not depend on S. The transition may then be
    scalar, diagonal, or diagonal plus rank one.

    **Variable-length form.** `offsets` packs N sequences into one batch row: sequence n covers the positions
    `offsets[n] .. offsets[n + 1] - 1` and has a state of its own, so that B is 1 and `initial` and `final`
    are `[N, H, Dk, Dv]`. In the step, b is 0 and t the packed position: gates are packed as q is. Offsets
    are clamped to `[0, T]`, a decreasing pair is an empty sequence, and o is 0 where no sequence reaches;
    where several do, it is that of one of them.

    ```mlir
    func.func @gated(%q: tensor<?x16x?x64xbf16>, %k: tensor<?x16x?x64xbf16>, %v: tensor<?x16x?x128xbf16>,
                     %gate: tensor<?x16x?xf32>, %initial: tensor<?x16x64x128xf32>)
        -> (tensor<?x16x?x128xbf16>, tensor<?x16x64x128xf32>) {
      %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
      ^step(%S: tensor<64x128xf32>, %qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<128xf32>,
            %b: index, %h: index, %t: index):
        %g = tensor.extract %gate[%b, %h, %t] : tensor<?x16x?xf32>
        %a = math.exp %g : f32
        %decay = tensor.splat %a : tensor<64x128xf32>
        %kept = arith.mulf %decay, %S : tensor<64x128xf32>
        %empty = tensor.empty() : tensor<64x128xf32>
        %rows = linalg.broadcast ins(%kt : tensor<64xf32>) outs(%empty : tensor<64x128xf32>) dimensions = [1]
        %cols = linalg.broadcast ins(%vt : tensor<128xf32>) outs(%empty : tensor<64x128xf32>) dimensions = [0]
        %kv = arith.mulf %rows, %cols : tensor<64x128xf32>
        %S1 = arith.addf %kept, %kv : tensor<64x128xf32>
        %zero = arith.constant dense<0.0> : tensor<128xf32>
        %out = linalg.vecmat ins(%qt, %S1 : tensor<64xf32>, tensor<64x128xf32>)
                             outs(%zero : tensor<128xf32>) -> tensor<128xf32>
        "attn.step_yield"(%S1, %out) : (tensor<64x128xf32>, tensor<128xf32>) -> ()
      }) : (tensor<?x16x?x64xbf16>, tensor<?x16x?x64xbf16>, tensor<?x16x?x128xbf16>, tensor<?x16x64x128xf32>)
        -> (tensor<?x16x?x128xbf16>, tensor<?x16x64x128xf32>)
      return %o, %final : tensor<?x16x?x128xbf16>, tensor<?x16x64x128xf32>
    }
    ```
    """

    o: Result[ir.RankedTensorType]
    final: Result[ir.RankedTensorType]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    initial: Operand[ir.RankedTensorType]
    offsets: Optional[Operand[ir.RankedTensorType]]
    step: Region

    @property
    def accumulator(self) -> ir.Type:
        """The type of the state and of all values of the step."""
        return accumulator(self)

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, and the shape of the region."""
        check_recurrent(self, "step")
        check_step_shape(self, StepYieldOp.OPERATION_NAME)

    @verifier
    def verify_region_invariants(self) -> None:
        """What the step holds and hands over, and that it is affine in the state."""
        check_step(self, StepYieldOp.OPERATION_NAME)


define_operands(RecurrenceOp)


class StepYieldOp(Attn.Operation, name="step_yield", traits=[ir.IsTerminatorTrait]):
    """Ends the step of `attn.recurrence` or `attn.recurrence_step`.

    **Operands.** `state`: the new state, `out`: the output of this position, `[Dv]`; both of the accumulator
    type.
    """

    state: Operand[ir.RankedTensorType]
    out: Operand[ir.RankedTensorType]

    @verifier
    def verify_invariants(self) -> None:
        """The parent op and the number of operands."""
        parent = self.operation.parent
        parents = (RecurrenceOp.OPERATION_NAME, "attn.recurrence_step")
        if parent is None or regions.name_of(parent) not in parents:
            raise Invalid(self, f"expects parent op '{RecurrenceOp.OPERATION_NAME}'")
        if len(self.operation.operands) != 2:
            raise Invalid(self, f"expects 2 operands (state, out), got {len(self.operation.operands)}")
