from collections.abc import Sequence
from typing import Any
from aecompiler.bindings import ext, ir
from aecompiler.dialect.core import Attn

Operand, Result, Region = ext.Operand, ext.Result, ext.Region


class AttentionOp(Attn.Operation, name="attention", traits=[ext.Pure]):
    """skeleton"""
    o: Result[ir.RankedTensorType]
    extras: Sequence[Result[ir.RankedTensorType]]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    score: Region
    mask: Region
    normalize: Region


AttentionOp.o = property(lambda self: self.results[0])
AttentionOp.extras = property(lambda self: list(self.results)[1:])


class RowReduceOp(Attn.Operation, name="row_reduce", traits=[ext.Pure]):
    """skeleton"""
    res: Result[Any]
    value: Operand[Any]
    kind: ir.StringAttr["max"] | ir.StringAttr["min"] | ir.StringAttr["sum"] | ir.StringAttr["prod"]


class YieldOp(Attn.Operation, name="yield", traits=[ir.IsTerminatorTrait]):
    """skeleton"""
    values: Sequence[Operand[Any]]
