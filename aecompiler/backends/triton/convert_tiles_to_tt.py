"""The pass `convert-tiles-to-tt`: tile programs to kernels in Triton's dialect."""

from __future__ import annotations

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.chunk_kernels import USUAL_SHARED_BYTES, choose_for_chunks
from aecompiler.backends.triton.elementwise import LIBRARIES
from aecompiler.backends.triton.kernel import KernelBuilder, KernelOptions
from aecompiler.backends.triton.kernel_abi import DESCRIPTORS, LAUNCH
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.structured_ops import EXACT
from aecompiler.passes.tile_program import RETRY


@register_pass
class ConvertTilesToTT(Pass):
    """Make a kernel in Triton's `tt` dialect of each tile program.

    *Before*: functions on tensors whose grids (`scf.forall`) are tile programs of `attn-tile`; the context
    allows unregistered dialects. *After*: each grid is a `tt_host.launch` of a `tt.func`, which has pointers
    and strides for tensors in memory. What is left of the function is what the host does.

    A launch has as operands the grid, three numbers, and then the arguments of the kernel; `outputs` are the
    positions among the arguments of the tensors that the kernel writes, which are its results. For a tensor
    the kernel has a pointer (to bytes, if its elements are bits) and, in elements, the strides of all
    dimensions but the last, whose stride is 1; for a number of type `index` an i32; for other scalars
    themselves, in 16 bits if they are f16 or bf16 and in 8 if they are bits. Pointers and strides are said to
    be multiples of 16 bytes.

    With `descriptors`, tiles of whole rows of f16 and bf16 tensors are copied as boxes, by
    `tt.descriptor_load` and, those of results, by `tt.descriptor_store`: tiles whose sizes are powers of two
    of 16 to 256 and which, if they are cut off, end with the tensor, and which do not stand in an `scf.if`. A
    kernel then has a descriptor for each tensor and box behind its other parameters, `descriptors` of the
    launch are the positions of those tensors among the arguments, and only their pointers and strides are
    said to be multiples of 16 bytes.

    Rows of several heads, whose dimensions `tensor.collapse_shape` makes one, are one dimension in registers.
    With descriptors they are a box of both, reshaped.

    Sizes in registers are rounded up to powers of two, 16 at least; what is beyond the tile is neither read
    nor written.
    Positions have 32 bits where their ranges allow it: sizes are at most 2^30. Of two factors of a product,
    the wider one is rounded to the type of the other, which may happen to weights only; `precision` says how
    products of f32 are computed. A product with the attribute `attn.exact` widens the narrower factor, and is
    none of attention: its kernel gets the attribute `tt_host.without_layouts`, and no roles of warps.

    Kernels of chunked recurrences get it, too, and the numbers of warps and stages that they are compiled
    with, those with loops as many stages as leave room for two blocks. Factors of their products are rounded
    to bf16 if there are operands of that type, but for those of the inverse, of which products are by
    `tf32`. Running sums over rows are products with a triangle of ones, in three parts that lose nothing.

    ```mlir
    %o = scf.forall (%b, %h, %t) in (%batch, 8, %tiles) shared_outs(%out = %empty) -> (...) {...}
    ```
    becomes
    ```mlir
    %o = "tt_host.launch"(%n, %c1, %c1, %q, %k, %v, %empty, %length)
           {kernel = @f_0, outputs = array<i64: 3>} : ...
    ```
    """

    NAME = "convert-tiles-to-tt"

    precision: str = option("tf32x3", "how products of f32 are computed: ieee, tf32x3 or tf32")
    library: str = option("libdevice", "the device's library of math functions: libdevice or ocml")
    descriptors: bool = option(False, "copy tiles through descriptors of tensors where that can be done")
    section: int = option(
        8, "of how many heads tiles are started before those of the next, where some take longer than others"
    )
    pairs: bool = option(
        False, "such tiles of a head come in the order first, last, second, last but one, ..., in pairs"
    )

    chunk_stages: int = option(
        0, "tiles of chunks that are on their way from memory at a time; 0: with room for two blocks"
    )
    chunk_shared_bytes: int = option(
        USUAL_SHARED_BYTES, "shared memory that blocks with chunks have together"
    )

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, tt.PRECISION),
            ("library", self.library, LIBRARIES),
        ):
            if value not in known:
                raise ValueError(f"expects {name} to be one of {', '.join(known)}, got '{value}'")
        if not 1 <= self.section <= 1 << 16:
            raise ValueError(f"expects section to be 1 to {1 << 16}, got {self.section}")

    def run(self, op: ir.Operation) -> None:
        """Convert every tile program in `op`."""
        kir.require_unregistered(op)
        options = KernelOptions(
            precision=self.precision,
            library=self.library,
            section=self.section,
            pairs=self.pairs,
            descriptors=self.descriptors,
            chunk_stages=self.chunk_stages,
            chunk_shared_bytes=self.chunk_shared_bytes,
        )
        for function in rw.walk_list(op, "func.func"):
            loops = [loop for loop in rw.walk_list(function, "scf.forall") if len(loop.results)]
            for number, loop in enumerate(loops):
                if self.descriptors:
                    _read_again(loop)
                _convert(op, loop, f"{rw.symbol_name(function)}_{number}", options)
            if loops:
                _erase_unused(function)


