"""The order of warps, their barriers, and what they know of accesses to shared memory."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from shared_memory import Access, Allocation, Memdesc, Mistake, Race
from warp_machine import Barrier, Deadlock, Machine, Wait, Warps


def value(name="%a"):
    return SimpleNamespace(get_name=lambda: name)


def barrier(count):
    return Barrier(SimpleNamespace(name="%b"), count, 0)


def order(seed):
    """In what order two warps take their steps, and something in flight happens."""
    machine, seen = Machine(seed), []

    def steps(name):
        for number in range(4):
            yield None
            seen.append(f"{name}{number}")

    for name in "ab":
        machine.start(Warps(name), steps(name))
    machine.launch(Warps("c"), "it", lambda: seen.append("flight"))
    machine.run()
    return seen


def test_a_seed_says_the_order():
    orders = {tuple(order(str(seed))) for seed in range(30)}
    assert len(orders) > 15
    assert order("7") == order("7")
    assert {each.index("flight") for each in orders if "flight" in each} >= {0, 4}


def test_warps_that_wait_for_each_other_are_a_deadlock():
    machine = Machine("0")

    def steps(name):
        yield Wait(lambda: False, lambda: f"{name} waits")

    for name in "ab":
        machine.start(Warps(name), steps(name))
    with pytest.raises(Deadlock, match=r"^deadlock: a waits; b waits$"):
        machine.run()


def test_a_phase_completes_with_arrivals_and_bytes():
    b, a = barrier(2), Warps("a")
    b.expect(a, 8)
    b.land(8, 0)
    assert b.phase == 0
    b.arrive(a, 1)
    assert b.phase == 1
    b.expect(a, 8)
    b.arrive(a, 1)
    assert b.phase == 1
    b.land(4, 0)
    assert b.phase == 1
    b.land(4, 0)
    assert b.phase == 2


def test_bytes_may_land_before_they_are_expected():
    b, a = barrier(1), Warps("a")
    b.land(8, 0)
    b.expect(a, 8)
    assert b.phase == 1


def test_more_bytes_than_expected_are_an_error():
    b, a = barrier(1), Warps("a")
    b.expect(a, 8)
    with pytest.raises(Mistake, match="8 bytes more than expected land at barrier %b"):
        b.land(16, 0)


def test_an_arrival_while_bytes_are_missing_is_an_error():
    b, a = barrier(1), Warps("a")
    b.expect(a, 8)
    with pytest.raises(Mistake, match="phase 0, 0 of 1 arrivals missing and 8 bytes to land"):
        b.arrive(a, 1)


def test_who_waits_knows_what_is_before_the_arrivals_of_that_phase():
    b, a, c = barrier(1), Warps("a", known=1), Warps("c", known=4)
    b.arrive(a, 1)
    a.known |= 2
    b.wait(c, 0)
    b.saw(c)
    assert c.known == 5


def test_a_copy_is_known_where_it_landed():
    b, a, c = barrier(1), Warps("a"), Warps("c")
    b.expect(a, 8)
    b.land(8, 2)
    b.saw(c)
    assert c.known == 2


def test_parities_take_turns():
    b, a = barrier(1), Warps("a")
    for phase in range(4):
        wait = b.wait(a, phase & 1)
        assert not wait.is_over()
        b.arrive(a, 1)
        assert wait.is_over()
        b.saw(a)
        assert b.wait(a, phase & 1).is_over()


@pytest.fixture
def memory():
    allocation = Allocation(value(), (2, 4, 4), np.float32)
    return Memdesc(allocation, ((0, 2), (0, 4), (0, 4)), (0, 1, 2))


def access(place, event, known, *, writes):
    place.allocation.access(place.region, Access(1 << event, known, f"event {event}", writes))


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_accesses_in_no_order_are_a_race(memory, first, second):
    slot = memory.index(1)
    access(slot, 0, 0, writes=True)
    access(slot, 1, 1, writes=first)
    with pytest.raises(Race, match=r"race on %a\[1\]: event 2 is not certain to follow event 1"):
        access(slot, 2, 1, writes=second)


def test_reads_need_no_order(memory):
    access(memory, 0, 0, writes=True)
    access(memory, 1, 1, writes=False)
    access(memory, 2, 1, writes=False)
    with pytest.raises(Race, match="follow event 2"):
        access(memory, 3, 3, writes=True)


def test_known_accesses_are_in_order(memory):
    access(memory.index(0), 0, 0, writes=True)
    access(memory.index(1), 1, 0, writes=True)
    access(memory, 2, 3, writes=False)
    access(memory.index(0), 3, 7, writes=True)
    with pytest.raises(Race, match=r"race on %a: event 4 is not certain to follow event 3"):
        access(memory, 4, 7, writes=False)


def test_a_write_beside_the_slot_is_no_race(memory):
    access(memory.index(0), 0, 0, writes=True)
    access(memory.index(1), 1, 0, writes=True)


def test_what_nothing_wrote_is_not_read(memory):
    access(memory.index(0), 0, 0, writes=True)
    access(memory.index(0), 1, 1, writes=False)
    with pytest.raises(Mistake, match=r"event 2 reads %a\[1\], which nothing wrote"):
        access(memory.index(1), 2, 3, writes=False)


def test_views_are_of_the_same_memory(memory):
    assert np.isnan(memory.read()).all()
    memory.index(1).transposed([1, 0]).write(np.arange(16.0).reshape(4, 4))
    np.testing.assert_array_equal(memory.index(1).read(), np.arange(16.0).reshape(4, 4).T)
    np.testing.assert_array_equal(memory.transposed([2, 1, 0]).read()[1, :, 1], [4, 5, 6, 7])
    assert np.isnan(memory.index(0).read()).all()
    assert memory.transposed([2, 0, 1]).shape == (4, 2, 4)
