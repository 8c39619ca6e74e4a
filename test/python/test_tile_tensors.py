"""attn-tile-tensors: what is computed around attention, in kernels, against the float64 reference."""

from __future__ import annotations

import collections
import re

import numpy as np
import pytest
import triton_interpreter
from drawn_programs import each_different, each_drawn
from example_files import FOLDER, load
from host_programs import host_programs
from random_programs import attention_programs
from random_tiles import tile_programs
from surroundings import PROGRAMS
from test_attn_fuse_elementwise import arguments_of
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.nvidia import pipelines  # noqa: F401  (registers)
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError
from aecompiler.passes import rewriting as rw
from aecompiler.passes.pipeline import run_pipeline
from aecompiler.reference import evaluate
from aecompiler.signature import inlined

TOLERANCE = {"f32": 3e-5, "f64": 1e-12, "bf16": 3e-2, "f16": 5e-3}
SIZES = [
    {"B": 2, "Sq": 17, "Skv": 33},
    {"B": 1, "Sq": 1, "Skv": 1},
    {"B": 1, "Sq": 0, "Skv": 5},
    {"B": 1, "Sq": 5, "Skv": 0},
]


def assert_right(got, want, dtype):
    assert got.shape == want.shape
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(got.astype(np.float64), want, **close)


@pytest.mark.parametrize("name", PROGRAMS)
def test_work_around_attention_agrees_with_the_reference(name):
    traced = PROGRAMS[name]
    kernels = Kernels(traced.module)
    rounded = traced.arguments[0].spec.dtype
    for sizes in SIZES:
        for dtype, got, want in kernels.run(list(arguments_of(traced, sizes))):
            assert_right(got, want, max(dtype, rounded, key=TOLERANCE.__getitem__))


# ---- one operation -----------------------------------------------------------------------------------


