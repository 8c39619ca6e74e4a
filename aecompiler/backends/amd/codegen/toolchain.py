"""The LLVM inside Triton, called for AMD's chips: from LLVM IR as text to assembly and a code object.

Triton has no binding that reads LLVM IR into a module to be optimized. `link_extern_libs` reads a file and
takes from it what its module declares: here a module of Triton's MLIR that declares the kernel and says that
it is used (`llvm.used`), so that the definition comes in as it stands, with all of its attributes.

Its interface changed between the versions 3.6 to 3.9; this is the only file that knows how. Some of the calls
end the process when they are given what they don't know: `generation.py` makes them in another process.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from aecompiler.backends.amd.codegen.lost_scalars import lost_scalar
from aecompiler.backends.amd.simulator.text import parse_body
from aecompiler.backends.isolated_calls import WRITTEN
from aecompiler.diagnostics import stderr_to
from aecompiler.errors import BackendError, ResourceError

Version = tuple[int, int]

_DECLARED = """\
module {{
  llvm.func @{name}()
  llvm.mlir.global appending @llvm.used() {{section = "llvm.metadata"}} : !llvm.array<1 x ptr> {{
    %0 = llvm.mlir.addressof @{name} : !llvm.ptr
    %1 = llvm.mlir.undef : !llvm.array<1 x ptr>
    %2 = llvm.insertvalue %0, %1[0] : !llvm.array<1 x ptr>
    llvm.return %2 : !llvm.array<1 x ptr>
  }}
}}
"""
_LIBRARIES = ("ocml", "ockl")
_NAME = re.compile(r"[A-Za-z_][\w.$]*\Z")
_KERNEL = re.compile(r"^define (?:[\w()]+ )*?amdgpu_kernel void @(?P<name>[\w.$]+)\(", re.MULTILINE)
_ATTRIBUTES = re.compile(r"^attributes #\d+ = \{", re.MULTILINE)
_TARGET_LINE = re.compile(r"^target .*$", re.MULTILINE)
_LINE_NUMBER = re.compile(r"(?:at line |line ?no: ?)(?P<line>\d+)")
_PARSING = re.compile(r"^failed to parse (LLVM )?IR: ")
_ERROR = re.compile(r"\berror: (.*)$", re.MULTILINE)
_LDS = re.compile(r"local memory \((\d+)\) exceeds limit \((\d+)\)")
_FATAL = re.compile(r"^LLVM ERROR: (.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """A kernel behind LLVM: its optimized LLVM IR, assembly, and code object."""

    optimized: str
    assembly: str
    hsaco: bytes


def kernel_names(text: str) -> list[str]:
    """The kernels that LLVM IR defines, in their order."""
    return [found["name"] for found in _KERNEL.finditer(text)]


def compile_text(text: str, name: str, chip: str, *, fuse_multiply_add: bool = False) -> Code:
    """Optimize the kernel `name` of respelled LLVM IR at O3 and generate code for `chip`.

    `fuse_multiply_add` lets LLVM turn a product and a sum into one instruction that rounds once, everywhere;
    else it does so only where the IR allows it (`contract`).

    Raises `ResourceError` for more LDS than there is, and for scalars that LLVM loses; `BackendError` where
    Triton is missing, or refuses the text. LLVM ends the process where it can't select instructions, as for
    an intrinsic that the chip does not have.
    """
    if name not in kernel_names(text):
        known = ", ".join(kernel_names(text)) or "none"
        raise BackendError(f"LLVM IR defines no kernel '{name}' (kernels: {known})")
    llvm = _triton("_C.libtriton").llvm
    with tempfile.TemporaryDirectory(prefix="aec-amd-") as folder:
        written = Path(folder, WRITTEN)  # where a parent process finds it when this one ends
        with open(written, "wb") as sink, stderr_to(sink.fileno()):
            llvm.init_targets()
            optimized = _optimized(text, name, chip, fuse_multiply_add)
            assembly = _checked_assembly(optimized, name, chip, fuse_multiply_add)
        said = written.read_text(encoding="utf-8", errors="backslashreplace")
    if errors := _ERROR.findall(said):  # LLVM goes on after some, with code that is wrong
        raise error_of(errors[0])
    sys.stderr.write(said)
    return Code(optimized=optimized, assembly=assembly, hsaco=assemble(assembly, chip))


def error_of(message: str) -> BackendError | ResourceError:
    """A complaint of LLVM as an error."""
    if found := _LDS.search(message):
        needed, most = found.groups()
        return ResourceError(f"expects at most {most} bytes of LDS in a workgroup, got {needed}")
    return BackendError(message)


def assemble(assembly: str, chip: str) -> bytes:
    """The code object that a HIP runtime loads; `BackendError` where the assembler refuses the text."""
    amd = _triton("_C.libtriton").amd
    # Of some mistakes the assembler only says that nothing came out.
    with tempfile.TemporaryDirectory(prefix="aec-amd-") as folder:
        relocatable, linked = Path(folder, "kernel.o"), Path(folder, "kernel.hsaco")
        try:
            if _version() >= (3, 9):
                code = _triton("backends.amd.compiler").assemble_amdgcn(assembly, chip, "")
            else:
                code = amd.assemble_amdgcn(assembly, chip, "")
            if not code:
                raise BackendError(f"the assembler refused the code for {chip}")
            relocatable.write_bytes(code)
            amd.link_hsaco(str(relocatable), str(linked))
            found = linked.read_bytes() if linked.exists() else b""
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"the assembler refused the code for {chip}: {error}") from error
    if not found:
        raise BackendError(f"the linker made no code object for {chip}")
    return found


def refusal_of(text: str, chip: str) -> str:
    """What LLVM's parser says of a text that it refuses; with Triton before 3.9 it also ends the process."""
    llvm = _triton("_C.libtriton").llvm
    llvm.init_targets()
    try:
        if hasattr(llvm, "to_bitcode"):
            llvm.to_bitcode(text, False)
        else:
            _translate(text, chip, fuse_multiply_add=False)
    except RuntimeError as error:
        return str(error)
    return ""


