"""The pass `attn-derive-online`."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.algebra import terms as t
from aecompiler.algebra.cascade import CascadeError, Normalizer, Reduction
from aecompiler.algebra.derivation import derive
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.streaming import DerivedPass, Options
from aecompiler.algebra.terms import Depends, Term
from aecompiler.bindings import ir
from aecompiler.dialect.types import accumulator_type
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass
from aecompiler.passes.region_terms import Leaves, element_arguments, read_block
from aecompiler.passes.streaming_ops import largest_exponent, replace_by_passes

_BOUNDED = {"f16": 9.0, "bf16": 60.0, "f32": 60.0, "f64": 600.0}
"""By v's type, to which weights may be rounded: the largest exponent far from overflow and underflow."""

MAX_LAZY = 11.0
"""e^11 is a finite f16: weights may be rounded to that."""


@register_pass
class AttnDeriveOnline(Pass):
    """Derive streaming forms: from a normaliser over whole rows to a small state and one visit of the keys.

    *Before*: `attn.attention` with any normaliser. *After*: `attn.online_attention`, behind as many
    `attn.online_reduce` as the normaliser needs further passes; everything else is as it was. Vectors
    without features leave nothing to stream: such a program stays.

    A normaliser is a cascade of reductions r_n = (+)_j f_n(s_j, r_1, ..., r_{n-1}), the last one being the
    sum over v. A reduction separates if f_n is a finite sum of products A(s_j) * B(r): then it is a formula
    in *moments*, sums of A(s_j), that can be gathered before r is known. `exp(s - m)` separates, being exp(s)
    * exp(-m), and so do |e^(s - m) - e^-m| and (s - mean)^2; `exp(s / std)` does not. Maxima go through
    increasing functions. Earlier reductions are replaced by their formulas, so that what cancels costs
    nothing.

    A moment that holds a power is kept relative to a *reference*, the largest exponent seen. When the
    reference changes, the moment and its accumulator are multiplied by `exp(old - new)`, which is at most 1.
    An exponent that is provably within 60 of 0 (600 for f64, 9 for f16; the score's range is analysed) needs
    neither reference nor rescale. Maxima, minima and products of powers are those, or the sum, of exponents.

    No power overflows in a form where the normaliser as it is written gives a number: whatever power is left
    in a formula must be bounded, or be one whose overflow makes the normaliser infinite or NaN as well, and
    what is not chosen for a row must be finite for all of its elements. A reduction for which that is not
    proved counts as one that does not separate. That excludes scores, and captured values, that are
    infinite or so large that their products overflow.

    With `lazy-rescale` the reference follows only when it lags by more than that bound. Weights are then at
    most e^bound, and the factor cancels in the result; each summand has the relative rounding error that it
    had before, and a sum overflows e^bound earlier than it would.

    Products of deviations, (x - r)^2 and the like with x of the element and r of the row, are not expanded
    into x^2, x and 1, whose sums cancel where x is large beside its deviation, but about an *anchor* a:
    (x - a)^2 + 2 (a - r) (x - a) + (a - r)^2. The anchor is a state that follows the mean of x. When it
    moves, the sums are moved by the binomial theorem, x - b = (x - a) + (a - b); any number would do, and the
    other states are proved for any.

    What does not separate is left to a further pass, which computes the scores anew and knows the reductions
    found before. Each reduction is in the earliest pass in which it separates, so the passes are as few as
    the laws allow; `attn.passes` holds their number.

    Rows without an unmasked element give o = 0, and extras as `attn.attention` defines, by selects in
    finalize where the formulas do not give that anyway.

    The derivation stands on the op as `attn.proof`; `aec-opt --explain attn-derive-online` prints it.

    Before:
    ```mlir
    ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
      %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
      %d = arith.subf %s, %m : f32
      %e = math.exp %d : f32
      %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
      %p = arith.divf %e, %l : f32
      "attn.yield"(%p) : (f32) -> ()
    ```
    After:
    ```mlir
      "attn.yield"(%minus_infinity, %zero) : (f32, f32) -> ()
    }, {
    ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
      %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
      %max = arith.maximumf %x0, %tile : f32
      ...
      %rescale = math.exp %difference : f32
      "attn.yield"(%max, %sum, %rescale, %weight) : (f32, f32, f32, f32) -> ()
    ```
    """

    NAME = "attn-derive-online"

    max_passes: int = option(4, "the most passes over the keys")
    keep_refused: bool = option(False, "leave a program without such a form as it is, in place of an error")
    lazy_rescale: float = option(0.0, "by how much a reference may lag behind the maximum; 0 for not at all")

    def __post_init__(self) -> None:
        if self.max_passes < 1:
            raise ValueError(f"expects max-passes to be at least 1, got {self.max_passes}")
        if not 0 <= self.lazy_rescale <= MAX_LAZY:
            raise ValueError(f"expects lazy-rescale to be 0 to {MAX_LAZY:g}, got {self.lazy_rescale:g}")

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        # All are derived before one is changed: a failure leaves the IR as it was.
        found = []
        for program in _programs(op):
            try:
                found.append(self._derive(program))
            except PassFailure:
                if not self.keep_refused:
                    raise
        # The last comes first: what was read of a program may name results of those before it.
        for derived in reversed(found):
            replace_by_passes(derived.op, derived.leaves, derived.arguments, derived.passes)

    def explain(self, op: ir.Operation) -> str:
        """The derivations of all programs, as text; with keep-refused, why others have none."""
        texts = []
        for number, program in enumerate(_programs(op)):
            title = f"attn.attention {number}{rw.place_of(program)}: "
            try:
                passes = self._derive(program).passes
            except PassFailure as error:
                if not self.keep_refused:
                    raise
                texts.append(f"{title}refused\n  {error}")
                continue
            title += f"{len(passes)} pass{'es' * (len(passes) > 1)}"
            lines = [line for each in passes for line in each.proof]
            texts.append("\n".join([title, *(f"  {line}" for line in lines)]))
        return "\n\n".join(texts)

    def _derive(self, program: ir.Operation) -> _Derived:
        try:
            return self._derived(program)
        except RecursionError:
            raise PassFailure(program, "unsupported: formulas that nest too deep to be analysed") from None

    def _derived(self, program: ir.Operation) -> _Derived:
        read = read_normalizer(program)
        bounded = _BOUNDED[str(program.operands[2].type.element_type)]
        options = Options(bounded=bounded, lazy=self.lazy_rescale, most=largest_exponent(program))
        try:
            passes = derive(read.normalizer, read.arguments[0], options, self.max_passes)
        except CascadeError as error:
            where = program if error.reduction is None else read.reductions[error.reduction]
            raise PassFailure(where, str(error)) from None
        return _Derived(program, read.leaves, read.arguments, passes)


