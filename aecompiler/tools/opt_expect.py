"""`--verify-diagnostics`: comments in the input say which diagnostics must appear, and no others may.

`// expected-error {{text}}` stands on the line of the diagnostic. `@+1`, `@-2`, `@above`, `@below` move it,
`@unknown` is for diagnostics without a position in the input; a number before the braces repeats it. `-re`
after the kind makes `{{...}}` inside of the text regular expressions. `@above` and `@below` skip lines that
hold expectations themselves. The text may be a part of the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aecompiler.diagnostics import Diagnostic

_START = re.compile(r"expected-(error|warning|remark|note)|expected-[a-z-]+\s*(?:@|\d*\s*\{\{)")
_EXPECTATION = re.compile(
    r"expected-(?P<kind>error|warning|remark|note)(?P<re>-re)?\s*"
    r"(?:@(?P<where>[+-]\d{1,9}|above|below|unknown)\s*)?(?P<count>\d{1,6}\s*)?\{\{"
)


@dataclass
class _Expectation:
    line: int
    column: int
    kind: str
    target: int | None
    text: str
    pattern: re.Pattern[str]

    def matches(self, found: Diagnostic, file: str) -> bool:
        here = found.line if found.file in (file, None) else None
        return (
            found.severity == self.kind and here == self.target and bool(self.pattern.search(found.message))
        )


def check_expectations(source: str, found: Iterable[Diagnostic], file: str) -> list[Diagnostic]:
    """The errors of comparing `found` with the expectations in `source`; none when all agree."""
    problems: list[Diagnostic] = []
    open_ = list(_flatten(found))
    for expectation in _expectations(source, file, problems):
        hit = next((d for d in open_ if expectation.matches(d, file)), None)
        if hit is not None:
            open_.remove(hit)
        else:
            message = f'expected {expectation.kind} "{expectation.text}" was not produced'
            problems.append(Diagnostic("error", message, file, expectation.line, expectation.column))
    for d in open_:
        problems.append(
            Diagnostic("error", f"unexpected {d.severity}: {d.message}", d.file, d.line, d.column)
        )
    return problems


def _flatten(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    for diagnostic in found:
        yield diagnostic
        yield from _flatten(diagnostic.notes)


def _expectations(source: str, file: str, problems: list[Diagnostic]) -> list[_Expectation]:
    found: list[_Expectation] = []
    plain = 0  # the last line without expectations
    waiting: list[_Expectation] = []  # for the next such line
    for number, line in enumerate(source.split("\n"), 1):
        if "expected-" not in line:
            plain = number
            for expectation in waiting:
                expectation.target = number
            waiting = []
            continue
        before = len(found)
        for item in _of_line(line, number, plain, file, problems):
            found += item
            if item[0].target == _BELOW:
                waiting += item
        if len(found) == before:
            plain = number
    for expectation in waiting:
        expectation.target = 0  # nothing below: matches no diagnostic
    return found


_BELOW = -(1 << 40)


def _of_line(
    line: str, number: int, plain: int, file: str, problems: list[Diagnostic]
) -> Iterator[list[_Expectation]]:
    position = line.find("//")
    while position >= 0 and (start := _START.search(line, position)):
        column = start.start() + 1
        match = _EXPECTATION.match(line, start.start())
        end = _closing(line, match.end()) if match else -1
        if match is None or end < 0:
            example = "expected-error@+1 {{text}}"
            problems.append(
                Diagnostic("error", f"malformed expectation: write it as '{example}'", file, number, column)
            )
            return
        text = line[match.end() : end]
        position = end + 2
        try:
            pattern = _pattern(text, is_regex=match["re"] is not None)
        except re.error as error:
            problems.append(
                Diagnostic(
                    "error", f"malformed regular expression in expectation: {error}", file, number, column
                )
            )
            continue
        where = match["where"]
        targets = {None: number, "above": plain, "below": _BELOW, "unknown": None}
        target = targets[where] if where in targets else number + int(where)
        count = int(match["count"] or 1)
        if count == 0:
            problems.append(
                Diagnostic("error", "malformed expectation: the count is 0", file, number, column)
            )
            continue
        yield [_Expectation(number, column, match["kind"], target, text, pattern) for _ in range(count)]


def _closing(line: str, position: int) -> int:
    """The position of the `}}` that closes an opened `{{`; -1 when there is none."""
    depth = 1
    while position < len(line) - 1:
        pair = line[position : position + 2]
        # `{{[a-z]{2}}}`: of three braces the last two close.
        if pair == "}}" and line[position + 2 : position + 3] != "}":
            depth -= 1
            if depth == 0:
                return position
            position += 2
        elif pair == "{{":
            depth += 1
            position += 2
        else:
            position += 1
    return -1


def _pattern(text: str, *, is_regex: bool) -> re.Pattern[str]:
    if not is_regex:
        return re.compile(re.escape(text))
    parts, position = [], 0
    while (start := text.find("{{", position)) >= 0:
        end = _closing(text, start + 2)
        if end < 0:
            raise re.error("'{{' is not closed")
        parts += [re.escape(text[position:start]), f"(?:{text[start + 2 : end]})"]
        position = end + 2
    return re.compile("".join([*parts, re.escape(text[position:])]))
