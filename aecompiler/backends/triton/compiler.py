"""Drives Triton's compiler: the text of one kernel in Triton's dialects to the binary of an NVIDIA chip.

`triton.compile` does the same and keeps a cache in the user's home. Here its stages are called one after
another, so that nothing is written but a temporary folder, an error knows its stage, and what the assembler
says is kept. Works with Triton 3.6 to 3.9, which is imported when the first kernel is compiled.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton import complaints, ptxas
from aecompiler.backends.triton.complaints import Source
from aecompiler.backends.triton.spellings import Version, respell
from aecompiler.diagnostics import Diagnostic, compile_error, stderr_to
from aecompiler.errors import BackendError, CompileError, ResourceError

Stage = Literal["ttir", "ttgir"]
"""How far a text is: hardware-neutral, for all of Triton's passes, or with layouts, for none but its last."""

WRITTEN = "written"
"""The file in a compilation's folder with what Triton wrote, for a parent process when this one dies."""

_TENSOR_MEMORY_COLUMNS = 512


Copied = tuple[tuple[int, ...], int]
"""The box that is copied through a descriptor at a time, and the bytes of the swizzle."""

_SWIZZLES = (0, 32, 64, 128)
"""The bytes of a swizzle, by Triton's number for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledKernel:
    """A kernel for one chip, and what a launch of it needs to know.

    `stages`: the text at each stage, by Triton's names: "ttir" (only if it was given that), "ttgir", "llir",
    "ptx".
    `shared`: bytes of dynamic shared memory; `num_warps`: of a block, those that Triton adds included;
    `threads`: of a block; `scratch`: how many pointers Triton appended to the kernel's parameters.
    `registers`: of a thread at the kernel's start; `spills`: bytes that a thread's instructions store to and
    load from memory for want of registers; `stack`: bytes of that memory.
    `static_shared`: bytes of shared memory beside the dynamic ones; `tensor_memory`: columns of it, on chips
    that have it; `barriers`: those for the threads of a block.
    `copies`: for each descriptor the box that is copied at a time, and the bytes of the swizzle.
    `warnings`: what the assembler warns of, as that wgmma instructions were serialized.
    """

    name: str
    cubin: bytes
    ptx: str
    stages: dict[str, str | bytes]
    shared: int
    num_warps: int
    threads: int
    scratch: int
    registers: int
    spills: int
    spill_stores: int = 0
    spill_loads: int = 0
    stack: int = 0
    static_shared: int = 0
    tensor_memory: int = 0
    barriers: int = 0
    copies: tuple[Copied, ...] = ()
    warnings: tuple[str, ...] = ()


def compile_kernel(
    text: str,
    name: str,
    target: NvidiaTarget,
    *,
    num_warps: int = 4,
    num_stages: int = 3,
    stage: Stage = "ttir",
    isolated: bool = False,
    timeout: float = 0.0,
) -> CompiledKernel:
    """Compile the kernel `name`, the only function of the module `text`.

    The text is as Triton 3.6 has it, also where later versions spell it in another way (`spellings.py`). At
    the stage "ttgir" the numbers of warps and stages are those of the text. `isolated` compiles in a
    process of its own, where LLVM's abort on some inputs, and a compilation of more than `timeout` seconds
    (0: no limit), become errors. Raises `CompileError`, which names the kernel and quotes what was complained
    about first, and `BackendError` where Triton is missing.
    """
    if isolated:
        from aecompiler.backends.triton.isolation import compile_isolated

        return compile_isolated(
            text, name, target, num_warps=num_warps, num_stages=num_stages, stage=stage, timeout=timeout
        )
    _check_triton(target)
    text = respell(text, _triton_version())
    with tempfile.TemporaryDirectory(prefix="aec-triton-") as folder:
        # The name is part of the line information of code that has no locations of its own.
        path = Path(folder) / f"kernel.{stage}"
        path.write_text(text, encoding="utf-8")
        options = {"num_warps": num_warps, "num_stages": num_stages}
        return _Compilation(name, target, Source(text, str(path)), stage).run(options)


def refuse(name: str, target: NvidiaTarget, doing: str, complaint: Diagnostic) -> CompileError:
    """The error that the kernel `name` can't be compiled, at the place of `complaint`."""
    message = f"kernel '{name}' for {target.name}: {doing}: {complaint.message}"
    return compile_error([dataclasses.replace(complaint, message=message)])


