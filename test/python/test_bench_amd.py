"""The benchmark of AMD's chips, in the small: cases, one kernel of each side, the table and the bars."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from bench_files import load

from aecompiler.builder.programs import Program
from aecompiler.reference.evaluate import evaluate
from aecompiler.signature import find_function

pytest.importorskip("triton")

peer, cases, amd = load("amd_peer"), load("amd_cases"), load("amd")
TINY = cases.Case("tiny", queries=32, keys=32, d=32, tile=(32, 32))


def test_cases_have_names_of_their_own():
    names = [each.name for each in cases.CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_formula_is_the_program(case):
    inputs = cases.inputs_of(case)
    program = cases.program_of(case)
    assert isinstance(program, Program)
    (wanted,) = evaluate(find_function(program.module, None), list(inputs.values()))
    np.testing.assert_allclose(cases.expected(case, inputs), np.asarray(wanted, np.float64), atol=2e-2)


@pytest.fixture(scope="module")
def lines():
    return [
        {**cases.figures(TINY, "gfx942", run), "case": "tiny", "chip": "gfx942", "who": who, "failed": None}
        for who, run in {
            cases.OURS: cases.run_ours(TINY, "gfx942", {}),
            cases.TRITON: cases.run_triton(TINY, "gfx942", peer.Options(*TINY.tile), False),
            cases.CHECKED: cases.run_triton(TINY, "gfx942", peer.Options(*TINY.tile), True),
        }.items()
    ]


def test_figures_are_those_of_kernels(lines):
    for each in lines:
        assert each["error"] < cases.TOLERANCES["f16"]
        assert each["instructions"] == sum(each["classes"].values())
        assert each["classes"]["mfma"] > 0
        assert each["tile_instructions"] > 0
        loop = each["loop"]
        assert loop["instructions"] == pytest.approx(sum(loop["classes"].values()), rel=1e-2)
        assert 0 < loop["matrix_slots"] < loop["slots"]
        assert loop["matrix_share"] == loop["matrix_slots"] / loop["slots"]
        # 2 products of 32 x 32 x 32, of which a wave has a quarter, in steps of 16 x 16 x 16
        assert loop["classes"]["mfma"] * each["waves"] >= 16


def test_lines_of_a_case_are_ours_and_the_best_of_triton(monkeypatch):
    monkeypatch.setattr(cases, "SEARCHED", ({"num_stages": (1,)},))
    monkeypatch.setattr(cases, "TILES", ((32, 32), (32, 16)))
    monkeypatch.setattr(peer, "SEARCHED", ())
    case = dataclasses.replace(TINY, any_tile=True)
    ours, triton, *others = cases.measure((case, "gfx950", False))
    assert [each["who"] for each in others] == [cases.CHECKED, cases.ANY_TILE]
    assert not any(each["failed"] for each in (ours, triton, *others))
    assert ours["searched"]["instructions"] <= ours["instructions"]
    assert triton["instructions"] >= others[1]["instructions"]
    (alone,) = cases.measure((case, "gfx950", True))
    assert alone["instructions"] == ours["instructions"]


def test_wrong_results_are_not_counted():
    inputs = cases.inputs_of(TINY)
    wanted = cases.expected(TINY, inputs)
    assert cases.checked_error(TINY, wanted, wanted) == 0
    for wrong in (wanted * 1.01, np.full_like(wanted, np.nan)):
        with pytest.raises(cases.WrongResultError, match="off by"):
            cases.checked_error(TINY, wrong, wanted)


def test_options_that_need_too_much_are_passed_over():
    options = peer.Options(64, 64)  # larger than the case: accesses end outside of the tensors
    assert cases._count(TINY, "gfx942", options, is_checked=False) is None


def test_table_and_bars_say_what_is_missed(lines):
    text = "\n".join(amd.table(lines))
    assert text.count("\n") == 1 + len(lines)
    ours = {**lines[0], "instructions": 10**6, "scratch_bytes": 8, "vgpr_spills": 2}
    found = "\n".join(amd.bars([ours, *lines[1:]]))
    assert "no scratch and no spills: 0 of 1 cases" in found
    assert "missed by tiny on gfx942: 8 bytes, 2 vector and 0 scalar registers" in found
    assert "fewer wave instructions than Triton: 0 of 1 cases" in found
    assert f"missed by tiny on gfx942: {10**6}, Triton" in found
    assert "fewer wave instructions than Triton: 0 of 0" in "\n".join(amd.bars(lines[:1]))
    failed = {"case": "tiny", "chip": "gfx942", "who": cases.OURS, "failed": "WrongResultError: off by 1"}
    assert "failed: WrongResultError: off by 1" in amd.row(failed)


def test_command_writes_lines_and_prints_bars(monkeypatch, tmp_path, capsys):
    def in_this_process(function, items, **limits):
        return [function(each) for each in items]

    monkeypatch.setattr(amd, "all_in_children", in_this_process)
    monkeypatch.setattr(amd, "CASES", (TINY,))
    out = tmp_path / "amd.jsonl"
    assert amd.main(["--quick", "--chips", "gfx942", "--out", str(out)]) == 0
    (line,) = map(json.loads, out.read_text().splitlines())
    assert (line["case"], line["who"], line["simulated"], line["failed"]) == ("tiny", cases.OURS, True, None)
    printed = capsys.readouterr().out
    assert "no scratch and no spills: 1 of 1 cases" in printed
    assert "nothing is said about time" in printed


def test_options_of_the_command():
    args = amd.arguments(["--case", "d64", "--chips", "gfx950"])
    assert (args.chips, bool(args.case.search("d128"))) == (("gfx950",), False)
    with pytest.raises(SystemExit):
        amd.arguments(["--chips", "gfx1100"])
