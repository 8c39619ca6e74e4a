"""What kernels on whole tiles look like that lanes can be written for: all else is refused by name."""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.backends.amd.distribute.places import BYTES, is_tile
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure

_REGIONS = ("scf.for", "scf.if", "scf.while")
_ACCESSES = {"memref.load": 0, "memref.store": 1, "vector.gather": 0, "vector.scatter": 0}
"""Operations that access memory, and which of their operands it is."""

_MAPS = "[affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]"


def check_kernel(function: ir.Operation, divisibility: str) -> list[int]:
    """What each parameter of a kernel is a multiple of; `PassFailure` for what lanes can't be written for.

    `divisibility` is the name of the attribute that says so.
    """
    blocks = list(function.regions[0].blocks)
    if "kernel" not in function.attributes and "gpu.kernel" not in function.attributes:
        raise PassFailure(function, "expects a kernel")
    if len(blocks) != 1:
        raise PassFailure(function, f"unsupported: a kernel of {len(blocks)} blocks")
    for argument in blocks[0].arguments:
        _check_parameter(function, argument.type)
    for op in rw.walk_list(function):
        _check_operation(op, blocks[0])
    given, count = function.attributes[divisibility], len(blocks[0].arguments)
    if not isinstance(given, ir.DenseI64ArrayAttr) or len(given) != count or any(each < 1 for each in given):
        rule = f"expects {divisibility} to be an array of {count} positive i64, one for each parameter"
        raise PassFailure(function, f"{rule}, got {given}")
    return list(given)


def _check_parameter(function: ir.Operation, type_: ir.Type) -> None:
    if not isinstance(type_, ir.ShapedType):
        return
    if not isinstance(type_, ir.MemRefType):
        raise PassFailure(function, f"unsupported: a parameter of type {type_}")
    is_flat = type_.rank == 1 and type_.layout == ir.AffineMapAttr.get(ir.AffineMap.get_identity(1))
    if not is_flat or type_.memory_space is not None or not _is_stored(type_.element_type):
        raise PassFailure(function, f"expects memory of one dimension without gaps, got {type_}")


def _is_stored(element: ir.Type) -> bool:
    return str(element) in BYTES and not isinstance(element, ir.IndexType)


def _check_operation(op: ir.Operation, body: ir.Block) -> None:
    for value in (*op.operands, *op.results, *_arguments_within(op)):
        if is_tile(value):
            _check_tile(op, value.type)
    _check_memory(op, body)
    if len(op.regions) and op.name not in (*_REGIONS, "vector.multi_reduction"):
        raise PassFailure(op, "unsupported: an operation with regions that lanes don't know")
    if op.name.startswith(("arith.", "math.")) and len(op.results) > 1 and is_tile(op.results[0]):
        raise PassFailure(op, "unsupported: several tiles at once")
    if op.name in ("gpu.block_id", "gpu.grid_dim") and "x" not in str(op.attributes["dimension"]):
        raise PassFailure(op, "unsupported: a grid of several dimensions")
    if op.name == "vector.contract":
        _check_product(op)
    if op.name == "vector.shuffle" and any(each < 0 for each in op.attributes["mask"]):
        raise PassFailure(op, "unsupported: a shuffle of elements that are left open")


def _arguments_within(op: ir.Operation) -> Iterator[ir.Value]:
    for region in op.regions:
        for block in region.blocks:
            yield from block.arguments


def _check_tile(op: ir.Operation, type_: ir.VectorType) -> None:
    if type_.scalable or any(size < 1 or size & (size - 1) for size in type_.shape):
        raise PassFailure(op, f"expects tiles whose sizes are powers of two, got {type_}")
    if not isinstance(type_.element_type, ir.IndexType) and str(type_.element_type) not in (*BYTES, "i1"):
        raise PassFailure(op, f"unsupported: a tile of {type_.element_type}")


def _check_memory(op: ir.Operation, body: ir.Block) -> None:
    """Memory is a parameter, and is accessed only by what lanes know."""
    for number, value in enumerate(op.operands):
        if isinstance(value.type, ir.ShapedType) and not is_tile(value):
            if _ACCESSES.get(op.name) != number:
                raise PassFailure(op, "unsupported: an access to memory that lanes don't know")
            if not isinstance(value.owner, ir.Block) or value.owner != body:
                raise PassFailure(op, "expects memory that is a parameter of the kernel")


def _check_product(op: ir.Operation) -> None:
    if op.attributes["indexing_maps"] != ir.Attribute.parse(_MAPS):
        raise PassFailure(op, "unsupported: a product that is not of an m x k and a k x n matrix")
    if op.attributes["kind"] != ir.Attribute.parse("#vector.kind<add>"):
        raise PassFailure(op, f"unsupported: a product summed by {op.attributes['kind']}")
