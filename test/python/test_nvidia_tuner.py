"""Tuning without a GPU: hangs and crashes of candidates, what is kept on disk, and what calls are made of."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from pathlib import Path

import pytest
import tuning_child
from tuning_child import (
    CRASHES,
    CRASHES_IN_ROUNDS,
    CRASHES_IN_WARM_UP,
    FAILS,
    FAILS_AND_ENDS,
    HANGS,
    HANGS_IN_ROUNDS,
    SILENT,
)

import aecompiler as aec
from aecompiler.backends import processes
from aecompiler.backends.nvidia import backend, timing, tuner, tuner_child
from aecompiler.backends.nvidia.program_facts import read_forms
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.target import named_target
from aecompiler.disk_cache import open_cache
from aecompiler.errors import BackendError
from aecompiler.library import masks
from aecompiler.signature import parse

HOPPER = named_target("nvidia:sm_90")


def causal(batch="B", length="S"):
    """A program of causal attention, with a bias for each head and a number beside."""
    x = aec.tensor(batch, 4, length, 64, dtype="bf16")

    @aec.program(
        q=x, k=x, v=x, slopes=aec.tensor(4, dtype="f32"), documents=aec.tensor(batch, length, dtype="i32")
    )
    def attention(q, k, v, slopes, documents):
        mask = masks.causal() & masks.document(documents)
        return aec.attention(q, k, v, score=aec.scores.alibi(slopes), mask=mask)

    return attention


@pytest.fixture
def fake_children(monkeypatch):
    """The processes that are started are those of `tuning_child.py`."""
    commands = []

    def command(module, work, *arguments):
        assert module == tuner_child.__name__
        commands.append((work, *arguments[1:]))
        return [sys.executable, tuning_child.__file__, work, *arguments]

    monkeypatch.setattr(processes, "module_command", command)
    monkeypatch.setattr(tuner, "RUN_S", 1.0)
    monkeypatch.setattr(tuner, "BATCH_S", 1.0)
    return commands


# ---- processes -----------------------------------------------------------------------------------------


def test_schedules_that_hang_crash_or_fail_are_left_out(fake_children, tmp_path):
    found = tuner.timed(tmp_path, [1, CRASHES, 4, HANGS, FAILS, 8])
    assert found == {1: 9.0, 4: 6.0, 8: 2.0}
    assert [len(command) - 1 for command in fake_children] == [6, 5, 4], "the rest, without the culprit"


@pytest.mark.parametrize("culprit", [CRASHES_IN_ROUNDS, HANGS_IN_ROUNDS])
def test_schedule_that_faults_in_the_rounds_leaves_the_times_of_the_others(fake_children, tmp_path, culprit):
    assert tuner.timed(tmp_path, [1, culprit, 4]) == {1: 9.0, 4: 6.5}
    assert len(fake_children) == 1


def test_schedule_that_faults_before_all_are_timed_is_left_out(fake_children, tmp_path):
    assert tuner.timed(tmp_path, [1, CRASHES_IN_WARM_UP, 4]) == {1: 9.0, 4: 6.0}
    assert [len(command) - 1 for command in fake_children] == [3, 2]


def test_process_that_ends_after_a_failure_leaves_the_rest_to_another(fake_children, tmp_path):
    assert tuner.timed(tmp_path, [1, 4, FAILS_AND_ENDS]) == {1: 9.0, 4: 6.0}
    assert tuner.timed(tmp_path, [FAILS_AND_ENDS]) == {}


def test_process_that_never_comes_to_a_schedule_ends_it(fake_children, tmp_path):
    assert tuner.timed(tmp_path, [SILENT, 1]) == {}
    assert len(fake_children) == 1


def test_schedules_that_do_not_compile_are_not_timed(fake_children, monkeypatch):
    monkeypatch.setattr(tuner, "_cycles", lambda folder, numbers: {})
    candidates = [NvidiaSchedule(consumers=2, num_stages=1 + n % 8, length=1 + n) for n in range(9)]
    found = tuner.measure(causal().module, "attention", candidates, HOPPER, {})
    assert set(found) == {candidates[n] for n in (0, 1, 2, 4, 6, 8)}
    assert fake_children[-1][0] == "time"


def test_cycles_decide_where_they_are_counted(fake_children, monkeypatch):
    monkeypatch.setattr(tuner, "_cycles", lambda folder, numbers: {n: 100.0 + n for n in numbers})
    candidates = [NvidiaSchedule(consumers=2, num_stages=1), NvidiaSchedule(consumers=2, num_stages=2)]
    assert tuner.measure(causal().module, "attention", candidates, HOPPER, {}) == {
        candidates[0]: 100.0,
        candidates[1]: 101.0,
    }


def test_schedule_is_compiled_in_a_process(tmp_path):
    pytest.importorskip("triton")
    schedule = NvidiaSchedule(block_q=64, block_kv=32, num_warps=4, num_stages=2)
    x = aec.tensor(1, 1, "S", 16, dtype="f16")

    @aec.program(q=x, k=x, v=x)
    def small(q, k, v):
        return aec.attention(q, k, v)

    seen = {}

    def timed(folder, numbers):
        for number in numbers:
            artifact = tuner.NvidiaArtifact.from_bytes(tuner_child.binary(folder, number).read_bytes())
            seen[number] = artifact.manifest["pipeline"]
        return dict.fromkeys(numbers, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuner, "timed", timed)
        patch.setattr(tuner, "kernel_cycles", lambda command, names, timeout: [])
        refused = NvidiaSchedule(consumers=3, block_kv=256, num_stages=8, grid="tiles", waits="at-end")
        found = tuner.measure(small.module, "small", [schedule, refused], HOPPER, {})
    assert set(found) == {schedule}
    assert "block-q=64 block-kv=32" in seen[0]


def test_cycles_of_launches_are_those_of_their_schedules(tmp_path, monkeypatch):
    class Code:
        symbol = "f"

    class Artifact:
        def __init__(self):
            self.manifest = {"kernels": {"f": {}, "g": {}}}

        def code(self, name, form):
            return Code()

    monkeypatch.setattr(tuner.NvidiaArtifact, "from_bytes", lambda data: Artifact())
    for number in (2, 5):
        tuner_child.binary(tmp_path, number).touch()
    order = tuner_child.launch_order([2, 5])
    assert sorted(order) == [2, 2, 2, 5, 5, 5]
    counted = [cycles for number in order for cycles in (number, 10.0 * number)]
    monkeypatch.setattr(tuner, "kernel_cycles", lambda command, names, timeout: counted)
    assert tuner._cycles(tmp_path, [2, 5]) == {2: 22.0, 5: 55.0}
    monkeypatch.setattr(tuner, "kernel_cycles", lambda command, names, timeout: counted[:-1])
    assert tuner._cycles(tmp_path, [2, 5]) == {}
    limits = []
    monkeypatch.setattr(tuner, "kernel_cycles", lambda command, names, timeout: limits.append(timeout) or [])
    for count in (1, 256):
        for number in range(count):
            tuner_child.binary(tmp_path, number).touch()
        tuner._cycles(tmp_path, range(count))
    first, last = (limit - tuner.START_S for limit in limits)
    assert 256 * first == last > 0, "each launch has time"


# ---- what is kept --------------------------------------------------------------------------------------


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A card on which the last schedule is the fastest, and a cache of its own; what was measured."""
    measured = []

    def measure(module, entry, candidates, target, call):
        measured.append(list(candidates))
        return {each: 100.0 - n for n, each in enumerate(candidates)}

    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuner, "card_capability", lambda: (9, 0))
    monkeypatch.setattr(tuner, "current_card", lambda: (0, "a card"))
    monkeypatch.setattr(tuner, "measure", measure)
    return measured