@dataclass(frozen=True)
class _Derived:
    op: ir.Operation
    leaves: Leaves
    arguments: list[Term]
    passes: list[DerivedPass]


@dataclass(frozen=True)
class ReadNormalizer:
    """A normalize region as terms: `arguments` are s, b, h, i, j; `reductions` the ops of the reductions."""

    normalizer: Normalizer
    arguments: list[Term]
    leaves: Leaves
    reductions: list[ir.Operation]


def read_normalizer(program: ir.Operation) -> ReadNormalizer:
    """The normaliser of an `attn.attention`, with the bounds of its score."""
    score, _, normalize = (region.blocks[0] for region in program.regions)
    accumulator = accumulator_type(program.operands[0].type.element_type)
    leaves = Leaves(accumulator)
    low, high = _score_bounds(score, leaves)
    s, *indices = element_arguments(low, high)
    reductions: list[Reduction] = []
    ops: list[ir.Operation] = []

    def reducer(op: ir.Operation, kind: str, value: Term) -> Term:
        symbol = t.symbol(f"r{len(reductions)}", Depends.VARYING)
        reductions.append(Reduction(symbol, kind, value))
        ops.append(op)
        return symbol

    weight, *extras = read_block(normalize, [s, *indices], leaves, reducer)
    return ReadNormalizer(Normalizer(tuple(reductions), weight, tuple(extras)), [s, *indices], leaves, ops)


def _score_bounds(score: ir.Block, leaves: Leaves) -> tuple[float, float]:
    """The range of the score where it is not masked."""
    (value,) = read_block(score, element_arguments(), leaves)
    while value.op == "select" and t.MINUS_INFINITY in value.args[1:]:
        value = value.args[1] if value.args[2] is t.MINUS_INFINITY else value.args[2]
    return bounds(value)


def _programs(op: ir.Operation) -> list[ir.Operation]:
    """The attention ops that are rewritten: those whose vectors have features."""
    return [
        child
        for child in rw.walk_list(op, "attn.")
        if child.name == "attn.attention" and all(value.type.shape[3] for value in child.operands)
    ]
