"""What the NVIDIA backend emits: a plan of the host and its kernels as binaries, in one file.

An artifact is a zip archive of `manifest.json` and, for each kernel and form, a cubin, its PTX, and the text
in Triton's dialect that it is made of. The manifest holds

- `format`, `target`, `capability`, `entry`, and `versions` of what compiled it;
- `plan`: what a call does (`host_plan.py`), with the arguments and results of the function;
- `kernels`: by name, `parameters` (types, in order), `num_warps`, `num_stages`, `stage` of the text, and
  `forms`: "aligned" may assume that addresses and strides are multiples of 16 bytes, "unaligned" may not; a
  kernel with descriptors has no "unaligned" form, since what it assumes it needs.
  Each form has `symbol`, `threads` of a block, `shared` bytes of shared memory, `scratch` (null pointers to
  pass after the parameters), `registers` and `spills`;
- `lengths`, where calls of some sizes are compiled for on their own: `argument` and `dimension` that say how
  long a call is and the classes of lengths that are `others`, `few` with the `argument` and `dimension` that
  say how many queries it has and the `most` that are few, and the options that were asked for, `schedule`;
- `sizes`, in saved files: which sizes of a call must agree (`Sizes.rules`).

Reading and running one needs neither MLIR nor Triton; a form that is not there yet is compiled by Triton when
a call needs it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from aecompiler.backends.base import Artifact
from aecompiler.backends.triton.kernel_abi import is_descriptor
from aecompiler.errors import BackendError

FORMAT = 1
MANIFEST, PROGRAM = "manifest.json", "program.mlirbc"
ALIGNED, UNALIGNED = "aligned", "unaligned"
FORMS = (ALIGNED, UNALIGNED)
MAX_SCRATCH = 8
"""The most pointers that a compiler may add to a kernel's parameters."""


def forms_of(parameters: Sequence[str]) -> tuple[str, ...]:
    """The forms that a kernel with these parameters has."""
    return (ALIGNED,) if any(map(is_descriptor, parameters)) else FORMS


_OLDEST = (1980, 1, 1, 0, 0, 0)  # so that equal artifacts are equal files


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCode:
    """One form of a kernel, compiled."""

    symbol: str
    binary: bytes
    ptx: str
    threads: int
    shared: int
    scratch: int
    registers: int
    spills: int

    def facts(self) -> dict[str, Any]:
        """What stands in the manifest."""
        return {name: getattr(self, name) for name in _FACTS}


_FACTS = ("symbol", "threads", "shared", "scratch", "registers", "spills")

CompileForm = Callable[["NvidiaArtifact", str, str], KernelCode]


def _compile_form(artifact: NvidiaArtifact, kernel: str, form: str) -> KernelCode:
    from aecompiler.backends.nvidia.backend import compile_form

    return compile_form(artifact, kernel, form)


CompileClass = Callable[["NvidiaArtifact", Mapping[str, int]], "NvidiaArtifact"]


