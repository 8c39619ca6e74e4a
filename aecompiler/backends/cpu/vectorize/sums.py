"""Running sums over the positions of a tile, `attn.prefix_sum`: one addition for each element."""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.bindings import arith, ir, memref
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_sums import RunningSum


def running_sum(source: ir.Value, target: ir.Value, law: RunningSum, lanes: int) -> None:
    """Store the running sums of static memory, `[L]` or `[L, n]`, of the type that `target` has."""
    shape = list(ir.MemRefType(target.type).shape)
    if len(shape) == 1:
        _strip(source, target, law, [], 1)
        return
    start, width = 0, lanes
    while start < shape[1]:
        stop = shape[1] - (shape[1] - start) % width

        def columns(c: ir.Value, _: list[ir.Value], width: int = width) -> list[ir.Value]:
            _strip(source, target, law, [c], width)
            return []

        vec.loop(start, stop, width, [], columns)
        start, width = stop, width // 2


def _strip(source: ir.Value, target: ir.Value, law: RunningSum, columns: list[ir.Value], width: int) -> None:
    """The sums of neighbouring columns, from block to block."""
    length = ir.MemRefType(target.type).shape[0]
    element = ir.MemRefType(target.type).element_type
    zero = rw.constant(element, 0.0)
    if width > 1:
        zero = vec.broadcast(zero, width)

    def add(place: ir.Value, total: ir.Value) -> ir.Value:
        at = [place, *columns]
        term = vec.load(source, at, width) if width > 1 else memref.load(source, at)
        new = arith.addf(total, vec.convert(term, element))
        stored = new if law.inclusive else total
        if width > 1:
            vec.store(stored, target, at)
        else:
            memref.store(stored, target, at)
        return new

    def block(first: ir.Value, size: int) -> None:
        last = vec.plus(first, size - 1)

        def step(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            place = arith.subi(last, number) if law.reverse else arith.addi(first, number)
            return [add(place, carried[0])]

        vec.loop(0, size, 1, [zero], step)

    def whole(first: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        block(first, law.block)
        return []

    blocks = length - length % law.block
    vec.loop(0, blocks, law.block, [], whole)
    if length % law.block:
        block(rw.index(blocks), length % law.block)
