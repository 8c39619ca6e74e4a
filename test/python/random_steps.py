"""Random steps of recurrences: sums and products of the state with what does not depend on it.

A step has the arguments of `recurrence_steps.program`: q, k, the gates g and d, and v and e over the value
feature. Most have a chunked form; the others have several rank-one terms, or write along several vectors.
"""

from __future__ import annotations

import linecache
import random
from typing import Any

import aecompiler as aec


def random_step(seed: int) -> tuple[str, Any]:
    """The source of a step, and the step."""
    lines = _Writer(random.Random(seed)).step()
    source = "def step(S, q, k, v, g, d, e):\n" + "".join(f"    {line}\n" for line in lines)
    name = f"<random step {seed}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"aec": aec}
    exec(compile(source, name, "exec"), scope)
    return source, scope["step"]


class _Writer:
    def __init__(self, rng: random.Random):
        self.rng = rng

    def _number(self) -> float:
        return self.rng.choice([0.5, -0.25, 2.0, 1.0, 0.0, -1.0])

    def _scalar(self, depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.2:
            return self.rng.choice(["g", repr(self._number()), "k.sum()", "(q * d).sum()"])
        x = self._scalar(depth - 1)
        return self.rng.choice(
            [
                *(f"aec.sigmoid({x})", f"aec.exp(-aec.abs({x}))", f"aec.tanh({x})", f"(1.0 - {x})"),
                *(f"({x} * {self._scalar(depth - 1)})", f"({x} + {self._scalar(depth - 1)})"),
                f"aec.where(g > 0.0, {x}, {self._scalar(depth - 1)})",
                *(f"({x} / (1.0 + aec.abs(g)))", f"aec.rsqrt({x} * {x} + 0.5)"),
            ]
        )

    def _vector(self, depth: int = 2) -> str:
        """Over the key feature."""
        if depth == 0 or self.rng.random() < 0.5:
            return self.rng.choice(["k", "k", "k", "q", "d"])
        x = self._vector(depth - 1)
        return self.rng.choice(
            [
                *(f"({self._scalar(1)} * {x})", f"({x} + {self._vector(depth - 1)})"),
                *(f"({x} * {self._vector(0)})", f"(-{x})", f"aec.tanh({x})", f"aec.sigmoid({x})"),
                f"aec.where({x} > 0.0, {x}, {self._vector(0)})",
            ]
        )

    def _value(self, depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.5:
            return self.rng.choice(["v", "v", "e"])
        x = self._value(depth - 1)
        return self.rng.choice(
            [f"({self._scalar(1)} * {x})", f"({x} + {self._value(depth - 1)})", f"aec.tanh({x})"]
        )

    def _read(self, state: str) -> str:
        x = self._vector(1)
        return self.rng.choice([f"({x} @ {state})", f"({x}[:, None] * {state}).sum(0)", f"({state}.T @ {x})"])

    def _update(self, state: str) -> str:
        return self.rng.choice(
            [
                *(self._value(), self._read(state), f"({self._value(1)} - {self._read(state)})"),
                f"({self._scalar(1)} * ({self._value(1)} + {self._read(state)}))",
                f"({self._value(1)} - {self._scalar(1)} * {self._read(state)})",
            ]
        )

    def _state(self, state: str) -> str:
        """A new state of one before."""
        kind = self.rng.randrange(10)
        if kind < 2:
            return f"{self._scalar()} * {state}"
        if kind < 4:
            return f"{self._vector()}[:, None] * {state}"
        if kind < 8:
            key = "key" if self.rng.random() < 0.85 else self._vector(1)
            key = self.rng.choice([key, f"{self._scalar(1)} * {key}"])
            return f"{state} + aec.outer({key}, {self._update(state)})"
        if kind < 9:
            return f"aec.where(g > 0.0, {self._number()} * {state}, {state})"
        return f"{state} - {self._scalar(1)} * {self.rng.choice([state, 'S'])}"

    def step(self) -> list[str]:
        """The lines of a step."""
        lines, states = [f"key = {self._vector(1)}"], ["S"]
        for number in range(1, self.rng.randrange(2, 5)):
            lines.append(f"S{number} = {self._state(states[-1])}")
            states.append(f"S{number}")
        out = self._read(self.rng.choice([*[states[-1]] * 3, *states]))
        if self.rng.random() < 0.3:
            out = f"{out} + {self._read(self.rng.choice(states))}"
        if self.rng.random() < 0.4:
            out = f"{self._scalar(1)} * ({out})"
        if self.rng.random() < 0.3:
            out = f"{out} + {self._value()}"
        return [*lines, f"return {states[-1]}, {out}"]
