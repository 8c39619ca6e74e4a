"""Exponentials of kernels to base 2: their errors, their numbers, and the operations of a tile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawn_programs import each_drawn
from random_programs import attention_programs
from random_tiles import tile_programs
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.backends.nvidia.target import SM_80, SM_90
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.compiler import compile_kernel
from aecompiler.backends.triton.kernel_text import kernel_texts
from aecompiler.bindings import arith, ir
from aecompiler.bindings import math as math_ops
from aecompiler.dialect import make_context
from aecompiler.passes import rewriting as rw
from aecompiler.passes.pipeline import run_pipeline

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlir"
ATTENTION = sorted(
    path.stem for path in EXAMPLES.glob("*.mlir") if "attn.recurrence" not in path.read_text(encoding="utf-8")
)
B, H, SQ, SKV, D = 2, 2, 35, 37, 8
LOWEST = float(np.finfo(np.float32).min)
EPSILON = 2.0**-22
STAND_INS = [-1e4, -1000095168.0, -1000097120256.0, LOWEST, -np.inf]
"""Products of the second and third with log2 e are rounded to less, by 64 and by 65509."""


def random(*shape, number=0, size=1.0):
    array = np.random.default_rng(number).standard_normal(shape)
    return (size * array).astype(np.float32)


def data(size=1.0):
    q, k = random(B, H, SQ, D, number=1, size=size), random(B, 1, SKV, D, number=2, size=size)
    return q, k, random(B, 1, SKV, D, number=3)


def traced(score=None, mask=None, normalize=None, captured=(), dtype="f32"):
    """A program of attention, whose options are made from the captured values that are traced."""

    def program(q, k, v, **values):
        options = {"score": score, "mask": mask, "normalize": normalize}
        made = {name: make(**values) for name, make in options.items() if make is not None}
        return aec.attention(q, k, v, **made)

    specs = {
        "q": aec.tensor("B", H, "Sq", D, dtype=dtype),
        "k": aec.tensor("B", 1, "Skv", D, dtype=dtype),
        "v": aec.tensor("B", 1, "Skv", D, dtype=dtype),
    }
    return aec.trace(program, **specs, **dict(captured)).module


def results(module, inputs, *, fold):
    """What kernels give, and the reference; products and sums are one instruction, as GPUs have them."""
    kernels = Kernels(module, f"block-q=16 block-kv=16 fold-exponents={str(fold).lower()}")
    with kernels.module.context, ir.Location.unknown():
        for op in rw.walk_list(kernels.module.operation):
            if op.name in ("arith.addf", "arith.subf") and "f32" in str(op.results[0].type):
                contract(op)
    return [(got.astype(np.float64), want) for _, got, want in kernels.run(inputs)]


def contract(op):
    """Make one operation of a sum or a difference and the product that it alone uses."""
    left, right = op.operands
    for product, other in ((left, right), (right, left)):
        if isinstance(product.owner, ir.Block) or product.owner.name != "arith.mulf":
            continue
        if len(list(product.uses)) != 1 or product.owner.operation.block != op.block:
            continue
        with ir.InsertionPoint(op):
            a, b = product.owner.operands
            if op.name == "arith.subf":
                negative = a if product == right else other
                minus = arith.subf(tt.constant(negative.type, -0.0), negative)
                a, other = (minus, other) if product == right else (a, minus)
            op.results[0].replace_all_uses_with(math_ops.fma(a, b, other))
        op.erase()
        return


def error(pairs):
    """The largest error of finite results beside the largest number of their rows; others must be equal."""
    worst = 0.0
    for got, want in pairs:
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[~finite], want[~finite])
        difference = np.where(finite, np.abs(got - np.where(finite, want, 0)), 0)
        row = np.where(finite, np.abs(want), 0)
        row = row.max(axis=-1, keepdims=True, initial=0) if row.ndim else row
        worst = max(worst, float((difference / np.maximum(row, 1)).max(initial=0)))
    return worst


def check(module, inputs, epsilon=EPSILON):
    """The error is at most four times that of exponentials to base e."""
    before, after = (error(results(module, inputs, fold=fold)) for fold in (False, True))
    assert after <= 4 * before + epsilon, f"{after:.1e} beside {before:.1e}"
    return before, after


# ---- numbers -----------------------------------------------------------------------------------------


SCORES = {
    "scaled": lambda: aec.scores.scale(),
    "scaled-by-a-negative-number": lambda: aec.scores.scale(-0.7),
    "softcap": lambda: aec.scores.softcap(20.0),
    "distance": lambda: lambda s, i, j: s * 0.5 + 0.1 * aec.cast(j - i, "f32"),
    "quotient": lambda: lambda s: s / 3.0,
    "chain": lambda: lambda s: -((s * 0.5 - 2.0) / 1.5) * 0.25,
}
NORMALIZERS = {
    "softmax": lambda: aec.normalizers.softmax(lse=True),
    "softmax-base-2": lambda: aec.normalizers.softmax(lse=True, base=2),
    "softmax-off-by-one": lambda: aec.normalizers.softmax_off_by_one(lse=True),
    "sigmoid": lambda: aec.normalizers.sigmoid(-3.0),
    "softpick": lambda: aec.normalizers.softpick(),
}


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
def test_error_is_about_that_of_exponentials_to_base_e(score, normalizer):
    module = traced(SCORES[score], lambda: aec.masks.causal(align="end"), NORMALIZERS[normalizer])
    check(module, data(3.0))


@pytest.mark.parametrize("size", [1.0, 10.0, 100.0])
def test_error_of_large_scores(size):
    check(traced(SCORES["scaled"], normalize=NORMALIZERS["softmax"]), data(size))


@pytest.mark.parametrize(("name", "count"), [("tiles", 8), ("wild", 6)])
def test_error_of_random_programs(name, count, report_lines):
    errors: list[tuple[float, float]] = []

    def check_folded(program):
        if len(errors) >= count or program.element != "f32" or "exp" not in program.source:
            return
        call = program.calls[0]
        inputs = program.inputs(call)
        if inputs[0][..., 0].size * inputs[1].shape[2] < 10_000:
            errors.append(check(program.trace().module, inputs, 2.0**-19))

    strategy = tile_programs() if name == "tiles" else attention_programs()
    each_drawn(strategy, 11, 8 * count, check_folded)
    before, after = map(max, zip(*errors, strict=True))
    report_lines.append(f"{name} with exponents folded: {len(errors)}, error {after:.1e} beside {before:.1e}")
    assert len(errors) >= count


# ---- numbers that stand for others -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("lowest", STAND_INS)
@pytest.mark.parametrize("form", ["bias", "choice"])
def test_rows_of_numbers_that_stand_for_minus_infinity(form, lowest, dtype):
    """Whole rows, and whole first tiles: weights are equal then, or forgotten where other scores come.

    Beside exponentials to base e, for in f32 scores of the reference that are so large are equal.
    """
    keep = np.random.default_rng(5).random((SQ, SKV)) < 0.5
    keep[3] = keep[20] = False
    keep[:, :16] &= np.arange(SQ)[:, None] % 2 == 0
    if form == "bias":
        captured = {"bias": aec.tensor("Sq", "Skv")}
        score, third = (lambda bias: lambda s, i, j: s * 0.3 + bias[i, j]), np.where(keep, 0, lowest)
    else:
        captured = {"bias": aec.tensor("Sq", "Skv", dtype="i1")}
        score = lambda bias: lambda s, i, j: aec.where(bias[i, j], s * 0.3, lowest)  # noqa: E731
        third = keep
    module = traced(score, None, lambda **_: aec.normalizers.softmax(), captured, dtype)
    inputs = [x.astype(np.float32 if dtype == "f32" else np.float16) for x in data()]
    third = third if form == "choice" else third.astype(np.float32)
    (got, _), (want, _) = (results(module, [*inputs, third], fold=fold)[0] for fold in (True, False))
    assert np.isfinite(want).all()
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("score", ["scaled", "distance", "softcap"])
def test_infinities_and_nan_give_what_they_gave(score, number):
    q, k, v = data()
    q[:, :, 4, 0] = k[:, :, 7, 1] = number
    module = traced(SCORES[score], lambda: aec.masks.causal(), NORMALIZERS["softmax"])
    after, before = (results(module, (q, k, v), fold=fold) for fold in (True, False))
    for (got, _), (should, _) in zip(after, before, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(should))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(should))


def test_rows_without_keys_are_0():
    module = traced(SCORES["scaled"], lambda: ~aec.masks.always(), NORMALIZERS["softmax"])
    (o, _), (lse, _) = results(module, data(), fold=True)
    assert not o.any()
    assert (lse == -np.inf).all()


# ---- operations --------------------------------------------------------------------------------------


def kernels_of(name, fold):
    """The module of an example in kernels."""
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse((EXAMPLES / f"{name}.mlir").read_text())
        run_pipeline(module, f"builtin.module(attn-tt{{fold-exponents={str(fold).lower()}}})")
        return module


def tile_operations(module):
    """The operations of f32 on a tile of scores in each loop that multiplies, without what costs nothing."""
    found = []
    for loop in rw.walk_list(module.operation, "scf.for"):
        body = [view.operation for view in loop.regions[0].blocks[0].operations]
        if "tt.dot" not in [op.name for op in body]:
            continue
        counts: Counter[str] = Counter()
        for op in body:
            free = op.name in ("tt.splat", "tt.broadcast", "tt.expand_dims", "tt.dot", "arith.constant")
            scores = [x for x in (*op.operands, *op.results) if "<64x64xf32>" in str(x.type)]
            if scores and not free:
                counts[op.name.partition(".")[2]] += 1
        found.append(counts)
    return found


SOFTMAX = {"reduce": 2, "mulf": 1, "subf": 1}
COUNTS = {
    "softmax": (SOFTMAX | {"exp": 1}, SOFTMAX | {"exp2": 1}),
    "alibi": (
        {"reduce": 2, "mulf": 1, "addf": 1, "subf": 1, "exp": 1},
        {"reduce": 2, "mulf": 2, "addf": 1, "subf": 1, "exp2": 1},
    ),
    "softcap": (
        {"reduce": 1, "mulf": 2, "extern_elementwise": 1, "exp": 1},
        {"reduce": 1, "mulf": 2, "extern_elementwise": 1, "exp2": 1},
    ),
}


DISTANCES = {"mulf": 1, "subf": 1}
"""What distances cost in addition where a mask stands between them and the maximum (`tt-move-addends`)."""


@pytest.mark.parametrize("name", COUNTS)
def test_operations_on_a_tile_of_scores(name):
    """In loops without a mask, then in loops with one, which choose as well."""
    before, after = (tile_operations(kernels_of(name, fold)) for fold in (False, True))
    assert len(before) >= 2
    masked = Counter({"select": 1}) + Counter(DISTANCES if name == "alibi" else {})
    for found, expected in zip((before, after), COUNTS[name], strict=True):
        assert found[0] == expected
        assert found[1] == Counter(expected) + masked


@pytest.mark.parametrize("name", ATTENTION)
def test_no_tile_needs_more_operations(name):
    """An exp is a product and an exp2."""
    before, after = (tile_operations(kernels_of(name, fold)) for fold in (False, True))
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        products = old["mulf"] + old["divf"] + old["exp"]
        assert new["mulf"] + new["divf"] + new["exp"] <= products
        assert new.total() <= old.total() + old["exp"]
        assert new["exp2"] == old["exp2"] + old["exp"]


# ---- code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [SM_80, SM_90], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["softmax", "alibi", "sigmoid"])
def test_triton_compiles_exponentials_to_one_instruction(name, target):
    pytest.importorskip("triton")
    texts = [next(iter(kernel_texts(kernels_of(name, fold)))) for fold in (True, False)]
    after, before = (compile_kernel(text.text, text.name, target) for text in texts)
    assert after.ptx.count("ex2.approx.ftz.f32") == before.ptx.count("ex2.approx.f32") > 0
    assert "ex2.approx.f32" not in after.ptx
    assert after.spills <= before.spills
