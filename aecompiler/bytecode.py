"""MLIR bytecode: made of modules, and told from text, without loading MLIR."""

from __future__ import annotations

import io
from typing import Any


def is_bytecode(data: bytes) -> bool:
    """Whether a file of this content is bytecode."""
    return data.startswith(b"ML\xefR")


def bytecode_of(module: Any) -> bytes:
    """The content of a file that holds a module."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()
