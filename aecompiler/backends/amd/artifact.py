"""What the AMD backend emits: the archive of `gpu/artifact.py` with code objects and their assembly.

The manifest holds, beside what all have, `chip`; `road`: what made the code; of each kernel what it is
compiled with (`waves`, and the options of its road); of each form `arguments` (offset and size of each in the
segment of arguments), and the resources that the assembly states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from aecompiler.backends.amd.code_metadata import metadata_of
from aecompiler.backends.gpu import artifact as gpu


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCode(gpu.KernelCode):
    """One form of a kernel, compiled: `binary` is a code object (hsaco).

    `shared`: bytes of local memory that a launch adds to the `static_shared` of the code. `arguments`: offset
    and size of each in the segment of arguments, behind which the runtime may write some; `spans`: whether
    the bytes behind each pointer are among them, after the parameters. Registers are those of a lane, scalar
    registers of a wave; `scratch_bytes` of a lane.
    """

    FILES: ClassVar[Mapping[str, str]] = {"binary": "hsaco", "assembly": "amdgcn"}
    TEXT: ClassVar[str] = "assembly"

    assembly: str
    spans: bool = False
    arguments: Sequence[Sequence[int]]
    static_shared: int
    vgprs: int
    agprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    scratch_bytes: int

    @property
    def lds_bytes(self) -> int:
        """All local memory of a workgroup."""
        return self.static_shared + self.shared


def code_of(
    symbol: str, assembly: str, hsaco: bytes, *, threads: int, shared: int, spans: bool = False
) -> KernelCode:
    """The code of a kernel, with what its assembly says of it."""
    found = metadata_of(assembly, symbol)
    return KernelCode(
        symbol=symbol,
        binary=hsaco,
        assembly=assembly,
        threads=threads,
        shared=shared,
        spans=spans,
        arguments=[list(place) for place in found.arguments],
        static_shared=found.lds_bytes,
        vgprs=found.vgprs,
        agprs=found.agprs,
        sgprs=found.sgprs,
        vgpr_spills=found.vgpr_spills,
        sgpr_spills=found.sgpr_spills,
        scratch_bytes=found.scratch_bytes,
    )


CompileForm = Callable[["AmdArtifact", str, str], KernelCode]


def _compile_form(artifact: AmdArtifact, kernel: str, form: str) -> KernelCode:
    from aecompiler.backends.amd.backend import compile_form

    return compile_form(artifact, kernel, form)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmdArtifact(gpu.GpuArtifact[KernelCode]):
    """A program for an AMD GPU."""

    CODE: ClassVar[type[gpu.KernelCode]] = KernelCode

    compile_form: CompileForm = dataclasses.field(default=_compile_form, compare=False, repr=False)
