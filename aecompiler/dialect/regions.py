"""What the regions of attention ops may hold, and the analyses that verifiers and passes share.

Regions are not isolated: a value from outside that a region uses is a *capture* (see `captures`).
"""

import enum
from collections.abc import Iterator, Sequence

from aecompiler.bindings import ir
from aecompiler.dialect.core import Invalid
from aecompiler.dialect.types import DYNAMIC

SCALAR_OPS = frozenset({"tensor.extract", "tensor.dim", "ub.poison"})
"""Ops besides `arith` and `math` that a region of `attn.attention` may hold."""

STEP_OPS = SCALAR_OPS | {
    f"tensor.{name}"
    for name in [
        "cast",
        "collapse_shape",
        "concat",
        "empty",
        "expand_shape",
        "extract_slice",
        "from_elements",
        "insert_slice",
        "splat",
    ]
}
"""Ops besides `arith`, `math` and `linalg` that the region of a recurrent op may hold."""

_LINEAR = frozenset({"arith.addf", "arith.subf", "arith.negf", "arith.extf", "arith.truncf"}) | STEP_OPS
_OPS_WITH_A_WRITTEN_BODY = frozenset({"linalg.generic", "linalg.map", "linalg.reduce"})
_BODY_OPS = frozenset({"linalg.yield", "linalg.index"})


def name_of(op) -> str:
    """The op's name, `dialect.op` (`op.name` is the symbol of a function)."""
    return op.operation.name


_SCALARS = "index, integers of up to 64 bits, f16, bf16, f32 and f64"


def is_scalar(type_: ir.Type) -> bool:
    """An index, a signless integer of up to 64 bits, or a float that programs compute with."""
    if isinstance(type_, ir.IntegerType):
        return type_.is_signless and type_.width <= 64
    return isinstance(type_, (ir.IndexType, ir.F16Type, ir.BF16Type, ir.F32Type, ir.F64Type))


def is_scalar_tensor(type_: ir.Type) -> bool:
    """A ranked tensor of scalars."""
    return isinstance(type_, ir.RankedTensorType) and is_scalar(type_.element_type)


def nested(op) -> Iterator:
    """All ops inside `op`, in order, each before those inside it."""
    for region in op.operation.regions:
        for block in region.blocks:
            for child in block.operations:
                yield child
                yield from nested(child)


def defined_inside(op) -> set[ir.Value]:
    """Block arguments and results that `op`'s regions define."""
    values: set[ir.Value] = set()
    for holder in (op, *nested(op)):
        for region in holder.operation.regions:
            for block in region.blocks:
                values.update(block.arguments)
        if holder is not op:
            values.update(holder.operation.results)
    return values


def captures(op) -> list[ir.Value]:
    """The values that `op`'s regions use and that are defined outside of it, in the order of first use."""
    inside = defined_inside(op)
    return list(dict.fromkeys(v for child in nested(op) for v in child.operation.operands if v not in inside))


def single_block(op, index: int, name: str, arguments: Sequence[ir.Type], terminator: str) -> ir.Block:
    """Check block count, arguments and terminator of region `index`; return its block."""
    blocks = list(op.operation.regions[index].blocks)
    if len(blocks) != 1:
        raise Invalid(op, f"expects region '{name}' to have exactly one block, got {len(blocks)}")
    block = blocks[0]
    got = [argument.type for argument in block.arguments]
    if got != list(arguments):
        raise Invalid(
            op, f"expects region '{name}' to have arguments ({_types(arguments)}), got ({_types(got)})"
        )
    operations = list(block.operations)
    last = name_of(operations[-1]) if operations else None
    if last != terminator:
        found = f"got '{last}'" if last else "got an empty block"
        raise Invalid(op, f"expects region '{name}' to end with '{terminator}', {found}")
    return block


def check_segments(op, attribute: str, sizes: Sequence[int]) -> None:
    """The sizes of operand or result groups, where the text gives them, are the ones that there are."""
    attributes = op.operation.attributes
    if attribute in attributes and (got := list(attributes[attribute])) != list(sizes):
        raise Invalid(op, f"expects {attribute} to be {list(sizes)}, got {got}")


