"""The work of aec-translate: from a file to code, by the backend of the target."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aecompiler import diagnostics as diags
from aecompiler.backends.base import get_backend
from aecompiler.backends.nvidia.backend import find_backend
from aecompiler.backends.nvidia.target import NvidiaTarget, named_target
from aecompiler.backends.triton.compiler import CompiledKernel, compile_kernel
from aecompiler.backends.triton.kernel_text import KernelText, kernel_texts, read_kernel
from aecompiler.backends.triton.report import report_of
from aecompiler.backends.triton.sass import disassemble
from aecompiler.backends.triton.stages import Stage
from aecompiler.bindings import ir, load
from aecompiler.bytecode import bytecode_of, is_bytecode
from aecompiler.compiler import compile
from aecompiler.dialect import make_context
from aecompiler.errors import AecError, BackendError, PipelineError
from aecompiler.passes.rewriting import symbol_name
from aecompiler.signature import find_function, inlined, parse
from aecompiler.tools.command_line import FAILED, OK, split_name
from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import check_writable, replace_file
from aecompiler.tools.run_program import load as load_program
from aecompiler.tools.streams import write_stdout
from aecompiler.tools.supervise import Reporter

_NVIDIA = "nvidia:"
_STAGES = {"ttg": "ttgir", "llvm": "llir", "ptx": "ptx"}
"""Texts that Triton's stages make, by the form that they are asked for as."""

_COMMENT = {"tt": "//", "ttg": "//", "llvm": ";", "ptx": "//", "sass": "//"}
_OWN_FORMS: dict[str, Stage] = {".ttir": "ttir", ".ttgir": "ttgir"}
"""Files in Triton's own form, by their suffix."""

_KERNEL_OPTIONS = ("num_warps", "num_stages")
_MANIFEST = "kernels.json"


def translate(args: Any, report: Reporter) -> int:
    """Run the tool on parsed flags and return the exit status.

    Raises UsageError for mistakes in flags and files; reports an invalid program.
    """
    name = "<stdin>" if args.file == "-" else args.file
    if not _is_folder(args.output) and args.output != "-":
        check_writable(args.output)
    data = b""
    try:
        data = _read(args.file)
        return _Translation(args, data, name, report).run()
    except (BackendError, PipelineError) as error:
        raise UsageError(str(error)) from None
    except AecError as error:
        sys.stderr.write(f"{diags.render_error(error, name)}\n")
        return FAILED
    except RuntimeError as error:
        if not diags.is_unreadable(error):
            raise
        return _report_escaped(error, data, name)


def _read(path: str) -> bytes:
    """The content of a file, or the bytecode of a program in Python (`FILE.py:NAME`)."""
    if ":" in path and not os.path.exists(path):
        return bytecode_of(load_program(path).program.module)
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from None


def _report_escaped(error: RuntimeError, data: bytes, name: str) -> int:
    """Report the diagnostics of parsing, of which one is no UTF-8 text, or else raise `error`."""
    again = contextlib.suppress(ir.MLIRError, RuntimeError)  # the list holds what they say
    with make_context() as context, diags.capture_escaped(context, name) as found, again:
        ir.Module.parse(data)
    if not found:
        raise error
    sys.stderr.writelines(f"{diagnostic.render()}\n" for diagnostic in found)
    return FAILED


def _is_folder(path: str) -> bool:
    return path.endswith(os.sep) or os.path.isdir(path)


