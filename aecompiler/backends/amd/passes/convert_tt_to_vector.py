"""The pass `convert-tt-to-vector`: kernels in Triton's `tt` dialect on whole tiles of upstream `vector`."""

from __future__ import annotations

from aecompiler.backends.amd.passes import whole_tiles as wt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass

GPU_MODULE = "kernels"
"""The name of the module that kernels are in."""

DIVISIBILITY = "amd.divisibility"
"""The attribute of a kernel that says what each parameter is a multiple of, a pointer in bytes."""

_HOST = "tt_host."
_LEFT = "tt."


@register_pass
class ConvertTTToVector(Pass):
    """Make kernels of operations of upstream MLIR on vectors that are whole tiles.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt{library=ocml}`, without descriptors and assembly.
    *After*: `gpu.func` kernels of the same names in `gpu.module @kernels`, of `arith`, `gpu`, `math`,
    `memref`, `scf` and `vector`; what the host does is as it was, and no operation of `tt` is left.

    Parameters are in the same order: a memref of one dimension for a pointer, scalars as they are.
    `amd.divisibility` of a kernel is what each of them is a multiple of, a memref's address in bytes;
    attributes `tt_host.*` of kernels and `attn.*` of loops and branches are kept.

    A tensor is a vector of its shape. A pointer is a memref, an offset of i64 that all its elements have in
    common, and a vector of offsets of i32 or i64 or none; pointers can't be handed on by loops and branches,
    or be selected. Loads are `vector.gather` and stores `vector.scatter` of as many dimensions as the tile
    has, with a mask of the same shape; those of scalars are `memref.load` and `memref.store`.

    A product is a `vector.contract` with `amd.precision` for factors of f32: `ieee`, `tf32x3` or `tf32`. The
    accumulator of a `vector.multi_reduction` is the identity of its operation. A scan is a `vector.scan`; one
    in reverse is that of the vector reversed by a `vector.shuffle`, reversed again. A `tt.gather` at places
    that are known is a `vector.shuffle`; at others, of a vector, it is a sum that has one element each.

    ```mlir
    "tt.func"() ({
    ^bb0(%p: !tt.ptr<f32>, %n: i32):
      %i = "tt.make_range"() {start = 0 : i32, end = 64 : i32} : () -> tensor<64xi32>
      %s = "tt.splat"(%p) : (!tt.ptr<f32>) -> tensor<64x!tt.ptr<f32>>
      %a = "tt.addptr"(%s, %i) : (tensor<64x!tt.ptr<f32>>, tensor<64xi32>) -> tensor<64x!tt.ptr<f32>>
      %v = "tt.load"(%a) {operandSegmentSizes = array<i32: 1, 0, 0>} : (...) -> tensor<64xf32>
      ...
    }) {sym_name = "f_0", arg_attrs = [{tt.divisibility = 16 : i32}, {}], ...} : () -> ()
    ```
    becomes
    ```mlir
    gpu.module @kernels {
      gpu.func @f_0(%p: memref<?xf32>, %n: i32) kernel attributes {amd.divisibility = array<i64: 16, 1>} {
        %step = vector.step : vector<64xindex>
        %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
        %v = vector.gather %p[%c0] [%i], %all, %zeros : ... into vector<64xf32>
        ...
        gpu.return
      }
    }
    ```
    """

    NAME = "convert-tt-to-vector"

    def run(self, op: ir.Operation) -> None:
        """Convert every kernel in `op`."""
        kir.require_unregistered(op)
        kernels = kir.kernels(op)
        if kernels:
            _refuse_taken_name(op)
            with ir.InsertionPoint(kernels[0]), kernels[0].location:
                module = _gpu_module()
            for kernel in kernels:
                _convert(kernel, module)
                kernel.erase()
        for left in rw.walk_list(op, _LEFT):
            raise PassFailure(left, "expects to stand in a kernel")


def _refuse_taken_name(op: ir.Operation) -> None:
    """There is one module of kernels, and nothing else of its name."""
    for view in op.regions[0].blocks[0].operations:
        if "sym_name" in view.operation.attributes and rw.symbol_name(view.operation) == GPU_MODULE:
            raise PassFailure(view.operation, f"expects another name than '{GPU_MODULE}', the kernels' own")


def _gpu_module() -> ir.Block:
    name = {"sym_name": ir.StringAttr.get(GPU_MODULE)}
    return ir.Operation.create("gpu.module", attributes=name, regions=1).regions[0].blocks.append()


def _convert(kernel: ir.Operation, module: ir.Block) -> None:
    """Build a kernel of the module of what a `tt.func` does."""
    if not len(kernel.regions[0].blocks):
        raise PassFailure(kernel, "expects a body")
    if len(kernel.regions[0].blocks) > 1:
        raise PassFailure(kernel, "unsupported: a kernel of several blocks")
    old = kir.body_of(kernel)
    types = [wt.parameter_type(kernel, argument.type) for argument in old.arguments]
    attributes = {
        "sym_name": kernel.attributes["sym_name"],
        "function_type": ir.TypeAttr.get(ir.FunctionType.get(types, [])),
        "kernel": ir.UnitAttr.get(),
        DIVISIBILITY: ir.DenseI64ArrayAttr.get(_divisibility(kernel, len(types))),
    }
    attributes |= {name: kernel.attributes[name] for name in kernel.attributes if name.startswith(_HOST)}
    with ir.InsertionPoint(module), kernel.location:
        function = ir.Operation.create("gpu.func", attributes=attributes, regions=1)
    block = function.regions[0].blocks.append(*types, arg_locs=[kernel.location] * len(types))
    with ir.InsertionPoint(block):
        wt.Converter().body(old, block)


def _divisibility(kernel: ir.Operation, count: int) -> list[int]:
    """What each parameter is a multiple of; 1 where nothing is known."""
    if "arg_attrs" not in kernel.attributes:
        return [1] * count
    given = [ir.DictAttr(each) for each in kernel.attributes["arg_attrs"]]
    key = "tt.divisibility"
    return [ir.IntegerAttr(each[key]).value if key in each else 1 for each in given]
