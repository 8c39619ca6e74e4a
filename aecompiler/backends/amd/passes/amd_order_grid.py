"""The pass `amd-order-grid`: neighbouring programs run on compute units that share a cache."""

from __future__ import annotations

from aecompiler.bindings import arith, ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

MOST_XCDS = 64


@register_pass
class OrderGrid(Pass):
    """Deal programs to the dies of a chip in runs.

    *Before*: kernels that ask for `gpu.block_id x`. *After*: they take another number for it, one to one: of
    n programs, die d of `xcds` has the numbers from d n / xcds on. Hardware deals workgroups to the dies
    (XCDs) of a chip in turn, each of which has an L2 cache of its own (AMD, "CDNA 3 architecture", 2023):
    tiles of one head, which read the same keys, would else be read into every cache.

    ```mlir
    %i = gpu.block_id x
    ```
    becomes, with n = q xcds + r,
    ```mlir
    %block = gpu.block_id x                   // d + xcds i
    %i = ... d q + min(d, r) + i
    ```
    """

    NAME = "amd-order-grid"

    xcds: int = option(8, "dies of the chip, over which workgroups are dealt; 1 changes nothing")

    def __post_init__(self) -> None:
        if not 1 <= self.xcds <= MOST_XCDS:
            raise ValueError(f"expects xcds to be 1 to {MOST_XCDS}, got {self.xcds}")

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        if self.xcds == 1:
            return
        for function in rw.walk_list(op, "gpu.func"):
            for block_id in rw.walk_list(function, "gpu.block_id"):
                if str(block_id.attributes["dimension"]) == "#gpu<dim x>":
                    self._renumber(block_id)

    def _renumber(self, block_id: ir.Operation) -> None:
        gpu = load("dialects.gpu")
        i32 = ir.IntegerType.get_signless(32)
        uses = list(block_id.results[0].uses)
        block = block_id.block
        after = [view.operation for view in block.operations]
        behind = after[after.index(block_id) + 1]
        with ir.InsertionPoint(behind), block_id.location:
            block_number = arith.index_cast(i32, block_id.results[0])
            count = arith.index_cast(i32, gpu.grid_dim(gpu.Dimension.x))
            dies = arith.constant(i32, self.xcds)
            die, place = arith.remui(block_number, dies), arith.divui(block_number, dies)
            whole, rest = arith.divui(count, dies), arith.remui(count, dies)
            first = arith.addi(arith.muli(die, whole), arith.minui(die, rest))
            number = arith.index_cast(ir.IndexType.get(), arith.addi(first, place))
        for use in uses:
            use.owner.operation.operands[use.operand_number] = number
