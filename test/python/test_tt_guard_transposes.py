"""Products with transposed results of others: their numbers, turned around, and what Triton makes of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from triton_interpreter import Frame, pointers_to

from aecompiler.backends.nvidia.schedule import NvidiaSchedule, pipeline_for
from aecompiler.backends.nvidia.target import NAMED_TARGETS, SM_90
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.compiler import compile_kernel
from aecompiler.backends.triton.kernel_text import kernel_texts
from aecompiler.backends.triton.tt_guard_transposes import GuardTransposes
from aecompiler.bindings import arith, ir
from aecompiler.dialect import make_context
from aecompiler.passes.pipeline import run_pipeline

N = 64
GUARD = f"builtin.module({GuardTransposes.NAME})"
IN_REGISTERS = re.compile(r"tt\.trans %.*: tensor<64x64xbf16, #mma\d*>")
"""The transpose of a product's result that is computed in registers."""


def kernel(*, turns: int, element: str = "bf16") -> ir.Module:
    """o = sum over turns of (0.5 a b)^T c, of matrices in memory; a turn takes c of the one before."""
    with make_context(allow_unregistered_dialects=True), ir.Location.unknown():
        module, number, f32 = ir.Module.create(), ir.Type.parse(element), ir.F32Type.get()
        pointer = ir.Type.parse(f"!tt.ptr<{element}>")
        with ir.InsertionPoint(module.body):
            function = tt.func("f", [pointer] * 3 + [ir.Type.parse("!tt.ptr<f32>")])
        block = kir.body_of(function)
        with ir.InsertionPoint(block):
            places = _places()
            a, b, c = (tt.load(_pointers(each, places)) for each in list(block.arguments)[:3])
            zero = tt.splat(tt.constant(f32, 0.0), [N, N])
            sums = zero
            for _ in range(turns):
                product = tt.dot(a, b, zero, "tf32")
                scaled = arith.mulf(product, tt.splat(tt.constant(f32, 0.5), [N, N]))
                weights = arith.truncf(tt.typed([N, N], number), scaled) if element != "f32" else scaled
                sums = tt.dot(tt.trans(weights, [1, 0]), c, sums, "tf32")
                b = weights
            tt.store(_pointers(block.arguments[3], places), sums)
            tt.ret()
        return module


def _places() -> ir.Value:
    i = tt.make_range(N)
    width = tt.splat(tt.constant(tt.integer(32), N), [N, 1])
    rows = arith.muli(tt.expand_dims(i, 1), width)
    return arith.addi(tt.broadcast(rows, [N, N]), tt.broadcast(tt.expand_dims(i, 0), [N, N]))


def _pointers(base: ir.Value, places: ir.Value) -> ir.Value:
    return tt.addptr(tt.splat(base, [N, N]), places)


def computed(module: ir.Module) -> np.ndarray:
    random = np.random.default_rng(5)
    inputs = [random.standard_normal((N, N), dtype=np.float32) for _ in range(3)]
    out = np.full((N, N), np.nan, np.float32)
    frame = Frame({}, (0, 0, 0, 1, 1, 1))
    block = kir.body_of(module.body.operations[0].operation)
    with module.context:
        for parameter, array in zip(block.arguments, [*inputs, out], strict=True):
            frame.values[parameter] = pointers_to(array, writable=array is out)
        frame.block(block)
    return out


def test_products_that_are_turned_around_have_the_same_sums():
    usual, guarded = kernel(turns=3, element="f32"), kernel(turns=3, element="f32")
    run_pipeline(guarded, GUARD)
    assert str(usual) != str(guarded)
    expected = computed(usual)
    assert np.abs(computed(guarded) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("turns", [1, 2])
def test_no_result_is_transposed_in_registers_for_a_product(turns):
    pytest.importorskip("triton")
    forms = []
    for guard in (False, True):
        module = kernel(turns=turns)
        if guard:
            run_pipeline(module, GUARD)
        (text,) = kernel_texts(module)
        made = compile_kernel(text.text, text.name, SM_90)
        assert "wgmma.mma_async" in made.ptx
        forms.append(bool(IN_REGISTERS.search(str(made.stages["ttgir"]))))
    assert forms == [True, False]


@pytest.mark.parametrize(
    ("triton", "is_guarded"),
    [
        ((), True),
        ((3, 3, 1), False),
        ((3, 4, 0), True),
        ((3, 6, 0), True),
        ((3, 7, 1), True),
        ((3, 8, 0), False),
    ],
)
def test_versions_that_are_guarded_against(triton, is_guarded):
    for schedule in (NvidiaSchedule(block_q=64), NvidiaSchedule(consumers=2)):
        assert ("guard-transposes=true" in pipeline_for(schedule, SM_90, triton)) is is_guarded


def test_chips_without_wgmma_have_no_guard():
    others = [each for each in NAMED_TARGETS.values() if each.matrix_instruction != "wgmma"]
    assert others
    assert not any(
        "guard-transposes" in pipeline_for(NvidiaSchedule(block_q=64), each, ()) for each in others
    )
