"""Reproducers: the IR before a failing pass and the remaining pipeline in one file, in MLIR's format."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESOURCE = re.compile(r"\bmlir_reproducer\s*:\s*\{")
_PIPELINE = re.compile(r'\bpipeline\s*:\s*"((?:[^"\\]|\\.)*)"')
_FLAG = r"\b{}\s*:\s*(true|false)"


@dataclass(frozen=True)
class Reproducer:
    """What to run on the IR of a reproducer."""

    pipeline: str
    verify_each: bool = True
    allow_unregistered_dialect: bool = False

    def resource(self) -> str:
        """The text that holds this in an MLIR file; `mlir-opt --run-reproducer` reads it too."""
        pipeline = self.pipeline.replace("\\", "\\\\").replace('"', '\\"')
        return f"""
{{-#
  external_resources: {{
    mlir_reproducer: {{
      pipeline: "{pipeline}",
      disable_threading: true,
      verify_each: {str(self.verify_each).lower()}
    }},
    aec_reproducer: {{
      allow_unregistered_dialect: {str(self.allow_unregistered_dialect).lower()}
    }}
  }}
#-}}
"""


def find_reproducer(text: str) -> Reproducer | None:
    """The reproducer that `text` holds: the last one, which is where we write it."""
    starts = [match.end() for match in _RESOURCE.finditer(text)]
    if not starts:
        return None
    tail = text[starts[-1] :]
    pipeline = _PIPELINE.search(tail)
    if pipeline is None:
        return None
    return Reproducer(
        re.sub(r"\\(.)", r"\1", pipeline[1]),
        _flag(tail, "verify_each", default=True),
        _flag(tail, "allow_unregistered_dialect", default=False),
    )


def comment(text: str) -> str:
    """`text` as comment lines."""
    return "".join(f"// {line}".rstrip() + "\n" for line in text.splitlines())


def _flag(text: str, name: str, *, default: bool) -> bool:
    match = re.search(_FLAG.format(name), text)
    return match[1] == "true" if match else default
