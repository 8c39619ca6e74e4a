"""The pass `amd-relax-maxima`: maxima need not be NaN where everything that is computed of them is anyway."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_STRICT = (
    *(f"arith.{name}" for name in ("addf", "subf", "mulf", "divf", "extf", "truncf", "negf")),
    *(f"math.{name}" for name in ("exp", "exp2", "log", "log2", "sqrt", "absf")),
)
"""Operations on floats that give NaN at each element that is computed of a NaN."""


@dataclass(frozen=True)
class Label:
    """What is known of a value, in a kernel whose maxima may be numbers where they were NaN before.

    `differs`: it may be another one than before, in rows that have a score that is NaN. `before`, `now`: it
    is NaN in all of a row that had such a score in an earlier turn of the loop, or has one in this turn;
    `here`: at the place of such a score of this turn.
    """

    differs: bool = False
    before: bool = False
    now: bool = False
    here: bool = False

    @property
    def is_nan(self) -> bool:
        """Whether it is NaN in all of a row that has such a score."""
        return self.before and self.now


_SAME, _NAN = Label(), Label(before=True, now=True, here=True)


@register_pass
class RelaxMaxima(Pass):
    """Compute maxima that NaN does not reach where results are the same.

    *Before*: kernels of `convert-tt-to-vector`, whose maxima of scores (`maximumf`) are NaN where one of the
    scores is. *After*: those of loops are `maxnumf`, which has instructions of its own, where this changes no
    result: where everything that is written to memory is NaN for another reason in each row with a NaN, as
    that of softmax is, since exp(s - m) is NaN at s and is summed. That is proved by following what may
    differ through the kernel: a sum or a product of what may differ is as before if another term is NaN in
    all such rows. No maximum of a loop is changed unless that is proved for all results, and for all
    conditions of branches and bounds of loops.

    ```mlir
    %max = vector.multi_reduction <maximumf>, %scores, %low [1] : vector<64x64xf32> to vector<64xf32>
    %m1 = arith.maximumf %m, %max : vector<64xf32>
    ```
    becomes
    ```mlir
    %max = vector.multi_reduction <maxnumf>, %scores, %low [1] : vector<64x64xf32> to vector<64xf32>
    %m1 = arith.maxnumf %m, %max : vector<64xf32>
    ```
    """

    NAME = "amd-relax-maxima"

    def run(self, op: ir.Operation) -> None:
        """Change the loops of every kernel in `op` for which it is proved that nothing else changes."""
        for function in rw.walk_list(op, "gpu.func"):
            for loop in rw.walk_list(function, "scf.for"):
                if (found := _maxima(loop)) is not None and _is_same(function, loop, found):
                    _relax(found)


@dataclass(frozen=True)
class _Maxima:
    """The maxima of scores in a loop, those of the running maximum with them, and the scores."""

    reductions: list[ir.Operation]
    running: list[ir.Operation]
    scores: set[ir.Value]


def _maxima(loop: ir.Operation) -> _Maxima | None:
    """The maxima that a loop carries; None where there are none."""
    body = loop.regions[0].blocks[0]
    reductions, running, scores = [], [], set()
    for view in body.operations:
        op = view.operation
        if op.name == "arith.maximumf" and isinstance(op.results[0].type, ir.VectorType):
            sources = [_reduction(each) for each in op.operands]
            carried = [isinstance(each.owner, ir.Block) and each.owner == body for each in op.operands]
            if any(carried) and any(each is not None for each in sources):
                running.append(op)
                reductions += [each for each in sources if each is not None]
    for reduction in reductions:
        scores.add(_root(reduction.operands[0]))
    return _Maxima(reductions, running, scores) if reductions else None


def _reduction(value: ir.Value) -> ir.Operation | None:
    """The maximum over scores that a value is, but for a factor."""
    op = rw.definer(_root(value))
    if op is None or op.name != "vector.multi_reduction" or "maximumf" not in str(op.attributes["kind"]):
        return None
    rank = op.operands[0].type.rank
    is_row = [int(dim) for dim in op.attributes["reduction_dims"]] == [rank - 1]
    return op if is_row and rank == 2 else None


def _root(value: ir.Value) -> ir.Value:
    """What a value is a multiple of, by a constant that is finite and not 0: NaN where it is."""
    op = rw.definer(value)
    while op is not None and op.name == "arith.mulf":
        factors = [each for each in op.operands if _is_plain(each)]
        others = [each for each in op.operands if each not in factors]
        if len(factors) != 1 or len(others) != 1:
            break
        value = others[0]
        op = rw.definer(value)
    return value


def _is_plain(value: ir.Value) -> bool:
    op = rw.definer(value)
    if op is None or op.name != "arith.constant":
        return False
    attribute = op.attributes["value"]
    if isinstance(attribute, ir.DenseElementsAttr):
        if not attribute.is_splat:
            return False
        attribute = attribute.get_splat_value()
    number = ir.FloatAttr(attribute).value
    return math.isfinite(number) and number != 0


def _relax(found: _Maxima) -> None:
    for op in found.reductions:
        op.attributes["kind"] = ir.Attribute.parse("#vector.kind<maxnumf>")
    for op in found.running:
        with ir.InsertionPoint(op), op.location:
            new = ir.Operation.create("arith.maxnumf", [op.results[0].type], list(op.operands))
        op.results[0].replace_all_uses_with(new.results[0])
        op.erase()


def _is_same(function: ir.Operation, loop: ir.Operation, found: _Maxima) -> bool:
    """Whether everything that a kernel writes is the same with other maxima in a loop."""
    return _Proof(loop, found).block(function.regions[0].blocks[0])


class _Proof:
    """Follows what may differ through a kernel."""

    def __init__(self, loop: ir.Operation, found: _Maxima):
        self.loop, self.found = loop, found
        self.labels: dict[ir.Value, Label] = {}
        self.joined = False
        """Whether what differs has left a branch: there may be one such branch only."""

    def label(self, value: ir.Value) -> Label:
        """What is known of a value."""
        return self.labels.get(value, _SAME)

    def block(self, block: ir.Block) -> bool:
        """Follow a block; False where something that counts may differ."""
        return all(self.operation(view.operation) for view in block.operations)

    def operation(self, op: ir.Operation) -> bool:
        """Follow an operation; False where something that counts may differ."""
        labels = [self.label(each) for each in op.operands]
        if op.name == "scf.for":
            return self._for(op, labels)
        if op.name == "scf.if":
            return self._if(op, labels)
        if len(op.regions):
            return not any(each.differs for each in labels) and all(
                self.block(block) for region in op.regions for block in region.blocks
            )
        if not len(op.results):
            return op.name in ("scf.yield", "gpu.return") or not any(each.differs for each in labels)
        if op in self.found.reductions or op in self.found.running:
            self.labels[op.results[0]] = Label(differs=True)
            return True
        for result in op.results:
            self.labels[result] = self._result(op, labels)
            if result in self.found.scores:
                self.labels[result] = dataclasses.replace(self.labels[result], here=True)
        return True

    def _result(self, op: ir.Operation, labels: list[Label]) -> Label:
        differs = any(each.differs for each in labels)
        if op.name in _STRICT:
            return _label(differs, labels)
        if op.name == "vector.contract":
            left, _, start = labels  # a NaN of a left factor is one in all of its row of the result
            return _label(differs, [dataclasses.replace(left, now=left.now or left.here), start])
        if op.name == "vector.multi_reduction" and "add" in str(op.attributes["kind"]):
            (source, start), rank = labels, op.operands[0].type.rank
            is_row = [int(dim) for dim in op.attributes["reduction_dims"]] == [rank - 1]
            now = source.now or (source.here and is_row)
            return _label(differs, [Label(before=source.before, now=now), start])
        if op.name in ("vector.broadcast", "vector.shape_cast") and _keeps_rows(op):
            return labels[0]
        if op.name == "arith.select" and not labels[0].differs:
            arms = labels[1:]
            known = (all(getattr(each, name) for each in arms) for name in ("before", "now", "here"))
            return Label(differs, *known)
        return Label(differs)

    def _for(self, op: ir.Operation, labels: list[Label]) -> bool:
        """A loop: what it carries may differ from some turn on."""
        if any(each.differs for each in labels[:3]):
            return False
        body = op.regions[0].blocks[0]
        carried = list(body.arguments)[1:]
        if op == self.loop:
            is_first = not any(each.differs for each in labels[3:])
            starts = [Label(each.differs, before=is_first or each.is_nan) for each in labels[3:]]
        else:
            starts = labels[3:]
        while True:
            for argument, start in zip(carried, starts, strict=True):
                self.labels[argument] = start
            if not self.block(body):
                return False
            ends = [self.label(each) for each in list(body.operations)[-1].operands]
            if op == self.loop:
                new = [
                    Label(start.differs or end.differs, start.before and end.is_nan)
                    for start, end in zip(starts, ends, strict=True)
                ]
            else:
                new = list(map(_join, starts, ends))
            if new == starts:
                break
            starts = new
        for result, start, end in zip(op.results, starts, ends, strict=True):
            if op == self.loop:
                self.labels[result] = _NAN if start.before and not start.differs else Label(start.differs)
            else:
                self.labels[result] = _join(start, end)
        return True

    def _if(self, op: ir.Operation, labels: list[Label]) -> bool:
        """A branch: what differs in one way out of it is NaN, or as before, with all else of that way."""
        if labels[0].differs:
            return False
        if not all(self.block(block) for region in op.regions for block in region.blocks):
            return False
        if not len(op.results):
            return True
        ends = [
            [self.label(each) for each in list(region.blocks[0].operations)[-1].operands]
            for region in op.regions
        ]
        ways = [any(each != _SAME for each in labels_of_way) for labels_of_way in ends]
        if sum(ways) > 1 or (any(ways) and self.joined):
            joined = [list(each) for each in zip(*ends, strict=True)]
            for result, each in zip(op.results, joined, strict=True):
                self.labels[result] = _join(*each)
            return True
        self.joined = self.joined or any(ways)
        for number, result in enumerate(op.results):
            found = [way[number] for way, counts in zip(ends, ways, strict=True) if counts]
            self.labels[result] = found[0] if found else _SAME
        return True


def _label(differs: bool, labels: Iterable[Label]) -> Label:
    """What is NaN where any operand is: it is as before if that is all of each row that counts."""
    labels = list(labels)
    before, now = any(each.before for each in labels), any(each.now for each in labels)
    here = now or any(each.here for each in labels)
    return Label(differs and not (before and now), before, now, here)


def _join(a: Label, b: Label) -> Label:
    return Label(a.differs or b.differs, a.before and b.before, a.now and b.now, a.here and b.here)


def _keeps_rows(op: ir.Operation) -> bool:
    """Whether the rows of a tile are those of what is repeated along them, or has one more dimension."""
    old, new = getattr(op.operands[0].type, "shape", []), op.results[0].type.shape
    if op.name == "vector.shape_cast":
        return list(new) == [*old, 1]
    return len(old) == len(new) and old[:-1] == new[:-1]
