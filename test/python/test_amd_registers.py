"""What kernels of lanes are said to need, and what their code has: registers and local memory."""

import pytest
from amd_road import attention, compiled
from example_files import load

import aecompiler as aec
from aecompiler.backends.amd.distribute.registers import needed_registers
from aecompiler.backends.gpu.artifact import ALIGNED
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import ResourceError
from aecompiler.passes.rewriting import walk_list


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


def test_registers_leave_room_for_the_waves_that_are_asked_for():
    pytest.importorskip("triton")
    program = attention(1, 1, 128, 128, normalize=aec.normalizers.softmax(lse=True))
    code = compiled(program, "gfx950", waves_per_simd=4).artifact.code("program_0", ALIGNED)
    assert code.resources.registers <= 512 // 4
    assert not code.resources.scratch_bytes
    with pytest.raises(
        ResourceError, match=r"at most 128 vector registers of a lane in 4 waves, with 4 on each"
    ):
        compiled(program, "gfx950", waves_per_simd=4, block_q=128, block_kv=64, waves=4)


def test_code_with_registers_in_memory_is_refused(monkeypatch):
    """An estimate may be too low."""
    pytest.importorskip("triton")
    from aecompiler.backends.amd import mlir_road

    monkeypatch.setattr(mlir_road, "_check_prediction", lambda *_: None)
    program = attention(1, 1, 128, 128, normalize=aec.normalizers.softmax(lse=True))
    with pytest.raises(
        ResourceError, match=r"expects code without scratch memory, got \d+ bytes for \d+ vector"
    ):
        compiled(program, "gfx950", waves_per_simd=4, block_q=128, block_kv=64, waves=4, loads="registers")
