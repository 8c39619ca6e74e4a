"""Small kernels of two partitions, written operation by operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import warp_interpreter
from warp_kernels import BARRIER, MMA, SHARED, Lines, barriers, memdesc

from aecompiler.bindings import ir
from aecompiler.dialect import make_context

SIZE = 16  # rows and columns of a tile
BOX = f"!tt.tensordesc<tensor<{SIZE}x{SIZE}xbf16, {SHARED}>>"
TILE = f"tensor<{SIZE}x{SIZE}xbf16, {MMA}>"
WIDE = TILE.replace("bf16", "f32")
SLOT, RING = memdesc(f"{SIZE}x{SIZE}"), memdesc(f"3x{SIZE}x{SIZE}")
CAPTURES = {"x": BOX, "o": BOX, "ring": RING, "full": barriers(3), "empty": barriers(3)}


class Region(Lines):
    """What one partition does: tiles of 16 rows of x and o, three slots, and two barriers for each."""

    def slot(self, i: int | str) -> str:
        return self._part("ring", i, SLOT)

    def full(self, i: int | str) -> str:
        return self._part("full", i, BARRIER)

    def empty(self, i: int | str) -> str:
        return self._part("empty", i, BARRIER)

    def _part(self, name: str, i: int | str, type_: str) -> str:
        return self.index(f"%{name}{self.suffix}", self._number(i), type_, CAPTURES[name])

    def _number(self, i: int | str) -> str:
        return self.number(i) if isinstance(i, int) else i

    def init(self, barrier: str, count: int = 1) -> None:
        self.add(f'"ttng.init_barrier"({barrier}) {{count = {count} : i32}} : ({BARRIER}) -> ()')

    def wait_for(self, barrier: str, parity: int | str) -> None:
        self.wait(barrier, self._number(parity), "wait")

    def arrive_at(self, barrier: str) -> None:
        self.arrive(barrier, "arrive")

    def copy_in(self, tile: int | str, slot: int | str, full: int | None = None) -> None:
        """Fill a slot with a tile of x; the bytes count at its barrier, or another."""
        row = self.int("muli", self._number(tile), self.number(SIZE))
        barrier, target, shape = self.full(slot if full is None else full), self.slot(slot), f"{SIZE}x{SIZE}"
        corner = [row, self.number(0)]
        self.load(f"%x{self.suffix}", BOX, corner, barrier, target, shape, "x")

    def copy_out(self, slot: int | str, tile: int | str, pendings: int | None = 0) -> None:
        """Write a slot to a tile of o, and wait for that."""
        row = self.int("muli", self._number(tile), self.number(SIZE))
        operands = f"%o{self.suffix}, {row}, {self.number(0)}, {self.slot(slot)}"
        types = f"({BOX}, i32, i32, {SLOT}) -> ()"
        self.add(f'"ttng.async_tma_copy_local_to_global"({operands}) : {types}')
        if pendings is not None:
            self.add(f'"ttng.async_tma_store_wait"() {{pendings = {pendings} : i32}} : () -> ()')

    def local_load(self, slot: int | str) -> str:
        return self.value(f'"ttg.local_load"({self.slot(slot)}) : ({SLOT}) -> {TILE}')

    def local_store(self, value: str, slot: int | str, *, fence: bool = True) -> None:
        self.add(f'"ttg.local_store"({value}, {self.slot(slot)}) : ({TILE}, {SLOT}) -> ()')
        if fence:
            self.add('"ttng.fence_async_shared"() {bCluster = false} : () -> ()')

    def tile(self, number: float) -> str:
        return self.value(f"arith.constant dense<{number}> : {TILE}")

    def dot(self, a: str, b: int | str, acc: str, *, is_async: bool = True, a_type: str = SLOT) -> str:
        """A product of slots onto an accumulator."""
        on, attributes = self.value("arith.constant true"), "inputPrecision = 0 : i32"
        attributes += f", isAsync = {str(is_async).lower()}, maxNumImpreciseAcc = 0 : i32"
        types = f"({a_type}, {SLOT}, {WIDE}, i1) -> {WIDE}"
        return self.value(
            f'"ttng.warp_group_dot"({a}, {self.slot(b)}, {acc}, {on}) {{{attributes}}} : {types}'
        )

    def done(self, product: str, pendings: int = 0) -> str:
        attribute = f"{{pendings = {pendings} : i32}}"
        return self.value(f'"ttng.warp_group_dot_wait"({product}) {attribute} : ({WIDE}) -> {WIDE}')

    def narrow(self, wide: str) -> str:
        return self.value(f"arith.truncf {wide} : {WIDE} to {TILE}")


Part = Callable[[Region], None]


def nothing(region: Region) -> None:
    """A partition without work."""


def kernel(default: Part, partition: Part = nothing, *, setup: Part | None = None) -> str:
    """A kernel of one program that makes o of x; without `setup`, one arrival completes a phase."""
    first = Region("")
    for name in ("ring", "full", "empty"):
        first.add(f'%{name} = "ttg.local_alloc"() : () -> {CAPTURES[name]}')
    if setup is None:
        for i in range(3):
            first.init(first.full(i))
            first.init(first.empty(i))
    else:
        setup(first)
    operands, types = ", ".join(f"%{name}" for name in CAPTURES), ", ".join(CAPTURES.values())
    first.add(f'"ttg.warp_specialize"({operands}) ({{')
    default(first)
    other = Region("p")
    partition(other)
    tensor = f"tensor<?x{SIZE}xbf16>"
    arguments = ", ".join(f"%{name}p: {type_}" for name, type_ in CAPTURES.items())
    lines = "\n".join
    return f"""
func.func @f(%x: {tensor}, %rows: index) -> {tensor} {{
  %one = arith.constant 1 : index
  %new = tensor.empty(%rows) : {tensor}
  %o = "tt_host.launch"(%one, %one, %one, %x, %new)
    {{kernel = @k, outputs = array<i64: 1>, descriptors = array<i64: 0, 1>}}
    : (index, index, index, {tensor}, {tensor}) -> {tensor}
  return %o : {tensor}
}}
"tt.func"() ({{
^bb0(%xa: !tt.ptr<bf16>, %xs: i64, %oa: !tt.ptr<bf16>, %os: i64, %x: {BOX}, %o: {BOX}):
{lines(first.lines)}
"ttg.warp_yield"() : () -> ()
}}, {{
"ttg.warp_specialize.partitions"() ({{
^bb0({arguments}):
{lines(other.lines)}
"ttg.warp_return"() : () -> ()
}}) : () -> ()
}}) {{partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>}} : ({types}) -> ()
"tt.return"() : () -> ()
}}) {{sym_name = "k"}} : () -> ()
"""


def run(text: str, x: np.ndarray, rows: int | None = None, seed: int = 0) -> np.ndarray:
    """The result of a kernel, of as many rows as x or others."""
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(text)
    count = len(x) if rows is None else rows
    return warp_interpreter.run(module, "f", [x, count], seed=seed)[0]
