"""Operations of tensor, linalg and scf in the reference."""

import math

import numpy as np
import pytest
from ir_programs import run

INF, NAN = math.inf, math.nan

X = np.arange(12.0).reshape(3, 4)


def function(body: str, result: str, arguments: str = "%x: tensor<?x?xf64>") -> str:
    return f"func.func @f({arguments}) -> {result} {{\n  {body}\n  return %r : {result}\n}}"


@pytest.mark.parametrize(
    ("body", "result", "expected"),
    [
        (
            "%r = tensor.extract_slice %x[1, 0] [2, 2] [1, 2] : tensor<?x?xf64> to tensor<2x2xf64>",
            "tensor<2x2xf64>",
            X[1:3, 0:4:2],
        ),
        (
            "%r = tensor.extract_slice %x[1, 0] [1, 4] [1, 1] : tensor<?x?xf64> to tensor<4xf64>",
            "tensor<4xf64>",
            X[1],
        ),
        (
            "%r = tensor.extract_slice %x[0, 2] [3, 1] [1, 1] : tensor<?x?xf64> to tensor<3xf64>",
            "tensor<3xf64>",
            X[:, 2],
        ),
        (
            """%c = arith.constant dense<7.0> : tensor<2xf64>
  %r = tensor.insert_slice %c into %x[1, 1] [1, 2] [1, 2] : tensor<2xf64> into tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.array([[0, 1, 2, 3], [4, 7, 6, 7], [8, 9, 10, 11]]),
        ),
        (
            """%z = arith.constant 0.5 : f64
  %i = arith.constant 2 : index
  %r = tensor.insert %z into %x[%i, %i] : tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.where(X == 10, 0.5, X),
        ),
        (
            """%s = tensor.cast %x : tensor<?x?xf64> to tensor<3x4xf64>
  %c = tensor.collapse_shape %s [[0, 1]] : tensor<3x4xf64> into tensor<12xf64>
  %r = tensor.expand_shape %c [[0, 1, 2]] output_shape [2, 3, 2] : tensor<12xf64> into tensor<2x3x2xf64>""",
            "tensor<2x3x2xf64>",
            X.reshape(2, 3, 2),
        ),
        (
            "%r = tensor.concat dim(1) %x, %x : (tensor<?x?xf64>, tensor<?x?xf64>) -> tensor<?x?xf64>",
            "tensor<?x?xf64>",
            np.concatenate([X, X], 1),
        ),
        (
            """%z = arith.constant -1.0 : f64
  %r = tensor.pad %x low[0, 1] high[1, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %z : f64
  } : tensor<?x?xf64> to tensor<?x?xf64>""",
            "tensor<?x?xf64>",
            np.pad(X, ((0, 1), (1, 0)), constant_values=-1),
        ),
        (
            """%n = arith.constant 3 : index
  %r = tensor.generate %n {
  ^bb0(%i: index, %j: index):
    %v = tensor.extract %x[%j, %i] : tensor<?x?xf64>
    tensor.yield %v : f64
  } : tensor<?x3xf64>""",
            "tensor<?x3xf64>",
            X[:, :3].T,
        ),
        (
            """%a = arith.constant 1.0 : f64
  %b = arith.constant 2.0 : f64
  %r = tensor.from_elements %a, %b, %b, %a : tensor<2x2xf64>""",
            "tensor<2x2xf64>",
            np.array([[1, 2], [2, 1]]),
        ),
        (
            """%i = arith.constant 1 : index
  %r = tensor.dim %x, %i : tensor<?x?xf64>""",
            "index",
            np.array(4),
        ),
    ],
    ids=lambda value: (
        value.split("tensor.")[-1].split()[0] if isinstance(value, str) and "%r" in value else ""
    ),
)
def test_tensor_op(body, result, expected):
    np.testing.assert_array_equal(run(function(body, result), X)[0], expected)


MATRICES = "%x: tensor<?x?xf64>, %y: tensor<?x?xf64>, %z: tensor<?x?xf64>"
MAPS = {
    "nn": "affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>",
    "nt": "affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>",
}


