"""Tensors of a program, around attention: elementwise work, slices, reductions, sizes of zero."""

from __future__ import annotations

import numpy as np
import pytest
from builder_programs import close, run

from aecompiler import builder as aec


def test_elementwise_work_around_attention():
    rng = np.random.default_rng(3)
    q, k, v = rng.standard_normal((3, 2, 4, 5, 8))
    gate, factor, cos = rng.standard_normal((2, 4, 5, 8)), np.array([1.5]), rng.standard_normal((5, 4))

    def program(q, k, v, gate, factor, cos, lam):
        def rotate(x):
            left, right = x[..., :4], x[..., 4:]
            return aec.concat([left * cos - right, right * cos + left])

        k = rotate(k) * aec.rsqrt(aec.sum(k * k, -1, keepdims=True) + 1e-6)
        q = rotate(q) * factor[0]
        first = aec.attention(q, k, v)
        second = aec.attention(k, q, v[:, :, :, :8])
        return aec.sigmoid(gate) * (first - lam * second), aec.transpose(first, (0, 2, 1, 3)) / q.shape[2]

    x = aec.tensor("B", 4, "S", 8, dtype="f64")
    traced = aec.trace(
        program,
        q=x,
        k=x,
        v=x,
        gate=x,
        factor=aec.tensor(1, dtype="f64"),
        cos=aec.tensor("S", 4, dtype="f64"),
        lam=aec.scalar("f64"),
    )
    out, transposed = run(traced, q, k, v, gate, factor, cos, 0.3)

    def rotate(x):
        left, right = x[..., :4], x[..., 4:]
        return np.concatenate([left * cos - right, right * cos + left], -1)

    def attend(q, k):
        s = q @ k.swapaxes(2, 3)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    k = rotate(k) / np.sqrt((k * k).sum(-1, keepdims=True) + 1e-6)
    q = rotate(q) * 1.5
    close(out, (attend(q, k) - 0.3 * attend(k, q)) / (1 + np.exp(-gate)))
    close(transposed, attend(q, k).transpose(0, 2, 1, 3) / 5)


SLICES = {
    "static": lambda x, n: x[:, 1:4, ::2],
    "whole": lambda x, n: x[:] + x[...],
    "negative": lambda x, n: x[:, -3:-1],
    "past the end": lambda x, n: x[:, 3:100, 6:2],
    "one row": lambda x, n: x[0, :, -1],
    "ellipsis": lambda x, n: x[..., 2],
    "new axes": lambda x, n: x[:, None, 0, :, None],
    "dynamic front": lambda x, n: x[1:],
    "dynamic back": lambda x, n: x[:-1] * 2,
    "beyond a dynamic end": lambda x, n: x[:100],
    "traced bounds": lambda x, n: x[n:, n : n + 2],
    "traced element": lambda x, n: x[n, n + 1] * x[n - 1, 0, n],
    "beyond a bound": lambda x, n: x[-1, n],
}


@pytest.mark.parametrize("name", SLICES)
def test_slices_equal_numpys(name):
    function = SLICES[name]
    x = np.random.default_rng(0).standard_normal((3, 5, 6))
    traced = aec.trace(
        lambda x, n: function(x, n), x=aec.tensor("N", 5, 6, dtype="f64"), n=aec.scalar("index")
    )
    close(run(traced, x, 1)[0], function(x, 1))


@pytest.mark.parametrize("axis", [None, 1, -1, (0, 2), (2, 1, 0)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
def test_reductions_of_tensors_equal_numpys(kind, keepdims, axis):
    x = np.random.default_rng(0).standard_normal((3, 5, 2))

    def program(x):
        return getattr(x, kind)(axis, keepdims=keepdims) + 0 * x.sum((0, 1, 2), keepdims=True)

    traced = aec.trace(program, x=aec.tensor("N", 5, 2, dtype="f64"))
    found = run(traced, x)[0]
    expected = getattr(x, kind)(axis, keepdims=keepdims)
    close(found, expected + np.zeros((1, 1, 1)))
    halves = aec.trace(program, x=aec.tensor("N", 5, 2, dtype="f16"))
    assert halves.results[0].spec.dtype == "f16"


@pytest.mark.parametrize("kind", ["sum", "max", "min"])
def test_functions_reduce_as_methods_do(kind):
    x = np.random.default_rng(0).standard_normal((3, 5, 2))
    function = getattr(aec, kind)

    def program(x):
        return function(x, axis=1), function(x, axis=(0, -1), keepdims=True), x * 0 + function(x)

    found = run(aec.trace(program, x=aec.tensor("N", 5, 2, dtype="f64")), x)
    close(found[0], getattr(x, kind)(axis=1))
    close(found[1], getattr(x, kind)(axis=(0, 2), keepdims=True))
    close(found[2], np.full(x.shape, getattr(x, kind)()))


def test_maximum_and_minimum_of_a_row_are_reductions():
    def normalize(row):
        return (aec.max(row) - aec.min(row)) * aec.max(row, 0) * aec.min(1, row)

    x = aec.tensor(1, 1, 4, 1, dtype="f64")
    traced = aec.trace(lambda x: aec.attention(x, x, x, score=lambda j: j - 2, normalize=normalize), x=x)
    row = np.arange(4) - 2
    expected = (3 * np.maximum(row, 0) * np.minimum(1, row)).sum()
    np.testing.assert_array_equal(run(traced, np.ones((1, 1, 4, 1)))[0], np.full((1, 1, 4, 1), expected))


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda x: x[..., :1], id="of-an-empty-tensor"),
        pytest.param(lambda x: x[1:, :, 3:], id="behind-the-end"),
        pytest.param(lambda x: x[..., 0], id="one-element-beside-an-empty-dimension"),
    ],
)
@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 2, 3), (2, 2, 3)])
def test_slices_and_parts_of_size_zero(part, shape):
    x = np.ones(shape, np.float32)
    (result,) = run(aec.trace(part, x=aec.tensor(*shape)), x)
    np.testing.assert_array_equal(result, part(x))


def test_parts_of_size_zero_concatenate():
    program = aec.trace(
        lambda x, y, z: aec.concat([x, y, z, y], axis=0),
        x=aec.tensor(2, "N"),
        y=aec.tensor(0, "N"),
        z=aec.tensor(1, "N"),
    )
    x, y, z = (np.random.default_rng(n).standard_normal((n, 3)) for n in (2, 0, 1))
    np.testing.assert_array_equal(run(program, x, y, z)[0], np.concatenate([x, y, z, y]))
