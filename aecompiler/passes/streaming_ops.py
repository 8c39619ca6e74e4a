"""Streaming ops from terms and back: `attn.online_attention` and `attn.online_reduce`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aecompiler.algebra import terms as t
from aecompiler.algebra.streaming import DerivedPass, StreamingForm
from aecompiler.algebra.terms import Depends, Term
from aecompiler.bindings import ir, tensor
from aecompiler.dialect.types import accumulator_type
from aecompiler.passes import rewriting as rw
from aecompiler.passes.region_terms import Emitter, Leaves, element_arguments, read_block

FORMS = ("attn.online_attention", "attn.online_reduce")
_REGIONS = 6
Stats = Mapping[Term, ir.Value]

_LARGEST = {"f16": 11.05, "bf16": 80.0, "f32": 80.0, "f64": 600.0}


def largest_exponent(op: ir.Operation) -> float:
    """The largest exponent that is far from overflow, by v's type: weights may be rounded to that."""
    if op.name == "attn.online_reduce":
        return _LARGEST[str(accumulator_type(op.operands[0].type.element_type))]
    return _LARGEST[str(op.operands[2].type.element_type)]


def replace_by_passes(
    op: ir.Operation, leaves: Leaves, arguments: Sequence[Term], passes: Sequence[DerivedPass]
) -> None:
    """Replace an `attn.attention` by the derived passes; `arguments` are the symbols of s, b, h, i, j."""
    stats: dict[Term, ir.Value] = {}
    with ir.InsertionPoint(op), op.location:
        for each in passes[:-1]:
            new = _create_reduce(op, leaves, len(each.stats))
            _fill(new, op, each.form, leaves, arguments, stats)
            _annotate(new, each)
            stats.update(zip(each.stats, new.results, strict=True))
        last = passes[-1]
        new = _create_attention(op, len(last.form.weights))
        _fill(new, op, last.form, leaves, arguments, stats)
        _annotate(new, last)
        new.attributes["attn.passes"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), len(passes))
    for old, result in zip(op.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    op.erase()


@dataclass(frozen=True)
class ReadForm:
    """A streaming op as terms; `arguments` are the symbols of s, b, h, i, j."""

    form: StreamingForm
    arguments: list[Term]
    leaves: Leaves


def read_form(op: ir.Operation) -> ReadForm:
    """The regions of a streaming op as terms."""
    acc = accumulator_type(op.operands[0].type.element_type)
    leaves = Leaves(acc, rounded_ln2=True)
    arguments = element_arguments()
    row = arguments[1:4]
    init, update, merge, finalize = (op.regions[n].blocks[0] for n in range(2, _REGIONS))
    first = read_block(init, [], leaves)
    states, left, right = (
        tuple(t.symbol(f"{side}{n}", Depends.VARYING, key="state") for n in range(len(first)))
        for side in "xab"
    )
    updated = read_block(update, [*states, *arguments], leaves)
    merged = read_block(merge, [*left, *right, *row], leaves)
    results = read_block(finalize, [*states, *row], leaves)
    count, n = (len(updated) - len(first)) // 2, len(first)
    form = StreamingForm(
        states=states,
        init=tuple(first),
        update=tuple(updated[:n]),
        rescales=tuple(updated[n : n + count]),
        weights=tuple(updated[n + count :]),
        left=left,
        right=right,
        merged=tuple(merged[:n]),
        rescales_left=tuple(merged[n : n + count]),
        rescales_right=tuple(merged[n + count :]),
        coefficients=tuple(results[:count]),
        extras=tuple(results[count:]),
    )
    return ReadForm(form, arguments, leaves)


def _annotate(op: ir.Operation, each: DerivedPass) -> None:
    op.attributes["attn.proof"] = ir.ArrayAttr.get([ir.StringAttr.get(line) for line in each.proof])


def _create_reduce(op: ir.Operation, leaves: Leaves, count: int) -> ir.Operation:
    shape = ir.RankedTensorType(op.operands[0].type).shape[:3]
    type_ = ir.RankedTensorType.get(shape, leaves.accumulator)
    operands = list(op.operands)[:2]
    return ir.Operation.create("attn.online_reduce", [type_] * count, operands, regions=_REGIONS)


def _create_attention(op: ir.Operation, accumulators: int) -> ir.Operation:
    count = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), accumulators)
    attributes = {name: op.attributes[name] for name in op.attributes}
    types = [result.type for result in op.results]
    return ir.Operation.create(
        "attn.online_attention",
        types,
        list(op.operands),
        {**attributes, "accumulators": count},
        regions=_REGIONS,
    )


def _fill(
    new: ir.Operation,
    old: ir.Operation,
    form: StreamingForm,
    leaves: Leaves,
    arguments: Sequence[Term],
    stats: Stats,
) -> None:
    for position in range(2):
        _copy(old.regions[position].blocks[0], new.regions[position])
    acc, index = leaves.accumulator, ir.IndexType.get()
    row = list(arguments[1:4])

    def fill(region: int, symbols: Sequence[Term], results: Sequence[Term]) -> None:
        types = [index if symbol in arguments[1:] else acc for symbol in symbols]
        block = new.regions[region].blocks.append(*types)
        values: dict[Term, ir.Value | Callable[[], ir.Value]] = dict(
            zip(symbols, block.arguments, strict=True)
        )
        for symbol, value in stats.items():
            values[symbol] = _reader(value, [values[index] for index in row] if row[0] in values else [])
        with ir.InsertionPoint(block):
            emitter = Emitter(leaves, values)
            yielded = [emitter.emit(term) for term in results]
            ir.Operation.create("attn.yield", [], yielded)

    fill(2, [], form.init)
    fill(3, [*form.states, *arguments], [*form.update, *form.rescales, *form.weights])
    fill(4, [*form.left, *form.right, *row], [*form.merged, *form.rescales_left, *form.rescales_right])
    fill(5, [*form.states, *row], [*form.coefficients, *form.extras])


def _reader(statistic: ir.Value, indices: Sequence[ir.Value]) -> Callable[[], ir.Value]:
    return lambda: tensor.extract(statistic, list(indices))


def _copy(block: ir.Block, region: ir.Region) -> None:
    new = region.blocks.append(*[argument.type for argument in block.arguments])
    mapping: dict[ir.Value, ir.Value] = dict(zip(block.arguments, new.arguments, strict=True))
    with ir.InsertionPoint(new):
        for op in block.operations:
            rw.clone_op(op.operation, mapping)
