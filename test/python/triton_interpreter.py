"""Runs what `convert-tiles-to-tt` makes, host function and kernels, in numpy: one program after another.

Memory is checked: a load or store of an element that a tensor does not have is an error, also between rows
of a view, and so is a write to anything but the outputs of a launch, or a second write to one of their
elements. Results hold 77 where nothing was written. Numbers have the types of the IR.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import host_views
import ml_dtypes
import numpy as np
import scalar_operations
import tensor_descriptors

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import ir

DTYPES = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "index": np.int64,
}


@dataclass
class Memory:
    """The memory that a tensor reaches, as a flat array, and which elements of it are the tensor's."""

    data: np.ndarray
    owned: np.ndarray
    writable: bool = False
    written: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.written = np.zeros(len(self.data), bool)

    def check(self, offset: np.ndarray, what: str) -> None:
        """Fail where an offset is none of an element."""
        if not offset.size:
            return
        low, high = offset.min(), offset.max()
        assert low >= 0, f"{what} out of bounds: {low} of {len(self.data)}"
        assert high < len(self.data), f"{what} out of bounds: {high} of {len(self.data)}"
        assert self.owned[offset].all(), f"{what} out of bounds: between the elements of a view"

    def mark(self, offset: np.ndarray) -> None:
        """Note what is written, and fail where it was before."""
        assert self.writable, "a write to an input"
        is_new = len(np.unique(offset)) == offset.size and not self.written[offset].any()
        assert is_new, "a second write to an element"
        self.written[offset] = True


@dataclass
class Pointers:
    """Addresses in one tensor, in elements."""

    memory: Memory
    offset: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.offset.shape


def dtype_of(type_: ir.Type) -> Any:
    element = type_.element_type if isinstance(type_, ir.RankedTensorType) else type_
    return DTYPES[str(element)]


def run(
    module: ir.Module, name: str, arguments: Sequence[Any], make_frame: Callable[[dict], Frame] | None = None
) -> list[np.ndarray]:
    """The results of a host function; arguments are arrays and numbers. A frame runs the operations."""
    with module.context:
        symbols = {}
        for view in module.body.operations:
            op = view.operation
            symbols[ir.StringAttr(op.attributes["sym_name"]).value] = op
        host = symbols[name]
        frame = (make_frame or Frame)(symbols)
        block = host.regions[0].blocks[0]
        for parameter, argument in zip(block.arguments, arguments, strict=True):
            frame.values[parameter] = np.asarray(argument, dtype_of(parameter.type))
        with np.errstate(all="ignore"):
            return [np.asarray(value) for value in frame.block(block)]