def _compile_class(artifact: NvidiaArtifact, named: Mapping[str, int]) -> NvidiaArtifact:
    from aecompiler.backends.nvidia.backend import compile_class

    return compile_class(artifact, named)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaArtifact(Artifact):
    """A program for an NVIDIA GPU. `binary` is the archive, `metadata` the manifest.

    `cache_key` is what the kernel is known by in the cache on disk, empty where there is none. Where another
    schedule is chosen for calls of other lengths, or with few queries, `lengths` of the manifest says for
    which, and the archive holds the program.
    """

    files: Mapping[str, bytes] = dataclasses.field(compare=False, repr=False)
    cache_key: str = ""
    compile_form: CompileForm = dataclasses.field(default=_compile_form, compare=False, repr=False)
    compile_class: CompileClass = dataclasses.field(default=_compile_class, compare=False, repr=False)
    _added: dict[tuple[str, str], KernelCode] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )
    _lock: Any = dataclasses.field(default_factory=threading.Lock, compare=False, repr=False)

    @classmethod
    def make(
        cls,
        manifest: Mapping[str, Any],
        texts: Mapping[tuple[str, str], str],
        codes: Mapping[tuple[str, str], KernelCode],
        program: bytes = b"",
        **others: Any,
    ) -> Self:
        """An artifact of a manifest without `forms`, and by kernel and form texts and compiled code."""
        kernels = {name: {**facts, "forms": {}} for name, facts in manifest["kernels"].items()}
        for (name, form), code in codes.items():
            kernels[name]["forms"][form] = code.facts()
        files = {_path(*place, "ttir"): text.encode() for place, text in texts.items()}
        for place, code in codes.items():
            files[_path(*place, "cubin")] = code.binary
            files[_path(*place, "ptx")] = code.ptx.encode()
        if program:
            files[PROGRAM] = program
        whole = {"format": FORMAT, **manifest, "kernels": kernels}
        return cls._of(whole, files, _pack(whole, files), **others)

    @classmethod
    def from_bytes(cls, data: bytes, **others: Any) -> Self:
        """The artifact that an archive holds; `BackendError` for one that is none, or of another version."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                manifest = json.loads(archive.read(MANIFEST))
                files = {name: archive.read(name) for name in archive.namelist() if name != MANIFEST}
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise BackendError(f"expects an archive of a compiled program: {error}") from None
        if manifest.get("format") != FORMAT:
            raise BackendError(f"expects a compiled program of format {FORMAT}, got {manifest.get('format')}")
        return cls._of(manifest, files, data, **others)

    @classmethod
    def _of(cls, manifest: Mapping[str, Any], files: Mapping[str, bytes], data: bytes, **others: Any) -> Self:
        return cls(
            target=manifest["target"],
            entry=manifest["entry"],
            binary=data,
            metadata=manifest,
            render=lambda: _text(manifest, files),
            files=files,
            **others,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The artifact that `save` has written."""
        return cls.from_bytes(Path(path).read_bytes())

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the archive says of itself; see the module."""
        return self.metadata

    def source(self, kernel: str, form: str) -> str:
        """A kernel in Triton's dialect."""
        try:
            return self.files[_path(kernel, form, "ttir")].decode()
        except KeyError:
            raise BackendError(f"kernel '{kernel}' has no text of its {form} form to compile") from None

    def code(self, kernel: str, form: str) -> KernelCode:
        """A form of a kernel, compiled now if it is not there."""
        facts = self.manifest["kernels"][kernel]["forms"].get(form)
        if facts is not None:
            binary, ptx = (self.files[_path(kernel, form, kind)] for kind in ("cubin", "ptx"))
            return KernelCode(binary=binary, ptx=ptx.decode(), **facts)
        with self._lock:
            place = (kernel, form)
            if place not in self._added:
                self._added[place] = self.compile_form(self, kernel, form)
            return self._added[place]

    def for_class(self, **named: int) -> NvidiaArtifact:
        """The program for calls of a `length` or of so many `queries`, as `lengths` of the manifest says."""
        return self.compile_class(self, named)

    def complete(self) -> Self:
        """The artifact with all forms of all kernels, which then run all calls: no call compiles.

        So no length and no few queries have kernels of their own.
        """
        kernels = self.manifest["kernels"].items()
        places = [(kernel, form) for kernel, facts in kernels for form in forms_of(facts["parameters"])]
        return type(self).make(
            {name: value for name, value in self.manifest.items() if name != "lengths"},
            {place: self.source(*place) for place in places},
            {place: self.code(*place) for place in places},
            cache_key=self.cache_key,
            compile_form=self.compile_form,
        )

    def save(self, path: str | os.PathLike[str], sizes: Mapping[str, Any] | None = None) -> None:
        """Write all that another machine needs to run the program, without MLIR and Triton.

        `sizes` are rules for the sizes of calls, `Sizes.rules()`; `aecompiler.saved_kernel` checks them.
        """
        whole = self.complete()
        manifest = {**whole.manifest, "sizes": dict(sizes or {})}
        Path(path).write_bytes(_pack(manifest, whole.files))


def _path(kernel: str, form: str, kind: str) -> str:
    return f"kernels/{kernel}.{form}.{kind}"


def _text(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """The PTX of the kernels."""
    paths = [
        _path(name, form, "ptx") for name, kernel in manifest["kernels"].items() for form in kernel["forms"]
    ]
    return "\n".join(files[path].decode() for path in paths)


def _pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ((MANIFEST, json.dumps(manifest).encode()), *sorted(files.items())):
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
