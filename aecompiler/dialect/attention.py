"""The parallel family: `attn.attention` and the ops of its regions.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from collections.abc import Sequence
from typing import Any

from aecompiler.bindings import ext, ir
from aecompiler.dialect import regions, rules
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.types import (
    accumulator_type,
    check_element_type,
    check_output_type,
    check_tensor,
    shape_of,
)

Operand, Result, Region = ext.Operand, ext.Result, ext.Region


ROW_PROGRAMS = {"attn.attention": 2, "attn.online_attention": 3, "attn.online_reduce": 3}
"""The ops whose regions are written for one element of a row of scores, and which of them reduces rows."""


def check_operands(op, names: Sequence[str]) -> list[list[int | None]]:
    """The operands q, k and, if there, v are tensors that belong together; returns their shapes."""
    named = dict(zip(names, op.operation.operands, strict=True))
    for name, value in named.items():
        check_tensor(op, name, value.type)
    check_element_type(op, named)
    shapes = [shape_of(value.type) for value in named.values()]
    if error := rules.attention_operands(*shapes):
        raise Invalid(op, error)
    return shapes


def check_output(op, q: Sequence[int | None], v: Sequence[int | None]) -> None:
    """The first result is o: [B, Hq, Sq, Dv] of q's element type or f32."""
    o = op.operation.results[0].type
    check_tensor(op, "o", o)
    expected = [*q[:3], v[3]]
    if shape_of(o) != expected:
        want, got = rules.format_shape(expected), rules.format_shape(shape_of(o))
        raise Invalid(op, f"expects o to have shape {want}, got {got}")
    check_output_type(op, o.element_type)


def check_extras(op, what: str, results: Sequence[ir.Value], q: Sequence[int | None]) -> None:
    """Results with one value for each row: [B, Hq, Sq] of the accumulator type."""
    acc = accumulator_type(op.operation.operands[0].type.element_type)
    extra_type = f"tensor<{rules.format_shape(q[:3])}x{acc}>"
    for position, result in enumerate(results):
        extra = result.type
        check_tensor(op, f"{what} {position}", extra)
        if shape_of(extra) != q[:3] or extra.element_type != acc:
            raise Invalid(op, f"expects {what} {position} to be {extra_type}, got {extra}")


def check_uniform(block: ir.Block, level: dict[ir.Value, regions.Level], names: Sequence[str | None]) -> None:
    """What the terminator hands over is uniform over the row, where it has a name."""
    terminator = block.operations[len(block.operations) - 1]
    for name, value in zip(names, terminator.operation.operands, strict=True):
        if name is not None and level.get(value) == regions.Level.ELEMENT:
            raise Invalid(
                terminator, f"expects {name} to be uniform over the row, got a value that varies along it"
            )


