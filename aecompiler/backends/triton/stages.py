"""Drives the stages of Triton's compiler: the text of one kernel in Triton's dialects to assembly.

`triton.compile` does the same and keeps a cache in the user's home. Here its stages are called one after
another, so that nothing is written but a temporary folder, and an error knows its stage. Works with Triton
3.6 to 3.9, which is imported when the first kernel is compiled. What differs between vendors is data: a
`Machine`, and the options of its backend.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

from aecompiler.backends.isolated_calls import WRITTEN
from aecompiler.backends.triton import complaints
from aecompiler.backends.triton.complaints import Source
from aecompiler.backends.triton.spellings import Version, respell
from aecompiler.backends.triton.tile_limits import too_large
from aecompiler.diagnostics import Diagnostic, compile_error, stderr_to
from aecompiler.errors import BackendError, CompileError, ResourceError

Stage = Literal["ttir", "ttgir"]
"""How far a text is: hardware-neutral, for all of Triton's passes, or with layouts, for none but its last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What Triton is to make code for.

    `target`: the name of our target; `backend`, `arch`, `lanes`: Triton's `GPUTarget`; `module`: where its
    backend is; `assembly`: the stage that makes the last text; `registers`: how many the result of one
    product may have of a thread, and `block_registers` of a block; `options`: those that are always given.
    """

    target: str
    backend: str
    arch: int | str
    lanes: int
    module: str
    assembly: str
    registers: int
    block_registers: int
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def refuse(name: str, target: str, doing: str, complaint: Diagnostic) -> CompileError:
    """The error that the kernel `name` can't be compiled, at the place of `complaint`."""
    message = f"kernel '{name}' for {target}: {doing}: {complaint.message}"
    return compile_error([dataclasses.replace(complaint, message=message)])


