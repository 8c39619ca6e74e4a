"""How many workgroups of a kernel are resident on a compute unit, and what limits their number."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.amd.target import AmdTarget


@dataclasses.dataclass(frozen=True, kw_only=True)
class Occupancy:
    """`workgroups` of a compute unit, the `waves` of a SIMD that they make, and their part of the most.

    `limits`: how many workgroups each resource has room for; `limited_by`: those with the least. A kernel of
    which not one workgroup fits has 0.
    """

    workgroups: int
    waves: float
    fraction: float
    limited_by: tuple[str, ...]
    limits: dict[str, int]


def occupancy(target: AmdTarget, *, waves: int, registers: int, sgprs: int, lds_bytes: int) -> Occupancy:
    """Of workgroups of so many waves: vector and scalar registers of a wave, bytes of LDS of a workgroup.

    An estimate by the rules of allocation in LLVM's "User Guide for AMDGPU Backend"; waves of a workgroup are
    spread evenly over the SIMDs.
    """
    for_wave = _rounded_up(max(registers, 1), target.register_unit)
    scalars_for_wave = _rounded_up(max(sgprs, 1), target.scalar_register_unit)
    limits = {
        "registers": target.simds * (target.registers // for_wave) // waves,
        "scalar registers": target.simds * (target.scalar_registers // scalars_for_wave) // waves,
        "waves": target.simds * target.waves_per_simd // waves,
    }
    if lds_bytes:
        limits["LDS"] = target.lds_bytes // _rounded_up(lds_bytes, target.lds_unit)
    if waves > 1:
        limits["barriers"] = target.barriers
    workgroups = min(limits.values())
    resident = workgroups * waves / target.simds
    return Occupancy(
        workgroups=workgroups,
        waves=resident,
        fraction=resident / target.waves_per_simd,
        limited_by=tuple(name for name, limit in limits.items() if limit == workgroups),
        limits=limits,
    )


def _rounded_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
