"""The pass `amd-raise-priority`: waves that compute products go before waves that do anything else."""

from __future__ import annotations

from aecompiler.bindings import ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_PRODUCT = "amdgpu.mfma"


@register_pass
class RaisePriority(Pass):
    """Let the waves of a SIMD that have products to compute go first.

    *Before*: kernels of `amd-distribute-tiles`. *After*: a run of matrix instructions of a block begins with
    `rocdl.s.setprio level` and ends with `rocdl.s.setprio 0`, where runs are at least `least` instructions
    with nothing between them that accesses memory or waits. Of waves that share a SIMD one then feeds the
    matrix cores while others compute what is elementwise, instead of all doing the same at a time.

    ```mlir
    %1 = amdgpu.mfma 16x16x16 %a * %b + %0 : ...
    ```
    becomes
    ```mlir
    rocdl.s.setprio 1
    %1 = amdgpu.mfma 16x16x16 %a * %b + %0 : ...
    rocdl.s.setprio 0
    ```
    """

    NAME = "amd-raise-priority"

    level: int = option(1, "the priority of waves that compute products, 1 to 3")
    least: int = option(4, "how many instructions a run has at least")

    def __post_init__(self) -> None:
        if not 1 <= self.level <= 3:
            raise ValueError(f"expects level to be 1 to 3, got {self.level}")
        if self.least < 1:
            raise ValueError(f"expects least to be at least 1, got {self.least}")

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for block in {each.block for each in rw.walk_list(function, _PRODUCT)}:
                for run in _runs(block):
                    if len(run) >= self.least:
                        self._set(run[0], self.level)
                        self._set(_behind(run[-1]), 0)

    def _set(self, before: ir.Operation, level: int) -> None:
        rocdl = load("dialects.rocdl")
        with ir.InsertionPoint(before), before.location:
            rocdl.s_setprio(level)


def _runs(block: ir.Block) -> list[list[ir.Operation]]:
    """Products with nothing but arithmetic on registers between them."""
    runs: list[list[ir.Operation]] = [[]]
    for view in block.operations:
        op = view.operation
        if op.name == _PRODUCT:
            runs[-1].append(op)
        elif runs[-1] and not op.name.startswith(("vector.extract", "vector.shuffle", "arith.constant")):
            runs.append([])
    return [run for run in runs if run]


def _behind(op: ir.Operation) -> ir.Operation:
    """The operation after another one, which is no terminator."""
    operations = [view.operation for view in op.block.operations]
    return operations[operations.index(op) + 1]
