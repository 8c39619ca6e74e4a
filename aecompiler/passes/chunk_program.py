"""The tile program of one chunked recurrence, a part of the pass `attn-tile-chunked`."""

from __future__ import annotations

import dataclasses
import enum
import functools
from math import gcd

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect.chunked import parts_of
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_decays import Decays
from aecompiler.passes.chunk_law import ELEMENT, ChunkInputs, ChunkLaw, LawOptions, Reader
from aecompiler.passes.operand_places import heads_of_group, recurrence_results, sequence_bounds
from aecompiler.passes.position_reads import PositionRead, dependent_values, place_of, take_reads
from aecompiler.passes.position_tiles import Columns, Lifted, PositionTiles
from aecompiler.passes.region_safety import make_total
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.tile_rows import name_slice, pad

CHUNKS = "attn.chunks"
"""The attribute of the loop over the chunks of a sequence."""


class DecaySums(enum.Enum):
    """The type in which logarithms of scalar decays are summed up and their sums subtracted."""

    F64 = "f64"
    ACC = "acc"
    """The accumulator type."""
    AUTO = "auto"
    """The accumulator type where q has 16 bits, else f64."""

    def type_for(self, element: ir.Type, acc: ir.Type) -> ir.Type:
        """The type, with that of q's elements and the accumulator type."""
        narrow = self is DecaySums.AUTO and element.width == 16
        return acc if narrow or self is DecaySums.ACC else ir.F64Type.get()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkOptions(LawOptions):
    """What may be chosen for the tile program of a chunked recurrence; the options of `attn-tile-chunked`."""

    heads: int
    value_block: int
    value_lanes: int
    decay_sums: DecaySums


def tile_chunked(op: ir.OpView, options: ChunkOptions) -> None:
    """Replace an `attn.chunked_recurrence` by its tile program."""
    with ir.InsertionPoint(op), op.location:
        results = ChunkProgram(op, options).build()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


@dataclasses.dataclass(frozen=True)
class _Place:
    """One program of the grid: a sequence, the first of its heads, some value features."""

    sequence: ir.Value
    batch: ir.Value
    head: ir.Value
    start: ir.Value
    end: ir.Value
    column: int | ir.Value
    columns: int | ir.Value
    """How many value features there are of those that a program has."""


