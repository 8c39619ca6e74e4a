"""The pass `attn-analyze-mask`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.mask_analysis import ATTENTION_OPS, MaskAnalysis, analyze
from aecompiler.passes.mask_text import Sizes, explanation, summary

ATTRIBUTE = "attn.mask_tiles"
_VALUE = re.compile(r"(.+)=(-?\d+)\Z", re.ASCII)


@register_pass
class AnalyzeMask(Pass):
    """Find the full, partial and empty tiles of masks, as bounds in closed form.

    For each block of `block-q` rows, a tile of `block-kv` keys is full if all its keys exist and every row
    attends to them, empty if no row attends to any, else partial. From the mask region as a formula follow
    the keys that some row i0 .. i1 attends to, and those that some row does not: intervals with symbolic
    sizes for comparisons of positions (causal, windows, prefixes, chunks, and what `and`, `or`, `not` make of
    them); with a test of each tile for divisibility (dilated) and for masks that read tensors at positions
    (documents, block masks), of which a tile needs the least and the largest element of a range.

    The attribute `attn.mask_tiles` says so for people. Passes that build tiles ask `mask_analysis.analyze`
    instead, so that an attribute which no longer fits the mask does no harm.

    `--explain` prints more, and a map of the tiles. Its sizes are those of the types where static, else
    `q-len` and `kv-len`; `values` gives numbers for other symbols of the mask.

    Before, and valid at any time: attention ops with a mask in region 1. After: the same, with the attribute.

    Before:
    ```mlir
    ^mask(%b: index, %h: index, %i: index, %j: index):
      %keep = arith.cmpi sle, %j, %i : index
      "attn.yield"(%keep) : (i1) -> ()
    ```
    After, on the op:
    ```mlir
    {attn.mask_tiles = "64 x 64; attended: 0 .. min(kv_len - 1, i1); masked: max(0, i0 + 1) .. kv_len - 1"}
    ```
    """

    NAME = "attn-analyze-mask"
    ANCHOR = "func.func"
    block_q: int = option(64, "rows of a tile")
    block_kv: int = option(64, "keys of a tile")
    q_len: int = option(1024, "rows of the map, where the type does not say")
    kv_len: int = option(1024, "keys of the map, where the type does not say")
    values: tuple[str, ...] = option((), "numbers for symbols of the mask in the map, each NAME=NUMBER")

    def __post_init__(self) -> None:
        for name, least in (("block_q", 1), ("block_kv", 1), ("q_len", 0), ("kv_len", 0)):
            if getattr(self, name) < least:
                key = name.replace("_", "-")
                raise ValueError(f"expects {key} to be at least {least}, got {getattr(self, name)}")
        for text in self.values:
            if not _VALUE.match(text):
                raise ValueError(f"expects values to be NAME=NUMBER, got '{text}'")

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        for attention, analysis in self._analyses(op):
            attention.attributes[ATTRIBUTE] = ir.StringAttr.get(summary(analysis, self._sizes(attention)))

    def explain(self, op: ir.Operation) -> str:
        """See `Pass.explain`."""
        parts = []
        for attention, analysis in self._analyses(op):
            where = f"'{attention.name}' op in @{rw.symbol_name(op)}"
            parts.append(f"{where}\n{explanation(analysis, self._sizes(attention))}")
        return "\n\n".join(parts)

    def _analyses(self, op: ir.Operation) -> Iterator[tuple[ir.Operation, MaskAnalysis]]:
        for child in rw.walk_list(op, "attn."):
            if child.name in ATTENTION_OPS:
                yield child, analyze(child)

    def _sizes(self, op: ir.Operation) -> Sizes:
        q, k = (value.type for value in list(op.operands)[:2])
        q_len, kv_len = (
            given if shaped.is_dynamic_dim(2) else shaped.shape[2]
            for shaped, given in ((q, self.q_len), (k, self.kv_len))
        )
        values = {}
        for text in self.values:
            name, _, number = text.rpartition("=")
            values[name] = int(number)
        return Sizes(q_len, kv_len, self.block_q, self.block_kv, values)
