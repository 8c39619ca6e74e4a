"""aec-bench: the list, records, the check before the clock, failing cases, mistakes in the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import Outcome

from aecompiler.tools import bench, benchmark

CASES = """
import numpy as np

import aecompiler as aec
from aecompiler.tools.benchmark import Work, case


def work(peer, failing=False):
    x = aec.tensor("B", 1, "S", 4)

    @aec.program(q=x, v=x)
    def linear(q, v):
        return aec.attention(q, q, v, normalize=lambda row: row)

    q, v = np.random.default_rng(0).standard_normal((2, 1, 1, 5, 4)).astype(np.float32)
    return Work(linear, {"q": q, "v": v}, peer)


@case(peer="numpy", shapes=[(1, 5), (2, 5)])
def good_case(shape, dtype):
    return work(lambda q, v: q @ q.swapaxes(-1, -2) @ v)


@case(peer="nothing", shapes=[(1,)])
def wrong_peer(shape, dtype):
    return work(lambda q, v: 0 * v)


@case(peer="nothing", shapes=[(1,)])
def raises(shape, dtype):
    raise RuntimeError("no such thing")
"""

FIELDS = ["case", "shape", "dtype", "target", "ours_ms", "peer", "peer_ms", "ratio", "error", "versions"]


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "some.py").write_text(CASES)
    monkeypatch.chdir(tmp_path)

    def work(*argv: str) -> Outcome:
        status = bench.main([*argv, "--bench-dir", "cases", "--repeat", "2"])
        return Outcome(status, *capsys.readouterr())

    return work


def test_list_names_every_case(run: Run) -> None:
    outcome = run("--list")
    assert outcome.status == 0
    assert outcome.out.splitlines() == [
        "good-case/1x5/f32/cpu  (numpy)",
        "good-case/2x5/f32/cpu  (numpy)",
        "wrong-peer/1/f32/cpu  (nothing)",
        "raises/1/f32/cpu  (nothing)",
    ]


def test_records_have_the_fields_and_consistent_numbers(run: Run) -> None:
    outcome = run("good-case", "--json", "r.json")
    assert outcome.status == 0, outcome.err
    records = json.loads(Path("r.json").read_text())
    assert [record["shape"] for record in records] == [[1, 5], [2, 5]]
    for record in records:
        assert list(record) == FIELDS
        assert record["case"] == "good-case"
        assert (record["dtype"], record["target"], record["peer"]) == ("f32", "cpu", "numpy")
        assert record["ours_ms"] > 0
        assert record["ratio"] == pytest.approx(record["peer_ms"] / record["ours_ms"])
        assert 0 <= record["error"] < 1e-5
        assert {"python", "numpy"} <= set(record["versions"])


def test_part_of_a_key_selects_the_cases_below_it(run: Run) -> None:
    outcome = run("good-case/2x5", "--json", "r.json")
    assert outcome.status == 0
    assert [record["shape"] for record in json.loads(Path("r.json").read_text())] == [[2, 5]]
    assert run("good").status == 2


def test_failing_cases_do_not_stop_the_others(run: Run) -> None:
    outcome = run("raises", "wrong-peer", "good-case/1x5", "--json", "r.json")
    assert outcome.status == 1
    assert "raises/1/f32/cpu: RuntimeError: no such thing (" in outcome.err
    assert "wrong-peer/1/f32/cpu: wrong result, not timed: the peer is off by" in outcome.err
    by_case = {record["case"]: record for record in json.loads(Path("r.json").read_text())}
    assert by_case["good-case"]["ratio"] > 0
    for name in ("raises", "wrong-peer"):
        assert list(by_case[name]) == FIELDS
        assert by_case[name]["ours_ms"] is None
        assert by_case[name]["ratio"] is None
    assert by_case["raises"]["error"] is None
    assert by_case["wrong-peer"]["error"] < 1e-5


def test_wrong_kernel_is_not_timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aecompiler.compiler import Kernel

    monkeypatch.setattr(Kernel, "__call__", lambda self, **inputs: inputs["v"])
    monkeypatch.setattr(benchmark, "interleaved_medians", lambda *_: pytest.fail("timed a wrong result"))
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "ours is off by" in outcome.err


def test_json_is_written_as_cases_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    write = bench._write

    def watched(path: str, records: list[benchmark.Record]) -> None:
        write(path, records)
        lengths.append(len(json.loads(Path(path).read_text())))

    monkeypatch.setattr(bench, "_write", watched)
    run("--all", "--json", "r.json")
    assert lengths == [1, 2, 3, 4]
    assert [path.name for path in Path().iterdir() if path.name.startswith(".aec")] == []


def test_file_that_does_not_import_is_reported(run: Run) -> None:
    Path("cases/bad.py").write_text("1 // 0\n")
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "bad.py: ZeroDivisionError" in outcome.err
    assert "good-case/1x5/f32/cpu" in outcome.out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expects a CASE, --all or --list"),
        (["nope"], "no case 'nope' (cases: good-case, wrong-peer, raises)"),
        (["--frobnicate"], "--frobnicate"),
        (["good-case", "--json", "none/r.json"], "no folder 'none'"),
    ],
)
def test_mistake_is_named(run: Run, argv: list[str], message: str) -> None:
    outcome = run(*argv)
    assert outcome.status == 2
    assert outcome.err.startswith("aec-bench: error: ")
    assert message in outcome.err


def test_missing_folder_is_named(capsys: pytest.CaptureFixture) -> None:
    assert bench.main(["--list", "--bench-dir", "/no/such/folder"]) == 2
    assert "no folder '/no/such/folder'" in capsys.readouterr().err


def test_cases_of_this_repository_are_listed(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("torch")
    assert bench.main(["--list"]) == 0
    names = {line.partition("/")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"softmax-causal", "grouped-query", "alibi", "gated-retention", "delta-rule"} <= names


def test_smallest_cases_of_this_repository_run(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("torch")
    argv = ["softmax-causal/1x8x128x64", "alibi/1x8x128x64", "gated-retention/1x4x256x64", "--repeat", "1"]
    assert bench.main(argv) == 0, capsys.readouterr().err
