"""Asks the caches for what a tile program reads next: the rows that follow a tile of q, k or v.

Tiles of keys follow one another in the loop over them, and tiles of rows in the grid, if that goes from the
first to the last (`attn.first_tile_first`). No result depends on it: behind the last row of a tensor, too,
nothing is read, and an address where there is no memory is no error.
"""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.bindings import arith, ir, memref
from aecompiler.passes import rewriting as rw

_FIRST_CACHE, _SECOND_CACHE = 3, 2
"""The `locality` of what is read with the next tile of keys, and of what is read after all of them."""


def next_keys(buffer: ir.Value, keys: int, x: ir.Value, rows: int, k: ir.Value, width: int) -> None:
    """In step `k` of a product, which reads `width` elements of `rows` of k from `x` on, ask for one of them.

    It is one of the next tile, `keys` further on. As many steps as there are rows ask for each row once: what
    they read of a row is no more, as a rule, than a cache is filled with at a time.
    """
    row = arith.remui(k, rw.index(rows))
    column = arith.subi(k, row)
    place = vec.plus(arith.addi(x, row), keys)
    _ask(buffer, [place, arith.muli(column, rw.index(width)) if width > 1 else column], _FIRST_CACHE)


def next_values(buffer: ir.Value, keys: int, k: ir.Value, x: ir.Value) -> None:
    """In a step that reads row `k` of v, from feature `x` on, ask for that of the next tile."""
    _ask(buffer, [vec.plus(k, keys), x], _FIRST_CACHE)


def next_rows(buffer: ir.Value, r: ir.Value, c: ir.Value, count: int) -> None:
    """Where `count` rows of q are read, from `r` on at column `c`, ask for those of the next tile."""
    rows = ir.MemRefType(buffer.type).shape[0]
    for row in range(count):
        _ask(buffer, [vec.plus(r, rows + row), c], _SECOND_CACHE)


def _ask(buffer: ir.Value, place: list[ir.Value], locality: int) -> None:
    memref.PrefetchOp(buffer, place, isWrite=False, localityHint=locality, isDataCache=True)
