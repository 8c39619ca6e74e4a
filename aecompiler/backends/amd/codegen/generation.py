"""From kernels in LLVM's dialect to code, in one function that another process can run."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.amd.codegen import toolchain
from aecompiler.backends.amd.codegen.spellings import respell
from aecompiler.backends.amd.codegen.toolchain import Code
from aecompiler.backends.isolated_calls import ProcessEnded, call_isolated, report_progress
from aecompiler.errors import BackendError, ResourceError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated:
    """LLVM IR of a module of kernels, as Triton's LLVM reads it, and the code of each kernel by its name."""

    llvm_text: str
    codes: dict[str, Code]


def generate(
    lowered: bytes,
    chip: str,
    *,
    fuse_multiply_add: bool = False,
    only_text: bool = False,
    isolated: bool = True,
    timeout: float = 0.0,
) -> Generated:
    """Code of the kernels of a `gpu.module` in LLVM's dialect, given as MLIR's text or bytecode.

    `only_text` leaves out all but LLVM IR. `isolated` works in a process of its own, for `timeout` seconds at
    most (0: no limit): MLIR's translation and LLVM both end the process on some input.

    Raises `BackendError`, which names the kernel, and the line of LLVM IR where one is known, and
    `ResourceError` for a kernel that needs more LDS than there is.
    """
    arguments = (lowered, chip, fuse_multiply_add, only_text)
    if not isolated:
        return _generate(*arguments)
    try:
        return call_isolated(_generate, *arguments, timeout=timeout)
    except ProcessEnded as end:
        raise _ended(end) from None


def generate_from_text(
    text: str, chip: str, *, fuse_multiply_add: bool = False, isolated: bool = True, timeout: float = 0.0
) -> Generated:
    """As `generate`, of kernels as LLVM IR that is respelled."""
    arguments = (text, chip, fuse_multiply_add)
    if not isolated:
        return _generate_from_text(*arguments)
    try:
        return call_isolated(_generate_from_text, *arguments, timeout=timeout)
    except ProcessEnded as end:
        raise _ended(end, text) from None


def _ended(end: ProcessEnded, text: str = "") -> BackendError | ResourceError:
    """The end of a process as an error of what it was doing, with what LLVM said before."""
    error = toolchain.error_of(toolchain.explain(end.written, text) or end.how)
    return type(error)(f"{end.doing or 'code generation'}: {error}")


def _generate(lowered: bytes, chip: str, fuse_multiply_add: bool, only_text: bool) -> Generated:
    report_progress(f"MLIR's translation to LLVM IR for {chip}")
    text = respell(_translated(lowered))
    return (
        Generated(llvm_text=text, codes={})
        if only_text
        else _generate_from_text(text, chip, fuse_multiply_add)
    )


def _translated(lowered: bytes) -> str:
    """LLVM IR by MLIR; ends the process where MLIR refuses an operation."""
    from aecompiler.bindings import ir, load

    with ir.Context():
        module = ir.Module.parse(lowered)
        found = [op.operation for op in module.body.operations if op.operation.name == "gpu.module"]
        if len(found) != 1:
            raise BackendError(f"expects one gpu.module, got {len(found)}")
        return load("dialects.llvm").translate_module_to_llvmir(found[0])


def _refusal(text: str, chip: str) -> str:
    """Why LLVM does not read `text`; asked in another process, which LLVM may end after it has said so."""
    try:
        said = call_isolated(toolchain.refusal_of, text, chip)
    except ProcessEnded as end:
        said = end.written
    return toolchain.explain(said, text)


def _generate_from_text(text: str, chip: str, fuse_multiply_add: bool) -> Generated:
    codes = {}
    names = toolchain.kernel_names(text)
    if not names:
        raise BackendError("expects a gpu.module with a kernel")
    for name in names:
        doing = f"kernel '{name}' for {chip}"
        report_progress(doing)
        try:
            codes[name] = toolchain.compile_text(text, name, chip, fuse_multiply_add=fuse_multiply_add)
        except toolchain.UnreadableError as error:
            raise BackendError(f"{doing}: {_refusal(text, chip) or error}") from None
        except (BackendError, ResourceError) as error:
            raise type(error)(f"{doing}: {error}") from error
    return Generated(llvm_text=text, codes=codes)
