"""What a backend is: a target, a schedule, a pipeline as text, and an artifact; and the registry of backends.

A backend module defines `BACKEND`, an object with the methods of `Backend`, or, where a name stands for
several targets, a function `find_backend(name)`. It is imported when it is first asked for. `aec.compile`
goes through nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from aecompiler.errors import BackendError, UnsupportedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What a chip has. Backends add fields; nothing else in the compiler knows numbers of a machine."""

    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """What the passes may choose for a target. The fields a backend adds are the options of `compile`."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """A schedule from keyword options; `TypeError` for one that does not exist or has a wrong type."""
        types = typing.get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls)]
        for name, value in options.items():
            if name not in known:
                raise TypeError(f"unknown option '{name}' (options: {', '.join(known)})")
            if type(value) is not types[name]:
                want, got = types[name].__name__, type(value).__name__
                raise TypeError(f"expects {name} to be of type {want}, got {value!r} of type {got}")
        return cls(**options)


def check_range(name: str, value: int, least: int, most: int, otherwise: str = "to choose") -> None:
    """Raise `ValueError` unless an option is 0, which says `otherwise`, or `least` to `most`."""
    if value and not least <= value <= most:
        raise ValueError(f"expects {name} to be {least} to {most}, or 0 {otherwise}, got {value}")


def check_one_of(name: str, value: int | str, known: Sequence[int | str]) -> None:
    """Raise `ValueError` unless an option is one of those that are known, or 0 or "", to choose."""
    if value and value not in known:
        unset = "0" if isinstance(value, int) else "''"
        got = value if isinstance(value, int) else f"'{value}'"
        words = ", ".join(map(str, known))
        raise ValueError(f"expects {name} to be one of {words}, or {unset} to choose, got {got}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a backend emits for one function: it is loaded by the backend's launcher, on the target.

    `binary` is what the launcher takes, `metadata` how to call it. `render` prints the code as text.
    """

    target: str
    entry: str
    binary: bytes
    metadata: Mapping[str, Any]
    render: Callable[[], str] = dataclasses.field(compare=False, repr=False)

    @property
    def text(self) -> str:
        """The code as text, for reading and for tests."""
        return self.render()

    def save(self, path: str | os.PathLike[str], sizes: Mapping[str, Any] | None = None) -> None:
        """Write all that another machine needs to run the code; `sizes` are rules that calls must keep."""
        raise UnsupportedError(f"unsupported: saving code for {self.target}")


@dataclasses.dataclass(frozen=True, slots=True)
class Buffer:
    """An array in the target's memory: the address of its first element, sizes, and strides in elements."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar argument: its bytes in the target's order, at most 8."""

    data: bytes


class Executable(Protocol):
    """A loaded artifact. Calls may overlap in several threads."""

    def __call__(self, arguments: Sequence[Any], results: Sequence[Any]) -> Any:
        """Run on arguments in the function's order, and write the results.

        In the memory "host" arguments are each a `Buffer` or a `Scalar`, and results contiguous `Buffer`s; in
        the memory "cuda" they are torch's tensors, of any strides, and numbers.
        """


class RecordedCall(Protocol):
    """What a call does that was recorded, to be done again on other tensors of the same kinds."""

    def prepare(self, addresses: tuple[int, ...]) -> Any:
        """All of a call but its launches, for tensors with these addresses: what `launch` takes, with
        `results`, or None where the call must be looked at anew."""

    def launch(self, prepared: Any) -> None:
        """Launch what was prepared."""


class RecordingExecutable(Executable, Protocol):
    """An executable in the memory "cuda", whose calls can be repeated."""

    def require_device(self) -> None:
        """Raise `BackendError` where there is no device to run on."""

    def record(self, arguments: Sequence[Any], results: Sequence[Any]) -> RecordedCall | None:
        """What a call like this does, which was made before; None where it can't be recorded.

        `results` are tensors to write to, or nothing for new ones.
        """


@runtime_checkable
class Backend(Protocol):
    """Compiles functions whose signature is ranked tensors and scalars for one kind of target."""

    target: Target
    memory: ClassVar[Literal["host", "cuda"]]
    """Where arrays are that kernels take: arrays of numpy or torch on the host, or torch's on a GPU."""

    def schedule(self, options: Mapping[str, Any]) -> Schedule:
        """The schedule that `options` ask for; `TypeError` or `ValueError` for a bad option."""

    def pipeline(self, schedule: Schedule) -> str:
        """Pipeline text that `aec-opt` can replay."""

    def emit(self, module: Any, entry: str, schedule: Schedule) -> Artifact:
        """Compile `module` (changed in place) and return the code of its function `entry`; launch nothing."""

    def load(self, artifact: Artifact) -> Executable:
        """Make an artifact callable on this machine."""


_MODULES: dict[str, str] = {
    "amd:*": "aecompiler.backends.amd.backend",
    "cpu": "aecompiler.backends.cpu",
    "cuda": "aecompiler.backends.nvidia.backend",
    "nvidia:*": "aecompiler.backends.nvidia.backend",
}
_LOADED: dict[str, Backend] = {}
_FAILED: dict[str, ImportError] = {}


def register_backend(name: str, module: str) -> None:
    """Announce a backend: `module` is imported when `name` is first asked for, and has `BACKEND`.

    A name such as "nvidia:*" stands for all that begin with "nvidia:"; the module then has `find_backend`.
    """
    _MODULES[name] = module
    _LOADED.pop(name, None)
    _FAILED.pop(name, None)


def backend_names() -> list[str]:
    """The names that `get_backend` knows, whether their modules can be imported here or not."""
    return sorted(_MODULES)


def get_backend(name: str) -> Backend:
    """The backend `name`; `BackendError` when it is unknown or its dependencies are missing here."""
    if not isinstance(name, str):
        raise TypeError(f"expects the name of a target, got {name!r} of type {type(name).__name__}")
    family, separator, _ = name.partition(":")
    known = name if name in _MODULES else f"{family}:*"
    if known not in _MODULES or (not separator and known != name):
        raise BackendError(f"unknown target '{name}' (targets: {', '.join(backend_names())})")
    if name in _LOADED:
        return _LOADED[name]
    if known not in _FAILED:
        try:
            module = importlib.import_module(_MODULES[known])
        except ImportError as error:
            _FAILED[known] = error
    if known in _FAILED:
        raise BackendError(f"target '{name}' is not available here: {_FAILED[known]}") from _FAILED[known]
    find = getattr(module, "find_backend", None)
    _LOADED[name] = find(name) if find is not None else module.BACKEND
    return _LOADED[name]


def simulated(backend: Backend) -> Backend:
    """The backend that makes the same code and runs it in a simulator of its target, on the host's memory.

    `BackendError` for a target without a simulator.
    """
    make = getattr(backend, "simulated", None)
    if make is None:
        raise BackendError(f"target '{backend.target.name}' has no simulator")
    return make()
