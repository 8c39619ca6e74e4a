"""Which tiles of an attention op are empty, full or partial: bounds of loops, from its mask region.

```python
analysis = analyze(op)                                    # reads region 1, the mask, of any attention op
ranges = analysis.build_ranges(b, h_first, h_last, i_first, i_last, block_kv, kv_len)
for begin, end in ranges.full:       ...                  # tiles that need no mask
for begin, end in ranges.partial:    ...                  # tiles that do
```

A *tile* is the rows `i_first` to `i_last`, both included and none of them padding, and the keys
`[t * block_kv, (t + 1) * block_kv)`. It is *full* if every key is below `kv_len` and unmasked in all rows,
*empty* if every key that exists is masked in all rows, else *partial*. So a tile that sticks out over
`kv_len` is never full: the code of partial tiles masks what does not exist. Rows beyond `i_last` don't count.

Ranges are disjoint, half-open, may be empty and never reversed; what none of them holds is empty. Their
counts, `full_count` and `partial_count`, don't depend on sizes. If `needs_test`, no range is full, the only
partial one is a hull, and `build_test` tells what each of its tiles is.

The analysis is computed where it is used, since an attribute could describe a mask that has changed. It holds
values of the region: build before the region changes. It never fails: what it does not understand is partial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aecompiler.algebra.bands import HEAD, Rows
from aecompiler.algebra.tile_classes import TileClasses, tile_classes
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.mask_arithmetic import IndexArithmetic, materialize, materialize_bool
from aecompiler.passes.mask_reading import POSITIONS, MaskReading, read_mask
from aecompiler.passes.region_safety import guard_operations

ATTENTION_OPS = ("attn.attention", "attn.online_attention", "attn.online_reduce")
"""The ops whose region 1 is a mask."""

Range = tuple[ir.Value, ir.Value]


@dataclass(frozen=True)
class Ranges:
    """Ranges of tiles along the keys: [begin, end) as values of type index."""

    full: tuple[Range, ...]
    partial: tuple[Range, ...]

    def position(self, number: ir.Value) -> ir.Value:
        """The position of the tile with a number of the ranges."""
        return number


def analyze(op: ir.Operation, *, packed: bool = False) -> MaskAnalysis:
    """Analyse the mask of an attention op; `packed`: tiles have rows of several query heads."""
    op = op.operation
    reading = read_mask(op, packed=packed)
    classes = tile_classes(reading.formula, reading.guards, reading.limit, packed=packed)
    return MaskAnalysis(op.regions[1].blocks[0], reading, classes, packed)


@dataclass(frozen=True)
class MaskAnalysis:
    """What `analyze` found. The `build` methods create operations at the insertion point."""

    block: ir.Block
    reading: MaskReading
    classes: TileClasses
    packed: bool
    """Whether the rows of a tile are of a range of heads, not of the first one."""

    @property
    def needs_test(self) -> bool:
        """Whether each tile of a partial range has to be tested with `build_test`."""
        return self.classes.needs_test

    @property
    def full_count(self) -> int:
        """The number of full ranges."""
        return self.classes.full_count

    @property
    def partial_count(self) -> int:
        """The number of partial ranges."""
        return self.classes.partial_count

    @property
    def reads_tensors(self) -> bool:
        """Whether the class of a tile depends on elements of tensors at its positions."""
        return bool(self.classes.reads)

    def depends_on(self, index: int) -> bool:
        """Whether the mask depends on the batch (0) or the head (1)."""
        *_, terminator = self.block.operations
        return any(_depends(self.block, value, index) for value in terminator.operation.operands)

    def names_depend_on(self, names: Iterable[str], index: int) -> bool:
        """Whether what names in formulas stand for depends on the batch (0) or the head (1)."""
        own = ("b", HEAD)[index]
        symbols, tensors = self.reading.symbols, self.reading.tensors
        values = [source[name] for name in names for source in (symbols, tensors) if name in source]
        return own in names or any(_depends(self.block, value, index) for value in values)

    @property
    def segments(self) -> int:
        """The larger of both counts."""
        return max(self.full_count, self.partial_count)

    def build_ranges(
        self,
        batch: ir.Value,
        head_first: ir.Value,
        head_last: ir.Value,
        i_first: ir.Value,
        i_last: ir.Value,
        block_kv: int,
        kv_len: ir.Value,
    ) -> Ranges:
        """The ranges of tiles for rows `i_first` to `i_last`, which must exist, of each of the heads."""
        rows = self.build_rows(batch, (head_first, head_last), i_first, i_last, kv_len)
        ranges = self.classes.ranges(rows, block_kv)
        full, partial = (
            tuple((materialize(begin), materialize(end)) for begin, end in found)
            for found in (ranges.full, ranges.partial)
        )
        return Ranges(full, partial)

    def build_test(
        self,
        batch: ir.Value,
        head_first: ir.Value,
        head_last: ir.Value,
        i_first: ir.Value,
        i_last: ir.Value,
        tile: ir.Value,
        block_kv: int,
        kv_len: ir.Value,
    ) -> tuple[ir.Value, ir.Value]:
        """Whether a tile is not empty, and whether it is full, as i1; `tile` counts in blocks of keys."""
        rows = self.build_rows(batch, (head_first, head_last), i_first, i_last, kv_len)
        nonempty, full = self.classes.test(rows, tile, block_kv)
        return materialize_bool(nonempty), materialize_bool(full)

    def build_names(self, batch: ir.Value, head: ir.Value) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
        """What the names in formulas stand for, in one batch and head: indices, and tensors."""
        return build_names(self.block, self.reading, batch, head)

    def build_rows(
        self,
        batch: ir.Value,
        heads: tuple[ir.Value, ir.Value],
        i_first: ir.Value,
        i_last: ir.Value,
        kv_len: ir.Value,
    ) -> Rows:
        """The rows of a tile, for formulas that are built at the insertion point."""
        symbols, tensors = self.build_names(batch, heads[0])
        last_head = heads[1] if self.packed else None
        return Rows(IndexArithmetic(tensors), symbols, i_first, i_last, kv_len, last_head)


def _depends(block: ir.Block, value: ir.Value, index: int) -> bool:
    """Whether a value of a region is computed from the argument with that number."""
    operands = [operand for op in _slice(block, value) for operand in op.operands]
    return block.arguments[index] in (value, *operands)


def _slice(block: ir.Block, value: ir.Value) -> list[ir.Operation]:
    """The operations of a block that compute `value`, in their order."""
    wanted = {value}
    found = []
    for op in reversed(list(block.operations)):
        if any(result in wanted for result in op.operation.results):
            found.append(op.operation)
            wanted.update(op.operation.operands)
    return found[::-1]


def build_names(
    block: ir.Block, reading: MaskReading, batch: ir.Value, head: ir.Value
) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """What the names in formulas of a region stand for, in one batch and head: indices, and tensors."""
    b, h, *_ = list(block.arguments)[-POSITIONS:]
    builder = _Symbols(block, {b: batch, h: head})
    symbols = {name: builder.index(value) for name, value in reading.symbols.items()}
    tensors = {name: builder.value(value) for name, value in reading.tensors.items()}
    return {**symbols, "b": batch, HEAD: head}, tensors


class _Symbols:
    """Computes values of a region for one batch and head, at the insertion point."""

    def __init__(self, block: ir.Block, arguments: Mapping[ir.Value, ir.Value]):
        self._block = block
        self._arguments = dict(arguments)

    def value(self, value: ir.Value) -> ir.Value:
        """`value` itself if it is from outside, else a clone of what computes it."""
        if value in self._arguments:
            return self._arguments[value]
        if isinstance(value.owner, ir.Block) or value.owner.operation.block != self._block:
            return value
        mapping = dict(self._arguments)
        clones = [rw.clone_op(op, mapping).operation for op in _slice(self._block, value)]
        # A guard may put something else in the place of a result: a user shows what.
        true = rw.constant(ir.IntegerType.get_signless(1), 1)
        user = arith.SelectOp(true, mapping[value], mapping[value]).operation
        guard_operations(clones)
        guarded = user.operands[1]
        user.erase()
        return guarded

    def index(self, value: ir.Value) -> ir.Value:
        """`value` as an index; an i1 is 0 or 1."""
        found = self.value(value)
        if isinstance(found.type, ir.IndexType):
            return found
        cast = arith.index_castui if found.type.width == 1 else arith.index_cast
        return cast(ir.IndexType.get(), found)
