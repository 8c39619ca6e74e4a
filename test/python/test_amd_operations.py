"""Operations of the lane level: each chip has code for those that it can run, and refuses others by name."""

from __future__ import annotations

import pytest
from amd_lanes import LDS, elementwise, module

from aecompiler.backends.amd.codegen.compiler import compile_module
from aecompiler.backends.amd.target import NAMED_TARGETS, AmdTarget
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import AecError

pytest.importorskip("triton")

ARRAY = f"memref<4096xf16, {LDS}>"
COMMON = """
    %h = arith.truncf %x : f32 to f16
    %i = arith.bitcast %x : f32 to i32
    %ti = arith.index_cast %t : index to i32
    %half = arith.constant 0.5 : f32
    %zero = llvm.mlir.constant(0 : i32) : i32
    %four = llvm.mlir.constant(4 : i32) : i32
    %stride = llvm.mlir.constant(0 : i16) : i16
    %bytes = llvm.mlir.constant(1024 : i64) : i64
    %flags = llvm.mlir.constant(159744 : i32) : i32
    %buffer = rocdl.make.buffer.rsrc %p, %stride, %bytes, %flags : !llvm.ptr<1> to !llvm.ptr<8>
    %base = memref.extract_aligned_pointer_as_index %lds : ARRAY -> index
    %base32 = arith.index_cast %base : index to i32
    %place = llvm.inttoptr %base32 : i32 to !llvm.ptr<3>
"""
READ = """
    gpu.barrier
    %read = memref.load %lds[%t] : ARRAY
    %r = arith.extf %read : f16 to f32"""