def tune(program, **options):
    module = program.module
    with module.context:
        return tuner.tuned(module, "attention", NvidiaSchedule(**options), HOPPER, "3.6")


def test_fastest_is_kept_and_not_measured_again(card):
    best = tune(causal(), tune=3)
    assert best == card[0][-1]
    assert tune(causal(), tune=3) == best
    assert len(card) == 1


@pytest.mark.parametrize("change", [{"tune": 4}, {"length": 1024}, {"num_stages": 2}])
def test_what_was_asked_for_otherwise_is_measured_on_its_own(card, change):
    tune(causal(), tune=3)
    tune(causal(), **{"tune": 3, **change})
    assert len(card) == 2


def test_other_programs_and_cards_are_measured_on_their_own(card, monkeypatch):
    tune(causal(), tune=2)
    tune(causal(length=512), tune=2)
    monkeypatch.setattr(tuner, "current_card", lambda: (0, "another"))
    tune(causal(), tune=2)
    assert len(card) == 3


@pytest.mark.parametrize("damage", [b"", b"{}{", b'{"unknown": 1}', b'{"consumers": 9}'])
def test_damaged_entry_is_made_anew(card, damage):
    best = tune(causal(), tune=2)
    (entry,) = Path(open_cache().folder).glob("*.entry")
    open_cache().store(entry.stem, {"schedule": damage})
    assert tune(causal(), tune=2) == best
    entry.write_bytes(b"cut off")
    assert tune(causal(), tune=2) == best
    assert len(card) == 3


