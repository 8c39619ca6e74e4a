"""Operations of Triton's `tt` dialect, emitted as unregistered operations in generic form.

The bindings do not know the dialect: each function checks the types of its operands itself, and Triton's own
verifier checks them again. A wrong type is a mistake of the lowering, hence a `TypeError`. The functions
create what they make at the current insertion point and location. Names and attributes are those of Triton
3.6 to 3.9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.triton.kernel_abi import parse_descriptor
from aecompiler.bindings import arith, ir

I1, I8, I16, I32, I64 = 1, 8, 16, 32, 64

ROWS = "tt_host.rows"
"""The attribute of copies by descriptors that says how many rows of a box are the tile's."""

PRECISION = {"tf32": 0, "tf32x3": 1, "ieee": 2}
"""How a product of f32 matrices is computed, by the number that `tt.dot` has for it."""


def integer(bits: int) -> ir.Type:
    """The signless integer type of `bits`."""
    return ir.IntegerType.get_signless(bits)


def is_pointer(type_: ir.Type) -> bool:
    """Whether a scalar type is a pointer."""
    return str(type_).startswith("!tt.ptr<")


def pointee(type_: ir.Type) -> ir.Type:
    """The type that a pointer type points to."""
    text = str(type_)
    if not is_pointer(type_):
        raise TypeError(f"expects a pointer, got {text}")
    return ir.Type.parse(text.removeprefix("!tt.ptr<").removesuffix(">"))


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The shape of a tensor; () for a scalar."""
    return tuple(value.type.shape) if isinstance(value.type, ir.RankedTensorType) else ()


def element_of(value: ir.Value) -> ir.Type:
    """The type of the elements of a tensor, or of a scalar."""
    return value.type.element_type if isinstance(value.type, ir.RankedTensorType) else value.type


def typed(shape: Sequence[int], element: ir.Type) -> ir.Type:
    """A tensor type, or the type of its elements for the shape ()."""
    return ir.RankedTensorType.get(list(shape), element) if shape else element


def create(name: str, operands: Sequence[ir.Value], types: Sequence[ir.Type], **attributes: Any) -> Any:
    """An operation with attributes, which may be text."""
    parsed = {
        key: each if isinstance(each, ir.Attribute) else ir.Attribute.parse(each)
        for key, each in attributes.items()
    }
    return ir.Operation.create(name, results=list(types), operands=list(operands), attributes=parsed)


def one(name: str, operands: Sequence[ir.Value], type_: ir.Type, **attributes: Any) -> ir.Value:
    """The result of an operation that has one."""
    return create(name, operands, [type_], **attributes).results[0]


def expect(holds: bool, op: str, rule: str, *values: ir.Value) -> None:
    """Raise the error that `op` expects something else."""
    if not holds:
        raise TypeError(f"'{op}' expects {rule}, got {', '.join(str(value.type) for value in values)}")


# ---- shapes --------------------------------------------------------------------------------------


def program_id(axis: int) -> ir.Value:
    """The number of this program along an axis of the grid, as i32."""
    expect(0 <= axis <= 2, "tt.get_program_id", "an axis of 0 to 2")
    return one("tt.get_program_id", [], integer(I32), axis=f"{axis} : i32")


def num_programs(axis: int) -> ir.Value:
    """The number of programs along an axis of the grid, as i32."""
    expect(0 <= axis <= 2, "tt.get_num_programs", "an axis of 0 to 2")
    return one("tt.get_num_programs", [], integer(I32), axis=f"{axis} : i32")


def make_range(size: int) -> ir.Value:
    """0 to `size` - 1, as i32; `size` is a power of two."""
    expect(size > 0 and size & (size - 1) == 0, "tt.make_range", f"a power of two, not {size}")
    return one("tt.make_range", [], typed([size], integer(I32)), start="0 : i32", end=f"{size} : i32")


def splat(value: ir.Value, shape: Sequence[int]) -> ir.Value:
    """A scalar everywhere."""
    expect(not shape_of(value), "tt.splat", "a scalar", value)
    return one("tt.splat", [value], typed(shape, value.type)) if shape else value


def expand_dims(value: ir.Value, axis: int) -> ir.Value:
    """A tensor with one more dimension of size 1."""
    shape = list(shape_of(value))
    expect(bool(shape) and 0 <= axis <= len(shape), "tt.expand_dims", f"a tensor with room at {axis}", value)
    shape.insert(axis, 1)
    return one("tt.expand_dims", [value], typed(shape, element_of(value)), axis=f"{axis} : i32")


def broadcast(value: ir.Value, shape: Sequence[int]) -> ir.Value:
    """A tensor repeated along its dimensions of size 1."""
    old = shape_of(value)
    if old == tuple(shape):
        return value
    fits = len(old) == len(shape) and all(a in (1, b) for a, b in zip(old, shape, strict=True))
    expect(fits, "tt.broadcast", f"a tensor that fits {list(shape)}", value)
    return one("tt.broadcast", [value], typed(shape, element_of(value)))


def trans(value: ir.Value, order: Sequence[int]) -> ir.Value:
    """A tensor with its dimensions in another order: dimension d of the result is `order[d]` of the old."""
    shape = shape_of(value)
    expect(sorted(order) == list(range(len(shape))), "tt.trans", f"the order {list(order)} to fit", value)
    if list(order) == list(range(len(shape))):
        return value
    new = typed([shape[d] for d in order], element_of(value))
    return one("tt.trans", [value], new, order=f"array<i32: {', '.join(map(str, order))}>")


def reshape(value: ir.Value, shape: Sequence[int]) -> ir.Value:
    """A tensor of another shape with its elements in the same order."""
    fits = math.prod(shape) == math.prod(shape_of(value))
    expect(fits, "tt.reshape", f"as many elements as {tuple(shape)} has", value)
    if tuple(shape) == shape_of(value):
        return value
    return one("tt.reshape", [value], typed(shape, element_of(value)))


# ---- memory --------------------------------------------------------------------------------------


def addptr(base: ir.Value, offset: ir.Value) -> ir.Value:
    """Pointers moved by `offset` elements, of i32 or i64."""
    right = shape_of(base) == shape_of(offset) and str(element_of(offset)) in ("i32", "i64")
    expect(right and is_pointer(element_of(base)), "tt.addptr", "pointers and integers", base, offset)
    return one("tt.addptr", [base, offset], base.type)


def load(pointers: ir.Value, mask: ir.Value | None = None, other: ir.Value | None = None) -> ir.Value:
    """What stands at the pointers; `other` where the mask is false."""
    element = pointee(element_of(pointers))
    operands = [pointers]
    for each, type_ in ((mask, integer(I1)), (other, element)):
        if each is not None:
            expect(each.type == typed(shape_of(pointers), type_), "tt.load", f"one {type_} each", each)
            operands.append(each)
    expect(other is None or mask is not None, "tt.load", "a mask beside other values", pointers)
    segments = f"array<i32: 1, {int(mask is not None)}, {int(other is not None)}>"
    return one(
        "tt.load",
        operands,
        typed(shape_of(pointers), element),
        operandSegmentSizes=segments,
        boundaryCheck="array<i32>",
        cache="1 : i32",
        evict="1 : i32",
        isVolatile="false",
    )


def store(pointers: ir.Value, value: ir.Value, mask: ir.Value | None = None) -> None:
    """Write `value` where the mask is true."""
    right = value.type == typed(shape_of(pointers), pointee(element_of(pointers)))
    expect(right, "tt.store", "a value of the type pointed to", pointers, value)
    operands = [pointers, value]
    if mask is not None:
        expect(mask.type == typed(shape_of(pointers), integer(I1)), "tt.store", "a bit each", mask)
        operands.append(mask)
    create("tt.store", operands, [], boundaryCheck="array<i32>", cache="1 : i32", evict="1 : i32")


def descriptor_load(
    descriptor: ir.Value, places: Sequence[ir.Value], type_: ir.Type, rows: int = 0
) -> ir.Value:
    """The box that begins at `places`, without leading dimensions of size 1; 0 beyond the tensor.

    Nothing needs more than the first `rows` rows of it, if they are given.
    """
    _expect_box("tt.descriptor_load", descriptor, places, type_)
    operands = [descriptor, *places]
    return one("tt.descriptor_load", operands, type_, cache="1 : i32", evict="1 : i32", **_rows(rows))


def descriptor_store(
    descriptor: ir.Value, value: ir.Value, places: Sequence[ir.Value], rows: int = 0
) -> None:
    """Write what there is of the box that begins at `places` in a tensor, or of its first `rows` rows.

    Triton knows no such number: warps that share a box have to write their own rows.
    """
    _expect_box("tt.descriptor_store", descriptor, places, value.type)
    create("tt.descriptor_store", [descriptor, value, *places], [], **_rows(rows))


def _rows(count: int) -> dict[str, str]:
    return {ROWS: f"{count} : i64"} if count else {}


def _expect_box(op: str, descriptor: ir.Value, places: Sequence[ir.Value], type_: ir.Type) -> None:
    form = parse_descriptor(str(descriptor.type))
    expect(form is not None, op, "a descriptor", descriptor)
    assert form is not None
    box, (*shape,) = list(form.box), type_.shape
    fits = box == [1] * (len(box) - len(shape)) + shape and form.dtype == str(type_.element_type)
    expect(fits, op, f"the box of a tile of type {type_}", descriptor)
    right = len(places) == len(box) and all(place.type == integer(I32) for place in places)
    expect(right, op, "an i32 for each dimension", *places)


# ---- arithmetic ----------------------------------------------------------------------------------


def dot(a: ir.Value, b: ir.Value, c: ir.Value, precision: str) -> ir.Value:
    """c + a @ b, of [m, k], [k, n] and [m, n]."""
    left, right = shape_of(a), shape_of(b)
    fits = len(left) == len(right) == 2 and left[1] == right[0] and shape_of(c) == (left[0], right[1])
    expect(fits and element_of(a) == element_of(b), "tt.dot", "matrices that fit", a, b, c)
    number = f"{PRECISION[precision]} : i32"
    return one("tt.dot", [a, b, c], c.type, inputPrecision=number, maxNumImpreciseAcc="0 : i32")


def gather(value: ir.Value, places: ir.Value, axis: int) -> ir.Value:
    """The elements at `places` along an axis, of i32; the other dimensions are the same."""
    shape, new = list(shape_of(value)), list(shape_of(places))
    fits = 0 <= axis < len(shape) == len(new) and str(element_of(places)) == "i32"
    fits = fits and shape[:axis] == new[:axis] and shape[axis + 1 :] == new[axis + 1 :]
    expect(fits, "tt.gather", f"places that fit but along {axis}", value, places)
    return one("tt.gather", [value, places], typed(new, element_of(value)), axis=f"{axis} : i32")


def reduce(value: ir.Value, axis: int, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """The reduction along an axis by an associative operation."""
    shape, element = list(shape_of(value)), element_of(value)
    expect(0 <= axis < len(shape), "tt.reduce", f"a tensor with a dimension {axis}", value)
    del shape[axis]
    op = ir.Operation.create(
        "tt.reduce",
        results=[typed(shape, element)],
        operands=[value],
        attributes={"axis": ir.Attribute.parse(f"{axis} : i32")},
        regions=1,
    )
    block = op.regions[0].blocks.append(element, element)
    with ir.InsertionPoint(block):
        create("tt.reduce.return", [combine(*block.arguments)], [])
    return op.results[0]


def scan(
    value: ir.Value, axis: int, reverse: bool, combine: Callable[[ir.Value, ir.Value], ir.Value]
) -> ir.Value:
    """What an associative operation makes of all elements along an axis up to each, or from each on."""
    expect(0 <= axis < len(shape_of(value)), "tt.scan", f"a tensor with a dimension {axis}", value)
    op = ir.Operation.create(
        "tt.scan",
        results=[value.type],
        operands=[value],
        attributes={
            "axis": ir.Attribute.parse(f"{axis} : i32"),
            "reverse": ir.Attribute.parse("true" if reverse else "false"),
        },
        regions=1,
    )
    element = element_of(value)
    block = op.regions[0].blocks.append(element, element)
    with ir.InsertionPoint(block):
        create("tt.scan.return", [combine(*block.arguments)], [])
    return op.results[0]


def library_call(name: str, operands: Sequence[ir.Value], type_: ir.Type, library: str) -> ir.Value:
    """A pure function of the device's library, element by element; all types of one shape."""
    expect(len({shape_of(value) for value in operands}) == 1, name, "operands of one shape", *operands)
    return one(
        "tt.extern_elementwise",
        operands,
        type_,
        libname=ir.StringAttr.get(library),
        libpath=ir.StringAttr.get(""),
        pure="true",
        symbol=ir.StringAttr.get(name),
    )


