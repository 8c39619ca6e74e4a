"""MLIR bytecode, told from text without loading MLIR."""

from __future__ import annotations


def is_bytecode(data: bytes) -> bool:
    """Whether a file of this content is bytecode."""
    return data.startswith(b"ML\xefR")
