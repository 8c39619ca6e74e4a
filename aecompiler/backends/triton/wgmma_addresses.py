"""Whether machine code computes the addresses of wgmma's operands before it uses them.

ptxas 12.8, which Triton 3.6 brings, computes the descriptor of an operand from a register before the address
is in it, in kernels where two operands of different layouts have one place in shared memory. The product then
reads wherever an element of a tensor, or the block's number, points to: sums are wrong, or memory is read
that is not there. What such a register held is what no address is made of, and so it is found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from aecompiler.backends.basic_blocks import Block
from aecompiler.backends.triton.sass import Instruction

_REGISTER = re.compile(r"(?<![\w.])(?P<file>U?R)(?P<number>\d+)(?!\w)")
_PREDICATE = re.compile(r"!?U?P(\d+|T|R)$")
_DESCRIPTORS = re.compile(r"gdesc\[UR(?P<first>\d+)\]")
_SUMS = re.compile(r"\.64x(?P<columns>\d+)x\d+\.F(?P<bits>32|16)")
_WIDTH = re.compile(r"\.(?P<bits>64|128)(?!\w)")

_PRODUCTS = ("HGMMA", "QGMMA", "IGMMA")
_WITHOUT_RESULT = frozenset(
    {"ST", "STG", "STS", "STL", "STSM", "RED", "REDG", "UTMASTG", "UTMALDG", "UTMAPF", "LDGSTS", "SYNCS"}
    | {"BAR", "BRA", "EXIT", "ISETP", "FSETP", "UISETP", "HSETP2", "PLOP3", "R2P", "WARPGROUP", "MEMBAR"}
)
_NOT_ADDRESSES = frozenset(
    {"LD", "LDG", "LDS", "LDSM", "ATOM", "ATOMG", "ATOMS", *_PRODUCTS, "HMMA", "IMMA", "MUFU", "F2FP", "F2F"}
    | {"FADD", "FMUL", "FFMA", "FSEL", "FMNMX", "HADD2", "HMUL2", "HFMA2", "HMNMX2", "I2F", "I2FP"}
    | {"SR_CTAID.X", "SR_CTAID.Y", "SR_CTAID.Z"}
)
"""What an address in shared memory is not computed by; that of a spilled one is read by LDL."""

_OF_RINGS = frozenset({"LDS", "LDG", "MUFU", "I2F", "I2FP", "SR_CTAID.X", "SR_CTAID.Y", "SR_CTAID.Z"})
"""What positions in rings are computed by, divisions included."""


def untold_descriptors(blocks: Sequence[Block[Instruction]]) -> list[str]:
    """The wgmma instructions one of whose descriptors is made of something that is no address.

    `blocks` are those of a kernel, the entry first. Not an address are what a register holds at the start,
    the number of a block, and elements of tensors. Registers that are spilled count as addresses. Where warps
    have roles, values in shared memory do, too, by which they hand addresses to each other, and so does what
    follows from a block's number and from loaded numbers of tiles: how many tiles have been in a ring.
    """
    has_roles = any("USETMAXREG" in each.opcode for block in blocks for each in block.instructions)
    sources = _NOT_ADDRESSES - _OF_RINGS if has_roles else _NOT_ADDRESSES
    # Registers known to hold addresses or numbers; what is in no set may hold anything.
    known: list[frozenset[str] | None] = [None] * len(blocks)
    waiting = [0] if blocks else []
    if blocks:
        known[0] = frozenset()
    while waiting:
        number = waiting.pop()
        after = set(known[number] or ())
        for each in blocks[number].instructions:
            _run(each, after, sources)
        for successor in blocks[number].successors:
            before = known[successor]
            joined = frozenset(after) if before is None else before & after
            if joined != before:
                known[successor] = joined
                waiting.append(successor)
    return list(_untold(blocks, known, sources))


def _untold(
    blocks: Sequence[Block[Instruction]], known: Sequence[frozenset[str] | None], sources: frozenset[str]
) -> Iterator[str]:
    for block, before in zip(blocks, known, strict=True):
        if before is None:
            continue
        held = set(before)
        for each in block.instructions:
            if each.base in _PRODUCTS and not held.issuperset(_descriptor_registers(each)):
                yield f"{each.opcode} {each.operands}"
            _run(each, held, sources)


def _descriptor_registers(product: Instruction) -> Iterator[str]:
    """The registers of the descriptors; that of a first factor in registers is not used."""
    found = _DESCRIPTORS.search(product.operands)
    if found is None:
        return
    operands = [each.strip() for each in product.operands.split(",")]
    first = int(found["first"])
    start = first if operands[1].startswith("gdesc") else first + 2
    yield from (f"UR{number}" for number in range(start, first + 4))


def _run(instruction: Instruction, held: set[str], sources: frozenset[str]) -> None:
    if instruction.base in _WITHOUT_RESULT:
        return
    operands = [each.strip() for each in instruction.operands.split(",")]
    while operands and _PREDICATE.match(operands[0]):
        operands.pop(0)
    written = _REGISTER.match(operands[0]) if operands else None
    if written is None:
        return
    file, first = written["file"], int(written["number"])
    results = [f"{file}{number}" for number in range(first, first + _width(instruction))]
    is_known = instruction.base not in sources and sources.isdisjoint(operands)
    if is_known:
        is_known = held.issuperset(_read(instruction, operands[1:]))
    if instruction.is_conditional:
        is_known = is_known and held.issuperset(results)
    if is_known:
        held.update(results)
    else:
        held.difference_update(results)


def _read(instruction: Instruction, operands: Sequence[str]) -> Iterator[str]:
    is_wide = instruction.opcode == "UIADD3.64"
    for operand in operands:
        for found in _REGISTER.finditer(operand):
            file, first = found["file"], int(found["number"])
            yield f"{file}{first}"
            if is_wide:
                yield f"{file}{first + 1}"


def _width(instruction: Instruction) -> int:
    """How many registers an instruction writes."""
    opcode = instruction.opcode
    if sums := _SUMS.search(opcode):
        return int(sums["columns"]) * int(sums["bits"]) // 64
    if instruction.base in ("HMMA", "IMMA"):
        return 4
    if instruction.base == "LDSM":
        return int(opcode.rpartition(".")[2]) if opcode[-1].isdigit() else 1
    if width := _WIDTH.search(opcode):
        return int(width["bits"]) // 32
    return 2 if ".WIDE" in opcode or (instruction.base == "CS2R" and ".32" not in opcode) else 1
