"""What GPU backends keep in the cache on disk: artifacts, and forms of kernels that these do not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from aecompiler.backends.code_keys import digest
from aecompiler.backends.gpu.artifact import GpuArtifact, KernelCode
from aecompiler.disk_cache import open_cache
from aecompiler.errors import BackendError

_ARTIFACT, _FACTS = "artifact", "facts"

Emitted = TypeVar("Emitted", bound=GpuArtifact[Any])
Code = TypeVar("Code", bound=KernelCode)


def cached_artifact(
    kind: type[Emitted], key_of: Callable[[], str], make: Callable[[str], Emitted]
) -> Emitted:
    """The artifact of a key, from the cache, or made now, and kept.

    `make` is given the key, "" without a cache.
    What the cache holds and this version does not read is made again.
    """
    cache = open_cache()
    if cache is None:
        return make("")
    key = key_of()
    if (blobs := cache.load(key)) is not None:
        try:
            return kind.from_bytes(blobs[_ARTIFACT], cache_key=key)
        except (BackendError, KeyError):
            cache.drop(key)
    made = make(key)
    cache.store(key, {_ARTIFACT: made.binary})
    return made


def cached_form(artifact: GpuArtifact[Code], kernel: str, form: str, make: Callable[[str], Code]) -> Code:
    """A form of a kernel, from the cache, or made of its text now, and kept where the artifact has a key."""
    cache = open_cache() if artifact.cache_key else None
    key = digest((artifact.cache_key, kernel, form))
    if cache is not None and (blobs := cache.load(key)) is not None:
        try:
            return artifact.CODE.of(json.loads(blobs[_FACTS]), blobs)  # type: ignore[return-value]
        except (KeyError, TypeError, ValueError):
            cache.drop(key)
    code = make(artifact.source(kernel, form))
    if cache is not None:
        cache.store(key, {**code.blobs(), _FACTS: json.dumps(code.facts()).encode()})
    return code
