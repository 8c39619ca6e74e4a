"""Chunked forms that are derived: evaluated in float64, they are the recurrences that they come from."""

from __future__ import annotations

import re

import pytest
from derived_chunks import EXAMPLES, assert_same, chunked_op, derived
from example_files import load
from hypothesis import HealthCheck, given, settings
from random_recurrences import recurrence_programs
from streaming_forms import module_of

import aecompiler as aec
from aecompiler.algebra import chunked
from aecompiler.bindings import ir
from aecompiler.dialect.chunked import parts_of, terminator_of
from aecompiler.errors import CompileError
from aecompiler.passes import chunked_ops
from aecompiler.passes.infra import run_pipeline

SIZES = ({"B": 2, "T": 19, "Bounds": 5}, {"B": 1, "T": 1, "Bounds": 2}, {"B": 2, "T": 0, "Bounds": 1})
demo = load("demo")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_example_is_derived_and_is_the_same(name, dtype):
    example = load(name)
    program = example.build(dtype=dtype)
    module = derived(program)
    chunked_op(module)
    kernel = aec.compile(program, target="cpu", opt_level=0)
    for sizes in SIZES:
        values = demo.draw(kernel, getattr(example, "inputs", {}), sizes)
        assert_same(program, module, list(values.values()), 1e-12)


STRUCTURES = {
    "delta_rule": "query key value key_scale erase",
    "gated_delta_rule": "query key value log_decay key_scale erase",
    "gated_retention": "query key value log_decay",
    "gated_retention_packed": "query key value log_decay",
    "gla": "query key value log_decay",
    "kda": "query key value log_decay key_scale erase",
    "linear_attention": "query key value",
    "mamba2": "query key value log_decay key_scale skip",
    "retnet": "query key value log_decay query_scale",
    "rwkv6": "query key value log_decay skip",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_keeps_its_operands_as_vectors(name):
    """Products run on q, k and v as they stand: what is one number per position is a scale."""
    module = derived(load(name).build())
    op = chunked_op(module)
    parts = parts_of(terminator_of(op))
    block = op.regions[0].blocks[0]
    assert " ".join(parts) == STRUCTURES[name]
    assert list(block.arguments)[:3] == [parts["query"], parts["key"], parts["value"]]
    if "erase" in parts:
        assert parts["erase"] == block.arguments[1]
        assert op.attributes["erase_reads"].value == "decayed"
    assert op.attributes["reads"].value == ("before" if name == "rwkv6" else "after")
    assert len(ir.ArrayAttr(op.attributes["attn.proof"])) >= 5


@settings(
    max_examples=120,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(program=recurrence_programs())
def test_random_program_is_derived_and_is_the_same(program):
    traced = program.trace()
    sizes = {program.arguments[name].dims[3] for name in "kv"}
    varies = re.search(r"S \* aec.sigmoid\(.*\)\[None, :\]", program.source)
    refused = (
        "a state of one element" if sizes == {1} else "varies over the value feature" if varies else None
    )
    if refused and (varies is None or 1 not in sizes or sizes == {1}):
        with pytest.raises(CompileError, match=refused):
            derived(traced)
        return
    module = derived(traced, "{keep-refused=true}")
    if refused and '"attn.recurrence"' in str(module):
        return  # a feature size of 1: what varies over it may not
    chunked_op(module)
    for call in program.calls:
        # Logarithms of constants are constants of the accumulator type.
        assert_same(traced, module, program.inputs(call), 1e-10 if program.element == "f64" else 1e-5)


def test_form_that_is_not_proved_is_never_kept_in_silence(monkeypatch):
    """As if the derivation were wrong: an error, or a remark of its own."""
    monkeypatch.setattr(chunked, "proved", lambda decay: False)
    with pytest.raises(
        CompileError, match=r"it can't be proved that exp\(.*\) is the exponential of its log"
    ):
        derived(load("gated_retention").build())
    module = module_of(load("gated_retention").build())
    (found,) = run_pipeline(module, "attn-derive-chunked{keep-refused=true}")
    assert found.severity == "remark"
    assert "is taken position by position, since its chunked form is not proved: " in found.message


def test_emitted_part_that_is_not_the_derived_one_is_not_proved(monkeypatch):
    monkeypatch.setattr(chunked_ops, "_same", lambda emitted, derived, accumulator: False)
    with pytest.raises(CompileError, match="it can't be proved that query is emitted as"):
        derived(load("gated_retention").build())
