"""How hard LLVM should work on a module: what was vectorized before has little to gain."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

FAST, THOROUGH = 0, 2
"""Levels of LLVM's optimizer. Vectorized code runs as fast at either, and compiles faster at the first."""

_MOVES = (
    "llvm.load",
    "llvm.mlir.",
    "llvm.extract",
    "llvm.insert",
    "llvm.shuffle",
    "llvm.bitcast",
    "llvm.select",
)
"""What computes nothing, by the beginnings of names."""


def optimization_level(module: ir.Module) -> int:
    """The level for a module in the LLVM dialect.

    `THOROUGH`, unless all functions that compute with floating-point numbers do so on vectors, and there are
    some: loops over scalars need LLVM, to be vectorized at last and rid of what stays the same.
    """
    return FAST if is_vectorized(module) else THOROUGH


def is_vectorized(module: ir.Module) -> bool:
    """Whether a module in the LLVM dialect computes with floating-point numbers, and on vectors alone."""
    kinds = [_computes_on(function) for function in rw.walk_list(module.operation, "llvm.func")]
    vectors = any(on_vectors for on_vectors, _ in kinds)
    loops_left = any(on_scalars and not on_vectors for on_vectors, on_scalars in kinds)
    return vectors and not loops_left


def _computes_on(function: ir.Operation) -> tuple[bool, bool]:
    """Whether a function computes with vectors of floating-point numbers, and with single ones."""
    vectors = scalars = False
    for op in rw.walk_list(function):
        if len(op.results) == 1 and not op.name.startswith(_MOVES):
            type_ = op.results[0].type
            if isinstance(type_, ir.VectorType):
                vectors = vectors or isinstance(type_.element_type, ir.FloatType)
            else:
                scalars = scalars or isinstance(type_, ir.FloatType)
        if vectors:
            break
    return vectors, scalars
