"""The pass `amd-place-sched-barriers`: where LLVM's scheduler may not move reads of the next tiles."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.access import AHEAD
from aecompiler.backends.amd.passes.amd_place_barriers import is_local
from aecompiler.bindings import ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_MASKS = {
    "arithmetic": "non_mem_non_sideeffect|valu|salu|mfma_wmma|transcendental",
    "nothing": "none",
}
"""What may be moved across a scheduling barrier, by words of the option."""


@register_pass
class PlaceSchedBarriers(Pass):
    """Keep reads of the next turn's tiles behind the accesses to local memory before them.

    *Before*: kernels of `amd-distribute-tiles`, whose reads of what the next turn of a loop needs have the
    attribute `amd.ahead`. *After*: there is a `rocdl.sched.barrier` between an access to local memory and the
    first such read behind it in a block, and no read has the attribute. LLVM's scheduler would else move
    the reads up, to where the tiles of this turn are still in registers on their way to local memory: both
    tiles would need registers at a time. With `across=arithmetic` it may move what computes in registers over
    a barrier, and no access to memory; with `across=nothing` nothing at all.

    ```mlir
    vector.store %x, %view[%i] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    %y = rocdl.raw.ptr.buffer.load %buffer, %offset, %shared, 0 {amd.ahead} : vector<4xi32>
    ```
    becomes
    ```mlir
    vector.store %x, %view[%i] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    rocdl.sched.barrier non_mem_non_sideeffect|valu|salu|mfma_wmma|transcendental
    %y = rocdl.raw.ptr.buffer.load %buffer, %offset, %shared, 0 : vector<4xi32>
    ```
    """

    NAME = "amd-place-sched-barriers"

    across: str = option("arithmetic", "what may be moved across: arithmetic, or nothing")

    def __post_init__(self) -> None:
        if self.across not in _MASKS:
            raise ValueError(f"expects across to be one of {', '.join(_MASKS)}, got '{self.across}'")

    def run(self, op: ir.Operation) -> None:
        """Place the barriers of every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for block in function.regions[0].blocks:
                self._block(block)

    def _block(self, block: ir.Block) -> bool:
        """Place the barriers of a block; whether it accesses local memory behind the last of them."""
        rocdl = load("dialects.rocdl")
        accessed = False
        for op in [view.operation for view in block.operations]:
            for region in op.regions:
                for inner in region.blocks:
                    accessed |= self._block(inner)
            accessed |= is_local(op)
            if AHEAD in op.attributes:
                del op.attributes[AHEAD]
                if accessed:
                    with ir.InsertionPoint(op), op.location:
                        rocdl.sched_barrier(
                            ir.Attribute.parse(f"#rocdl<sched_group_mask {_MASKS[self.across]}>")
                        )
                    accessed = False
        return accessed
