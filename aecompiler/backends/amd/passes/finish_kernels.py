"""The pass `amd-finish-kernels`: what LLVM must be told of kernels, and that nothing else is left."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass

LDS_ALIGNMENT = 16
"""Bytes; the widest access to LDS."""

_LDS_SPACE = 3
_LIBRARY = "__oc"
"""How names of the functions of AMD's device libraries begin."""

_LOAD_TO_LDS = "rocdl.raw.ptr.buffer.load.lds"
_LDS_ACCESSES = {"llvm.load": 0, "llvm.store": 1, "rocdl.ds.read.tr16.b64": 0}
"""Accesses to LDS but for loads into it, and which of their operands is the address."""

_DOMAIN = '#llvm.alias_scope_domain<id = "amd.lds">'
_LOADS_SCOPE = f'[#llvm.alias_scope<id = "amd.lds.loads", domain = {_DOMAIN}>]'
_OTHERS_SCOPE = f'[#llvm.alias_scope<id = "amd.lds.others", domain = {_DOMAIN}>]'

_DIALECTS = ("llvm.", "rocdl.")
_CAST = "builtin.unrealized_conversion_cast"
_ATTRIBUTES = ("rocdl.kernel", "gpu.kernel")


@register_pass
class FinishKernels(Pass):
    """Tell LLVM the sizes of workgroups and how arrays in LDS are aligned; refuse what was not lowered.

    *Before*: a `gpu.module` of `llvm.func`, as `convert-gpu-to-rocdl` leaves it. *After*: each kernel states
    its number of threads, and arrays in LDS begin at multiples of 16 bytes, which accesses to vectors in them
    rely on. Every operation is one of LLVM's or ROCDL's dialect. Denormal numbers stay what LLVM's kernels do
    with them unless they are told otherwise: they are kept, in all types. Maxima and minima take signaling
    NaNs for quiet ones (`amdgpu-ieee` is false), or else each operand were made quiet first; but not where
    functions of AMD's libraries are called, which are not put into kernels of another mode.

    ```mlir
    llvm.mlir.global internal @lds() {addr_space = 3 : i32} : !llvm.array<512 x f16>
    llvm.func @f(%a: !llvm.ptr<1>) attributes {gpu.kernel, rocdl.kernel}
    ```
    becomes, for 4 waves,
    ```mlir
    llvm.mlir.global internal @lds() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<512 x f16>
    llvm.func @f(%a: !llvm.ptr<1>) attributes {gpu.kernel, rocdl.kernel,
      rocdl.flat_work_group_size = "256,256", rocdl.reqd_work_group_size = array<i32: 256, 1, 1>, ...}
    ```
    """

    NAME = "amd-finish-kernels"
    ANCHOR = "gpu.module"

    waves: int = option(4, "waves of a workgroup, of 64 threads")
    waves_per_simd: int = option(0, "waves of a SIMD that registers are chosen for; 0: LLVM chooses")

    def __post_init__(self) -> None:
        if not 1 <= self.waves <= 16:
            raise ValueError(f"expects waves of 1 to 16, got {self.waves}")
        if not 0 <= self.waves_per_simd <= 8:
            raise ValueError(f"expects waves-per-simd of 0 to 8, got {self.waves_per_simd}")

    def run(self, op: ir.Operation) -> None:
        """Set attributes in `op`."""
        left = [child for child in rw.walk_list(op) if not child.name.startswith(_DIALECTS)]
        for child in left:
            if child.name != _CAST:
                raise PassFailure(child, "unsupported: it has no lowering to LLVM")
        for child in left:
            raise PassFailure(child, f"unsupported: {_odd_type(child)} has no lowering to LLVM")
        _refuse_missing_functions(op)
        for child in rw.walk_list(op, "llvm.alloca"):
            if child.results[0].type == ir.Type.parse("!llvm.ptr"):
                raise PassFailure(child, "unsupported: memory of a lane that is not in its own address space")
        (block,) = op.regions[0].blocks
        self._separate(op)
        names = [rw.symbol_name(each) for each in rw.walk_list(op, "llvm.func")]
        has_library = any(name.startswith(_LIBRARY) for name in names)
        for view in block.operations:
            child = view.operation
            if child.name == "llvm.mlir.global":
                self._align(child)
            elif child.name == "llvm.func" and any(name in child.attributes for name in _ATTRIBUTES):
                self._describe(child, has_library=has_library)

    def _separate(self, op: ir.Operation) -> None:
        """Say that accesses to LDS are not of what loads put there meanwhile: barriers are between these."""
        loads = rw.walk_list(op, _LOAD_TO_LDS)
        if not loads:
            return
        scopes = ir.Attribute.parse(_LOADS_SCOPE)
        for each in loads:
            each.attributes["alias_scopes"] = scopes
        for each in rw.walk_list(op):
            address = _LDS_ACCESSES.get(each.name)
            if address is not None and f"<{_LDS_SPACE}>" in str(each.operands[address].type):
                each.attributes["noalias_scopes"] = scopes
                each.attributes["alias_scopes"] = ir.Attribute.parse(_OTHERS_SCOPE)

    def _align(self, array: ir.Operation) -> None:
        if "addr_space" in array.attributes and array.attributes["addr_space"].value == _LDS_SPACE:
            i64 = ir.IntegerType.get_signless(64)
            array.attributes["alignment"] = ir.IntegerAttr.get(i64, LDS_ALIGNMENT)

    def _describe(self, kernel: ir.Operation, *, has_library: bool) -> None:
        threads = 64 * self.waves
        kernel.attributes["rocdl.flat_work_group_size"] = ir.StringAttr.get(f"{threads},{threads}")
        kernel.attributes["rocdl.reqd_work_group_size"] = ir.DenseI32ArrayAttr.get([threads, 1, 1])
        passed = {} if has_library else {"amdgpu-ieee": "false"}
        if self.waves_per_simd:
            # With one number alone LLVM takes it for the least, and may choose registers for more waves.
            passed["amdgpu-waves-per-eu"] = f"{self.waves_per_simd},{self.waves_per_simd}"
        pairs = [ir.ArrayAttr.get([ir.StringAttr.get(text) for text in pair]) for pair in passed.items()]
        if pairs:
            kernel.attributes["passthrough"] = ir.ArrayAttr.get(pairs)


def _refuse_missing_functions(op: ir.Operation) -> None:
    """Refuse calls of functions that are neither here nor in AMD's libraries: no linker would miss them."""
    missing = {
        name
        for each in rw.walk_list(op, "llvm.func")
        if not len(each.regions[0].blocks)
        and not (name := rw.symbol_name(each)).startswith((_LIBRARY, "llvm."))
    }
    for call in rw.walk_list(op, "llvm.call"):
        if "callee" in call.attributes and call.attributes["callee"].value in missing:
            name = call.attributes["callee"].value
            raise PassFailure(call, f"unsupported: a call of '{name}', which is defined nowhere")


def _odd_type(cast: ir.Operation) -> str:
    """The type that a conversion left behind: LLVM's are those of the other side."""
    types = [str(value.type) for value in (*cast.operands, *cast.results)]
    odd = [text for text in types if text.startswith(("tensor", "memref", "index", "vector<")) or "x" in text]
    return f"type {(odd or types)[0]}"
