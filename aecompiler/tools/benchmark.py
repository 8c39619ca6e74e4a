"""What a benchmark case is, and how one is measured: checked first, then timed beside its peer.

A file below `bench/` makes cases with the `case` decorator::

    @case(peer="torch SDPA", shapes=[(1, 8, 512, 64)], dtypes=["f32", "bf16"])
    def softmax_causal(shape, dtype):
        batch, heads, length, features = shape
        ...
        return Work(program, {"q": q, "k": k, "v": v}, peer=lambda q, k, v: ...)
"""

from __future__ import annotations

import dataclasses
import numbers
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aecompiler.tools.command_line import versions_of

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a case measures: a program, its arguments by name, and a function that computes the same.

    The peer returns what the program returns, or the first of its results. `baseline` is another program of
    ours that takes the same arguments, or the first of them: what a variant costs beside it is reported.
    """

    program: Any
    inputs: Mapping[str, Any]
    peer: Callable[..., Any]
    baseline: Any = None


@dataclasses.dataclass(frozen=True)
class Case:
    """One piece of work at one shape, in one element type, for one target."""

    name: str
    shape: Shape
    dtype: str
    target: str
    peer: str
    make: Callable[[Shape, str], Work]

    @property
    def key(self) -> str:
        """`name/shape/dtype/target`: what selects this case; any part from the front selects all of it."""
        return "/".join((self.name, "x".join(map(str, self.shape)), self.dtype, self.target))

    def selected_by(self, text: str) -> bool:
        """Whether `text` is the key or a whole part of it from the front."""
        return f"{self.key}/".startswith(f"{text.rstrip('/')}/")


@dataclasses.dataclass(frozen=True)
class Family:
    """The cases that one function makes; what `case` leaves in its place."""

    cases: tuple[Case, ...]


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of results. `ratio` is peer_ms / ours_ms: above 1, ours is faster. `cost` is ours_ms divided
    by the time of the baseline, where there is one.

    `error` is the largest error of our results against the float64 reference, relative to a result's largest
    magnitude. A case that failed has no times; one that raised has no error either.
    """

    case: str
    shape: list[int]
    dtype: str
    target: str
    ours_ms: float | None
    peer: str
    peer_ms: float | None
    ratio: float | None
    cost: float | None
    error: float | None
    versions: dict[str, str]


class WrongResultError(Exception):
    """A result is not what the reference says: nothing is timed. `error` is how far ours is off."""

    def __init__(self, message: str, error: float | None):
        super().__init__(message)
        self.error = error


def case(
    *,
    peer: str,
    shapes: Sequence[Shape],
    dtypes: Sequence[str] = ("f32",),
    targets: Sequence[str] = ("cpu",),
    name: str | None = None,
) -> Callable[[Callable[[Shape, str], Work]], Family]:
    """Make cases of `function(shape, dtype) -> Work`, one for each shape, element type and target.

    `peer` says what ours is compared with. The name is the function's, with dashes.
    """

    def decorate(function: Callable[[Shape, str], Work]) -> Family:
        own = name or function.__name__.replace("_", "-")
        return Family(
            tuple(
                Case(own, tuple(shape), dtype, target, peer, function)
                for shape in shapes
                for dtype in dtypes
                for target in targets
            )
        )

    return decorate


def cases_of(module: Any) -> Iterator[Case]:
    """The cases of a module, in the order they are written."""
    for value in vars(module).values():
        if isinstance(value, Family):
            yield from value.cases


