"""Typed options of passes and pipelines: `name{block-q=64 layout=bshd tiles=16,32}` as text and as values."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_BARE = re.compile(r"[^\s{}\"'(),]+\Z")
_BOOLEANS = {"true": True, "1": True, "": True, "false": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One option: `key` is its kebab-case name in text, `type` the annotation of the Python value."""

    key: str
    type: Any
    default: Any
    help: str

    @property
    def name(self) -> str:
        """The name in Python."""
        return self.key.replace("-", "_")


class OptionError(ValueError):
    """An option's text breaks a rule; `offset` is its position in the text of all options."""

    def __init__(self, message: str, offset: int):
        super().__init__(message)
        self.offset = offset


def kebab(name: str) -> str:
    """`block_q` as it is written in a pipeline."""
    return name.replace("_", "-")


def describe(type_: Any) -> str:
    """What a value of `type_` must look like, as the end of "expects ..."."""
    if inner := _optional(type_):
        return f"{describe(inner)} or none"
    if typing.get_origin(type_) is tuple:
        return f"a comma-separated list, each {describe(typing.get_args(type_)[0])}"
    if choices := _choices(type_):
        return "one of " + ", ".join(choices)
    known = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
    return known[type_]


def metavar(type_: Any) -> str:
    """A short name of the type for help texts."""
    if inner := _optional(type_):
        return f"{metavar(inner)}|none"
    if typing.get_origin(type_) is tuple:
        return f"{metavar(typing.get_args(type_)[0])},..."
    if choices := _choices(type_):
        return "|".join(choices)
    return {bool: "bool", int: "int", float: "float", str: "string"}[type_]


def is_supported(type_: Any) -> bool:
    """Whether values of `type_` can be written in a pipeline."""
    try:
        describe(type_)
    except (KeyError, TypeError, IndexError):
        return False
    return True


def convert(text: str, type_: Any) -> Any:
    """Read a value of `type_`, quoted or not; raise `ValueError` when the text is none."""
    if inner := _optional(type_):
        return None if text == "none" else convert(text, inner)
    if typing.get_origin(type_) is tuple:
        element = typing.get_args(type_)[0]
        return tuple(convert(item, element) for item in _split_commas(_strip_braces(text)))
    if type_ is str:
        return _unquote(text)
    text = _unquote(text)
    if type_ is bool:
        if text not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text]
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return _member(text, type_)
    if typing.get_origin(type_) is typing.Literal:
        return text if text in _choices(type_) else _bad(text)
    if type_ is int:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,40}", text) else _bad(text)
    if type_ is float:
        return float(text)
    raise TypeError(type_)


def render(value: Any) -> str:
    """The text of `value`, which `parse_options` reads back as an equal value."""
    if isinstance(value, tuple):
        return ",".join(render(item) for item in value) or "{}"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, enum.Enum):
        value = value.value
    text = repr(value) if isinstance(value, float) else str(value)
    if _BARE.match(text) and text != "none":
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parse_options(owner: str, text: str, options: Mapping[str, Option]) -> dict[str, Any]:
    """The Python values of the options in `text`; raise `OptionError`, which names `owner` and the option."""
    values: dict[str, Any] = {}
    for key, value, offset in tokens(text):
        if key not in options:
            raise OptionError(_unknown(owner, key, options), offset)
        option = options[key]
        if option.name in values:
            raise OptionError(f"option '{key}' of {owner} is given twice", offset)
        if value is None and option.type is not bool:
            raise OptionError(
                f"option '{key}' of {owner} expects {describe(option.type)}, got no value", offset
            )
        raw = value or ""
        try:
            values[option.name] = convert(raw, option.type)
        except ValueError:
            expected = describe(option.type)
            raise OptionError(f"option '{key}' of {owner} expects {expected}, got '{raw}'", offset) from None
    return values


def tokens(text: str) -> Iterator[tuple[str, str | None, int]]:
    """Split `a=b c={d e} f="g h"` into key, raw value and offset; a key alone has the value `None`."""
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        start = position
        while position < len(text) and not text[position].isspace() and text[position] != "=":
            position += 1
        key = text[start:position]
        if not key:
            raise OptionError("expected an option name", start)
        if position == len(text) or text[position] != "=":
            yield key, None, start
            continue
        end = value_end(text, position + 1)
        yield key, text[position + 1 : end], start
        position = end


def value_end(text: str, position: int) -> int:
    """The end of the value that starts at `position`: white space outside of quotes and braces."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = quote_end(text, position)
            continue
        if character.isspace() and depth == 0:
            break
        depth += {"{": 1, "}": -1}.get(character, 0)
        position += 1
    return position


def quote_end(text: str, position: int) -> int:
    """The position after the quoted string that starts at `position`, or the end when it is not closed."""
    quote = text[position]
    position += 1
    while position < len(text) and text[position] != quote:
        position += 2 if text[position] == "\\" else 1
    return min(position + 1, len(text))


def _bad(text: str) -> typing.NoReturn:
    raise ValueError(text)


def _optional(type_: Any) -> Any:
    """`X` of `X | None`, else `None`."""
    if typing.get_origin(type_) not in (typing.Union, types.UnionType):
        return None
    members = [member for member in typing.get_args(type_) if member is not type(None)]
    if len(members) != 1:
        raise TypeError(type_)
    return members[0]


def _member(text: str, type_: type[enum.Enum]) -> enum.Enum:
    for member in type_:
        if str(member.value) == text:
            return member
    raise ValueError(text)


def _choices(type_: Any) -> list[str]:
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return [str(member.value) for member in type_]
    if typing.get_origin(type_) is typing.Literal:
        return [str(choice) for choice in typing.get_args(type_)]
    return []


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return _strip_braces(text)


def _strip_braces(text: str) -> str:
    if len(text) >= 2 and text[0] == "{" and text[-1] == "}":
        return text[1:-1].strip()
    return text


def _split_commas(text: str) -> Iterator[str]:
    start = position = 0
    while position < len(text):
        if text[position] in "\"'":
            position = quote_end(text, position)
            continue
        if text[position] == ",":
            yield text[start:position].strip()
            start = position + 1
        position += 1
    if text.strip():
        yield text[start:].strip()


def _unknown(owner: str, key: str, options: Mapping[str, Option]) -> str:
    import difflib  # only on the way to an error: it costs start-up time

    close = difflib.get_close_matches(key, options, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else f" (it has {', '.join(options) or 'none'})"
    return f"{owner} has no option '{key}'{hint}"
