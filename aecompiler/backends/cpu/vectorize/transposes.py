"""Operations that turn [a, b] into [b, a], by transposing squares of vectors."""

from __future__ import annotations

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.nests import Nests, Point
from aecompiler.backends.cpu.vectorize.values import Generic, Memory, Operand, Pairs, Rows, UnsupportedTile
from aecompiler.bindings import arith, ir, memref, vector
from aecompiler.passes import rewriting as rw


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
        major, minor = generic.outs[0].loops
        along = self._lane_loop(generic, major, minor)
        if along == minor:
            self._before(generic, target)
        else:
            self._after(generic, target)

    def _lane_loop(self, generic: Generic, major: int, minor: int) -> int:
        rows = {
            operand.loops[0]
            for operand in generic.ins
            if len(operand.loops) == 1 and isinstance(self.nests.lookup(operand.value), Rows)
        }
        if len(rows) > 1:
            raise UnsupportedTile("a transposition with vectors along both dimensions")
        candidates = list(rows) or [minor, major]
        for loop in candidates:
            if generic.sizes[loop] % self.lanes == 0:
                return loop
        raise UnsupportedTile(f"a transposition of {generic.sizes[major]} x {generic.sizes[minor]}")

    # ---- transpose what is read, then compute ----------------------------------------------------

    def _before(self, generic: Generic, target: Memory) -> None:
        """Lanes along the result's rows: the transposed operand is read by squares."""
        major, minor = generic.outs[0].loops
        sources = [operand for operand in generic.ins if operand.loops == (minor, major)]
        if len(sources) != 1:
            raise UnsupportedTile("more than one transposed operand")
        (source,) = sources
        memory = self.nests.memory(source.value)
        number = generic.ins.index(source)
        acc = self._wider(generic, source)
        size, chunks = generic.sizes[major], generic.sizes[minor] // self.lanes
        whole = size - size % self.lanes

        def emit(place: ir.Value, chunk: int, column: ir.Value) -> None:
            point = Point({major: place}, minor, chunk, {}, {}, {})
            (value,) = self.nests.evaluate(generic, point, {number: column})
            vec.store(self.scope.vector(value), target.memref, [place, rw.index(chunk * self.lanes)])

        def square(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for chunk in range(chunks):
                rows = [
                    self._convert(
                        vec.load(memory.memref, [rw.index(chunk * self.lanes + lane), m], self.lanes), acc
                    )
                    for lane in range(self.lanes)
                ]
                for offset, column in enumerate(vec.transpose(rows)):
                    emit(vec.plus(m, offset), chunk, column)
            return []

        def single(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for chunk in range(chunks):
                elements = [
                    self._convert(memref.load(memory.memref, [rw.index(chunk * self.lanes + lane), m]), acc)
                    for lane in range(self.lanes)
                ]
                emit(m, chunk, vector.from_elements(vec.vector_type(acc, self.lanes), elements))
            return []

        vec.loop(0, whole, self.lanes, [], square)
        vec.loop(whole, size, 1, [], single)

    def _wider(self, generic: Generic, operand: Operand) -> ir.Type:
        """The type in which an operand is transposed: that which the body widens it to."""
        argument = generic.argument(operand)
        users = [use.owner.operation for use in argument.uses]
        types = [user.results[0].type for user in users if user.name == "arith.extf"]
        if types and len(types) == len(users) and all(t == types[0] for t in types):
            return types[0]
        return argument.type

    def _convert(self, value: ir.Value, element: ir.Type) -> ir.Value:
        if vec.element_type(value) == element:
            return value
        type_ = vec.vector_type(element, self.lanes) if vec.is_vector(value) else element
        return arith.extf(type_, value)

    # ---- compute, then transpose what is stored --------------------------------------------------

    def _after(self, generic: Generic, target: Memory) -> None:
        """Lanes along the result's columns' loop: squares of results are transposed and stored by rows."""
        major, minor = generic.outs[0].loops
        result = generic.yielded[0]
        narrow = None
        if not isinstance(result.owner, ir.Block) and result.owner.operation.name == "arith.truncf":
            narrow, result = result.type, result.owner.operation.operands[0]
        size, chunks = generic.sizes[minor], generic.sizes[major] // self.lanes
        whole = size - size % self.lanes

        def value_at(place: ir.Value, chunk: int) -> ir.Value:
            point = Point({minor: place}, major, chunk, {}, {}, {})
            return self.scope.vector(self.nests.evaluate(generic, point, results=[result])[0])

        def narrowed(value: ir.Value) -> ir.Value:
            if narrow is None:
                return value
            type_ = vec.vector_type(narrow, self.lanes) if vec.is_vector(value) else narrow
            return arith.truncf(type_, value)

        def square(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for chunk in range(chunks):
                columns = [value_at(vec.plus(m, offset), chunk) for offset in range(self.lanes)]
                for lane, row in enumerate(vec.transpose(columns)):
                    vec.store(narrowed(row), target.memref, [rw.index(chunk * self.lanes + lane), m])
            return []

        def single(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for chunk in range(chunks):
                value = value_at(m, chunk)
                for lane in range(self.lanes):
                    place = [rw.index(chunk * self.lanes + lane), m]
                    memref.store(narrowed(vec.extract(value, lane)), target.memref, place)
            return []

        vec.loop(0, whole, self.lanes, [], square)
        vec.loop(whole, size, 1, [], single)

    # ---- pairs -----------------------------------------------------------------------------------

    def pairs(self, generic: Generic, target: Pairs) -> None:
        """A widening transposition of bf16 [rows, features], kept as pairs of features: [features / 2, rows]."""
        (source,) = generic.ins
        memory = self.nests.memory(source.value).memref
        size, length = (generic.sizes[loop] for loop in generic.outs[0].loops)
        chunks, words = length // self.lanes, size // 2
        f32, i32 = ir.F32Type.get(), ir.IntegerType.get_signless(32)
        whole = words - words % self.lanes

        def square(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            column = arith.muli(m, rw.index(2))
            for chunk in range(chunks):
                rows = [
                    vector.bitcast(
                        vec.vector_type(f32, self.lanes),
                        vec.load(memory, [rw.index(chunk * self.lanes + lane), column], 2 * self.lanes),
                    )
                    for lane in range(self.lanes)
                ]
                for offset, word in enumerate(vec.transpose(rows)):
                    value = vector.bitcast(vec.vector_type(i32, self.lanes), word)
                    vec.store(value, target.memref, [vec.plus(m, offset), rw.index(chunk * self.lanes)])
            return []

        def single(m: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            column = arith.muli(m, rw.index(2))
            for chunk in range(chunks):
                elements = []
                for lane in range(self.lanes):
                    two = vec.load(memory, [rw.index(chunk * self.lanes + lane), column], 2)
                    elements.append(vec.extract(vector.bitcast(vec.vector_type(i32, 1), two), 0))
                value = vector.from_elements(vec.vector_type(i32, self.lanes), elements)
                vec.store(value, target.memref, [m, rw.index(chunk * self.lanes)])
            return []

        vec.loop(0, whole, self.lanes, [], square)
        vec.loop(whole, words, 1, [], single)


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