class _Translation:
    """One file on its way to the code of a target."""

    def __init__(self, args: Any, data: bytes, name: str, report: Reporter):
        self.args = args
        self.data = data
        self.name = name
        self.report = report
        self.options = _options(args.option)

    def run(self) -> int:
        name = self.args.target
        # Lowered kernels don't need the backend: a module of any target can be compiled for a named one.
        target = named_target(name) if name.startswith(_NVIDIA) else get_backend(name).target
        return self._run_nvidia(target) if isinstance(target, NvidiaTarget) else self._run_llvm()

    # ---- backends that lower to LLVM -------------------------------------------------------------------

    def _run_llvm(self) -> int:
        for flag in ("kernel", "report", "timeout"):
            if getattr(self.args, flag):
                raise UsageError(f"target '{self.args.target}' has no --{flag}")
        if self.args.emit != "llvm":
            raise UsageError(f"--emit={self.args.emit}: target '{self.args.target}' has the form llvm only")
        self.report("doing", "compiling")
        backend = get_backend(self.args.target)
        schedule = self._schedule(backend)
        module, entry = self._program()
        with module.context:
            artifact = backend.emit(module, entry, schedule)
        with ir.Context():
            lowered = ir.Module.parse(artifact.binary)
            text = load("dialects.llvm").translate_module_to_llvmir(lowered.operation)
        self._write(text.encode())
        return OK

    # ---- NVIDIA ----------------------------------------------------------------------------------------

    def _run_nvidia(self, target: NvidiaTarget) -> int:
        if self.args.emit == "archive":
            self.report("doing", "compiling the program")
            self._write(self._archive())
            if not self.args.report:
                return OK
        self.report("doing", "lowering the program")
        module, kernels = self._kernels()
        kernels = self._chosen(kernels)
        if self.args.emit == "cubin":
            self._check_binaries(kernels)
        if self.args.emit == "tt":
            whole = module is not None and self.args.kernel is None
            texts = [f"{module}\n"] if whole else [kernel.text for kernel in kernels]
            self._write(self._joined(texts, kernels).encode())
            if not self.args.report:
                return OK
        if not kernels:
            raise UsageError(f"'{self.name}' makes no kernel: the host does all of it")
        compiled = []
        for kernel in kernels:
            self.report("doing", f"compiling kernel '{kernel.name}'")
            compiled.append(self._compile(kernel, target))
        if self.args.emit not in (None, "tt", "archive"):
            self.report("doing", "writing the output")
            self._emit(compiled, kernels)
        if self.args.report:
            self.report("doing", "reading the machine code")
            self._print_report(compiled, target)
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
        program, _ = self._program()
        backend = find_backend(self.args.target)
        schedule = self._schedule(backend)
        with program.context:
            return backend.lower(program, schedule)

    def _archive(self) -> bytes:
        """The file that a kernel saves itself to."""
        is_whole = self.args.kernel is None and Path(self.name).suffix not in _OWN_FORMS
        if not is_whole or self._parse_lowered() is not None:
            raise UsageError("--emit=archive: expects a whole program, not kernels")
        program: Any = parse(self.data, self.name)[0] if is_bytecode(self.data) else self.data.decode()
        self._schedule(get_backend(self.args.target))
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
            if name not in _KERNEL_OPTIONS:
                known = ", ".join(_KERNEL_OPTIONS)
                raise UsageError(f"--option: unknown option '{name}' (options of a kernel: {known})")
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"--option: expects {name} to be a positive integer, got '{value}'")
        if self.options and kernel.stage == "ttgir":
            raise UsageError("--option: a kernel with layouts says itself what its options are")
        return dataclasses.replace(kernel, **self.options)

    def _compile(self, kernel: KernelText, target: NvidiaTarget) -> CompiledKernel:
        return compile_kernel(
            kernel.text,
            kernel.name,
            target,
            num_warps=kernel.num_warps,
            num_stages=kernel.num_stages,
            stage=kernel.stage,
            isolated=True,
            timeout=self.args.timeout,
        )

    def _emit(self, compiled: Sequence[CompiledKernel], kernels: Sequence[KernelText]) -> None:
        form = self.args.emit
        if form == "cubin":
            self._emit_binaries(compiled)
            return
        if form == "sass":
            texts = [disassemble(kernel.cubin) for kernel in compiled]
        else:
            texts = [str(kernel.stages[_STAGES[form]]) for kernel in compiled]
        self._write(self._joined(texts, kernels).encode())

    def _check_binaries(self, kernels: Sequence[KernelText]) -> None:
        """Refuse an output that can't hold the binaries: ask before long work."""
        if _is_folder(self.args.output):
            try:
                os.makedirs(self.args.output, exist_ok=True)
            except OSError as error:
                reason = error.strerror or error
                raise UsageError(f"cannot write '{self.args.output}': {reason}") from None
        elif len(kernels) != 1:
            names = ", ".join(kernel.name for kernel in kernels)
            raise UsageError(f"--emit=cubin: expects --kernel, or -o DIR/, for several kernels ({names})")

    def _emit_binaries(self, compiled: Sequence[CompiledKernel]) -> None:
        if not _is_folder(self.args.output):
            self._write(compiled[0].cubin)
            return
        folder = Path(self.args.output)
        manifest = {}
        for kernel in compiled:
            file = f"{kernel.name}.cubin"
            manifest[kernel.name] = {
                "file": file,
                "target": self.args.target,
                "threads": kernel.threads,
                "shared_bytes": kernel.shared,
                "scratch_pointers": kernel.scratch,
            }
            _replace(folder / file, kernel.cubin)
        _replace(folder / _MANIFEST, f"{json.dumps(manifest, indent=2)}\n".encode())

    def _print_report(self, compiled: Sequence[CompiledKernel], target: NvidiaTarget) -> None:
        reports = [report_of(kernel, target) for kernel in compiled]
        if self.args.json:
            text = f"{json.dumps([each.as_json() for each in reports], indent=2)}\n"
        else:
            text = "\n".join(each.text() for each in reports)
        if self.args.emit is None:
            write_stdout(text)
        else:
            sys.stderr.write(text)

    # ---- input and output ------------------------------------------------------------------------------

    def _schedule(self, backend: Any) -> Any:
        try:
            found = backend.schedule(self.options)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--option: {error}") from None
        if self.options.get("tune"):  # else what one form shows would not be what another holds
            raise UsageError("--option: unsupported: tune, which times schedules on a GPU (aec.compile does)")
        return found

    def _program(self) -> tuple[ir.Module, str]:
        """The module of the program with its entry alone, and the entry's name."""
        module, _ = parse(self.data, self.name)
        with module.context:
            try:
                name = symbol_name(find_function(module, self.args.function).operation)
            except ValueError as error:
                raise UsageError(str(error).replace("function=", "--function")) from None
            return inlined(bytecode_of(module), name)[0], name

    def _joined(self, texts: Sequence[str], kernels: Sequence[KernelText]) -> str:
        """One text; where there are several, a comment names the kernel of each."""
        if len(texts) == 1:
            return texts[0]
        comment = _COMMENT[self.args.emit]
        pairs = zip(texts, kernels, strict=True)
        return "\n".join(f"{comment} kernel {kernel.name}\n{text}" for text, kernel in pairs)

    def _write(self, data: bytes) -> None:
        if self.args.output == "-":
            write_stdout(data)
        else:
            _replace(Path(self.args.output), data)


def _replace(path: Path, data: bytes) -> None:
    replace_file(str(path), lambda file: file.write(data))


def _options(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, value = split_name("--option", text, "NAME=VALUE")
        if name in found:
            raise UsageError(f"--option {name} is given twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
