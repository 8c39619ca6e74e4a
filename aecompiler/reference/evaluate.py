"""Evaluates a program in float64 numpy: the meaning that every lowering is checked against.

It walks the operations that it is handed and knows nothing of MLIR's bindings, of passes, of tiles or of
streaming. Rows are evaluated whole; see `attention.py` and `recurrence.py` for the two attention ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Importing these registers their handlers.
from aecompiler.reference import (  # noqa: F401
    attention,
    control,
    recurrence,
    scalar_ops,
    streaming,
    structured,
    tensor_ops,
)
from aecompiler.reference.machine import HANDLERS, Decoder, Frame
from aecompiler.reference.values import ValueType, parse_type, widen


class Evaluation(list[np.ndarray]):
    """The results of a function, float64 arrays in order.

    `out_of_bounds` counts the reads of tensors out of their bounds that count: in a score, mask or normalize
    region those at unmasked elements, elsewhere all.
    """

    out_of_bounds: int = 0


def evaluate(function: Any, arguments: Sequence[Any]) -> Evaluation:
    """Evaluate a `func.func` in float64.

    `function` is the operation, of any bindings that look like MLIR's. `arguments` are arrays (any numpy
    dtype, bfloat16 of ml_dtypes included) or numbers, one for each parameter; a number is first rounded to
    the parameter's type.

    Raises `ValueError` for a wrong count, shape or disagreeing sizes, and `UnsupportedError`, with the name
    and the location, for an operation that is not known.
    """
    operation = getattr(function, "operation", function)
    blocks = list(operation.regions[0].blocks)
    if operation.name != "func.func" or len(blocks) != 1:
        raise ValueError(f"expects a func.func of one block, got '{operation.name}' of {len(blocks)} blocks")
    types = [parse_type(str(value.type)) for value in blocks[0].arguments]
    if len(arguments) != len(types):
        raise ValueError(f"expects {len(types)} arguments, got {len(arguments)}")
    with np.errstate(all="ignore"):
        values = [
            _argument(n, data, type_) for n, (data, type_) in enumerate(zip(arguments, types, strict=True))
        ]
        frame = Frame()
        results = frame.run(Decoder().block(blocks[0]), values)
    evaluation = Evaluation(np.array(result, np.float64) for result in results)
    evaluation.out_of_bounds = sum(int(np.count_nonzero(miss)) for miss in frame.misses)
    return evaluation


def supported_operations() -> frozenset[str]:
    """The names of all operations that can be evaluated, terminators aside."""
    return frozenset(HANDLERS)


def _argument(position: int, data: Any, type_: ValueType) -> np.ndarray:
    array = np.asarray(data)
    expected = type_.shape or ()
    if array.ndim != len(expected) or any(
        want not in (None, have) for want, have in zip(expected, array.shape, strict=True)
    ):
        wanted = "x".join("?" if size is None else str(size) for size in expected) or "a scalar"
        raise ValueError(f"expects argument {position} to have shape {wanted}, got {array.shape}")
    if type_.is_float and type_.shape is None:
        array = array.astype(scalar_ops.float_dtype(type_.element))
    return widen(array, type_)
