"""The pass `amd-place-barriers`: waves wait for each other where they meet in local memory."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.bindings import ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass

_READS, _WRITES = ("vector.load", "memref.load"), ("vector.store", "memref.store")
_WORKGROUP = "workgroup"


@dataclass(frozen=True)
class _Access:
    """Bytes of an argument of the kernel that are read or written, through a view."""

    view: ir.Value
    arena: int
    first: int
    end: int
    writes: bool

    def meets(self, other: _Access) -> bool:
        """Whether the order of both matters; writes through one view are of different elements."""
        if self.writes and other.writes and self.view == other.view:
            return False
        overlap = self.first < other.end and other.first < self.end
        return self.arena == other.arena and overlap and (self.writes or other.writes)


_Open = frozenset[_Access]
"""What has been done since the last barrier, on some way to a place."""


@register_pass
class PlaceBarriers(Pass):
    """Put a barrier between accesses to local memory whose order matters.

    *Before*: kernels whose accesses to local memory (workgroup attributions) are `vector.load`,
    `vector.store`, `memref.load` and `memref.store` of an attribution or a `memref.view` of one at a constant
    place. *After*: on every way from an access to another one of the same bytes, one of which writes, there
    is a barrier, ways from the end of a loop to its beginning included; there are none where no access
    needs it. Bytes are those of the whole view: what a thread reads and writes in it is not looked at, but
    for writes through one view, which are taken to be of different elements.

    Accesses of one wave are in order by themselves, and barriers wait for local memory only.

    ```mlir
    vector.store %x, %view[%i] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    %y = vector.load %view[%j] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    ```
    becomes
    ```mlir
    vector.store %x, %view[%i] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    gpu.barrier memfence [#gpu.address_space<workgroup>]
    %y = vector.load %view[%j] : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    ```
    """

    NAME = "amd-place-barriers"

    def run(self, op: ir.Operation) -> None:
        """Place the barriers of every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for block in function.regions[0].blocks:
                _Barriers().place(block)


class _Barriers:
    """The barriers of a kernel."""

    def __init__(self) -> None:
        self.before: set[ir.Operation] = set()
        """Operations that a barrier is placed before."""

    def place(self, block: ir.Block) -> None:
        """Find where barriers are needed, until there is nothing new, and place them."""
        known = -1
        while known != len(self.before):
            known = len(self.before)
            self._block(block, frozenset())
        gpu = load("dialects.gpu")
        spaces = ir.ArrayAttr.get([ir.Attribute.parse(f"#gpu.address_space<{_WORKGROUP}>")])
        for op in self.before:
            with ir.InsertionPoint(op), op.location:
                gpu.barrier(address_spaces=spaces)

    def _block(self, block: ir.Block, done: _Open) -> _Open:
        """What is open at the end of a block, given what is at its beginning."""
        for view in block.operations:
            done = self._operation(view.operation, done)
        return done

    def _operation(self, op: ir.Operation, done: _Open) -> _Open:
        if op.name == "gpu.barrier":
            return frozenset()
        if op.name in ("scf.for", "scf.while"):
            return self._loop(op, done)
        if op.name == "scf.if":
            ends = [self._block(block, done) for region in op.regions for block in region.blocks]
            return frozenset().union(*ends, done if len(ends) < 2 else frozenset())
        access = _access(op)
        if access is None:
            return done
        if op in self.before or any(access.meets(other) for other in done):
            self.before.add(op)
            return frozenset((access,))
        return done | {access}

    def _loop(self, op: ir.Operation, done: _Open) -> _Open:
        """A loop begins with what was before it, and with what its own end leaves."""
        start, last = done, None
        while start != last:
            last = start
            end = start
            for region in op.regions:
                end = self._block(region.blocks[0], end)
            start = start | end
        return start if op.name == "scf.for" else self._block(op.regions[0].blocks[0], start)


def is_local(op: ir.Operation) -> bool:
    """Whether an operation reads or writes local memory."""
    return op.name in (*_READS, *_WRITES) and _WORKGROUP in str(_memory(op).type.memory_space)


def _memory(op: ir.Operation) -> ir.Value:
    """What a read or a write accesses."""
    return op.operands[0 if op.name in _READS else 1]


def _access(op: ir.Operation) -> _Access | None:
    """What an operation does to local memory."""
    if not is_local(op):
        return None
    memory, shift = _memory(op), 0
    definer = rw.definer(memory)
    if definer is not None and definer.name == "memref.view":
        known = rw.constant_value(definer.operands[1])
        if known is None:
            raise PassFailure(op, "unsupported: local memory at a place that is not constant")
        shift, memory_base = known, definer.operands[0]
    else:
        memory_base = memory
    if not isinstance(memory_base.owner, ir.Block):
        raise PassFailure(op, "unsupported: local memory that is no attribution, or a view of one")
    size = memory.type.shape[0] * _bytes(memory.type.element_type)
    for each in memory.type.shape[1:]:
        size *= each
    number = ir.BlockArgument(memory_base).arg_number
    return _Access(memory, number, shift, shift + size, op.name in _WRITES)


def _bytes(element: ir.Type) -> int:
    return max(1, element.width // 8)
