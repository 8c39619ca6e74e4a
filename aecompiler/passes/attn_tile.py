"""The pass `attn-tile`: streaming forms to the tile level."""

from __future__ import annotations

import dataclasses

from aecompiler.bindings import ir
from aecompiler.dialect.online import OnlineAttentionOp, OnlineReduceOp
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass
from aecompiler.passes.options import render
from aecompiler.passes.tile_program import MaskedValues, TileOptions, tile

MAX_BLOCK = 4096
"""The largest size of a tile."""

TILE_ATTRIBUTE = "attn.tile"
"""The attribute of a streaming form that says how many rows and keys its tiles have."""

FIRST_TILE_FIRST_ATTRIBUTE = "attn.first_tile_first"
"""The attribute of a streaming form whose tiles of rows are computed from the first to the last."""

BLOCK_Q = 64
"""The rows of a tile where no option says how many."""

MAX_SPLIT = 1024
"""The largest number of parts of the keys."""

MAX_PROGRAMS = 1 << 16
"""The largest number of programs that a chip is said to run at a time."""

MAX_SCORE_RANGES = 3
"""One beside those that reach to the first and to the last key."""


@register_pass
class Tile(Pass):
    """Cut streaming forms into tiles.

    The result is a program on static tiles that every target starts from, and that runs on the CPU as it
    stands. It is made of `scf`, `tensor`, `linalg`, `arith` and `math` only.

    *Before*: verified IR. *After*: no `attn.online_attention` or `attn.online_reduce` is left; all else,
    `attn.attention` included, is as it was.

    The grid is an `scf.forall` over batch, query head and q tile, the last q tile first, unless a form has
    the attribute `attn.first_tile_first`. A q tile streams over tiles of keys, with the state and the
    accumulators as carried values: first the tiles in which no element is masked by its position, then those
    in which some are, so that masking code stands in the second loop only. Tiles whose elements are all
    masked are skipped. The bounds come from the mask (`attn-analyze-mask`); where they are not exact, each
    tile is tested. Lengths that are no multiple of a tile are padded with zeros, and what is padding is
    masked (keys) or not stored (rows).

    With `tile-lists`, tiles are not tested in the loops over them, whose bodies would be branches, but in
    grids before. One writes, for each tile of rows, a list of i32: the positions of its full tiles from the
    beginning on, those of its partial tiles from the end on, and how far both go. Others write the extremes,
    over each tile of keys, of tensors that a test reads at keys. The mask decides on which of batches and
    heads lists depend. The loops go over places of a list. Where a test would take a loop itself, and
    where heads are packed or keys are split, tiles are tested in the loops.

    What v holds at masked keys never reaches o. A weight of 0 leaves out all but NaN and infinities, and
    `masked-values` says how these are found. With `check-tiles` each tile of v is asked whether it is finite;
    where it is not, products with masked elements are left out one by one. With `check-result` the loops have
    no branches, and the accumulators of a tile of rows are asked at their end; where they are not finite, a
    second pass over the keys leaves out the products with masked elements. Results agree to rounding, also
    where they are infinite or NaN: what a key holds that is attended to does reach o.

    With `split-features`, features of operands that are arguments are in pieces whose sizes are powers of two
    of 16 on: 192 are 128 and 64. A score is a sum over the pieces of q and k; each piece of v has
    accumulators of its own, and is a part of o where it is written. v stays in one piece where something is
    computed from o, which `attn-fuse-elementwise` fuses with whole tiles. Where keys are split, it may be in
    pieces there, too: each is a part of partial results, which are merged as a whole.

    Comparisons of positions in the score that come out the same for all positions are decided, those that a
    minimum or maximum implies among them. With `score-ranges` above 1 they are decided in ranges of tiles,
    too: where that makes a read of a captured tensor one for the whole tile or for each row, in place of one
    for each element, the full tiles that come first, or last, have a loop of their own, after the other full
    tiles. So a table of distances whose ends hold beyond it is read at each element near the diagonal only.
    Which tiles these are follows from the comparisons as it does from a mask.

    A tile has `block-q` rows and `block-kv` keys, or as many as the attribute `attn.tile` of a form says.
    With `pack-gqa` the rows of a tile are the queries of all query heads of a kv head, so that each tile of
    k and v is read once for them; it then has `block-q` rows of each head. With `packed-rows`, in place of
    these two, it has as many of each as make no more than that many rows of all heads, but one at least:
    those of 128 heads are 128. With `split-kv` the keys are cut into that many parts, which stream on their
    own, and a second grid merges their partial results: for few queries and many keys. With `split-programs`,
    in its place, there are as many parts as give the places of a chip a program each, or a few, where too
    many of them had none; their number follows from the sizes of a call. A part is a share of the tiles that
    the mask leaves between the first and the last. With `decode-rows`, calls with few queries take a program
    of their own, whose tiles have that many rows, of all query heads of a kv head if their number divides it,
    and `decode-block-kv` keys; where the length is dynamic, an `scf.if` chooses. It is not for use beside
    `packed-rows`.

    ```mlir
    %o = "attn.online_attention"(%q, %k, %v) ({...}, ...) {accumulators = 1 : i64} : ...
    ```
    becomes
    ```mlir
    %o = scf.forall (%b, %h, %t) in (%batch, 8, %tiles) shared_outs(%out = %empty) -> (tensor<?x8x?x64xf32>) {
      %queries = linalg.generic ...                         // [features, rows]
      %0:3 = scf.for %n = %c0 to %full ... {                // full tiles
        %keys = tensor.extract_slice %k ... : tensor<?x8x?x64xf32> to tensor<64x64xf32>
        %s = linalg.generic ... ins(%keys, %queries) ...    // scores [keys, rows]
        ...
      }
      %1:3 = scf.for %n = %full to %end ... {...}           // partial tiles, with masks
      ...
      scf.forall.in_parallel { tensor.parallel_insert_slice ... }
    }
    ```
    """

    NAME = "attn-tile"

    block_q: int = option(BLOCK_Q, "the query rows of a tile, of each head")
    block_kv: int = option(64, "the keys of a tile")
    rows_last: bool = option(True, "tiles of elements are [keys, rows], not [rows, keys]")
    pack_gqa: bool = option(False, "a tile has rows of all query heads that share a kv head")
    decode_rows: int = option(0, "the rows of a tile in calls with so few queries that one has room for all")
    decode_block_kv: int = option(256, "the keys of a tile in such calls")
    packed_rows: int = option(
        0,
        "the most rows of a tile that has them of all query heads of a kv head, but one of each at least; "
        "0: as pack-gqa says",
    )
    split_kv: int = option(1, "the number of parts of the keys that stream on their own and are merged")
    split_programs: int = option(
        0, "the programs that a chip runs at a time, for which keys are cut into parts; 0: as split-kv says"
    )
    masked_values: MaskedValues = option(
        MaskedValues.CHECK_TILES, "what is asked whether it is finite, so that no masked value of v is seen"
    )
    retry_block_kv: int = option(
        0,
        "the keys of a tile in a second pass over the keys, a divisor of block-kv; 0: as many",
    )
    split_features: bool = option(
        False,
        "features are in pieces, powers of two: products of q and k add those of pieces, "
        "each piece of v has sums of its own",
    )
    score_ranges: int = option(
        1, "the most ranges of tiles without a mask, in each of which the score may need less"
    )

    tile_lists: bool = option(
        False, "tiles are tested in programs of their own, which write lists of those that are not empty"
    )

    def __post_init__(self) -> None:
        if self.retry_block_kv and (self.retry_block_kv < 0 or self.block_kv % self.retry_block_kv):
            raise ValueError(
                f"expects retry-block-kv to be a divisor of block-kv ({self.block_kv}), "
                f"got {self.retry_block_kv}"
            )
        for name, value, least, most in (
            ("block-q", self.block_q, 1, MAX_BLOCK),
            ("block-kv", self.block_kv, 1, MAX_BLOCK),
            ("decode-rows", self.decode_rows, 0, MAX_BLOCK),
            ("decode-block-kv", self.decode_block_kv, 1, MAX_BLOCK),
            ("packed-rows", self.packed_rows, 0, MAX_BLOCK),
            ("split-kv", self.split_kv, 1, MAX_SPLIT),
            ("split-programs", self.split_programs, 0, MAX_PROGRAMS),
            ("score-ranges", self.score_ranges, 1, MAX_SCORE_RANGES),
        ):
            if not least <= value <= most:
                raise ValueError(f"expects {name} to be {least} to {most}, got {value}")
        for name, value, unset, other, is_given in (
            ("block-q", self.block_q, BLOCK_Q, "packed-rows", self.packed_rows),
            ("pack-gqa", self.pack_gqa, False, "packed-rows", self.packed_rows),
            ("decode-rows", self.decode_rows, 0, "packed-rows", self.packed_rows),
            ("split-kv", self.split_kv, 1, "split-programs", self.split_programs),
        ):
            if is_given and value != unset:
                raise ValueError(f"expects {name} to be {render(unset)} beside {other}, got {render(value)}")

    def run(self, op: ir.Operation) -> None:
        """Replace every streaming form in `op`."""
        options = TileOptions(
            block_q=self.block_q,
            block_kv=self.block_kv,
            rows_last=self.rows_last,
            pack_gqa=self.pack_gqa,
            packed_rows=self.packed_rows,
            split_kv=self.split_kv,
            split_programs=self.split_programs,
            masked_values=self.masked_values,
            retry_block_kv=self.retry_block_kv,
            split_features=self.split_features,
            tile_lists=self.tile_lists,
            score_ranges=self.score_ranges,
        )
        forms = (OnlineAttentionOp.OPERATION_NAME, OnlineReduceOp.OPERATION_NAME)
        for form in [each for each in rw.walk_list(op, "attn.") if each.name in forms]:
            tile(form.opview, _as_chosen(form, options), self.decode_rows, self.decode_block_kv)


