"""The forms of a program: direct, streaming, in tiles as they stand, and the CPU's default road."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tiled_backend  # noqa: F401  (registers the target `tiled`)
import vectorization  # noqa: F401  (registers the target `watched`)
from hypothesis import strategies as st
from random_inputs import numpy_type
from random_programs import Draw, RandomProgram
from random_tiles import tile_options
from streaming_forms import derived, module_of

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.errors import CompileError
from aecompiler.reference import evaluate
from aecompiler.reference.streaming import Split, splitting

MAX_PASSES = 16
"""As many as the CPU's default road allows."""


@dataclass(frozen=True)
class Case:
    """A program, and how it is cut into tiles."""

    program: RandomProgram
    tile: str

    @property
    def source(self) -> str:
        """The program as a person would write it."""
        return self.program.source

    def __repr__(self) -> str:
        return f"{self.program!r}# tile {self.tile}\n"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def one_in(self, count: int) -> bool:
        """True for about one of `count` cases, and always the same ones."""
        return zlib.crc32(self.source.encode()) % count == 0


@st.composite
def cases(draw: Draw, programs: st.SearchStrategy) -> Case:
    """Cases of `programs`."""
    return Case(draw(programs), draw(tile_options()))


def random_split(rng: np.random.Generator, keys: Sequence[int], depth: int = 2) -> Split:
    """Keys cut into tiles, and into parts that are merged; some of them are empty."""
    if depth and rng.random() < 0.5:
        cut = rng.integers(0, len(keys) + 1)
        return random_split(rng, keys[:cut], depth - 1), random_split(rng, keys[cut:], depth - 1)
    cuts = [0, *sorted(rng.integers(0, len(keys) + 1, rng.integers(0, 4))), len(keys)]
    return [list(keys[a:b]) for a, b in itertools.pairwise(cuts)]


@dataclass(frozen=True)
class Results:
    """The results of a form in one call; `dtypes` says how precise they are."""

    form: str
    dtypes: list[str]
    want: list[np.ndarray]
    got: list[np.ndarray]


class Forms:
    """A case in its forms, without streaming and tiles if these need more passes than `MAX_PASSES`.

    It is compiled on the default road if asked for.
    """

    def __init__(self, case: Case, *, default: bool):
        self.program = case.program
        traced = self.program.trace()
        self.module = module_of(traced)
        self.streaming = _streaming(traced)
        self.kernels = {"direct": aec.compile(traced, direct=True, opt_level=0)}
        if self.streaming is not None:
            self.kernels["tiles"] = aec.compile(traced, target="tiled", tile=case.tile)
        if default:
            self.kernels["default"] = aec.compile(traced, target="watched", **self.program.options)

    @property
    def is_vectorized(self) -> bool | None:
        """Whether the default road vectorized all tile programs; None where it has none, or has options."""
        kernel = None if self.program.options else self.kernels.get("default")
        if kernel is None:
            return None
        tiles = kernel.artifact.metadata["tiles"]
        return tiles.left == 0 if tiles.before else None

    @property
    def names(self) -> list[str]:
        """The forms."""
        return [*self.kernels, *(["streaming"] if self.streaming is not None else [])]

    def results(self) -> Iterator[Results]:
        """What each form gives in each call, and what the reference gives for the program as it is."""
        for call in self.program.calls:
            inputs = self.program.inputs(call)
            copies = [np.array(x) for x in inputs]
            want = list(evaluate(self.module.body.operations[0], inputs))
            if self.streaming is not None:
                got = _evaluate_cut(self.streaming, inputs, call["seed"])
                exact = "f64" if self.program.element == "f64" else "f32"  # that of its constants
                yield Results("streaming", [exact] * len(got), want, got)
            for form, kernel in self.kernels.items():
                dtypes = [result.dtype for result in kernel.results]
                got = [np.full(w.shape, 7e3, numpy_type(d)) for w, d in zip(want, dtypes, strict=True)]
                kernel(*inputs, out=tuple(got))
                yield Results(form, dtypes, want, got)
            for x, copy in zip(inputs, copies, strict=True):
                assert np.asarray(x).tobytes() == copy.tobytes(), "an input was written to"


def _streaming(traced: Any) -> ir.Module | None:
    """The streaming form, with its laws proved again, or None where there is none of so few passes."""
    try:
        return derived(traced, f"max-passes={MAX_PASSES}")
    except CompileError as error:
        if "expects a normaliser of at most" not in str(error):
            raise
        return None


def _evaluate_cut(module: ir.Module, inputs: Sequence[Any], seed: int) -> list[np.ndarray]:
    """The results of a streaming form whose keys are visited in random order, in random tiles and parts."""
    rng = np.random.default_rng(seed)
    with splitting(lambda keys: random_split(rng, rng.permutation(keys))):
        return list(evaluate(module.body.operations[0], inputs))
