"""How far tiles reach in memory, kept as an attribute of the kernel for the checks of `amd/reach.py`."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.amd.distribute.offsets import Sum
from aecompiler.backends.amd.reach import LARGEST, Reach
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure

REACH = "amd.reach"
"""The attribute of a kernel: for each pointer among its parameters a dictionary with its number, `pointer`,
and `terms`, unless nobody knows them."""


class Reaches:
    """Collects how far the tiles of a kernel reach from their first elements, for each pointer."""

    def __init__(self, parameters: Sequence[ir.Value], scalars: Sequence[ir.Value]):
        self._scalars = scalars
        """What factors of steps are."""
        self._numbers = {value: number for number, value in enumerate(parameters)}
        self._known: dict[int, dict[tuple[int, ...], int]] = {}
        self._unknown: set[int] = set()

    def add(self, op: ir.Operation, memory: ir.Value, total: Sum, shape: Sequence[int], item: int) -> None:
        """Note an access to a tile of elements of `item` bytes at places that are a sum."""
        pointer = self._numbers[memory]
        known = self._known.setdefault(pointer, {})
        if total.others:
            self._unknown.add(pointer)
        found: dict[tuple[int, ...], int] = {(): item}
        for dim, step in total.steps.items():
            for factors, count in step.items():
                if count < 0:
                    raise PassFailure(op, "unsupported: positions that go backwards in memory")
                numbers = self._parameters([self._scalars[factor] for factor in factors])
                if numbers is None:
                    self._unknown.add(pointer)
                else:
                    found[numbers] = found.get(numbers, 0) + count * (shape[dim] - 1) * item
        if found[()] > LARGEST:
            raise PassFailure(op, f"unsupported: a tile that spans {found[()]} bytes, more than {LARGEST}")
        for numbers, count in found.items():
            known[numbers] = max(known.get(numbers, 0), count)

    def attribute(self) -> ir.Attribute:
        """What was collected, as `REACH`."""
        i64 = ir.IntegerType.get_signless(64)
        entries = []
        for pointer, known in sorted(self._known.items()):
            entry: dict[str, ir.Attribute] = {"pointer": ir.IntegerAttr.get(i64, pointer)}
            if pointer not in self._unknown:
                terms = [[count, *numbers] for numbers, count in sorted(known.items())]
                entry["terms"] = ir.ArrayAttr.get([ir.DenseI64ArrayAttr.get(term) for term in terms])
            entries.append(ir.DictAttr.get(entry))
        return ir.ArrayAttr.get(entries)

    def _parameters(self, factors: Sequence[ir.Value]) -> tuple[int, ...] | None:
        """The numbers of the parameters whose product a product is; None if it is of anything else."""
        found: list[int] = []
        for factor in factors:
            numbers = self._parameters_of(factor)
            if numbers is None:
                return None
            found += numbers
        return tuple(sorted(found))

    def _parameters_of(self, value: ir.Value) -> tuple[int, ...] | None:
        if value in self._numbers:
            return (self._numbers[value],)
        op = rw.definer(value)
        if op is not None and op.name in ("arith.extsi", "arith.index_cast"):
            return self._parameters_of(op.operands[0])
        if op is not None and op.name == "arith.muli":
            return self._parameters(list(op.operands))
        return None


def reaches_of(function: ir.Operation) -> list[tuple[int, Reach]]:
    """What the attribute of a kernel says: numbers of parameters that are pointers, each with its reach."""
    found: list[tuple[int, Reach]] = []
    for each in ir.ArrayAttr(function.attributes[REACH]):
        entry = ir.DictAttr(each)
        terms = None
        if "terms" in entry:
            terms = [list(ir.DenseI64ArrayAttr(term)) for term in ir.ArrayAttr(entry["terms"])]
        found.append((ir.IntegerAttr(entry["pointer"]).value, terms))
    return found
