"""aec-bench: the list, records, the check before the clock, failing cases, mistakes in the command line."""

from __future__ import annotations

import functools
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

from aecompiler.tools import bench, bench_machine, benchmark

CASES = """
import numpy as np

import aecompiler as aec
from aecompiler.tools.benchmark import Work, case


def program(scale):
    x = aec.tensor("B", 1, "S", 4)

    @aec.program(q=x, v=x)
    def linear(q, v):
        return aec.attention(q, q, v, normalize=lambda row: row * scale)

    return linear


def work(peer, **others):
    q, v = np.random.default_rng(0).standard_normal((2, 1, 1, 5, 4)).astype(np.float32)
    return Work(program(1.0), {"q": q, "v": v}, peer, **others)


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
    "figures",
    "error",
    "repeat",
    "cpu",
    "threads",
    "peer_threads",
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
        assert record["repeat"] == 2
        assert record["cpu"]
        assert record["threads"] >= 1
        assert record["figures"] == {}


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


SCALED = """

@aec.program(q=aec.tensor("B", 1, "S", 4), v=aec.tensor("B", 1, "S", 4))
def scaled(q, v):
    return aec.attention(q, q, v, normalize=lambda row: 2.0 * row)
"""


def test_wrong_baseline_is_not_timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aecompiler.kernel import Kernel

    calls = Kernel.__call__

    def baseline_is_wrong(self: Kernel, **inputs: object) -> object:
        return calls(self, **inputs) * (2 if self.name == "scaled" else 1)

    Path("cases/some.py").write_text(CASES.replace("@ v)", "@ v, baseline=scaled)") + SCALED)
    outcome = run("good-case/1x5")
    assert outcome.status == 0, outcome.err
    assert "cost" in outcome.out
    monkeypatch.setattr(Kernel, "__call__", baseline_is_wrong)
    monkeypatch.setattr(benchmark, "interleaved_medians", lambda *_: pytest.fail("timed a wrong result"))
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "wrong result, not timed: the baseline is off by" in outcome.err


def test_element_that_is_not_written_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aecompiler.kernel import Kernel

    calls = Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda self, out=None, **inputs: out if out else calls(self, **inputs)
    )
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "ours is off by" in outcome.err


def test_timed_calls_of_ours_allocate_their_results(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aecompiler.kernel import Kernel

    calls, timed = Kernel.__call__, benchmark.interleaved_medians

    def call(self: Kernel, **inputs: object) -> object:
        assert "out" not in inputs
        return calls(self, **inputs)

    def watched(functions: list[Callable[[], object]], repeat: int) -> list[float]:
        with monkeypatch.context() as patch:
            patch.setattr(Kernel, "__call__", call)
            return timed(functions, repeat)

    monkeypatch.setattr(benchmark, "interleaved_medians", watched)
    outcome = run("good-case/1x5")
    assert outcome.status == 0, outcome.err


class Torch:
    """As much of torch as has threads; `most` is how many it would use."""

    def __init__(self, most: int):
        self.most = most
        self.threads = 1

    def set_num_threads(self, count: int) -> None:
        self.threads = min(count, self.most)

    def get_num_threads(self) -> int:
        return self.threads


def test_torch_gets_as_many_threads_as_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECOMPILER_NUM_THREADS", "3")
    monkeypatch.setattr(bench_machine, "loaded_torch", lambda: Torch(8))
    assert run("good-case/1x5", "--json", "r.json").status == 0
    (record,) = json.loads(Path("r.json").read_text())
    assert (record["threads"], record["peer_threads"]) == (3, 3)
    monkeypatch.setattr(bench_machine, "loaded_torch", lambda: Torch(2))
    outcome = run("good-case/1x5")
    assert outcome.status == 1
    assert "expects torch to use 3 threads, as ours does, got 2" in outcome.err


FIGURES = (
    CASES.partition("@case")[0]
    + """
from aecompiler.tools.bench_figures import compile_times, peak_memory


@case(shapes=[(1,)], measure=compile_times)
def compile_time(shape, dtype):
    return work(None, baseline=program(2.0))


@case(peer="numpy", shapes=[(1,)], measure=peak_memory)
def memory(shape, dtype):
    q, v = np.ones((2, 256, 1, 4096, 4), np.float32)
    return Work(softmax(), {"q": q, "v": v}, lambda q, v: v.astype(np.float64) * FACTOR)


FACTOR = 1


def softmax():
    x = aec.tensor("B", 1, "S", 4)

    @aec.program(q=x, v=x)
    def softmax(q, v):
        return aec.attention(q, q, v, mask=aec.masks.window(8))

    return softmax
"""
)


def test_compile_times_are_measured_and_results_checked(run: Run) -> None:
    Path("cases/some.py").write_text(FIGURES)
    assert run("--list").out.splitlines()[0] == "compile-time/1/f32/cpu  (no peer)"
    outcome = run("compile-time", "--json", "r.json", "--repeat", "1")
    assert outcome.status == 0, outcome.err
    (record,) = json.loads(Path("r.json").read_text())
    figures = record["figures"]
    assert figures.keys() == {"cold_ms", "first_cold_ms", "warm_ms", "first_warm_ms"}
    assert 0 < figures["warm_ms"] < figures["cold_ms"]
    assert 0 < figures["first_warm_ms"] < figures["first_cold_ms"]
    assert record["ours_ms"] is None
    assert record["error"] < 1e-5
    assert "cold_ms" in outcome.out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_call_is_measured_and_results_checked(run: Run) -> None:
    Path("cases/some.py").write_text(FIGURES)
    outcome = run("memory", "--json", "r.json", "--repeat", "1")
    assert outcome.status == 0, outcome.err
    (record,) = json.loads(Path("r.json").read_text())
    # The result is a third of what goes in and out, 48 MiB.
    assert 0.32 < record["figures"]["rise"] < 0.6
    assert record["figures"]["rise_mib"] == pytest.approx(record["figures"]["rise"] * 48)
    Path("cases/some.py").write_text(FIGURES.replace("FACTOR = 1", "FACTOR = 2"))
    outcome = run("memory", "--repeat", "1")
    assert outcome.status == 1
    assert "wrong result, not timed: ours is off by" in outcome.err


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
    # As in a shell's foreground: its jobs in the background ignore SIGINT.
    obey = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=obey)
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
