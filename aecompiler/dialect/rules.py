"""Shape rules of the attention ops, as pure functions of sizes: no MLIR import, tested on their own.

A size is an `int`, or `None` when it is dynamic. Each rule returns the text of the first violation, written
to follow `'attn.<op>' op `, or `None` when all is well.
"""

from collections.abc import Sequence

Size = int | None
Shape = Sequence[Size]

BATCH, HEAD, SEQUENCE, FEATURE = range(4)
AXES = ("batch", "head", "sequence", "feature")


def format_shape(shape: Shape) -> str:
    """`?x8x?x64`, as MLIR prints the shape of a tensor."""
    return "x".join("?" if size is None else str(size) for size in shape)


def rank(name: str, shape: Shape, expected: int, axes: str) -> str | None:
    """The tensor has `expected` axes."""
    if len(shape) == expected:
        return None
    return f"expects {name} to have rank {expected} ({axes}), got rank {len(shape)}"


def static_feature(name: str, shape: Shape) -> str | None:
    """The last axis has a static size."""
    if shape[-1] is not None:
        return None
    return f"expects {name} to have a static feature size, got {format_shape(shape)}"


def equal(what: str, names: Sequence[str], sizes: Sequence[Size]) -> str | None:
    """All static sizes agree; a dynamic one agrees with anything until run time."""
    known = [(name, size) for name, size in zip(names, sizes, strict=True) if size is not None]
    for name, size in known[1:]:
        if size != known[0][1]:
            return f"expects {known[0][0]} and {name} to have equal {what}, got {known[0][1]} and {size}"
    return None


def query_groups(q_heads: Size, kv_heads: Size) -> str | None:
    """Query heads are a static multiple of kv heads: both counts static, or both dynamic and then equal."""
    if (q_heads is None) != (kv_heads is None):
        return (
            "expects the head counts of q and k to be both static or both dynamic, "
            f"got {format_shape([q_heads])} and {format_shape([kv_heads])}"
        )
    if q_heads is None or kv_heads is None or q_heads == 0:
        return None
    if kv_heads == 0 or q_heads % kv_heads:
        return f"expects q's head count to be a multiple of the kv head count, got {q_heads} and {kv_heads}"
    return None


def head_count(names: Sequence[str], heads: Sequence[Size]) -> str | None:
    """Every head count divides the largest one; all are static, or all dynamic and then equal."""
    if all(count is None for count in heads):
        return None
    for name, count in zip(names, heads, strict=True):
        if count is None:
            return f"expects head counts that are all static or all dynamic, got a dynamic one for {name}"
    largest = max(count for count in heads if count is not None)
    for name, count in zip(names, heads, strict=True):
        if largest and (not count or largest % count):
            return f"expects {name}'s head count to divide the largest head count {largest}, got {count}"
    return None


def largest_head_count(heads: Sequence[Size]) -> Size:
    """H of a recurrence: the largest of its head counts, `None` when they are dynamic."""
    known = [count for count in heads if count is not None]
    return max(known) if len(known) == len(heads) else None


def attention_operands(q: Shape, k: Shape, v: Shape | None = None) -> str | None:
    """q [B, Hq, Sq, Dqk], k [B, Hkv, Skv, Dqk] and, if there, v [B, Hkv, Skv, Dv]."""
    if v is None:
        v = k
        named = {"q": q, "k": k}
    else:
        named = {"q": q, "k": k, "v": v}
    return (
        _ranks_and_features(named)
        or equal("feature sizes", ("q", "k"), (q[FEATURE], k[FEATURE]))
        or equal("batch sizes", tuple(named), tuple(shape[BATCH] for shape in named.values()))
        or equal("head counts", ("k", "v"), (k[HEAD], v[HEAD]))
        or _same_dynamic_heads(k[HEAD], v[HEAD])
        or equal("sequence lengths", ("k", "v"), (k[SEQUENCE], v[SEQUENCE]))
        or query_groups(q[HEAD], k[HEAD])
    )


def recurrence_operands(q: Shape, k: Shape, v: Shape, initial: Shape, *, varlen: bool) -> str | None:
    """q, k [B, Hx, T, Dk], v [B, Hx, T, Dv], initial [B, H, Dk, Dv], or [N, H, Dk, Dv] with offsets."""
    named = {"q": q, "k": k, "v": v}
    heads = {**named, "initial": initial}
    if error := (
        _ranks_and_features(named)
        or rank("initial", initial, 4, "batch, head, key feature, value feature")
        or _static_state(initial)
        or equal("feature sizes", ("q", "k"), (q[FEATURE], k[FEATURE]))
    ):
        return error
    if initial[2] != k[FEATURE]:
        return f"expects initial to have k's feature size {k[FEATURE]} as its third size, got {initial[2]}"
    if initial[3] != v[FEATURE]:
        return f"expects initial to have v's feature size {v[FEATURE]} as its fourth size, got {initial[3]}"
    batched = named if varlen else heads
    if error := (
        equal("batch sizes", tuple(batched), tuple(shape[BATCH] for shape in batched.values()))
        or equal("sequence lengths", tuple(named), tuple(shape[SEQUENCE] for shape in named.values()))
        or head_count(tuple(heads), tuple(shape[HEAD] for shape in heads.values()))
    ):
        return error
    if varlen:
        for name, shape in named.items():
            if shape[BATCH] not in (None, 1):
                return f"expects {name} to have batch size 1 with offsets, got {shape[BATCH]}"
    return None


def _ranks_and_features(named: dict[str, Shape]) -> str | None:
    for name, shape in named.items():
        if error := rank(name, shape, 4, ", ".join(AXES)) or static_feature(name, shape):
            return error
    return None


def _same_dynamic_heads(k_heads: Size, v_heads: Size) -> str | None:
    if (k_heads is None) == (v_heads is None):
        return None
    return (
        "expects the head counts of k and v to be both static or both dynamic, "
        f"got {format_shape([k_heads])} and {format_shape([v_heads])}"
    )


def _static_state(initial: Shape) -> str | None:
    if initial[2] is None or initial[3] is None:
        return f"expects initial to have static feature sizes, got {format_shape(initial)}"
    return None
