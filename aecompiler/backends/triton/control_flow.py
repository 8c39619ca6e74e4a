"""Loops and branches of tile programs in kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.kernel_abi import MOST_SIZE
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.tiles import Tile
from aecompiler.backends.triton.windows import Window
from aecompiler.bindings import ir, scf
from aecompiler.passes.score_ranges import GENERAL
from aecompiler.passes.structured_ops import UnsupportedTile
from aecompiler.passes.tile_program import MASKED, RETRY

if TYPE_CHECKING:
    from aecompiler.backends.triton.kernel import Entry, KernelBuilder

MOST_NUMBER = MOST_SIZE
"""Loops go no further to either side: they count tiles."""

_KEPT = (GENERAL, MASKED, RETRY)
"""Attributes of loops and branches that the kernel's have as well."""


def _for(kernel: KernelBuilder, op: ir.Operation) -> None:
    lower, upper, step, *inits = op.operands
    low, high = (_clamped(kernel.lanes(bound)) for bound in (lower, upper))
    bounds = [ln.narrow(each) for each in (low, high, kernel.lanes(step))]
    if any(bound is None for bound in bounds):
        raise UnsupportedTile("a loop whose bounds do not fit 32 bits")
    assert low.range is not None
    assert high.range is not None
    block = op.regions[0].blocks[0]
    iv, *carried = block.arguments
    windows = {n: found for n, init in enumerate(inits) if (found := _window(kernel, init)) is not None}
    handed_on = [n for n in range(len(inits)) if n not in windows]
    loop = scf.ForOp(*bounds, [_carried(kernel, inits[n]).value for n in handed_on])
    _keep_attributes(op, loop.operation)
    with ir.InsertionPoint(loop.body):
        limits = (low.range[0], max(high.range[1] - 1, low.range[0]))
        kernel.entries[iv] = ln.number(loop.induction_variable, (), limits)
        for n, value in zip(handed_on, loop.inner_iter_args, strict=True):
            kernel.entries[carried[n]] = _received(kernel, inits[n].type, value)
        for n, window in windows.items():
            kernel.entries[carried[n]] = window
        kernel.block(block)
        *_, terminator = block.operations
        yielded = list(terminator.operands)
        for n, window in windows.items():
            if kernel.entry(yielded[n]) is not window:
                raise UnsupportedTile("a loop that writes a part of a result and hands on something else")
        scf.YieldOp([_carried(kernel, yielded[n]).value for n in handed_on])
    for n, value in zip(handed_on, loop.results, strict=True):
        kernel.entries[op.results[n]] = _received(kernel, op.results[n].type, value)
    for n, window in windows.items():
        kernel.entries[op.results[n]] = window


def _window(kernel: KernelBuilder, value: ir.Value) -> Window | None:
    """The part of a result in memory that a value is, if it is one."""
    entry = kernel.entry(value)
    return entry if isinstance(entry, Window) else None


def _clamped(bound: Lanes) -> Lanes:
    """A bound of a loop, no further than loops go; one that is known to be near stays as it is."""
    if bound.range is not None and bound.range[0] >= -MOST_NUMBER and bound.range[1] <= MOST_NUMBER:
        return bound
    bound = ln.compute("minsi", bound, ln.constant(MOST_NUMBER), ())
    return ln.compute("maxsi", bound, ln.constant(-MOST_NUMBER), ())


def _if(kernel: KernelBuilder, op: ir.Operation) -> None:
    condition = kernel.lanes(op.operands[0])
    types = [_carried_type(kernel, result.type) for result in op.results]
    has_else = len(op.regions[1].blocks) > 0
    branch = scf.IfOp(condition.value, types, has_else=has_else)
    _keep_attributes(op, branch.operation)
    for region, new in zip(op.regions, (branch.then_block, branch.else_block), strict=True):
        if not len(region.blocks):
            continue
        with ir.InsertionPoint(new):
            kernel.block(region.blocks[0])
            *_, terminator = region.blocks[0].operations
            scf.YieldOp([_carried(kernel, value).value for value in terminator.operands])
    for result, value in zip(op.results, branch.results, strict=True):
        kernel.entries[result] = _received(kernel, result.type, value)


def _keep_attributes(op: ir.Operation, new: ir.Operation) -> None:
    for name in _KEPT:
        if name in op.attributes:
            new.attributes[name] = op.attributes[name]


def _carried(kernel: KernelBuilder, value: ir.Value) -> Lanes:
    """A value as control flow hands it on: a tensor of the tile's shape, a number in 64 bits."""
    if isinstance(value.type, ir.RankedTensorType):
        tile = kernel.tile(value)
        if tile.merged > 1:
            raise UnsupportedTile("a tile that is handed on whose dimensions are one in registers")
        return tile.whole(tt.register_sizes(tile.shape))
    lanes = kernel.lanes(value)
    return Lanes(ln.wide(lanes)) if lanes.range is not None else lanes


def _carried_type(kernel: KernelBuilder, type_: ir.Type) -> ir.Type:
    if isinstance(type_, ir.RankedTensorType):
        return tt.typed(tt.register_sizes(type_.shape), type_.element_type)
    return tt.integer(64) if isinstance(type_, ir.IndexType) else type_


def _received(kernel: KernelBuilder, type_: ir.Type, value: ir.Value) -> Entry:
    if isinstance(type_, ir.RankedTensorType):
        if not type_.shape:
            return Tile(None, Lanes(value), ())
        return Tile(value, None, tuple(type_.shape))
    if isinstance(type_, ir.IndexType):
        return ln.number(value, (), (-(1 << 63), (1 << 63) - 1))
    return Lanes(value)


HANDLERS = {"scf.for": _for, "scf.if": _if}
"""What makes operations of a kernel of those of a tile program."""
