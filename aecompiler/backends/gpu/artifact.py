"""What a GPU backend emits: a plan of the host and its kernels as binaries, in one file.

An artifact is a zip archive of `manifest.json` and, for each kernel and form, its binary, assembly, and the
text in Triton's dialect that it is made of. The manifest holds

- `format`, `target`, `entry`, and `versions` of what compiled it;
- `plan`: what a call does (`host_plan.py`), with the arguments and results of the function;
- `kernels`: by name, `parameters` (types, in order), what the kernel is compiled with, and `forms`: "aligned"
  may assume that addresses and strides are multiples of 16 bytes, "unaligned" may not; a kernel with
  descriptors has no "unaligned" form, since what it assumes it needs. Each form has the facts of its code;
- `sizes`, in saved files: which sizes of a call must agree (`Sizes.rules`).

Reading and running one needs neither MLIR nor Triton; a form that is not there yet is compiled when a call
needs it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from aecompiler.backends.base import Artifact
from aecompiler.backends.triton.kernel_abi import is_descriptor
from aecompiler.errors import BackendError

FORMAT = 1
MANIFEST = "manifest.json"
ALIGNED, UNALIGNED = "aligned", "unaligned"
FORMS = (ALIGNED, UNALIGNED)

_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError),
    *(NotImplementedError, RuntimeError),  # of compressions and encryptions that nothing here writes
)
"""What archives that are cut off or changed end in."""

_SOURCE = "ttir"
_OLDEST = (1980, 1, 1, 0, 0, 0)  # so that equal artifacts are equal files


def forms_of(parameters: Sequence[str]) -> tuple[str, ...]:
    """The forms that a kernel with these parameters has."""
    return (ALIGNED,) if any(map(is_descriptor, parameters)) else FORMS


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCode:
    """One form of a kernel, compiled; backends add fields.

    `symbol`: its name in the `binary`; `threads`: those of a block; `shared`: bytes of shared memory.
    """

    FILES: ClassVar[Mapping[str, str]]
    """The fields that are files of the archive, each with the ending of their names; others are facts."""
    TEXT: ClassVar[str]
    """That of these which is the assembly."""

    symbol: str
    binary: bytes
    threads: int
    shared: int

    def facts(self) -> dict[str, Any]:
        """What stands in the manifest."""
        names = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in names if name not in self.FILES}

    def blobs(self) -> dict[str, bytes]:
        """What stands in files, by the ending of their names."""
        found = ((ending, getattr(self, name)) for name, ending in self.FILES.items())
        return {ending: each.encode() if isinstance(each, str) else each for ending, each in found}

    @classmethod
    def of(cls, facts: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Self:
        """The code of these facts and files."""
        files: dict[str, Any] = {name: blobs[ending] for name, ending in cls.FILES.items()}
        texts = {name: data.decode() for name, data in files.items() if name != "binary"}
        return cls(**facts, **{**files, **texts})


Code = TypeVar("Code", bound=KernelCode)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuArtifact(Artifact, Generic[Code]):
    """A program for a GPU. `binary` is the archive, `metadata` the manifest.

    `cache_key` is what the kernel is known by in the cache on disk, empty where there is none; `compile_form`
    compiles a form of a kernel that is not there.
    """

    CODE: ClassVar[type[KernelCode]]

    files: Mapping[str, bytes] = dataclasses.field(compare=False, repr=False)
    cache_key: str = ""
    compile_form: Callable[[Any, str, str], Code] = dataclasses.field(compare=False, repr=False)
    _added: dict[tuple[str, str], Code] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    _lock: Any = dataclasses.field(default_factory=threading.Lock, compare=False, repr=False)

    @classmethod
    def make(
        cls,
        manifest: Mapping[str, Any],
        texts: Mapping[tuple[str, str], str],
        codes: Mapping[tuple[str, str], Code],
        more: Mapping[str, bytes] | None = None,
        **others: Any,
    ) -> Self:
        """An artifact of a manifest without `forms`, texts and code by kernel and form, and more files."""
        kernels = {name: {**facts, "forms": {}} for name, facts in manifest["kernels"].items()}
        files = {_path(*place, _SOURCE): text.encode() for place, text in texts.items()}
        for (name, form), code in codes.items():
            kernels[name]["forms"][form] = code.facts()
            files.update({_path(name, form, ending): data for ending, data in code.blobs().items()})
        files.update(more or {})
        whole = {"format": FORMAT, **manifest, "kernels": kernels}
        return cls._of(whole, files, pack(whole, files), **others)

    @classmethod
    def from_bytes(cls, data: bytes, **others: Any) -> Self:
        """The artifact that an archive holds; `BackendError` for one that is none, or of another version."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                manifest = json.loads(archive.read(MANIFEST))
                files = {name: archive.read(name) for name in archive.namelist() if name != MANIFEST}
        except _DAMAGES as error:
            raise BackendError(f"expects an archive of a compiled program: {error}") from None
        if not isinstance(manifest, dict):
            raise BackendError("expects an archive of a compiled program: its manifest is no table")
        if manifest.get("format") != FORMAT:
            raise BackendError(f"expects a compiled program of format {FORMAT}, got {manifest.get('format')}")
        if missing := [name for name in ("target", "entry", "plan", "kernels") if name not in manifest]:
            raise BackendError(
                f"expects an archive of a compiled program: its manifest has no {', '.join(missing)}"
            )
        return cls._of(manifest, files, data, **others)

    @classmethod
    def _of(cls, manifest: Mapping[str, Any], files: Mapping[str, bytes], data: bytes, **others: Any) -> Self:
        ending = cls.CODE.FILES[cls.CODE.TEXT]
        return cls(
            target=manifest["target"],
            entry=manifest["entry"],
            binary=data,
            metadata=manifest,
            render=lambda: _text(manifest, files, ending),
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
            return self.files[_path(kernel, form, _SOURCE)].decode()
        except KeyError:
            raise BackendError(f"kernel '{kernel}' has no text of its {form} form to compile") from None

    def code(self, kernel: str, form: str) -> Code:
        """A form of a kernel, compiled now if it is not there."""
        facts = self.manifest["kernels"][kernel]["forms"].get(form)
        if facts is not None:
            endings = self.CODE.FILES.values()
            blobs = {ending: self.files[_path(kernel, form, ending)] for ending in endings}
            return self.CODE.of(facts, blobs)  # type: ignore[return-value]
        with self._lock:
            place = (kernel, form)
            if place not in self._added:
                self._added[place] = self.compile_form(self, kernel, form)
            return self._added[place]

    def complete(self) -> Self:
        """The artifact with all forms of all kernels: no call compiles."""
        kernels = self.manifest["kernels"].items()
        places = [(kernel, form) for kernel, facts in kernels for form in forms_of(facts["parameters"])]
        return type(self).make(
            self._complete_manifest(),
            {place: self.source(*place) for place in places},
            {place: self.code(*place) for place in places},
            cache_key=self.cache_key,
            compile_form=self.compile_form,
        )

    def _complete_manifest(self) -> Mapping[str, Any]:
        return self.manifest

    def save(self, path: str | os.PathLike[str], sizes: Mapping[str, Any] | None = None) -> None:
        """Write all that another machine needs to run the program, without MLIR and Triton.

        `sizes` are rules for the sizes of calls, `Sizes.rules()`; `aecompiler.saved_kernel` checks them.
        """
        whole = self.complete()
        manifest = {**whole.manifest, "sizes": dict(sizes or {})}
        Path(path).write_bytes(pack(manifest, whole.files))


def _path(kernel: str, form: str, ending: str) -> str:
    return f"kernels/{kernel}.{form}.{ending}"


def _text(manifest: Mapping[str, Any], files: Mapping[str, bytes], ending: str) -> str:
    """The assembly of the kernels."""
    paths = [
        _path(name, form, ending) for name, kernel in manifest["kernels"].items() for form in kernel["forms"]
    ]
    return "\n".join(files[path].decode() for path in paths)


def pack(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The archive of a manifest and files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ((MANIFEST, json.dumps(manifest).encode()), *sorted(files.items())):
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
