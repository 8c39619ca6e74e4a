"""Random attention programs: hypothesis strategies that write programs of the builder as Python source.

What is drawn is text, so that a failing example is a program one can paste and run. Expressions are built to
be well conditioned: scores grow with the depth of a tree by sums only, every function has a slope of about 1
at most, and nothing jumps at a value that is computed in floats (conditions look at integers and at captured
values, which both sides have exactly). A difference beyond rounding is therefore a bug.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from random_inputs import fill, lay_out, spoil

Draw = Callable[[st.SearchStrategy], Any]

LENGTHS = (0, 1, 2, 3, 5, 7, 13, 17, 31, 32, 33, 67)
FEATURES = (1, 2, 3, 5, 8, 13, 16)
HEADS = ((1, 1), (2, 1), (2, 2), (3, 3), (4, 2), (6, 2), (5, 1))


@dataclass(frozen=True)
class Tensor:
    """A tensor argument. Dimensions as for `aec.tensor`; `values` says what it is filled with."""

    dims: tuple[int | str | None, ...]
    dtype: str
    values: str = "normal"

    def __str__(self) -> str:
        return f"aec.tensor({', '.join(map(repr, self.dims))}, dtype={self.dtype!r})"


@dataclass(frozen=True)
class Scalar:
    """A scalar argument and its value."""

    dtype: str
    value: float | int

    def __str__(self) -> str:
        return f"aec.scalar({self.dtype!r})"


@dataclass
class RandomProgram:
    """A program as source text, how to compile it, and the sizes and seeds of its calls.

    `features` names what was drawn that results are less exact for.
    """

    body: list[str]
    arguments: dict[str, Tensor | Scalar]
    calls: list[dict[str, Any]]
    options: dict[str, int] = field(default_factory=dict)
    features: frozenset[str] = frozenset()

    @property
    def element(self) -> str:
        """The element type of q, k and v."""
        return self.arguments["q"].dtype

    @property
    def source(self) -> str:
        """The program as a person would write it."""
        specs = "".join(f"    {name}={spec},\n" for name, spec in self.arguments.items())
        lines = "".join(f"    {line}\n" for line in self.body)
        return f"@aec.program(\n{specs})\ndef program({', '.join(self.arguments)}):\n{lines}"

    def __repr__(self) -> str:
        return f"RandomProgram:\n{self.source}# options {self.options}\n# calls {self.calls}\n"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis would list the fields

    def trace(self) -> Any:
        """The program of the builder."""
        import aecompiler as aec

        source = self.source
        name = f"<random program {hash(source)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        scope: dict[str, Any] = {"aec": aec, "inf": float("inf")}
        exec(compile(source, name, "exec"), scope)
        return scope["program"]

    def inputs(self, call: Mapping[str, Any]) -> list[Any]:
        """The arguments of one of `calls`."""
        rng = np.random.default_rng(call["seed"])
        made = []
        for name, spec in self.arguments.items():
            if isinstance(spec, Scalar):
                made.append(spec.value)
                continue
            shape = [
                dim if isinstance(dim, int) else call["sizes"][dim if dim else f"{name}.{axis}"]
                for axis, dim in enumerate(spec.dims)
            ]
            array = fill(rng, shape, spec.dtype, spec.values, call["sizes"].get("T", 0))
            if name in ("q", "k", "v"):
                array = lay_out(spoil(rng, array, name, call), call)
            made.append(array)
        return made


class Writer:
    """Draws expressions as text, and collects the arguments that they capture.

    `integers` are the integer names in scope; `sizes` the sizes that some of them run over, for captures of
    the shape that one would expect. `folded` programs survive upstream folding, which leaves a division by
    zero undefined where the dialect defines it.
    """

    def __init__(self, draw: Draw, precise: str, folded: bool):
        self.draw = draw
        self.precise = precise
        self.folded = folded
        self.arguments: dict[str, Tensor | Scalar] = {}
        self.integers: tuple[str, ...] = ()
        self.sizes: dict[str, int | str | None] = {}

    def pick(self, *choices: Any) -> Any:
        """One of `choices`; the first is the simplest."""
        return self.draw(st.sampled_from(choices))

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def number(self, low: float, high: float) -> str:
        """A float constant."""
        return repr(round(self.draw(st.floats(low, high, allow_nan=False)), 3))

    def moved(self, tensor: str, dims: Sequence[int | str]) -> str:
        """A part of `tensor` along one of `dims`, its first dimensions, or it and a part, joined.

        Features stay: errors are measured by the largest of a row.
        """
        axis = self.pick(1, 2, 0)
        part = self.pick(":1", "1:", "-1:", ":-1", "1:3", ":17", "16:", ":")
        cut = f"{tensor}[{':, ' * axis}{part}]"
        if not isinstance(dims[axis], int):
            return cut
        return self.pick(
            cut, cut, *(f"aec.concat([{each}, {tensor}], axis={axis})" for each in (cut, tensor))
        )

    def schedule(self) -> dict[str, int]:
        """Options to compile with; mostly none."""
        if not self.chance(4):
            return {}
        return {
            "opt_level": self.pick(-1, 0, 2),
            "block_q": self.pick(0, 1, 3, 8, 16, 32, 64),
            "block_kv": self.pick(0, 1, 7, 16),
        }

    def argument(self, spec: Tensor | Scalar) -> str:
        """A new argument, or one of the same kind that is there."""
        same = [name for name, other in self.arguments.items() if other == spec]
        if same and self.chance(2):
            return same[0]
        name = f"c{len(self.arguments)}"
        self.arguments[name] = spec
        return name

    def capture(self, dtype: str, depth: int, values: str = "normal") -> str:
        """A read of a captured tensor: at its own indices, or at any integer expressions."""
        known = [name for name in self.integers if name in self.sizes]
        if self.chance(3) or not known:
            rank = self.draw(st.integers(1, 3))
            dims = tuple(self.pick(None, 1, 2, 3, 7) for _ in range(rank))
            indices = [self.integer(max(depth - 1, 1)) for _ in dims]
        else:
            count = self.draw(st.integers(1, min(len(known), 3)))
            indices = sorted(self.draw(st.permutations(known))[:count], key=known.index)
            dims = tuple(self.sizes[name] for name in indices)
        return f"{self.argument(Tensor(dims, dtype, values))}[{', '.join(indices)}]"

    # ---- integers and booleans ----

    def integer(self, depth: int) -> str:
        """An integer expression; its value is bounded only by the sizes and a few factors of up to 9."""
        if depth <= 0:
            choice = self.draw(st.integers(0, 5))
            if choice == 4:
                return self.argument(Scalar(self.pick("index", "i32", "i64"), self.draw(st.integers(-5, 9))))
            return str(self.draw(st.integers(0, 9))) if choice == 5 else self.pick(*self.integers)
        a, b = self.integer(depth - 1), self.pick(*self.integers)
        constant = self.draw(st.integers(1, 9))
        form = self.pick(
            "{a} + {b}", "{a} - {b}", "{b} - {a}", "{b} * {c}", "{b} // {c}", "{b} % {c}", "capture"
        )
        form = self.pick(
            form,
            "{a} // {b}",
            "{a} % {b}",
            "aec.minimum({a}, {b})",
            "aec.maximum({b}, {c})",
            "aec.abs({a} - {b})",
            "-{b}",
            "{b} >> 1",
            "{b} << 2",
            "{b} & {c}",
            "{b} ^ {c}",
            "where",
        )
        if self.folded and form in ("{a} // {b}", "{a} % {b}"):
            form = form.replace("{b}", "({b} * 2 + 1)")
        if form == "capture":
            return self.capture(self.pick("i32", "i64", "index", "i8"), depth - 1)
        if form == "where":
            return f"aec.where({self.boolean(depth - 1)}, {b}, {b} + {constant})"
        return "(" + form.format(a=a, b=b, c=constant) + ")"

    def small(self, depth: int) -> str:
        """An integer expression in -4 .. 4."""
        return f"({self.integer(depth)} % 9 - 4)"

    def boolean(self, depth: int) -> str:
        """A condition on integers and captures, which are exact."""
        a, b = self.integer(depth - 1), self.pick(*self.integers)
        form = self.pick(
            *("{b} >= {a}", "{b} < {a}", "{b} == {a}", "{b} != {a}", "{b} % {c} == 0", "{b} - {a} < {c}"),
            *("capture", "float", "and", "or", "not", "xor"),
        )
        if depth <= 0 and form in ("and", "or", "not", "xor"):
            form = "{b} <= {a}"
        if form == "capture":
            return self.capture("i1", depth - 1)
        if form == "float":
            return f"({self.capture(self.precise, depth - 1)} > {self.number(-1, 1)})"
        if form == "not":
            return f"~{self.boolean(depth - 1)}"
        if form in ("and", "or", "xor"):
            symbol = {"and": "&", "or": "|", "xor": "^"}[form]
            return f"({self.boolean(depth - 1)} {symbol} {self.boolean(depth - 1)})"
        return "(" + form.format(a=a, b=b, c=self.draw(st.integers(1, 5))) + ")"

    # ---- floats ----

    def real(self, depth: int, leaves: Sequence[str]) -> str:
        """A float expression in `leaves`, constants and captures; slopes of about 1, no growing products."""
        if depth <= 0:
            choice = self.draw(st.integers(0, 6))
            if choice == 5:
                return f"{self.small(1)} * {self.number(-0.5, 0.5)}"
            if choice == 6:
                return self.argument(Scalar(self.precise, float(self.number(-2, 2))))
            if leaves and choice < 4:
                return self.pick(*leaves)
            return self.capture(self.pick(self.precise, self.precise, "f16", "bf16"), 1)
        x = self.real(depth - 1, leaves)
        form = self.pick(
            *(
                "({x} + {y})",
                "({x} - {y})",
                "({c} - {x})",
                "{x} * {c}",
                "aec.tanh({x})",
                "-{x}",
                "aec.abs({x})",
            ),
            *("aec.sigmoid({x})", "aec.erf({x})", "aec.sin({x})", "aec.cos({x})", "aec.exp(-aec.abs({x}))"),
            *(
                "aec.exp(aec.minimum({x}, 1.0))",
                "aec.exp2(aec.minimum({x}, 0.5))",
                "aec.expm1(-aec.abs({x}))",
            ),
            *("aec.log1p(aec.abs({x}))", "aec.log({x} * {x} + 1.0)", "aec.log2(aec.abs({x}) + 1.0)"),
            *("aec.sqrt(aec.abs({x}) + 0.5)", "aec.rsqrt(aec.abs({x}) + 0.5)", "aec.clamp({x}, -1.5, 2.0)"),
            *("{x} / (1.0 + aec.abs({y}))", "{x} * aec.tanh({y})", "1 / (1.5 + aec.tanh({x}))"),
            *("aec.maximum({x}, {y})", "aec.minimum({x}, {y})", "aec.tanh({x}) ** 2", "aec.tanh({x}) ** 3"),
            *("2 ** aec.tanh({x})", "(aec.abs({x}) + 1.0) ** 0.5", "aec.maximum({x}, 0)"),
            *("aec.where({p}, {x}, {y})", "aec.where({p}, {x}, {c})"),
        )
        parts = {"x": x}
        if "{y}" in form:
            parts["y"] = self.real(depth - 1, leaves)
        if "{c}" in form:
            parts["c"] = self.number(-1, 1)
        if "{p}" in form:
            parts["p"] = self.boolean(1)
        return form.format(**parts)

    # ---- the regions of attention ----

    def score(self, features: int) -> str:
        """A score function."""
        base = f"s * {round(features**-0.5, 4)}"
        expression = self.pick(base, self.real(self.draw(st.integers(0, 3)), [f"({base})"]))
        if self.chance(4):
            bias = self.capture(self.precise, 1, "with -inf")
            expression = f"{expression} + {bias}"
        if self.chance(5):
            expression = f"aec.where({self.boolean(1)}, {expression}, -inf)"
        return f"lambda s, b, h, i, j, q_len, kv_len: {expression}"

    def mask(self) -> str:
        """A mask function, biased to what people write."""
        known = self.pick(
            *("j <= i", "True", "(j <= i) & (i - j < 5)", "j <= i + (kv_len - q_len)", "i // 4 == j // 4"),
            *("(j <= i) | (j < 3)", "(i - j) % 3 == 0", "False", "j < 0", "i % 2 == 0", "random", "random"),
        )
        expression = self.boolean(self.draw(st.integers(1, 2))) if known == "random" else known
        return f"lambda b, h, i, j, q_len, kv_len: {expression}"

    def normalizer(self) -> list[str]:
        """The statements of a normaliser, named `normalize`."""
        lines = self.pick(self._softmax, self._cascade)()
        return ["def normalize(s, b, h, i, j):", *(f"    {line}" for line in lines)]

    def _softmax(self) -> list[str]:
        x = self.pick("s", "s * 0.7", self.real(1, ["s"]))
        lines = [f"x = {x}", "m = x.max()"]
        extra = ""
        sink = self.pick("", "", "0.0", self.row_uniform())
        if sink:
            lines.append(f"m = aec.maximum(m, {sink})")
            extra = f" + aec.exp({sink} - m)"
        lines += ["p = aec.exp(x - m)", f"l = p.sum(){extra}"]
        if self.chance(2):
            return [*lines, "return p / l, m + aec.log(l)"]
        return [*lines, "return p / l"]

    def row_uniform(self) -> str:
        """A float that is the same along a row."""
        saved, self.integers = self.integers, ("h", "b", "i")
        try:
            return self.real(self.draw(st.integers(0, 1)), [])
        finally:
            self.integers = saved

    def _cascade(self) -> list[str]:
        """Several reductions, each of elements that may depend on the ones before."""
        lines, uniform = ["n = aec.maximum((j * 0 + 1).sum(), 1.0)"], []
        for number in range(self.draw(st.integers(0, 3))):
            x = self.real(
                self.draw(st.integers(0, 2)), ["s", "s", *[f"aec.tanh({name})" for name in uniform]]
            )
            form = self.pick(
                *(
                    "({x}).max()",
                    "({x}).min()",
                    "({x}).sum() / n",
                    "aec.abs({x}).max()",
                    "aec.abs({x}).sum()",
                ),
                *(
                    "(({x}) * ({x})).sum() / n",
                    "(1.0 + 0.1 * aec.tanh({x})).prod()",
                    "aec.sigmoid({x}).sum()",
                ),
                "aec.where({p}, 1.0, 0.0).sum()",
            )
            reduced = form.format(x=x, p=self.boolean(1) if "{p}" in form else "")
            lines.append(f"r{number} = {reduced}")
            uniform.append(f"r{number}")
        x = self.real(self.draw(st.integers(0, 2)), ["s", *[f"aec.tanh({name})" for name in uniform]])
        lines.append(f"x = {x}")
        weight = self.pick(
            *(
                "aec.sigmoid(x)",
                "aec.maximum(x, 0.0)",
                "aec.maximum(x, 0.0) ** 2 / n",
                "x / n",
                "aec.tanh(x)",
            ),
            *(
                "x / aec.maximum(aec.abs(x).sum(), 1.0)",
                "aec.exp(x - x.max())",
                "1.0 / n",
                "aec.where({p}, x, 0.5)",
            ),
            *("softmax", "aec.log1p(aec.exp(-aec.abs(x)))"),
        )
        if weight == "softmax":
            lines.append("x = aec.exp(x - x.max())")
            weight = "x / x.sum()"
        extras = [
            self.pick(
                name,
                f"aec.log1p(aec.abs({name}))",
                f"aec.tanh({name}) + {self.row_uniform()}",
                f"1.0 - {name}",
            )
            for name in uniform
            if self.chance(2)
        ]
        if self.chance(4):
            extras.append(self.row_uniform())
        values = [weight.format(p=self.boolean(1) if "{p}" in weight else ""), *extras]
        return [*lines, f"return {', '.join(values)}"]


def dynamic_sizes(arguments: Mapping[str, Tensor | Scalar]) -> list[str]:
    """The names of the sizes that a call chooses; a size without one is named after its argument."""
    names: dict[str, None] = {}
    for name, spec in arguments.items():
        for axis, dim in enumerate(spec.dims if isinstance(spec, Tensor) else ()):
            if not isinstance(dim, int):
                names[dim or f"{name}.{axis}"] = None
    return list(names)


def element_type(draw: Draw) -> str:
    """The element type of q, k and v."""
    return draw(st.sampled_from(("f32", "f32", "f32", "f64", "f16", "bf16")))


def make_calls(
    draw: Draw, arguments: Mapping[str, Tensor | Scalar], limits: Mapping[str, Sequence[int]]
) -> list:
    """One call, or two for a program with dynamic sizes."""
    names = dynamic_sizes(arguments)
    calls = []
    for _ in range(2 if names else 1):
        sizes = {name: draw(st.sampled_from(limits.get(name, (3, 0, 1, 2, 7)))) for name in names}
        seed, layout = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 3))
        calls.append(
            {"sizes": sizes, "seed": seed, "layout": "bshd" if layout == 1 else "", "nan": layout == 3}
        )
    return calls


@st.composite
def attention_programs(draw: Draw, folded: bool = False) -> RandomProgram:
    """A program with one `attention`, possibly with arithmetic around it."""
    element = element_type(draw)
    precise = "f64" if element == "f64" else "f32"
    writer = Writer(draw, precise, folded)
    q_heads, kv_heads = draw(st.sampled_from(HEADS))
    dqk, dv = draw(st.sampled_from(FEATURES)), draw(st.sampled_from(FEATURES))
    batch = writer.pick("B", "B", 1, 2)
    q_length = writer.pick("Sq", "Sq", "S", draw(st.sampled_from(LENGTHS)))
    kv_length = writer.pick("Skv", "Skv", "S", draw(st.sampled_from(LENGTHS)))
    latent = writer.chance(8) and dv <= dqk
    heads: tuple[Any, Any] = (q_heads, kv_heads)
    if q_heads == kv_heads and writer.chance(4):
        heads = ("H", "H")
    arguments: dict[str, Tensor | Scalar] = {
        "q": Tensor((batch, heads[0], q_length, dqk), element),
        "k": Tensor((batch, heads[1], kv_length, dqk), element),
    }
    if not latent:
        arguments["v"] = Tensor((batch, heads[1], kv_length, dv), element)
    writer.integers = ("i", "j", "h", "b")
    writer.sizes = {"b": batch, "h": heads[0], "i": q_length, "j": kv_length}
    body = [f"v = k[..., :{dv}]"] if latent else []
    if element == precise and writer.chance(4):
        body.append(writer.pick("q = q * 0.5", "q = aec.tanh(q) + 0.25", "k = k - 0.125 * k"))
    options = [f"score={writer.score(dqk)}"] if writer.chance(2) or writer.chance(2) else []
    if writer.chance(2) or writer.chance(2):
        options.append(f"mask={writer.mask()}")
    if writer.chance(2) or writer.chance(2):
        body += writer.normalizer()
        options.append("normalize=normalize")
    if writer.chance(4):
        options.append('out_dtype="f32"' if element != "f64" else "out_dtype=None")
    lines = "".join(f"    {option},\n    " for option in options)
    body.append(f"result = aec.attention(\n        q, k, v,\n    {lines})")
    if element == precise and writer.chance(6):
        body.append("first = result[0] if isinstance(result, tuple) else result")
        body.append(f"result = first - 0.5 * aec.attention(q, k, v, mask={writer.mask()})")
    if element == precise and writer.chance(4):
        change = writer.pick(
            "{o} * 0.5", "aec.tanh({o})", "{o} + q[..., :1]", "aec.where({o} > inf, 0.0, {o})"
        )
        if 'out_dtype="f32"' in options or element == precise:
            body.append("o, *rest = result if isinstance(result, tuple) else (result,)")
            body.append(f"result = ({change.format(o='o')}, *rest)")
    if writer.chance(4):
        body.append("o, *rest = result if isinstance(result, tuple) else (result,)")
        dims = (batch, heads[0], q_length)
        body += [f"o = {writer.moved('o', dims)}" for _ in range(writer.pick(1, 1, 2))]
        body.append(
            writer.pick("result = o", "result = aec.transpose(o, (0, 2, 1, 3))", "result = (o, *rest)")
        )
    body.append("return result")
    arguments.update(writer.arguments)
    limits = {"B": (1, 2, 3, 0), "H": (2, 1, 3, 0), "Sq": (*LENGTHS[1:], 0), "Skv": (*LENGTHS[1:], 0)}
    limits["S"] = limits["Sq"]
    return RandomProgram(body, arguments, make_calls(draw, arguments, limits), writer.schedule())
