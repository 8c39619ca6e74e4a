"""Kernels for few queries: query heads packed into the rows of a tile, keys split over programs."""

from __future__ import annotations

import numpy as np
import pytest
import test_hopper_kernels as hopper
from test_triton_kernels import attend, check, random

import aecompiler as aec
from aecompiler.errors import CompileError

PACKED = "block-kv=16 packed-rows=16"
PARTS = (0, 1, 5, 1000)
"""Programs that keys are split for: none, fewer than there are tiles of rows, some, one for each tile."""


def arrays(heads, kv_heads, rows, keys, dtype="f32", features=8):
    return (
        random(2, heads, rows, features, number=1, dtype=dtype),
        random(2, kv_heads, keys, features, number=2, dtype=dtype),
        random(2, kv_heads, keys, features, number=3, dtype=dtype),
    )


def few(arrays, captured=(), *, programs=0, tile=PACKED, **options):
    dtype = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[str(arrays[0].dtype)]
    split = f" split-programs={programs}" if programs else ""
    attend(arrays, captured, tile=f"{tile}{split}", dtype=dtype, rounded=dtype, **options)


def causal(**_):
    return aec.masks.causal(align="end")


def with_lse(**_):
    return aec.normalizers.softmax(lse=True)


@pytest.mark.parametrize("programs", PARTS)
@pytest.mark.parametrize(
    ("heads", "kv_heads", "rows"),
    [(8, 2, 1), (8, 2, 5), (6, 2, 7), (7, 1, 3), (4, 4, 5), (20, 1, 2)],
    ids=["one row", "two tiles", "a group of three", "a group of seven", "a head each", "many heads"],
)
def test_rows_of_all_heads_of_a_group_agree_with_the_reference(heads, kv_heads, rows, programs):
    few(arrays(heads, kv_heads, rows, 53), programs=programs, mask=causal, normalize=with_lse)


MASKS = {
    "window": (lambda: aec.masks.window(9, align="end"), {}),
    "nothing": (lambda: ~aec.masks.always(), {}),
    "padding": (
        lambda lengths: aec.masks.padding(lengths),
        {"lengths": (aec.tensor("B", dtype="i64"), np.array([0, 19]))},
    ),
    "document": (
        lambda ids: aec.masks.document(ids),
        {"ids": (aec.tensor("B", "Skv", dtype="i32"), np.arange(106, dtype=np.int32).reshape(2, 53) // 7)},
    ),
}


@pytest.mark.parametrize("programs", [0, 40])
@pytest.mark.parametrize("case", MASKS)
def test_mask_keeps_what_the_reference_keeps(case, programs):
    make, captured = MASKS[case]
    few(arrays(8, 2, 5, 53), captured, programs=programs, mask=make, normalize=with_lse)


NORMALIZERS = {
    "sink": (
        lambda sink: aec.normalizers.softmax_sink(sink, lse=True),
        {"sink": (aec.tensor(6, dtype="f32"), random(6, number=9))},
    ),
    "relu": (lambda: aec.normalizers.relu(mean=True), {}),
    "softpick": (lambda: aec.normalizers.softpick(epsilon=1e-6), {}),
}


@pytest.mark.parametrize("programs", [0, 40])
@pytest.mark.parametrize("case", NORMALIZERS)
def test_normalizer_agrees_with_the_reference(case, programs):
    make, captured = NORMALIZERS[case]
    few(arrays(6, 2, 5, 53), captured, programs=programs, mask=causal, normalize=make)


@pytest.mark.parametrize("programs", [0, 40])
def test_score_knows_heads_and_positions(programs):
    captured = {"slopes": (aec.tensor(8, dtype="f32"), random(8, number=4))}

    def score(slopes):
        return aec.scores.compose(aec.scores.scale(), aec.scores.alibi(slopes), aec.scores.softcap(3.0))

    few(arrays(8, 2, 5, 53), captured, programs=programs, mask=causal, score=score)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("programs", [0, 40])
def test_narrow_types_agree_with_the_reference(dtype, programs):
    few(arrays(8, 2, 5, 53, dtype), programs=programs, mask=causal)


@pytest.mark.parametrize("programs", [0, 40])
def test_values_that_are_not_finite_are_not_seen_where_masked(programs):
    q, k, v = arrays(8, 2, 5, 53)
    v[:, :, 50:] = np.inf  # after the rows' own position
    v[0, 0, 3] = np.nan  # before a window of 20 keys
    few((q, k, v), programs=programs, mask=lambda **_: aec.masks.window(20, align="start"))


@pytest.mark.parametrize(("rows", "keys"), [(0, 20), (5, 0)])
def test_calls_without_rows_or_keys(rows, keys):
    few(arrays(8, 2, rows, keys), programs=40, mask=causal, normalize=with_lse)


@pytest.mark.parametrize("tile", [PACKED, "block-kv=16 block-q=16"], ids=["packed", "a head"])
def test_numbers_of_rows_may_stand_in_types(tile):
    inputs = arrays(8, 2, 3, 53)
    specs = {name: aec.tensor(*array.shape) for name, array in zip("qkv", inputs, strict=True)}
    traced = aec.trace(lambda q, k, v: aec.attention(q, k, v, mask=causal()), **specs)
    check(traced.module, inputs, tile=f"{tile} split-programs=40")


def test_partial_results_have_all_features_of_values_that_may_be_in_pieces():
    inputs = arrays(8, 2, 3, 53, "f16", features=48)
    few(inputs, programs=40, tile=f"{PACKED} split-features=true", mask=causal, normalize=with_lse)


def test_partial_results_of_pieces_are_those_of_each_accumulator():
    inputs = arrays(8, 2, 3, 53, features=48)
    tile = f"{PACKED} split-features=true"
    few(inputs, programs=40, tile=tile, normalize=lambda **_: aec.normalizers.log_softmax())


def test_operations_around_attention_are_part_of_packed_kernels():
    gate = {"gate": (aec.tensor("B", 8, "Sq", 8), random(2, 8, 5, 8, number=4))}
    program = lambda q, k, v, gate: aec.attention(q * 0.5, k, v, mask=causal()) * gate  # noqa: E731
    check_program(program, arrays(8, 2, 5, 53), gate)


def check_program(program, inputs, captured):
    specs = {
        name: aec.tensor("B", array.shape[1], length, array.shape[3])
        for name, length, array in zip("qkv", ("Sq", "Skv", "Skv"), inputs, strict=True)
    }
    specs |= {name: spec for name, (spec, _) in captured.items()}
    module = aec.trace(program, **specs).module
    check(module, [*inputs, *(value for _, value in captured.values())], tile=PACKED)


def test_rows_that_are_multiplied_by_what_all_heads_share_are_refused():
    table = {"table": (aec.tensor("Sq", 8), random(5, 8, number=4))}
    program = lambda q, k, v, table: aec.attention(q * table, k, v)  # noqa: E731
    with pytest.raises(CompileError, match="dimensions that are one in registers beside such that are not"):
        check_program(program, arrays(8, 2, 5, 53), table)


# ---- kernels whose warps have roles ------------------------------------------------------------------


@pytest.mark.parametrize("programs", [0, 1, 40])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "rows", "consumers"),
    [(8, 2, 1, 1), (8, 2, 17, 1), (8, 2, 17, 2), (8, 1, 9, 1), (2, 2, 65, 1), (8, 4, 70, 2), (64, 1, 2, 1)],
    ids=[
        "one row",
        "two tiles",
        "two groups",
        "eight heads",
        "a head each",
        "a head for each group",
        "64 heads",
    ],
)
def test_roles_take_rows_of_all_heads(heads, kv_heads, rows, consumers, programs):
    options = f"consumers={consumers} block-kv=16 stages=2 pack-heads=true split-programs={programs}"
    inputs = arrays(heads, kv_heads, rows, 70, "bf16", 32)
    hopper.attend(inputs, options=options, mask=causal, normalize=with_lse)


