"""Recorded calls launch what the host program would launch, or say that they don't."""

from __future__ import annotations

import threading

import pytest
from device_fakes import FakeDriver, FakeTensor
from test_host_plan import plan_of
from test_host_views import VIEWS, of
from test_nvidia_descriptors import PARAMETERS as DESCRIBED
from test_nvidia_descriptors import plan as described_plan
from test_nvidia_launch import MANIFEST, artifact, code, executable, torch_stand_in  # noqa: F401  (a fixture)

from aecompiler.backends.gpu import launch
from aecompiler.backends.gpu.host_program import make_program
from aecompiler.backends.nvidia.artifact import ALIGNED, UNALIGNED, NvidiaArtifact
from aecompiler.backends.nvidia.recorded_call import Device, record
from aecompiler.errors import BackendError


def described_artifact():
    kernels = {"k": {"parameters": DESCRIBED, "num_warps": 4, "num_stages": 3, "stage": "ttgir"}}
    manifest = {**MANIFEST, "entry": "f", "plan": described_plan(), "kernels": kernels}
    return NvidiaArtifact.make(manifest, {}, {("k", ALIGNED): code(ALIGNED)})


PROGRAMS = {
    "pointers": lambda: (FakeDriver(), artifact(), [FakeTensor((3, 8)), FakeTensor((3, 2)), 0.5]),
    "descriptors": lambda: (
        FakeDriver(parameters=DESCRIBED),
        described_artifact(),
        [FakeTensor((2, 5, 128)), FakeTensor((2, 5, 8))],
    ),
}
RESULTS = {"pointers": (3, 8), "descriptors": (2, 5, 32)}


def addresses(arguments, results=()):
    return tuple(each.address for each in (*arguments, *results) if isinstance(each, FakeTensor))


def moved(arguments):
    """The same arguments, with tensors elsewhere."""
    return [
        FakeTensor(each.shape, each.strides) if isinstance(each, FakeTensor) else each for each in arguments
    ]


@pytest.mark.parametrize("name", VIEWS)
def test_programs_with_views_are_not_recorded(name):
    body, arguments, result, shape, _ = VIEWS[name]
    plan = plan_of(f"func.func @f({arguments}) -> {result} {{\n{body}\n  return %r : {result}\n}}")
    device = Device(None, 0, 0, [], lambda _: 0, lambda *_: None)
    assert record(device, make_program(plan), plan, [of(shape), 2], []) is None


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("is_given", [False, True])
def test_a_recorded_call_launches_what_the_host_program_launches(name, is_given):
    found, made, arguments = PROGRAMS[name]()
    run = executable(found, made)
    given = [FakeTensor(RESULTS[name])] if is_given else []
    run(arguments, given or [None])
    recorded = run.record(arguments, given)
    for _ in range(3):
        others, results = moved(arguments), moved(given)
        prepared = recorded.prepare(addresses(others, results))
        recorded.launch(prepared)
        repeated = last_launch(found)
        assert [each.shape for each in prepared.results] == ([] if is_given else [RESULTS[name]])
        run(others, results or prepared.results)
        assert last_launch(found) == repeated


def last_launch(found):
    """The last launch, but for where its parameters stand and the numbers of maps."""
    return found.launches[-1][:-1], [slot if len(slot) == 8 else "map" for slot in found.slots]


def test_a_recorded_call_describes_tensors_where_they_are():
    found, made, arguments = PROGRAMS["descriptors"]()
    run = executable(found, made)
    run(arguments, [None])
    recorded = run.record(arguments, [])
    others = moved(arguments)
    prepared = recorded.prepare(addresses(others))
    described = [others[0], *prepared.results]
    assert [each["address"] for each in found.encoded[-2:]] == list(addresses(described))
    count = len(found.encoded)
    recorded.launch(prepared)
    assert [each for each in found.slots if len(each) == 128] == [
        bytes([number]) + bytes(127) for number in (count - 1, count)
    ]


def test_memory_between_launches_is_allocated_at_each_call():
    plan = {**MANIFEST["plan"]}
    plan["types"] = [*plan["types"], plan["types"][-1]]
    plan["labels"] = [*plan["labels"], None]
    *first, alloc, launched = plan["body"]
    between = [{**alloc, "results": [7], "output": None}, {**launched, "arguments": [0, 7, 3, 2]}]
    plan["body"] = [*first, *between, alloc, {**launched, "arguments": [7, 6, 3, 2]}]
    made = NvidiaArtifact.make({**MANIFEST, "plan": plan}, {}, {("k", ALIGNED): code(ALIGNED)})
    found, arguments = FakeDriver(), [FakeTensor((3, 8)), FakeTensor((3, 2)), 0.5]
    run = executable(found, made)
    run(arguments, [None])
    recorded = run.record(arguments, [])
    prepared = recorded.prepare(addresses(arguments))
    (result,), (between, last) = prepared.results, prepared.memory
    assert result is last
    read = []
    for launches in (prepared.launches[:1], prepared.launches[1:]):
        recorded.launch(prepared._replace(launches=launches))
        read.append(found.values(found._parameters))
    assert read == [
        [arguments[0].address, 8, between.address, 8, 3, 0.5],
        [between.address, 8, result.address, 8, 3, 0.5],
    ]


def test_launches_for_known_addresses_are_made_once():
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8))]
    run(arguments, given)
    recorded = run.record(arguments, given)
    first, second = (recorded.prepare(addresses(arguments, given)) for _ in range(2))
    assert first.launches is second.launches
    assert recorded.prepare(addresses(moved(arguments), given)).launches is not first.launches


