"""The traced value: a scalar or tensor of the program under construction, with Python's operators."""

from __future__ import annotations

from typing import Any, NoReturn

from aecompiler.bindings import ir
from aecompiler.builder import arithmetic, dtypes, emit, indexing, protocols, tensors
from aecompiler.builder.errors import TraceError, UnknownAttributeError, no_truth_value
from aecompiler.builder.tracing import Dim, Scope, current_scope


class Value(protocols.Refusals):
    """A value of a program that is being traced: a scalar, or a ranked tensor.

    Operators build operations, on either side of a Python number: `+ - * / // % ** @`, comparisons, `& | ~ ^
    << >>`, `abs`, `divmod`, indexing. `//` and `%` floor. Python numbers take the type of the other operand;
    integers meet floats as floats; inside of regions floats have at least the precision of the score.
    Whatever needs the value itself, such as `if`, `int()` or `math.exp`, raises TraceError.
    """

    __slots__ = ("_dims", "_dtype", "_ir", "_scope", "_varying")

    _ir: ir.Value
    _dtype: str
    _dims: tuple[Dim, ...]
    _scope: Scope
    _varying: bool

    def __init__(
        self, value: ir.Value, dtype: str, dims: tuple[Dim, ...], scope: Scope, varying: bool = False
    ):
        for name, content in (
            ("_ir", value),
            ("_dtype", dtype),
            ("_dims", dims),
            ("_scope", scope),
            ("_varying", varying),
        ):
            object.__setattr__(self, name, content)

    @property
    def dtype(self) -> str:
        """The element type by name: f16, bf16, f32, f64, i1, i8, i16, i32, i64 or index."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions; 0 for a scalar."""
        return len(self._dims)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes: an int where static, a traced index where dynamic."""
        sizes: list[Any] = []
        for axis, dim in enumerate(self._dims):
            if isinstance(dim, int):
                sizes.append(dim)
            else:
                arithmetic.usable(self)
                trace = self._scope.trace
                sizes.append(Value(indexing.size_of(self, axis), "index", (), trace.body))
        return tuple(sizes)

    @property
    def T(self) -> Value:
        """The transpose of a matrix."""
        return tensors.transpose(self, (1, 0))

    def astype(self, dtype: Any) -> Value:
        """This value as another type; see `cast`."""
        from aecompiler.builder import functions

        return functions.cast(self, dtype)

    def __add__(self, other: Any) -> Value:
        return arithmetic.binary("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return arithmetic.binary("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return arithmetic.binary("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return arithmetic.binary("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return arithmetic.binary("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return arithmetic.binary("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return arithmetic.binary("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return arithmetic.binary("truediv", other, self)

    def __floordiv__(self, other: Any) -> Value:
        return arithmetic.binary("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Value:
        return arithmetic.binary("floordiv", other, self)

    def __mod__(self, other: Any) -> Value:
        return arithmetic.binary("mod", self, other)

    def __rmod__(self, other: Any) -> Value:
        return arithmetic.binary("mod", other, self)

    def __divmod__(self, other: Any) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Value, Value]:
        return other // self, other % self

    def __pow__(self, other: Any, modulo: Any = None) -> Value:
        if modulo is not None:
            raise TraceError("unsupported: pow with a modulus; write `x ** y % m`")
        return arithmetic.power(self, other)

    def __rpow__(self, other: Any) -> Value:
        return arithmetic.power(other, self)

    def __matmul__(self, other: Any) -> Value:
        return tensors.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Value:
        return tensors.matmul(other, self)

    def __lt__(self, other: Any) -> Value:
        return arithmetic.binary("lt", self, other)

    def __le__(self, other: Any) -> Value:
        return arithmetic.binary("le", self, other)

    def __gt__(self, other: Any) -> Value:
        return arithmetic.binary("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return arithmetic.binary("ge", self, other)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return arithmetic.binary("eq", self, other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return arithmetic.binary("ne", self, other)

    __hash__ = protocols.Refusals.__hash__  # Python drops it where __eq__ is defined

    def __and__(self, other: Any) -> Value:
        return arithmetic.binary("and", self, other)

    def __rand__(self, other: Any) -> Value:
        return arithmetic.binary("and", other, self)

    def __or__(self, other: Any) -> Value:
        return arithmetic.binary("or", self, other)

    def __ror__(self, other: Any) -> Value:
        return arithmetic.binary("or", other, self)

    def __xor__(self, other: Any) -> Value:
        return arithmetic.binary("xor", self, other)

    def __rxor__(self, other: Any) -> Value:
        return arithmetic.binary("xor", other, self)

    def __lshift__(self, other: Any) -> Value:
        return arithmetic.binary("lshift", self, other)

    def __rlshift__(self, other: Any) -> Value:
        return arithmetic.binary("lshift", other, self)

    def __rshift__(self, other: Any) -> Value:
        return arithmetic.binary("rshift", self, other)

    def __rrshift__(self, other: Any) -> Value:
        return arithmetic.binary("rshift", other, self)

    def __invert__(self) -> Value:
        return arithmetic.binary("xor", self, True if self.dtype == dtypes.BOOL else -1)

    def __neg__(self) -> Value:
        return arithmetic.unary(emit.negate, self, floating=False)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        from aecompiler.builder import functions

        return functions.abs(self)

    def __getitem__(self, key: Any) -> Value:
        return indexing.getitem(self, key)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Value:
        """In a normaliser: the sum over the row. Of a tensor: the sum over `axis` (default: all)."""
        return tensors.reduction("sum", self, axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Value:
        """In a normaliser: the maximum over the row. Of a tensor: the maximum over `axis` (default: all)."""
        return tensors.reduction("max", self, axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Value:
        """In a normaliser: the minimum over the row. Of a tensor: the minimum over `axis` (default: all)."""
        return tensors.reduction("min", self, axis, keepdims=keepdims)

    def prod(self, axis: Any = None, *, keepdims: bool = False) -> Value:
        """In a normaliser: the product over the row. Of a tensor: the product over `axis` (default: all)."""
        return tensors.reduction("prod", self, axis, keepdims=keepdims)

    def __bool__(self) -> NoReturn:
        raise no_truth_value()

    def __len__(self) -> int:
        if self._dims and isinstance(self._dims[0], int):
            return self._dims[0]
        raise TraceError(
            "the length of a traced value isn't known; use x.shape[0]"
            if self._dims
            else "a traced scalar has no length"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        what = (
            "row"
            if not self._dims and current_scope().kind == "normalize"
            else "scalar"
            if not self._dims
            else "tensor"
        )
        advice = (
            "divide its sum: x.sum() / n"
            if name == "mean"
            else "it has dtype, shape, ndim, T, astype, sum, max, min and prod, "
            "and functions such as aec.exp and aec.where"
        )
        raise UnknownAttributeError(f"a traced {what} has no attribute {name!r}; {advice}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise TraceError(f"a traced value is immutable: attribute {name!r} can't be set")

    def __repr__(self) -> str:
        if not self._dims:
            return f"<traced {self.dtype}>"
        return f"<traced {self.dtype} tensor of shape {arithmetic.shape_text(self)}>"