class ChunkProgram:
    """Builds the program: a grid over sequences, heads and value features, each a loop over chunks."""

    def __init__(self, op: ir.OpView, options: ChunkOptions):
        operands = list(op.operation.operands)
        self.op, self.options = op, options
        self.inputs, self.initial = operands[:3], operands[3]
        self.offsets = operands[4] if len(operands) == 5 else None
        self.length = ir.IntegerAttr(op.operation.attributes["chunk"]).value
        self.block = op.operation.regions[0].blocks[0]
        self.reads_before = _text(op, "reads") == "before"
        self.erases_before = "erase_reads" in op.operation.attributes and _text(op, "erase_reads") == "state"
        self.o_type, self.final_type = (ir.RankedTensorType(result.type) for result in op.operation.results)
        self.acc = self.final_type.element_type
        self.key_features, self.value_features = self.final_type.shape[2:]
        counts = [ir.RankedTensorType(value.type).shape[1] for value in [*self.inputs, self.initial]]
        self.shared = [heads_of_group(count, counts[3]) for count in counts[:3]]
        self.heads = gcd(options.heads, self.shared[0], self.shared[1])
        b, h = list(self.block.arguments)[3:5]
        self.counts = {h: (self.initial, 1)}
        if self.offsets is None:
            self.counts[b] = (self.inputs[0], 0)
        self.reads: dict[ir.Value, PositionRead] = take_reads(op, (self.inputs[0], 2), self.counts)
        make_total(op.operation)
        *_, terminator = self.block.operations
        self.parts = parts_of(terminator)
        self.values = self._blockable_values()
        self.width = self.value_features
        if self.values is not None:
            if 0 < options.value_block < self.width:
                self.width = options.value_block
            self.width = -(-self.width // options.value_lanes) * options.value_lanes

    # ---- the grid ------------------------------------------------------------------------------------

    def build(self) -> list[ir.Value]:
        """The results of the op."""
        q = self.inputs[0]
        if 0 in (self.key_features, self.value_features):
            return self._without_features()
        self.positions = rw.dim(q, 2)
        sequences = rw.dim(q if self.offsets is None else self.initial, 0)
        heads = rw.dim(self.initial, 1)
        outs = recurrence_results(q, self.initial, self.o_type, self.offsets is not None)
        if self.heads > 1:
            heads = arith.divui(heads, rw.index(self.heads))
        bounds = [sequences, heads]
        blocks = -(-self.value_features // self.width) if self.width else 1
        if blocks > 1:
            bounds.append(rw.index(blocks))
        return rw.forall(bounds, outs, self._program)

    def _without_features(self) -> list[ir.Value]:
        """Results where q and k, or v, have no features: no state has elements."""
        if self.value_features and "skip" in self.parts:
            raise PassFailure(self.op, "unsupported: a skip beside keys without features")
        q_sizes, state_sizes = rw.sizes(self.inputs[0]), rw.sizes(self.initial)
        o_shape = [q_sizes[0], state_sizes[1], q_sizes[2], self.value_features]
        o = rw.filled(o_shape, self.o_type.element_type, 0.0)
        return [o, tensor.empty(state_sizes, self.acc)]

    def _program(self, indices: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
        place = self._place(indices)
        o, final = outs
        heads = [
            arith.addi(place.head, rw.index(number)) if number else place.head for number in range(self.heads)
        ]
        covered = place.end
        if self.offsets is not None:
            covered = arith.maxsi(arith.subi(place.end, place.start), rw.index(0))
        states, outputs = [], []
        for head in heads:
            sizes = [1, 1, self.key_features, place.columns]
            state = rw.extract_slice(self.initial, [place.sequence, head, 0, place.column], sizes, (2, 3))
            states.append(self._padded_columns(state, place))
            o_sizes = [1, 1, covered, place.columns]
            outputs.append(
                rw.extract_slice(o, [place.batch, head, place.start, place.column], o_sizes, (2, 3))
            )
        regions = [self._region(place, head) for head in heads]
        chunks = arith.ceildivui(covered, rw.index(self.length))

        def chunk(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first = arith.muli(number, rw.index(self.length))
            real = arith.minui(rw.index(self.length), arith.subi(covered, first))
            position = arith.addi(place.start, first) if self.offsets is not None else first
            new_states, new_outputs = [], []
            for number_of_head, region in enumerate(regions):
                state, output = carried[number_of_head], carried[self.heads + number_of_head]
                inputs = self._inputs(region, place, heads[number_of_head], position, real)
                rows, state = ChunkLaw(inputs, self.acc, self.options).apply(state)
                rows = self._converted(rows)
                part = rw.extract_slice(rows, [0, 0], [real, place.columns], (0, 1))
                new_outputs.append(rw.insert_slice(part, output, [first, 0], [real, place.columns]))
                new_states.append(state)
            return [*new_states, *new_outputs]

        ends = rw.for_loop(rw.index(0), chunks, rw.index(1), [*states, *outputs], chunk)
        ends[0].owner.attributes[CHUNKS] = ir.UnitAttr.get()
        parts: list[rw.Part] = []
        for number, head in enumerate(heads):
            offsets = [place.batch, head, place.start, place.column]
            parts.append((ends[self.heads + number], o, offsets, [1, 1, covered, place.columns]))
            state = ends[number]
            if place.columns != self.width:
                state = rw.extract_slice(state, [0, 0], [self.key_features, place.columns], (0, 1))
            offsets = [place.sequence, head, 0, place.column]
            parts.append((state, final, offsets, [1, 1, self.key_features, place.columns]))
        return parts

    def _place(self, indices: list[ir.Value]) -> _Place:
        sequence, head, *rest = indices
        if self.heads > 1:
            head = arith.muli(head, rw.index(self.heads))
        column: int | ir.Value = 0
        columns: int | ir.Value = min(self.width, self.value_features)
        if rest:
            column = arith.muli(rest[0], rw.index(self.width))
            if self.value_features % self.width:
                left = arith.subi(rw.index(self.value_features), column)
                columns = arith.minui(rw.index(self.width), left)
        zero = rw.index(0)
        if self.offsets is None:
            return _Place(sequence, sequence, head, zero, self.positions, column, columns)
        start, end = sequence_bounds(self.offsets, sequence, self.positions)
        return _Place(sequence, zero, head, start, end, column, columns)

    def _padded_columns(self, value: ir.Value, place: _Place) -> ir.Value:
        return value if place.columns == self.width else pad(value, 1, self.width, place.columns)

    def _converted(self, rows: ir.Value) -> ir.Value:
        element = self.o_type.element_type
        if rows.type.element_type == element:
            return rows
        shape = [self.length, self.width]
        return rw.elementwise([(rows, ELEMENT)], shape, element, lambda e: rw.convert_float(e[0], element))

    # ---- what positions contribute -------------------------------------------------------------------

    def _blockable_values(self) -> frozenset[ir.Value] | None:
        """The values of the region, tensors `[Dv]`, of which a part can be computed from parts.

        None where something else than the value and the skip depends on v, or is not by elements.
        """
        v = self.block.arguments[2]
        arguments = list(self.block.arguments)
        found: set[ir.Value] = set()
        pending = [self.parts[name] for name in ("value", "skip") if name in self.parts]
        while pending:
            value = pending.pop()
            if value in found or not isinstance(value.type, ir.RankedTensorType):
                continue
            if list(value.type.shape) != [self.value_features]:
                return None
            found.add(value)
            op = rw.definer(value)
            if op is None:
                if value in self.reads:
                    if len(self.reads[value].whole) != 1:
                        return None
                elif value != v and value in arguments:
                    return None
                continue
            if op.block == self.block and op.name.startswith(("arith.", "math.")):
                pending.extend(op.operands)
            elif op.name == "linalg.generic" and op.block == self.block and _is_by_elements(op):
                pending.extend(list(op.operands)[: len(op.operands) - 1])
            elif op.name == "tensor.extract_slice" and op.block == self.block and op.operands[0] not in found:
                source = rw.definer(op.operands[0])
                if source is not None and source.block == self.block:
                    return None
            elif op.name == "tensor.splat" and not _follows(op.operands[0], v, self.block):
                continue
            elif value in dependent_values(self.block, [*arguments[:3], arguments[5]]):
                return None
        of_v = dependent_values(self.block, [v])
        others = [value for name, value in self.parts.items() if name not in ("value", "skip")]
        if any(value in of_v or value in found for value in others):
            return None
        return frozenset(found)

    def _region(self, place: _Place, head: ir.Value) -> PositionTiles:
        """The region for one head, what does not depend on the position computed."""
        arguments = list(self.block.arguments)
        b, h, t = arguments[3:6]
        columns = None
        if self.width != self.value_features:
            assert self.values is not None
            columns = Columns(place.column, place.columns, self.width, self.values)
        moving = [*arguments[:3], t, *self.reads]
        region = PositionTiles(self.block, self.length, moving, {b: place.batch, h: head}, columns)
        for argument, read in self.reads.items():
            region.places[argument] = place_of(read, region.heads, self.counts)
        return region

    def _inputs(
        self, region: PositionTiles, place: _Place, head: ir.Value, first: ir.Value, real: ir.Value
    ) -> ChunkInputs:
        """The tiles of a chunk."""
        arguments = list(self.block.arguments)
        tiles: dict[ir.Value, Lifted] = {}
        # Heads that share q and k read them by the same operations, of which one is left.
        for argument, source, shared, name in zip(arguments, self.inputs, self.shared, "qkv", strict=False):
            by = place.head if name != "v" else head
            number = arith.divui(by, rw.index(shared)) if shared > 1 else by
            offsets = [place.batch, number, first, place.column if name == "v" else 0]
            features = self.width if name == "v" else self.key_features
            columns = place.columns if name == "v" else features
            slice_ = rw.extract_slice(source, offsets, [1, 1, real, columns], (2, 3))
            tile = pad(name_slice(slice_, name), 0, self.length, real)
            if name == "v":
                tile = self._padded_columns(tile, place)
            tiles[argument] = Lifted(tile, ELEMENT, self.acc)
        for argument, read in self.reads.items():
            tiles[argument] = self._read(argument, read, region, place, first, real)
        region.enter(first, arguments[5], tiles)
        parts = _Parts(region, self.parts, self.acc, real)
        query = Reader(
            parts.tile("query", False), parts.scale("query_scale"), self.reads_before, self.reads_before
        )
        key = parts.tile("key", True)
        value = parts.tile("value", True)
        erase = None
        if "erase" in self.parts:
            erase = Reader(parts.tile("erase", True), parts.scale("erase_scale"), self.erases_before, True)
        decays = None
        if "log_decay" in self.parts:
            element = ir.RankedTensorType(self.inputs[0].type).element_type
            wide = self.options.decay_sums.type_for(element, self.acc)
            decays = Decays(parts.decay("log_decay", 0.0), parts.decay("sign", 1.0), wide)
        skip = None
        if "skip" in self.parts:
            skip = (region.materialized(self.parts["skip"]), ELEMENT)
        return ChunkInputs(query, erase, key, value, parts.scale("key_scale"), decays, skip)

    def _read(
        self,
        argument: ir.Value,
        read: PositionRead,
        region: PositionTiles,
        place: _Place,
        first: ir.Value,
        real: ir.Value,
    ) -> Lifted:
        """A slice of a captured tensor for the positions of a chunk; those past the end are 0."""
        offsets = list(region.places[argument])
        offsets[read.axis] = first
        sizes: list[int | ir.Value] = [1] * len(offsets)
        sizes[read.axis] = real
        for d in read.whole:
            sizes[d] = ir.RankedTensorType(read.source.type).shape[d]
        is_part = region.columns is not None and argument in region.columns.values
        if is_part:
            (feature,) = read.whole
            offsets[feature], sizes[feature] = place.column, place.columns
        tile = pad(
            rw.extract_slice(read.source, offsets, sizes, (read.axis, *read.whole)), 0, self.length, real
        )
        if is_part:
            tile = self._padded_columns(tile, place)
        return Lifted(tile, tuple(range(1 + len(read.whole))), rw.element_of(argument.type))


class _Parts:
    """What `attn.position_yield` hands over, on a chunk; positions from `real` on are neutral."""

    def __init__(self, region: PositionTiles, parts: dict[str, ir.Value], acc: ir.Type, real: ir.Value):
        self.region, self.parts, self.acc, self.real = region, parts, acc, real
        self._masked: dict[tuple[ir.Value, float], ir.Value] = {}

    def _is_real(self) -> ir.Value:
        return arith.cmpi(arith.CmpIPredicate.ult, rw.loop_index(0), self.real)

    @functools.cached_property
    def _scalars(self) -> dict[str, ir.Value]:
        """All scalars, in one loop."""
        neutral = {"sign": 1.0}
        names = [
            name
            for name, value in self.parts.items()
            if not isinstance(value.type, ir.RankedTensorType) and not self._is_one(name)
        ]

        def masked(values: list[ir.Value]) -> list[ir.Value]:
            real = self._is_real()
            return [
                arith.select(real, value, rw.constant(self.acc, neutral.get(name, 0.0)))
                for name, value in zip(names, values, strict=True)
            ]

        made = self.region.scalars([self.parts[name] for name in names], masked) if names else []
        return dict(zip(names, made, strict=True))

    def scale(self, name: str) -> ir.Value | None:
        """A scale `[L]`, 0 past the end; None where it is 1."""
        if name not in self.parts or self._is_one(name):
            return None
        return self._scalars[name]

    def _is_one(self, name: str) -> bool:
        return name.endswith("_scale") and rw.float_value(self.parts[name]) == 1.0

    def decay(self, name: str, neutral: float) -> ir.Value | None:
        """Logarithms or signs, `[L]` or `[L, Dk]`."""
        if name not in self.parts:
            return None
        value = self.parts[name]
        if not isinstance(value.type, ir.RankedTensorType):
            return self._scalars[name]
        return self._with_neutral(value, neutral)

    def tile(self, name: str, clear: bool) -> ir.Value:
        """`[L, n]`; with `clear` 0 past the end. An operand as it was loaded keeps its type."""
        value = self.parts[name]
        if self.region.is_moving(value):
            found = self.region.lift(value)
            whole = found.loops == ELEMENT
            if whole and (not clear or isinstance(value.owner, ir.Block)):
                return found.value  # loaded with zeros past the end
        if not clear:
            return self.region.materialized(value)
        return self._with_neutral(value, 0.0)

    def _with_neutral(self, value: ir.Value, neutral: float) -> ir.Value:
        key = (value, neutral)
        if key not in self._masked:
            acc = self.acc

            def masked(elements: list[ir.Value]) -> ir.Value:
                element = rw.convert_float(elements[0], acc)
                return arith.select(self._is_real(), element, rw.constant(acc, neutral))

            shape = [self.region.length, *self.region.shape(value)]
            self._masked[key] = rw.elementwise([self.region.operand(value)], shape, acc, masked)
        return self._masked[key]


def _text(op: ir.OpView, name: str) -> str:
    return ir.StringAttr(op.operation.attributes[name]).value


def _is_by_elements(op: ir.Operation) -> bool:
    """Whether a structured operation of one loop computes each element from those at the same place."""
    maps = [ir.AffineMapAttr(each).value for each in op.attributes["indexing_maps"]]
    identity = ir.AffineMap.get_identity(1)
    by_elements = all(each == identity for each in maps) and len(op.results) == 1
    return by_elements and "reduction" not in str(op.attributes["iterator_types"])


def _follows(value: ir.Value, source: ir.Value, block: ir.Block) -> bool:
    return value in dependent_values(block, [source])