@pytest.mark.parametrize("layout", ["nn", "nt"])
@pytest.mark.parametrize("op", ["linalg.matmul", "linalg.contract"])
def test_matrix_products(op, layout):
    y = np.random.default_rng(0).standard_normal((4, 2))
    body = f"""%r = {op} indexing_maps = [{MAPS[layout]}, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %y : tensor<?x?xf64>, tensor<?x?xf64>) outs(%z : tensor<?x?xf64>) -> tensor<?x?xf64>"""
    text = function(body, "tensor<?x?xf64>", MATRICES)
    (result,) = run(text, X, y if layout == "nn" else y.T, np.ones((3, 2)))
    np.testing.assert_allclose(result, X @ y + 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("op", "formula"),
    [
        ("dot", "k,k->"),
        ("vecmat", "k,kn->n"),
        ("matvec", "mk,k->m"),
        ("matmul", "mk,kn->mn"),
        ("batch_matmul", "bmk,bkn->bmn"),
        ("batch_matvec", "bmk,bk->bm"),
        ("batch_vecmat", "bk,bkn->bn"),
        ("batch_reduce_matmul", "bmk,bkn->mn"),
        ("mmt4d", "mkxz,nkyz->mnxy"),
    ],
)
@pytest.mark.parametrize("element", ["f64", "i32"])
def test_contraction(op, formula, element):
    rng, sizes = np.random.default_rng(0), dict(zip("bmknxyz", (2, 3, 4, 5, 2, 3, 2), strict=True))
    operands, (result,) = (part.split(",") for part in formula.split("->"))
    arrays = [rng.integers(-9, 9, [sizes[x] for x in letters]) for letters in (*operands, result)]
    types = [f"tensor<{'?x' * len(letters)}{element}>" for letters in (*operands, result)]
    text = function(
        f"%r = linalg.{op} ins(%a, %b : {types[0]}, {types[1]}) outs(%c : {types[2]}) -> {types[2]}",
        types[2],
        f"%a: {types[0]}, %b: {types[1]}, %c: {types[2]}",
    )
    np.testing.assert_array_equal(run(text, *arrays)[0], np.einsum(formula, *arrays[:2]) + arrays[2])


def test_elementwise_broadcast_transpose_reduce_and_map():
    body = """%e = tensor.empty() : tensor<4x3xf64>
  %t = linalg.transpose ins(%s : tensor<3x4xf64>) outs(%e : tensor<4x3xf64>) permutation = [1, 0]
  %q = linalg.square ins(%t : tensor<4x3xf64>) outs(%e : tensor<4x3xf64>) -> tensor<4x3xf64>
  %m = linalg.map { arith.subf } ins(%q, %t : tensor<4x3xf64>, tensor<4x3xf64>) outs(%e : tensor<4x3xf64>)
  %z = arith.constant dense<1.0> : tensor<4xf64>
  %sum = linalg.reduce { arith.addf } ins(%m : tensor<4x3xf64>) outs(%z : tensor<4xf64>) dimensions = [1]
  %w = tensor.empty() : tensor<3x4xf64>
  %r = linalg.broadcast ins(%sum : tensor<4xf64>) outs(%w : tensor<3x4xf64>) dimensions = [0]"""
    (result,) = run(function(body, "tensor<3x4xf64>", "%s: tensor<3x4xf64>"), X)
    np.testing.assert_array_equal(result, np.broadcast_to((X**2 - X).sum(0) + 1, (3, 4)))


@pytest.mark.parametrize("kind", ["exp", "add"])
def test_elementwise_kinds_and_fill(kind):
    ins = {"exp": "%x : tensor<?x?xf64>", "add": "%x, %x : tensor<?x?xf64>, tensor<?x?xf64>"}[kind]
    body = f"""%two = arith.constant 2.0 : f64
  %f = linalg.fill ins(%two : f64) outs(%x : tensor<?x?xf64>) -> tensor<?x?xf64>
  %e = linalg.elementwise kind=#linalg.elementwise_kind<{kind}> ins({ins})
      outs(%f : tensor<?x?xf64>) -> tensor<?x?xf64>
  %r = arith.mulf %e, %f : tensor<?x?xf64>"""
    expected = {"exp": np.exp(X), "add": X + X}[kind] * 2
    np.testing.assert_allclose(run(function(body, "tensor<?x?xf64>"), X)[0], expected, rtol=1e-15)


GENERIC = """%r = linalg.generic {{
    indexing_maps = [{maps}], iterator_types = [{iterators}]
  }} ins(%x : tensor<?x?xf64>) outs(%z : {out}) {{
  ^bb0(%a: f64, %c: f64):
    {body}
  }} -> {out}"""


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("%o = arith.maximumf %a, %c : f64", X.max(1)),
        ("%o = arith.addf %c, %a : f64", X.sum(1)),
        # A recurrence along the row: no associative operation of one value.
        (
            "%h = arith.constant 0.5 : f64\n    %t = arith.mulf %c, %h : f64\n"
            "    %o = arith.addf %t, %a : f64",
            None,
        ),
        ("%o = arith.subf %a, %c : f64", None),
    ],
    ids=["max", "sum", "horner", "alternating"],
)
def test_generic_reduction(combine, expected):
    if expected is None:
        expected = np.zeros(3)
        for column in X.T:
            expected = 0.5 * expected + column if "mulf" in combine else column - expected
    body = GENERIC.format(
        maps="affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>",
        iterators='"parallel", "reduction"',
        out="tensor<?xf64>",
        body=f"{combine}\n    linalg.yield %o : f64",
    )
    text = function(body, "tensor<?xf64>", "%x: tensor<?x?xf64>, %z: tensor<?xf64>")
    np.testing.assert_allclose(run(text, X, np.zeros(3))[0], expected, rtol=1e-15)


