"""Operations that turn [a, b] into [b, a], by transposing squares of vectors."""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.nests import Nests, Point
from aecompiler.backends.cpu.vectorize.prefetch import next_rows
from aecompiler.backends.cpu.vectorize.values import Memory, Pairs
from aecompiler.bindings import ir, memref, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import Generic, Operand


def transposed_operand(generic: Generic) -> Operand | None:
    """The operands of rank 2 whose loops stand in the other order than the result's, if there are any."""
    if generic.rank != 2 or generic.reductions or len(generic.outs) != 1:
        return None
    loops = generic.outs[0].loops
    if len(loops) != 2:
        return None
    found = [operand for operand in generic.ins if operand.loops == loops[::-1]]
    return found[0] if found else None


class Transposes:
    """Builds transposing operations of one tile program."""

    def __init__(self, nests: Nests):
        self.nests, self.scope, self.lanes = nests, nests.scope, nests.lanes

    def build(self, generic: Generic, target: Memory) -> None:
        """Store the operation's result."""
        loops = generic.outs[0].loops
        source = generic.ins[0]
        if len(generic.ins) == 1 and source.loops == loops[::-1] and _is_conversion(generic):
            memory = self.nests.memory(source.value)
            self.copy(memory.memref, target.memref, self._asks_ahead(memory))
            return
        # Computed without transposing, in the type that is narrowed at the end.
        result, shape = generic.yielded[0], [generic.sizes[loop] for loop in loops[::-1]]
        if not isinstance(result.owner, ir.Block) and result.owner.operation.name == "arith.truncf":
            result = result.owner.operation.operands[0]
        scratch = self.nests.storage.allocate(shape, result.type)
        self._compute(generic, result, scratch)
        self.copy(scratch, target.memref)

    def _asks_ahead(self, memory: Memory) -> bool:
        """Whether to ask for the rows that follow: those of a tensor, not of scratch memory."""
        return self.nests.machine.prefetch and not memory.owned

    def _compute(self, generic: Generic, result: ir.Value, scratch: ir.Value) -> None:
        """Store `result` of the body in the order of the transposed operands."""
        lane, row = generic.outs[0].loops

        def strip(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            uniform: dict[ir.Value, ir.Value] = {}
            for group in self.nests.groups(generic.sizes[lane]):
                for chunk in group:
                    point = Point({row: n}, lane, chunk, {}, uniform, {})
                    (value,) = self.nests.evaluate(generic, point, results=[result])
                    place = [n, rw.index(chunk * self.lanes)]
                    vec.store(self.scope.vector(value), scratch, place)
            return []

        vec.loop(0, generic.sizes[row], 1, [], strip)

    def copy(self, source: ir.Value, target: ir.Value, prefetch: bool = False) -> None:
        """Transpose static memory, by squares of vectors; what is left over element by element.

        With `prefetch` the rows that follow `source` are asked for.
        """
        rows, columns = ir.MemRefType(source.type).shape
        have, want = (ir.MemRefType(buffer.type).element_type for buffer in (source, target))
        lanes = self.lanes
        wide = have if have.width >= want.width else want
        whole_rows, whole_columns = rows - rows % lanes, columns - columns % lanes

        def square(r: ir.Value, c: ir.Value) -> None:
            if prefetch:
                next_rows(source, r, c, lanes)
            loaded = [vec.load(source, [vec.plus(r, lane), c], lanes) for lane in range(lanes)]
            for lane, value in enumerate(vec.transpose([vec.convert(v, wide) for v in loaded])):
                vec.store(vec.convert(value, want), target, [vec.plus(c, lane), r])

        def single(r: ir.Value, c: ir.Value) -> None:
            memref.store(vec.convert(memref.load(source, [r, c]), want), target, [c, r])

        vec.nest((0, whole_rows, lanes), (0, whole_columns, lanes), square)
        vec.nest((0, whole_rows, 1), (whole_columns, columns, 1), single)
        vec.nest((whole_rows, rows, 1), (0, columns, 1), single)

    def pairs(self, generic: Generic, target: Pairs) -> None:
        """A widening transposition of bf16 [rows, features], as pairs of features: [features / 2, rows]."""
        memory = self.nests.memory(generic.ins[0].value)
        prefetch = self._asks_ahead(memory)
        size, length = (generic.sizes[loop] for loop in generic.outs[0].loops)
        words, lanes = size // 2, self.lanes
        f32, i32 = ir.F32Type.get(), ir.IntegerType.get_signless(32)
        whole = words - words % lanes

        def square(r: ir.Value, m: ir.Value) -> None:
            column = vec.twice(m)
            if prefetch:
                next_rows(memory.memref, r, column, lanes)
            rows = [vec.load(memory.memref, [vec.plus(r, lane), column], 2 * lanes) for lane in range(lanes)]
            floats = vec.vector_type(f32, lanes)
            for offset, word in enumerate(vec.transpose([vector.bitcast(floats, row) for row in rows])):
                value = vector.bitcast(vec.vector_type(i32, lanes), word)
                vec.store(value, target.memref, [vec.plus(m, offset), r])

        def single(r: ir.Value, m: ir.Value) -> None:
            word = vector.bitcast(vec.vector_type(i32, 1), vec.load(memory.memref, [r, vec.twice(m)], 2))
            memref.store(vec.extract(word, 0), target.memref, [m, r])

        vec.nest((0, length, lanes), (0, whole, lanes), square)
        vec.nest((0, length, 1), (whole, words, 1), single)


def _is_conversion(generic: Generic) -> bool:
    """Whether the body only hands on its input, perhaps in another float type."""
    *ops, _ = generic.block.operations
    value = generic.yielded[0]
    if not ops:
        return value == generic.block.arguments[0]
    (op, *others) = (op.operation for op in ops)
    return (
        not others
        and op.name in ("arith.extf", "arith.truncf")
        and op.operands[0] == generic.block.arguments[0]
        and value == op.results[0]
    )


def widens_only(generic: Generic) -> bool:
    """Whether the body does nothing but widen bf16 to f32."""
    ops = list(generic.block.operations)
    return (
        len(ops) == 2
        and len(generic.ins) == 1
        and ops[0].operation.name == "arith.extf"
        and ops[0].operation.operands[0] == generic.block.arguments[0]
        and str(generic.block.arguments[0].type) == "bf16"
        and str(ops[0].operation.results[0].type) == "f32"
        and generic.yielded == [ops[0].operation.results[0]]
    )
