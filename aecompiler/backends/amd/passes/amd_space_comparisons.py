"""The pass `amd-space-comparisons`: what a comparison chooses does not follow it at once."""

from __future__ import annotations

from aecompiler.bindings import ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_MOST = 8
"""Comparisons that are all in front of what they choose: each has two scalar registers until then."""


@register_pass
class SpaceComparisons(Pass):
    """Compare for the next parts of a tile before choosing elements of this one.

    *Before*: kernels of `amd-distribute-tiles`, where masks are vectors of bits, one for each part of a tile.
    *After*: where parts of floats that follow each other are chosen by comparisons of their own
    (`arith.select`), these are `ahead` parts in front, and a `rocdl.sched.barrier` in front of each choice
    keeps them there. A comparison writes a bit of each lane to scalar registers. On gfx942 and gfx950 two
    other instructions must pass before the vector unit reads them, and LLVM, which uses one pair of registers
    for all comparisons of a tile, puts `s_nop` between: one for each element. Where they choose offsets of a
    few loads into registers, one barrier is in front of the first of these: `amd-distribute-tiles` makes all
    comparisons before.

    ```mlir
    %m0 = arith.cmpi sge, %left, %c0 : vector<4xi32>
    %m1 = arith.cmpi sge, %left, %c1 : vector<4xi32>
    %m2 = arith.cmpi sge, %left, %c2 : vector<4xi32>
    %s0 = arith.select %m0, %x0, %low : vector<4xi1>, vector<4xf32>
    %s1 = arith.select %m1, %x1, %low : vector<4xi1>, vector<4xf32>
    %s2 = arith.select %m2, %x2, %low : vector<4xi1>, vector<4xf32>
    ```
    becomes, two ahead,
    ```mlir
    %m0 = arith.cmpi sge, %left, %c0 : vector<4xi32>
    %m1 = arith.cmpi sge, %left, %c1 : vector<4xi32>
    rocdl.sched.barrier none
    %s0 = arith.select %m0, %x0, %low : vector<4xi1>, vector<4xf32>
    %m2 = arith.cmpi sge, %left, %c2 : vector<4xi32>
    rocdl.sched.barrier none
    %s1 = arith.select %m1, %x1, %low : vector<4xi1>, vector<4xf32>
    rocdl.sched.barrier none
    %s2 = arith.select %m2, %x2, %low : vector<4xi1>, vector<4xf32>
    ```
    """

    NAME = "amd-space-comparisons"

    ahead: int = option(2, "parts that are compared before one is chosen")

    def __post_init__(self) -> None:
        if self.ahead < 1:
            raise ValueError(f"expects ahead to be 1 or more, got {self.ahead}")

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for block in function.regions[0].blocks:
                self._block(block)

    def _block(self, block: ir.Block) -> None:
        choices: list[tuple[ir.Operation, ir.Operation]] = []
        offsets: list[ir.Operation] = []
        for op in [view.operation for view in block.operations]:
            for region in op.regions:
                for inner in region.blocks:
                    self._block(inner)
            if _is_offset(op):
                offsets.append(op)
            comparison = _comparison(op)
            if comparison is not None:
                choices.append((comparison, op))
                continue
            self._space(choices)
            choices = []
        if 1 < len(offsets) <= _MOST:
            _place_barrier(offsets[0])

    def _space(self, choices: list[tuple[ir.Operation, ir.Operation]]) -> None:
        """Deal comparisons in front of what they choose, which follows each other."""
        if len(choices) < 2:
            return
        for comparison, _ in choices[: self.ahead]:
            comparison.move_before(choices[0][1])
        for number, (_, choice) in enumerate(choices):
            _place_barrier(choice)
            if number + self.ahead < len(choices):
                choices[number + self.ahead][0].move_after(choice)


def _place_barrier(op: ir.Operation) -> None:
    """Let LLVM move nothing from before an operation to behind it, or the other way."""
    with ir.InsertionPoint(op), op.location:
        load("dialects.rocdl").sched_barrier(ir.Attribute.parse("#rocdl<sched_group_mask none>"))


def _is_offset(op: ir.Operation) -> bool:
    """Whether one element of a comparison in the same block chooses where a load into registers reads."""
    if op.name != "arith.select" or isinstance(op.operands[0].type, ir.VectorType):
        return False
    bit = rw.definer(op.operands[0])
    found = rw.definer(bit.operands[0]) if bit is not None and bit.name == "vector.extract" else None
    if found is None or found.name != "arith.cmpi" or found.block != op.block:
        return False
    return any(use.owner.operation.name == "rocdl.raw.ptr.buffer.load" for use in op.results[0].uses)


def _comparison(op: ir.Operation) -> ir.Operation | None:
    """The comparison in the same block that chooses floats of a vector, and nothing else."""
    if op.name != "arith.select" or not isinstance(op.operands[0].type, ir.VectorType):
        return None
    if not isinstance(op.results[0].type.element_type, ir.FloatType):
        return None  # often constants, which are added with the bit as a carry
    found = rw.definer(op.operands[0])
    if found is None or found.name != "arith.cmpi" or found.block != op.block:
        return None
    return found if len(list(found.results[0].uses)) == 1 else None
