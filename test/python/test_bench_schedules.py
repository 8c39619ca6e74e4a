"""The benchmark of schedules without a GPU: which are measured, what is written, what a failure costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from bench_files import BENCH, load

from aecompiler.backends.nvidia import profiler
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_choice import TABLE, entry_key
from aecompiler.backends.nvidia.schedule_model import CONSTANTS, Model
from aecompiler.tools.bench_children import Failure

torch = pytest.importorskip("torch")
schedules, ranks = load("nvidia_schedules"), load("schedule_ranks")
SETTING = schedules.all_settings()[0]


def test_cases_have_names_of_their_own_and_enough_schedules():
    keys = [each.key for each in schedules.all_settings()]
    assert len(set(keys)) == len(keys) >= 14
    assert sum(len(schedules.candidates(each, 20)) for each in schedules.all_settings()) >= 200


@pytest.mark.parametrize("setting", schedules.all_settings(), ids=lambda each: each.key)
def test_schedules_are_different_and_the_first_is_what_is_chosen(setting):
    found = schedules.candidates(setting, 20)
    assert len(set(found)) == len(found) == 20
    assert found == schedules.candidates(setting, 20)
    assert found[0].consumers


def test_cases_that_differ_in_length_share_programs_and_schedules():
    by_program = {}
    for setting in schedules.all_settings():
        key = schedules._text(setting)
        assert by_program.setdefault(key, schedules.candidates(setting, 9)) == schedules.candidates(
            setting, 9
        )
    assert len(by_program) < len(schedules.all_settings())


@pytest.fixture
def results(monkeypatch):
    """Stands for child processes: what the work gives for each item is taken from here, by its name."""
    given = {
        "compile_ahead": lambda point: {"symbol": "attention", "registers": 168, "spills": 0},
        "check": lambda point: 1e-3,
        "time_case": lambda points: [float(number + 1) for number, _ in enumerate(points)],
    }

    def work(function, items, **_):
        name = getattr(function, "func", function).__name__
        return [given[name](item) for item in items]

    monkeypatch.setattr(schedules, "all_in_children", work)
    monkeypatch.setattr(schedules, "each_in_child", work)
    monkeypatch.setattr(schedules, "kernel_cycles", lambda *_: [])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    return given


def lines_of(tmp_path, *argv):
    file = tmp_path / "out.jsonl"
    assert schedules.main(["--out", str(file), "--schedules", "4", "--case", SETTING.key, *argv]) == 0
    first, *lines = map(json.loads, file.read_text().splitlines())
    assert first["device"] == "a card"
    return lines


def test_each_schedule_has_a_line(results, tmp_path):
    lines = lines_of(tmp_path)
    assert [line["ms"] for line in lines] == [1.0, 2.0, 3.0, 4.0]
    assert {line["case"] for line in lines} == {SETTING.key}
    assert {(line["error"], line["registers"]) for line in lines} == {(1e-3, 168)}
    assert lines[0]["schedule"] == schedules.candidates(SETTING, 4)[0].options


def test_what_fails_is_written_and_not_timed(results, tmp_path):
    first, second, third, _ = schedules.candidates(SETTING, 4)
    compile_ahead = results["compile_ahead"]

    def refuse(point):
        return Failure("CompileError: no") if point.schedule == first else compile_ahead(point)

    results["compile_ahead"] = refuse
    results["check"] = lambda point: {second: Failure("hangs"), third: float("inf")}.get(point.schedule, 1e-3)
    lines = lines_of(tmp_path)
    assert [line.get("failed") for line in lines] == ["CompileError: no", "hangs", "off by inf", None]
    assert [line.get("ms") for line in lines] == [None, None, None, 1.0]


def test_cycles_are_written_when_the_profiler_counts_all(results, tmp_path, monkeypatch):
    def counted(command, kernels, seconds):
        assert command[:2] == [sys.executable, schedules.__file__]
        assert len(json.loads(Path(command[-1]).read_text())) == len(kernels)
        return [1000.0 * (n + 1) for n, _ in enumerate(kernels)]

    monkeypatch.setattr(schedules, "kernel_cycles", counted)
    lines = lines_of(tmp_path)
    assert [line.get("kilocycles") for line in lines] == [None] * 4 + [1.0, 2.0, 3.0, 4.0]


def test_machine_without_gpu_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert schedules.main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "expects a GPU that torch can use\n"
    assert not (tmp_path / "out").exists()


# ---- the profiler ------------------------------------------------------------------------------------

PROFILE = """==PROF== Connected to process 7
"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"1","7","attention","gpc__cycles_elapsed.max","cycle","2,345,678"
"0","7","attention","gpc__cycles_elapsed.max","cycle","1,234"
"0","7","attention","other","cycle","5"
==PROF== Disconnected
"""


def test_cycles_are_read_in_the_order_of_launches():
    assert profiler.read_cycles(PROFILE) == [1234.0, 2345678.0]


def test_what_is_no_table_has_no_cycles():
    assert profiler.read_cycles('==ERROR== no permission\n"a","b"\n') == []


@pytest.mark.parametrize("value", ["n/a", "", "nan"])
def test_launch_without_a_number_leaves_all_uncounted(value):
    assert profiler.read_cycles(PROFILE.replace("1,234", value)) == []


def test_profiler_that_is_missing_or_hangs_counts_nothing(monkeypatch):
    monkeypatch.setattr(profiler.shutil, "which", lambda name: None)
    assert profiler.kernel_cycles(["true"], ["f"], 5.0) == []
    monkeypatch.setattr(profiler, "profiler_command", lambda kernels: ["sleep"])
    assert profiler.kernel_cycles(["60"], ["f"], 0.2) == []


# ---- the model beside measurements -------------------------------------------------------------------


@pytest.fixture
def measurements(tmp_path):
    """A file of measurements of two cases that are the model's own, but for a factor, and one that failed."""
    lines = [{"device": "a card"}]
    for setting in schedules.all_settings()[:2]:
        model = Model(ranks.form_of(setting), schedules.TARGET)
        for schedule in schedules.candidates(setting, 10):
            point = {"case": setting.key, "schedule": schedule.options}
            lines.append({**point, "ms": 0.002 * model.microseconds(schedule)})
            lines.append({**point, "kilocycles": 1.0})
    lines.append({"case": SETTING.key, "schedule": {"consumers": 1}, "failed": "no"})
    file = tmp_path / "measured.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_model_that_is_right_has_no_loss(measurements, capsys):
    assert schedules.main(["--evaluate", str(measurements)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == (
        "20 schedules of 2 cases: least correlation 1.000, largest loss 0.0 %, at most 5 % in 2 cases"
    )


def test_cycles_are_compared_where_they_are_asked_for(measurements, capsys):
    assert schedules.main(["--evaluate", str(measurements), "--unit", "kilocycles"]) == 0
    header, *_, last = capsys.readouterr().out.splitlines()
    assert header == "| case | schedules | rank correlation | best, kilocycles | chosen, kilocycles | loss |"
    assert "least correlation 0.000" in last


def test_measurements_that_are_none_are_refused(tmp_path, capsys):
    def refusal(*argv):
        with pytest.raises(SystemExit) as error:
            schedules.main(list(argv))
        assert error.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    file = tmp_path / "file"
    assert refusal("--evaluate", str(file)).endswith(f"cannot read '{file}': No such file or directory")
    file.write_text('{"device": "a card"}\n')
    assert refusal("--evaluate", str(file)).endswith("holds no points with ms of known cases")
    for text in ("no JSON", f'{{"ms": 1.0, "case": "{SETTING.key}"}}', "5", '"ms"'):
        file.write_text(text)
        assert f"'{file}' holds no measurements" in refusal("--evaluate", str(file))
    file.write_bytes(b"\xff")
    assert f"'{file}' holds no measurements" in refusal("--evaluate", str(file))


@pytest.mark.parametrize(
    ("flag", "value"), [("--schedules", "-3"), ("--rounds", "0"), ("--fit", "-1"), ("--limit", "-5")]
)
def test_numbers_that_say_nothing_are_refused(flag, value, capsys):
    with pytest.raises(SystemExit):
        schedules.main([f"{flag}={value}", "--list"])
    assert f"argument {flag}: expects a" in capsys.readouterr().err


def test_table_holds_the_fastest_schedule_of_each_case(measurements, capsys):
    assert schedules.main(["--evaluate", str(measurements), "--table", "one card"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["source"], table["target"]) == ("one card", "nvidia:sm_90")
    for setting in schedules.all_settings()[:2]:
        form = ranks.form_of(setting)
        model = Model(form, schedules.TARGET)
        best = min(schedules.candidates(setting, 10), key=model.microseconds)
        found = NvidiaSchedule(**table["entries"][entry_key(form)])
        assert model.microseconds(found) == model.microseconds(best)


def test_case_between_two_classes_stands_for_both_where_no_other_is_nearer():
    def case(length, block_kv):
        setting = schedules.Setting("causal", 1, 4, length, 64)
        schedule = NvidiaSchedule(consumers=2, block_kv=block_kv)
        return ranks.Case(setting.key, ranks.form_of(setting), {schedule: 1.0})

    between, short = case(8192, 64), case(4096, 128)
    for cases in ([between, short], [short, between]):
        entries = ranks.table_of(cases, schedules.TARGET, "")["entries"]
        assert {key.rpartition("=")[2]: each["block_kv"] for key, each in entries.items()} == {
            "4096": 128,
            "16384": 64,
        }


def test_fit_does_not_leave_constants_that_are_right(measurements, capsys):
    assert schedules.main(["--evaluate", str(measurements), "--fit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f'    "{name}": {value:.4g},' for name, value in CONSTANTS.items()]


def test_fit_comes_nearer_to_other_constants(measurements):
    cases = ranks.read_cases(measurements, schedules.all_settings(), "ms")
    other = {**CONSTANTS, "group latency": 4 * CONSTANTS["group latency"]}
    for case in cases:
        model = Model(case.form, schedules.TARGET, other)
        case.times = {each: model.microseconds(each) for each in case.times}
    before = ranks.error(cases, schedules.TARGET, CONSTANTS)
    after = ranks.error(cases, schedules.TARGET, ranks.fitted(cases, schedules.TARGET, 40))
    assert after < 0.9 * before


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [5, 5, 5], 0.0),
        ([1, 1, 2], [1, 2, 3], 0.866),
    ],
)
def test_rank_correlation(first, second, expected):
    assert ranks.rank_correlation(first, second) == pytest.approx(expected, abs=1e-3)


RECORDED = BENCH / "schedules-h100.jsonl"


def test_model_ranks_what_was_recorded():
    cases = ranks.read_cases(RECORDED, schedules.all_settings(), "kilocycles")
    assert sum(len(case.times) for case in cases) >= 200
    for case in cases:
        said = case.ranks(schedules.TARGET, CONSTANTS)
        times = [case.times[each] for each in said]
        assert ranks.rank_correlation(list(said.values()), times) >= 0.8, case.key
        assert case.times[min(said, key=said.__getitem__)] <= 1.07 * min(times), case.key


def test_table_of_the_package_is_that_of_what_was_recorded():
    cases = ranks.read_cases(RECORDED, schedules.all_settings(), "kilocycles")
    table = json.loads(TABLE.read_text())
    assert table == ranks.table_of(cases, schedules.TARGET, table["source"])
