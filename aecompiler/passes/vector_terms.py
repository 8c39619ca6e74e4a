"""Emit terms of one position as operations on scalars and on vectors of features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from aecompiler.algebra import terms as t
from aecompiler.algebra.folding import FALSE, TRUE
from aecompiler.algebra.indexed import axis, indices_of
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import to_term
from aecompiler.algebra.printing import formula, without_ln2
from aecompiler.algebra.terms import Term
from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_terms import EMITTED, PREDICATES

FEATURE = axis(0)
"""The free index of a vector that is emitted."""


class NotEmittedError(Exception):
    """A term that no operations on scalars and vectors compute."""


class VectorEmitter:
    """Emits terms at the current insertion point; a term of `known` is the value that has been computed.

    A vector is a term with the index `FEATURE`; vectors of different sizes are told apart.
    """

    def __init__(
        self, accumulator: ir.Type, known: Mapping[ir.Value, Term], prototypes: Mapping[tuple, ir.Operation]
    ):
        self._accumulator, self._prototypes = accumulator, prototypes
        self._known: dict[tuple[Term, int | None], ir.Value] = {}
        for value, term in known.items():
            if isinstance(value.type, ir.RankedTensorType) and value.type.rank != 1:
                continue
            if term.op == "const":
                continue  # one number may stand for values of several types
            size = _size(value.type)
            if indices_of(term) <= {FEATURE} and bool(indices_of(term)) == (size is not None):
                self._known.setdefault((term, size), value)
        for (term, size), value in list(self._known.items()):
            self._known.setdefault((to_term(normal(term)), size), value)

    def scalar(self, term: Term) -> ir.Value:
        """The value of a number."""
        return self._emit(term, None)

    def vector(self, term: Term, size: int) -> ir.Value:
        """The value of a vector of `size` elements; of a number in each of them."""
        return self._spread(self._emit(term, size), size)

    def _spread(self, value: ir.Value, size: int) -> ir.Value:
        if isinstance(value.type, ir.RankedTensorType):
            return value
        shaped = ir.RankedTensorType.get([size], value.type)
        number = rw.float_value(value)
        return rw.constant_of(shaped, number) if number is not None else tensor.splat(shaped, value, [])

    def _emit(self, term: Term, size: int | None) -> ir.Value:
        used = indices_of(term)
        if not used <= {FEATURE}:
            raise NotEmittedError(f"a formula of several features, {formula(term)}")
        key = (term, size if used else None)
        if key not in self._known:
            self._known[key] = self._create(term, size if used else None)
        return self._known[key]

    def _create(self, term: Term, size: int | None) -> ir.Value:
        op, args = term.op, term.args
        if op == "const":
            return rw.constant(self._accumulator, float(term.data))
        if op == "ln2":
            return rw.constant(self._accumulator, math.log(2))
        if term in (TRUE, FALSE):
            return rw.constant(ir.IntegerType.get_signless(1), term is TRUE)
        if op == "held":
            return self._emit(args[0], size)
        if op == "sum":
            return self._sum(args[0], args[1], term.data)
        if op == "exp" and (exponent := without_ln2(args[0])) is not None:
            return self._apply("math.exp2", [exponent], size)
        if op == "cmp":
            predicate = arith.CmpFPredicate(PREDICATES.index(term.data))
            return arith.cmpf(predicate, *self._operands(args, size))
        if op == "select":
            condition = self._emit(args[0], size)
            values = self._operands(args[1:], size)
            if size is not None and isinstance(condition.type, ir.RankedTensorType):
                values = [self._spread(value, size) for value in values]
            return arith.select(condition, *values)
        if op == "fn" and size is None and term.data[:-1] in self._prototypes:
            clone = self._prototypes[term.data[:-1]].clone()
            for position, arg in enumerate(args):
                type_ = clone.operands[position].type
                number = t.value_of(arg)
                value = self._emit(arg, None) if number is None else rw.constant(type_, number)
                clone.operands[position] = value
            return clone.results[term.data[-1]]
        if op in EMITTED:
            return self._apply(EMITTED[op], args, size)
        raise NotEmittedError(f"the formula {formula(term)}")

    def _operands(self, args: Sequence[Term], size: int | None) -> list[ir.Value]:
        values = [self._emit(arg, size) for arg in args]
        if size is not None:
            values = [self._spread(value, size) for value in values]
        return values

    def _apply(self, name: str, args: Sequence[Term], size: int | None) -> ir.Value:
        operands = self._operands(args, size)
        return ir.Operation.create(name, [operands[0].type], operands).results[0]

    def _sum(self, bound: Term, body: Term, size: int) -> ir.Value:
        vector = self.vector(t.substitute(body, {bound: FEATURE}), size)
        zero = rw.filled([], self._accumulator, 0.0)
        (total,) = rw.generic(
            [(vector, (0,))], [(zero, ())], "r", lambda ins, outs: [arith.addf(ins[0], outs[0])]
        )
        return tensor.extract(total, [])


def _size(type_: ir.Type) -> int | None:
    return type_.shape[0] if isinstance(type_, ir.RankedTensorType) else None
