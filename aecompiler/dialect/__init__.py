"""The `attn` dialect: attention programs as MLIR (docs/dialect.md)."""

from aecompiler.dialect.attention import AttentionOp, RowReduceOp, YieldOp
from aecompiler.dialect.chunked import ChunkedRecurrenceOp, PositionYieldOp
from aecompiler.dialect.core import Attn, make_context
from aecompiler.dialect.online import OnlineAttentionOp, OnlineReduceOp
from aecompiler.dialect.recurrence import RecurrenceOp, StepYieldOp
from aecompiler.dialect.recurrence_step import RecurrenceStepOp
from aecompiler.dialect.regions import captures

__all__ = [
    "AttentionOp",
    "Attn",
    "ChunkedRecurrenceOp",
    "OnlineAttentionOp",
    "OnlineReduceOp",
    "PositionYieldOp",
    "RecurrenceOp",
    "RecurrenceStepOp",
    "RowReduceOp",
    "StepYieldOp",
    "YieldOp",
    "captures",
    "make_context",
]
