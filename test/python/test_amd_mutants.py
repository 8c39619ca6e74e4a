"""The simulator catches mutants of kernels that Triton compiles, or says why they are equivalent."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from aecompiler.backends.amd.simulator import Counts, Program, SimulationError, matrix, mutants, simulate

CHIPS = ("gfx90a", "gfx942", "gfx950")
SMALL = (
    *("matmul-f16", "matmul-bf16", "matmul-f32", "softmax-f32", "softmax-f16", "reduce", "running-sum"),
    "attention-f16",
)
LARGE = (
    "matmul-f32-wide",
    "matmul-f16-stages",
    "attention-bf16-small",
    "attention-f16-wide",
    "attention-bf16",
)


class Case:
    """A sample on a chip, with the bytes that its own run gives."""

    def __init__(self, name: str, chip: str):
        import amd_samples

        self.sample = amd_samples.SAMPLES[name]
        assembly, kernel, self.lds_bytes, self.threads = amd_samples.compiled(name, chip)
        self.assembly, self.kernel, self.chip = assembly, kernel, chip
        self.program = Program.parse(assembly, kernel, chip)
        self.arguments, self.results, self.grid = self.sample.make(np.random.default_rng(0))
        self.right, self.counts = self.outputs(self.program)

    def outputs(self, program: Program) -> tuple[list[bytes], Counts]:
        arguments = [np.copy(one) if isinstance(one, np.ndarray) else one for one in self.arguments]
        counts = simulate(program, arguments, self.grid, self.threads, self.lds_bytes)
        return [arguments[position].tobytes() for position in self.results], counts

    def is_right(self, program: Program) -> bool:
        return self.outputs(program)[0] == self.right

    def judge_all(self, found: Iterable[mutants.Mutant]) -> list[tuple[mutants.Mutant, mutants.Verdict]]:
        return [(mutant, mutants.judge(mutant, self.is_right)) for mutant in found]


def case(name: str, chip: str) -> Case:
    pytest.importorskip("triton")
    return Case(name, chip)


def check(judged: list[tuple[mutants.Mutant, mutants.Verdict]], caught: str) -> Counter:
    """Every mutant is caught in this way, or shown to be equivalent."""
    for mutant, verdict in judged:
        assert verdict.outcome in (caught, "equivalent"), f"{mutant}: {verdict}"
    return Counter(verdict.outcome for _, verdict in judged)


def check_waits_and_barriers(name: str, chip: str) -> None:
    sample = case(name, chip)
    barriers = check(sample.judge_all(mutants.without_barriers(sample.program)), "error")
    waits = check(sample.judge_all(mutants.with_raised_waits(sample.program)), "error")
    assert barriers["error"] > 0
    assert waits["error"] > 0


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", SMALL)
def test_missing_barriers_and_raised_waits_are_caught(name, chip):
    check_waits_and_barriers(name, chip)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", LARGE)
def test_missing_barriers_and_raised_waits_are_caught_in_larger_kernels(name, chip):
    check_waits_and_barriers(name, chip)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", ["matmul-f16", "matmul-bf16", "matmul-f32"])
def test_swapped_operands_are_caught(name, chip):
    sample = case(name, chip)
    found = check(sample.judge_all(mutants.with_swapped_operands(sample.program)), "wrong")
    assert found["wrong"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", [*LARGE, "attention-f16"])
def test_swapped_operands_are_caught_in_larger_kernels(name, chip):
    sample = case(name, chip)
    found = check(sample.judge_all(mutants.with_swapped_operands(sample.program)), "wrong")
    assert found["wrong"] > 0


def rows_reversed(layout):
    return dataclasses.replace(layout, rows=layout.rows[:, ::-1])


def results_transposed(layout):
    return dataclasses.replace(layout, result_rows=layout.result_columns, result_columns=layout.result_rows)


def result_groups_exchanged(layout):
    return dataclasses.replace(layout, result_rows=np.roll(layout.result_rows, 32, axis=1))


def result_registers_exchanged(layout):
    return dataclasses.replace(layout, result_rows=layout.result_rows[::-1])


@pytest.mark.parametrize(
    "change", [rows_reversed, results_transposed, result_groups_exchanged, result_registers_exchanged]
)
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", ["matmul-f16", "matmul-bf16", "matmul-f32"])
def test_wrong_layouts_of_lanes_are_caught(name, chip, change, monkeypatch):
    sample = case(name, chip)
    layout_of = matrix.layout_of
    monkeypatch.setattr(matrix, "layout_of", lambda one: change(layout_of(one)))
    assert not sample.is_right(Program.parse(sample.assembly, sample.kernel, chip))


def test_equivalent_mutants_say_why():
    code = """k:
s_load_dwordx2 s[2:3], s[0:1], 0x0
v_lshlrev_b32_e32 v1, 2, v0
s_waitcnt lgkmcnt(0)
global_load_dword v2, v1, s[2:3]
global_load_dword v3, v1, s[2:3]
s_waitcnt vmcnt(1)
s_waitcnt vmcnt(0)
v_add_u32_e32 v2, v2, v3
s_waitcnt lgkmcnt(0)
s_barrier
global_store_dword v1, v2, s[2:3]
s_endpgm
.amdhsa_kernel k
.amdhsa_user_sgpr_kernarg_segment_ptr 1
.end_amdhsa_kernel
.amdgpu_metadata
amdhsa.kernels:
  - .args:
      - .offset: 0
        .size: 8
        .value_kind: global_buffer
    .name: k
.end_amdgpu_metadata
"""
    program = Program.parse(code, "k", "gfx942")

    def is_right(program: Program) -> bool:
        array = np.arange(64, dtype=np.uint32)
        simulate(program, [array], 1, 64)
        return np.array_equal(array, 2 * np.arange(64))

    assert is_right(program)
    judged = [(mutant, mutants.judge(mutant, is_right)) for mutant in mutants.with_raised_waits(program)]
    outcomes = [(verdict.outcome, verdict.reason) for _, verdict in judged]
    assert [outcome for outcome, _ in outcomes] == ["error", "equivalent", "error", "equivalent"]
    assert outcomes[1][1] == "1 operations are waited for later, but before their first use, at lines [8]"
    assert outcomes[3][1] == "no operation is under way beyond the raised count in any execution"
    (barrier,) = mutants.without_barriers(program)
    assert mutants.judge(barrier, is_right).outcome == "equivalent"


def test_a_reported_error_names_the_rule_and_the_line():
    sample = case("running-sum", "gfx942")
    mutant = next(iter(mutants.without_barriers(sample.program)))
    with pytest.raises(SimulationError, match=r"race: wave \d .*\[line \d+: ds_") as found:
        sample.is_right(mutant.program)
    assert found.value.line is not None
    assert found.value.workgroup == (0, 0, 0)