def check_yield(op, block: ir.Block, name: str, expected: Sequence[ir.Type]) -> None:
    """The terminator hands over values of exactly these types."""
    terminator = block.operations[len(block.operations) - 1]
    got = [value.type for value in terminator.operation.operands]
    if len(got) != len(expected):
        values = f"{len(expected)} value{'' if len(expected) == 1 else 's'}"
        raise Invalid(terminator, f"expects {values} in region '{name}', got {len(got)}")
    for position, (have, want) in enumerate(zip(got, expected, strict=True)):
        if have != want:
            raise Invalid(
                terminator, f"expects operand {position} in region '{name}' to be {want}, got {have}"
            )


def check_scalar_region(
    op, block: ir.Block, name: str, terminator: str, extra: frozenset = frozenset()
) -> None:
    """Only scalar arith and math, reads of captures, and the ops in `extra`."""
    for child in block.operations:
        child_name = name_of(child)
        if child_name in (terminator, *extra):
            continue
        if child_name not in SCALAR_OPS and not child_name.startswith(("arith.", "math.")):
            raise Invalid(
                child,
                f"expects to stand outside region '{name}' of '{name_of(op)}', "
                "which holds scalar arith, math, tensor.extract and tensor.dim operations",
            )
        for result in child.operation.results:
            constant = child_name == "arith.constant" and is_scalar_tensor(result.type)
            if not is_scalar(result.type) and not constant:
                raise Invalid(child, f"expects results of {_SCALARS} in region '{name}', got {result.type}")
    check_captures(op)


def check_captures(op) -> None:
    """Every capture is a scalar, or a ranked tensor of scalars."""
    inside = defined_inside(op)
    for child in nested(op):
        for value in child.operation.operands:
            if value in inside or is_scalar(value.type) or is_scalar_tensor(value.type):
                continue
            raise Invalid(
                child, f"expects captures to be ranked tensors or scalars of {_SCALARS}, got {value.type}"
            )


class Level(enum.IntEnum):
    """What a value of a region depends on: at most the head, the query row, or the element."""

    HEAD = 0
    ROW = 1
    ELEMENT = 2


def levels(block: ir.Block, arguments: Sequence[Level]) -> dict[ir.Value, Level]:
    """The level of each value defined in `block`; values from outside are of level HEAD.

    A value has the level of the highest of its operands. What `attn.row_reduce` gives is the same for the
    whole row.
    """
    known = dict(zip(block.arguments, arguments, strict=True))
    for op in block.operations:
        if name_of(op) == "attn.row_reduce":
            level = Level.ROW
        else:
            level = max((known.get(value, Level.HEAD) for value in op.operation.operands), default=Level.HEAD)
        for result in op.operation.results:
            known[result] = level
    return known


def check_step_region(op, block: ir.Block, name: str, terminator: str) -> None:
    """Only arith, math, structured linalg and tensor ops on values of static shape."""
    for child in nested(op):
        child_name = name_of(child)
        structured = child_name.startswith("linalg.") and (
            child_name in _BODY_OPS or len(child.operation.regions) > 0
        )
        if not (
            child_name == terminator
            or child_name in STEP_OPS
            or structured
            or child_name.startswith(("arith.", "math."))
        ):
            raise Invalid(
                child,
                f"expects to stand outside region '{name}' of '{name_of(op)}', "
                "which holds arith, math, structured linalg and tensor operations",
            )
        if child_name == "tensor.insert_slice":
            _check_insertion(child, name)
        elif structured:
            _check_maps(child)
        parent = child.operation.parent
        scalars_only = parent is not None and name_of(parent).startswith("linalg.")
        for result in child.operation.results:
            if isinstance(result.type, ir.RankedTensorType):
                if scalars_only:
                    raise Invalid(
                        child, f"expects scalar results in the body of '{name_of(parent)}', got {result.type}"
                    )
                if not result.type.has_static_shape:
                    raise Invalid(child, f"expects static shapes in region '{name}', got {result.type}")
                if is_scalar(result.type.element_type):
                    continue
            if not is_scalar(result.type):
                raise Invalid(
                    child, f"expects tensors and scalars of {_SCALARS} in region '{name}', got {result.type}"
                )
    check_captures(op)


def _check_insertion(op, name: str) -> None:
    """Sizes and strides are static, and there is a place where the slice fits; its offset is clamped."""
    attributes = op.operation.attributes
    sizes, strides = (list(attributes[f"static_{part}"]) for part in ("sizes", "strides"))
    for size, stride, whole in zip(sizes, strides, op.operation.operands[1].type.shape, strict=True):
        if DYNAMIC in (size, stride):
            raise Invalid(op, f"expects static sizes and strides in region '{name}'")
        if stride < 1:
            raise Invalid(op, f"expects strides of at least 1 in region '{name}', got {stride}")
        if size > 0 and (size - 1) * stride >= whole:
            raise Invalid(op, f"expects {size} elements by {stride} to fit a dimension of size {whole}")


