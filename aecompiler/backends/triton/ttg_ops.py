"""Operations of Triton's GPU dialects `ttg` and `ttng`, emitted as unregistered operations in generic form.

As in `ir_ops.py`, each function checks its operands, and a wrong one is a `TypeError`. Forms are those of
Triton 3.6; `spellings.py` turns them into those of other releases.
"""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton.ir_ops import constant, create, element_of, expect, integer, one, shape_of
from aecompiler.bindings import ir

_FENCE = "ttng.fence_async_shared"


# ---- shared memory -------------------------------------------------------------------------------


def local_alloc(buffer: lo.MemDesc) -> ir.Value:
    """Shared memory for a buffer."""
    return one("ttg.local_alloc", [], buffer.type)


def memdesc_index(buffers: ir.Value, number: ir.Value) -> ir.Value:
    """One of a row of buffers."""
    rows = lo.MemDesc.of(buffers.type)
    expect(number.type == integer(32) and len(rows.shape) > 1, "ttg.memdesc_index", "an i32", buffers, number)
    return one("ttg.memdesc_index", [buffers, number], rows.part.type)


def memdesc_trans(buffer: ir.Value) -> ir.Value:
    """A matrix in shared memory, transposed; nothing moves."""
    was = lo.MemDesc.of(buffer.type)
    expect(len(was.shape) == 2, "ttg.memdesc_trans", "a matrix", buffer)
    flag, flipped = ("false", "true") if "transposed = false" in was.layout else ("true", "false")
    layout = was.layout.replace(f"transposed = {flag}", f"transposed = {flipped}")
    new = lo.MemDesc(was.shape[::-1], was.element, layout)
    return one("ttg.memdesc_trans", [buffer], new.type, order="array<i32: 1, 0>")


def local_load(buffer: ir.Value, layout: str = "") -> ir.Value:
    """A tile in shared memory, in registers."""
    was = lo.MemDesc.of(buffer.type)
    plain = ir.RankedTensorType.get(list(was.shape), ir.Type.parse(was.element))
    return one("ttg.local_load", [buffer], lo.with_layout(plain, layout))


def local_store(tile: ir.Value, buffer: ir.Value) -> None:
    """Write a tile to shared memory."""
    was = lo.MemDesc.of(buffer.type)
    fits = shape_of(tile) == was.shape and str(element_of(tile)) == was.element
    expect(fits, "ttg.local_store", "a tile of the buffer's shape and type", tile, buffer)
    create("ttg.local_store", [tile, buffer], [])


def fence() -> None:
    """What was written to shared memory so far is seen by TMA and wgmma."""
    create(_FENCE, [], [], bCluster="false")


def block_barrier() -> None:
    """All threads of a partition wait for one another."""
    create("gpu.barrier", [], [])


def convert_layout(value: ir.Value, layout: str) -> ir.Value:
    """A tensor in another layout."""
    if lo.layout_of(value.type) == layout:
        return value
    return one("ttg.convert_layout", [value], lo.with_layout(value.type, layout))


# ---- barriers ------------------------------------------------------------------------------------


def _expect_barrier(name: str, barrier: ir.Value) -> None:
    was = lo.MemDesc.of(barrier.type)
    expect((was.shape, was.element) == ((1,), "i64"), name, "a barrier", barrier)


def init_barrier(barrier: ir.Value, count: int) -> None:
    """A barrier whose phases take `count` arrivals."""
    _expect_barrier("ttng.init_barrier", barrier)
    create("ttng.init_barrier", [barrier], [], count=f"{count} : i32")


def wait_barrier(barrier: ir.Value, parity: ir.Value, always: ir.Value) -> None:
    """Wait for the end of a phase: of the first with parity 0, and so on in turns."""
    _expect_barrier("ttng.wait_barrier", barrier)
    expect(parity.type == integer(32), "ttng.wait_barrier", "a parity of i32", parity)
    segments = "array<i32: 1, 1, 1, 0>"
    create("ttng.wait_barrier", [barrier, parity, always], [], operandSegmentSizes=segments)


def arrive_barrier(barrier: ir.Value, always: ir.Value) -> None:
    """One arrival."""
    _expect_barrier("ttng.arrive_barrier", barrier)
    create("ttng.arrive_barrier", [barrier, always], [], count="1 : i32")


