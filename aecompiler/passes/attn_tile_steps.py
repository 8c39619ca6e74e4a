"""The pass `attn-tile-steps`: recurrences to the tile level, one position after the other, or one alone."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.dialect.recurrence import RecurrenceOp
from aecompiler.dialect.recurrence_step import RecurrenceStepOp
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.recurrence_step_tiles import tile_recurrence_step
from aecompiler.passes.recurrence_tiles import tile_recurrence
from aecompiler.passes.region_safety import make_total

MAX_VALUE_BLOCK = 4096
"""The most value features of a program."""

MAX_ELEMENTS = 1 << 20
"""The most elements of a state that a program is asked to have."""


@register_pass
class TileSteps(Pass):
    """Compute recurrences one position after the other, with a program for each head of each sequence.

    *Before*: verified IR. *After*: no `attn.recurrence` or `attn.recurrence_step` is left; all else is as it
    was. The result is made of `scf`, `tensor`, `linalg`, `arith` and `math` on static tiles, which every
    target starts from, and runs on the CPU as it stands.

    The grid is an `scf.forall` over sequences and heads. A program carries the state, a tile [Dk, Dv], and
    its rows of o from position to position, and the step stands in the loop as it is written; named `linalg`
    operations of more than elements (`linalg.vecmat`) are generic ones. In the variable-length form the loop
    goes over the positions of a sequence; o, which is 0 where no sequence reaches, is filled before the grid.

    The one-step form is such a program without the loop, for each head of each request. The grid writes into
    the pool of states: a program reads and writes one state, in `Dk` rows, or in none where the slot is none
    of the pool's; then its row of o is 0. `step-value-block` is the block of its programs.
    If it does not say, they have no more than `step-elements` of a state, which stay in registers. They have
    half of that where the new state is computed from sums over the old one, as in a delta rule: nothing is
    written before these are there, and more programs hide that.

    With `value-block` a third dimension of the grid cuts the value features into blocks of that many, where
    it divides their number, and where the columns of the state are independent: where the new state and the
    output of a block are computed from the block's part of the state and of v. A step that adds up value
    features stays whole.

    ```mlir
    %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({...}) : ...
    ```
    becomes
    ```mlir
    %0:2 = scf.forall (%b, %h) in (%batch, 16) shared_outs(%o = %empty, %final = %empty2) -> (...) {
      %initial_state = tensor.extract_slice %initial[%b, %h, 0, 0] [1, 1, 64, 128] [1, 1, 1, 1] : ...
      %rows = tensor.extract_slice %o[%b, %h, 0, 0] [1, 1, %length, 128] [1, 1, 1, 1] : ...
      %1:2 = scf.for %t = %c0 to %length step %c1 iter_args(%S = %initial_state, %o_t = %rows) -> (...) {
        %key = tensor.extract_slice %k[%b, %h, %t, 0] [1, 1, 1, 64] [1, 1, 1, 1] : ...
        ...
        %next = tensor.insert_slice %out into %o_t[%t, 0] [1, 128] [1, 1] : ...
        scf.yield %S1, %next : ...
      }
      scf.forall.in_parallel { tensor.parallel_insert_slice ... }
    }
    ```
    """

    NAME = "attn-tile-steps"

    value_block: int = option(0, "the value features of a program, where they are independent; 0: all")
    step_value_block: int = option(0, "the same of a program of the one-step form; 0: as step-elements says")
    step_elements: int = option(0, "the most elements of a state of such a program; 0: all")

    def __post_init__(self) -> None:
        for name, value in (("value-block", self.value_block), ("step-value-block", self.step_value_block)):
            if not 0 <= value <= MAX_VALUE_BLOCK:
                raise ValueError(f"expects {name} to be 0 to {MAX_VALUE_BLOCK}, got {value}")
        if not 0 <= self.step_elements <= MAX_ELEMENTS:
            raise ValueError(f"expects step-elements to be 0 to {MAX_ELEMENTS}, got {self.step_elements}")

    def run(self, op: ir.Operation) -> None:
        """Tile every recurrence in `op`."""
        for program in rw.walk_list(op, RecurrenceOp.OPERATION_NAME):
            if program.name == RecurrenceOp.OPERATION_NAME:
                make_total(program)
                tile_recurrence(program.opview, self.value_block)
            elif program.name == RecurrenceStepOp.OPERATION_NAME:
                make_total(program)
                tile_recurrence_step(program.opview, self.step_value_block, self.step_elements)
