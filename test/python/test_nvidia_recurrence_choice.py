"""How kernels of recurrences in chunks are made: what the model says beside what was measured on one H100."""

from __future__ import annotations

import dataclasses

import pytest
from chunked_forms import Form

import aecompiler as aec
from aecompiler.backends.gpu.lowered import kernels_of
from aecompiler.backends.nvidia.backend import NvidiaBackend
from aecompiler.backends.nvidia.recurrence_choice import chunk_options, default_options, ranked_options
from aecompiler.backends.nvidia.recurrence_facts import RecurrenceFacts, RecurrenceForm, read_recurrences
from aecompiler.backends.nvidia.recurrence_model import RecurrenceModel
from aecompiler.backends.nvidia.recurrence_space import (
    ChunkSchedule,
    legal_chunks,
    numbers_of,
    shared_bytes,
    usual,
)
from aecompiler.backends.nvidia.schedule import NvidiaSchedule, pipeline_for
from aecompiler.backends.nvidia.schedule_choice import attempts
from aecompiler.backends.nvidia.target import NAMED_TARGETS, named_target
from aecompiler.backends.triton.kernel_text import NUM_STAGES
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.library import recurrences

HOPPER, AMPERE = named_target("nvidia:sm_90"), named_target("nvidia:sm_80")
ANY = NvidiaSchedule()

SIZES = {  # heads, of them those of q and k, features of keys and of values
    "ssd": (80, 1, 128, 64),
    "retention": (8, 8, 256, 512),
    "gla": (16, 16, 128, 128),
    "delta": (16, 16, 128, 128),
    "gated delta": (16, 16, 128, 128),
}
"""What was measured (docs/performance.md, "Recurrences in chunks")."""

BATCHES = {"ssd": 8, "retention": 4, "gla": 8, "delta": 8, "gated delta": 8}


def program(name, batch="B", length="T", dtype="bf16"):
    """A recurrence of `SIZES`."""
    heads, shared, dk, dv = SIZES[name]
    position = (batch, heads, length)
    gates, make = {
        "ssd": ({"A": (heads,), "dt": position, "D": (heads,)}, recurrences.mamba2_ssd),
        "retention": ({"gamma": (heads,)}, recurrences.retnet),
        "gla": ({"g": (*position, dk)}, recurrences.gla),
        "delta": ({"beta": position}, recurrences.delta_rule),
        "gated delta": ({"g": position, "beta": position}, recurrences.gated_delta_rule),
    }[name]
    qk = aec.tensor(batch, shared, length, dk, dtype=dtype)
    specs = {"q": qk, "k": qk, "v": aec.tensor(batch, heads, length, dv, dtype=dtype)}
    specs |= {gate: aec.tensor(*sizes) for gate, sizes in gates.items()}

    def recurrence(q, k, v, **gates):
        return aec.recurrence(q, k, v, make(**gates))

    return aec.trace(recurrence, **specs)


def form(name, batch=0, length=0):
    (found,) = read_recurrences(program(name).module, length, batch or BATCHES[name])
    return found


def chunks(stages=2, chunk=64, value_block=64, shared_heads=0):
    return ChunkSchedule(chunk=chunk, value_block=value_block, stages=stages, shared_heads=shared_heads)


# ---- facts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "decays", "erases"),
    [
        ("ssd", "head", False),
        ("retention", "head", False),
        ("gla", "feature", False),
        ("delta", "none", True),
        ("gated delta", "head", True),
    ],
)
def test_structure_is_what_is_derived(name, decays, erases):
    heads, shared, dk, dv = SIZES[name]
    assert form(name, 3, 1000) == RecurrenceForm(
        facts=RecurrenceFacts(
            features=dk,
            value_features=dv,
            element="bf16",
            decays=decays,
            erases=erases,
            heads_alike=heads // shared,
        ),
        heads=3 * heads,
        length=1000,
    )


def test_structure_of_a_form_that_has_chunks_already():
    with make_context():
        module = ir.Module.parse(Form(decay="diagonal", erase="own", dk=16, dv=32, element="bf16").text())
    (found,) = read_recurrences(module)
    assert (found.facts.decays, found.facts.erases) == ("feature", True)
    assert (found.facts.features, found.facts.value_features) == (16, 32)


def test_sizes_of_types_are_taken_as_they_are():
    (found,) = read_recurrences(program("gla", batch=2, length=100).module, 4096, 64)
    assert (found.heads, found.length) == (32, 100)


def test_what_has_no_chunks_is_left_out():
    x = aec.tensor("B", 2, "T", 16)

    @aec.program(q=x, k=x, v=x, gate=aec.tensor(2, 16))
    def of_values(q, k, v, gate):
        def step(S, q, k, v, b, h, t):
            S = gate[h][None, :] * S + aec.outer(k, v)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    with make_context():
        packed = ir.Module.parse(Form(varlen=True, batch="1").text())
    assert read_recurrences(of_values.module) == []
    assert read_recurrences(packed) == []


# ---- what is usual, and what there is room for ---------------------------------------------------------


