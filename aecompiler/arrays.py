"""numpy and torch arrays as a kernel sees them: checked against what it was compiled for, without a copy.

torch is never imported here: an object can be a torch tensor only if somebody else has imported it.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import operator
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from aecompiler.backends.base import Buffer, Executable, Scalar
from aecompiler.torch_types import DTYPES as DTYPES
from aecompiler.torch_types import torch_dtype

_NUMPY_NAMES = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i1": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "index": "int64",
}
_INTEGER_BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "index": 64}


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument or result of a kernel.

    `kind` is "tensor" or "scalar"; `shape` holds a number for a static size, the dimension's name for a named
    one, None for any size; `dtype` is the element type as in the IR: "f32", "bf16", "i32", "index", ...
    An argument that a call updates has the number of the result that it is then as `in_place`; that result is
    none of the kernel's.
    """

    name: str
    kind: str
    shape: tuple[int | str | None, ...]
    dtype: str
    in_place: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {format_shape(self.shape)}{self.dtype}"


def format_shape(shape: tuple[int | str | None, ...]) -> str:
    """`(B, 8, ?, 64) ` with a space behind it, or nothing for a scalar."""
    return f"({', '.join('?' if d is None else str(d) for d in shape)}) " if shape else ""


def numpy_dtype(dtype: str) -> np.dtype:
    """The numpy type of an element type; bfloat16 is that of ml_dtypes."""
    if dtype == "bf16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(_NUMPY_NAMES[dtype])


def is_torch(value: Any) -> bool:
    """Whether `value` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def take(argument: Argument, value: Any) -> tuple[Buffer | Scalar, tuple[int, ...] | int | float, Any]:
    """What the kernel gets for an argument, its shape (or value), and what must stay alive during the call.

    Raises `TypeError` for a wrong kind of object or element type, `ValueError` for a wrong rank, static size,
    device or layout; the message names the argument.
    """
    if argument.kind == "scalar":
        given = number(argument, value)
        return Scalar(_pack(argument, given)), given, None
    refuse_masked(f"argument '{argument.name}'", value)
    if argument.in_place is not None:
        return _take_updated(argument, value)
    if is_torch(value):
        return _take_torch(argument, value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _take_numpy(argument, np.asarray(value))
    raise TypeError(
        f"argument '{argument.name}': expects a numpy array or a torch tensor, got {describe(value)}"
    )


def _take_updated(argument: Argument, value: Any) -> tuple[Buffer, tuple[int, ...], Any]:
    """An array that the call reads and writes: it is never copied."""
    where = f"argument '{argument.name}'"
    if is_torch(value):
        buffer, shape, taken = _take_torch(argument, value)
        check_torch_result(where, value)
        is_own = taken.data_ptr() == value.data_ptr()
    elif isinstance(value, np.ndarray):
        buffer, shape, taken = _take_numpy(argument, value)
        is_own = taken is value
        if not value.flags.writeable:
            raise ValueError(f"{where}: expects an array that may be written to, got a read-only one")
    else:
        raise TypeError(f"{where}: expects a numpy array or a torch tensor, got {describe(value)}")
    if not is_own:
        raise ValueError(f"{where}: expects an array that can be updated in place, got {_why_copied(value)}")
    refuse_overlapping_elements(where, buffer.strides, shape)
    return buffer, shape, taken


def _why_copied(value: Any) -> str:
    """What kernels can't read of an array as it lies in memory."""
    if is_torch(value):
        return "one that is negated lazily" if value.is_neg() else "bytes of bool other than 0 and 1"
    if not value.flags.aligned:
        return "elements that are not aligned"
    if any(stride < 0 for stride in value.strides):
        return "negative strides"
    if any(stride % value.itemsize for stride in value.strides):
        return "strides that are no whole elements"
    return "bytes of bool other than 0 and 1"


