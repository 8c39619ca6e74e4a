"""Names in code that both halves of the backend use."""

from __future__ import annotations

PREFIX = "aec."
"""What the names of functions begin with in code."""