@pytest.mark.parametrize("name", SIZES)
def test_usual_stages_are_those_of_the_kernels(name):
    traced = program(name)
    with traced.module.context:
        lowered = NvidiaBackend(HOPPER).lower(traced.module, ANY)
    with lowered.context:
        loop = list(kernels_of(lowered).values())[-1]
        assert loop.attributes[NUM_STAGES].value == usual(form(name).facts, HOPPER, ANY).stages


@pytest.mark.parametrize("target", NAMED_TARGETS)
@pytest.mark.parametrize("name", SIZES)
def test_listed_schedules_have_room_and_can_be_said(name, target):
    facts, chip = form(name).facts, named_target(target)
    first, *others = legal_chunks(facts, chip, ANY)
    assert first == usual(facts, chip, ANY)
    assert len(set(others)) == len(others) > 5
    for how in others:
        assert shared_bytes(facts, how) <= chip.shared_bytes_per_block
        assert usual(facts, chip, ANY.completed(numbers_of(how, facts, chip, ANY))) == how


@pytest.mark.parametrize(
    ("given", "field", "want"),
    [
        ({"chunk": 32}, "chunk", 32),
        ({"chunk_value_block": 32}, "value_block", 32),
        ({"value_block": 16}, "value_block", 16),
        ({"chunk_stages": 1}, "stages", 1),
        ({"shared_heads": 4}, "shared_heads", 4),
    ],
)
def test_what_is_given_stands(given, field, want):
    found = legal_chunks(form("ssd").facts, HOPPER, NvidiaSchedule(**given))
    assert {getattr(how, field) for how in found} == {want}


# ---- the model -----------------------------------------------------------------------------------------

MEASURED = [  # milliseconds, without some 0.015 of what is before
    ("ssd", 8, 4096, chunks(1), 0.870),
    ("ssd", 8, 4096, chunks(2), 0.722),
    ("ssd", 8, 4096, chunks(3), 0.694),
    ("ssd", 8, 4096, chunks(2, shared_heads=2), 0.707),
    ("ssd", 8, 4096, chunks(3, shared_heads=2), 0.701),
    ("ssd", 1, 65536, chunks(2), 2.60),
    ("ssd", 1, 262144, chunks(2), 10.44),
    ("retention", 4, 4096, chunks(1), 0.437),
    ("retention", 4, 4096, chunks(2), 0.536),
]


@pytest.mark.parametrize(("name", "batch", "length", "how", "milliseconds"), MEASURED)
def test_model_reproduces_what_it_was_fitted_to(name, batch, length, how, milliseconds):
    model = RecurrenceModel(form(name, batch, length), HOPPER)
    assert model.microseconds(how) / 1e3 == pytest.approx(milliseconds, rel=0.06)


def test_one_stage_is_bad_for_shared_products_though_less_than_measured():
    model = RecurrenceModel(form("ssd"), HOPPER)
    assert 0.85e3 < model.microseconds(chunks(1, shared_heads=2)) < 1.04e3


@pytest.mark.parametrize(
    ("name", "faster", "slower"),
    [
        ("ssd", chunks(3), chunks(2)),
        ("ssd", chunks(2), chunks(1)),
        ("ssd", chunks(2), chunks(2, chunk=128)),
        ("retention", chunks(1), chunks(2)),
        ("retention", chunks(1), chunks(1, chunk=128)),
        ("gla", chunks(3, chunk=32), chunks(1, chunk=32)),
        ("delta", chunks(2), chunks(1)),
        ("gated delta", chunks(2), chunks(1)),
        ("gated delta", chunks(2), chunks(1, chunk=128)),
    ],
)
def test_model_orders_as_measured(name, faster, slower):
    model = RecurrenceModel(form(name), HOPPER)
    assert model.microseconds(faster) < model.microseconds(slower)


def test_programs_beyond_a_wave_wait_for_it():
    model = RecurrenceModel(form("gla"), HOPPER)
    room = model.blocks(chunks(3, chunk=32)) * HOPPER.multiprocessors
    assert room == 264
    times = [
        RecurrenceModel(dataclasses.replace(model.form, heads=heads), HOPPER).microseconds(
            chunks(3, chunk=32, value_block=128)
        )
        for heads in (1, room, room + 1)
    ]
    assert times[0] < times[1] < 0.6 * times[2]


# ---- the choice ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, "measured", 64])
@pytest.mark.parametrize("name", SIZES)
def test_programs_that_fill_the_chip_are_made_as_measured(name, batch):
    forms = [form(name, BATCHES[name] if batch == "measured" else batch or 0)]
    if batch is None:
        forms = read_recurrences(program(name).module)
    found = attempts(ANY, HOPPER, (), forms)
    assert found == attempts(ANY, HOPPER)
    assert "chunk" not in pipeline_for(found[0], HOPPER).replace("chunk-shared-bytes", "")


