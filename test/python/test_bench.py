"""aec-bench: the list, records, the check before the clock, failing cases, mistakes in the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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

FIELDS = [
    "case",
    "shape",
    "dtype",
    "target",
    "ours_ms",
    "peer",
    "peer_ms",
    "ratio",
    "cost",
    "error",
    "versions",
]


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Run:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "some.py").write_text(CASES)
    monkeypatch.chdir(tmp_path)

    def work(*argv: str) -> Outcome:
        repeat = () if "--repeat" in argv else ("--repeat", "2")
        status = bench.main([*argv, "--bench-dir", "cases", *repeat])
        return Outcome(status, *capfd.readouterr())

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
    assert run("--list", "good-case/2x5").out == "good-case/2x5/f32/cpu  (numpy)\n"


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
    from aecompiler.kernel import Kernel

    monkeypatch.setattr(Kernel, "__call__", lambda self, **inputs: inputs["v"])
    monkeypatch.setattr(benchmark, "interleaved_medians", lambda *_: pytest.fail("timed a wrong result"))
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "ours is off by" in outcome.err


def test_json_is_written_as_cases_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write = bench._write

    def watched(path: str, records: list[benchmark.Record]) -> None:
        write(path, records)
        with open("lengths", "a") as file:  # a child does the work
            file.write(f"{len(json.loads(Path(path).read_text()))} ")

    monkeypatch.setattr(bench, "_write", watched)
    run("--all", "--json", "r.json")
    assert Path("lengths").read_text() == "1 2 3 4 "
    assert sorted(os.listdir()) == ["cases", "lengths", "r.json"]


def test_crash_keeps_the_records_before_it(run: Run) -> None:
    crash = "@case(peer='none', shapes=[(1,)])\ndef crash(shape, dtype):\n    os.kill(os.getpid(), 9)\n"
    Path("cases/some.py").write_text(f"import os\n{CASES}\n\n{crash}")
    outcome = run("good-case/1x5", "crash", "--json", "r.json")
    assert outcome.status == 3
    assert outcome.err == "aec-bench: internal error: measuring crash/1/f32/cpu crashed (SIGKILL)\n"
    assert [record["case"] for record in json.loads(Path("r.json").read_text())] == ["good-case"]


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt"])
def test_case_that_exits_is_a_failed_case(run: Run, error: str) -> None:
    Path("cases/some.py").write_text(CASES.replace('RuntimeError("no such thing")', error))
    outcome = run("raises", "good-case/1x5")
    assert outcome.status == 1
    assert f"raises/1/f32/cpu: {error.partition('(')[0]}" in outcome.err
    assert "good-case/1x5/f32/cpu  ours" in outcome.out


def test_file_that_exits_is_named(run: Run) -> None:
    Path("cases/exits.py").write_text("raise SystemExit(0)\n")
    outcome = run("good-case/1x5")
    assert outcome.status == 2
    assert outcome.err == "aec-bench: error: cannot load 'cases/exits.py': SystemExit: 0\n"


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        ("()", "the peer: expects 1 to 1 results, got 0"),
        ("(v, v)", "the peer: expects 1 to 1 results, got 2"),
        ("v[0]", "the peer: result 'o': expects shape (1, 1, 5, 4), got (1, 5, 4)"),
    ],
)
def test_peer_of_another_form_is_named(run: Run, peer: str, message: str) -> None:
    Path("cases/some.py").write_text(CASES.replace("0 * v", peer))
    outcome = run("wrong-peer")
    assert outcome.status == 1
    assert message in outcome.err


def test_unwritable_json_is_named_before_anything_runs(run: Run) -> None:
    Path("folder").mkdir()
    outcome = run("raises", "--json", "folder")
    assert outcome.status == 2
    assert outcome.err == "aec-bench: error: cannot write 'folder': Is a directory\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_failing_write_of_json_is_named(run: Run) -> None:
    outcome = run("good-case/1x5", "--json", "/dev/full")
    assert outcome.status == 2
    assert outcome.err == "aec-bench: error: cannot write '/dev/full': No space left on device\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_interrupt_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "aecompiler.tools.bench", "--list", "--bench-dir", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == b""
    assert process.returncode == -signal.SIGINT


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
        (["good-case", "--all"], "CASE and --all exclude each other"),
        (["--list", "--json", "r.json"], "--list and --json exclude each other"),
        (["--list", "--repeat", "0"], "expects a whole number of at least 1, got '0'"),
        (["good-case", "--json", "none/r.json"], "no folder 'none'"),
    ],
)
def test_mistake_is_named(run: Run, argv: list[str], message: str) -> None:
    outcome = run(*argv)
    assert outcome.status == 2
    assert outcome.err.startswith("aec-bench: error: ")
    assert message in outcome.err


def test_missing_folder_is_named(capfd: pytest.CaptureFixture) -> None:
    assert bench.main(["--list", "--bench-dir", "/no/such/folder"]) == 2
    assert "no folder '/no/such/folder'" in capfd.readouterr().err


def test_cases_of_this_repository_are_listed(capfd: pytest.CaptureFixture) -> None:
    pytest.importorskip("torch")
    assert bench.main(["--list"]) == 0
    names = {line.partition("/")[0] for line in capfd.readouterr().out.splitlines()}
    assert {"softmax-causal", "grouped-query", "alibi", "gated-retention", "delta-rule"} <= names


def test_smallest_cases_of_this_repository_run() -> None:
    pytest.importorskip("torch")
    argv = ["softmax-causal/1x8x128x64", "gated-retention/1x4x256x64", "--repeat", "1"]
    # A process of its own: torch's threads do not survive in the fork of one that has used them.
    command = [sys.executable, "-m", "aecompiler.tools.bench", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
