"""Scalars that the assembly uses and nothing has computed, as LLVM loses them where it runs out of registers.

Where scalar registers don't suffice, LLVM keeps some in lanes of vector registers, and copies only those
parts of a group of registers that it takes to be used. With Triton 3.9's LLVM a kernel of 128 x 64 tiles kept
a group of eight of which the first two, an address, were not copied before, and used them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.backends.amd.simulator.operands import bare, constant, register
from aecompiler.backends.amd.simulator.text import Body, Instruction

_FIRST_UNSET = 16
"""Scalar registers below may hold what a kernel begins with."""

_FIRST_SPECIAL = 102
"""Scalar registers from here on are vcc, m0, exec and the like."""

_WITH_CARRY = (
    *("v_add_co", "v_addc_co", "v_sub_co", "v_subb_co", "v_subrev_co", "v_subbrev_co"),
    *("v_mad_u64", "v_mad_i64", "v_div_scale"),
)
"""Instructions whose second operand is a result as well."""

_COPIES = ("s_mov_b32", "s_mov_b64")


def lost_scalar(body: Body) -> Instruction | None:
    """The first instruction that computes with scalar registers which no path to it has set, or None.

    Copies of such registers, to others or to lanes of vector registers, are no use: LLVM copies whole groups
    of which some are not used. An operand of several registers counts if none of them is set.
    """
    lanes = _Lanes(body)
    unset: dict[int, int] = {0: lanes.at_start}
    todo = [0]
    while todo:
        at = todo.pop()
        state = lanes.behind(body.instructions[at], unset[at])
        for after in _successors(body, at):
            known = unset.get(after)
            joined = state if known is None else known & state
            if joined != known:
                unset[after] = joined
                todo.append(after)
    wrong = (at for at in sorted(unset) if lanes.is_lost(body.instructions[at], unset[at]))
    return next((body.instructions[at] for at in wrong), None)


class _Lanes:
    """Which scalar registers, and lanes that have some, are not set: a bit for each."""

    def __init__(self, body: Body):
        self._bits: dict[tuple[str, int], int] = {}
        for one in body.instructions:
            if one.opcode == "v_writelane_b32" and (lane := constant(one.operands[2])) is not None:
                self._bits.setdefault((one.operands[0], lane), 1 << _FIRST_SPECIAL + len(self._bits))
        every = (1 << _FIRST_SPECIAL + len(self._bits)) - 1
        self.at_start = every & ~((1 << _FIRST_UNSET) - 1)

    def _bit_of_lane(self, register_: str, lane: str) -> int:
        number = constant(lane)
        return 0 if number is None else self._bits.get((register_, number), 0)

    def behind(self, one: Instruction, unset: int) -> int:
        """What is not set behind an instruction."""
        operands = one.operands
        if one.opcode == "v_writelane_b32":
            bit = self._bit_of_lane(operands[0], operands[2])
            return unset | bit if unset & _scalars(operands[1]) else unset & ~bit
        if one.opcode == "v_readlane_b32":
            target = _scalars(operands[0])
            is_unset = unset & self._bit_of_lane(operands[1], operands[2])
            return unset | target if is_unset else unset & ~target
        if one.opcode in _COPIES:
            target, source = _scalars(operands[0]), _scalars(operands[1])
            unset, copied = unset & ~target, unset & source
            return unset | (copied // _lowest(source) * _lowest(target) if source and target else 0)
        for each in operands[: _results(one)]:
            unset &= ~_scalars(each)
        return unset

    def is_lost(self, one: Instruction, unset: int) -> bool:
        """Whether an instruction computes with what is not set."""
        if one.opcode in ("v_writelane_b32", *_COPIES):
            return False
        sources = map(_scalars, one.operands[_results(one) :])
        return any(source and unset & source == source for source in sources)


def _lowest(mask: int) -> int:
    return mask & -mask


def _results(one: Instruction) -> int:
    """How many operands may be results: one too many of those that have none."""
    return 2 if one.opcode.startswith(_WITH_CARRY) else 1


def _scalars(text: str) -> int:
    """The scalar registers that an operand names, as bits; none of the special ones."""
    found = register(bare(text))
    if found is None or found[0] != "s" or found[1] + found[2] > _FIRST_SPECIAL:
        return 0
    return ((1 << found[2]) - 1) << found[1]


def _successors(body: Body, at: int) -> Iterator[int]:
    """The instructions that may follow."""
    one = body.instructions[at]
    if one.opcode.startswith(("s_branch", "s_cbranch")) and one.operands[0] in body.labels:
        yield body.labels[one.operands[0]]
    if one.opcode not in ("s_branch", "s_endpgm") and at + 1 < len(body.instructions):
        yield at + 1
