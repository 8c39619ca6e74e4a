"""The pass `cpu-choose-tiles`: the sizes of tiles, by a model of what they cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from aecompiler.algebra.arithmetic import Numbers
from aecompiler.algebra.bands import HEAD, Rows
from aecompiler.algebra.tile_classes import tile_map
from aecompiler.backends.cpu import cost_model
from aecompiler.backends.cpu.cost_model import Core, Program, Tiles, Visits
from aecompiler.bindings import ir
from aecompiler.dialect.online import OnlineAttentionOp, OnlineReduceOp, accumulators_of
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attn_tile import FIRST_TILE_FIRST_ATTRIBUTE, MAX_BLOCK, TILE_ATTRIBUTE
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.mask_analysis import MaskAnalysis, analyze
from aecompiler.passes.mask_reading import KV_LEN, Q_LEN

_FORMS = (OnlineAttentionOp.OPERATION_NAME, OnlineReduceOp.OPERATION_NAME)
_SAMPLES = 16
"""Tiles of rows whose tiles of keys are counted: they stand for the others."""

_MOST_TESTED = 1 << 14
"""Keys up to which tiles are tested one by one."""


@register_pass
class ChooseTiles(Pass):
    """Choose how many rows and keys the tiles of streaming forms have.

    *Before*: streaming forms. *After*: each has the attribute `attn.tile`, which `attn-tile` obeys: the rows
    and keys of its tiles. They are those that cost least by the model of `cost_model.py`, which looks at the
    sizes of heads, at the types of k and v, and at the tiles that the mask leaves: those of a window are
    smaller. Sizes that are not known are taken for `length`; masks that are not known before a call are taken
    to leave everything. `block-q` and `block-kv` are what a person has chosen.

    Where the mask leaves as many keys of all rows, as a window does, a form also gets the attribute
    `attn.first_tile_first`: what a tile of rows reads of k and v then is what the one before it has read, and
    keys that follow. Of a causal mask the last tile takes longest, and comes first.

    `--explain` prints the costs of all sizes.

    ```mlir
    %o = "attn.online_attention"(%q, %k, %v) ({...}, ...) {accumulators = 1 : i64} : ...
    ```
    becomes
    ```mlir
    %o = "attn.online_attention"(%q, %k, %v) ({...}, ...)
        {accumulators = 1 : i64, attn.first_tile_first, attn.tile = array<i64: 64, 64>} : ...
    ```
    """

    NAME = "cpu-choose-tiles"
    ANCHOR = "func.func"

    block_q: int = option(0, "the query rows of a tile, 0 to choose")
    block_kv: int = option(0, "the keys of a tile, 0 to choose")
    vector_bits: int = option(512, "the width of a vector register")
    tile_q: int = option(4, "vectors of query rows in a register tile")
    tile_kv: int = option(4, "keys in a register tile of the first product")
    tile_d: int = option(4, "features in a register tile of the second product")
    pair_products: bool = option(False, "bf16 is multiplied by the instruction for pairs (avx512_bf16)")
    l1_bytes: int = option(32 << 10, "the size of the first cache")
    l2_bytes: int = option(1 << 20, "the size of the second cache")
    length: int = option(2048, "the number of rows and keys, where the type does not say")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("block-q", 0, MAX_BLOCK),
            ("block-kv", 0, MAX_BLOCK),
            ("tile-q", 1, 16),
            ("tile-kv", 1, 16),
            ("tile-d", 1, 16),
            ("l1-bytes", 1, 1 << 40),
            ("l2-bytes", 1, 1 << 40),
            ("length", 1, 1 << 20),
        ):
            value = getattr(self, name.replace("-", "_"))
            if not least <= value <= most:
                raise ValueError(f"expects {name} to be {least} to {most}, got {value}")
        if self.vector_bits not in (128, 256, 512):
            raise ValueError(f"expects vector-bits to be 128, 256 or 512, got {self.vector_bits}")

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        for form, core, program, mask in self._forms(op):
            tiles = cost_model.choose(core, program, mask.count, self.block_q, self.block_kv)
            sizes = [tiles.block_q, tiles.block_kv]
            form.attributes[TILE_ATTRIBUTE] = ir.DenseI64ArrayAttr.get(sizes, context=op.context)
            if not mask.last_may_be_longest(tiles):
                form.attributes[FIRST_TILE_FIRST_ATTRIBUTE] = ir.UnitAttr.get(op.context)

    def explain(self, op: ir.Operation) -> str:
        """See `Pass.explain`."""
        parts = []
        for form, core, program, mask in self._forms(op):
            lines = [f"'{form.name}' op in @{rw.symbol_name(op)}"]
            chosen = cost_model.choose(core, program, mask.count, self.block_q, self.block_kv)
            least = cost_model.cycles(core, program, chosen, mask.count(chosen))
            for tiles in cost_model.candidates(core, program, self.block_q, self.block_kv):
                ratio = cost_model.cycles(core, program, tiles, mask.count(tiles)) / max(least, 1.0)
                scratch = cost_model.scratch_bytes(program, tiles) >> 10
                mark = ", chosen" if tiles == chosen else ""
                lines.append(f"  {tiles}: cost {ratio:.3f}, scratch memory {scratch} KiB{mark}")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _forms(self, op: ir.Operation) -> Iterator[tuple[ir.Operation, Core, Program, _Mask]]:
        for form in rw.walk_list(op, "attn."):
            if form.name in _FORMS:
                program = _program(form)
                core = Core(
                    vector_bits=self.vector_bits,
                    tile_q=self.tile_q,
                    tile_kv=self.tile_kv,
                    tile_d=self.tile_d,
                    pair_products=self.pair_products,
                    l1_bytes=self.l1_bytes,
                    l2_bytes=self.l2_bytes,
                )
                yield form, core, program, self._mask(form)

    def _mask(self, form: ir.Operation) -> _Mask:
        q_len, kv_len = (
            self.length if shaped.is_dynamic_dim(2) else shaped.shape[2]
            for shaped in (value.type for value in list(form.operands)[:2])
        )
        return _Mask(analyze(form), q_len, kv_len)


@dataclasses.dataclass(frozen=True)
class _Mask:
    """The tiles that a mask leaves of so many rows and keys."""

    analysis: MaskAnalysis
    q_len: int
    kv_len: int

    @property
    def is_known(self) -> bool:
        """Whether that can be told before a call, without testing too many tiles."""
        if self.analysis.reads_tensors or (self.analysis.needs_test and self.kv_len > _MOST_TESTED):
            return False
        return all(name in self._symbols for name in self.analysis.reading.symbols)

    @property
    def _symbols(self) -> dict[str, int]:
        return {"b": 0, HEAD: 0, Q_LEN: self.q_len, KV_LEN: self.kv_len}

    def count(self, tiles: Tiles) -> Visits:
        """How many tiles are left."""
        q_tiles = -(-self.q_len // tiles.block_q)
        if not self.is_known:
            return Visits(q_tiles, q_tiles * -(-self.kv_len // tiles.block_kv), 0)
        return self._count_of(range(0, q_tiles, max(1, q_tiles // _SAMPLES)), tiles)

    def last_may_be_longest(self, tiles: Tiles) -> bool:
        """Whether more keys may be left of the last tile of rows than of the middle one."""
        last = -(-self.q_len // tiles.block_q) - 1
        if not self.is_known or last < 1:
            return True
        middle, end = (self._count_of([number], tiles) for number in (last // 2, last))
        return middle.full + middle.partial < end.full + end.partial

    def _count_of(self, numbers: Sequence[int], tiles: Tiles) -> Visits:
        """How many tiles of keys are left of the tiles of rows with these numbers."""
        firsts = [number * tiles.block_q for number in numbers]
        rows = [
            Rows(Numbers(), self._symbols, first, min(first + tiles.block_q, self.q_len) - 1, self.kv_len)
            for first in firsts
        ]
        classes = self.analysis.classes
        if self.analysis.needs_test:
            kinds = [kind for line in tile_map(classes, rows, tiles.block_kv) for kind in line]
            return Visits(len(rows), kinds.count("full"), kinds.count("partial"))
        ranges = [classes.ranges(each, tiles.block_kv) for each in rows]
        full, partial = (
            sum(end - begin for each in ranges for begin, end in kind(each))
            for kind in (lambda each: each.full, lambda each: each.partial)
        )
        return Visits(len(rows), full, partial)


def _program(form: ir.Operation) -> Program:
    q, k, *rest = (ir.RankedTensorType(value.type) for value in form.operands)
    values = form.name == OnlineAttentionOp.OPERATION_NAME
    score = form.regions[0].blocks[0]
    return Program(
        features=q.shape[3],
        v_features=rest[0].shape[3] if values else 0,
        bits=k.element_type.width,
        accumulator_bits=score.arguments[0].type.width,
        accumulators=accumulators_of(form.opview) if values else 0,
    )