def _as_chosen(form: ir.Operation, options: TileOptions) -> TileOptions:
    """The options, with the order and the sizes that the attributes of a form say."""
    if FIRST_TILE_FIRST_ATTRIBUTE in form.attributes:
        attribute = form.attributes[FIRST_TILE_FIRST_ATTRIBUTE]
        if not isinstance(attribute, ir.UnitAttr):
            rule = f"expects attribute '{FIRST_TILE_FIRST_ATTRIBUTE}' to have no value, got {attribute}"
            raise PassFailure(form, rule)
        options = dataclasses.replace(options, first_tile_first=True)
    if TILE_ATTRIBUTE not in form.attributes:
        return options
    attribute = form.attributes[TILE_ATTRIBUTE]
    sizes = list(attribute) if isinstance(attribute, ir.DenseI64ArrayAttr) else []
    if len(sizes) != 2 or not all(1 <= size <= MAX_BLOCK for size in sizes):
        raise PassFailure(
            form, f"expects attribute '{TILE_ATTRIBUTE}' to be two sizes of 1 to {MAX_BLOCK}, got {attribute}"
        )
    if options.packed_rows:
        raise PassFailure(
            form, f"expects no attribute '{TILE_ATTRIBUTE}' beside packed-rows, got {attribute}"
        )
    return dataclasses.replace(options, block_q=sizes[0], block_kv=sizes[1])
