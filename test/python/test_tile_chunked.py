"""Chunked recurrences in their tile form give what they say, position by position."""

import dataclasses

import numpy as np
import pytest
import tiled_backend  # noqa: F401  registers the target
from chunked_forms import Form
from cpu_numerics import assert_close

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import run_pipeline
from aecompiler.reference import evaluate

FORMS = {
    "linear": Form(),
    "linear, read before": Form(reads="before", skip=True),
    "scalar": Form(decay="scalar", scales=True),
    "scalar, read before": Form(decay="scalar", reads="before", skip=True),
    "scalar with signs": Form(decay="scalar", sign=True, erase="key"),
    "diagonal": Form(decay="diagonal", scales=True),
    "diagonal, read before": Form(decay="diagonal", reads="before", skip=True),
    "diagonal with signs": Form(decay="diagonal", sign=True, erase="own", reads="before"),
    "erase": Form(erase="key", scales=True),
    "erase of what is decayed": Form(decay="scalar", erase="key", scales=True),
    "erase of the state": Form(decay="scalar", erase="own", erase_reads="state", scales=True),
    "erase beside a diagonal": Form(decay="diagonal", erase="key", scales=True, skip=True),
    "erase of the state beside a diagonal": Form(decay="diagonal", erase="own", erase_reads="state"),
}


def compiled(form, chunked="", **options):
    return aec.compile(form.text(), target="tiled", chunked=chunked, **options)


def check(kernel, form, arrays, tolerance=1e-5):
    before = {name: array.copy() for name, array in arrays.items()}
    for got, want in zip(kernel(*arrays.values()), form.evaluate(arrays), strict=True):
        assert_close(got, want, tolerance)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


def with_chunk(form, chunk):
    return dataclasses.replace(form, chunk=chunk)


@pytest.mark.parametrize("chunk", [16, 37])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_at_every_length(name, chunk):
    form = with_chunk(FORMS[name], chunk)
    kernel = compiled(form)
    for length in (0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 5):
        check(kernel, form, form.draw(2, length))


@pytest.mark.parametrize("options", ["", "decay-bound=0 solve-rows=3", "heads=2 value-block=2"])
@pytest.mark.parametrize("name", FORMS)
def test_tile_program_evaluated_in_float64(name, options):
    """The laws are exact: what is left is rounding."""
    form = dataclasses.replace(FORMS[name], chunk=8, heads=(1, 1, 2))
    with make_context():
        module = ir.Module.parse(form.text())
        run_pipeline(module, f"attn-tile-chunked{{{options}}}")
        arrays = form.draw(1, 19)
        found = evaluate(module.body.operations[0], list(arrays.values()))
    for got, want in zip(found, form.evaluate(arrays), strict=True):
        assert_close(got, want, 1e-13)


@pytest.mark.parametrize("chunk", [1, 2, 3, 64, 256])
@pytest.mark.parametrize("name", ["erase of what is decayed", "erase beside a diagonal"])
def test_chunks_of_other_sizes(name, chunk):
    form = with_chunk(FORMS[name], chunk)
    check(compiled(form), form, form.draw(1, 2 * chunk + 3))


@pytest.mark.parametrize("name", FORMS)
def test_products_by_halves(name):
    form = FORMS[name]
    check(compiled(form, "decay-bound=0"), form, form.draw(2, 37))


DECAYS = [[0, -69, -110], [-1e-30, -110, -0.01], [-199, -0.01], [-3, -69], [0.02, -0.02], [-110], [-750]]


@pytest.mark.parametrize(
    ("decay", "sums", "tolerance"),
    [("scalar", "f64", 1e-5), ("scalar", "auto", 1e-5), ("scalar", "acc", 3e-3), ("diagonal", "acc", 1e-5)],
)
@pytest.mark.parametrize("decays", DECAYS)
@pytest.mark.parametrize("erase", ["", "key"])
def test_extreme_decays(decay, erase, decays, sums, tolerance):
    """Sums of f32 have few digits left after strong decays; `auto` is f64 where q is f32."""
    form = Form(decay=decay, erase=erase, scales=True, chunk=64)
    arrays = form.draw(1, 150)
    rng = np.random.default_rng(0)
    arrays["log_decay"] = rng.choice(decays, size=arrays["log_decay"].shape).astype(np.float32)
    check(compiled(form, f"decay-sums={sums}"), form, arrays, tolerance)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_captured_tensors_whose_sizes_may_differ(known):
    form = Form(decay="diagonal", erase="own", scales=True, skip=True, known=known)
    check(compiled(form), form, form.draw(2, 37))


