"""Pointers of `tt` as memrefs and offsets; loads and stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aecompiler.backends.amd.passes import vector_types as vt
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import arith, ir, memref, scf, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import PassFailure

if TYPE_CHECKING:
    from aecompiler.backends.amd.passes.whole_tiles import Converter


@dataclass(frozen=True)
class Pointer:
    """One pointer, or a tensor of them: a parameter, and offsets in elements.

    `base` is an offset of i64 that all have, `offsets` a vector of `shape` of i32 or i64; None is 0.
    """

    memory: ir.Value
    base: ir.Value | None = None
    shape: tuple[int, ...] = ()
    offsets: ir.Value | None = None

    def spread(self, shape: Sequence[int]) -> Pointer:
        """The pointer everywhere in a tensor."""
        return replace(self, shape=tuple(shape))

    def moved(self, shape: Sequence[int], move: Callable[[ir.Type, ir.Value], ir.Value]) -> Pointer:
        """Pointers of another shape, of whose offsets `move` makes a vector of a type."""
        if self.offsets is None:
            return self.spread(shape)
        offsets = move(vt.typed(shape, vt.element_of(self.offsets)), self.offsets)
        return replace(self, shape=tuple(shape), offsets=offsets)

    def advanced(self, offset: ir.Value) -> Pointer:
        """Pointers further by a scalar."""
        return replace(self, base=_sum(self.base, _wide(offset)))

    def advanced_by_each(self, offsets: ir.Value) -> Pointer:
        """Pointers further by a vector of their shape."""
        return replace(self, offsets=_sum(self.offsets, offsets))

    @property
    def index(self) -> ir.Value:
        """The offset that all pointers have, of type index."""
        if self.base is None:
            return rw.index(0)
        return arith.index_cast(ir.IndexType.get(), self.base)

    @property
    def indices(self) -> ir.Value:
        """The offsets of each pointer of a tensor."""
        if self.offsets is None:
            return vt.constant(vt.typed(self.shape, vt.integer(32)), 0)
        return self.offsets


def _sum(a: ir.Value | None, b: ir.Value) -> ir.Value:
    """The sum of offsets, in 64 bits: that of two of 32 may have more."""
    return b if a is None else arith.addi(_wide(a), _wide(b))


def _wide(value: ir.Value) -> ir.Value:
    wide = vt.typed(vt.shape_of(value), vt.integer(64))
    return value if value.type == wide else arith.extsi(wide, value)


def _addptr(kernel: Converter, op: ir.Operation) -> None:
    base, offset = op.operands
    pointer = _pointer(kernel, op, base)
    made = rw.definer(offset)
    if made is not None and made.name == "tt.splat":
        (offset,) = made.operands  # the same for all
    new = kernel.value(op, offset)
    kernel.define(op, pointer.advanced_by_each(new) if vt.shape_of(new) else pointer.advanced(new))


def _pointer(kernel: Converter, op: ir.Operation, old: ir.Value) -> Pointer:
    pointer = kernel.values[old]
    if not isinstance(pointer, Pointer):
        raise PassFailure(op, f"expects a pointer, got {old.type}")
    return pointer


def _load(kernel: Converter, op: ir.Operation) -> None:
    pointers, *rest = op.operands
    pointer, rest = _pointer(kernel, op, pointers), [kernel.value(op, each) for each in rest]
    segments = list(op.attributes["operandSegmentSizes"])
    if len(segments) != 3 or segments[0] != 1 or sum(segments) != len(op.operands):
        raise PassFailure(op, f"expects operandSegmentSizes of {len(op.operands)} operands, got {segments}")
    mask = rest.pop(0) if segments[1] else None
    type_ = kernel.result_type(op)
    other = rest.pop(0) if segments[2] else vt.constant(type_, 0)
    if pointer.shape:
        mask = mask if mask is not None else _everywhere(pointer)
        loaded = vector.gather(type_, pointer.memory, [pointer.index], pointer.indices, mask, other)
        kernel.define(op, loaded)
    elif mask is None:
        kernel.define(op, memref.load(pointer.memory, [pointer.index]))
    else:
        read = lambda: [memref.load(pointer.memory, [pointer.index])]  # noqa: E731
        kernel.define(op, rw.if_else(mask, [type_], read, lambda: [other])[0])


def _store(kernel: Converter, op: ir.Operation) -> None:
    pointers, *rest = op.operands
    pointer = _pointer(kernel, op, pointers)
    value, *masks = (kernel.value(op, each) for each in rest)
    if pointer.shape:
        mask = masks[0] if masks else _everywhere(pointer)
        vector.scatter(None, pointer.memory, [pointer.index], pointer.indices, mask, value)
    elif not masks:
        memref.store(value, pointer.memory, [pointer.index])
    else:
        branch = scf.IfOp(masks[0])
        with ir.InsertionPoint(branch.then_block):
            memref.store(value, pointer.memory, [pointer.index])
            scf.YieldOp([])


def _everywhere(pointer: Pointer) -> ir.Value:
    return vt.constant(vt.typed(pointer.shape, tt.integer(tt.I1)), 1)


HANDLERS = {"tt.addptr": _addptr, "tt.load": _load, "tt.store": _store}
"""What makes operations on vectors and memrefs of those on pointers."""
