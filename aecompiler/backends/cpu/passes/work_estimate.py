"""How much work the body of a loop is: an estimate that is computed before the loop runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

_UNKNOWN_TRIPS = 64
"""Assumed of a loop of whose bounds nothing is known before the outer loop runs."""

_UNKNOWN_CALL = 64
"""The operations of a function whose body is not at hand."""

_LOOPS = ("scf.for", "scf.while", "scf.forall", "scf.parallel")
_EXACT = ("arith.addi", "arith.subi", "arith.muli", "arith.index_cast", "memref.dim")
_EITHER = ("arith.minsi", "arith.minui", "arith.maxsi", "arith.maxui")
_DIVISIONS = ("arith.divsi", "arith.divui", "arith.floordivsi", "arith.ceildivsi", "arith.ceildivui")

Number = Any  # an int, or an `ir.Value` of type index


class WorkEstimate:
    """The operations of one iteration of `loop`; inner loops count as often as they turn.

    Bounds that differ from iteration to iteration are taken for the nearest number that is known: that of
    the other operand of a minimum, for instance. `functions`, by name, are those whose calls are looked into.
    """

    def __init__(self, loop: ir.Operation, functions: Mapping[str, ir.Operation]):
        self._body = loop.regions[0].blocks[0]
        self._inside = inner_values(loop)
        self._passed: dict[ir.Value, ir.Value] = {}
        self._known: dict[ir.Value, ir.Value | None] = {}
        self._entered: list[str] = []
        self._functions = functions

    def emit(self) -> ir.Value:
        """The estimate, an index, computed at the insertion point, which is before the loop."""
        return _sum(self._terms(self._body))

    @staticmethod
    def trips(lower: ir.Value, upper: ir.Value, step: ir.Value) -> ir.Value:
        """How often a loop turns."""
        if rw.constant_value(lower) == 0:
            distance = upper
        else:
            distance = arith.subi(upper, lower)
        distance = arith.maxsi(distance, rw.index(0))
        if rw.constant_value(step) == 1:
            return distance
        return arith.divui(arith.addi(distance, arith.subi(step, rw.index(1))), step)

    # ---- work ----

    def _terms(self, block: ir.Block) -> list[Number]:
        """Numbers whose sum is the work of `block`; those that are known here come as one number."""
        terms: list[Number] = []
        for view in block.operations:
            op = view.operation
            if op.name == "func.call":
                terms += self._call(op)
                continue
            regions = [[t for block in region.blocks for t in self._terms(block)] for region in op.regions]
            if op.name == "scf.if" and all(isinstance(t, int) for terms_of in regions for t in terms_of):
                regions = [max(regions, key=sum)]
            inner = [t for terms_of in regions for t in terms_of]
            if op.name in _LOOPS:
                terms += self._repeated(op, inner)
            else:
                terms += [1, *inner]
        return [sum(t for t in terms if isinstance(t, int)), *(t for t in terms if not isinstance(t, int))]

    def _call(self, call: ir.Operation) -> list[Number]:
        name = rw.symbol_name(call)
        if name not in self._functions or name in self._entered:
            return [_UNKNOWN_CALL]
        function = self._functions[name]
        entry = function.regions[0].blocks[0]
        self._inside |= inner_values(function)
        self._passed.update(zip(entry.arguments, call.operands, strict=False))
        self._known.clear()  # the function may have been called with other operands before
        self._entered.append(name)
        terms = [term for block in function.regions[0].blocks for term in self._terms(block)]
        self._entered.pop()
        return terms

    def _repeated(self, op: ir.Operation, body: list[Number]) -> list[Number]:
        """The work of a loop."""
        times: Number = _UNKNOWN_TRIPS
        if op.name == "scf.for":
            bounds = list(op.operands)[:3]
            numbers = [n for n in map(rw.constant_value, bounds) if n is not None]
            known = [v for v in map(self._before, bounds) if v is not None]
            if len(numbers) == 3:
                times = max(0, -(-(numbers[1] - numbers[0]) // numbers[2]))
            elif len(known) == 3:
                times = self.trips(*known)
        if isinstance(times, int) and all(isinstance(term, int) for term in body):
            return [times * sum(term for term in body if isinstance(term, int))]
        count = rw.index(times) if isinstance(times, int) else times
        return [arith.muli(count, _sum(body))]

    # ---- values before the loop ----

    def _before(self, value: ir.Value) -> ir.Value | None:
        """What `value` is, nearly, before the loop; None if that can't be told."""
        if value not in self._known:
            self._known[value] = self._find(value)
        return self._known[value]

    def _find(self, value: ir.Value) -> ir.Value | None:
        number = rw.constant_value(value) if isinstance(value.type, ir.IndexType) else None
        if number is not None:
            return rw.index(number)
        if value not in self._inside:
            return value
        if isinstance(value.owner, ir.Block):
            return self._before(self._passed[value]) if value in self._passed else None
        op = value.owner.operation
        if not isinstance(value.type, ir.IndexType):
            return None
        if op.name == "arith.select":
            return self._either(op, list(op.operands)[1:], "arith.maxsi")
        if op.name in _EITHER:
            return self._either(op, list(op.operands), op.name)
        divisor = rw.constant_value(op.operands[1]) if op.name in _DIVISIONS else None
        if op.name in _EXACT or (divisor is not None and divisor > 0):
            operands = [found for found in map(self._before, op.operands) if found is not None]
            if len(operands) == len(op.operands):
                return _repeat(op, operands)
        return None

    def _either(self, op: ir.Operation, operands: list[ir.Value], name: str) -> ir.Value | None:
        """`name` of what is known of two operands."""
        known = [found for found in map(self._before, operands) if found is not None]
        if len(known) < 2:
            return known[0] if known else None
        return ir.Operation.create(name, [op.results[0].type], known).result


def inner_values(loop: ir.Operation) -> set[ir.Value]:
    """The values that are defined inside an operation."""
    inner = set()
    for op in (loop, *rw.walk_list(loop)):
        if op != loop:
            inner.update(op.results)
        for region in op.regions:
            inner.update(argument for block in region.blocks for argument in block.arguments)
    return inner


def _repeat(op: ir.Operation, operands: list[ir.Value]) -> ir.Value:
    """The result of `op` on other operands."""
    new = op.clone()
    for position, operand in enumerate(operands):
        new.operands[position] = operand
    return new.results[0]


def _sum(terms: list[Number]) -> ir.Value:
    total: ir.Value | None = None
    for term in terms:
        value = rw.index(term) if isinstance(term, int) else term
        total = value if total is None else arith.addi(total, value)
    return rw.index(0) if total is None else total
