"""`recurrence(...)`: trace the step and build one `attn.recurrence`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.bindings import arith, ir
from aecompiler.builder import arithmetic, dtypes, emit, operands, regions, tensors, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.source import Place
from aecompiler.builder.tracing import Dim, Scope
from aecompiler.dialect import rules

_CALLER = "aec.recurrence"


def recurrence(
    q: values.Value,
    k: values.Value,
    v: values.Value,
    step: Callable,
    *,
    initial: values.Value | None = None,
    offsets: values.Value | None = None,
    out_dtype: Any = None,
) -> tuple[values.Value, values.Value]:
    """A recurrence over the positions of q, k [B, Hx, T, Dk] and v [B, Hx, T, Dv] with a state per batch and
    head.

    `step(S, q, k, v, b, h, t)` gets the state [Dk, Dv], the vectors of position t of head h of batch b, all
    in f32 (f64 for f64), and returns the new state and the output [Dv]. It must be affine in S. H is the
    largest head count; an operand with Hx heads is read at h / (H / Hx). The step may leave out some of b, h,
    t, and take H and Dk as `heads` and `features`. `initial` [B, H, Dk, Dv] defaults to zeros.

    `offsets` (i32, N + 1 cumulative lengths) packs N sequences into batch row 0, with a state for each:
    `initial` and the final state are [N, H, Dk, Dv].

    Returns (o [B, H, T, Dv] in q's type or f32, final state). Raises TraceError at the user's line.
    """
    scope = operands.function_scope(_CALLER)
    named = operands.tensors(_CALLER, q=q, k=k, v=v)
    acc, trace = dtypes.accumulator(q.dtype), scope.trace
    for name, value in named.items():
        if error := rules.rank(name, value._dims, 4, ", ".join(rules.AXES)) or rules.static_feature(  # type: ignore[arg-type]
            name, operands.sizes(value)
        ):
            raise TraceError(f"{_CALLER} {error}")
    if offsets is not None:
        _check_offsets(offsets)
    if initial is None:
        initial = _zeros(scope, named, offsets, acc)
    else:
        operands.tensors(_CALLER, initial=initial)
        initial = initial if initial.dtype == acc else initial.astype(acc)
    shapes = [operands.sizes(value) for value in (*named.values(), initial)]
    if error := rules.recurrence_operands(*shapes, varlen=offsets is not None):
        raise TraceError(f"{_CALLER} {error}")
    _unify_sizes(named, initial, varlen=offsets is not None)

    heads = max(
        (value._dims[1] for value in (*named.values(), initial)),
        key=lambda dim: dim if isinstance(dim, int) else 0,
    )
    if initial._dims[1] != heads:
        raise TraceError(
            f"{_CALLER} expects initial to have the largest head count {heads}, got {initial._dims[1]}"
        )
    dims: tuple[Dim, ...] = (q._dims[0], heads, q._dims[2], v._dims[3])
    o_type = operands.type_of(dims, operands.output_dtype(_CALLER, out_dtype, q.dtype))
    inputs = [value._ir for value in (*named.values(), initial, *([] if offsets is None else [offsets]))]
    types = [o_type, operands.type_of(initial._dims, acc)]
    op = ir.Operation.create("attn.recurrence", types, inputs, regions=1, loc=trace.location())
    state = tuple(dim for dim in (k._dims[3], v._dims[3]) if isinstance(dim, int))
    key, column = state[:1], state[1:]
    sizes = {"heads": heads if isinstance(heads, int) else q.shape[1], "features": state[0]}
    inner = Scope(trace, "step", scope, acc, sizes=sizes)
    with trace.building(op):
        regions.build(
            op.regions[0],
            inner,
            step,
            [
                (acc, state, False),
                (acc, key, False),
                (acc, key, False),
                (acc, column, False),
                *[("index", (), False)] * 3,
            ],
            "attn.step_yield",
            lambda returned, place: _step_results(inner, returned, place, state, column),
        )
    o, final = op.results
    trace.hints[o], trace.hints[final] = "o", "final"
    return (
        values.Value(o, dtypes.dtype_of(o.type), dims, scope),
        values.Value(final, acc, initial._dims, scope),
    )


def _check_offsets(offsets: Any) -> None:
    if not isinstance(offsets, values.Value) or offsets.ndim != 1 or offsets.dtype != "i32":
        got = repr(offsets) if isinstance(offsets, values.Value) else type(offsets).__name__
        raise TraceError(f"{_CALLER} expects offsets to be an i32 tensor of rank 1, got {got}")
    arithmetic.usable(offsets)


def _zeros(
    scope: Scope, named: dict[str, values.Value], offsets: values.Value | None, acc: str
) -> values.Value:
    """The initial state when none is given."""
    q, k, v = named.values()
    trace, loc = scope.trace, scope.trace.location()
    heads = max((x._dims[1] for x in named.values()), key=lambda dim: dim if isinstance(dim, int) else 0)
    if offsets is None:
        size = q.shape[0]
        batch: Dim = q._dims[0]
        sequences = size if isinstance(size, int) else size._ir
    elif isinstance(count := offsets._dims[0], int):
        batch = sequences = max(count - 1, 0)
    else:
        batch = f"{trace.dims.find(count)}[1:]"
        sequences = arith.subi(offsets.shape[0]._ir, emit.index(1, loc), loc=loc)
        trace.sizes.setdefault(batch, sequences)
    head_count = heads if isinstance(heads, int) else q.shape[1]._ir
    dims: tuple[Dim, ...] = (batch, heads, k._dims[3], v._dims[3])
    sizes = [sequences, head_count, *[dim for dim in dims[2:] if isinstance(dim, int)]]
    built = emit.filled(0, sizes, acc, loc)
    return values.Value(built, acc, dims, scope)


def _unify_sizes(named: dict[str, values.Value], initial: values.Value, *, varlen: bool) -> None:
    q, k, v = named.values()
    for axis, what in ((0, "batch sizes"), (2, "sequence lengths")):
        operands.unify(_CALLER, what, axis, {"q": q, "k": k})
        operands.unify(_CALLER, what, axis, {"q": q, "v": v})
    if isinstance(q._dims[1], str):
        operands.unify(_CALLER, "dynamic head counts", 1, {"q": q, "k": k})
        operands.unify(_CALLER, "dynamic head counts", 1, {"q": q, "v": v})
        operands.unify(_CALLER, "dynamic head counts", 1, {"q": q, "initial": initial})
    if not varlen:
        operands.unify(_CALLER, "batch sizes", 0, {"q": q, "initial": initial})


def _step_results(
    scope: Scope, returned: Any, place: Place, state: tuple[Dim, ...], value: tuple[Dim, ...]
) -> list[ir.Value]:
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        count = f"{len(returned)} values" if isinstance(returned, (tuple, list)) else "one value"
        raise TraceError(
            f"expects the step function to return the new state and the output, got {count}", place
        )
    results = []
    for what, thing, dims in (("the new state", returned[0], state), ("the output", returned[1], value)):
        result = regions.returned_value(thing, f"{what} of the step function", place)
        got = result._dims if isinstance(result, values.Value) else ()
        if got != dims:
            text = f"shape {arithmetic.shape_text(result)}" if got else "a scalar"
            raise TraceError(f"expects {what} of the step function to have shape {dims}, got {text}", place)
        if result.dtype == dtypes.BOOL:
            raise TraceError(f"expects {what} of the step function to be numbers, got booleans", place)
        results.append(tensors.as_dtype(result, scope.acc))
    return results
