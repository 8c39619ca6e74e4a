"""Warps of one program that run at the same time, in an order that a seed chooses.

A task of warps is a generator: it stops at each point where others may go first, and says there what it
waits for. Copies by TMA and products by wgmma are *flights*: between their issue and the wait for them they
happen at a moment that the seed chooses. Barriers are those of PTX: a number of arrivals still to come, bytes
still to land, and the number of the phase.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from shared_memory import Access, Memdesc, Mistake

GROUP_THREADS = 128


class Deadlock(Mistake):
    """All warps wait, and nothing is in flight."""


@dataclass
class Wait:
    """What warps wait for."""

    is_over: Callable[[], bool]
    describe: Callable[[], str]


Steps = Generator[Wait | None, None, Any]


@dataclass(eq=False)
class Flight:
    """Something that happens at any moment from now on; `event` is known to those who wait for it."""

    what: str
    event: int
    happen: Callable[[], None]
    haste: float
    is_done: bool = False


@dataclass(eq=False)
class Warps:
    """The warps that run one region together, and what they know."""

    name: str
    known: int = 0
    task: Steps | None = None
    waits: Wait | None = None
    products: list[Product] = field(default_factory=list)
    stores: list[Flight] = field(default_factory=list)
    unfenced: list[Memdesc] = field(default_factory=list)  # what threads wrote since the last fence
    seen: dict[Barrier, int] = field(default_factory=dict)  # the last phase that it saw complete
    haste: float = 1.0


@dataclass(eq=False)
class Product:
    """The result of a product by wgmma before its wait, which only that or a next product may use."""

    flight: Flight
    value: np.ndarray | None = None
    is_waited: bool = False


@dataclass(eq=False)
class Barrier:
    """One mbarrier."""

    place: Memdesc
    count: int
    made: int  # the event of its initialization
    phase: int = 0
    bytes: int = 0
    arrived: int = 0
    known: int = 0
    published: int = 0  # what was known when the last phase completed

    @property
    def state(self) -> str:
        """Where it stands, for errors."""
        missing = [f"{self.count - self.arrived} of {self.count} arrivals missing"]
        if self.bytes:
            missing.append(
                f"{self.bytes} bytes to land" if self.bytes > 0 else f"{-self.bytes} bytes too many"
            )
        return f"{self.place.name} in phase {self.phase}, {' and '.join(missing)}"

    def arrive(self, who: Warps, count: int) -> None:
        """Some arrivals; who waits for the phase knows then what `who` knows."""
        if self.arrived + count > self.count:
            raise Mistake(f"{who.name}: {count} more arrivals than a phase takes, at barrier {self.state}")
        self.arrived += count
        self.known |= who.known
        self._complete()

    def expect(self, who: Warps, size: int) -> None:
        """One arrival, and bytes that have to land before the phase completes."""
        self.bytes += size
        self.arrive(who, 1)

    def land(self, size: int, known: int) -> None:
        """Bytes have landed."""
        self.bytes -= size
        self.known |= known
        self._complete()

    def _complete(self) -> None:
        if self.arrived < self.count:
            return
        if self.bytes < 0:
            raise Mistake(f"{-self.bytes} bytes more than expected land at barrier {self.place.name}")
        if self.bytes == 0:
            self.phase, self.arrived, self.published = self.phase + 1, 0, self.known

    def wait(self, who: Warps, parity: int) -> Wait:
        """The wait for the next phase of a parity that `who` has not seen, or for the last that it saw."""
        last = who.seen.get(self, -1)
        wanted = last if last & 1 == parity else last + 1

        def is_over() -> bool:
            if self.phase > wanted + 1:
                raise Mistake(
                    f"{who.name} waits for phase {wanted} of barrier {self.place.name}, "
                    f"but phase {self.phase - 1} is over, too"
                )
            return self.phase == wanted + 1

        return Wait(is_over, lambda: f"{who.name} waits for parity {parity} of barrier {self.state}")

    def saw(self, who: Warps) -> None:
        """A wait is over."""
        who.seen[self] = self.phase - 1
        who.known |= self.published


@dataclass(eq=False)
class NamedBarrier:
    """One of the barriers of a block that have numbers, at which groups of four warps wait or only arrive."""

    number: int
    phase: int = 0
    arrived: list[Warps] = field(default_factory=list)
    known: int = 0
    published: dict[int, int] = field(default_factory=dict)  # what was known at the end of each phase

    def arrive(self, who: Warps, threads: int) -> int:
        """An arrival of a group; the phase, which ends with that of all `threads`."""
        phase = self.phase
        if who in self.arrived:
            raise Mistake(f"{who.name} arrives twice in phase {phase} of the named barrier {self.number}")
        self.arrived.append(who)
        self.known |= who.known
        if len(self.arrived) * GROUP_THREADS == threads:
            self.published[phase] = self.known
            self.phase, self.arrived = phase + 1, []
        return phase

    def wait(self, who: Warps, phase: int) -> Wait:
        """The wait for the end of a phase."""
        text = f"{who.name} waits for phase {phase} of the named barrier {self.number}"
        return Wait(lambda: self.phase > phase, lambda: text)


class Machine:
    """What runs the warps of one program."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.warps: list[Warps] = []
        self.flights: list[Flight] = []
        self.loads: list[Flight] = []
        self.barriers: list[Barrier] = []
        self.named: dict[int, NamedBarrier] = {}
        self.events = 0

    def event(self) -> int:
        """A new event."""
        self.events += 1
        return 1 << self.events

    def access(self, who: Warps, place: Memdesc, what: str, *, writes: bool = False) -> None:
        """An access by warps themselves, which is over at once."""
        event = self.event()
        place.allocation.access(place.region, Access(event, who.known, f"{what} of {who.name}", writes))
        who.known |= event

    def launch(self, who: Warps, what: str, happen: Callable[[], None]) -> Flight:
        """Something that warps begin and do not wait for."""
        flight = Flight(f"{what} of {who.name}", self.event(), happen, self._haste())
        self.flights.append(flight)
        return flight

    def touch(self, who: Warps, flight: Flight, place: Memdesc, *, writes: bool = False) -> None:
        """An access that happens during a flight."""
        place.allocation.access(place.region, Access(flight.event, who.known, flight.what, writes))

    def finish(self, who: Warps, flights: list[Flight]) -> None:
        """Let flights happen if they have not, and let warps know them."""
        for flight in flights:
            if not flight.is_done:
                self._happen(flight)
            who.known |= flight.event

    def start(self, warps: Warps, task: Steps) -> None:
        """Add warps."""
        warps.task = task
        warps.haste = self._haste()
        self.warps.append(warps)

    def run(self) -> None:
        """Run until all warps are at their ends."""
        while self.warps:
            able = [each for each in self.warps if each.waits is None or each.waits.is_over()]
            choices = [*able, *self._may_happen()]
            if not choices:
                texts = [each.waits.describe() for each in self.warps if each.waits]
                raise Deadlock(f"deadlock: {'; '.join(texts)}")
            (choice,) = self.random.choices(choices, [each.haste for each in choices])
            if isinstance(choice, Flight):
                self._happen(choice)
            else:
                self._step(choice)

    def check_end(self, who: Warps) -> None:
        """Fail where something is left when the last warps end."""
        for flight in self.loads:
            if not who.known & flight.event:
                raise Mistake(f"at the end nothing has waited for {flight.what}")
        for barrier in self.barriers:
            if barrier.arrived or barrier.bytes:
                raise Mistake(f"at the end barrier {barrier.state} is in the middle of a phase")

    def _step(self, warps: Warps) -> None:
        assert warps.task is not None
        try:
            warps.waits = next(warps.task)
        except StopIteration:
            self.warps.remove(warps)
            left = [*(each.flight for each in warps.products), *warps.stores]
            if left:
                raise Mistake(f"{left[0].what} has no wait") from None

    def _may_happen(self) -> list[Flight]:
        """Those in flight whose turn it may be: products of the same warps happen in their order."""
        later = []
        for warps in self.warps:
            later += [each.flight for each in warps.products if not each.flight.is_done][1:]
        return [each for each in self.flights if each not in later]

    def _happen(self, flight: Flight) -> None:
        flight.happen()
        flight.is_done = True
        self.flights.remove(flight)

    def _haste(self) -> float:
        """Some are slow, some fast, and all the time."""
        return self.random.choice([0.05, 1.0, 1.0, 10.0])