EVERYWHERE = {
    "buffers": (
        """%q = rocdl.raw.ptr.buffer.load %buffer, %ti, %zero, pre_gfx12 <none> : vector<4xf32>
    rocdl.raw.ptr.buffer.store %q, %buffer, %ti, %zero, pre_gfx12 <none> : vector<4xf32>
    %r = vector.extract %q[0] : f32 from vector<4xf32>""",
        ("buffer_load_dwordx4", "buffer_store_dwordx4"),
    ),
    "buffer_to_lds": (
        "rocdl.raw.ptr.buffer.load.lds %buffer, %place, %four, %ti, %zero, %zero, pre_gfx12 <none>" + READ,
        ("buffer_load_dword",),
    ),
    "memory_to_lds": (
        "rocdl.load.to.lds %px, %place, 4, 0, 0 : !llvm.ptr<1>" + READ,
        ("global_load",),
    ),
    "scheduling": (
        """rocdl.s.setprio 1
    rocdl.sched.barrier none
    %y = arith.addf %x, %x : f32
    rocdl.sched.group.barrier mfma_wmma, 1, 0
    rocdl.s.setprio 0
    rocdl.s.waitcnt 0
    rocdl.s.barrier
    %r = arith.addf %y, %x : f32""",
        ("s_setprio 1", "s_setprio 0", "s_barrier"),
    ),
    "lds_barriers": (
        """memref.store %h, %lds[%t] : ARRAY
    amdgpu.lds_barrier
    amdgpu.memory_counter_wait load(0) ds(0)
    amdgpu.sched_barrier allow = none"""
        + READ,
        ("s_barrier",),
    ),
    "lanes": (
        """%a = rocdl.readfirstlane %i : i32
    %b = rocdl.readlane %i, %four : (i32, i32) -> i32
    %c = rocdl.update.dpp %i, %i with 273, 15, 15, true : i32
    %d = rocdl.ds_bpermute %ti, %c : (i32, i32) -> i32
    %e = rocdl.ds_swizzle %d, %four : (i32, i32) -> i32
    %f = arith.addi %a, %b : i32
    %g = arith.addi %f, %e : i32
    %r = arith.bitcast %g : i32 to f32""",
        ("v_readfirstlane_b32", "row_shr:1", "ds_bpermute_b32", "ds_swizzle_b32"),
    ),
    "votes": (
        """%less = arith.cmpf olt, %x, %half : f32
    %mask = rocdl.ballot %less : i64
    %low = arith.trunci %mask : i64 to i32
    %r = arith.bitcast %low : i32 to f32""",
        ("v_cmp",),
    ),
    "floats": (
        """%a = rocdl.exp2 %x f32 -> f32
    %b = rocdl.log %a f32 -> f32
    %c = rocdl.rcp %b f32 -> f32
    %d = rocdl.rsq %c f32 -> f32
    %e = rocdl.sqrt %d f32 -> f32
    %f = rocdl.fmed3 %e, %x, %d : f32
    %g = rocdl.cvt.pkrtz %f, %x : vector<2xf16>
    %k = vector.extract %g[1] : f16 from vector<2xf16>
    %r = arith.extf %k : f16 to f32""",
        ("v_exp_f32", "v_log_f32", "v_rcp_f32", "v_rsq_f32", "v_sqrt_f32", "v_med3_f32"),
    ),
    "shuffles": (
        """%width = arith.constant 64 : i32
    %a, %a1 = gpu.shuffle xor %x, %four, %width : f32
    %b, %b1 = gpu.shuffle down %a, %four, %width : f32
    %c, %c1 = gpu.shuffle up %b, %four, %width : f32
    %r, %d1 = gpu.shuffle idx %c, %four, %width : f32""",
        (),
    ),
    "assembly": (
        'llvm.fence syncscope("workgroup") release\n'
        '    %r = llvm.inline_asm "v_mov_b32 $0, $1", "=v,v" %x : (f32) -> f32',
        ("v_mov_b32",),
    ),
    "atomics": (
        """%old = llvm.atomicrmw fadd %px, %x syncscope("agent") monotonic : !llvm.ptr<1>, f32
    %r = arith.addf %old, %x : f32""",
        ("global_atomic",),
    ),
    "vectors": (
        """%a = vector.broadcast %x : f32 to vector<8xf32>
    %b = arith.truncf %a : vector<8xf32> to vector<8xbf16>
    %c = vector.bitcast %b : vector<8xbf16> to vector<4xi32>
    %d = vector.shuffle %c, %c [0, 5, 2, 7] : vector<4xi32>, vector<4xi32>
    %e = vector.bitcast %d : vector<4xi32> to vector<8xbf16>
    %f = arith.extf %e : vector<8xbf16> to vector<8xf32>
    %k = arith.constant dense<[0.1, 0.2, 3.0, 0xFF800000, 0x7FC00000, -0.0, 1.0e30, 1.0e-42]> : vector<8xf32>
    %l = arith.maxnumf %f, %k : vector<8xf32>
    %m = math.fma %l, %k, %f : vector<8xf32>
    %n = arith.maximumf %m, %k : vector<8xf32>
    %u = arith.cmpf olt, %n, %k : vector<8xf32>
    %v = arith.select %u, %n, %k : vector<8xi1>, vector<8xf32>
    %r = vector.reduction <add>, %v : vector<8xf32> into f32""",
        ("v_max",),
    ),
    "integers": (
        """%a = arith.index_castui %t : index to i32
    %b = arith.extui %a : i32 to i64
    %c = arith.addi %b, %b overflow<nsw, nuw> : i64
    %d = arith.minsi %c, %bytes : i64
    %e, %f = arith.mului_extended %a, %a : i32
    %g = arith.trunci %d : i64 to i32
    %j = arith.addi %g, %f : i32
    %k = arith.ceildivui %j, %four : i32
    %l = math.ctpop %k : i32
    %m = arith.uitofp %l : i32 to f32
    %r = arith.addf %m, %x : f32""",
        ("v_bcnt_u32_b32",),
    ),
    "control_flow": (
        """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %s = scf.for %k = %c0 to %t step %c1 iter_args(%sum = %x) -> f32 {
      %less = arith.cmpf olt, %sum, %half : f32
      %q = scf.if %less -> f32 {
        %y = arith.addf %sum, %x : f32
        scf.yield %y : f32
      } else {
        scf.yield %sum : f32
      }
      scf.yield %q : f32
    }
    %r = scf.while (%a = %s) : (f32) -> f32 {
      %less = arith.cmpf olt, %a, %half : f32
      scf.condition(%less) %a : f32
    } do {
    ^bb0(%b: f32):
      %u = arith.addf %b, %half : f32
      scf.yield %u : f32
    }""",
        ("s_cbranch",),
    ),
    "places": (
        """%a = gpu.block_id x
    %b = gpu.grid_dim x
    %c = gpu.block_dim x
    %d = gpu.lane_id
    %e = arith.addi %a, %b : index
    %f = arith.addi %e, %c : index
    %g = arith.addi %f, %d : index
    %k = arith.index_cast %g : index to i32
    %r = arith.sitofp %k : i32 to f32""",
        (),
    ),
}
"""Bodies from %x to %r, and words of the assembly."""

