"""The pass `attn-derive-chunked`."""

from __future__ import annotations

from aecompiler.algebra import terms as t
from aecompiler.algebra.chunked import ProofError, derive, explanation
from aecompiler.algebra.indexed import KEY, VALUE, axis, element, tensor
from aecompiler.algebra.polynomials import TooLargeError, to_term
from aecompiler.algebra.state_maps import StateMap
from aecompiler.algebra.transitions import StructureError, Transition, reading, transition
from aecompiler.bindings import ir
from aecompiler.diagnostics import remark
from aecompiler.dialect.chunked import MAX_CHUNK
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunked_ops import (
    RECURRENCE,
    Derived,
    NotProvedError,
    create_chunked,
    position_arguments,
    replace_by_chunked,
)
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass
from aecompiler.passes.step_terms import Meaning, StepReader

NOT_CHUNKED = "is taken position by position: "
"""How remarks begin that say why a step has no chunked form."""

NOT_PROVED = "is taken position by position, since its chunked form is not proved: "
"""How remarks begin of a form that was derived, and not proved to be the step."""

_STATE = {axis(0): KEY, axis(1): VALUE}
_OUTPUT = {axis(0): VALUE}


@register_pass
class DeriveChunked(Pass):
    """Derive chunked forms of recurrences: the parts of a position without the state, and how they compose.

    *Before*: `attn.recurrence` with any step. *After*: `attn.chunked_recurrence`; everything else is as it
    was. A state without features leaves nothing to derive: such a recurrence stays. A state of one element is
    refused, and so is what has no such form; with `keep-refused` that stays, and a remark says why.

    A step is read in index notation, as affine functions of the state S: the new state is

    ```
    S'[i, j] = A(i) S[i, j] + sum_m C(i, m) S[m, j] + W(i, j)
    ```

    and the output, of the new state if it reads no other, sum_m r(m) S[m, j] and a term without S. The parts
    are found in these coefficients, whichever way they are written:

    - The decay A is one number or one for each key feature. Its logarithm is taken of its formula: of exp(g)
      it is g, of a sigmoid a softplus; a factor that may be negative has a sign beside its size. It is
      limited from below at what has the exponential 0, so that sums of logarithms are finite.
    - W = key(i) w(j) and C(i, m) = -key(i) erase(m) with the same key: the matrix of their coefficients has
      rank 1, which is decided exactly. If A(m) is a factor of erase(m), the erase reads the decayed state.
    - Factors that depend on no feature become scales, so that query, key, value and erase are the operands
      themselves where that can be.

    Parts are put together again, and proved to be the step, coefficient by coefficient; so is the decay to be
    the exponential of its logarithm. What is emitted is read again, and must be what was derived. A form that
    is not proved is an error, with `keep-refused` a remark of its own.

    The laws by which a chunk is put together are those of products of D (I - x y^T), D diagonal: logarithms
    of decays add up, and rank-one terms have the WY form (Bischof and Van Loan, 1987; Yang et al., 2024).
    They hold for real numbers. The derivation stands on the op as `attn.proof`; `aec-opt --explain
    attn-derive-chunked` prints it.

    Before:
    ```mlir
    %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
    ^step(%S: tensor<64x128xf32>, %qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<128xf32>,
          %b: index, %h: index, %t: index):
      %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
      %a = math.exp %g : f32
      %all = tensor.splat %a : tensor<64x128xf32>
      %kept = arith.mulf %all, %S : tensor<64x128xf32>
      ...
      %S1 = arith.addf %kept, %kv : tensor<64x128xf32>
      %out = linalg.vecmat ins(%qt, %S1 : ...) outs(%zero : ...) -> tensor<128xf32>
      "attn.step_yield"(%S1, %out) : (tensor<64x128xf32>, tensor<128xf32>) -> ()
    }) : ...
    ```
    After:
    ```mlir
    %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
    ^position(%qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<128xf32>,
              %b: index, %h: index, %t: index):
      %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
      %least = arith.constant -1.990000e+02 : f32
      %log = arith.maximumf %g, %least : f32
      "attn.position_yield"(%qt, %kt, %vt, %log) {...}
    }) {chunk = 64 : i64, reads = "after", exponents = "any", attn.proof = [...]} : ...
    ```
    """

    NAME = "attn-derive-chunked"

    chunk: int = option(64, "the positions of a chunk")
    diagonal_chunk: int = option(0, "the same where each key feature has its own decay; 0: as chunk")
    keep_refused: bool = option(
        False, "leave a recurrence without such a form as it is, in place of an error"
    )

    def __post_init__(self) -> None:
        if not 1 <= self.chunk <= MAX_CHUNK:
            raise ValueError(f"expects chunk to be 1 to {MAX_CHUNK}, got {self.chunk}")
        if not 0 <= self.diagonal_chunk <= MAX_CHUNK:
            raise ValueError(f"expects diagonal-chunk to be 0 to {MAX_CHUNK}, got {self.diagonal_chunk}")

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        # All are derived before one is changed: a failure leaves the IR as it was.
        found: list[tuple[ir.Operation, ir.Operation]] = []
        for program in _programs(op):
            try:
                derived = _derive(program)
                found.append(
                    (program, create_chunked(derived, self._chunk(derived), explanation(derived.form)))
                )
            except PassFailure as error:
                if not self.keep_refused:
                    for _, new in found:
                        new.erase()
                    raise
                kind = NOT_PROVED if isinstance(error, NotProvedError) else NOT_CHUNKED
                remark(program, f"{kind}{error.message}")
        for old, new in found:
            replace_by_chunked(old, new)

    def _chunk(self, derived: Derived) -> int:
        """The positions of a chunk: products with a decay for each feature cost more."""
        return (derived.form.transition.diagonal and self.diagonal_chunk) or self.chunk

    def explain(self, op: ir.Operation) -> str:
        """The derivations of all recurrences, as text; with keep-refused, why others have none."""
        texts = []
        for number, program in enumerate(_programs(op)):
            title = f"{program.name} {number}{rw.place_of(program)}: "
            try:
                derived = _derive(program)
                lines = explanation(derived.form)
            except PassFailure as error:
                if not self.keep_refused:
                    raise
                texts.append(f"{title}refused\n  {error}")
                continue
            texts.append(
                "\n".join([f"{title}chunks of {self._chunk(derived)}", *(f"  {line}" for line in lines)])
            )
        return "\n\n".join(texts)


