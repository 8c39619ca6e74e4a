"""The mask region of an attention op as a formula over positions (`aecompiler.algebra.formulas`).

Whatever depends on the batch and the head only, and is no arithmetic that is understood, is a symbol,
computed anew where it is needed. What depends on positions and is not understood is unknown. An expression is
understood only if no operation in it can overflow: positions are taken for less than 2^40 (2^28 if there is
arithmetic on 32 bits), and symbols of 64 bits likewise, which guards check where the result is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aecompiler.algebra import formulas as fm
from aecompiler.algebra import integers as it
from aecompiler.algebra.bands import HEAD, KEY, ROW
from aecompiler.bindings import arith, ir
from aecompiler.passes.index_arithmetic import width_of
from aecompiler.passes.rewriting import constant_value

_WIDE, _NARROW = 1 << 40, 1 << 28
_ATOMS, _LITERALS, _DEPTH = 100, 64, 100
"""What is larger is not understood."""
_ARGUMENTS = ("b", HEAD, ROW, KEY)
POSITIONS = len(_ARGUMENTS)
"""The number of a region's last arguments: batch, head, row and key."""
Q_LEN, KV_LEN = "q_len", "kv_len"


@dataclass
class MaskReading:
    """A mask as a formula, and what its names stand for."""

    formula: fm.Formula
    guards: list[fm.Literal] = field(default_factory=list)
    """What must hold for the formula to be right."""
    limit: int | None = None
    """The number of positions up to which the formula is right; None if no tensor has more."""
    symbols: dict[str, ir.Value] = field(default_factory=dict)
    """Values in the mask region or outside, b and h excepted."""
    tensors: dict[str, ir.Value] = field(default_factory=dict)


def read_mask(op: ir.Operation, *, packed: bool = False) -> MaskReading:
    """Read region 1 of `op`; `packed`: what depends on h varies within a tile."""
    reader = _Reader(op.operation, 1, packed)
    *_, terminator = reader.block.operations
    reader.result.formula = reader.truth(terminator.operation.operands[0])
    return reader.result


def read_comparisons(
    op: ir.Operation, *, packed: bool = False
) -> tuple[MaskReading, dict[ir.Value, fm.Formula]]:
    """What comparisons in region 0 of `op`, the score, say of positions; by their results.

    A minimum or maximum compares, too: its formula says whether it is its first operand. The reading has no
    formula of its own.
    """
    reader = _Reader(op.operation, 0, packed)
    found = {
        view.operation.results[0]: reader.comparison(view.operation)
        for view in reader.block.operations
        if view.operation.name in _COMPARISONS and reader.levels[view.operation.results[0]]
    }
    return reader.result, {value: formula for value, formula in found.items() if formula != fm.UNKNOWN}