def grows_with_loops(expr: ir.AffineExpr) -> bool:
    """Whether an index of an indexing map is smallest at the first iteration, and largest at the last.

    MLIR checks those two to lie inside a tensor, and no others.
    """
    if isinstance(expr, ir.AffineAddExpr):
        return grows_with_loops(expr.lhs) and grows_with_loops(expr.rhs)
    if isinstance(expr, ir.AffineMulExpr):
        factor = expr.rhs
        return isinstance(factor, ir.AffineConstantExpr) and factor.value >= 0 and grows_with_loops(expr.lhs)
    return isinstance(expr, (ir.AffineDimExpr, ir.AffineConstantExpr))


def _maps(op) -> list[ir.AffineMap] | None:
    """The indexing maps of an op, one for each operand, or None if it names none."""
    attributes = op.operation.attributes
    if "indexing_maps" not in attributes:
        return None
    return [getattr(attribute, "value", attribute) for attribute in attributes["indexing_maps"]]


def _check_maps(op) -> None:
    for map_ in _maps(op) or []:
        for expr in map_.results:
            if not grows_with_loops(expr):
                raise Invalid(op, f"expects indices that grow with the loops, got {expr}")


def check_affine(block: ir.Block, state: ir.Value) -> set[ir.Value]:
    """The values of a step that depend on the state; raise `Invalid` at an op that is not affine in it.

    Sums, differences and casts of affine values are affine, and so is a product or quotient of an affine
    value by one that does not depend on the state. Casts count as exact.
    """
    dependent = {state}
    for child in block.operations:
        _affine_op(child, dependent)
    return dependent


def _affine_op(op, dependent: set[ir.Value]) -> None:
    operation = op.operation
    flags = [operand in dependent for operand in operation.operands]
    if not any(flags) and not any(v in dependent for child in nested(op) for v in child.operation.operands):
        return
    name = name_of(op)
    if name.startswith("attn.") or name == "tensor.dim":
        return
    if name.startswith("linalg.") and name not in _BODY_OPS:
        _affine_body(op, flags, dependent)
    elif not (
        name in _LINEAR
        or name in _BODY_OPS
        or (name == "arith.mulf" and sum(flags) == 1)
        or (name == "arith.divf" and not flags[1])
        or (name == "arith.select" and not flags[0])
        or (name == "math.fma" and not (flags[0] and flags[1]))
    ):
        raise _not_affine(op)
    dependent.update(operation.results)


def _affine_body(op, flags: list[bool], dependent: set[ir.Value]) -> None:
    """A structured op: its body is affine in the elements of the operands that depend on the state."""
    body = op.operation.regions[0].blocks[0]
    outputs = len(op.operation.results)
    inputs = len(flags) - outputs
    for position, argument in enumerate(body.arguments):
        # An accumulator holds earlier elements: it depends on the state as soon as any operand does.
        if flags[position] or (position >= inputs and _has_reduction(op)):
            dependent.add(argument)
    for child in body.operations:
        try:
            _affine_op(child, dependent)
        except Invalid as error:
            # The body of a named op is not written in the program: report on the op itself.
            raise error if name_of(op) in _OPS_WITH_A_WRITTEN_BODY else _not_affine(op) from None


def _has_reduction(op) -> bool:
    """Whether an element of an output may be computed from several elements, or several times."""
    if name_of(op) in ("linalg.broadcast", "linalg.fill", "linalg.map", "linalg.transpose", "linalg.copy"):
        return False
    if (maps := _maps(op)) is None or "iterator_types" not in op.operation.attributes:
        return True
    outputs = maps[len(maps) - len(op.operation.results) :]
    return any({_loop(expr) for expr in map_.results} != set(range(map_.n_dims)) for map_ in outputs)


def _loop(expr) -> int | None:
    return expr.position if isinstance(expr, ir.AffineDimExpr) else None


def _not_affine(op) -> Invalid:
    return Invalid(op, "expects the step to be affine in the state, got a term that is not")


def _types(types: Sequence[ir.Type]) -> str:
    return ", ".join(str(type_) for type_ in types)
