"""Programs in streaming form, and keys cut in any way, for the tests of derived forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.passes.infra import run_pipeline
from aecompiler.reference import evaluate
from aecompiler.reference.streaming import splitting


def program(normalize: Callable, *, dtype: str = "f64", **options: Any) -> Any:
    """Attention of two heads, features 4 and 3, with a normaliser."""

    def shape(length: str, features: int) -> Any:
        return aec.tensor(1, 2, length, features, dtype=dtype)

    @aec.program(q=shape("Q", 4), k=shape("S", 4), v=shape("S", 3))
    def attention(q, k, v):
        return aec.attention(q, k, v, normalize=normalize, **options)

    return attention


def module_of(traced: Any) -> ir.Module:
    """A copy of the program's module, in its context."""
    with traced.context:
        return ir.Module.parse(str(traced))


def derived(traced: Any, options: str = "", verify: bool = True) -> ir.Module:
    """The program in streaming form, with its laws proved again from the regions."""
    module = module_of(traced)
    then = ",attn-verify-online" if verify else ""
    run_pipeline(module, f"attn-derive-online{{{options}}}{then}")
    return module


def passes(module: ir.Module) -> int:
    """The passes over the keys of a module with one attention."""
    text = str(module)
    count = text.count('"attn.online_reduce"') + text.count('"attn.online_attention"')
    assert f"attn.passes = {count} :" in text
    return count


def states(module: ir.Module) -> int:
    """The number of state values of the last pass."""
    return states_and_accumulators(module)[0]


def states_and_accumulators(module: ir.Module) -> tuple[int, int]:
    """The number of state values and of accumulators of the last pass."""
    from aecompiler.passes.rewriting import walk_list
    from aecompiler.passes.streaming_ops import read_form

    form = read_form(walk_list(module.operation, "attn.online_attention")[-1]).form
    return len(form.states), len(form.weights)


def run(module: ir.Module, arguments: Sequence[np.ndarray], split: Any = None) -> list[np.ndarray]:
    """The results of the only function in float64, with the keys cut as `split` says."""
    function = module.body.operations[0]
    if split is None:
        return list(evaluate(function, arguments))
    with splitting(lambda keys: split):
        return list(evaluate(function, arguments))


def inputs(queries: int, keys: int, seed: int = 0, scale: float = 1.0) -> list[np.ndarray]:
    """Arguments of a `program`."""
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((1, 2, *size)) for size in ((queries, 4), (keys, 4), (keys, 3)))
    return [q * scale, k * scale, v]


@st.composite
def splits(draw: Any, keys: int, depth: int = 3) -> Any:
    """Any way to cut keys into tiles, in any order and with empty ones, and to merge parts."""
    return _split(draw, draw(st.permutations(range(keys))), depth)


def _split(draw: Any, keys: Sequence[int], depth: int) -> Any:
    if depth and draw(st.booleans()):
        cut = draw(st.integers(0, len(keys)))
        return (_split(draw, keys[:cut], depth - 1), _split(draw, keys[cut:], depth - 1))
    cuts = sorted(draw(st.lists(st.integers(0, len(keys)), max_size=3)))
    return [list(keys[a:b]) for a, b in zip([0, *cuts], [*cuts, len(keys)], strict=True)]


def assert_close(got: Sequence[np.ndarray], want: Sequence[np.ndarray], tolerance: float = 1e-10) -> None:
    """Equal up to a tolerance relative to the row, at least 1; infinities and NaN are equal."""
    for index, (new, old) in enumerate(zip(got, want, strict=True)):
        finite = np.isfinite(old)
        np.testing.assert_array_equal(new[~finite], old[~finite], err_msg=f"result {index}")
        size = np.where(finite, np.abs(old), 0.0).max(axis=-1, keepdims=True, initial=1.0)
        error = np.where(finite, np.abs(np.where(finite, new, 0.0) - np.where(finite, old, 0.0)), 0.0) / size
        assert error.max(initial=0.0) <= tolerance, f"result {index}: error {error.max():.1e}"