class _Reader:
    """Reads a region whose last arguments are the positions, on demand."""

    def __init__(self, op: ir.Operation, region: int, packed: bool):
        self.op = op
        self.block = op.regions[region].blocks[0]
        self.varying = frozenset({ROW, KEY, HEAD} if packed else {ROW, KEY})
        self.result = MaskReading(fm.UNKNOWN)
        self.known: dict[ir.Value, it.Linear | fm.Formula | None] = {}
        self.levels: dict[ir.Value, bool] = {}
        """Whether a value depends on what varies within a tile."""
        self.remainders: dict[ir.Value, tuple[it.Linear, it.Linear]] = {}
        self.limit = _WIDE
        self.guarded: set[fm.Formula] = set()
        self.depth = 0
        self._enter()

    def _enter(self) -> None:
        *body, _ = list(self.block.operations)
        first = len(self.block.arguments) - POSITIONS
        elements, positions = self.block.arguments[:first], self.block.arguments[first:]
        self.levels.update(dict.fromkeys(elements, True))
        self.levels.update(
            {value: name in self.varying for value, name in zip(positions, _ARGUMENTS, strict=True)}
        )
        for child in body:
            varies = any(self.levels.get(value, False) for value in child.operation.operands)
            self.levels.update(dict.fromkeys(child.operation.results, varies))
        if any(self._is_narrow(child.operation) for child in body):
            self.limit = self.result.limit = _NARROW
        for value, name in zip(positions, _ARGUMENTS, strict=True):
            self.known[value] = it.of(it.Symbol(name, 0, self.limit))
        for child in body:
            for value in child.operation.results:
                if self.levels[value]:  # one after the other: long chains would recurse deeply
                    self._value(value)

    def _is_narrow(self, op: ir.Operation) -> bool:
        """Whether `op` computes with positions in integers of 32 bits or less."""
        if op.name in ("tensor.extract", "arith.extui", "arith.cmpi"):
            return False
        return any(
            self.levels[value] and isinstance(value.type, ir.IntegerType) and 1 < value.type.width <= 32
            for value in op.results
        )

    def comparison(self, op: ir.Operation) -> fm.Formula:
        """What a comparison says; of a minimum or maximum, that it is its first operand."""
        if op.name == "arith.cmpi":
            return self.truth(op.results[0])
        a, b = (self.integer(value) for value in op.operands)
        if a is None or b is None or (op.name.endswith("ui") and (a.low < 0 or b.low < 0)):
            return fm.UNKNOWN
        return fm.at_most(a, b) if "min" in op.name else fm.at_most(b, a)

    # ---- values ----

    def integer(self, value: ir.Value) -> it.Linear | None:
        """An integer or index as an expression."""
        found = self._value(value)
        return found if isinstance(found, it.Linear) else None

    def truth(self, value: ir.Value) -> fm.Formula:
        """An i1 as a formula."""
        found = self._value(value)
        return found if isinstance(found, fm.Formula) else fm.UNKNOWN

    def _value(self, value: ir.Value) -> it.Linear | fm.Formula | None:
        if value not in self.known:
            self.depth += 1
            self.known[value] = self._read(value)
            self.depth -= 1
        return self.known[value]

    def _read(self, value: ir.Value) -> it.Linear | fm.Formula | None:
        width = width_of(value.type)
        if width is None:
            return None
        number = constant_value(value)
        if number is not None:
            return fm.Constant(bool(number)) if width == 1 else it.number(number)
        if not isinstance(value.owner, ir.Block) and self.depth <= _DEPTH:
            op = value.owner.operation
            found = self._operation(op)
            if isinstance(found, fm.Formula) and found != fm.UNKNOWN and found.size <= _LITERALS:
                return found
            if isinstance(found, it.Linear) and _is_exact(found, width):
                return found
        if self.levels.get(value, False):
            return None
        return self._symbol(value)

    def _operation(self, op: ir.Operation) -> it.Linear | fm.Formula | None:
        if op.name == "tensor.extract":
            return self._extract(op)
        if op.name == "tensor.dim":
            return self._dim(op)
        if op.name == "arith.cmpi":
            return self._compare(op)
        if op.name == "arith.select":
            return self._select(op)
        if width_of(op.results[0].type) == 1:
            return _LOGIC[op.name](*map(self.truth, op.operands)) if op.name in _LOGIC else None
        if op.name in ("arith.extui", "arith.index_castui") and width_of(op.operands[0].type) == 1:
            return self._choice(self.truth(op.operands[0]), it.number(1), it.number(0))
        if op.name not in _INTEGERS:
            return None
        operands = [self.integer(value) for value in op.operands]
        if any(operand is None for operand in operands):
            return None
        return _INTEGERS[op.name](self, op, *operands)

    def _symbol(
        self, value: ir.Value, name: str | None = None, bounds: tuple[int, int] | None = None
    ) -> it.Linear | fm.Formula:
        """A symbol for a value that does not vary within a tile."""
        name = name or self._name(value, self.result.symbols)
        self.result.symbols.setdefault(name, value)
        width = width_of(value.type) or 64
        if width == 1:
            return fm.not_positive(it.number(1) - it.of(it.Symbol(name, 0, 1)))
        low, high = bounds or (-(1 << (width - 1)), (1 << (width - 1)) - 1)
        symbol = it.of(it.Symbol(name, max(low, -self.limit), min(high, self.limit)))
        if low < -self.limit:
            self._guard(fm.NotPositive(it.number(-self.limit) - symbol))
        if high > self.limit:
            self._guard(fm.NotPositive(symbol - self.limit))
        return symbol

    def _guard(self, formula: fm.Formula) -> bool:
        """Rely on a formula; false if it can't be checked."""
        if isinstance(formula, fm.Constant):
            return formula.value
        if not isinstance(formula, fm.NotPositive) or formula.names & self.varying:
            return False
        if formula not in self.guarded:
            self.guarded.add(formula)
            self.result.guards.append(formula)
        return True

    def _name(self, value: ir.Value, taken: dict[str, ir.Value]) -> str:
        """What people call a value: its `attn.name`, or its place among arguments or operations."""
        for name, other in taken.items():
            if other == value:
                return name
        base = f"x{len(taken)}"
        if isinstance(value.owner, ir.Block):
            number = ir.BlockArgument(value).arg_number
            base = f"arg{number}"
            attributes = value.owner.owner.operation.attributes
            if "arg_attrs" in attributes and "attn.name" in attributes["arg_attrs"][number]:
                given = str(attributes["arg_attrs"][number]["attn.name"]).strip('"')
                base = given if given.isidentifier() else base
        name, count = base, 0
        while (
            name in (*_ARGUMENTS, Q_LEN, KV_LEN) or name in self.result.symbols or name in self.result.tensors
        ):
            count += 1
            name = f"{base}_{count}"
        return name

    # ---- operations ----

    def _extract(self, op: ir.Operation) -> it.Linear | fm.Formula | None:
        source, *positions = op.operands
        width = width_of(op.results[0].type)
        indices = [self.integer(position) for position in positions]
        if width is None or any(index is None for index in indices):
            return None
        name = self._name(source, self.result.tensors)
        text = f"{name}[{', '.join(map(str, indices))}]"
        if not self.levels.get(op.results[0], False):
            self.result.tensors.setdefault(name, source)
            return self._symbol(op.results[0], text)
        if not self._is_cheap(indices):  # type: ignore[arg-type]
            return None
        self.result.tensors.setdefault(name, source)
        low, high = (0, 1) if width == 1 else (-(1 << (width - 1)), (1 << (width - 1)) - 1)
        element = it.of(it.Read(name, tuple(indices), low, high))  # type: ignore[arg-type]
        return fm.not_positive(it.number(1) - element) if width == 1 else element

    def _is_cheap(self, indices: list[it.Linear]) -> bool:
        """Whether a tile reads few elements: not one for each of its pairs."""
        if any(it.reads(index) for index in indices):
            return False
        names = frozenset[str]().union(*(index.names for index in indices))
        if not {ROW, KEY} <= names:
            return True
        return all(
            isinstance(atom, it.Quotient)
            for index in indices
            for atom, _ in index.terms
            if atom.names & {ROW, KEY}
        )

    def _dim(self, op: ir.Operation) -> it.Linear | None:
        source, axis = op.operands
        number = constant_value(axis)
        if number is None:
            return None
        number = min(max(number, 0), max(source.type.rank - 1, 0))
        if source.type.rank and not source.type.is_dynamic_dim(number):
            return it.number(source.type.shape[number])
        q, *keys = list(self.op.operands)[:3]
        most = self.limit  # the lengths of a program are checked where it runs
        if number == 2 and source == q:
            name = Q_LEN
        elif number == 2 and source in keys:
            name = KV_LEN
        else:
            name = f"dim({self._name(source, self.result.tensors)}, {number})"
            self.result.tensors.setdefault(self._name(source, self.result.tensors), source)
            most = _WIDE
        found = self._symbol(op.results[0], name, (0, most))
        assert isinstance(found, it.Linear)
        return found

    def _compare(self, op: ir.Operation) -> fm.Formula | None:
        predicate = arith.CmpIPredicate(op.attributes["predicate"].value)
        left, right = op.operands
        if width_of(left.type) == 1:
            differ = _LOGIC["arith.xori"](self.truth(left), self.truth(right))
            if predicate == arith.CmpIPredicate.eq:
                return fm.negation(differ)
            return differ if predicate == arith.CmpIPredicate.ne else None
        a, b = self.integer(left), self.integer(right)
        equality = predicate in (arith.CmpIPredicate.eq, arith.CmpIPredicate.ne)
        if equality and b is not None and b.number == 0 and left in self.remainders:
            found: fm.Formula = fm.Divides(*self.remainders[left])
        elif a is None or b is None:
            return None
        elif equality:
            found = fm.equal(a, b)
        else:
            name = predicate.name
            if name[0] == "u" and (a.low < 0 or b.low < 0):
                return None
            below = name[1] == "l"
            strict = 1 if name.endswith("t") else 0
            found = fm.not_positive((a - b if below else b - a) + strict)
        return fm.negation(found) if predicate == arith.CmpIPredicate.ne else found

    def _select(self, op: ir.Operation) -> it.Linear | fm.Formula | None:
        condition = self.truth(op.operands[0])
        if width_of(op.results[0].type) == 1:
            return fm.choice(condition, self.truth(op.operands[1]), self.truth(op.operands[2]))
        a, b = self.integer(op.operands[1]), self.integer(op.operands[2])
        return None if a is None or b is None else self._choice(condition, a, b)

    def _choice(self, condition: fm.Formula, a: it.Linear, b: it.Linear) -> it.Linear:
        if isinstance(condition, fm.Constant):
            return a if condition.value else b
        return it.of(it.Choice(a, b, condition))

    # ---- integer operations ----

    def divisor(self, by: it.Linear) -> bool:
        """Whether `by` is a divisor to rely on: positive, and the same in the whole tile."""
        if by.names & self.varying or it.has_choice(by):
            return False
        return self._guard(fm.not_positive(it.number(1) - by))

    def quotient(self, a: it.Linear, by: it.Linear) -> it.Linear | None:
        """floor(a / by)."""
        return it.quotient(a, by) if not it.has_choice(a) and self.divisor(by) else None

    def truncated(self, a: it.Linear, by: it.Linear) -> it.Linear | None:
        """a / by, rounded towards 0."""
        down, up = self.quotient(a, by), self.quotient(-a, by)
        if a.low >= 0 or down is None or up is None:
            return down
        return self._choice(fm.at_most(it.number(0), a), down, -up)

    def remainder(self, op: ir.Operation, a: it.Linear, by: it.Linear) -> it.Linear | None:
        """The remainder of a division that truncates."""
        if it.has_choice(a) or not self.divisor(by):
            return None
        self.remainders[op.results[0]] = a, by
        return it.remainder(a, by) if a.low >= 0 else None

    def product(self, a: it.Linear, b: it.Linear) -> it.Linear | None:
        """a * b."""
        one_is_a_number = a.number is not None or b.number is not None
        return it.multiply(a, b) if one_is_a_number or not (it.has_choice(a) or it.has_choice(b)) else None


