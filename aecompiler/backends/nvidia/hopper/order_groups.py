"""The pass `ttg-order-groups`: groups of warps take turns in beginning products."""

from __future__ import annotations

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_SPECIALIZE = "ttg.warp_specialize"
_DOT, _WAIT = "ttng.warp_group_dot", "ttng.warp_group_dot_wait"

_FIRST_BARRIER = 8
"""The number of the first group's barrier: Triton uses those below for its partitions."""


@register_pass
class OrderGroups(Pass):
    """Let each group of warps begin the products of a step after the group before has begun its own.

    The tensor cores then have the products of one group to do while another computes exponentials, and
    groups stay a part of a turn apart (ping-pong, as in FlashAttention-3, arXiv 2407.08608).

    *Before*: kernels of `ttg-overlap-products`, whose groups all take the same steps. *After*: each group
    has a named barrier. Before the products of a step, the first of which reads rows from shared memory, a
    group waits at its own; behind them it arrives at that of the next group, the last at that of the first,
    and once more at the beginning. Kernels with one group stay as they are.

    ```mlir
    wait at barrier 8 + g
    %s0 = ttng.warp_group_dot %q, %k, ...
    %a0 = ttng.warp_group_dot %w, %v, %acc, ...
    arrive at barrier 8 + (g + 1) mod consumers
    %s = ttng.warp_group_dot_wait %s0 ...
    ```
    """

    NAME = "ttg-order-groups"

    def run(self, op: ir.Operation) -> None:
        """Rewrite all kernels in `op`."""
        for function in kir.kernels(op):
            for each in rw.walk_list(function, _SPECIALIZE):
                if each.name == _SPECIALIZE:
                    _order(each)


def _order(specialized: ir.Operation) -> None:
    default, holder = specialized.regions
    partitions = holder.blocks[0].operations[0].operation
    entries = [region.blocks[0] for region in (default, *partitions.regions)]
    groups = [(entry, steps) for entry in entries if (steps := _steps_in(entry))]
    if len(groups) < 2:
        return
    barriers = [_FIRST_BARRIER + number for number in range(len(groups))]
    nexts = [*barriers[1:], barriers[0]]
    for (_, steps), own, following in zip(groups, barriers, nexts, strict=True):
        for first, wait in steps:
            with ir.InsertionPoint(first), first.location:
                ttg.named_barrier_wait(own)
            with ir.InsertionPoint(wait), wait.location:
                ttg.named_barrier_arrive(following)
    entry, _ = groups[-1]
    with ir.InsertionPoint.at_block_begin(entry), specialized.location:
        ttg.named_barrier_arrive(barriers[0])


def _steps_in(block: ir.Block) -> list[tuple[ir.Operation, ir.Operation]]:
    """Of each step of a role, its first product, and the wait that follows its products."""
    found = []
    first: ir.Operation | None = None
    for view in block.operations:
        op = view.operation
        for region in op.regions:
            for nested in region.blocks:
                found += _steps_in(nested)
        if op.name == _DOT and first is None and lo.is_memdesc(op.operands[0].type):
            first = op
        if first is not None and op.name == _WAIT:
            found.append((first, op))
            first = None
    return found
