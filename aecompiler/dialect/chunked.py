"""The chunked form of the recurrent family: `attn.chunked_recurrence` and the terminator of its region.

No `from __future__ import annotations` here: the op definitions need real annotation objects.
"""

from collections.abc import Sequence
from typing import Any, Optional

from aecompiler.bindings import ext, ir
from aecompiler.dialect import regions
from aecompiler.dialect.core import Attn, Invalid, verifier
from aecompiler.dialect.recurrent import accumulator, check_recurrent, define_operands, vector_types

Operand, Result, Region = ext.Operand, ext.Result, ext.Region

MAX_CHUNK = 1024
"""The most positions of a chunk: products within one are quadratic in it."""

PARTS = (
    "query",
    "key",
    "value",
    "log_decay",
    "sign",
    "query_scale",
    "key_scale",
    "erase",
    "erase_scale",
    "skip",
)
"""What `attn.position_yield` hands over, in order."""

REQUIRED_PARTS = 3
"""The first of `PARTS`; the others may be absent."""

READS = ("after", "before")
ERASE_READS = ("decayed", "state")
EXPONENTS = ("nonpositive", "any")


class ChunkedRecurrenceOp(Attn.Operation, name="chunked_recurrence", traits=[ext.Pure]):
    """A recurrence whose transition is known: a decay and at most one rank-one term, to run chunk by chunk.

    ```
    S_(-1) = initial[b, h];  for t = 0 .. T-1, with D_t = diag(sign_t * exp(log_decay_t)):
        M_t = D_t S_(t-1)
        u_t = value_t - erase_scale_t * erase_t^T X_t                  X_t = M_t or S_(t-1)
        S_t = M_t + key_scale_t * key_t u_t^T
        o[b, h, t, :] = query_scale_t * query_t^T Y_t + skip_t         Y_t = S_t or S_(t-1)
    final[b, h] = S_(T-1)
    ```

    All that a position contributes is computed without the state, so that positions of a chunk are taken at
    once. Transitions compose: over a chunk the decays multiply, which is a sum of logarithms, and the
    rank-one terms multiply to `I - K^T T K` with T the inverse of a triangular matrix, the WY form (Bischof
    and Van Loan, 1987; for the delta rule Yang et al., 2024).

    **Operands**, **results** and the **variable-length form** are those of `attn.recurrence`.

    **Attributes.** `chunk : i64`, the positions of a chunk, 1 to 1024: how it is run, not what it means.
    `reads`: the output reads the state `"after"` the update or `"before"` it. `erase_reads`, only with an
    erase: it reads the `"decayed"` state M or the `"state"` before. `exponents`: `"nonpositive"` where
    log_decay is proved to be at most 0, else `"any"`: a claim, which decides how small log_decay may be, and
    no lowering relies on. Optionally `attn.proof`: strings, how the form was derived.

    log_decay must be finite, and signs 1 or -1; that is not the verifier's business but
    `attn-verify-chunked`'s.

    **Region.** `position(q, k: tensor<Dk x acc>, v: tensor<Dv x acc>, b, h, t: index)`, one block, ended by
    `attn.position_yield`. It holds what the step of `attn.recurrence` may hold, by the same rules, and has no
    state.

    ```mlir
    func.func @gated_delta(%q: tensor<?x4x?x64xbf16>, %k: tensor<?x4x?x64xbf16>, %v: tensor<?x4x?x128xbf16>,
                           %gate: tensor<?x4x?xf32>, %beta: tensor<?x4x?xf32>,
                           %initial: tensor<?x4x64x128xf32>)
        -> (tensor<?x4x?x128xbf16>, tensor<?x4x64x128xf32>) {
      %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
      ^position(%qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<128xf32>,
                %b: index, %h: index, %t: index):
        %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
        %least = arith.constant -199.0 : f32
        %log = arith.maximumf %g, %least : f32
        %s = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
        "attn.position_yield"(%qt, %kt, %vt, %log, %s, %kt)
          {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 1, 1, 0, 0>}
          : (tensor<64xf32>, tensor<64xf32>, tensor<128xf32>, f32, f32, tensor<64xf32>) -> ()
      }) {chunk = 64 : i64, reads = "after", erase_reads = "decayed", exponents = "any"}
        : (tensor<?x4x?x64xbf16>, tensor<?x4x?x64xbf16>, tensor<?x4x?x128xbf16>, tensor<?x4x64x128xf32>)
        -> (tensor<?x4x?x128xbf16>, tensor<?x4x64x128xf32>)
      return %o, %final : tensor<?x4x?x128xbf16>, tensor<?x4x64x128xf32>
    }
    ```
    """

    o: Result[ir.RankedTensorType]
    final: Result[ir.RankedTensorType]
    q: Operand[ir.RankedTensorType]
    k: Operand[ir.RankedTensorType]
    v: Operand[ir.RankedTensorType]
    initial: Operand[ir.RankedTensorType]
    offsets: Optional[Operand[ir.RankedTensorType]]
    position: Region

    @property
    def accumulator(self) -> ir.Type:
        """The type of the state and of all values of the region."""
        return accumulator(self)

    @property
    def parts(self) -> dict[str, ir.Value]:
        """The values that the region hands over, by their names in `PARTS`; absent ones are left out."""
        return parts_of(terminator_of(self))

    @verifier
    def verify_invariants(self) -> None:
        """Counts, tensor types and sizes, attributes, and the shape of the region."""
        check_recurrent(self, "position")
        attributes = self.operation.attributes
        if "chunk" not in attributes:
            raise Invalid(self, "expects attribute 'chunk', the positions of a chunk, got none")
        chunk = attributes["chunk"]
        if str(getattr(chunk, "type", None)) != "i64" or not 1 <= chunk.value <= MAX_CHUNK:
            raise Invalid(self, f"expects attribute 'chunk' to be an i64 of 1 to {MAX_CHUNK}, got {chunk}")
        _check_choice(self, "reads", READS)
        _check_choice(self, "exponents", EXPONENTS)
        _check_proof(self)
        _, row, column = vector_types(self)
        index = ir.IndexType.get(self.context)
        regions.single_block(
            self, 0, "position", [row, row, column, index, index, index], PositionYieldOp.OPERATION_NAME
        )

    @verifier
    def verify_region_invariants(self) -> None:
        """What the region holds and hands over."""
        block = self.operation.regions[0].blocks[0]
        regions.check_step_region(self, block, "position", PositionYieldOp.OPERATION_NAME)
        terminator = terminator_of(self)
        parts = parts_of(terminator)
        _check_types(self, terminator, parts)
        if "erase" in parts:
            _check_choice(self, "erase_reads", ERASE_READS)
        elif "erase_reads" in self.operation.attributes:
            raise Invalid(self, "expects attribute 'erase_reads' only with an erase")


