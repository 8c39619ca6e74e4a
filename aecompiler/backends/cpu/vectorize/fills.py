"""Results that are one scalar where no tile writes: they are filled before."""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.bindings import ir, memref, scf
from aecompiler.passes import rewriting as rw


def can_be_filled(value: ir.Value) -> bool:
    """Whether `fill` has a form for a tensor: its rows have a size that is known."""
    shaped = ir.RankedTensorType(value.type)
    return shaped.rank > 1 and not shaped.is_dynamic_dim(shaped.rank - 1)


def fill(buffer: ir.Value, scalar: ir.Value, lanes: int) -> None:
    """Store a scalar everywhere in a contiguous buffer, its planes in parallel."""
    shaped = ir.MemRefType(buffer.type)
    rank, columns = shaped.rank, shaped.shape[-1]
    outer = [memref.DimOp(buffer, rw.index(d)).result for d in range(rank - 2)]

    def row(place: list[ir.Value]) -> None:
        start, width = 0, lanes
        while start < columns:
            stop = columns - (columns - start) % width
            value = vec.broadcast(scalar, width)

            def strip(c: ir.Value, _: list[ir.Value], value: ir.Value = value) -> list[ir.Value]:
                vec.store(value, buffer, [*place, c])
                return []

            vec.loop(start, stop, width, [], strip)
            start, width = stop, width // 2

    def rows(prefix: list[ir.Value]) -> None:
        def each(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            row([*prefix, n])
            return []

        vec.loop(0, vec.size(buffer, rank - 2), 1, [], each)

    if not outer:
        rows([])
        return
    loop = scf.ForallOp([0] * len(outer), outer, [1] * len(outer), [])
    with ir.InsertionPoint(loop.body):
        rows(list(loop.induction_variables))
        ending = scf.InParallelOp().operation
        if not len(ending.regions[0].blocks):
            ending.regions[0].blocks.append()
