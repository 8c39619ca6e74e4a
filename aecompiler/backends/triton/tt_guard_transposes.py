"""The pass `tt-guard-transposes`: no product has the transpose of another one's result on its left."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.tile_axes import is_elementwise
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_SWAPPED = (1, 0)
_MADE_ANYWHERE = ("arith.constant", "tt.splat")
_Place = tuple[ir.Value, bool]
"""A value, and whether what is asked for is its transpose."""


@register_pass
class GuardTransposes(Pass):
    """Compute products whose left factor is the transpose of another product's result the other way around.

    Triton transposes sums of wgmma in registers for a product on whose left they are: to another layout.
    Versions 3.4.0 to 3.7.0 are reported to get that wrong on Hopper (flash-linear-attention, issue 640; issue
    984 is of such a product, too, and of 3.7.1). A factor of 16 bits on the right is read from shared memory,
    where its transpose is another way to read it.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`. *After*: a product a b + c of matrices whose left
    factor a is computed, element by element, in branches or around loops, of the transpose of a product's
    result, is (b^T a^T + c^T)^T, with the transpose of a computed of what is not transposed. Each sum has the
    same addends. It stays where b is, without being transposed, a product's result: its transpose would be on
    the left then.

    ```mlir
    %s = "tt.dot"(%q, %k, %zero) : (...) -> tensor<64x64xf32>
    %w = arith.truncf %s : tensor<64x64xf32> to tensor<64x64xbf16>
    %t = "tt.trans"(%w) {order = array<i32: 1, 0>} : (tensor<64x64xbf16>) -> tensor<64x64xbf16>
    %o = "tt.dot"(%t, %v, %c) : (...) -> tensor<64x32xf32>
    ```
    becomes
    ```mlir
    %s = "tt.dot"(%q, %k, %zero) : (...) -> tensor<64x64xf32>
    %w = arith.truncf %s : tensor<64x64xf32> to tensor<64x64xbf16>
    %0 = "tt.trans"(%v) {order = array<i32: 1, 0>} : (tensor<64x32xbf16>) -> tensor<32x64xbf16>
    %1 = "tt.trans"(%c) {order = array<i32: 1, 0>} : (tensor<64x32xf32>) -> tensor<32x64xf32>
    %2 = "tt.dot"(%0, %w, %1) : (...) -> tensor<32x64xf32>
    %o = "tt.trans"(%2) {order = array<i32: 1, 0>} : (tensor<32x64xf32>) -> tensor<64x32xf32>
    ```
    """

    NAME = "tt-guard-transposes"

    def run(self, op: ir.Operation) -> None:
        """Rewrite every such product of every kernel in `op`."""
        for kernel in kir.defined_kernels(op):
            # All are found before any is changed: a product that is turned around has a transposed result.
            dots = rw.walk_list(kernel, "tt.dot")
            found = [dot for dot in dots if _is_of_product(dot.operands[0], transposed=True)]
            for dot in found:
                if not _is_of_product(dot.operands[1], transposed=False):
                    _turn(dot)
            if found:
                kir.erase_dead(kir.body_of(kernel))


def _is_of_product(value: ir.Value, *, transposed: bool) -> bool:
    """Whether a matrix is computed, element by element, of a product's result, or of its transpose."""
    seen: set[_Place] = set()
    todo: list[_Place] = [(value, transposed)]
    while todo:
        place = todo.pop()
        if place in seen or len(tt.shape_of(place[0])) != 2:
            continue
        seen.add(place)
        value, transposed = place
        op = rw.definer(value)
        if op is None:
            todo += [(each, transposed) for each in _carried(value)]
        elif op.name == "tt.dot":
            if not transposed:
                return True
        elif op.name == "tt.trans":
            todo.append((op.operands[0], not transposed))
        elif op.name in ("scf.for", "scf.if"):
            todo += [(each, transposed) for each in _passed_on(op, list(op.results).index(value))]
        elif is_elementwise(op):
            todo += [(each, transposed) for each in op.operands]
    return False


def _carried(argument: ir.Value) -> list[ir.Value]:
    """What an argument of a loop's body stands for: what the loop begins with, and what a turn ends with."""
    loop = argument.owner.owner.operation
    number = list(argument.owner.arguments).index(argument) - 1
    return _passed_on(loop, number) if loop.name == "scf.for" and number >= 0 else []


def _passed_on(op: ir.Operation, number: int) -> list[ir.Value]:
    """What a result of a loop or a branch may be."""
    ends = [block.operations[len(block.operations) - 1] for region in op.regions for block in region.blocks]
    begin = [op.operands[3 + number]] if op.name == "scf.for" else []
    return begin + [end.operation.operands[number] for end in ends]


def _turn(dot: ir.Operation) -> None:
    """Replace a product by the transpose of that of the transposes."""
    left, right, addend = dot.operands
    with ir.InsertionPoint(dot), dot.location:
        factors = [_transposed(each) for each in (right, left, addend)]
        result = tt.trans(rw.clone_as(dot, factors, factors[2].type), _SWAPPED)
    dot.results[0].replace_all_uses_with(result)
    dot.erase()


def _transposed(value: ir.Value) -> ir.Value:
    """The transpose of a matrix, computed of what is not transposed where it was made of transposes."""
    op = rw.definer(value)
    if op is not None and op.name == "tt.trans":
        return op.operands[0]
    if op is not None and op.name in _MADE_ANYWHERE and (made := _made_anew(op)) is not None:
        return made
    if op is not None and is_elementwise(op) and _has_transpose(op):
        operands = [_transposed(each) if len(tt.shape_of(each)) == 2 else each for each in op.operands]
        return rw.clone_as(op, operands, _type_of_transpose(value))
    return tt.trans(value, _SWAPPED)


def _has_transpose(op: ir.Operation) -> bool:
    """Whether a matrix that is computed element by element is made of a transpose."""
    makers = [maker for operand in op.operands if (maker := rw.definer(operand)) is not None]
    return any(each.name == "tt.trans" or (is_elementwise(each) and _has_transpose(each)) for each in makers)


def _made_anew(op: ir.Operation) -> ir.Value | None:
    """The same number everywhere in a matrix of the transposed shape."""
    type_ = _type_of_transpose(op.results[0])
    if op.name == "tt.splat":
        return tt.splat(op.operands[0], type_.shape)
    number = ir.DenseElementsAttr(op.attributes["value"])
    if not number.is_splat:
        return None
    new = ir.DenseElementsAttr.get_splat(type_, number.get_splat_value())
    return ir.Operation.create("arith.constant", [type_], attributes={"value": new}).results[0]


def _type_of_transpose(value: ir.Value) -> ir.RankedTensorType:
    return tt.typed(list(reversed(tt.shape_of(value))), tt.element_of(value))
