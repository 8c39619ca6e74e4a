"""Cases of attention for AMD's chips, ours and Triton's kernels in the simulator, and what is counted."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import amd_peer
import ml_dtypes
import numpy as np

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.backends.amd.instruction_mix import MATRIX, SPECIAL, mix_of
from aecompiler.backends.amd.occupancy import occupancy
from aecompiler.backends.amd.resources import Resources, resources_of
from aecompiler.backends.amd.simulator import Counts, Program, SimulationError, simulate
from aecompiler.backends.amd.target import AmdTarget, target_of
from aecompiler.errors import AecError, BackendError
from aecompiler.tools.benchmark import WrongResultError

CHIPS = ("gfx90a", "gfx942", "gfx950")
TYPES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16), "f32": np.dtype(np.float32)}
TOLERANCES = {"f16": 2e-3, "bf16": 1.6e-2}
"""Of results, relative to the largest magnitude: weights and results are rounded to the type of inputs."""

OURS, TRITON, CHECKED, ANY_TILE = "ours", "Triton", "Triton, checked", "Triton, any tile"
TILES = ((128, 64), (64, 32), (64, 64), (64, 128), (128, 32), (128, 128))
"""Of `any_tile`: queries and keys."""

SEARCHED = (
    {"matrix_rows": (16, 32), "num_stages": (1, 2)},
    {"waves": (8,)},
    {"waves_per_simd": (1, 2)},
)
"""Options of ours that are tried beside the default, those of a line together, around the best so far."""

LONGER = 4
"""How many times as many keys a second run has, whose difference says what one tile costs."""

SLOT = 4
"""The clocks of an issue slot: a SIMD issues an instruction of a wave every four."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Attention of some queries over some keys, and the tile that both sides have.

    `heads`: of queries, of k and v. `any_tile`: Triton's kernel is tried with other tiles as well.
    """

    name: str
    queries: int = 64
    keys: int = 128
    d: int = 64
    dtype: str = "f16"
    out: str = ""
    causal: bool = False
    heads: tuple[int, int] = (1, 1)
    tile: tuple[int, int] = (64, 64)
    any_tile: bool = False

    @property
    def scale(self) -> float:
        """What scores are multiplied with."""
        return self.d**-0.5

    @property
    def tiles(self) -> float:
        """The scores in tiles of 64 x 64; with a causal mask, the tiles in which it keeps some."""
        of_head = self.queries * self.keys / 64**2
        if self.causal:
            side = self.queries // 64
            of_head = side * (side + 1) / 2
        return self.heads[0] * of_head

    def longer(self) -> Case:
        """The same with more keys."""
        return dataclasses.replace(self, keys=LONGER * self.keys)


CASES = (
    Case("prototype", out="f32"),
    Case("d64"),
    Case("d64-bf16", dtype="bf16"),
    Case("d128", d=128),
    Case("d128-bf16", d=128, dtype="bf16"),
    Case("d64-causal", queries=256, keys=256, causal=True),
    Case("d128-causal", queries=256, keys=256, d=128, causal=True),
    Case("d64-gqa4", heads=(4, 1)),
    Case("d64-128x64", queries=128, tile=(128, 64), any_tile=True),
    Case("d128-128x64", queries=128, d=128, tile=(128, 64), any_tile=True),
)


def inputs_of(case: Case) -> dict[str, np.ndarray]:
    """Random q, k and v of one batch."""
    draw = np.random.default_rng(0)
    shapes = {"q": (case.heads[0], case.queries), **dict.fromkeys("kv", (case.heads[1], case.keys))}
    return {
        name: draw.standard_normal((1, *shape, case.d)).astype(TYPES[case.dtype])
        for name, shape in shapes.items()
    }


def expected(case: Case, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The formula in float64."""
    q, k, v = (inputs[name].astype(np.float64) for name in "qkv")
    k, v = (each.repeat(case.heads[0] // case.heads[1], axis=1) for each in (k, v))
    scores = q @ k.swapaxes(-1, -2) * case.scale
    if case.causal:
        scores[..., np.arange(case.keys) > np.arange(case.queries)[:, None]] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def checked_error(case: Case, got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error beside the largest magnitude; `WrongResultError` above the tolerance."""
    error = float(np.abs(got.astype(np.float64) - wanted).max() / np.abs(wanted).max())
    if not error <= TOLERANCES[case.dtype]:
        raise WrongResultError(f"off by {error:.2e} (tolerance {TOLERANCES[case.dtype]:.1e})", error)
    return error


# ---- runs ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Run:
    """A kernel, run: its assembly and needs, what was counted, and the largest error."""

    assembly: str
    resources: Resources
    lds_bytes: int
    threads: int
    counts: Counts
    error: float


def program_of(case: Case) -> Any:
    """Our program, with dynamic batch and lengths."""
    q = aec.tensor("B", case.heads[0], "Sq", case.d, dtype=case.dtype)
    kv = aec.tensor("B", case.heads[1], "Skv", case.d, dtype=case.dtype)
    mask = {"mask": masks.causal()} if case.causal else {}
    given = {"out_dtype": case.out} if case.out else {}

    @aec.program(q=q, k=kv, v=kv)
    def attention(q, k, v):
        return aec.attention(
            q, k, v, score=lambda s: s * case.scale, normalize=normalizers.softmax(), **mask, **given
        )

    return attention


def run_ours(case: Case, chip: str, options: dict[str, Any]) -> Callable[[Case], Run]:
    """A function that runs our kernel on a case, for any number of keys."""
    chosen = {"block_q": case.tile[0], "block_kv": case.tile[1], **options}
    kernel = aec.compile(program_of(case), target=f"amd:{chip}", simulate=True, **chosen)
    (name,) = kernel.artifact.manifest["kernels"]
    code = kernel.artifact.code(name, "aligned")

    def run(case: Case) -> Run:
        inputs = inputs_of(case)
        error = checked_error(case, np.asarray(kernel(**inputs)), expected(case, inputs))
        (launch,) = kernel.launches
        return Run(code.assembly, code.resources, code.lds_bytes, code.threads, launch.counts, error)

    return run


def run_triton(case: Case, chip: str, options: amd_peer.Options, is_checked: bool) -> Callable[[Case], Run]:
    """The same of Triton's kernel; `is_checked`: for any lengths."""
    out = case.out or case.dtype
    kernel = amd_peer.compiled(chip, case.dtype, out, case.d, case.causal, is_checked, options)
    assembly, shared = kernel.asm["amdgcn"], kernel.metadata.shared
    program, threads = Program.parse(assembly, "attention", chip), 64 * options.num_warps

    def run(case: Case) -> Run:
        inputs = inputs_of(case)
        o = np.full(inputs["q"].shape, np.nan, TYPES[out])
        sizes = (*case.heads, case.queries, case.keys, case.scale)
        grid = (-(-case.queries // options.block_q), case.heads[0])
        counts = simulate(program, [*inputs.values(), o, *sizes, None, None], grid, threads, shared)
        error = checked_error(case, o, expected(case, inputs))
        return Run(assembly, resources_of(assembly, "attention"), shared, threads, counts, error)

    return run


# ---- what is counted ----------------------------------------------------------------------------------


def figures(case: Case, chip: str, run: Callable[[Case], Run]) -> dict[str, Any]:
    """What a kernel needs and executes, in words of JSON; see docs/backends/amd.md for the definitions."""
    target, short = target_of(chip), run(case)
    is_regular = not case.causal  # with a causal mask more keys are more queries
    far = run(case.longer()) if is_regular else short
    waves = short.threads // target.wave_size
    needs = short.resources
    resident = occupancy(
        target, waves=waves, registers=needs.allocated_registers, sgprs=needs.sgprs, lds_bytes=short.lds_bytes
    )
    found = {
        "error": max(short.error, far.error),
        "instructions": short.counts.instructions,
        "classes": {name: count for name, count in short.counts.classes.items() if count},
        "waves": waves,
        "tile_instructions": None,
        "loop": loop_figures(far, target),
        "vgprs": needs.vgprs,
        "agprs": needs.agprs,
        "sgprs": needs.sgprs,
        "lds_bytes": short.lds_bytes,
        "scratch_bytes": needs.scratch_bytes,
        "vgpr_spills": needs.vgpr_spills,
        "sgpr_spills": needs.sgpr_spills,
        "waves_per_simd": resident.waves,
        "limited_by": resident.limited_by,
    }
    if is_regular:
        more = case.longer().tiles - case.tiles
        found["tile_instructions"] = (far.counts.instructions - short.counts.instructions) / more
    return found


def loop_figures(run: Run, target: AmdTarget) -> dict[str, Any] | None:
    """The loop that executes the most matrix instructions, for a trip of a wave; None where there is none."""
    loop = max(run.counts.loops, key=lambda loop: loop.classes["mfma"], default=None)
    record = run.counts.record
    if loop is None or not loop.trips or record is None:
        return None
    inside = [each for each in record.body.instructions if loop.lines[0] <= each.line <= loop.lines[1]]
    mix = mix_of(inside, target)
    matrix = mix.matrix_cycles / SLOT
    special = target.wave_size * target.simds // target.special_functions / SLOT
    slots = matrix + mix.kinds[SPECIAL] * special
    slots += mix.instructions - mix.kinds[MATRIX] - mix.kinds[SPECIAL]
    return {
        "lines": loop.lines,
        "trips": loop.trips,
        "instructions": loop.instructions / loop.trips,
        "classes": {name: round(count, 2) for name, count in loop.per_trip().items() if count},
        "matrix_slots": matrix,
        "slots": slots,
        "matrix_share": matrix / slots,
        "matrix_instructions": mix.matrix_share,
        "read_conflicts": loop.read_conflict_cycles / loop.trips,
        "write_conflicts": loop.write_conflict_cycles / loop.trips,
    }


def measure(job: tuple[Case, str, bool]) -> list[dict[str, Any]]:
    """The lines of results of a case on a chip: ours, then Triton's with the best options that were found.

    The last of a job says whether it is quick: our kernel only, and no other options of it.
    """
    case, chip, is_quick = job
    lines = [_line(case, chip, OURS, lambda: _ours(case, chip, [] if is_quick else SEARCHED))]
    if is_quick:
        return lines
    found = _line(case, chip, TRITON, lambda: _triton(case, chip, [case.tile]))
    lines.append(found)
    if not found["failed"]:
        best = amd_peer.Options(**found["options"])
        others = [dataclasses.replace(best, num_stages=stages) for stages in (1, 2)]
        lines.append(_line(case, chip, CHECKED, lambda: _checked(case, chip, [best, *others])))
    if case.any_tile:
        lines.append(_line(case, chip, ANY_TILE, lambda: _triton(case, chip, TILES)))
    return lines


def _line(case: Case, chip: str, who: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    found = {"case": case.name, "chip": chip, "who": who, "failed": None}
    try:
        return {**found, **work()}
    except (AecError, SimulationError, WrongResultError) as error:
        return {**found, "failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}


def _ours(case: Case, chip: str, searched: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """Our kernel as it is by default for the tile; "searched" is the fewest instructions of other options."""
    default = figures(case, chip, run_ours(case, chip, {}))
    tried: dict[tuple[tuple[str, int], ...], int] = {(): default["instructions"]}
    for lists in searched:
        best = dict(min(tried, key=tried.__getitem__))
        for values in itertools.product(*lists.values()):
            options = {**best, **dict(zip(lists, values, strict=True))}
            try:
                count = run_ours(case, chip, options)(case).counts.instructions
            except (AecError, SimulationError, WrongResultError):
                continue
            tried[tuple(options.items())] = count
    best = min(tried, key=tried.__getitem__)
    found = {"options": dict(best), "instructions": tried[best], "tried": len(tried)}
    tile = {"block_q": case.tile[0], "block_kv": case.tile[1]}
    return {**default, "options": tile, "searched": found}


def _triton(case: Case, chip: str, tiles: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The options with the fewest instructions, one or two of them changed at a time."""
    best = amd_peer.Options(*tiles[0], kpack=1 if chip == "gfx950" else 2)
    counted: dict[amd_peer.Options, int | None] = {}
    search = amd_peer.neighbours(best, chip, tiles=tiles[1:])
    tried = next(search)
    while True:
        for options in tried:
            if options not in counted:
                counted[options] = _count(case, chip, options, is_checked=False)
        best = _least(counted)
        try:
            tried = search.send(best)
        except StopIteration:
            return _figures_of_triton(case, chip, best, len(counted), is_checked=False)


def _checked(case: Case, chip: str, tried: Sequence[amd_peer.Options]) -> dict[str, Any]:
    """The kernel for any lengths, with those of the options that make the fewest instructions."""
    counted = {options: _count(case, chip, options, is_checked=True) for options in tried}
    best = _least(counted)
    return _figures_of_triton(case, chip, best, len(counted), is_checked=True)


def _least(counted: Mapping[amd_peer.Options, int | None]) -> amd_peer.Options:
    known = {options: count for options, count in counted.items() if count is not None}
    if not known:
        raise BackendError("Triton compiles the kernel with none of the options")
    return min(known, key=known.__getitem__)


def _count(case: Case, chip: str, options: amd_peer.Options, *, is_checked: bool) -> int | None:
    """All instructions; None for options with which the kernel needs more than a chip has."""
    try:
        return run_triton(case, chip, options, is_checked)(case).counts.instructions
    except (RuntimeError, SimulationError, ValueError):
        return None


def _figures_of_triton(
    case: Case, chip: str, options: amd_peer.Options, tried: int, *, is_checked: bool
) -> dict[str, Any]:
    found = figures(case, chip, run_triton(case, chip, options, is_checked))
    return {**found, "options": dataclasses.asdict(options), "tried": tried}