def structures_of(op: ir.Operation) -> list[tuple[ir.Operation, Transition]]:
    """The recurrences in `op` that have a chunked form, which is not proved here, and their transitions."""
    found = []
    for program in _programs(op):
        try:
            found.append((program, _derive(program).form.transition))
        except PassFailure:
            continue
    return found


def _programs(op: ir.Operation) -> list[ir.Operation]:
    return [
        child
        for child in rw.walk_list(op, "attn.")
        if child.name == RECURRENCE and 0 not in ir.RankedTensorType(child.operands[3].type).shape[2:]
    ]


def _derive(program: ir.Operation) -> Derived:
    try:
        return _derived(program)
    except RecursionError:
        raise PassFailure(program, "unsupported: formulas that nest too deep to be analysed") from None
    except TooLargeError:
        raise PassFailure(program, "unsupported: formulas too large to be analysed") from None
    except ProofError as error:
        raise NotProvedError(
            program, f"unsupported: a step of which it can't be proved that {error}"
        ) from None


def _derived(program: ir.Operation) -> Derived:
    block = program.regions[0].blocks[0]
    if set(ir.RankedTensorType(block.arguments[0].type).shape) == {1}:
        raise PassFailure(program, "unsupported: a state of one element in a chunked form")
    reader = _reader(program, StateMap.state(axis(0), axis(1)))
    for _ in reader.read(block):
        pass
    *_, terminator = block.operations
    yielded, output = terminator.operation.operands
    new = reader.state_map(yielded).renamed(_STATE)
    out = reader.state_map(output).renamed(_OUTPUT)
    size = ir.RankedTensorType(block.arguments[0].type).shape[0]
    try:
        form = derive(new, out, _of_new_state(program, reader, yielded), size)
    except StructureError as error:
        where = _culprit(reader, block, error) or terminator.operation
        raise PassFailure(where, f"unsupported: {error}, in a chunked form") from None
    return Derived(program, reader, form)


def _reader(program: ir.Operation, state: Meaning, like: StepReader | None = None) -> StepReader:
    block = program.regions[0].blocks[0]
    return StepReader(program, {block.arguments[0]: state, **position_arguments(block)}, like)


def _of_new_state(program: ir.Operation, known: StepReader, yielded: ir.Value) -> StateMap | None:
    """The output as a function of the new state, if it reads no other.

    The step is read again, with the old state as a tensor like any other, and each value that equals the new
    state as the state.
    """
    block = program.regions[0].blocks[0]
    new = known.state_map(yielded)
    old = tensor("S")
    reader = _reader(program, element(old, [axis(0), axis(1)]), known)
    fresh = StateMap.state(axis(0), axis(1))
    equal = [yielded]
    if new.linear:  # else equal values may stand for any others
        equal += [v for v, meaning in known.meanings.items() if v.type == yielded.type and meaning == new]
    reader.meanings.update((value, fresh) for value in equal if isinstance(value.owner, ir.Block))
    for _, results in reader.read(block):
        reader.meanings.update((value, fresh) for value in results if value in equal)
    *_, terminator = block.operations
    out = reader.state_map(terminator.operation.operands[1]).renamed(_OUTPUT)
    polys = (*out.linear.values(), out.constant)
    return None if any(old in t.symbols(to_term(poly)) for poly in polys) or not out.linear else out


def _culprit(reader: StepReader, block: ir.Block, error: StructureError) -> ir.Operation | None:
    """The first operation that shows the term for which a step was refused."""
    state = block.arguments[0].type
    for view in block.operations:
        for value in view.operation.results:
            meaning = reader.meanings.get(value)
            if isinstance(meaning, StateMap) and _shows(meaning, error, value.type == state):
                return view.operation
    return None


def _shows(meaning: StateMap, error: StructureError, is_state: bool) -> bool:
    if error.shows is not None:
        return error.shows(meaning)
    try:
        if is_state:
            transition(meaning.renamed(_STATE))
        else:
            reading(meaning.renamed(_OUTPUT), False)
    except StructureError as other:
        return other.kind == error.kind
    return False