def measure(work: Case, repeat: int) -> Record:
    """Check and time one case. Raises WrongResultError, and what compiling and running raise."""
    from aecompiler.accuracy import compare
    from aecompiler.compiler import compile
    from aecompiler.tools.tolerances import default_tolerance

    made = work.make(work.shape, work.dtype)
    kernel = compile(made.program, work.target)
    tolerance = default_tolerance(kernel.arguments)
    reference = kernel.evaluate_reference(**made.inputs)

    out = poisoned_results(kernel, made.inputs)

    def ours() -> Any:
        return kernel(**made.inputs, out=out)

    def peers() -> Any:
        return made.peer(**made.inputs)

    def error_of(outputs: Any) -> float:
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        if not 1 <= len(parts) <= len(kernel.results):
            raise ValueError(f"expects 1 to {len(kernel.results)} results, got {len(parts)}")
        pairs = zip(kernel.results, parts, reference, strict=False)
        return max(compare(result.name, part, expected).max_rel_error for result, part, expected in pairs)

    error = error_of(ours())
    if not error <= tolerance:
        raise WrongResultError(f"ours is off by {error:.2e} (tolerance {tolerance:.1e})", error)
    try:
        peer_error = error_of(peers())
    except ValueError as mistake:
        raise WrongResultError(f"the peer: {mistake}", error) from mistake
    if not peer_error <= tolerance:
        raise WrongResultError(f"the peer is off by {peer_error:.2e} (tolerance {tolerance:.1e})", error)

    timed = [ours, peers]
    if made.baseline is not None:
        baseline = compile(made.baseline, work.target)
        shared = {argument.name: made.inputs[argument.name] for argument in baseline.arguments}
        other_out = poisoned_results(baseline, shared)
        timed.append(lambda: baseline(**shared, out=other_out))
    ours_ms, peer_ms, *baseline_ms = interleaved_medians(timed, repeat)
    for array in out:
        poison(array)
    error = max(error, error_of(ours()))
    if not error <= tolerance:
        raise WrongResultError(f"ours is off by {error:.2e} after many calls", error)
    cost = ours_ms / baseline_ms[0] if baseline_ms else None
    return record(work, ours_ms=ours_ms, peer_ms=peer_ms, cost=cost, error=error)


def poisoned_results(kernel: Any, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Arrays for the results of a call, like those that it returns, with NaN or ones in every element."""
    results = kernel(**inputs)
    arrays = results if isinstance(results, tuple) else (results,)
    for array in arrays:
        poison(array)
    return arrays


def poison(array: Any) -> None:
    """Fill a numpy array or torch tensor with NaN, or -1 if it holds integers, in place."""
    is_float = array.dtype.is_floating_point if hasattr(array.dtype, "is_floating_point") else None
    if is_float is None:
        is_float = not issubclass(array.dtype.type, numbers.Integral)
    array[...] = float("nan") if is_float else -1


def record(
    work: Case,
    *,
    ours_ms: float | None = None,
    peer_ms: float | None = None,
    cost: float | None = None,
    error: float | None = None,
) -> Record:
    """The record of a case."""
    ratio = peer_ms / ours_ms if ours_ms and peer_ms is not None else None
    return Record(
        case=work.name,
        shape=list(work.shape),
        dtype=work.dtype,
        target=work.target,
        ours_ms=ours_ms,
        peer=work.peer,
        peer_ms=peer_ms,
        ratio=ratio,
        cost=cost,
        error=error,
        versions=versions(),
    )


PAUSE_SECONDS = 0.02
"""Between calls: OpenMP's threads spin for a while after a call of torch, on the cores of who comes next."""


def interleaved_medians(functions: Sequence[Callable[[], Any]], repeat: int, warm_up: int = 3) -> list[float]:
    """The median milliseconds of each function, called in turns so that a busy machine is busy for all."""
    for function in functions:
        for _ in range(warm_up):
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for function, found in zip(functions, times, strict=True):
            time.sleep(PAUSE_SECONDS)
            begin = time.perf_counter()
            function()
            found.append((time.perf_counter() - begin) * 1e3)
    return [statistics.median(found) for found in times]


def versions() -> dict[str, str]:
    """What the numbers were measured with."""
    packages = ("aecompiler", "torch", "torch-mlir", "mlir-python-bindings", "triton", "numpy")
    return {"python": platform.python_version(), **versions_of(packages)}
