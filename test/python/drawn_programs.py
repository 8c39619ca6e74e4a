"""Random programs in an order that a seed fixes, whatever fails: what is drawn is not reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st


def each_drawn(
    strategy: st.SearchStrategy[Any], number: int, draws: int, check: Callable[[Any], None]
) -> None:
    """`check` on so many programs, drawn from the seed `number`; some may be the same."""

    @seed(number)
    @settings(
        max_examples=draws,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(program=strategy)
    def property_(program: Any) -> None:
        check(program)

    property_()


def each_different(
    strategy: st.SearchStrategy[Any],
    number: int,
    count: int,
    check: Callable[[Any], None],
    draws_each: int = 4,
) -> int:
    """`check` on `count` different programs, or fewer where there are not as many in the draws; how many."""
    different: set[str] = set()

    def check_new(program: Any) -> None:
        if program.source not in different and len(different) < count:
            different.add(program.source)
            check(program)

    each_drawn(strategy, number, draws_each * count, check_new)
    return len(different)
