"""Pass pipelines that mix Python passes with MLIR's own, resolved from text and run pass by pass.

The bindings can't register a Python pass with MLIR's own parser, so pipelines are parsed here, and each pass
is run on its own. That also tells which pass is running when the process dies, and lets tools look at the IR
between any two passes.

`builtin.module(func.func(a,b),c)` runs `a` on every function, then `b` on every function, then `c`. MLIR runs
`a,b` function by function; the results are equal, since a pass sees no more than the op it is anchored on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aecompiler import diagnostics as diags
from aecompiler.bindings import ir, passmanager
from aecompiler.diagnostics import Diagnostic
from aecompiler.errors import CompileError, PipelineError
from aecompiler.passes.options import OptionError, parse_options
from aecompiler.passes.pipeline_text import Element, parse_pipeline
from aecompiler.passes.registry import ANY, PASSES, PIPELINES, NamedPipeline, Pass, PassFailure, options_of

MODULE = "builtin.module"
_MAX_EXPANSIONS = 32
UNKNOWN_PASS = "does not refer to a registered pass"
RESTRICTED = re.compile(r"restricted to '([^']*)'")


class InvalidIRError(CompileError):
    """The verifier refused what a pass made of valid IR: a bug in that pass."""


@dataclass(frozen=True)
class Step:
    """One pass of a resolved pipeline: `path` holds the anchors from the root's child to the pass's op."""

    index: int
    path: tuple[str, ...]
    name: str
    spec: str
    python_pass: Pass | None

    def __str__(self) -> str:
        text = self.spec
        for anchor in reversed(self.path):
            text = f"{anchor}({text})"
        return text


class Instrumentation:
    """Hooks around each run of a pass on an op; subclasses override what they need."""

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        """Called before the pass; a `PassFailure` is reported as one of the pass."""

    def after_pass(self, step: Step, op: ir.Operation) -> None:
        """Called when the pass has succeeded, before the verifier."""

    def after_verifier(self, step: Step, op: ir.Operation) -> None:
        """Called when the verifier has accepted the result."""

    def after_failure(self, step: Step, op: ir.Operation) -> None:
        """Called when the pass or the verifier has failed; `op` may be invalid."""


class Pipeline:
    """A pipeline with every name looked up and every option checked; build once, run on many ops.

    `text` is `anchor(...)` for `anchor` or "any", or what stands between those parentheses.
    `str(pipeline)` has named pipelines expanded and reads back as an equal pipeline. Raises `PipelineError`.
    """

    def __init__(self, text: str, *, anchor: str = MODULE):
        elements = parse_pipeline(text)
        self.anchor = anchor
        if len(elements) == 1 and elements[0].nested is not None and elements[0].name in (anchor, ANY):
            self.anchor, elements = elements[0].name, elements[0].nested
        with ir.Context.current or ir.Context():
            self.steps = tuple(_Resolver().steps(elements, (self.anchor,)))

    def __str__(self) -> str:
        return self.text()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and (self.anchor, self.steps) == (other.anchor, other.steps)

    def __hash__(self) -> int:
        return hash((self.anchor, self.steps))

    def text(self, first: int = 0) -> str:
        """The pipeline from step `first` on, as text."""
        return f"{self.anchor}({_join([(step.path, step.spec) for step in self.steps[first:]])})"

    def run(
        self,
        op: Any,
        *,
        verify: bool = True,
        file: str | None = None,
        instrumentation: Instrumentation | None = None,
        stop_before: int | None = None,
    ) -> list[Diagnostic]:
        """Run on `op` in place; return the warnings and remarks.

        `verify` checks the IR after each pass; `file` is the name that diagnostics give to text parsed from
        memory; `stop_before` ends the run before the step with that index.

        Raises `CompileError` when a pass fails, `InvalidIRError` when a pass leaves invalid IR, and
        `PipelineError` when `op` is not what the pipeline is anchored on. A pass's bug surfaces as its own
        exception, with a note that names the pass.
        """
        root = op.operation
        if self.anchor not in (root.name, ANY):
            raise PipelineError(f"the pipeline runs on '{self.anchor}', not on '{root.name}'")
        hooks = instrumentation or Instrumentation()
        # Passes make attributes and ops without naming a context.
        with root.context, diags.capture(root.context, file) as found:
            for step in self.steps[:stop_before]:
                for target in list(_targets(root, step.path)):
                    _run_step(step, target, self._anchor_of(step), verify, file, hooks, found)
        return found

    def _anchor_of(self, step: Step) -> str:
        return step.path[-1] if step.path else self.anchor


def run_pipeline(module: Any, text: str) -> list[Diagnostic]:
    """Run the pipeline `text` on `module` in place; return the warnings and remarks.

    Raises `PipelineError` for bad text, and `CompileError`, whose text ends with a command that replays the
    pipeline, when a pass fails.
    """
    operation = module.operation
    with operation.context:
        pipeline = Pipeline(text, anchor=operation.name)
    try:
        return pipeline.run(operation)
    except CompileError as error:
        text = f"{error}\nthe pipeline was: aec-opt --pass-pipeline='{pipeline}'"
        raise type(error)(text, error.diagnostics) from error.__cause__


def make_pass(name: str, options: str = "") -> Pass:
    """The registered pass `name` with options given as text; raise `PipelineError`."""
    elements = parse_pipeline(f"{name}{{{options}}}" if options else name)
    if len(elements) != 1 or elements[0].name not in PASSES:
        raise PipelineError(f"unknown pass '{name}'")
    return _make_pass(elements[0])


class _Resolver:
    """Looks up names: Python passes, named pipelines (expanded in place), then MLIR's registry."""

    def __init__(self) -> None:
        self._count = 0
        self._expanding: list[str] = []

    def steps(self, elements: tuple[Element, ...], path: tuple[str, ...]) -> Iterator[Step]:
        """`path` starts with the root's anchor."""
        for element in elements:
            if element.nested is not None:
                yield from self.steps(element.nested, (*path, element.name))
            elif element.name in PIPELINES:
                yield from self._expand(element, path)
            else:
                yield self._leaf(element, path)

    def _expand(self, element: Element, path: tuple[str, ...]) -> Iterator[Step]:
        if element.name in self._expanding or len(self._expanding) >= _MAX_EXPANSIONS:
            raise element.error(f"pipeline '{element.name}' contains itself")
        pipeline = PIPELINES[element.name]
        text = _build(pipeline, element)
        self._expanding.append(element.name)
        try:
            elements = parse_pipeline(text)
            if len(elements) == 1 and elements[0].nested is not None and elements[0].name == path[-1]:
                elements = elements[0].nested
            yield from self.steps(elements, path)
        except PipelineError as error:
            raise element.error(f"{error}\nin the expansion of pipeline '{element.name}'") from None
        finally:
            self._expanding.pop()

    def _leaf(self, element: Element, path: tuple[str, ...]) -> Step:
        python_pass, anchor = None, path[-1]
        spec = str(element)
        if element.name in PASSES:
            python_pass = _make_pass(element)
            if python_pass.ANCHOR not in (anchor, ANY):
                raise element.error(
                    f"pass '{element.name}' runs on '{python_pass.ANCHOR}', not on '{anchor}'"
                    + (f": write {python_pass.ANCHOR}({element.name})" if anchor == MODULE else "")
                )
            spec = python_pass.spec()
        else:
            _check_upstream(element, anchor)
        step = Step(self._count, path[1:], element.name, spec, python_pass)
        self._count += 1
        return step


