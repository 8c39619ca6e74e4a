"""The pass `attn-canonicalize`."""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.bindings import ir, passmanager, tensor
from aecompiler.passes import canonicalize_scalars as scalars
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import ANY, Pass, register_pass
from aecompiler.passes.region_safety import drop_promises, guard_elements, guard_zero_divisors

ATTENTION = "attn.attention"
_SCORE, _MASK, _NORMALIZE = range(3)
_FAMILIES = (ATTENTION, "attn.recurrence")


@register_pass
class AttnCanonicalize(Pass):
    """Simplify attention programs: fold regions, merge scale factors, drop what is dead.

    Runs MLIR's `canonicalize` and `cse` on every function that holds an attn op, and these rewrites on
    `attn.attention`, until nothing changes. Functions without attn ops stay as they are.

    - An extra result without uses is dropped, with what computes it; of two extras with one value one stays.
    - A mask in the score, `select(c, x, -inf)` as its last operation, moves to the mask region, when `c` does
      not depend on the score: an element is masked where the score is -inf.
    - When no element is left (the mask is false, or the score -inf, everywhere), o becomes zeros.
    - In the mask, `select` of booleans becomes `andi` and `ori`, `a & (a | b)` and `a | (a & b)` become `a`.
    - Chains of products, quotients and negations by constants become one product.

    A merged chain is rounded once where the original was rounded at each step: the result differs by a few
    units in the last place. It stays in range where the original does: `(x * c) * d` is left alone if `c`
    could overflow what `d` brings back (|c| > 1 > |d|) or underflow what `d` enlarges by more than 2^24, or
    if `c * d` is no normal number of the type, and so infinities, NaNs and masks by -inf stay what they are.
    A quotient alone becomes a product only if that is exact (the divisor is a power of two). Operations with
    different fastmath flags are not merged.

    Flags by which an operation promises something of its operands (no overflow, exact, no NaN) are dropped.
    MLIR would fold `x / x` to 1, where the dialect has 0 for x = 0: an integer division by what may be 0 is
    written out first, as a division by 1 where it is 0, and a `select` of the result. So is the clamping of
    indices into `tensor.from_elements`.

    Before, and valid at any time: programs at level 1. After: the same programs, with equal results up to the
    rounding above. Running it again changes nothing.

    Before:
    ```mlir
    ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
      %0 = arith.divf %s, %sqrt_d : f32                  // 8.0
      %1 = arith.mulf %0, %log2_e : f32                  // 1.44269502
      %keep = arith.cmpi sge, %i, %j : index
      %2 = arith.select %keep, %1, %minus_infinity : f32
      "attn.yield"(%2) : (f32) -> ()
    }, {
    ^mask(%b: index, %h: index, %i: index, %j: index):
      "attn.yield"(%true) : (i1) -> ()
    ```
    After:
    ```mlir
    ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
      %0 = arith.mulf %s, %scale : f32                   // 0.180336878
      "attn.yield"(%0) : (f32) -> ()
    }, {
    ^mask(%b: index, %h: index, %i: index, %j: index):
      %keep = arith.cmpi sge, %i, %j : index
      "attn.yield"(%keep) : (i1) -> ()
    ```
    """

    NAME = "attn-canonicalize"
    ANCHOR = ANY

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        for root in _roots(op):
            for child in rw.walk_list(root):
                drop_promises(child)
            guard_zero_divisors(root)
            guard_elements(root)
            # Each rewrite removes an operation, a result or a select: this ends. What `cse` merges gives
            # `canonicalize` more to do, and it does not say whether it changed something: compare texts.
            before = ""
            while (text := root.get_asm(large_elements_limit=16)) != before:
                before = text
                _clean(root)
                _rewrite(root)


def _roots(op: ir.Operation) -> list[ir.Operation]:
    """The innermost isolated ops (functions) that hold attn ops, `op` itself at the outermost."""
    found: dict[ir.Operation, None] = {}
    for child in _attn_ops(op):
        holder = child
        while holder != op and not holder.has_trait(ir.IsIsolatedFromAboveTrait):
            parent = holder.parent
            if parent is None:
                break
            holder = parent.operation
        found[holder] = None
    return list(found)


def _attn_ops(op: ir.Operation) -> list[ir.Operation]:
    return [child for child in rw.walk_list(op, "attn.") if child.name in _FAMILIES]


def _clean(root: ir.Operation) -> None:
    manager = passmanager.PassManager(ANY)
    manager.enable_verifier(False)  # the driver of this pass verifies its result
    manager.add("canonicalize")
    manager.add("cse")
    manager.run(root)


def _rewrite(root: ir.Operation) -> None:
    for op in _attn_ops(root):
        with op.location:
            for block in _blocks(op):
                scalars.simplify(block)
            if op.name == ATTENTION:
                _move_mask_out_of_score(op)
                _zero_when_all_masked(op)
                _merge_equal_extras(op)
                _drop_unused_extras(op)  # last: it replaces the op


