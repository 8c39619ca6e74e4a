"""The algebra of chunked forms: decays, sums over indices, matrices of rank one, functions of the state."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from aecompiler.algebra import terms as t
from aecompiler.algebra.chunked import ProofError, derive, explanation
from aecompiler.algebra.chunked_laws import ChunkedLawError, check, form_of
from aecompiler.algebra.decays import Decay, decay_of, equal_by_cases, proved
from aecompiler.algebra.factors import RankError, divided, outer, quotient, scalar_content
from aecompiler.algebra.indexed import BOUND_KEY, KEY, VALUE, MixedError, element, index, summed, tensor
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import to_term
from aecompiler.algebra.printing import formula
from aecompiler.algebra.state_maps import NotAffineError, StateMap, chosen
from aecompiler.algebra.transitions import StructureError, transition

G, H = t.symbol("g", t.Depends.FIXED), t.symbol("h", t.Depends.FIXED, 0.0)
POSITIVE = t.compare("ogt", G, t.ZERO)
HALF = t.const(0.5)


def vector(name, at=KEY):
    return element(tensor(name), (at,))


def product(*terms):
    result = t.ONE
    for term in terms:
        result = t.mul(result, term)
    return result


DECAYS = {
    # value: log, sign, at most 1
    "exp(g)": (t.exp(G), "g", None, False),
    "exp(-|d[i]|)": (t.exp(t.neg(t.absolute(vector("d")))), "-|d[i]|", None, True),
    "sigmoid": (
        t.div(t.ONE, t.held(t.add(t.ONE, t.exp(t.neg(G))))),
        "-(max(-g, 0) + log1p(exp(-|-g|)))",
        None,
        True,
    ),
    "0.9": (t.const(0.9), "log(0.9)", None, True),
    "-0.3": (t.const(-0.3), "log(0.3)", "-1", True),
    "2": (t.const(2.0), "log(2)", None, False),
    "1 - 2^(-1-h)": (
        t.held(t.sub(t.ONE, t.exp(t.mul(t.held(t.sub(t.const(-1.0), H)), t.LN2)))),
        "log1p(-exp2(-1 - h))",
        None,
        True,
    ),
    "choice": (t.select(POSITIVE, HALF, t.ONE), "select(g > 0, log(0.5), 0)", None, True),
    "product": (
        t.mul(t.exp(t.neg(t.absolute(G))), t.const(0.3)),
        "-|g| + log(0.3)",
        None,
        True,
    ),
    "g": (G, "log(|g|)", "select(g < 0, -1, 1)", False),
    "tanh": (t.function("tanh", G), "log(|tanh(g)|)", "select(tanh(g) < 0, -1, 1)", True),
    "0": (t.ZERO, "-inf", None, True),
}


@pytest.mark.parametrize("name", DECAYS)
def test_decay_is_the_exponential_of_its_logarithm(name):
    value, log, sign, at_most_one = DECAYS[name]
    decay = decay_of(normal(value))
    assert formula(decay.log) == log
    assert (None if decay.sign is None else formula(decay.sign)) == sign
    assert decay.nonpositive == at_most_one
    assert proved(decay)


@pytest.mark.parametrize(
    "decay",
    [
        Decay(t.exp(G), t.neg(G), None),
        Decay(G, t.log(t.absolute(G)), None),  # g may be below 0
        Decay(t.exp(G), G, t.const(-1.0)),
        Decay(t.select(POSITIVE, HALF, t.ONE), t.select(POSITIVE, t.log(HALF), t.log(HALF)), None),
        Decay(t.const(0.9), t.log(t.const(0.8)), None),
        Decay(t.ZERO, t.const(-1000.0), None),
    ],
)
def test_wrong_logarithms_and_signs_are_not_proved(decay):
    assert not proved(decay)


def test_cases_of_a_maximum_and_a_choice():
    relu = t.maximum(G, t.ZERO)
    assert equal_by_cases(t.add(t.absolute(G), G), t.mul(t.TWO, relu))
    assert not equal_by_cases(t.absolute(G), relu)
    assert equal_by_cases(t.select(POSITIVE, G, t.neg(t.neg(G))), G)


def test_equal_sums_are_one_term_whatever_their_index_was():
    i, other = index("i"), index("other")
    first = summed(normal(product(G, vector("k", i), vector("q", i))), i, 4)
    second = summed(normal(product(vector("q", other), vector("k", other), G)), other, 4)
    assert first == second
    assert formula(to_term(summed(normal(t.mul(G, vector("k", i))), i, 4))) == "g * (sum_x0 k[x0])"


def test_sum_of_what_does_not_depend_on_the_index_counts():
    assert summed(normal(G), KEY, 4) == normal(t.mul(t.const(4.0), G))
    inner = to_term(summed(normal(t.mul(vector("k"), vector("v", VALUE))), VALUE, 3))
    nested = summed(normal(inner), KEY, 4)
    swapped = summed(summed(normal(t.mul(vector("k"), vector("v", VALUE))), KEY, 4), VALUE, 3)
    assert nested == swapped


def test_outer_finds_vectors_in_an_expanded_product():
    """(a[i] + g b[i]) (c[m] - d[m]), multiplied out."""
    left = t.add(vector("a"), t.mul(G, vector("b")))
    right = t.sub(vector("c", BOUND_KEY), vector("d", BOUND_KEY))
    found = outer([(normal(t.mul(left, right)), BOUND_KEY)], KEY)
    assert found is not None
    assert normal(t.mul(to_term(found.left), to_term(found.rights[0]))) == normal(t.mul(left, right))


def test_outer_refuses_a_sum_of_two_products():
    two = t.add(t.mul(vector("a"), vector("c", BOUND_KEY)), t.mul(vector("b"), vector("d", BOUND_KEY)))
    with pytest.raises(RankError) as caught:
        outer([(normal(two), BOUND_KEY)], KEY)
    assert {formula(part) for part in caught.value.parts} == {"a[i]", "b[i]"}


def test_outer_refuses_a_function_of_both_indices():
    mixed = t.exp(t.mul(vector("a"), vector("c", BOUND_KEY)))
    with pytest.raises(MixedError):
        outer([(normal(mixed), BOUND_KEY)], KEY)


def test_exponential_of_a_sum_is_a_product():
    found = outer([(normal(t.exp(t.add(vector("a"), vector("c", BOUND_KEY)))), BOUND_KEY)], KEY)
    assert found is not None
    assert formula(to_term(found.left)) == "exp(a[i])"


def test_quotient_divides_by_what_is_a_factor_only():
    k, decay = vector("k"), t.exp(vector("d"))
    assert quotient(normal(t.mul(k, decay)), normal(decay)) == normal(k)
    assert quotient(normal(k), normal(decay)) is None
    assert quotient(normal(t.mul(k, t.sub(t.ONE, G))), normal(t.sub(t.ONE, G))) == normal(k)
    (g,), (over_g,) = normal(G), normal(t.div(t.ONE, G))
    assert divided(g, over_g) is None  # g may be 0


def test_scales_are_what_all_monomials_share():
    common, (left, right) = scalar_content(
        [(normal(product(G, G, vector("k"))), KEY), (normal(product(G, H, vector("v", VALUE))), VALUE)]
    )
    assert common == normal(G)
    assert (left, right) == (normal(t.mul(G, vector("k"))), normal(t.mul(H, vector("v", VALUE))))


STATE = StateMap.state(KEY, VALUE)


def delta_rule(decay=t.ONE, beta=G):
    """D S + beta k (v - k D S) and q times that, over four features of the key."""
    kept = STATE.times(normal(decay))
    seen = kept.times(normal(vector("k"))).summed(KEY, 4)
    update = StateMap.of(vector("v", VALUE)).plus(seen, Fraction(-1))
    new = kept.plus(update.times(normal(t.mul(beta, vector("k")))))
    return new, new.times(normal(vector("q"))).summed(KEY, 4)


def test_step_is_derived_from_its_functions_of_the_state():
    new, out = delta_rule(t.exp(vector("d")))
    read = STATE.times(normal(vector("q"))).summed(KEY, 4)
    form = derive(new, out, read, 4)
    parts = {name: formula(term) for name, term in form.parts().items()}
    assert parts == {
        "query": "q[i]",
        "key": "k[i]",
        "value": "v[j]",
        "log_decay": "d[i]",
        "key_scale": "g",
        "erase": "k[i]",
    }
    assert form.transition.erases_decayed
    assert form.reading.after
    assert any(line.startswith("WY form") for line in explanation(form))


def test_output_that_is_no_read_of_the_new_state_is_not_proved():
    new, out = delta_rule(t.exp(vector("d")))
    wrong = STATE.times(normal(vector("k"))).summed(KEY, 4)
    with pytest.raises(ProofError, match=r"the output of the chunked form is that of the step, at S\[m, j\]"):
        derive(new, out, wrong, 4)


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (STATE.times(normal(vector("e", VALUE))), "decay"),
        (StateMap.state(VALUE, KEY), "transposed"),
        (
            STATE.times(normal(vector("v", VALUE))).summed(VALUE, 4).times(normal(vector("v", VALUE))),
            "right",
        ),
        (STATE.plus(StateMap.of(element(tensor("M"), (KEY, VALUE)))), "write"),
    ],
)
def test_other_structures_are_refused_by_kind(new, kind):
    with pytest.raises(StructureError) as caught:
        transition(new)
    assert caught.value.kind == kind


def test_trace_of_the_state_is_no_function_that_can_be_read():
    with pytest.raises(NotAffineError):
        STATE.renamed({VALUE: KEY}).summed(KEY, 4)


def test_choice_between_functions_of_the_state_keeps_products_apart():
    new, _ = delta_rule()
    either = chosen(POSITIVE, new, STATE)
    found = transition(either)
    assert found.decay is None
    assert formula(found.key_scale) in ("g * select(g > 0, 1, 0)", "select(g > 0, 1, 0) * g")


def parts_of(**others):
    return {"query": vector("q"), "key": vector("k"), "value": vector("v", VALUE), **others}


@pytest.mark.parametrize(
    ("parts", "exponents", "law"),
    [
        (parts_of(log_decay=G), "any", "bounded below"),
        (parts_of(log_decay=t.maximum(G, t.const(-200.0))), "any", "bounded below"),
        (
            parts_of(log_decay=t.minimum(t.maximum(G, t.const(-111.0)), t.ZERO)),
            "nonpositive",
            "bounded below",
        ),
        (parts_of(log_decay=t.maximum(G, t.const(-110.0))), "nonpositive", "range"),
        (parts_of(log_decay=t.ZERO, sign=G), "any", "sign"),
        (parts_of(log_decay=t.ZERO, sign=t.select(POSITIVE, t.ONE, t.ZERO)), "any", "sign"),
    ],
)
def test_law_that_is_broken_is_named(parts, exponents, law):
    form = form_of(parts, reads="after", erase_reads=None)
    with pytest.raises(ChunkedLawError) as caught:
        check(form, exponents, "f32")
    assert caught.value.law.startswith(law)


def test_laws_of_a_good_form_hold():
    log = t.minimum(t.maximum(G, t.const(-110.0)), t.ZERO)
    sign = t.select(POSITIVE, t.ONE, t.const(-1.0))
    form = form_of(parts_of(log_decay=log, sign=sign), reads="before", erase_reads=None)
    assert [line.partition(":")[0] for line in check(form, "nonpositive", "f32")] == [
        "bounded below",
        "range",
        "sign",
    ]
    without = dataclasses.replace(form.transition, decay=None)
    assert check(dataclasses.replace(form, transition=without), "any", "f32") == [
        "range: there is no exponential"
    ]
