"""The pass `amd-place-barriers`: waves wait for each other where they meet in local memory."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

from aecompiler.backends.amd.distribute.direct import COPY
from aecompiler.bindings import ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass

_READS = ("vector.load", "memref.load")
_WRITES = ("vector.store", "memref.store")
_DIRECT = "rocdl.raw.ptr.buffer.load.lds"
_BY_ADDRESS = {"llvm.load": 0, "rocdl.ds.read.tr16.b64": 0, _DIRECT: 1}
"""Operations whose operand of that number is an address, computed of that of an array."""
_ADDRESSES = ("llvm.inttoptr", "arith.addi", "arith.index_cast", "arith.trunci")
_NO_LOADS_ON_THEIR_WAY = 0x0F70
_LOCAL_IS_DONE = 0xC07F
"""The counters of `s_waitcnt`, in the form that all chips of CDNA have: vmcnt 0, or lgkmcnt 0, others as they
are."""

_NEXT = 1
"""The copy of the next turn."""
_WORKGROUP = "workgroup"
_WAVE = "wavefront"


@dataclass(frozen=True)
class _Access:
    """Bytes of an argument of the kernel that are read or written, through a view."""

    view: ir.Value
    arena: int
    first: int
    end: int
    writes: bool
    is_direct: bool = False
    """Whether it is written at some time later, until that is waited for."""
    copy: int | None = None
    """Which of two copies is accessed; None where that is not known."""

    def meets(self, other: _Access) -> bool:
        """Whether the order of both matters; writes through one view are of different elements."""
        if self.view == other.view:
            if self.writes and other.writes:
                return False
            if self.copy is not None and other.copy is not None and self.copy != other.copy:
                return False
        overlap = self.first < other.end and other.first < self.end
        return self.arena == other.arena and overlap and (self.writes or other.writes)

    def in_next_turn(self) -> _Access:
        """What it is when a loop that takes two copies in turn goes on."""
        return self if self.copy is None else dataclasses.replace(self, copy=1 - self.copy)

    def behind_loop(self) -> _Access:
        """What it is behind a loop that takes two copies in turn."""
        return dataclasses.replace(self, copy=None)


_Open = frozenset[_Access]
"""What has been done since the last barrier, on some way to a place."""


class _Kind(enum.IntEnum):
    """What a barrier does about loads into local memory: there are none, it leaves or awaits them."""

    NONE = 0
    LEAVES = 1
    WAITS = 2


@register_pass
class PlaceBarriers(Pass):
    """Put a barrier between accesses to local memory whose order matters.

    *Before*: kernels whose accesses to local memory (workgroup attributions) are `vector.load`,
    `vector.store`, `memref.load` and `memref.store` of an attribution or a `memref.view` of one at a constant
    place, or `llvm.load`, `rocdl.ds.read.tr16.b64` and loads straight into local memory at the address of
    one. *After*: on every way from an access to another one of the same bytes, one of which writes, there is
    a barrier, ways from the end of a loop to its beginning included; there are none where no access
    needs it. Bytes are those of the whole view: what a thread reads and writes in it is not looked at, but
    for writes through one view, which are taken to be of different elements.

    Accesses of one wave are in order by themselves, and barriers wait for local memory only. What is loaded
    straight into local memory (`rocdl.raw.ptr.buffer.load.lds`) is written at some time later: the barrier
    between the load and what needs it is behind a wait for loads (`rocdl.s.waitcnt`). Of a view of two copies
    of a tile, accesses say by `amd.copy` which they mean: 0, that of this turn of the loop around, or 1, that
    of the next; barriers of the turn don't wait for what is on its way to the latter. They are
    `rocdl.s.barrier` between fences of a wave then, as LLVM waits for all loads at those of a workgroup.

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
                barriers = _Barriers(block)
                barriers.find()
                barriers.place()
            for each in rw.walk_list(function):
                if COPY in each.attributes:
                    del each.attributes[COPY]


@dataclass(frozen=True)
class _Step:
    """What a kernel does that barriers have to do with: an operation, its access, or the regions in it.

    `views`: of a loop, what it takes two copies of in turn.
    """

    op: ir.Operation
    access: _Access | None = None
    regions: tuple[tuple[_Step, ...], ...] = ()
    views: frozenset[ir.Value] = frozenset()


