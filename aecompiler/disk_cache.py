"""A cache on disk: named blobs by a key, shared by processes, never trusted and never needed.

An entry is one file, written beside its place and renamed into it, so that a reader sees a whole entry or
none whatever other processes do, and a crash leaves at most a file that is cleared away later. It begins with
a checksum, and repeats its key; what does not fit is deleted. Entries hold code that will be run, so a folder
or file that belongs to somebody else, or that others can write to, is not used at all. Whatever the file
system refuses means "not in the cache": no operation of a cache raises.

The environment: AECOMPILER_CACHE=0 turns the cache off, AECOMPILER_CACHE_DIR names its folder,
AECOMPILER_CACHE_SIZE bounds its size, in MiB; the entries that were not used for longest go first. A variable
that holds something else is an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from aecompiler.environment import read_number

DEFAULT_SIZE_MIB, MAX_SIZE_MIB = 256, 2**30

_MAGIC = b"AECCACHE1\n"
_SUFFIX, _UNFINISHED = ".entry", ".tmp"
_STALE_SECONDS = 3600
_FULL, _ENOUGH = 1.0, 0.8
"""Pruning begins when the cache is full, and ends at this part of its size."""


class DiskCache:
    """The entries in one folder; `open_cache` gives the one of this process."""

    def __init__(self, folder: Path, size_bytes: int = DEFAULT_SIZE_MIB * 2**20):
        self.folder = folder
        self.size_bytes = size_bytes

    def load(self, key: str) -> dict[str, bytes] | None:
        """The blobs that were stored under `key`, or None."""
        path = self._path(key)
        if not _is_private(self.folder):
            return None
        try:
            content = _read(path)
        except OSError:
            return None
        if content is None:
            return None
        blobs = _unpack(key, content)
        with contextlib.suppress(OSError):
            if blobs is None:
                path.unlink()
            else:
                os.utime(path)  # so that pruning knows what is in use
        return blobs

    def store(self, key: str, blobs: Mapping[str, bytes]) -> None:
        """Keep `blobs` under `key`, if that is possible."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(self.folder):
                return
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=_UNFINISHED)  # of mode 0600
            try:
                with open(handle, "wb") as file:
                    file.write(_pack(key, blobs))
                os.replace(name, self._path(key))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            self._prune()

    def drop(self, key: str) -> None:
        """Forget an entry that turned out to be of no use."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _prune(self) -> None:
        """Delete the entries that were not used for longest, while there are too many."""
        entries = []
        now = time.time()
        for path, status in self._files():
            if path.endswith(_SUFFIX):
                entries.append((status.st_mtime, status.st_size, path))
            elif path.endswith(_UNFINISHED) and now - status.st_mtime > _STALE_SECONDS:
                with contextlib.suppress(OSError):  # another process clears up as well
                    os.unlink(path)
        total = sum(size for _, size, _ in entries)
        if total <= self.size_bytes * _FULL:
            return
        for _, size, path in sorted(entries):
            if total <= self.size_bytes * _ENOUGH:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(self.folder) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    yield file.path, file.stat(follow_symlinks=False)


def open_cache() -> DiskCache | None:
    """The cache that the environment asks for, or None where it is off; `ValueError` for a bad variable."""
    if not read_number("AECOMPILER_CACHE", 1, 1, "0 or 1"):
        return None
    size = read_number(
        "AECOMPILER_CACHE_SIZE", DEFAULT_SIZE_MIB, MAX_SIZE_MIB, f"a number of MiB, 0 to {MAX_SIZE_MIB}"
    )
    named = os.environ.get("AECOMPILER_CACHE_DIR", "")
    try:
        folder = Path(named) if named else _user_folder() / "aecompiler"
    except RuntimeError:  # nobody's home
        return None
    return DiskCache(folder, size * 2**20)


def _user_folder() -> Path:
    """Where programs of this system keep what they can make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


_warned: set[Path] = set()
"""Folders that were found to be open to others."""


def _is_private(folder: Path) -> bool:
    """Whether entries may be kept in a folder; warns, once, of one that is there and may not be used."""
    try:
        status = os.stat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    own = _is_own(status)
    if not own and folder not in _warned:
        _warned.add(folder)
        warnings.warn(
            f"compiled kernels are not cached: the folder '{folder}' belongs to somebody else, or others can "
            "write to it (chmod go-w makes it private)",
            RuntimeWarning,
            stacklevel=2,
        )
    return own


def _read(path: Path) -> bytes | None:
    """What a file holds, or None if it is no plain file of our own. Never waits, as opening a pipe would."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(handle)
        if not (stat.S_ISREG(status.st_mode) and _is_own(status)):
            return None
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _is_own(status: os.stat_result) -> bool:
    """Whether nobody else can have written it."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


# ---- the format: magic, checksum of what follows, key, then names and blobs --------------------------


def _pack(key: str, blobs: Mapping[str, bytes]) -> bytes:
    parts = [part for name, blob in blobs.items() for part in (name.encode(), blob)]
    payload = b"".join(len(part).to_bytes(8, "little") + part for part in (key.encode(), *parts))
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def _unpack(key: str, content: bytes) -> dict[str, bytes] | None:
    """The blobs of an entry; None if it is damaged, or another entry."""
    start = len(_MAGIC) + hashlib.sha256().digest_size
    payload = memoryview(content)[start:]
    if content[:start] != _MAGIC + hashlib.sha256(payload).digest():
        return None
    parts, at = [], 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 8], "little")
        parts.append(bytes(payload[at + 8 : at + 8 + size]))
        at += 8 + size
    if not parts or parts[0] != key.encode():
        return None
    return {name.decode(): blob for name, blob in zip(parts[1::2], parts[2::2], strict=True)}
