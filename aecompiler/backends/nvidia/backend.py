"""The NVIDIA backend's compiler half: a program to kernels as cubins, and a plan of what launches them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from aecompiler.backends.base import Executable
from aecompiler.backends.code_keys import digest, versions
from aecompiler.backends.gpu.code_cache import cached_artifact, cached_form
from aecompiler.backends.gpu.lowered import read_lowered, set_numbers
from aecompiler.backends.nvidia.artifact import (
    ALIGNED,
    MAX_SCRATCH,
    PROGRAM,
    KernelCode,
    NvidiaArtifact,
)
from aecompiler.backends.nvidia.driver import card_capability
from aecompiler.backends.nvidia.program_facts import LENGTH, length_place, queries_place, read_forms
from aecompiler.backends.nvidia.recurrence_facts import read_recurrences
from aecompiler.backends.nvidia.schedule import FEW_QUERIES, NvidiaSchedule, pipeline_for
from aecompiler.backends.nvidia.schedule_choice import LENGTHS, attempts, length_class
from aecompiler.backends.nvidia.target import NvidiaTarget, named_target, target_of
from aecompiler.backends.triton.installed import triton_numbers, triton_version
from aecompiler.backends.triton.kernel_abi import parse_descriptor
from aecompiler.backends.triton.kernel_text import NUM_STAGES, NUM_WARPS
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.dialect import make_context
from aecompiler.errors import BackendError, CompileError, ResourceError

Made = TypeVar("Made")


class NvidiaBackend:
    """Programs as kernels in Triton's dialects, compiled by Triton and launched on torch's streams."""

    memory: ClassVar[Literal["cuda"]] = "cuda"

    def __init__(self, target: NvidiaTarget):
        self.target = target

    def schedule(self, options: Mapping[str, Any]) -> NvidiaSchedule:
        """The schedule with these options; see `NvidiaSchedule`."""
        return NvidiaSchedule.from_options(options)

    def pipeline(self, schedule: NvidiaSchedule) -> str:
        """Pipeline text that `aec-opt --allow-unregistered-dialect --pass-pipeline` replays."""
        return pipeline_for(schedule, self.target, triton_numbers())

    def emit(self, module: Any, entry: str, schedule: NvidiaSchedule) -> NvidiaArtifact:
        """Compile `module`, which is left as it is, unless the result is in the cache.

        A GPU is needed only where the schedule says that some are timed.
        """
        asked = dataclasses.replace(schedule, tune=0)
        if schedule.tune:
            from aecompiler.backends.nvidia.tuner import tuned

            schedule = tuned(module, entry, schedule, self.target, triton_version())

        def make(key: str) -> NvidiaArtifact:
            tried = self._attempts(module, schedule)
            lengths = self._lengths(module, entry, schedule, asked, tried)
            return _first(
                tried(schedule.length or LENGTH, schedule.queries),
                lambda attempt: self._compile(module, entry, attempt, key, lengths),
            )

        return cached_artifact(NvidiaArtifact, lambda: self._key(module, entry, schedule), make)

    def _attempts(self, module: Any, schedule: NvidiaSchedule) -> Callable[..., list[NvidiaSchedule]]:
        """The schedules that are tried for a length and a number of queries, which are looked for once."""
        return functools.cache(
            lambda length, queries=0: attempts(
                schedule,
                self.target,
                read_forms(module, length, queries),
                read_recurrences(module, length, schedule.sequences) if schedule.chunk != 1 else (),
            ),
        )

    def _lengths(
        self,
        module: Any,
        entry: str,
        schedule: NvidiaSchedule,
        asked: NvidiaSchedule,
        tried: Callable[..., list[NvidiaSchedule]],
    ) -> dict[str, Any]:
        """The classes of lengths that another schedule is chosen for than where lengths are not known.

        Empty where there are none, where the schedule names a length, or where calls don't tell their own.
        What was tuned leaves no choice of length, and is not for few queries: `asked` is what was, before.
        """
        if schedule.length or schedule.queries:
            return {}
        found: dict[str, Any] = {}
        chosen = tried(LENGTH)[0]
        if (place := length_place(module, entry)) is not None:
            others = [each for each in LENGTHS if each != length_class(LENGTH) and tried(each)[0] != chosen]
            if others:
                found |= {"argument": place[0], "dimension": place[1], "others": others}
        place = queries_place(module, entry)
        if place is not None and self._attempts(module, asked)(LENGTH, FEW_QUERIES)[0] != chosen:
            found["few"] = {"argument": place[0], "dimension": place[1], "most": FEW_QUERIES}
        return {**found, "schedule": asked.options} if found else {}

    def _key(self, module: Any, entry: str, schedule: NvidiaSchedule) -> str:
        """What the kernel is known by; the schedule that is chosen follows from it, and from the versions."""
        text = module.operation.get_asm(enable_debug_info=False)
        asked = (repr(schedule), self.pipeline(schedule))
        return digest((text, entry, *asked, self.target.name, triton_version(), *versions()))

    def lower(self, module: Any, schedule: NvidiaSchedule) -> ir.Module:
        """What the pipeline makes of `module`, which is left as it is: a host function and its kernels.

        It is in a context of its own. Each kernel says how many warps and stages it is compiled with. Of the
        schedules that are tried it is the first that takes the program, whatever its code needs; `tune` is
        left out.
        """
        tried = self._attempts(module, schedule)(schedule.length or LENGTH, schedule.queries)
        return _first(tried, lambda attempt: self._lower(module, attempt))

    def _lower(self, module: Any, schedule: NvidiaSchedule) -> ir.Module:
        from aecompiler.backends.nvidia import pipelines  # noqa: F401  (registers)
        from aecompiler.passes.infra import run_pipeline

        source = bytecode_of(module)
        chosen = schedule.resolved()
        with make_context(allow_unregistered_dialects=True):
            lowered = ir.Module.parse(source)
            run_pipeline(lowered, self.pipeline(schedule))
            set_numbers(lowered, {NUM_WARPS: chosen.num_warps, NUM_STAGES: chosen.num_stages})
        return lowered

    def _compile(
        self,
        module: Any,
        entry: str,
        schedule: NvidiaSchedule,
        key: str,
        lengths: Mapping[str, Any],
    ) -> NvidiaArtifact:
        lowered = self._lower(module, schedule)
        read = read_lowered(lowered, entry)
        kernels = {
            name: {
                "parameters": read.parameters[name],
                "num_warps": kernel.num_warps,
                "num_stages": kernel.num_stages,
                "stage": kernel.stage,
            }
            for name, kernel in read.kernels.items()
        }
        manifest = {
            "target": self.target.name,
            "pipeline": self.pipeline(schedule),
            "capability": list(self.target.capability),
            "entry": entry,
            "versions": {"aecompiler": versions()[0], "triton": triton_version().partition(" ")[0]},
            "plan": read.plan,
            "kernels": kernels,
            **({"lengths": lengths} if lengths else {}),
        }
        codes = {
            (name, ALIGNED): _compile_text(read.texts[name, ALIGNED], name, self.target, facts)
            for name, facts in kernels.items()
        }
        program = {PROGRAM: bytecode_of(module)} if lengths else {}
        return NvidiaArtifact.make(manifest, read.texts, codes, program, cache_key=key)

    def load(self, artifact: NvidiaArtifact) -> Executable:
        """Make the artifact callable; a GPU is looked for at the first call."""
        from aecompiler.backends.nvidia.launch import CudaExecutable

        return CudaExecutable(artifact)


def _first(tried: Sequence[NvidiaSchedule], make: Callable[[NvidiaSchedule], Made]) -> Made:
    """What `make` makes of the first schedule that takes the program and fits the target."""
    *others, last = tried
    for attempt in others:
        try:
            return make(attempt)
        except ResourceError:
            continue
        except CompileError:
            if not attempt.takes_some:
                raise
    return make(last)


def find_backend(name: str) -> NvidiaBackend:
    """The backend "cuda", for the card of this machine, or that of a target such as "nvidia:sm_90"."""
    return NvidiaBackend(target_of(card_capability()) if name == "cuda" else named_target(name))


def compile_form(artifact: NvidiaArtifact, kernel: str, form: str) -> KernelCode:
    """Compile a form of a kernel that an artifact does not hold, or take it from the cache."""
    target, facts = named_target(artifact.target), artifact.manifest["kernels"][kernel]
    return cached_form(artifact, kernel, form, lambda text: _compile_text(text, kernel, target, facts))


def compile_class(artifact: NvidiaArtifact, named: Mapping[str, int]) -> NvidiaArtifact:
    """Compile the program of an artifact for calls of another class, or take that from the cache."""
    options = {**artifact.manifest["lengths"]["schedule"], **named}
    with make_context():
        module = ir.Module.parse(artifact.files[PROGRAM])
    backend = NvidiaBackend(named_target(artifact.target))
    return backend.emit(module, artifact.entry, backend.schedule(options))


def _compile_text(text: str, name: str, target: NvidiaTarget, facts: Mapping[str, Any]) -> KernelCode:
    from aecompiler.backends.triton.compiler import compile_kernel

    warps, stages, stage = facts["num_warps"], facts["num_stages"], facts["stage"]
    made = compile_kernel(text, name, target, num_warps=warps, num_stages=stages, stage=stage)
    described = [each for each in map(parse_descriptor, facts["parameters"]) if each is not None]
    copies = tuple((each.copied_box, each.swizzle_bytes) for each in described)
    if made.copies != copies:
        raise BackendError(
            f"expects Triton to copy boxes and swizzles {copies} in kernel '{name}', got {made.copies}"
        )
    if made.scratch > MAX_SCRATCH:
        raise BackendError(f"Triton gave kernel '{name}' {made.scratch} parameters more than are known")
    return KernelCode(
        symbol=made.name,
        binary=made.cubin,
        ptx=made.ptx,
        threads=made.threads,
        shared=made.shared,
        scratch=made.scratch,
        registers=made.registers,
        spills=made.spills,
    )
