"""One step of a recurrence for each request, with states in a pool that calls update."""

from __future__ import annotations

import numpy as np
import pytest
import triton_interpreter
from example_files import FOLDER, load
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

NAMES = sorted(
    path.stem
    for path in (FOLDER / "mlir").glob("*.mlir")
    if "attn.recurrence" in (text := path.read_text("utf-8")) and "%offsets" not in text
)
POSITIONS, SLOTS = 5, 9

demo = load("demo")


def pool_of(kernel):
    (argument,) = (each for each in kernel.arguments if each.in_place is not None)
    return argument


def requests(name, dtype="f32"):
    """A program, its one-step kernel, what its kernel for sequences gives, and the arguments of each step."""
    module = load(name)
    program = module.build(dtype=dtype)
    step, sequence = aec.compile(program, form="step"), aec.compile(program)
    values = demo.draw(sequence, getattr(module, "inputs", {}), {"B": 3, "T": POSITIONS})
    axes = {
        argument.name: argument.shape.index("T") for argument in sequence.arguments if "T" in argument.shape
    }
    steps = []
    for t in range(POSITIONS):
        given = {key: value for key, value in values.items() if key != pool_of(step).name}
        for key, axis in axes.items():
            given[key] = np.take(given[key], [t], axis)
        steps.append(given)
    return step, values, sequence, steps


