"""Tiles of masks by brute force, from the analysis on numbers, and from the IR that it builds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import aecompiler as aec
from aecompiler.algebra.arithmetic import Numbers
from aecompiler.algebra.bands import Rows
from aecompiler.algebra.tile_classes import tile_map
from aecompiler.bindings import arith, func, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.mask_analysis import MaskAnalysis, analyze
from aecompiler.reference import evaluate

EMPTY, PARTIAL, FULL = "empty", "partial", "full"
HEADS = 2


def program(mask: Any, **arguments: Any) -> Any:
    """A program whose o is, for each row, the sum of 2^j over the unmasked keys j."""
    q = aec.tensor("B", HEADS, "Sq", 1, dtype="f64")
    kv = aec.tensor("B", HEADS, "Skv", 1, dtype="f64")

    @aec.program(q=q, k=kv, v=kv, **arguments)
    def keys(q, k, v, **given):
        return aec.attention(
            q, k, v, score=lambda s: 0.0 * s, mask=mask(**given), normalize=lambda s: 1.0 + 0.0 * s
        )

    return keys


def kept(function: ir.Operation, batch: int, q_len: int, kv_len: int, given: Mapping[str, Any]) -> np.ndarray:
    """Which keys each row attends to, [B, H, Sq, Skv], by the reference; at most 52 keys."""
    assert kv_len <= 52, "the sum of 2^j is exact up to 52 keys"
    powers = np.broadcast_to(2.0 ** np.arange(kv_len), (batch, HEADS, kv_len))[..., None]
    o = evaluate(
        function, [np.zeros((batch, HEADS, q_len, 1)), np.zeros(powers.shape), powers, *given.values()]
    )
    sums = o[0][..., 0].astype(np.int64)
    return (sums[..., None] >> np.arange(kv_len)) & 1 == 1


def brute(mask: np.ndarray, block_q: int, block_kv: int) -> list[list[str]]:
    """The class of each tile of a mask [Sq, Skv], by definition."""
    q_len, kv_len = mask.shape
    grid = []
    for i in range(0, q_len, block_q):
        line = []
        for j in range(0, kv_len, block_kv):
            tile = mask[i : i + block_q, j : j + block_kv]
            full = tile.all() and j + block_kv <= kv_len
            line.append(FULL if full else PARTIAL if tile.any() else EMPTY)
        grid.append(line)
    return grid


def attention_op(module: ir.Module) -> ir.Operation:
    """The attention op of a module."""
    (op,) = rw.walk_list(module.operation, "attn.attention")
    return op


def on_numbers(
    analysis: MaskAnalysis, symbols: Mapping[str, int], q_len: int, kv_len: int, block_q: int, block_kv: int
) -> list[list[str]]:
    """The class of each tile, by the analysis on plain numbers."""
    symbols = {"q_len": q_len, "kv_len": kv_len, **symbols}
    rows = [
        Rows(Numbers(), symbols, first, min(first + block_q, q_len) - 1, kv_len)
        for first in range(0, q_len, block_q)
    ]
    return tile_map(analysis.classes, rows, block_kv)


class BuiltTiles:
    """The function that `MaskAnalysis` builds for one op: the ranges for some rows, and the test of one tile.

    Made in a module of its own, whose op it replaces.
    """

    def __init__(self, text: str, block_kv: int, *, packed: bool = False):
        from aecompiler.dialect import make_context

        with make_context(), ir.Location.unknown():
            self.module = ir.Module.parse(text)
            op = attention_op(self.module)
            function = op.parent.operation
            self.analysis = analyze(op, packed=packed)
            index = ir.IndexType.get()
            block = function.regions[0].blocks[0]
            self.inputs = [value.type for value in block.arguments]
            extra = [block.add_argument(index, ir.Location.unknown()) for _ in range(6)]
            b, h, h_last, first, last, tile = extra
            terminator = block.operations[len(block.operations) - 1]
            with ir.InsertionPoint(terminator):
                kv_len = rw.dim(block.arguments[1], 2)
                where = (b, h, h_last, first, last)
                ranges = self.analysis.build_ranges(*where, block_kv, kv_len)
                test = self.analysis.build_test(*where, tile, block_kv, kv_len)
                results = [
                    *(end for ends in (*ranges.full, *ranges.partial) for end in ends),
                    *(arith.index_castui(index, value) for value in test),
                ]
                func.ReturnOp(results)
            terminator.erase()
            op.erase()
            types = ir.FunctionType.get([*self.inputs, *[index] * 6], [index] * len(results))
            function.attributes["function_type"] = ir.TypeAttr.get(types)
            for name in ("arg_attrs", "res_attrs"):
                if name in function.attributes:
                    del function.attributes[name]
            assert self.module.operation.verify()
            self.function = function
        self.block_kv = block_kv

    def row_of_tiles(
        self, inputs: list[Any], kv_len: int, b: int, heads: tuple[int, int], rows: tuple[int, int]
    ):
        """The classes of the tiles of `rows` (first and last) by evaluating the function."""
        count = -(-kv_len // self.block_kv)

        def call(tile: int) -> list[int]:
            return [int(n) for n in evaluate(self.function, [*inputs, b, *heads, *rows, tile])]

        numbers = call(0)
        pairs = list(zip(numbers[:-2:2], numbers[1:-2:2], strict=True))
        assert all(0 <= begin <= end <= count for begin, end in pairs), pairs
        assert len(pairs) == self.analysis.full_count + self.analysis.partial_count
        line = [EMPTY] * count
        for number, (begin, end) in enumerate(pairs):
            assert line[begin:end] == [EMPTY] * (end - begin), "ranges overlap"
            line[begin:end] = [FULL if number < self.analysis.full_count else PARTIAL] * (end - begin)
        if self.analysis.needs_test:
            for tile in range(count):
                if line[tile] == EMPTY:
                    continue
                nonempty, full = call(tile)[-2:]
                line[tile] = FULL if full else PARTIAL if nonempty else EMPTY
        return line

    def grid(
        self, inputs: list[Any], q_len: int, kv_len: int, b: int, h: int, block_q: int
    ) -> list[list[str]]:
        """The class of each tile of one head."""
        return [
            self.row_of_tiles(inputs, kv_len, b, (h, h), (first, min(first + block_q, q_len) - 1))
            for first in range(0, q_len, block_q)
        ]
