"""Inputs, tolerances and comparisons for programs on the CPU whose results are known in closed form."""

import ml_dtypes
import numpy as np
from ir_programs import ALL, SOFTMAX, attention

import aecompiler as aec

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
# Against float64 on the same inputs, relative to the largest result: o is rounded to its type.
TOLERANCE = {"f16": 1e-3, "bf16": 8e-3, "f32": 1e-5, "f64": 1e-13}

# ---- steps of recurrences ----

OUTER = """%e = tensor.empty() : $S
    %rows = linalg.broadcast ins(%kt : $K) outs(%e : $S) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : $V) outs(%e : $S) dimensions = [0]
    %kv = arith.mulf %rows, %columns : $S
    """
READ_STATE = """%z = arith.constant dense<0.0> : $V
    %out = linalg.vecmat ins(%qt, {state} : $K, $S) outs(%z : $V) -> $V
    """
LINEAR = OUTER + "%S1 = arith.addf %S, %kv : $S\n    " + READ_STATE.format(state="%S1") + "yield %S1, %out"
DECAY = (
    """%g = tensor.extract %gate[%b, %h, %t] : tensor<?x?x?xf32>
    %a = math.exp %g : f32
    %decay = tensor.splat %a : $S
    """
    + OUTER
    + """%kept = arith.mulf %decay, %S : $S
    %S1 = arith.addf %kept, %kv : $S
    """
    + READ_STATE.format(state="%S1")
    + "yield %S1, %out"
)
READ_FIRST = READ_STATE.format(state="%S") + OUTER + "%S1 = arith.addf %S, %kv : $S\n    yield %S1, %out"

# ---- kernels and numbers ----


def compiled(text, **options):
    return aec.compile(text, **{"opt_level": 0, **options})


def random(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def qkv(b=1, hq=2, hkv=2, sq=5, skv=7, dqk=4, dv=3, dtype=np.float32):
    shapes = [(b, hq, sq, dqk), (b, hkv, skv, dqk), (b, hkv, skv, dv)]
    return [random(*shape, seed=n, dtype=dtype) for n, shape in enumerate(shapes)]


def wide(*arrays):
    return [np.asarray(array).astype(np.float64) for array in arrays]


def assert_close(got, want, tolerance):
    got, want = wide(got, want)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    infinite = np.isinf(want)
    np.testing.assert_array_equal(got[infinite], want[infinite])
    finite = np.isfinite(want)
    scale = np.abs(want[finite]).max(initial=1.0)
    np.testing.assert_allclose(got[finite], want[finite], rtol=0, atol=tolerance * scale)


def program(
    score="yield %s", mask=ALL, normalize=SOFTMAX, captures="", element="f32", dqk=4, dv=3, heads="?"
):
    shapes = {name: f"?x{heads}x?x{size}" for name, size in (("q", dqk), ("k", dqk), ("v", dv))}
    return attention(score, mask, normalize, captures, element=element, **shapes)