def _is_exact(value: it.Linear, width: int) -> bool:
    """Whether a value never overflows its type, nor is too much to handle."""
    return value.size <= _ATOMS and -(1 << (width - 1)) <= value.low and value.high < 1 << (width - 1)


def _unsigned(build: Callable) -> Callable:
    def checked(reader: _Reader, op: ir.Operation, *operands: it.Linear) -> it.Linear | None:
        return build(reader, op, *operands) if all(each.low >= 0 for each in operands) else None

    return checked


def _shift_left(reader: _Reader, op: ir.Operation, a: it.Linear, by: it.Linear) -> it.Linear | None:
    return a * (1 << by.number) if by.number is not None and 0 <= by.number < 40 else None


def _shift_right(reader: _Reader, op: ir.Operation, a: it.Linear, by: it.Linear) -> it.Linear | None:
    known = by.number is not None and 0 <= by.number < 40
    return reader.quotient(a, it.number(1 << (by.number or 0))) if known else None


def _mask_bits(reader: _Reader, op: ir.Operation, a: it.Linear, b: it.Linear) -> it.Linear | None:
    """a & (2^n - 1)."""
    for value, bits in ((a, b.number), (b, a.number)):
        if bits is not None and bits > 0 and bits & (bits + 1) == 0 and not it.has_choice(value):
            return it.remainder(value, it.number(bits + 1))
    return None


