"""Arrays in files: .npy, .npz and .safetensors, read by name and written so that no half file is ever left.

bfloat16 is exact in .safetensors; .npy and .npz have no such type, so that it is written there as float32,
which holds every bfloat16.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import replace_file

SUFFIXES = (".npy", ".npz", ".safetensors")


class FileError(UsageError):
    """A file can't be read as asked."""


def is_array_file(path: str) -> bool:
    """Whether the name of a file says that it holds arrays."""
    return Path(path).suffix in SUFFIXES


def split_key(text: str) -> tuple[str, str | None]:
    """`FILE` or `FILE:KEY` as path and key; a colon inside of the path is no separator."""
    path, separator, key = text.rpartition(":")
    if separator and is_array_file(path):
        return path, key
    return text, None


def read(path: str, key: str | None = None, prefer: str | None = None) -> np.ndarray:
    """One array of a file. In an archive: entry `key`, else entry `prefer`, else the only one.

    Raises FileError, which names the file, when it can't be read or has no such entry.
    """
    if Path(path).suffix == ".npy":
        if key is not None:
            raise FileError(f"'{path}' is a single array and has no entry '{key}'")
        return _guarded(path, lambda: _load_numpy(path))
    names = entries(path)
    if key is None:
        key = prefer if prefer in names or len(names) != 1 else names[0]
    if key not in names:
        raise FileError(f"'{path}' has no entry '{key}' (entries: {', '.join(names) or 'none'})")
    return _read_entry(path, key)


def entries(path: str) -> list[str]:
    """The names of the arrays in an archive. Raises FileError."""
    if Path(path).suffix == ".safetensors":
        from safetensors import safe_open

        def names() -> list[str]:
            with safe_open(path, framework="np") as archive:
                return list(archive.keys())

        return _guarded(path, names)

    def npz_names() -> list[str]:
        with _load_numpy(path) as archive:
            return list(archive.files)

    return _guarded(path, npz_names)


def _read_entry(path: str, key: str) -> np.ndarray:
    if Path(path).suffix == ".npz":

        def npz_entry() -> np.ndarray:
            with _load_numpy(path) as archive:
                return archive[key]

        return _guarded(path, npz_entry)
    from safetensors import safe_open

    def entry() -> np.ndarray:
        with safe_open(path, framework="np") as archive:
            return archive.get_tensor(key)

    return _guarded(path, entry)


def _load_numpy(path: str) -> Any:
    """np.load, for files that are what their name says: for others it speaks of pickles."""
    suffix = Path(path).suffix
    with open(path, "rb") as file:
        if file.read(4) != {".npy": b"\x93NUM", ".npz": b"PK\x03\x04"}[suffix]:
            raise FileError(f"cannot read '{path}': it is not a {suffix} file")
    return np.load(path, allow_pickle=False)


def _guarded(path: str, reader: Any) -> Any:
    """Call a reader; whatever a library makes of a bad file becomes one kind of error."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise FileError(f"cannot read '{path}': it is a pipe or a device")  # which may have no end
    try:
        return reader()
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read '{path}': {error.strerror or error}") from None
    except Exception as error:
        # Corrupt files raise ValueError, EOFError, BadZipFile, zlib.error, SafetensorError, KeyError, ...
        reason = str(error).partition("\n")[0]
        raise FileError(f"cannot read '{path}': {reason or type(error).__name__}") from None


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file, all of them or, as .npy, the only one. The file appears when it is complete.

    Raises UsageError, which names the file.
    """
    suffix = Path(path).suffix

    def content(file: BinaryIO) -> None:
        if suffix == ".safetensors":
            from safetensors.numpy import save

            file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        elif suffix == ".npz":
            # As np.savez does, which has a parameter `file` of its own in the way of that name.
            with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, _storable(array), allow_pickle=False)
        else:
            (array,) = arrays.values()
            np.save(file, _storable(array))

    replace_file(path, content)


def _storable(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array