class Compilation:
    """One kernel on its way through the stages.

    `stages`: the texts so far, by Triton's names; `metadata`: what Triton says of the kernel; `passes`: what
    makes each stage, the binary too, of the one before; `folder`: where files may be written.
    """

    def __init__(self, name: str, machine: Machine, source: Source, stage: Stage):
        self.name = name
        self.machine = machine
        self.source = source
        self.stage = stage
        self.folder = os.path.dirname(source.path)
        self.metadata: dict[str, Any] = {}
        self.stages: dict[str, str] = {}
        self.passes: dict[str, Callable[[Any, dict[str, Any]], Any]] = {}

    def lower(self, options: Mapping[str, Any]) -> int:
        """Fill in the stages up to the assembly; returns the number of the kernel's own parameters."""
        from triton._C.libtriton import ir
        from triton.backends.compiler import GPUTarget, Language
        from triton.compiler.compiler import make_backend

        self.check_tiles(options["num_warps"])
        machine = self.machine
        backend = make_backend(GPUTarget(machine.backend, machine.arch, machine.lanes))
        context = ir.context()
        ir.load_dialects(context)
        backend.load_dialects(context)
        module = self.step("Triton's parser", lambda: ir.parse_mlir_module(self.source.path, context))
        module.context = context  # which must live as long as the module
        parameters = self.step("Triton's parser", lambda: self._signature(module))
        if self.stage == "ttgir":
            options = {
                "num_warps": module.get_int_attr("ttg.num-warps"),
                "num_ctas": module.get_int_attr("ttg.num-ctas") or 1,
            }
            if options["num_warps"] is None:
                self.refuse("Triton's parser", Diagnostic("error", "expects the attribute 'ttg.num-warps'"))
        self.metadata["num_warps"] = options["num_warps"]
        # Given here, neither follows environment variables or the defaults of a release.
        chosen = backend.parse_options({**options, **machine.options, "enable_fp_fusion": True})
        self.metadata["num_ctas"] = getattr(chosen, "num_ctas", 1)  # which stages of AMD's backend read
        passes = self.passes
        backend.add_stages(passes, chosen, Language.TRITON)
        names = list(passes)[: list(passes).index(machine.assembly) + 1]
        if self.stage == "ttgir":
            self.stages["ttgir"] = self._readable(module)
            self.metadata["tensordesc_meta"] = module.get_tensordesc_metadata()
            names = names[names.index("ttgir") + 1 :]
        for name in names:
            lower = functools.partial(passes[name], module, self.metadata)
            module = self.step(f"stage '{name}'", lower)
            self.stages[name] = self._readable(module)
            if isinstance(module, str):
                module = self.stages[name]  # line information for the binary is made of it
        return parameters

    def _signature(self, module: Any) -> int:
        """Check that the module holds this kernel; the number of its parameters."""
        found = module.get_entry_func_name()
        if found != self.name:
            raise ValueError(f"expects a public function '{self.name}', got '{found}'")
        return len(module.get_function_signature(module.get_function(found)))

    def _readable(self, module: Any) -> str:
        """A stage's text, the same whatever the name of the temporary folder is."""
        return str(module).replace(self.folder, "")

    def step(self, doing: str, work: Callable[[], Any]) -> Any:
        """What `work` returns; an error of it becomes that of the kernel, in the words written to stderr."""
        error: Exception | None = None
        with open(os.path.join(self.folder, WRITTEN), "w+b") as sink:
            with stderr_to(sink.fileno()):
                try:
                    result = work()
                except Exception as caught:
                    error = caught
            sink.seek(0)
            written = sink.read().decode("utf-8", "backslashreplace")
        if error is not None:
            said = str(error).strip().split("\n")[0] or type(error).__name__
            complaint = complaints.first_complaint(written, self.source)
            self.refuse(doing, complaint or Diagnostic("error", said), error)
        sys.stderr.write(written)
        return result

    def check_scratch(self) -> None:
        """Refuse a kernel that needs memory which a launch does not give it."""
        for kind in ("global", "profile"):
            if scratch := self.metadata.get(f"{kind}_scratch_size"):
                message = f"unsupported: {scratch} bytes of {kind} scratch memory"
                self.refuse("resources", Diagnostic("error", message))

    def check_most(self, what: str, needed: int, most: int) -> None:
        """Refuse a kernel that needs more of something than a block may have."""
        if needed > most:
            self._lack(f"expects at most {most} {what} in a block, got {needed}")

    def check_tiles(self, num_warps: int) -> None:
        """Refuse tiles that are too large, before Triton sees them; text with layouts is not looked at."""
        if self.stage == "ttir":
            machine, threads = self.machine, num_warps * self.machine.lanes
            most = min(machine.registers, machine.block_registers // threads)
            if message := too_large(self.source.text, threads, most):
                self._lack(message)

    def _lack(self, message: str) -> NoReturn:
        error = refuse(self.name, self.machine.target, "resources", Diagnostic("error", message))
        raise ResourceError(str(error), error.diagnostics)

    def refuse(self, doing: str, complaint: Diagnostic, cause: BaseException | None = None) -> NoReturn:
        """Raise the error of this kernel."""
        raise refuse(self.name, self.machine.target, doing, complaint) from cause


@contextmanager
def compilation(text: str, name: str, machine: Machine, stage: Stage = "ttir") -> Iterator[Compilation]:
    """A compilation of the kernel `name`, the only function of the module `text`, with a temporary folder.

    The text is as Triton 3.6 has it, also where later versions spell it in another way (`spellings.py`).
    Raises `BackendError` where Triton is missing.
    """
    _check_triton(machine)
    text = respell(text, _triton_version())
    with tempfile.TemporaryDirectory(prefix="aec-triton-") as folder:
        # The name is part of the line information of code that has no locations of its own.
        path = Path(folder) / f"kernel.{stage}"
        path.write_text(text, encoding="utf-8")
        yield Compilation(name, machine, Source(text, str(path)), stage)


def _check_triton(machine: Machine) -> None:
    try:
        importlib.import_module(machine.module)
    except ImportError as error:
        text = f"target '{machine.target}' needs Triton, which can't be imported here: {error}"
        raise BackendError(text) from error


def _triton_version() -> Version:
    import triton

    major, minor = re.findall(r"\d+", triton.__version__)[:2]
    return int(major), int(minor)
