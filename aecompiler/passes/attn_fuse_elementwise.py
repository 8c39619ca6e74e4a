"""The pass `attn-fuse-elementwise`: elementwise work around attention moves into its tile program."""

from __future__ import annotations

from typing import Literal

from aecompiler.bindings import ir
from aecompiler.passes.consumer_fusion import fuse_consumers
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.producer_fusion import fuse_producers
from aecompiler.passes.producer_grids import tile_producers

Operand = Literal["q", "k", "v", "o"]


@register_pass
class FuseElementwise(Pass):
    """Move elementwise producers of q, k, v and consumers of o into tile programs.

    Rotary embedding, scaling, bias, casts, the norm of a head, transposed views and output gates then need no
    tensors of their own: each tile computes its part.

    *Before*: the result of `attn-tile`. *After*: the same program; what does not fit stays as it is.

    - A tile of an operand becomes the same computation on slices of what the operand is computed from. Arith
      and math operations on tensors, elementwise `linalg` operations, and reductions of one operand are
      followed where the dimensions of which a tile has a part are parallel; so are slices, concatenation,
      padding, transposes and changes of shape that leave such dimensions in one piece.
    - Tiles stay static: what is read is padded. Work that could trap on padding, as a division of integers,
      stays outside. Rows past the end of q are not stored, and keys past the end of k and v are masked,
      whatever the computation makes of zeros.
    - No tile computes what another one computes: an operand without batch or heads, such as a table of
      cosines, is only followed through what moves data; work on it stays outside and its result is sliced.
      What something else needs as a tensor is not computed twice, either.
    - k and v are read once for each tile of queries, and what is fused into them runs as often. It is fused
      if there is one tile, as in calls with few queries, or if it takes no more than `repeated-work`
      operations for each element, as scaling, casts and dequantization do. A division or a function counts as
      8 operations, rounding to a narrow float as 4, moving an element in memory as one. Else k or v is
      computed before, in a grid of its own with the same tiles.
    - What follows from o, and maybe other tensors, is computed on the tile before it is stored, if o is
      needed for nothing else. The grid then has that result in place of o, of its own element type and shape.
      So it is with extra results. What computes the other tensors moves before the grid. Slices, joins and
      padding of o are followed along dimensions that each tile has whole, as features; a slice of heads or
      rows stays outside.

    ```mlir
    %scaled = arith.mulf %x, %factors : tensor<2x8x?x64xf32>
    %o = scf.forall (%b, %h, %t) ... {
      %queries = tensor.extract_slice %scaled[%b, %h, %first, 0] [1, 1, %real, 64] [1, 1, 1, 1] ...
      ...
    }
    %y = arith.mulf %o, %gate : tensor<2x8x?x64xf32>
    ```
    becomes
    ```mlir
    %y = scf.forall (%b, %h, %t) ... {
      %0 = tensor.extract_slice %x[%b, %h, %first, 0] [1, 1, %real, 64] [1, 1, 1, 1] ...
      %1 = tensor.extract_slice %factors[%b, %h, %first, 0] [1, 1, %real, 64] [1, 1, 1, 1] ...
      %queries = arith.mulf %0, %1 : tensor<?x64xf32>
      ...
      %2 = tensor.extract_slice %gate[%b, %h, %first, 0] [1, 1, %real, 64] [1, 1, 1, 1] ...
      %3 = arith.mulf %tile, %2 : tensor<?x64xf32>
      scf.forall.in_parallel { tensor.parallel_insert_slice %3 into ... }
    }
    ```
    """

    NAME = "attn-fuse-elementwise"

    operands: tuple[Operand, ...] = option(
        ("q", "k", "v", "o"), "what is fused: producers of q, k and v, and consumers of o"
    )

    repeated_work: int = option(
        3, "operations for each element of k and v that are done again for each tile of queries"
    )

    def __post_init__(self) -> None:
        if self.repeated_work < 0:
            raise ValueError(f"expects repeated-work to be at least 0, got {self.repeated_work}")

    def run(self, op: ir.Operation) -> None:
        """Fuse what fits around the grids in `op`."""
        if inputs := [name for name in self.operands if name != "o"]:
            fuse_producers(op, inputs, self.repeated_work)
            tile_producers(op, [name for name in inputs if name != "q"])
        if "o" in self.operands:
            fuse_consumers(op)
