"""Kernels for classes of lengths: which programs have several, and which one a call runs."""

from __future__ import annotations

import threading

import pytest
from device_fakes import FakeDriver, FakeTensor
from test_nvidia_launch import MANIFEST, code, torch_stand_in  # noqa: F401  (a fixture)

import aecompiler as aec
from aecompiler.backends.nvidia.artifact import ALIGNED, PROGRAM, UNALIGNED, NvidiaArtifact
from aecompiler.backends.nvidia.launch import CudaExecutable
from aecompiler.backends.nvidia.program_facts import queries_place
from aecompiler.errors import BackendError

# ---- which a call runs -------------------------------------------------------------------------------


SHORT = {"argument": 0, "dimension": 0, "others": [1024]}


def artifact(name, lengths=SHORT, **others):
    """Its code has a name of its own; by default calls of about 1024 rows have another artifact."""
    lengths = {**lengths, "schedule": {}}
    return NvidiaArtifact.make(
        {**MANIFEST, "entry": name, **({"lengths": lengths} if others else {})},
        {("k", form): f"text {form}" for form in (ALIGNED, UNALIGNED)},
        {("k", ALIGNED): code(name)},
        {PROGRAM: b"bytecode"},
        **others,
    )


def call(executable, rows):
    executable([FakeTensor((rows, 8)), FakeTensor((rows, 2)), 0.5], [None])


def loaded(found):
    return [binary.decode().removeprefix("cubin ") for _, binary, *_ in found.loaded]


def test_a_call_runs_the_kernel_of_its_length():
    asked = []

    def compile_class(made, named):
        asked.append((made.entry, named))
        return artifact("short")

    found = FakeDriver()
    run = CudaExecutable(artifact("usual", compile_class=compile_class), lambda: found)
    call(run, 4096)
    assert (loaded(found), asked) == (["usual"], [])
    for rows in (0, 1, 1000, 2047, 1500):
        call(run, rows)
    assert loaded(found) == ["usual", "short"]
    assert asked[:1] == [("usual", {"length": 1024})]
    for rows in (2048, 100_000):
        call(run, rows)
    assert loaded(found) == ["usual", "short"]
    functions = [launch[0] for launch in found.launches]
    assert functions == [1001, 1002, 1002, 1002, 1002, 1001, 1001]  # nothing is launched for no rows


def test_a_recorded_call_runs_the_kernel_of_its_length():
    found = FakeDriver()
    run = CudaExecutable(artifact("usual", compile_class=lambda *_: artifact("short")), lambda: found)
    for rows in (4096, 1000):
        arguments = [FakeTensor((rows, 8)), FakeTensor((rows, 2)), 0.5]
        run(arguments, [None])
        recorded = run.record(arguments, [])
        recorded.launch(recorded.prepare((arguments[0].address, arguments[1].address)))
    assert [launch[0] for launch in found.launches] == [1001, 1001, 1002, 1002]