def barrier_expect(barrier: ir.Value, size: int, always: ir.Value) -> None:
    """One arrival, and the phase ends only when `size` bytes were copied as well."""
    _expect_barrier("ttng.barrier_expect", barrier)
    create("ttng.barrier_expect", [barrier, always], [], size=f"{size} : i32")


_GROUP_THREADS = 128


def named_barrier_wait(number: int) -> None:
    """Wait at a named barrier of two groups of four warps, until the other has arrived there."""
    _named_barrier("bar.sync", number)


def named_barrier_arrive(number: int) -> None:
    """Arrive at a named barrier of two groups of four warps, and go on."""
    _named_barrier("bar.arrive", number)


def _named_barrier(instruction: str, number: int) -> None:
    # Triton's assembly has a result, and takes operands: here constants.
    i32 = integer(32)
    create(
        "tt.elementwise_inline_asm",
        [constant(i32, number), constant(i32, 2 * _GROUP_THREADS)],
        [i32],
        asm_string=ir.StringAttr.get(f"{instruction} $1, $2; mov.u32 $0, 0;"),
        constraints=ir.StringAttr.get("=r,n,n"),
        packed_element="1 : i32",
        pure="false",
    )


# ---- copies by TMA -------------------------------------------------------------------------------


def tma_load(
    descriptor: ir.Value, places: Sequence[ir.Value], barrier: ir.Value, buffer: ir.Value, always: ir.Value
) -> None:
    """Copy the box at `places` to a buffer; its bytes are counted by the barrier."""
    name = "ttng.async_tma_copy_global_to_local"
    _expect_box(name, descriptor, places, buffer)
    create(
        name,
        [descriptor, *places, barrier, buffer, always],
        [],
        cache="1 : i32",
        evict="1 : i32",
        isVolatile="false",
    )


def tma_store(descriptor: ir.Value, places: Sequence[ir.Value], buffer: ir.Value) -> None:
    """Copy a buffer to the box at `places`; `tma_store_wait` waits for it."""
    name = "ttng.async_tma_copy_local_to_global"
    _expect_box(name, descriptor, places, buffer)
    create(name, [descriptor, *places, buffer], [])


def tma_store_wait() -> None:
    """Wait until the buffers of all copies to memory were read."""
    create("ttng.async_tma_store_wait", [], [], pendings="0 : i32")


def _expect_box(name: str, descriptor: ir.Value, places: Sequence[ir.Value], buffer: ir.Value) -> None:
    box, was = lo.descriptor_of(descriptor.type), lo.MemDesc.of(buffer.type)
    fits = box.is_box_of(was.shape) and box.dtype == was.element and len(places) == len(box.box)
    fits = fits and all(place.type == integer(32) for place in places)
    expect(fits, name, "a buffer of the box's shape, and an i32 each dimension", descriptor, buffer, *places)


# ---- products ------------------------------------------------------------------------------------


def warp_group_dot(a: ir.Value, b: ir.Value, into: ir.Value, adds: ir.Value) -> ir.Value:
    """Begin into + a @ b on the tensor cores, or a @ b where `adds` is false; b is in shared memory."""
    right = lo.MemDesc.of(b.type)
    left = lo.MemDesc.of(a.type).shape if not shape_of(a) else shape_of(a)
    fits = len(left) == 2 and left[1] == right.shape[0] and shape_of(into) == (left[0], right.shape[1])
    fits = fits and lo.is_layout_of_wgmma(lo.layout_of(into.type))
    expect(fits, "ttng.warp_group_dot", "matrices that fit, and a result of wgmma", a, b, into)
    return one(
        "ttng.warp_group_dot",
        [a, b, into, adds],
        into.type,
        inputPrecision="0 : i32",
        isAsync="true",
        maxNumImpreciseAcc="0 : i32",
    )


def warp_group_dot_wait(values: Sequence[ir.Value], pendings: int) -> list[ir.Value]:
    """Wait until no more than `pendings` products are unfinished; the values, as they may be used then."""
    types = [value.type for value in values]
    return list(create("ttng.warp_group_dot_wait", values, types, pendings=f"{pendings} : i32").results)
