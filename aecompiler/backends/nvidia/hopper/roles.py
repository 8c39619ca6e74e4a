"""What the warps of a kernel do: which tiles are copied for all, and which dimension is split."""

from __future__ import annotations

from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.nvidia.hopper.packed_rows import LOAD, STORE
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton.tile_axes import TileAxes
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.tile_program import RETRY


class Roles:
    """Reads a kernel, which must stay as it is: what is loaded when, and what its rows are.

    `resident` are loads of tiles of rows, each for a buffer of its own. All other loads by descriptors go
    through rings. Those that share a slot are a step: the loads `before` the loops, those `in_loop` by loop,
    and those `after` the loops. `rings` are the descriptors of their tiles; `behind` says of each how many
    steps later than others it begins.
    """

    def __init__(self, function: ir.Operation, consumers: int):
        self.function = function
        self.block = kir.body_of(function)
        self.consumers = consumers
        self.axes = TileAxes(function)
        self.loops = [
            view.operation
            for view in self.block.operations
            if view.operation.name == "scf.for" and rw.walk_list(view.operation, LOAD)
        ]
        if not self.loops:
            raise PassFailure(function, "expects a loop that reads tiles by descriptors")
        self.retry = next(
            (view.operation for view in self.block.operations if RETRY in view.operation.attributes), None
        )
        self._find_loads()
        self._find_rows()

    # ---- loads -----------------------------------------------------------------------------------

    def _find_loads(self) -> None:
        in_loops = {op.operands[0] for loop in self.loops for op in rw.walk_list(loop, LOAD)}
        self.resident: list[ir.Operation] = []
        before: list[ir.Operation] = []
        after: list[ir.Operation] = []
        reached = False
        for view in self.block.operations:
            op = view.operation
            if op in self.loops:
                reached = True
            elif op.name == LOAD and op.operands[0] not in in_loops:
                self.resident.append(op)
            elif op.name == LOAD:
                (after if reached else before).append(op)
            else:
                for nested in rw.walk_list(op, LOAD):
                    raise PassFailure(nested, "unsupported: a load by a descriptor in a branch")
        self.before, self.after = before, after
        self.in_loop: list[list[ir.Operation]] = []
        for loop in self.loops:
            loads = [
                view.operation for view in loop.regions[0].blocks[0].operations if view.operation.name == LOAD
            ]
            if len(loads) != len(rw.walk_list(loop, LOAD)):
                raise PassFailure(loop, "unsupported: a load by a descriptor in a loop or branch of a loop")
            self.in_loop.append(loads)
        self.rings: list[ir.Value] = []
        for step in (before, *self.in_loop, after):
            seen: set[ir.Value] = set()
            for load in step:
                descriptor = load.operands[0]
                if descriptor in seen:
                    # Which of two loads by one descriptor those of other steps belong to is not known.
                    raise PassFailure(load, "unsupported: a second load by a descriptor in a step")
                if tt.ROWS in load.attributes:
                    raise PassFailure(load, "expects the number of keys of a tile to be a power of two")
                seen.add(descriptor)
                if descriptor not in self.rings:
                    self.rings.append(descriptor)
        begun = [load.operands[0] for load in before]
        self.behind = [int(bool(begun) and descriptor not in begun) for descriptor in self.rings]
        for loop, loads in zip(self.loops, self.in_loop, strict=True):
            if {load.operands[0] for load in loads} != set(self.rings):
                raise PassFailure(loop, "unsupported: loops that read tiles of different tensors")

    def is_resident(self, load: ir.Operation) -> bool:
        """Whether a load is of rows."""
        return load in self.resident

    def release_after(self, loads: list[ir.Operation]) -> ir.Operation:
        """The last operation that reads the tiles of a step: products, and what takes them to registers."""
        block = loads[0].block
        reading = {result for load in loads for result in load.results}
        last = loads[-1]
        for view in block.operations:
            op = view.operation
            if any(operand in reading for operand in kir.operands_of(op)):
                last = op
                if op.name == "tt.trans":
                    reading.update(op.results)
        return last

    def ring_of(self, load: ir.Operation) -> int:
        """The number of the ring that a load goes through."""
        return self.rings.index(load.operands[0])

    def needed_for_retry(self) -> list[ir.Operation]:
        """What the stores of the kernel need, in order, if the branch takes its second region; and they."""
        stores = self.stores()
        roots = [operand for store in stores for operand in store.operands]
        needed = kir.slice_in(self.block, roots, self._operands_of_retry)
        return [view.operation for view in self.block.operations if view.operation in (*needed, *stores)]

    def _operands_of_retry(self, op: ir.Operation) -> list[ir.Value]:
        if op == self.retry:
            again = op.regions[1].blocks[0]
            return [operand for view in again.operations for operand in kir.operands_of(view.operation)]
        if op in self.loops or op.name == LOAD:
            raise PassFailure(
                op, "unsupported: what is computed again needs more than the kernel's arguments"
            )
        return kir.operands_of(op)

    def stores(self) -> list[ir.Operation]:
        """The operations that write results."""
        return [
            view.operation for view in self.block.operations if view.operation.name in (STORE, "tt.store")
        ]

    # ---- rows ------------------------------------------------------------------------------------

    def _find_rows(self) -> None:
        if not self.resident:
            raise PassFailure(self.function, "expects a tile of rows that is read by a descriptor")
        self._rows = self.axes.of_value(self.resident[0].results[0], 0)
        wanted = ROWS * self.consumers
        for op in (*self.resident, *rw.walk_list(self.function, STORE)):
            tile = tt.shape_of(op.results[0] if op.name == LOAD else op.operands[1])
            size = op.attributes[tt.ROWS].value if tt.ROWS in op.attributes else tile[0]
            if size != wanted:
                rule = f"expects tiles of {wanted} rows, {ROWS} for each of {self.consumers} groups of warps"
                raise PassFailure(op, f"{rule}, got {size}")
        for op in rw.walk_list(self.function):
            self._check_rows(op)

    def _check_rows(self, op: ir.Operation) -> None:
        if op.name == LOAD and self.rows_of_value(op.results[0]) != (self.is_resident(op), False):
            raise PassFailure(
                op, "expects rows to be the first dimension of tiles that are read once, and of no others"
            )
        if op.name == STORE and self.rows_of_use(op, 1) != (True, False):
            raise PassFailure(op, "expects rows to be the first dimension of what is stored")
        if op.name == "tt.dot" and (self.rows_of_use(op, 0)[1] or any(self.rows_of_use(op, 1))):
            raise PassFailure(op, "expects rows to be those of the first factor of a product alone")
        if op.name == "tt.trans" and any(self.rows_of_use(op, 0)):
            raise PassFailure(op, "unsupported: a tile of rows that is transposed")
        if op.name == "tt.reduce" and self.rows_of_use(op, 0)[op.attributes["axis"].value]:
            self._check_is_condition(op.results[0])
        for value in op.results:
            self._check_size(op, value)
        if op.name in (LOAD, STORE):
            descriptor = lo.descriptor_of(op.operands[0].type)
            tile = tt.shape_of(op.results[0] if op.name == LOAD else op.operands[1])
            if not descriptor.is_box_of(tile):
                raise PassFailure(op, "unsupported: tiles of other dimensions than the last ones")

    def _check_size(self, op: ir.Operation, value: ir.Value) -> None:
        for size, is_row in zip(tt.shape_of(value), self.rows_of_value(value), strict=True):
            if is_row and size < ROWS * self.consumers:
                raise PassFailure(op, f"unsupported: a tile of rows with {size} of them")

    def _check_is_condition(self, value: ir.Value) -> None:
        """What is reduced over rows may decide only how they are computed: each group decides for its own."""
        for use in value.uses:
            op = use.owner.operation
            if op.name == "scf.if" and use.operand_number == 0:
                continue
            if not op.name.startswith(("arith.", "tt.reduce")):
                raise PassFailure(
                    op, "unsupported: a reduction over rows that is used for more than a condition"
                )
            for result in op.results:
                self._check_is_condition(result)

    def rows_of_value(self, value: ir.Value) -> tuple[bool, ...]:
        """Which dimensions of a value are the rows."""
        return tuple(
            self.axes.same(self.axes.of_value(value, axis), self._rows)
            for axis in range(len(tt.shape_of(value)))
        )

    def rows_of_use(self, op: ir.Operation, number: int) -> tuple[bool, ...]:
        """Which dimensions of an operand are the rows."""
        return tuple(
            self.axes.same(self.axes.of_use(op, number, axis), self._rows)
            for axis in range(len(tt.shape_of(op.operands[number])))
        )
