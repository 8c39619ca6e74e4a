"""What passes on kernels share: kernels of a module, definitions, slices, dead operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aecompiler.bindings import declare_dialects, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure

declare_dialects("tt", "tt_host", "ttg", "ttng")

FUNCTION = "tt.func"

SIZES = "tt_host.sizes"
"""The attribute of a kernel that says which of its parameters are sizes of tensors, so that they are not
negative and, with as many of them as are added up, not beyond any type."""

WITHOUT_LAYOUTS = "tt_host.without_layouts"
"""The attribute of a kernel without layouts in a module whose other kernels have them."""

_PURE = ("arith.", "math.", "tt.", "ttg.memdesc_", "ttg.convert_layout", "ttg.local_load")
_EFFECTS = ("tt.store", "tt.descriptor_store", "tt.return", "tt.reduce.return", "tt.scan.return", "tt.func")


def require_unregistered(op: ir.Operation) -> None:
    """Refuse a context that knows no other operations than MLIR's and ours."""
    if not op.context.allow_unregistered_dialects:
        raise PassFailure(op, "needs a context that allows unregistered dialects")


def kernels(op: ir.Operation) -> list[ir.Operation]:
    """The kernels in a module; refused in a context that does not know them."""
    require_unregistered(op)
    return [each for each in rw.walk_list(op, FUNCTION) if each.name == FUNCTION]


def defined_kernels(op: ir.Operation) -> list[ir.Operation]:
    """The kernels in a module that have a body; the others are declarations."""
    return [
        each for each in rw.walk_list(op, FUNCTION) if each.name == FUNCTION and len(each.regions[0].blocks)
    ]


def kernels_with_products(op: ir.Operation) -> list[ir.Operation]:
    """The kernels in a module that attend, by products of matrices; others compute what stands around."""
    attending = [each for each in kernels(op) if WITHOUT_LAYOUTS not in each.attributes]
    return [each for each in attending if rw.walk_list(each, "tt.dot")]


def is_scalar_load(op: ir.Operation) -> bool:
    """Whether an operation reads one number from memory."""
    return op.name == "tt.load" and not isinstance(op.results[0].type, ir.RankedTensorType)


def body_of(function: ir.Operation) -> ir.Block:
    """The block of a kernel."""
    return function.regions[0].blocks[0]


def is_pure(op: ir.Operation) -> bool:
    """Whether an operation may be left out if nobody uses its results; what kernels read is not written."""
    if op.name in _EFFECTS:
        return False
    if op.name == "tt.elementwise_inline_asm":
        return bool(op.attributes["pure"].value)
    if op.name in ("scf.for", "scf.if"):
        return all(is_pure(each) for each in rw.walk_list(op) if each.name != "scf.yield")
    return op.name.startswith(_PURE)


def is_unused(op: ir.Operation) -> bool:
    """Whether no result of an operation has a use."""
    return not any(list(result.uses) for result in op.results)


def erase_dead(block: ir.Block) -> None:
    """Erase the operations of a block, and of those nested in it, that nobody needs."""
    for view in reversed(list(block.operations)):
        op = view.operation
        if op.results and is_unused(op) and is_pure(op):
            op.erase()
            continue
        for region in op.regions:
            for nested in region.blocks:
                erase_dead(nested)


def slice_in(
    block: ir.Block,
    values: Iterable[ir.Value],
    operands: Callable[[ir.Operation], Sequence[ir.Value]] | None = None,
) -> list[ir.Operation]:
    """The operations of a block that `values` are computed from, in order.

    `operands` says what an operation is computed from; if it is not given, all that it and its regions use.
    """
    operands = operands or operands_of
    needed: set[ir.Value] = set()
    todo = list(values)
    while todo:
        value = todo.pop()
        op = rw.definer(value)
        if value in needed or op is None or op.block != block:
            continue
        needed.add(value)
        todo += operands(op)
    return [view.operation for view in block.operations if any(r in needed for r in view.operation.results)]


def operands_of(op: ir.Operation) -> list[ir.Value]:
    """The operands of an operation and of all in its regions."""
    found = list(op.operands)
    for nested in rw.walk_list(op) if len(op.regions) else ():
        found += nested.operands
    return found


def users_in(block: ir.Block, values: Sequence[ir.Value]) -> list[ir.Operation]:
    """The operations of a block that are computed from `values`, in order, without its terminator."""
    reached = set(values)
    found = []
    *body, _ = block.operations
    for view in body:
        op = view.operation
        if any(operand in reached for operand in operands_of(op)):
            reached.update(op.results)
            found.append(op)
    return found
