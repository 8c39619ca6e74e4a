"""The pass `tt-keep-loops`: loops over tiles that turn once stay loops until they are in kernels."""

from __future__ import annotations

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

HIDDEN = "tt_host.hidden"
"""A number that is its operand, of which simplification does not know what it is."""


@register_pass
class KeepLoops(Pass):
    """Keep simplification from replacing loops of one turn in grids by their bodies.

    Passes that give roles to warps ask for a loop over tiles of keys also where there is one tile.

    *Before*: functions with grids (`scf.forall`), with constants where bounds of grids and loops are known
    (`sccp`); the context allows unregistered dialects. *After*: the upper bound of loops in grids, outside of
    branches, that are known to turn once is a `tt_host.hidden` of what it was. So is the position in a
    dimension of a grid that has one: simplification would take it for 0, and find other loops of one turn.
    `convert-tiles-to-tt` takes such a number for its operand.

    ```mlir
    %sum = scf.for %t = %c0 to %c1 step %c1 iter_args(%acc = %zero) -> (tensor<64x64xf32>) {...}
    ```
    becomes
    ```mlir
    %n = "tt_host.hidden"(%c1) : (index) -> index
    %sum = scf.for %t = %c0 to %n step %c1 iter_args(%acc = %zero) -> (tensor<64x64xf32>) {...}
    ```
    """

    NAME = "tt-keep-loops"

    def run(self, op: ir.Operation) -> None:
        """Hide what simplification would learn from in every grid in `op`."""
        kir.require_unregistered(op)
        for grid in rw.walk_list(op, "scf.forall"):
            if len(grid.results):
                _hide_positions(grid)
                _hide_bounds(grid.regions[0].blocks[0])


def _hide_positions(grid: ir.Operation) -> None:
    """Hide the positions in dimensions that have one."""
    block = grid.regions[0].blocks[0]
    dynamic = iter(grid.operands)
    for position, static in zip(block.arguments, grid.attributes["staticUpperBound"], strict=False):
        bound = rw.constant_value(next(dynamic)) if static == rw.DYNAMIC else static
        uses = list(position.uses)
        if bound != 1 or not uses:
            continue
        with ir.InsertionPoint.at_block_begin(block), grid.location:
            hidden = _hidden(position)
        for use in uses:
            use.owner.operation.operands[use.operand_number] = hidden


def _hide_bounds(block: ir.Block) -> None:
    """Hide the upper bounds of loops that turn once, and of those in loops."""
    for view in block.operations:
        loop = view.operation
        if loop.name != "scf.for":
            continue
        _hide_bounds(loop.regions[0].blocks[0])
        lower, upper, step = (rw.constant_value(each) for each in list(loop.operands)[:3])
        if lower is not None and upper is not None and step is not None and lower < upper <= lower + step:
            with ir.InsertionPoint(loop), loop.location:
                loop.operands[1] = _hidden(loop.operands[1])


def _hidden(number: ir.Value) -> ir.Value:
    return ir.Operation.create(HIDDEN, [number.type], [number]).results[0]
