"""Streaming forms of the parallel family: `attn.online_attention` and `attn.online_reduce`.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from collections.abc import Sequence

from aecompiler.bindings import ext, ir
from aecompiler.dialect import regions
from aecompiler.dialect.attention import (
    RowReduceOp,
    YieldOp,
    check_extras,
    check_operands,
    check_output,
    check_uniform,
)
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.regions import Level
from aecompiler.dialect.types import accumulator_type

Operand, Result, Region = ext.Operand, ext.Result, ext.Region

REGIONS = ("score", "mask", "init", "update", "merge", "finalize")
"""The regions of a streaming form, in order."""


class OnlineAttentionOp(Attn.Operation, name="online_attention", traits=[ext.Pure]):
    """Attention that visits the keys once, tile by tile, with a small state for each row.

    ```
    state = init();  acc_t = 0
    for each tile of keys, in any order:
        state, rescale, weight = update(state, scores of the tile)
        acc_t = rescale_t * acc_t + sum_j weight_t(j) * v[b, h', j, :]           j unmasked, in the tile
    coefficient, extras = finalize(state)
    o[b, h, i, :] = sum_t coefficient_t * acc_t
    ```

    Two partial results over disjoint sets of keys combine to that of their union, in any order:
    `state = merge(A, B)` and `acc_t = rescaleA_t * accA_t + rescaleB_t * accB_t`. That is split-KV decoding,
    cascades and ring attention. The form of softmax is the online softmax of Milakov and Gimelshein (2018)
    and FlashAttention (Dao et al., 2022); `attn-derive-online` finds the form of any normaliser that
    separates.

    **Operands.** `q`, `k`, `v` as in `attn.attention`.

    **Results.** `o`, then any number of extras, as in `attn.attention`.

    **Attributes.** `accumulators = T : i64`, the number of accumulators, at least 1.

    **Regions.** One block each, ended by `attn.yield`. The state is any number of scalars of the accumulator
    type `acc`, as many as `init` hands over; `b`, `h`, `i`, `j` are as in `attn.attention`.

    - `score(s: acc, b, h, i, j: index) -> acc` and `mask(b, h, i, j: index) -> i1` as in `attn.attention`.
    - `init() -> state`: the state before any key, which is neutral for `merge`.
    - `update(state, s: acc, b, h, i, j: index) -> (state, rescale * T, weight * T)`: written for one element
      of a row's part in a tile. `attn.row_reduce` reduces over the unmasked elements of the row in the tile.
      The new state and the rescales must be uniform over the row; the weights may vary along it.
    - `merge(state A, state B, b, h, i: index) -> (state, rescaleA * T, rescaleB * T)`.
    - `finalize(state, b, h, i: index) -> (coefficient * T, extra...)`.

    A masked element takes part neither in a reduction nor in an accumulator, whatever v holds there. All
    else is plain IEEE arithmetic: what `attn.attention` defines for rows with nothing left is written out in
    the regions, with selects. Operations are total, as in `attn.attention`. That the regions obey the laws
    of a streaming form is not the verifier's business but `attn-verify-online`'s.

    ```mlir
    func.func @softmax(%q: tensor<2x8x?x64xf32>, %k: tensor<2x8x?x64xf32>, %v: tensor<2x8x?x64xf32>)
        -> tensor<2x8x?x64xf32> {
      %true = arith.constant true
      %zero = arith.constant 0.0 : f32
      %inf = arith.constant 0xFF800000 : f32
      %o = "attn.online_attention"(%q, %k, %v) ({
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%s) : (f32) -> ()
      }, {
      ^mask(%b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%true) : (i1) -> ()
      }, {
        "attn.yield"(%inf, %zero) : (f32, f32) -> ()
      }, {
      ^update(%m: f32, %l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
        %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
        %new = arith.maximumf %m, %tile : f32
        %none = arith.cmpf oeq, %new, %inf : f32
        %ref = arith.select %none, %zero, %new : f32
        %old = arith.subf %m, %ref : f32
        %rescale = math.exp %old : f32
        %d = arith.subf %s, %ref : f32
        %w = math.exp %d : f32
        %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
        %kept = arith.mulf %l, %rescale : f32
        %l1 = arith.addf %kept, %sum : f32
        "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
      }, {
      ^merge(%ma: f32, %la: f32, %mb: f32, %lb: f32, %b: index, %h: index, %i: index):
        %m = arith.maximumf %ma, %mb : f32
        %none = arith.cmpf oeq, %m, %inf : f32
        %ref = arith.select %none, %zero, %m : f32
        %da = arith.subf %ma, %ref : f32
        %ra = math.exp %da : f32
        %db = arith.subf %mb, %ref : f32
        %rb = math.exp %db : f32
        %pa = arith.mulf %la, %ra : f32
        %pb = arith.mulf %lb, %rb : f32
        %l = arith.addf %pa, %pb : f32
        "attn.yield"(%m, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
      }, {
      ^finalize(%m: f32, %l: f32, %b: index, %h: index, %i: index):
        %one = arith.constant 1.0 : f32
        %empty = arith.cmpf oeq, %l, %zero : f32
        %safe = arith.select %empty, %one, %l : f32
        %c = arith.divf %one, %safe : f32
        "attn.yield"(%c) : (f32) -> ()
      }) {accumulators = 1 : i64}
        : (tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>, tensor<2x8x?x64xf32>) -> tensor<2x8x?x64xf32>
      return %o : tensor<2x8x?x64xf32>
    }
    ```
    """

    o: Result[ir.RankedTensorType]
    extras: Sequence[Result[ir.RankedTensorType]]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    accumulators: ir.IntegerAttr
    score: Region
    mask: Region
    init: Region
    update: Region
    merge: Region
    finalize: Region

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, and the shape of the regions."""
        operands, results = list(self.operation.operands), list(self.operation.results)
        if len(operands) != 3:
            raise Invalid(self, f"expects 3 operands (q, k, v), got {len(operands)}")
        if not results:
            raise Invalid(self, "expects at least 1 result (o, extras...), got 0")
        _check_region_count(self)
        regions.check_segments(self, "resultSegmentSizes", [1, len(results) - 1])
        q, _, v = check_operands(self, ("q", "k", "v"))
        check_output(self, q, v)
        check_extras(self, "extra", results[1:], q)
        _check_region_shapes(self)
        accumulators_of(self)

    @verifier
    def verify_region_invariants(self) -> None:
        """What the regions hold, hand over, and what of it is uniform over the row."""
        extras = [f"extra {position}" for position in range(len(self.operation.results) - 1)]
        _check_regions(self, accumulators_of(self), extras)