class Frame:
    def __init__(self, symbols: dict[str, ir.Operation], ids: tuple[int, ...] = (0, 0, 0, 1, 1, 1)):
        self.symbols, self.ids = symbols, ids
        self.values: dict[ir.Value, Any] = {}

    def block(self, block: ir.Block) -> list[Any]:
        for view in block.operations:
            op = view.operation
            if op.name in ("func.return", "scf.yield", "tt.return", "tt.reduce.return", "tt.scan.return"):
                return [self.values[operand] for operand in op.operands]
            self.operation(op)
        raise AssertionError("a block without an end")

    def program(self, kernel: ir.Operation, parameters: list, ids: tuple[int, ...]) -> None:
        """Run a kernel at one position of its grid."""
        frame = type(self)(self.symbols, ids)
        frame.values = dict(zip(kernel.regions[0].blocks[0].arguments, parameters, strict=True))
        frame.block(kernel.regions[0].blocks[0])

    def operation(self, op: ir.Operation) -> None:
        operands = [self.values[operand] for operand in op.operands]
        handler = _HANDLERS.get(op.name)
        if handler is not None:
            results = handler(self, op, operands)
        elif op.name in scalar_operations.ELEMENTWISE:
            results = [scalar_operations.ELEMENTWISE[op.name](*operands)]
        else:
            raise AssertionError(f"{op.name} is not known")
        self.bind(op, results)

    def bind(self, op: ir.Operation, results: list) -> None:
        """Note the results of an operation, numbers in the types of the IR."""
        for result, value in zip(op.results, results, strict=True):
            if isinstance(value, (np.ndarray, np.generic, int, float)):
                value = np.asarray(value)
                if isinstance(result.type, ir.RankedTensorType) and result.type.has_static_shape:
                    assert value.shape == tuple(result.type.shape), op
                value = value.astype(dtype_of(result.type), copy=False)
            self.values[result] = value

    # ---- host ------------------------------------------------------------------------------------

    def dim(self, op: ir.Operation, operands: list) -> list:
        return [operands[0].shape[int(operands[1])]]

    def empty(self, op: ir.Operation, operands: list) -> list:
        sizes = iter(operands)
        dynamic = ir.ShapedType.get_dynamic_size()
        shape = [int(next(sizes)) if size == dynamic else size for size in op.results[0].type.shape]
        return [np.full(shape, 77, dtype_of(op.results[0].type))]

    def launch(self, op: ir.Operation, operands: list) -> list:
        kernel = self.symbols[ir.FlatSymbolRefAttr(op.attributes["kernel"]).value]
        grid = [int(each) for each in operands[:3]]
        outputs = list(ir.DenseI64ArrayAttr(op.attributes["outputs"]))
        parameters: list[Any] = []
        descriptors, written = {}, {}
        types = [operand.type for operand in list(op.operands)[3:]]
        for number, (value, type_) in enumerate(zip(operands[3:], types, strict=True)):
            if not isinstance(type_, ir.RankedTensorType):
                parameters.append(_parameter(value, type_))
                continue
            array = value.copy() if number in outputs else value  # equal `tensor.empty` may be one value
            if array.ndim and array.strides[-1] != array.itemsize and array.shape[-1] > 1:
                array = np.ascontiguousarray(array)
            if number in outputs:
                written[number] = array
            parameters.append(pointers_to(array, writable=number in outputs))
            descriptors[number] = tensor_descriptors.describe(array, parameters[-1])
            parameters += [np.int64(stride // array.itemsize) for stride in array.strides[:-1]]
        if "descriptors" in op.attributes:
            parameters += [
                descriptors[number] for number in ir.DenseI64ArrayAttr(op.attributes["descriptors"])
            ]
        for x in range(grid[0]):
            for y in range(grid[1]):
                for z in range(grid[2]):
                    self.program(kernel, parameters, (x, y, z, *grid))
        return [written[number] for number in outputs]

    # ---- control flow ------------------------------------------------------------------------------

    def loop(self, op: ir.Operation, operands: list) -> list:
        low, high, step, *carried = operands
        block = op.regions[0].blocks[0]
        for number in range(int(low), int(high), int(step)):
            position = np.asarray(number, dtype_of(block.arguments[0].type))
            self.values.update(zip(block.arguments, [position, *carried], strict=True))
            carried = self.block(block)
        return carried

    def branch(self, op: ir.Operation, operands: list) -> list:
        region = op.regions[0 if operands[0] else 1]
        return self.block(region.blocks[0]) if len(region.blocks) else []

    # ---- tt ----------------------------------------------------------------------------------------

    def load(self, op: ir.Operation, operands: list) -> list:
        pointers, *rest = operands
        mask = np.broadcast_to(rest[0] if rest else True, pointers.shape)
        memory, offset = pointers.memory, pointers.offset
        memory.check(offset[mask], "load")
        result = np.full(pointers.shape, rest[1] if len(rest) > 1 else 55, dtype_of(op.results[0].type))
        if memory.data.size:
            result = np.where(mask, memory.data[np.where(mask, offset, 0)], result)
        return [result]

    def store(self, op: ir.Operation, operands: list) -> list:
        pointers, value, *rest = operands
        mask = np.broadcast_to(rest[0] if rest else True, pointers.shape)
        memory, offset = pointers.memory, pointers.offset[mask]
        memory.check(offset, "store")
        memory.mark(offset)
        memory.data[offset] = value[mask]
        return []

    def reduce(self, op: ir.Operation, operands: list) -> list:
        axis = ir.IntegerAttr(op.attributes["axis"]).value
        value = np.moveaxis(operands[0], axis, 0)
        block = op.regions[0].blocks[0]
        while len(value) > 1:
            half = len(value) // 2
            self.values.update(zip(block.arguments, (value[:half], value[half:]), strict=True))
            (value,) = _Loose(self).block(block)
        return [value[0]]

    def scan(self, op: ir.Operation, operands: list) -> list:
        axis, reverse = (
            ir.IntegerAttr(op.attributes["axis"]).value,
            ir.BoolAttr(op.attributes["reverse"]).value,
        )
        value = np.moveaxis(operands[0], axis, 0)
        value = np.array(value[::-1] if reverse else value)
        block = op.regions[0].blocks[0]
        for place in range(1, len(value)):
            self.values.update(zip(block.arguments, (value[place - 1], value[place]), strict=True))
            (value[place],) = _Loose(self).block(block)
        return [np.moveaxis(value[::-1] if reverse else value, 0, axis)]

    def constant(self, op: ir.Operation, operands: list) -> list:
        attribute, type_ = op.attributes["value"], op.results[0].type
        shape = tuple(type_.shape) if isinstance(type_, ir.RankedTensorType) else ()
        if isinstance(attribute, ir.DenseElementsAttr):
            attribute = attribute.get_splat_value()
        value = attribute.value
        if dtype_of(type_) != np.bool_ and isinstance(attribute, ir.IntegerAttr):
            value = int(value)
        return [np.full(shape, value, dtype_of(type_))]

    def library(self, op: ir.Operation, operands: list) -> list:
        symbol = ir.StringAttr(op.attributes["symbol"]).value
        name = symbol.removeprefix("__nv_")
        single = dtype_of(op.results[0].type) == np.float32
        name = name.removesuffix("f") if single else name
        return [scalar_operations.LIBRARY[name](*operands)]

    def assembly(self, op: ir.Operation, operands: list) -> list:
        instruction = ir.StringAttr(op.attributes["asm_string"]).value
        if instruction == tt.LOWEST_BITS:
            (count,) = operands
            assert ((count >= 0) & (count <= 32)).all(), "a count of bits is no count"
            return [((1 << count.astype(np.int64)) - 1).astype(np.uint32).view(np.int32)]
        if "selp" in instruction:
            word, bit, chosen, other, *_ = operands
            holds = (word & bit) != 0
            for how, *sides in tt.COMPARISON.findall(instruction):
                left, right = (operands[int(place) - 1] for place in sides)
                if how.endswith("u32"):
                    left, right = left.view(np.uint32), right.view(np.uint32)
                holds &= getattr(operator, how.split(".")[0])(left, right)
            return [np.where(holds, chosen, other)]
        if "$2" in instruction:  # a pair of numbers in a register, as f32
            return [operands[0].astype(np.float32)]
        if instruction == "rcp.approx.ftz.f32 $0, $1;":
            return [np.float32(1) / operands[0]]
        assert instruction == "tanh.approx.f32 $0, $1;", instruction
        fraction, exponent = np.frexp(np.tanh(operands[0].astype(np.float64)))
        return [np.ldexp(np.round(fraction * 2**10) / 2**10, exponent)]  # relative errors of up to 2^-11


class _Loose(Frame):
    """Runs a scalar region on arrays."""

    def __init__(self, outer: Frame):
        super().__init__(outer.symbols, outer.ids)
        self.values = outer.values

    def operation(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = scalar_operations.ELEMENTWISE[op.name](
            *[self.values[each] for each in op.operands]
        )


def pointers_to(array: np.ndarray, *, writable: bool = False) -> Pointers:
    """A pointer to the first element of a tensor; bits are bytes in memory."""
    if array.dtype == np.bool_:
        array = array.view(np.int8)
    if array.size == 0:
        return Pointers(Memory(array.reshape(-1), np.zeros(0, bool), writable), np.asarray(0))
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    before = -sum(min(0, each) for each in reach)
    count = (before + sum(max(0, each) for each in reach)) // array.itemsize + 1
    first = array[(..., *[slice(-1 if each < 0 else 0, None) for each in reach])]  # the lowest address
    flat = np.lib.stride_tricks.as_strided(first, (count,), (array.itemsize,))
    offset = before // array.itemsize
    owned = np.zeros(count, bool)
    strides = [stride // array.itemsize for stride in array.strides]
    np.lib.stride_tricks.as_strided(owned[offset:], array.shape, strides)[...] = True
    return Pointers(Memory(flat, owned, writable), np.asarray(offset, np.int64))


def _parameter(value: Any, type_: ir.Type) -> Any:
    if isinstance(type_, ir.IndexType):
        assert -(2**31) <= int(value) < 2**31, f"no i32: {value}"
        return np.asarray(value, np.int32)
    if str(type_) == "i1":
        return np.asarray(value, np.int8)
    return value.view(np.int16) if str(type_) in ("f16", "bf16") else value


def _addptr(pointers: Pointers, offset: np.ndarray) -> Pointers:
    return Pointers(pointers.memory, pointers.offset + offset.astype(np.int64))


def _reshaped(value: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    if isinstance(value, Pointers):
        return Pointers(value.memory, change(value.offset))
    return change(value)


def _shape(op: ir.Operation) -> tuple[int, ...]:
    return tuple(op.results[0].type.shape)


def _dot(op: ir.Operation, operands: list) -> list:
    a, b, c = operands
    wide = np.float64 if c.dtype == np.float64 else np.float32
    return [c + (a.astype(wide) @ b.astype(wide)).astype(c.dtype)]


_HANDLERS: dict[str, Callable[[Frame, ir.Operation, list], list]] = {
    "tensor.dim": Frame.dim,
    "tensor.empty": Frame.empty,
    **host_views.HANDLERS,
    "tt_host.launch": Frame.launch,
    "scf.for": Frame.loop,
    "scf.if": Frame.branch,
    "arith.constant": Frame.constant,
    "tt.load": Frame.load,
    "tt.store": Frame.store,
    "tt.descriptor_load": lambda frame, op, operands: tensor_descriptors.load(op, operands),
    "tt.descriptor_store": lambda frame, op, operands: tensor_descriptors.store(op, operands),
    "tt.reduce": Frame.reduce,
    "tt.scan": Frame.scan,
    "tt.extern_elementwise": Frame.library,
    "tt.elementwise_inline_asm": Frame.assembly,
    "tt.get_program_id": lambda frame, op, operands: [frame.ids[ir.IntegerAttr(op.attributes["axis"]).value]],
    "tt.get_num_programs": lambda frame, op, operands: [
        np.int32(frame.ids[3 + ir.IntegerAttr(op.attributes["axis"]).value])
    ],
    "tt.make_range": lambda frame, op, operands: [np.arange(_shape(op)[0], dtype=np.int32)],
    "tt.splat": lambda frame, op, operands: [
        _reshaped(operands[0], lambda value: np.broadcast_to(value, _shape(op)))
    ],
    "tt.broadcast": lambda frame, op, operands: [
        _reshaped(operands[0], lambda value: np.broadcast_to(value, _shape(op)))
    ],
    "tt.expand_dims": lambda frame, op, operands: [
        _reshaped(
            operands[0], lambda value: np.expand_dims(value, ir.IntegerAttr(op.attributes["axis"]).value)
        )
    ],
    "tt.trans": lambda frame, op, operands: [
        np.transpose(operands[0], list(ir.DenseI32ArrayAttr(op.attributes["order"])))
    ],
    "tt.reshape": lambda frame, op, operands: [operands[0].reshape(_shape(op))],
    "tt.gather": lambda frame, op, operands: [
        np.take_along_axis(*operands, axis=ir.IntegerAttr(op.attributes["axis"]).value)
    ],
    "tt.addptr": lambda frame, op, operands: [_addptr(*operands)],
    "tt.dot": lambda frame, op, operands: _dot(op, operands),
    "arith.cmpi": lambda frame, op, operands: [scalar_operations.cmpi(op, *operands)],
    "arith.cmpf": lambda frame, op, operands: [scalar_operations.cmpf(op, *operands)],
    "arith.extui": lambda frame, op, operands: [
        scalar_operations.unsigned(operands[0]).astype(dtype_of(op.results[0].type))
    ],
    "arith.extsi": lambda frame, op, operands: [
        -operands[0].astype(np.int64) if operands[0].dtype == np.bool_ else operands[0].astype(np.int64)
    ],
    "arith.uitofp": lambda frame, op, operands: [scalar_operations.unsigned(operands[0]).astype(np.float64)],
    "arith.bitcast": lambda frame, op, operands: [operands[0].view(dtype_of(op.results[0].type))],
    "arith.trunci": lambda frame, op, operands: [
        (operands[0] & 1) != 0 if str(dtype_of(op.results[0].type)) == str(np.bool_) else operands[0]
    ],
    **{
        f"arith.{name}": (lambda frame, op, operands: operands)
        for name in ("extf", "truncf", "sitofp", "index_cast")
    },
    "arith.fptosi": lambda frame, op, operands: [
        scalar_operations.saturated(operands[0], dtype_of(op.results[0].type))
    ],
}
