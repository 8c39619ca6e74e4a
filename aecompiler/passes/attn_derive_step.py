"""The pass `attn-derive-step`: from a program with a recurrence to its one-step form, for decoding."""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.bindings import ir
from aecompiler.dialect.recurrence import RecurrenceOp
from aecompiler.dialect.recurrence_step import RecurrenceStepOp
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import slice_parts
from aecompiler.passes.infra import Pass, PassFailure, register_pass
from aecompiler.passes.position_wise import (
    check_counts,
    check_position_wise,
    check_step_reads,
    positions_of,
)
from aecompiler.passes.program_arguments import ProgramArguments
from aecompiler.passes.tensor_parts import size_of


@register_pass
class DeriveStep(Pass):
    """Rewrite programs with a recurrence to compute one position of each request, with states in a pool.

    *Before*: public functions with at most one `attn.recurrence`, directly in their body. *After*: an
    `attn.recurrence_step` in its place, and

    - all arguments have one position where they had as many as q;
    - the initial state is a pool of states: the argument `initial`, whose batch is now the slots of the pool,
      or a new argument `state`, where the state began with zeros. The attribute `attn.in_place` of the
      argument says which result of the function it is as updated: callers find that in the argument's memory;
    - a new last argument `slots: tensor<?xi32>` says which state of the pool is that of a request; a number
      that is none of a slot (-1) is padding, whose row of o is 0.

    What stands around the recurrence stays, if it computes each position on its own, and of the recurrence
    from o only. What can't be meant by one
    step is refused, by name: packed sequences (`offsets`); a step for which positions are more than places in
    tensors of as many positions as q has, since it would see position 0 in all calls, or which reads another
    place there than t; an operation around the recurrence that mixes positions or asks for their numbers (a
    convolution, a rotary embedding), or how many there are; an initial state that is computed, a final one
    from which something is computed; a length that types say, or that is another size, too.

    ```mlir
    func.func @f(%q: tensor<?x4x?x64xf32>, ..., %initial: tensor<?x4x64x64xf32>) -> (...) {
      %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({...}) : ...
      return %o, %final : tensor<?x4x?x64xf32>, tensor<?x4x64x64xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%q: tensor<?x4x1x64xf32>, ..., %initial: tensor<?x4x64x64xf32> {attn.in_place = 1 : i64},
                 %slots: tensor<?xi32>) -> (...) {
      %o, %updated = "attn.recurrence_step"(%q, %k, %v, %initial, %slots) ({...}) : ...
      return %o, %updated : tensor<?x4x1x64xf32>, tensor<?x4x64x64xf32>
    }
    ```
    """

    NAME = "attn-derive-step"

    def run(self, op: ir.Operation) -> None:
        """Rewrite the public functions of `op`."""
        for function in rw.walk_list(op, "func.func"):
            if "sym_visibility" in function.attributes or not len(function.regions[0].blocks):
                continue
            name = RecurrenceOp.OPERATION_NAME
            found = [each for each in rw.walk_list(function, name) if each.name == name]
            if not found:
                continue
            if len(found) > 1 or found[0].block != function.regions[0].blocks[0]:
                count = f"{len(found)}" if len(found) > 1 else "one inside another operation"
                raise PassFailure(
                    function, f"expects one '{name}' in its body for the one-step form, got {count}"
                )
            with found[0].location:
                _Derivation(function, found[0]).run()


