"""How many blocks of a kernel are resident on a multiprocessor, and what limits their number."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.nvidia.target import NvidiaTarget

_PARTITIONS = 4
"""Registers belong to one of so many parts of a multiprocessor, and its warps are spread over them."""

_TENSOR_MEMORY_COLUMNS, _LEAST_COLUMNS = 512, 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Occupancy:
    """`blocks` of a multiprocessor, the part of its `warps` that they make up, and what limits their number.

    `limits`: how many blocks each resource has room for.
    """

    blocks: int
    warps: int
    fraction: float
    limited_by: tuple[str, ...]
    limits: dict[str, int]


def occupancy(
    target: NvidiaTarget,
    *,
    num_warps: int,
    registers: int,
    shared: int,
    tensor_memory: int = 0,
    barriers: int = 0,
) -> Occupancy:
    """Of blocks that need so much: registers of a thread, shared memory in bytes, tensor memory in columns.

    The rules are those of NVIDIA's occupancy calculator.
    """
    for_warp = _rounded_up(max(registers, 1) * target.warp_size, target.register_unit)
    register_warps = _PARTITIONS * (target.registers // _PARTITIONS // for_warp)
    for_block = _rounded_up(shared + target.reserved_shared_bytes, target.shared_unit)
    limits = {
        "registers": register_warps // num_warps,
        "shared memory": target.shared_bytes // for_block,
        "warps": target.warps // num_warps,
        "blocks": target.blocks,
    }
    if target.barriers and barriers:
        limits["barriers"] = target.barriers // barriers
    if tensor_memory:
        columns = max(_LEAST_COLUMNS, 1 << (tensor_memory - 1).bit_length())
        limits["tensor memory"] = _TENSOR_MEMORY_COLUMNS // columns
    blocks = min(limits.values())
    return Occupancy(
        blocks=blocks,
        warps=blocks * num_warps,
        fraction=blocks * num_warps / target.warps,
        limited_by=tuple(name for name, limit in limits.items() if limit == blocks),
        limits=limits,
    )


def _rounded_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
