"""Element types and tensor types of attention programs."""

from aecompiler.bindings import ir
from aecompiler.dialect.core import Invalid

DYNAMIC = ir.ShapedType.get_dynamic_size()
"""The size of a dynamic dimension in `RankedTensorType.shape`, and in the attributes of slices."""

ELEMENT_TYPES = ("f16", "bf16", "f32", "f64")
"""Element types of q, k and v."""


def accumulator_type(element: ir.Type) -> ir.Type:
    """The type of scores, reductions and state: f32, or f64 for f64 operands."""
    with element.context:
        return element if str(element) == "f64" else ir.F32Type.get()


def shape_of(type_: ir.RankedTensorType) -> list[int | None]:
    """The sizes of a tensor, `None` where dynamic."""
    return [None if type_.is_dynamic_dim(axis) else type_.get_dim_size(axis) for axis in range(type_.rank)]


def check_tensor(op, name: str, type_: ir.Type) -> None:
    """A ranked tensor without an encoding."""
    if not isinstance(type_, ir.RankedTensorType):
        raise Invalid(op, f"expects {name} to be a ranked tensor, got {type_}")
    if type_.encoding is not None:
        raise Invalid(op, f"expects {name} to have no encoding, got {type_}")


def check_element_type(op, named: dict[str, ir.Value]) -> None:
    """One element type of `ELEMENT_TYPES` for all operands in `named`."""
    first, *others = named
    element = named[first].type.element_type
    if str(element) not in ELEMENT_TYPES:
        raise Invalid(op, f"expects {first} to have element type {_choices()}, got {element}")
    for name in others:
        got = named[name].type.element_type
        if got != element:
            raise Invalid(
                op,
                f"expects {name} to have {first}'s element type {element}, got {got}",
            )


def check_output_type(op, got: ir.Type) -> None:
    """The output has q's element type or f32."""
    allowed = dict.fromkeys((str(op.operands[0].type.element_type), "f32"))
    if str(got) not in allowed:
        raise Invalid(op, f"expects o to have element type {' or '.join(allowed)}, got {got}")


def _choices() -> str:
    return f"{', '.join(ELEMENT_TYPES[:-1])} or {ELEMENT_TYPES[-1]}"
