"""Terms as formulas that a person reads."""

from __future__ import annotations

from aecompiler.algebra.terms import LN2, Term

_SUM, _PRODUCT, _UNARY, _CALL = range(4)
_LARGEST = 2000
"""The most nodes of a formula that is written out: shared ones count once for each use."""

_PREDICATES = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def formula(term: Term) -> str:
    """The term as text: `exp(s - x0) / x1`."""
    return _text(term)[0]


def factor(term: Term) -> str:
    """The term as text that may stand in a product."""
    return _wrapped(term, _UNARY)


def number(value: float) -> str:
    """A constant as text."""
    return str(int(value)) if value == int(value or 0) and abs(value) < 1e6 else f"{value:.6g}"


def _wrapped(term: Term, least: int) -> str:
    text, strength = _text(term)
    return text if strength >= least else f"({text})"


def _text(term: Term) -> tuple[str, int]:
    op, args = term.op, term.args
    if term.size > _LARGEST:
        return "...", _CALL
    if op == "const":
        value = float(term.data)
        finite = abs(value) < float("inf")
        return (number(value) if finite else str(value)), (_CALL if value >= 0 else _SUM)
    if op == "ln2":
        return "ln 2", _PRODUCT
    if op in ("held", "float"):
        return _text(args[0])
    if op == "at":
        name, *places = map(formula, args)
        return (f"{name}[{', '.join(places)}]" if places else name), _CALL
    if op == "sum":
        bound, body = args
        return f"sum_{formula(bound)} {_wrapped(body, _PRODUCT)}", _PRODUCT
    if op == "sym":
        return term.data[0], _CALL
    if op in ("add", "sub"):
        sign = "+" if op == "add" else "-"
        right = _wrapped(args[1], _SUM if op == "add" else _PRODUCT)
        if op == "add" and right.startswith("-"):
            right = f"({right})"
        return f"{_wrapped(args[0], _SUM)} {sign} {right}", _SUM
    if op == "mul":
        if args[0] is args[1]:
            return f"{_wrapped(args[0], _CALL)}^2", _UNARY
        return f"{_wrapped(args[0], _PRODUCT)} * {_wrapped(args[1], _UNARY)}", _PRODUCT
    if op == "div":
        return f"{_wrapped(args[0], _PRODUCT)} / {_wrapped(args[1], _CALL)}", _PRODUCT
    if op == "neg":
        return f"-{_wrapped(args[0], _PRODUCT)}", _SUM
    if op == "powf":
        return f"{_wrapped(args[0], _CALL)}^{_wrapped(args[1], _CALL)}", _UNARY
    if op == "abs":
        return f"|{_text(args[0])[0]}|", _CALL
    if op == "exp":
        exponent = without_ln2(args[0])
        return (f"exp({formula(args[0])})" if exponent is None else f"exp2({formula(exponent)})"), _CALL
    if op == "cmp":
        sign = _PREDICATES.get(term.data[1:], term.data)
        return f"{_wrapped(args[0], _SUM)} {sign} {_wrapped(args[1], _SUM)}", _SUM
    if op == "reduce":
        return f"{term.data}_j {_wrapped(args[0], _UNARY)}", _PRODUCT
    name = str(term.data[0]).rpartition(".")[2] if op == "fn" else op
    return f"{name}({', '.join(formula(arg) for arg in args)})", _CALL


def without_ln2(term: Term) -> Term | None:
    """x where the term is x ln 2, with the factor in each summand; else None."""
    from aecompiler.algebra import terms as t

    if term is LN2:
        return t.ONE
    if term is t.ZERO or term in (t.MINUS_INFINITY, t.PLUS_INFINITY):
        return term
    if term.op == "mul":
        for position in (1, 0):
            if (rest := without_ln2(term.args[position])) is not None:
                other = term.args[1 - position]
                return t.mul(other, rest) if position else t.mul(rest, other)
        return None
    if term.op == "div":
        rest = without_ln2(term.args[0])
        return None if rest is None else t.div(rest, term.args[1])
    if term.op in ("add", "sub", "neg", "max", "min"):
        inner = [without_ln2(arg) for arg in term.args]
        return None if None in inner else t.rebuild(term, [part for part in inner if part is not None])
    if term.op == "select":
        inner = [without_ln2(arg) for arg in term.args[1:]]
        if None in inner:
            return None
        return t.select(term.args[0], *(part for part in inner if part is not None))
    return None