_INTEGERS: dict[str, Callable[..., it.Linear | None]] = {
    "arith.addi": lambda reader, op, a, b: a + b,
    "arith.subi": lambda reader, op, a, b: a - b,
    "arith.muli": lambda reader, op, a, b: reader.product(a, b),
    "arith.floordivsi": lambda reader, op, a, b: reader.quotient(a, b),
    "arith.divsi": lambda reader, op, a, b: reader.truncated(a, b),
    "arith.divui": _unsigned(lambda reader, op, a, b: reader.quotient(a, b)),
    "arith.remsi": lambda reader, op, a, b: reader.remainder(op, a, b),
    "arith.remui": _unsigned(lambda reader, op, a, b: reader.remainder(op, a, b)),
    "arith.maxsi": lambda reader, op, a, b: it.maximum(a, b),
    "arith.minsi": lambda reader, op, a, b: it.minimum(a, b),
    "arith.maxui": _unsigned(lambda reader, op, a, b: it.maximum(a, b)),
    "arith.minui": _unsigned(lambda reader, op, a, b: it.minimum(a, b)),
    "arith.andi": _mask_bits,
    "arith.shli": _shift_left,
    "arith.shrsi": _shift_right,
    "arith.shrui": _unsigned(_shift_right),
    "arith.index_cast": lambda reader, op, a: a,
    "arith.extsi": lambda reader, op, a: a,
    "arith.trunci": lambda reader, op, a: a,
    "arith.extui": _unsigned(lambda reader, op, a: a),
    "arith.index_castui": _unsigned(lambda reader, op, a: a),
    "math.absi": lambda reader, op, a: it.maximum(a, -a),
}
"""What integer operations compute, given that nothing overflows."""

_COMPARISONS = ("arith.cmpi", *(f"arith.{name}" for name in ("minsi", "maxsi", "minui", "maxui")))

_LOGIC: dict[str, Callable[[fm.Formula, fm.Formula], fm.Formula]] = {
    "arith.andi": fm.conjunction,
    "arith.ori": fm.disjunction,
    "arith.xori": lambda a, b: fm.choice(a, fm.negation(b), b),
}
