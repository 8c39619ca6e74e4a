"""What the values of a tile program become: vectors, memory, or work put off until its user is known."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.cpu.vectorize.positions import Spread
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_rules import NAMED_ELEMENTWISE


class UnsupportedTile(Exception):
    """The tile program holds something that has no vector form here; its text says what."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts of a target and the choices of a schedule that shape the code.

    `vector_bits`: the width of a vector register. `tile_q`: vectors of queries in a register tile. `tile_kv`
    and `tile_d`: keys and features in it, for the first and the second product. `pair_products`: whether
    there is an instruction that multiplies pairs of bf16 and adds to f32 (avx512_bf16).
    """

    vector_bits: int
    tile_q: int
    tile_kv: int
    tile_d: int
    pair_products: bool


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


# ---- structured operations -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Operand:
    """An operand of a `linalg.generic`, and the loops that index it."""

    value: ir.Value
    loops: tuple[int, ...]


_ELEMENTWISE = frozenset(NAMED_ELEMENTWISE)
_STRUCTURED = _ELEMENTWISE | {"linalg.generic", "linalg.transpose", "linalg.broadcast", "linalg.reduce"}


def is_structured(op: ir.Operation) -> bool:
    """Whether `Generic` can read an operation."""
    return op.name in _STRUCTURED


class Generic:
    """A structured operation read: operands with their loops, iterators, sizes, body."""

    def __init__(self, op: ir.Operation):
        self.op = op.operation
        self.rank, loops, self.reductions = _indexing(self.op)
        operands = [Operand(v, each) for v, each in zip(op.operands, loops, strict=True)]
        count = len(operands) - len(op.results)
        self.ins, self.outs = operands[:count], operands[count:]
        self.block = self.op.regions[0].blocks[0]
        self.sizes: dict[int, int] = {}
        for operand in operands:
            shaped = operand.value.type
            if isinstance(shaped, ir.RankedTensorType):
                if not shaped.has_static_shape:
                    raise UnsupportedTile("a tensor whose sizes are not known")
                for loop, size in zip(operand.loops, shaped.shape, strict=True):
                    if size != rw.DYNAMIC or loop not in self.sizes:
                        self.sizes[loop] = size

    @property
    def operands(self) -> list[Operand]:
        """Inputs, then outputs."""
        return [*self.ins, *self.outs]

    @property
    def yielded(self) -> list[ir.Value]:
        """What the body ends with."""
        *_, terminator = self.block.operations
        return list(terminator.operands)

    def argument(self, operand: Operand) -> ir.Value:
        """The block argument that holds an element of `operand`."""
        return self.block.arguments[self.operands.index(operand)]

    def argument_of_out(self, number: int) -> ir.Value:
        """The block argument that holds an element of an output."""
        return self.block.arguments[len(self.ins) + number]


def _indexing(op: ir.Operation) -> tuple[int, list[tuple[int, ...]], list[int]]:
    """The number of loops, the loops of each operand, and those that reduce."""
    *inputs, out = op.operands
    rank = ir.RankedTensorType((inputs if op.name == "linalg.reduce" else [out])[0].type).rank
    every = tuple(range(rank))
    if "indexing_maps" in op.attributes:
        maps = [ir.AffineMapAttr(a).value for a in op.attributes["indexing_maps"]]
        rank = maps[0].n_dims
        kinds = op.attributes.get("iterator_types", [])
        reductions = [loop for loop, kind in enumerate(kinds) if "reduction" in str(kind)]
        return rank, [_loops(each) for each in maps], reductions
    if op.name == "linalg.transpose":
        permutation = list(op.attributes["permutation"])
        return rank, [tuple(permutation.index(d) for d in every), every], []
    if op.name == "linalg.broadcast":
        added = set(op.attributes["dimensions"])
        return rank, [tuple(d for d in every if d not in added), every], []
    if op.name == "linalg.reduce":
        reduced = list(op.attributes["dimensions"])
        left = tuple(d for d in every if d not in reduced)
        half = len(op.operands) // 2
        return rank, [*[every] * half, *[left] * half], sorted(reduced)
    return rank, [every if isinstance(v.type, ir.RankedTensorType) else () for v in op.operands], []


def _loops(map_: ir.AffineMap) -> tuple[int, ...]:
    loops = []
    for result in map_.results:
        try:
            loops.append(ir.AffineDimExpr(result).position)
        except ValueError:
            raise UnsupportedTile(f"an operand indexed by {result}") from None
    return tuple(loops)
