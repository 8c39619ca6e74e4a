"""Runs warp-specialised kernels in numpy: warps with different tasks, rings in shared memory, and mbarriers.

`run` is that of triton_interpreter, with a seed that chooses who goes first. What is an error there is one
here, and so are, for every seed where it can be seen at all: races in shared memory, use of a product before
its wait, deadlocks, arrivals and bytes that a barrier does not expect, and copies or products that nobody
waits for. Layouts of tensors are of no account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensor_descriptors
import triton_interpreter
from shared_memory import Memdesc, Mistake, Race, allocate, memdesc_type
from triton_interpreter import DTYPES, Frame, dtype_of
from warp_machine import Barrier, Deadlock, Machine, NamedBarrier, Product, Steps, Wait, Warps

from aecompiler.backends.triton.kernel_text import WITHOUT_LAYOUTS
from aecompiler.bindings import ir

__all__ = ["Deadlock", "Mistake", "Race", "run"]

_ENDS = ("tt.return", "scf.yield", "scf.condition", "ttg.warp_yield", "ttg.warp_return")


def run(module: ir.Module, name: str, arguments: Sequence[Any], *, seed: int = 0) -> list[np.ndarray]:
    """The results of a host function; arguments are arrays and numbers."""
    return triton_interpreter.run(module, name, arguments, lambda symbols: _Host(symbols, seed))


class _Host(Frame):
    """Runs the host function, and programs of its kernels one after another."""

    def __init__(self, symbols: dict[str, ir.Operation], seed: int) -> None:
        super().__init__(symbols)
        self.seed = seed

    def program(self, kernel: ir.Operation, parameters: list, ids: tuple[int, ...]) -> None:
        if WITHOUT_LAYOUTS in kernel.attributes:
            Frame(self.symbols).program(kernel, parameters, ids)
            return
        block = kernel.regions[0].blocks[0]
        machine = Machine(f"{self.seed} {ids[:3]}")
        frame = _WarpFrame(self.symbols, ids, machine, Warps("the default partition"))
        frame.values = dict(zip(block.arguments, parameters, strict=True))
        try:
            machine.start(frame.warps, frame.steps(block))
            machine.run()
            machine.check_end(frame.warps)
        except AssertionError as error:
            error.add_note(f"program {ids[:3]} of a kernel, seed {self.seed}")
            raise


class _Isolated(dict):
    """The values of a region that may not use others."""

    def __missing__(self, value: ir.Value) -> Any:
        raise Mistake(f"a partition uses a value from outside: {value}")


class _WarpFrame(Frame):
    """Runs the region of some warps, operation by operation."""

    def __init__(
        self, symbols: dict[str, ir.Operation], ids: tuple[int, ...], machine: Machine, warps: Warps
    ) -> None:
        super().__init__(symbols, ids)
        self.machine, self.warps = machine, warps

    def steps(self, block: ir.Block) -> Steps:
        """Run a block; the end of its steps returns what it yields."""
        for view in block.operations:
            op = view.operation
            operands = [self.values[operand] for operand in op.operands]
            if op.name in _ENDS:
                return operands
            control = _WarpFrame.named_barrier if _is_named_barrier(op) else _CONTROL.get(op.name)
            if control is not None:
                self.bind(op, (yield from control(self, op, operands)))
                continue
            if op.name in _SHARED:
                yield None
            try:
                self.operation(op)
            except AssertionError as error:
                error.add_note(f"at {op.name} of {self.warps.name}: {str(op)[:500]}")
                raise
        raise AssertionError("a block without an end")

    def operation(self, op: ir.Operation) -> None:
        operands = [self.values[operand] for operand in op.operands]
        allowed = _PRODUCTS.get(op.name, ())
        for number, operand in enumerate(operands):
            if isinstance(operand, Product) and number not in allowed:
                raise Mistake(f"{self.warps.name}: {op.name} uses a product by wgmma that is not waited for")
        handler = _SHARED.get(op.name) or _VIEWS.get(op.name)
        if handler is not None:
            self.bind(op, handler(self, op, operands))
        else:
            super().operation(op)

    # ---- control flow ------------------------------------------------------------------------------

    def specialize(self, op: ir.Operation, operands: list) -> Steps:
        default, holder = op.regions
        partitions = holder.blocks[0].operations[0].operation
        captures = [self.values[each] for each in partitions.operands] or operands
        count = len(partitions.regions)
        for name in ("partitionNumWarps", "requestedRegisters"):
            assert len(list(ir.DenseI32ArrayAttr(op.attributes[name]))) == count, (
                f"{name} of {count} partitions"
            )
        others = []
        for number, region in enumerate(partitions.regions):
            warps = Warps(f"partition {number}", self.warps.known)
            frame = _WarpFrame(self.symbols, self.ids, self.machine, warps)
            block = region.blocks[0]
            frame.values = _Isolated(zip(block.arguments, captures, strict=True))
            self.machine.start(warps, frame.steps(block))
            others.append(warps)
        yield from self.steps(default.blocks[0])
        yield Wait(
            lambda: not any(warps in self.machine.warps for warps in others),
            lambda: f"{self.warps.name} waits for the end of the others",
        )
        for warps in others:
            self.warps.known |= warps.known
        return []

    def steps_of_loop(self, op: ir.Operation, operands: list) -> Steps:
        low, high, step, *carried = operands
        block = op.regions[0].blocks[0]
        for number in range(int(low), int(high), int(step)):
            position = np.asarray(number, dtype_of(block.arguments[0].type))
            self.values.update(zip(block.arguments, [position, *carried], strict=True))
            carried = yield from self.steps(block)
        return carried

    def steps_of_while(self, op: ir.Operation, operands: list) -> Steps:
        before, after = (region.blocks[0] for region in op.regions)
        while True:
            self.values.update(zip(before.arguments, operands, strict=True))
            goes_on, *operands = yield from self.steps(before)
            if not goes_on:
                return operands
            self.values.update(zip(after.arguments, operands, strict=True))
            operands = yield from self.steps(after)

    def steps_of_branch(self, op: ir.Operation, operands: list) -> Steps:
        region = op.regions[0 if operands[0] else 1]
        return (yield from self.steps(region.blocks[0])) if len(region.blocks) else []

    def wait_barrier(self, op: ir.Operation, operands: list) -> Steps:
        place, parity, *is_on = operands
        yield None
        if all(is_on):
            barrier = self.barrier(place)
            yield barrier.wait(self.warps, int(parity))
            barrier.saw(self.warps)
        return []

    def named_barrier(self, op: ir.Operation, operands: list) -> Steps:
        number, threads = (int(each) for each in operands)
        yield None
        barrier = self.machine.named.setdefault(number, NamedBarrier(number))
        phase = barrier.arrive(self.warps, threads)
        if "bar.sync" in ir.StringAttr(op.attributes["asm_string"]).value:
            yield barrier.wait(self.warps, phase)
            self.warps.known |= barrier.published[phase]
        return [np.int32(0)]

    # ---- shared memory and barriers ----------------------------------------------------------------

    def local_alloc(self, op: ir.Operation, operands: list) -> list:
        memdesc = allocate(op.results[0], DTYPES)
        for value in operands:
            self.local_store(op, [value, memdesc])
        return [memdesc]

    def local_load(self, op: ir.Operation, operands: list) -> list:
        self.machine.access(self.warps, operands[0], op.name)
        return [operands[0].read()]

    def local_store(self, op: ir.Operation, operands: list) -> list:
        value, place = operands
        assert value.shape == place.shape, f"a tensor of {value.shape} into a memdesc of {place.shape}"
        self.machine.access(self.warps, place, op.name, writes=True)
        place.write(value)
        self.warps.unfenced.append(place)
        return []

    def fence(self, op: ir.Operation, operands: list) -> list:
        self.warps.unfenced = []
        return []

    def check_fence(self, place: Memdesc, what: str) -> None:
        """Copies by TMA and products read what threads have written only after a fence."""
        if any(place.overlaps(each) for each in self.warps.unfenced):
            raise Mistake(
                f"{what} {place.name} does not follow a fence after what {self.warps.name} wrote there"
            )

    def barrier(self, place: Memdesc) -> Barrier:
        barrier = place.allocation.barriers.get(place.region)
        if barrier is None:
            raise Mistake(f"barrier {place.name} is not initialized")
        if not barrier.made & self.warps.known:
            raise Race(
                f"{self.warps.name} is not certain to follow the initialization of barrier {place.name}"
            )
        return barrier

    def init_barrier(self, op: ir.Operation, operands: list) -> list:
        (place,) = operands
        assert place.allocation.dtype == np.int64, f"a barrier needs 64 bits, {place.name} has others"
        assert place.region not in place.allocation.barriers, f"barrier {place.name} is initialized twice"
        barrier = Barrier(place, _integer(op, "count"), self.machine.event())
        self.warps.known |= barrier.made
        place.allocation.barriers[place.region] = barrier
        self.machine.barriers.append(barrier)
        return []

    def arrive(self, op: ir.Operation, operands: list) -> list:
        place, *is_on = operands
        if all(is_on):
            self.barrier(place).arrive(self.warps, _integer(op, "count"))
        return []

    def expect(self, op: ir.Operation, operands: list) -> list:
        place, is_on = operands
        if is_on:
            self.barrier(place).expect(self.warps, _integer(op, "size"))
        return []

    # ---- copies ------------------------------------------------------------------------------------

    def copy_in(self, op: ir.Operation, operands: list) -> list:
        descriptor, *corner, at, target, is_on = operands
        box = _box_as(op.operands[0].type, target)
        if not is_on:
            return []
        barrier, known = self.barrier(at), self.warps.known

        def land() -> None:
            target.write(descriptor.load(corner, box).reshape(target.shape))
            barrier.land(int(np.prod(box)) * target.allocation.data.itemsize, known | flight.event)

        flight = self.machine.launch(self.warps, f"the copy to {target.name}", land)
        self.machine.touch(self.warps, flight, target, writes=True)
        self.machine.loads.append(flight)
        target.allocation.poison(target.region)
        return []

    def copy_out(self, op: ir.Operation, operands: list) -> list:
        descriptor, *corner, source = operands
        box = _box_as(op.operands[0].type, source)
        self.check_fence(source, "the copy from")
        flight = self.machine.launch(
            self.warps,
            f"the copy from {source.name}",
            lambda: descriptor.store(corner, box, source.read()),
        )
        self.machine.touch(self.warps, flight, source)
        self.warps.stores.append(flight)
        return []

    def wait_stores(self, op: ir.Operation, operands: list) -> list:
        stores, left = self.warps.stores, _integer(op, "pendings")
        done = stores[: max(len(stores) - left, 0)]
        self.machine.finish(self.warps, done)
        self.warps.stores = stores[len(done) :]
        return []

    # ---- products ----------------------------------------------------------------------------------

    def dot(self, op: ir.Operation, operands: list) -> list:
        a, b, acc, *uses_acc = operands
        type_ = op.results[0].type
        shape, dtype = tuple(type_.shape), dtype_of(type_)
        assert isinstance(b, Memdesc), f"{op.name}: the second factor is not in shared memory"

        def multiply() -> None:
            factors = [each.read() if isinstance(each, Memdesc) else each for each in (a, b)]
            product.value = (factors[0].astype(dtype) @ factors[1].astype(dtype)).astype(dtype)
            if all(uses_acc):
                product.value = (acc.value if isinstance(acc, Product) else acc) + product.value
            assert product.value.shape == shape, f"{op.name}: {product.value.shape} as {shape}"

        flight = self.machine.launch(self.warps, f"the product by {b.name}", multiply)
        product = Product(flight)
        for factor in (a, b):
            if isinstance(factor, Memdesc):
                self.check_fence(factor, "a product of")
                self.machine.touch(self.warps, flight, factor)
        self.warps.products.append(product)
        if ir.BoolAttr(op.attributes["isAsync"]).value:
            return [product]
        self._finish_products(0)
        return [product.value]

    def wait_dots(self, op: ir.Operation, operands: list) -> list:
        self._finish_products(_integer(op, "pendings"))
        is_there = [isinstance(each, Product) and each.is_waited for each in operands]
        return [each.value if done else each for each, done in zip(operands, is_there, strict=True)]

    def _finish_products(self, left: int) -> None:
        products = self.warps.products
        done = products[: max(len(products) - left, 0)]
        self.machine.finish(self.warps, [each.flight for each in done])
        for product in done:
            product.is_waited = True
        self.warps.products = products[len(done) :]


def _is_named_barrier(op: ir.Operation) -> bool:
    return op.name == "tt.elementwise_inline_asm" and not ir.BoolAttr(op.attributes["pure"]).value


def _integer(op: ir.Operation, name: str) -> int:
    return ir.IntegerAttr(op.attributes[name]).value


def _box_as(type_: ir.Type, place: Memdesc) -> tuple[int, ...]:
    """The box of a descriptor, which has to be that of the memory at the other end of a copy."""
    box = tensor_descriptors.box_of(type_)
    rows, features = place.shape
    assert (np.prod(box[:-1]), box[-1]) == (rows, features), f"a box of {box} and a memdesc of {place.shape}"
    element = DTYPES[tensor_descriptors.element_of(type_)]
    assert element == place.allocation.dtype, f"a box of {element} and a memdesc of {place.allocation.dtype}"
    return box


def _view(change: Callable[[ir.Operation, list], Memdesc]) -> Callable:
    """A view of a memdesc, which has to have the sizes that its type says."""

    def apply(frame: _WarpFrame, op: ir.Operation, operands: list) -> list:
        memdesc = change(op, operands)
        shape = memdesc_type(op.results[0].type)[0]
        assert memdesc.shape == shape, f"{op.name}: a view of {memdesc.shape} as {shape}"
        return [memdesc]

    return apply


_CONTROL: dict[str, Callable[[_WarpFrame, ir.Operation, list], Steps]] = {
    "scf.for": _WarpFrame.steps_of_loop,
    "scf.while": _WarpFrame.steps_of_while,
    "scf.if": _WarpFrame.steps_of_branch,
    "ttg.warp_specialize": _WarpFrame.specialize,
    "ttng.wait_barrier": _WarpFrame.wait_barrier,
}

# Operations before which others may go first.
_SHARED: dict[str, Callable[[_WarpFrame, ir.Operation, list], list]] = {
    "ttg.local_alloc": _WarpFrame.local_alloc,
    "ttg.local_load": _WarpFrame.local_load,
    "ttg.local_store": _WarpFrame.local_store,
    "ttng.init_barrier": _WarpFrame.init_barrier,
    "ttng.arrive_barrier": _WarpFrame.arrive,
    "ttng.barrier_expect": _WarpFrame.expect,
    "ttng.async_tma_copy_global_to_local": _WarpFrame.copy_in,
    "ttng.async_tma_copy_local_to_global": _WarpFrame.copy_out,
    "ttng.async_tma_store_wait": _WarpFrame.wait_stores,
    "ttng.warp_group_dot": _WarpFrame.dot,
    "ttng.warp_group_dot_wait": _WarpFrame.wait_dots,
}

_VIEWS: dict[str, Callable[[_WarpFrame, ir.Operation, list], list]] = {
    "ttg.memdesc_index": _view(lambda op, operands: operands[0].index(int(operands[1]))),
    "ttg.memdesc_trans": _view(
        lambda op, operands: operands[0].transposed(list(ir.DenseI32ArrayAttr(op.attributes["order"])))
    ),
    "ttg.convert_layout": lambda frame, op, operands: operands,
    "gpu.barrier": lambda frame, op, operands: [],
    "ttng.fence_async_shared": _WarpFrame.fence,
}

# The operands that may be products which are not waited for: accumulators, and what is waited for.
_PRODUCTS = {"ttng.warp_group_dot": (2,), "ttng.warp_group_dot_wait": range(1 << 10)}
