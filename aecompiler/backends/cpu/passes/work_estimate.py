"""How much work the body of a loop is: an estimate that is computed before the loop runs."""

from __future__ import annotations

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

_UNKNOWN_TRIPS = 64
"""Assumed of a loop whose bounds are not known before the outer loop runs."""

_CALL = 64
"""A call of a function that is not in the module counts as so many operations."""


class WorkEstimate:
    """The operations of one iteration of `loop`: its inner loops count as often as they turn."""

    def __init__(self, loop: ir.Operation):
        self._body = loop.regions[0].blocks[0]
        self._inside = inner_values(loop)
        module = loop
        while module.parent is not None:
            module = module.parent.operation
        self._functions = {
            rw.symbol_name(function): function
            for function in rw.walk_list(module, "func.func")
            if not function.opview.is_external
        }
        self._calling: list[str] = []

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

    def _terms(self, block: ir.Block) -> list[int | ir.Value]:
        """Numbers whose sum is the work of `block`; those that are known here come as one number."""
        known = 0
        terms: list[int | ir.Value] = []
        for op in block.operations:
            name = op.operation.name
            inner = [
                term
                for region in op.operation.regions
                for nested in region.blocks
                for term in self._terms(nested)
            ]
            if name in ("scf.for", "scf.while", "scf.forall", "scf.parallel"):
                terms += self._repeated(op.operation, inner)
            elif name == "func.call":
                terms += self._called(rw.symbol_name(op.operation))
            else:
                known += _CALL if name == "llvm.call" else 1
                terms += inner
        known += sum(term for term in terms if isinstance(term, int))
        return [known, *(term for term in terms if not isinstance(term, int))]

    def _called(self, name: str) -> list[int | ir.Value]:
        """The work of a function; the trips of its loops that depend on its arguments are not known."""
        if name not in self._functions or name in self._calling:
            return [_CALL]
        function = self._functions[name]
        self._calling.append(name)
        self._inside |= inner_values(function)
        terms = [term for block in function.regions[0].blocks for term in self._terms(block)]
        self._calling.pop()
        return terms

    def _repeated(self, op: ir.Operation, body: list[int | ir.Value]) -> list[int | ir.Value]:
        """The work of a loop."""
        times: int | ir.Value = _UNKNOWN_TRIPS
        if op.name == "scf.for":
            bounds = list(op.operands)[:3]
            numbers = [n for n in map(rw.constant_value, bounds) if n is not None]
            if len(numbers) == 3:
                times = max(0, -(-(numbers[1] - numbers[0]) // numbers[2]))
            elif not any(self._unknown(bound) for bound in bounds):
                times = self.trips(*map(_before_the_loop, bounds))
        if isinstance(times, int) and all(isinstance(term, int) for term in body):
            return [times * sum(body)]
        count = rw.index(times) if isinstance(times, int) else times
        return [arith.muli(count, _sum(body))]

    def _unknown(self, bound: ir.Value) -> bool:
        return bound in self._inside and rw.constant_value(bound) is None


def inner_values(loop: ir.Operation) -> set[ir.Value]:
    """The values that are defined inside an operation."""
    inner = set()
    for op in (loop, *rw.walk_list(loop)):
        if op != loop:
            inner.update(op.results)
        for region in op.regions:
            inner.update(argument for block in region.blocks for argument in block.arguments)
    return inner


def _before_the_loop(bound: ir.Value) -> ir.Value:
    number = rw.constant_value(bound)
    return bound if number is None else rw.index(number)


def _sum(terms: list[int | ir.Value]) -> ir.Value:
    total: ir.Value | None = None
    for term in terms:
        value = rw.index(term) if isinstance(term, int) else term
        total = value if total is None else arith.addi(total, value)
    return rw.index(0) if total is None else total
