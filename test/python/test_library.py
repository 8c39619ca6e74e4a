"""The ready-made blocks: each is traced, verified, read back from its text, compared with its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from aecompiler import builder as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.library import masks, normalizers, recurrences, scores
from aecompiler.reference import oracles
from aecompiler.reference.evaluate import evaluate

B, HQ, HKV, SQ, SKV, D, DV = 2, 4, 2, 7, 11, 8, 5
SCALE = D**-0.5


def run(program, **arrays):
    """Results in float64 of the program read back from its own text, so that every test is a round trip."""
    text = str(program)
    with make_context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        assert str(module) == text
        results = evaluate(module.body.operations[0], [arrays[a.name] for a in program.arguments])
        assert results.out_of_bounds == 0
    return dict(zip((r.name for r in program.results), results, strict=True))


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def data(sq=SQ, skv=SKV, heads=HKV):
    return {
        "q": random(B, HQ, sq, D, seed=1),
        "k": random(B, heads, skv, D, seed=2),
        "v": random(B, heads, skv, DV, seed=3),
    }


def spec(array):
    """A fully dynamic declaration for a captured array, except for sizes of 1."""
    names = {"float64": "f64", "int32": "i32", "bool": "i1", "int64": "i64"}
    return aec.tensor(*[1 if n == 1 else None for n in array.shape], dtype=names[str(array.dtype)])


def attend(arrays, captured=(), **options):
    """Run attention over `arrays`; `options` are built from the traced captures."""
    captured = dict(captured)

    def program(q, k, v, **gates):
        return aec.attention(q, k, v, **{name: make(**gates) for name, make in options.items()})

    specs = {
        "q": aec.tensor("B", HQ, "Sq", D, dtype="f64"),
        "k": aec.tensor("B", HKV, "Skv", D, dtype="f64"),
        "v": aec.tensor("B", HKV, "Skv", DV, dtype="f64"),
    }
    specs |= {name: spec(array) for name, array in captured.items()}
    return run(aec.trace(program, **specs), **arrays, **captured)


def close(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


I, J = np.arange(SQ)[:, None], np.arange(SKV)[None, :]  # noqa: E741
EVERYWHERE = np.ones((SQ, SKV), bool)


def scaled(**_):
    return scores.scale()


# Masks.


DOCUMENTS = np.sort(np.random.default_rng(5).integers(0, 3, (B, SKV)), axis=1).astype(np.int32)
BLOCKS = np.random.default_rng(6).integers(0, 2, (B, HQ, 3, 4)).astype(bool)
BLOCKS_KV = np.random.default_rng(7).integers(0, 2, (B, HKV, 4)).astype(np.int32)
PREFIX = np.array([3, 9], np.int32)

MASKS = {
    "always": (lambda: masks.always(), {}, EVERYWHERE),
    "causal": (lambda: masks.causal(), {}, oracles.causal_mask(I, J)),
    "causal-offset": (lambda: masks.causal(2), {}, oracles.causal_mask(I, J, 2)),
    "causal-end": (lambda: masks.causal(align="end"), {}, oracles.causal_mask(I, J, SKV - SQ)),
    "window": (lambda: masks.window(3), {}, oracles.window_mask(I, J, 3)),
    "window-end": (
        lambda: masks.window(3, align="end"),
        {},
        oracles.window_mask(I + SKV - SQ, J, 3),
    ),
    "window-both-sides": (lambda: masks.window(3, causal=False), {}, abs(I - J) < 3),
    "prefix": (lambda prefix: masks.prefix_lm(prefix), {"prefix": PREFIX}, oracles.prefix_mask(I, J, PREFIX)),
    "prefix-number": (lambda: masks.prefix_lm(4), {}, (J <= I) | (J < 4)),
    "document": (
        lambda ids: masks.document(ids),
        {"ids": DOCUMENTS},
        oracles.document_mask(DOCUMENTS[:, :SQ], DOCUMENTS),
    ),
    "document-shared": (
        lambda ids: masks.document(ids),
        {"ids": DOCUMENTS[0]},
        DOCUMENTS[0, :SQ][:, None] == DOCUMENTS[0][None, :],
    ),
    "chunked": (lambda: masks.chunked(4) & masks.causal(), {}, oracles.chunked_mask(I, J, 4)),
    "dilated": (lambda: masks.dilated(3) & masks.causal(), {}, oracles.dilated_mask(I, J, 3)),
    "dilated-both-sides": (lambda: masks.dilated(3), {}, (I - J) % 3 == 0),
    "global-local": (lambda: masks.global_local(2, 3), {}, oracles.global_local_mask(I, J, 3, 2)),
    "block-sparse": (
        lambda blocks: masks.block_sparse(blocks, block_q=3, block_kv=3),
        {"blocks": BLOCKS},
        oracles.block_mask(BLOCKS, I, J, 3, 3),
    ),
    "padding": (
        lambda lengths: masks.padding(lengths),
        {"lengths": PREFIX},
        J[None, None] < PREFIX[:, None, None, None],
    ),
    "dense": (lambda keep: masks.dense(keep), {"keep": EVERYWHERE & (I != J)}, I != J),
    "union": (lambda: masks.window(2) | (lambda j: j == 0), {}, oracles.window_mask(I, J, 2) | (J == 0)),
    "plain-function-first": (
        lambda: (lambda i, j: j != 1) & masks.causal(),
        {},
        oracles.causal_mask(I, J) & (J != 1),
    ),
    "complement": (lambda: ~masks.causal(), {}, J > I),
    "nothing": (lambda: ~masks.always(), {}, ~EVERYWHERE),
}


@pytest.mark.parametrize("case", MASKS)
def test_mask_keeps_what_its_formula_keeps(case):
    make, captured, mask = MASKS[case]
    arrays = data()
    result = attend(
        arrays, captured, score=scaled, mask=make, normalize=lambda **_: normalizers.softmax(lse=True)
    )
    o, lse = oracles.softmax(*arrays.values(), SCALE, np.broadcast_to(mask, (B, HQ, SQ, SKV)))
    close(result["o"], o)
    close(result["lse"], lse)


def test_block_sparse_over_keys_with_grouped_heads():
    arrays = data()

    def program(q, k, v, blocks):
        return aec.attention(q, k, v, score=scores.scale(), mask=masks.block_sparse(blocks, block_kv=3))

    q, k, v = (aec.tensor(*x.shape, dtype="f64") for x in arrays.values())
    traced = aec.trace(program, q=q, k=k, v=v, blocks=aec.tensor(*BLOCKS_KV.shape, dtype="i32"))
    keep = np.repeat(BLOCKS_KV != 0, HQ // HKV, axis=1)[:, :, None, J[0] // 3]
    o, _ = oracles.softmax(*arrays.values(), SCALE, np.broadcast_to(keep, (B, HQ, SQ, SKV)))
    close(run(traced, **arrays, blocks=BLOCKS_KV)["o"], o)


def test_masks_are_plain_callables():
    arrays = data()
    causal = masks.causal(align="end")

    def keep(b, h, i, j):
        return aec.where(h < 2, causal(b, h, i, j), j < 3)

    result = attend(arrays, score=scaled, mask=lambda: keep)
    heads = np.arange(HQ)[:, None, None] < 2
    mask = np.where(heads, oracles.causal_mask(I, J, SKV - SQ), J < 3)[None]
    close(result["o"], oracles.softmax(*arrays.values(), SCALE, np.broadcast_to(mask, (B, HQ, SQ, SKV)))[0])


def test_numbers_of_numpy_are_taken_as_python_numbers():
    arrays = data()
    result = attend(
        arrays,
        score=lambda: scores.compose(scores.scale(np.float32(0.5)), scores.softcap(np.float64(30))),
        mask=lambda: masks.window(np.int64(2)) | masks.chunked(np.array(3)),
        normalize=lambda: normalizers.softmax(base=np.float32(2.0)),
    )
    s = 30 * np.tanh(oracles.scores(arrays["q"], arrays["k"]) * 0.5 / 30)
    mask = oracles.window_mask(I, J, 2) | (I // 3 == J // 3)
    p, _ = oracles.softmax_weights(oracles.masked(s * np.log(2), mask))
    close(result["o"], oracles.attend(p, arrays["v"]))


# Scores.

SLOPES = 2.0 ** (-8 * (np.arange(HQ) + 1) / HQ)
GAMMA = 1 - 2.0 ** (-5 - np.arange(HQ))


def test_score_alibi_with_scale():
    arrays = data()
    result = attend(
        arrays,
        {"slopes": SLOPES},
        score=lambda slopes: scores.compose(scores.scale(), scores.alibi(slopes)),
        mask=lambda slopes: masks.causal(),
    )
    close(result["o"], oracles.alibi(*arrays.values(), SCALE, SLOPES, oracles.causal_mask(I, J)))


def test_score_softcap_agrees_with_its_formula():
    arrays = data()
    result = attend(arrays, score=lambda: scores.compose(scores.scale(), scores.softcap(30.0)))
    close(result["o"], oracles.softcap(*arrays.values(), SCALE, 30.0, EVERYWHERE))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_score_t5_agrees_with_its_formula(bidirectional):
    arrays, table = data(), random(HQ, 8)
    result = attend(
        arrays,
        {"bias": table},
        score=lambda bias: scores.t5_bias(bias, buckets=8, limit=9, bidirectional=bidirectional),
    )
    bucket = oracles.t5_bucket(J - I, 8, 9, bidirectional)
    close(result["o"], oracles.relative_bias(*arrays.values(), table, bucket))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_t5_bucket_defaults_match_the_formula(bidirectional):
    def program(distance, like):
        return scores.t5_bucket(distance, bidirectional=bidirectional) + 0 * like

    distances = np.arange(-300, 301)
    traced = aec.trace(program, distance=aec.tensor(None, dtype="i64"), like=aec.tensor(None, dtype="i64"))
    found = run(traced, distance=distances, like=distances)["o"]
    np.testing.assert_array_equal(found, oracles.t5_bucket(distances, 32, 128, bidirectional))


def test_score_relative_bias_is_clipped():
    arrays, table = data(), random(HQ, 7)
    result = attend(arrays, {"bias": table}, score=lambda bias: scores.relative_bias(bias))
    close(result["o"], oracles.relative_bias(*arrays.values(), table, np.clip(J - I + 3, 0, 6)))


@pytest.mark.parametrize("shape", [(B, HQ, SQ, SKV), (1, HQ, SQ, 1), (HQ, SQ, SKV), (SQ, SKV), (1, SKV)])
def test_score_additive_bias_broadcasts(shape):
    arrays, bias = data(), random(*shape)
    result = attend(
        arrays,
        {"bias": bias},
        score=lambda bias: scores.compose(scores.scale(), scores.additive_bias(bias)),
    )
    close(result["o"], oracles.additive_bias(*arrays.values(), SCALE, bias))


def test_score_and_normalizer_retention_agree_with_their_formula():
    arrays = data()
    result = attend(
        arrays,
        {"gamma": GAMMA},
        score=lambda gamma: scores.compose(scores.scale(), scores.retention(gamma)),
        mask=lambda gamma: masks.causal(),
        normalize=lambda gamma: normalizers.retention(),
    )
    close(result["o"], oracles.retention(*arrays.values(), SCALE, GAMMA))


# Normalisers.


def test_normalizer_softmax_in_base_2():
    arrays = data()
    result = attend(
        arrays,
        score=lambda: scores.scale(SCALE / np.log(2)),
        mask=masks.causal,
        normalize=lambda: normalizers.softmax(lse=True, base=2),
    )
    o, lse = oracles.softmax(*arrays.values(), SCALE, oracles.causal_mask(I, J))
    close(result["o"], o)
    close(result["lse"] * np.log(2), lse)


@pytest.mark.parametrize("sink", ["tensor", "number", "off-by-one"])
def test_normalizer_sink_counts_in_the_sum_and_in_rows_without_keys(sink):
    arrays = data()
    tensor = 3 * random(HQ)
    captured = {"sink": tensor} if sink == "tensor" else {}
    make = {
        "tensor": lambda sink: normalizers.softmax_sink(sink, lse=True),
        "number": lambda: normalizers.softmax_sink(1.5, lse=True),
        "off-by-one": lambda: normalizers.softmax_off_by_one(lse=True),
    }[sink]
    mask = (J <= I) & (I > 1)  # rows without a key: their log-sum-exp is the sink
    result = attend(
        arrays,
        captured,
        score=scaled,
        mask=lambda **_: lambda i, j: (j <= i) & (i > 1),
        normalize=make,
    )
    value = {"tensor": tensor, "number": np.full(HQ, 1.5), "off-by-one": np.zeros(HQ)}[sink]
    s = oracles.masked(oracles.scores(arrays["q"], arrays["k"]) * SCALE, mask)
    p, lse = oracles.softmax_weights(s, value[:, None, None])
    close(result["o"], oracles.attend(p, arrays["v"]))
    close(result["lse"], lse)


def test_normalizer_log_softmax_agrees_with_its_formula():
    arrays = data()
    result = attend(arrays, score=scaled, normalize=lambda: normalizers.log_softmax(lse=True))
    s = oracles.scores(arrays["q"], arrays["k"]) * SCALE
    _, lse = oracles.softmax_weights(s)
    close(result["o"], oracles.attend(s - lse[..., None], arrays["v"]))
    close(result["lse"], lse)


def test_normalizer_sigmoid_agrees_with_its_formula():
    arrays = data()
    result = attend(
        arrays, score=scaled, mask=masks.causal, normalize=lambda: normalizers.sigmoid(-np.log(SKV))
    )
    mask = oracles.causal_mask(I, J)
    close(result["o"], oracles.sigmoid(*arrays.values(), SCALE, -np.log(SKV), mask))


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("power", [1, 2])
def test_normalizer_relu_with_and_without_the_mean(power, mean):
    arrays = data()
    block = normalizers.relu if power == 1 else normalizers.relu_squared
    result = attend(arrays, score=scaled, mask=masks.causal, normalize=lambda: block(mean=mean))
    expected = oracles.relu(*arrays.values(), SCALE, power, oracles.causal_mask(I, J))
    close(result["o"], expected / (SKV if mean else 1))


def test_normalizer_softpick_agrees_with_its_formula():
    arrays = data()
    result = attend(arrays, score=scaled, mask=masks.causal, normalize=lambda: normalizers.softpick())
    close(result["o"], oracles.softpick(*arrays.values(), SCALE, oracles.causal_mask(I, J)))


def test_softpick_adds_its_epsilon_to_the_shifted_divisor():
    arrays = data()
    arrays["q"][0, 0] = 0  # rows of zeros: 0 / 0 without an epsilon
    result = attend(
        arrays, score=scaled, mask=masks.causal, normalize=lambda: normalizers.softpick(epsilon=0.25)
    )
    s = np.where(oracles.causal_mask(I, J), oracles.scores(arrays["q"], arrays["k"]) * SCALE, -np.inf)
    m = np.maximum(s.max(-1, keepdims=True), 0)
    x = np.where(np.isfinite(s), np.exp(s - m) - np.exp(-m), 0)
    p = np.maximum(x, 0) / (np.abs(x).sum(-1, keepdims=True) + 0.25)
    close(result["o"], oracles.attend(p, arrays["v"]))
    assert not result["o"][0, 0].any()


def test_normalizer_none_is_linear_attention():
    arrays = data()
    result = attend(arrays, mask=masks.causal, normalize=normalizers.none)
    close(result["o"], oracles.linear_attention(*arrays.values()))


# Recurrences.

T, H = 9, 4


def sequence(heads=H):
    return {
        "q": random(B, heads, T, D, seed=1),
        "k": random(B, heads, T, D, seed=2) / D**0.5,
        "v": random(B, H, T, DV, seed=3),
        "initial": random(B, H, D, DV, seed=4),
    }


def recur(arrays, make, gates):
    def program(q, k, v, initial, **gates):
        return aec.recurrence(q, k, v, make(**gates), initial=initial)

    specs = {name: aec.tensor("B", x.shape[1], "T", x.shape[3], dtype="f64") for name, x in arrays.items()}
    specs["initial"] = aec.tensor("B", H, D, DV, dtype="f64")
    for (
        name,
        gate,
    ) in gates.items():  # a gate per feature has a static feature size, and sizes of 1 are static
        dims = [size if size in (1, D) else None for size in gate.shape]
        specs[name] = aec.tensor(*dims, dtype="f64")
    return run(aec.trace(program, **specs), **arrays, **gates)


LOG_DECAY = -np.exp(random(B, H, T, seed=10))
LOG_DECAY_PER_FEATURE = -np.exp(random(B, H, T, D, seed=11))
BETA = 1 / (1 + np.exp(-random(B, H, T, seed=12)))
A, DT, SKIP = -np.exp(random(H, seed=13)), np.exp(random(B, H, T, seed=14)), random(H, seed=15)
BONUS = random(H, D, seed=16)

RECURRENCES = {
    "gated_retention": ({"g": LOG_DECAY}, oracles.scalar_gated),
    "simple_gla": ({"g": LOG_DECAY}, oracles.scalar_gated),
    "mamba2_ssd": (
        {"A": A, "dt": DT, "D": SKIP},
        lambda q, k, v, initial, A, dt, D: oracles.mamba2(q, k, v, A, dt, D, initial),
    ),
    "gla": ({"g": LOG_DECAY_PER_FEATURE}, oracles.gla),
    "rwkv6": (
        {"w": LOG_DECAY_PER_FEATURE, "u": BONUS},
        lambda q, k, v, initial, w, u: oracles.rwkv6(q, k, v, w, u, initial),
    ),
    "delta_rule": ({"beta": BETA}, oracles.delta_rule),
    "gated_delta_rule": ({"g": LOG_DECAY, "beta": BETA}, oracles.delta_rule),
    "kda": ({"g": LOG_DECAY_PER_FEATURE, "beta": BETA}, oracles.delta_rule),
    "retnet": (
        {"gamma": GAMMA},
        lambda q, k, v, initial, gamma: oracles.retnet(q, k, v, gamma, initial, SCALE),
    ),
}


@pytest.mark.parametrize("name", RECURRENCES)
def test_recurrence_agrees_with_its_formula(name):
    gates, oracle = RECURRENCES[name]
    arrays = sequence()
    result = recur(arrays, getattr(recurrences, name), gates)
    o, final = oracle(**arrays, **gates)
    close(result["o"], o)
    close(result["final"], final)


def test_recurrence_linear_attention_from_zeros():
    arrays = sequence()
    del arrays["initial"]

    def program(q, k, v):
        return aec.recurrence(q, k, v, recurrences.linear_attention())

    specs = {name: aec.tensor("B", None, "T", x.shape[3], dtype="f64") for name, x in arrays.items()}
    result = run(aec.trace(program, **specs), **arrays)
    close(result["o"], oracles.linear_attention(*arrays.values()))
    close(result["final"], np.einsum("bhtd,bhte->bhde", arrays["k"], arrays["v"]))


def test_recurrence_scale_and_normalized_keys():
    arrays = sequence()
    unit = arrays["k"] / np.sqrt((arrays["k"] ** 2).sum(-1, keepdims=True) + 1e-6)
    result = recur(
        arrays, lambda beta: recurrences.delta_rule(beta, scale=0.5, normalize_keys=True), {"beta": BETA}
    )
    o, final = oracles.delta_rule(**{**arrays, "k": unit}, beta=BETA)
    close(result["o"], 0.5 * o)
    close(result["final"], final)


@pytest.mark.parametrize("name", ["gated_retention", "gla", "rwkv6", "kda"])
def test_gates_of_one_head_and_batch_are_shared(name):
    gates, _ = RECURRENCES[name]
    shared = {each: gate[(slice(1),) * min(2, gate.ndim - 1)] for each, gate in gates.items()}
    wide = {each: np.broadcast_to(shared[each], gate.shape).copy() for each, gate in gates.items()}
    block, specs = getattr(recurrences, name), sequence()
    one, all_heads = recur(specs, block, shared), recur(specs, block, wide)
    close(one["o"], all_heads["o"])
    close(one["final"], all_heads["final"])


def test_recurrence_reads_fewer_heads_in_groups():
    arrays = sequence(heads=2)
    result = recur(arrays, recurrences.gated_retention, {"g": LOG_DECAY})
    wide = {**arrays, "q": oracles.grouped(arrays["q"], H), "k": oracles.grouped(arrays["k"], H)}
    o, final = oracles.scalar_gated(**wide, g=LOG_DECAY)
    close(result["o"], o)
    close(result["final"], final)


@pytest.mark.parametrize("given", [True, False])
def test_recurrence_of_packed_sequences(given):
    arrays = {name: x[:1] for name, x in sequence().items()}
    offsets = np.array([0, 4, 4, 8], np.int32)
    initial = random(3, H, D, DV) if given else np.zeros((3, H, D, DV))
    arrays.pop("initial")

    def program(q, k, v, g, offsets, initial):
        return aec.recurrence(
            q, k, v, recurrences.gated_retention(g), offsets=offsets, initial=initial if given else None
        )

    specs = {name: aec.tensor(1, H, "T", x.shape[3], dtype="f64") for name, x in arrays.items()}
    traced = aec.trace(
        program,
        **specs,
        g=aec.tensor(1, H, "T", dtype="f64"),
        offsets=aec.tensor(None, dtype="i32"),
        initial=aec.tensor("N", H, D, DV, dtype="f64"),
    )
    result = run(traced, **arrays, g=LOG_DECAY[:1], offsets=offsets, initial=initial)
    o, final = oracles.packed(
        lambda q, k, v, initial, g: oracles.scalar_gated(q, k, v, g, initial),
        tuple(arrays.values()),
        offsets,
        initial,
        g=LOG_DECAY[:1],
    )
    close(result["o"], o)
    close(result["final"], final)
