"""Functions with parallel loops, which lowerings make: compiled by the CPU backend and called directly."""

from __future__ import annotations

import io

import numpy as np

from aecompiler.backends.base import Buffer, get_backend
from aecompiler.backends.cpu import pipelines
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline
from aecompiler.signature import parse


def emit(text, entry="f", **options):
    backend = get_backend("cpu")
    module, _ = parse(text)
    with module.context:
        return backend.emit(module, entry, backend.schedule({"opt_level": 0, **options}))


def build(text, entry="f", **options):
    """The executable of a function."""
    return get_backend("cpu").load(emit(text, entry, **options))


def buffer(array):
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return Buffer(array.ctypes.data, array.shape, strides)


def run(executable, inputs, outputs):
    executable([buffer(array) for array in inputs], [buffer(array) for array in outputs])


def tile_programs(program):
    """How many tile programs a program of the builder becomes, and how many of them are left to loops."""
    source = io.BytesIO()
    program.module.operation.write_bytecode(source)
    return vectorized(source.getvalue())


BEFORE = pipelines.cpu().partition(",cpu-vectorize-tiles")[0]


def vectorized(text, before=BEFORE):
    """The same of a module, as text or bytecode, after the steps `before`."""
    with make_context():
        module = ir.Module.parse(text)
        run_pipeline(module, f"builtin.module({before})")
        count = str(module).count("shared_outs(")
        run_pipeline(module, "builtin.module(cpu-vectorize-tiles)")
        return count, str(module).count("shared_outs(")


# Each item (i, j) writes 1000 i + j + x[i, j] to its own element, after `delay` steps of dependent divisions.
GRID = """
func.func @f(%x: tensor<?x?xf64>, %delay: tensor<1xindex>) -> tensor<?x?xf64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %half = arith.constant 0.5 : f64
  %thousand = arith.constant 1000.0 : f64
  %m = tensor.dim %x, %c0 : tensor<?x?xf64>
  %n = tensor.dim %x, %c1 : tensor<?x?xf64>
  %turns = tensor.extract %delay[%c0] : tensor<1xindex>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf64>
  %r = scf.forall (%i, %j) in (%m, %n) shared_outs(%o = %empty) -> (tensor<?x?xf64>) {
    %v = tensor.extract %x[%i, %j] : tensor<?x?xf64>
    %zero = scf.for %t = %c0 to %turns step %c1 iter_args(%a = %v) -> (f64) {
      %b = arith.divf %a, %half : f64
      %c = arith.mulf %b, %half : f64
      scf.yield %c : f64
    }
    %i32 = arith.index_cast %i : index to i32
    %j32 = arith.index_cast %j : index to i32
    %fi = arith.sitofp %i32 : i32 to f64
    %fj = arith.sitofp %j32 : i32 to f64
    %row = arith.mulf %fi, %thousand : f64
    %place = arith.addf %row, %fj : f64
    %sum = arith.addf %place, %zero : f64
    %cell = tensor.from_elements %sum : tensor<1x1xf64>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %cell into %o[%i, %j] [1, 1] [1, 1] : tensor<1x1xf64> into tensor<?x?xf64>
    }
  }
  return %r : tensor<?x?xf64>
}"""


class Grid:
    """`GRID`, compiled, on an array of a shape; `check` calls it and compares everything that it wrote."""

    def __init__(self, threads, opt_level=0):
        self.executable = build(GRID, threads=threads, opt_level=opt_level)

    def __call__(self, shape, delay=0):
        x = np.random.default_rng(shape).integers(0, 100, shape).astype(np.float64)
        out = np.full(shape, np.nan)
        run(self.executable, [x, np.array([delay])], [out])
        return out, expected(x)

    def check(self, shape, delay=0):
        np.testing.assert_array_equal(*self(shape, delay))


def expected(x):
    i, j = np.indices(x.shape)
    return 1000.0 * i + j + x
