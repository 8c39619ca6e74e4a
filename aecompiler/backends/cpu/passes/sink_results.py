"""The pass `cpu-sink-results`: results are stored where they are computed."""

from __future__ import annotations

from aecompiler.bindings import ir, scf
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_STORE = "bufferization.materialize_in_destination"


@register_pass
class SinkResults(Pass):
    """Move the stores of results into the branches that compute them.

    A tensor that comes out of an `scf.if` would be a buffer of its own, and be copied.

    *Before*: IR on tensors, after `cpu-prepare-functions`. *After*: no result of an `scf.if` is stored in the
    caller's memory that nothing else uses: both branches store there what they used to yield, and the
    `scf.if` yields the other results. Branches in branches are treated alike. Stores without `restrict` stay:
    what is in the memory of an argument that is updated may be read after the branch.

    ```mlir
    %0 = scf.if %few -> tensor<?xf32> {
      scf.yield %a : tensor<?xf32>
    } else {
      scf.yield %b : tensor<?xf32>
    }
    bufferization.materialize_in_destination %0 in restrict writable %out
    ```
    becomes
    ```mlir
    scf.if %few {
      bufferization.materialize_in_destination %a in restrict writable %out
    } else {
      bufferization.materialize_in_destination %b in restrict writable %out
    }
    ```
    """

    NAME = "cpu-sink-results"
    ANCHOR = "func.func"

    def run(self, op: ir.Operation) -> None:
        """Change the branches in `op`, outermost first."""
        while branch := next(filter(_stored_results, rw.walk_list(op, "scf.if")), None):
            _sink(branch.opview, _stored_results(branch))


def _stored_results(branch: ir.Operation) -> dict[int, ir.Operation]:
    """The results of an `scf.if` that are only stored, in the block around it: by position, their stores."""
    found = {}
    for position, result in enumerate(branch.results):
        uses = [use.owner.operation for use in result.uses]
        if len(uses) == 1 and uses[0].name == _STORE and uses[0].operands[0] == result:
            store = uses[0]
            is_own = "restrict" in store.attributes
            if is_own and store.block == branch.block and _is_available(store.operands[1], branch):
                found[position] = store
    return found


def _is_available(value: ir.Value, op: ir.Operation) -> bool:
    """Whether `value`, which is used after `op`, exists before it."""
    if isinstance(value.owner, ir.Block):
        return True
    definition = value.owner.operation
    return definition.block != op.block or definition.is_before_in_block(op)


def _sink(branch: scf.IfOp, stores: dict[int, ir.Operation]) -> None:
    kept = [n for n in range(len(branch.results)) if n not in stores]
    with ir.InsertionPoint(branch), branch.location:
        new = scf.IfOp(branch.condition, [branch.results[n].type for n in kept], has_else=True)
    for old, block in zip(branch.regions, (new.then_block, new.else_block), strict=True):
        *body, terminator = old.blocks[0].operations
        for op in body:
            block.append(op)
        values = list(terminator.operands)
        with ir.InsertionPoint(block):
            for position, store in stores.items():
                store.clone().operands[0] = values[position]
            with terminator.location:
                scf.YieldOp([values[n] for n in kept])
    for store in stores.values():
        store.erase()
    for position, result in zip(kept, new.results, strict=True):
        branch.results[position].replace_all_uses_with(result)
    branch.erase()