WITH_MORE = {
    "wide_memory_to_lds": (
        "rocdl.load.to.lds %px, %place, 16, 0, 0 : !llvm.ptr<1>" + READ,
        "global_load_lds_dwordx4",
        lambda target: target.direct_to_lds_bytes >= 16,
        "llvm.amdgcn.load.to.lds",
    ),
    "transposed_lds_reads": (
        """memref.store %h, %lds[%t] : ARRAY
    gpu.barrier
    %q = rocdl.ds.read.tr16.b64 %place : !llvm.ptr<3> -> vector<4xf16>
    %k = vector.extract %q[1] : f16 from vector<4xf16>
    %r = arith.extf %k : f16 to f32""",
        "ds_read_b64_tr_b16",
        lambda target: target.has_transposed_lds_reads,
        "llvm.amdgcn.ds.read.tr16.b64",
    ),
    "permlane_swaps": (
        """%s = rocdl.permlane32.swap %i, %i, false, false : (i32, i32) -> <(i32, i32)>
    %u = llvm.extractvalue %s[1] : !llvm.struct<(i32, i32)>
    %r = arith.bitcast %u : i32 to f32""",
        "v_permlane32_swap_b32",
        lambda target: target.has_permlane_swaps,
        "llvm.amdgcn.permlane32.swap",
    ),
}
"""Bodies of what only some chips have: the instruction, which chips, and the word of the refusal."""

TARGETS = pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.chip)


def kernel(body: str, name: str) -> str:
    text = elementwise(COMMON + body, name=name).replace("kernel {", f"workgroup(%lds: {ARRAY}) kernel {{")
    return text.replace("ARRAY", ARRAY)


def assemblies(target: AmdTarget, *kernels: str) -> dict[str, str]:
    with make_context():
        made = compile_module(ir.Module.parse(module(*kernels)), target.chip, waves=4)
    return {name: each.assembly for name, each in made.items()}


@TARGETS
def test_operations_of_all_chips(target):
    found = assemblies(target, *(kernel(body, name) for name, (body, _) in EVERYWHERE.items()))
    for name, (_, words) in EVERYWHERE.items():
        missing = [word for word in words if word not in found[name]]
        assert not missing, f"{name}: {missing} in\n{found[name]}"


@TARGETS
@pytest.mark.parametrize("name", WITH_MORE)
def test_operation_of_some_chips(target, name):
    body, instruction, is_there, word = WITH_MORE[name]
    if is_there(target):
        assert instruction in assemblies(target, kernel(body, name))[name]
        return
    with pytest.raises(AecError, match=word.replace(".", r"\.")) as caught:
        assemblies(target, kernel(body, name))
    assert str(caught.value).startswith(f"kernel '{name}' for {target.chip}: ")


@TARGETS
def test_matrix_instructions(target):
    """Each that the target names is selected for operands of its shape."""
    kernels = []
    for number, each in enumerate(target.matrix_instructions):
        dtype = "f32" if each.dtype == "xf32" else each.dtype
        operand = f"vector<{each.operand_elements}x{dtype}>" if each.operand_elements > 1 else dtype
        sums = f"vector<{each.sum_elements}x{each.sum_dtype}>"
        convert = {"f16": "truncf", "bf16": "truncf", "f64": "extf"}.get(dtype)
        body = f"%e = arith.{convert} %x : f32 to {dtype}\n" if convert else "%e = arith.addf %x, %x : f32\n"
        body += f"%v = vector.broadcast %e : {dtype} to {operand}\n" if operand != dtype else ""
        value = "%v" if operand != dtype else "%e"
        reduced = " {reducePrecision}" if each.dtype == "xf32" else ""
        body += f"%none = arith.constant dense<0.0> : {sums}\n"
        body += f"%q = amdgpu.mfma {each.m}x{each.n}x{each.k} {value} * {value} + %none{reduced} blgp = none"
        body += f" : {operand}, {operand}, {sums}\n%d = vector.extract %q[1] : {each.sum_dtype} from {sums}\n"
        body += (
            "%r = arith.addf %d, %x : f32" if each.sum_dtype == "f32" else "%r = arith.truncf %d : f64 to f32"
        )
        kernels.append(kernel(body, f"k{number}"))
    found = assemblies(target, *kernels)
    for number, each in enumerate(target.matrix_instructions):
        assert each.name in found[f"k{number}"], each