@pytest.mark.parametrize("name", ["retention", "gla", "delta", "gated delta"])
def test_few_sequences_and_heads_have_more_programs(name):
    facts = form(name).facts
    numbers = []
    for batch in (1, 2, BATCHES[name]):
        forms = [form(name, batch)]
        how = usual(facts, HOPPER, attempts(ANY, HOPPER, (), forms)[0])
        numbers.append(RecurrenceModel(forms[0], HOPPER).programs(how) / batch)
    assert numbers[0] > numbers[2]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("name", SIZES)
def test_few_programs_are_made_by_a_schedule_that_takes_them(name):
    traced = program(name, batch=1)
    forms = read_recurrences(traced.module)
    options = chunk_options(ANY, HOPPER, forms)
    assert options
    how = usual(forms[0].facts, HOPPER, ANY.completed(options))
    with traced.module.context:
        backend = NvidiaBackend(HOPPER)
        first = attempts(ANY, HOPPER, (), forms)[0]
        lowered = backend._lower(traced.module, first)
        chosen = backend.lower(traced.module, ANY)
    assert str(chosen) == str(lowered)
    with chosen.context:
        loop = list(kernels_of(chosen).values())[-1]
        assert loop.attributes[NUM_STAGES].value == how.stages
        assert f"x{how.value_block}x" in str(loop)


def test_usual_schedule_is_tried_after_each_that_was_chosen():
    found = attempts(ANY, HOPPER, (), [form("gla", 1)])
    usual_ones = attempts(ANY, HOPPER)
    assert found[1::2] == usual_ones
    assert [
        dataclasses.replace(each, chunk_value_block=0, chunk_stages=0) for each in found[::2]
    ] == usual_ones
    assert all(each.takes_some for each in found[::2]), "so that a refusal is no error"


def test_sequences_and_lengths_that_are_hinted_at_count():
    traced = program("gla")
    with traced.module.context:
        pipelines = [
            NvidiaBackend(HOPPER)._attempts(traced.module, NvidiaSchedule(**hints))(hints.get("length", 4096))
            for hints in ({}, {"sequences": 1}, {"length": 32768})
        ]
    blocks = [found[0].chunk_value_block for found in pipelines]
    assert blocks[0] == 0
    assert blocks[1] == blocks[2] == 16


@pytest.mark.parametrize(
    ("target", "dtype", "given"),
    [
        (AMPERE, "bf16", {}),
        (HOPPER, "f32", {}),
        (HOPPER, "bf16", {"chunk": 1}),
        (HOPPER, "bf16", {"chunk_value_block": 32, "chunk_stages": 2}),
    ],
)
def test_nothing_is_chosen_where_the_model_knows_nothing_or_all_is_said(target, dtype, given):
    forms = read_recurrences(program("gla", batch=1, dtype=dtype).module)
    assert chunk_options(NvidiaSchedule(**given), target, forms) == {}


def test_part_of_what_is_given_leaves_the_rest_to_choose():
    forms = [form("delta", 1)]
    assert chunk_options(NvidiaSchedule(chunk_stages=2), HOPPER, forms) == {"chunk_value_block": 16}
    assert chunk_options(NvidiaSchedule(value_block=64), HOPPER, forms) == {"chunk_stages": 3}


def test_several_recurrences_have_one_schedule():
    forms = [form("gla", 1), form("delta", 1)]
    options = chunk_options(ANY, HOPPER, forms)
    assert options["chunk_value_block"] < 64
    assert chunk_options(ANY, HOPPER, [form("gla", 1), form("delta", 64)]) == {}


def test_ranked_options_leave_nothing_to_choose():
    forms = [form("gla", 1)]
    ranked = ranked_options(ANY, HOPPER, forms)
    assert default_options(ANY, HOPPER, forms) == ranked[0]
    for options in ranked:
        assert chunk_options(ANY.completed(options), HOPPER, forms) == {}
    assert ranked_options(NvidiaSchedule(chunk=1), HOPPER, forms) == []


# ---- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("chunk_value_block", -1, "expects chunk_value_block to be 1 to 4096, or 0 to choose, got -1"),
        ("chunk_value_block", 5000, "expects chunk_value_block to be 1 to 4096, or 0 to choose, got 5000"),
        ("chunk_stages", 4, "expects chunk_stages to be 1 to 3, or 0 to choose, got 4"),
        ("shared_heads", 1, "expects shared_heads to be 2 or more, or 0 to choose, got 1"),
        ("sequences", -1, "expects sequences to be 1 to 1073741824, or 0 for many, got -1"),
    ],
)
def test_options_out_of_range_are_refused(option, value, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        NvidiaSchedule(**{option: value})


@pytest.mark.parametrize("given", [{"block_q": 64}, {"consumers": 2}])
def test_pipelines_say_what_was_chosen(given):
    schedule = NvidiaSchedule(**given, value_block=128, chunk_value_block=32, chunk_stages=3, shared_heads=4)
    text = pipeline_for(schedule, HOPPER)
    for part in ("value-block=128", "step-value-block=128", "chunk-value-block=32"):
        assert f" {part} " in text
    assert " chunk-stages=3 shared-heads=4" in text
    assert "chunk-value-block=128" in pipeline_for(NvidiaSchedule(**given, value_block=128), HOPPER)
