"""Random normalisers of powers of large scores, which leave the range of floats in all but the right form."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from random_programs import Draw, RandomProgram, Tensor, Writer

POWERS = (
    "aec.exp({d})",
    "aec.exp({d}) ** 1.5",
    "aec.exp({d}) ** 0.25",
    "aec.rsqrt(aec.exp(-{d}))",
    "1.0 / aec.sqrt(aec.exp(-{d}))",
    "aec.exp(2.0 * {d}) / aec.exp({d})",
    "aec.expm1({d})",
    "aec.sqrt(aec.exp({d}) * (1.0 + aec.abs({d})))",
    "(1.0 + {d}) * aec.exp({d})",
    "aec.exp({d}) * aec.sigmoid(s)",
    "aec.minimum(aec.exp({d}), {c})",
    "aec.where({d} < 3.0, aec.exp({d}), 0.0)",
    "1.0 / (1.0 + aec.exp({d}))",
)

WEIGHTS = (
    "e",
    "p",
    "e / e.max()",
    "p / p.max()",
    "p - p.min()",
    "p * aec.exp(-aec.abs(p.prod()))",
    "p * p / (p * p).sum()",
    "(p * (1.0 / n)) / (p * (1.0 / n)).max()",
    "aec.where(s.max() > 50.0, p, aec.exp(s))",
    "aec.where(s.min() > 0.5, aec.log(s), s * 0.01)",
    "aec.where(aec.abs(s).max() > 50.0, s * 0.01, e)",
    "p * n + aec.where(s.max() > 50.0, s * 0.01, aec.exp(s)).sum() * 0.001",
)


@st.composite
def power_programs(draw: Draw) -> RandomProgram:
    """A program with one `attention` in f64; the largest numbers of f64 are about e^709."""
    writer = Writer(draw, "f64", False)
    arguments: dict[str, Any] = {
        "q": Tensor((1, 2, "Sq", 3), "f64"),
        "k": Tensor((1, 1, "Skv", 3), "f64"),
        "v": Tensor((1, 1, "Skv", 2), "f64"),
    }
    scale, shift = writer.pick("1.0", "100.0", "700.0", "-100.0"), writer.pick("0.0", "900.0", "-900.0")
    distance = writer.pick("(s - m)", "(s - m)", "(s - s.sum() / n)", "s", "(m - s)", "(s * 0.5 - m)")
    power = writer.pick(*POWERS).format(d=distance, c=writer.number(0.5, 5.0))
    lines = [
        "n = aec.maximum((j * 0 + 1).sum(), 1.0)",
        "m = s.max()",
        f"e = {power}",
        f"p = {writer.pick('e / e.sum()', 'e * (1.0 / e.sum())', 'e / (1.0 + e.sum())')}",
        f"return {writer.pick(*WEIGHTS)}, p.max()",
    ]
    body = [
        "def normalize(s, b, h, i, j):",
        *(f"    {line}" for line in lines),
        f"return aec.attention(q, k, v, score=lambda s: s * {scale} + {shift}, normalize=normalize)",
    ]
    sizes = {"Sq": draw(st.sampled_from((3, 1))), "Skv": draw(st.sampled_from((5, 1, 2, 9)))}
    return RandomProgram(body, arguments, [{"sizes": sizes, "seed": draw(st.integers(0, 2**32 - 1))}])
