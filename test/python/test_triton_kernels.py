"""Kernels in Triton's dialect, interpreted, against the float64 reference."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from drawn_programs import each_different
from random_inputs import lay_out
from random_programs import attention_programs
from random_tiles import tile_programs
from test_attn_fuse_elementwise import PROGRAMS, arguments_of
from test_random_programs import ACCUMULATED, LOST, Campaign
from triton_programs import ROUNDED, Kernels

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

B, H, SQ, SKV, D = 2, 2, 35, 37, 8
"""Sizes that no tile divides: tiles are of 16 rows and 16 keys."""

TYPES = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "i64": np.int64,
    "i32": np.int32,
    "i16": np.int16,
    "i8": np.int8,
    "i1": np.bool_,
    "index": np.int64,
}


def random(*shape, number=0, dtype="f32"):
    array = np.random.default_rng(number).standard_normal(shape)
    if dtype == "i1":
        return array > 0
    return (array * (1 if "f" in dtype else 3)).astype(TYPES[dtype])


def attend(arrays, captured=(), *, score=None, mask=None, normalize=None, dtype="f32", rounded=None, **how):
    """Check attention over `arrays`, whose options are made from the captured values that are traced."""
    captured = dict(captured)

    def program(q, k, v, **values):
        options = {"score": score, "mask": mask, "normalize": normalize}
        made = {name: make(**values) for name, make in options.items() if make is not None}
        made.setdefault("score", aec.scores.scale())
        return aec.attention(q, k, v, **made)

    q, k, v = arrays
    specs = {
        "q": aec.tensor("B", q.shape[1], "Sq", q.shape[3], dtype=dtype),
        "k": aec.tensor("B", k.shape[1], "Skv", k.shape[3], dtype=dtype),
        "v": aec.tensor("B", v.shape[1], "Skv", v.shape[3], dtype=dtype),
    }
    specs |= {name: spec for name, (spec, _) in captured.items()}
    check(
        aec.trace(program, **specs).module,
        [*arrays, *[value for _, value in captured.values()]],
        rounded,
        **how,
    )


def check(module, inputs, rounded=None, campaign=None, lost=1.0, tile="block-q=16 block-kv=16"):
    campaign = campaign or Campaign()
    for number, (dtype, got, want) in enumerate(Kernels(module, tile).run(inputs)):
        accumulated = lost * ACCUMULATED["f64" if dtype == "f64" else "f32"]
        if number == 0:
            accumulated = max(accumulated, ROUNDED.get(rounded or "", 0.0))
        campaign.compare(f"result {number}", dtype, got, want, accumulated)


def data(sq=SQ, skv=SKV, d=D, dv=None, dtype="f32"):
    return (
        random(B, H, sq, d, number=1, dtype=dtype),
        random(B, 1, skv, d, number=2, dtype=dtype),
        random(B, 1, skv, dv or d, number=3, dtype=dtype),
    )


# ---- random programs -------------------------------------------------------------------------------


MOST = 20_000
"""The scores of a call that are interpreted in a second."""


@pytest.mark.parametrize(("name", "count"), [("tiles", 16), ("wild", 24)])
def test_random_programs_agree_with_the_reference(name, count, report_lines):
    campaign = Campaign()

    def check_calls(program):
        traced = program.trace()
        lost = max((LOST.get(feature, 1.0) for feature in program.features), default=1.0)
        for call in program.calls:
            inputs = program.inputs(call)
            if inputs[0][..., 0].size * inputs[1].shape[2] > MOST:
                continue
            check(traced.module, inputs, program.element, campaign, lost)

    strategy = tile_programs() if name == "tiles" else attention_programs()
    different = each_different(strategy, 4, count, check_calls)
    report_lines.append(f"{name} in Triton's dialect: {different} random programs; {campaign.text()}")
    assert different >= count


# ---- masks and normalisers ---------------------------------------------------------------------------

DOCUMENTS = np.sort(np.random.default_rng(5).integers(0, 4, (B, SKV)), axis=1).astype(np.int32)
BLOCKS = np.random.default_rng(6).integers(0, 2, (B, H, 5, 5)).astype(bool)
KEEP = np.random.default_rng(7).random((SQ, SKV)) < 0.5

MASKS = {
    "always": (lambda: aec.masks.always(), {}),
    "nothing": (lambda: ~aec.masks.always(), {}),
    "causal": (lambda: aec.masks.causal(), {}),
    "causal-end": (lambda: aec.masks.causal(align="end"), {}),
    "anticausal": (lambda: ~aec.masks.causal(), {}),
    "window": (lambda: aec.masks.window(9, align="end"), {}),
    "window-both-sides": (lambda: aec.masks.window(9, causal=False), {}),
    "window-of-the-call": (
        lambda size: aec.masks.window(size),
        {"size": (aec.scalar("i32"), 5)},
    ),
    "prefix": (
        lambda prefix: aec.masks.prefix_lm(prefix),
        {"prefix": (aec.tensor("B", dtype="i32"), np.array([3, 20], np.int32))},
    ),
    "document": (
        lambda ids: aec.masks.document(ids),
        {"ids": (aec.tensor("B", "Skv", dtype="i32"), DOCUMENTS)},
    ),
    "chunked": (lambda: aec.masks.chunked(12) & aec.masks.causal(), {}),
    "dilated": (lambda: aec.masks.dilated(3), {}),
    "global-local": (lambda: aec.masks.global_local(2, 5), {}),
    "block-sparse": (
        lambda blocks: aec.masks.block_sparse(blocks, block_q=8, block_kv=8),
        {"blocks": (aec.tensor("B", H, None, None, dtype="i1"), BLOCKS)},
    ),
    "padding": (
        lambda lengths: aec.masks.padding(lengths),
        {"lengths": (aec.tensor("B", dtype="i64"), np.array([0, 19]))},
    ),
    "dense": (
        lambda keep: aec.masks.dense(keep),
        {"keep": (aec.tensor("Sq", "Skv", dtype="i1"), KEEP)},
    ),
    "union": (lambda: aec.masks.window(2) | (lambda j: j == 0), {}),
}


@pytest.mark.parametrize("case", MASKS)
def test_mask_keeps_what_the_reference_keeps(case):
    make, captured = MASKS[case]
    attend(data(), captured, mask=make, normalize=lambda **_: aec.normalizers.softmax(lse=True))


SINK = {"sink": (aec.tensor(H, dtype="f32"), random(H, number=9))}

NORMALIZERS = {
    "softmax-base-2": (lambda: aec.normalizers.softmax(lse=True, base=2), {}),
    "softmax-sink": (lambda sink: aec.normalizers.softmax_sink(sink, lse=True), SINK),
    "softmax-off-by-one": (lambda: aec.normalizers.softmax_off_by_one(lse=True), {}),
    "sigmoid": (lambda: aec.normalizers.sigmoid(-3.0), {}),
    "relu": (lambda: aec.normalizers.relu(mean=True), {}),
    "relu-squared": (lambda: aec.normalizers.relu_squared(), {}),
    "softpick": (lambda: aec.normalizers.softpick(epsilon=1e-6), {}),
    "retention": (lambda: aec.normalizers.retention(), {}),
    "none": (lambda: aec.normalizers.none(), {}),
}


@pytest.mark.parametrize("case", NORMALIZERS)
def test_normalizer_agrees_with_the_reference(case):
    make, captured = NORMALIZERS[case]
    attend(data(), captured, mask=lambda **_: aec.masks.causal(), normalize=make)


def test_log_softmax_agrees_with_the_reference():
    """Without a mask, under which its weights would be -inf."""
    attend(data(), normalize=lambda: aec.normalizers.log_softmax(lse=True))


def test_normalizers_that_separate_nowhere_agree_with_the_reference():
    """Each reduction takes a pass over the keys: one kernel for each, and one for the weights."""

    def normalize(row):
        x = aec.tanh(row)
        for _ in range(5):
            x = aec.tanh(x * 8.0 / (aec.abs(x).sum() + 1.0)) + 0.1 * aec.tanh(row)
        return x

    attend(data(), mask=aec.masks.causal, normalize=lambda: normalize)


# ---- work around attention ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_fused_programs_agree_with_the_reference(name):
    """Of 8 and 6 features, which stand in 16: sums over them must leave out the padding."""
    traced = PROGRAMS[name]
    arrays = list(arguments_of(traced, {"B": 2, "Sq": 19, "Skv": 35}))
    check(traced.module, arrays, traced.arguments[0].spec.dtype)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("d", [24, 64])
def test_rotated_features(d, interleaved):
    """Halves of 12 and 32 features, in 16 and 32 in registers, are put together in 32 and 64."""

    def rotate(x, cos, sin):
        left, right = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., : d // 2], x[..., d // 2 :])
        return aec.concat([left * cos - right * sin, right * cos + left * sin])

    def program(q, k, v, cos, sin):
        return aec.attention(rotate(q, cos, sin), k, v, score=aec.scores.scale(), mask=aec.masks.causal())

    specs = {
        "q": aec.tensor("B", H, "S", d),
        "k": aec.tensor("B", 1, "T", d),
        "v": aec.tensor("B", 1, "T", d),
        "cos": aec.tensor("S", d // 2),
        "sin": aec.tensor("S", d // 2),
    }
    angles = random(19, d // 2, number=4)
    check(aec.trace(program, **specs).module, [*data(19, 21, d), np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize("part", [slice(0, 4), slice(4, 8), slice(1, 8, 2), slice(2, 3)])
def test_sums_over_parts_of_features(part):
    """What is beyond a part stands beside it in registers, and is no part of the sum."""

    def program(q, k, v):
        x = q[..., part]
        return aec.attention(q * aec.rsqrt(aec.sum(x * x, -1, keepdims=True)), k, v)

    q, k, v = data(19, 21)
    specs = {
        "q": aec.tensor("B", H, "S", D),
        "k": aec.tensor("B", 1, "T", D),
        "v": aec.tensor("B", 1, "T", D),
    }
    check(aec.trace(program, **specs).module, [q, k, v])


# ---- sizes, types, layouts ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize(("d", "dv"), [(1, 1), (16, 24), (24, 16), (80, 1), (128, 80)])
def test_features_of_any_number(d, dv, dtype):
    attend(data(19, 21, d, dv, dtype), mask=aec.masks.causal, dtype=dtype, rounded=dtype)


@pytest.mark.parametrize(("sq", "skv"), [(0, 5), (5, 0), (1, 63), (63, 1), (64, 65), (65, 64)])
def test_tails_of_tiles(sq, skv):
    attend(data(sq, skv), mask=lambda: aec.masks.causal(align="end"))


@pytest.mark.parametrize(
    ("rows", "tile"),
    [(35, "block-q=20 block-kv=24"), (4, "block-q=1 block-kv=40"), (35, "block-q=33 block-kv=7")],
)
@pytest.mark.parametrize("number", [None, np.inf])
@pytest.mark.parametrize("normalizer", ["softmax", "sigmoid"])
def test_tiles_that_are_no_powers_of_two(rows, tile, number, normalizer):
    """Sums over keys leave out what rounds a tile up in registers."""
    q, k, v = data(rows, 45)
    if number is not None:
        v[:, :, 2] = number
    mask, normalize = (lambda: aec.masks.causal(align="end")), getattr(aec.normalizers, normalizer)
    attend((q, k, v), mask=mask, normalize=normalize, tile=tile)


def test_no_sequences_launch_nothing():
    q, k, v = data()
    attend((q[:0], k[:0], v[:0]))


@pytest.mark.parametrize("layout", ["bshd", "shared", "every other feature", "features first"])
def test_strided_views(layout):
    attend([lay_out(array, {"layout": layout}) for array in data()], mask=aec.masks.causal)


def test_slices_between_other_elements():
    q, k, v = data(64, 64, 40)
    attend((q[:, :, 3:40, 8:24], k[:, :, 5:40, 8:24], v[:, :, 5:40, 8:24]), mask=aec.masks.causal)


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "i1"])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_captured_tensors_of_any_type_and_rank(dtype, rank):
    """By head, by row and key, and with all dimensions."""
    names = {1: (H,), 2: ("Sq", "Skv"), 4: ("B", H, "Sq", "Skv")}[rank]
    sizes = {"B": B, "Sq": SQ, "Skv": SKV}
    array = random(*[sizes.get(name, name) for name in names], number=8, dtype=dtype)

    def score(bias):
        def of(s, b, h, i, j):
            at = {1: (h,), 2: (i, j), 4: (b, h, i, j)}[rank]
            value = bias[at]
            if dtype == "i1":
                return aec.where(value, s, -s)
            return s + aec.cast(value, "f32")

        return of

    captured = {"bias": (aec.tensor(*names, dtype=dtype), array)}
    attend(data(), captured, score=score, mask=lambda bias: aec.masks.causal())


WITHOUT_DIMENSIONS = """
func.func @f(%q: tensor<?x2x?x8xf32>, %k: tensor<?x1x?x8xf32>, %x: tensor<TYPE>) -> tensor<?x2x?x8xf32> {
  %true = arith.constant true
  %half = arith.constant 0.5 : f32
  %o = "attn.attention"(%q, %k, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %y = tensor.extract %x[] : tensor<TYPE>
    %z = OPERATION %y : TYPE to f32
    %r = arith.mulf %s, %z : f32
    "attn.yield"(%r) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %p = arith.mulf %s, %half : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<?x2x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %o : tensor<?x2x?x8xf32>
}
"""


@pytest.mark.parametrize(
    ("dtype", "operation"),
    [("bf16", "arith.extf"), ("f16", "arith.extf"), ("i64", "arith.sitofp"), ("i1", "arith.uitofp")],
)
def test_captured_tensors_without_dimensions(dtype, operation):
    q, k, _ = data(19, 21)
    text = WITHOUT_DIMENSIONS.replace("TYPE", dtype).replace("OPERATION", operation)
    with make_context():
        module = ir.Module.parse(text)
    check(module, [q, k, np.asarray(1, TYPES[dtype])])


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *[("f64", -0.37), ("f32", 1.5), ("f16", -0.75), ("bf16", 2.5)],
        *[("i64", 3), ("i32", -2), ("i16", -5), ("i8", -1), ("index", 7), ("i1", True), ("i1", False)],
    ],
)
def test_scalars_of_any_type(dtype, value):
    def score(x):
        if dtype == "i1":
            return lambda s: aec.where(x, s, -s)
        return lambda s: s + aec.cast(x, "f32")

    captured = {"x": (aec.scalar(dtype), np.asarray(value, TYPES[dtype]))}
    attend(data(), captured, score=score)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_masked_keys_have_no_weight_whatever_v_holds(number):
    q, k, v = data()
    v[:, :, 20:] = number
    attend((q, k, v), mask=lambda: lambda j: j < 20)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_v_holds_where_keys_count_is_seen(number):
    q, k, v = data()
    v[:, :, 20, 3] = number
    attend((q, k, v), mask=aec.masks.causal)


def test_small_weights_that_nothing_normalises_survive_in_f16():
    """What is divided by their sum comes later: rounded to f16 before, weights of 1e-6 would be 0."""
    arrays = [random(1, 1, 24, 16, number=n, dtype="f16") for n in range(3)]
    arrays[:2] = [(array * 1e-3).astype(np.float16) for array in arrays[:2]]
    attend(
        arrays,
        score=lambda: aec.scores.scale(1.0),
        normalize=lambda: lambda row: row / aec.abs(row).sum(),
        dtype="f16",
        rounded="f16",
    )


def test_scalars_beside_attention_are_computed_in_the_kernel():
    def program(q, k, v, t):
        return aec.attention(q * aec.minimum(t, 2.0), k, v, normalize=aec.normalizers.softmax())

    shape = aec.tensor("B", 2, "S", 16)
    traced = aec.trace(program, q=shape, k=shape, v=shape, t=aec.scalar("f32"))
    inputs = [*(random(1, 2, 20, 16, number=n) for n in range(3)), np.float32(3.0)]
    check(traced.module, inputs)
    assert (
        "arith.minimumf"
        not in str(Kernels(traced.module, "block-q=16 block-kv=16").module).split("tt.func")[0]
    )
