"""Programs whose types say sizes, 0 and 1 among them: each becomes kernels, and the right ones."""

from __future__ import annotations

import itertools
import random

import pytest
import warp_interpreter
from test_random_programs import Campaign
from test_triton_kernels import random as random_array
from triton_programs import ROUNDED, Kernels

import aecompiler as aec
from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.nvidia.backend import NvidiaBackend
from aecompiler.backends.nvidia.target import NAMED_TARGETS, SM_90
from aecompiler.backends.triton.kernel_abi import LAUNCH
from aecompiler.backends.triton.kernel_ir import FUNCTION
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

CAUSAL = aec.masks.causal()
MASKS = (aec.masks.always(), CAUSAL, aec.masks.window(20), lambda i, j: i // 7 == j // 7)


def program(sizes, features, *, dtype="bf16", mask=CAUSAL, lse=False):
    """Attention of the sizes `batch, heads, kv_heads, rows, keys`, each a number or a name."""
    batch, heads, kv_heads, rows, keys = sizes
    d, dv = features

    def attention(q, k, v):
        normalize = aec.normalizers.softmax(lse=lse)
        return aec.attention(q, k, v, score=aec.scores.scale(), mask=mask, normalize=normalize)

    return aec.trace(
        attention,
        q=aec.tensor(batch, heads, rows, d, dtype=dtype),
        k=aec.tensor(batch, kv_heads, keys, d, dtype=dtype),
        v=aec.tensor(batch, kv_heads, keys, dv, dtype=dtype),
    )


def plan_of(traced, target=SM_90, **options):
    """What the host does for a program, and how many kernels it launches."""
    backend = NvidiaBackend(target)
    lowered = backend.lower(traced.module, backend.schedule(options))
    with lowered.context:
        host, *kernels = sorted((view.operation for view in lowered.body.operations), key=_is_kernel)
        types = {rw.symbol_name(each): _parameters(each) for each in kernels}
        return read_plan(host, types), len(rw.walk_list(host, LAUNCH))


def _is_kernel(op):
    return op.name == FUNCTION


def _parameters(function):
    type_ = ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value)
    return [str(each) for each in type_.inputs]


# ---- every size has a plan -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize(("rows", "keys"), list(itertools.product((1, 64, "S"), repeat=2)))
def test_one_batch_and_head_are_launched_as_a_kernel(rows, keys, target):
    """With one tile of rows the grid has one program."""
    _, launches = plan_of(program((1, 1, 1, rows, keys), (64, 64)), target, split="none")
    assert launches == 1


@pytest.mark.parametrize("options", [{"consumers": 1}, {"consumers": 2, "grid": "persistent"}])
def test_a_grid_of_one_program_may_have_roles(options):
    rows = 64 * options["consumers"]
    _, launches = plan_of(program((1, 1, 1, rows, 1000), (64, 64)), split="none", **options)
    assert launches == 1


def test_all_results_of_a_grid_of_one_program_are_of_one_kernel():
    _, launches = plan_of(program((1, 1, 1, 17, 33), (32, 32), lse=True), block_q=64, split="none")
    assert launches == 1


@pytest.mark.parametrize("at", range(5))
def test_sizes_of_nothing_have_a_plan(at):
    sizes = [1, 2, 2, 33, 70]
    sizes[at] = 0
    if at in (1, 2):
        sizes[1] = sizes[2] = 0
    plan_of(program(sizes, (64, 64)))


@pytest.mark.parametrize("number", range(4))
def test_random_sizes_have_a_plan(number):
    """Sizes of 1 are most of them: they are what simplification removes."""
    choice = random.Random(number).choice
    for _ in range(10):
        kv_heads = choice((1, 1, 2, 3))
        sizes = (
            choice((1, 1, 2, "B")),
            kv_heads * choice((1, 1, 2)),
            kv_heads,
            choice((1, 1, 2, 17, 64, 65, 200, "S")),
            choice((1, 1, 3, 16, 64, 129, "S", "T")),
        )
        features = choice((1, 2, 7, 16, 24, 33, 64, 80, 96, 128, 129, 192, 255, 256))
        others = choice((features, features, 1, 40, 64, 80, 96, 128))
        dtype, mask = choice(("bf16", "f16", "f32")), choice(MASKS)
        traced = program(sizes, (features, others), dtype=dtype, mask=mask, lse=choice((False, True)))
        plan_of(traced)


# ---- what kernels compute ----------------------------------------------------------------------------------


def compare(sizes, features, options, pipeline, interpreter=None, **how):
    traced = program(sizes, features, lse=True, **how)
    batch, heads, kv_heads, rows, keys = sizes
    shapes = [(batch, heads, rows, features[0])]
    shapes += [(batch, kv_heads, keys, each) for each in features]
    arrays = [random_array(*shape, number=at, dtype="bf16") for at, shape in enumerate(shapes)]
    run = {"interpreter": interpreter} if interpreter else {}
    campaign = Campaign()
    for at, (dtype, got, want) in enumerate(Kernels(traced.module, options, pipeline).run(arrays, **run)):
        campaign.compare(f"result {at}", dtype, got, want, 1e-5 if at else ROUNDED["bf16"])


@pytest.mark.parametrize(("rows", "keys"), list(itertools.product((1, 2, 16), (1, 16, 37))))
@pytest.mark.parametrize("features", [(1, 1), (7, 16), (24, 40)])
def test_grids_of_one_program_agree_with_the_reference(features, rows, keys):
    mask = aec.masks.causal(align="end")
    compare((1, 1, 1, rows, keys), features, "block-q=16 block-kv=16", "attn-tt", mask=mask)


@pytest.mark.parametrize("programs", [0, 1, 3])
@pytest.mark.parametrize("consumers", [1, 2])
def test_grids_of_one_program_with_roles_agree_with_the_reference(consumers, programs):
    options = f"consumers={consumers} block-kv=16 stages=2 programs={programs}"
    compare((1, 1, 1, 64 * consumers, 70), (32, 32), options, "attn-hopper", warp_interpreter.run)


@pytest.mark.parametrize("mask", [aec.masks.always(), CAUSAL], ids=["always", "causal"])
@pytest.mark.parametrize("keys", [1, 16, 37, 64])
@pytest.mark.parametrize("rows", [1, 65])
def test_known_lengths_have_roles_and_agree_with_the_reference(rows, keys, mask):
    """One tile of rows that is cut off; one tile of keys, or one that is cut off behind others."""
    options = "consumers=2 block-kv=16 stages=2 programs=2"
    compare((1, 2, 1, rows, keys), (32, 48), options, "attn-hopper", warp_interpreter.run, mask=mask)
