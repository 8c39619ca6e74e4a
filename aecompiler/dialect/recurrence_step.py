"""The one-step form of the recurrent family: `attn.recurrence_step`, for decoding.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from aecompiler.bindings import ext, ir
from aecompiler.dialect import rules
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.recurrence import StepYieldOp
from aecompiler.dialect.recurrent import accumulator, check_results, check_step, check_step_shape
from aecompiler.dialect.types import check_element_type, check_tensor, shape_of

Operand, Result, Region = ext.Operand, ext.Result, ext.Region


class RecurrenceStepOp(Attn.Operation, name="recurrence_step", traits=[ext.Pure]):
    """One position of a recurrence for each of B requests, whose states stand in a pool of N.

    ```
    n = slots[b]
    0 <= n < N:  updated[n, h], o[b, h, 0] = step(pool[n, h], q[b, hq, 0], k[b, hk, 0], v[b, hv, 0])
    otherwise:   o[b, h, 0] = 0
    updated[n, h] = pool[n, h] for an n that no request has
    ```

    A request whose slot is none of the pool's is padding: a batch of fixed size has such where requests are
    few. No state is read or written for it. Two requests do not have the same slot; where they do, the state
    and both outputs are anything that the step may give.

    **Operands.** `q`, `k`: `[B, Hx, 1, Dk]`, `v`: `[B, Hx, 1, Dv]`, `pool`: `[N, H, Dk, Dv]`, of the types,
    heads and feature sizes of `attn.recurrence`. `slots`: `[B]` of i32. **Results.** `o`: `[B, H, 1, Dv]`, of
    q's element type or f32. `updated`: of pool's type; lowerings write to pool's memory where nothing else
    needs what it held.

    **Region.** `step`, as that of `attn.recurrence`; t is 0.

    ```mlir
    func.func @retention(%q: tensor<?x4x1x64xbf16>, %k: tensor<?x4x1x64xbf16>, %v: tensor<?x4x1x128xbf16>,
                         %pool: tensor<?x4x64x128xf32>, %slots: tensor<?xi32>)
        -> (tensor<?x4x1x128xbf16>, tensor<?x4x64x128xf32>) {
      %o, %updated = "attn.recurrence_step"(%q, %k, %v, %pool, %slots) ({
      ^step(%S: tensor<64x128xf32>, %qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<128xf32>,
            %b: index, %h: index, %t: index):
        %decay = arith.constant dense<0.9> : tensor<64x128xf32>
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
      }) : (tensor<?x4x1x64xbf16>, tensor<?x4x1x64xbf16>, tensor<?x4x1x128xbf16>, tensor<?x4x64x128xf32>,
            tensor<?xi32>) -> (tensor<?x4x1x128xbf16>, tensor<?x4x64x128xf32>)
      return %o, %updated : tensor<?x4x1x128xbf16>, tensor<?x4x64x128xf32>
    }
    ```
    """

    o: Result[ir.RankedTensorType]
    updated: Result[ir.RankedTensorType]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    pool: Operand[ir.RankedTensorType]
    slots: Operand[ir.RankedTensorType]
    step: Region

    @property
    def accumulator(self) -> ir.Type:
        """The type of the state and of all values of the step."""
        return accumulator(self)

    @verifier
    def verify_invariants(self) -> None:
        """Tensor types and sizes, and the shape of the region."""
        for what, got, count in (
            ("operands (q, k, v, pool, slots)", len(self.operation.operands), 5),
            ("results (o, updated)", len(self.operation.results), 2),
            ("region (step)", len(self.operation.regions), 1),
        ):
            if got != count:
                raise Invalid(self, f"expects {count} {what}, got {got}")
        named = dict(zip(("q", "k", "v", "pool", "slots"), self.operation.operands, strict=True))
        for name, value in named.items():
            check_tensor(self, name, value.type)
        pool, slots = named.pop("pool").type, named.pop("slots").type
        check_element_type(self, named)
        if pool.element_type != accumulator(self):
            raise Invalid(
                self, f"expects pool to have element type {accumulator(self)}, got {pool.element_type}"
            )
        if slots.rank != 1 or str(slots.element_type) != "i32":
            raise Invalid(self, f"expects slots to be a tensor<?xi32>, got {slots}")
        q, k, v = (shape_of(value.type) for value in named.values())
        states = shape_of(pool)
        if error := rules.rank("pool", states, 4, "slot, head, key feature, value feature"):
            raise Invalid(self, error)
        # The rules of recurrences, for a state of each request.
        if error := rules.recurrence_operands(q, k, v, [q[0], *states[1:]], varlen=False):
            raise Invalid(self, error.replace("initial", "pool"))
        for name, value in named.items():
            if shape_of(value.type)[2] != 1:
                length = rules.format_shape(shape_of(value.type)[2:3])
                raise Invalid(self, f"expects {name} to have one position, got {length}")
        if error := rules.equal("sizes of a batch", ("q", "slots"), (q[0], shape_of(slots)[0])):
            raise Invalid(self, error)
        check_results(self, ("pool", "updated"), q, k, v, pool)
        check_step_shape(self, StepYieldOp.OPERATION_NAME)

    @verifier
    def verify_region_invariants(self) -> None:
        """What the step holds and hands over, and that it is affine in the state."""
        check_step(self, StepYieldOp.OPERATION_NAME)
