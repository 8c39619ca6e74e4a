"""Chunked recurrences in Triton's dialect, against the recurrence in float64."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from chunked_forms import Form
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

TOLERANCE = {"f32": 3e-5, "f16": 4e-3, "bf16": 3e-2}

FORMS = {
    "linear": Form(),
    "scalar decays": Form(decay="scalar", scales=True, skip=True, heads=(1, 1, 2)),
    "signs": Form(decay="scalar", sign=True, reads="before"),
    "diagonal decays": Form(decay="diagonal", dk=16),
    "diagonal signs": Form(decay="diagonal", sign=True, scales=True, reads="before"),
    "delta rule": Form(erase="key", scales=True, dk=16, dv=16),
    "gated delta rule": Form(decay="scalar", erase="key", scales=True, dk=16, dv=16),
    "erases of the old state": Form(decay="scalar", erase="own", erase_reads="state", reads="before"),
    "erases beside diagonal decays": Form(decay="diagonal", erase="own", scales=True, dk=16),
}


def check(form: Form, batch: int, length: int, options: str = "", offsets=None, scale: float = 1.0) -> None:
    with make_context():
        module = ir.Module.parse(form.text())
    arrays = form.draw(batch, length, offsets)
    if scale != 1.0:
        arrays["log_decay"] = arrays["log_decay"] * np.float32(scale)
    if form.element == "bf16":
        arrays |= {name: arrays[name].astype(ml_dtypes.bfloat16) for name in "qkv"}
    names = ["q", "k", "v", "initial", *(["offsets"] if form.varlen else []), *form.captured()]
    kernels = Kernels(module, options)
    got = [np.asarray(each) for _, each, _ in kernels.run([arrays[name] for name in names])]
    for has, want in zip(got, form.evaluate(arrays), strict=True):
        assert has.shape == want.shape
        error = np.abs(has.astype(np.float64) - want).max(initial=0) / np.abs(want).max(initial=1e-3)
        assert error < TOLERANCE[form.element], error


@pytest.mark.parametrize("element", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("name", FORMS)
def test_all_forms(name, element):
    check(dataclasses.replace(FORMS[name], element=element), 2, 37, "chunk-value-block=4")


def test_parts_of_value_features_beside_numbers_that_all_have():
    """A number that is the same for all value features has no part that would be read from memory."""
    k, v = aec.tensor("B", 2, "T", 16), aec.tensor("B", 2, "T", 12)

    @aec.program(q=k, k=k, v=v, decay=aec.tensor("B", 2, "T"), D=aec.tensor(2))
    def program(q, k, v, decay, D):
        def step(S, q, k, v, b, h, t):
            S = decay[b, h, t] * S + aec.outer(k, v * 0.5 + 0.25)
            return S, q @ S + D[h] * v + 2.0 * D[h]

        return aec.recurrence(q, k, v, step)

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 2, 21, n)).astype(np.float32) for n in (16, 16, 12)]
    arrays += [rng.uniform(0.5, 1.0, (2, 2, 21)).astype(np.float32), np.float32([1.5, -0.5])]
    for block in (4, 5):
        kernels = Kernels(program.module, f"chunk=16 chunk-value-block={block}")
        for _, got, want in kernels.run(arrays):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_gates_of_bf16_leave_the_digits_of_others():
    """Factors are rounded to bf16 where q, k and v are, and not where a gate is."""
    qkv = aec.tensor("B", 2, "T", 16)

    @aec.program(q=qkv, k=qkv, v=qkv, beta=aec.tensor("B", 2, "T", dtype="bf16"))
    def program(q, k, v, beta):
        def step(S, q, k, v, b, h, t):
            S = S + beta[b, h, t] * aec.outer(k, v - k @ S)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 2, 21, 16)).astype(np.float32) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta = rng.uniform(0.2, 0.8, (2, 2, 21)).astype(ml_dtypes.bfloat16)
    for _, got, want in Kernels(program.module, "chunk=16").run([q, k, v, beta]):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("element", ["f32", "bf16"])
@pytest.mark.parametrize("heads", [(1, 1, 4), (2, 1, 4), (2, 2, 2)])
def test_products_that_heads_share(heads, element):
    check(dataclasses.replace(FORMS["scalar decays"], heads=heads, element=element), 2, 37, "shared-heads=2")


@pytest.mark.parametrize("name", ["gated delta rule", "diagonal decays"])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 48])
def test_lengths(length, name):
    check(FORMS[name], 1, length)


@pytest.mark.parametrize("offsets", [[0, 2, 21], [0, 0, 17, 17, 21], [2, 4], [-3, 2, 99], [21, 21]])
@pytest.mark.parametrize("name", ["scalar decays", "diagonal decays", "delta rule"])
def test_packed_sequences(name, offsets):
    check(dataclasses.replace(FORMS[name], varlen=True, batch="1"), 1, 21, offsets=offsets)


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e3])
@pytest.mark.parametrize("name", ["scalar decays", "diagonal decays", "erases beside diagonal decays"])
def test_decays_of_all_sizes(name, scale):
    """Where one product does not do, halves do."""
    check(dataclasses.replace(FORMS[name], chunk=32), 1, 70, scale=scale)


@pytest.mark.parametrize(("dk", "dv", "chunk"), [(1, 1, 1), (20, 33, 24), (24, 5, 2), (16, 16, 64)])
def test_sizes_that_are_no_powers_of_two(dk, dv, chunk):
    for name in ("gated delta rule", "diagonal decays"):
        check(dataclasses.replace(FORMS[name], dk=dk, dv=dv, chunk=chunk), 1, 50)
