"""What operations of `tt` look like. Their dialect is not registered, so that nothing else has checked it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aecompiler.bindings import ir
from aecompiler.passes.infra import PassFailure

_KINDS = {
    ir.BoolAttr: "a truth value",
    ir.DenseI32ArrayAttr: "an array of i32",
    ir.IntegerAttr: "an integer",
    ir.StringAttr: "a string",
}


_SEVERAL = range(1, 9)


@dataclass(frozen=True)
class Form:
    """Counts of operands that an operation may have, of results and regions, and kinds of attributes."""

    operands: Collection[int]
    results: Collection[int] = (1,)
    attributes: Mapping[str, type] = field(default_factory=dict)
    regions: int = 0


FORMS = {
    "arith.constant": Form((0,)),
    "tt.get_program_id": Form((0,), attributes={"axis": ir.IntegerAttr}),
    "tt.get_num_programs": Form((0,), attributes={"axis": ir.IntegerAttr}),
    "tt.make_range": Form((0,), attributes={"start": ir.IntegerAttr, "end": ir.IntegerAttr}),
    "tt.splat": Form((1,)),
    "tt.expand_dims": Form((1,), attributes={"axis": ir.IntegerAttr}),
    "tt.reshape": Form((1,)),
    "tt.broadcast": Form((1,)),
    "tt.trans": Form((1,), attributes={"order": ir.DenseI32ArrayAttr}),
    "tt.extern_elementwise": Form((1, 2, 3), attributes={"symbol": ir.StringAttr}),
    "tt.elementwise_inline_asm": Form(range(16)),
    "tt.return": Form((0,), results=(0,)),
    "tt.addptr": Form((2,)),
    "tt.load": Form((1, 2, 3), attributes={"operandSegmentSizes": ir.DenseI32ArrayAttr}),
    "tt.store": Form((2, 3), results=(0,)),
    "tt.dot": Form((3,), attributes={"inputPrecision": ir.IntegerAttr}),
    "tt.reduce": Form(_SEVERAL, _SEVERAL, attributes={"axis": ir.IntegerAttr}, regions=1),
    "tt.scan": Form(
        _SEVERAL, _SEVERAL, attributes={"axis": ir.IntegerAttr, "reverse": ir.BoolAttr}, regions=1
    ),
    "tt.gather": Form((2,), attributes={"axis": ir.IntegerAttr}),
}
"""The forms of operations that kernels may have, by name."""


def check_form(op: ir.Operation) -> None:
    """Raise `PassFailure` where an operation of `FORMS` has another form."""
    form = FORMS.get(op.name)
    if form is None:
        return
    counts = (("operand", op.operands, form.operands), ("result", op.results, form.results))
    for what, found, expected in (*counts, ("region", op.regions, (form.regions,))):
        if len(found) not in expected:
            known = " or ".join(map(str, expected))
            plural = "" if known == "1" else "s"
            raise PassFailure(op, f"expects {known} {what}{plural}, got {len(found)}")
    for name, kind in form.attributes.items():
        if name not in op.attributes:
            raise PassFailure(op, f"expects the attribute '{name}'")
        if not isinstance(op.attributes[name], kind):
            raise PassFailure(op, f"expects the attribute '{name}' to be {_KINDS[kind]}")
