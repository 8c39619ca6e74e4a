"""The `tensor` dialect on values.

A read outside of a tensor gives the clamped element, or 0 where there is none, and is recorded as a miss. An
inserted element or slice that would lie outside is moved to lie inside. What nobody wrote is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from aecompiler.reference.machine import DYNAMIC, Frame, Instruction, gather, implements, is_outside, uniform
from aecompiler.reference.values import ValueType

Array = np.ndarray


@implements("tensor.extract")
def _extract(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, *indices = args
    if not indices:
        return [source]
    axes = len(frame.lanes)
    _record_misses(indices, source.shape[axes:], frame)
    return [gather(source, axes, indices)]


@implements("tensor.insert")
def _insert(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    scalar, target, *indices = args
    axes = len(frame.lanes)
    shape = target.shape[axes:]
    if 0 in shape:
        return [target]
    inside = [np.clip(index, 0, size - 1) for index, size in zip(indices, shape, strict=True)]
    return [_scatter(target, axes, inside, scalar)]


@implements("tensor.extract_slice")
def _extract_slice(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, *dynamic = args
    axes = len(frame.lanes)
    indices, sizes = _slice_indices(op, dynamic, frame)
    _record_misses(indices, source.shape[axes:], frame)
    part = gather(source, axes, indices) if indices else source
    lanes = part.shape[:axes]
    part = np.broadcast_to(part, lanes + tuple(sizes))
    return [part.reshape(lanes + _reduced(op.integers("static_sizes"), sizes, op.result_types[0]))]


@implements("tensor.insert_slice")
def _insert_slice(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    part, target, *dynamic = args
    axes = len(frame.lanes)
    indices, sizes = _slice_indices(op, dynamic, frame, inside=target.shape[axes:])
    part = part.reshape(part.shape[:axes] + tuple(sizes))
    return [_scatter(target, axes, indices, part)] if indices else [part]


@implements("tensor.empty")
def _empty(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [np.zeros((1,) * len(frame.lanes) + _result_shape(op, args), op.result_types[0].dtype)]


@implements("tensor.splat")
def _splat(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    scalar, *sizes = args
    shape = _result_shape(op, sizes)
    return [np.broadcast_to(scalar.reshape(scalar.shape + (1,) * len(shape)), scalar.shape + shape)]


@implements("tensor.dim")
def _dim(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, axis = args
    axes = len(frame.lanes)
    shape = np.array(source.shape[axes:] or [0], np.int64)
    return [shape[np.clip(axis, 0, len(shape) - 1)]]


@implements("tensor.rank")
def _rank(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [np.full((1,) * len(frame.lanes), op.operand_types[0].rank, np.int64)]


@implements("tensor.cast")
def _cast(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [args[0]]


@implements("tensor.collapse_shape")
def _collapse_shape(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    axes = len(frame.lanes)
    lanes, shape = args[0].shape[:axes], args[0].shape[axes:]
    groups = [[axis.value for axis in group] for group in op.attributes["reassociation"]]
    return [args[0].reshape(lanes + tuple(_product(shape[axis] for axis in group) for group in groups))]


@implements("tensor.expand_shape")
def _expand_shape(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, *sizes = args
    shape = tuple(_mixed(op.integers("static_output_shape"), iter(sizes), op))
    return [source.reshape(source.shape[: len(frame.lanes)] + shape)]


@implements("tensor.reshape")
def _reshape(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, shape = args
    sizes = tuple(uniform(shape[..., axis], op) for axis in range(shape.shape[-1]))
    return [source.reshape(source.shape[: len(frame.lanes)] + sizes)]


@implements("tensor.from_elements")
def _from_elements(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    type_ = op.result_types[0]
    shape = type_.static_shape
    if not args:
        return [np.zeros((1,) * len(frame.lanes) + shape, type_.dtype)]
    stacked = np.stack(np.broadcast_arrays(*args), axis=-1)
    return [stacked.reshape(stacked.shape[:-1] + shape)]


@implements("tensor.concat")
def _concat(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    axes = len(frame.lanes)
    lanes = np.broadcast_shapes(*(value.shape[:axes] for value in args))
    parts = [np.broadcast_to(value, lanes + value.shape[axes:]) for value in args]
    return [np.concatenate(parts, axis=axes + op.attributes["dim"].value)]


@implements("tensor.generate")
def _generate(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    shape = _result_shape(op, args)
    return [_points(op, shape, frame)]


@implements("tensor.pad")
def _pad(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    source, *dynamic = args
    axes, entries = len(frame.lanes), iter(dynamic)
    low = _mixed(op.integers("static_low"), entries, op)
    high = _mixed(op.integers("static_high"), entries, op)
    sizes = source.shape[axes:]
    padding = _points(op, [sum(parts) for parts in zip(low, sizes, high, strict=True)], frame)
    return [_scatter(padding, axes, _box(low, sizes, [1] * len(sizes), axes), source)]


def _points(op: Instruction, shape: Sequence[int], frame: Frame) -> Array:
    """The body of `op` at each point of `shape`, which it gets as its arguments."""
    inner = frame.inner(shape)
    (value,) = inner.run(op.body, inner.indices)
    frame.close(inner)
    return np.broadcast_to(value, value.shape[: len(frame.lanes)] + tuple(shape))


def _record_misses(indices: Sequence[Array], shape: Sequence[int], frame: Frame) -> None:
    outside = is_outside(indices, shape)
    if outside.any():
        axes = len(frame.lanes)
        frame.misses.append(np.asarray(outside.any(axis=tuple(range(axes, outside.ndim)))))


def _mixed(static: Sequence[int], dynamic: Iterable[Array], op: Instruction) -> list[int]:
    """Sizes of which some are attributes and some are operands."""
    operands = iter(dynamic)
    return [uniform(next(operands), op) if size == DYNAMIC else size for size in static]


def _result_shape(op: Instruction, sizes: Iterable[Array]) -> tuple[int, ...]:
    """The shape of the result; `sizes` are those that its type leaves open."""
    shape = op.result_types[0].shape or ()
    return tuple(_mixed([DYNAMIC if size is None else size for size in shape], sizes, op))


def _slice_indices(
    op: Instruction, dynamic: Sequence[Array], frame: Frame, inside: Sequence[int] | None = None
) -> tuple[list[Array], list[int]]:
    """The index of each element of a slice on each axis of the whole, and the sizes of the slice.

    With `inside`, the shape of the whole, offsets are moved so that the slice lies inside.
    """
    axes, operands = len(frame.lanes), iter(dynamic)
    offsets = [next(operands) if value == DYNAMIC else value for value in op.integers("static_offsets")]
    sizes = _mixed(op.integers("static_sizes"), operands, op)
    strides = _mixed(op.integers("static_strides"), operands, op)
    if inside is not None:
        offsets = [
            np.clip(offset, 0, max(0, whole - 1 - (size - 1) * stride))
            for offset, size, stride, whole in zip(offsets, sizes, strides, inside, strict=True)
        ]
    return _box(offsets, sizes, strides, axes), sizes


def _box(
    offsets: Sequence[Array | int], sizes: Sequence[int], strides: Sequence[int], axes: int
) -> list[Array]:
    """`offset + stride * n` for each axis, in `axes` lane axes and one axis for each of `sizes`."""
    rank = len(sizes)
    indices = []
    for axis, (offset, size, stride) in enumerate(zip(offsets, sizes, strides, strict=True)):
        steps = np.arange(size, dtype=np.int64) * stride
        steps = steps.reshape((1,) * (axes + axis) + (-1,) + (1,) * (rank - axis - 1))
        start = np.asarray(offset, np.int64)
        indices.append(
            steps + start.reshape(start.shape + (1,) * rank if start.ndim else (1,) * (axes + rank))
        )
    return indices


def _scatter(target: Array, axes: int, indices: Sequence[Array], part: Array) -> Array:
    """A copy of `target` with `part` at `indices`, in all lanes."""
    lane_shapes = [value.shape[:axes] for value in (target, part, *indices)]
    lanes = np.broadcast_shapes(*lane_shapes)
    result = np.array(np.broadcast_to(target, lanes + target.shape[axes:]))
    rank = max(index.ndim for index in indices) if indices else axes
    lane_indices = [
        np.arange(size).reshape((1,) * axis + (-1,) + (1,) * (rank - axis - 1))
        for axis, size in enumerate(lanes)
    ]
    result[(*lane_indices, *indices)] = part
    return result


def _reduced(static: Sequence[int], sizes: Sequence[int], result: ValueType) -> tuple[int, ...]:
    """The shape of a slice without the unit axes that its result type drops."""
    wanted = list(result.shape or ())
    shape = []
    for declared, size in zip(static, sizes, strict=True):
        if wanted and wanted[0] == (None if declared == DYNAMIC else declared):
            wanted.pop(0)
            shape.append(size)
    return tuple(shape)


def _product(sizes: Iterable[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
