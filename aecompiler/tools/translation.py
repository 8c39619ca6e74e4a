"""What aec-translate does for every target: input, options, output, and the choice of kernels."""

from __future__ import annotations

import abc
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from aecompiler import diagnostics as diags
from aecompiler.backends.base import get_backend
from aecompiler.backends.triton.kernel_text import KernelText, kernel_texts, read_kernel
from aecompiler.backends.triton.stages import Stage
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of, is_bytecode
from aecompiler.compiler import compile
from aecompiler.dialect import make_context
from aecompiler.passes.rewriting import symbol_name
from aecompiler.signature import find_function, inlined, parse
from aecompiler.tools.command_line import OK, parse_options
from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import replace_file
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter

_COMMENTS = {"llvm": ";", "asm": ";"}
_OWN_FORMS: dict[str, Stage] = {".ttir": "ttir", ".ttgir": "ttgir"}
"""Files in Triton's own form, by their suffix."""

_MANIFEST = "kernels.json"


class Translation(abc.ABC):
    """One file on its way to the code of a target."""

    def __init__(self, args: Any, data: bytes, name: str, report: Reporter):
        self.args = args
        self.data = data
        self.name = name
        self.report = report
        self.options = parse_options(args.option)

    @abc.abstractmethod
    def run(self) -> int:
        """Do what the flags say and return the exit status."""

    def schedule(self, backend: Any) -> Any:
        """The backend's schedule with the options of the command line."""
        try:
            found = backend.schedule(self.options)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--option: {error}") from None
        if self.options.get("tune"):  # else what one form shows would not be what another holds
            raise UsageError("--option: unsupported: tune, which times schedules on a GPU (aec.compile does)")
        return found

    def program(self) -> tuple[ir.Module, str]:
        """The module of the program with its entry alone, and the entry's name."""
        module, _ = parse(self.data, self.name)
        with module.context:
            try:
                name = symbol_name(find_function(module, self.args.function).operation)
            except ValueError as error:
                raise UsageError(str(error).replace("function=", "--function")) from None
            return inlined(bytecode_of(module), name)[0], name

    def write(self, data: bytes) -> None:
        """Write the output."""
        if self.args.output == "-":
            write_stdout(data)
        else:
            _replace(Path(self.args.output), data)


