"""Tensors of the host's memory do what host programs ask of torch's, in the memory that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from aecompiler.backends.base import Buffer
from aecompiler.backends.gpu.host_tensors import HostTensor


def tensor_of(array, dtype="f32"):
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return HostTensor.of(Buffer(array.ctypes.data, array.shape, strides), dtype)


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_tensor_is_in_the_memory_of_its_buffer():
    array = numbers(3, 4)
    tensor = tensor_of(array.T)
    assert (tensor.shape, tensor.stride(), tensor.stride(1)) == ((4, 3), (1, 4), 4)
    assert tensor.data_ptr() == array.ctypes.data
    tensor.fill_(7.0)
    assert (array == 7).all()


def test_memory_goes_from_the_first_element_to_the_end_of_the_last():
    array = numbers(4, 8)
    memory = tensor_of(array[1:3, 2:5]).memory()
    assert memory.nbytes == (8 + 3) * 4
    assert memory.ctypes.data == array[1:, 2:].ctypes.data
    memory.view(np.float32)[0] = 99
    assert array[1, 2] == 99
    assert tensor_of(numbers(0, 3)).memory().nbytes == 0


def test_address_knows_its_tensor():
    tensor = tensor_of(numbers(2))
    assert tensor.data_ptr().tensor is tensor


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda t: t[1:3:1, 0:4:2], lambda a: a[1:3, 0:4:2]),
        (lambda t: t[1, 0:4:1], lambda a: a[1]),
        (lambda t: t[2, 3], lambda a: a[2:3, 3].reshape(())),
        (lambda t: t.permute((1, 0)), lambda a: a.T),
        (lambda t: t[:, None, :].expand((3, 5, 4)), lambda a: np.broadcast_to(a[:, None], (3, 5, 4))),
        (lambda t: t.reshape((2, 6)), lambda a: a.reshape(2, 6)),
        (lambda t: t.permute((1, 0)).contiguous(), lambda a: np.ascontiguousarray(a.T)),
    ],
)
def test_views_have_the_elements_and_the_memory(view, expected):
    array = numbers(3, 4)
    made = view(tensor_of(array))
    np.testing.assert_array_equal(made.array, expected(array))
    assert (
        np.shares_memory(made.memory(), array) == np.shares_memory(expected(array), array) or made.shape == ()
    )


def test_one_element_is_a_view():
    array = numbers(3, 4)
    tensor_of(array)[2, 3].fill_(5.0)
    assert array[2, 3] == 5


def test_copies_and_constants_of_each_type():
    for dtype in ("f32", "f64", "f16", "bf16", "i32", "i1", "index"):
        one = HostTensor.empty((2, 2), dtype).fill_(1)
        other = HostTensor.empty((2, 2), dtype).copy_(one)
        assert (other.array == 1).all()
        assert other.array.dtype == one.array.dtype
