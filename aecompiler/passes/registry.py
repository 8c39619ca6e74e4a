"""What a pass is, and the registries of passes and named pipelines."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, ClassVar

from aecompiler.bindings import ir
from aecompiler.passes import options as opts
from aecompiler.passes.options import Option

ANY = "any"
"""The anchor of a pass that runs on any op that is isolated from above."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


class PassFailure(Exception):
    """Raised in `Pass.run` when the IR can't be handled: `'<op name>' op <message>` at the op's location."""

    def __init__(self, op: Any, message: str):
        super().__init__(message)
        self.op, self.message = op, message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """Base of all passes: a frozen dataclass whose fields, made with `option`, are the pass's options.

    The class docstring is the documentation: an imperative summary line, what holds before and after, and IR
    before and after. `__post_init__` may raise `ValueError` for rules between options.
    """

    NAME: ClassVar[str]
    ANCHOR: ClassVar[str] = "builtin.module"
    """The name of the op that the pass runs on, or "any"."""

    def run(self, op: ir.Operation) -> None:
        """Change `op` in place; `PassFailure` reports IR that can't be handled, other exceptions are bugs."""
        raise NotImplementedError

    def explain(self, op: ir.Operation) -> str:
        """What the pass finds in `op`, as text for a person; `op` stays as it is. See `aec-opt --explain`.

        `PassFailure` reports IR that can't be handled, as in `run`. A pass that says nothing leaves this out.
        """
        raise PassFailure(op, f"unsupported: pass '{self.NAME}' has no explanation")

    def spec(self) -> str:
        """`name{option=value ...}` with the options that differ from their defaults; reads back equal."""
        chosen = ((option, getattr(self, option.name)) for option in options_of(type(self)).values())
        changed = [f"{option.key}={opts.render(v)}" for option, v in chosen if v != option.default]
        return f"{self.NAME}{{{' '.join(changed)}}}" if changed else self.NAME


@dataclasses.dataclass(frozen=True)
class NamedPipeline:
    """A pipeline with a name; `build(**options)` returns the pipeline text that the name stands for."""

    name: str
    build: Callable[..., str]
    options: dict[str, Option]


PASSES: dict[str, type[Pass]] = {}
PIPELINES: dict[str, NamedPipeline] = {}


def option(default: Any, help: str) -> Any:
    """A field of a pass: an option with its default and a help text (a phrase, no full stop)."""
    return dataclasses.field(default=default, metadata={"help": help})


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def register_pass(cls: type[Pass]) -> type[Pass]:
    """Class decorator: make `cls` a frozen dataclass and register it under its `NAME`.

    Raises `ValueError` for a pass without docstring, with a name that is taken or not kebab-case, or with an
    option that has no help or no readable type: mistakes of the pass's author.
    """
    _check_name("pass", cls.NAME)
    _check_doc("pass", cls.NAME, cls.__dict__.get("__doc__"))  # before dataclass() makes one up
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    for item in options_of(cls).values():
        _check_option(f"pass '{cls.NAME}'", item)
    PASSES[cls.NAME] = cls
    return cls


def register_pipeline(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Function decorator: the keyword parameters are the options, the docstring's first line the summary.

    ```python
    @register_pipeline("attn-cpu-reference")
    def cpu_reference(*, threads: Annotated[int, "number of threads"] = 1) -> str:
        \"\"\"Lower attention programs to LLVM, in the direct form.\"\"\"
        return f"convert-attn-to-linalg,func.func(cse),..."
    ```
    The text may be wrapped in `builtin.module(...)` or not. Raises `ValueError` as `register_pass` does.
    """

    def register(build: Callable[..., str]) -> Callable[..., str]:
        _check_name("pipeline", name)
        _check_doc("pipeline", name, build.__doc__)
        hints = typing.get_type_hints(build, include_extras=True)
        found = {}
        for parameter in inspect.signature(build).parameters.values():
            type_, help_ = _annotated(hints.get(parameter.name))
            item = Option(opts.kebab(parameter.name), type_, parameter.default, help_)
            _check_option(f"pipeline '{name}'", item)
            found[item.key] = item
        PIPELINES[name] = NamedPipeline(name, build, found)
        return build

    return register


def options_of(cls: type[Pass]) -> dict[str, Option]:
    """The options of a pass by their kebab-case names."""
    fields = dataclasses.fields(cls)
    hints = typing.get_type_hints(cls) if fields else {}
    return {
        opts.kebab(field.name): Option(
            opts.kebab(field.name), hints[field.name], field.default, field.metadata.get("help", "")
        )
        for field in fields
    }


def summary(documented: Any) -> str:
    """The first line of the docstring of a pass class, a pass's instance or a pipeline."""
    documented = documented.build if isinstance(documented, NamedPipeline) else documented
    return inspect.cleandoc(documented.__doc__ or "").partition("\n")[0]


def _annotated(hint: Any) -> tuple[Any, str]:
    if typing.get_origin(hint) is typing.Annotated:
        type_, help_, *_ = typing.get_args(hint)
        return type_, str(help_)
    return hint, ""


def _check_name(what: str, name: str) -> None:
    if not _NAME.match(name):
        raise ValueError(f"{what} name '{name}' is not kebab-case")
    if name in PASSES or name in PIPELINES:
        raise ValueError(f"{what} '{name}' is already registered")


def _check_doc(what: str, name: str, doc: str | None) -> None:
    if not (doc or "").strip():
        raise ValueError(f"{what} '{name}' has no docstring")


def _check_option(owner: str, item: Option) -> None:
    if not opts.is_supported(item.type):
        raise ValueError(f"option '{item.key}' of {owner} has no type that can be written in a pipeline")
    if item.default in (dataclasses.MISSING, inspect.Parameter.empty):
        raise ValueError(f"option '{item.key}' of {owner} has no default")
    if not item.help:
        raise ValueError(f"option '{item.key}' of {owner} has no help text")
