"""What the ops of the recurrent family share: operands, results, and their rules."""

from aecompiler.bindings import ir
from aecompiler.dialect import regions, rules
from aecompiler.dialect.core import Invalid
from aecompiler.dialect.types import (
    accumulator_type,
    check_element_type,
    check_output_type,
    check_tensor,
    shape_of,
)


def accumulator(op) -> ir.Type:
    """The type of the state and of all values of a step: f32, or f64 for f64 operands."""
    return accumulator_type(op.operation.operands[0].type.element_type)


def vector_types(op) -> tuple[ir.Type, ir.Type, ir.Type]:
    """The types of the state, of a vector of key features and of one of value features."""
    _, _, key, value = shape_of(op.operation.operands[3].type)
    acc = accumulator(op)
    with ir.Location.unknown(op.context):
        state, row, column = (ir.RankedTensorType.get(shape, acc) for shape in ([key, value], [key], [value]))
    return state, row, column


def check_recurrent(op, region: str) -> None:
    """Counts, tensor types and sizes of an op with the operands and results of `attn.recurrence`."""
    operands, results = list(op.operation.operands), list(op.operation.results)
    if len(operands) not in (4, 5):
        raise Invalid(op, f"expects 4 or 5 operands (q, k, v, initial, offsets), got {len(operands)}")
    if len(results) != 2:
        raise Invalid(op, f"expects 2 results (o, final), got {len(results)}")
    if len(op.operation.regions) != 1:
        raise Invalid(op, f"expects 1 region ({region}), got {len(op.operation.regions)}")
    regions.check_segments(op, "operandSegmentSizes", [1, 1, 1, 1, len(operands) - 4])
    named = dict(zip(("q", "k", "v", "initial"), operands, strict=False))
    for name, value in named.items():
        check_tensor(op, name, value.type)
    initial = named.pop("initial").type
    check_element_type(op, named)
    if initial.element_type != accumulator(op):
        raise Invalid(
            op, f"expects initial to have element type {accumulator(op)}, got {initial.element_type}"
        )
    varlen = len(operands) == 5
    q, k, v = (shape_of(value.type) for value in named.values())
    if error := rules.recurrence_operands(q, k, v, shape_of(initial), varlen=varlen):
        raise Invalid(op, error)
    if varlen:
        _check_offsets(op, operands[4].type, initial)
    check_results(op, ("initial", "final"), q, k, v, initial)


def _check_offsets(op, offsets: ir.Type, initial: ir.RankedTensorType) -> None:
    check_tensor(op, "offsets", offsets)
    if offsets.rank != 1 or str(offsets.element_type) != "i32":
        raise Invalid(op, f"expects offsets to be a tensor<?xi32>, got {offsets}")
    (count,), sequences = shape_of(offsets), shape_of(initial)[0]
    if count == 0:
        raise Invalid(op, "expects offsets to have at least 1 element, got 0")
    if count is not None and sequences is not None and sequences != count - 1:
        raise Invalid(
            op, f"expects initial to have one state for each of {count - 1} sequences, got {sequences}"
        )


def check_results(op, names: tuple[str, str], q, k, v, states: ir.RankedTensorType) -> None:
    """The types of o and the new states; `names` are those of the states before, and of the new ones."""
    before, after = names
    o, new = (result.type for result in op.operation.results)
    check_tensor(op, "o", o)
    heads = rules.largest_head_count([q[1], k[1], v[1], shape_of(states)[1]])
    expected = [q[0], heads, q[2], v[3]]
    if shape_of(o) != expected:
        want, got = rules.format_shape(expected), rules.format_shape(shape_of(o))
        raise Invalid(op, f"expects o to have shape {want}, got {got}")
    check_output_type(op, o.element_type)
    if shape_of(states)[1] != heads:
        raise Invalid(
            op, f"expects {before} to have the largest head count {heads}, got {shape_of(states)[1]}"
        )
    if new != states:
        raise Invalid(op, f"expects {after} to have {before}'s type {states}, got {new}")


def check_step_shape(op, terminator: str) -> None:
    """That the region is one block with the arguments of a step: the state, q, k, v, and the indices."""
    state, row, column = vector_types(op)
    index = ir.IndexType.get(op.context)
    regions.single_block(op, 0, "step", [state, row, row, column, index, index, index], terminator)


def check_step(op, terminator: str) -> None:
    """What a step holds and hands over, and that it is affine in the state."""
    block = op.operation.regions[0].blocks[0]
    state, value = block.arguments[0], block.arguments[3]
    regions.check_step_region(op, block, "step", terminator)
    regions.check_yield(op, block, "step", [state.type, value.type])
    regions.check_affine(block, state)


def define_operands(cls: type) -> None:
    """Give an op class accessors of its operands.

    With an optional operand the generated accessors want a segment attribute, which hand-written IR may omit.
    """
    for position, name in enumerate(("q", "k", "v", "initial")):
        setattr(cls, name, property(lambda self, at=position: self.operation.operands[at]))
    cls.offsets = property(
        lambda self: self.operation.operands[4] if len(self.operation.operands) > 4 else None,
        doc="The cumulative lengths of the variable-length form, or `None`.",
    )
