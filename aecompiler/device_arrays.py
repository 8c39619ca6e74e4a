"""torch tensors on a GPU as a kernel sees them: the counterpart of `arrays.py`, which is for the host.

Nothing here waits for the device or copies to it. What a call checks on its way is cheap, and is looked at
again, with a message, only where something is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from aecompiler import arrays
from aecompiler.arrays import Argument
from aecompiler.backends.base import RecordingExecutable
from aecompiler.repeated_calls import RepeatedCalls
from aecompiler.torch_types import torch_dtype

_ROUND_F32_BELOW = 3.4e38


def take(argument: Argument, value: Any) -> tuple[Any, tuple[int, ...] | int | float, Any]:
    """What the kernel gets for an argument, its shape (or value), and what must stay alive during the call.

    Raises `TypeError` for a wrong kind of object or element type, `ValueError` for a wrong rank, static size,
    device or layout; the message names the argument.
    """
    if argument.kind == "scalar":
        number = _number(argument, value)
        return number, number, None
    given = value
    if not arrays.is_torch(value):
        arrays.refuse_masked(f"argument '{argument.name}'", value)
        raise TypeError(
            f"argument '{argument.name}': expects a torch tensor on a GPU, got {arrays.describe(value)}"
        )
    if not _is_plain(value) or value.dtype is not torch_dtype(argument.dtype):
        _check_device(f"argument '{argument.name}'", value)
        arrays.check_torch(argument, value)
        value = value.detach().resolve_neg()
    shape = tuple(value.shape)
    arrays.check_shape(argument, shape)
    if not arrays.has_data(value):
        raise ValueError(f"argument '{argument.name}': expects a tensor with data, got one without")
    if argument.in_place is not None:
        _check_updated(f"argument '{argument.name}'", given, value)
    return value, shape, value


def _check_updated(where: str, given: Any, value: Any) -> None:
    """Refuse a tensor that a call can't update: kernels write to its memory, where rows lie side by side."""
    if not _is_plain(given) or given.is_inference():
        arrays.check_torch_result(where, given)
    if value.data_ptr() != given.data_ptr():
        raise ValueError(
            f"{where}: expects a tensor that can be updated in place, got one that is negated lazily"
        )
    if not value.is_contiguous():
        arrays.refuse_overlapping_elements(where, value.stride(), value.shape)
        if value.shape[-1] > 1 and value.stride(-1) != 1:
            raise ValueError(
                f"{where}: expects a tensor whose rows lie side by side, got strides {value.stride()}"
            )


def _is_plain(value: Any) -> bool:
    """Whether a tensor is on a GPU, dense, and none that autograd or a lazy negation knows of."""
    torch = sys.modules["torch"]
    return (
        value.is_cuda
        and value.layout is torch.strided
        and not value.is_nested
        and not value.requires_grad
        and not value.is_neg()
        and getattr(torch.autograd.forward_ad, "_current_level", 0) < 0
    )


def _check_device(where: str, value: Any) -> None:
    if value.device.type != "cuda":
        raise ValueError(f"{where}: expects a tensor on a GPU, got device '{value.device}'")


def _number(argument: Argument, value: Any) -> int | float:
    """A scalar argument, as its type holds it."""
    if argument.dtype == "f32" and type(value) is float and -_ROUND_F32_BELOW < value < _ROUND_F32_BELOW:
        return arrays.round_f32(value)
    if arrays.is_torch(value) and value.device.type == "cuda":
        raise ValueError(
            f"argument '{argument.name}': expects a number, got a tensor on a GPU, for whose value the call "
            "would have to wait: pass .item()"
        )
    return arrays.rounded(argument, arrays.number(argument, value))


def place(value: Any) -> Any:
    """An argument of `check`, where kernels read it: arrays of the host are copied to the current GPU."""
    import numpy as np
    import torch

    if isinstance(value, np.ma.MaskedArray):  # which the call refuses by its name
        return value
    if isinstance(value, np.ndarray) and value.ndim:
        is_bfloat16 = value.dtype == arrays.numpy_dtype("bf16")
        value = torch.from_numpy(np.array(value.view(np.int16) if is_bfloat16 else value))
        value = value.view(torch.bfloat16) if is_bfloat16 else value
    return value.cuda() if isinstance(value, torch.Tensor) and value.ndim else value


def wait() -> None:
    """Until the calls made so far are done, on the current GPU."""
    import torch

    torch.cuda.synchronize()


def like(values: Sequence[Any]) -> Any:
    """What results are made like: the first tensor of a call, or None."""
    return next((value for value in values if arrays.is_torch(value)), None)


def allocate(dtype: str, shape: tuple[int, ...], like: Any) -> tuple[Any, Any]:
    """A new contiguous tensor for a result, on the device of `like`, as the kernel and the caller see it.

    Raises `MemoryError` where there is no memory.
    """
    import torch

    device = like.device if like is not None else torch.device("cuda", torch.cuda.current_device())
    try:
        tensor = torch.empty(shape, dtype=torch_dtype(dtype), device=device)
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(f"a result of shape {shape} does not fit into memory: {error}") from None
    return tensor, tensor


def take_result(result: Argument, shape: tuple[int, ...], value: Any) -> Any:
    """A tensor of the caller for a result of that shape; errors name the result."""
    where = f"result '{result.name}'"
    if not arrays.is_torch(value):
        arrays.refuse_masked(where, value)
        raise TypeError(f"{where}: expects a torch tensor on a GPU, got {arrays.describe(value)}")
    if not _is_plain(value) or value.is_inference() or not arrays.has_data(value):
        _check_device(where, value)
        arrays.check_torch_result(where, value)
    if value.dtype is not torch_dtype(result.dtype):
        raise TypeError(f"{where}: expects dtype {result.dtype}, got {value.dtype}")
    if value.shape != shape:
        raise ValueError(f"{where}: expects shape {shape}, got {tuple(value.shape)}")
    overlaps = not value.is_contiguous() and arrays.overlaps_itself(value.stride(), value.shape)
    if overlaps or value.is_neg():
        raise ValueError(f"{where}: expects a tensor with memory of its own for each element")
    return value


def overlap(a: Any, a_dtype: str, b: Any, b_dtype: str) -> bool:
    """Whether the spans of memory of two tensors have an address in common."""
    if a.get_device() != b.get_device():
        return False
    (a_first, a_end), (b_first, b_end) = _span(a), _span(b)
    return a_first < b_end and b_first < a_end


def _span(tensor: Any) -> tuple[int, int]:
    first = tensor.data_ptr()
    if not tensor.numel() or tensor.is_contiguous():
        return first, first + tensor.nbytes
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return first, first + (last + 1) * tensor.element_size()


note_write = arrays.note_write


def repeated_calls(arguments: Sequence[Argument], executable: RecordingExecutable) -> RepeatedCalls | None:
    """What finds calls that repeat earlier ones; None where no tensor says which device a call is on."""
    are_tensors = any(argument.kind == "tensor" for argument in arguments)
    return RepeatedCalls(arguments, executable) if are_tensors else None
