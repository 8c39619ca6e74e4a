"""Random programs around attn operations: hypothesis strategies that write functions as MLIR text.

A program is drawn along with the sizes and numbers of one call, its *example*, on which most of its
operations agree: a writer knows the shape and, where it can, the number of each value, and mostly picks
offsets and sizes that fit. The other calls change sizes and numbers, so that checks at the call have
something to refuse. Numbers are small integers, infinite or NaN, and nothing outside attention is
rounded: a difference is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from host_operations import Writer, function_text
from host_values import LARGEST, WIDTHS, Draw, Module, Number, Tensor
from hypothesis import strategies as st

HUGE = {
    kind: [-(2 ** (width - 1)), 2 ** (width - 1) - 1, -(2 ** (width // 2)), 2 ** (width // 2)]
    for kind, width in WIDTHS.items()
    if width > 1
}


@dataclass
class HostProgram:
    """A module of one public function, and its calls: for each argument a shape or a number."""

    text: str
    arguments: list[Tensor | Number]
    calls: list[list[Any]]
    seed: int

    def __repr__(self) -> str:
        calls = "".join(f"// call {call}\n" for call in self.calls)
        return f"HostProgram:\n{self.text}{calls}// seed {self.seed}\n"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis would list the fields

    def inputs(self, call: Sequence[Any]) -> list[Any]:
        """The arguments of one of `calls`."""
        rng = np.random.default_rng(self.seed)
        made: list[Any] = []
        for argument, given in zip(self.arguments, call, strict=True):
            if isinstance(argument, Number):
                made.append(given)
                continue
            values = rng.integers(-3, 9, given).astype(np.float32)
            values[rng.random(given) < 0.05] = rng.choice([np.nan, np.inf, -np.inf])
            made.append(values)
        return made


@st.composite
def host_programs(draw: Draw) -> HostProgram:
    """A function of a few tensors and scalars, and its calls."""
    module = Module()
    writer = Writer(draw, module)
    arguments: list[Tensor | Number] = []
    common = [writer.upto(LARGEST, 1) for _ in range(2)]
    for number in range(writer.upto(3, 2)):
        rank = writer.pick((2, 1))
        shape = [writer.pick((*common, *common, writer.upto(LARGEST))) for _ in range(rank)]
        static = [None if not writer.chance(3) else size for size in shape]
        arguments.append(Tensor(f"%x{number}", tuple(static), tuple(shape)))
    for number in range(writer.upto(3, 1)):
        kind = writer.pick(("index", "index", "i32", "i8", "i1"))
        arguments.append(Number(f"%n{number}", kind, writer.upto(1 if kind == "i1" else 4)))
    writer.tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    writer.numbers = [argument for argument in arguments if isinstance(argument, Number)]
    writer.some(9)
    results: list[Tensor | Number] = [writer.tensors[-1]]
    if writer.chance(2):
        results.append(writer.a_tensor())
    integers = [n for n in writer.numbers if n.kind != "f32"]
    results.append(writer.pick(integers[::-1]))
    if writer.chance(4):
        results.append(writer.attention())
    heads = ", ".join(f"{argument.name}: {argument}" for argument in arguments)
    text = "".join([*module.functions, function_text("@f", heads, writer.lines, results)])
    return HostProgram(text, arguments, _calls(writer, arguments), writer.upto(1000))


def _calls(writer: Writer, arguments: Sequence[Tensor | Number]) -> list[list[Any]]:
    """The example, and calls that differ from it in numbers, in sizes, or in everything."""
    example = [a.value if isinstance(a, Number) else a.shape for a in arguments]

    def changed_numbers() -> list[Any]:
        return [_other(writer, a) if isinstance(a, Number) else a.shape for a in arguments]

    def changed_sizes(alone: bool) -> list[Any]:
        """One size is another, in one place or wherever it stands."""
        places = [
            (n, d)
            for n, a in enumerate(arguments)
            if isinstance(a, Tensor)
            for d, size in enumerate(a.static)
            if size is None
        ]
        call = [list(given) if isinstance(given, tuple) else given for given in example]
        if not places:
            return changed_numbers()
        number, axis = writer.pick(places)
        old, new = example[number][axis], writer.upto(LARGEST)
        for n, d in [(number, axis)] if alone else places:
            if example[n][d] == old:
                call[n][d] = new
        return [tuple(given) if isinstance(given, list) else given for given in call]

    def changed_all() -> list[Any]:
        return [
            _other(writer, a)
            if isinstance(a, Number)
            else tuple(writer.upto(LARGEST) if size is None else size for size in a.static)
            for a in arguments
        ]

    return [example, changed_numbers(), changed_sizes(False), changed_sizes(True), changed_all()]


def _other(writer: Writer, number: Number) -> int:
    if number.kind == "i1":
        return writer.upto(1)
    return writer.pick((writer.upto(5, -2), writer.upto(3), writer.pick(HUGE[number.kind])))
