"""What is counted of a program for the choice of a schedule, and how long what is not known is taken for."""

from __future__ import annotations

import pytest

import aecompiler as aec
from aecompiler.backends.nvidia.program_facts import LENGTH, TOKENS, Shape, read_forms
from aecompiler.library import masks, normalizers
from aecompiler.signature import parse


def form(batch="B", length="S", kv_length=None, heads=4, features=64, dtype="bf16", given=0, **how):
    """The form of a program."""
    q = aec.tensor(batch, heads, length, features, dtype=dtype)
    k = aec.tensor(batch, heads, kv_length or length, features, dtype=dtype)
    extra = {"table": aec.tensor(heads, 5, dtype="f32")}

    @aec.program(q=q, k=k, v=k, **extra)
    def attention(q, k, v, table):
        made = {name: make(table) for name, make in how.items()}
        return aec.attention(q, k, v, **{"score": aec.scores.scale(), **made})

    (found,) = read_forms(attention.module, given)
    return found


def test_softmax_has_an_exponential_and_what_is_around_it():
    facts = form().facts
    assert (facts.features, facts.value_features, facts.element) == (64, 64, "bf16")
    assert facts.special == 1
    # a scale, a maximum (2), a difference, a sum, and the factor of the exponent
    assert facts.operations == 6
    assert facts.loads == facts.mask_operations == 0


def test_division_by_the_sum_of_a_row_is_not_done_for_elements():
    with_sum, without = form().facts, form(normalize=lambda _: normalizers.relu(mean=True)).facts
    assert without.special == 0
    assert without.operations < with_sum.operations


def test_what_is_the_same_for_a_row_or_head_is_not_counted():
    plain = form().facts
    biased = form(score=lambda table: lambda s, h: s + aec.log(table[h, 0] + 2.0)).facts
    assert biased.special == plain.special
    assert biased.operations == plain.operations  # a sum instead of a product
    assert biased.loads == 0


def test_reads_of_elements_are_counted():
    facts = form(score=lambda table: lambda s, h, j: s + table[h, j]).facts
    assert facts.loads == 1


@pytest.mark.parametrize(
    ("mask", "least"), [(masks.causal(), 1), (masks.window(8), 2), (masks.causal() & masks.dilated(3), 3)]
)
def test_masks_cost_something_in_their_tiles(mask, least):
    assert form(mask=lambda _: mask).facts.mask_operations > least
    assert form(mask=lambda _: mask).facts.operations == form().facts.operations


@pytest.mark.parametrize("division", ["ceildivsi", "ceildivui", "divsi", "floordivsi", "remui"])
def test_divisions_of_integers_take_many_operations(division):
    text = f"""
    func.func @f(%q: tensor<1x2x?x16xf16>, %n: index) -> tensor<1x2x?x16xf16> {{
      %o = "attn.attention"(%q, %q, %q) ({{
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        %quotient = arith.{division} %j, %n : index
        %integer = arith.index_cast %quotient : index to i32
        %float = arith.sitofp %integer : i32 to f32
        %sum = arith.addf %s, %float : f32
        "attn.yield"(%sum) : (f32) -> ()
      }}, {{
      ^mask(%b: index, %h: index, %i: index, %j: index):
        %true = arith.constant true
        "attn.yield"(%true) : (i1) -> ()
      }}, {{
      ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%s) : (f32) -> ()
      }}) : (tensor<1x2x?x16xf16>, tensor<1x2x?x16xf16>, tensor<1x2x?x16xf16>) -> tensor<1x2x?x16xf16>
      return %o : tensor<1x2x?x16xf16>
    }}
    """
    (found,) = read_forms(parse(text)[0])
    assert found.facts.operations == 25 + 2


def test_sizes_that_are_not_known_are_taken_for_usual_ones():
    assert form().shape == Shape(heads=4 * TOKENS // LENGTH, rows=LENGTH, keys=LENGTH)
    assert form(given=1024).shape == Shape(heads=4 * TOKENS // 1024, rows=1024, keys=1024)


def test_sizes_of_types_are_taken_as_they_are():
    assert form(batch=3, length=100, kv_length=700, given=8192).shape == Shape(heads=12, rows=100, keys=700)


def test_tiles_are_those_of_the_mask():
    causal = form(length=256, mask=lambda _: masks.causal())
    assert causal.mask == "j <= i"
    assert [(each.full, each.partial) for each in causal.visits(64, 32)] == [(0, 2), (2, 2), (4, 2), (6, 2)]


def test_programs_without_rows_have_forms():
    empty = form(length=0, kv_length=64)
    assert empty.visits(64, 64) == []


def test_programs_without_attention_have_none():
    x = aec.tensor(4, dtype="f32")

    @aec.program(x=x)
    def double(x):
        return x + x

    assert read_forms(double.module) == []


def test_forms_that_stream_already_are_read():
    text = """
    func.func @f(%q: tensor<1x2x?x16xf16>, %k: tensor<1x2x?x16xf16>, %v: tensor<1x2x?x16xf16>)
        -> tensor<1x2x?x16xf16> {
      %true = arith.constant true
      %zero = arith.constant 0.0 : f32
      %one = arith.constant 1.0 : f32
      %o = "attn.online_attention"(%q, %k, %v) ({
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%s) : (f32) -> ()
      }, {
      ^mask(%b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%true) : (i1) -> ()
      }, {
        "attn.yield"(%zero) : (f32) -> ()
      }, {
      ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
        %w = math.exp %s : f32
        %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
        %new = arith.addf %l, %sum : f32
        "attn.yield"(%new, %one, %w) : (f32, f32, f32) -> ()
      }, {
      ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
        %l = arith.addf %la, %lb : f32
        "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
      }, {
      ^finalize(%l: f32, %b: index, %h: index, %i: index):
        "attn.yield"(%one) : (f32) -> ()
      }) {accumulators = 1 : i64}
        : (tensor<1x2x?x16xf16>, tensor<1x2x?x16xf16>, tensor<1x2x?x16xf16>) -> tensor<1x2x?x16xf16>
      return %o : tensor<1x2x?x16xf16>
    }
    """
    (found,) = read_forms(parse(text)[0])
    assert (found.facts.special, found.facts.operations) == (1, 2)
