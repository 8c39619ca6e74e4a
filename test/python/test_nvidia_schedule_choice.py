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


# ---- few queries -------------------------------------------------------------------------------------


def few_forms(rows=1, features=128, dtype="bf16", queries=0, group=4):
    """The form of attention with fewer queries than keys."""
    q = aec.tensor("B", 8 * group, rows, features, dtype=dtype)
    k = aec.tensor("B", 8, "S", features, dtype=dtype)

    @aec.program(q=q, k=k, v=k)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale())

    return read_forms(attention.module, 0, queries)


def test_few_queries_are_packed_and_keys_are_split_first():
    first, *others = attempts(ANY, HOPPER, few_forms())
    assert (first.consumers, first.pack, first.split, first.grid) == (1, "heads", "keys", "tiles")
    assert (first.block_kv, first.num_stages) == (128, 3)
    plain = next(each for each in others if not each.consumers)
    assert (plain.pack, plain.split) == ("heads", "keys")
    assert any(each.pack == "none" and each.split == "keys" for each in others)
    assert (others[-1].pack, others[-1].split) == ("none", "none")


@pytest.mark.parametrize(("group", "packed"), [(64, True), (65, False)])
def test_groups_of_more_heads_than_a_tile_has_rows_are_not_packed(group, packed):
    found = attempts(ANY, HOPPER, few_forms(group=group))
    assert any(each.pack == "heads" for each in found) == packed
    assert found[0].split == "keys"


def test_other_chips_take_few_queries_without_roles():
    found = attempts(ANY, named_target("nvidia:sm_80"), few_forms())
    assert not with_roles(found)
    assert (found[0].pack, found[0].split) == ("heads", "keys")


@pytest.mark.parametrize(
    ("rows", "queries", "are_few"), [(64, 0, 1), (65, 0, 0), ("Sq", 0, 0), ("Sq", 64, 1)]
)
def test_numbers_of_queries_that_are_known_decide(rows, queries, are_few):
    first, *_ = attempts(ANY, HOPPER, few_forms(rows, queries=queries))
    assert (first.split == "keys") == are_few


def test_as_few_keys_as_queries_are_no_reason_to_split_them():
    x = aec.tensor("B", 8, 32, 64, dtype="bf16")
    program = aec.trace(lambda q, k, v: aec.attention(q, k, v), q=x, k=x, v=x)
    assert not any(each.split for each in attempts(ANY, HOPPER, read_forms(program.module)))


@pytest.mark.parametrize("given", [{"pack": "none"}, {"split": "none"}, {"pack": "none", "split": "none"}])
def test_what_is_given_of_few_queries_stands_in_all_attempts(given):
    found = attempts(NvidiaSchedule(**given), HOPPER, few_forms())
    assert all(getattr(each, name) == value for each in found for name, value in given.items())


def test_a_schedule_that_was_timed_is_not_chosen_anew():
    (best, *_) = ranked(ANY, HOPPER, few_forms())
    assert attempts(best, HOPPER, few_forms())[0] == best
