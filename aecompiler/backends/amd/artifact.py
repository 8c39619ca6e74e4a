"""What the AMD backend emits: the archive of `gpu/artifact.py` with code objects and their assembly.

The manifest holds, beside what all have, `chip`; `road`: what made the code; of each kernel what it is
compiled with (`waves`, and the options of its road); of each form `arguments` (offset and size of each in the
segment of arguments), and the resources that the assembly states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from aecompiler.backends.amd.kernel_arguments import arguments_of
from aecompiler.backends.amd.reach import Reach
from aecompiler.backends.amd.resources import Prediction, Resources, resources_of
from aecompiler.backends.gpu import artifact as gpu


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCode(gpu.KernelCode):
    """One form of a kernel, compiled: `binary` is a code object (hsaco).

    `shared`: bytes of local memory that a launch adds to that of the code. `arguments`: offset and size of
    each in the segment of arguments, behind which the runtime may write some; `spans`: whether the bytes
    behind each pointer are among them, after the parameters. `reaches`: how far tiles reach from each
    pointer, for the checks of `reach.py`. `resources`: what the assembly states; `predicted`: what was said
    before there was code, by the road that says so.
    """

    FILES: ClassVar[Mapping[str, str]] = {"binary": "hsaco", "assembly": "amdgcn"}
    TEXT: ClassVar[str] = "assembly"

    assembly: str
    spans: bool = False
    reaches: Sequence[Sequence[Any]] = ()
    arguments: Sequence[Sequence[int]]
    resources: Resources
    predicted: Prediction | None = None

    def facts(self) -> dict[str, Any]:
        """What stands in the manifest."""
        predicted = None if self.predicted is None else dataclasses.asdict(self.predicted)
        return {**super().facts(), "resources": dataclasses.asdict(self.resources), "predicted": predicted}

    @classmethod
    def of(cls, facts: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Self:
        """The code of these facts and files."""
        predicted = facts.get("predicted")
        found = {
            "resources": Resources(**facts["resources"]),
            "predicted": None if predicted is None else Prediction(**predicted),
        }
        return super().of({**facts, **found}, blobs)

    @property
    def lds_bytes(self) -> int:
        """All local memory of a workgroup."""
        return self.resources.lds_bytes + self.shared


def code_of(
    symbol: str,
    assembly: str,
    hsaco: bytes,
    *,
    threads: int,
    shared: int = 0,
    spans: bool = False,
    reaches: Sequence[tuple[int, Reach]] = (),
    predicted: Prediction | None = None,
) -> KernelCode:
    """The code of a kernel, with what its assembly says of it."""
    return KernelCode(
        symbol=symbol,
        binary=hsaco,
        assembly=assembly,
        threads=threads,
        shared=shared,
        spans=spans,
        reaches=[list(each) for each in reaches],
        arguments=arguments_of(assembly, symbol),
        resources=resources_of(assembly, symbol),
        predicted=predicted,
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
