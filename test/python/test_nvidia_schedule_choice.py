"""The order in which schedules are tried: the table, then the model, then what fits nearly anything."""

from __future__ import annotations

import dataclasses
import json

import pytest

import aecompiler as aec
from aecompiler.algebra.tile_classes import TileClasses
from aecompiler.backends.nvidia import schedule_choice
from aecompiler.backends.nvidia.program_facts import MOST_TESTS, ProgramFacts, read_forms
from aecompiler.backends.nvidia.schedule import PLAIN, NvidiaSchedule
from aecompiler.backends.nvidia.schedule_choice import TABLE, attempts, entry_key, length_class, ranked
from aecompiler.backends.nvidia.schedule_model import Model
from aecompiler.backends.nvidia.schedule_space import legal_schedules
from aecompiler.backends.nvidia.target import NAMED_TARGETS, named_target
from aecompiler.library import masks

HOPPER = named_target("nvidia:sm_90")
ANY = NvidiaSchedule()
CAUSAL = masks.causal()


def forms(features=64, length=0, dtype="bf16", heads=4, mask=CAUSAL):
    """The form of causal attention, or that of another mask."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), mask=mask)

    return read_forms(attention.module, length)


FACTS = ProgramFacts(features=64, value_features=64, element="bf16")


def with_roles(found):
    return [each for each in found if each.consumers]


@pytest.fixture
def table(monkeypatch, tmp_path):
    """A table of one entry for Hopper, that of the program with these options."""

    def write(key, options, target="nvidia:sm_90"):
        file = tmp_path / "table.json"
        file.write_text(json.dumps({"target": target, "source": "", "entries": {key: options}}))
        monkeypatch.setattr(schedule_choice, "TABLE", file)
        schedule_choice._measured.cache_clear()

    yield write
    monkeypatch.undo()
    schedule_choice._measured.cache_clear()


MEASURED = {
    "consumers": 1,
    "block_kv": 16,
    "num_stages": 4,
    "grid": "tiles",
    "waits": "at-use",
    "order": "free",
}
"""What the model would not choose."""


def test_what_was_measured_comes_first(table):
    table(entry_key(forms()[0]), MEASURED)
    assert attempts(ANY, HOPPER, forms())[0] == NvidiaSchedule(**MEASURED)


def test_what_was_measured_is_for_its_program_and_length_only(table):
    table(entry_key(forms()[0]), MEASURED)
    for others in (forms(128), forms(length=16384), forms(dtype="f16")):
        assert attempts(ANY, HOPPER, others)[0] != NvidiaSchedule(**MEASURED)
    assert attempts(ANY, HOPPER, forms(length=5000))[0] == NvidiaSchedule(**MEASURED)


def test_what_was_measured_gives_way_to_what_is_asked_for(table):
    table(entry_key(forms()[0]), MEASURED)
    found = attempts(NvidiaSchedule(num_stages=2), HOPPER, forms())
    assert {each.num_stages for each in found} == {2}
    assert found[0] == with_roles(ranked(NvidiaSchedule(num_stages=2), HOPPER, forms()))[0]


def test_table_of_another_chip_is_not_read(table):
    table(entry_key(forms()[0]), MEASURED, target="nvidia:sm_100")
    assert attempts(ANY, HOPPER, forms())[0] != NvidiaSchedule(**MEASURED)


def test_table_of_the_package_has_schedules_that_fit():
    content = json.loads(TABLE.read_text())
    assert content["target"] in NAMED_TARGETS
    assert content["source"]
    assert content["entries"]
    target = named_target(content["target"])
    for key, options in content["entries"].items():
        schedule = NvidiaSchedule(**options)
        assert schedule in legal_schedules(facts_of(key), target), key


def facts_of(key):
    """The facts that a key of the table begins with."""
    fields = {field.name: type(getattr(FACTS, field.name)) for field in dataclasses.fields(ProgramFacts)}
    given = dict(part.split("=", 1) for part in key.split(", ")[: len(fields)])
    return ProgramFacts(**{name: fields[name](text) for name, text in given.items()})


def test_the_model_decides_on_the_rest(monkeypatch):
    monkeypatch.setattr(schedule_choice, "_measured", lambda target: {})
    found = ranked(ANY, HOPPER, forms())
    model = Model(forms()[0], HOPPER)
    times = [model.microseconds(each) for each in found]
    assert times == sorted(times)
    first, second, *others = attempts(ANY, HOPPER, forms())
    assert first == with_roles(found)[0]
    assert second.consumers
    assert second.block_kv < first.block_kv
    assert others == [NvidiaSchedule(**numbers) for numbers in PLAIN]


def test_schedules_of_several_forms_fit_all_of_them():
    both = [*forms(64), *forms(256)]
    found = set(ranked(ANY, HOPPER, both))
    assert found
    assert found == set(ranked(ANY, HOPPER, forms(64))) & set(ranked(ANY, HOPPER, forms(256)))


def test_hints_change_the_choice_and_stand_in_no_attempt():
    given = dataclasses.replace(ANY, length=1024, tune=0)
    found = attempts(given, HOPPER, forms(length=1024))
    assert {each.length for each in found} == {0}


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 1024), (1, 1024), (2047, 1024), (2049, 4096), (8191, 4096), (8193, 16384), (1 << 20, 16384)],
)
def test_classes_of_lengths(length, expected):
    assert length_class(length) == expected


def test_choosing_tests_few_tiles(monkeypatch):
    tests = []
    test = TileClasses.test
    monkeypatch.setattr(TileClasses, "test", lambda self, *given: tests.append(given) or test(self, *given))
    read = forms(length=16384, mask=masks.causal() & masks.dilated(3))
    attempts(ANY, HOPPER, read)
    assert 0 < len(tests) <= MOST_TESTS * read[0].visits.cache_info().misses