def _blocks(op: ir.Operation) -> Iterator[ir.Block]:
    for region in op.regions:
        yield from region.blocks


def _body(op: ir.Operation, region: int) -> tuple[ir.Block, ir.Operation]:
    """The block of a region, and its terminator."""
    block = op.regions[region].blocks[0]
    return block, list(block.operations)[-1].operation


# ---- masks ---------------------------------------------------------------------------------------


def _move_mask_out_of_score(op: ir.Operation) -> None:
    score, score_yield = _body(op, _SCORE)
    mask, mask_yield = _body(op, _MASK)
    select = scalars.producer(score_yield.operands[0], "arith.select")
    if select is None or select.parent != op:
        return
    condition, on_true, on_false = select.operands
    negate = scalars.is_minus_infinity(on_true)
    if not negate and not scalars.is_minus_infinity(on_false):
        return
    needed = _slice(condition, score)
    if needed is None:
        return
    arguments = dict(zip(list(score.arguments)[1:], mask.arguments, strict=True))
    with ir.InsertionPoint(mask_yield):
        mapping: dict[ir.Value, ir.Value] = dict(arguments)
        for needed_op in needed:
            rw.clone_op(needed_op, mapping)
        keep = mapping.get(condition, condition)
        if negate:
            keep = scalars.binary("arith.xori", keep, rw.constant(ir.IntegerType.get_signless(1), 1))
        mask_yield.operands[0] = scalars.binary("arith.andi", mask_yield.operands[0], keep)
    score_yield.operands[0] = on_false if negate else on_true


def _slice(value: ir.Value, block: ir.Block) -> list[ir.Operation] | None:
    """The ops of `block` that `value` is computed by, in order; `None` if it depends on the score."""
    wanted, forbidden = {value}, block.arguments[0]
    found: list[ir.Operation] = []
    for view in reversed(list(block.operations)):
        op = view.operation
        if not any(result in wanted for result in op.results):
            continue
        if len(op.regions):
            return None
        found.append(op)
        wanted.update(op.operands)
    return None if forbidden in wanted else found[::-1]


def _zero_when_all_masked(op: ir.Operation) -> None:
    _, score_yield = _body(op, _SCORE)
    _, mask_yield = _body(op, _MASK)
    masked = scalars.constant(mask_yield.operands[0]) == 0
    if not (masked or scalars.is_minus_infinity(score_yield.operands[0])):
        return
    o = op.results[0]
    if not list(o.uses):
        return
    o.replace_all_uses_with(_zeros_like_output(op, ir.RankedTensorType(o.type)))


def _zeros_like_output(op: ir.Operation, type_: ir.RankedTensorType) -> ir.Value:
    with ir.InsertionPoint(op):
        if type_.has_static_shape:
            return rw.constant_of(type_, 0)
        # Batch, head and query sizes are those of q; the feature size is static.
        sizes = [rw.dim(op.operands[0], axis) for axis in range(3) if type_.is_dynamic_dim(axis)]
        return tensor.splat(type_, rw.constant(type_.element_type, 0), sizes)


# ---- extras --------------------------------------------------------------------------------------


def _merge_equal_extras(op: ir.Operation) -> None:
    _, terminator = _body(op, _NORMALIZE)
    first: dict[ir.Value, ir.Value] = {}
    for yielded, extra in zip(list(terminator.operands)[1:], list(op.results)[1:], strict=True):
        kept = first.setdefault(yielded, extra)
        if kept != extra and kept.type == extra.type and list(extra.uses):
            extra.replace_all_uses_with(kept)


def _drop_unused_extras(op: ir.Operation) -> None:
    results = list(op.results)
    kept = [0] + [index for index in range(1, len(results)) if list(results[index].uses)]
    if len(kept) == len(results):
        return
    with ir.InsertionPoint(op):
        # The sizes of result groups may be left out, and change.
        attributes = {name: op.attributes[name] for name in op.attributes if name != "resultSegmentSizes"}
        new = ir.Operation.create(
            op.name,
            [results[index].type for index in kept],
            list(op.operands),
            attributes,
            regions=len(op.regions),
            loc=op.location,
        )
    for old_region, new_region in zip(op.regions, new.regions, strict=True):
        for block in list(old_region.blocks):
            block.append_to(new_region)
    _, terminator = _body(new, _NORMALIZE)
    with ir.InsertionPoint(terminator):
        values = [terminator.operands[index] for index in kept]
        ir.Operation.create(terminator.name, [], values, loc=terminator.location)
    terminator.erase()
    for position, index in enumerate(kept):
        results[index].replace_all_uses_with(new.results[position])
    op.erase()
