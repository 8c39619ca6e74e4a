"""One step of recurrences on a GPU: against sequences, captured in graphs, in pools of any strides."""

from __future__ import annotations

import pytest
from test_decode import NAMES, first_pool, pool_of, requests

import aecompiler as aec

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.cuda


def on_gpu(values):
    """Arguments as tensors of the GPU, by name."""
    import ml_dtypes

    found = {}
    for name, value in values.items():
        narrow = value.dtype == ml_dtypes.bfloat16
        tensor = torch.from_numpy(value.view("int16") if narrow else value.copy()).cuda()
        found[name] = tensor.view(torch.bfloat16) if narrow else tensor
    return found


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_one_after_the_other_are_the_sequence(name, dtype):
    from example_files import load

    step, values, sequence, steps = requests(name, dtype)
    kernel = aec.compile(load(name).build(dtype=dtype), target="cuda", form="step")
    slots = torch.tensor([7, 0, 4], dtype=torch.int32, device="cuda")
    pool = torch.from_numpy(first_pool(step, values, slots.tolist())).cuda()
    before = pool.clone()
    want_o, want_final, *_ = sequence.evaluate_reference(**values)
    outputs = [kernel(**on_gpu(given), **{pool_of(step).name: pool}, slots=slots) for given in steps]
    got = torch.cat(outputs, dim=2).double().cpu().numpy()
    tolerance = {"f32": 1e-4, "bf16": 2e-2}[dtype]
    assert abs(got - want_o).max() <= tolerance * max(1.0, abs(want_o).max())
    assert abs(pool[slots.long()].cpu().numpy() - want_final).max() <= 1e-4 * max(1.0, abs(want_final).max())
    others = [1, 2, 3, 5, 6, 8]
    assert torch.equal(pool[others], before[others])


@pytest.fixture(scope="module")
def decode():
    """The kernel of one step of the gated delta rule, its arguments, and a pool."""
    from example_files import load

    step, values, _, (given, *_) = requests("gated_delta_rule")
    kernel = aec.compile(load("gated_delta_rule").build(), target="cuda", form="step")
    return kernel, on_gpu(given), torch.from_numpy(first_pool(step, values, [0, 1, 2])).cuda()


def test_a_slot_that_the_pool_has_not_is_padding(decode):
    kernel, given, pool = decode
    for slot in (-1, len(pool), 2**31 - 1, -(2**31)):
        state = pool.clone()
        o = kernel(**given, state=state, slots=torch.tensor([2, slot, 1], dtype=torch.int32, device="cuda"))
        assert not o[1].any()
        assert o[0].any()
        assert torch.equal(state[[0, 3, 4, 5, 6, 7, 8]], pool[[0, 3, 4, 5, 6, 7, 8]])


def test_graphs_and_repeated_calls_update_the_state(decode):
    kernel, given, pool = decode
    slots = torch.tensor([2, 0, 1], dtype=torch.int32, device="cuda")
    want, state, captured = pool.clone(), pool.clone(), pool.clone()
    results = [
        kernel(**{key: value.clone() for key, value in given.items()}, state=want, slots=slots.clone())
    ]
    results += [kernel(**given, state=want, slots=slots) for _ in range(4)]
    version = state._version
    for number, result in enumerate(results):
        assert torch.equal(kernel(**given, state=state, slots=slots), result)
        assert state._version == version + number + 1
    assert torch.equal(state, want)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        o = kernel(**given, state=captured, slots=slots)
    assert torch.equal(captured, pool)
    for result in results:
        graph.replay()
        assert torch.equal(o, result)
    assert torch.equal(captured, want)


def test_pools_of_any_strides_and_addresses(decode):
    kernel, given, pool = decode
    slots = torch.tensor([2, 0, 1], dtype=torch.int32, device="cuda")
    want = pool.clone()
    result = kernel(**given, state=want, slots=slots)
    wide = torch.zeros(len(pool), 2 * pool.shape[1], *pool.shape[2:], device="cuda")
    odd = torch.zeros(pool.numel() + 1, device="cuda")[1:].view(pool.shape)
    for state in (wide[:, ::2], odd):
        state.copy_(pool)
        assert torch.equal(kernel(**given, state=state, slots=slots), result)
        assert torch.equal(state, want)
    assert not wide[:, 1::2].any()
    with pytest.raises(ValueError, match="expects a tensor whose rows lie side by side"):
        kernel(**given, state=pool.clone().mT, slots=slots)
    with pytest.raises(ValueError, match="got one that overlaps argument 'q'"):
        kernel(**{**given, "q": pool[:3, :2, :1]}, state=pool, slots=slots)
