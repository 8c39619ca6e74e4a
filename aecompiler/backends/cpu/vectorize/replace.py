"""Replaces the `scf.forall` of a tile program by one without results, around a call."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.cpu.vectorize.fills import can_be_filled, fill
from aecompiler.backends.cpu.vectorize.program import TileProgram
from aecompiler.backends.cpu.vectorize.ranges import SIZE, Ranges
from aecompiler.backends.cpu.vectorize.sources import Sources, plain_type, view_type
from aecompiler.backends.cpu.vectorize.values import Machine
from aecompiler.bindings import bufferization, func, ir, memref, scf, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import width_of
from aecompiler.passes.structured_ops import UnsupportedTile

_INWARD = frozenset({"arith.constant", "tensor.empty", "linalg.fill", "tensor.splat"})
"""Operations that are done again inside instead of passing their results."""

_SINGLE = frozenset({"tensor.extract", "tensor.dim"})
"""Operations that read no more than one element of a tensor."""


def vectorize(forall: ir.Operation, sources: Sources, name: str, machine: Machine) -> None:
    """Replace a tile program; `UnsupportedTile` leaves the IR as it was."""
    results = list(forall.results)
    if not results:
        raise UnsupportedTile("a loop without results")
    for init in list(forall.operands)[len(forall.operands) - len(results) :]:
        made = getattr(rw.definer(init), "name", "")
        if made != "tensor.empty" and not (made == "linalg.fill" and can_be_filled(init)):
            raise UnsupportedTile("results that are not written whole")
    body = forall.regions[0].blocks[0]
    lanes = machine.vector_bits // _accumulator_width(forall)
    captures, inward = _captures(forall)
    rank = len(body.arguments) - len(results)
    tensors = [value for value in captures if isinstance(value.type, ir.RankedTensorType)]
    scalars = [value for value in captures if not isinstance(value.type, ir.RankedTensorType)]
    side_by_side = _read_by_vectors(forall) & set(tensors)
    with forall.location:
        index = ir.IndexType.get()
        inputs = [
            *[index] * rank,
            *(value.type for value in scalars),
            *(view_type(value, value in side_by_side) for value in tensors),
            *(plain_type(result) for result in results),
        ]
        with ir.InsertionPoint(sources.function):
            new = func.FuncOp(name, (inputs, []), visibility="private")
        try:
            _build_function(new, forall, rank, scalars, tensors, inward, machine, lanes)
        except UnsupportedTile:
            new.operation.erase()
            raise
        _replace_loop(new, forall, rank, scalars, tensors, side_by_side, sources, lanes)


def _accumulator_width(forall: ir.Operation) -> int:
    """The bits of the widest float of which tiles are: a few numbers for each row may be wider."""
    width = 32
    for op in rw.walk_list(forall, "linalg."):
        for value in (*op.operands, *op.results):
            is_tile = isinstance(value.type, ir.RankedTensorType) and value.type.rank > 1
            if is_tile and isinstance(value.type.element_type, ir.F64Type):
                width = 64
    return width


def _captures(forall: ir.Operation) -> tuple[list[ir.Value], list[ir.Operation]]:
    """Values from outside that the body uses, and operations from outside that are done inside again."""
    found: dict[ir.Value, None] = {}
    inward: list[ir.Operation] = []
    seen: set[ir.Value] = set()

    def inside(value: ir.Value) -> bool:
        owner = value.owner
        block = owner if isinstance(owner, ir.Block) else owner.operation.block
        while True:
            op = block.owner.operation
            if op == forall:
                return True
            if op.parent is None or op.name == "func.func":
                return False
            block = op.block

    def visit(value: ir.Value) -> None:
        if value in seen or inside(value):
            return
        seen.add(value)
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.operation.name in _INWARD:
            op = owner.operation
            shaped = op.results[0].type
            splat = op.name != "arith.constant" or not _has_elements(op.attributes["value"])
            if not isinstance(shaped, ir.RankedTensorType) or (shaped.has_static_shape and splat):
                for operand in op.operands:
                    visit(operand)
                inward.append(op)
                return
        found[value] = None

    for op in rw.walk_list(forall):
        for value in op.operands:
            visit(value)
    return list(found), inward


def _has_elements(attribute: ir.Attribute) -> bool:
    """Whether a constant is a tensor of several values, which stays where it is."""
    return isinstance(attribute, ir.DenseElementsAttr) and not attribute.is_splat


def _read_by_vectors(forall: ir.Operation) -> set[ir.Value]:
    """The tensors of which vectors may be read: the elements of a row must lie side by side then."""
    readers = [op for op in rw.walk_list(forall) if op.name not in _SINGLE]
    return {value for op in readers for value in op.operands}


# ---- the function of one tile ----------------------------------------------------------------------


def _build_function(
    new: func.FuncOp,
    forall: ir.Operation,
    rank: int,
    scalars: Sequence[ir.Value],
    tensors: Sequence[ir.Value],
    inward: Sequence[ir.Operation],
    machine: Machine,
    lanes: int,
) -> None:
    body = forall.regions[0].blocks[0]
    entry = new.add_entry_block()
    arguments = list(entry.arguments)
    mapping = dict(zip([*list(body.arguments)[:rank], *scalars], arguments, strict=False))
    first = rank + len(scalars)
    views = dict(zip(tensors, arguments[first:], strict=False))
    outs = dict(zip(list(body.arguments)[rank:], arguments[first + len(tensors) :], strict=True))
    program = TileProgram(entry, machine, lanes, mapping, views)
    outside, known = Ranges(), program.scope.ranges.known
    known.update(dict.fromkeys(arguments[:rank], SIZE))
    known.update((mapping[value], outside.of(value)) for value in scalars if width_of(value.type))
    with ir.InsertionPoint(entry):
        for op in inward:
            program.operation(op)
        program.write_to(outs)
        program.block(body)
        *_, terminator = body.operations
        for insert in terminator.operation.regions[0].blocks[0].operations:
            program.insert(insert.operation)
        func.ReturnOp([])


# ---- the loop around the call ----------------------------------------------------------------------


def _replace_loop(
    new: func.FuncOp,
    forall: ir.Operation,
    rank: int,
    scalars: Sequence[ir.Value],
    tensors: Sequence[ir.Value],
    side_by_side: set[ir.Value],
    sources: Sources,
    lanes: int,
) -> None:
    results = list(forall.results)
    inits = list(forall.operands)[len(forall.operands) - len(results) :]
    with ir.InsertionPoint(forall):
        views = [sources.view(value, value in side_by_side) for value in tensors]
        buffers = [_destination(result, init) for result, init in zip(results, inits, strict=True)]
        for buffer, init in zip(buffers, inits, strict=True):
            made = rw.definer(init)
            if made is not None and made.name == "linalg.fill":
                fill(buffer, made.operands[0], lanes)
        loop = scf.ForallOp(*_bounds(forall, len(results)), [])
        with ir.InsertionPoint(loop.body):
            func.CallOp(new, [*list(loop.induction_variables)[:rank], *scalars, *views, *buffers])
            ending = scf.InParallelOp().operation
            if not len(ending.regions[0].blocks):
                ending.regions[0].blocks.append()
    for result, buffer in zip(results, buffers, strict=True):
        taker = _taker(result)
        if taker is not None:
            taker.erase()
            continue
        with ir.InsertionPoint(forall):
            value = bufferization.ToTensorOp(result.type, buffer, restrict=True, writable=True).result
        result.replace_all_uses_with(value)
    forall.erase()


def _bounds(forall: ir.Operation, results: int) -> list[list[int | ir.Value]]:
    dynamic = iter(list(forall.operands))
    found = []
    for name in ("staticLowerBound", "staticUpperBound", "staticStep"):
        static = list(ir.DenseI64ArrayAttr(forall.attributes[name]))
        found.append([next(dynamic) if n == rw.DYNAMIC else n for n in static])
    return found


def _taker(result: ir.Value) -> ir.Operation | None:
    """The operation that does nothing but store a result in a plain buffer."""
    uses = list(result.uses)
    if len(uses) != 1 or uses[0].owner.operation.name != "bufferization.materialize_in_destination":
        return None
    op = uses[0].owner.operation
    destination = op.operands[1]
    outside = isinstance(destination.owner, ir.Block)
    return op if outside and destination.type == plain_type(result) else None


def _destination(result: ir.Value, init: ir.Value) -> ir.Value:
    """The buffer that a result is written to."""
    taker = _taker(result)
    if taker is not None:
        return taker.operands[1]
    shaped = ir.RankedTensorType(result.type)
    sizes = [tensor.dim(init, rw.index(d)) for d in range(shaped.rank) if shaped.is_dynamic_dim(d)]
    return memref.AllocOp(plain_type(result), sizes, []).result
