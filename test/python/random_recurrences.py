"""Random programs with a recurrence, as `random_programs` has them with attention."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from random_programs import Draw, RandomProgram, Scalar, Tensor, Writer, element_type, make_calls


@st.composite
def recurrence_programs(draw: Draw, folded: bool = False) -> RandomProgram:
    """A program with one `recurrence`: scalar, diagonal and rank-one transitions, packed or not."""
    element = element_type(draw)
    precise = "f64" if element == "f64" else "f32"
    writer = Writer(draw, precise, folded)
    varlen = writer.chance(3)
    heads = draw(st.sampled_from(((1, 1, 1), (2, 2, 2), (2, 1, 4), (1, 1, 3), (4, 2, 2), (3, 3, 1))))
    most = max(heads)
    dk, dv = draw(st.sampled_from((1, 2, 3, 5, 8))), draw(st.sampled_from((1, 2, 3, 4, 7)))
    batch: Any = 1 if varlen else writer.pick("B", "B", 2)
    length = writer.pick("T", "T", "T", 5) if not varlen else "T"
    arguments: dict[str, Tensor | Scalar] = {
        name: Tensor((batch, count, length, size), element)
        for name, count, size in zip("qkv", heads, (dk, dk, dv), strict=True)
    }
    options = []
    if writer.chance(2):
        arguments["initial"] = Tensor(("N" if varlen else batch, most, dk, dv), precise)
        options.append("initial=initial")
    if varlen:
        arguments["offsets"] = Tensor(("N1",), "i32", "offsets")
        options.append("offsets=offsets")
    writer.integers, writer.sizes = ("t", "h", "b"), {"b": batch, "h": most, "t": length}
    body = ["def step(S, q, k, v, b, h, t):", *(f"    {line}" for line in _step(writer, dk, dv))]
    body.append(f"return aec.recurrence({', '.join(['q', 'k', 'v', 'step', *options])})")
    arguments.update(writer.arguments)
    calls = make_calls(draw, arguments, {"B": (1, 2, 3, 0), "T": (5, 1, 2, 3, 17, 33, 0), "N1": (3, 1, 2, 5)})
    for call in calls:
        call["nan"] = False  # a NaN would spread over the state and hide everything else
        call["sizes"]["N"] = call["sizes"].get("N1", 1) - 1
    return RandomProgram(body, arguments, calls, {"opt_level": writer.pick(0, 2)})


def _vector(writer: Writer, size: int) -> str:
    """A captured vector of the step, from a tensor of the natural shape or at random indices."""
    indices = writer.pick(("b", "h", "t"), ("h",), ("b", "t"), None)
    if indices is None:
        dims: tuple[Any, ...] = (None, None)
        indices = (writer.integer(1), writer.integer(1))
    else:
        dims = tuple(writer.sizes[name] for name in indices)
    return f"{writer.argument(Tensor((*dims, size), writer.precise))}[{', '.join(indices)}]"


def _step(writer: Writer, dk: int, dv: int) -> list[str]:
    """The statements of a step that keeps the state bounded."""
    lines = []
    if writer.chance(3):
        lines.append(f"q = {writer.pick(f'q * {dk**-0.5:.3f}', 'aec.tanh(q)', f'q * {_vector(writer, dk)}')}")
    rank_one = writer.chance(2)
    if rank_one:
        lines.append("k = k * aec.rsqrt((k * k).sum() + 0.25)")
    elif writer.chance(3):
        factor = writer.real(1, [])
        key = writer.pick("k * 0.5", f"k * {factor}", "aec.sigmoid(k)", "aec.tanh(k) + v.sum()")
        lines.append(f"k = {key}")
    decay = writer.pick(
        *(
            "aec.exp(-aec.abs({x})) * S",
            "aec.sigmoid({x}) * S",
            "0.9 * S",
            "S",
            "(1.0 - aec.exp2(-1.0 - h)) * S",
        ),
        *(
            "aec.exp(-aec.abs({d}))[:, None] * S",
            "S * aec.sigmoid({e})[None, :]",
            "aec.sigmoid(k)[:, None] * S",
        ),
        *("aec.where({p}, S * 0.5, S)", "aec.exp(-aec.abs({d}))[:, None] * (S * {c})", "S - 0.25 * S"),
    )
    parts = {"c": writer.number(-0.9, 0.9)}
    for name, make in {
        "x": lambda: writer.real(writer.draw(st.integers(0, 1)), []),
        "p": lambda: writer.boolean(1),
        "d": lambda: _vector(writer, dk),
        "e": lambda: _vector(writer, dv),
    }.items():
        if f"{{{name}}}" in decay:
            parts[name] = make()
    lines.append(f"S1 = {decay.format(**parts)}")
    if rank_one:
        beta = writer.pick("0.5", f"aec.sigmoid({writer.real(0, [])})")
        seen = writer.pick("k @ S1", "k @ S1", "(k[:, None] * S1).sum(0)", "S1.T @ k")
        lines.append(f"S1 = S1 + aec.outer({beta} * k, v - {seen})")
    else:
        lines.append(
            writer.pick(
                "S1 = S1 + aec.outer(k, v)", "S1 = S1 + k[:, None] * v", "S1 += 0.5 * aec.outer(k, v)"
            )
        )
    read = writer.pick("q @ S1", "q @ S", "(q[:, None] * S1).sum(0)", "S1.T @ q", "bonus")
    if read == "bonus":
        read = f"q @ (S + {_vector(writer, dk)}[:, None] * aec.outer(k, v))"
    if writer.chance(3):
        read = f"{read} + {writer.pick('v', f'{writer.real(0, [])} * v', f'{_vector(writer, dv)} * v')}"
    return [*lines, f"return S1, {read}"]