def _make_pass(element: Element) -> Pass:
    cls = PASSES[element.name]
    owner = f"pass '{element.name}'"
    try:
        return cls(**parse_options(owner, element.options, options_of(cls)))
    except OptionError as error:
        raise element.error(str(error), element.options_offset + error.offset) from None
    except ValueError as error:
        raise element.error(f"{owner}: {error}") from None


def _build(pipeline: NamedPipeline, element: Element) -> str:
    owner = f"pipeline '{pipeline.name}'"
    try:
        return pipeline.build(**parse_options(owner, element.options, pipeline.options))
    except OptionError as error:
        raise element.error(str(error), element.options_offset + error.offset) from None
    except ValueError as error:
        raise element.error(f"{owner}: {error}") from None


def _check_upstream(element: Element, anchor: str) -> None:
    """Raise `PipelineError` unless MLIR knows the pass, its options and that it may run on `anchor`."""
    problem = upstream_error(str(element), anchor)
    if problem is None:
        return
    if UNKNOWN_PASS in problem:
        raise element.error(f"unknown pass or pipeline '{element.name}'{_suggestion(element.name)}")
    if match := RESTRICTED.search(problem):
        hint = f": write {match[1]}({element.name})" if anchor == MODULE else ""
        raise element.error(f"pass '{element.name}' runs on '{match[1]}', not on '{anchor}'{hint}")
    raise element.error(f"pass '{element.name}': {problem}")


