"""Features as pieces whose sizes are powers of two: the matrix units of GPUs multiply no others."""

from __future__ import annotations

LEAST_PIECE = 16
"""The least features of a piece."""


def pieces_of(features: int) -> list[tuple[int, int]]:
    """Where pieces of features begin, and their sizes, which are powers of two; else one piece."""
    if features % LEAST_PIECE:
        return [(0, features)]
    pieces, first = [], 0
    while first < features:
        size = 1 << ((features - first).bit_length() - 1)
        pieces.append((first, size))
        first += size
    return pieces
