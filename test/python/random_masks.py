"""Random mask and score regions, as text: integer and boolean operations on i, j, h and a number %w, of any
values; scores read a table `%table: tensor<?x5xf64>` at such integers."""

from __future__ import annotations

import random

_INTEGERS = (
    *("addi", "subi", "subi", "muli", "floordivsi", "ceildivsi", "divsi", "divui", "remsi", "remui"),
    *("maxsi", "minsi", "maxui", "andi", "shrsi"),
)
_PREDICATES = ("sle", "slt", "sge", "sgt", "eq", "ne", "ule", "ugt")
_CONSTANTS = (0, 1, 2, 3, 4, 5, 7, 8, -1, -3, 16, 20)


class _Writer:
    def __init__(self, rng: random.Random):
        self.rng = rng
        self.lines: list[str] = []
        self.integers = ["%i", "%j", "%i", "%j", "%h", "%w"]
        self.truths: list[str] = []

    def emit(self, text: str) -> str:
        name = f"%x{len(self.lines)}"
        self.lines.append(f"{name} = arith.{text}" if not text.startswith("math") else f"{name} = {text}")
        return name

    def operand(self) -> str:
        if self.rng.random() < 0.5:
            return self.emit(f"constant {self.rng.choice(_CONSTANTS)} : index")
        return self.rng.choice(self.integers)

    def integer(self) -> None:
        kind = self.rng.random()
        a = self.rng.choice(self.integers)
        if kind < 0.1:
            self.integers.append(self.emit(f"math.absi {a} : index"))
        elif kind < 0.2 and self.truths:
            condition = self.rng.choice(self.truths)
            self.integers.append(self.emit(f"select {condition}, {a}, {self.operand()} : index"))
        else:
            self.integers.append(self.emit(f"{self.rng.choice(_INTEGERS)} {a}, {self.operand()} : index"))

    def truth(self) -> None:
        if len(self.truths) > 1 and self.rng.random() < 0.4:
            a, b = self.rng.choice(self.truths), self.rng.choice(self.truths)
            self.truths.append(self.emit(f"{self.rng.choice(['andi', 'ori', 'xori'])} {a}, {b} : i1"))
        else:
            a = self.rng.choice([*self.integers, *self.integers[-3:]])
            self.truths.append(
                self.emit(f"cmpi {self.rng.choice(_PREDICATES)}, {a}, {self.operand()} : index")
            )

    def bounded(self) -> str:
        """An integer, perhaps of a distance, that is kept between two numbers."""
        rng = self.rng
        value = rng.choice([*self.integers[-3:], self.emit("subi %i, %j : index"), "%h"])
        low, high = self.emit(f"constant {rng.choice((-3, 0, 1))} : index"), self.operand()
        value = self.emit(f"maxsi {value}, {low} : index") if rng.random() < 0.8 else value
        return self.emit(f"minsi {value}, {high} : index") if rng.random() < 0.8 else value


def mask(seed: int) -> str:
    """The text of a mask region with a capture `%w: index`."""
    writer = _Writer(random.Random(seed))
    for _ in range(writer.rng.randint(2, 9)):
        writer.integer() if writer.rng.random() < 0.55 else writer.truth()
    writer.truth()
    kept = writer.truths[-1]
    for other in writer.truths[:-1][-2:]:
        kept = writer.emit(f"{writer.rng.choice(['andi', 'ori'])} {kept}, {other} : i1")
    return "\n".join([*writer.lines, f"yield {kept}"])


def score(seed: int, reads: int) -> str:
    """The text of a score region that adds elements of the table, most of them at bounded indices."""
    writer = _Writer(random.Random(seed))
    total = "%s"
    for _ in range(reads):
        for _ in range(writer.rng.randint(1, 4)):
            writer.integer() if writer.rng.random() < 0.7 else writer.truth()
        indices = [writer.bounded(), writer.bounded()]
        element = f"%e{len(writer.lines)}"
        writer.lines.append(f"{element} = tensor.extract %table[{', '.join(indices)}] : tensor<?x5xf64>")
        if writer.truths and writer.rng.random() < 0.3:
            zero = writer.emit("constant 0.0 : f64")
            element = writer.emit(f"select {writer.rng.choice(writer.truths)}, {element}, {zero} : f64")
        total = writer.emit(f"addf {total}, {element} : f64")
    return "\n".join([*writer.lines, f"yield {total}"])
