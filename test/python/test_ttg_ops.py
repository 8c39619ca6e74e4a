"""Layouts, the types that have them, and operations of Triton's GPU dialect."""

from __future__ import annotations

import contextlib

import pytest

from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton import ttg_ops as ttg
from aecompiler.backends.triton.kernel_abi import Descriptor
from aecompiler.bindings import arith, ir
from aecompiler.dialect import make_context

# ---- layouts, and types that have them -----------------------------------------------------------------

LAYOUTS = {
    "wgmma": lo.wgmma(64),
    "mma": lo.mma(),
    "slice": lo.slice_of(lo.wgmma(128), 1),
    "slice of keys": lo.slice_of(lo.mma(), 0),
    "factor": lo.dot_operand(lo.wgmma(32), 0),
    "none": "",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_of_tensors_are_read_back(layout):
    with make_context(allow_unregistered_dialects=True), ir.Location.unknown():
        plain = ir.RankedTensorType.get([64, 16], ir.F32Type.get())
        type_ = lo.with_layout(plain, layout)
        assert lo.layout_of(type_) == layout
        assert ir.Type.parse(str(type_)) == type_
        assert list(type_.shape) == [64, 16]
        assert lo.with_layout(type_, "") == plain


def test_scalars_have_no_layout():
    with make_context():
        type_ = ir.F32Type.get()
        assert lo.with_layout(type_, lo.mma()) == type_
        assert lo.layout_of(type_) == ""


def test_wide_results_of_wgmma_are_several_instructions():
    assert "[16, 256, 16]" in lo.wgmma(512)
    assert "[16, 8, 16]" in lo.wgmma(8)
    assert lo.is_layout_of_wgmma(lo.wgmma(8))
    assert not lo.is_layout_of_wgmma(lo.mma())
    assert not lo.is_layout_of_wgmma(lo.slice_of(lo.wgmma(8), 1))


@pytest.mark.parametrize(("row", "swizzle"), [(32, 32), (64, 64), (128, 128), (256, 128)])
def test_swizzles_are_as_wide_as_rows_and_128_bytes_at_most(row, swizzle):
    assert f"swizzlingByteWidth = {swizzle}," in lo.shared(row, 16)
    assert "elementBitWidth = 8" in lo.shared(row, 8)
    assert "transposed = true" in lo.shared(row, 16, transposed=True)


@pytest.mark.parametrize(
    "buffer",
    [
        lo.MemDesc((2, 64, 128), "bf16", lo.shared(256, 16)),
        lo.MemDesc((64, 16), "f16", lo.shared(32, 16, transposed=True)),
        lo.MemDesc((3, 1), "i64", lo.BARRIER),
        lo.MemDesc((1,), "i64", lo.BARRIER),
    ],
)
def test_buffers_are_read_back(buffer):
    with make_context(allow_unregistered_dialects=True):
        assert lo.MemDesc.of(buffer.type) == buffer
        assert lo.MemDesc.of(ir.Type.parse(str(buffer.type))) == buffer


@pytest.mark.parametrize(
    "descriptor",
    [
        Descriptor((1, 1, 128, 64), "bf16"),
        Descriptor((1, 1, 64, 128), "f16", lo.shared(256, 16)),
        Descriptor((32, 16), "f16", lo.shared(32, 16)),
    ],
)
def test_descriptors_are_read_back(descriptor):
    with make_context(allow_unregistered_dialects=True):
        type_ = lo.descriptor_type(descriptor)
        assert lo.is_descriptor(type_)
        assert lo.descriptor_of(type_) == descriptor


def test_types_of_other_kinds_are_errors():
    with make_context(allow_unregistered_dialects=True):
        type_ = ir.Type.parse("tensor<16x16xbf16>")
        with pytest.raises(TypeError, match="expects a buffer in shared memory, got tensor<16x16xbf16>"):
            lo.MemDesc.of(type_)
        with pytest.raises(TypeError, match="expects a descriptor of a tensor, got tensor<16x16xbf16>"):
            lo.descriptor_of(type_)
        assert not lo.is_descriptor(type_)


def test_sizes_in_bytes():
    assert lo.bits_of("bf16") == lo.bits_of("f16") == 16
    assert lo.row_bytes((2, 64, 128), "bf16") == 256
    assert lo.tile_bytes((2, 64, 128), "bf16") == 2 * 64 * 256
    assert lo.tile_bytes((3, 1), "i64") == 24


# ---- operations of the GPU dialect ---------------------------------------------------------------------


@contextlib.contextmanager
def building():
    """A function with buffers: a ring of tiles, a ring of barriers, and numbers."""
    with make_context(allow_unregistered_dialects=True), ir.Location.unknown():
        module = ir.Module.parse("func.func @f() { return }")
        block = module.body.operations[0].regions[0].blocks[0]
        with ir.InsertionPoint.at_block_begin(block):
            i32 = ir.IntegerType.get_signless(32)
            yield {
                "tiles": ttg.local_alloc(lo.MemDesc((2, 64, 32), "bf16", lo.shared(64, 16))),
                "barriers": ttg.local_alloc(lo.MemDesc((2, 1), "i64", lo.BARRIER)),
                "number": arith.constant(i32, 1),
                "wide": arith.constant(ir.IntegerType.get_signless(64), 1),
                "yes": arith.constant(ir.IntegerType.get_signless(1), 1),
            }
        assert module.operation.verify()


def test_parts_and_transposes_of_buffers():
    with building() as given:
        tile = ttg.memdesc_index(given["tiles"], given["number"])
        assert lo.MemDesc.of(tile.type) == lo.MemDesc((64, 32), "bf16", lo.shared(64, 16))
        turned = ttg.memdesc_trans(tile)
        assert lo.MemDesc.of(turned.type) == lo.MemDesc((32, 64), "bf16", lo.shared(64, 16, transposed=True))
        assert ttg.memdesc_trans(turned).type == tile.type
        loaded = ttg.local_load(turned, lo.dot_operand(lo.mma(), 1))
        assert (list(loaded.type.shape), lo.layout_of(loaded.type)) == ([32, 64], lo.dot_operand(lo.mma(), 1))


def test_a_layout_that_is_there_is_not_converted():
    with building() as given:
        tile = ttg.local_load(ttg.memdesc_index(given["tiles"], given["number"]), lo.mma())
        assert ttg.convert_layout(tile, lo.mma()) == tile
        assert lo.layout_of(ttg.convert_layout(tile, lo.wgmma(32)).type) == lo.wgmma(32)


def test_products_have_the_type_of_what_they_add_to():
    with building() as given:
        tile = ttg.memdesc_index(given["tiles"], given["number"])
        type_ = lo.with_layout(ir.RankedTensorType.get([64, 64], ir.F32Type.get()), lo.wgmma(64))
        into = ttg.one("test.make", [], type_)
        begun = ttg.warp_group_dot(tile, ttg.memdesc_trans(tile), into, given["yes"])
        assert begun.type == type_
        assert [each.type for each in ttg.warp_group_dot_wait([begun, begun], 1)] == [type_, type_]


WRONG = {
    "a part by a wide number": lambda x: ttg.memdesc_index(x["tiles"], x["wide"]),
    "a part of a barrier": lambda x: ttg.memdesc_index(
        ttg.memdesc_index(x["barriers"], x["number"]), x["number"]
    ),
    "a transposed ring": lambda x: ttg.memdesc_trans(x["tiles"]),
    "a store of another shape": lambda x: ttg.local_store(
        ttg.local_load(x["tiles"]), ttg.memdesc_index(x["tiles"], x["number"])
    ),
    "a barrier that is a tile": lambda x: ttg.init_barrier(ttg.memdesc_index(x["tiles"], x["number"]), 1),
    "barriers as one": lambda x: ttg.arrive_barrier(x["barriers"], x["yes"]),
    "a wide parity": lambda x: ttg.wait_barrier(
        ttg.memdesc_index(x["barriers"], x["number"]), x["wide"], x["yes"]
    ),
    "a product of sizes that differ": lambda x: ttg.warp_group_dot(
        ttg.memdesc_index(x["tiles"], x["number"]),
        ttg.memdesc_index(x["tiles"], x["number"]),
        ttg.local_load(ttg.memdesc_index(x["tiles"], x["number"]), lo.wgmma(32)),
        x["yes"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_operands_are_errors(case):
    with building() as given, pytest.raises(TypeError, match="expects"):
        WRONG[case](given)


def test_a_product_onto_another_layout_is_an_error():
    with building() as given:
        tile = ttg.memdesc_index(given["tiles"], given["number"])
        type_ = lo.with_layout(ir.RankedTensorType.get([64, 64], ir.F32Type.get()), lo.mma())
        into = ttg.one("test.make", [], type_)
        with pytest.raises(TypeError, match="a result of wgmma"):
            ttg.warp_group_dot(tile, ttg.memdesc_trans(tile), into, given["yes"])


def test_a_copy_by_tma_has_the_shape_of_the_box():
    with building() as given:
        tile, barrier = (ttg.memdesc_index(given[name], given["number"]) for name in ("tiles", "barriers"))
        layout = lo.shared(64, 16)
        box, other = (lo.descriptor_type(Descriptor((1, rows, 32), "bf16", layout)) for rows in (64, 32))
        places = [given["number"]] * 3
        ttg.tma_load(ttg.one("test.make", [], box), places, barrier, tile, given["yes"])
        for type_, where in ((other, places), (box, places[1:]), (box, [given["wide"], *places[1:]])):
            with pytest.raises(TypeError, match="a buffer of the box's shape, and an i32 each dimension"):
                ttg.tma_store(ttg.one("test.make", [], type_), where, tile)
