"""How hard LLVM works where the schedule leaves the choice: little on vectors, much on loops over scalars."""

import pytest
from cpu_kernels import emit
from ir_programs import CAUSAL, WEIGHTS, attention

from aecompiler.backends.cpu.code_quality import FAST, THOROUGH, optimization_level
from aecompiler.bindings import ir

SHAPES = {"q": "?x2x?x16", "k": "?x2x?x16", "v": "?x2x?x16"}


def level(text, entry, **options):
    return emit(text, entry, **{"opt_level": -1, **options}).metadata["opt_level"]


def softmax(**changes):
    return attention(**SHAPES, **{"element": "f32", "normalize": WEIGHTS, "mask": CAUSAL, **changes})


def entry_of(text):
    return text.split("func.func @")[1].split("(")[0]


@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_tiles_are_vectors(element):
    text = softmax(element=element)
    assert level(text, entry_of(text)) == FAST


@pytest.mark.parametrize("block_q", [0, 1, 24])
def test_rows_of_any_number_are_vectors(block_q):
    text = softmax()
    metadata = emit(text, entry_of(text), block_q=block_q).metadata
    assert metadata["vectorized"]
    assert metadata["not_vectorized"] == []


def test_tiles_that_are_not_vectorized_are_named():
    text = softmax()
    with pytest.warns(
        UserWarning, match="block_q and block_kv are not vectorized: tiles larger than a stack"
    ):
        metadata = emit(text, entry_of(text), block_q=512, block_kv=4096).metadata
    assert not metadata["vectorized"]
    assert metadata["not_vectorized"] == ["tiles larger than a stack should hold"]


def test_the_direct_form_is_loops():
    text = softmax()
    assert level(text, entry_of(text), direct=True) == THOROUGH


def test_work_around_tiles_is_loops():
    text = """
    func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
      %y = math.sqrt %x : tensor<?xf32>
      return %y : tensor<?xf32>
    }"""
    assert level(text, "f") == THOROUGH


@pytest.mark.parametrize("opt_level", [0, 1, 2, 3])
def test_a_level_that_is_given_is_kept(opt_level):
    text = softmax()
    assert level(text, entry_of(text), opt_level=opt_level) == opt_level


VECTOR = "llvm.func @v(%x: vector<4xf32>) {\n  %y = llvm.fadd %x, %x : vector<4xf32>\n  llvm.return\n}\n"
SCALAR = "llvm.func @s(%x: f32) {\n  %y = llvm.fadd %x, %x : f32\n  llvm.return\n}\n"
BOTH = """llvm.func @b(%x: f32, %v: vector<4xf32>) {
  %y = llvm.fadd %x, %x : f32
  %w = llvm.fadd %v, %v : vector<4xf32>
  llvm.return
}
"""
MOVES = "llvm.func @m(%p: !llvm.ptr) {\n  %y = llvm.load %p : !llvm.ptr -> f32\n  llvm.return\n}\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", THOROUGH),
        (MOVES, THOROUGH),
        (SCALAR, THOROUGH),
        (VECTOR, FAST),
        (BOTH, FAST),
        (VECTOR + MOVES, FAST),
        (VECTOR + SCALAR, THOROUGH),
        (BOTH + SCALAR, THOROUGH),
    ],
)
def test_what_functions_compute_on(text, want):
    with ir.Context():
        assert optimization_level(ir.Module.parse(text)) == want