class KernelTranslation(Translation):
    """One file on its way to the kernels of a GPU."""

    BINARY: ClassVar[str]
    """The form that is a binary, of each kernel."""
    KERNEL_OPTIONS: ClassVar[tuple[str, ...]]
    """Options of a kernel's compilation, which are numbers but for those in `WORD_OPTIONS`."""
    WORD_OPTIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, args: Any, data: bytes, name: str, report: Reporter, target: Any):
        super().__init__(args, data, name, report)
        self.target = target

    # ---- what targets differ in ----

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse a form that the target does not have."""

    @abc.abstractmethod
    def backend(self) -> Any:
        """The target's backend, with `lower`."""

    @abc.abstractmethod
    def compiled(self, kernel: KernelText) -> Any:
        """A kernel as far as the form that is asked for, and the report, need it."""

    @abc.abstractmethod
    def text(self, made: Any) -> str:
        """The form that is asked for of what `compiled` returned; it is a text."""

    @abc.abstractmethod
    def binary(self, made: Any) -> tuple[bytes, dict[str, Any]]:
        """The binary of what `compiled` returned, and what a launch must know."""

    @abc.abstractmethod
    def report_of(self, made: Any) -> Any:
        """The report on what `compiled` returned, with `text` and `as_json`."""

    def renamed(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of a kernel as fields of `KernelText`."""
        return options

    def module_text(self, module: ir.Module) -> str | None:
        """The form that is asked for, where it is one of the whole module."""
        return f"{module}\n" if self.args.emit == "tt" else None

    # ---- what they share ----

    def run(self) -> int:
        """Do what the flags say and return the exit status."""
        self.check()
        if self.args.emit == "archive":
            self.report("doing", "compiling the program")
            self.write(self._archive())
            if not self.args.report:
                return OK
        self.report("doing", "lowering the program")
        module, kernels = self._kernels()
        kernels = self._chosen(kernels)
        if self.args.emit == self.BINARY:
            self._check_binaries(kernels)
        text = None
        if module is not None and self.args.kernel is None:
            text = self.module_text(module)
        if text is None and self.args.emit == "tt":
            text = self._joined([kernel.text for kernel in kernels], kernels)
        if text is not None:
            self.write(text.encode())
            if not self.args.report:
                return OK
        if not kernels:
            raise UsageError(f"'{self.name}' makes no kernel: the host does all of it")
        made = []
        for kernel in kernels:
            self.report("doing", f"compiling kernel '{kernel.name}'")
            made.append(self.compiled(kernel))
        if text is None and self.args.emit not in (None, "archive"):
            self.report("doing", "writing the output")
            self._emit(made, kernels)
        if self.args.report:
            self.report("doing", "reading the machine code")
            self._print_report([self.report_of(each) for each in made])
        return OK

    def _kernels(self) -> tuple[ir.Module | None, list[KernelText]]:
        """The kernels of the input, and their module unless the input is in Triton's own form."""
        stage = _OWN_FORMS.get(Path(self.name).suffix)
        if stage is not None:
            kernel = read_kernel(self.data.decode("utf-8", "backslashreplace"), stage)
            if kernel is None:
                raise UsageError(f"'{self.name}' holds no tt.func")
            return None, [self._given(kernel)]
        module = self._parse_lowered()
        if module is not None:
            return module, [self._given(kernel) for kernel in kernel_texts(module)]
        module = self._lower()
        return module, kernel_texts(module)

    def _parse_lowered(self) -> ir.Module | None:
        """The module, if it holds kernels; what can't be parsed is reported by those who expect a program."""
        with make_context(allow_unregistered_dialects=True):
            try:
                module = ir.Module.parse(self.data)
            except ir.MLIRError as error:
                raise diags.to_compile_error(error, self.name) from None
        return module if kernel_texts(module) else None

    def _lower(self) -> ir.Module:
        program, _ = self.program()
        backend = self.backend()
        schedule = self.schedule(backend)
        with program.context:
            return backend.lower(program, schedule)

    def _archive(self) -> bytes:
        """The file that a kernel saves itself to."""
        is_whole = self.args.kernel is None and Path(self.name).suffix not in _OWN_FORMS
        if not is_whole or self._parse_lowered() is not None:
            raise UsageError("--emit=archive: expects a whole program, not kernels")
        program: Any = parse(self.data, self.name)[0] if is_bytecode(self.data) else self.data.decode()
        self.schedule(get_backend(self.args.target))
        try:
            kernel = compile(program, self.args.target, function=self.args.function, **self.options)
        except ValueError as error:
            raise UsageError(str(error).replace("function=", "--function")) from None
        with tempfile.TemporaryDirectory(prefix="aec-translate-") as folder:
            path = Path(folder, "archive")
            kernel.save(path)
            return path.read_bytes()

    def _chosen(self, kernels: Sequence[KernelText]) -> list[KernelText]:
        if self.args.kernel is None:
            return list(kernels)
        chosen = [kernel for kernel in kernels if kernel.name == self.args.kernel]
        if not chosen:
            names = ", ".join(kernel.name for kernel in kernels)
            raise UsageError(f"--kernel: there is no kernel '{self.args.kernel}' (kernels: {names})")
        return chosen

    def _given(self, kernel: KernelText) -> KernelText:
        """A kernel of the input, with the options of the command line."""
        if self.args.function is not None:
            raise UsageError(f"--function: '{self.name}' holds kernels, which --kernel names")
        for name, value in self.options.items():
            if name not in self.KERNEL_OPTIONS:
                known = ", ".join(self.KERNEL_OPTIONS)
                raise UsageError(f"--option: unknown option '{name}' (options of a kernel: {known})")
            if name not in self.WORD_OPTIONS and (not isinstance(value, int) or value < 1):
                raise UsageError(f"--option: expects {name} to be a positive integer, got '{value}'")
        if self.options and kernel.stage == "ttgir":
            raise UsageError("--option: a kernel with layouts says itself what its options are")
        return dataclasses.replace(kernel, **self.renamed(self.options))

    def _emit(self, made: Sequence[Any], kernels: Sequence[KernelText]) -> None:
        if self.args.emit == self.BINARY:
            self._emit_binaries(made, kernels)
        else:
            self.write(self._joined([self.text(each) for each in made], kernels).encode())

    def _check_binaries(self, kernels: Sequence[KernelText]) -> None:
        """Refuse an output that can't hold the binaries: ask before long work."""
        if is_folder(self.args.output):
            try:
                os.makedirs(self.args.output, exist_ok=True)
            except OSError as error:
                reason = error.strerror or error
                raise UsageError(f"cannot write '{self.args.output}': {reason}") from None
        elif len(kernels) != 1:
            names = ", ".join(kernel.name for kernel in kernels)
            raise UsageError(
                f"--emit={self.BINARY}: expects --kernel, or -o DIR/, for several kernels ({names})"
            )

    def _emit_binaries(self, made: Sequence[Any], kernels: Sequence[KernelText]) -> None:
        binaries = [self.binary(each) for each in made]
        if not is_folder(self.args.output):
            self.write(binaries[0][0])
            return
        folder = Path(self.args.output)
        manifest = {}
        for kernel, (binary, facts) in zip(kernels, binaries, strict=True):
            file = f"{kernel.name}.{self.BINARY}"
            manifest[kernel.name] = {"file": file, "target": self.args.target, **facts}
            _replace(folder / file, binary)
        _replace(folder / _MANIFEST, f"{json.dumps(manifest, indent=2)}\n".encode())

    def _print_report(self, reports: Sequence[Any]) -> None:
        if self.args.json:
            text = f"{json.dumps([each.as_json() for each in reports], indent=2)}\n"
        else:
            text = "\n".join(each.text() for each in reports)
        if self.args.emit is None:
            write_stdout(text)
        else:
            sys.stderr.write(text)

    def _joined(self, texts: Sequence[str], kernels: Sequence[KernelText]) -> str:
        """One text; where there are several, a comment names the kernel of each."""
        if len(texts) == 1:
            return texts[0]
        comment = _COMMENTS.get(self.args.emit, "//")
        pairs = zip(texts, kernels, strict=True)
        return "\n".join(f"{comment} kernel {kernel.name}\n{text}" for text, kernel in pairs)


def is_folder(path: str) -> bool:
    """Whether an output is a folder, for several files."""
    return path.endswith(os.sep) or os.path.isdir(path)


def _replace(path: Path, data: bytes) -> None:
    replace_file(str(path), lambda file: file.write(data))