define_operands(ChunkedRecurrenceOp)


class PositionYieldOp(Attn.Operation, name="position_yield", traits=[ir.IsTerminatorTrait]):
    """Ends the region of `attn.chunked_recurrence`: what one position contributes.

    **Operands**, in this order; `acc` is the accumulator type. The first three are required, and
    `operandSegmentSizes` says which of the others are there.

    | operand | type | absent |
    |---|---|---|
    | `query` | `tensor<Dk x acc>` | |
    | `key` | `tensor<Dk x acc>` | |
    | `value` | `tensor<Dv x acc>` | |
    | `log_decay` | `acc`, or `tensor<Dk x acc>` for one per key feature | no decay |
    | `sign` | as `log_decay`, 1 or -1 | 1 |
    | `query_scale` | `acc` | 1 |
    | `key_scale` | `acc` | 1 |
    | `erase` | `tensor<Dk x acc>` | no rank-one term |
    | `erase_scale` | `acc`, only with `erase` | 1 |
    | `skip` | `tensor<Dv x acc>` | 0 |
    """

    query: Operand[ir.RankedTensorType]
    key: Operand[ir.RankedTensorType]
    value: Operand[ir.RankedTensorType]
    log_decay: Optional[Operand[Any]]
    sign: Optional[Operand[Any]]
    query_scale: Optional[Operand[Any]]
    key_scale: Optional[Operand[Any]]
    erase: Optional[Operand[ir.RankedTensorType]]
    erase_scale: Optional[Operand[Any]]
    skip: Optional[Operand[ir.RankedTensorType]]

    @verifier
    def verify_invariants(self) -> None:
        """The parent op and which operands there are."""
        parent = self.operation.parent
        if parent is None or regions.name_of(parent) != ChunkedRecurrenceOp.OPERATION_NAME:
            raise Invalid(self, f"expects parent op '{ChunkedRecurrenceOp.OPERATION_NAME}'")
        parts_of(self.operation)


