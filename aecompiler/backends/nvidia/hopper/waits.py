"""Where products are waited for."""

from __future__ import annotations

import enum


class Waits(enum.Enum):
    """Where a product is waited for."""

    AT_USE = "at-use"
    """Before the first operation that uses it."""
    AT_END = "at-end"
    """There, and what uses the last product of a turn stands at its end."""
    TOGETHER = "together"
    """Where the first product of a turn is used, for all that were begun."""
