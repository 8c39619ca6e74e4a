"""The pass `attn-tile-tensors`: what is computed around attention gets tile programs of its own."""

from __future__ import annotations

from aecompiler.bindings import ir, tensor
from aecompiler.passes import (  # noqa: F401  (registers the rules)
    element_computations,
    element_moves,
)
from aecompiler.passes import rewriting as rw
from aecompiler.passes.element_computations import STRUCTURED, Nest
from aecompiler.passes.element_grids import Target, elementwise
from aecompiler.passes.element_reductions import Reduction
from aecompiler.passes.infra import Pass, PassFailure, register_pass
from aecompiler.passes.producer_fusion import resolve_sizes
from aecompiler.passes.tensor_elements import COMPUTES, MOVES, Elements, Unreadable, costs_much, loop
from aecompiler.passes.tensor_parts import Indices, size_of

_STAY = (
    *("linalg.broadcast", "linalg.transpose", "tensor.cast", "tensor.collapse_shape", "tensor.expand_shape"),
    *("tensor.empty", "arith.constant"),
)
"""Operations whose results are memory of their operand with other strides, or need no computation."""


@register_pass
class TileTensors(Pass):
    """Cut the tensors that are computed around attention into tiles, each the work of a program in a grid.

    *Before*: the result of `attn-tile`, with operations on whole tensors between the grids. *After*: nothing
    computes a tensor outside of a grid. What is left between grids are views (slices, transposes, broadcasts,
    changes of shape), which read the memory of their operand by other strides, empty tensors and constants.
    What has no such form stays as it is: attention and recurrences themselves, loops, calls.

    - A tensor is computed element by element: arith and math operations, elementwise `linalg` operations,
      and what they read through slices, concatenation, padding, insertions, transposes, broadcasts and
      changes of shape are one body. An operand that only this tensor needs is computed there too, unless
      that takes a division or a function and would be done for several elements alike; one that takes neither
      is computed in all that need it.
    - All grids get a `mapping` to blocks of threads. Without one canonicalization would take a grid of one
      program for its body.
    - Reductions are loops over tiles, with a grid over what is left, and products of matrices are products of
      tiles. A reduction by an operation whose identity is not known takes one element after the other.
    - Elements at places that are loops are read as tiles, padded with zeros; others one by one, at places
      that are inside of the tensor also where the tile goes beyond the result.

    ```mlir
    %y = linalg.generic {...} ins(%x : tensor<2x?x64xf32>) outs(%empty : tensor<2x?x64xf32>) {...}
    ```
    becomes
    ```mlir
    %y = scf.forall (%b, %t, %c) in (2, %tiles, 1) shared_outs(%out = %empty) -> (tensor<2x?x64xf32>) {
      %part = tensor.extract_slice %x[%b, %first, 0] [1, %rows, 64] [1, 1, 1] ...
      %tile = tensor.pad %part ... to tensor<32x64xf32>
      %new = linalg.generic {...} ins(%tile : tensor<32x64xf32>) ...
      scf.forall.in_parallel { tensor.parallel_insert_slice ... }
    }
    ```
    """

    NAME = "attn-tile-tensors"

    def run(self, op: ir.Operation) -> None:
        """Tile what is computed in the functions in `op`."""
        for function in rw.walk_list(op, "func.func"):
            for region in function.regions:
                for block in region.blocks:
                    _tile_block(block)
            for grid in rw.walk_list(function, "scf.forall"):
                if len(grid.results):
                    _map_to_blocks(grid)


def _map_to_blocks(grid: ir.Operation) -> None:
    """Say that each program of a grid is a block of threads: then a grid of one program stays one.

    There are ten names of dimensions; further ones share the last.
    """
    dimensions = range(len(grid.attributes["staticUpperBound"]))
    blocks = ", ".join(f"#gpu.block<linear_dim_{min(d, 9)}>" for d in dimensions)
    grid.attributes["mapping"] = ir.Attribute.parse(f"[{blocks}]")


def _tile_block(block: ir.Block) -> None:
    """Give the tensors of a block grids, the last one first: what needs it is then known."""
    for op in reversed([view.operation for view in block.operations]):
        if op.name == "scf.if":
            for region in op.regions:
                for nested in region.blocks:
                    _tile_block(nested)
        if not op.results or not all(isinstance(each.type, ir.RankedTensorType) for each in op.results):
            continue
        if op.name not in MOVES and op.name not in COMPUTES:
            continue
        for result in op.results:
            resolve_sizes(result)
        if not any(list(result.uses) for result in op.results):
            op.erase()
        elif op.name not in _STAY and not is_strided_view(op):
            _tile(op)


def is_strided_view(op: ir.Operation) -> bool:
    """Whether an operation is a slice with steps that are known to be positive."""
    return op.name == "tensor.extract_slice" and all(step > 0 for step in op.attributes["static_strides"])


def _tile(op: ir.Operation) -> None:
    """Replace an operation by the grid that computes its results."""
    types = [ir.RankedTensorType(result.type) for result in op.results]
    with ir.InsertionPoint(op), op.location:
        try:
            new = _grid(op, Target(types, [size_of(op.results[0], d) for d in range(types[0].rank)]))
        except Unreadable as reason:
            raise PassFailure(op, f"unsupported: {reason} around attention") from None
        for old, result in zip(op.results, new, strict=True):
            old.replace_all_uses_with(result if result.type == old.type else rw.cast(result, old.type))
    op.erase()


def _grid(op: ir.Operation, target: Target) -> list[ir.Value]:
    if any(size.uses(op.results) for size in target.sizes):
        raise Unreadable(f"a size of a result of '{op.name}'")
    if any(size.number == 0 for size in target.sizes):
        outer = Indices()
        shape = [outer.build(size) for size in target.sizes]
        return [tensor.empty(shape, element) for element in target.elements]
    inlined = _inlined(op)
    if op.name in STRUCTURED and (nest := Nest.of(op)).reductions:
        return Reduction(nest, target, inlined).build()
    elements = Elements(inlined, set(target.long))
    places = tuple(loop(d) for d in range(len(target.sizes)))
    expressions = [elements.of(op, number, places) for number in range(len(op.results))]
    return elementwise(target, expressions, elements.guarded)


def _inlined(op: ir.Operation) -> set[ir.Value]:
    """The tensors that nothing but this operation needs, or that all which need them compute."""
    followed: set[ir.Operation] = {op}
    values: set[ir.Value] = set()
    before = [view.operation for view in op.block.operations]
    for each in reversed(before[: before.index(op)]):
        if each.name not in MOVES and each.name not in COMPUTES:
            continue
        users = [use.owner.operation for result in each.results for use in result.uses]
        is_cheap = each.name in COMPUTES and not costs_much(each)
        if any(user in followed for user in users) and all(
            user in followed or (is_cheap and user.name in COMPUTES and user.block == op.block)
            for user in users
        ):
            followed.add(each)
            values.update(each.results)
    return values