OPERATIONS = {
    "matmul": (
        "linalg.matmul ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?x20", "20x?", "?x?"),
        ((70, 20), (20, 37), (70, 37)),
    ),
    "matmul in pieces": (
        "linalg.matmul ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?x?", "?x?", "?x?"),
        ((3, 75), (75, 5), (3, 5)),
    ),
    "matmul of nothing": (
        "linalg.matmul ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?x?", "?x?", "?x?"),
        ((3, 0), (0, 5), (3, 5)),
    ),
    "batch_matmul": (
        "linalg.batch_matmul ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?x?x8", "?x8x5", "?x?x5"),
        ((3, 9, 8), (3, 8, 5), (3, 9, 5)),
    ),
    "matvec": (
        "linalg.matvec ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?x?", "?", "?"),
        ((40, 300), (300,), (40,)),
    ),
    "vecmat": (
        "linalg.vecmat ins(%a, %b : A, B) outs(%c : C) -> C",
        ("?", "?x?", "?"),
        ((50,), (50, 40), (40,)),
    ),
    "dot": ("linalg.dot ins(%a, %b : A, B) outs(%c : C) -> C", ("?", "?", ""), ((2500,), (2500,), ())),
    "concat of dynamic parts": (
        "tensor.concat dim(1) %a, %b : (A, B) -> C",
        ("2x?x3", "2x?x3", "2x?x3"),
        ((2, 5, 3), (2, 4, 3), (2, 9, 3)),
    ),
    "concat of an empty part": (
        "tensor.concat dim(1) %a, %b : (A, B) -> C",
        ("2x?x3", "2x?x3", "2x?x3"),
        ((2, 0, 3), (2, 4, 3), (2, 4, 3)),
    ),
    "insert_slice with steps": (
        "tensor.insert_slice %a into %c[1, 0] [4, 3] [2, 1] : A into C",
        ("4x3", "", "?x5"),
        ((4, 3), (), (9, 5)),
    ),
    "insert_slice of fewer dimensions": (
        "tensor.insert_slice %a into %c[0, 2, 1] [2, 1, 3] [1, 1, 1] : A into C",
        ("2x3", "", "2x?x5"),
        ((2, 3), (), (2, 4, 5)),
    ),
    "collapse_shape of computed": (
        "tensor.collapse_shape %s [[0, 1], [2]] : A into C",
        ("?x4x3", "", "?x3"),
        ((5, 4, 3), (), (20, 3)),
    ),
    "expand_shape of computed": (
        "tensor.expand_shape %s [[0, 1], [2]] output_shape [%n, 4, 3] : A into C",
        ("?x3", "", "?x4x3"),
        ((20, 3), (), (5, 4, 3)),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree_with_the_reference(name):
    text, shapes, sizes = OPERATIONS[name]
    types = [f"tensor<{shape}{'x' if shape else ''}f32>" for shape in shapes]
    for letter, type_ in zip("ABC", types, strict=True):
        text = re.sub(rf"\b{letter}\b", type_, text)
    after = f"%r2 = arith.negf %r : {types[2]}\n" if "into" not in name else ""
    module = f"""
      func.func @f(%a: {types[0]}, %b: {types[1]}, %c: {types[2]}) -> {types[2]} {{
        %zero = arith.constant 0 : index
        %s = math.absf %a : {types[0]}
        {"%n = tensor.dim %c, %zero : " + types[2] if "%n" in text else ""}
        %r = {text}
        {after}
        return {"%r2" if after else "%r"} : {types[2]}
      }}"""
    rng = np.random.default_rng(len(name))
    inputs = [rng.standard_normal(each).astype(np.float32) for each in sizes]
    with make_context():
        kernels = Kernels(ir.Module.parse(module))
        for _, got, want in kernels.run(inputs):
            assert_right(got, want, "f32")


GENERIC = """
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @f(%a: tensor<?x?x{type}>, %c: tensor<?x{type}>) -> tensor<?x{type}> {{
  %r = linalg.generic {{indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}}
    ins(%a : tensor<?x?x{type}>) outs(%c : tensor<?x{type}>) {{
  ^bb0(%x: {type}, %z: {type}):
    {body}
    linalg.yield %y : {type}
  }} -> tensor<?x{type}>
  return %r : tensor<?x{type}>
}}
"""

BODIES = {
    "sum": ("f32", "%y = arith.addf %z, %x : f32"),
    "product": ("f32", "%y = arith.mulf %x, %z : f32"),
    "least": ("f32", "%y = arith.minimumf %x, %z : f32"),
    "largest integer": ("i32", "%y = arith.maxsi %x, %z : i32"),
    "one that is not known": ("f32", "%h = arith.mulf %z, %z : f32\n%y = arith.subf %x, %h : f32"),
    "last": ("f32", "%y = arith.addf %x, %x : f32"),
}


@pytest.mark.parametrize("shape", [(3, 5), (40, 300), (1, 0), (0, 3)])
@pytest.mark.parametrize("name", BODIES)
def test_reductions_agree_with_the_reference(name, shape):
    element, body = BODIES[name]
    rng = np.random.default_rng(5)
    inputs = [rng.standard_normal(each) * 0.4 for each in (shape, shape[:1])]
    inputs = [each.astype(np.float32) if element == "f32" else (each * 9).astype(np.int32) for each in inputs]
    with make_context():
        module = ir.Module.parse(GENERIC.format(type=element, body=body))
    buffer = Kernels(module)
    want = evaluate(module.body.operations[0], inputs)
    got = triton_interpreter.run(buffer.module, "f", inputs)
    assert_right(got[0], np.asarray(want[0], np.float64), "f32")


# ---- what becomes of programs ------------------------------------------------------------------------


def convert(module: ir.Module) -> int:
    """The number of kernels of a program, whose host function can be planned."""
    lowered = Kernels(module, "block-q=32 block-kv=32").module
    with lowered.context:
        functions = kir.kernels(lowered.operation)
        types = {
            rw.symbol_name(each): [
                str(type_)
                for type_ in ir.FunctionType(ir.TypeAttr(each.attributes["function_type"]).value).inputs
            ]
            for each in functions
        }
        host = next(view.operation for view in lowered.body.operations if view.operation.name == "func.func")
        read_plan(host, types)
    return len(functions)


def test_views_need_no_kernels():
    """Slices, transposes and features of every other place of a result are read and copied by strides."""
    assert convert(PROGRAMS["results_in_parts"].module) == 1


def test_examples_convert():
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem != "demo":
            convert(load(path.stem).build().module)


@pytest.mark.parametrize("name", ["tiles", "wild"])
def test_all_random_programs_convert(name):
    strategy = tile_programs() if name == "tiles" else attention_programs()
    different = each_different(
        strategy, 11, 40, lambda program: convert(program.trace().module), draws_each=5
    )
    assert different >= 40


REFUSED = ("'scf.for' op", "'tensor.pad' op", "'tensor.extract_slice' op", "'attn.attention' op")
"""Loops around attention; padding by sizes of the call in attention's own tiles; vectors without features."""


def test_random_operations_around_attention_agree_with_the_reference(report_lines):
    """What is refused is refused for a reason that is known, and what is not is right."""
    outcomes: collections.Counter[str] = collections.Counter()
    different: set[str] = set()

    def check(program):
        if program.text in different or len(different) >= 50:
            return
        different.add(program.text)
        try:
            kernel = aec.compile(program.text, opt_level=0)
        except (aec.CompileError, aec.UnsupportedError):
            outcomes["not a program"] += 1
            return
        try:
            with make_context(allow_unregistered_dialects=True):
                module, _ = inlined(program.text, kernel.name)
                run_pipeline(module, "builtin.module(attn-tt{block-q=16 block-kv=16})")
        except CompileError as error:
            if not any(each in str(error) for each in REFUSED):
                raise
            outcomes["refused"] += 1
            return
        for call in program.calls:
            inputs = program.inputs(call)
            try:
                want = kernel(*inputs)
            except (ValueError, TypeError):
                continue
            try:
                got = triton_interpreter.run(module, kernel.name, inputs)
            except KeyError as missing:  # what the plan refuses, the interpreter does not know
                if not any(str(missing.args[0]) in each for each in REFUSED):
                    raise
                outcomes["refused by the plan"] += 1
                return
            for has, should in zip(got, want, strict=True):
                np.testing.assert_allclose(has, should, rtol=1e-5, atol=1e-5)
            outcomes["calls"] += 1

    each_drawn(host_programs(), 3, 150, check)
    report_lines.append(f"operations around attention: {len(different)} random programs; {dict(outcomes)}")
    assert outcomes["calls"] >= 50
