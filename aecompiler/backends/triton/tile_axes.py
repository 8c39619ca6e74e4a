"""Which dimensions of the tensors of a kernel are one and the same, as the rows of all its tiles."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure

SOURCES = ("arith.constant", "tt.splat", "tt.make_range")
"""Operations that make tensors of scalars: each use of a result is a tensor of its own."""

_ELEMENTWISE = ("arith.", "math.")
_ALSO_ELEMENTWISE = (
    "tt.addptr",
    "tt.load",
    "tt.store",
    "tt.extern_elementwise",
    "tt.elementwise_inline_asm",
    "tt.bitcast",
    "tt.fp_to_fp",
)
_OPAQUE = (
    "tt.descriptor_load",
    "tt.descriptor_store",
    "tt.get_program_id",
    "tt.return",
    "tt.reduce.return",
    "tt.scan.return",
)

_Node = tuple[object, ...]


def is_elementwise(op: ir.Operation) -> bool:
    """Whether each element of the results is computed of the same elements of the operands."""
    return op.name not in SOURCES and (op.name.startswith(_ELEMENTWISE) or op.name in _ALSO_ELEMENTWISE)


class TileAxes:
    """The classes of equal dimensions in a kernel, which must not change while they are asked for."""

    def __init__(self, function: ir.Operation):
        self._parents: dict[_Node, _Node] = {}
        for op in rw.walk_list(function):
            self._visit(op)

    def same(self, a: _Node, b: _Node) -> bool:
        """Whether two dimensions are one."""
        return self._find(a) == self._find(b)

    def of_value(self, value: ir.Value, axis: int) -> _Node:
        """A dimension of the result of an operation, or of an argument."""
        return (value, axis)

    def of_use(self, op: ir.Operation, number: int, axis: int) -> _Node:
        """A dimension of an operand."""
        value = op.operands[number]
        made = rw.definer(value)
        if made is not None and made.name in SOURCES:
            return (op, number, axis)
        return (value, axis)

    # ---- the rules -------------------------------------------------------------------------------

    def _find(self, node: _Node) -> _Node:
        parents, first = self._parents, node
        while (parent := parents.get(node)) is not None:
            node = parent
        while first != node:  # later searches begin at the end
            parents[first], first = node, parents[first]
        return node

    def _unify(self, a: _Node, b: _Node) -> None:
        a, b = self._find(a), self._find(b)
        if a != b:
            self._parents[a] = b

    def _visit(self, op: ir.Operation) -> None:
        if op.name in SOURCES or op.name in _OPAQUE:
            return
        if is_elementwise(op):
            self._elementwise(op)
        elif op.name in _RULES:
            _RULES[op.name](self, op)
        elif any(tt.shape_of(value) for value in (*op.operands, *op.results)):
            raise PassFailure(op, "unsupported: an operation whose dimensions are not known")

    def _elementwise(self, op: ir.Operation) -> None:
        nodes = [self._of_result(result) for result in op.results if tt.shape_of(result)]
        nodes += [
            self._of_operand(op, number) for number, operand in enumerate(op.operands) if tt.shape_of(operand)
        ]
        for other in nodes[1:]:
            self._all(nodes[0], other)

    def _of_result(self, value: ir.Value) -> list[_Node]:
        return [self.of_value(value, axis) for axis in range(len(tt.shape_of(value)))]

    def _of_operand(self, op: ir.Operation, number: int) -> list[_Node]:
        return [self.of_use(op, number, axis) for axis in range(len(tt.shape_of(op.operands[number])))]

    def _all(self, a: Sequence[_Node], b: Sequence[_Node]) -> None:
        for one, other in zip(a, b, strict=True):
            self._unify(one, other)

    def _expand_dims(self, op: ir.Operation) -> None:
        axis = op.attributes["axis"].value
        nodes = self._of_result(op.results[0])
        del nodes[axis]
        self._all(self._of_operand(op, 0), nodes)

    def _broadcast(self, op: ir.Operation) -> None:
        old, new = tt.shape_of(op.operands[0]), tt.shape_of(op.results[0])
        for axis, (a, b) in enumerate(zip(old, new, strict=True)):
            if a == b:
                self._unify(self.of_use(op, 0, axis), self.of_value(op.results[0], axis))

    def _trans(self, op: ir.Operation) -> None:
        order = list(ir.DenseI32ArrayAttr(op.attributes["order"]))
        nodes = self._of_operand(op, 0)
        self._all(self._of_result(op.results[0]), [nodes[axis] for axis in order])

    def _reduce(self, op: ir.Operation) -> None:
        nodes = self._of_operand(op, 0)
        del nodes[op.attributes["axis"].value]
        if nodes:
            self._all(nodes, self._of_result(op.results[0]))

    def _scan(self, op: ir.Operation) -> None:
        self._all(self._of_operand(op, 0), self._of_result(op.results[0]))

    def _dot(self, op: ir.Operation) -> None:
        (m, k), (k2, n), into = (self._of_operand(op, number) for number in range(3))
        self._unify(k, k2)
        for other in (into, self._of_result(op.results[0])):
            self._all([m, n], other)

    def _for(self, op: ir.Operation) -> None:
        block = op.regions[0].blocks[0]
        *_, last = block.operations
        for at, result in enumerate(op.results):
            nodes = self._of_result(result)
            self._all(nodes, self._of_operand(op, at + 3))
            self._all(nodes, self._of_result(block.arguments[at + 1]))
            self._all(nodes, self._of_operand(last.operation, at))

    def _if(self, op: ir.Operation) -> None:
        for region in op.regions:
            for block in region.blocks:
                *_, last = block.operations
                for at, result in enumerate(op.results):
                    self._all(self._of_result(result), self._of_operand(last.operation, at))

    def _yield(self, _op: ir.Operation) -> None:
        """Loops and branches say what their operands are."""


_RULES = {
    "tt.expand_dims": TileAxes._expand_dims,
    "tt.broadcast": TileAxes._broadcast,
    "tt.trans": TileAxes._trans,
    "tt.reduce": TileAxes._reduce,
    "tt.scan": TileAxes._scan,
    "tt.dot": TileAxes._dot,
    "scf.for": TileAxes._for,
    "scf.if": TileAxes._if,
    "scf.yield": TileAxes._yield,
}