def refuse_overlapping_elements(where: str, strides: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse an array to write to of which elements share memory, or may; `where` names it."""
    if overlaps_itself(strides, shape):
        raise ValueError(
            f"{where}: expects an array with memory of its own for each element, got strides "
            f"{tuple(strides)} for shape {tuple(shape)}"
        )


def overlaps_itself(strides: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether elements share memory, or may: strides, from the smallest, must each pass what is below."""
    end = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size == 0:
            return False
        if size > 1:
            if stride < end:
                return True
            end = (size - 1) * stride + end
    return False


def refuse_masked(where: str, value: Any) -> None:
    """Refuse a masked array, whose mask kernels would not see; `where` names it."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{where}: expects an array without a mask, got a masked array: pass .filled(...)")


def allocate(dtype: str, shape: tuple[int, ...], like_torch: bool) -> tuple[Buffer, Any]:
    """A new contiguous array for a result, and its buffer; `MemoryError` where there is no memory."""
    strides = _contiguous_strides(shape)
    array: Any
    if like_torch:
        torch = sys.modules["torch"]
        try:
            array = torch.empty(shape, dtype=torch_dtype(dtype))
        except RuntimeError as error:  # torch's answer where there is no memory
            raise MemoryError(f"a result of shape {shape} does not fit into memory: {error}") from None
        return Buffer(array.data_ptr(), shape, strides), array
    array = np.empty(shape, numpy_dtype(dtype))
    return Buffer(array.ctypes.data, shape, strides), array


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def take_result(result: Argument, shape: tuple[int, ...], value: Any) -> Buffer:
    """The buffer of an array of the caller for a result of that shape; errors name the result."""
    where = f"result '{result.name}'"
    if is_torch(value):
        if value.device.type != "cpu":
            raise ValueError(f"{where}: expects a dense tensor with data on the CPU")
        check_torch_result(where, value)
        dtype, expected = value.dtype, torch_dtype(result.dtype)
        contiguous, address = value.is_contiguous() and not value.is_neg(), value.data_ptr()
        is_aligned = True
    elif isinstance(value, np.ndarray):
        refuse_masked(where, value)
        dtype, expected = value.dtype, numpy_dtype(result.dtype)
        contiguous, address = value.flags.c_contiguous, value.ctypes.data
        is_aligned = value.flags.aligned
        if not value.flags.writeable:
            raise ValueError(f"{where}: expects an array that may be written to")
    else:
        raise TypeError(f"{where}: expects a numpy array or a torch tensor, got {describe(value)}")
    if dtype != expected:
        raise TypeError(f"{where}: expects dtype {result.dtype}, got {dtype}")
    if tuple(value.shape) != shape:
        raise ValueError(f"{where}: expects shape {shape}, got {tuple(value.shape)}")
    if not contiguous:
        raise ValueError(f"{where}: expects a contiguous array")
    if not is_aligned:
        raise ValueError(
            f"{where}: expects an array at a multiple of the size of {result.dtype}, got address {address:#x}"
        )
    return Buffer(address, shape, _contiguous_strides(shape))


def check_torch_result(where: str, value: Any) -> None:
    """Refuse a tensor that can't be written to behind autograd's back; `where` names it."""
    torch = sys.modules["torch"]
    if value.layout is not torch.strided or not has_data(value):
        raise ValueError(f"{where}: expects a dense tensor with data")
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{where}: expects a tensor without gradient, since kernels are not differentiated")
    if torch.autograd.forward_ad.unpack_dual(value).tangent is not None:
        raise ValueError(f"{where}: expects a tensor without tangent, since kernels have no derivative")
    if value.is_inference() and not torch.is_inference_mode_enabled():
        raise ValueError(
            f"{where}: expects a tensor that was not made in inference mode, or a call in that mode"
        )


def note_write(value: Any) -> None:
    """Tell autograd that an array is written to, so that no gradient is computed from what it held before."""
    if is_torch(value) and not value.is_inference():
        sys.modules["torch"].autograd.graph.increment_version(value)


def overlap(a: Buffer, a_dtype: str, b: Buffer, b_dtype: str) -> bool:
    """Whether the spans of memory of two arrays have an address in common."""
    (a_first, a_end), (b_first, b_end) = _span(a, a_dtype), _span(b, b_dtype)
    return a_first < b_end and b_first < a_end


def _span(buffer: Buffer, dtype: str) -> tuple[int, int]:
    if 0 in buffer.shape:
        return buffer.address, buffer.address
    last = sum((size - 1) * stride for size, stride in zip(buffer.shape, buffer.strides, strict=True))
    return buffer.address, buffer.address + (last + 1) * numpy_dtype(dtype).itemsize


def place(value: Any) -> Any:
    """An argument of `check`, where kernels read it: as it is."""
    return value


def copy_of(value: Any) -> Any:
    """An array of the same values in memory of its own."""
    return value.clone() if is_torch(value) else np.array(value)


def wait() -> None:
    """Until calls are done: they are when they return."""


def to_numpy(value: Any) -> Any:
    """A torch tensor as a numpy array (bfloat16 through ml_dtypes); anything else as it is."""
    if not is_torch(value):
        return value
    torch = sys.modules["torch"]
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        return value.contiguous().view(torch.int16).numpy().view(numpy_dtype("bf16"))
    return value.numpy()


def _take_torch(argument: Argument, value: Any) -> tuple[Buffer, tuple[int, ...], Any]:
    torch = sys.modules["torch"]
    name = argument.name
    if value.device.type != "cpu":
        raise ValueError(f"argument '{name}': expects a tensor on the CPU, got device '{value.device}'")
    check_torch(argument, value)
    value = value.detach().resolve_neg()
    shape = tuple(value.shape)
    check_shape(argument, shape)
    if not has_data(value):
        raise ValueError(
            f"argument '{name}': expects a tensor with data, got one without (its storage was freed, or it "
            "is fake, or stands for others in a transformation such as vmap)"
        )
    if value.dtype == torch.bool and (value.view(torch.uint8) > 1).any():
        value = value.view(torch.uint8) != 0  # bytes that are neither 0 nor 1, made by a view
    return Buffer(value.data_ptr(), shape, tuple(value.stride())), shape, value


def check_torch(argument: Argument, value: Any) -> None:
    """Refuse a tensor that is not dense, that autograd would have to know of, or of another element type."""
    torch = sys.modules["torch"]
    name = argument.name
    if value.layout is not torch.strided:
        raise ValueError(f"argument '{name}': expects a dense tensor, got layout {value.layout}")
    if value.is_nested:
        raise ValueError(f"argument '{name}': expects a dense tensor, got a nested one")
    if torch.autograd.forward_ad.unpack_dual(value).tangent is not None:
        raise ValueError(
            f"argument '{name}': expects a tensor without tangent, since kernels have no derivative"
        )
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"argument '{name}': expects a tensor without gradient, since kernels are not differentiated: "
            "pass it through .detach(), or call under torch.no_grad()"
        )
    expected = torch_dtype(argument.dtype)
    if value.dtype != expected:
        raise TypeError(f"argument '{name}': expects dtype {argument.dtype}, got {value.dtype}")


def has_data(value: Any) -> bool:
    """Whether a torch tensor has elements in memory, or none at all."""
    try:
        return value.numel() == 0 or value.data_ptr() != 0
    except RuntimeError:  # torch's answer for a tensor that a transformation made
        return False


def _take_numpy(argument: Argument, value: np.ndarray) -> tuple[Buffer, tuple[int, ...], Any]:
    name = argument.name
    expected = numpy_dtype(argument.dtype)
    if value.dtype != expected or not value.dtype.isnative:
        raise TypeError(f"argument '{name}': expects dtype {argument.dtype}, got {value.dtype}")
    check_shape(argument, value.shape)
    if value.dtype == bool and (value.view(np.uint8) > 1).any():
        value = value.view(np.uint8) != 0  # bytes that are neither 0 nor 1, made by a view
    if any(stride < 0 or stride % value.itemsize for stride in value.strides) or not value.flags.aligned:
        # The compiled code computes addresses in whole elements, upwards from the first: the exception to
        # "without a copy".
        value = np.ascontiguousarray(value).reshape(value.shape)
    strides = tuple(stride // value.itemsize for stride in value.strides)
    return Buffer(value.ctypes.data, value.shape, strides), value.shape, value


def check_shape(argument: Argument, shape: tuple[int, ...]) -> None:
    """Refuse a shape of another rank, or of another size where the size is static."""
    expected = argument.shape
    where = f"argument '{argument.name}'"
    if len(shape) != len(expected):
        text = _shape_text(expected)
        raise ValueError(f"{where}: expects {len(expected)} dimensions {text}, got {len(shape)}")
    for dimension, (want, got) in enumerate(zip(expected, shape, strict=True)):
        if want != got and isinstance(want, int):
            text = _shape_text(expected)
            raise ValueError(f"{where}: expects size {want} in dimension {dimension} of {text}, got {got}")


def _shape_text(shape: tuple[int | str | None, ...]) -> str:
    return format_shape(shape).strip() or "()"


def number(argument: Argument, value: Any) -> int | float:
    """A scalar argument as a Python number; 0-d arrays and numpy scalars count as numbers."""
    refuse_masked(f"argument '{argument.name}'", value)
    if (is_torch(value) or isinstance(value, (np.ndarray, np.generic))) and value.ndim == 0:
        if is_torch(value):
            if value.device.type == "meta" or not has_data(value):
                raise ValueError(f"argument '{argument.name}': expects a number, got a tensor without data")
            value = value.detach()
        value = value.item() if argument.dtype != "bf16" or is_torch(value) else float(value)
    if argument.dtype in _INTEGER_BITS:
        try:
            integer = operator.index(value)
        except TypeError:
            raise TypeError(
                f"argument '{argument.name}': expects an integer, got {describe(value)}"
            ) from None
        bits = _INTEGER_BITS[argument.dtype]
        low, high = (0, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if not low <= integer <= high:
            got = integer if abs(integer) < 10**30 else f"one of {integer.bit_length()} bits"
            raise ValueError(f"argument '{argument.name}': expects {low} to {high}, got {got}")
        return integer
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"argument '{argument.name}': expects a number, got {describe(value)}")
    try:
        wide = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"argument '{argument.name}': expects a number, got {describe(value)}") from None
    except OverflowError:
        wide = None
    if wide is None or (math.isfinite(wide) and not np.isfinite(_round(wide, argument.dtype))):
        raise ValueError(f"argument '{argument.name}': expects a number that {argument.dtype} can hold")
    return wide


def round_f32(number: float) -> float:
    """The nearest f32 of a number within their range."""
    return ctypes.c_float(number).value


def rounded(argument: Argument, number: int | float) -> int | float:
    """A number of a scalar argument, as its type holds it."""
    return number if argument.dtype in _INTEGER_BITS else float(_round(number, argument.dtype))


def like(values: Sequence[Any]) -> bool:
    """What results are made like: whether any argument of a call is a torch tensor."""
    return any(is_torch(value) for value in values)


def repeated_calls(arguments: Sequence[Argument], executable: Executable) -> None:
    """What finds calls that repeat earlier ones: nothing, since checks are little beside the work."""


def _round(number: float, dtype: str) -> np.generic:
    with np.errstate(over="ignore"):
        return np.float64(number).astype(numpy_dtype(dtype))


def _pack(argument: Argument, number: int | float) -> bytes:
    if argument.dtype in _INTEGER_BITS:
        return int(number).to_bytes(8, sys.byteorder, signed=True)
    return _round(number, argument.dtype).tobytes()


def describe(value: Any) -> str:
    """What a value is, in messages."""
    if is_torch(value) or isinstance(value, np.ndarray):
        return f"an array of shape {tuple(value.shape)}"
    return f"'{type(value).__name__}'"
