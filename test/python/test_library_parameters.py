"""The parameters of the ready-made blocks: wrong ones, head counts, what a mask shows of them, their docs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aecompiler import builder as aec
from aecompiler.library import masks, normalizers, recurrences, scores

HQ, HKV, D = 4, 2, 8

TORCH_ADVICE = "got a torch.Tensor of shape (4,); declare it as an argument of the program: aec.tensor(...)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: masks.causal(align="middle"), "masks.causal expects align to be"),
        (lambda: masks.causal(0.5), "masks.causal(offset) expects an integer, got 0.5"),
        (lambda: masks.window(0), "masks.window(size) expects an integer of at least 1, got 0"),
        (lambda: masks.window(2.5), "masks.window(size) expects an integer, got 2.5"),
        (lambda: masks.window(True), "masks.window(size) expects an integer, got bool"),
        (lambda: masks.chunked("4"), "masks.chunked(size) expects an integer, got str"),
        (lambda: masks.prefix_lm(np.float32(2)), "masks.prefix_lm expects an integer, got 2.0"),
        (lambda: masks.padding(np.zeros(3)), "got a numpy.ndarray of shape (3,); declare it as an argument"),
        (lambda: masks.causal() & True, "`&` of a mask expects a mask or a function"),
        (lambda: masks.causal() ^ masks.window(3), "masks combine with `&`, `|` and `~` only"),
        (lambda: (lambda i, j: i > j) - masks.causal(), "masks combine with `&`, `|` and `~` only"),
        (lambda: not masks.causal(), "a mask has no truth value"),
        (lambda: scores.alibi([1.0, 2.0]), "scores.alibi expects a tensor argument of rank 1, got list"),
        (lambda: scores.scale("2"), "scores.scale(factor) expects a number, got str"),
        (lambda: scores.softcap(0), "scores.softcap(cap) expects a number above 0, got 0"),
        (lambda: scores.softcap(float("nan")), "scores.softcap(cap) expects a number above 0, got nan"),
        (lambda: scores.t5_bucket(3, buckets=8.5), "scores.t5_bucket(buckets) expects an integer, got 8.5"),
        (lambda: normalizers.sigmoid("bias"), "normalizers.sigmoid(bias) expects a number, got str"),
        (lambda: normalizers.softmax(base=10), "expects base to be 2, or None for e, got 10"),
        (lambda: normalizers.softpick(epsilon=-1), "expects a number of at least 0, got -1"),
        (lambda: normalizers.softmax_sink(pytest.importorskip("torch").ones(4)), TORCH_ADVICE),
        (
            lambda: recurrences.linear_attention(scale="2"),
            "linear_attention(scale) expects a number, got str",
        ),
    ],
)
def test_wrong_parameters_are_reported_at_their_line(make, message):
    with pytest.raises(aec.TraceError, match=re.escape(message)) as error:
        make()
    assert error.value.place.file == __file__


@pytest.mark.parametrize(
    ("make", "wanted"),
    [(masks.window, "an integer"), (scores.softcap, "a number"), (masks.causal, "an integer")],
)
def test_traced_parameters_of_a_wrong_type_are_refused(make, wanted):
    kinds = {"an integer": "f32", "a number": "i1"}
    with pytest.raises(aec.TraceError, match=f"expects {wanted}, got a scalar of type {kinds[wanted]}"):
        aec.trace(lambda x: make(x), x=aec.scalar(kinds[wanted]))


def test_names_of_masks_show_what_they_were_made_of():
    traced = []
    aec.trace(lambda x, n: traced.append(masks.causal(n)) or x, x=aec.tensor(3), n=aec.scalar("index"))
    shown = [
        masks.causal(),
        masks.causal(3),
        masks.causal(align="end"),
        masks.window(4, offset=1, causal=False),
        ~masks.causal(0) | masks.global_local(2, 3),
        masks.dilated(2) & masks.chunked(8),
        traced[0],
    ]
    assert [repr(mask) for mask in shown] == [
        "<mask causal()>",
        "<mask causal(offset=3)>",
        "<mask causal(align='end')>",
        "<mask window(4, offset=1, causal=False)>",
        "<mask (~causal() | global_local(2, 3))>",
        "<mask (dilated(2) & chunked(8))>",
        "<mask causal(offset=<traced index>)>",
    ]


# Head counts.

PER_HEAD = {
    "masks.block_sparse": ((1, 3, 1, 1), "mask", masks.block_sparse),
    "masks.dense": ((2, 1, 1), "mask", masks.dense),
    "scores.alibi": ((2,), "score", scores.alibi),
    "scores.relative_bias": ((2, 5), "score", scores.relative_bias),
    "scores.t5_bias": ((2, 8), "score", scores.t5_bias),
    "scores.additive_bias": ((3, 1, 1), "score", scores.additive_bias),
    "scores.retention": ((2,), "score", scores.retention),
    "normalizers.softmax_sink": ((2,), "normalize", normalizers.softmax_sink),
}
PER_HEAD_OF_A_STEP = {
    "recurrences.retnet": ((2,), recurrences.retnet),
    "recurrences.gated_retention": ((1, 2, 1), recurrences.gated_retention),
    "recurrences.mamba2_ssd(A)": ((2,), lambda x: recurrences.mamba2_ssd(x, x[None, :1, None])),
    "recurrences.mamba2_ssd(dt)": ((1, 2, 1), lambda x: recurrences.mamba2_ssd(x[0, :1, 0], x)),
    "recurrences.mamba2_ssd(D)": (
        (2,),
        lambda x: recurrences.mamba2_ssd(x[:1], x[None, :1, None], D=x),
    ),
    "recurrences.gla": ((1, 2, 1, D), recurrences.gla),
    "recurrences.rwkv6(w)": ((1, 2, 1, D), lambda x: recurrences.rwkv6(x, x[0, :1, 0])),
    "recurrences.rwkv6(u)": ((2, D), lambda x: recurrences.rwkv6(x[None, :1, None], x)),
    "recurrences.delta_rule": ((1, 2, 1), recurrences.delta_rule),
    "recurrences.gated_delta_rule(g)": ((1, 2, 1), lambda x: recurrences.gated_delta_rule(x, x[:, :1])),
    "recurrences.gated_delta_rule(beta)": ((1, 2, 1), lambda x: recurrences.gated_delta_rule(x[:, :1], x)),
    "recurrences.kda(g)": ((1, 2, 1, D), lambda x: recurrences.kda(x, x[:, :1, :, 0])),
    "recurrences.kda(beta)": ((1, 2, 1), lambda x: recurrences.kda(x[:, :1, :, None], x)),
}


@pytest.mark.parametrize("name", PER_HEAD)
def test_captures_of_a_wrong_head_count_are_refused(name):
    shape, role, block = PER_HEAD[name]
    q, kv = aec.tensor(1, HQ, 7, D), aec.tensor(1, HKV, 7, D)
    with pytest.raises(aec.TraceError) as error:
        aec.trace(
            lambda q, k, v, x: aec.attention(q, k, v, **{role: block(x)}),
            q=q,
            k=kv,
            v=kv,
            x=aec.tensor(*shape),
        )
    count = rf"(a head count of {HQ} or 1|a divisor of the {HQ} heads) in dimension [01], got [23]"
    assert re.fullmatch(rf"{re.escape(name)} expects {count}", error.value.message)
    assert error.value.place.file == __file__


@pytest.mark.parametrize("name", PER_HEAD_OF_A_STEP)
def test_gates_of_a_wrong_head_count_are_refused(name):
    shape, block = PER_HEAD_OF_A_STEP[name]
    x = aec.tensor(1, 4, 7, D)
    message = rf"{re.escape(name)} expects a head count of 4 or 1 in dimension [01], got 2"
    with pytest.raises(aec.TraceError, match=message):
        aec.trace(lambda q, x: aec.recurrence(q, q, q, block(x)), q=x, x=aec.tensor(*shape))


@pytest.mark.parametrize("module", [masks, normalizers, recurrences, scores], ids=lambda m: m.__name__)
def test_every_block_has_a_docstring_and_is_listed(module):
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    types = {"Score", "Step", "Normalizer"}  # names of types for annotations
    assert defined - types <= set(module.__all__)
    guide = (Path(__file__).parents[2] / "docs" / "builder.md").read_text(encoding="utf-8")
    row = next(
        line for line in guide.splitlines() if line.startswith(f"| `aec.{module.__name__.split('.')[-1]}`")
    )
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
        assert name == "Mask" or re.search(rf"\b{name}\b", row), f"docs/builder.md does not list {name}"
