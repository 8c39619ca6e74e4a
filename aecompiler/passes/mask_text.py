"""What the mask analysis finds, as text: formulas of the bounds, and a map of the tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aecompiler.algebra.arithmetic import Numbers
from aecompiler.algebra.bands import HEAD, Band, Rows
from aecompiler.algebra.text import Text
from aecompiler.algebra.tile_classes import tile_map
from aecompiler.passes.mask_analysis import MaskAnalysis
from aecompiler.passes.mask_reading import KV_LEN, Q_LEN

LETTERS = {"full": "#", "partial": "+", "empty": "."}
_WIDEST = 96
_MOST_TILES = 1 << 22


@dataclass(frozen=True)
class Sizes:
    """The sizes of a map of tiles, and numbers for the symbols of the mask."""

    q_len: int
    kv_len: int
    block_q: int
    block_kv: int
    values: Mapping[str, int]


def bounds(analysis: MaskAnalysis) -> tuple[str, str]:
    """The keys that rows i0 to i1 attend to, and those that they mask, as formulas."""
    classes = analysis.classes
    return _bands_text(classes.unmasked), _bands_text(classes.masked)


def _bands_text(bands: Sequence[Band]) -> str:
    return " or ".join(map(_band_text, bands)) or "none"


def _band_text(band: Band) -> str:
    names = {name for bound in _bounds_of(band) for name in bound.names}
    rows = Rows(Text(), {name: name for name in names}, "i0", "i1", KV_LEN)
    first, last = band.interval(rows)
    whole = band.starts_at_zero and band.ends_at_last
    text = "all" if whole else f"{first} .. {last}"
    conditions = [*band.conditions, *band.row_conditions, *band.divisibility, *band.ranged]
    texts = [str(each) for each in conditions]
    texts += [f"{bound} <= i1" for bound in band.row_low] + [f"i0 <= {bound}" for bound in band.row_high]
    if band.unknown:
        texts.append("something unknown")
    return f"{text} where {' and '.join(texts)}" if texts else text


def _bounds_of(band: Band) -> list:
    return [*band.row_low, *band.row_high, *band.key_low, *band.key_high, *band.lower, *band.upper]


def summary(analysis: MaskAnalysis, sizes: Sizes) -> str:
    """One line: the bounds, and whether tiles have to be tested."""
    attended, masked = bounds(analysis)
    how = "; each tile tested" if analysis.needs_test else ""
    return f"{sizes.block_q} x {sizes.block_kv}; attended: {attended}; masked: {masked}{how}"


def explanation(analysis: MaskAnalysis, sizes: Sizes) -> str:
    """The mask, the bounds, and the map of its tiles for the given sizes."""
    attended, masked = bounds(analysis)
    lines = [
        f"mask: {analysis.reading.formula}",
        f"rows i0 .. i1 attend to keys {attended}",
        f"rows i0 .. i1 do not attend to keys {masked}",
    ]
    lines += [f"relies on: {guard}" for guard in analysis.classes.guards]
    if analysis.reading.limit is not None:
        lines.append(f"relies on: at most {analysis.reading.limit} positions")
    if analysis.needs_test:
        lines.append("each tile between the first and the last key attended to is tested by itself")
    else:
        lines.append(
            "ranges of tiles for each block of rows: "
            f"{analysis.full_count} full, {analysis.partial_count} partial"
        )
    return "\n".join([*lines, *_map(analysis, sizes)])


def _map(analysis: MaskAnalysis, sizes: Sizes) -> list[str]:
    symbols = {"b": 0, HEAD: 0, **sizes.values, Q_LEN: sizes.q_len, KV_LEN: sizes.kv_len}
    missing = [name for name in analysis.reading.symbols if name not in symbols]
    if analysis.reads_tensors:
        return ["tiles: known at run time, from the tensors that the mask reads"]
    if missing:
        return [f"tiles: known at run time, or with values={','.join(f'{name}=N' for name in missing)}"]
    title = f"{sizes.block_q} x {sizes.block_kv} tiles of {sizes.q_len} x {sizes.kv_len} positions"
    lines, columns = -(-sizes.q_len // sizes.block_q), -(-sizes.kv_len // sizes.block_kv)
    if max(lines, 1) * max(columns, 1) > _MOST_TILES:
        return [f"{title}: too many to be counted"]
    grid = grid_of(analysis, sizes, symbols)
    count = {kind: sum(line.count(kind) for line in grid) for kind in LETTERS}
    counts = ", ".join(f"{n} {kind}" for kind, n in count.items())
    head = f"{title}: {counts}"
    if not grid or not grid[0]:
        return [head]
    if max(len(grid), len(grid[0])) > _WIDEST:
        return [f"{head}; too many for a map"]
    legend = ", ".join(f"{letter} {kind}" for kind, letter in LETTERS.items())
    return [f"{head} ({legend})", *("  " + "".join(LETTERS[kind] for kind in line) for line in grid)]


def grid_of(
    analysis: MaskAnalysis, sizes: Sizes, symbols: Mapping[str, int], tensors: Mapping | None = None
) -> list[list[str]]:
    """The class of each tile, with numbers for all symbols."""
    rows = [
        Rows(Numbers(tensors), symbols, first, min(first + sizes.block_q, sizes.q_len) - 1, sizes.kv_len)
        for first in range(0, sizes.q_len, sizes.block_q)
    ]
    return tile_map(analysis.classes, rows, sizes.block_kv)
