"""What the CPU backend knows of a processor: the one of this process, or one that is described."""

from __future__ import annotations

import dataclasses
from typing import Any

from aecompiler.backends.base import Target

KIB, MIB = 2**10, 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuTarget(Target):
    """A processor, as far as schedules depend on it.

    `machine`: the architecture as the system calls it, "x86_64" or "aarch64".
    `vector_bits`, `vector_registers`: of the widest vector unit.
    `features`: instruction set extensions by the names that Linux uses, sorted.
    `cores`: physical cores that this process may use.
    `l1_bytes`, `l2_bytes`: data caches of one core; `l3_bytes`: the cache that cores share.
    `page_bytes`: the size of a page of memory.
    `identity`: tells apart processors for which LLVM may generate different code; empty for a target that is
    only described.
    """

    machine: str
    vector_bits: int
    vector_registers: int
    features: tuple[str, ...] = ()
    cores: int = 1
    l1_bytes: int = 32 * KIB
    l2_bytes: int = 512 * KIB
    l3_bytes: int = 8 * MIB
    page_bytes: int = 4 * KIB
    identity: str = ""

    def lanes(self, bits: int) -> int:
        """How many elements of that width a vector register holds."""
        return self.vector_bits // bits

    @property
    def code_identity(self) -> tuple[str, ...]:
        """What code depends on beside the pipeline: neither cores nor sizes of caches and pages."""
        unit = f"{self.vector_registers}x{self.vector_bits}"
        return (self.machine, unit, self.identity, *self.features)

    def has(self, feature: str) -> bool:
        """Whether the processor has an extension."""
        return feature in self.features


@dataclasses.dataclass(frozen=True)
class VectorUnit:
    """Vectors that a processor has if it is a `machine` with all of `features`."""

    machine: str
    features: frozenset[str]
    bits: int
    registers: int


VECTOR_UNITS = (
    VectorUnit("x86_64", frozenset({"avx512f", "avx512dq", "fma"}), 512, 32),
    VectorUnit("x86_64", frozenset({"avx2", "fma"}), 256, 16),
    VectorUnit("x86_64", frozenset({"sse2"}), 128, 16),
    VectorUnit("aarch64", frozenset({"asimd"}), 128, 32),
)
"""The vector units that schedules tell apart, the best of each architecture first."""

BASELINE = VectorUnit("", frozenset(), 128, 16)
"""What is assumed of any other processor."""


def vector_unit(machine: str, features: frozenset[str]) -> VectorUnit:
    """The best vector unit of a machine with these extensions."""
    for unit in VECTOR_UNITS:
        if unit.machine == machine and unit.features <= features:
            return unit
    return BASELINE


def described(name: str, machine: str, *features: str, **others: Any) -> CpuTarget:
    """A target with these extensions; fields that are not given are conservative."""
    unit = vector_unit(machine, frozenset(features))
    return CpuTarget(
        name=name,
        machine=machine,
        vector_bits=unit.bits,
        vector_registers=unit.registers,
        features=tuple(sorted(features)),
        **others,
    )


NAMED_TARGETS = {
    target.name: target
    for target in (
        described("cpu:avx2", "x86_64", "sse2", "avx2", "fma", "f16c", cores=4),
        described(
            "cpu:avx512",
            "x86_64",
            *("sse2", "avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_bf16"),
            cores=4,
            l2_bytes=1 * MIB,
            l3_bytes=32 * MIB,
        ),
        described("cpu:neon", "aarch64", "asimd", "asimdhp", "bf16", cores=4, l1_bytes=64 * KIB),
    )
}
"""Processors that are described, so that schedules and pipelines for another machine can be printed."""
