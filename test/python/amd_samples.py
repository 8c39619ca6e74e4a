"""Kernels that Triton's AMD backend compiles for the AMD chips, each with arguments and its result in
float64.

They are what the simulator of AMD assembly is held against: code from another compiler, whose layouts of
lanes and waits have run on the hardware.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import ml_dtypes
import numpy as np
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

CHIPS = ("gfx90a", "gfx942", "gfx950")
BF16 = np.dtype(ml_dtypes.bfloat16)


@triton.jit
def matmul(a, b, c, m, n, k, stride, block_m: tl.constexpr, block_n: tl.constexpr, block_k: tl.constexpr):
    """c[m, n] = a[m, k] @ b[k, n], with every size masked; rows of b are `stride` elements apart."""
    program = tl.program_id(0)
    blocks = tl.cdiv(n, block_n)
    rows = (program // blocks) * block_m + tl.arange(0, block_m)
    columns = (program % blocks) * block_n + tl.arange(0, block_n)
    inner = tl.arange(0, block_k)
    total = tl.zeros((block_m, block_n), tl.float32)
    for start in range(0, k, block_k):
        left = tl.load(
            a + rows[:, None] * k + (start + inner)[None, :],
            mask=(rows[:, None] < m) & ((start + inner)[None, :] < k),
            other=0.0,
        )
        right = tl.load(
            b + (start + inner)[:, None] * stride + columns[None, :],
            mask=((start + inner)[:, None] < k) & (columns[None, :] < n),
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision="ieee")
    where = c + rows[:, None] * n + columns[None, :]
    tl.store(where, total.to(c.dtype.element_ty), mask=(rows[:, None] < m) & (columns[None, :] < n))


@triton.jit
def softmax(x, y, n, block: tl.constexpr):
    """Row `program` of y = softmax(x, axis=1), rows of n elements."""
    row = tl.program_id(0)
    columns = tl.arange(0, block)
    values = tl.load(x + row * n + columns, mask=columns < n, other=float("-inf")).to(tl.float32)
    values = tl.exp(values - tl.max(values, 0))
    tl.store(y + row * n + columns, (values / tl.sum(values, 0)).to(y.dtype.element_ty), mask=columns < n)


@triton.jit
def reduce(x, sums, places, rows: tl.constexpr, columns: tl.constexpr):
    """sums[c] = sum over rows, places[r] = position of the largest element of row r."""
    r = tl.arange(0, rows)
    c = tl.arange(0, columns)
    values = tl.load(x + r[:, None] * columns + c[None, :])
    tl.store(sums + c, tl.sum(values, 0))
    tl.store(places + r, tl.argmax(values, 1))


@triton.jit
def running_sum(x, y, n: tl.constexpr):
    """y = cumulative sum of x."""
    at = tl.arange(0, n)
    tl.store(y + at, tl.cumsum(tl.load(x + at), 0))


@triton.jit
def attention(
    q,
    k,
    v,
    o,
    length,
    scale,
    causal: tl.constexpr,
    block_q: tl.constexpr,
    block_k: tl.constexpr,
    d: tl.constexpr,
):
    """One block of queries of o = softmax(scale q kᵀ) v with an online softmax."""
    start_q = tl.program_id(0) * block_q
    rows = start_q + tl.arange(0, block_q)
    features = tl.arange(0, d)
    query = tl.load(q + rows[:, None] * d + features[None, :], mask=rows[:, None] < length, other=0.0)
    largest = tl.full((block_q,), -1.0e30, tl.float32)
    total = tl.zeros((block_q,), tl.float32)
    result = tl.zeros((block_q, d), tl.float32)
    stop = tl.minimum(start_q + block_q, length) if causal else length
    for start in range(0, stop, block_k):
        keys = start + tl.arange(0, block_k)
        key = tl.load(k + keys[None, :] * d + features[:, None], mask=keys[None, :] < length, other=0.0)
        value = tl.load(v + keys[:, None] * d + features[None, :], mask=keys[:, None] < length, other=0.0)
        scores = tl.dot(query, key) * (scale * 1.4426950408889634)
        allowed = keys[None, :] < length
        if causal:
            allowed = allowed & (keys[None, :] <= rows[:, None])
        scores = tl.where(allowed, scores, -1.0e30)
        now = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - now[:, None])
        factor = tl.exp2(largest - now)
        total = total * factor + tl.sum(weights, 1)
        result = tl.dot(weights.to(value.dtype), value, result * factor[:, None])
        largest = now
    tl.store(
        o + rows[:, None] * d + features[None, :],
        (result / total[:, None]).to(o.dtype.element_ty),
        mask=rows[:, None] < length,
    )


@dataclass(frozen=True)
class Sample:
    """A kernel, how it is compiled, and arguments with their expected results.

    `signature`: types of the arguments that aren't constants, by name. `make` gives the arguments, the
    results that stand in the arrays among them in the end (by position), and the grid.
    """

    name: str
    kernel: Callable
    signature: dict[str, str]
    constants: dict[str, object]
    make: Callable[[np.random.Generator], tuple[list, dict[int, np.ndarray], int]]
    tolerance: float
    options: dict[str, object] = field(default_factory=dict)


@cache
def compiled(sample_name: str, chip: str) -> tuple[str, str, int, int]:
    """Assembly, name of the kernel, bytes of local memory and threads of a sample."""
    sample = (SAMPLES | VARIANTS)[sample_name]
    source = ASTSource(
        fn=sample.kernel,
        signature={**sample.signature, **dict.fromkeys(sample.constants, "constexpr")},
        constexprs=sample.constants,
        attrs={
            (n,): [["tt.divisibility", 16]]
            for n, kind in enumerate(sample.signature.values())
            if kind[0] == "*"
        },
    )
    built = triton.compile(
        source,
        target=GPUTarget("hip", chip, 64),
        options={"num_warps": 4, "enable_fp_fusion": True, **sample.options},
    )
    return built.asm["amdgcn"], built.metadata.name, built.metadata.shared, 64 * built.metadata.num_warps


def cast(values: np.ndarray, kind: str) -> np.ndarray:
    """Values in a type of Triton's signatures, with 0 for what f16 has as denormal numbers.

    The matrix cores of gfx90a take these for 0.
    """
    given = np.where(np.abs(values) < 2.0**-14, 0.0, values)
    return given.astype({"fp16": np.dtype(np.float16), "bf16": BF16, "fp32": np.dtype(np.float32)}[kind])


def wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def _matmul(
    name: str, kind: str, tile: tuple[int, int, int], sizes: tuple[int, int, int], **options: object
) -> Sample:
    m, n, k = sizes

    def make(random: np.random.Generator) -> tuple[list, dict[int, np.ndarray], int]:
        a = cast(random.standard_normal((m, k)), kind)
        b = cast(random.standard_normal((k, n)), kind)
        blocks = -(-m // tile[0]) * -(-n // tile[1])
        return [a, b, np.full((m, n), np.nan, np.float32), m, n, k, n], {2: wide(a) @ wide(b)}, blocks

    signature = {
        "a": f"*{kind}",
        "b": f"*{kind}",
        "c": "*fp32",
        "m": "i32",
        "n": "i32",
        "k": "i32",
        "stride": "i32",
    }
    constants = dict(zip(("block_m", "block_n", "block_k"), tile, strict=True))
    return Sample(name, matmul, signature, constants, make, 2e-5, options)


def _softmax(name: str, kind: str, n: int, block: int) -> Sample:
    def make(random: np.random.Generator) -> tuple[list, dict[int, np.ndarray], int]:
        x = cast(3 * random.standard_normal((2, n)), kind)
        values = np.exp(wide(x) - wide(x).max(1, keepdims=True))
        result = values / values.sum(1, keepdims=True)
        return [x, cast(np.full((2, n), np.nan), kind), n], {1: result}, 2

    signature = {"x": f"*{kind}", "y": f"*{kind}", "n": "i32"}
    return Sample(name, softmax, signature, {"block": block}, make, 1e-6 if kind == "fp32" else 4e-3)


def _reduce(random: np.random.Generator) -> tuple[list, dict[int, np.ndarray], int]:
    x = random.standard_normal((64, 64)).astype(np.float32)
    results = {1: wide(x).sum(0), 2: x.argmax(1).astype(np.float64)}
    return [x, np.full(64, np.nan, np.float32), np.full(64, -1, np.int32)], results, 1


def _running(random: np.random.Generator) -> tuple[list, dict[int, np.ndarray], int]:
    x = random.standard_normal(512).astype(np.float32)
    return [x, np.full(512, np.nan, np.float32)], {1: wide(x).cumsum()}, 1


def _attention(name: str, kind: str, length: int, causal: bool, **options: object) -> Sample:
    d, block = 64, 64

    def make(random: np.random.Generator) -> tuple[list, dict[int, np.ndarray], int]:
        q, k, v = (cast(random.standard_normal((length, d)), kind) for _ in range(3))
        scores = wide(q) @ wide(k).T * 0.125
        if causal:
            scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        result = weights / weights.sum(1, keepdims=True) @ wide(v)
        return (
            [q, k, v, np.full((length, d), np.nan, np.float32), length, 0.125],
            {3: result},
            -(-length // block),
        )

    signature = dict.fromkeys("qkv", f"*{kind}") | {"o": "*fp32", "length": "i32", "scale": "fp32"}
    constants = {"causal": causal, "block_q": block, "block_k": block, "d": d}
    return Sample(name, attention, signature, constants, make, 2e-3 if kind == "fp16" else 1e-2, options)


SAMPLES = {
    sample.name: sample
    for sample in (
        _matmul("matmul-f16", "fp16", (64, 64, 32), (64, 40, 75), matrix_instr_nonkdim=16, num_stages=2),
        _matmul("matmul-bf16", "bf16", (64, 64, 32), (64, 64, 64), matrix_instr_nonkdim=32, num_stages=1),
        _matmul("matmul-f32", "fp32", (32, 32, 32), (32, 32, 64), matrix_instr_nonkdim=16, num_stages=1),
        _matmul("matmul-f32-wide", "fp32", (64, 64, 16), (70, 70, 37), matrix_instr_nonkdim=32, num_stages=2),
        _matmul(
            "matmul-f16-stages", "fp16", (64, 64, 64), (64, 64, 256), matrix_instr_nonkdim=16, num_stages=3
        ),
        _softmax("softmax-f32", "fp32", 1000, 1024),
        _softmax("softmax-f16", "fp16", 999, 1024),
        Sample(
            "reduce",
            reduce,
            {"x": "*fp32", "sums": "*fp32", "places": "*i32"},
            {"rows": 64, "columns": 64},
            _reduce,
            1e-5,
        ),
        Sample("running-sum", running_sum, {"x": "*fp32", "y": "*fp32"}, {"n": 512}, _running, 1e-4),
        _attention("attention-f16", "fp16", 100, False, matrix_instr_nonkdim=16, num_stages=1),
        _attention("attention-bf16", "bf16", 128, True, matrix_instr_nonkdim=32, num_stages=2),
        _attention("attention-f16-wide", "fp16", 128, False, matrix_instr_nonkdim=32, num_stages=1),
        _attention("attention-bf16-small", "bf16", 129, True, matrix_instr_nonkdim=16, num_stages=2),
    )
}


def _variants() -> list[Sample]:
    """The samples with other matrix instructions, stages, waves and sizes."""
    found = []
    for kind, shape in itertools.product(("fp16", "bf16", "fp32"), (16, 32)):
        for stages in (1, 2, 3):
            options = {"matrix_instr_nonkdim": shape, "num_stages": stages}
            name = f"matmul-{kind}-{shape}-{stages}-stages"
            found.append(_matmul(name, kind, (64, 64, 32), (70, 100, 77), **options))
    for kind, causal, shape in itertools.product(("fp16", "bf16"), (False, True), (16, 32)):
        for option, value in itertools.product(("num_stages", "num_warps"), (1, 2, 3, 8)):
            if (option, value) in (("num_stages", 8), ("num_warps", 3)):
                continue
            name = f"attention-{kind}-{'causal' if causal else 'full'}-{shape}-{value}-{option[4:]}"
            found.append(_attention(name, kind, 150, causal, matrix_instr_nonkdim=shape, **{option: value}))
    found += [_softmax(f"softmax-{n}", "fp32", n, 1024) for n in (1, 63, 64, 65, 511, 1024)]
    return found


VARIANTS = {sample.name: sample for sample in _variants()}
