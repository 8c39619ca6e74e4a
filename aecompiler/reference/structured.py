"""`linalg`: every structured op is its indexing maps and its body, and is evaluated as such.

The body runs once for all points of the iteration space, with the loops as further lane axes. A reduction
whose body is `out + f(inputs)`, or another associative operation in place of the sum, reduces an axis at
once; a product of two inputs under a sum is an einsum. Any other body with a reduction runs in order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aecompiler.reference.affine import AffineMap, einsum_maps, parse_map, projection
from aecompiler.reference.machine import Block, Frame, Instruction, gather, implements
from aecompiler.reference.values import signed, unsigned, wrap

Array = np.ndarray

_EINSUM = {
    "linalg.dot": "k,k->",
    "linalg.vecmat": "k,kn->n",
    "linalg.matvec": "mk,k->m",
    "linalg.matmul": "mk,kn->mn",
    "linalg.batch_matmul": "bmk,bkn->bmn",
    "linalg.batch_matvec": "bmk,bk->bm",
    "linalg.batch_vecmat": "bk,bkn->bn",
    "linalg.batch_reduce_matmul": "bmk,bkn->mn",
    "linalg.mmt4d": "mkxz,nkyz->mnxy",
    "linalg.batch_mmt4d": "bmkxz,bnkyz->bmnxy",
}
"""Contractions without an attribute for their maps."""

_ELEMENTWISE = frozenset(
    f"linalg.{name}"
    for name in (
        *("abs", "add", "ceil", "copy", "div", "div_unsigned", "erf", "exp", "fill", "floor", "log", "map"),
        *("max", "min", "mul", "negf", "powf", "reciprocal", "round", "rsqrt", "select", "sqrt", "square"),
        *("sub", "tanh"),
    )
)

_WITH_MAPS = ("linalg.batch_reduce_matmul", "linalg.contract", "linalg.elementwise", "linalg.generic")

_FLOAT_REDUCERS = {
    "arith.addf": np.add,
    "arith.mulf": np.multiply,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
}

_INTEGER_REDUCERS = {
    "arith.addi": (np.add, signed),
    "arith.muli": (np.multiply, signed),
    "arith.maxsi": (np.maximum, signed),
    "arith.minsi": (np.minimum, signed),
    "arith.maxui": (np.maximum, unsigned),
    "arith.minui": (np.minimum, unsigned),
    "arith.andi": (np.bitwise_and, signed),
    "arith.ori": (np.bitwise_or, signed),
    "arith.xori": (np.bitwise_xor, signed),
}

_CASTS = ("arith.extf", "arith.truncf", "arith.convertf")


@implements(*_EINSUM, *_ELEMENTWISE, *_WITH_MAPS, "linalg.broadcast", "linalg.transpose", "linalg.reduce")
def _structured(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    if len(op.results) == 0:
        raise op.unsupported(f"'{op.name}' op on memory")
    return _Structured(op, args, frame).evaluate()


@implements("linalg.index")
def _index(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    return [frame.indices[op.attributes["dim"].value]]


def indexing_maps(op: Instruction) -> list[AffineMap]:
    """The map of each operand of a structured op, inputs first."""
    rank = op.result_types[0].rank
    if op.name == "linalg.broadcast":
        kept = [axis for axis in range(rank) if axis not in op.integers("dimensions")]
        return [projection(rank, kept), projection(rank, range(rank))]
    if op.name == "linalg.transpose":
        permutation = op.integers("permutation")
        return [
            projection(rank, [permutation.index(axis) for axis in range(rank)]),
            projection(rank, range(rank)),
        ]
    if op.name == "linalg.reduce":
        rank, inputs = op.operand_types[0].rank, len(op.operands) - len(op.results)
        kept = [axis for axis in range(rank) if axis not in op.integers("dimensions")]
        return [projection(rank, range(rank))] * inputs + [projection(rank, kept)] * len(op.results)
    if op.name in _ELEMENTWISE:
        return [
            projection(rank, range(rank) if type_.shape is not None else ()) for type_ in op.operand_types
        ]
    if (maps := op.attribute("indexing_maps")) is not None:
        return [parse_map(str(map_)) for map_ in maps]
    return einsum_maps(_EINSUM[op.name])


@dataclass
class _Combiner:
    """How an output is reduced: `combined = name(out, value)`."""

    name: str
    value: int


class _Structured:
    """One evaluation of a structured op."""

    def __init__(self, op: Instruction, args: list[Array], frame: Frame):
        self.op, self.args, self.frame = op, args, frame
        self.maps = indexing_maps(op)
        self.axes = len(frame.lanes)
        self.inputs = len(args) - len(op.results)
        for map_ in self.maps[self.inputs :]:
            if not map_.is_projection:
                raise op.unsupported(f"'{op.name}' op with an output that is not indexed by loops alone")
        self.sizes = self._loop_sizes()
        self.reduced = [
            tuple(loop for loop in range(len(self.sizes)) if loop not in map_.loops)
            for map_ in self.maps[self.inputs :]
        ]

    def evaluate(self) -> list[Array]:
        """The results, in the lanes of the frame."""
        outs = [self._at_loops(i, self.frame.inner(self.sizes)) for i in range(self.inputs, len(self.args))]
        if any(self.sizes[loop] == 0 for loops in self.reduced for loop in loops):
            return self.args[self.inputs :]
        if not any(self.reduced):
            results = self._run(outs)
        else:
            combiners = [self._combiner(position) for position in range(len(outs))]
            if all(combiners):
                results = self._contract(combiners[0], outs) or self._reduce(combiners, outs)
            else:
                results = self._in_order(outs)
        return [self._from_loops(position, result) for position, result in enumerate(results)]

    def _loop_sizes(self) -> list[int]:
        found: dict[int, int] = {}
        for map_, value in zip(self.maps, self.args, strict=True):
            for loop, size in zip(map_.loops, value.shape[self.axes :], strict=True):
                if loop is not None and found.setdefault(loop, size) != size:
                    raise ValueError(
                        f"expects equal sizes along loop {loop} of '{self.op.name}', "
                        f"got {found[loop]} and {size}, at {self.op.location}"
                    )
        if len(found) != self.maps[0].rank:
            raise self.op.unsupported(f"'{self.op.name}' op with a loop that is no axis of an operand")
        return [found[loop] for loop in range(len(found))]

    def _at_loops(self, operand: int, points: Frame) -> Array:
        """The elements of an operand at each point: lane axes, then loops, of size 1 if it does not vary."""
        value, map_ = self.args[operand], self.maps[operand]
        lanes, count = value.shape[: self.axes], len(points.indices)
        if map_.is_projection:
            order = sorted(range(len(map_.loops)), key=lambda axis: map_.loops[axis] or 0)
            turned = value.transpose([*range(self.axes), *(self.axes + axis for axis in order)])
            shape = [1] * count
            for loop, size in zip(map_.loops, value.shape[self.axes :], strict=True):
                shape[loop or 0] = size
            return turned.reshape((*lanes, *shape))
        rank = self.axes + count
        indices = [np.broadcast_to(i, (1,) * (rank - i.ndim) + i.shape) for i in map_.apply(points.indices)]
        return gather(value, self.axes, indices)

    def _from_loops(self, output: int, value: Array) -> Array:
        """An output at the points of its loops as the tensor that its map stores."""
        map_ = self.maps[self.inputs + output]
        axes = [self.axes + (loop or 0) for loop in map_.loops]
        sizes = [self.sizes[loop or 0] for loop in map_.loops]
        turned = value.transpose(
            [*range(self.axes), *axes, *(self.axes + loop for loop in self.reduced[output])]
        )
        turned = turned.reshape(turned.shape[: self.axes + len(axes)])
        return np.broadcast_to(turned, turned.shape[: self.axes] + tuple(sizes))

    def _arguments(self, outs: Sequence[Array], points: Frame) -> list[Array]:
        ins = [self._at_loops(i, points) for i in range(self.inputs)]
        # Some versions of linalg.map hand no output to the body.
        return [*ins, *outs][: len(self.op.body.arguments)]

    def _run(
        self, outs: Sequence[Array], body: Block | None = None, wanted: Sequence[int] = ()
    ) -> list[Array]:
        """The yielded values at all points, or those numbered `wanted` after running `body`."""
        points = self.frame.inner(self.sizes)
        results = points.run(body or self.op.body, self._arguments(outs, points))
        self.frame.close(points)
        return [points[number] for number in wanted] if wanted else results

    def _combiner(self, output: int) -> _Combiner | None:
        """The associative operation that an output is reduced by, if its body has that form."""
        body = self.op.body
        accumulators = body.arguments[len(body.arguments) - len(self.op.results) :]
        out, combined = accumulators[output], body.terminator.operands[output]
        uses = [number for op in (*body.instructions, body.terminator) for number in op.operands]
        for op in body.instructions:
            if op.results == (combined,) and out in op.operands:
                known = op.name in _FLOAT_REDUCERS or op.name in _INTEGER_REDUCERS
                if known and uses.count(out) == 1 and uses.count(combined) == 1:
                    return _Combiner(op.name, next(n for n in op.operands if n != out))
        return None

    def _reduce(self, combiners: Sequence[_Combiner | None], outs: Sequence[Array]) -> list[Array]:
        known = [combiner for combiner in combiners if combiner]
        combined = self.op.body.terminator.operands
        body = Block(
            self.op.body.arguments,
            tuple(op for op in self.op.body.instructions if op.results[0] not in combined),
            Instruction("linalg.yield", (), (), (), (), {}, (), self.op.location),
        )
        values = self._run(outs, body, [combiner.value for combiner in known])
        results = []
        for combiner, value, out, loops in zip(known, values, outs, self.reduced, strict=True):
            axes = tuple(self.axes + loop for loop in loops)
            full = list(value.shape)
            for loop in loops:
                full[self.axes + loop] = self.sizes[loop]
            value = np.broadcast_to(value, full)
            if combiner.name in _FLOAT_REDUCERS:
                ufunc = _FLOAT_REDUCERS[combiner.name]
                results.append(ufunc(out, ufunc.reduce(value, axis=axes, keepdims=True)))
                continue
            ufunc, view = _INTEGER_REDUCERS[combiner.name]
            width = self.op.result_types[len(results)].width
            read = (lambda x, w=width: unsigned(x, w)) if view is unsigned else signed
            results.append(wrap(ufunc(read(out), ufunc.reduce(read(value), axis=axes, keepdims=True)), width))
        return results

    def _contract(self, combiner: _Combiner | None, outs: Sequence[Array]) -> list[Array] | None:
        """The result of a body that is `out + a * b`, up to casts, without the whole iteration space."""
        body = self.op.body
        made = {op.results[0]: op for op in body.instructions}

        def origin(number: int) -> int:
            while number in made and made[number].name in _CASTS:
                number = made[number].operands[0]
            return number

        if combiner is None or len(outs) != 1 or combiner.name != "arith.addf":
            return None
        product = made.get(origin(combiner.value))
        if product is None or product.name != "arith.mulf":
            return None
        factors = [origin(number) for number in product.operands]
        if any(number not in body.arguments[: self.inputs] for number in factors):
            return None
        operands: list = []
        for number in factors:
            position = body.arguments.index(number)
            if not self.maps[position].is_projection:
                return None
            operands += [self.args[position], [Ellipsis, *self.maps[position].loops]]
        # A loop that no factor has (a sum over a broadcast axis) is left to the general form.
        if {*operands[1], *operands[3]} != {Ellipsis, *range(len(self.sizes))}:
            return None
        map_ = self.maps[self.inputs]
        total = np.einsum(*operands, [Ellipsis, *map_.loops]) + self.args[self.inputs]
        order = np.argsort([loop or 0 for loop in map_.loops]).astype(int)
        total = total.transpose([*range(self.axes), *(self.axes + axis for axis in order)])
        shape = [1 if loop in self.reduced[0] else size for loop, size in enumerate(self.sizes)]
        return [total.reshape(total.shape[: self.axes] + tuple(shape))]

    def _in_order(self, outs: Sequence[Array]) -> list[Array]:
        """Run the body at each point of the reduced loops in turn."""
        loops = sorted({loop for reduced in self.reduced for loop in reduced})
        points = self.frame.inner(self.sizes)
        inputs = [self._at_loops(i, points) for i in range(self.inputs)]
        kept = [self.sizes[loop] if loop not in loops else 1 for loop in range(len(self.sizes))]
        current = [np.array(value) for value in outs]
        for point in itertools.product(*(range(self.sizes[loop]) for loop in loops)):
            frame = self.frame.inner(kept)
            at = dict(zip(loops, point, strict=True))
            frame.indices = [
                index if loop not in at else np.full_like(frame.indices[loop], at[loop])
                for loop, index in enumerate(points.indices)
            ]
            arguments = [self._slice(value, at) for value in (*inputs, *current)]
            results = frame.run(self.op.body, arguments[: len(self.op.body.arguments)])
            self.frame.close(frame)
            for position, result in enumerate(results):
                current[position] = self._store(current[position], result, at)
        return current

    def _slice(self, value: Array, at: dict[int, int]) -> Array:
        where = [slice(None)] * value.ndim
        for loop, index in at.items():
            if value.shape[self.axes + loop] > 1:
                where[self.axes + loop] = slice(index, index + 1)
        return value[tuple(where)]

    def _store(self, value: Array, result: Array, at: dict[int, int]) -> Array:
        lanes = np.broadcast_shapes(value.shape[: self.axes], result.shape[: self.axes])
        value = np.array(np.broadcast_to(value, lanes + value.shape[self.axes :]))
        self._slice(value, at)[...] = result
        return value