class _Compilation:
    """One kernel on its way through the stages."""

    def __init__(self, name: str, target: NvidiaTarget, source: Source, stage: Stage):
        self.name = name
        self.target = target
        self.source = source
        self.stage = stage
        self.folder = os.path.dirname(source.path)
        self.metadata: dict[str, Any] = {}
        self.stages: dict[str, str | bytes] = {}

    def run(self, options: dict[str, int]) -> CompiledKernel:
        parameters = self._lower(options)
        ptx = str(self.stages["ptx"])
        self._check_resources()
        assembled = self._assemble(ptx)
        num_warps = self.metadata.get("num_warps", options["num_warps"])
        return CompiledKernel(
            name=self.name,
            cubin=assembled.cubin,
            ptx=ptx,
            stages=self.stages,
            shared=self.metadata["shared"],
            num_warps=num_warps,
            threads=num_warps * self.target.warp_size,
            scratch=_count_parameters(ptx, self.name) - parameters,
            registers=assembled.registers,
            spills=assembled.spill_stores + assembled.spill_loads,
            spill_stores=assembled.spill_stores,
            spill_loads=assembled.spill_loads,
            stack=assembled.stack,
            static_shared=assembled.static_shared,
            barriers=assembled.barriers,
            tensor_memory=self.metadata.get("tmem_size") or 0,
            copies=tuple(_copied(each) for each in self.metadata.get("tensordesc_meta") or ()),
            warnings=assembled.warnings,
        )

    def _lower(self, options: dict[str, int]) -> int:
        """Fill in the stages up to PTX; returns the number of the kernel's own parameters."""
        from triton._C.libtriton import ir
        from triton.backends.compiler import GPUTarget, Language
        from triton.compiler.compiler import make_backend

        arch = self.target.arch
        backend = make_backend(GPUTarget("cuda", arch, self.target.warp_size))
        context = ir.context()
        ir.load_dialects(context)
        backend.load_dialects(context)
        module = self._step("Triton's parser", lambda: ir.parse_mlir_module(self.source.path, context))
        module.context = context  # which must live as long as the module
        parameters = self._step("Triton's parser", lambda: self._signature(module))
        if self.stage == "ttgir":
            options = {
                "num_warps": module.get_int_attr("ttg.num-warps"),
                "num_ctas": module.get_int_attr("ttg.num-ctas") or 1,
            }
            if options["num_warps"] is None:
                self._refuse("Triton's parser", Diagnostic("error", "expects the attribute 'ttg.num-warps'"))
        self.metadata["num_warps"] = options["num_warps"]
        # Given here, neither follows environment variables or the defaults of a release.
        chosen = backend.parse_options({**options, "arch": f"sm{arch}", "enable_fp_fusion": True})
        passes: dict[str, Callable[[Any, dict[str, Any]], Any]] = {}
        backend.add_stages(passes, chosen, Language.TRITON)
        names = [name for name in passes if name != "cubin"]
        if self.stage == "ttgir":
            self.stages["ttgir"] = self._readable(module)
            self.metadata["tensordesc_meta"] = module.get_tensordesc_metadata()
            names = names[names.index("ttgir") + 1 :]
        for name in names:
            lower = functools.partial(passes[name], module, self.metadata)
            module = self._step(f"stage '{name}'", lower)
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

    def _step(self, doing: str, work: Callable[[], Any]) -> Any:
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
            self._refuse(doing, complaint or Diagnostic("error", said), error)
        sys.stderr.write(written)
        return result

    def _check_resources(self) -> None:
        shared, most = self.metadata["shared"], self.target.shared_bytes_per_block
        if shared > most:
            self._exceed("bytes of shared memory", shared, most)
        columns = self.metadata.get("tmem_size") or 0
        if columns > _TENSOR_MEMORY_COLUMNS:
            self._exceed("columns of tensor memory", columns, _TENSOR_MEMORY_COLUMNS)
        for kind in ("global", "profile"):
            if scratch := self.metadata.get(f"{kind}_scratch_size"):
                message = f"unsupported: {scratch} bytes of {kind} scratch memory"
                self._refuse("resources", Diagnostic("error", message))

    def _exceed(self, what: str, needed: int, most: int) -> NoReturn:
        message = f"expects at most {most} {what} in a block, got {needed}"
        error = refuse(self.name, self.target, "resources", Diagnostic("error", message))
        raise ResourceError(str(error), error.diagnostics)

    def _assemble(self, ptx: str) -> ptxas.Assembled:
        from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability

        arch = self.target.arch
        try:
            return ptxas.assemble(ptx, self.folder, get_ptxas(arch), sm_arch_from_capability(arch))
        except ptxas.AssemblyError as error:
            complaint = complaints.first_ptxas_complaint(str(error), ptx, self.source)
            self._refuse("ptxas", complaint, error)

    def _refuse(self, doing: str, complaint: Diagnostic, cause: BaseException | None = None) -> NoReturn:
        raise refuse(self.name, self.target, doing, complaint) from cause


def _check_triton(target: NvidiaTarget) -> None:
    try:
        importlib.import_module("triton.backends.nvidia.compiler")
    except ImportError as error:
        text = f"target '{target.name}' needs Triton, which can't be imported here: {error}"
        raise BackendError(text) from error


def _copied(descriptor: dict[str, Any]) -> Copied:
    return tuple(descriptor["block_size"]), _SWIZZLES[descriptor["swizzle"]]


def _triton_version() -> Version:
    import triton

    major, minor = re.findall(r"\d+", triton.__version__)[:2]
    return int(major), int(minor)


def _count_parameters(ptx: str, name: str) -> int:
    declared = re.search(rf"\.entry\s+{re.escape(name)}\s*\((?P<parameters>[^)]*)\)", ptx)
    return len(re.findall(r"\.param\b", declared["parameters"])) if declared else 0
