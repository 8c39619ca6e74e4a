"""How many vector registers a kernel of lanes needs, before there is code.

What lanes do not share is in vector registers from where it is computed to its last use, in the order of the
program. The compiler behind orders otherwise and moves, so that this is an estimate; it is exact enough to
tell kernels that can't fit from those that do.
"""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

_ALIASES = ("vector.extract", "vector.shuffle", "vector.bitcast", "arith.bitcast", "llvm.extractvalue")
"""Operations whose results are parts of the registers of their first operand."""

_VARYING = (
    "gpu.thread_id",
    "gpu.shuffle",
    "rocdl.raw.ptr.buffer.load",
    "rocdl.ds_bpermute",
    "rocdl.permlane",
    "vector.load",
    "memref.load",
    "amdgpu.",
)
"""Operations whose results differ from lane to lane."""

_SHARED = ("rocdl.readfirstlane", "memref.view", "rocdl.make.buffer.rsrc")
"""Operations whose results a wave has once."""


def needed_registers(function: ir.Operation) -> int:
    """The vector registers of a lane that are in use at a time, by the order of the program."""
    return _Registers(function).most


class _Registers:
    def __init__(self, function: ir.Operation):
        self._varies: dict[ir.Value, bool] = {}
        self._order: dict[ir.Operation, int] = {}
        self._ends: dict[ir.Operation, int] = {}
        self._changes: dict[int, int] = {}
        block = function.regions[0].blocks[0]
        self._number(block)
        self._count_block(block)
        self.most, live = 0, 0
        for place in sorted(self._changes):
            live += self._changes[place]
            self.most = max(self.most, live)

    def _number(self, block: ir.Block) -> None:
        """Give each operation a place in the order of the program, and say where its regions end."""
        for view in block.operations:
            op = view.operation
            self._order[op] = len(self._order) * 2
            for region in op.regions:
                for inner in region.blocks:
                    self._number(inner)
            self._ends[op] = len(self._order) * 2 - 1

    def _count_block(self, block: ir.Block) -> None:
        """Add what is born in a block, and where it dies."""
        parent = block.owner.operation
        for argument in block.arguments:
            if parent in self._order:
                self._add(argument, self._order[parent], self._ends[parent])
        for view in block.operations:
            op = view.operation
            for region in op.regions:
                for inner in region.blocks:
                    self._count_block(inner)
            if op.name in _ALIASES:
                continue
            for result in op.results:
                self._add(result, self._ends[op], self._last_use(result, op.block))

    def _add(self, value: ir.Value, born: int, died: int) -> None:
        if (size := self._size(value)) and died > born:
            self._changes[born] = self._changes.get(born, 0) + size
            self._changes[died] = self._changes.get(died, 0) - size

    def _last_use(self, value: ir.Value, block: ir.Block) -> int:
        """Where a value is used last; a use in a loop that it does not stand in is one at the loop's end."""
        last = -1
        for use in value.uses:
            op = use.owner.operation
            if op.name in _ALIASES:
                last = max(last, *(self._last_use(result, block) for result in op.results))
            inner = op
            while inner.block != block:
                inner = inner.parent.operation
            last = max(last, self._order[op] if inner == op else self._ends[inner])
        return last

    def _size(self, value: ir.Value) -> int:
        """The registers of a value: none for bits, and for what lanes share."""
        element, count = value.type, 1
        if isinstance(element, ir.VectorType):
            element, count = value.type.element_type, value.type.shape[0]
        width = getattr(element, "width", 0)
        if width < 2 or not self._is_varying(value):
            return 0
        return -(-width * count // 32)

    def _is_varying(self, value: ir.Value) -> bool:
        """Whether lanes have values of their own."""
        if value not in self._varies:
            self._varies[value] = False  # of what a loop carries while it is looked at
            self._varies[value] = self._find(value)
        return self._varies[value]

    def _find(self, value: ir.Value) -> bool:
        op = rw.definer(value)
        if op is None:
            block = value.owner
            parent = block.owner.operation
            if parent.name == "scf.for":
                number = ir.BlockArgument(value).arg_number
                return number > 0 and self._is_varying(parent.operands[number + 2])
            return parent.name == "scf.while" or isinstance(value.type, ir.VectorType)
        if op.name.startswith(_VARYING):
            return True
        if op.name in _SHARED:
            return False
        if op.name.startswith("scf."):
            number = ir.OpResult(value).result_number
            if op.name == "scf.for":
                return self._is_varying(op.operands[number + 3]) or isinstance(value.type, ir.VectorType)
            return True
        return any(self._is_varying(operand) for operand in op.operands)
