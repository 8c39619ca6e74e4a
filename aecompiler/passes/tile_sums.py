"""Running sums over the positions of a tile: how they are written, and how they are recognised."""

from __future__ import annotations

import dataclasses

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

PREFIX_SUM = "attn.prefix_sum"
"""The attribute of a `linalg.generic` that adds up the positions before, or after, each position.

Its value says what is summed, as `RunningSum` has it. The operation is right as it stands, in any order of
its loops; the attribute only spares a reader to find out.
"""


@dataclasses.dataclass(frozen=True)
class RunningSum:
    """Which positions j the sum at position i goes over, positions being in blocks of `block`.

    `reverse` is False: those of i's block up to i; True: those of its block from i on. `inclusive` says
    whether i is one of them.
    """

    block: int
    reverse: bool
    inclusive: bool

    def attribute(self) -> ir.Attribute:
        """The value of the attribute `attn.prefix_sum`."""
        flags = {"reverse": ir.BoolAttr.get(self.reverse), "inclusive": ir.BoolAttr.get(self.inclusive)}
        block = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), self.block)
        return ir.DictAttr.get({"block": block, **flags})

    @classmethod
    def of(cls, op: ir.Operation) -> RunningSum | None:
        """What a `linalg.generic` sums up, if it has the attribute."""
        if PREFIX_SUM not in op.attributes:
            return None
        found = op.attributes[PREFIX_SUM]
        return cls(found["block"].value, found["reverse"].value, found["inclusive"].value)


def running_sum(
    value: ir.Value,
    element: ir.Type,
    *,
    block: int = 0,
    reverse: bool = False,
    inclusive: bool = True,
) -> ir.Value:
    """The running sums over the first dimension of a tensor `[L]` or `[L, n]`, of type `element`.

    They begin anew in each block of `block` positions; 0: all are one block.
    """
    shape = list(ir.RankedTensorType(value.type).shape)
    law = RunningSum(block if 0 < block < shape[0] else shape[0], reverse, inclusive)
    zeros = rw.filled(shape, element, 0.0)
    kinds = arith.CmpIPredicate
    order = {
        (False, True): kinds.ule,
        (False, False): kinds.ult,
        (True, True): kinds.uge,
        (True, False): kinds.ugt,
    }[reverse, inclusive]

    def add(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
        here, there = rw.loop_index(0), rw.loop_index(1)
        counts = arith.cmpi(order, there, here)
        if law.block < shape[0]:
            size = rw.index(law.block)
            counts = arith.andi(
                counts, arith.cmpi(kinds.eq, arith.divui(there, size), arith.divui(here, size))
            )
        term = rw.convert_float(inputs[0], element)
        return [arith.addf(outputs[0], arith.select(counts, term, rw.constant(element, 0.0)))]

    columns = tuple(range(2, 1 + len(shape)))
    (result,) = rw.generic([(value, (1, *columns))], [(zeros, (0, *columns))], "pr" + "p" * len(columns), add)
    result.owner.attributes[PREFIX_SUM] = law.attribute()
    return result