def terminator_of(op) -> ir.Operation:
    """The `attn.position_yield` of a chunked form."""
    block = op.operation.regions[0].blocks[0]
    return block.operations[len(block.operations) - 1].operation


def parts_of(terminator) -> dict[str, ir.Value]:
    """The operands of an `attn.position_yield` by name."""
    attributes, operands = terminator.operation.attributes, list(terminator.operation.operands)
    name = "operandSegmentSizes"
    if name not in attributes:
        raise Invalid(terminator, f"expects attribute '{name}', which operands there are, got none")
    sizes = list(attributes[name])
    if len(sizes) != len(PARTS) or any(size not in (0, 1) for size in sizes):
        raise Invalid(terminator, f"expects {name} to be {len(PARTS)} numbers 0 or 1, got {sizes}")
    present = [part for part, size in zip(PARTS, sizes, strict=True) if size]
    for part in PARTS[:REQUIRED_PARTS]:
        if part not in present:
            raise Invalid(terminator, f"expects {part}, got none")
    if len(present) != len(operands):
        raise Invalid(terminator, f"expects {len(present)} operands by {name}, got {len(operands)}")
    return dict(zip(present, operands, strict=True))


def segment_sizes(parts: Sequence[str]) -> list[int]:
    """The `operandSegmentSizes` of a terminator that hands over these of `PARTS`."""
    return [int(name in parts) for name in PARTS]


def _check_types(op, terminator: ir.Operation, parts: dict[str, ir.Value]) -> None:
    _, row, column = vector_types(op)
    acc = accumulator(op)
    expected: dict[str, tuple[ir.Type, ...]] = {
        **dict.fromkeys(("query", "key", "erase"), (row,)),
        **dict.fromkeys(("value", "skip"), (column,)),
        **dict.fromkeys(("query_scale", "key_scale", "erase_scale"), (acc,)),
        "log_decay": (acc, row),
    }
    for other, needed in (("sign", "log_decay"), ("erase_scale", "erase")):
        if other in parts and needed not in parts:
            raise Invalid(terminator, f"expects {other} only with {needed}")
    if "sign" in parts:
        expected["sign"] = (parts["log_decay"].type,)
    for name, value in parts.items():
        if value.type not in expected[name]:
            wanted = " or ".join(map(str, expected[name]))
            raise Invalid(terminator, f"expects {name} to be {wanted}, got {value.type}")


def _check_choice(op, name: str, choices: Sequence[str]) -> None:
    attributes = op.operation.attributes
    wanted = " or ".join(f'"{choice}"' for choice in choices)
    if name not in attributes:
        raise Invalid(op, f"expects attribute '{name}' to be {wanted}, got none")
    got = attributes[name]
    if not isinstance(got, ir.StringAttr) or got.value not in choices:
        raise Invalid(op, f"expects attribute '{name}' to be {wanted}, got {got}")


def _check_proof(op) -> None:
    attributes = op.operation.attributes
    if "attn.proof" not in attributes:
        return
    proof = attributes["attn.proof"]
    if not isinstance(proof, ir.ArrayAttr) or not all(isinstance(line, ir.StringAttr) for line in proof):
        raise Invalid(op, "expects attribute 'attn.proof' to be an array of strings")
