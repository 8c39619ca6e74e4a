"""What the values of a tile program become: vectors, memory, or work put off until its user is known."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.cpu.vectorize.positions import Spread
from aecompiler.bindings import ir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts of a target and the choices of a schedule that shape the code.

    `vector_bits`: the width of a vector register. `tile_q`: vectors of queries in a register tile. `tile_kv`
    and `tile_d`: keys and features in it, for the first and the second product. `pair_products`: whether
    there is an instruction that multiplies pairs of bf16 and adds to f32 (avx512_bf16). `prefetch`: whether
    the caches are asked for what follows the tiles of q, k and v.
    """

    vector_bits: int
    tile_q: int
    tile_kv: int
    tile_d: int
    pair_products: bool
    prefetch: bool


@dataclasses.dataclass(frozen=True)
class Splat:
    """A tensor with one scalar everywhere; None where its content does not matter."""

    scalar: ir.Value | None


@dataclasses.dataclass(frozen=True)
class Rows:
    """A tensor of rank 1, as vectors; `positions` are their elements, where these are spreads."""

    vectors: tuple[ir.Value, ...]
    positions: tuple[Spread, ...] = ()


@dataclasses.dataclass(frozen=True)
class Memory:
    """A tensor in memory of its shape. `owned` memory was allocated for this value and may be overwritten."""

    memref: ir.Value
    owned: bool = False

    @property
    def type(self) -> ir.MemRefType:
        """The type of the buffer."""
        return ir.MemRefType(self.memref.type)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """A tensor [n, lanes] of bf16 as [n / 2, lanes] of i32: two neighbouring rows in one word."""

    memref: ir.Value


@dataclasses.dataclass(frozen=True)
class Deferred:
    """A structured operation that is not computed yet: its one user computes it, element by element."""

    op: ir.Operation


TileValue = Splat | Rows | Memory | Pairs | Deferred


# ---- uses ----------------------------------------------------------------------------------------


def _path(op: ir.Operation) -> list[tuple[ir.Operation, ir.Region]]:
    """The operations around `op` and the regions of them it is in, innermost first."""
    found = []
    block = op.block
    while True:
        owner = block.owner.operation
        found.append((owner, block.region))
        if owner.parent is None or owner.name in ("func.func", "scf.forall"):
            return found
        block = owner.block


def _in_other_branches(a: ir.Operation, b: ir.Operation) -> bool:
    """Whether at most one of two operations runs: they are in different regions of one `scf.if`."""
    for owner, region in _path(a):
        if owner.name == "scf.if":
            for other, other_region in _path(b):
                if other == owner and other_region != region:
                    return True
    return False


def is_last_use(value: ir.Value, user: ir.Operation) -> bool:
    """Whether nothing reads `value` once `user` has: its memory may be overwritten."""
    block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
    at = user.block
    while at != block:  # up through branches only: what is in a loop runs again
        owner = at.owner.operation
        if owner.name != "scf.if":
            return False
        at = owner.block
    seen = False
    for use in value.uses:
        owner = use.owner.operation
        if owner == user:
            if seen:
                return False
            seen = True
        elif not _in_other_branches(owner, user):
            return False
    return seen


def only_user(value: ir.Value) -> ir.Operation | None:
    """The operation that alone uses `value`, once."""
    uses = list(value.uses)
    return uses[0].owner.operation if len(uses) == 1 else None
