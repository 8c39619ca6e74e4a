"""The pass `amd-expand-divisions`: quotients of integers that all lanes share, by reciprocals in f64."""

from __future__ import annotations

from aecompiler.bindings import arith, ir, load
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_DIVISIONS = ("arith.divui", "arith.remui")
_SHARED = ("gpu.block_id", "gpu.grid_dim", "rocdl.readfirstlane")
_RECIPROCAL = "llvm.amdgcn.rcp.f64"
_HIDDEN = "llvm.amdgcn.implicitarg.ptr"


@register_pass
class ExpandDivisions(Pass):
    """Divide integers that all lanes share by a product with a reciprocal in f64.

    *Before*: kernels that say what one lane does. *After*: quotients and remainders of unsigned scalars of
    i32, which follow from parameters, numbers of workgroups and turns of loops, but not from the lane, are
    products in f64; one quotient is for both. Constants divide as before.

    No chip divides integers, and LLVM's own sequence, of a reciprocal in f32 that is corrected twice, has
    twenty instructions; this has ten. It is exact: `v_rcp_f64` is off by 2^-23 at most ("AMD Instinct
    MI300 ISA": 2^29 units of the last place), a step of Newton's leaves less than 2^-45, and a half more in
    the dividend n keeps (n + 1/2) / d at least 1 / 2d from all integers, of which n 2^-45 / d is less.

    ```mlir
    %q = arith.divui %n, %d : i32
    ```
    becomes
    ```mlir
    %x = ... rcp.f64(%d), once improved
    %p = arith.mulf %n_and_a_half, %x : f64
    %u = arith.fptoui %p : f64 to i32
    %q = rocdl.readfirstlane %u : i32
    ```
    """

    NAME = "amd-expand-divisions"
    ANCHOR = "gpu.module"

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        quotients: dict[tuple[ir.Value, ir.Value, ir.Block], ir.Value] = {}
        shared: dict[ir.Value, bool] = {}
        for division in rw.walk_list(op, "arith."):
            if division.name in _DIVISIONS and _is_expanded(division, shared):
                _expand(division, quotients)


def _is_expanded(op: ir.Operation, shared: dict[ir.Value, bool]) -> bool:
    """Whether a division is of scalars of 32 bits that all lanes share, by one that is not known."""
    dividend, divisor = op.operands
    if op.results[0].type != ir.IntegerType.get_signless(32) or rw.constant_value(divisor) is not None:
        return False
    return _is_shared(dividend, shared) and _is_shared(divisor, shared)


def _is_shared(value: ir.Value, known: dict[ir.Value, bool]) -> bool:
    if value not in known:
        known[value] = _find_shared(value, known)
    return known[value]


def _find_shared(value: ir.Value, known: dict[ir.Value, bool]) -> bool:
    """Whether all lanes surely have the same number."""
    op = rw.definer(value)
    if op is None:
        parent = value.owner.owner.operation
        if parent.name == "gpu.func":
            return True
        is_turn = parent.name == "scf.for" and ir.BlockArgument(value).arg_number == 0
        return is_turn and all(_is_shared(each, known) for each in list(parent.operands)[:3])
    if op.name in _SHARED:
        return True
    if op.name == "llvm.load":  # the number of workgroups
        source = rw.definer(op.operands[0])
        return (
            source is not None
            and "intrin" in source.attributes
            and source.attributes["intrin"].value == _HIDDEN
        )
    return op.name.startswith("arith.") and all(_is_shared(each, known) for each in op.operands)


def _expand(op: ir.Operation, quotients: dict[tuple[ir.Value, ir.Value, ir.Block], ir.Value]) -> None:
    dividend, divisor = op.operands
    key = (dividend, divisor, op.block)
    with ir.InsertionPoint(op), op.location:
        if key not in quotients:
            quotients[key] = _quotient(dividend, divisor)
        result = quotients[key]
        if op.name == "arith.remui":
            result = arith.subi(dividend, arith.muli(result, divisor))
    op.results[0].replace_all_uses_with(result)
    op.erase()


def _quotient(dividend: ir.Value, divisor: ir.Value) -> ir.Value:
    llvm, math, rocdl = (load(f"dialects.{name}") for name in ("llvm", "math", "rocdl"))
    f64 = ir.F64Type.get()
    one, half = (arith.constant(f64, number) for number in (1.0, 0.5))
    d = arith.uitofp(f64, divisor)
    guess = llvm.call_intrinsic(f64, ir.StringAttr.get(_RECIPROCAL), [d], [], [])
    off = math.fma(arith.negf(d), guess, one)
    reciprocal = math.fma(guess, off, guess)
    product = arith.mulf(arith.addf(arith.uitofp(f64, dividend), half), reciprocal)
    return rocdl.readfirstlane(dividend.type, arith.fptoui(dividend.type, product))
