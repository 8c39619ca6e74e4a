"""The pass `cpu-choose-tiles`: the sizes of tiles, by a model of what they cost."""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.algebra.arithmetic import Numbers
from aecompiler.algebra.bands import HEAD, Rows
from aecompiler.algebra.tile_classes import tile_map
from aecompiler.backends.cpu import cost_model
from aecompiler.backends.cpu.cost_model import Core, Count, Program, Tiles, Visits
from aecompiler.bindings import ir
from aecompiler.dialect.online import OnlineAttentionOp, OnlineReduceOp, accumulators_of
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attn_tile import MAX_BLOCK, TILE_ATTRIBUTE
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.mask_analysis import analyze
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

    `--explain` prints the costs of all sizes.

    ```mlir
    %o = "attn.online_attention"(%q, %k, %v) ({...}, ...) {accumulators = 1 : i64} : ...
    ```
    becomes
    ```mlir
    %o = "attn.online_attention"(%q, %k, %v) ({...}, ...)
        {accumulators = 1 : i64, attn.tile = array<i64: 64, 64>} : ...
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
        for form, core, program, count in self._forms(op):
            tiles = cost_model.choose(core, program, count, self.block_q, self.block_kv)
            sizes = [tiles.block_q, tiles.block_kv]
            form.attributes[TILE_ATTRIBUTE] = ir.DenseI64ArrayAttr.get(sizes, context=op.context)

    def explain(self, op: ir.Operation) -> str:
        """See `Pass.explain`."""
        parts = []
        for form, core, program, count in self._forms(op):
            lines = [f"'{form.name}' op in @{rw.symbol_name(op)}"]
            chosen = cost_model.choose(core, program, count, self.block_q, self.block_kv)
            least = cost_model.cycles(core, program, chosen, count(chosen))
            for tiles in cost_model.candidates(core, program, self.block_q, self.block_kv):
                ratio = cost_model.cycles(core, program, tiles, count(tiles)) / max(least, 1.0)
                scratch = cost_model.scratch_bytes(program, tiles) >> 10
                mark = ", chosen" if tiles == chosen else ""
                lines.append(f"  {tiles}: cost {ratio:.3f}, scratch memory {scratch} KiB{mark}")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _forms(self, op: ir.Operation) -> Iterator[tuple[ir.Operation, Core, Program, Count]]:
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
                yield form, core, program, self._count(form)

    def _count(self, form: ir.Operation) -> Count:
        """How many tiles the mask of a form leaves."""
        q_len, kv_len = (
            self.length if shaped.is_dynamic_dim(2) else shaped.shape[2]
            for shaped in (value.type for value in list(form.operands)[:2])
        )
        analysis = analyze(form)
        symbols = {"b": 0, HEAD: 0, Q_LEN: q_len, KV_LEN: kv_len}
        is_known = not analysis.reads_tensors and all(name in symbols for name in analysis.reading.symbols)
        if analysis.needs_test and kv_len > _MOST_TESTED:
            is_known = False

        def count(tiles: Tiles) -> Visits:
            q_tiles = -(-q_len // tiles.block_q)
            if not is_known:
                return Visits(q_tiles, q_tiles * -(-kv_len // tiles.block_kv), 0)
            step = max(1, q_tiles // _SAMPLES)
            rows = [
                Rows(Numbers(), symbols, first, min(first + tiles.block_q, q_len) - 1, kv_len)
                for first in range(0, q_len, step * tiles.block_q)
            ]
            if analysis.needs_test:
                kinds = [kind for line in tile_map(analysis.classes, rows, tiles.block_kv) for kind in line]
                return Visits(len(rows), kinds.count("full"), kinds.count("partial"))
            ranges = [analysis.classes.ranges(each, tiles.block_kv) for each in rows]
            full, partial = (
                sum(end - begin for each in ranges for begin, end in kind(each))
                for kind in (lambda each: each.full, lambda each: each.partial)
            )
            return Visits(len(rows), full, partial)

        return count


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
