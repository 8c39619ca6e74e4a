"""Where elements of tiles are, and operands of products where instructions look for them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.backends.amd.distribute.layouts import Layout, blocked, dealt
from aecompiler.backends.amd.distribute.products import (
    choose_instruction,
    form_of,
    place_operands,
    result_layout,
)
from aecompiler.backends.amd.target import NAMED_TARGETS

SIZES = st.sampled_from([1, 2, 8, 16, 32, 64, 128])
TARGETS = pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda each: each.chip)


def index_of(layout, register, lane, wave):
    """The index of the element in a register of a lane of a wave, written from what a layout says."""
    index = [0] * layout.rank
    for number, places in ((register, layout.registers), (lane, layout.lanes), (wave, layout.waves)):
        for bit, place in enumerate(places):
            if place is not None and number >> bit & 1:
                index[place[0]] += 1 << place[1]
    return tuple(index)


def everywhere(layout):
    """All registers of all lanes of all waves."""
    return itertools.product(range(layout.count), range(64), range(1 << len(layout.waves)))


@given(
    rows=SIZES, columns=SIZES, waves=st.integers(0, 3), most=st.sampled_from([1, 4, 8]), other=st.booleans()
)
def test_blocked_layouts_have_each_element(rows, columns, waves, most, other):
    layout = blocked((rows, columns), waves, 1, most, 0 if other else None)
    found = {index_of(layout, *place) for place in everywhere(layout)}
    assert len(found) == rows * columns


@settings(deadline=None)
@given(rows=SIZES, columns=SIZES, waves=st.integers(0, 3))
def test_other_shapes_keep_elements_in_their_places(rows, columns, waves):
    layout = blocked((rows, columns), waves, 1, 4)
    flat, turned = layout.reshaped((rows * columns,)), layout.permuted((1, 0))
    for place in everywhere(layout):
        i, j = index_of(layout, *place)
        assert index_of(flat, *place) == (i * columns + j,)
        assert index_of(turned, *place) == (j, i)


def test_what_is_left_without_a_dimension_is_the_same_along_it():
    layout = blocked((16, 64), 2, 1, 8)
    rows = layout.without(1)
    for register, lane, wave in everywhere(layout):
        i, _ = index_of(layout, register, lane, wave)
        register_of_row = rows.register_of(layout.register_index(register)[:1])
        assert index_of(rows, register_of_row, lane, wave) == (i,)


def test_a_layout_says_each_bit_once():
    with pytest.raises(ValueError, match="each bit"):
        Layout((4,), ((0, 0), (0, 0)), (None,) * 6, ())
    with pytest.raises(ValueError, match="power of two"):
        dealt((12,), [], 0, [0])


@TARGETS
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize(
    ("m", "n", "k", "waves"), [(64, 64, 64, 2), (16, 128, 32, 2), (128, 32, 16, 3), (16, 16, 64, 2)]
)
def test_products_take_operands_from_where_they_are(target, dtype, size, m, n, k, waves):
    instruction = choose_instruction(target, dtype, m, n, k, size)
    form = form_of(instruction)
    result = result_layout(form, m, n, waves)
    assert len({index_of(result, *place) for place in everywhere(result)}) == m * n
    check_operands(place_operands(form, result, k, 8, None, None), k)


@TARGETS
def test_weights_are_factors_where_they_are(target):
    form = form_of(choose_instruction(target, "f16", 64, 64, 64, 16))
    scores = result_layout(form, 64, 64, 2)
    product = place_operands(form, result_layout(form, 64, 128, 2), 64, 8, scores, None)
    assert product.left == scores
    check_operands(product, 64)


def check_operands(product, k):
    """Each instruction is given factors of the same k by all lanes, and of rows and columns of its result."""
    form = product.form
    side, elements = form.side, form.elements
    left, right = product.left, product.right
    rows = 1 << side
    steps = (1 << sum(dim == 1 for dim, _ in left.registers)) // elements
    assert steps * elements * (64 // rows) == k
    seen = set()
    for step in range(steps):
        used = []
        for lane in range(64):
            for element in range(elements):
                i, from_left = index_of(left, step * elements + element, lane, 0)
                from_right, j = index_of(right, step * elements + element, lane, 0)
                assert from_left == from_right
                assert i % rows == lane % rows == j % rows
                used.append(from_left)
        assert len(set(used)) == form.instruction.k
        seen |= set(used)
    assert seen == set(range(k))
