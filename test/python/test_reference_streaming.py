"""The reference evaluates streaming forms, for any tiles and merges."""

from __future__ import annotations

import numpy as np
import pytest

from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.reference import evaluate
from aecompiler.reference.streaming import splitting

MEANS = """
func.func @means(%q: tensor<1x2x?x3xf64>, %k: tensor<1x1x?x3xf64>, %v: tensor<1x1x?x2xf64>,
                 %table: tensor<?xf64>)
    -> (tensor<1x2x?x2xf64>, tensor<1x2x?xf64>, tensor<1x2x?xf64>) {
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %o, %count = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f64, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f64) -> ()
  }, {
  ^update(%n: f64, %s: f64, %b: index, %h: index, %i: index, %j: index):
    %more = "attn.row_reduce"(%one) {kind = "sum"} : (f64) -> f64
    %n1 = arith.addf %n, %more : f64
    %w = tensor.extract %table[%j] : tensor<?xf64>
    "attn.yield"(%n1, %one, %w) : (f64, f64, f64) -> ()
  }, {
  ^merge(%na: f64, %nb: f64, %b: index, %h: index, %i: index):
    %n1 = arith.addf %na, %nb : f64
    "attn.yield"(%n1, %one, %one) : (f64, f64, f64) -> ()
  }, {
  ^finalize(%n: f64, %b: index, %h: index, %i: index):
    %c = arith.divf %one, %n : f64
    "attn.yield"(%c, %n) : (f64, f64) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x3xf64>, tensor<1x1x?x3xf64>, tensor<1x1x?x2xf64>)
    -> (tensor<1x2x?x2xf64>, tensor<1x2x?xf64>)
  %largest = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f64, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
    %minus = arith.constant 0xFFF0000000000000 : f64
    "attn.yield"(%minus) : (f64) -> ()
  }, {
  ^update(%m: f64, %s: f64, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64
    %m1 = arith.maximumf %m, %tile : f64
    "attn.yield"(%m1) : (f64) -> ()
  }, {
  ^merge(%ma: f64, %mb: f64, %b: index, %h: index, %i: index):
    %m1 = arith.maximumf %ma, %mb : f64
    "attn.yield"(%m1) : (f64) -> ()
  }, {
  ^finalize(%m: f64, %b: index, %h: index, %i: index):
    "attn.yield"(%m) : (f64) -> ()
  }) : (tensor<1x2x?x3xf64>, tensor<1x1x?x3xf64>) -> tensor<1x2x?xf64>
  return %o, %count, %largest : tensor<1x2x?x2xf64>, tensor<1x2x?xf64>, tensor<1x2x?xf64>
}
"""

SPLITS = [
    [range(6)],
    [[5, 0], [], [1], [2, 3, 4]],
    ([[2, 3]], [[0, 1], [4, 5]]),
    (([[5]], [[4]]), ([[3, 0]], [[], [1, 2]])),
]


@pytest.fixture(scope="module")
def function():
    with make_context():
        module = ir.Module.parse(MEANS)
        yield module.body.operations[0]


def arguments(entries=6):
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal(size) for size in ((1, 2, 4, 3), (1, 1, 6, 3), (1, 1, 6, 2)))
    v[0, 0, 4:] = np.nan  # never attended to
    return [q, k, v, rng.standard_normal(entries)]


@pytest.mark.parametrize("split", SPLITS)
def test_tiles_and_merges_visit_every_key_once(function, split):
    q, k, v, table = arguments()
    with splitting(lambda keys: split):
        o, count, largest = evaluate(function, [q, k, v, table])
    scores = q @ k.swapaxes(-1, -2)
    for i in range(4):
        weights = table[: i + 1, None]
        np.testing.assert_allclose(o[0, :, i], np.tile((weights * v[0, 0, : i + 1]).mean(axis=0), (2, 1)))
        np.testing.assert_allclose(largest[0, :, i], scores[0, :, i, : i + 1].max(axis=-1))
    np.testing.assert_array_equal(count[0], np.tile(np.arange(1.0, 5.0), (2, 1)))


def test_reads_out_of_bounds_count_where_the_mask_is_true(function):
    assert evaluate(function, arguments()).out_of_bounds == 0
    assert evaluate(function, arguments(4)).out_of_bounds == 0
    # Keys 2 and 3 are out of bounds, for queries 2 and 3, in two heads.
    assert evaluate(function, arguments(2)).out_of_bounds == 2 * 3


def test_splitting_ends_with_its_block(function):
    whole = evaluate(function, arguments())
    with splitting(lambda keys: [[0], [1]]):
        evaluate(function, arguments())
    for before, after in zip(whole, evaluate(function, arguments()), strict=True):
        np.testing.assert_array_equal(before, after)
