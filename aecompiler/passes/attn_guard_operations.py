"""The pass `attn-guard-operations`: no input of a kernel kills the process, or reads what is not its own."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes.infra import Pass, register_pass
from aecompiler.passes.region_safety import make_surroundings_total


@register_pass
class GuardOperations(Pass):
    """Make the operations around attn operations total, as those of regions are.

    On a CPU an integer division by zero ends the process, and a read out of bounds may; on a GPU both give
    anything, or a fault. *Before*: any IR on
    tensors. *After*: outside attn operations, whose lowering does the same for their regions, everything has
    the result that the dialect defines for regions: division by zero gives 0, the remainder is then the
    dividend, `MIN / -1` wraps, long shifts shift everything out, casts saturate, indices and the numbers of
    dimensions are clamped, `tensor.empty` and `ub.poison` are 0, and flags that promise something of operands
    are dropped. A slice that is read at a place which no caller can check is read element by element, with
    clamped indices, and one that is inserted there is moved to lie inside; an insertion of dynamic sizes is
    refused. Slices directly in a public function whose places follow from its arguments are the caller's to
    check, and stay.

    ```mlir
    %0 = arith.divui %a, %b : i32
    ```
    becomes
    ```mlir
    %zero = arith.cmpi eq, %b, %c0 : i32
    %divisor = arith.select %zero, %c1, %b : i32
    %quotient = arith.divui %a, %divisor : i32
    %0 = arith.select %zero, %c0, %quotient : i32
    ```
    """

    NAME = "attn-guard-operations"

    def run(self, op: ir.Operation) -> None:
        """Rewrite operations in `op`."""
        make_surroundings_total(op)
