"""Chunked recurrences on the CPU: vectorized, and what they say position by position."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from chunked_forms import Form
from cpu_numerics import assert_close

import aecompiler as aec
from aecompiler.backends.cpu.backend import CpuBackend

FORMS = {
    "linear": Form(),
    "scalar": Form(decay="scalar", scales=True, reads="before", skip=True),
    "diagonal": Form(decay="diagonal", sign=True, skip=True),
    "erase": Form(decay="scalar", erase="key", scales=True),
    "erase beside a diagonal": Form(decay="diagonal", erase="own", scales=True, reads="before", sign=True),
}
LARGE = {"dk": 32, "dv": 48, "chunk": 32}
TOLERANCE = {"f32": 1e-5, "f64": 1e-13, "f16": 2e-3, "bf16": 1.5e-2}


def compiled(form, **options):
    kernel = aec.compile(form.text(), **options)
    assert kernel.artifact.metadata["not_vectorized"] == []
    return kernel


def check(kernel, form, arrays, tolerance=None):
    if form.element == "bf16":
        arrays = {n: x.astype(ml_dtypes.bfloat16) if n in "qkv" else x for n, x in arrays.items()}
    (o, final), (want_o, want_final) = kernel(*arrays.values()), form.evaluate(arrays)
    assert_close(o, want_o, tolerance or TOLERANCE[form.element])
    assert_close(final, want_final, tolerance or TOLERANCE["f64" if form.element == "f64" else "f32"])


@pytest.mark.parametrize("element", TOLERANCE)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_vectorized(name, element):
    form = dataclasses.replace(FORMS[name], element=element, **LARGE)
    kernel = compiled(form)
    for length in (0, 1, 31, 32, 33, 101):
        check(kernel, form, form.draw(2, length))


@pytest.mark.parametrize(("bits", "x86"), [(128, False), (256, True)], ids=["neon", "avx2"])
@pytest.mark.parametrize("name", FORMS)
def test_vectors_of_other_widths(name, bits, x86, monkeypatch):
    text = f"builtin.module(attn-cpu{{vector-bits={bits} tile-q=2 x86={str(x86).lower()}}})"
    monkeypatch.setattr(CpuBackend, "pipeline", lambda self, schedule: text)
    form = dataclasses.replace(FORMS[name], **LARGE)
    check(compiled(form), form, form.draw(2, 70))


@pytest.mark.parametrize(("dk", "dv"), [(1, 1), (5, 3), (20, 37), (128, 80)])
@pytest.mark.parametrize("name", ["scalar", "erase beside a diagonal"])
def test_feature_sizes_that_are_no_number_of_vectors(name, dk, dv):
    form = dataclasses.replace(FORMS[name], dk=dk, dv=dv, chunk=32)
    check(compiled(form), form, form.draw(1, 70))


DECAYS = [[0, -69, -110], [-1e-30, -110, -0.01], [-3, -69], [0.02, -0.02], [-750]]


@pytest.mark.parametrize("decays", DECAYS)
@pytest.mark.parametrize("name", ["scalar", "diagonal", "erase", "erase beside a diagonal"])
def test_extreme_decays(name, decays):
    form = dataclasses.replace(FORMS[name], **{**LARGE, "chunk": 64}, heads=(1, 1, 1))
    arrays = form.draw(1, 300)
    rng = np.random.default_rng(0)
    arrays["log_decay"] = rng.choice(decays, size=arrays["log_decay"].shape).astype(np.float32)
    check(compiled(form), form, arrays)


@pytest.mark.parametrize("offsets", [[0, 70], [0, 0, 33, 33, 70], [3, 40], [-5, 20, 99], [70, 70], [0]])
@pytest.mark.parametrize("name", ["scalar", "erase beside a diagonal"])
def test_packed_sequences(name, offsets):
    form = dataclasses.replace(FORMS[name], varlen=True, batch="1", **LARGE)
    check(compiled(form), form, form.draw(1, 70, offsets))


@pytest.mark.parametrize("name", ["scalar", "erase beside a diagonal"])
def test_what_is_not_finite_stays_in_its_packed_sequence(name):
    form = dataclasses.replace(FORMS[name], varlen=True, batch="1", **LARGE)
    kernel, arrays = compiled(form), form.draw(1, 100, [0, 37, 61, 100])
    clean = kernel(*arrays.values())
    for operand in "qkv":
        arrays[operand][:, :, 45] = np.nan
    o, final = kernel(*arrays.values())
    for part in (slice(0, 37), slice(61, 100)):
        np.testing.assert_array_equal(o[:, :, part], clean[0][:, :, part])
    np.testing.assert_array_equal(final[[0, 2]], clean[1][[0, 2]])
    assert np.isnan(o[:, :, 45]).any()


def test_grouped_heads():
    form = Form(decay="scalar", erase="own", heads=(2, 1, 4), **LARGE)
    check(compiled(form), form, form.draw(2, 70))


def test_captured_tensors_whose_sizes_are_not_known():
    form = Form(decay="diagonal", scales=True, skip=True, known=False, **LARGE)
    check(compiled(form), form, form.draw(2, 70))


def test_threads_give_the_same_result():
    form = Form(decay="scalar", erase="key", scales=True, **LARGE)
    arrays = form.draw(4, 500)
    one, two = (compiled(form, threads=n)(*arrays.values()) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
