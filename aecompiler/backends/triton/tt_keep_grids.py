"""The pass `tt-keep-grids`: grids and loops over tiles stay such until they are in kernels."""

from __future__ import annotations

from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

BOUND = "tt_host.bound"
"""A number that is its operand, of which simplification does not know what it is."""

_UPPER, _SEGMENTS = "staticUpperBound", "operandSegmentSizes"


@register_pass
class KeepGrids(Pass):
    """Keep simplification from replacing grids of one program by their bodies.

    Where batch, heads and tiles of rows are all known to be 1, `canonicalize` puts the body of a grid into
    the function. That serves a machine whose grids are loops; here a grid is a kernel, and what is outside of
    all grids is what the host does.

    *Before*: functions with grids (`scf.forall`); the context allows unregistered dialects. *After*: the last
    bound of each is a `tt_host.bound` of what it was. `convert-tiles-to-tt` takes that for its operand.

    With `loops` this is done to the upper bound of loops in grids, outside of branches, that are known to
    turn once, for passes that ask for a loop over tiles of keys also where there is one tile. Bounds have to
    be constants (`sccp`).

    ```mlir
    %o = scf.forall (%b, %h, %t) in (1, 1, 1) shared_outs(%out = %empty) -> (tensor<1x1x3x64xbf16>) {...}
    ```
    becomes
    ```mlir
    %n = "tt_host.bound"(%c1) : (index) -> index
    %o = scf.forall (%b, %h, %t) in (1, 1, %n) shared_outs(%out = %empty) -> (tensor<1x1x3x64xbf16>) {...}
    ```
    """

    NAME = "tt-keep-grids"

    loops: bool = option(False, "keep loops of one turn in grids, too")

    def run(self, op: ir.Operation) -> None:
        """Rewrite every grid in `op`."""
        kir.require_unregistered(op)
        for grid in rw.walk_list(op, "scf.forall"):
            if not len(grid.results):
                continue
            if self.loops:
                _hide_bounds_of_loops(grid.regions[0].blocks[0])
            _hide_last_bound(grid)


def shown(bound: ir.Value) -> int | ir.Value:
    """The bound of a grid that was hidden, as a number if it is known."""
    if isinstance(bound.owner, ir.Block) or bound.owner.operation.name != BOUND:
        return bound
    was = bound.owner.operation.operands[0]
    number = rw.constant_value(was)
    return was if number is None else number


def _hide_last_bound(grid: ir.Operation) -> None:
    """Build a grid anew whose last bound is a value."""
    static = list(grid.attributes[_UPPER])
    segments = list(ir.DenseI32ArrayAttr(grid.attributes[_SEGMENTS]))
    lower, upper, *_ = segments
    operands = list(grid.operands)
    with ir.InsertionPoint(grid), grid.location:
        if static[-1] == rw.DYNAMIC:
            operands[lower + upper - 1] = _hidden(operands[lower + upper - 1])
        else:
            operands.insert(lower + upper, _hidden(rw.index(static[-1])))
            segments[1] += 1
        attributes = {
            **{name: grid.attributes[name] for name in ("staticLowerBound", "staticStep")},
            _UPPER: ir.DenseI64ArrayAttr.get([*static[:-1], rw.DYNAMIC]),
            _SEGMENTS: ir.DenseI32ArrayAttr.get(segments),
        }
        types = [result.type for result in grid.results]
        new = ir.Operation.create(grid.name, types, operands, attributes, regions=1)
    grid.regions[0].blocks[0].append_to(new.regions[0])
    for old, result in zip(grid.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    grid.erase()


def _hide_bounds_of_loops(block: ir.Block) -> None:
    for view in block.operations:
        loop = view.operation
        if loop.name != "scf.for":
            continue
        _hide_bounds_of_loops(loop.regions[0].blocks[0])
        lower, upper, step = (rw.constant_value(each) for each in list(loop.operands)[:3])
        if lower is not None and upper is not None and step is not None and lower < upper <= lower + step:
            with ir.InsertionPoint(loop), loop.location:
                loop.operands[1] = _hidden(loop.operands[1])


def _hidden(bound: ir.Value) -> ir.Value:
    return ir.Operation.create(BOUND, [bound.type], [bound]).results[0]
