"""The pass `amd-prefetch-tiles`: loops read the tiles of their next turn before they work on this one's."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.access import AHEAD
from aecompiler.bindings import arith, ir, scf, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass

_PURE = ("arith.", "math.", "vector.broadcast", "vector.shape_cast", "vector.step", "vector.transpose")


@register_pass
class PrefetchTiles(Pass):
    """Read factors of products one turn of a loop ahead.

    *Before*: kernels of `convert-tt-to-vector`. *After*: loops of step 1 carry the tiles that the products of
    their next turn have as right factors, or as transposes of these: they are read before the first product
    of a turn, so that they are on their way while the products of this turn are computed. The last turn reads
    its own tiles again. Such reads have the attribute `amd.ahead`. Only reads whose place follows from the
    number of the turn and from values outside of the loop are moved. The reads before a loop read nothing if
    it has no turn; with `branch` they and the loop are in a branch that is not taken then.

    ```mlir
    scf.for %t = %lower to %upper step %c1 {
      %k = vector.gather %keys[%place_of_t] [%offsets], %all, %zeros : ...
      %s = vector.contract ... %q, %k, %start
    }
    ```
    becomes
    ```mlir
    %first = vector.gather %keys[%place_of_lower] [%offsets], %is_any, %zeros : ...
    scf.for %t = %lower to %upper step %c1 iter_args(%k = %first) {
      %next = vector.gather %keys[%place_of_next] [%offsets], %all, %zeros {amd.ahead} : ...
      %s = vector.contract ... %q, %k, %start
      scf.yield %next
    }
    ```
    """

    NAME = "amd-prefetch-tiles"

    branch: bool = option(False, "loops, and the reads of their first turns, are in a branch")

    def run(self, op: ir.Operation) -> None:
        """Change every loop in the kernels of `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for loop in rw.walk_list(function, "scf.for"):
                self._change(loop)

    def _change(self, loop: ir.Operation) -> None:
        """Replace a loop by one that reads ahead, if there is something to read."""
        lower, upper, step, *inits = loop.operands
        if rw.constant_value(step) != 1:
            return
        body = loop.regions[0].blocks[0]
        reads = [(read, found) for read in _reads(body) if (found := _slice(read, body)) is not None]
        if not reads:
            return
        with ir.InsertionPoint(loop), loop.location:
            is_any = arith.cmpi(arith.CmpIPredicate.slt, lower, upper)
            if not self.branch:
                results = list(_ahead(loop, reads, is_any).results)[: len(inits)]
            else:
                branch = scf.IfOp(is_any, [result.type for result in loop.results], has_else=True)
                with ir.InsertionPoint(branch.then_block):
                    scf.YieldOp(list(_ahead(loop, reads, None).results)[: len(inits)])
                with ir.InsertionPoint(branch.else_block):
                    scf.YieldOp(inits)
                results = list(branch.results)
        for old, result in zip(loop.results, results, strict=True):
            old.replace_all_uses_with(result)
        loop.erase()


def _ahead(
    loop: ir.Operation, reads: list[tuple[ir.Operation, list[ir.Operation]]], is_any: ir.Value | None
) -> scf.ForOp:
    """The loop that reads ahead, at the insertion point; its first tiles are nothing unless `is_any`."""
    lower, upper, step, *inits = loop.operands
    body = loop.regions[0].blocks[0]
    induction, *carried = body.arguments
    firsts = [_read(read, found, {induction: lower}, is_any) for read, found in reads]
    last = arith.maxsi(arith.subi(upper, step), lower)
    new = scf.ForOp(lower, upper, step, [*inits, *firsts])
    for name in loop.attributes:
        new.operation.attributes[name] = loop.attributes[name]
    with ir.InsertionPoint(new.body), loop.location:
        mapping = {induction: new.induction_variable}
        given = list(new.inner_iter_args)
        mapping |= dict(zip(carried, given, strict=False))
        mapping |= {
            read.results[0]: tile for (read, _), tile in zip(reads, given[len(carried) :], strict=True)
        }
        *operations, end = [view.operation for view in body.operations]
        nexts: list[ir.Value] = []
        for op in operations:
            if op.results and op.results[0] in mapping:
                continue
            if op.name == "vector.contract" and not nexts:
                after = arith.addi(new.induction_variable, step)
                ahead = arith.minsi(after, last)
                nexts = [_read(read, found, {induction: ahead}, None) for read, found in reads]
                for each in nexts:
                    each.owner.attributes[AHEAD] = ir.UnitAttr.get()
            rw.clone_op(op, mapping)
        scf.YieldOp([*(mapping.get(each, each) for each in end.operands), *nexts])
    return new


def _reads(body: ir.Block) -> list[ir.Operation]:
    """Reads of tiles that are right factors of products, or their transposes."""
    found = []
    for view in body.operations:
        op = view.operation
        if op.name == "vector.gather" and op.results[0].type.rank == 2 and _is_factor(op.results[0], body):
            found.append(op)
    return found


def _is_factor(value: ir.Value, body: ir.Block) -> bool:
    uses = list(value.uses)
    for use in uses:
        op = use.owner.operation
        if op.name == "vector.transpose" and _is_factor(op.results[0], body):
            continue
        if op.name != "vector.contract" or use.operand_number != 1 or op.block != body:
            return False
    return bool(uses)


def _slice(read: ir.Operation, body: ir.Block) -> list[ir.Operation] | None:
    """What a read needs of the body, in order; None where it needs more than the number of the turn."""
    needed: set[ir.Operation] = set()

    def visit(value: ir.Value) -> bool:
        if isinstance(value.owner, ir.Block):
            return value.owner != body or value == body.arguments[0]
        op = value.owner.operation
        if op.block != body or op in needed:
            return True
        if not op.name.startswith(_PURE):
            return False
        needed.add(op)
        return all(visit(operand) for operand in op.operands)

    if not all(visit(operand) for operand in read.operands):
        return None
    return [view.operation for view in body.operations if view.operation in needed]


def _read(
    read: ir.Operation, needed: list[ir.Operation], mapping: dict[ir.Value, ir.Value], is_any: ir.Value | None
) -> ir.Value:
    """The read of another turn, of nothing unless `is_any`."""
    mapping = dict(mapping)
    for op in needed:
        rw.clone_op(op, mapping)
    new = rw.clone_op(read, mapping)
    if is_any is not None:
        mask = len(new.operands) - 2
        with ir.InsertionPoint(new):
            anything = vector.broadcast(new.operands[mask].type, is_any)
            new.operands[mask] = arith.andi(new.operands[mask], anything)
    return new.results[0]
