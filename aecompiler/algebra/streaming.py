"""Streaming forms: the state of a row, how it takes in a tile, merges with another and gives the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aecompiler.algebra import terms as t
from aecompiler.algebra.terms import Term


@dataclass(frozen=True)
class StreamingForm:
    """The regions of `attn.online_attention` or `attn.online_reduce` as terms.

    `update` and what goes with it are in the symbols `states`, the element, and reductions over the tile;
    `merged` in `left` and `right`; `coefficients` and `extras` in `states`.
    """

    states: tuple[Term, ...]
    init: tuple[Term, ...]
    update: tuple[Term, ...]
    rescales: tuple[Term, ...]
    weights: tuple[Term, ...]
    left: tuple[Term, ...]
    right: tuple[Term, ...]
    merged: tuple[Term, ...]
    rescales_left: tuple[Term, ...]
    rescales_right: tuple[Term, ...]
    coefficients: tuple[Term, ...]
    extras: tuple[Term, ...]


@dataclass(frozen=True)
class DerivedPass:
    """One pass of a derived form. All but the last have no accumulators, and their extras are statistics."""

    form: StreamingForm
    stats: tuple[Term, ...]
    """The symbols by which later passes know the extras of this one; none for the last pass."""
    proof: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Options:
    """How forms are made.

    `bounded` is the largest exponent that needs no reference, `lazy` by how much references may lag, and
    `anchors` says whether sums of powers are kept about anchors. No power of states may be larger than
    e^`most`.
    """

    bounded: float = 60.0
    lazy: float = 0.0
    anchors: bool = True
    most: float = 80.0


def rename(form: StreamingForm, mapping: Mapping[Term, Term]) -> StreamingForm:
    """The form with symbols replaced."""
    memo: dict[Term, Term] = {}

    def replaced(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(t.transform(term, mapping.get, memo) for term in terms)

    fields = {name: replaced(getattr(form, name)) for name in StreamingForm.__dataclass_fields__}
    return StreamingForm(**fields)
