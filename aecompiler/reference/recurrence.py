"""Recurrent ops by their definition: one step after the other, all batch rows and heads at once.

`attn.recurrence` and `attn.recurrence_step` run their step; `attn.chunked_recurrence` runs the step that its
parts stand for, position by position and with no chunk anywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from aecompiler.reference.machine import Frame, Instruction, implements

Array = np.ndarray

BLOCK_ELEMENTS = 1 << 21
"""State elements evaluated at a time; batch rows are independent."""


Step = Callable[[Frame, Array, "list[Array]"], "tuple[Array, Array]"]
"""From a frame, the state and the arguments q, k, v, b, h, t to the new state and the output."""


@implements("attn.recurrence")
def _recurrence(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return _sequences(op, args, frame, _step_of(op))


@implements("attn.recurrence_step")
def _recurrence_step(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    q, k, v, pool, slots = args
    _check_sizes(op, q.shape, k.shape, v.shape, (q.shape[0], *pool.shape[1:]), None)
    if len(slots) != len(q):
        raise ValueError(
            f"'{op.name}' op expects equal batch sizes of q and slots, got {len(q)} and {len(slots)}"
        )
    is_real = (slots >= 0) & (slots < len(pool))
    rows, places = np.flatnonzero(is_real), slots[is_real].astype(np.int64)
    o, states = _batch_rows(_step_of(op), [q, k, v], pool[places], rows, frame)
    updated = np.array(pool)
    updated[places] = states
    return [o, updated]


def _step_of(op: Instruction) -> Step:
    """The step that the body of `op` is."""

    def step(lanes: Frame, state: Array, arguments: list[Array]) -> tuple[Array, Array]:
        new, out = lanes.run(op.body, [state, *arguments])
        return new, out

    return step


@implements("attn.chunked_recurrence")
def _chunked_recurrence(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    sizes = op.body.terminator.integers("operandSegmentSizes")
    present = [name for name, size in zip(PARTS, sizes, strict=True) if size]
    reads, erase_reads = (_text(op, name) for name in ("reads", "erase_reads"))

    def step(lanes: Frame, state: Array, arguments: list[Array]) -> tuple[Array, Array]:
        parts = dict(zip(present, lanes.run(op.body, arguments), strict=True))
        return _position(parts, state, reads, erase_reads)

    return _sequences(op, args, frame, step)


PARTS = (
    *("query", "key", "value", "log_decay", "sign"),
    *("query_scale", "key_scale", "erase", "erase_scale", "skip"),
)
"""The operands of `attn.position_yield`, in order."""


def _text(op: Instruction, name: str) -> str:
    return str(op.attribute(name, "")).strip('"')


def _position(parts: Mapping[str, Array], state: Array, reads: str, erase_reads: str) -> tuple[Array, Array]:
    """The new state and the output of a position, from the old state [lanes, Dk, Dv] and the parts."""
    kept = state
    if "log_decay" in parts:
        decay = np.exp(parts["log_decay"]) * parts.get("sign", np.float64(1))
        per_feature = parts["log_decay"].ndim == parts["key"].ndim
        kept = (decay[..., None] if per_feature else decay[..., None, None]) * state
    update = parts["value"]
    if "erase" in parts:
        erased = _read(parts["erase"], kept if erase_reads == "decayed" else state)
        update = update - _scaled(parts, "erase_scale", erased)
    new = kept + _scaled(parts, "key_scale", parts["key"])[..., :, None] * update[..., None, :]
    out = _scaled(parts, "query_scale", _read(parts["query"], new if reads == "after" else state))
    return new, out + parts.get("skip", np.float64(0))


def _read(vector: Array, state: Array) -> Array:
    return (vector[..., None, :] @ state)[..., 0, :]


def _scaled(parts: Mapping[str, Array], name: str, value: Array) -> Array:
    return parts[name][..., None] * value if name in parts else value


def _sequences(op: Instruction, args: list[Array], frame: Frame, run: Step) -> Sequence[Array]:
    """The results of `op`: each sequence taken through its positions by `run`."""
    q, k, v, initial, *offsets = args
    _check_sizes(op, q.shape, k.shape, v.shape, initial.shape, offsets[0].shape[0] if offsets else None)
    if not offsets:
        return _batch_rows(run, [q, k, v], initial, np.arange(len(initial)), frame)
    q, k, v, o = _all_heads([q, k, v], initial)
    final = np.array(initial)
    bounds = np.clip(offsets[0], 0, q.shape[2])
    for n, (start, stop) in enumerate(itertools.pairwise(bounds)):
        _run(run, q, k, v, o, final[n : n + 1], np.zeros(1, np.int64), range(start, stop), frame)
    return [o, final]


def _batch_rows(
    run: Step, operands: list[Array], initial: Array, rows: Array, frame: Frame
) -> Sequence[Array]:
    """What `run` makes of all positions of these `rows` of the batch, whose states begin as `initial`.

    o is 0 in other rows; the final states are those of `rows`.
    """
    q, k, v, o = _all_heads(operands, initial)
    final = np.array(initial)
    at_once = max(1, BLOCK_ELEMENTS // max(1, initial[0].size)) if len(initial) else 1
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        _run(run, q, k, v, o, final[part], rows[part], range(q.shape[2]), frame)
    return [o, final]


def _run(
    run: Step,
    q: Array,
    k: Array,
    v: Array,
    o: Array,
    state: Array,
    rows: Array,
    positions: range,
    outer: Frame,
) -> None:
    """Take `state` [b, h, Dk, Dv] through `positions` of the batch `rows`; write `o` and `state`."""
    lanes = state.shape[:2]
    b = rows.astype(np.int64).reshape(-1, 1)
    h = np.arange(lanes[1], dtype=np.int64).reshape(1, -1)
    current = np.array(state)
    for t in positions:
        step = Frame(lanes, outer)
        inputs = [x[rows, :, t] for x in (q, k, v)]
        current, out = run(step, current, [*inputs, b, h, np.full((1, 1), t, np.int64)])
        o[rows, :, t] = out
        outer.misses.extend(np.broadcast_to(miss, lanes) for miss in step.misses)
    state[...] = current


def _all_heads(operands: list[Array], initial: Array) -> list[Array]:
    """q, k and v with each head repeated for the heads of the state that read it, and an o of zeros."""
    heads = initial.shape[1]
    q, k, v = (
        each if each.shape[1] == heads else each[:, np.arange(heads) // (heads // each.shape[1])]
        for each in operands
    )
    return [q, k, v, np.zeros((*q.shape[:3], v.shape[3]))]


def _check_sizes(
    op: Instruction,
    q: Sequence[int],
    k: Sequence[int],
    v: Sequence[int],
    initial: Sequence[int],
    offsets: int | None,
) -> None:
    """What the verifier can't see of dynamic sizes."""
    expectations: dict[str, tuple[int, ...]] = {
        "batch sizes of q, k and v": (q[0], k[0], v[0]),
        "sequence lengths of q, k and v": (q[2], k[2], v[2]),
    }
    if offsets is None:
        expectations["batch sizes of q and initial"] = (q[0], initial[0])
    else:
        expectations["counts of sequences in offsets and initial"] = (offsets - 1, initial[0])
        expectations["batch size of q and 1"] = (q[0], 1)
    for what, sizes in expectations.items():
        if len(set(sizes)) != 1:
            raise ValueError(f"'{op.name}' op expects equal {what}, got {' and '.join(map(str, sizes))}")
    for name, own in {"q": q[1], "k": k[1], "v": v[1]}.items():
        if initial[1] and (not own or initial[1] % own):
            raise ValueError(f"'{op.name}' op expects {name}'s head count to divide {initial[1]}, got {own}")