def explain(said: str, text: str = "") -> str:
    """What LLVM or MLIR complained of in what they wrote, and the line of LLVM IR `text` that it names."""
    lines = [line for line in said.strip().split("\n") if not line.startswith("warning:")]
    found = _FATAL.findall(said) or _ERROR.findall(said) or lines or [""]
    message = found[0]
    place = _LINE_NUMBER.search(message)
    if place is None:
        return message
    source, number = text.split("\n"), int(place["line"])
    line = source[number - 1].strip() if 0 < number <= len(source) else ""
    reason = _PARSING.sub("", message[: place.start()]).strip()
    return f"LLVM IR, line {number}: {reason}: {line}"


# ---- Triton's interface ----------------------------------------------------------------------------


def _triton(module: str) -> Any:
    try:
        return importlib.import_module(f"triton.{module}")
    except ImportError as error:
        raise BackendError(
            f"code for AMD's chips needs Triton, which can't be imported here: {error}"
        ) from error


@functools.cache
def _version() -> Version:
    triton = importlib.import_module("triton")
    major, minor = re.findall(r"\d+", triton.__version__)[:2]
    return int(major), int(minor)


def _triple(chip: str) -> str:
    amd = _triton("_C.libtriton").amd
    return amd.get_target_triple(chip) if hasattr(amd, "get_target_triple") else amd.TARGET_TRIPLE


