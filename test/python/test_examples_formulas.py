"""Every example computes its formula: in f64 against the closed forms, which know nothing of its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from example_files import FOLDER, load

import aecompiler as aec
from aecompiler.reference import oracles

SIZES = {"B": 2, "S": 37, "Sq": 3, "Skv": 37, "T": 19, "Blocks": 3, "Bounds": 5}
Values = dict[str, Any]


def indices(x: Values) -> tuple[np.ndarray, np.ndarray]:
    return oracles.positions(x["q"], x["k"])


def causal(x: Values) -> np.ndarray:
    return oracles.causal_mask(*indices(x))


def softmax(x: Values, mask: Any) -> np.ndarray:
    return oracles.softmax(x["q"], x["k"], x["v"], x["q"].shape[3] ** -0.5, mask)[0]


def with_sink(x: Values, mask: Any, sink: np.ndarray) -> np.ndarray:
    scaled = oracles.scores(x["q"], x["k"]) * x["q"].shape[3] ** -0.5
    p, _ = oracles.softmax_weights(oracles.masked(scaled, mask), sink[None, :, None, None])
    return oracles.attend(p, x["v"])


def zeros(x: Values) -> np.ndarray:
    heads = max(x[name].shape[1] for name in "qkv")
    return np.zeros((x["q"].shape[0], heads, x["k"].shape[3], x["v"].shape[3]))


def qkv(x: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return x["q"], x["k"], x["v"]


def gamma(x: Values) -> np.ndarray:
    return 1 - 2.0 ** (-5 - np.arange(x["q"].shape[1]))


def quarter(x: Values) -> float:
    return x["q"].shape[3] ** -0.5


def linear_attention(x: Values) -> tuple[np.ndarray, np.ndarray]:
    return oracles.linear_attention(*qkv(x)), np.einsum("bhtk,bhtv->bhkv", x["k"], x["v"])


def gated_retention_packed(x: Values) -> tuple[np.ndarray, np.ndarray]:
    initial = np.zeros((len(x["offsets"]) - 1, x["q"].shape[1], x["k"].shape[3], x["v"].shape[3]))
    return oracles.packed(oracles.scalar_gated, qkv(x), x["offsets"], initial, g=x["gate"])


def differential(x: Values) -> np.ndarray:
    (q1, q2), (k1, k2) = np.split(x["q"], 2, axis=3), np.split(x["k"], 2, axis=3)
    weight = float(np.float32(x["weight"]))  # an argument of type f32
    return oracles.differential((q1, q2), (k1, k2), x["v"], 0.25, weight, causal(x))


def t5(x: Values) -> np.ndarray:
    i, j = indices(x)
    return oracles.relative_bias(*qkv(x), x["bias"], oracles.t5_bucket(j - i, 32, 128, True))


def decode(x: Values) -> np.ndarray:
    blocks = oracles.grouped(x["blocks"], x["q"].shape[1])[:, :, None]
    j = np.arange(x["k"].shape[2])
    chosen = blocks[..., np.minimum(j // 16, blocks.shape[3] - 1)]
    return softmax(x, chosen & (j < x["length"][:, None, None, None]))


# One closed form per example, with the parameters that the examples have by default.
FORMULAS: dict[str, Callable[[Values], Any]] = {
    "additive_bias": lambda x: oracles.additive_bias(*qkv(x), quarter(x), x["bias"]),
    "alibi": lambda x: oracles.alibi(*qkv(x), quarter(x), x["slopes"], causal(x)),
    "block_sparse": lambda x: softmax(x, causal(x) & oracles.block_mask(x["blocks"], *indices(x), 16, 16)),
    "block_sparse_decode": decode,
    "chunked": lambda x: softmax(x, oracles.chunked_mask(*indices(x), 16)),
    "delta_rule": lambda x: oracles.delta_rule(*qkv(x), x["beta"], zeros(x)),
    "differential": differential,
    "dilated": lambda x: softmax(
        x, oracles.dilated_mask(*indices(x), 3) & oracles.window_mask(*indices(x), 24)
    ),
    "document": lambda x: softmax(x, causal(x) & oracles.document_mask(x["document"], x["document"])),
    "gated_delta_rule": lambda x: oracles.delta_rule(
        *(oracles.grouped(x[n], 4) for n in "qk"), x["v"], x["beta"], zeros(x), g=x["gate"]
    ),
    "gated_retention": lambda x: oracles.scalar_gated(*qkv(x), x["gate"], zeros(x)),
    "gated_retention_packed": gated_retention_packed,
    "gla": lambda x: oracles.gla(*qkv(x), x["gate"], zeros(x)),
    "global_local": lambda x: softmax(x, oracles.global_local_mask(*indices(x), 8, 4)),
    "grouped_query": lambda x: softmax(x, causal(x)),
    "kda": lambda x: oracles.delta_rule(*qkv(x), x["beta"], zeros(x), g=x["gate"]),
    "linear_attention": linear_attention,
    "mamba2": lambda x: oracles.mamba2(*qkv(x), x["A"], x["dt"], x["D"], zeros(x)),
    "mla": lambda x: oracles.mla(x["q"], x["cache"], 64, 24**-0.5, x["length"]),
    "off_by_one": lambda x: with_sink(x, causal(x), np.zeros(x["q"].shape[1])),
    "prefix_lm": lambda x: softmax(x, oracles.prefix_mask(*indices(x), x["prefix"])),
    "relative_bias": t5,
    "relu": lambda x: oracles.relu(*qkv(x), quarter(x)) / SIZES["S"],
    "relu_squared": lambda x: oracles.relu(*qkv(x), quarter(x), power=2, mask=causal(x)),
    "retention": lambda x: oracles.retention(*qkv(x), quarter(x), gamma(x)),
    "retnet": lambda x: oracles.retnet(*qkv(x), gamma(x), x["initial"], quarter(x)),
    "rwkv6": lambda x: oracles.rwkv6(*qkv(x), x["w"], x["u"], zeros(x)),
    "sigmoid": lambda x: oracles.sigmoid(*qkv(x), quarter(x), -np.log(SIZES["S"]), causal(x)),
    "sinks": lambda x: with_sink(x, oracles.window_mask(*indices(x), 24), x["sink"]),
    "sliding_window": lambda x: softmax(x, oracles.window_mask(*indices(x), 16)),
    "softcap": lambda x: oracles.softcap(*qkv(x), quarter(x), 50.0, oracles.window_mask(*indices(x), 24)),
    "softmax": lambda x: oracles.softmax(*qkv(x), quarter(x), causal(x)),
    "softpick": lambda x: oracles.softpick(*qkv(x), quarter(x), causal(x)),
    "standardized_softmax": lambda x: oracles.standardized_softmax(*qkv(x), causal(x)),
}
OPTIONS: dict[str, Values] = {"softpick": {"epsilon": 0.0}, "standardized_softmax": {"epsilon": 1e-6}}


def test_every_example_has_a_formula() -> None:
    assert set(FORMULAS) == {path.stem for path in FOLDER.glob("*.py")} - {"demo"}


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_example_computes_its_formula(name: str) -> None:
    module = load(name)
    kernel = aec.compile(module.build(dtype="f64", **OPTIONS.get(name, {})), target="cpu")
    inputs = dict(getattr(module, "inputs", {}))
    if name == "gated_retention_packed":
        inputs["offsets"] = [0, 5, 5, 12, 17]
    values = load("demo").draw(kernel, inputs, SIZES, seed=2)
    got = kernel(**values)
    wide = {
        key: value.astype(float) if getattr(value, "dtype", None) == np.float32 else value
        for key, value in values.items()
    }
    expected = FORMULAS[name](wide)
    pairs = zip(got, expected, strict=True) if isinstance(got, tuple) else [(got, expected)]
    for ours, formula in pairs:
        scale = max(1.0, np.abs(formula).max())
        np.testing.assert_allclose(ours, formula, rtol=0, atol=1e-10 * scale)
