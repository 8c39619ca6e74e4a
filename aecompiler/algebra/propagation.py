"""Which terms are NaN when a score of the row is: laws of real numbers cancel what would have been NaN."""

from __future__ import annotations

from collections.abc import Callable

from aecompiler.algebra.terms import Term

_EXACT = ("cmp", "true", "false", "const", "ln2")


def propagates(term: Term, symbol: Callable[[Term], bool], memo: dict[Term, bool] | None = None) -> bool:
    """Whether a NaN in a score surely makes the term NaN; `symbol` answers for symbols."""
    known = {} if memo is None else memo

    def visit(part: Term) -> bool:
        if part not in known:
            known[part] = _propagates(part)
        return known[part]

    def _propagates(part: Term) -> bool:
        if part.op == "sym":
            return symbol(part)
        if part.op in _EXACT:
            return False
        if part.op == "select":
            return visit(part.args[1]) and visit(part.args[2])
        if part.op == "fn":
            # Of arithmetic only maxnumf and minnumf, and what gives no float, drop a NaN.
            name, types = part.data[0], part.data[2]
            is_float = types[-1].startswith(("f", "bf"))
            drops = name.endswith(("maxnumf", "minnumf")) or not name.startswith(("arith.", "math."))
            return is_float and not drops and any(map(visit, part.args))
        return any(map(visit, part.args))

    return visit(term)
