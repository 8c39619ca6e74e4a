"""Descriptors of wgmma's operands in PTX, each layout computed from a base of its own.

An operand in shared memory is described by 64 bits: its address in the low half, its layout in the high one.
Where two operands of different layouts have one place, LLVM adds both layouts to one register. ptxas 12.8,
which Triton 3.6 brings, then computes descriptors of the second layout from a register before the address is
in it: sums are wrong, or memory is read that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HALF = 1 << 32
_PRODUCT = re.compile(r"^\s*wgmma\.mma_async\S*\s+(?P<operands>[^;]*);", re.M)
_LAID_OUT = re.compile(
    r"^(?P<start>\s*(?:add\.s64|or\.b64)\s+(?P<result>%rd\d+), )(?P<base>%rd\d+), (?P<constant>-?\d+);", re.M
)
_BASE = re.compile(r"^(?P<start>\s*)cvt\.u64\.u32\s+(?P<base>%rd\d+), (?P<address>%r\d+);", re.M)


def shared_bases(ptx: str) -> dict[str, tuple[int, ...]]:
    """The registers that descriptors of several layouts are computed from, and the layouts in their order."""
    described = {
        register
        for product in _PRODUCT.finditer(ptx)
        for register in re.findall(r"%rd\d+", product["operands"])
    }
    layouts: dict[str, dict[int, None]] = {}
    for found in _LAID_OUT.finditer(ptx):
        if found["result"] in described:
            layouts.setdefault(found["base"], {})[_halves(found["constant"])[1]] = None
    return {base: tuple(each) for base, each in layouts.items() if len(each) > 1}


def separate_bases(ptx: str) -> str:
    """Give each layout but the first of those that share an address a register with the layout in it.

    It is written where the address is, so that all uses see it. Values stay the same: an address has 14 bits,
    and what is added to it reaches no layout.
    """
    shared = shared_bases(ptx)
    if not shared:
        return ptx
    own = {
        (base["base"], layout): f"%laid_out{number}_{base['base'].removeprefix('%')}"
        for base in _BASE.finditer(ptx)
        for number, layout in enumerate(shared.get(base["base"], ())[1:], 1)
    }
    return _LAID_OUT.sub(lambda found: _use(found, own), _BASE.sub(lambda found: _define(found, own), ptx))


def _define(found: re.Match[str], own: Mapping[tuple[str, int], str]) -> str:
    lines = [found[0]]
    for (base, layout), register in own.items():
        if base == found["base"]:
            lines += [
                f"\t.reg .b64 {register};",
                f"\t{{ .reg .b32 %layout; mov.b32 %layout, {layout};"
                f" mov.b64 {register}, {{{found['address']}, %layout}}; }}",
            ]
    return "\n".join(lines)


def _use(found: re.Match[str], own: Mapping[tuple[str, int], str]) -> str:
    low, high = _halves(found["constant"])
    register = own.get((found["base"], high))
    return found[0] if register is None else f"{found['start']}{register}, {low};"


def _halves(constant: str) -> tuple[int, int]:
    high, low = divmod(int(constant) % _HALF**2, _HALF)
    return low, high
