"""What is taken out of loops over chunks gives what they gave, evaluated in float64."""

import dataclasses

import pytest
from cpu_numerics import assert_close
from test_tile_chunked import FORMS

from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import run_pipeline
from aecompiler.reference import evaluate

OPTIONS = {
    "shared heads": ("", "take=auto shared-heads=2"),
    "some chunks by halves": ("decay-bound=1", "take=all"),
    "parts": ("heads=2 value-block=2 solve-rows=3", "take=vectors"),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", FORMS)
def test_chunks_without_what_is_taken_out(name, options):
    tiles, take = OPTIONS[options]
    form = dataclasses.replace(FORMS[name], chunk=8, heads=(2, 2, 4))
    with make_context():
        module = ir.Module.parse(form.text())
        run_pipeline(module, f"attn-tile-chunked{{{tiles}}},canonicalize,cse")
        grids = len(rw.walk_list(module.operation, "scf.forall"))
        run_pipeline(module, f"attn-hoist-chunks{{{take}}},canonicalize,cse")
        if take == "take=all" and form.decay:
            assert len(rw.walk_list(module.operation, "scf.forall")) > grids
        arrays = form.draw(1, 19)
        if "log_decay" in arrays:
            arrays["log_decay"][:, :, 8:16] *= 1000  # in the second chunk one product would overflow
        found = evaluate(module.body.operations[0], list(arrays.values()))
    for got, want in zip(found, form.evaluate(arrays), strict=True):
        assert_close(got, want, 1e-13)