def assembly(instruction: str, value: ir.Value) -> ir.Value:
    """A pure instruction from f32 to f32, $1 to $0, element by element."""
    expect(str(element_of(value)) == "f32", "tt.elementwise_inline_asm", "numbers of f32", value)
    return _assembly(instruction, [value], value.type, constraints="=f,f", packed=1)


WIDENED = {
    "bf16": "{ shl.b32 $0, $2, 16; and.b32 $1, $2, 0xffff0000; }",
    "f16": "{ .reg .b16 %lo, %hi; mov.b32 {%lo, %hi}, $2; cvt.f32.f16 $0, %lo; cvt.f32.f16 $1, %hi; }",
}
"""How two numbers of 16 bits in the register $2 become f32 in $0 and $1."""


def widened_pairs(value: ir.Value) -> ir.Value:
    """A tile of 16-bit numbers as f32, by code that takes pairs in a register and is opaque to LLVM."""
    element = str(element_of(value))
    expect(element in WIDENED, "tt.elementwise_inline_asm", f"numbers of {' or '.join(WIDENED)}", value)
    type_ = typed(shape_of(value), ir.F32Type.get())
    return _assembly(WIDENED[element], [value], type_, constraints="=r,=r,r", packed=2)


LOWEST_BITS = "bmsk.clamp.b32 $0, 0, $1;"
"""The lowest $1 bits of the word $0."""


