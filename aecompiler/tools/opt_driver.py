"""The work of aec-opt, done in a supervised child process: parse, run passes, print."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aecompiler import diagnostics as diags
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of, is_bytecode
from aecompiler.diagnostics import Diagnostic
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError
from aecompiler.passes.infra import (
    ANY,
    PASSES,
    PIPELINES,
    Instrumentation,
    InvalidIRError,
    Pass,
    Pipeline,
    Step,
)
from aecompiler.passes.pipeline import MODULE, RESTRICTED, UNKNOWN_PASS, upstream_error
from aecompiler.tools import opt_info
from aecompiler.tools.command_line import FAILED, OK, version_text
from aecompiler.tools.errors import FlagError, UsageError, describe
from aecompiler.tools.files import replace_file
from aecompiler.tools.opt_expect import check_expectations
from aecompiler.tools.opt_flags import build_parser
from aecompiler.tools.opt_print import Explain, Instrumentations, PrintIR, Timing
from aecompiler.tools.opt_reproducer import Reproducer, comment, find_reproducer
from aecompiler.tools.registration import register_all
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter

SEPARATOR = "// -----"
_MAX_NESTING = 4096
_BRACKETS = re.compile(rb'//[^\n]*|"(?:[^"\\\n]|\\.)*"|->|>=|[{}<>]')
_SPLIT = re.compile(rf"^{SEPARATOR}[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Chunk:
    """One part of the input; text keeps its line numbers by empty lines in front."""

    data: bytes
    text: str | None


@dataclass(frozen=True)
class Place:
    """Where a run failed: in which chunk, and before which step of the pipeline (-1: while parsing)."""

    chunk: int
    step: int

    def __str__(self) -> str:
        return f"{self.chunk}:{self.step}"

    @staticmethod
    def parse(text: str) -> Place:
        """Read what `str` made."""
        chunk, step = text.split(":")
        return Place(int(chunk), int(step))


class Driver:
    """One run of aec-opt on `data`, the content of the input file."""

    def __init__(self, args: Namespace, data: bytes, report: Reporter):
        self.args, self.report = args, report
        self.name = "<stdin>" if args.input == "-" else args.input
        self.data = data
        self.timing = Timing()
        self.explain = Explain(args.explain or "")
        self.place = Place(0, -1)

    # ---- the whole run -----------------------------------------------------------------------------------

    def run(self) -> int:
        """Do what the flags say; returns the exit status. Raises `UsageError` and `PipelineError`."""
        self.report("doing", "starting")
        self._register()
        if self._inform():
            return OK
        chunks = self.chunks()
        if isinstance(chunks, Diagnostic):
            sys.stderr.write(f"{chunks.render()}\n")
            return FAILED
        pipeline = self.pipeline(chunks[0])
        if self.args.dump_pass_pipeline:
            sys.stderr.write(f"Pass Manager with {len(pipeline.steps)} passes:\n{pipeline}\n")
        hooks = self._instrumentation(pipeline)
        outputs: list[str | bytes] = []
        status = OK
        for index, chunk in enumerate(chunks):
            self._at(Place(index, -1), "parsing the input")
            ok, output = self._process(chunk, pipeline, hooks)
            if not ok and status == OK:
                status = FAILED
                self.report("failed_at", str(self.place))
            if output is not None:
                outputs.append(output)
        self._at(self.place, "writing the output")
        if status == OK or self.args.output == "-":
            self._write(outputs)
        if self.args.timing:
            sys.stderr.write(self.timing.report())
        return status

    def reproduce(self, place: Place, header: str, path: str) -> int:
        """Write the IR at `place` and the remaining pipeline to `path`."""
        self._register()
        chunks = self.chunks()
        if isinstance(chunks, Diagnostic):
            return FAILED
        chunk = chunks[place.chunk]
        pipeline = self.pipeline(chunks[0])
        with self._context() as context, diags.capture(context, self.name):
            module = ir.Module.parse(chunk.data)
            _name_file(module.operation, self.name)
            pipeline.run(module.operation, verify=False, stop_before=place.step)
            # Not `assume_verified`: the pass before may have left IR that only the generic form can show.
            text = module.operation.get_asm(enable_debug_info=True)
        resource = self._reproducer(pipeline.text(place.step)).resource()
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(comment(header) + text + resource)
        return OK

    def reproduce_input(self, place: Place, header: str, path: str) -> int:
        """Write the text of the failing chunk as it stands, and the whole pipeline, to `path`."""
        self._register()
        chunks = self.chunks()
        if isinstance(chunks, Diagnostic):
            return FAILED
        chunk = chunks[place.chunk]
        resource = self._reproducer(self.pipeline(chunk).text()).resource()
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(f"{comment(header)}{chunk.text}{resource}")
        return OK

    def _reproducer(self, pipeline: str) -> Reproducer:
        return Reproducer(pipeline, self.args.verify_each, self.args.allow_unregistered_dialect)

    # ---- set-up ------------------------------------------------------------------------------------------

    def _register(self) -> None:
        register_all()
        for number, path in enumerate(self.args.load_pass_module):
            _load_pass_module(path, f"aecompiler_loaded_passes_{number}")

    def _inform(self) -> bool:
        for flag, text in (
            ("help", opt_info.help_text),
            ("version", version_text),
            ("list_passes", opt_info.list_passes),
            ("show_dialects", opt_info.show_dialects),
        ):
            if getattr(self.args, flag):
                write_stdout(text())
                return True
        return False

    def chunks(self) -> list[Chunk] | Diagnostic:
        """The parts of the input, or why it is no text."""
        if is_bytecode(self.data):
            if self.args.split_input_file or self.args.verify_diagnostics or self.args.run_reproducer:
                raise UsageError(
                    "--split-input-file, --verify-diagnostics and --run-reproducer need text, got bytecode"
                )
            return [Chunk(self.data, None)]
        try:
            text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            return self._no_text(error.start)
        if "\0" in text:
            return self._no_text(self.data.index(b"\0"))
        if (start := _too_deep(self.data)) is not None:
            line, column = _line_and_column(self.data, start)
            message = f"expects at most {_MAX_NESTING} levels of nesting"
            return Diagnostic("error", message, self.name, line, column)
        texts = list(_split(text)) if self.args.split_input_file else [text]
        return [Chunk(part.encode("utf-8"), part) for part in texts]

    def _no_text(self, start: int) -> Diagnostic:
        message = f"expects UTF-8 text or MLIR bytecode, got byte 0x{self.data[start]:02x}"
        return Diagnostic("error", message, self.name, *_line_and_column(self.data, start))

    def pipeline(self, chunk: Chunk) -> Pipeline:
        """The pipeline that the flags or the reproducer in `chunk` ask for."""
        pipeline = self._given_pipeline(chunk)
        name = self.args.explain
        if name is None:
            return pipeline
        if name not in PASSES or PASSES[name].explain is Pass.explain:
            raise UsageError(f"--explain: '{name}' is no pass that has an explanation")
        if name in {step.name for step in pipeline.steps}:
            return pipeline
        with ir.Context():
            last = Pipeline(f"{MODULE}({_flag_element(name, '')})")
        return Pipeline(f"{MODULE}({','.join(str(step) for step in (*pipeline.steps, *last.steps))})")

    def _given_pipeline(self, chunk: Chunk) -> Pipeline:
        args = self.args
        if args.run_reproducer:
            found = find_reproducer(chunk.text or "")
            if found is None:
                raise UsageError(f"{self.name} holds no reproducer")
            args.verify_each = args.verify_each and found.verify_each
            args.allow_unregistered_dialect = (
                args.allow_unregistered_dialect or found.allow_unregistered_dialect
            )
            return Pipeline(found.pipeline)
        if args.pass_pipeline is not None:
            return Pipeline(args.pass_pipeline)
        if not args.passes:
            return Pipeline("")
        with ir.Context():
            elements = [_flag_element(name, options) for name, options in args.passes]
        return Pipeline(f"{MODULE}({','.join(elements)})")

    def _instrumentation(self, pipeline: Pipeline) -> Instrumentation:
        args = self.args
        parts: list[Instrumentation] = [_Progress(self), self.explain]
        if args.timing:
            parts.append(self.timing)
        known = {step.name for step in pipeline.steps}
        for flag, names in (("before", args.print_ir_before), ("after", args.print_ir_after)):
            for name in names:
                if name not in known:
                    raise UsageError(f"--print-ir-{flag}: the pipeline has no pass '{name}'")
        after_all = args.print_ir_after_all or (args.print_ir_after_change and not args.print_ir_after)
        if after_all or args.print_ir_before_all or args.print_ir_before or args.print_ir_after:
            before = None if args.print_ir_before_all else frozenset(args.print_ir_before)
            after = None if after_all else frozenset(args.print_ir_after)
            parts.insert(0, PrintIR(before, after, args.print_ir_after_change, self._to_text))
        return Instrumentations(parts)

    @contextlib.contextmanager
    def _context(self) -> Iterator[ir.Context]:
        with make_context(allow_unregistered_dialects=self.args.allow_unregistered_dialect) as context:
            yield context

    # ---- one chunk ---------------------------------------------------------------------------------------

    def _process(
        self, chunk: Chunk, pipeline: Pipeline, hooks: Instrumentation
    ) -> tuple[bool, str | bytes | None]:
        """Whether all is well, and what to print. A new context: a failed conversion may leave bad IR."""
        output = None
        invalid: InvalidIRError | None = None
        with self._context() as context, diags.capture(context, self.name) as found:
            try:
                with self._timed("Parser"):
                    module = ir.Module.parse(chunk.data)
                    if self.args.mlir_print_debuginfo or self.args.emit_bytecode:
                        _name_file(module.operation, self.name)
                found += pipeline.run(
                    module.operation, verify=self.args.verify_each, file=self.name, instrumentation=hooks
                )
                self._at(Place(self.place.chunk, len(pipeline.steps)), "printing the output")
                with self._timed("Output"):
                    output = self._to_output(module.operation)
            except ir.MLIRError as error:
                found += diags.collect(error, self.name)
            except CompileError as error:
                found += error.diagnostics
                invalid = error if isinstance(error, InvalidIRError) else None
            except RuntimeError as error:
                found += self._unreadable(error, chunk, pipeline)
        if self.args.verify_diagnostics and chunk.text is not None:
            found = check_expectations(chunk.text, found, self.name)
            invalid = None
        for diagnostic in found:
            here = chunk.text is not None and diagnostic.file == self.name
            text = diags.render_with_source(diagnostic, chunk.text or "") if here else diagnostic.render()
            sys.stderr.write(f"{text}\n")
        if invalid is not None:
            raise invalid
        return not any(d.severity == "error" for d in found), output

    def _unreadable(self, error: RuntimeError, chunk: Chunk, pipeline: Pipeline) -> list[Diagnostic]:
        """The diagnostics of a run that ended with `error` because one is no UTF-8 text; else raises it."""
        if not diags.is_unreadable(error):
            raise error
        again = contextlib.suppress(ir.MLIRError, CompileError, RuntimeError)  # the list holds what they say
        with self._context() as context, diags.capture_escaped(context, self.name) as found, again:
            module = ir.Module.parse(chunk.data)
            pipeline.run(module.operation, verify=self.args.verify_each, file=self.name)
        if not any(d.severity == "error" for d in found):
            raise error
        return found

    def _to_text(self, op: ir.Operation) -> str:
        return op.get_asm(
            enable_debug_info=self.args.mlir_print_debuginfo,
            print_generic_op_form=self.args.mlir_print_op_generic,
        )

    def _to_output(self, op: ir.Operation) -> str | bytes:
        if self.args.explain is not None:
            return self.explain.take()
        if not self.args.emit_bytecode:
            return self._to_text(op)
        return bytecode_of(op)

    def _at(self, place: Place, doing: str) -> None:
        self.place = place
        self.report("place", str(place))
        self.report("doing", doing)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timing.phase(name, time.perf_counter() - start)

    # ---- output ------------------------------------------------------------------------------------------

    def _write(self, outputs: list[str | bytes]) -> None:
        if self.args.emit_bytecode:
            data = b"".join(output for output in outputs if isinstance(output, bytes))
        else:
            texts = [str(output).rstrip("\n") + "\n" for output in outputs]
            data = f"{SEPARATOR}\n".join(texts).encode("utf-8", "surrogateescape")
        if self.args.output == "-":
            if self.args.emit_bytecode and sys.stdout.isatty():
                raise UsageError("bytecode does not belong on a terminal: use -o or a pipe")
            write_stdout(data)
        else:
            replace_file(self.args.output, lambda file: file.write(data))


class _Progress(Instrumentation):
    """Tells the parent which pass is running."""

    def __init__(self, driver: Driver):
        self._driver = driver

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        self._driver._at(Place(self._driver.place.chunk, step.index), f"pass '{step.name}'")


def _split(text: str) -> Iterator[str]:
    start = 0
    for match in _SPLIT.finditer(text):
        yield "\n" * text.count("\n", 0, start) + text[start : match.start()]
        start = match.end()
    yield "\n" * text.count("\n", 0, start) + text[start:]


def _too_deep(data: bytes) -> int | None:
    """Where braces or angle brackets nest beyond what MLIR handles in reasonable time (it is quadratic)."""
    if max(data.count(b"{"), data.count(b"<")) <= _MAX_NESTING:
        return None
    depth = {b"{": 0, b"<": 0}
    for match in _BRACKETS.finditer(data):  # in comments and strings, and in arrows, they are no brackets
        token = match[0]
        if token in depth:
            depth[token] += 1
            if depth[token] > _MAX_NESTING:
                return match.start()
        elif token in (b"}", b">"):
            opening = b"{" if token == b"}" else b"<"
            depth[opening] = max(0, depth[opening] - 1)
    return None


def _line_and_column(data: bytes, position: int) -> tuple[int, int]:
    return data.count(b"\n", 0, position) + 1, position - data.rfind(b"\n", 0, position)


def _flag_element(name: str, options: str) -> str:
    """The flag `--name=options` as pipeline text, with the anchor that the pass needs. Needs a context."""
    text = f"{name}{{{options}}}" if options else name
    if name in PASSES:
        anchor = PASSES[name].ANCHOR
        return text if anchor in (MODULE, ANY) else f"{anchor}({text})"
    if name in PIPELINES:
        return text
    problem = upstream_error(text, MODULE)
    if problem is not None and UNKNOWN_PASS in problem:
        import difflib

        flags = {
            flag.removeprefix("--") for action in build_parser()._actions for flag in action.option_strings
        }
        close = difflib.get_close_matches(name, [*PASSES, *PIPELINES, *flags], n=1)
        hint = f"; did you mean --{close[0]}?" if close else ""
        raise FlagError(f"--{name} is no flag, pass or pipeline{hint}")
    restricted = RESTRICTED.search(problem or "")
    return f"{restricted[1]}({text})" if restricted else text


def _load_pass_module(path: str, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise UsageError(f"cannot load pass module '{path}': expects a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # whatever the user's file does, SystemExit included
        raise UsageError(f"cannot load pass module '{path}': {describe(error)}") from error


def _name_file(root: ir.Operation, name: str) -> None:
    """Give locations of text parsed from memory the name of the file it came from."""
    known: dict[ir.Location, ir.Location] = {}

    def rename(location: ir.Location) -> ir.Location:
        if location not in known:
            known[location] = _renamed(location, name, rename)
        return known[location]

    def visit(op: ir.Operation) -> ir.WalkResult:
        op.location = rename(op.location)
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    argument.set_location(rename(argument.location))
        return ir.WalkResult.ADVANCE

    with root.context:
        root.walk(visit)


def _renamed(location: ir.Location, name: str, rename: Callable[[ir.Location], ir.Location]) -> ir.Location:
    location = diags.downcast(location)
    if isinstance(location, ir.FileLineColLoc) and location.filename == "-":
        return ir.Location.file(name, location.start_line, location.start_col)
    if isinstance(location, ir.NameLoc):
        return ir.Location.name(location.name_str, rename(location.child_loc))
    if isinstance(location, ir.CallSiteLoc):
        return ir.Location.callsite(rename(location.callee), [rename(location.caller)])
    return location
