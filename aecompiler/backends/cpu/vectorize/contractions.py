"""Products of matrices: which operations they are, and which use the instruction for pairs of bf16."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.values import Memory
from aecompiler.bindings import arith, ir, memref, vector, x86
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import TO_STATE, Generic, Operand

Key = tuple[int, int]
"""A row of the register tile, and a chunk."""


@dataclasses.dataclass(frozen=True)
class Contraction:
    """The loops of a product of matrices: out(x, lane) += a(x, k) * b(k, lane), the first in any order."""

    generic: Generic
    x: int
    k: int
    lane: int

    @property
    def result(self) -> ir.Value:
        """The product."""
        return self.generic.op.results[0]

    @property
    def size(self) -> int:
        """The size of the loop that is summed over."""
        return self.generic.sizes[self.k]


def as_contraction(generic: Generic) -> Contraction | None:
    """The contraction that `generic` is, if it is one."""
    if generic.rank != 3 or len(generic.reductions) != 1 or len(generic.outs) != 1:
        return None
    (k,) = generic.reductions
    loops = generic.outs[0].loops
    if len(loops) != 2 or k in loops:
        return None
    read = [set(operand.loops) for operand in generic.ins]
    if {loops[0], k} not in read or {k, loops[1]} not in read or any(len(each) == 3 for each in read):
        return None
    return Contraction(generic, loops[0], k, loops[1])


# ---- pairs of bf16 -------------------------------------------------------------------------------


def pair_operands(contraction: Contraction | None) -> tuple[Operand, Operand] | None:
    """`(a, b)` of a plain product whose `a` is bf16 and whose sum has an even length."""
    if contraction is None or contraction.size % 2 or TO_STATE in contraction.generic.op.attributes:
        return None
    generic = contraction.generic
    if len(generic.ins) != 2:
        return None
    first, second = generic.ins
    a, b = (first, second) if contraction.lane in second.loops else (second, first)
    if b.loops != (contraction.k, contraction.lane) or sorted(a.loops) != sorted(
        (contraction.x, contraction.k)
    ):
        return None
    types = (generic.argument(a).type, generic.argument(b).type, generic.argument(generic.outs[0]).type)
    if [str(t) for t in types] != ["bf16", "f32", "f32"] or not _is_plain(generic, a, b):
        return None
    return a, b


def rounds_weights(contraction: Contraction, a: Operand) -> bool:
    """Whether `b` holds weights, which may be rounded to bf16: `a` then is v, summed over its rows."""
    return a.loops == (contraction.k, contraction.x)


def _is_plain(generic: Generic, a: Operand, b: Operand) -> bool:
    """Whether the body is out + extf(a) * b."""
    *ops, _ = generic.block.operations
    if [op.operation.name for op in ops] not in (
        ["arith.extf", "arith.mulf", "arith.addf"],
        ["arith.mulf", "arith.addf"],
    ):
        return False
    names = {op.operation.name: op.operation for op in ops}
    widened = names.get("arith.extf")
    if widened is None or widened.operands[0] != generic.argument(a):
        return False
    factors = {widened.results[0], generic.argument(b)}
    terms = {names["arith.mulf"].results[0], generic.argument(generic.outs[0])}
    return (
        set(names["arith.mulf"].operands) == factors
        and set(names["arith.addf"].operands) == terms
        and generic.yielded == [names["arith.addf"].results[0]]
    )


@dataclasses.dataclass(frozen=True)
class PairedOperands:
    """`a` as bf16 [x, k] or, interleaved, as i32 [k / 2, x]; `b` as i32 [k / 2, lanes]."""

    a: ir.Value
    interleaved: bool
    b: ir.Value


def multiply_pairs(
    operands: PairedOperands,
    x: ir.Value,
    k: ir.Value,
    keys: Sequence[Key],
    accumulators: Mapping[Key, ir.Value],
    lanes: int,
) -> list[ir.Value]:
    """One step of a register tile: two products are added to each accumulator. `k` counts pairs."""
    i32, bf16 = ir.IntegerType.get_signless(32), ir.BF16Type.get()
    pairs = vec.vector_type(bf16, 2 * lanes)
    scalars: dict[int, ir.Value] = {}
    vectors: dict[int, ir.Value] = {}
    results = []
    for row, chunk in keys:
        if chunk not in vectors:
            words = vec.load(operands.b, [k, rw.index(chunk * lanes)], lanes)
            vectors[chunk] = vector.bitcast(pairs, words)
        if row not in scalars:
            place = vec.plus(x, row)
            if operands.interleaved:
                word = memref.load(operands.a, [k, place])
            else:
                two = vec.load(operands.a, [place, arith.muli(k, rw.index(2))], 2)
                word = vec.extract(vector.bitcast(vec.vector_type(i32, 1), two), 0)
            scalars[row] = vector.bitcast(pairs, vec.broadcast(word, lanes))
        results.append(_dot(accumulators[row, chunk], scalars[row], vectors[chunk]))
    return results


def _dot(accumulator: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    return x86.DotBF16Op(accumulator, a, b).result


def pack_pair(even: ir.Value, odd: ir.Value, lanes: int) -> ir.Value:
    """Two vectors of f32, rounded to bf16, as one of i32: `even` in the lower halves."""
    bf16, i32 = ir.BF16Type.get(), ir.IntegerType.get_signless(32)
    narrow = vec.vector_type(bf16, lanes)
    halves = [x86.CvtPackedF32ToBF16Op(narrow, value).result for value in (even, odd)]
    return vector.bitcast(vec.vector_type(i32, lanes), vector.InterleaveOp(*halves).result)


# ---- preparation ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A contraction whose operands are in a form that is cheap to read."""

    contraction: Contraction
    paired: PairedOperands | None
    wide: Mapping[ir.Value, Memory]


def plain_operands(contraction: Contraction) -> list[Operand]:
    """The operands without lanes that the body does nothing with but widen them, if they are not wide."""
    generic = contraction.generic
    acc = generic.argument(generic.outs[0]).type
    found = []
    for operand in generic.ins:
        argument = generic.argument(operand)
        users = [use.owner.operation for use in argument.uses]
        if contraction.lane in operand.loops or len(operand.loops) != 2:
            continue
        if argument.type == acc or all(
            user.name == "arith.extf" and user.results[0].type == acc for user in users
        ):
            found.append(operand)
    return found
