"""Random cascades of reductions that separate by construction: they must stream in one pass.

Each element function is a sum of products of a function of the element and a function of what is reduced
before it, in a form that the algebra has to find: expanded, inside of an exponential, a maximum, |.|.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from random_programs import Draw, RandomProgram, Tensor, Writer, dynamic_sizes


class CascadeWriter(Writer):
    """Draws cascades. `rows` are the names of what has been reduced so far."""

    rows: list[str]
    lines: list[str]

    def element(self) -> str:
        """A function of the element."""
        return f"({self.real(self.draw(st.integers(0, 2)), ['s', 's'])})"

    def row(self) -> str:
        """A function of the row, of moderate size."""
        name = self.pick(*self.rows)
        return self.pick(f"aec.tanh({name})", f"(0.3 * aec.tanh({name}))", f"aec.cos({name})")

    def positive(self) -> str:
        """A function of the row that is known to be positive."""
        return f"(0.5 + aec.abs({self.row()}))"

    def softmax(self, score: str) -> str:
        """Powers of a score that depends on the row by a summand, with their maximum taken out."""
        name = f"x{len(self.lines)}"
        self.lines += [f"{name} = {score}", f"{name} = aec.exp({name} - {name}.max())"]
        return name

    def separable(self) -> str:
        """A function of the element and the row that separates for sums."""
        a, b, c, d = self.element(), self.row(), self.element(), self.row()
        form = self.pick(
            "{a} * {b}",
            "({a} + {b})",
            "{a} * {b} + {c} * {d}",
            "({a} - {b}) ** 2",
            "({a} - {b}) * ({c} + {d})",
            "aec.abs({a} * {b})",
            "aec.maximum({a} * {p}, {c} * {p})",
            "aec.maximum({a} + {b}, {c} + {b})",
            "aec.minimum({a} * {p}, 0.0)",
            "aec.where({k}, {a} * {b}, {c})",
            "aec.where({b} > 0.2, {a}, {b})",
            "{a} / {p}",
            "aec.exp(aec.minimum({a}, 1.0) - {p})",
            "aec.sqrt((1.0 + aec.abs({a})) * {p})",
            "aec.log((1.0 + aec.abs({a})) * {p})",
            "softmax",
        )
        if form == "softmax":
            x = self.softmax(f"{a} + {b}")
            return self.pick(x, f"{x} * {d}", f"{x} * {c}", f"{x} * ({c} - {d})")
        parts = {"a": a, "b": b, "c": c, "d": d, "p": self.positive(), "k": self.boolean(1)}
        return "(" + form.format(**parts) + ")"

    def extremum(self) -> str:
        """A maximum or minimum that goes through the function of the row."""
        a, b = self.element(), self.row()
        form = self.pick(
            "({a} * {p} + {b})",
            "({a} - {b})",
            "aec.tanh({a} + {b})",
            "aec.exp(aec.minimum({a} * {p}, 1.0))",
            "({a} * {b})",
            "aec.minimum({a}, {b})",
        )
        kind = self.pick("max", "min")
        if "aec.minimum({a}, {b})" in form and kind == "max":
            form = "aec.maximum({a}, {b})"
        return form.format(a=a, b=b, p=self.positive()) + f".{kind}()"

    def cascade(self) -> list[str]:
        """The statements of a normaliser named `normalize`."""
        self.lines, self.rows = [], []
        first = self.pick("s.max()", f"{self.element()}.sum() / 5.0", f"aec.abs({self.element()}).max()")
        self.lines.append(f"r0 = {first}")
        self.rows.append("r0")
        for number in range(1, self.draw(st.integers(1, 4))):
            value = self.extremum() if self.chance(3) else f"({self.separable()}).sum() / 5.0"
            self.lines.append(f"r{number} = {value}")
            self.rows.append(f"r{number}")
        weight = self.separable()
        if self.chance(3):
            x = self.softmax(f"{self.element()} - {self.row()}")
            weight = f"{x} / {x}.sum()"
        extras = [name for name in self.rows if self.chance(2)]
        self.lines.append(f"return {', '.join([weight, *extras])}")
        return ["def normalize(s, b, h, i, j):", *(f"    {line}" for line in self.lines)]


@st.composite
def cascade_programs(draw: Draw) -> RandomProgram:
    """A program with one `attention` in f64 whose normaliser streams in one pass."""
    writer = CascadeWriter(draw, "f64", False)
    arguments: dict[str, Any] = {
        "q": Tensor((1, 2, "Sq", 3), "f64"),
        "k": Tensor((1, 1, "Skv", 3), "f64"),
        "v": Tensor((1, 1, "Skv", 2), "f64"),
    }
    writer.integers = ("i", "j", "h")
    writer.sizes = {"h": 2, "i": "Sq", "j": "Skv"}
    body = writer.cascade()
    mask = writer.mask() if writer.chance(2) else "None"
    body.append(f"return aec.attention(q, k, v, mask={mask}, normalize=normalize)")
    arguments.update(writer.arguments)
    sizes = {name: draw(st.sampled_from((5, 1, 2, 9))) for name in sorted(dynamic_sizes(arguments))}
    call = {"sizes": sizes, "seed": draw(st.integers(0, 2**32 - 1))}
    return RandomProgram(body, arguments, [call])