def test_card_where_nothing_runs_leaves_the_choice_to_the_model(card, monkeypatch):
    monkeypatch.setattr(tuner, "measure", lambda *_: {})
    assert tune(causal(), tune=2) == NvidiaSchedule()


def test_what_processes_complained_of_last_is_told_where_nothing_runs(fake_children):
    candidates = [NvidiaSchedule(consumers=2, num_stages=2 + n) for n in range(CRASHES)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuner, "_compile", lambda folder, n: tuner_child.binary(folder, CRASHES).touch())
        candidates.append(NvidiaSchedule(consumers=1))
        expected = "^no schedule could be timed, so that the model chooses: a fault$"
        with pytest.warns(RuntimeWarning, match=expected):
            assert tuner.measure(causal().module, "attention", candidates, HOPPER, {}) == {}


def test_program_without_attention_is_not_tuned(card):
    x = aec.tensor(4, dtype="f32")

    @aec.program(x=x)
    def attention(x):
        return x + x

    expected = "^tune=2 does nothing: the program has no attention, or recurrence in chunks$"
    with pytest.warns(RuntimeWarning, match=expected):
        assert tune(attention, tune=2) == NvidiaSchedule()
    assert card == []


def recurrent(batch="B", heads=16):
    """A recurrence with a decay for each key feature; the entry is called as those of the others."""
    x = aec.tensor(batch, heads, "T", 128, dtype="bf16")

    @aec.program(q=x, k=x, v=x, g=aec.tensor(batch, heads, "T", 128))
    def attention(q, k, v, g):
        return aec.recurrence(q, k, v, aec.recurrences.gla(g))

    return attention


def test_schedules_of_recurrences_are_measured(card):
    best = tune(recurrent(batch=1), tune=4)
    (candidates,) = card
    assert best == candidates[-1]
    assert len(candidates) == len(set(candidates)) == 4
    assert len({(each.chunk_value_block, each.chunk_stages) for each in candidates}) == 4
    assert all(each.chunk_value_block and each.chunk_stages for each in candidates)
    assert tune(recurrent(batch=1), tune=4) == best
    assert len(card) == 1, "what was found is kept"


def test_what_is_taken_untimed_is_measured_too(card):
    tune(recurrent(), tune=1)
    (candidates,) = card
    assert (64, 3) in {(each.chunk_value_block, each.chunk_stages) for each in candidates}


def test_recurrences_are_tuned_with_what_is_given(card):
    tune(recurrent(), tune=3, chunk_stages=2)
    assert {each.chunk_stages for each in card[0]} == {2}


def test_steps_one_after_the_other_are_not_tuned(card):
    with pytest.warns(RuntimeWarning, match="tune=2 does nothing"):
        tune(recurrent(), tune=2, chunk=1)
    assert card == []


