"""Values of random programs around attn operations, as a writer of MLIR text knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], Any]

LARGEST = 6
"""The largest size of an argument; other sizes that a number decides are not much larger either."""

WIDTHS = {"index": 64, "i32": 32, "i8": 8, "i1": 1}


@dataclass(frozen=True)
class Tensor:
    """A tensor of f32; `None` in `static` is a dynamic size, `shape` are the sizes in the example."""

    name: str
    static: tuple[int | None, ...]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return tensor_type(self.static)


@dataclass(frozen=True)
class Number:
    """A scalar; `value` is what it is in the example, None if that is unknown."""

    name: str
    kind: str
    value: int | float | None = None

    def __str__(self) -> str:
        return self.kind


def tensor_type(static: Sequence[int | None]) -> str:
    """A type as MLIR writes it."""
    return f"tensor<{''.join('?x' if size is None else f'{size}x' for size in static)}f32>"


def wrap(value: int, width: int) -> int:
    return (value + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))


_EXACT = {
    "addi": lambda a, b: a + b,
    "subi": lambda a, b: a - b,
    "muli": lambda a, b: a * b,
    "maxsi": max,
    "minsi": min,
    "floordivsi": lambda a, b: a // b if b else 0,
    "ceildivsi": lambda a, b: -(-a // b) if b else 0,
    "divsi": lambda a, b: int(a / b) if b else 0,
}
_OTHERS = ("divui", "ceildivui", "remui", "remsi", "maxui", "minui", "shli", "shrsi", "shrui", "andi", "xori")


@dataclass
class Module:
    """What all functions of a program share."""

    functions: list[str] = field(default_factory=list)
    count: int = 0

    def name(self, prefix: str = "%") -> str:
        self.count += 1
        return f"{prefix}{self.count}"


class ValueWriter:
    """Writes values of one function: numbers, and tensors in another shape."""

    def __init__(self, draw: Draw, module: Module, nesting: int = 0):
        self.draw = draw
        self.module = module
        self.nesting = nesting
        self.lines: list[str] = []
        self.tensors: list[Tensor] = []
        self.numbers: list[Number] = []

    # ---- drawing and writing ----

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of `choices`; the first is the simplest."""
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def upto(self, most: int, least: int = 0) -> int:
        return self.draw(st.integers(least, most))

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def write(self, text: str) -> str:
        """An operation of one result; returns its name."""
        name = self.module.name()
        self.lines.append(f"{name} = {text}")
        return name

    def tensor(self, text: str, static: Sequence[int | None], shape: Sequence[int]) -> Tensor:
        """An operation whose result is a tensor; `text` lacks the type at its end."""
        name = self.write(f"{text}{tensor_type(static)}")
        self.tensors.append(Tensor(name, tuple(static), tuple(shape)))
        return self.tensors[-1]

    def number(self, text: str, kind: str, value: int | float | None = None) -> Number:
        """An operation whose result is a scalar."""
        self.numbers.append(Number(self.write(text), kind, value))
        return self.numbers[-1]

    @contextmanager
    def region(self) -> Iterator[None]:
        """What is written inside is not seen outside."""
        tensors, numbers = list(self.tensors), list(self.numbers)
        self.nesting += 1
        yield
        self.nesting -= 1
        self.tensors, self.numbers = tensors, numbers

    def a_tensor(self, rank: int | None = None) -> Tensor:
        """A tensor in scope, mostly one of the last."""
        fitting = [t for t in self.tensors if rank is None or len(t.shape) == rank]
        if not fitting:
            return self.reshaped(self.a_tensor(), rank or 1)
        return self.pick(fitting[::-1])

    def reshaped(self, source: Tensor, rank: int) -> Tensor:
        """`source`, of rank 1 or 2, in the other rank."""
        static, shape = source.static, source.shape
        if rank == 1:
            flat = None if None in static else shape[0] * shape[1]
            return self.tensor(
                f"tensor.collapse_shape {source.name} [[0, 1]] : {source} into ",
                [flat],
                [shape[0] * shape[1]],
            )
        size = shape[0]
        first = self.pick([n for n in range(1, LARGEST + 1) if size % n == 0])
        second = size // first
        dims: list[int | None] = [first, second]
        if static[0] is None:
            dims = self.pick([[first, None], [None, second], [None, None]])
        given = ", ".join(
            str(d) if d is not None else self.index(n) for d, n in zip(dims, (first, second), strict=True)
        )
        return self.tensor(
            f"tensor.expand_shape {source.name} [[0, 1]] output_shape [{given}] : {source} into ",
            dims,
            [first, second],
        )

    # ---- numbers ----

    def index(self, wanted: int) -> str:
        """The name of an index that is `wanted` in the example."""
        same = [n for n in self.numbers if n.kind == "index" and n.value == wanted]
        if same and not self.chance(3):
            return self.pick(same[::-1]).name
        known = [n for n in self.numbers if n.kind in ("index", "i32", "i8") and n.value is not None]
        if known and not self.chance(3):
            return self.as_index(self.moved(self.pick(known[::-1]), wanted)).name
        if sizes := [(t, d) for t in self.tensors for d, n in enumerate(t.shape) if n == wanted]:
            return self.dim(*self.pick(sizes[::-1])).name
        return self.constant("index", wanted).name

    def moved(self, number: Number, wanted: int) -> Number:
        """`number` plus what it lacks to be `wanted`, or clamped to it."""
        assert isinstance(number.value, int)
        width = WIDTHS[number.kind]
        if number.value == wanted:
            return number
        if self.chance(4):
            name = "minsi" if number.value > wanted else "maxsi"
            return self.combined(name, number, self.constant(number.kind, wrap(wanted, width)))
        other = self.constant(number.kind, wrap(wanted - number.value, width))
        return self.combined("addi", number, other)

    def constant(self, kind: str, value: int) -> Number:
        return self.number(f"arith.constant {value} : {kind}", kind, value)

    def dim(self, source: Tensor, axis: int) -> Number:
        return self.number(
            f"tensor.dim {source.name}, {self.constant('index', axis).name} : {source}",
            "index",
            source.shape[axis],
        )

    def combined(self, name: str, a: Number, b: Number) -> Number:
        value = None
        if name in _EXACT and isinstance(a.value, int) and isinstance(b.value, int):
            value = wrap(_EXACT[name](a.value, b.value), WIDTHS[a.kind])
        return self.number(f"arith.{name} {a.name}, {b.name} : {a.kind}", a.kind, value)

    def as_index(self, number: Number) -> Number:
        if number.kind == "index":
            return number
        value = number.value if isinstance(number.value, int) else None
        return self.number(f"arith.index_cast {number.name} : {number.kind} to index", "index", value)

    def any_integer(self, kind: str | None = None) -> Number:
        """An integer, whatever its number is."""
        found = [n for n in self.numbers if (n.kind == kind if kind else n.kind in ("index", "i32", "i8"))]
        if not found or self.chance(6):
            return self.constant(kind or self.pick(("index", "i32", "i8")), self.upto(5, -3))
        return self.pick(found[::-1])

    def any_index(self) -> str:
        return self.as_index(self.any_integer()).name

    def small_index(self, wanted: int) -> str:
        """An index that is `wanted` in the example, and no huge number in any call."""
        name = self.index(wanted)
        return self.number(
            f"arith.minsi {name}, {self.constant('index', 7).name} : index", "index", wanted
        ).name

    def arithmetic(self) -> None:
        a = self.any_integer()
        b = self.any_integer(a.kind)
        self.combined(self.pick((*_EXACT, *_OTHERS)), a, b)

    def cast_number(self) -> None:
        a = self.any_integer()
        if a.kind == "index":
            to = self.pick(("i32", "i8"))
            fits = isinstance(a.value, int) and wrap(a.value, WIDTHS[to]) == a.value
            self.number(f"arith.index_cast {a.name} : index to {to}", to, a.value if fits else None)
        elif self.chance(2):
            unsigned = a.value if a.value is None or a.value >= 0 else a.value + (1 << WIDTHS[a.kind])
            self.number(f"arith.index_castui {a.name} : {a.kind} to index", "index", unsigned)
        else:
            self.as_index(a)

    def read_number(self) -> None:
        """An integer that is read from memory."""
        element = self.extracted()
        kind = self.pick(("i32", "i8"))
        conversion = self.pick(("fptosi", "fptosi", "fptoui"))
        read = self.number(f"arith.{conversion} {element.name} : f32 to {kind}", kind)
        self.as_index(read)

    def run_time_dim(self) -> None:
        source, axis = self.a_tensor(), self.any_index()
        self.number(f"tensor.dim {source.name}, {axis} : {source}", "index")

    def condition(self) -> Number:
        flags = [n for n in self.numbers if n.kind == "i1"]
        if flags and self.chance(2):
            return self.pick(flags)
        a = self.any_integer()
        b = self.any_integer(a.kind)
        predicate = self.pick(("slt", "sge", "eq", "ult"))
        return self.number(f"arith.cmpi {predicate}, {a.name}, {b.name} : {a.kind}", "i1")

    def a_float(self) -> Number:
        floats = [n for n in self.numbers if n.kind == "f32"]
        if floats and self.chance(2):
            return self.pick(floats[::-1])
        if self.chance(3):
            return self.extracted()
        return self.number(f"arith.constant {float(self.upto(4, -4))} : f32", "f32")

    def places(self, source: Tensor) -> str:
        return ", ".join(
            self.any_index() if self.chance(2) else self.index(self.upto(max(0, size - 1)))
            for size in source.shape
        )

    def extracted(self) -> Number:
        source = self.a_tensor()
        return self.number(f"tensor.extract {source.name}[{self.places(source)}] : {source}", "f32")
