"""The interpreter of warps, operation by operation."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from small_warp_kernels import BOX, MMA, SIZE, SLOT, TILE, WIDE, Region, kernel, nothing, run
from warp_interpreter import Deadlock, Mistake, Race

SEEDS = range(6)


def rows(count):
    return np.random.default_rng(0).normal(size=(count, SIZE)).astype(ml_dtypes.bfloat16)


def fails(text, error, message, *, rows_of_x=SIZE):
    """Whether a kernel fails so in any order."""
    for seed in SEEDS:
        with pytest.raises(error, match=message):
            run(text, rows(rows_of_x), seed=seed)


def first_copy(t: Region) -> None:
    t.copy_in(0, 0)


def first_out(t: Region) -> None:
    t.wait_for(t.full(0), 0)
    t.copy_out(0, 0)


# ---- copies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 7, SIZE])
def test_a_tile_goes_through_shared_memory(seed, count):
    x = rows(count)
    np.testing.assert_array_equal(run(kernel(first_out, first_copy), x, seed=seed), x)


def test_rows_beyond_the_end_are_zero():
    x = rows(5)
    got = run(kernel(first_out, first_copy), x, rows=9)
    np.testing.assert_array_equal(got, np.concatenate([x, np.zeros((4, SIZE), x.dtype)]))


def test_tiles_that_nobody_waits_for_are_an_error():
    fails(
        kernel(nothing, first_copy), Mistake, r"nothing has waited for the copy to %\S+\[0\] of partition 0"
    )


def test_a_result_that_is_read_too_early_is_an_error():
    def default(t):
        t.local_store(t.local_load(0), 1)

    fails(kernel(default, first_copy), Mistake, "which nothing wrote|not certain to follow the copy")


@pytest.mark.parametrize("reads", ["copy", "product"])
def test_what_threads_wrote_is_read_after_a_fence(reads):
    def default(t):
        t.local_store(t.tile(1.0), 1)
        t.local_store(t.tile(1.0), 0, fence=False)
        if reads == "copy":
            t.copy_out(0, 0)
        else:
            acc = t.value(f"arith.constant dense<0.0> : {WIDE}")
            t.done(t.dot(t.slot(1), 0, acc))

    fails(kernel(default), Mistake, "does not follow a fence after what the default partition wrote there")


def test_a_copy_to_memory_needs_a_wait():
    def default(t):
        t.local_store(t.tile(1.0), 0)
        t.copy_out(0, 0, pendings=None)

    fails(kernel(default), Mistake, "the copy from .* of the default partition has no wait")


def test_what_is_copied_to_memory_stays_until_the_wait():
    def default(t):
        t.local_store(t.tile(1.0), 0)
        t.copy_out(0, 0, pendings=1)
        t.local_store(t.tile(2.0), 0)

    fails(kernel(default), Race, "local_store of .* is not certain to follow the copy from")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wait_leaves_the_newest_copies(seed):
    def default(t):
        t.local_store(t.tile(1.0), 0)
        t.local_store(t.tile(2.0), 1)
        t.copy_out(0, 0, pendings=None)
        t.copy_out(1, 1, pendings=1)
        t.local_store(t.tile(3.0), 0)
        t.copy_out(0, 2)

    got = run(kernel(default), rows(1), rows=3 * SIZE, seed=seed)
    np.testing.assert_array_equal(got[:, 0].astype(int), np.repeat([1, 2, 3], SIZE))


def test_two_copies_to_one_place_are_an_error():
    def default(t):
        t.local_store(t.tile(1.0), 0)
        t.copy_out(0, 0)
        t.copy_out(0, 0)

    fails(kernel(default), AssertionError, "a second write to an element")


def test_a_copy_that_is_off_does_nothing():
    text = kernel(nothing, first_copy)
    count = text.count("arith.constant true")
    assert count == 1
    assert (run(text.replace("arith.constant true", "arith.constant false"), rows(1)) == 77).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("16x16xbf16, #ttg.nvmma", "16x8xbf16, #ttg.nvmma", "a box of"),
        ("16x16xbf16", "16x16xf16", "bfloat16"),
    ],
)
def test_a_box_has_the_type_of_its_slot(old, new, message):
    text = kernel(first_out, first_copy)
    assert old in BOX
    fails(text.replace(BOX, BOX.replace(old, new)), AssertionError, message)


# ---- slots ------------------------------------------------------------------------------------------


def test_a_slot_that_is_read_must_not_be_filled():
    def default(t):
        t.wait_for(t.full(0), 0)
        t.copy_out(0, 0)

    def partition(t):
        t.copy_in(0, 0)
        t.wait_for(t.full(0), 0)
        t.copy_in(1, 0, full=1)
        t.wait_for(t.full(1), 0)

    fails(kernel(default, partition), Race, "race on", rows_of_x=2 * SIZE)


def test_a_slot_that_is_read_must_not_be_written():
    def default(t):
        t.wait_for(t.full(0), 0)
        t.local_store(t.local_load(0), 1)

    def partition(t):
        t.copy_in(0, 0)
        t.wait_for(t.full(0), 0)
        t.local_store(t.tile(0.0), 0)

    fails(kernel(default, partition), Race, "race on")


def test_other_slots_may_be_written():
    def default(t):
        t.wait_for(t.full(0), 0)
        t.copy_out(0, 0)

    def partition(t):
        t.copy_in(0, 0)
        t.local_store(t.tile(0.0), 1)

    x = rows(SIZE)
    for seed in SEEDS:
        np.testing.assert_array_equal(run(kernel(default, partition), x, seed=seed), x)


def test_a_slot_beyond_the_ring_is_an_error():
    fails(kernel(lambda t: t.local_store(t.tile(0.0), 3)), Mistake, "slot 3 of %.*, which has 3")


def test_a_new_allocation_may_have_a_value():
    def default(t):
        memory = t.value(f'"ttg.local_alloc"({t.tile(3.0)}) : ({TILE}) -> {SLOT}')
        value = t.value(f'"ttg.local_load"({memory}) : ({SLOT}) -> {TILE}')
        t.local_store(value, 0)
        t.copy_out(0, 0)

    assert (run(kernel(default), rows(1)) == 3).all()


def test_a_view_has_the_sizes_of_its_type():
    def default(t):
        t.value(f'"ttg.memdesc_trans"({t.slot(0)}) {{order = array<i32: 1, 0>}} : ({SLOT}) -> {BOX_8}')

    fails(kernel(default), AssertionError, r"a view of \(16, 16\) as \(16, 8\)")


BOX_8 = SLOT.replace("16x16", "16x8")


# ---- control flow -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("tiles", [0, 1, 5])
def test_loops_and_branches_hold_barriers(seed, tiles):
    """A producer with `scf.while`; a consumer that copies every second tile, the others as twos."""

    def place(t, i):
        three = t.number(3)
        return t.int("remsi", i, three), t.int("andi", t.int("divsi", i, three), t.number(1))

    def producer(t):
        t.add(f"%last = scf.while (%i = {t.number(0)}) : (i32) -> i32 {{")
        t.add(f"%more = arith.cmpi slt, %i, {t.number(tiles)} : i32")
        t.add("scf.condition(%more) %i : i32\n} do {\n^bb0(%j: i32):")
        slot, parity = place(t, "%j")
        t.wait_for(t.empty(slot), t.int("xori", parity, t.number(1)))
        t.copy_in("%j", slot)
        t.add(f"%next = arith.addi %j, {t.number(1)} : i32\nscf.yield %next : i32\n}}")

    def consumer(t):
        one = t.number(1)
        t.add(f"scf.for %i = {t.number(0)} to {t.number(tiles)} step {one} : i32 {{")
        slot, parity = place(t, "%i")
        t.wait_for(t.full(slot), parity)
        t.add(f"%odd = arith.trunci {t.int('andi', '%i', one)} : i32 to i1")
        t.add("scf.if %odd {")
        t.local_store(t.tile(2.0), slot)
        t.add("}")
        t.copy_out(slot, "%i")
        t.arrive_at(t.empty(slot))
        t.add("}")

    x = rows(tiles * SIZE)
    want = np.where((np.arange(len(x)) // SIZE % 2 == 1)[:, None], 2, x)
    np.testing.assert_array_equal(run(kernel(consumer, producer), x, seed=seed), want)


def test_a_partition_uses_what_it_is_given_only():
    def partition(t):
        t.add(f'"ttg.local_load"(%v2) : ({SLOT}) -> {TILE}')

    fails(
        kernel(nothing, partition, setup=lambda t: t.slot(0)),
        Mistake,
        "a partition uses a value from outside",
    )


# ---- barriers ---------------------------------------------------------------------------------------


def test_more_arrivals_than_a_phase_takes_are_an_error():
    def setup(t):
        t.init(t.full(0), 3)
        t.arrive_at(t.full(0))
        t.lines[-1] = t.lines[-1].replace("count = 1", "count = 4")

    fails(kernel(nothing, setup=setup), Mistake, "4 more arrivals than a phase takes, at barrier")


def test_arrivals_in_the_middle_of_a_phase_are_an_error_at_the_end():
    def setup(t):
        t.init(t.full(0), 2)
        t.arrive_at(t.full(0))

    fails(
        kernel(nothing, setup=setup), Mistake, "phase 0, 1 of 2 arrivals missing is in the middle of a phase"
    )


@pytest.mark.parametrize("phases", [2, 3])
def test_a_wait_for_a_phase_long_ago_is_an_error(phases):
    def setup(t):
        t.init(t.full(0))
        for _ in range(phases):
            t.arrive_at(t.full(0))

    text = kernel(lambda t: t.wait_for(t.full(0), 0), setup=setup)
    fails(text, Mistake, f"waits for phase 0 of barrier .*, but phase {phases - 1} is over, too")


def test_a_fresh_barrier_lets_parity_one_pass():
    run(kernel(lambda t: t.wait_for(t.full(0), 1)), rows(1))


def test_a_fresh_barrier_stops_parity_zero():
    fails(kernel(lambda t: t.wait_for(t.full(0), 0)), Deadlock, "the default partition waits for parity 0")


def test_a_wait_that_is_off_passes():
    text = kernel(lambda t: t.wait_for(t.full(0), 0))
    assert text.count("arith.constant true") == 1
    run(text.replace("arith.constant true", "arith.constant false"), rows(1))


def test_arrivals_that_are_off_do_not_count():
    def default(t):
        t.arrive_at(t.full(0))
        t.wait_for(t.full(1), 0)

    text = kernel(default, lambda t: t.arrive_at(t.full(1)))
    run(text, rows(1))
    text = text.replace("arith.constant true", "arith.constant false", 2)
    assert text.count("arith.constant true") == 1
    run(text, rows(1))


def test_a_barrier_without_initialization_is_an_error():
    fails(kernel(lambda t: t.arrive_at(t.full(0)), setup=nothing), Mistake, r"barrier %\d+\[0\] is not init")


def test_a_second_initialization_is_an_error():
    def setup(t):
        t.init(t.full(1))
        t.init(t.full(1))

    fails(kernel(nothing, setup=setup), AssertionError, "is initialized twice")


def test_an_initialization_beside_the_use_is_an_error():
    def default(t):
        t.arrive_at(t.full(0))

    fails(kernel(default, lambda t: t.init(t.full(0)), setup=nothing), Mistake, "initializ")


def test_a_barrier_orders_what_is_before_it():
    def default(t):
        t.local_store(t.tile(4.0), 0)
        t.arrive_at(t.full(0))

    def partition(t):
        t.wait_for(t.full(0), 0)
        t.copy_out(0, 0)

    for seed in SEEDS:
        assert (run(kernel(default, partition), rows(1), seed=seed) == 4).all()


# ---- products ---------------------------------------------------------------------------------------


def product(a, b):
    return (a.astype(np.float32) @ b.astype(np.float32)).astype(ml_dtypes.bfloat16)


def load_two(t: Region) -> None:
    """x in slots 0 and 1."""
    for slot in range(2):
        t.copy_in(0, slot)
        t.wait_for(t.full(slot), 0)


def zero(t: Region) -> str:
    return t.value(f"arith.constant dense<0.0> : {WIDE}")


def give(t: Region, wide: str) -> None:
    t.local_store(t.narrow(wide), 2)
    t.copy_out(2, 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_product_of_slots(seed, is_async):
    def default(t):
        load_two(t)
        c = t.dot(t.slot(0), 1, zero(t), is_async=is_async)
        give(t, t.done(c) if is_async else c)

    x = rows(SIZE)
    np.testing.assert_array_equal(run(kernel(default), x, seed=seed), product(x, x))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_product_of_registers(seed):
    def default(t):
        load_two(t)
        give(t, t.done(t.dot(t.local_load(0), 1, zero(t), a_type=TILE)))

    x = rows(SIZE)
    np.testing.assert_array_equal(run(kernel(default), x, seed=seed), product(x, x))


@pytest.mark.parametrize("seed", SEEDS)
def test_products_add_up_without_waits(seed):
    """Also around a loop."""

    def default(t):
        load_two(t)
        c, one = t.dot(t.slot(0), 1, zero(t)), t.number(1)
        t.add(
            f"%sum = scf.for %i = {t.number(0)} to {t.number(2)} step {one} iter_args(%c = {c}) -> ({WIDE})"
        )
        t.lines[-1] += " : i32 {"
        t.add(f"scf.yield {t.dot(t.slot(0), 1, '%c')} : {WIDE}\n}}")
        give(t, t.done("%sum"))

    x = rows(SIZE)
    got = run(kernel(default), x, seed=seed).astype(float)
    np.testing.assert_allclose(got, 3 * (x.astype(float) @ x.astype(float)), rtol=0.01, atol=0.01)


def test_an_accumulator_that_is_off_is_ignored():
    def default(t):
        load_two(t)
        nan = t.value(f"arith.constant dense<0x7FC00000> : {WIDE}")
        c = t.dot(t.slot(0), 1, nan)
        number = next(i for i, line in enumerate(t.lines) if f"{nan}, %" in line)
        on = t.lines[number].split(f"{nan}, ")[1].split(")")[0]
        t.lines = [line.replace("true", "false") if line.startswith(f"{on} =") else line for line in t.lines]
        give(t, t.done(c))

    x = rows(SIZE)
    np.testing.assert_array_equal(run(kernel(default), x), product(x, x))


def test_a_product_is_used_after_its_wait_only():
    def default(t):
        load_two(t)
        c = t.dot(t.slot(0), 1, zero(t))
        t.done(c)
        give(t, c)

    fails(kernel(default), Mistake, "arith.truncf uses a product by wgmma that is not waited for")


def test_a_wait_leaves_the_newest_products():
    def default(t):
        load_two(t)
        first, second = t.dot(t.slot(0), 1, zero(t)), t.dot(t.slot(1), 0, zero(t))
        t.narrow(t.done(first, 1))
        t.narrow(t.done(second, 1))

    text = kernel(default)
    fails(text, Mistake, "uses a product by wgmma that is not waited for")
    run(text.replace("pendings = 1", "pendings = 0"), rows(SIZE))


def test_a_product_that_nobody_waits_for_is_an_error():
    def default(t):
        load_two(t)
        t.dot(t.slot(0), 1, zero(t))

    fails(kernel(default), Mistake, "the product by .* of the default partition has no wait")


@pytest.mark.parametrize("slot", [0, 1])
def test_factors_stay_until_the_wait(slot):
    def default(t):
        load_two(t)
        c = t.dot(t.slot(0), 1, zero(t))
        t.local_store(t.tile(0.0), slot)
        t.done(c)

    fails(kernel(default), Race, "local_store of .* is not certain to follow the product")


def test_a_transposed_factor():
    def default(t):
        load_two(t)
        turned = SLOT.replace("transposed = false", "transposed = true")
        a = t.value(f'"ttg.memdesc_trans"({t.slot(0)}) {{order = array<i32: 1, 0>}} : ({SLOT}) -> {turned}')
        give(t, t.done(t.dot(a, 1, zero(t), a_type=turned)))

    x = rows(SIZE)
    np.testing.assert_array_equal(run(kernel(default), x), product(x.T, x))
    assert MMA in WIDE