def test_a_length_is_compiled_once_by_several_threads():
    asked = []

    def compile_class(made, named):
        asked.append(named)
        return artifact("short")

    found = FakeDriver()
    run = CudaExecutable(artifact("usual", compile_class=compile_class), lambda: found)
    threads = [threading.Thread(target=call, args=(run, 1000)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert asked == [{"length": 1024}]
    assert loaded(found) == ["short"]


@pytest.mark.parametrize("lengths", [{"few": {"argument": 1, "dimension": 0, "most": 64}}, SHORT])
def test_other_calls_do_not_wait_for_what_is_compiled(lengths):
    begun, may_end = threading.Event(), threading.Event()

    def compile_class(made, named):
        begun.set()
        assert may_end.wait(timeout=60)
        return artifact("slow")

    found = FakeDriver()
    run = CudaExecutable(artifact("usual", lengths, compile_class=compile_class), lambda: found)
    slow, usual = (threading.Thread(target=call, args=(run, rows), daemon=True) for rows in (1, 4096))
    slow.start()
    assert begun.wait(timeout=60)
    usual.start()
    usual.join(timeout=60)
    assert loaded(found) == ["usual"]
    may_end.set()
    slow.join()
    assert loaded(found) == ["usual", "slow"]


def test_calls_with_few_queries_run_a_kernel_of_their_own():
    asked = []

    def compile_class(made, named):
        asked.append(named)
        return artifact("few")

    few = {"few": {"argument": 1, "dimension": 0, "most": 64}}
    made = artifact("usual", few, compile_class=compile_class)
    found = FakeDriver()
    run = CudaExecutable(made, lambda: found)
    for queries in (65, 64, 1, 65):
        run([FakeTensor((queries, 8)), FakeTensor((queries, 2)), 0.5], [None])
    assert loaded(found) == ["usual", "few"]
    assert asked == [{"queries": 64}]
    assert [launch[0] for launch in found.launches] == [1001, 1002, 1002, 1001]


def test_what_can_not_be_compiled_runs_by_the_usual_kernel():
    def compile_class(made, named):
        raise BackendError("no Triton here")

    found = FakeDriver()
    run = CudaExecutable(artifact("usual", compile_class=compile_class), lambda: found)
    call(run, 100)
    call(run, 100)
    assert loaded(found) == ["usual"]


# ---- which programs have several ---------------------------------------------------------------------


def causal(length="S", features=128, scale=1.0, queries=None):
    x = aec.tensor("B", 16, length, features, dtype="bf16")
    q = aec.tensor("B", 64, queries, features, dtype="bf16") if queries else x

    @aec.program(q=q, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(
            q * scale if scale != 1 else q, k, v, score=aec.scores.scale(), mask=aec.masks.causal()
        )

    return attention


def test_programs_of_any_length_say_for_which_they_are_compiled_again():
    pytest.importorskip("triton")
    made = aec.compile(causal(), target="nvidia:sm_90").artifact
    lengths = made.manifest["lengths"]
    assert (lengths["argument"], lengths["dimension"]) == (1, 2)
    assert 1024 in lengths["others"]
    short = made.for_class(length=1024)
    named = aec.compile(causal(), target="nvidia:sm_90", length=1024).artifact
    assert short.manifest["pipeline"] == named.manifest["pipeline"] != made.manifest["pipeline"]
    assert "lengths" not in short.manifest
    whole = made.complete()
    assert "lengths" not in whole.manifest
    assert PROGRAM not in whole.files


@pytest.mark.parametrize(
    ("program", "options"),
    [
        (causal(length=1000), {}),
        (causal(), {"length": 4096}),
        (causal(), {"block_q": 64, "block_kv": 64, "num_warps": 4, "num_stages": 2}),
    ],
    ids=["sizes in types", "a length", "a whole schedule"],
)
def test_programs_with_one_choice_say_nothing(program, options):
    pytest.importorskip("triton")
    made = aec.compile(program, target="nvidia:sm_90", **options).artifact
    assert "lengths" not in made.manifest
    assert PROGRAM not in made.files


def test_programs_with_a_number_of_queries_of_their_own_are_compiled_again_for_few():
    pytest.importorskip("triton")
    made = aec.compile(causal(queries="Sq", features=64), target="nvidia:sm_90", tanh="library").artifact
    assert made.manifest["lengths"]["few"] == {"argument": 0, "dimension": 2, "most": 64}
    assert made.manifest["lengths"]["schedule"] == {"tanh": "library"}
    few = made.for_class(queries=64)
    assert "pack-heads=true split-programs=132" in few.manifest["pipeline"]
    assert "lengths" not in few.manifest
    assert len(few.manifest["kernels"]) == 2


def test_few_queries_have_roles_where_features_are_no_power_of_two():
    pytest.importorskip("triton")
    made = aec.compile(causal(features=96), target="nvidia:sm_90", queries=1).artifact
    assert "consumers=1" in made.manifest["pipeline"]
    assert "pack-heads=true split-programs=132" in made.manifest["pipeline"]


@pytest.mark.parametrize("program", [causal(), causal(queries=70), causal(queries="Sq", scale=2.0)])
def test_programs_without_such_a_number_have_no_kernel_for_few_queries(program):
    """It may be that of keys, stand in a type, or be that of a tensor that is computed."""
    assert queries_place(program.module, "attention") is None


def test_numbers_of_queries_are_those_of_an_argument():
    assert queries_place(causal(queries="Sq").module, "attention") == (0, 2)
    assert queries_place(causal(queries="Sq", length=100).module, "attention") == (0, 2)