def upstream_error(spec: str, anchor: str) -> str | None:
    """Why MLIR refuses the pass `spec` on ops named `anchor`; `None` when it takes it. Needs a context."""
    try:
        passmanager.PassManager(anchor).add(spec)
    except ValueError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        kept = [line for line in lines if not line.startswith("failed to add")] or lines
        return kept[0].split("error: ")[-1].removeprefix("<Pass-Options-Parser>: ")
    return None


def _suggestion(name: str) -> str:
    import difflib  # only on the way to an error: it costs start-up time

    close = difflib.get_close_matches(name, [*PASSES, *PIPELINES], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _targets(op: ir.Operation, path: tuple[str, ...]) -> Iterator[ir.Operation]:
    if not path:
        yield op
        return
    for region in op.regions:
        for block in region.blocks:
            for child in list(block.operations):
                operation = child.operation
                if operation.name == path[0] or (path[0] == ANY and _is_isolated(operation)):
                    yield from _targets(operation, path[1:])


def _is_isolated(op: ir.Operation) -> bool:
    return op.has_trait(ir.IsIsolatedFromAboveTrait)


def _run_step(
    step: Step,
    op: ir.Operation,
    anchor: str,
    verify: bool,
    file: str | None,
    hooks: Instrumentation,
    found: list[Diagnostic],
) -> None:
    already = sum(d.severity == "error" for d in found)
    try:
        hooks.before_pass(step, op)
        _run_pass(step, op, anchor)
    except PassFailure as failure:
        diags.emit(failure.op, failure.message)
    except ir.MLIRError as error:
        found += diags.collect(error, file)
    except Exception as error:
        error.add_note(f"while running pass '{step.name}'")
        raise
    if sum(d.severity == "error" for d in found) > already:
        hooks.after_failure(step, op)
        raise diags.compile_error(found)
    hooks.after_pass(step, op)
    if verify:
        _verify(step, op, file, hooks, found)
        hooks.after_verifier(step, op)


def _run_pass(step: Step, op: ir.Operation, anchor: str) -> None:
    if step.python_pass is not None:
        with op.location:
            step.python_pass.run(op)
        return
    manager = passmanager.PassManager(anchor)
    manager.enable_verifier(False)  # verified once, by us
    manager.add(step.spec)
    manager.run(op)


def _verify(
    step: Step, op: ir.Operation, file: str | None, hooks: Instrumentation, found: list[Diagnostic]
) -> None:
    try:
        if op.verify():
            return
    except ir.MLIRError as error:
        found += diags.collect(error, file)
    hooks.after_failure(step, op)
    message = f"pass '{step.name}' made invalid IR:\n" + "\n".join(d.render() for d in found)
    raise InvalidIRError(message, found)


def _join(specs: list[tuple[tuple[str, ...], str]]) -> str:
    """Pipeline text of specs with their paths; neighbours with one anchor share its parentheses."""
    parts: list[str] = []
    position = 0
    while position < len(specs):
        path, spec = specs[position]
        if not path:
            parts.append(spec)
            position += 1
            continue
        group = []
        while position < len(specs) and specs[position][0][:1] == path[:1]:
            group.append((specs[position][0][1:], specs[position][1]))
            position += 1
        parts.append(f"{path[0]}({_join(group)})")
    return ",".join(parts)
