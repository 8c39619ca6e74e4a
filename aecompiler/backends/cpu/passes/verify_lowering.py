"""The pass `cpu-verify-lowering`: everything has become LLVM, or is refused by name."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass


@register_pass
class VerifyLowering(Pass):
    """Refuse operations that no pass has taken to the LLVM dialect.

    MLIR's conversions leave alone what they don't know, and LLVM would then fail without saying where.
    *Before*: the end of a lowering. *After*: the same IR; it holds operations of the LLVM dialect alone.

    ```mlir
    %0 = linalg.softmax dimension(0) ins(%x : memref<4xf32>) outs(%y : memref<4xf32>)
    ```
    is an error at that operation.
    """

    NAME = "cpu-verify-lowering"

    def run(self, op: ir.Operation) -> None:
        """Look at every operation in `op`."""
        left = [
            child
            for child in rw.walk_list(op)
            if child.name != "builtin.module" and not child.name.startswith("llvm.")
        ]
        # Casts are around what is left, and are named only where nothing else is.
        left.sort(key=lambda child: child.name == "builtin.unrealized_conversion_cast")
        if left:
            raise PassFailure(left[0], "unsupported: it has no lowering to the CPU")
