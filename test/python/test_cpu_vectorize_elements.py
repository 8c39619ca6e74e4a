"""What surrounds attention in a tile program, as loops over vectors: any size, integers, reductions."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from cpu_kernels import build, run, tile_programs, vectorized

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.backends.cpu import pipelines
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.reference.evaluate import evaluate

TYPES = {"f32": np.float32, "f64": np.float64, "bf16": ml_dtypes.bfloat16, "i8": np.int8, "i1": np.bool_}
TYPES |= {"i32": np.int32, "i64": np.int64}
TOLERANCE = {"f32": 2e-5, "f64": 1e-12, "bf16": 6e-2}
WIDTHS = {"512": "vector-bits=512 x86=true", "128": "vector-bits=128 tile-q=2 x86=false block-q=16"}


def arguments_of(program, sizes, seed=0):
    rng = np.random.default_rng(seed)
    for argument in program.arguments:
        shape, dtype = [sizes.get(d, d) for d in argument.spec.shape], argument.spec.dtype
        if dtype.startswith("i"):
            yield rng.integers(0 if dtype == "i1" else -3, 2 if dtype == "i1" else 4, shape).astype(
                TYPES[dtype]
            )
        else:
            yield rng.standard_normal(shape).astype(TYPES[dtype])


def check(program, *sizes, kernel=None):
    kernel = kernel or aec.compile(program, opt_level=0)
    dtype = program.arguments[0].spec.dtype
    for each in sizes:
        arguments = list(arguments_of(program, {"B": 1, **each}))
        found = kernel(*arguments)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        expected = evaluate(program.module.body.operations[0], arguments)
        for x, y in zip(found, expected, strict=True):
            close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
            np.testing.assert_allclose(x.astype(np.float64), y, **close)


LONG, FEW = {"Sq": 67, "Skv": 70}, {"Sq": 3, "Skv": 65}


def specs(d, dtype="f32", heads=(4, 2), **more):
    q, kv = heads
    shared = {
        "q": aec.tensor("B", q, "Sq", d, dtype=dtype),
        "k": aec.tensor("B", kv, "Skv", d, dtype=dtype),
        "v": aec.tensor("B", kv, "Skv", d, dtype=dtype),
    }
    return shared | more


def attend(q, k, v):
    return aec.attention(q, k, v, mask=masks.causal(align="end"), normalize=normalizers.softmax())


def rms_norm(x):
    return x * aec.rsqrt(aec.sum(x * x, -1, keepdims=True) / x.shape[-1] + 1e-6)


def layer_norm(x):
    d = x - aec.sum(x, -1, keepdims=True) / x.shape[-1]
    return d * aec.rsqrt(aec.sum(d * d, -1, keepdims=True) / x.shape[-1] + 0.1)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    left, right = x[..., :half], x[..., half : 2 * half]
    return aec.concat([left * cos - right * sin, right * cos + left * sin, x[..., 2 * half :]])


def interleaved(x, cos, sin):
    left, right = x[..., ::2], x[..., 1::2]
    return aec.concat([left * cos - right * sin, right * cos + left * sin])


def surrounded(d, dtype="f32"):
    """Everything at once: rotated and normed q and k, a norm of v and of the result, a gate, weights."""
    half = d // 2
    table = {
        name: aec.tensor(rows, half, dtype=dtype)
        for name, rows in (("cos", "Sq"), ("sin", "Sq"), ("ck", "Skv"), ("sk", "Skv"))
        if half
    }

    def program(q, k, v, w, gate, **tables):
        if half:
            q = rotate(q, tables["cos"], tables["sin"])
            k = rotate(k, tables["ck"], tables["sk"])
        o = attend(rms_norm(q) * w, layer_norm(k), v * 0.5)
        return rms_norm(o + w) * aec.sigmoid(gate)

    gate = aec.tensor("B", 4, "Sq", d, dtype=dtype)
    return aec.trace(program, **specs(d, dtype), w=aec.tensor(d, dtype=dtype), gate=gate, **table)


@pytest.mark.parametrize("d", [1, 3, 7, 17, 24, 33, 64, 100])
def test_rotations_norms_and_gates_of_any_feature_size(d):
    program = surrounded(d)
    assert tile_programs(program) == (3, 0)
    check(program, LONG, FEW)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["f64", "bf16"])
def test_rotations_norms_and_gates_of_other_types_and_widths(monkeypatch, dtype, width):
    if width == "512" and not CpuBackend.target.has("avx512f"):
        pytest.skip("needs avx512f")
    text = f"builtin.module(attn-cpu{{{WIDTHS[width]}}})"
    monkeypatch.setattr(CpuBackend, "pipeline", lambda self, schedule: text)
    program = surrounded(34, dtype)
    check(program, LONG, FEW)


def interleaved_rotation(q, k, v, cos, sin):
    return attend(interleaved(q, cos, sin), k, v)


def gate_of_integers(q, k, v, n):
    return attend(q, k, v) * aec.cast(n, "f32")


def choice(q, k, v, keep):
    return attend(aec.where(keep, q, 0.5), k, v)


def integers_of_keys(q, k, v, n):
    return attend(q, k + aec.cast(n * n + n, "f32"), v)


def transposed_result(q, k, v, gate):
    return aec.transpose(attend(q, k, v), (0, 2, 1, 3)) * aec.sigmoid(gate)


def heads_joined(q, k, v):
    return aec.transpose(attend(q, k, v) * 2, (0, 2, 1, 3))


def extremes_of_features(q, k, v):
    high, low = aec.max(q, axis=-1, keepdims=True), -aec.max(-q, axis=-1, keepdims=True)
    return attend((q - low) / (high - low + 1), k, v)


def as_q(dtype, features=24):
    return aec.tensor("B", 4, "Sq", features, dtype=dtype)


FORMS = {
    "interleaved_rotation": {"cos": aec.tensor("Sq", 12), "sin": aec.tensor("Sq", 12)},
    "gate_of_integers": {"n": as_q("i8")},
    "choice": {"keep": as_q("i1")},
    "integers_of_keys": {"n": aec.tensor("B", 2, "Skv", 24, dtype="i64")},
    "transposed_result": {"gate": aec.tensor("B", "Sq", 4, 24)},
    "heads_joined": {},
    "extremes_of_features": {},
}


@pytest.mark.parametrize("name", FORMS)
def test_other_forms_around_attention(name):
    program = aec.trace(globals()[name], **specs(24), **FORMS[name])
    assert tile_programs(program)[1] == 0
    check(program, LONG, FEW)


def test_work_on_integers_that_could_trap_stays_outside():
    def program(q, k, v, n, m):
        return attend(q + aec.cast(n // m, "f32"), k, v)

    traced = aec.trace(program, **specs(24), n=as_q("i32"), m=as_q("i32"))
    assert tile_programs(traced) == (2, 0)


# Each result n is reduced over n features of rows: in tiles of 8 rows, of which there are 5.
REDUCTION = """
  %r{n} = scf.forall (%i) in (5) shared_outs(%o = %empty) -> (!rows) {{
    %first = arith.muli %i, %c8 : index
    %part = tensor.extract_slice %x[%first, 0] [8, {n}] [1, 1] : tensor<40x40x!e> to tensor<8x{n}x!e>
    %init = tensor.empty() : tensor<8x!e>
    %start = linalg.fill ins(%zero : !e) outs(%init : tensor<8x!e>) -> tensor<8x!e>
    %sum = linalg.generic {{indexing_maps = [affine_map<(r, d) -> (r, d)>, affine_map<(r, d) -> (r)>],
        iterator_types = ["parallel", "reduction"]}}
        ins(%part : tensor<8x{n}x!e>) outs(%start : tensor<8x!e>) {{
    ^bb0(%a: !e, %b: !e):
      %c = {operation} %a, %b : !e
      linalg.yield %c : !e
    }} -> tensor<8x!e>
    scf.forall.in_parallel {{
      tensor.parallel_insert_slice %sum into %o[%first] [8] [1] : tensor<8x!e> into !rows
    }}
  }}"""
OPERATIONS = {
    "arith.addf": ("f32", np.add),
    "arith.maximumf": ("f32", np.maximum),
    "arith.subf": ("f32", None),  # what was summed up last counts positive: the order is not free
    "arith.addi": ("i32", np.add),
    "arith.maxsi": ("i8", np.maximum),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_reductions_over_any_number_of_features(monkeypatch, operation):
    element, ufunc = OPERATIONS[operation]
    sizes = range(1, 41)
    body = "".join(REDUCTION.format(n=n, operation=operation) for n in sizes)
    text = f"""