class AttentionOp(Attn.Operation, name="attention", traits=[ext.Pure]):
    """Attention of queries over keys and values, with the score, the mask and the normaliser as programs.

    ```
    s(i, j) = score(sum_d q[b, h, i, d] * k[b, h', j, d])
    p(i, .) = normalize(s(i, .))                      over the unmasked j
    o[b, h, i, :] = sum_j p(i, j) * v[b, h', j, :]    h' = h / (Hq / Hkv)
    ```

    Covers softmax attention (Vaswani et al., 2017) and every variant that differs from it in the score, the
    mask or the normaliser; grouped queries (Ainslie et al., 2023) through the head counts.

    **Operands.** `q`: `[B, Hq, Sq, Dqk]`, `k`: `[B, Hkv, Skv, Dqk]`, `v`: `[B, Hkv, Skv, Dv]`, ranked tensors
    of one element type out of f16, bf16, f32, f64. The feature sizes are static. The head counts are static
    and Hq is a multiple of Hkv, or all are dynamic and equal. All other sizes may be dynamic; any may be 0.

    **Results.** `o`: `[B, Hq, Sq, Dv]`, of q's element type or f32. Then any number of extras:
    `[B, Hq, Sq]` of the accumulator type, f32, or f64 for f64 operands.

    **Regions.** One block each, ended by `attn.yield`; `acc` is the accumulator type, `b` the batch, `h` the
    query head, `i` the query position, `j` the key position, all counted from 0.

    - `score(s: acc, b, h, i, j: index) -> acc`: the score from the dot product.
    - `mask(b, h, i, j: index) -> i1`: whether query i attends to key j.
    - `normalize(s: acc, b, h, i, j: index) -> (acc, acc...)`: the weight of one element of a row of scores,
      then one value per extra. `attn.row_reduce` reduces over the row. Values computed from `s`, `j`, or
      captures read at them vary along the row; all others are uniform over it. Extras must be uniform.

    The regions hold scalar `arith` and `math` ops, `tensor.extract` and `tensor.dim`. They may use scalars
    and ranked tensors defined outside of the op, the *captures*, at any integer expression of the indices.

    **Edges.** An element is masked where the mask is false or the score is -inf. It takes no part in any
    reduction nor in the sum over v, whatever v holds there. A row with nothing left gives o = 0, and its
    extras are the normaliser with every reduction at its identity (max -inf, min +inf, sum 0, prod 1), a NaN
    there becoming 0. NaN and +inf scores follow IEEE 754. The score is defined only where the mask is true: a
    lowering may evaluate it elsewhere. A read of a captured tensor out of bounds at an unmasked element is a
    mistake that `aec-run --check` reports.

    **Total operations.** Since regions may be evaluated anywhere, nothing in them is undefined. An index into
    a captured tensor is clamped to its bounds, and a captured tensor without elements reads as 0. An integer
    division by zero gives 0, a remainder by zero the dividend, and the lowest integer divided by -1 itself. A
    shift by the width or more shifts everything out. A cast of a float to an integer saturates, NaN becoming
    0. The number of a dimension is clamped like an index. `ub.poison` is 0. Flags that promise something of
    operands promise nothing: no overflow, exact, not negative, no NaN, no infinity. Indices have 64 bits.

    Weights may be rounded to v's type before the product with v.

    ```mlir
    func.func @alibi(%q: tensor<?x32x?x128xf16>, %k: tensor<?x8x?x128xf16>, %v: tensor<?x8x?x128xf16>,
                     %slopes: tensor<32xf32>) -> (tensor<?x32x?x128xf16>, tensor<?x32x?xf32>) {
      %o, %lse = "attn.attention"(%q, %k, %v) ({
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        %slope = tensor.extract %slopes[%h] : tensor<32xf32>
        %distance = arith.subi %j, %i : index
        %int = arith.index_cast %distance : index to i64
        %float = arith.sitofp %int : i64 to f32
        %bias = arith.mulf %slope, %float : f32
        %biased = arith.addf %s, %bias : f32
        "attn.yield"(%biased) : (f32) -> ()
      }, {
      ^mask(%b: index, %h: index, %i: index, %j: index):
        %keep = arith.cmpi sge, %i, %j : index
        "attn.yield"(%keep) : (i1) -> ()
      }, {
      ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
        %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
        %d = arith.subf %s, %m : f32
        %e = math.exp %d : f32
        %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
        %p = arith.divf %e, %l : f32
        %g = math.log %l : f32
        %z = arith.addf %m, %g : f32
        "attn.yield"(%p, %z) : (f32, f32) -> ()
      }) : (tensor<?x32x?x128xf16>, tensor<?x8x?x128xf16>, tensor<?x8x?x128xf16>)
        -> (tensor<?x32x?x128xf16>, tensor<?x32x?xf32>)
      return %o, %lse : tensor<?x32x?x128xf16>, tensor<?x32x?xf32>
    }
    ```
    """

    o: Result[ir.RankedTensorType]
    extras: Sequence[Result[ir.RankedTensorType]]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    score: Region
    mask: Region
    normalize: Region

    @property
    def accumulator(self) -> ir.Type:
        """The type of scores, reductions and extras."""
        return accumulator_type(self.operands[0].type.element_type)

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, and the shape of the regions."""
        operands, results = list(self.operation.operands), list(self.operation.results)
        if len(operands) != 3:
            raise Invalid(self, f"expects 3 operands (q, k, v), got {len(operands)}")
        if not results:
            raise Invalid(self, "expects at least 1 result (o, extras...), got 0")
        if len(self.operation.regions) != 3:
            raise Invalid(
                self, f"expects 3 regions (score, mask, normalize), got {len(self.operation.regions)}"
            )
        regions.check_segments(self, "resultSegmentSizes", [1, len(results) - 1])
        q, _, v = check_operands(self, ("q", "k", "v"))
        check_output(self, q, v)
        check_extras(self, "extra", results[1:], q)
        self._verify_region_shapes()

    @verifier
    def verify_region_invariants(self) -> None:
        """What the regions hold, hand over, and whether extras are uniform over the row."""
        acc, i1 = self.accumulator, ir.IntegerType.get_signless(1, self.context)
        score, mask, normalize = (region.blocks[0] for region in self.operation.regions)
        extras = len(self.operation.results) - 1
        for block, name, expected, extra in (
            (score, "score", [acc], frozenset()),
            (mask, "mask", [i1], frozenset()),
            (normalize, "normalize", [acc] * (1 + extras), frozenset({RowReduceOp.OPERATION_NAME})),
        ):
            regions.check_scalar_region(self, block, name, YieldOp.OPERATION_NAME, extra)
            regions.check_yield(self, block, name, expected)
        element, head, row = regions.Level.ELEMENT, regions.Level.HEAD, regions.Level.ROW
        level = regions.levels(normalize, (element, head, head, row, element))
        names = [None, *(f"extra {position}" for position in range(extras))]
        check_uniform(normalize, level, names)

    def _verify_region_shapes(self) -> None:
        acc, index = self.accumulator, ir.IndexType.get(self.context)
        terminator = YieldOp.OPERATION_NAME
        regions.single_block(self, 0, "score", [acc] + [index] * 4, terminator)
        regions.single_block(self, 1, "mask", [index] * 4, terminator)
        regions.single_block(self, 2, "normalize", [acc] + [index] * 4, terminator)


# With a variadic group the generated accessors want a segment attribute, which hand-written IR may omit.
AttentionOp.o = property(lambda self: self.operation.results[0], doc="The output.")
AttentionOp.extras = property(lambda self: list(self.operation.results)[1:], doc="The row-uniform extras.")


class RowReduceOp(Attn.Operation, name="row_reduce", traits=[ext.Pure]):
    """Reduction over the unmasked elements of a row of scores.

    ```
    res = (+)_j value(j)      (+) = max, min, + or *
    ```

    Stands directly in the normalize region of `attn.attention`, where it reduces over the whole row, or in
    the update region of a streaming form, where it reduces over the row's part in one tile. The result is
    the same for the whole row. A value that is uniform over the row counts once for each unmasked element:
    the sum of 1 is their number.
    Without an unmasked element the result is the identity: -inf, +inf, 0 or 1. NaN propagates.

    **Operand.** `value`: of the accumulator type of the enclosing op. **Result.** `res`: of the same type.

    **Attributes.** `kind`: `"max"`, `"min"`, `"sum"` or `"prod"`. Absolute forms go through `math.absf`.

    ```mlir
    func.func @retention(%q: tensor<1x4x?x64xbf16>, %k: tensor<1x4x?x64xbf16>, %v: tensor<1x4x?x128xbf16>)
        -> tensor<1x4x?x128xbf16> {
      %one = arith.constant 1.0 : f32
      %true = arith.constant true
      %o = "attn.attention"(%q, %k, %v) ({
      ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%s) : (f32) -> ()
      }, {
      ^mask(%b: index, %h: index, %i: index, %j: index):
        "attn.yield"(%true) : (i1) -> ()
      }, {
      ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
        %a = math.absf %s : f32
        %sum = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
        %norm = arith.maximumf %sum, %one : f32
        %p = arith.divf %s, %norm : f32
        "attn.yield"(%p) : (f32) -> ()
      }) : (tensor<1x4x?x64xbf16>, tensor<1x4x?x64xbf16>, tensor<1x4x?x128xbf16>) -> tensor<1x4x?x128xbf16>
      return %o : tensor<1x4x?x128xbf16>
    }
    ```
    """

    res: Result[Any]
    value: Operand[Any]
    kind: ir.StringAttr["max"] | ir.StringAttr["min"] | ir.StringAttr["sum"] | ir.StringAttr["prod"]

    KINDS = ("max", "min", "sum", "prod")

    @verifier
    def verify_invariants(self) -> None:
        """Counts, kind, place and types."""
        operands, results = list(self.operation.operands), list(self.operation.results)
        if len(operands) != 1:
            raise Invalid(self, f"expects 1 operand (value), got {len(operands)}")
        if len(results) != 1:
            raise Invalid(self, f"expects 1 result, got {len(results)}")
        kinds = ", ".join(f'"{kind}"' for kind in self.KINDS)
        if "kind" not in self.operation.attributes:
            raise Invalid(self, f"expects attribute 'kind' to be one of {kinds}, got none")
        kind = self.operation.attributes["kind"]
        # Compared as it prints: its value may be no text that Python can hold.
        if not isinstance(kind, ir.StringAttr) or str(kind) not in [f'"{each}"' for each in self.KINDS]:
            raise Invalid(self, f"expects attribute 'kind' to be one of {kinds}, got {kind}")
        parent = self.operation.parent
        if (
            parent is None
            or (position := ROW_PROGRAMS.get(regions.name_of(parent))) is None
            or len(parent.operation.regions) <= position
            or self.operation.block.region != parent.operation.regions[position]
        ):
            raise Invalid(
                self,
                "expects to stand directly in the normalize region of 'attn.attention' or the update region "
                "of a streaming form",
            )
        acc = accumulator_type(parent.operation.operands[0].type.element_type)
        for name, type_ in (("value", operands[0].type), ("result", results[0].type)):
            if type_ != acc:
                raise Invalid(self, f"expects its {name} to be of the accumulator type {acc}, got {type_}")


class YieldOp(Attn.Operation, name="yield", traits=[ir.IsTerminatorTrait]):
    """Ends a region of `attn.attention` or of a streaming form and hands over its values.

    **Operands.** `values`: one score, one i1 mask value, one weight followed by the extras, or what the
    streaming form says. Values of different types can't share one yield.
    """

    values: Sequence[Operand[Any]]

    @verifier
    def verify_invariants(self) -> None:
        """The parent op."""
        parent = self.operation.parent
        if parent is None or regions.name_of(parent) not in ROW_PROGRAMS:
            names = ", ".join(f"'{name}'" for name in ROW_PROGRAMS)
            raise Invalid(self, f"expects its parent op to be one of {names}")


YieldOp.values = property(lambda self: list(self.operation.operands), doc="The values handed over.")
