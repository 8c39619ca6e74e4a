"""The road "mlir" to AMD's chips: programs in the simulator against the float64 reference."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
from amd_road import CHIPS, SMALL, attention, check, check_predictions, compiled, draw, operands
from drawn_programs import each_different
from example_files import FOLDER, load
from random_programs import attention_programs
from random_tiles import tile_programs
from test_random_programs import ACCUMULATED, LOST, WEIGHTS, Campaign

import aecompiler as aec
from aecompiler.errors import ResourceError
from aecompiler.tools.tolerances import default_tolerance

pytest.importorskip("triton")

NAMES = sorted(path.stem for path in (FOLDER / "mlir").glob("*.mlir"))
RECURRENCES = [name for name in NAMES if "aec.recurrence(" in (FOLDER / f"{name}.py").read_text()]

SIZES = {"B": 2, "S": 37, "Sq": 5, "Skv": 37, "T": 37, "Blocks": 5, "Bounds": 5}
ODD = (
    {"B": 1, "S": 1, "Sq": 1, "Skv": 1, "T": 1, "Blocks": 1, "Bounds": 2},
    {"B": 1, "S": 65, "Sq": 33, "Skv": 65, "T": 65, "Blocks": 5, "Bounds": 3},
    {"B": 2, "S": 0, "Sq": 0, "Skv": 0, "T": 0, "Blocks": 0, "Bounds": 1},
)

demo = load("demo")


def check_example(name: str, chip: str, dtype: str = "f16", sizes=(SIZES,), **options) -> None:
    module = load(name)
    kernel = compiled(module.build(dtype=dtype), chip, **options)
    check_predictions(kernel)
    for each in sizes:
        values = demo.draw(kernel, getattr(module, "inputs", {}), each)
        report = aec.check(kernel, **values)
        allowed = default_tolerance(kernel.arguments)
        assert report.max_rel_error <= allowed, f"{each}: {report}"


# ---- examples ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", NAMES)
def test_example_agrees_with_the_reference(name, chip):
    """As it is compiled where nothing is asked for."""
    check_example(name, chip)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32"])
@pytest.mark.parametrize("name", NAMES)
def test_example_of_all_types_agrees_with_the_reference(name, dtype, chip):
    check_example(name, chip, dtype, (SIZES, *ODD))


@pytest.mark.parametrize(
    ("name", "dtype", "chip"),
    [
        *(("softmax", dtype, chip) for dtype, chip in (("bf16", "gfx90a"), ("f32", "gfx950"))),
        *(("sinks", dtype, chip) for dtype, chip in (("bf16", "gfx950"), ("f32", "gfx942"))),
        *(("mamba2", dtype, chip) for dtype, chip in (("bf16", "gfx942"), ("f32", "gfx90a"))),
        ("document", "bf16", "gfx942"),
        ("delta_rule", "f32", "gfx942"),
    ],
)
def test_example_of_another_type_agrees_with_the_reference(name, dtype, chip):
    check_example(name, chip, dtype, block_q=32, block_kv=32, waves=2)


@pytest.mark.parametrize("name", ["softmax", "sliding_window", "grouped_query", "relative_bias"])
def test_example_of_odd_sizes_agrees_with_the_reference(name):
    check_example(name, "gfx942", sizes=ODD, block_q=32, block_kv=16, waves=2)


@pytest.mark.parametrize("chunk", [1, 16, 32, 64])
@pytest.mark.parametrize("name", ["retnet", "gated_retention_packed"])
def test_chunks_of_recurrences_agree_with_the_reference(name, chunk):
    check_example(name, CHIPS[chunk % 3], sizes=ODD, chunk=chunk)


@pytest.mark.parametrize("name", ["delta_rule", "gla", "kda"])
def test_recurrences_position_by_position_agree_with_the_reference(name):
    check_example(name, "gfx942", sizes=({**SIZES, "T": 7},), chunk=1)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 16, 32, 64])
@pytest.mark.parametrize("name", RECURRENCES)
def test_chunks_of_all_recurrences_agree_with_the_reference(name, chunk):
    check_example(name, "gfx950", "bf16", (SIZES, *ODD), chunk=chunk)


# ---- schedules ---------------------------------------------------------------------------------------

CAUSAL = {"mask": aec.masks.causal(align="end"), "normalize": aec.normalizers.softmax(lse=True)}


@functools.cache
def causal(dtype: str = "f16", **features: int) -> aec.Program:
    return attention(dtype=dtype, **features, **CAUSAL)


@pytest.mark.parametrize(
    "options",
    [
        *({"waves": waves, "block_q": 32, "block_kv": 32} for waves in (1, 2, 4, 8)),
        {"waves": 8, "block_q": 16, "block_kv": 64},
        {"waves": 2, "block_q": 64, "block_kv": 64, "matrix_rows": 32},
        {"waves": 4, "block_q": 32, "block_kv": 32, "matrix_rows": 32, "num_stages": 1},
        {"waves": 1, "block_q": 16, "block_kv": 128, "num_stages": 1},
        {"waves": 4, "block_q": 128, "block_kv": 16, "waves_per_simd": 2},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_schedule_agrees_with_the_reference(options):
    kernel = compiled(causal(), CHIPS[options["block_q"] // 16 % 3], **options)
    check(kernel, operands(kernel, 1, 65, 97))


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_prefetched_tiles_are_those_of_the_next_turn(chip, dtype):
    for stages in (1, 2):
        kernel = compiled(causal(dtype), chip, **SMALL, num_stages=stages)
        check(kernel, operands(kernel, 1, 33, 65))


@pytest.mark.parametrize(
    "options", [{"pack": "heads"}, {"split": "keys"}, {"pack": "heads", "split": "keys"}]
)
def test_decoding_agrees_with_the_reference(options):
    """Several queries of grouped heads in one tile, and keys in parts that a second kernel merges."""
    kernel = compiled(causal(heads=6, kv_heads=2), "gfx942", **{**SMALL, **options})
    for sq, skv in ((1, 97), (3, 40), (1, 1), (1, 0)):
        check(kernel, operands(kernel, 2, sq, skv))
    if "split" in options:
        check(kernel, operands(kernel, 1, 1, 97))
        assert len(kernel.artifact.manifest["kernels"]) > 1


@pytest.mark.parametrize("road", ["mlir", "triton"])
def test_tiles_that_registers_can_not_hold_are_refused_at_once(road):
    messages = {
        "mlir": "at most 512 vector registers of a lane in 4 waves, got",
        "triton": "at most 512 registers of a thread for one product, got",
    }
    for block in (512, 1024):
        with pytest.raises(ResourceError, match=messages[road]):
            compiled(attention(), "gfx942", block_q=block, block_kv=512, waves=4, road=road)
    with pytest.raises(ResourceError, match="at most 128 vector registers of a lane in 16 waves, got 1024"):
        compiled(attention(), "gfx942", block_q=256, block_kv=4096, waves=16)


# ---- sizes and layouts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dqk", "dv", "dtype"),
    [
        *((64, 64, "bf16"), (128, 128, "f16"), (192, 128, "f16"), (256, 256, "bf16")),
        *((80, 24, "f16"), (1, 3, "f16"), (24, 1, "f32")),
    ],
)
def test_features_of_any_number(dqk, dv, dtype):
    kernel = compiled(causal(dtype, dqk=dqk, dv=dv), CHIPS[dv % 3], block_q=32, block_kv=32, waves=2)
    check(kernel, operands(kernel, 1, 33, 45))


def test_sizes_of_calls():
    kernel = compiled(causal(), "gfx950", **SMALL)
    for batch, sq, skv in ((1, 1, 1), (3, 37, 65), (2, 65, 37), (0, 5, 5), (1, 0, 7), (1, 7, 0), (1, 16, 32)):
        check(kernel, operands(kernel, batch, sq, skv))


def test_views_of_any_layout():
    kernel = compiled(causal(), "gfx942", **SMALL)
    q, k, v = operands(kernel, 2, 37, 45)
    want = check(kernel, [q, k, v])

    def between(x: np.ndarray, features: int, start: int) -> np.ndarray:
        """Among other rows and features, so that no row is aligned."""
        wide = np.full((*x.shape[:2], x.shape[2] + 3, features), np.nan, x.dtype)
        view = wide[:, :, 1 : 1 + x.shape[2], start : start + x.shape[3]]
        view[:] = x
        return view

    def swapped(x: np.ndarray, *order: int) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))

    views = {
        "unaligned": [between(q, 21, 3), between(k, 19, 1), between(v, 17, 0)],
        "aligned": [between(q, 32, 8), between(k, 48, 16), between(v, 40, 24)],
        "bshd": [swapped(x, 0, 2, 1, 3) for x in (q, k, v)],
        "features first": [swapped(x, 0, 1, 3, 2) for x in (q, k, v)],
        "backwards": [np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1] for x in (q, k, v)],
    }
    for name, given in views.items():
        got = check(kernel, given)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_tiles_that_reach_too_far_are_refused():
    """Lanes add 32 bits to an address: what they would read else is not what they were asked for."""
    rows, step = 40, 1 << 25
    kernels = [compiled(attention(1), "gfx942", block_q=block, block_kv=16, waves=1) for block in (16, 128)]
    q, k, v = operands(kernels[0], 1, rows, rows)
    memory = np.empty((rows - 1) * step + 16, np.float16)  # of which few pages are touched
    far = np.lib.stride_tricks.as_strided(memory, q.shape, (2, 2, 2 * step, 2))
    far[:] = q
    np.testing.assert_array_equal(kernels[0](far, k, v), kernels[0](q, k, v))
    with pytest.raises(
        ValueError, match="kernel 'program_0': expects the elements of a tile to be within 2147483647"
    ):
        kernels[1](far, k, v)


# ---- values ------------------------------------------------------------------------------------------


def test_rows_without_keys_are_zero():
    program = attention(mask=lambda i, j: (i % 3 != 1) & (j > i), normalize=aec.normalizers.softmax(lse=True))
    kernel = compiled(program, "gfx942", **SMALL)
    o, lse = check(kernel, operands(kernel, 1, 33, 20))
    assert not o[:, :, 1::3].any()
    assert np.isneginf(lse[:, :, 1::3]).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_no_query_attends_to_is_not_seen(number):
    kernel = compiled(causal(), "gfx90a", **SMALL)
    q, k, v = operands(kernel, 1, 20, 37)
    visible = attention(mask=lambda j: j < 20, normalize=aec.normalizers.softmax(lse=True))
    k[:, :, 20:], v[:, :, 20:] = number, number
    check(compiled(visible, "gfx90a", **SMALL), [q, k, v])
    v[:, :, 20:], k[:, :, 20:] = 0, 0
    v[:, :, 19, 3] = number
    check(kernel, [q, k, v])


def test_arguments_that_share_memory():
    kernel = compiled(causal(heads=1), "gfx942", **SMALL)
    shared = draw(1, 1, 37, 16)
    check(kernel, [shared, shared, shared])
    stacked = draw(1, 3, 37, 16)
    check(kernel, [stacked[:, n : n + 1] for n in range(3)])


CAPTURES = {
    "i1": np.random.default_rng(0).random((2, 37, 37)) < 0.5,
    "i8": np.random.default_rng(1).integers(-3, 4, (2, 37, 37)).astype(np.int8),
    "i16": np.random.default_rng(2).integers(-300, 300, (2, 37, 37)).astype(np.int16),
    "i64": np.random.default_rng(3).integers(-3, 4, (2, 37, 37)),
    "f64": np.random.default_rng(4).standard_normal((2, 37, 37)),
}


@pytest.mark.parametrize("dtype", CAPTURES)
def test_captures_of_any_type(dtype):
    def program(q, k, v, bias, places):
        def score(s, b, h, i, j):
            value = bias[h, i, places[j]]
            return aec.where(value, s, -s) if dtype == "i1" else s + 0.01 * aec.cast(value, "f32")

        return aec.attention(q, k, v, score=score, mask=lambda i, j: places[j] <= i)

    shape = aec.tensor("B", 2, "S", 16, dtype="f16")
    specs = {"q": shape, "k": shape, "v": shape, "bias": aec.tensor(2, "S", "S", dtype=dtype)}
    traced = aec.trace(program, **specs, places=aec.tensor("S", dtype="i8"))
    kernel = compiled(traced, "gfx942", **SMALL)
    places = np.random.default_rng(5).permutation(37).astype(np.int8)
    check(kernel, [*(draw(1, 2, 37, 16, seed=n) for n in range(3)), CAPTURES[dtype], places], 2e-3)


def test_results_of_one_row_that_are_put_together():
    """Behind an attention of one query, places that are 0 in all lanes have a mask nevertheless."""

    def program(q, k, v):
        o = aec.attention(q, k, v)
        return aec.concat([o[:, :1], o], axis=1)

    kv = [aec.tensor(2, 1, "S", features, dtype="f16") for features in (2, 3)]
    traced = aec.trace(program, q=aec.tensor(2, 2, 1, 2, dtype="f16"), k=kv[0], v=kv[1])
    check(compiled(traced, "gfx942", **SMALL), [draw(2, 2, 1, 2), draw(2, 1, 7, 2), draw(2, 1, 7, 3)])


def test_f64():
    kernel = compiled(causal("f64"), "gfx942", **SMALL)
    check(kernel, operands(kernel, 1, 19, 37))


# ---- random programs ---------------------------------------------------------------------------------

ROUNDED = {element: 4 * error for element, error in (WEIGHTS | {"f16": 2.0**-10}).items()}
"""Error of o, relative to its row, where weights are rounded to the type of v."""

SWEEP = [pytest.mark.slow, pytest.mark.timeout(6000)]

MOST = 5_000
"""The scores of a call that the simulator computes in a second."""


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("wild", 4),
        *(pytest.param(name, 100, marks=SWEEP) for name in ("tiles", "wild")),
    ],
)
def test_random_programs_agree_with_the_reference(name, count, report_lines):
    campaign, choose = Campaign(), random.Random(count)

    def check_calls(program):
        options = {
            "block_q": choose.choice((16, 32)),
            "block_kv": choose.choice((16, 32, 64)),
            "waves": choose.choice((1, 2, 4, 8)),
            "num_stages": choose.choice((1, 2)),
            "matrix_rows": choose.choice((16, 32)),
            "split": choose.choice(("none", "none", "keys")),
        }
        kernel = compiled(program.trace(), choose.choice(CHIPS), **options)
        lost = max((LOST.get(feature, 1.0) for feature in program.features), default=1.0)
        for call in program.calls:
            inputs = program.inputs(call)
            if inputs[0][..., 0].size * inputs[1].shape[2] > MOST:
                continue
            outputs = kernel(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            expected = kernel.evaluate_reference(*inputs)
            for number, (result, got, want) in enumerate(zip(kernel.results, outputs, expected, strict=True)):
                allowed = lost * ACCUMULATED["f64" if result.dtype == "f64" else "f32"]
                if number == 0:
                    allowed = max(allowed, ROUNDED.get(program.element, 0.0))
                campaign.compare(result.name, result.dtype, np.asarray(got), want, allowed)

    strategy = tile_programs() if name == "tiles" else attention_programs()
    different = each_different(strategy, 7, count, check_calls)
    report_lines.append(f"{name} on AMD's chips: {different} random programs; {campaign.text()}")
    assert different >= count
