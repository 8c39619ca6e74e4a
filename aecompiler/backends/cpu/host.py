"""Reads the processor of this process from the operating system: /proc and /sys on Linux.

What the system does not tell is replaced by the conservative defaults of `CpuTarget`; nothing here fails.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from aecompiler.backends.cpu.target import CpuTarget, described

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_CACHES = {"1": "l1_bytes", "2": "l2_bytes", "3": "l3_bytes"}
_IDENTITY = (
    *("vendor_id", "cpu family", "model", "stepping", "flags"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),  # arm
)
"""The lines of /proc/cpuinfo that LLVM's choice of instructions can depend on."""


@functools.cache
def host_target() -> CpuTarget:
    """The processor that this process runs on."""
    return read_target(Path("/"))


def read_target(root: Path) -> CpuTarget:
    """The processor that the files below `root` describe, usable by this process."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    facts = cpu_facts(root)
    features = frozenset((facts.get("flags") or facts.get("Features") or "").split())
    identity = [f"{key}: {facts[key]}" for key in _IDENTITY if key in facts]
    if not features:  # another system: what is certain is only that it is this very machine
        identity = [platform.node(), platform.processor(), platform.version()]
    usable = usable_cpus()
    sizes = cache_bytes(root, min(usable, default=0))
    return described(
        "cpu",
        machine,
        *features,
        cores=available_cores(root, usable),
        page_bytes=os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else CpuTarget.page_bytes,
        identity=hashlib.sha256("\n".join((sys.platform, machine, *identity)).encode()).hexdigest()[:16],
        **sizes,
    )


def usable_cpus() -> frozenset[int]:
    """The logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def available_cores(root: Path, usable: frozenset[int]) -> int:
    """The physical cores among `usable`, or fewer where a control group limits the processor time."""
    topology = root / "sys/devices/system/cpu"
    cores = set()
    for cpu in usable:
        places = [
            _read(topology / f"cpu{cpu}/topology/{name}") for name in ("physical_package_id", "core_id")
        ]
        cores.add(tuple(places) if all(places) else cpu)
    return max(1, min([len(cores), *cpu_limits(root)]))


def cpu_limits(root: Path) -> list[int]:
    """The limits of this process's control groups, in whole processors, rounded up."""
    limits = []
    for folder in _groups(root):
        quota, _, period = _read(folder / "cpu.max").partition(" ")  # version 2
        if not quota:
            quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
            limits.append(-(-int(quota) // int(period)))
    return limits


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that limit this process, up to the root of each hierarchy."""
    base = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = base / controllers if controllers else base
        own = top / path.strip("/")
        yield from (folder for folder in (own, *own.parents) if folder == top or top in folder.parents)


def cpu_facts(root: Path) -> Mapping[str, str]:
    """The lines of /proc/cpuinfo about the first processor; empty where there is no such file."""
    facts: dict[str, str] = {}
    try:
        with open(root / "proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.strip() and facts:
                    break
                key, _, value = line.partition(":")
                facts[key.strip()] = value.strip()
    except OSError:
        pass
    return facts


def cache_bytes(root: Path, cpu: int) -> dict[str, int]:
    """The sizes of a processor's data caches, as fields of `CpuTarget`."""
    found = {}
    try:
        entries = sorted((root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"))
    except OSError:
        return {}
    for entry in entries:
        level, kind, size = (_read(entry / name) for name in ("level", "type", "size"))
        scale = _UNITS.get(size[-1:])
        if level in _CACHES and kind in ("Data", "Unified") and scale and size[:-1].isdecimal():
            found[_CACHES[level]] = int(size[:-1]) * scale
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