class _Derivation:
    def __init__(self, function: ir.Operation, recurrence: ir.Operation):
        self.function, self.recurrence = function, recurrence
        self.block = function.regions[0].blocks[0]
        *_, self.end = [view.operation for view in self.block.operations]
        self.q, self.k, self.v, self.initial = list(recurrence.operands)[:4]
        self.arguments = ProgramArguments(function)

    def run(self) -> None:
        """Check all, then rewrite."""
        if len(self.recurrence.operands) > 4:
            raise PassFailure(self.recurrence, "unsupported: the one-step form of packed sequences (offsets)")
        lengths = self._lengths()
        symbols = [(self.block.arguments[number], d) for number, d in lengths]
        symbols.append((self.recurrence.results[0], 2))
        self._check_operands(symbols)
        check_position_wise(self.block, self.recurrence, symbols)
        check_step_reads(self.recurrence, symbols)
        check_counts(self.function, symbols)
        pool = self._pool_argument()
        updated = self._place_of_final()
        self._narrow(lengths)
        batch = ir.RankedTensorType(self.q.type).shape[0]
        state = ir.RankedTensorType(self.initial.type)
        shaped = ir.RankedTensorType.get([rw.DYNAMIC, *state.shape[1:]], state.element_type)
        count = self.arguments.new_dim_name("Slots")
        if pool is None:
            pool = self.arguments.add("state", shaped, [count, "", "", ""])
        else:
            self.arguments.set_type(pool, shaped, dims={0: count})
        requests = self.arguments.dim_name(self.q, 0) if isinstance(self.q.owner, ir.Block) else ""
        i32 = ir.IntegerType.get_signless(32)
        slots = self.arguments.add("slots", ir.RankedTensorType.get([batch], i32), [requests])
        self._replace(pool, slots, shaped, updated)

    def _check_operands(self, symbols: list[tuple[ir.Value, int]]) -> None:
        """Refuse operands with another size that is the number of positions."""
        named = dict(zip(("q", "k", "v", "initial"), list(self.recurrence.operands), strict=False))
        for name, value in named.items():
            others = positions_of(value, symbols) - ({2} if name != "initial" else set())
            if others:
                raise PassFailure(
                    self.recurrence,
                    f"unsupported: the one-step form of a number of positions that is another size of {name} "
                    f"as well, of dimension {min(others)}",
                )

    # ---- what has as many positions as q ---------------------------------------------------------------

    def _lengths(self) -> set[tuple[int, int]]:
        """The dimensions of arguments, by number, that are positions."""
        found: set[tuple[int, int]] = set()
        for what, value in (("q", self.q), ("k", self.k), ("v", self.v)):
            if ir.RankedTensorType(value.type).shape[2] != 1:
                found.add(self._argument_of(self.recurrence, what, value, 2))
        for read, source, d in self._reads_of_position():
            if ir.RankedTensorType(source.type).shape[d] != 1:
                found.add(self._argument_of(read, "a tensor that is read at position t", source, d))
        names = {name for place in found if (name := self.arguments.name_of(*place))}
        own = (
            {self.arguments.name_of(*self._argument_of(self.recurrence, "q", self.q, 2))} if found else set()
        )
        if names - own:
            raise PassFailure(
                self.recurrence,
                "unsupported: a step that reads position t of tensors which have not as many positions as q "
                f"({', '.join(sorted(names - own))})",
            )
        return found | {place for place in self.arguments.places() if self.arguments.name_of(*place) in names}

    def _argument_of(self, op: ir.Operation, what: str, value: ir.Value, d: int) -> tuple[int, int]:
        """The dimension of an argument that a size of `value` is."""
        size = size_of(value, d)
        if size.number is not None:
            raise PassFailure(
                op,
                f"expects {what} to have one position or a dynamic length for the one-step form, got "
                f"{size.number}",
            )
        if size.constant == 0 and len(size.terms) == 1 and size.terms[0][1] == 1:
            symbol = size.terms[0][0]
            if isinstance(symbol, tuple) and symbol[0] in list(self.block.arguments):
                return list(self.block.arguments).index(symbol[0]), symbol[1]
        raise PassFailure(op, f"unsupported: {what} whose length is not that of an argument")

    def _reads_of_position(self) -> Iterator[tuple[ir.Operation, ir.Value, int]]:
        """Where the step reads tensors at t: the operation, the tensor, the dimension."""
        position = self.recurrence.regions[0].blocks[0].arguments[6]
        for use in position.uses:
            op = use.owner.operation
            found = []
            if op.name == "tensor.extract" and use.operand_number:
                found = [use.operand_number - 1]
            elif op.name == "tensor.extract_slice":
                offsets, sizes, strides = slice_parts(op, 1)
                found = [n for n, each in enumerate(offsets) if each == position and sizes[n] == 1]
                if position in (*sizes, *strides):
                    found = []
            if not found:
                raise PassFailure(
                    op,
                    "unsupported: a step that computes with position t, which is 0 in each call of the "
                    "one-step form",
                )
            yield from ((op, op.operands[0], d) for d in found)

    def _narrow(self, lengths: set[tuple[int, int]]) -> None:
        """Give these dimensions of arguments size 1."""
        arguments = list(self.block.arguments)
        for number in sorted({each for each, _ in lengths}):
            value = arguments[number]
            old = ir.RankedTensorType(value.type)
            shape = [1 if (number, d) in lengths else size for d, size in enumerate(old.shape)]
            new = ir.RankedTensorType.get(shape, old.element_type)
            inside = {self.recurrence, *rw.walk_list(self.recurrence)}
            others = [
                (use.owner.operation, use.operand_number)
                for use in value.uses
                if use.owner.operation not in inside and use.owner.operation.name != "tensor.dim"
            ]
            self.arguments.set_type(value, new, dims={d: "" for n, d in lengths if n == number})
            if others:
                with ir.InsertionPoint.at_block_begin(self.block):
                    wide = rw.cast(value, old)
                for op, operand in others:
                    op.operands[operand] = wide
        self.q, self.k, self.v = (self._with_one_position(each) for each in (self.q, self.k, self.v))

    def _with_one_position(self, value: ir.Value) -> ir.Value:
        shaped = ir.RankedTensorType(value.type)
        if shaped.shape[2] == 1:
            return value
        shape = [1 if d == 2 else size for d, size in enumerate(shaped.shape)]
        with ir.InsertionPoint(self.recurrence):
            return rw.cast(value, ir.RankedTensorType.get(shape, shaped.element_type))

    # ---- states ----------------------------------------------------------------------------------------

    def _pool_argument(self) -> ir.Value | None:
        """The argument that holds states; None where they are zeros."""
        if isinstance(self.initial.owner, ir.Block):
            for use in self.initial.uses:
                if use.owner.operation != self.recurrence and not _is_size_of_state(use.owner.operation):
                    raise PassFailure(
                        use.owner.operation,
                        "unsupported: a use of the initial state beside the recurrence, which updates it in "
                        "the one-step form",
                    )
            return self.initial
        if not _is_zeros(self.initial):
            raise PassFailure(
                self.recurrence,
                "unsupported: the one-step form of an initial state that is computed, expects an argument of "
                f"type {self.initial.type.element_type} or zeros",
            )
        return None

    def _place_of_final(self) -> int:
        """Which result of the function the final state is; one more than there are, if it is none."""
        final = self.recurrence.results[1]
        uses = list(final.uses)
        if any(use.owner.operation != self.end for use in uses) or len(uses) > 1:
            other = next((use.owner.operation for use in uses if use.owner.operation != self.end), self.end)
            raise PassFailure(
                other,
                "unsupported: a use of the final state, which is in the pool in the one-step form, other "
                "than as a result of the program",
            )
        return uses[0].operand_number if uses else len(self.end.operands)

    def _replace(self, pool: ir.Value, slots: ir.Value, shaped: ir.RankedTensorType, updated: int) -> None:
        old_o = self.recurrence.results[0]
        o_shape = list(ir.RankedTensorType(old_o.type).shape)
        o_type = ir.RankedTensorType.get([*o_shape[:2], 1, o_shape[3]], old_o.type.element_type)
        with ir.InsertionPoint(self.recurrence):
            step = ir.Operation.create(
                RecurrenceStepOp.OPERATION_NAME,
                [o_type, shaped],
                [self.q, self.k, self.v, pool, slots],
                regions=1,
            )
            source = self.recurrence.regions[0].blocks[0]
            block = step.regions[0].blocks.append(*[each.type for each in source.arguments])
            for old, new in zip(source.arguments, block.arguments, strict=True):
                old.replace_all_uses_with(new)
            for view in list(source.operations):
                block.append(view)
            o = step.results[0] if o_type == old_o.type else rw.cast(step.results[0], old_o.type)
        old_o.replace_all_uses_with(o)
        returned = list(self.end.operands)
        returned[updated:] = [step.results[1], *returned[updated + 1 :]]
        returned = [step.results[0] if each == o else each for each in returned]
        with ir.InsertionPoint(self.end), self.end.location:
            ir.Operation.create("func.return", operands=returned)
        self.end.erase()
        self.recurrence.erase()
        self.arguments.set_in_place(pool, updated, [each.type for each in returned])


def _is_size_of_state(op: ir.Operation) -> bool:
    """Whether an operation asks for a size of states, not for their number."""
    return op.name == "tensor.dim" and (rw.constant_value(op.operands[1]) or 0) > 0


def _is_zeros(value: ir.Value) -> bool:
    op = rw.definer(value)
    if op is not None and op.name == "linalg.fill":
        return rw.float_value(op.operands[0]) == 0.0
    if op is not None and op.name == "tensor.splat":
        return rw.float_value(op.operands[0]) == 0.0
    if op is None or op.name != "arith.constant":
        return False
    attribute = op.attributes["value"]
    return (
        isinstance(attribute, ir.DenseElementsAttr)
        and attribute.is_splat
        and (attribute.get_splat_value().value == 0.0)
    )
