"""The recurrent family: `attn.recurrence` and the terminator of its step.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from typing import Optional

from aecompiler.bindings import ext, ir
from aecompiler.dialect import regions, rules
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.types import (
    accumulator_type,
    check_element_type,
    check_output_type,
    check_tensor,
    shape_of,
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
    are clamped to `[0, T]`, a decreasing pair is an empty sequence, and o is 0 where no sequence reaches.

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
        return accumulator_type(self.operands[0].type.element_type)

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, and the shape of the region."""
        operands, results = list(self.operation.operands), list(self.operation.results)
        if len(operands) not in (4, 5):
            raise Invalid(self, f"expects 4 or 5 operands (q, k, v, initial, offsets), got {len(operands)}")
        if len(results) != 2:
            raise Invalid(self, f"expects 2 results (o, final), got {len(results)}")
        if len(self.operation.regions) != 1:
            raise Invalid(self, f"expects 1 region (step), got {len(self.operation.regions)}")
        regions.check_segments(self, "operandSegmentSizes", [1, 1, 1, 1, len(operands) - 4])
        named = dict(zip(("q", "k", "v", "initial"), operands, strict=False))
        for name, value in named.items():
            check_tensor(self, name, value.type)
        initial = named.pop("initial").type
        check_element_type(self, named)
        if initial.element_type != self.accumulator:
            raise Invalid(
                self,
                f"expects initial to have element type {self.accumulator}, got {initial.element_type}",
            )
        varlen = len(operands) == 5
        q, k, v = (shape_of(value.type) for value in named.values())
        if error := rules.recurrence_operands(q, k, v, shape_of(initial), varlen=varlen):
            raise Invalid(self, error)
        if varlen:
            self._verify_offsets(operands[4].type, initial)
        self._verify_results(results, q, k, v, initial)
        self._verify_region_shape(initial)

    @verifier
    def verify_region_invariants(self) -> None:
        """What the step holds and hands over, and that it is affine in the state."""
        block = self.operation.regions[0].blocks[0]
        state, value = block.arguments[0], block.arguments[3]
        regions.check_step_region(self, block, StepYieldOp.OPERATION_NAME)
        regions.check_yield(self, block, "step", [state.type, value.type])
        regions.check_affine(block, state)

    def _verify_offsets(self, offsets: ir.Type, initial: ir.RankedTensorType) -> None:
        check_tensor(self, "offsets", offsets)
        if offsets.rank != 1 or str(offsets.element_type) != "i32":
            raise Invalid(self, f"expects offsets to be a tensor<?xi32>, got {offsets}")
        (count,), sequences = shape_of(offsets), shape_of(initial)[0]
        if count == 0:
            raise Invalid(self, "expects offsets to have at least 1 element, got 0")
        if count is not None and sequences is not None and sequences != count - 1:
            raise Invalid(
                self, f"expects initial to have one state for each of {count - 1} sequences, got {sequences}"
            )

    def _verify_results(self, results, q, k, v, initial: ir.RankedTensorType) -> None:
        o, final = (result.type for result in results)
        check_tensor(self, "o", o)
        heads = rules.largest_head_count([q[1], k[1], v[1], shape_of(initial)[1]])
        expected = [q[0], heads, q[2], v[3]]
        if shape_of(o) != expected:
            want, got = rules.format_shape(expected), rules.format_shape(shape_of(o))
            raise Invalid(self, f"expects o to have shape {want}, got {got}")
        check_output_type(self, o.element_type)
        if shape_of(initial)[1] != heads:
            raise Invalid(
                self,
                f"expects initial to have the largest head count {heads}, got {shape_of(initial)[1]}",
            )
        if final != initial:
            raise Invalid(self, f"expects final to have initial's type {initial}, got {final}")

    def _verify_region_shape(self, initial: ir.RankedTensorType) -> None:
        acc, index = self.accumulator, ir.IndexType.get(self.context)
        _, _, key, value = shape_of(initial)
        with ir.Location.unknown(self.context):
            state, row, column = (
                ir.RankedTensorType.get(shape, acc) for shape in ([key, value], [key], [value])
            )
        regions.single_block(
            self, 0, "step", [state, row, row, column, index, index, index], StepYieldOp.OPERATION_NAME
        )


# With an optional operand the generated accessors want a segment attribute, which hand-written IR may omit.
for _position, _name in enumerate(("q", "k", "v", "initial")):
    setattr(RecurrenceOp, _name, property(lambda self, at=_position: self.operation.operands[at]))
RecurrenceOp.offsets = property(
    lambda self: self.operation.operands[4] if len(self.operation.operands) > 4 else None,
    doc="The cumulative lengths of the variable-length form, or `None`.",
)


class StepYieldOp(Attn.Operation, name="step_yield", traits=[ir.IsTerminatorTrait]):
    """Ends the step of `attn.recurrence`.

    **Operands.** `state`: the new state, `out`: the output of this position, `[Dv]`; both of the accumulator
    type.
    """

    state: Operand[ir.RankedTensorType]
    out: Operand[ir.RankedTensorType]

    @verifier
    def verify_invariants(self) -> None:
        """The parent op and the number of operands."""
        parent = self.operation.parent
        if parent is None or regions.name_of(parent) != RecurrenceOp.OPERATION_NAME:
            raise Invalid(self, f"expects parent op '{RecurrenceOp.OPERATION_NAME}'")
        if len(self.operation.operands) != 2:
            raise Invalid(self, f"expects 2 operands (state, out), got {len(self.operation.operands)}")
