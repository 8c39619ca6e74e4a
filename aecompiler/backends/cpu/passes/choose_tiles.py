"""The pass `cpu-choose-tiles`: the sizes of tiles, by a model of what they cost."""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.backends.cpu import cost_model
from aecompiler.backends.cpu.cost_model import Core, Count, Program, Tiles, Visits
from aecompiler.bindings import ir
from aecompiler.dialect.online import OnlineAttentionOp, OnlineReduceOp, accumulators_of
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attn_tile import FIRST_TILE_FIRST_ATTRIBUTE, MAX_BLOCK, TILE_ATTRIBUTE
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.tile_counts import MaskTiles

_FORMS = (OnlineAttentionOp.OPERATION_NAME, OnlineReduceOp.OPERATION_NAME)


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
            tiles = cost_model.choose(core, program, _counts(mask), self.block_q, self.block_kv)
            sizes = [tiles.block_q, tiles.block_kv]
            form.attributes[TILE_ATTRIBUTE] = ir.DenseI64ArrayAttr.get(sizes, context=op.context)
            if not mask.last_may_be_longest(tiles.block_q, tiles.block_kv):
                form.attributes[FIRST_TILE_FIRST_ATTRIBUTE] = ir.UnitAttr.get(op.context)

    def explain(self, op: ir.Operation) -> str:
        """See `Pass.explain`."""
        parts = []
        for form, core, program, mask in self._forms(op):
            lines = [f"'{form.name}' op in @{rw.symbol_name(op)}"]
            chosen = cost_model.choose(core, program, _counts(mask), self.block_q, self.block_kv)
            least = cost_model.cycles(core, program, chosen, _counts(mask)(chosen))
            for tiles in cost_model.candidates(core, program, self.block_q, self.block_kv):
                ratio = cost_model.cycles(core, program, tiles, _counts(mask)(tiles)) / max(least, 1.0)
                scratch = cost_model.scratch_bytes(program, tiles) >> 10
                mark = ", chosen" if tiles == chosen else ""
                lines.append(f"  {tiles}: cost {ratio:.3f}, scratch memory {scratch} KiB{mark}")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _forms(self, op: ir.Operation) -> Iterator[tuple[ir.Operation, Core, Program, MaskTiles]]:
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
                yield form, core, program, MaskTiles.of(form, self.length)


def _counts(mask: MaskTiles) -> Count:
    """How many tiles a mask leaves."""

    def count(tiles: Tiles) -> Visits:
        found = mask.visits(tiles.block_q, tiles.block_kv)
        full, partial = sum(each.full for each in found), sum(each.partial for each in found)
        return Visits(len(found), full, partial)

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