class _Barriers:
    """The barriers of a kernel."""

    def __init__(self, block: ir.Block) -> None:
        self.steps = _steps(block)
        self.before: dict[ir.Operation, _Kind] = {}
        """Operations that a barrier is placed before, and what it does about loads."""
        self.ends: set[ir.Operation] = set()
        """Operations before which loads are waited for, without a barrier."""

    def find(self) -> None:
        """Find where barriers are needed, and which of them wait for loads.

        The first turn of a loop may need one that the barriers of later turns make needless, so that each is
        left out again if nothing needs it then. Those before loads for the next turn are the last: a barrier
        behind such loads, in their place, would wait for them, too.
        """
        firsts = _first_loads(self.steps)
        self._settle(dict.fromkeys(firsts, _Kind.NONE))
        for op in [*(each for each in self.before if each not in firsts), *firsts]:
            found = self.before
            without = {each for each in found if each != op}
            self._settle(dict.fromkeys(without, _Kind.NONE))
            if set(self.before) != without:
                self.before = found
        self._settle(dict.fromkeys(self.before, _Kind.NONE))

    def _settle(self, before: dict[ir.Operation, _Kind]) -> None:
        """Begin with some barriers, and add others until there is nothing new."""
        self.before = before
        known: dict[ir.Operation, _Kind] | None = None
        while known != self.before:
            known = dict(self.before)
            self.ends.clear()
            self._all(self.steps, frozenset())

    def place(self) -> None:
        """Write the barriers."""
        gpu, llvm, rocdl = load("dialects.gpu"), load("dialects.llvm"), load("dialects.rocdl")
        spaces = ir.ArrayAttr.get([ir.Attribute.parse(f"#gpu.address_space<{_WORKGROUP}>")])
        for op in self.ends:
            with ir.InsertionPoint(op), op.location:
                rocdl.s_waitcnt(_NO_LOADS_ON_THEIR_WAY)
        for op, kind in self.before.items():
            with ir.InsertionPoint(op), op.location:
                if kind == _Kind.LEAVES:
                    # Fences of workgroups, as gpu.barrier becomes, wait for all loads into local memory.
                    llvm.fence(llvm.AtomicOrdering.release, syncscope=_WAVE)
                    rocdl.s_waitcnt(_LOCAL_IS_DONE)
                    rocdl.s_barrier()
                    llvm.fence(llvm.AtomicOrdering.acquire, syncscope=_WAVE)
                    continue
                if kind == _Kind.WAITS:
                    rocdl.s_waitcnt(_NO_LOADS_ON_THEIR_WAY)
                gpu.barrier(address_spaces=spaces)

    def _all(self, steps: tuple[_Step, ...], done: _Open) -> _Open:
        """What is open at the end of some steps, given what is at their beginning."""
        for step in steps:
            done = self._one(step, done)
        return done

    def _one(self, step: _Step, done: _Open) -> _Open:
        op, access = step.op, step.access
        if op.name == "gpu.barrier":
            return _on_their_way(done)
        if op.name in ("scf.for", "scf.while"):
            return self._loop(step, done)
        if op.name == "scf.if":
            ends = [self._all(region, done) for region in step.regions]
            return frozenset().union(*ends, done if len(ends) < 2 else frozenset())
        if op.name == "gpu.return" and _on_their_way(done):
            self.ends.add(op)
        if access is None:
            return done
        if op in self.before or any(access.meets(other) for other in done):
            loads = _on_their_way(done)
            waits = any(each.copy != _NEXT or access.meets(each) for each in loads)
            kind = _Kind.WAITS if waits else _Kind.LEAVES if loads else _Kind.NONE
            self.before[op] = max(kind, self.before.get(op, _Kind.NONE))
            return frozenset((access,)) | (frozenset() if self.before[op] == _Kind.WAITS else loads)
        return done | {access}

    def _loop(self, step: _Step, done: _Open) -> _Open:
        """A loop begins with what was before it, and with what its own end leaves."""
        start, last = done, None
        while start != last:
            last = start
            end = start
            for region in step.regions:
                end = self._all(region, end)
            start = start | {each.in_next_turn() if each.view in step.views else each for each in end}
        if step.op.name == "scf.while":
            start = self._all(step.regions[0], start)
        return frozenset(each.behind_loop() if each.view in step.views else each for each in start)


def _steps(block: ir.Block) -> tuple[_Step, ...]:
    """The steps of a block."""
    found: list[_Step] = []
    for view in block.operations:
        op = view.operation
        if op.name in ("scf.for", "scf.while", "scf.if"):
            regions = tuple(_steps(inner) for region in op.regions for inner in region.blocks)
            own = (step for step in regions[0] if COPY in step.op.attributes)
            views = frozenset(step.access.view for step in own if step.access is not None)
            found.append(_Step(op, None, regions, views if op.name != "scf.if" else frozenset()))
        elif (access := _access(op)) is not None or op.name in ("gpu.barrier", "gpu.return"):
            found.append(_Step(op, access))
    return tuple(found)


def _first_loads(steps: tuple[_Step, ...]) -> list[ir.Operation]:
    """The first load for the next turn in each loop that has one."""
    own = [step.op for step in steps if step.access and step.access.is_direct and step.access.copy == _NEXT]
    inner = [op for step in steps for region in step.regions for op in _first_loads(region)]
    return own[:1] + inner


def _on_their_way(done: _Open) -> _Open:
    """The loads among what has been done, which a barrier alone does not wait for."""
    return frozenset(each for each in done if each.is_direct)


def is_local(op: ir.Operation) -> bool:
    """Whether an operation reads or writes local memory."""
    if op.name in _BY_ADDRESS:
        return str(op.operands[_BY_ADDRESS[op.name]].type) == "!llvm.ptr<3>"
    return op.name in (*_READS, *_WRITES) and _WORKGROUP in str(_memory(op).type.memory_space)


def _memory(op: ir.Operation) -> ir.Value:
    """What a read or a write accesses."""
    if op.name in _BY_ADDRESS:
        return _array_of(op, op.operands[_BY_ADDRESS[op.name]])
    return op.operands[0 if op.name in _READS else 1]


def _array_of(op: ir.Operation, address: ir.Value) -> ir.Value:
    """The array whose address, and something else, is an address."""
    left = [address]
    while left:
        definer = rw.definer(left.pop())
        if definer is None:
            continue
        if definer.name == "memref.extract_aligned_pointer_as_index":
            return definer.operands[0]
        if definer.name in _ADDRESSES:
            left += definer.operands
    raise PassFailure(op, "unsupported: an address in local memory that is no array's")


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
    copy = ir.IntegerAttr(op.attributes[COPY]).value if COPY in op.attributes else None
    is_direct = op.name == _DIRECT
    return _Access(memory, number, shift, shift + size, is_direct or op.name in _WRITES, is_direct, copy)


def _bytes(element: ir.Type) -> int:
    return max(1, element.width // 8)
