from collections.abc import Sequence
from typing import Any, Optional
from aecompiler.bindings import ext, ir
from aecompiler.dialect.core import Attn

Operand, Result, Region = ext.Operand, ext.Result, ext.Region


class RecurrenceOp(Attn.Operation, name="recurrence", traits=[ext.Pure]):
    """skeleton"""
    o: Result[ir.RankedTensorType]
    final: Result[ir.RankedTensorType]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    initial: Operand[ir.RankedTensorType]
    offsets: Optional[Operand[ir.RankedTensorType]]
    step: Region


for _index, _name in enumerate(("q", "k", "v", "initial")):
    setattr(RecurrenceOp, _name, property(lambda self, index=_index: self.operands[index]))
RecurrenceOp.offsets = property(lambda self: self.operands[4] if len(self.operands) > 4 else None)


class StepYieldOp(Attn.Operation, name="step_yield", traits=[ir.IsTerminatorTrait]):
    """skeleton"""
    state: Operand[ir.RankedTensorType]
    out: Operand[ir.RankedTensorType]