func.func @f(%x: tensor<40x40x!e>) -> ({", ".join(["!rows"] * len(sizes))}) {{
  %c8 = arith.constant 8 : index
  %zero = arith.constant {"0.0" if element == "f32" else "0"} : !e
  %empty = tensor.empty() : !rows{body}
  return {", ".join(f"%r{n}" for n in sizes)} : {", ".join(["!rows"] * len(sizes))}
}}""".replace("!rows", "tensor<40x!e>").replace("!e", element)
    assert vectorized(text, "cpu-prepare-functions") == (len(sizes), 0)
    target = CpuBackend.target
    steps = pipelines.lower_tensors(
        f"cpu-vectorize-tiles{{vector-bits={target.vector_bits}}}",
        vector_bits=target.vector_bits,
        x86=target.machine == "x86_64",
    )
    monkeypatch.setattr(CpuBackend, "pipeline", lambda self, schedule: f"builtin.module({steps})")
    executable = build(text)
    x = np.random.default_rng(0).integers(-9, 9, (40, 40)).astype(TYPES[element])
    outs = [np.full(40, 77, TYPES[element]) for _ in sizes]
    run(executable, [x], outs)
    for n, out in zip(sizes, outs, strict=True):
        if ufunc is None:
            signs = (-1.0) ** np.arange(n - 1, -1, -1)
            expected = (x[:, :n] * signs).sum(1)
        else:
            expected = ufunc.reduce(x[:, :n], 1, initial=0)
        np.testing.assert_array_equal(out, expected, err_msg=f"{n} features")
