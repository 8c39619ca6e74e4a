"""attn-fuse-elementwise: elementwise work around attention in the tile form, on the CPU.

A fused program computes the same numbers in the same order: its results equal those without fusion, bit by
bit, and both are near the float64 reference of the program before tiling.
"""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest
import tiled_backend  # noqa: F401  (registers the target `tiled`)
from tiled_backend import tile_level

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.reference.evaluate import evaluate

H, D, DV = 4, 8, 6
DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
EVERYTHING = "repeated-work=1000"
TOLERANCE = {"f32": 1e-5, "f64": 1e-12, "bf16": 4e-2, "f16": 5e-3}


def rotate(x, cos, sin):
    left, right = x[..., : D // 2], x[..., D // 2 :]
    return aec.concat([left * cos - right * sin, right * cos + left * sin])


def interleaved(x, cos, sin):
    left, right = x[..., ::2], x[..., 1::2]
    return aec.concat([left * cos - right * sin, right * cos + left * sin])


def rms_norm(x, size, weight=None):
    y = x * aec.rsqrt(aec.sum(x * x, -1, keepdims=True) / size + 1e-6)
    return y if weight is None else y * weight


def layer_norm(x, size):
    d = x - aec.sum(x, -1, keepdims=True) / size
    return d * aec.rsqrt(aec.sum(d * d, -1, keepdims=True) / size + 1e-5)


def attend(q, k, v, **options):
    return aec.attention(q, k, v, normalize=normalizers.softmax(**options))


def specs(dtype="f32", kv_heads=2, **more):
    shared = {
        "q": aec.tensor("B", H, "Sq", D, dtype=dtype),
        "k": aec.tensor("B", kv_heads, "Skv", D, dtype=dtype),
        "v": aec.tensor("B", kv_heads, "Skv", DV, dtype=dtype),
    }
    return shared | more


def table(rows, features=D // 2):
    return aec.tensor(rows, features)


PROGRAMS = {}


def program(**more):
    """Function decorator: a program of q, k, v and `more`."""

    def enter(function):
        PROGRAMS[function.__name__] = aec.trace(function, **specs(**more))
        return function

    return enter


@program()
def scaled(q, k, v):
    return attend(q * 0.25, k * 2, v * v) * 3 + 1


@program(cos=table("Sq"), sin=table("Sq"), ck=table("Skv"), sk=table("Skv"))
def rotary(q, k, v, cos, sin, ck, sk):
    return attend(rotate(q, cos, sin), rotate(k, ck, sk), v)


@program(cos=table("Sq"), sin=table("Sq"))
def rotary_interleaved(q, k, v, cos, sin):
    return attend(interleaved(q, cos, sin) * 0.5, k, v)


@program(angle=table("Sq"))
def rotary_of_angles(q, k, v, angle):
    return attend(rotate(q, aec.cos(angle), aec.sin(angle)), k, v)


@program(a=aec.tensor(D), b=aec.tensor(D), c=aec.tensor(DV))
def norms_of_heads(q, k, v, a, b, c):
    return rms_norm(attend(rms_norm(q, D, a), rms_norm(k, D, b), v), DV, c)


@program()
def not_a_number_on_padding(q, k, v):
    q, k, v = (x / aec.sum(aec.abs(x), -1, keepdims=True) for x in (q, k, v))
    return aec.attention(q, k, v, mask=masks.causal(1), normalize=normalizers.softmax()) / 2


@program()
def layer_norms(q, k, v):
    return layer_norm(attend(layer_norm(q, D), layer_norm(k, D), layer_norm(v, DV)), DV)


@program(gate=aec.tensor("B", H, "Sq", DV))
def gated(q, k, v, gate):
    return attend(q, k, v) * aec.sigmoid(gate)


@program(gate=aec.tensor("B", "Sq", H, DV))
def gated_and_transposed(q, k, v, gate):
    return aec.transpose(attend(q, k, v), (0, 2, 1, 3)) * aec.sigmoid(gate)


@program(gate=aec.tensor("B", H, "Sq"), bias=aec.tensor(H))
def gated_by_head(q, k, v, gate, bias):
    o = attend(q, k, v)
    return o * aec.sigmoid(gate + bias[:, None])[:, :, :, None]


@program(dtype="bf16")
def casts(q, k, v):
    q, k, v = (aec.cast(x, "f32") for x in (q, k, v))
    return aec.cast(attend(q * 0.5, k, v) * 0.5, "bf16")


@program(dtype="f16")
def widened(q, k, v):
    return aec.cast(attend(q, k, v), "f32") * 2


@program(dtype="f64")
def doubles(q, k, v):
    return rms_norm(attend(rms_norm(q, D), k, v), DV)


@program()
def log_sum_exp(q, k, v):
    o, lse = attend(q * 2, k, v, lse=True)
    return o * 2, lse * 0.5


@program()
def weighted_by_lse(q, k, v):
    o, lse = attend(q, k, v, lse=True)
    return o * aec.sigmoid(lse)[:, :, :, None]


@program()
def several_consumers(q, k, v):
    o = attend(q, k, v)
    return o * 2, aec.exp(o)


@program()
def several_users_of_q(q, k, v):
    x = aec.tanh(q)
    return attend(x * 2, k, v), x


@program(flat=aec.tensor("B", H, "Sq", 3 * D))
def slice_of_features(q, k, v, flat):
    return attend(q + aec.tanh(flat)[..., D : 2 * D], k, v)


@program(long=aec.tensor("B", H, "Long", D))
def slice_of_positions(q, k, v, long):
    return attend((long * 2)[:, :, 3:], k, v)


@program(before=aec.tensor("B", "Sq", H, D))
def transposed_q(q, k, v, before):
    return attend(q + aec.transpose(before, (0, 2, 1, 3)), k, v)


@program()
def mean_of_positions(q, k, v):
    return attend(q - aec.sum(q, 2, keepdims=True), k, v)


@program()
def mean_of_heads(q, k, v):
    o = attend(q, k, v)
    return o - aec.sum(o, 1, keepdims=True)


@program()
def two_layers(q, k, v):
    first = aec.tanh(attend(q * 2, k, v)[..., :4])
    return attend(aec.concat([first, first * 2]), k * 0.5, v)


@program(kv_heads=4)
def difference(q, k, v):
    return rms_norm(attend(q, k, v) - 0.5 * attend(q * 0.5, k, v), DV)


@program(n=aec.tensor("B", H, "Sq", D, dtype="i32"), m=aec.tensor("B", H, "Sq", D, dtype="i32"))
def integers(q, k, v, n, m):
    return attend(q + aec.cast(n // m, "f32"), k, v)


@program(frequency=aec.tensor(3, D), at=aec.tensor("Sq", dtype="i32"))
def positions(q, k, v, frequency, at):
    return attend(q * 2 + aec.cast(at, "f32")[:, None] * frequency[1:2], k, v)


SIZES = [
    {"B": 2, "Sq": 17, "Skv": 33},
    {"B": 1, "Sq": 1, "Skv": 1},
    {"B": 1, "Sq": 16, "Skv": 16},
    {"B": 1, "Sq": 0, "Skv": 5},
    {"B": 2, "Sq": 5, "Skv": 0},
    {"B": 0, "Sq": 4, "Skv": 4},
]


def arguments_of(traced, sizes):
    rng = np.random.default_rng(list(sizes.values()))
    sizes = {"Long": sizes["Sq"] + 3} | sizes
    for argument in traced.arguments:
        shape = [sizes.get(dim, dim) for dim in argument.spec.shape]
        if argument.spec.dtype == "i32":
            yield rng.integers(-3, 4, shape).astype(np.int32)
        else:
            yield rng.standard_normal(shape).astype(DTYPES[argument.spec.dtype])


def kernel(name, **options):
    return aec.compile(PROGRAMS[name], target="tiled", **options)


def assert_equal_and_right(name, sizes, fuse, tile="block-q=16 block-kv=16"):
    traced = PROGRAMS[name]
    plain, fused = kernel(name, tile=tile), kernel(name, tile=tile, fuse=fuse)
    dtype = traced.arguments[0].spec.dtype
    for each in sizes:
        arguments = list(arguments_of(traced, each))
        copies = [argument.copy() for argument in arguments]
        before, after = plain(*arguments), fused(*arguments)
        expected = evaluate(traced.module.body.operations[0], arguments)
        for x, y, z in zip(as_list(before), as_list(after), expected, strict=True):
            np.testing.assert_array_equal(y, x)
            close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
            np.testing.assert_allclose(y.astype(np.float64), z, **close)
        for argument, copy in zip(arguments, copies, strict=True):
            np.testing.assert_array_equal(argument, copy)


def as_list(results):
    return list(results) if isinstance(results, (tuple, list)) else [results]


@pytest.mark.parametrize("name", PROGRAMS)
def test_fused_programs_compute_the_same(name):
    assert_equal_and_right(name, SIZES, EVERYTHING)


DECODE = "decode-rows=4 decode-block-kv=8"
"""Calls with few queries take a program of their own."""


@pytest.mark.parametrize(
    "tile",
    [
        *("pack-gqa=true", "split-kv=3", "rows-last=false", "pack-gqa=true split-kv=2", DECODE),
        "masked-values=check-result",
    ],
)
@pytest.mark.parametrize("name", ["rotary", "norms_of_heads", "gated_and_transposed", "weighted_by_lse"])
def test_fused_programs_compute_the_same_in_other_tile_forms(name, tile):
    assert_equal_and_right(name, SIZES[:2], EVERYTHING, f"block-q=8 block-kv=4 {tile}")


@pytest.mark.parametrize("name", ["scaled", "rotary", "norms_of_heads", "gated", "casts", "two_layers"])
def test_programs_are_right_by_default(name):
    traced = PROGRAMS[name]
    default = aec.compile(traced, opt_level=0)
    tolerance = TOLERANCE[traced.arguments[0].spec.dtype]
    for sizes in SIZES[:2]:
        arguments = list(arguments_of(traced, sizes))
        expected = evaluate(traced.module.body.operations[0], arguments)
        for x, y in zip(as_list(default(*arguments)), expected, strict=True):
            np.testing.assert_allclose(x.astype(np.float64), y, rtol=tolerance, atol=tolerance)


OUTSIDE = re.compile(r"^ {4}(?:%\S+ = )?((?:linalg|arith|math)\.\w+)", re.MULTILINE)


def outside(name, fuse, tile="block-q=16 block-kv=16"):
    """The operations on tensors that are left outside of the grids."""
    text = tile_level(PROGRAMS[name], fuse, tile)
    lines = [line for line in text.splitlines() if "tensor<" in line and "arith.constant" not in line]
    return sorted(OUTSIDE.findall("\n".join(lines)))


LEFT = {
    "scaled": 0,
    "rotary": 0,
    "rotary_interleaved": 0,
    "rotary_of_angles": 2,  # of tables, which all heads share
    "norms_of_heads": 0,
    "layer_norms": 0,
    "gated": 0,
    "gated_and_transposed": 0,
    "gated_by_head": 0,
    "casts": 0,
    "widened": 0,
    "doubles": 0,
    "log_sum_exp": 0,
    "weighted_by_lse": 0,
    "several_consumers": 2,
    "several_users_of_q": 1,
    "transposed_q": 0,
    "mean_of_positions": 2,  # the sum, and what it starts from
    "mean_of_heads": 3,
    "integers": 1,  # the division, which padding would trap
}


@pytest.mark.parametrize("name", LEFT)
def test_work_that_is_left_outside(name):
    everything = outside(name, EVERYTHING)
    assert len(everything) == LEFT[name], everything
    assert outside(name, EVERYTHING, f"block-q=16 block-kv=16 {DECODE}") == everything
    unfused = len(outside(name, ""))
    assert unfused == LEFT[name] if name in ("several_consumers", "mean_of_heads") else unfused > LEFT[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_producers_of_keys_in_grids_of_their_own_compute_the_same(name):
    assert_equal_and_right(name, SIZES[:3], "repeated-work=0")


@pytest.mark.parametrize(
    ("name", "work", "grids"),
    [
        ("scaled", 0, 3),
        ("scaled", 1, 1),  # v * v and k * 2
        ("rotary", 3, 2),
        ("rotary", 8, 1),
        ("norms_of_heads", 3, 2),
        ("norms_of_heads", 7, 1),
        ("layer_norms", 3, 3),
        ("casts", 1, 1),
        ("gated", 0, 1),
    ],
)
def test_producers_of_keys_are_fused_as_they_cost(name, work, grids):
    text = tile_level(PROGRAMS[name], f"repeated-work={work}")
    assert text.count("scf.forall (") == grids
    assert not outside(name, f"repeated-work={work}")


def test_keys_that_one_tile_reads_are_computed_there():
    """In calls with few queries; others have a grid for the keys in their branch, and none pays for both."""
    text = tile_level(PROGRAMS["rotary"], "repeated-work=0", f"block-q=16 block-kv=16 {DECODE}")
    before, few, many = re.split(r"\n    %\S+ = scf.if .+|\n    } else {", text)
    assert [part.count("scf.forall (") for part in (before, few, many)] == [0, 1, 2]
    assert not outside("rotary", "repeated-work=0", f"block-q=16 block-kv=16 {DECODE}")