def test_a_recorded_call_runs_on_the_stream_that_is_current_then(monkeypatch):
    stream = [40]
    monkeypatch.setattr(launch, "current_stream", lambda: lambda index: stream[0])
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8))]
    run(arguments, given)
    recorded = run.record(arguments, given)
    for current in (40, 41, 40):
        stream[0] = current
        recorded.launch(recorded.prepare(addresses(arguments, given)))
    assert [each[4] for each in found.launches] == [40, 40, 41, 40]


def test_a_recorded_call_makes_the_context_current():
    found, made, arguments = PROGRAMS["pointers"]()
    run = executable(found, made)
    run(arguments, [None])
    recorded = run.record(arguments, [])
    found.pushed.clear()
    recorded.launch(recorded.prepare(addresses(arguments)))
    assert found.pushed == [100]
    found.context_now = 100
    recorded.launch(recorded.prepare(addresses(arguments)))
    assert found.pushed == [100]


def test_a_recorded_call_belongs_to_the_device_of_its_tensors():
    found, made, _ = PROGRAMS["pointers"]()
    run = executable(found, made)
    for index in (0, 1):
        arguments = [FakeTensor((3, 8), device_index=index), FakeTensor((3, 2), device_index=index), 0.5]
        run(arguments, [None])
        prepared = (recorded := run.record(arguments, [])).prepare(addresses(arguments))
        recorded.launch(prepared)
        assert [each.device_index for each in prepared.results] == [index]
        assert found.launches[-1] == (*found.launches[-2][:5], found.launches[-1][5])


@pytest.mark.parametrize("wrong", [0, (1 << 20) + 4])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_tensors_that_have_no_memory_or_are_not_aligned_are_looked_at_anew(position, wrong):
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8))]
    run(arguments, given)
    recorded = run.record(arguments, given)
    at = list(addresses(arguments, given))
    at[position] = wrong
    assert recorded.prepare(tuple(at)) is None


def test_results_that_overlap_an_argument_or_each_other_are_looked_at_anew():
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8))]
    run(arguments, given)
    recorded = run.record(arguments, given)
    x, y = addresses(arguments)
    for result, is_apart in ((x, False), (x + 80, False), (x - 80, False), (x + 96, True), (x - 96, True)):
        assert (recorded.prepare((x, y, result)) is not None) == is_apart
    assert recorded.prepare((x, x, y)) is not None, "arguments may overlap"


@pytest.mark.parametrize("strides", [(640, 1, 5), (129 * 5, 129, 1)])
def test_calls_that_copy_tensors_are_not_recorded(strides):
    found, made, (x, w) = PROGRAMS["descriptors"]()
    run = executable(found, made)
    given = [FakeTensor(x.shape, strides), w]
    run(given, [None])
    assert run.record(given, []) is None


def test_calls_that_copy_results_are_not_recorded():
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8), (1, 3))]
    run(arguments, given)
    assert run.record(arguments, given) is None


def test_strides_that_are_not_aligned_take_the_form_for_them():
    found = FakeDriver()
    run = executable(found, artifact(lambda made, kernel, form: code(form)))
    arguments = [FakeTensor((3, 8), (9, 1)), FakeTensor((3, 2)), 0.5]
    run(arguments, [None])
    recorded = run.record(arguments, [])
    recorded.launch(recorded.prepare(addresses(arguments)))
    assert [each[1] for each in found.loaded] == [f"cubin {UNALIGNED}".encode()]
    assert found.values(found._parameters)[1] == 9


def test_an_empty_grid_launches_nothing():
    found, made, _ = PROGRAMS["pointers"]()
    run = executable(found, made)
    arguments = [FakeTensor((0, 8)), FakeTensor((0, 2)), 0.5]
    run(arguments, [None])
    prepared = run.record(arguments, []).prepare(addresses(arguments))
    assert prepared.launches == ()
    assert prepared.results[0].shape == (0, 8)


def test_refusal_of_the_driver_names_the_kernel():
    found, made, arguments = PROGRAMS["pointers"]()
    run = executable(found, made)
    run(arguments, [None])
    recorded = run.record(arguments, [])
    found.answer = 9
    with pytest.raises(BackendError, match="kernel 'k' can't be launched: CUDA_ERROR_FAKE"):
        recorded.launch(recorded.prepare(addresses(arguments)))


def test_recorded_calls_in_threads_do_not_mix_their_parameters():
    barrier, one_at_a_time, launched = threading.Barrier(2), threading.Lock(), set()

    class Slow(FakeDriver):
        def launch_kernel(self, *how):
            if is_recorded:
                barrier.wait(timeout=20)  # both calls are ready, and neither is launched
            with one_at_a_time:
                answer = super().launch_kernel(*how)
                launched.add((threading.get_ident(), self.values(self._parameters)[0]))
            return answer

    is_recorded = False
    run = executable(Slow())
    arguments = [FakeTensor((3, 8)), FakeTensor((3, 2)), 0.5]
    run(arguments, [None])
    recorded, is_recorded, wanted = run.record(arguments, []), True, set()
    launched.clear()

    def work():
        for _ in range(5):
            others = moved(arguments)
            wanted.add((threading.get_ident(), others[0].address))
            recorded.launch(recorded.prepare(addresses(others)))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert launched == wanted
    assert len(wanted) == 10


def test_memory_of_launches_is_bounded(monkeypatch):
    from aecompiler.backends.nvidia import recorded_call

    monkeypatch.setattr(recorded_call, "_MOST_READY", 4)
    found, made, arguments = PROGRAMS["pointers"]()
    run, given = executable(found, made), [FakeTensor((3, 8))]
    run(arguments, given)
    recorded = run.record(arguments, given)
    for _ in range(10):
        others = moved(arguments)
        recorded.launch(recorded.prepare(addresses(others, given)))
        assert found.values(found._parameters)[2] == given[0].address
    assert len(recorded._ready) == 4
