"""What a run of a command line tool gave."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    status: int
    out: str
    err: str