def first_pool(step, values, slots):
    """States of other requests beside those of `slots`."""
    argument = pool_of(step)
    pool = np.random.default_rng(1).standard_normal((SLOTS, *argument.shape[1:])).astype(np.float32)
    for row, slot in enumerate(slots):
        if 0 <= slot < SLOTS:
            pool[slot] = values[argument.name][row] if argument.name in values else 0.0
    return pool


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_one_after_the_other_are_the_sequence(name, dtype):
    step, values, sequence, steps = requests(name, dtype)
    slots = np.array([7, 0, 4], np.int32)
    pool = first_pool(step, values, slots)
    before = pool.copy()
    outputs = [step(**given, **{pool_of(step).name: pool}, slots=slots) for given in steps]
    want_o, want_final, *_ = sequence.evaluate_reference(**values)
    got_o = np.concatenate([np.asarray(each, np.float64) for each in outputs], axis=2)
    tolerance = {"f32": 1e-5, "bf16": 2e-2}[dtype]
    np.testing.assert_allclose(got_o, want_o, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(pool[slots], want_final, rtol=1e-5, atol=1e-5)
    others = [n for n in range(SLOTS) if n not in slots]
    np.testing.assert_array_equal(pool[others], before[others])


@pytest.mark.parametrize("name", NAMES)
def test_kernels_for_gpus_take_the_same_steps(name):
    """Interpreted: a read or a write of anything but a state that a request has fails."""
    step, values, _, steps = requests(name)
    slots = np.array([7, -1, SLOTS], np.int32)
    pool = first_pool(step, values, slots)
    with make_context():
        module, _ = step.inlined_program()
        kernels = Kernels(module, "step-value-block=4")
    order = [argument.name for argument in step.arguments]
    for given in steps:
        given = {**given, pool_of(step).name: pool, "slots": slots}
        o, updated = triton_interpreter.run(kernels.module, step.name, [given[each] for each in order])
        want_o, want_pool = step.evaluate_reference(**given)
        np.testing.assert_allclose(o, want_o, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(updated, want_pool, rtol=1e-5, atol=1e-5)
        assert not np.any(np.asarray(o)[1:])
        pool = np.asarray(updated)


@pytest.mark.parametrize("slot", [-1, -(2**31), SLOTS, 2**31 - 1])
def test_a_slot_that_the_pool_has_not_is_padding(slot):
    step, values, _, (given, *_) = requests("gated_delta_rule")
    slots = np.array([2, slot, 3], np.int32)
    pool = first_pool(step, values, slots)
    want_o, want_pool = step.evaluate_reference(**given, state=pool, slots=slots)
    before = pool.copy()
    o = step(**given, state=pool, slots=slots)
    np.testing.assert_allclose(o, want_o, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pool, want_pool, rtol=1e-5, atol=1e-5)
    assert not o[1].any()
    np.testing.assert_array_equal(pool[[0, 1, 4]], before[[0, 1, 4]])


def test_no_requests_and_an_empty_pool():
    step, values, _, (given, *_) = requests("gla")
    pool = first_pool(step, values, [])
    nobody = {key: value[:0] for key, value in given.items()}
    assert step(**nobody, state=pool, slots=np.empty(0, np.int32)).shape[0] == 0
    o = step(**given, state=pool[:0], slots=np.zeros(3, np.int32))
    assert not o.any()


def test_a_pool_of_any_strides_is_updated_where_it_is():
    step, values, _, (given, *_) = requests("gla")
    slots = np.array([5, 1, 2], np.int32)
    pool = first_pool(step, values, slots)
    wide = np.zeros((SLOTS, 2 * pool.shape[1], *pool.shape[2:]), np.float32)
    view = wide[:, ::2]
    view[...] = pool
    step(**given, state=pool, slots=slots)
    step(**given, state=view, slots=slots)
    np.testing.assert_array_equal(view, pool)
    assert not wide[:, 1::2].any()


def test_torch_tensors_are_updated_and_autograd_knows():
    torch = pytest.importorskip("torch")
    step, values, _, (given, *_) = requests("gla")
    slots = np.array([5, 1, 2], np.int32)
    pool = first_pool(step, values, slots)
    tensors = {key: torch.from_numpy(value) for key, value in given.items()}
    state = torch.from_numpy(pool.copy())
    version = state._version
    o = step(**tensors, state=state, slots=torch.from_numpy(slots))
    np.testing.assert_array_equal(o.numpy(), step(**given, state=pool, slots=slots))
    np.testing.assert_array_equal(state.numpy(), pool)
    assert state._version > version


def test_out_and_check():
    step, values, _, (given, *_) = requests("gla")
    slots = np.array([5, 1, 2], np.int32)
    pool = first_pool(step, values, slots)
    report = aec.check(step, **given, state=pool, slots=slots)
    assert [each.name for each in report.results] == ["o", "state"]
    assert report.max_rel_error < 1e-5
    np.testing.assert_array_equal(pool, first_pool(step, values, slots))
    out = np.empty((3, 4, 1, values["v"].shape[3]), np.float32)
    assert step(**given, state=pool, slots=slots, out=out) is out


def arguments_of(step, values, given):
    slots = np.array([5, 1, 2], np.int32)
    return {**given, "state": first_pool(step, values, slots), "slots": slots}


MISTAKES = {
    "slots of another type": (
        lambda each: {"slots": each["slots"].astype(np.int64)},
        TypeError,
        "argument 'slots': expects dtype i32, got int64",
    ),
    "too few slots": (
        lambda each: {"slots": each["slots"][:2]},
        ValueError,
        "q.shape\\[0\\] and slots.shape\\[0\\]",
    ),
    "two positions": (
        lambda each: {"q": np.repeat(each["q"], 2, 2)},
        ValueError,
        "argument 'q': expects size 1 in dimension 2",
    ),
    "a pool of other features": (
        lambda each: {"state": each["state"][..., :5]},
        ValueError,
        "argument 'state': expects size 16 in dimension 3",
    ),
    "a pool of another type": (
        lambda each: {"state": each["state"].astype(np.float64)},
        TypeError,
        "argument 'state': expects dtype f32, got float64",
    ),
    "a pool that may not be written": (
        lambda each: {"state": np.broadcast_to(each["state"][:1], each["state"].shape)},
        ValueError,
        "argument 'state': expects an array that may be written to, got a read-only one",
    ),
    "a pool whose states share memory": (
        lambda each: {
            "state": np.lib.stride_tricks.as_strided(
                each["state"], each["state"].shape, (0, *each["state"].strides[1:]), writeable=True
            )
        },
        ValueError,
        "argument 'state': expects an array with memory of its own for each element, got strides \\(0, 256, ",
    ),
    "a pool that goes backwards": (
        lambda each: {"state": each["state"][::-1]},
        ValueError,
        "argument 'state': expects an array that can be updated in place, got negative strides",
    ),
    "a pool at an odd address": (
        lambda each: {
            "state": np.frombuffer(bytearray(each["state"].nbytes + 1), np.uint8)[1:]
            .view(np.float32)
            .reshape(each["state"].shape)
        },
        ValueError,
        "argument 'state': expects an array that can be updated in place, got elements that are not aligned",
    ),
    "a pool that is negated lazily": (
        lambda each: {"state": pytest.importorskip("torch").from_numpy(each["state"])._neg_view()},
        ValueError,
        "argument 'state': expects an array that can be updated in place, got one that is negated lazily",
    ),
    "a pool that is no array": (
        lambda each: {"state": [1.0]},
        TypeError,
        "argument 'state': expects a numpy",
    ),
    "a pool that another argument is of": (
        lambda each: {"q": each["state"][:3, :, :1, :16]},
        ValueError,
        "argument 'state': expects an array to update that overlaps no other argument, got one that overlaps "
        "argument 'q'",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    step, values, _, (given, *_) = requests("gated_retention")
    good = arguments_of(step, values, given)
    change, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        step(**{**good, **change(good)})


def test_the_reference_names_slots_that_are_not_as_many_as_requests():
    step, values, _, (given, *_) = requests("gated_retention")
    good = arguments_of(step, values, given)
    message = "'attn.recurrence_step' op expects equal batch sizes of q and slots, got 3 and 2"
    with pytest.raises(ValueError, match=message):
        step.evaluate_reference(**{**good, "slots": good["slots"][:2]})


def test_results_do_not_overlap_the_pool():
    step, values, _, (given, *_) = requests("gated_retention")
    good = arguments_of(step, values, given)
    out = good["state"].reshape(-1)[: 3 * 4 * 16].reshape(3, 4, 1, 16)
    with pytest.raises(ValueError, match="expects an array that does not overlap argument 'state'"):
        step(**good, out=out)


def test_programs_without_a_recurrence_have_no_steps():
    with pytest.raises(
        aec.CompileError, match="expects a recurrence in a program of which one step is compiled"
    ):
        aec.compile(load("softmax").build(), form="step")
    with pytest.raises(ValueError, match="expects form to be one of sequence, step, got 'steps'"):
        aec.compile(load("gla").build(), form="steps")


@pytest.mark.parametrize(
    ("target", "options"),
    [("cpu", {"chunk": 64}), ("amd:gfx942", {"chunk": 1}), ("nvidia:sm_90", {"chunk_stages": 2})],
)
def test_options_of_chunks_are_refused_for_a_step(target, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"expects {name} to be 0 with form='step', which computes one pos"):
        aec.compile(load("retnet").build(), target=target, form="step", **options)


def test_work_around_the_recurrence_is_done_for_each_step():
    x = aec.tensor("B", 2, "T", 8)

    @aec.program(q=x, k=x, v=x, gate=x)
    def gated(q, k, v, gate):
        unit = k * aec.rsqrt((k * k).sum(-1, keepdims=True) + 1e-6)
        o, _ = aec.recurrence(q * 0.25, unit, v, aec.recurrences.linear_attention())
        return o * aec.sigmoid(gate)

    step, sequence = aec.compile(gated, form="step"), aec.compile(gated)
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((2, 2, 4, 8)).astype(np.float32) for name in ("q", "k", "v", "gate")}
    state, slots = np.zeros((3, 2, 8, 8), np.float32), np.array([2, 0], np.int32)
    outputs = [
        step(**{key: value[:, :, t : t + 1] for key, value in values.items()}, state=state, slots=slots)
        for t in range(4)
    ]
    np.testing.assert_allclose(np.concatenate(outputs, 2), sequence(**values), rtol=1e-5, atol=1e-5)


def test_a_program_as_text_names_its_arguments():
    text = (FOLDER / "mlir" / "retnet.mlir").read_text("utf-8").replace(', attn.name = "q"', "")
    step = aec.compile(text, form="step")
    assert [argument.name for argument in step.arguments] == ["q", "k", "v", "initial", "slots"]
    with make_context():
        ir.Module.parse(text)