OnlineAttentionOp.o = property(lambda self: self.operation.results[0], doc="The output.")
OnlineAttentionOp.extras = property(lambda self: list(self.operation.results)[1:], doc="The extras.")


class OnlineReduceOp(Attn.Operation, name="online_reduce", traits=[ext.Pure]):
    """Statistics of rows of scores, found by visiting the keys once: an earlier pass of a form of several.

    ```
    state = init()
    for each tile of keys, in any order:
        state = update(state, scores of the tile)
    statistics = finalize(state)
    ```

    A normaliser that does not stream in one pass, such as softmax((x - mean) / std), computes scores anew in
    each of its passes. The passes before the last are ops of this kind; the ops after them read the
    statistics as captures, at `[b, h, i]`.

    **Operands.** `q`, `k` as in `attn.attention`.

    **Results.** `statistics`: at least one, `[B, Hq, Sq]` of the accumulator type.

    **Regions.** As in `attn.online_attention`, without accumulators: `update` and `merge` hand over the
    state only, and `finalize` the statistics.

    ```mlir
    func.func @mean_score(%q: tensor<1x2x5x16xf32>, %k: tensor<1x2x7x16xf32>) -> tensor<1x2x5xf32> {
      %true = arith.constant true
      %zero = arith.constant 0.0 : f32
      %one = arith.constant 1.0 : f32
      %mean = "attn.online_reduce"(%q, %k) ({
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%s) : (f32) -> ()
      }, {
      ^mask(%b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%true) : (i1) -> ()
      }, {
        "attn.yield"(%zero, %zero) : (f32, f32) -> ()
      }, {
      ^update(%sum: f32, %count: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
        %ds = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
        %dn = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
        %sum1 = arith.addf %sum, %ds : f32
        %count1 = arith.addf %count, %dn : f32
        "attn.yield"(%sum1, %count1) : (f32, f32) -> ()
      }, {
      ^merge(%sa: f32, %na: f32, %sb: f32, %nb: f32, %b: index, %h: index, %i: index):
        %sum = arith.addf %sa, %sb : f32
        %count = arith.addf %na, %nb : f32
        "attn.yield"(%sum, %count) : (f32, f32) -> ()
      }, {
      ^finalize(%sum: f32, %count: f32, %b: index, %h: index, %i: index):
        %mean = arith.divf %sum, %count : f32
        "attn.yield"(%mean) : (f32) -> ()
      }) : (tensor<1x2x5x16xf32>, tensor<1x2x7x16xf32>) -> tensor<1x2x5xf32>
      return %mean : tensor<1x2x5xf32>
    }
    ```
    """

    statistics: Sequence[Result[ir.RankedTensorType]]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    score: Region
    mask: Region
    init: Region
    update: Region
    merge: Region
    finalize: Region

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, and the shape of the regions."""
        operands, results = list(self.operation.operands), list(self.operation.results)
        if len(operands) != 2:
            raise Invalid(self, f"expects 2 operands (q, k), got {len(operands)}")
        if not results:
            raise Invalid(self, "expects at least 1 result (statistics...), got 0")
        _check_region_count(self)
        q, _ = check_operands(self, ("q", "k"))
        check_extras(self, "statistic", results, q)
        _check_region_shapes(self)

    @verifier
    def verify_region_invariants(self) -> None:
        """What the regions hold, hand over, and what of it is uniform over the row."""
        _check_regions(self, 0, [f"statistic {n}" for n in range(len(self.operation.results))])


OnlineReduceOp.statistics = property(lambda self: list(self.operation.results), doc="The statistics.")


MAX_ACCUMULATORS = 4096
"""Far more than any normaliser needs; a number that no list of types holds is refused before one is made."""


def accumulators_of(op) -> int:
    """The number of accumulators of a streaming form: 0 for `attn.online_reduce`."""
    if regions.name_of(op) == OnlineReduceOp.OPERATION_NAME:
        return 0
    attributes = op.operation.attributes
    if "accumulators" not in attributes:
        raise Invalid(op, "expects attribute 'accumulators', the number of accumulators, got none")
    attribute = attributes["accumulators"]
    if str(getattr(attribute, "type", None)) != "i64" or attribute.value < 1:
        raise Invalid(op, f"expects attribute 'accumulators' to be an i64 of at least 1, got {attribute}")
    if attribute.value > MAX_ACCUMULATORS:
        raise Invalid(op, f"expects at most {MAX_ACCUMULATORS} accumulators, got {attribute.value}")
    return attribute.value


def state_size(op) -> int:
    """The number of scalars in the state of a streaming form."""
    init = op.operation.regions[REGIONS.index("init")].blocks[0]
    return len(init.operations[len(init.operations) - 1].operation.operands)


def _check_region_count(op) -> None:
    if (got := len(op.operation.regions)) != len(REGIONS):
        raise Invalid(op, f"expects {len(REGIONS)} regions ({', '.join(REGIONS)}), got {got}")


def _accumulator(op) -> ir.Type:
    return accumulator_type(op.operation.operands[0].type.element_type)


def _check_region_shapes(op) -> None:
    acc, index = _accumulator(op), ir.IndexType.get(op.context)
    terminator = YieldOp.OPERATION_NAME
    regions.single_block(op, 0, "score", [acc] + [index] * 4, terminator)
    regions.single_block(op, 1, "mask", [index] * 4, terminator)
    regions.single_block(op, 2, "init", [], terminator)
    state = state_size(op)
    regions.single_block(op, 3, "update", [acc] * (state + 1) + [index] * 4, terminator)
    regions.single_block(op, 4, "merge", [acc] * (2 * state) + [index] * 3, terminator)
    regions.single_block(op, 5, "finalize", [acc] * state + [index] * 3, terminator)


def _check_regions(op, accumulators: int, extras: Sequence[str]) -> None:
    acc, i1 = _accumulator(op), ir.IntegerType.get_signless(1, op.context)
    state = state_size(op)
    handed_over = {
        "score": [acc],
        "mask": [i1],
        "init": [acc] * state,
        "update": [acc] * (state + 2 * accumulators),
        "merge": [acc] * (state + 2 * accumulators),
        "finalize": [acc] * (accumulators + len(extras)),
    }
    blocks = dict(zip(REGIONS, (region.blocks[0] for region in op.operation.regions), strict=True))
    for name, expected in handed_over.items():
        reduce = frozenset({RowReduceOp.OPERATION_NAME}) if name == "update" else frozenset()
        regions.check_scalar_region(op, blocks[name], name, YieldOp.OPERATION_NAME, reduce)
        regions.check_yield(op, blocks[name], name, expected)
    arguments = [
        *[Level.ROW] * state,
        Level.ELEMENT,
        *(Level.HEAD, Level.HEAD, Level.ROW, Level.ELEMENT),
    ]
    uniform = [
        *(f"state value {n}" for n in range(state)),
        *(f"rescale {t}" for t in range(accumulators)),
        *[None] * accumulators,
    ]
    check_uniform(blocks["update"], regions.levels(blocks["update"], arguments), uniform)
