"""What the NVIDIA backend emits: the archive of `gpu/artifact.py` with cubins and their PTX.

The manifest holds, beside what all have,

- `capability`; of each kernel `num_warps`, `num_stages`, and `stage` of the text; of each form `scratch`
  (null pointers to pass after the parameters), `registers` and `spills`;
- `lengths`, where calls of some sizes are compiled for on their own: `argument` and `dimension` that say how
  long a call is and the classes of lengths that are `others`, `few` with the `argument` and `dimension` that
  say how many queries it has and the `most` that are few, and the options that were asked for, `schedule`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from aecompiler.backends.gpu import artifact as gpu
from aecompiler.backends.gpu.artifact import ALIGNED as ALIGNED
from aecompiler.backends.gpu.artifact import UNALIGNED as UNALIGNED
from aecompiler.backends.gpu.artifact import forms_of as forms_of

PROGRAM = "program.mlirbc"
MAX_SCRATCH = 8
"""The most pointers that a compiler may add to a kernel's parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCode(gpu.KernelCode):
    """One form of a kernel, compiled."""

    FILES: ClassVar[Mapping[str, str]] = {"binary": "cubin", "ptx": "ptx"}
    TEXT: ClassVar[str] = "ptx"

    ptx: str
    scratch: int
    registers: int
    spills: int


CompileForm = Callable[["NvidiaArtifact", str, str], KernelCode]


def _compile_form(artifact: NvidiaArtifact, kernel: str, form: str) -> KernelCode:
    from aecompiler.backends.nvidia.backend import compile_form

    return compile_form(artifact, kernel, form)


CompileClass = Callable[["NvidiaArtifact", Mapping[str, int]], "NvidiaArtifact"]


def _compile_class(artifact: NvidiaArtifact, named: Mapping[str, int]) -> NvidiaArtifact:
    from aecompiler.backends.nvidia.backend import compile_class

    return compile_class(artifact, named)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaArtifact(gpu.GpuArtifact[KernelCode]):
    """A program for an NVIDIA GPU.

    Where another schedule is chosen for calls of other lengths, or with few queries, `lengths` of the
    manifest says for which, and the archive holds the program.
    """

    CODE: ClassVar[type[gpu.KernelCode]] = KernelCode

    compile_form: CompileForm = dataclasses.field(default=_compile_form, compare=False, repr=False)
    compile_class: CompileClass = dataclasses.field(default=_compile_class, compare=False, repr=False)

    def for_class(self, **named: int) -> NvidiaArtifact:
        """The program for calls of a `length` or of so many `queries`, as `lengths` of the manifest says."""
        return self.compile_class(self, named)

    def _complete_manifest(self) -> Mapping[str, Any]:
        """No length and no few queries have kernels of their own: those there are run all calls."""
        return {name: value for name, value in self.manifest.items() if name != "lengths"}
