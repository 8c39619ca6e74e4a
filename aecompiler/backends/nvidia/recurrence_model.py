"""How long a recurrence in chunks takes, by a model of a multiprocessor: no GPU is asked.

A program goes from chunk to chunk with the state of one head and some value features. Its products wait for
each other, so that a chunk takes at least the time from its first product to its last, on one group of four
warps. Two blocks on a multiprocessor overlap as far as its units have room: tensor cores, arithmetic, and the
path from the L2 cache. A chunk's time is a norm of what each unit is busy with for all blocks and of that
chain. Tiles arrive while the chunk before is computed if there is more than one stage; with one they are
waited for. The programs, one for each head and block of value features, come in waves.

What is computed before the loops is the same for all choices but one, and left out; products that heads share
are read in place of being computed. `CONSTANTS` were fitted to nine times and a few orders of one H100
(docs/performance.md, "Recurrences in chunks"), all of them with 64 value features and chunks of 64: they
reproduce these, and what they say of other sizes was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.nvidia.recurrence_facts import RecurrenceFacts, RecurrenceForm
from aecompiler.backends.nvidia.recurrence_space import ChunkSchedule, read_bytes, shared_bytes, shares
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton.chunk_kernels import BLOCKS
from aecompiler.backends.triton.layouts import bits_of

CONSTANTS: Mapping[str, float] = {
    "norm": 1.854,  # how sharply the slowest unit decides
    "operations": 6.851,  # instructions for an element of a tile that is not only read
    "product latency": 120.0,  # cycles from a product to what waits for it
    "chunk latency": 275.8,  # of a chunk beside products: barriers, waits, vectors
    "copy latency": 1793.0,  # from the request for the tiles of a chunk to their arrival
    "l2 bytes": 41.33,  # bytes that a multiprocessor gets from the L2 cache in a cycle
    "few rows": 2.705,  # how much longer products of fewer rows than wgmma has take
    "registers": 103.7,  # of a thread, beside those of tiles
    "spill": 18.17,  # cycles of a chunk for a register that a thread does not have
}

WARPS = 4
_SHARED_BYTES = 119.4
"""Bytes that the tensor cores of a multiprocessor read in a cycle, as in `schedule_model.py`."""

_AROUND = 4000.0
"""Cycles of a program around its loop: the first state, the last, the end of o."""


class RecurrenceModel:
    """The times of a recurrence by how its kernels are made."""

    def __init__(
        self, form: RecurrenceForm, target: NvidiaTarget, constants: Mapping[str, float] = CONSTANTS
    ):
        self.form, self.facts, self.target, self.constants = form, form.facts, target, constants
        self.bytes = bits_of(self.facts.element) / 8

    def microseconds(self, how: ChunkSchedule) -> float:
        """The time of all programs."""
        chunks = -(-self.form.length // how.chunk)
        blocks = self.blocks(how)
        waves, rest = divmod(self.programs(how), blocks * self.target.multiprocessors)
        cycles = waves * (_AROUND + chunks * self.chunk_cycles(how, blocks))
        if rest:
            # A wave after others begins where these end, two programs at a time; the first one spreads.
            beside = blocks if waves else -(-rest // self.target.multiprocessors)
            cycles += _AROUND + chunks * self.chunk_cycles(how, beside)
        return cycles / self.target.clock_hz * 1e6

    def programs(self, how: ChunkSchedule) -> int:
        """One for each head of each sequence, and block of value features."""
        return self.form.heads * -(-self.facts.value_features // how.value_block)

    def blocks(self, how: ChunkSchedule) -> int:
        """The blocks of a multiprocessor: two at most, whose threads have all registers."""
        needed = shared_bytes(self.facts, how) + self.target.reserved_shared_bytes
        return max(1, min(BLOCKS, self.target.shared_bytes // needed))

    def chunk_cycles(self, how: ChunkSchedule, blocks: int) -> float:
        """Cycles of a chunk of each of the blocks that share a multiprocessor."""
        constants = self.constants
        products = [self._product(*sizes) for sizes in products_of(self.facts, how)]
        tensor = sum(products)
        vector = constants["operations"] * elements_of(self.facts, how) / (self.target.fma_flops / 2)
        written = how.chunk * how.value_block * self.bytes
        copied = (read_bytes(self.facts, how) + written) / constants["l2 bytes"]
        own = tensor + vector + constants["product latency"] * len(products) + constants["chunk latency"]
        own += constants["spill"] * max(0.0, self.registers(how) - self.target.registers_per_thread)
        busy = [blocks * each for each in (tensor, vector, copied)]
        arrival = constants["copy latency"] + blocks * copied
        if how.stages == 1:
            own += arrival
        else:
            busy.append(arrival / (how.stages - 1))
        power = constants["norm"]
        return math.fsum(each**power for each in (*busy, own)) ** (1 / power)

    def registers(self, how: ChunkSchedule) -> float:
        """What a thread needs: for the state, for rows of o, and for weights in both types."""
        rows = how.chunk * how.value_block
        weights = 0.0 if self.facts.decays == "feature" else how.chunk * how.chunk * (1 + self.bytes / 4)
        elements = self.facts.features * how.value_block + rows + weights
        return self.constants["registers"] + elements / (WARPS * self.target.warp_size)

    def _product(self, rows: int, columns: int, depth: int) -> float:
        """Cycles of the tensor cores: multiplications, or the reads of factors from shared memory."""
        target = self.target
        flops = target.flops_per_clock(self.facts.element) or target.fma_flops
        time = 2.0 * rows * columns * depth / flops
        if target.matrix_instruction == "mma":
            return time
        if rows < ROWS:
            return time * self.constants["few rows"]
        return max(time, rows / ROWS * depth * (ROWS + columns) * self.bytes / _SHARED_BYTES)


def products_of(facts: RecurrenceFacts, how: ChunkSchedule) -> Iterator[tuple[int, int, int]]:
    """The products of a chunk in the loop, each as rows, columns and depth."""
    chunk, keys, values = how.chunk, facts.features, how.value_block
    if facts.decays != "feature" and not shares(facts, how):
        yield chunk, chunk, keys  # q k^T
    if facts.erases:
        yield chunk, values, keys  # what the erases read of the state
        yield chunk, values, chunk  # the inverse times that
    yield chunk, values, keys  # what the queries read of the state
    yield chunk, values, chunk  # weights times values
    yield keys, values, chunk  # what keys and values add to the state


def elements_of(facts: RecurrenceFacts, how: ChunkSchedule) -> int:
    """The elements of tiles that a chunk computes beside products: weights, the state, rows of o."""
    weights = 0 if facts.decays == "feature" else how.chunk * how.chunk
    if shares(facts, how):
        weights *= 2  # what was read is brought into the layout of products, and widened
    return weights + facts.features * how.value_block + how.chunk * how.value_block * (2 + facts.erases)
