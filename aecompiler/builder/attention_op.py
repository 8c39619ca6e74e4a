"""`attention(...)`: trace the score, the mask and the normaliser, and build one `attn.attention`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.bindings import ir
from aecompiler.builder import dtypes, functions, operands, regions, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.source import Place
from aecompiler.builder.tracing import Dim, Scope
from aecompiler.dialect import rules

_YIELD = "attn.yield"


def attention(
    q: values.Value,
    k: values.Value,
    v: values.Value,
    *,
    score: Callable | None = None,
    mask: Callable | None = None,
    normalize: Callable | None = None,
    out_dtype: Any = None,
) -> Any:
    """Attention of q [B, Hq, Sq, Dqk] over k [B, Hkv, Skv, Dqk] and v [B, Hkv, Skv, Dv]; Hq is a multiple of
    Hkv.

    `score(s, b, h, i, j)` maps the product of query i and key j of head h of batch b to its score (default:
    as it is). `mask(b, h, i, j)` is true where key j takes part (default: everywhere). `normalize(row, b, h,
    i, j)` gives the weight of one element of a row of scores, using `row.max()`, `.min()`, `.sum()` and
    `.prod()` (default: softmax); it may return `weight, extra, ...`, where extras are the same for the whole
    row. The functions may take some of these arguments, by these names, and Sq, Skv, Hq and Dqk as `q_len`,
    `kv_len`, `heads` and `features`.

    Returns o [B, Hq, Sq, Dv], in q's type or f32 (`out_dtype="f32"`), or `(o, extra, ...)` with extras [B,
    Hq, Sq] of f32 (f64 for f64). Raises TraceError at the user's line for wrong shapes, types and functions.
    """
    scope = operands.function_scope("aec.attention")
    named = operands.tensors("aec.attention", q=q, k=k, v=v)
    if error := rules.attention_operands(*map(operands.sizes, named.values())):
        raise TraceError(f"aec.attention {error}")
    for axis, what, left, right in (
        (0, "batch sizes", "q", "k"),
        (0, "batch sizes", "q", "v"),
        (1, "head counts", "k", "v"),
        (2, "sequence lengths", "k", "v"),
    ):
        operands.unify("aec.attention", what, axis, {left: named[left], right: named[right]})
    if isinstance(q._dims[1], str):
        operands.unify("aec.attention", "dynamic head counts", 1, {"q": q, "k": k})

    acc, trace, loc = dtypes.accumulator(q.dtype), scope.trace, scope.trace.location()
    dims: tuple[Dim, ...] = (*q._dims[:3], v._dims[3])
    o_type = operands.type_of(dims, operands.output_dtype("aec.attention", out_dtype, q.dtype))
    _, heads, q_len, features = q.shape
    sizes = {"q_len": q_len, "kv_len": k.shape[2], "heads": heads, "features": features}
    inputs = [value._ir for value in named.values()]
    draft = ir.Operation.create("attn.attention", [o_type], inputs, regions=3, loc=loc)
    normalize = _softmax if normalize is None else normalize
    extras = 0

    def region(
        position: int, kind: str, function: Callable, finish: Callable[[Scope, Any, Place], list]
    ) -> None:
        inner = Scope(trace, kind, scope, acc, sizes=sizes)
        indices = [("index", (), name == "j" and kind == "normalize") for name in "bhij"]
        arguments = indices if kind == "mask" else [(acc, (), kind == "normalize"), *indices]
        regions.build(
            draft.regions[position],
            inner,
            function,
            arguments,
            _YIELD,
            lambda returned, place: finish(inner, returned, place),
        )

    def normalized(inner: Scope, returned: Any, place: Place) -> list[ir.Value]:
        nonlocal extras
        parts = returned if isinstance(returned, tuple | list) else (returned,)
        if not parts:
            raise TraceError("expects the normalize function to return a weight, got nothing", place)
        extras = len(parts) - 1
        for position, part in enumerate(parts[1:]):
            if isinstance(part, values.Value) and part._varying:
                raise TraceError(
                    f"expects extra {position} of the normalize function to be the same for the whole row, "
                    "got a value that varies along it; reduce it with .max(), .min(), .sum() or .prod()",
                    place,
                )
        names = ["the weight", *[f"extra {position}" for position in range(extras)]]
        return [
            regions.scalar_result(inner, part, acc, f"{name} of the normalize function", place)
            for name, part in zip(names, parts, strict=True)
        ]

    with trace.building(draft):
        region(
            0,
            "score",
            _identity if score is None else score,
            lambda inner, x, place: [regions.scalar_result(inner, x, acc, "the score", place)],
        )
        region(
            1,
            "mask",
            _everywhere if mask is None else mask,
            lambda inner, x, place: [regions.scalar_result(inner, x, dtypes.BOOL, "the mask", place)],
        )
        region(2, "normalize", normalize, normalized)

    op = draft
    if extras:  # the number of results is known only now
        types = [o_type, *[operands.type_of(dims[:3], acc)] * extras]
        op = ir.Operation.create("attn.attention", types, inputs, regions=3, loc=loc)
        for source, target in zip(draft.regions, op.regions, strict=True):
            source.blocks[0].append_to(target)
        draft.erase()
    o, *rest = op.results
    names = tuple(getattr(normalize, "extra_names", ()))
    trace.hints[o] = "o"
    for position, extra in enumerate(rest):
        trace.hints[extra] = names[position] if len(names) == len(rest) else f"extra{position}"
    result = values.Value(o, dtypes.dtype_of(o.type), dims, scope)
    if not rest:
        return result
    return (result, *[values.Value(extra, acc, dims[:3], scope) for extra in rest])


def _identity(s: values.Value) -> values.Value:
    return s


def _everywhere() -> bool:
    return True


def _softmax(row: values.Value) -> values.Value:
    p = functions.exp(row - row.max())
    return p / p.sum()
