"""The ways in which kernels of recurrences in chunks may be made, and those that a chip has room for."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from aecompiler.backends.nvidia.recurrence_facts import RecurrenceFacts
from aecompiler.backends.nvidia.schedule import USUAL_CHUNK, NvidiaSchedule
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton.chunk_kernels import BLOCKS, MOST_STAGES
from aecompiler.backends.triton.layouts import bits_of

CHUNKS = (32, 64, 128)
DIAGONAL_CHUNK = 32
"""The most positions of a chunk whose key features have decays of their own, as in `attn-tt`."""

VALUE_BLOCKS = (16, 32, 64, 128)
USUAL_VALUE_BLOCK = 64
SHARED_HEADS = (0, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkSchedule:
    """What may be chosen for the kernels of recurrences in chunks.

    `chunk`: its positions. `value_block`: the value features of a program. `stages`: the tiles of chunks that
    are on their way from memory at a time. `shared_heads`: from how many heads on a product that they have
    alike is computed once, before; 0: never.
    """

    chunk: int
    value_block: int
    stages: int
    shared_heads: int = 0


def read_bytes(facts: RecurrenceFacts, how: ChunkSchedule) -> int:
    """The bytes of the matrices that a chunk reads.

    These are q, k and v; with a rank-one term the inverse, with decays of key features the weights and the
    erases that were computed before, and a product that heads share.
    """
    square = how.chunk * how.chunk
    keys = 2 + (facts.decays == "feature" and facts.erases)
    squares = (facts.decays == "feature") + facts.erases + shares(facts, how)
    elements = keys * how.chunk * facts.features + how.chunk * how.value_block + squares * square
    return elements * bits_of(facts.element) // 8


def shares(facts: RecurrenceFacts, how: ChunkSchedule) -> bool:
    """Whether products of q and k are computed before, for all heads that have them alike."""
    return facts.decays != "feature" and 0 < how.shared_heads <= facts.heads_alike


def state_bytes(facts: RecurrenceFacts, how: ChunkSchedule) -> int:
    """The bytes of the state as a factor of products, with 16 bits."""
    return 2 * facts.features * how.value_block


def shared_bytes(facts: RecurrenceFacts, how: ChunkSchedule) -> int:
    """The shared memory of a block, without vectors, which are small."""
    return how.stages * read_bytes(facts, how) + state_bytes(facts, how)


def usual(facts: RecurrenceFacts, target: NvidiaTarget, given: NvidiaSchedule) -> ChunkSchedule:
    """What kernels are made with where nothing is chosen: as many stages as leave room for two blocks."""
    chunk = given.chunk or min(USUAL_CHUNK, given.block_kv or USUAL_CHUNK)
    how = ChunkSchedule(
        chunk=min(chunk, DIAGONAL_CHUNK) if facts.decays == "feature" else chunk,
        value_block=min(_value_block(given) or USUAL_VALUE_BLOCK, facts.value_features),
        stages=given.chunk_stages or 1,
        shared_heads=given.shared_heads,
    )
    if given.chunk_stages:
        return how
    room = (target.shared_bytes - BLOCKS * target.reserved_shared_bytes) // BLOCKS - state_bytes(facts, how)
    return dataclasses.replace(how, stages=max(1, min(MOST_STAGES, room // max(read_bytes(facts, how), 1))))


def legal_chunks(
    facts: RecurrenceFacts, target: NvidiaTarget, given: NvidiaSchedule
) -> tuple[ChunkSchedule, ...]:
    """All of the sizes above, or of those that are given, that the target has shared memory for.

    The usual one is the first, whatever it needs: it is what is tried without a choice.
    """
    default = usual(facts, target, given)
    chunks: Iterable[int] = (default.chunk,) if given.chunk or facts.decays == "feature" else CHUNKS
    blocks = [min(each, facts.value_features) for each in VALUE_BLOCKS]
    found = {default: None}
    for chunk, block, stages, heads in itertools.product(
        chunks,
        (default.value_block,) if _value_block(given) else dict.fromkeys(blocks),
        (given.chunk_stages,) if given.chunk_stages else range(1, MOST_STAGES + 1),
        (given.shared_heads,) if given.shared_heads or facts.heads_alike < SHARED_HEADS[1] else SHARED_HEADS,
    ):
        how = ChunkSchedule(chunk=chunk, value_block=block, stages=stages, shared_heads=heads)
        if shared_bytes(facts, how) <= target.shared_bytes_per_block:
            found[how] = None
    return tuple(found)


def numbers_of(
    how: ChunkSchedule, facts: RecurrenceFacts, target: NvidiaTarget, given: NvidiaSchedule
) -> dict[str, int]:
    """The options that say of a schedule what is other than `usual`."""
    numbers: dict[str, int] = {}
    for option, wanted in (
        ("chunk", how.chunk),
        ("chunk_value_block", how.value_block),
        ("shared_heads", how.shared_heads),
        ("chunk_stages", how.stages),  # the last: how many are usual depends on the others
    ):
        if wanted != getattr(usual(facts, target, given.completed(numbers)), _FIELDS.get(option, option)):
            numbers[option] = wanted
    return numbers


_FIELDS = {"chunk_value_block": "value_block", "chunk_stages": "stages"}


def _value_block(given: NvidiaSchedule) -> int:
    return given.chunk_value_block or given.value_block