def lowest_bits(count: ir.Value) -> ir.Value:
    """Words of i32 in which the lowest `count` bits are set, 0 to 32; opaque to LLVM."""
    expect(element_of(count) == integer(I32), "tt.elementwise_inline_asm", "counts of i32", count)
    return _assembly(LOWEST_BITS, [count], count.type, constraints="=r,r", packed=1)


_COMPARED = (
    *(f"{name}.and.s32" for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *(f"{name}.and.u32" for name in ("lt", "le", "gt", "ge")),
)
"""Comparisons of integers by the number that `arith.cmpi` has for them."""

COMPARISON = re.compile(rf"setp\.({'|'.join(_COMPARED)}) %chosen, \$(\d+), \$(\d+), %chosen;")
"""A comparison in the code of `choose_by_bit`: how, and what the places of its operands are."""

Comparison = tuple[int, ir.Value, ir.Value]
"""Two tensors of i32, and how they are compared: the number that `arith.cmpi` has for it."""


def choose_by_bit(
    word: ir.Value, bit: ir.Value, comparisons: Sequence[Comparison], chosen: ir.Value, other: ir.Value
) -> ir.Value:
    """`chosen` where a bit is set in a word and all comparisons hold, else `other`: tensors of one shape.

    In one piece, so that neither LLVM nor the assembler keeps conditions: there are seven registers for them.
    """
    name = "tt.elementwise_inline_asm"
    operands = [word, bit, chosen, other, *(each for _, *sides in comparisons for each in sides)]
    right = str(element_of(chosen)) == "f32" and chosen.type == other.type
    expect(right, name, "numbers of f32", chosen, other)
    integers = all(element_of(each) == integer(I32) for each in operands if each not in (chosen, other))
    expect(integers, name, "words, bits and integers of i32", *operands)
    expect(len({shape_of(each) for each in operands}) == 1, name, "operands of one shape", *operands)
    tests = ["and.b32 %bit, $1, $2;", "setp.ne.u32 %chosen, %bit, 0;"]
    for at, (predicate, _, _) in enumerate(comparisons):
        left = 5 + 2 * at
        tests.append(f"setp.{_COMPARED[predicate]} %chosen, ${left}, ${left + 1}, %chosen;")
    code = f"{{ .reg .pred %chosen; .reg .b32 %bit; {' '.join(tests)} selp.f32 $0, $3, $4, %chosen; }}"
    constraints = "=f,r,r,f,f" + ",r,r" * len(comparisons)
    return _assembly(code, operands, chosen.type, constraints=constraints, packed=1)


def _assembly(
    code: str, operands: Sequence[ir.Value], type_: ir.Type, *, constraints: str, packed: int
) -> ir.Value:
    return one(
        "tt.elementwise_inline_asm",
        operands,
        type_,
        asm_string=ir.StringAttr.get(code),
        constraints=ir.StringAttr.get(constraints),
        packed_element=f"{packed} : i32",
        pure="true",
    )


def constant(type_: ir.Type, value: int | float) -> ir.Value:
    """A constant scalar or tensor."""
    element = type_.element_type if isinstance(type_, ir.RankedTensorType) else type_
    if isinstance(element, ir.IntegerType):
        bits = element.width
        attribute: ir.Attribute = ir.IntegerAttr.get(element, _signed(int(value), bits))
    else:
        attribute = ir.FloatAttr.get(element, float(value))
    if isinstance(type_, ir.RankedTensorType):
        attribute = ir.DenseElementsAttr.get_splat(type_, attribute)
    return arith.ConstantOp(type_, attribute).result


def _signed(value: int, bits: int) -> int:
    if bits == 1:
        return value & 1
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


# ---- functions -----------------------------------------------------------------------------------


def func(name: str, inputs: Sequence[ir.Type]) -> ir.Operation:
    """A public `tt.func` without results, whose body must end with `ret`."""
    op = ir.Operation.create(
        "tt.func",
        results=[],
        operands=[],
        attributes={
            "function_type": ir.TypeAttr.get(ir.FunctionType.get(list(inputs), [])),
            "sym_name": ir.StringAttr.get(name),
            "sym_visibility": ir.StringAttr.get("public"),
            "noinline": ir.BoolAttr.get(False),
        },
        regions=1,
    )
    op.regions[0].blocks.append(*inputs)
    return op


def add_parameter(function: ir.Operation, type_: ir.Type) -> ir.Value:
    """A parameter behind those that a `tt.func` has."""
    block = function.regions[0].blocks[0]
    value = block.add_argument(type_, function.location)
    inputs = [argument.type for argument in block.arguments]
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, []))
    return value


def promise(function: ir.Operation, divisibility: Sequence[int]) -> None:
    """Say for each parameter what it is a multiple of (a pointer in bytes); 1 says nothing."""
    given = [f"{{tt.divisibility = {each} : i32}}" if each > 1 else "{}" for each in divisibility]
    function.attributes["arg_attrs"] = ir.Attribute.parse(f"[{', '.join(given)}]")


def ret() -> None:
    """The end of a `tt.func`."""
    create("tt.return", [], [])


def register_size(size: int) -> int:
    """What a size is rounded up to in registers: a power of two, at least 16 as products of matrices need."""
    return 1 << max(4, (size - 1).bit_length())


def register_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """What sizes are rounded up to in registers."""
    return tuple(map(register_size, sizes))
