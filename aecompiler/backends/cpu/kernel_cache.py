"""Compiled kernels on disk: what they are known by, and what is kept of them."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aecompiler.backends.base import Artifact
from aecompiler.backends.code_keys import digest, versions
from aecompiler.backends.cpu.target import CpuTarget
from aecompiler.bindings import ir
from aecompiler.disk_cache import open_cache


@dataclasses.dataclass(frozen=True)
class CachedKernel:
    """A kernel from the cache. `code`: LLVM dialect as bytecode; `binary`: an object file, or empty."""

    code: bytes
    binary: bytes
    metadata: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuArtifact(Artifact):
    """A kernel in the LLVM dialect, as bytecode, and what the cache knows of it.

    `metadata` holds `opt_level`, `threads`, whether the code has `parallel` loops and the `runtime` for
    memory, the bytes of `stack` that it needs, whether it is `vectorized` as a whole, and as `not_vectorized`
    the reasons why tile programs were left as loops over scalars; as `not_chunked` and `not_proved` why
    recurrences go position by position, having no chunked form or none that is proved. `cache_key` is empty
    where there is no cache. `is_cached`: the kernel comes from there, with its object file if there is one.
    """

    cache_key: str = ""
    is_cached: bool = False
    cached_object: bytes = b""


def key_of(module: ir.Module, entry: str, pipeline: str, opt_level: int, target: CpuTarget) -> str:
    """What a kernel is known by: all that its code depends on. Locations in the program are not in it."""
    text = module.operation.get_asm(enable_debug_info=False)
    return digest((text, entry, pipeline, str(opt_level), *target.code_identity, *versions()))


def load(key: str) -> CachedKernel | None:
    """The kernel of that key, if it is in the cache."""
    cache = open_cache()
    blobs = cache.load(key) if cache is not None else None
    if cache is None or blobs is None:
        return None
    try:
        return CachedKernel(blobs["code"], blobs["object"], json.loads(blobs["metadata"]))
    except (KeyError, ValueError):
        cache.drop(key)
        return None


def store(key: str, kernel: CachedKernel) -> None:
    """Keep a kernel."""
    cache = open_cache()
    if cache is not None:
        metadata = json.dumps(dict(kernel.metadata)).encode()
        cache.store(key, {"code": kernel.code, "object": kernel.binary, "metadata": metadata})


def drop(key: str) -> None:
    """Forget a kernel whose object file can't be loaded."""
    cache = open_cache()
    if cache is not None:
        cache.drop(key)


def object_of(engine: Any) -> bytes:
    """The object file of what an engine has compiled; empty if it can't be had.

    LLVM ends the process where a file can't be written, as on a full disk: on Linux it writes to memory.
    """
    try:
        if hasattr(os, "memfd_create"):
            with open(os.memfd_create("aecompiler"), "rb") as file:
                engine.dump_to_object_file(f"/proc/self/fd/{file.fileno()}")
                return file.read()
        with tempfile.TemporaryDirectory(prefix="aecompiler-") as folder:
            path = Path(folder, "kernel.o")
            engine.dump_to_object_file(str(path))
            return path.read_bytes()
    except OSError:
        return b""