def test_reads_past_the_end_of_a_captured_tensor_are_clamped():
    form = Form(decay="scalar", known=False)
    arrays = form.draw(1, 40)
    full = dict(arrays)
    arrays["log_decay"] = arrays["log_decay"][:, :, :21]
    full["log_decay"] = np.concatenate(
        [arrays["log_decay"], np.repeat(arrays["log_decay"][:, :, -1:], 19, 2)], 2
    )
    for got, want in zip(compiled(form)(*arrays.values()), form.evaluate(full), strict=True):
        assert_close(got, want, 1e-5)


def test_scales_that_are_one_value_are_not_taken_for_the_next_part():
    form = Form(decay="scalar", erase="key", scales=True)
    text = form.text()
    assert "%query_scale_t, %key_scale_t" in text
    kernel = aec.compile(
        text.replace("%query_scale_t, %key_scale_t", "%key_scale_t, %key_scale_t"), target="tiled"
    )
    arrays = form.draw(2, 37)
    arrays["query_scale"] = arrays["key_scale"]
    check(kernel, form, arrays)


@pytest.mark.parametrize("heads", [(1, 1, 4), (2, 2, 4), (2, 1, 4), (1, 4, 2), (4, 4, 1)])
@pytest.mark.parametrize("options", ["", "heads=2", "heads=4 value-block=2"])
def test_grouped_heads(heads, options):
    form = Form(decay="scalar", erase="own", skip=True, heads=heads)
    check(compiled(form, options), form, form.draw(2, 37))


@pytest.mark.parametrize("options", ["value-block=2", "value-lanes=4", "value-block=3 value-lanes=2"])
@pytest.mark.parametrize("name", FORMS)
def test_parts_of_the_value_features(name, options):
    form = FORMS[name]
    check(compiled(form, options), form, form.draw(2, 21))


@pytest.mark.parametrize("rows", [1, 5, 16, 32])
@pytest.mark.parametrize("name", [name for name in FORMS if "erase" in name])
def test_solving_by_blocks_of_rows(name, rows):
    form = with_chunk(FORMS[name], 37)
    check(compiled(form, f"solve-rows={rows}"), form, form.draw(2, 80))


OFFSETS = {
    "two": [0, 19, 40],
    "empty ones": [0, 0, 16, 16, 40, 40],
    "uncovered": [3, 20],
    "clamped": [-3, 7, 99],
    "none covered": [40, 40],
    "no sequence": [0],
}


@pytest.mark.parametrize("name", ["scalar", "erase beside a diagonal"])
@pytest.mark.parametrize("offsets", OFFSETS.values(), ids=OFFSETS)
@pytest.mark.parametrize("options", ["", "value-block=2"])
def test_variable_length_form(name, offsets, options):
    form = dataclasses.replace(FORMS[name], varlen=True, batch="1")
    check(compiled(form, options), form, form.draw(1, 40, offsets))


@pytest.mark.parametrize("decay", ["scalar", "diagonal"])
@pytest.mark.parametrize("element", ["f16", "bf16", "f64"])
def test_element_types(element, decay):
    form = Form(decay=decay, erase="key", scales=True, element=element)
    arrays = form.draw(2, 37)
    if element == "bf16":
        import ml_dtypes

        arrays.update({name: arrays[name].astype(ml_dtypes.bfloat16) for name in "qkv"})
    tolerance = {"f16": 2e-3, "bf16": 1e-2, "f64": 1e-13}[element]
    check(compiled(form, "decay-sums=auto"), form, arrays, tolerance)


@pytest.mark.parametrize(("dk", "dv"), [(0, 3), (4, 0), (1, 1), (3, 7)])
def test_small_feature_sizes(dk, dv):
    form = Form(decay="scalar", erase="key", dk=dk, dv=dv)
    check(compiled(form), form, form.draw(2, 21))


def test_inverses_of_repeated_keys_stay_bounded():
    """N is 1 everywhere below the diagonal: its powers have entries up to 10^75, its inverse none above 1."""
    form = Form(erase="key", chunk=256)
    arrays = form.draw(1, 256)
    arrays["k"][:] = arrays["k"][:, :, :1]
    check(compiled(form), form, arrays)
