"""The pass `amd-vote-nans`: a tile is asked whether it has a NaN by a vote of the lanes."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.votes import VOTE
from aecompiler.bindings import ir, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_REDUCTION = "vector.multi_reduction"
_OEQ, _UNE = 1, 13


@register_pass
class VoteNans(Pass):
    """Ask by a vote whether there is a NaN.

    *Before*: kernels of `convert-tt-to-vector`. *After*: a sum of a whole tile of multiples by 0, each of
    which is 0 or NaN, that is only compared with 0, is one reduction with the attribute `amd.vote`:
    `amd-distribute-tiles` adds what a lane has, and then asks whether any lane has a NaN. That is one
    comparison, whose result is a bit of each lane in scalar registers, in place of six exchanges between
    lanes and as many sums. So kernels are asked at their end whether o is finite.

    ```mlir
    %zeros = arith.mulf %x, %c0 : vector<64x64xf32>
    %rows = vector.multi_reduction <add>, %zeros, %start [1] : vector<64x64xf32> to vector<64xf32>
    %sum = vector.multi_reduction <add>, %rows, %first [0] : vector<64xf32> to f32
    %is_finite = arith.cmpf oeq, %sum, %zero : f32
    ```
    becomes
    ```mlir
    %sum = vector.multi_reduction <add>, %zeros, %first {amd.vote} [0, 1] : vector<64x64xf32> to f32
    %is_finite = arith.cmpf oeq, %sum, %zero : f32
    ```
    """

    NAME = "amd-vote-nans"

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for reduction in rw.walk_list(function, _REDUCTION):
                if not isinstance(reduction.results[0].type, ir.VectorType) and _is_question(reduction):
                    _change(reduction)


def _change(op: ir.Operation) -> None:
    """Replace a chain of sums that ends in a scalar, if it begins with multiples by 0."""
    source = op.operands[0]
    while (inner := rw.definer(source)) is not None and inner.name == _REDUCTION:
        if not _is_sum(inner) or len(list(source.uses)) != 1:
            return
        source = inner.operands[0]
    if not _is_multiple_of_zero(source):
        return
    with ir.InsertionPoint(op), op.location:
        dims = list(range(source.type.rank))
        found = vector.multi_reduction(op.attributes["kind"], source, op.operands[1], dims)
        found.owner.attributes[VOTE] = ir.UnitAttr.get()
    op.results[0].replace_all_uses_with(found)
    op.erase()


def _is_question(op: ir.Operation) -> bool:
    """Whether a sum is only compared with 0."""
    if not _is_sum(op):
        return False
    uses = [use.owner.operation for use in op.results[0].uses]
    return all(
        use.name == "arith.cmpf"
        and ir.IntegerAttr(use.attributes["predicate"]).value in (_OEQ, _UNE)
        and any(rw.float_value(each) == 0 for each in use.operands)
        for use in uses
    )


def _is_sum(op: ir.Operation) -> bool:
    """Whether a reduction adds to zeros."""
    return "add" in str(op.attributes["kind"]) and _is_zero(op.operands[1])


def _is_multiple_of_zero(value: ir.Value) -> bool:
    op = rw.definer(value)
    return op is not None and op.name == "arith.mulf" and any(map(_is_zero, op.operands))


def _is_zero(value: ir.Value) -> bool:
    """Whether a float, or each of a tile, is 0."""
    op = rw.definer(value)
    if op is not None and op.name == "vector.broadcast":
        return _is_zero(op.operands[0])
    attribute = rw.constant_of_all(value)
    return isinstance(attribute, ir.FloatAttr) and attribute.value == 0
