"""Kernels whose warps have roles, interpreted at random schedules, against the float64 reference.

Races, reads of what is not there yet, and warps that wait for one another are errors of the interpreter.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter

import numpy as np
import pytest
import warp_interpreter
from drawn_programs import each_different
from random_inputs import lay_out
from random_tiles import tile_programs
from test_random_programs import ACCUMULATED, LOST, Campaign
from test_triton_kernels import MASKS, NORMALIZERS, random
from triton_programs import ROUNDED, Kernels

import aecompiler as aec
from aecompiler.errors import CompileError

SMALL = "consumers=1 block-kv=16 stages=2"
"""64 rows and 16 keys, so that few keys are several tiles."""

B, HEADS, KV_HEADS, ROWS, KEYS, FEATURES = 1, 2, 1, 70, 37, 32
"""Sizes that no tile divides."""


@functools.cache
def kernels_of(program, options=SMALL):
    """The kernels of a traced program."""
    return Kernels(program.module, options, "attn-hopper")


def compare(program, inputs, options=SMALL, seeds=(0,), campaign=None, lost=1.0):
    """Run a program, once for each seed of a schedule."""
    campaign = campaign or Campaign()
    element = program.arguments[0].spec.dtype
    for number in seeds:
        interpreter = functools.partial(warp_interpreter.run, seed=number)
        results = kernels_of(program, options).run(inputs, interpreter)
        for at, (dtype, got, want) in enumerate(results):
            accumulated = lost * ACCUMULATED["f32"]
            if at == 0:
                accumulated = max(accumulated, ROUNDED[element])
            campaign.compare(f"result {at}", dtype, got, want, accumulated)


def data(rows=ROWS, keys=KEYS, d=FEATURES, dv=None, dtype="bf16", heads=HEADS, kv_heads=KV_HEADS):
    """q, k and v."""
    return (
        random(B, heads, rows, d, number=1, dtype=dtype),
        random(B, kv_heads, keys, d, number=2, dtype=dtype),
        random(B, kv_heads, keys, dv or d, number=3, dtype=dtype),
    )


def program(arrays, captured=None, *, dtype="bf16", **made):
    """Attention over arrays of any number of rows and keys; `made` makes options of the captured values."""
    q, k, v = arrays

    def attention(q, k, v, **values):
        options = {name: make(**values) for name, make in made.items()}
        options.setdefault("score", aec.scores.scale())
        return aec.attention(q, k, v, **options)

    specs = {
        "q": aec.tensor("B", q.shape[1], "Sq", q.shape[3], dtype=dtype),
        "k": aec.tensor("B", k.shape[1], "Skv", k.shape[3], dtype=dtype),
        "v": aec.tensor("B", v.shape[1], "Skv", v.shape[3], dtype=dtype),
    }
    return aec.trace(attention, **specs, **{name: spec for name, (spec, _) in (captured or {}).items()})


def attend(arrays, captured=None, *, options=SMALL, seeds=(0,), **how):
    """Attention over arrays."""
    values = [value for _, value in (captured or {}).values()]
    compare(program(arrays, captured, **how), [*arrays, *values], options, seeds)


def causal(**_):
    return aec.masks.causal()


def with_lse(**_):
    return aec.normalizers.softmax(lse=True)


CAUSAL = program(data(), mask=causal, normalize=with_lse)
CAUSAL_HEADS = program(data(heads=3, kv_heads=3), mask=causal, normalize=with_lse)
AT_END = program(data(), mask=lambda: aec.masks.causal(align="end"), normalize=with_lse)
PIECES = program(data(dv=48), mask=causal, normalize=with_lse)
"""Values of 48 features: pieces of 32 and 16."""

FEW_HEADS = program(data(heads=1), mask=lambda: aec.masks.window(100), normalize=with_lse)

# ---- roles and rings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block_kv", [16, 32])
@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("consumers", [1, 2, 3])
def test_any_numbers_of_consumers_stages_and_keys(consumers, stages, block_kv):
    """Each slot of a ring is used several times, and the last tile of rows has few."""
    options = f"consumers={consumers} stages={stages} block-kv={block_kv}"
    arrays = data(64 * consumers + 5, 6 * block_kv + 1, heads=1)
    compare(FEW_HEADS, arrays, options, seeds=(stages, 7))


@pytest.mark.parametrize("waits", ["at-use", "at-end", "together"])
def test_products_may_be_waited_for_anywhere(waits):
    compare(CAUSAL, data(130, 130), f"{SMALL} waits={waits}", seeds=range(3))


@pytest.mark.parametrize("mask", [causal, lambda: aec.masks.window(20)])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize("is_rounded", ["true", "false"])
def test_weights_may_be_rounded_before_loops_carry_them(is_rounded, dtype, mask):
    traced = program(data(dtype=dtype), mask=mask, normalize=with_lse, dtype=dtype)
    compare(traced, data(100, 100, dtype=dtype), f"{SMALL} carry-rounded={is_rounded}")


@pytest.mark.parametrize("programs", [0, 2])
@pytest.mark.parametrize("consumers", [1, 2, 3])
def test_groups_take_turns_in_beginning_products(consumers, programs):
    options = f"consumers={consumers} block-kv=16 stages=2 programs={programs} waits=at-use ping-pong=true"
    compare(CAUSAL, data(64 * consumers + 70, 80), options, seeds=range(3))


@pytest.mark.parametrize("programs", [1, 2, 3, 64])
@pytest.mark.parametrize("sizes", [(3 * 64, 70), (5, 5), (0, 3), (64, 0)])
def test_programs_compute_several_tiles_of_rows(programs, sizes):
    compare(CAUSAL, data(*sizes), f"{SMALL} programs={programs}", seeds=(0, 1))


@pytest.mark.parametrize("buffers", [0, 1, 2])
def test_rows_have_a_buffer_or_two(buffers):
    options = f"consumers=2 block-kv=16 stages=2 programs=2 row-buffers={buffers}"
    compare(CAUSAL, data(500, 80), options, seeds=range(3))


@pytest.mark.parametrize("programs", [1, 2, 5])
@pytest.mark.parametrize("section", [1, 2, 4])
@pytest.mark.parametrize("tiles", [1, 4, 5])
def test_each_tile_of_rows_is_computed_by_one_program(tiles, section, programs):
    """Pairs of tiles are those of one head; an odd tile, and heads that fill no section, are alone."""
    options = f"{SMALL} programs={programs} section={section}"
    compare(CAUSAL_HEADS, data(64 * tiles - 3, 40, heads=3, kv_heads=3), options)


def test_programs_of_several_consumers_compute_several_tiles_of_rows():
    compare(CAUSAL, data(300, 80), "consumers=2 block-kv=16 stages=3 programs=2", seeds=range(3))


# ---- sizes and types ----------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [0, 1, 15, 16, 17, 33])
@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65])
def test_tails_of_tiles(rows, keys):
    for traced in (CAUSAL, AT_END):
        compare(traced, data(rows, keys))


@pytest.mark.parametrize("normalize", [aec.normalizers.softmax(lse=True), aec.normalizers.sigmoid(-2.0)])
def test_sizes_that_tiles_divide_need_no_second_pass(normalize):
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), normalize=normalize)

    specs = {"q": aec.tensor(B, HEADS, 128, FEATURES, dtype="bf16")}
    specs |= {name: aec.tensor(B, KV_HEADS, 64, FEATURES, dtype="bf16") for name in "kv"}
    arrays = data(128, 64)
    arrays[2][:, :, 5, 3] = np.inf
    for options in (SMALL, f"{SMALL} programs=2"):
        compare(aec.trace(attention, **specs), arrays, options)


@pytest.mark.parametrize("keys", [16, 80])
def test_sizes_that_tiles_divide_need_no_loop_with_a_mask(keys):
    """Of the loops over ranges of tiles, any may have the first tile."""
    table = random(HEADS, 11, number=6)

    def attention(q, k, v, table):
        return aec.attention(q, k, v, score=aec.scores.relative_bias(table), normalize=with_lse())

    specs = {"q": aec.tensor(B, HEADS, 128, FEATURES, dtype="bf16")}
    specs |= {name: aec.tensor(B, KV_HEADS, keys, FEATURES, dtype="bf16") for name in "kv"}
    traced = aec.trace(attention, **specs, table=aec.tensor(*table.shape))
    compare(traced, [*data(128, keys), table], f"{SMALL} programs=2", seeds=(0, 1))


@pytest.mark.parametrize("mask", [None, causal])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize(("d", "dv"), [(32, 32), (64, 64), (64, 16), (16, 128)])
def test_features(d, dv, dtype, mask):
    options = {} if mask is None else {"mask": mask}
    attend(data(d=d, dv=dv, dtype=dtype), dtype=dtype, **options)


@pytest.mark.parametrize(("d", "dv"), [(48, 16), (96, 32), (192, 128), (112, 64)])
def test_features_in_pieces(d, dv):
    """Scores are sums of products of pieces, of 32 and 16 features, for example, in tiles of their own."""
    attend(data(70, 40, d, dv), mask=causal)


@pytest.mark.parametrize("mask", [None, causal])
@pytest.mark.parametrize(("d", "dv"), [(32, 48), (16, 80), (96, 96), (64, 112)])
def test_values_in_pieces(d, dv, mask):
    """Sums are of pieces, of 64 and 16 features, for example, with a ring and a store each."""
    options = {} if mask is None else {"mask": mask}
    attend(data(70, 40, d, dv), normalize=with_lse, **options)


@pytest.mark.parametrize("waits", ["at-use", "at-end", "together"])
@pytest.mark.parametrize(
    "options", ["consumers=2 stages=1", "consumers=2 stages=3 programs=2", "consumers=1 stages=2"]
)
def test_values_in_pieces_with_any_schedule(options, waits):
    order = "ping-pong=true" if "consumers=2" in options else ""
    compare(PIECES, data(140, 50, dv=48), f"block-kv=16 {options} waits={waits} {order}")


@pytest.mark.parametrize("feature", [0, 47])
@pytest.mark.parametrize("options", [SMALL, "consumers=2 block-kv=32 stages=2 programs=1"])
def test_a_piece_of_values_that_is_not_finite(options, feature):
    q, k, v = data(140, 60, dv=48)
    v[:, :, 36, feature] = np.inf
    v[:, :, 59, feature] = np.nan
    compare(PIECES, (q, k, v), options)


def test_two_sums_of_values_in_pieces():
    attend(data(dv=48), normalize=lambda: aec.normalizers.log_softmax(lse=True))


def test_what_is_computed_of_a_sum_takes_it_whole():
    """So it takes the automatic road where v has pieces."""
    q, k, v = data(dv=48)
    specs = [aec.tensor("B", each.shape[1], "S", each.shape[3], dtype="bf16") for each in (q, k, v)]
    traced = aec.trace(lambda q, k, v: aec.attention(q, k, v) * 2.0, **dict(zip("qkv", specs, strict=True)))
    with pytest.raises(CompileError, match="expects tiles of v to be read by"):
        kernels_of(traced)


def test_products_of_more_features_than_one_instruction_has_columns():
    attend(data(20, 20, 256, 256), mask=causal)


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 2), (3, 1), (2, 2)])
def test_heads_that_share_keys(heads, kv_heads):
    attend(data(heads=heads, kv_heads=kv_heads), mask=causal)


def test_views_with_heads_between_features():
    arrays = [lay_out(array, {"layout": "bshd"}) for array in data(kv_heads=2)]
    attend(arrays, mask=causal)


def test_results_of_32_bits():
    q, k, v = data()

    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), out_dtype="f32")

    specs = {"q": aec.tensor("B", HEADS, "Sq", FEATURES, dtype="bf16")}
    specs |= {name: aec.tensor("B", KV_HEADS, "Skv", FEATURES, dtype="bf16") for name in "kv"}
    compare(aec.trace(attention, **specs), [q, k, v])


# ---- masks, scores, normalisers -----------------------------------------------------------------------

REFUSED = {
    "nothing": "a loop over tiles with the attribute 'attn.masked'",
    "block-sparse": "a loop around loops over tiles",
}
"""A mask with nothing to do, and one with many blocks in a tile, which is tested in the loop over tiles."""


@pytest.mark.parametrize("case", sorted(MASKS.keys() - REFUSED.keys()))
def test_masks_keep_what_the_reference_keeps(case):
    make, captured = MASKS[case]
    attend(mask_data(), captured, mask=make, normalize=with_lse)


def mask_data():
    """Of the sizes that captured values of the masks are made for."""
    batch, heads, rows, keys = 2, 2, 35, 37
    return (
        random(batch, heads, rows, FEATURES, number=1, dtype="bf16"),
        random(batch, 1, keys, FEATURES, number=2, dtype="bf16"),
        random(batch, 1, keys, FEATURES, number=3, dtype="bf16"),
    )


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_masks_without_ranges_of_tiles_are_refused(case):
    make, captured = MASKS[case]
    with pytest.raises(CompileError, match=REFUSED[case]):
        kernels_of(program(mask_data(), captured, mask=make))


SLOPES = {"slopes": (aec.tensor(HEADS, dtype="f32"), np.array([0.5, 0.125], np.float32))}
SCORES = {
    "alibi": (lambda slopes: lambda s, h, i, j: s * 0.2 - slopes[h] * aec.cast(i - j, "f32"), SLOPES),
    "softcap": (lambda: lambda s: 5.0 * aec.tanh(s * 0.2), {}),
    "bias": (
        lambda bias: lambda s, h, i, j: s * 0.2 + bias[h, i, j],
        {"bias": (aec.tensor(HEADS, "Sq", "Skv"), random(HEADS, ROWS, KEYS, number=5))},
    ),
    "relative": (
        lambda table: lambda s, h, i, j: s * 0.2 + table[h, aec.minimum(aec.maximum(j - i, -5), 5) + 5],
        {"table": (aec.tensor(HEADS, 11), random(HEADS, 11, number=6))},
    ),
    "masked-by-the-score": (lambda: lambda s, i, j: aec.where((i + j) % 3 == 0, s, -np.inf), {}),
}


@pytest.mark.parametrize("mask", [causal, lambda **_: aec.masks.window(9)])
@pytest.mark.parametrize("case", SCORES)
def test_scores_agree_with_the_reference(case, mask):
    make, captured = SCORES[case]
    attend(data(), captured, score=make, mask=mask, normalize=with_lse)


@pytest.mark.parametrize("case", NORMALIZERS)
def test_normalizers_agree_with_the_reference(case):
    make, captured = NORMALIZERS[case]
    attend(data(), captured, mask=causal, normalize=make)


def test_weights_that_may_be_too_large_for_16_bits_are_refused():
    """They are multiplied in 32 bits, by tiles that are converted first."""
    arrays = data(dtype="f16")
    with pytest.raises(CompileError, match="a product whose second factor is no tile in shared memory"):
        kernels_of(program(arrays, dtype="f16", normalize=aec.normalizers.relu))


def test_log_softmax_agrees_with_the_reference():
    """Two accumulators, and no mask, under which weights would be -inf."""
    attend(data(), normalize=lambda: aec.normalizers.log_softmax(lse=True))


# ---- numbers that are none ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consumers", "key", "number"),
    [(1, 0, np.nan), (1, 16, np.inf), (1, 36, -np.inf), (2, 0, -np.inf), (2, 36, np.nan)],
)
def test_values_that_are_not_finite_are_seen_by_rows_that_keep_them(consumers, key, number):
    """Each group of warps decides for its own rows whether it computes them again."""
    q, k, v = data(64 * consumers + 2, KEYS, heads=1)
    v[:, :, key, 1] = number
    compare(FEW_HEADS, (q, k, v), f"consumers={consumers} block-kv=32")


@pytest.mark.parametrize("options", [f"{SMALL} programs=1", "consumers=2 block-kv=16 stages=3 programs=2"])
def test_values_that_are_not_finite_in_some_of_several_tiles(options):
    """A program computes tiles that were not right again after all others."""
    q, k, v = data(5 * 64, 5 * 64, heads=1)
    v[:, :, 70] = np.nan
    v[:, :, 200, 3] = np.inf
    compare(FEW_HEADS, (q, k, v), options, seeds=(0, 1))


def test_values_that_are_not_finite_in_one_of_many_tiles():
    """More tiles than a program has bits for."""
    q, k, v = data(67 * 64, 67 * 64, 16, heads=1)
    v[:, :, [100, 66 * 64]] = np.nan
    few = program((q, k, v), mask=lambda: aec.masks.window(2), normalize=with_lse)
    compare(few, (q, k, v), "consumers=1 block-kv=32 stages=2 programs=1")


def test_masked_values_that_are_not_finite_are_left_out():
    q, k, v = data(20, 130)
    v[:, :, 20:] = np.nan
    compare(CAUSAL, (q, k, v))


@pytest.mark.parametrize("name", ["q", "k"])
def test_scores_that_are_not_finite(name):
    q, k, v = data()
    {"q": q, "k": k}[name][:, :, 5, 3] = np.nan
    compare(CAUSAL, (q, k, v))


# ---- random programs ------------------------------------------------------------------------------------

SEEDS, COUNT, MOST_REFUSED = 6, 5, 14
"""Programs are drawn anew so often, so many each time, for hypothesis likes to change the one before."""

MOST = 20_000
"""The scores of a call that is interpreted."""

WAYS = (
    SMALL,
    "consumers=2 block-kv=32 stages=3",
    "consumers=1 block-kv=32 stages=1 programs=2",
    "consumers=3 block-kv=16 stages=2 programs=1",
)


STRATEGY = tile_programs(elements=(*["bf16"] * 5, "f16"), features=(16, 32, 64))


def test_random_programs_agree_with_the_reference_or_are_refused(report_lines):
    campaign = Campaign()
    refused: Counter[str] = Counter()
    ways = itertools.cycle(WAYS)

    def check(program):
        traced, options = program.trace(), next(ways)
        try:
            kernels_of(traced, options)
        except CompileError as error:
            refused[str(error).splitlines()[0].partition("' op ")[2]] += 1
            return
        lost = max((LOST.get(feature, 1.0) for feature in program.features), default=1.0)
        for call in program.calls:
            inputs = program.inputs(call)
            if inputs[0][..., 0].size * inputs[1].shape[2] <= MOST:
                compare(traced, inputs, options, (call["seed"] % 7,), campaign, lost)

    count = sum(each_different(STRATEGY, number, COUNT, check) for number in range(SEEDS))
    total = sum(refused.values())
    reasons = "; ".join(f"{reason}: {times}" for reason, times in refused.items())
    report_lines.append(
        f"roles of warps: {count} random programs; {total} refused ({reasons}); {campaign.text()}"
    )
    assert count >= SEEDS * COUNT
    assert total <= MOST_REFUSED, reasons
