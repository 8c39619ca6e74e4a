"""Chunked recurrences from terms and back: `attn.recurrence` and `attn.chunked_recurrence`."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aecompiler.algebra import terms as t
from aecompiler.algebra.chunked import ChunkedForm
from aecompiler.algebra.chunked_laws import form_of
from aecompiler.algebra.decays import least_log
from aecompiler.algebra.folding import fold
from aecompiler.algebra.indexed import KEY, VALUE, axis, element, tensor
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import equal, normal
from aecompiler.algebra.polynomials import to_term
from aecompiler.algebra.printing import formula
from aecompiler.algebra.state_maps import StateMap
from aecompiler.algebra.terms import Term
from aecompiler.bindings import ir
from aecompiler.dialect.chunked import PARTS, parts_of, segment_sizes, terminator_of
from aecompiler.passes import rewriting as rw
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.step_terms import Meaning, StepReader, index_symbol
from aecompiler.passes.vector_terms import FEATURE, NotEmittedError, VectorEmitter

RECURRENCE, CHUNKED = "attn.recurrence", "attn.chunked_recurrence"
OVER_KEYS = ("query", "key", "erase")
OVER_VALUES = ("value", "skip")


def position_arguments(block: ir.Block) -> dict[ir.Value, Meaning]:
    """The meanings of q, k, v, b, h and t, the last arguments of a step or position."""
    *_, q, k, v, b, h, t_ = block.arguments
    found: dict[ir.Value, Meaning] = {
        value: element(tensor(name), [axis(0)]) for name, value in (("q", q), ("k", k), ("v", v))
    }
    found.update((value, index_symbol(name)) for name, value in (("b", b), ("h", h), ("t", t_)))
    return found


class NotProvedError(PassFailure):
    """A chunked form that was derived, and not proved to be the step: the derivation may be at fault."""


@dataclass(frozen=True)
class Derived:
    """The chunked form of a recurrence."""

    op: ir.Operation
    reader: StepReader
    form: ChunkedForm


def create_chunked(derived: Derived, chunk: int, proof: Sequence[str]) -> ir.Operation:
    """The chunked form of an `attn.recurrence`, before it; raise `PassFailure` where its terms have no ops.

    What was emitted is read again, and must be the parts that were derived.
    """
    old, form = derived.op, derived.form
    parts = form.parts()
    attributes = {name: old.attributes[name] for name in old.attributes}
    attributes["chunk"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), chunk)
    attributes["reads"] = ir.StringAttr.get("after" if form.reading.after else "before")
    attributes["exponents"] = ir.StringAttr.get("nonpositive" if form.nonpositive else "any")
    if "erase" in parts:
        decayed = form.transition.erases_decayed
        attributes["erase_reads"] = ir.StringAttr.get("decayed" if decayed else "state")
    attributes["attn.proof"] = ir.ArrayAttr.get([ir.StringAttr.get(line) for line in proof])
    if "log_decay" in parts:
        parts["log_decay"] = limited(
            parts["log_decay"], least_log(str(derived.reader.accumulator), form.nonpositive)
        )
    with ir.InsertionPoint(old), old.location:
        types = [result.type for result in old.results]
        new = ir.Operation.create(CHUNKED, types, list(old.operands), attributes, regions=1)
        try:
            _fill(new, derived, parts)
            emitted = read_parts(new, derived.reader)
            for name, term in parts.items():
                if not _same(emitted[name], term, str(derived.reader.accumulator)):
                    raise NotProvedError(
                        old,
                        f"unsupported: a step of which it can't be proved that {name} is emitted as "
                        f"{formula(term)}",
                    )
        except NotProvedError:
            new.erase()
            raise
        except NotEmittedError as error:
            new.erase()
            raise PassFailure(old, f"unsupported: {error}, in a chunked form") from None
    return new


def replace_by_chunked(old: ir.Operation, new: ir.Operation) -> None:
    """Replace an `attn.recurrence` by its chunked form."""
    for result, replacement in zip(old.results, new.results, strict=True):
        result.replace_all_uses_with(replacement)
    old.erase()


def _same(emitted: Term, derived: Term, accumulator: str) -> bool:
    """Whether what was emitted is what was derived, up to the rounding of constants to their type."""
    format_ = "d" if accumulator == "f64" else "f"

    def rounded(part: Term) -> Term | None:
        number = math.log(2) if part is t.LN2 else t.value_of(part)
        return None if number is None else t.const(_rounded(number, format_))

    one, other = (t.transform(term, rounded) for term in (emitted, derived))
    # A sum that was held may have been taken apart, or not: one way of writing both is enough.
    return any(normal(way(one)) == normal(way(other)) for way in (_held, _unheld)) or equal(one, other)


def _held(term: Term) -> Term:
    """The term with every sum held, and what is in it in normal form."""
    known: dict[Term, Term] = {}
    for part in t.parts(term):
        new = t.rebuild(part, [known[arg] for arg in part.args])
        if part.op == "held":
            new = known[part.args[0]]
        elif new.op in ("add", "sub"):
            new = t.held(to_term(normal(new)))
        known[part] = new
    return known[term]


def _unheld(term: Term) -> Term:
    return t.transform(term, lambda part: _unheld(part.args[0]) if part.op == "held" else None)


def _rounded(number: float, format_: str) -> float:
    try:
        return struct.unpack(format_, struct.pack(format_, number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)


def _fill(new: ir.Operation, derived: Derived, parts: Mapping[str, Term]) -> None:
    step, reader = derived.op.regions[0].blocks[0], derived.reader
    arguments = list(step.arguments)[1:]
    block = new.regions[0].blocks.append(*[argument.type for argument in arguments])
    mapping: dict[ir.Value, ir.Value] = dict(zip(arguments, block.arguments, strict=True))
    *operations, _ = step.operations
    with ir.InsertionPoint(block):
        for view in operations:
            if not any(isinstance(reader.meanings[result], StateMap) for result in view.operation.results):
                rw.clone_op(view.operation, mapping)
        known = {
            mapping.get(value, value): meaning
            for value, meaning in reader.meanings.items()
            if not isinstance(meaning, StateMap) and (value in mapping or _is_outside(value, step))
        }
        emitter = VectorEmitter(reader.accumulator, known, reader.prototypes)
        key_size, value_size = ir.RankedTensorType(step.arguments[0].type).shape
        values = []
        for name in (name for name in PARTS if name in parts):
            term = t.substitute(parts[name], {KEY: FEATURE, VALUE: FEATURE})
            if name in OVER_VALUES:
                values.append(emitter.vector(term, value_size))
            elif name in OVER_KEYS or (name in ("log_decay", "sign") and derived.form.transition.diagonal):
                values.append(emitter.vector(term, key_size))
            else:
                values.append(emitter.scalar(term))
        sizes = ir.DenseI32ArrayAttr.get(segment_sizes(list(parts)))
        ir.Operation.create("attn.position_yield", [], values, {"operandSegmentSizes": sizes})
    for view in reversed(list(block.operations)[:-1]):
        if not any(list(result.uses) for result in view.operation.results):
            view.operation.erase()


def _is_outside(value: ir.Value, step: ir.Block) -> bool:
    """Whether a value is defined outside of a region."""
    owner = value.owner
    block = owner if isinstance(owner, ir.Block) else owner.operation.block
    while block != step:
        parent = block.owner
        if parent is None or parent.operation.has_trait(ir.IsIsolatedFromAboveTrait):
            return True
        block = parent.operation.block
    return False


def read_parts(op: ir.Operation, like: StepReader | None = None) -> dict[str, Term]:
    """The parts of an `attn.chunked_recurrence` as terms over the indices `KEY` and `VALUE`.

    `like` has read the step that it was derived from, and named its captures.
    """
    block = op.regions[0].blocks[0]
    reader = StepReader(op, position_arguments(block), like)
    for _ in reader.read(block):
        pass
    parts = {}
    for name, value in parts_of(terminator_of(op)).items():
        term = reader.meaning(value)
        assert not isinstance(term, StateMap), "a position has no state"
        parts[name] = t.substitute(term, {FEATURE: VALUE if name in OVER_VALUES else KEY})
    return parts


def read_form(op: ir.Operation) -> ChunkedForm:
    """The form that an `attn.chunked_recurrence` is."""
    texts = {name: ir.StringAttr(op.attributes[name]).value for name in _READS if name in op.attributes}
    return form_of(read_parts(op), reads=texts["reads"], erase_reads=texts.get("erase_reads"))


_READS = ("reads", "erase_reads")


def limited(log: Term, least: float) -> Term:
    """A logarithm that is not less than `least`, see `least_log`."""
    log = fold(log)
    return log if bounds(log)[0] >= least else fold(t.maximum(log, t.const(least)))
