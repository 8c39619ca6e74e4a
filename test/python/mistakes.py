"""Mistakes in programs: functions that hold one at the line marked `# <-`, and how each is checked."""

from __future__ import annotations

import inspect
import re

import pytest

from aecompiler import builder as aec
from aecompiler.errors import CompileError

MARK = "# <-"


def collector():
    """A list of parameters for pytest, and the decorator that adds a mistake with its message to it."""
    found = []

    def mistake(message):
        """Register a function whose line marked `# <-` must be reported with `message`."""

        def register(function):
            found.append(pytest.param(function, message, id=function.__name__))
            return function

        return register

    return found, mistake


def specs():
    return {
        "q": aec.tensor("B", 4, "Sq", 64),
        "k": aec.tensor("B", 2, "Skv", 64),
        "v": aec.tensor("B", 2, "Skv", 32),
        "slopes": aec.tensor(4),
        "table": aec.tensor(None, 3),
        "ids": aec.tensor("B", "Skv", dtype="i32"),
        "n": aec.scalar("index"),
    }


def in_score(score):
    """A program that uses `score`."""
    return lambda q, k, v, slopes, table, ids, n: aec.attention(
        q, k, v, score=lambda s, b, h, i, j: score(s, b, h, i, j, slopes, table)
    )


def check_mistake(function, message):
    """Trace `function` and check the message, and that it points at the marked line."""
    file = inspect.getsourcefile(function)
    source, first = inspect.getsourcelines(function)
    line = first + next(n for n, text in enumerate(source) if MARK in text)
    names = set(inspect.signature(function).parameters)
    program = function if "q" in names else in_score(function)
    with pytest.raises(aec.TraceError) as error:
        aec.trace(
            program, **{name: spec for name, spec in specs().items() if "q" not in names or name in names}
        )
    assert message in error.value.message
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.severity, diagnostic.file, diagnostic.line) == ("error", file, line)
    assert diagnostic.message == error.value.message
    text = str(error.value)
    assert re.match(rf"{re.escape(file)}:{line}:(\d+: )?error: ", text) or f":{line}: error: " in text
    assert source[line - first].strip() in text  # the user's line
    assert isinstance(error.value, CompileError)


def same(q):
    """q, k and v of one length."""
    return q, q, q[..., :32]
