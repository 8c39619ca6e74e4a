"""Chunked recurrences lowered directly: the step that they mean, and the form that is derived from it."""

from __future__ import annotations

import numpy as np
import pytest
from chunked_forms import Form
from cpu_numerics import assert_close
from derived_chunks import chunked_op

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.dialect.chunked import parts_of, terminator_of
from aecompiler.passes.chunked_steps import write_step
from aecompiler.passes.infra import run_pipeline

FORMS = {
    "linear": Form(),
    "linear, read before": Form(reads="before", skip=True),
    "scalar": Form(decay="scalar", scales=True),
    "scalar with signs": Form(decay="scalar", sign=True, erase="key"),
    "diagonal": Form(decay="diagonal", scales=True, skip=True),
    "diagonal with signs": Form(decay="diagonal", sign=True, erase="own", reads="before"),
    "erase": Form(erase="key", scales=True),
    "erase of the state": Form(decay="scalar", erase="own", erase_reads="state", scales=True),
    "erase beside a diagonal": Form(decay="diagonal", erase="key", scales=True, skip=True),
    "packed": Form(decay="scalar", varlen=True, batch="1"),
    "f64": Form(decay="diagonal", erase="key", element="f64"),
}


def draw(form, length):
    offsets = [0, length // 2, length // 2, length] if form.varlen else None
    return form.draw(1 if form.varlen else 2, length, offsets)


@pytest.mark.parametrize("name", FORMS)
def test_direct_lowering_gives_the_meaning(name):
    form = FORMS[name]
    kernel = aec.compile(form.text(), target="cpu", opt_level=0)
    for length in (0, 1, 7):
        arrays = draw(form, length)
        for got, want in zip(kernel(*arrays.values()), form.evaluate(arrays), strict=True):
            assert_close(got, want, 1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_form_of_the_written_step_is_the_form(name):
    """Parts that are captures, and a sign among them, come back as exponentials and sizes."""
    form = FORMS[name]
    with make_context():
        module = ir.Module.parse(form.text())
        before = list(parts_of(terminator_of(chunked_op(module))))
        op = write_step(chunked_op(module))
        assert op.name == "attn.recurrence"
        module.operation.verify()
        run_pipeline(module, "attn-derive-chunked,attn-verify-chunked")
        again = chunked_op(module)
        assert list(parts_of(terminator_of(again))) == before
        assert again.attributes["reads"].value == form.reads
        if form.erase and form.decay:
            assert again.attributes["erase_reads"].value == form.erase_reads
        text = str(module)
    arrays = draw(form, 5)
    kernel = aec.compile(text, target="cpu", opt_level=0)
    for got, want in zip(kernel(*arrays.values()), form.evaluate(arrays), strict=True):
        assert_close(got, want, 1e-5)
        assert np.isfinite(want).all()