def test_compile_takes_what_the_tuner_found_for_recurrences(card, monkeypatch):
    pytest.importorskip("triton")
    found = NvidiaSchedule(consumers=1, block_kv=16, num_stages=1, chunk_value_block=16, chunk_stages=1)
    monkeypatch.setattr(tuner, "measure", lambda *_: {found: 1.0})
    x = aec.tensor("B", 2, "T", 32, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.recurrence(q, k, v, aec.recurrences.linear_attention())

    kernel = aec.compile(attention, target="nvidia:sm_90", tune=2)
    pipeline = kernel.artifact.manifest["pipeline"]
    assert "chunk-value-block=16 chunk-stages=1" in pipeline


def test_another_card_than_the_target_is_refused(card, monkeypatch):
    monkeypatch.setattr(tuner, "card_capability", lambda: (8, 0))
    with pytest.raises(
        BackendError, match=r"expects a GPU of nvidia:sm_90 to tune on, got one of nvidia:sm_80$"
    ):
        tune(causal(), tune=2)


def test_machine_without_torch_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendError, match="expects a GPU that torch can use, to tune on"):
        tuner.current_card()


def test_schedules_are_timed_on_the_current_device(card, monkeypatch):
    calls = []
    monkeypatch.setattr(tuner, "current_card", lambda: (3, "a card"))
    monkeypatch.setattr(tuner, "measure", lambda *given: calls.append(given[-1]) or {})
    tune(causal(), tune=2)
    assert calls[0]["device"] == 3
    assert len(calls[0]["arguments"]) == 5


