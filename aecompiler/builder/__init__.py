"""The builder: attention programs written as Python functions, traced into IR.

`program` and `trace` turn a function into a `Program`; `attention` and `recurrence` build the operations;
`apply` calls their functions in one another; the rest are the functions that programs are written with.
"""

from aecompiler.builder.attention_op import attention
from aecompiler.builder.errors import TraceError
from aecompiler.builder.functions import *  # noqa: F403
from aecompiler.builder.functions import __all__ as _functions
from aecompiler.builder.programs import Argument, Program, program, trace
from aecompiler.builder.recurrence_op import recurrence
from aecompiler.builder.regions import apply
from aecompiler.builder.specs import ScalarSpec, TensorSpec, scalar, tensor
from aecompiler.builder.values import Value

__all__ = [
    "Argument",
    "Program",
    "ScalarSpec",
    "TensorSpec",
    "TraceError",
    "Value",
    "apply",
    "attention",
    "program",
    "recurrence",
    "scalar",
    "tensor",
    "trace",
    *_functions,
]
