"""The pass `ttg-assign-layouts`: how tensors are spread over the threads of a group of warps."""

from __future__ import annotations

from aecompiler.backends.nvidia.hopper.layout_builder import LayoutBuilder
from aecompiler.backends.nvidia.hopper.layout_choice import LayoutChoice
from aecompiler.backends.nvidia.hopper.rebuild import rebuild
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass

SPECIALIZE, PARTITIONS = "ttg.warp_specialize", "ttg.warp_specialize.partitions"


@register_pass
class AssignLayouts(Pass):
    """Give tensors of warp-specialised kernels layouts, and make products those of the tensor cores.

    *Before*: kernels of `ttg-specialize-warps`. *After*: all tensors have layouts of `ttg`, the module has
    the attributes that Triton's last steps need, and products are `ttng.warp_group_dot`, each followed by
    `ttng.warp_group_dot_wait`.

    Results of products have the layout of wgmma's accumulators, in which a row belongs to four threads. What
    is computed of them elementwise keeps it, and what is reduced along rows is a slice of it. All else,
    constants, numbers of rows and keys, masks, values read at places (`tt.load`) and values of rows that are
    spread over a tile, is computed in the layout in which it is used, once for each. So a function of scores
    and positions moves nothing between threads. But values of keys that are read from memory (`tt.load` of a
    tensor of one dimension) are read once by each group, an element by a thread, and converted.
    `ttg.convert_layout` also stands where a value of rows goes from the scores to the accumulator, whose rows
    belong to the same threads, and before a product whose first factor was computed.

    Second factors have to be tiles in shared memory. In branches, as that for values which are not finite,
    both factors are registers, of the warp-wide matrix instruction.

    Kernels without products stay as they are, and get the attribute `tt_host.without_layouts`: Triton gives
    them layouts. So do kernels that have it before, as those of products around attention.

    Refused, naming the operation: products whose second factor was computed; operations on tensors that are
    neither elementwise nor reductions.
    """

    NAME = "ttg-assign-layouts"

    arch: int = option(90, "the compute capability, as Triton names it: 90 for Hopper")

    def run(self, op: ir.Operation) -> None:
        """Rewrite all kernels in `op`."""
        with_products = kir.kernels_with_products(op)
        for function in kir.kernels(op):
            if function not in with_products:
                function.attributes[kir.WITHOUT_LAYOUTS] = ir.UnitAttr.get()
        for function in with_products:
            found = [
                view.operation
                for view in kir.body_of(function).operations
                if view.operation.name == SPECIALIZE
            ]
            if len(found) != 1:
                raise PassFailure(function, f"expects a kernel with one '{SPECIALIZE}'")
            _rewrite(found[0])
        i32 = ir.IntegerType.get_signless(32)
        for name, value in (("num-ctas", 1), ("num-warps", 4), ("threads-per-warp", 32)):
            op.attributes[f"ttg.{name}"] = ir.IntegerAttr.get(i32, value)
        op.attributes["ttg.target"] = ir.StringAttr.get(f"cuda:{self.arch}")


def _rewrite(old: ir.Operation) -> None:
    """Build the roles anew, with layouts."""
    with ir.InsertionPoint(old), old.location:
        new = rebuild(old, list(old.operands), [])
        _rebuild_block(old.regions[0].blocks[0], new.regions[0])
        holder = old.regions[1].blocks[0].operations[0].operation
        with ir.InsertionPoint(new.regions[1].blocks.append()):
            new_holder = rebuild(holder, [], [])
        for before, after in zip(holder.regions, new_holder.regions, strict=True):
            _rebuild_block(before.blocks[0], after)
    old.erase()


def _rebuild_block(block: ir.Block, region: ir.Region) -> None:
    new = region.blocks.append(*(argument.type for argument in block.arguments))
    builder = LayoutBuilder(LayoutChoice(block))
    builder.build(block, new)
    kir.erase_dead(new)
