"""Arguments that calls update in the caller's memory, on a GPU that others stand in for."""

from __future__ import annotations

import pytest
from device_fakes import FakeTensor, Run
from example_files import load
from test_repeated_calls import Recorder, make
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.arrays import Argument
from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.backends.nvidia.recorded_call import Device, record
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError
from aecompiler.passes import rewriting as rw
from aecompiler.repeated_calls import RepeatedCalls

torch = pytest.importorskip("torch")

SHAPES = {
    "q": (3, 2, 1, 16),
    "k": (3, 2, 1, 16),
    "v": (3, 4, 1, 16),
    "gate": (3, 4, 1),
    "beta": (3, 4, 1),
    "state": (9, 4, 16, 16),
    "slots": (3,),
}


def plan_of(module):
    """The plan of a module of kernels."""
    with module.context:
        types = {
            rw.symbol_name(each): [
                str(type_)
                for type_ in ir.FunctionType(ir.TypeAttr(each.attributes["function_type"]).value).inputs
            ]
            for each in kir.kernels(module.operation)
        }
        host = next(view.operation for view in module.body.operations if view.operation.name == "func.func")
        return read_plan(host, types)


@pytest.fixture(scope="module")
def plan():
    """That of one step of the gated delta rule, whose pool is called state."""
    step = aec.compile(load("gated_delta_rule").build(), form="step", opt_level=0)
    with make_context():
        module, _ = step.inlined_program()
        return plan_of(Kernels(module, "").module)


def arguments(**others):
    return [others.get(name) or FakeTensor(shape) for name, shape in SHAPES.items()]


def test_the_updated_state_is_no_result(plan):
    assert [each["name"] for each in plan["results"]] == ["o"]
    assert {each["name"]: each["in_place"] for each in plan["arguments"] if "in_place" in each} == {
        "state": 1
    }


def test_the_kernel_writes_to_the_memory_of_the_argument(plan):
    state = FakeTensor(SHAPES["state"])
    run = Run(make_program(plan), kernel_names(plan), arguments(state=state), [None])
    assert not [each for each in run.events if each[0] in ("copy", "contiguous")]
    (launch,) = run.launches
    assert launch.values.count(state.address) == 1
    assert [each[1].shape for each in run.events if each[0] == "empty"] == [(3, 4, 1, 16)]


def test_what_a_function_says_that_it_updates_is_updated():
    text = """
      func.func @f(%x: tensor<4xf32> {attn.in_place = 0 : i64}) -> tensor<4xf32> {
        %y = arith.negf %x : tensor<4xf32>
        return %y : tensor<4xf32>
      }"""
    with make_context():
        module = ir.Module.parse(text)
    with pytest.raises(CompileError, match="expects result 0 to be 'arg0', updated in its memory"):
        plan_of(Kernels(module, "").module)


def test_a_recorded_call_is_looked_at_anew_where_the_state_overlaps_an_argument(plan):
    given = arguments()

    class Launcher:
        def ready(self, *_):
            return "launch"

    device = Device(silent_driver(), 0, 0, [Launcher()], lambda _: 0, lambda sizes, _: FakeTensor(sizes))
    recorded = record(device, make_program(plan), plan, given, [])
    addresses = [each.address for each in given]
    assert recorded.prepare(tuple(addresses)) is not None
    place = list(SHAPES).index("state")
    for other in (0, 5, 6):
        moved = list(addresses)
        if other != place:
            moved[other] = addresses[place] + 64
        assert (recorded.prepare(tuple(moved)) is None) == (other != place)


def silent_driver():
    """A driver that is not asked for anything."""

    class Driver:
        launch_kernel = None

    return Driver()


def test_repeated_calls_tell_autograd_of_the_write():
    given = [
        Argument("x", "tensor", (4,), "f32"),
        Argument("state", "tensor", (4,), "f32", in_place=0),
    ]
    calls = RepeatedCalls(given, Recorder())
    x, state = torch.zeros(4), torch.zeros(4)
    assert [make(calls, [x, state]) for _ in range(3)] == [False, False, True]
    before = state._version, x._version
    assert make(calls, [x, state])
    assert (state._version, x._version) == (before[0] + 1, before[1])


def test_states_of_inference_mode_are_looked_at_at_each_call():
    given = [Argument("state", "tensor", (4,), "f32", in_place=0)]
    calls = RepeatedCalls(given, Recorder())
    with torch.inference_mode():
        state = torch.zeros(4)
    assert [make(calls, [state]) for _ in range(4)] == [False] * 4