def test_generic_with_general_maps_and_index():
    # out[i, j] = x[j floordiv 2, (i + j) mod 4] + 10 i
    body = GENERIC.format(
        maps="affine_map<(d0, d1) -> (d1 floordiv 2, (d0 + d1) mod 4)>, affine_map<(d0, d1) -> (d0, d1)>",
        iterators='"parallel", "parallel"',
        out="tensor<?x?xf64>",
        body="""%i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    %f = arith.sitofp %n : i64 to f64
    %ten = arith.constant 10.0 : f64
    %m = arith.mulf %f, %ten : f64
    %o = arith.addf %a, %m : f64
    linalg.yield %o : f64""",
    )
    text = function(body, "tensor<?x?xf64>", "%x: tensor<?x?xf64>, %z: tensor<?x?xf64>")
    i, j = np.arange(5)[:, None], np.arange(6)[None, :]
    (result,) = run(text, X, np.zeros((5, 6)))
    np.testing.assert_array_equal(result, X[j // 2, (i + j) % 4] + 10 * i)


def test_generic_with_an_index_in_a_reduction_in_order():
    # The index of the largest element, by comparison: two outputs reduced together.
    text = """
func.func @f(%x: tensor<?xf64>, %m: tensor<f64>, %n: tensor<index>) -> (tensor<f64>, tensor<index>) {
  %r:2 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>, affine_map<(i) -> ()>],
    iterator_types = ["reduction"]
  } ins(%x : tensor<?xf64>) outs(%m, %n : tensor<f64>, tensor<index>) {
  ^bb0(%a: f64, %best: f64, %at: index):
    %i = linalg.index 0 : index
    %more = arith.cmpf ogt, %a, %best : f64
    %top = arith.select %more, %a, %best : f64
    %where = arith.select %more, %i, %at : index
    linalg.yield %top, %where : f64, index
  } -> (tensor<f64>, tensor<index>)
  return %r#0, %r#1 : tensor<f64>, tensor<index>
}"""
    x = np.array([0.5, 3.0, 2.0, 3.0])
    top, where = run(text, x, np.array(-INF), np.array(0))
    assert (top, where) == (3.0, 1)


def test_what_nobody_wrote_and_poison_are_zero():
    assert run(function("%r = tensor.empty() : tensor<2xf64>", "tensor<2xf64>", ""))[0].tolist() == [0, 0]
    assert run(function("%r = ub.poison : f64", "f64", ""))[0] == 0


def test_loops_and_branches():
    text = """func.func @f(%n: index, %x: f64) -> f64 {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %r = scf.for %i = %zero to %n step %one iter_args(%acc = %x) -> f64 {
    %first = arith.cmpi eq, %i, %zero : index
    %next = scf.if %first -> f64 {
      scf.yield %acc : f64
    } else {
      %twice = arith.addf %acc, %acc : f64
      scf.yield %twice : f64
    }
    scf.yield %next : f64
  }
  return %r : f64
}"""
    assert run(text, 4, 1.5)[0] == 12.0
    assert run(text, 0, 1.5)[0] == 1.5


def test_parallel_loops_insert_their_parts():
    text = """func.func @f(%x: tensor<?x3xf64>, %n: index) -> (tensor<?x3xf64>, tensor<?xf64>) {
  %zero = arith.constant 0 : index
  %rows = tensor.empty(%n) : tensor<?x3xf64>
  %sums = tensor.empty(%n) : tensor<?xf64>
  %r:2 = scf.forall (%i, %j) in (%n, 3) shared_outs(%a = %rows, %b = %sums)
      -> (tensor<?x3xf64>, tensor<?xf64>) {
    %part = tensor.extract_slice %x[%i, %j] [1, 1] [1, 1] : tensor<?x3xf64> to tensor<1x1xf64>
    %twice = arith.addf %part, %part : tensor<1x1xf64>
    %flat = tensor.collapse_shape %twice [[0, 1]] : tensor<1x1xf64> into tensor<1xf64>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %twice into %a[%i, %j] [1, 1] [1, 1] : tensor<1x1xf64> into tensor<?x3xf64>
      tensor.parallel_insert_slice %flat into %b[%i] [1] [1] : tensor<1xf64> into tensor<?xf64>
    }
  }
  return %r#0, %r#1 : tensor<?x3xf64>, tensor<?xf64>
}"""
    x = np.arange(12.0).reshape(4, 3)
    rows, last = run(text, x, 4)
    np.testing.assert_array_equal(rows, 2 * x)
    np.testing.assert_array_equal(last, 2 * x[:, 2])
    assert run(text, x[:0], 0)[0].shape == (0, 3)
