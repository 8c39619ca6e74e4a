"""The pass `cpu-expand-copies`: memory copies as loops."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass


@register_pass
class ExpandCopies(Pass):
    """Turn `memref.copy` into `linalg.generic`.

    MLIR lowers a copy between strided buffers to a call of its C runtime library, which the wheels of the
    bindings lack. *Before*: bufferized IR. *After*: no `memref.copy` is left.

    ```mlir
    memref.copy %a, %b : memref<?xf32, strided<[?]>> to memref<?xf32>
    ```
    becomes
    ```mlir
    linalg.generic {indexing_maps = [...], iterator_types = ["parallel"]} ins(%a) outs(%b) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    }
    ```
    """

    NAME = "cpu-expand-copies"

    def run(self, op: ir.Operation) -> None:
        """Change every copy in `op`."""
        for copy in rw.walk_list(op, "memref.copy"):
            source, target = copy.operands
            loops = tuple(range(ir.MemRefType(source.type).rank))
            with ir.InsertionPoint(copy), copy.location:
                rw.generic(
                    [(source, loops)], [(target, loops)], "p" * len(loops), lambda inputs, _: [inputs[0]]
                )
            copy.erase()
