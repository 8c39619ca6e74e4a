"""The simulator catches mutants of kernels of the road "mlir": barriers and waits are there for a reason."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from amd_road import CHIPS, attention, compiled, operands
from example_files import load

import aecompiler as aec
from aecompiler.backends.amd import simulator
from aecompiler.backends.amd.simulator import Program, mutants
from aecompiler.backends.gpu.artifact import ALIGNED

pytest.importorskip("triton")

CAUSAL = {"mask": aec.masks.causal(align="end"), "normalize": aec.normalizers.softmax(lse=True)}
TILES = {"block_q": 32, "block_kv": 32, "waves": 2}

simulate = simulator.simulate


@dataclasses.dataclass
class Launch:
    """A launch of a kernel, which can be done again with another program in its place."""

    program: Program
    arguments: list[Any]
    rest: tuple[Any, ...]

    @functools.cached_property
    def expected(self) -> list[bytes]:
        """What memory holds after it."""
        return self.memory(self.program)

    def memory(self, program: Program) -> list[bytes]:
        """What memory holds after the launch of a program."""
        arguments = [np.copy(each) if isinstance(each, np.ndarray) else each for each in self.arguments]
        simulate(program, arguments, *self.rest)
        return [each.tobytes() for each in arguments if isinstance(each, np.ndarray)]

    def judge(self, mutant: mutants.Mutant) -> mutants.Verdict:
        """What becomes of a mutant of the program in this launch."""
        return mutants.judge(mutant, lambda program: self.memory(program) == self.expected)


def launches(kernel: aec.Kernel, calls: Sequence[Sequence[Any]], monkeypatch) -> list[list[Launch]]:
    """The launches of some calls, by kernel."""
    found: dict[int, list[Launch]] = {}

    def record(program: Program, arguments: Sequence[Any], *rest: Any) -> Any:
        kept = [np.copy(each) if isinstance(each, np.ndarray) else each for each in arguments]
        found.setdefault(id(program), []).append(Launch(program, kept, rest))
        return simulate(program, arguments, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(simulator, "simulate", record)
        for call in calls:
            kernel(*call)
    return list(found.values())


def outcomes(
    found: list[list[Launch]], change: Callable[[Program], Iterator[mutants.Mutant]], caught: str
) -> Counter[str]:
    """What becomes of the mutants of all kernels; one that is caught in no launch is equivalent in all."""
    total: Counter[str] = Counter()
    for same in found:
        for mutant in change(same[0].program):
            verdicts = [launch.judge(mutant) for launch in same]
            names = {verdict.outcome for verdict in verdicts}
            assert caught in names or names <= {"equivalent", "unreached"}, f"{mutant}: {verdicts}"
            total[caught if caught in names else min(names)] += 1
    return total


def with_infinity(inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Operands with a row of q for which o is computed again."""
    inputs[0][0, 0, -1, 3] = np.inf
    return inputs


def causal_calls(kernel: aec.Kernel) -> list[list[np.ndarray]]:
    return [operands(kernel, 1, 33, 97), with_infinity(operands(kernel, 1, 33, 97))]


def check_waits_and_barriers(kernel: aec.Kernel, calls: Sequence[Sequence[Any]], monkeypatch) -> None:
    found = launches(kernel, calls, monkeypatch)
    for change in (mutants.without_barriers, mutants.with_raised_waits):
        total = outcomes(found, change, "error")
        assert total["error"] > 0
        assert not total["unreached"]


SLOW = pytest.mark.slow
ALL_CHIPS = [pytest.param("gfx90a", marks=SLOW), "gfx942", pytest.param("gfx950", marks=SLOW)]


@pytest.mark.parametrize("stages", [pytest.param(1, marks=SLOW), 2])
@pytest.mark.parametrize("chip", CHIPS)
def test_missing_barriers_and_raised_waits_of_attention_are_caught(chip, stages, monkeypatch):
    kernel = compiled(attention(1, 1, **CAUSAL), chip, **TILES, num_stages=stages)
    check_waits_and_barriers(kernel, causal_calls(kernel), monkeypatch)


def test_missing_barriers_and_raised_waits_of_loads_into_local_memory_are_caught(monkeypatch):
    kernel = compiled(attention(1, 1, 64, 64, **CAUSAL), "gfx950", **TILES)
    assembly = kernel.artifact.code("program_0", ALIGNED).assembly
    assert re.search(r"buffer_load_dwordx4 .* lds$", assembly, re.MULTILINE)
    check_waits_and_barriers(kernel, causal_calls(kernel), monkeypatch)


@pytest.mark.slow
def test_missing_barriers_and_raised_waits_of_waves_that_share_rows_are_caught(monkeypatch):
    options = {"block_q": 16, "block_kv": 128, "waves": 8}
    kernel = compiled(attention(1, 1, 64, 64, **CAUSAL), "gfx950", **options)
    calls = [operands(kernel, 1, 16, 300), with_infinity(operands(kernel, 1, 9, 300))]
    check_waits_and_barriers(kernel, calls, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_missing_barriers_and_raised_waits_of_other_types_are_caught(dtype, monkeypatch):
    kernel = compiled(attention(1, 1, dtype=dtype, **CAUSAL), "gfx942", **TILES)
    check_waits_and_barriers(kernel, causal_calls(kernel), monkeypatch)


def test_missing_barriers_and_raised_waits_of_merged_keys_are_caught(monkeypatch):
    options = {"block_q": 16, "block_kv": 16, "waves": 2, "split": "keys", "pack": "heads"}
    kernel = compiled(attention(2, 1, **CAUSAL), "gfx942", **options)
    calls = [operands(kernel, 1, 1, 97), with_infinity(operands(kernel, 1, 1, 97))]
    check_waits_and_barriers(kernel, calls, monkeypatch)


@pytest.mark.parametrize("chip", ALL_CHIPS)
@pytest.mark.parametrize("name", ["mamba2", "delta_rule"])
def test_missing_barriers_and_raised_waits_of_recurrences_are_caught(name, chip, monkeypatch):
    module, demo = load(name), load("demo")
    kernel = compiled(module.build(dtype="f16"), chip, **TILES)
    values = demo.draw(kernel, module.inputs, {"B": 1, "T": 37})
    check_waits_and_barriers(kernel, [[values[each.name] for each in kernel.arguments]], monkeypatch)


@pytest.mark.parametrize("chip", ALL_CHIPS)
def test_exchanged_operands_are_caught(chip, monkeypatch):
    kernel = compiled(attention(1, 1, **CAUSAL), chip, **TILES)
    found = launches(kernel, causal_calls(kernel)[:1], monkeypatch)
    assert outcomes(found, mutants.with_swapped_operands, "wrong")["wrong"] > 0