def test_roles_compute_again_what_is_not_finite_of_all_heads():
    q, k, v = arrays(8, 2, 5, 70, "bf16", 32)
    v[:, :, 67:] = np.inf
    options = "consumers=1 block-kv=16 stages=2 pack-heads=true split-programs=40"
    hopper.attend((q, k, v), options=options, mask=lambda: aec.masks.causal())


@pytest.mark.parametrize("pack", ["true", "false"])
@pytest.mark.parametrize("features", [48, 80, 96, 192])
def test_roles_split_keys_where_values_are_in_pieces(features, pack):
    inputs = arrays(8, 2, 5, 70, "bf16", features)
    options = f"consumers=1 block-kv=32 stages=2 pack-heads={pack} split-programs=40"
    hopper.attend(inputs, options=options, mask=causal, normalize=with_lse)


def test_roles_split_keys_in_pieces_where_something_is_computed_from_results():
    q, k, v = arrays(8, 2, 5, 70, "bf16", 48)
    specs = {
        name: aec.tensor("B", array.shape[1], length, array.shape[3], dtype="bf16")
        for name, length, array in (("q", "Sq", q), ("k", "Skv", k), ("v", "Skv", v))
    }
    traced = aec.trace(lambda q, k, v: aec.attention(q, k, v, mask=causal()) * 0.5, **specs)
    hopper.compare(traced, (q, k, v), "consumers=1 block-kv=32 stages=2 pack-heads=true split-programs=40")


def test_roles_compute_again_what_is_not_finite_of_a_piece():
    q, k, v = arrays(8, 2, 5, 70, "bf16", 48)
    v[:, :, 67:, 40:] = np.inf
    options = "consumers=1 block-kv=32 stages=2 pack-heads=true split-programs=40"
    hopper.attend((q, k, v), options=options, mask=lambda: aec.masks.causal())


def test_roles_take_numbers_of_rows_that_stand_in_types():
    inputs = arrays(8, 2, 1, 70, "bf16", 32)
    specs = {name: aec.tensor(*array.shape, dtype="bf16") for name, array in zip("qkv", inputs, strict=True)}
    traced = aec.trace(lambda q, k, v: aec.attention(q, k, v), **specs)
    hopper.compare(traced, inputs, "consumers=1 block-kv=16 stages=2 pack-heads=true split-programs=40")


def test_roles_refuse_groups_of_heads_that_do_not_fill_a_tile():
    with pytest.raises(CompileError, match="expects a tile of rows that is read by a descriptor"):
        hopper.attend(
            arrays(6, 2, 5, 70, "bf16", 32), options="consumers=1 block-kv=16 stages=2 pack-heads=true"
        )