def _read_again(loop: ir.Operation) -> None:
    """Read in branches that compute something again what they need of tiles that were read before.

    Programs may have merged reads that are the same. Tiles would be kept for a branch that hardly ever runs.
    """
    for branch in [each for each in rw.walk_list(loop, "scf.if") if RETRY in each.attributes]:
        block = branch.regions[1].blocks[0]
        users = [each for view in block.operations for each in rw.walk_list(view.operation)]
        users += [view.operation for view in block.operations]
        operands = [operand for op in users for operand in op.operands]
        mapping: dict[ir.Value, ir.Value] = {}
        with ir.InsertionPoint.at_block_begin(block):
            for op in kir.slice_in(branch.block, operands):
                if op.name.startswith(("tensor.", "linalg.")):
                    rw.clone_op(op, mapping)
        for op in users:
            for number, operand in enumerate(op.operands):
                if operand in mapping:
                    op.operands[number] = mapping[operand]


def _erase_unused(function: ir.Operation) -> None:
    """Erase scalars of the host that only kernels need, which compute them themselves."""
    for op in reversed(rw.walk_list(function)):
        is_scalar = op.name.startswith(("arith.", "math.")) or op.name in ("tensor.extract", "tensor.empty")
        if is_scalar and not any(list(result.uses) for result in op.results):
            op.erase()


def _convert(module: ir.Operation, loop: ir.Operation, name: str, options: KernelOptions) -> None:
    """Replace a tile program by a launch of its kernel, which is added to the module."""
    kernel = KernelBuilder(loop, name, options)
    block = module.regions[0].blocks[0]
    with ir.InsertionPoint(block), loop.location:
        kernel.build()
    if kernel.has_chunks or any(EXACT in each.attributes for each in rw.walk_list(loop, "linalg.generic")):
        kernel.function.attributes[kir.WITHOUT_LAYOUTS] = ir.UnitAttr.get()
    if kernel.has_chunks:
        choose_for_chunks(loop, kernel.function, options)
    with ir.InsertionPoint(loop), loop.location:
        one = rw.index(1)
        count = one
        for bound in kernel.bounds:
            count = arith.muli(count, rw.index(bound) if isinstance(bound, int) else bound)
        attributes = {
            "kernel": ir.FlatSymbolRefAttr.get(name),
            "outputs": ir.DenseI64ArrayAttr.get(kernel.outputs),
        }
        if described := kernel.descriptors.arguments:
            attributes[DESCRIPTORS] = ir.DenseI64ArrayAttr.get(described)
        launch = ir.Operation.create(
            LAUNCH,
            results=[result.type for result in loop.results],
            operands=[count, one, one, *kernel.arguments],
            attributes=attributes,
        )
    for old, new in zip(loop.results, launch.results, strict=True):
        old.replace_all_uses_with(new)
    loop.erase()
