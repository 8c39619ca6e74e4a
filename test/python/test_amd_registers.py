"""What kernels of lanes are said to need, and what their code has: registers and local memory."""

import pytest
from example_files import load

import aecompiler as aec
from aecompiler.backends.amd.distribute.registers import needed_registers
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import ResourceError
from aecompiler.passes.infra import run_pipeline
from aecompiler.passes.rewriting import walk_list
from aecompiler.tools.registration import register_all

register_all()

LANES = "attn-tt{block-q=64 block-kv=64 library=ocml approximate-reciprocals=false},amd-tt-to-lanes"


def estimates(program):
    """The kernels of a program on lanes, and what each is said to need: registers, bytes of local memory."""
    module = ir.Module.parse(str(program))
    run_pipeline(module, f"builtin.module({LANES}{{chip=gfx942}})")
    found = {}
    for function in walk_list(module.operation, "gpu.func"):
        names = ("amd.registers", "amd.shared_bytes")
        found[function.attributes["sym_name"].value] = tuple(
            function.attributes[each].value for each in names
        )
    return module, found


@pytest.mark.parametrize("name", ["softmax", "retention", "gated_retention", "sigmoid", "mla"])
def test_estimates_are_near_what_code_has(name):
    pytest.importorskip("triton")
    from aecompiler.backends.amd.codegen.compiler import compile_module

    with make_context(allow_unregistered_dialects=True):
        module, found = estimates(load(name).build(dtype="f16"))
        made = compile_module(module, "gfx942", waves=4, fuse_multiply_add=True)
    for kernel, (registers, shared) in found.items():
        resources = made[kernel].resources
        assert resources.lds_bytes == shared or shared == 0
        assert abs(resources.vgprs + resources.agprs - registers) <= 16 + registers // 2
        assert not resources.vgpr_spills


def test_what_lanes_share_needs_no_vector_registers():
    with make_context():
        module = ir.Module.parse("""
          gpu.module @kernels {
            gpu.func @f(%a: i32, %o: !llvm.ptr<1>) kernel {
              %b = arith.addi %a, %a : i32
              %t = gpu.thread_id x
              %i = arith.index_cast %t : index to i32
              %c = arith.addi %i, %b : i32
              %v = vector.broadcast %c : i32 to vector<4xi32>
              %w = arith.addi %v, %v : vector<4xi32>
              llvm.store %w, %o : vector<4xi32>, !llvm.ptr<1>
              gpu.return
            }
          }""")
        (function,) = walk_list(module.operation, "gpu.func")
        assert needed_registers(function) == 4  # results may have the registers of operands


def test_kernels_that_do_not_fit_are_refused_before_there_is_code(monkeypatch):
    from aecompiler.backends.amd import mlir_road

    monkeypatch.setattr(mlir_road, "compile_module", lambda *_, **__: pytest.fail("there is code"))
    program = load("softmax").build(features=512, value_features=512, dtype="f16")
    with pytest.raises(ResourceError, match=r"bytes of LDS in a workgroup|vector registers of a lane"):
        aec.compile(program, target="amd:gfx942", block_q=256, block_kv=256, waves=4, road="mlir")
