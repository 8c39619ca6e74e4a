"""The pass `ttg-overlap-products`: products are waited for where they are used."""

from __future__ import annotations

from aecompiler.backends.nvidia.hopper.waits import Waits
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_DOT, _WAIT, _ARRIVE = "ttng.warp_group_dot", "ttng.warp_group_dot_wait", "ttng.arrive_barrier"


@register_pass
class OverlapProducts(Pass):
    """Wait for products where their results are used, so that the tensor cores work while threads compute.

    *Before*: kernels of `ttg-assign-layouts`, where each `ttng.warp_group_dot` is waited for at once.
    *After*: the wait stands before the first operation that uses the result, and leaves unfinished as many
    products as were begun since: they end in order. A barrier that says that tiles may be overwritten is
    arrived at after the waits for all products before it. A conversion that hands values of single threads to
    many waits for the first product, too: from then on they take registers, and products take most.

    ```mlir
    %s0 = ttng.warp_group_dot %q, %k, ...       // scores of this tile
    %a0 = ttng.warp_group_dot %w, %v, %acc, ... // the sum of the tile before
    %s = ttng.warp_group_dot_wait %s0 {pendings = 1}
    ...                                         // weights of %s, while %a0 is computed
    %a = ttng.warp_group_dot_wait %a0 {pendings = 0}
    ttng.arrive_barrier %empty
    ```
    """

    NAME = "ttg-overlap-products"

    waits: Waits = option(
        Waits.AT_END, "where products that only the next turn of a loop needs are waited for"
    )

    def run(self, op: ir.Operation) -> None:
        """Rewrite all kernels in `op`."""
        for function in kir.kernels(op):
            dots = rw.walk_list(function, _DOT)
            blocks: list[ir.Block] = []
            for dot in dots:
                if dot.name == _DOT and dot.block not in blocks:
                    blocks.append(dot.block)
            for block in blocks:
                if self.waits == Waits.AT_END and _is_inner_loop(block):
                    _sink_users(block)
                _overlap(block, together=self.waits == Waits.TOGETHER)


def _is_inner_loop(block: ir.Block) -> bool:
    owner = block.owner.operation
    return owner.name == "scf.for" and not rw.walk_list(owner, "scf.for")


def _sink_users(block: ir.Block) -> None:
    """Move what uses the late products of a block behind everything else.

    These are the ones that add to what the turn before has left, or the last one if there are none.
    """
    dots = [view.operation for view in block.operations if view.operation.name == _DOT]
    waits = [view.operation for view in block.operations if view.operation.name == _WAIT]
    if len(dots) < 2 or len(waits) != len(dots):
        return
    late = [wait for dot, wait in zip(dots, waits, strict=True) if dot.operands[2] in block.arguments]
    *_, last = block.operations
    for op in kir.users_in(block, [result for wait in late or waits[-1:] for result in wait.results]):
        op.move_before(last.operation)


def _overlap(block: ir.Block, together: bool) -> None:
    for view in list(block.operations):
        op = view.operation
        if op.name == _WAIT:
            for result, operand in zip(op.results, op.operands, strict=True):
                result.replace_all_uses_with(operand)
            op.erase()
    running: list[ir.Value] = []
    held: list[ir.Operation] = []
    for view in list(block.operations):
        op = view.operation
        used = kir.operands_of(op)
        if op.name == _DOT and op.operands[2] in running:
            # The tensor cores add to what they still compute.
            running.remove(op.operands[2])
            used = [op.operands[0], op.operands[1]]
        if _spreads(op) and running:
            used = [running[0]]
        first = next((at for at, value in enumerate(running) if value in used), None)
        if first is not None:
            # All that are used, and all begun before them, have ended when the last that is used has.
            last = max(at for at, value in enumerate(running) if value in used or together)
            ended, running = running[: last + 1], running[last + 1 :]
            with ir.InsertionPoint(op), op.location:
                for value, new in zip(ended, ttg.warp_group_dot_wait(ended, len(running)), strict=True):
                    value.replace_all_uses_except(new, new.owner.operation)
            if not running:
                for arrival in held:
                    arrival.move_before(op)
                held = []
        if op.name == _DOT:
            running.append(op.results[0])
        elif op.name == _ARRIVE and running:
            held.append(op)


def _spreads(op: ir.Operation) -> bool:
    """Whether an operation hands values of one thread to many, which take registers from then on."""
    return op.name == "ttg.convert_layout" and lo.layout_of(op.operands[0].type) == lo.ONE_EACH
