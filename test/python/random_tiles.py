"""Random attention programs where tiles have risks, and random ways to cut them into tiles.

The programs are built from what people name (masks, normalisers, scores) and combinations of it, at sizes
around those of tiles; the wild expressions are those of `random_programs.attention_programs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from random_inputs import POISON
from random_programs import Draw, RandomProgram, Scalar, Tensor, Writer, dynamic_sizes

LENGTHS = (5, 0, 1, 2, 16, 17, 63, 64, 65, 130)
FEATURES = (3, 1, 16, 17, 33, 64, 65, 128)
HEADS = ((1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (4, 2), (6, 2), (3, 3))
ELEMENTS = ("f32", "f32", "f32", "f64", "f16", "bf16")
LAYOUTS = ("", "bshd", "every other feature", "features first", "backwards", "shared")

STRETCHED = "x = (row - mean) / aec.sqrt(((row - mean) ** 2).sum() + 0.5)"
HALVED = "b = aec.exp(row * 0.5 - (row * 0.5).max())"
MEAN = "mean = row.sum() / (row * 0.0 + 1.0).sum()"
POWERS = "e = aec.exp(row - row.max())"
VARIANCE = (MEAN, "x = row - mean", "return x, (x * x).sum() / 8.0")
SHIFTED = "{s} + 6.0"

NAMED = (
    *("softmax()", "softmax(lse=True)", "softmax(base=2)", "softmax(base=2, lse=True)", "softmax_sink(0.5)"),
    *("softmax_sink({sinks}, lse=True)", "softmax_off_by_one()", "softmax_off_by_one(lse=True)"),
    *("log_softmax()", "log_softmax(lse=True)", "sigmoid()", "sigmoid(-1.5)", "relu()", "relu(mean=True)"),
    *("relu_squared(mean=True)", "softpick(epsilon=0.1)", "retention()", "none()"),
)

WRITTEN = (
    # one pass
    ("e = aec.exp(row)", "return e / e.sum()"),
    ("e = aec.exp(row)", "return e / (1.0 + e.sum()), aec.log(1.0 + e.sum())"),
    (POWERS, "p = e / e.sum()", "return p, -(p * aec.log(p + 1e-6)).sum()"),
    (POWERS, "p = e / e.sum()", "return p, row.max(), row.min(), (p * p).sum()"),
    (MEAN, "e = aec.exp(row - mean)", "return e / e.sum(), mean"),
    VARIANCE,
    ("return row / aec.sqrt((row * row).sum() + 0.25)",),
    ("return (row - row.min()) / (row.max() - row.min() + 1.0)",),
    (POWERS, "w = e * aec.where(j % 3 == 0, 0.25, 1.0)", "return w / w.sum()"),
    (POWERS, HALVED, "return e / e.sum() - 0.5 * b / b.sum()"),
    # more passes
    (MEAN, STRETCHED, "e = aec.exp(x - x.max())", "return e / e.sum(), mean"),
    ("top = aec.abs(row).max() + 1.0", "return aec.tanh(row / top) / (aec.sigmoid(row / top).sum() + 1.0)"),
    (MEAN, "x = aec.abs(row - mean)", "return row / (x.max() + 1.0), x.sum() / 4.0"),
    (POWERS, "c = (e * row).sum() / e.sum()", "w = 1.0 / (1.0 + (row - c) ** 2)", "return w / w.sum(), c"),
)

SCORES = (
    *("{s}", "{s}", "{s}", "2.0 * aec.tanh({s} * 0.5)", "30.0 * aec.tanh({s} / 30.0)", "aec.sigmoid({s})"),
    *("{s} - 0.125 * aec.abs(i - j)", SHIFTED, "{s} * {t}", "{s} + {bias}", "aec.maximum({s}, -0.5)"),
    *("aec.where({p}, {s}, -inf)", "aec.where({p}, 2.0 * aec.tanh({s}), -inf)", "aec.minimum({s}, {slope})"),
)


class TileWriter(Writer):
    """Draws what the programs are built from."""

    batch: Any
    heads: int
    features: frozenset[str] = frozenset()

    def named_mask(self) -> str:
        """A mask of the library."""
        size = self.pick(1, 3, 16, 17, 40)
        form = self.pick(
            *("causal()", 'causal(align="end")', "causal({offset})", "window({size})"),
            *('window({size}, align="end")', "window({size}, causal=False)", "prefix_lm({prefix})"),
            *("prefix_lm({lengths})", "document({documents})", "chunked({size})", "dilated({step})"),
            *("global_local({few}, {size})", "padding({lengths})", "always()", "dense({dense})"),
            *("block_sparse({blocks}, block_q={size}, block_kv={other})", "chunked({number})"),
            "window({number}, align='end')",
        )
        dense = self.pick(("H", "Sq", "Skv"), (1, "Sq", "Skv"), ("Sq", "Skv"), ("H", 1, "Skv"))
        makers = {
            "offset": lambda: self.pick(0, 1, -1, 5, -7, 16),
            "size": lambda: size,
            "other": lambda: self.pick(16, 1, 5, 17),
            "few": lambda: self.pick(0, 1, 4),
            "step": lambda: self.pick(1, 2, 3, 20),
            "prefix": lambda: self.pick(0, 1, 7, 33),
            "number": lambda: self.argument(Scalar(self.pick("i32", "index"), self.pick(5, 1, 16, 33))),
            "lengths": lambda: self.argument(Tensor((self.batch,), self.pick("i32", "i64"), "lengths")),
            "documents": lambda: self.argument(Tensor((self.batch, "N"), "i32", "documents")),
            "dense": lambda: self.argument(
                Tensor(tuple(self.dims.get(name, name) for name in dense), self.pick("i1", "i8"))
            ),
            "blocks": lambda: self.argument(
                Tensor((self.batch, self.pick(1, self.heads), self.pick("M", 3), "N"), "i1")
            ),
        }
        return "aec.masks." + form.format(
            **{name: make() for name, make in makers.items() if "{" + name + "}" in form}
        )

    def mask(self) -> str:
        """A mask, a combination of two or three, or an expression."""
        form = self.pick(
            "{a}", "{a}", "{a} & {b}", "{a} | {b}", "~{a}", "{a} & ~{b}", "({a} | {b}) & {c}", ""
        )
        if not form:
            return super().mask()
        parts = {name: self.named_mask() for name in "abc" if "{" + name + "}" in form}
        return form.format(**parts)

    def score(self, features: int) -> str:
        """A score, often a bounded one."""
        form = self.pick(*SCORES)
        if form == SHIFTED:
            self.features |= {"shifted"}
        makers = {
            "t": lambda: self.argument(Scalar(self.precise, self.pick(0.5, 1.25))),
            "bias": lambda: self.capture(self.precise, 1, self.pick("normal", "with -inf")),
            "p": lambda: self.boolean(1),
            "slope": lambda: f"{self.argument(Tensor((self.heads,), self.precise))}[h]",
        }
        parts = {name: make() for name, make in makers.items() if "{" + name + "}" in form}
        expression = form.format(s=f"(s * {round(features**-0.5, 4)})", **parts)
        return f"lambda s, b, h, i, j: {expression}"

    def tiled_normalizer(self) -> tuple[list[str], str]:
        """Statements, and the normaliser."""
        kind = self.pick("named", "written", "random")
        if kind == "named":
            form = self.pick(*NAMED)
            sinks = self.argument(Tensor((self.heads,), self.precise)) if "{sinks}" in form else ""
            return [], f"aec.normalizers.{form.format(sinks=sinks)}"
        if kind == "random":
            return self.normalizer(), "normalize"
        written = self.pick(*WRITTEN)
        if written is VARIANCE:
            self.features |= {"variance"}
        return ["def normalize(row, h, i, j):", *(f"    {line}" for line in written)], "normalize"

    def tempered(self, features: int) -> tuple[list[str], str, str]:
        """Statements, a normaliser with a temperature in it, and a score with the lowest number as a bias."""
        bias = self.capture(self.precise, 1, "with the lowest")
        score = f"lambda s, b, h, i, j: s * {round(features**-0.5, 4)} + {bias}"
        power = f"e = aec.exp((row - row.max()) {self.pick('* 0.7', '* 2.0', '* (1 / 0.7)', '/ 0.7')})"
        whole = "return e / e.sum()"
        end = self.pick(whole, f"{whole}, aec.log(e.sum())", "return e / (1.0 + e.sum())")
        return ["def normalize(row, h, i, j):", f"    {power}", f"    {end}"], "normalize", score

    @property
    def dims(self) -> dict[str, Any]:
        """The dimensions of the lengths."""
        return {"H": self.heads, "Sq": self.sizes["i"], "Skv": self.sizes["j"]}


@st.composite
def tile_programs(
    draw: Draw,
    tempered: bool = False,
    elements: Sequence[str] = ELEMENTS,
    features: Sequence[int] = FEATURES,
) -> RandomProgram:
    """A program with one `attention`, at sizes around those of tiles."""
    element = draw(st.sampled_from(elements))
    writer = TileWriter(draw, "f64" if element == "f64" else "f32", False)
    writer.heads, kv_heads = draw(st.sampled_from(HEADS))
    dqk, dv = draw(st.sampled_from(features)), draw(st.sampled_from(features))
    writer.batch = batch = writer.pick("B", 1, 2)
    rows = writer.pick("Sq", "Sq", "S", draw(st.sampled_from(LENGTHS)))
    keys = writer.pick("Skv", "Skv", "S", draw(st.sampled_from(LENGTHS)))
    arguments: dict[str, Any] = {
        "q": Tensor((batch, writer.heads, rows, dqk), element),
        "k": Tensor((batch, kv_heads, keys, dqk), element),
        "v": Tensor((batch, kv_heads, keys, dv), element),
    }
    writer.integers = ("i", "j", "h", "b")
    writer.sizes = {"b": batch, "h": writer.heads, "i": rows, "j": keys}
    if tempered:
        body, normalizer, score = writer.tempered(dqk)
    else:
        body, normalizer = writer.tiled_normalizer()
        score = writer.score(dqk)
    mask = writer.mask() if writer.chance(2) or writer.chance(2) else ""
    poison = writer.chance(3)
    if poison and (not mask or mask.startswith("lambda") or writer.chance(2)):
        # Masked by their score, or by a mask: what the poisoned keys hold must not be seen.
        kept = f"j % {POISON} != {POISON - 1}"
        before, expression = score.split(": ", 1)
        score = f"{before}: aec.where({kept}, {expression}, -inf)"
    elif poison:
        mask = f"({mask}) & (lambda j: j % {POISON} != {POISON - 1})"
    options = [f"score={score}", *([f"mask={mask}"] if mask else []), f"normalize={normalizer}"]
    if writer.chance(4) and element != "f64":
        options.append('out_dtype="f32"')
    elif element == writer.precise and writer.chance(4):
        body.append(writer.pick("q = q * 0.5", "k = k - 0.125 * k", "q = aec.tanh(q) + 0.25"))
    lines = "".join(f"    {option},\n    " for option in options)
    body.append(f"result = aec.attention(\n        q, k, v,\n    {lines})")
    if element == writer.precise and writer.chance(4):
        change = writer.pick("o * 0.5", "aec.tanh(o)", "o * aec.sigmoid(q[..., :1])")
        body.append("o, *rest = result if isinstance(result, tuple) else (result,)")
        body.append(f"result = ({change}, *rest)")
    body.append("return result")
    arguments.update(writer.arguments)
    program = RandomProgram(body, arguments, [], writer.schedule(), writer.features)
    names = dynamic_sizes(arguments)
    limits = {"B": (1, 2, 3, 0), "Sq": LENGTHS, "Skv": LENGTHS, "S": LENGTHS, "N": (9, 1, 70, 0)}
    for _ in range(2 if names else 1):
        call: dict[str, Any] = {"layout": writer.pick(*LAYOUTS)}
        call["sizes"] = {name: draw(st.sampled_from(limits.get(name, (3, 0, 1, 2, 7)))) for name in names}
        call["seed"] = draw(st.integers(0, 2**32 - 1))
        trouble = writer.pick("", "", "", "nan", "infinite", "nan row")
        call |= {"poison": True} if poison else {trouble: True} if trouble else {}
        program.calls.append(call)
    return program


@st.composite
def tile_options(draw: Draw) -> str:
    """Options of `attn-tile`."""
    choices = {
        "block-q": (16, 1, 3, 5, 8, 32, 64),
        "block-kv": (16, 1, 3, 7, 32, 64),
        "rows-last": ("true", "false"),
        "pack-gqa": ("false", "true"),
        "split-kv": (1, 1, 1, 2, 3, 5),
        "decode-rows": (0, 0, 0, 3, 8, 16),
        "masked-values": ("check-tiles", "check-result"),
        "score-ranges": (3, 1, 2),
    }
    options = {name: draw(st.sampled_from(values)) for name, values in choices.items()}
    if options["decode-rows"]:
        options["decode-block-kv"] = draw(st.sampled_from((16, 1, 5, 64)))
    return " ".join(f"{name}={value}" for name, value in options.items())
