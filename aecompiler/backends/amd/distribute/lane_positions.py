"""Where a lane's elements are in tiles: computed from its number once, where a region begins."""

from __future__ import annotations

import functools

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.lane_numbers import Weights, moved_bits, weighted
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Layout
from aecompiler.bindings import arith, ir, load


class LanePositions:
    """The numbers of the lane and of its wave, and what is made of them, at the insertion point.

    With `apart` LLVM is not told that they are those that were computed before: what is made of them is then
    computed in the region alone. Else code that hardly ever runs shares parts with code that always does,
    which keeps them in registers for it and loses instructions that add and shift at once.
    """

    def __init__(self, *, apart: bool = False):
        gpu, rocdl = load("dialects.gpu"), load("dialects.rocdl")
        i32 = ir.IntegerType.get_signless(32)
        thread = arith.index_cast(i32, gpu.thread_id(gpu.Dimension.x))
        if apart:
            thread = load("dialects.llvm").inline_asm(i32, [thread], "", "=v,0")
        self.lane = arith.andi(thread, fr.integer((1 << LANE_BITS) - 1))
        self.wave = rocdl.readfirstlane(i32, arith.shrui(thread, fr.integer(LANE_BITS)))
        self.entry = ir.InsertionPoint(fr.integer(0, 1).owner)
        """Where what a lane is known for is computed."""
        self._known: dict[tuple[object, ...], ir.Value] = {}

    def position(self, layout: Layout, dim: int) -> ir.Value:
        """What the lane and its wave contribute to the index in a dimension, of i32."""
        lanes = tuple((n, place[1]) for n, place in enumerate(layout.lanes) if place and place[0] == dim)
        waves = tuple((n, place[1]) for n, place in enumerate(layout.waves) if place and place[0] == dim)
        key = (lanes, waves)
        if key not in self._known:
            with self.entry:
                parts = [moved_bits(self.lane, lanes), moved_bits(self.wave, waves)]
                found = [each for each in parts if each is not None]
                self._known[key] = functools.reduce(arith.ori, found) if found else fr.integer(0)
        return self._known[key]

    def weigh(self, lanes: Weights, waves: Weights) -> ir.Value:
        """The sum of what the bits of the numbers of the lane and its wave add, of i32."""
        key = ("weights", lanes, waves)
        if key not in self._known:
            with self.entry:
                self._known[key] = arith.addi(weighted(self.lane, lanes), weighted(self.wave, waves))
        return self._known[key]
