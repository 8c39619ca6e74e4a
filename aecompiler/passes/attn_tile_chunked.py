"""The pass `attn-tile-chunked`: chunked recurrences to the tile level."""

from __future__ import annotations

import math

from aecompiler.bindings import ir
from aecompiler.dialect.chunked import MAX_CHUNK, ChunkedRecurrenceOp
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attn_tile_steps import MAX_VALUE_BLOCK
from aecompiler.passes.chunk_program import ChunkOptions, DecaySums, tile_chunked
from aecompiler.passes.infra import Pass, option, register_pass

MAX_HEADS = 64
"""The largest number of heads of a program: there is code for each."""


@register_pass
class TileChunked(Pass):
    """Cut chunked recurrences into programs that go from chunk to chunk with the state in tiles.

    The result is a program on static tiles, of `scf`, `tensor`, `linalg`, `arith` and `math` only, that every
    target starts from, as that of `attn-tile`.

    *Before*: verified IR. *After*: no `attn.chunked_recurrence` is left; all else is as it was.

    The grid is an `scf.forall` over sequence, head and, with `value-block`, parts of the value features, each
    of which has a state of its own: columns of the state do not know of each other. A program is an `scf.for`
    with the attribute `attn.chunks` over the chunks of a sequence. It carries the state, a tile `[Dk, Dv]`,
    and the part of o that the program writes, `[length, Dv]`, into which each chunk inserts its rows; at the
    end that part is inserted in o as a whole. Tiles of chunks are `[L, features]`, row-major. Positions past
    the end are 0 in q, k and v, and have neutral decays and scales of 0.

    The region, which is about one position, is evaluated on all positions of a chunk: scalars become `[L]`,
    tensors `[L, n]`. A captured tensor that is read at the position itself, `gate[b, h, t]`, is read as a
    slice, where it is known to have as many positions as q (its size is static, or `attn.dims` has the same
    name); other reads are element by element. What does not depend on the position is computed once for a
    program. A query, key, value or erase that is an operand as it stands keeps the operand's type, and is
    widened in the bodies of products only.

    With c_i the sum of log_decay up to i and r_i the part of it before what position i reads, products are

    ```
    P[i, j] = sum_d x_i[d] k_j[d] exp(r_i[d] - c_j[d])     x: queries, erases; of j <= i or j < i only
    (I + N) U = V - erase_scale exp(r) (E S0)              N[i, j] = erase_scale_i P[i, j] key_scale_j
    O = query_scale (exp(r) (Q S0) + P key_scale U) + skip
    S1 = exp(c_L) S0 + sum_j exp(c_L - c_j) key_scale_j k_j U_j^T
    ```

    - A scalar decay weighs products of q and k. Its logarithms are summed up, and the sums subtracted, in
      f64: where strong decays stand beside weak ones, differences of f32 are left with few digits, and
      weights of 64 positions have errors of 3e-3 (`decay-sums=acc`; `auto` is that where q has 16 bits). Sums
      to or from the chunk's ends are summed up in that order, and never subtracted.
    - A decay for each key feature weighs q and k before their product. Where the sums of logarithms stay
      within `decay-bound` of that in the middle of the chunk, one product does; an `scf.if` asks. Else
      products are by halves, log2 L of them, in which no exponent is positive: for blocks of 1, 2, 4, ..
      positions, the pairs of a block (i) and the one before it (j) are weighed by what lies from j to the
      blocks' border and from there to i. `decay-bound=0` leaves the first way out.
    - The inverse of I + N is by doubling blocks of rows: T - T N T, with that part of N whose rows are in the
      second and whose columns are in the first half of a block. With `solve-rows` that is for blocks of so
      many rows, each of which is solved for after those before it: less work, but one after the other.
    - Signs are products of -1, multiplied in beside the exponentials.

    Running sums are `linalg.generic` operations that are right as they stand, and have the attribute
    `attn.prefix_sum = {block, inclusive, reverse}` that says what they sum: at position i the terms of its
    block of positions up to it, or from it on with `reverse`; with itself if `inclusive`.

    With `heads`, a program has that many heads, or as many as share a head of q and of k: their q and k, and
    products of these, are the same operations, of which `cse` leaves one. In the variable-length form chunks
    begin at a sequence's first position, and o is 0 before. What q, k and v hold that is not finite may reach
    all positions of its chunk.

    ```mlir
    %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({...}) {chunk = 64 : i64, ...} : ...
    ```
    becomes
    ```mlir
    %o, %final = scf.forall (%b, %h) in (%batch, 8) shared_outs(%out = %0, %states = %1) -> (...) {
      %first = tensor.extract_slice %initial ... : tensor<?x8x64x64xf32> to tensor<64x64xf32>
      %part = tensor.extract_slice %out ... : tensor<?x8x?x64xf32> to tensor<?x64xf32>
      %2:2 = scf.for %n = %c0 to %chunks ... iter_args(%state = %first, %o = %part) {
        %q, %k, %v, %gates = ...
        %weights = linalg.generic ... ins(%q, %k) ...
        %rows = linalg.generic ... ins(%weights, %v) ...
        %next = linalg.generic ... ins(%k, %v) outs(%kept) ...
        %written = tensor.insert_slice %rows into %o ...
        scf.yield %next, %written
      } {attn.chunks}
      scf.forall.in_parallel { tensor.parallel_insert_slice ... }
    }
    ```
    """

    NAME = "attn-tile-chunked"

    heads: int = option(1, "the heads of a program, if that many share a head of q and of k")
    value_block: int = option(0, "the value features of a program; 0: all")
    value_lanes: int = option(1, "what tiles have a multiple of as value features, some being padding")
    decay_bound: float = option(
        40.0, "how far sums of logarithms may be from that in the middle of a chunk for one product; 0: not"
    )
    solve_rows: int = option(
        0, "the rows of blocks that rank-one terms are solved for, one after the other; 0: all at once"
    )
    decay_sums: DecaySums = option(DecaySums.F64, "the type of sums of logarithms of scalar decays")

    def __post_init__(self) -> None:
        if not 1 <= self.heads <= MAX_HEADS:
            raise ValueError(f"expects heads to be 1 to {MAX_HEADS}, got {self.heads}")
        if not 0 <= self.value_block <= MAX_VALUE_BLOCK:
            raise ValueError(f"expects value-block to be 0 to {MAX_VALUE_BLOCK}, got {self.value_block}")
        if not 1 <= self.value_lanes <= MAX_VALUE_BLOCK:
            raise ValueError(f"expects value-lanes to be 1 to {MAX_VALUE_BLOCK}, got {self.value_lanes}")
        if not 0 <= self.solve_rows <= MAX_CHUNK:
            raise ValueError(f"expects solve-rows to be 0 to {MAX_CHUNK}, got {self.solve_rows}")
        if not (math.isfinite(self.decay_bound) and 0.0 <= self.decay_bound <= 40.0):
            raise ValueError(f"expects decay-bound to be 0 to 40, got {self.decay_bound}")

    def run(self, op: ir.Operation) -> None:
        """Replace every chunked recurrence in `op`."""
        options = ChunkOptions(
            heads=self.heads,
            value_block=self.value_block,
            value_lanes=self.value_lanes,
            decay_bound=self.decay_bound,
            decay_sums=self.decay_sums,
            solve_rows=self.solve_rows,
        )
        for form in [
            each for each in rw.walk_list(op, "attn.") if each.name == ChunkedRecurrenceOp.OPERATION_NAME
        ]:
            tile_chunked(form.opview, options)
