"""Between regions and terms: read scalar operations into `algebra` terms, and emit terms as operations."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence

from aecompiler.algebra import terms as t
from aecompiler.algebra.folding import FALSE, TRUE
from aecompiler.algebra.printing import without_ln2
from aecompiler.algebra.terms import LN2, Depends, Term
from aecompiler.bindings import arith, ir
from aecompiler.dialect.regions import name_of
from aecompiler.passes import rewriting as rw

PREDICATES = (
    *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
    *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
)

OPERATIONS: dict[str, Callable[..., Term]] = {
    "arith.addf": t.add,
    "arith.subf": t.sub,
    "arith.mulf": t.mul,
    "arith.divf": t.div,
    "arith.negf": t.neg,
    "arith.maximumf": t.maximum,
    "arith.minimumf": t.minimum,
    "math.absf": t.absolute,
    "math.exp": t.exp,
    "math.exp2": lambda a: t.exp(t.mul(a, LN2)),
    "math.log": t.log,
    "math.log2": lambda a: t.div(t.log(a), LN2),
    "math.sqrt": t.sqrt,
    "math.powf": t.power,
    "math.fma": lambda a, b, c: t.add(t.mul(a, b), c),
    "math.clampf": lambda value, low, high: t.minimum(t.maximum(value, low), high),
}

_FUNCTIONS = (
    *("tanh", "expm1", "log1p", "rsqrt", "cbrt", "erf", "erfc", "sin", "cos", "sinh", "cosh", "atan"),
    *("floor", "ceil"),
)
for _name in _FUNCTIONS:
    OPERATIONS[f"math.{_name}"] = lambda a, name=_name: t.function(name, a)

EMITTED = {
    "add": "arith.addf",
    "sub": "arith.subf",
    "mul": "arith.mulf",
    "div": "arith.divf",
    "neg": "arith.negf",
    "max": "arith.maximumf",
    "min": "arith.minimumf",
    "abs": "math.absf",
    "exp": "math.exp",
    "log": "math.log",
    "sqrt": "math.sqrt",
    "powf": "math.powf",
    **{name: f"math.{name}" for name in _FUNCTIONS},
}


_ROUNDED_LN2 = (math.log(2), struct.unpack("f", struct.pack("f", math.log(2)))[0])


class Leaves:
    """The values from outside and the operations without laws that the regions of one op share, as terms."""

    def __init__(self, accumulator: ir.Type, *, rounded_ln2: bool = False):
        """`rounded_ln2`: a constant that is ln 2 up to rounding stands for ln 2, as in emitted terms."""
        self.accumulator = accumulator
        self._rounded_ln2 = rounded_ln2
        self.values: dict[Term, ir.Value] = {}
        self.prototypes: dict[tuple, ir.Operation] = {}
        self._symbols: dict[ir.Value, Term] = {}

    def capture(self, value: ir.Value) -> Term:
        """The term of a value from outside of the op."""
        if value not in self._symbols:
            term = None
            owner = value.owner
            if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
                term = self.constant(owner.operation)
            if term is None:
                term = t.symbol(f"c{len(self.values)}", Depends.FIXED, key="capture")
                self.values[term] = value
            self._symbols[value] = term
        return self._symbols[value]

    def constant(self, op: ir.Operation) -> Term | None:
        """The number that an `arith.constant` of the accumulator type is."""
        attribute = op.attributes["value"]
        if op.results[0].type != self.accumulator or not isinstance(attribute, ir.FloatAttr):
            return None
        value = attribute.value
        return LN2 if self._rounded_ln2 and value in _ROUNDED_LN2 else t.const(value)


def element_arguments(low: float = -math.inf, high: float = math.inf) -> list[Term]:
    """The symbols of s, b, h, i, j, with the bounds of the score."""
    fixed = [t.symbol(name, Depends.FIXED) for name in ("b", "h", "i")]
    return [t.symbol("s", Depends.ELEMENT, low, high), *fixed, t.symbol("j", Depends.ELEMENT)]


Reducer = Callable[[ir.Operation, str, Term], Term]


def read_block(
    block: ir.Block, arguments: Sequence[Term], leaves: Leaves, reducer: Reducer | None = None
) -> list[Term]:
    """The values that `block` yields; `reducer` makes the term of an `attn.row_reduce`."""
    known: dict[ir.Value, Term] = dict(zip(block.arguments, arguments, strict=True))

    def operand(value: ir.Value) -> Term:
        return known[value] if value in known else leaves.capture(value)

    for view in block.operations:
        op = view.operation
        args = [operand(value) for value in op.operands]
        if name_of(view) == "attn.yield":
            return args
        if op.name == "attn.row_reduce":
            kind = ir.StringAttr(op.attributes["kind"]).value
            known[op.results[0]] = reducer(op, kind, *args) if reducer else t.reduce(kind, *args)
        else:
            known.update(zip(op.results, _read(op, args, leaves), strict=True))
    raise AssertionError("a block without attn.yield")


def _read(op: ir.Operation, args: list[Term], leaves: Leaves) -> list[Term]:
    acc = leaves.accumulator
    if op.name == "arith.constant" and (number := leaves.constant(op)) is not None:
        return [number]
    if op.name == "arith.cmpf" and op.operands[0].type == acc:
        predicate = PREDICATES[ir.IntegerAttr(op.attributes["predicate"]).value]
        if predicate not in ("true", "false"):
            return [t.compare(predicate, *args)]
    if len(op.results) == 1 and op.results[0].type == acc:
        if op.name == "arith.select":
            return [t.select(*args)]
        if op.name in OPERATIONS and all(value.type == acc for value in op.operands):
            return [OPERATIONS[op.name](*args)]
    attributes = tuple(sorted(f"{name}={op.attributes[name]}" for name in op.attributes))
    types = tuple(str(value.type) for values in (op.operands, op.results) for value in values)
    key = (op.name, attributes, types)
    leaves.prototypes.setdefault(key, op)
    return [t.opaque((*key, position), args) for position in range(len(op.results))]


class Emitter:
    """Emits terms at the current insertion point; equal parts are computed once.

    `symbols` gives the values of symbols, or functions that make them when they are first needed.
    """

    def __init__(self, leaves: Leaves, symbols: Mapping[Term, ir.Value | Callable[[], ir.Value]]):
        self._leaves, self._symbols = leaves, symbols
        self._known: dict[Term, ir.Value] = {}
        self._opaque: dict[tuple, ir.Operation] = {}

    def emit(self, term: Term) -> ir.Value:
        """The value of a term."""
        if term not in self._known:
            self._known[term] = self._emit(term)
        return self._known[term]

    def _emit(self, term: Term) -> ir.Value:
        op, args = term.op, term.args
        acc = self._leaves.accumulator
        if op == "sym":
            if term in self._leaves.values:
                return self._leaves.values[term]
            value = self._symbols[term]
            return value() if callable(value) else value
        if op == "const":
            return rw.constant(acc, float(term.data))
        if op == "ln2":
            return rw.constant(acc, math.log(2))
        if term in (TRUE, FALSE):
            return rw.constant(ir.IntegerType.get_signless(1), term is TRUE)
        if op == "exp" and (exponent := without_ln2(args[0])) is not None:
            return self._create("math.exp2", [acc], [exponent])
        if op == "div" and args[1] is LN2 and args[0].op == "log":
            return self._create("math.log2", [acc], args[0].args)
        if op == "held":
            return self.emit(args[0])
        if op == "fn":
            return self._emit_opaque(term)
        if op == "cmp":
            predicate = arith.CmpFPredicate(PREDICATES.index(term.data))
            return arith.cmpf(predicate, *map(self.emit, args))
        if op == "select":
            return arith.select(*map(self.emit, args))
        if op == "reduce":
            kind = {"kind": ir.StringAttr.get(term.data)}
            return self._create("attn.row_reduce", [acc], args, kind)
        return self._create(EMITTED[op], [acc], args)

    def _create(
        self,
        name: str,
        types: Sequence[ir.Type],
        args: Sequence[Term],
        attributes: Mapping[str, ir.Attribute] | None = None,
    ) -> ir.Value:
        operands = [self.emit(arg) for arg in args]
        return ir.Operation.create(name, list(types), operands, dict(attributes or {})).results[0]

    def _emit_opaque(self, term: Term) -> ir.Value:
        *key, position = term.data
        known = (tuple(key), term.args)
        if known not in self._opaque:
            operands = [self.emit(arg) for arg in term.args]
            op = self._leaves.prototypes[tuple(key)].clone()
            for index, operand in enumerate(operands):
                op.operands[index] = operand
            self._opaque[known] = op
        return self._opaque[known].results[position]
