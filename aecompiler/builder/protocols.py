"""What a traced value refuses: Python protocols, numpy and torch functions that need a number now."""

from __future__ import annotations

import operator
from typing import Any, NoReturn

from aecompiler.builder.errors import TraceError, not_iterable

_OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": operator.pow,
    "matmul": operator.matmul,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "left_shift": operator.lshift,
    "right_shift": operator.rshift,
}
_TORCH_NAMES = {
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "pow": "power",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_OURS = {
    "absolute": "abs",
    "fabs": "abs",
    "amax": "max",
    "amin": "min",
    "fmax": "maximum",
    "fmin": "minimum",
}
_INDEXING = "to index an array with it, declare the array as an argument of the program"


def _foreign(library: str, name: str) -> TraceError:
    from aecompiler.builder import functions

    ours = _OURS.get(name, name)
    advice = (
        f"; use aec.{ours}" if ours in functions.__all__ else "; write it with the functions of aecompiler"
    )
    return TraceError(f"{library}.{name} can't be applied to a traced value{advice}")


class Refusals:
    """The protocols that a traced value can't follow; each raises TraceError with what to write instead."""

    __slots__ = ()

    def __float__(self) -> NoReturn:
        raise TraceError(
            "a traced value can't become a Python number; for math.exp(x) and the like use aec.exp(x), "
            'for float(x) use aec.cast(x, "f32")'
        )

    def __complex__(self) -> NoReturn:
        raise TraceError("a traced value can't become a Python number")

    def __int__(self) -> NoReturn:
        raise TraceError('a traced value can\'t become a Python number; for int(x) use aec.cast(x, "index")')

    def __index__(self) -> NoReturn:
        raise TraceError(
            "a traced value can't be used where Python needs an integer, such as range() "
            "or the index of a list or array; declare the table as an argument of the program and index that"
        )

    def __round__(self, digits: int | None = None) -> NoReturn:
        raise TraceError("a traced value can't be rounded by round(x); use aec.floor(x + 0.5)")

    def __trunc__(self) -> NoReturn:
        raise TraceError('a traced value can\'t be truncated by math.trunc(x); use aec.cast(x, "index")')

    def __floor__(self) -> NoReturn:
        raise TraceError("math.floor can't be applied to a traced value; use aec.floor")

    def __ceil__(self) -> NoReturn:
        raise TraceError("math.ceil can't be applied to a traced value; use aec.ceil")

    def __iter__(self) -> NoReturn:
        raise not_iterable()

    def __format__(self, specification: str) -> str:
        if specification:
            raise TraceError(
                "a traced value can't be formatted as a number: it is known only when the kernel runs"
            )
        return str(self)

    def __contains__(self, item: Any) -> NoReturn:
        raise TraceError("`in` can't be decided while tracing; combine comparisons with `|`")

    def __hash__(self) -> NoReturn:  # type: ignore[override]
        raise TraceError(
            "a traced value can't be a key of a dict or a member of a set; "
            "declare the table as an argument of the program and index that"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TraceError(
            "a traced value is immutable: its elements can't be assigned; use aec.where(cond, a, b)"
        )

    def __delitem__(self, key: Any) -> NoReturn:
        raise TraceError("a traced value is immutable: its elements can't be deleted")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be called."""
        raise TraceError("a traced value is not a function; index it with [...]")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TraceError(
            f"a traced value can't become a numpy array: it is known only when the kernel runs; {_INDEXING}"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # Reached for `numpy.float32(2) * x` too, where numpy's operator comes first.
        function = _OPERATORS.get(ufunc.__name__)
        if method == "__call__" and function is not None and len(inputs) == 2 and not kwargs:
            from aecompiler.builder.arithmetic import operand

            return function(operand(inputs[0]), operand(inputs[1]))
        raise _foreign("numpy", ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise _foreign("numpy", function.__name__)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Reached for `torch.tensor(2.0) * x` too, where torch's operator comes first.
        name = getattr(function, "__name__", str(function)).strip("_")
        python = _OPERATORS.get(_TORCH_NAMES.get(name, name))
        if python is not None and len(args) == 2 and not kwargs:
            from aecompiler.builder.arithmetic import operand

            return python(operand(args[0]), operand(args[1]))
        if name == "getitem":
            raise TraceError(f"a traced value can't be an index of a torch tensor; {_INDEXING}")
        raise _foreign("torch", name)
