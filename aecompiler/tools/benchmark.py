"""What a benchmark case is, and how one is measured: checked first, then timed beside its peer.

A file below `bench/` makes cases with the `case` decorator::

    @case(peer="torch SDPA", shapes=[(1, 8, 512, 64)], dtypes=["f32", "bf16"])
    def softmax_causal(shape, dtype):
        batch, heads, length, features = shape
        ...
        return Work(program, {"q": q, "k": k, "v": v}, peer=lambda q, k, v: ...)

Other figures than times of calls come from a `measure` of `case`: see `bench_figures.py`.
"""

from __future__ import annotations

import dataclasses
import numbers
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aecompiler.tools.bench_machine import cpu_model, share_threads, versions

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a case measures: a program, its arguments by name, and a function that computes the same.

    The peer returns what the program returns, or the first of its results. `baseline` is another program of
    ours that takes the same arguments, or the first of them: what a variant costs beside it is reported.
    Results may be off by the usual tolerance `looser` times: large scores are rounded in proportion.
    """

    program: Any
    inputs: Mapping[str, Any]
    peer: Callable[..., Any] | None = None
    baseline: Any = None
    looser: float = 1.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One piece of work at one shape, in one element type, for one target."""

    name: str
    shape: Shape
    dtype: str
    target: str
    peer: str
    make: Callable[[Shape, str], Work]
    measure: Callable[[Case, int], Record]

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
    magnitude. A case that failed has no times; one that raised has no error either. `figures` are those of a
    case that measures something else. Times are medians of `repeat` calls, and `threads` and `peer_threads`
    how many threads a call may use.
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
    figures: dict[str, float]
    error: float | None
    repeat: int
    cpu: str
    threads: int | None
    peer_threads: int | None
    versions: dict[str, str]


class WrongResultError(Exception):
    """A result is not what the reference says: nothing is timed. `error` is how far ours is off."""

    def __init__(self, message: str, error: float | None):
        super().__init__(message)
        self.error = error


def case(
    *,
    shapes: Sequence[Shape],
    peer: str = "",
    dtypes: Sequence[str] = ("f32",),
    targets: Sequence[str] = ("cpu",),
    name: str | None = None,
    measure: Callable[[Case, int], Record] | None = None,
) -> Callable[[Callable[[Shape, str], Work]], Family]:
    """Make cases of `function(shape, dtype) -> Work`, one for each shape, element type and target.

    `peer` says what ours is compared with. The name is the function's, with dashes. `measure` makes the
    record of a case; without it calls are timed.
    """

    def decorate(function: Callable[[Shape, str], Work]) -> Family:
        own = name or function.__name__.replace("_", "-")
        return Family(
            tuple(
                Case(own, tuple(shape), dtype, target, peer, function, measure or measure_calls)
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


class Subject:
    """A kernel of ours with its arguments, and what the float64 reference says of them."""

    def __init__(self, what: str, program: Any, inputs: Mapping[str, Any], target: str):
        from aecompiler.compiler import compile
        from aecompiler.tools.tolerances import default_tolerance

        self.what = what
        self.kernel = compile(program, target)
        self.inputs = {argument.name: inputs[argument.name] for argument in self.kernel.arguments}
        self.tolerance = default_tolerance(self.kernel.arguments)
        self.reference = self.kernel.evaluate_reference(**self.inputs)

    def __call__(self) -> Any:
        """A call as people write it, which allocates its results."""
        return self.kernel(**self.inputs)

    def error_of(self, outputs: Any) -> float:
        """The largest error of results, or of the first ones of them."""
        from aecompiler.accuracy import compare

        results = self.kernel.results
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        if not 1 <= len(parts) <= len(results):
            raise ValueError(f"expects 1 to {len(results)} results, got {len(parts)}")
        pairs = zip(results, parts, self.reference, strict=False)
        return max(compare(result.name, part, expected).max_rel_error for result, part, expected in pairs)

    def check(self, when: str = "") -> float:
        """The largest error of a call as it is timed, and of one into poisoned arrays, both whole.

        Raises WrongResultError for one beyond the tolerance.
        """
        outputs = self()
        error = self._checked(outputs, when)
        arrays = outputs if isinstance(outputs, tuple) else (outputs,)
        for array in arrays:
            poison(array)
        self.kernel(**self.inputs, out=arrays)
        return max(error, self._checked(arrays, when))

    def _checked(self, outputs: Any, when: str) -> float:
        error = self.error_of(outputs)
        if not error <= self.tolerance:
            message = f"{self.what} is off by {error:.2e} (tolerance {self.tolerance:.1e}){when}"
            raise WrongResultError(message, error)
        return error


def measure_calls(case: Case, repeat: int) -> Record:
    """Check and time one case. Raises WrongResultError, and what compiling and running raise.

    All sides are called alike: with all arguments, and allocating their results.
    """
    made = case.make(case.shape, case.dtype)
    peer = made.peer
    if peer is None:
        raise ValueError("expects a peer to time beside")
    ours = Subject("ours", made.program, made.inputs, case.target)
    ours.tolerance *= made.looser
    threads, peer_threads = share_threads(ours.kernel)
    error = ours.check()

    def peers() -> Any:
        return peer(**made.inputs)

    try:
        peer_error = ours.error_of(peers())
    except ValueError as mistake:
        raise WrongResultError(f"the peer: {mistake}", error) from mistake
    if not peer_error <= ours.tolerance:
        raise WrongResultError(f"the peer is off by {peer_error:.2e} (tolerance {ours.tolerance:.1e})", error)

    timed: list[Callable[[], Any]] = [ours, peers]
    if made.baseline is not None:
        baseline = Subject("the baseline", made.baseline, made.inputs, case.target)
        baseline.check()
        timed.append(baseline)
    ours_ms, peer_ms, *baseline_ms = interleaved_medians(timed, repeat)
    return record(
        case,
        repeat,
        ours_ms=ours_ms,
        peer_ms=peer_ms,
        cost=ours_ms / baseline_ms[0] if baseline_ms else None,
        error=max(error, ours.check(" after many calls")),
        threads=threads,
        peer_threads=peer_threads,
    )


def poison(array: Any) -> None:
    """Fill a numpy array or torch tensor with NaN, or -1 if it holds integers, in place."""
    is_float = array.dtype.is_floating_point if hasattr(array.dtype, "is_floating_point") else None
    if is_float is None:
        is_float = not issubclass(array.dtype.type, numbers.Integral)
    array[...] = float("nan") if is_float else -1


def record(
    case: Case,
    repeat: int,
    *,
    ours_ms: float | None = None,
    peer_ms: float | None = None,
    cost: float | None = None,
    figures: Mapping[str, float] | None = None,
    error: float | None = None,
    threads: int | None = None,
    peer_threads: int | None = None,
) -> Record:
    """The record of a case."""
    return Record(
        case=case.name,
        shape=list(case.shape),
        dtype=case.dtype,
        target=case.target,
        ours_ms=ours_ms,
        peer=case.peer,
        peer_ms=peer_ms,
        ratio=peer_ms / ours_ms if ours_ms and peer_ms is not None else None,
        cost=cost,
        figures=dict(figures or {}),
        error=error,
        repeat=repeat,
        cpu=cpu_model(),
        threads=threads,
        peer_threads=peer_threads,
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
