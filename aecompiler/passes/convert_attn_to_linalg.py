"""The pass `convert-attn-to-linalg`: the executable meaning of the attn dialect."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.attention_to_linalg import MAX_BLOCK_Q, lower_attention
from aecompiler.passes.chunked_steps import write_step
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass
from aecompiler.passes.recurrence_step_tiles import tile_recurrence_step
from aecompiler.passes.recurrence_tiles import tile_recurrence
from aecompiler.passes.region_safety import make_total


@register_pass
class ConvertAttnToLinalg(Pass):
    """Lower attention programs directly, to loops over linalg, tensor and arith operations.

    The lowering has no cleverness: it is the executable meaning of the dialect, for every program, size and
    element type, and the form that all others are compared with.

    *Before*: verified IR, with or without attn operations. *After*: no attn operation is left; everything
    else is as it was.

    `attn.attention` becomes loops over batch, head, and blocks of `block-q` query rows. The scores of a block
    against all keys stand in one tensor `[keys, rows]`, -inf where masked; the reductions of the normaliser
    follow in order, one `linalg.generic` each, then the weights, and the weighted sum of v. A masked element
    contributes the identity to each reduction and nothing to the sum. Rows of the last block that lie past
    the end of q repeat its last row and are not stored.

    `attn.recurrence` and `attn.recurrence_step` become tile programs, as by `attn-tile-steps`.
    `attn.chunked_recurrence` becomes the recurrence that it means before, and has no chunks.

    Captured indices are clamped and integer divisions guarded as the dialect defines, so that masked and
    padding elements may be evaluated without a trap.

    ```mlir
    %o = "attn.attention"(%q, %k, %v) ({...}, {...}, {...}) : ... -> tensor<?x8x?x64xf32>
    ```
    becomes
    ```mlir
    %o = scf.for %b = %c0 to %batch step %c1 iter_args(%o0 = %empty) -> (tensor<?x8x?x64xf32>) {
      ... scf.for %h ... {
        ... scf.for %i = %c0 to %q_len step %c32 ... {
          %products = linalg.generic ... ins(%keys, %queries) outs(%zeros : tensor<?x32xf32>)
          %scores = linalg.generic ... outs(%products)       // score and mask regions
          %max = linalg.generic ... ins(%scores) outs(...)   // one for each attn.row_reduce
          ...
          tensor.insert_slice ...
    ```
    """

    NAME = "convert-attn-to-linalg"

    block_q: int = option(32, "the number of query rows of attn.attention that are computed together")

    def __post_init__(self) -> None:
        if not 1 <= self.block_q <= MAX_BLOCK_Q:
            raise ValueError(f"expects block-q to be 1 to {MAX_BLOCK_Q}, got {self.block_q}")

    def run(self, op: ir.Operation) -> None:
        """Lower every attn operation in `op`."""
        for program in rw.walk_list(op, "attn."):
            if program.name == "attn.attention":
                make_total(program)
                lower_attention(program.opview, self.block_q)
            elif program.name in ("attn.recurrence", "attn.chunked_recurrence"):
                if program.name == "attn.chunked_recurrence":
                    program = write_step(program)
                make_total(program)
                tile_recurrence(program.opview)
            elif program.name == "attn.recurrence_step":
                make_total(program)
                tile_recurrence_step(program.opview)
        for left in rw.walk_list(op, "attn."):
            raise PassFailure(left, "unsupported: no direct lowering to linalg")