def test_compile_takes_what_the_tuner_found(card, monkeypatch):
    pytest.importorskip("triton")
    small = NvidiaSchedule(block_q=64, block_kv=16, num_warps=4, num_stages=1)
    monkeypatch.setattr(tuner, "measure", lambda *_: {small: 1.0})
    x = aec.tensor(1, 1, "S", 16, dtype="f16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v)

    kernel = aec.compile(attention, target="nvidia:sm_90", tune=2)
    assert "block-q=64 block-kv=16" in kernel.artifact.manifest["pipeline"]


# ---- calls ---------------------------------------------------------------------------------------------


def test_sizes_of_a_call_agree_and_have_the_length_that_was_asked_for():
    program = causal()
    with program.module.context:
        made = tuner.call_arguments(program.module, "attention", 2048)
    assert {each["value"] for each in made} == {2048}
    assert [(each["dtype"], each["shape"]) for each in made] == [
        *[("bf16", [8, 4, 2048, 64])] * 3,
        ("f32", [4]),
        ("i32", [8, 2048]),
    ]


def shapes(program, length):
    with program.module.context:
        return [each["shape"] for each in tuner.call_arguments(program.module, "attention", length)]


def test_sizes_of_operands_that_are_computed_are_those_of_their_arguments():
    x = aec.tensor("B", "H", "S", 64, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q * 2.0, k * 0.5, v * 1.5)

    assert shapes(attention, 1024) == [[16, 32, 1024, 64]] * 3


@pytest.mark.parametrize(("sequences", "batch"), [(0, 16), (3, 3)])
def test_sizes_of_a_call_of_a_recurrence(sequences, batch):
    program = recurrent()
    with program.module.context:
        made = tuner.call_arguments(program.module, "attention", 2048, sequences)
    assert [each["shape"] for each in made] == [[batch, 16, 2048, 128]] * 4


def test_heads_and_batches_that_are_not_known_are_those_of_the_model():
    q, x = (aec.tensor("B", "H", length, 24, dtype="bf16") for length in ("T", "S"))

    @aec.program(q=q, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v)

    (form,) = read_forms(attention.module, 4096)
    found = shapes(attention, 4096)
    assert found == [[4, 85, 4096, 24]] * 3
    assert form.shape.heads == 4 * 85


def test_one_row_of_each_sequence_has_no_more_keys_than_rows_else():
    q, x = (aec.tensor("B", 8, length, 64, dtype="bf16") for length in (1, "S"))

    @aec.program(q=q, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v)

    assert shapes(attention, 4096) == [[4, 8, 1, 64], *[[4, 8, 4096, 64]] * 2]


def test_batch_that_is_computed_is_refused():
    type_ = "tensor<?x2x?x16xf16>"
    double = "".join(
        f"%{name}{name} = tensor.concat dim(0) %{name}, %{name} : ({type_}, {type_}) -> {type_}\n"
        for name in "qkv"
    )
    text = TEXT.replace("(%q, %k, %v)", "(%qq, %kk, %vv)").replace("%o =", f"{double}%o =")
    module, _ = parse(text)
    with (
        module.context,
        pytest.raises(BackendError, match=r"'attn.attention' op expects the batch of q to be a size of an"),
    ):
        tuner.call_arguments(module, "attention", 1024)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A device that calls run on; those of 7 fail. What was called, and the device that was chosen."""
    torch = pytest.importorskip("torch")
    done = {"calls": [], "device": None}

    def call(number):
        done["calls"].append(number)
        if number == FAILS:
            raise ValueError("no room")

    monkeypatch.setattr(torch.cuda, "set_device", lambda device: done.update(device=device))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(tuner_child, "_call", lambda folder, number, _: functools.partial(call, number))
    monkeypatch.setattr(timing, "event_batch_ms", lambda call, count: count * float(call.args[0]))
    (tmp_path / tuner_child.CALL).write_text(json.dumps({"device": 3, "arguments": []}))
    return done


def test_child_says_what_it_times_and_how_long_it_takes(gpu, tmp_path, capsys):
    tuner_child.time_all(tmp_path, [2, FAILS, 4])
    out, errors = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    first, rounds = lines[:6], lines[6:-1]
    assert first == [{"begin": 2}, {"works": 2}, {"begin": 7}, {"failed": 7}, {"begin": 4}, {"works": 4}]
    assert lines[-1] == {"done": True}
    assert errors.splitlines()[-1] == "ValueError: no room"
    assert rounds[:4] == [*[{"timing": 2}] * 2, *[{"timing": 4}] * 2]
    for begin, end in zip(rounds[4::2], rounds[5::2], strict=True):
        assert end == {"number": begin["timing"], "ms": float(begin["timing"])}
    assert [each["number"] for each in rounds[5::2]].count(2) == len(rounds[5::2]) // 2
    assert gpu["device"] == 3


def test_child_launches_on_the_device_that_is_asked_for(gpu, tmp_path):
    tuner_child.launch_all(tmp_path, [2, 4])
    assert gpu["calls"] == tuner_child.launch_order([2, 4])
    assert gpu["device"] == 3


def test_integers_of_a_call_are_its_length():
    torch = pytest.importorskip("torch")
    given = [
        {"dtype": name, "shape": shape, "value": 4096}
        for name, shape in (
            ("i32", [3]),
            ("i8", [2]),
            ("i1", [2]),
            ("bf16", [2, 5]),
            ("i32", None),
            ("f32", None),
        )
    ]
    lengths, small, bits, numbers, integer, scalar = tuner_child.make_arguments(given, "cpu")
    assert (lengths.dtype, lengths.tolist()) == (torch.int32, [4096] * 3)
    assert small.tolist() == [127, 127]
    assert bits.tolist() == [True, True]
    assert (numbers.dtype, numbers.shape) == (torch.bfloat16, (2, 5))
    assert (integer, scalar) == (4096, 4096.0)


TEXT = """
func.func @attention(%q: tensor<?x2x?x16xf16>, %k: tensor<?x2x?x16xf16>, %v: tensor<?x2x?x16xf16>,
                     %n: i32) -> tensor<?x2x?x16xf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<?x2x?x16xf16>, tensor<?x2x?x16xf16>, tensor<?x2x?x16xf16>) -> tensor<?x2x?x16xf16>
  return %o : tensor<?x2x?x16xf16>
}
"""


def test_sizes_without_names_are_told_by_what_they_are_for():
    module, _ = parse(TEXT)
    with module.context:
        *tensors, number = tuner.call_arguments(module, "attention", 1024)
    assert [each["shape"] for each in tensors] == [[16, 2, 1024, 16]] * 3
    assert number == {"dtype": "i32", "shape": None, "value": 1024}


def test_options_are_those_of_the_schedule():
    schedule = dataclasses.replace(NvidiaSchedule(), consumers=2, waits="at-end")
    assert NvidiaSchedule(**json.loads(json.dumps(schedule.options))) == schedule
    assert backend.NvidiaBackend(HOPPER).schedule({"tune": 4, "length": 8192}).tune == 4
    with pytest.raises(ValueError, match="expects tune to be 1 to 256, or 0 for none, got -1"):
        NvidiaSchedule(tune=-1)
    with pytest.raises(ValueError, match="expects length to be 1 to"):
        NvidiaSchedule(length=-5)
