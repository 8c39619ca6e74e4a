"""The errors of tracing: what is wrong, at the user's line, and what to write instead."""

from __future__ import annotations

import ast

from aecompiler.builder.source import Place, truth_test, user_place
from aecompiler.diagnostics import Diagnostic
from aecompiler.errors import CompileError

_NO_TRUTH = "a traced value has no truth value: it stands for all elements at once"


class TraceError(CompileError):
    """A Python function can't be traced as it is written.

    The text is `file:line:column: error: message` with the user's line below it; `diagnostics` holds the
    same as one entry. `place` is the line.
    """

    def __init__(self, message: str, place: Place | None = None):
        self.place = place or user_place()
        self.message = message
        excerpt = self.place.excerpt()
        diagnostic = Diagnostic("error", message, self.place.file, self.place.line, self.place.column or None)
        super().__init__(diagnostic.render() + (f"\n{excerpt}" if excerpt else ""), (diagnostic,))


class UnknownAttributeError(TraceError, AttributeError):
    """A traced value has no such attribute. Also an AttributeError, so that `hasattr` answers False."""


def not_iterable() -> TraceError:
    """The error for loops over a traced value, unpacking it, and the builtins that do so."""
    place = user_place()
    match truth_test(place):
        case ast.Call(func=ast.Name(id="sum" | "max" | "min" as name)):
            advice = f"use x.{name}() for `{name}(x)`"
        case _:
            advice = "index its elements"
    return TraceError(f"a traced value can't be iterated or unpacked; {advice}", place)


def no_truth_value() -> TraceError:
    """The error for `if`, `and`, `not`, chained comparisons and builtins that ask a traced value for its
    truth.
    """
    place = user_place()
    node = truth_test(place)
    match node:
        case ast.If() | ast.IfExp():
            advice = "use aec.where(cond, a, b) for `if`"
        case ast.While():
            advice = "`while` can't depend on it; a loop with a Python bound is unrolled"
        case ast.Assert():
            advice = "`assert` can't test it"
        case ast.BoolOp(op=ast.And()):
            advice = "use `a & b` for `a and b`, with parentheses around comparisons"
        case ast.BoolOp():
            advice = "use `a | b` for `a or b`, with parentheses around comparisons"
        case ast.UnaryOp():
            advice = "use `~a` for `not a`"
        case ast.Compare():
            advice = "use `(a <= x) & (x < b)` for the chained comparison `a <= x < b`"
        case ast.Call(func=ast.Name(id="max" | "min" as name)):
            advice = f"use aec.{name}imum(a, b) for `{name}(a, b)`"
        case ast.Call(func=ast.Name(id="all" | "any" | "sorted" | "bool" as name)):
            advice = f"`{name}(...)` can't depend on it; use aec.where, `&` or `|`"
        case _:
            advice = (
                "use aec.where(cond, a, b) for `if`, `& | ~` for `and or not`, "
                "`(a <= x) & (x < b)` for a chained comparison, aec.minimum and aec.maximum for min and max"
            )
    return TraceError(f"{_NO_TRUTH}; {advice}", place)