def _optimized(text: str, name: str, chip: str, fuse_multiply_add: bool) -> str:
    native = _triton("_C.libtriton")
    ir, llvm, amd = native.ir, native.llvm, native.amd
    if not _NAME.match(name):
        raise BackendError(f"expects a kernel's name of letters, digits and underscores, got '{name}'")
    with tempfile.TemporaryDirectory(prefix="aec-amd-") as folder:
        declared, given = Path(folder, "declared.mlir"), Path(folder, "kernel.ll")
        declared.write_text(_DECLARED.format(name=name))
        context = ir.context()
        ir.load_dialects(context)
        module = ir.parse_mlir_module(str(declared), context)
        module.context = context  # which must live as long as the module
        llvm_context = llvm.context()
        linked = llvm.to_module(module, llvm_context)
        triple = _triple(chip)
        set_triple = getattr(amd, "set_target_triple", None)
        if set_triple is not None:
            set_triple(linked, triple)
        else:
            amd.attach_target_triple(linked)
        llvm.attach_datalayout(linked, triple, chip, "")
        # In front of the first line, so that the numbers of lines stay.
        given.write_text(" ".join([*_TARGET_LINE.findall(str(linked)), text]))
        try:
            llvm.link_extern_libs(linked, [str(given)])
        except ValueError as error:
            raise UnreadableError("LLVM refused the text") from error
        _link_library(native, linked, chip)
        llvm.optimize_module(linked, llvm.OPTIMIZE_O3, chip, "", [], fuse_multiply_add)
        # What was linked is internal; a kernel that nobody can find is none.
        return str(linked).replace("define internal amdgpu_kernel", "define amdgpu_kernel")


class UnreadableError(BackendError):
    """LLVM IR that Triton's LLVM can't read; it does not say why."""


def _link_library(native: Any, module: Any, chip: str) -> None:
    """Link the functions of AMD's device libraries that are declared."""
    amd = native.amd
    needed = [name for name in _LIBRARIES if amd.need_extern_lib(module, name)]
    if not needed:
        return
    # The libraries read what they may assume from these constants.
    amd.set_isa_version(module, chip)
    amd.set_abi_version(module, 500)
    amd.set_bool_control_constant(module, "__oclc_finite_only_opt", False)
    amd.set_bool_control_constant(module, "__oclc_correctly_rounded_sqrt32", True)
    amd.set_bool_control_constant(module, "__oclc_unsafe_math_opt", False)
    amd.set_bool_control_constant(module, "__oclc_wavefrontsize64", True)
    folder = Path(_triton("backends.amd").__file__).parent / "lib"
    native.llvm.link_extern_libs(module, [str(folder / f"{name}.bc") for name in needed])


def _checked_assembly(optimized: str, name: str, chip: str, fuse_multiply_add: bool) -> str:
    """Assembly in which LLVM has lost no scalar; `ResourceError` where it does so in each of two ways."""
    # By "noimplicitfloat" LLVM merges no loads, so that parameters are not in groups of eight and sixteen.
    used = ""
    for text in (optimized, _ATTRIBUTES.sub(r"\g<0> noimplicitfloat", optimized)):
        assembly = _assembly(text, chip, fuse_multiply_add)
        lost = lost_scalar(parse_body(assembly, name)) if "v_writelane_b32" in assembly else None
        if lost is None:
            return assembly
        used = f"'{lost.text}' in line {lost.line}"
    raise ResourceError(f"expects code whose scalar registers are set, got {used}")


def _assembly(optimized: str, chip: str, fuse_multiply_add: bool) -> str:
    try:
        if _version() < (3, 9):
            return _translate(optimized, chip, fuse_multiply_add)
        return _triton("backends.amd.compiler").compile_amdgpu(
            optimized,
            _triple(chip),
            chip,
            "",
            flags=[],
            enable_fp_fusion=fuse_multiply_add,
            disable_optimization=False,
            canonicalize_gep=False,
            disabled_passes="",
            dump_ir=False,
            enable_timing=False,
        )
    except RuntimeError as error:
        raise BackendError(f"LLVM made no code for {chip}: {error}") from error


def _translate(text: str, chip: str, fuse_multiply_add: bool) -> str:
    native = _triton("_C.libtriton")
    more = [False] if _version() >= (3, 8) else []
    return native.llvm.translate_to_asm(text, _triple(chip), chip, "", [], fuse_multiply_add, False, *more)
