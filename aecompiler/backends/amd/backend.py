"""The AMD backend's compiler half: a program to kernels as code objects, and a plan of what launches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from aecompiler.backends.amd import mlir_road, triton_road
from aecompiler.backends.amd.artifact import AmdArtifact, KernelCode
from aecompiler.backends.amd.schedule import AmdSchedule, attempts, pipeline_for
from aecompiler.backends.amd.target import AmdTarget, named_target
from aecompiler.backends.base import Executable
from aecompiler.backends.code_keys import digest, versions
from aecompiler.backends.gpu.artifact import ALIGNED
from aecompiler.backends.gpu.code_cache import cached_artifact, cached_form
from aecompiler.backends.gpu.lowered import read_lowered, set_numbers
from aecompiler.backends.triton.installed import triton_version
from aecompiler.backends.triton.kernel_text import NUM_STAGES, NUM_WARPS, KernelText
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.dialect import make_context
from aecompiler.errors import BackendError, ResourceError


class AmdBackend:
    """Programs as kernels for one of AMD's chips, launched on torch's streams through the HIP runtime."""

    memory: ClassVar[Literal["host", "cuda"]] = "cuda"

    def __init__(self, target: AmdTarget):
        self.target = target

    def schedule(self, options: Mapping[str, Any]) -> AmdSchedule:
        """The schedule with these options; see `AmdSchedule`."""
        schedule = AmdSchedule.from_options(options)
        if schedule.loads == "local" and not self.target.loads_tiles_directly:
            raise BackendError(
                f"expects loads to be registers, or '' to choose, for {self.target.name}, got 'local': "
                "the chip loads no 16 bytes into local memory"
            )
        return schedule

    def pipeline(self, schedule: AmdSchedule) -> str:
        """Pipeline text that `aec-opt --allow-unregistered-dialect --pass-pipeline` replays."""
        return pipeline_for(schedule, self.target)

    def emit(self, module: Any, entry: str, schedule: AmdSchedule) -> AmdArtifact:
        """Compile `module`, which is left as it is, unless the result is in the cache; needs no GPU."""
        return cached_artifact(
            AmdArtifact,
            lambda: self._key(module, entry, schedule),
            lambda key: self._first(module, entry, schedule, key),
        )

    def _first(self, module: Any, entry: str, schedule: AmdSchedule, key: str) -> AmdArtifact:
        """The program with the first schedule that fits the chip."""
        *others, last = attempts(schedule)
        for attempt in others:
            try:
                return self._compile(module, entry, attempt, key)
            except ResourceError:
                continue
        return self._compile(module, entry, last, key)

    def _key(self, module: Any, entry: str, schedule: AmdSchedule) -> str:
        text = module.operation.get_asm(enable_debug_info=False)
        asked = (repr(schedule), self.pipeline(schedule))
        return digest((text, entry, *asked, self.target.name, triton_version(), *versions()))

    def lower(self, module: Any, schedule: AmdSchedule) -> ir.Module:
        """What the pipeline makes of `module`, which is left as it is: a host function and its kernels.

        It is in a context of its own. Each kernel says how many waves it is compiled for, and with how many
        stages.
        """
        from aecompiler.backends.triton import pipelines  # noqa: F401  (registers)
        from aecompiler.passes.infra import run_pipeline

        chosen = attempts(schedule)[0]
        source = bytecode_of(module)
        with make_context(allow_unregistered_dialects=True):
            lowered = ir.Module.parse(source)
            run_pipeline(lowered, self.pipeline(chosen))
            set_numbers(lowered, {NUM_WARPS: chosen.waves, NUM_STAGES: chosen.num_stages})
        return lowered

    def _compile(self, module: Any, entry: str, schedule: AmdSchedule, key: str) -> AmdArtifact:
        read = read_lowered(self.lower(module, schedule), entry, spans=schedule.chosen_road == "mlir")
        kernels = {
            name: {"parameters": read.parameters[name], **facts_of(kernel, schedule)}
            for name, kernel in read.kernels.items()
        }
        manifest = {
            "target": self.target.name,
            "chip": self.target.chip,
            "road": schedule.chosen_road,
            "pipeline": self.pipeline(schedule),
            "entry": entry,
            "versions": {"aecompiler": versions()[0], "triton": triton_version().partition(" ")[0]},
            "plan": read.plan,
            "kernels": kernels,
        }
        codes = {
            (name, ALIGNED): compile_text(
                read.texts[name, ALIGNED], name, self.target, schedule.chosen_road, facts, ALIGNED
            )
            for name, facts in kernels.items()
        }
        return AmdArtifact.make(manifest, read.texts, codes, cache_key=key)

    def load(self, artifact: AmdArtifact) -> Executable:
        """Make the artifact callable; a GPU is looked for at the first call."""
        from aecompiler.backends.amd.launch import HipExecutable

        return HipExecutable(artifact)

    def simulated(self) -> SimulatedAmdBackend:
        """The backend whose kernels run in the simulator, on arrays of the host."""
        return SimulatedAmdBackend(self.target)


class SimulatedAmdBackend(AmdBackend):
    """The same code, run instruction by instruction in this process; nothing is said about time."""

    memory: ClassVar[Literal["host", "cuda"]] = "host"

    def load(self, artifact: AmdArtifact) -> Executable:
        """Make the artifact callable on arrays of the host."""
        from aecompiler.backends.amd.simulation import SimulatedExecutable

        return SimulatedExecutable(artifact)


def find_backend(name: str) -> AmdBackend:
    """The backend of a target such as "amd:gfx942"."""
    return AmdBackend(named_target(name))


def facts_of(kernel: KernelText, schedule: AmdSchedule) -> dict[str, Any]:
    """What a kernel is compiled with, in words of JSON."""
    options = {**schedule.triton_options, "num_stages": kernel.num_stages}
    given = {"options": options, "loads": schedule.loads, "sizes": list(kernel.sizes)}
    return {"waves": kernel.num_warps, **given}


def compile_text(
    text: str, name: str, target: AmdTarget, road: str, facts: Mapping[str, Any], form: str
) -> KernelCode:
    """The code of a form of a kernel in Triton's dialect by a road; `facts` are those of the manifest."""
    waves, options = facts["waves"], facts["options"]
    if road == "triton":
        return triton_road.compile_kernel(text, name, target, waves=waves, options=options).code
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(text)
        return mlir_road.compile_kernels(module, target, facts, is_near=form == ALIGNED)[name]


def compile_form(artifact: AmdArtifact, kernel: str, form: str) -> KernelCode:
    """Compile a form of a kernel that an artifact does not hold, or take it from the cache."""
    manifest = artifact.manifest
    target, facts = named_target(artifact.target), manifest["kernels"][kernel]
    return cached_form(
        artifact,
        kernel,
        form,
        lambda text: compile_text(text, kernel, target, manifest["road"], facts, form),
    )
