"""The work of aec-translate: from a file to code, by the backend of the target."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from aecompiler import diagnostics as diags
from aecompiler.backends.base import get_backend
from aecompiler.bindings import ir, load
from aecompiler.bytecode import bytecode_of
from aecompiler.dialect import make_context
from aecompiler.errors import AecError, BackendError, PipelineError
from aecompiler.tools.command_line import FAILED, OK
from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import check_writable
from aecompiler.tools.run_program import load as load_program
from aecompiler.tools.supervise import Reporter
from aecompiler.tools.translation import Translation, is_folder


def translate(args: Any, report: Reporter) -> int:
    """Run the tool on parsed flags and return the exit status.

    Raises UsageError for mistakes in flags and files; reports an invalid program.
    """
    name = "<stdin>" if args.file == "-" else args.file
    if not is_folder(args.output) and args.output != "-":
        check_writable(args.output)
    data = b""
    try:
        data = _read(args.file)
        return _translation(args, data, name, report).run()
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


def _translation(args: Any, data: bytes, name: str, report: Reporter) -> Translation:
    """The translation to the target; no chip of it is needed."""
    target = get_backend(args.target).target
    family = target.name.partition(":")[0]
    if family == "nvidia":
        from aecompiler.tools.translate_nvidia import NvidiaTranslation

        return NvidiaTranslation(args, data, name, report, target)
    if family == "amd":
        from aecompiler.tools.translate_amd import AmdTranslation

        return AmdTranslation(args, data, name, report, target)
    return _LlvmTranslation(args, data, name, report)


class _LlvmTranslation(Translation):
    """One file on its way to the code of a backend that lowers to LLVM."""

    def run(self) -> int:
        """Do what the flags say and return the exit status."""
        for flag in ("kernel", "report", "timeout"):
            if getattr(self.args, flag):
                raise UsageError(f"target '{self.args.target}' has no --{flag}")
        if self.args.emit != "llvm":
            raise UsageError(f"--emit={self.args.emit}: target '{self.args.target}' has the form llvm only")
        self.report("doing", "compiling")
        backend = get_backend(self.args.target)
        schedule = self.schedule(backend)
        module, entry = self.program()
        with module.context:
            artifact = backend.emit(module, entry, schedule)
        with ir.Context():
            lowered = ir.Module.parse(artifact.binary)
            text = load("dialects.llvm").translate_module_to_llvmir(lowered.operation)
        self.write(text.encode())
        return OK
