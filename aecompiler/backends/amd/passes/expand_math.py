"""The pass `amd-expand-math`: math functions as instructions of the chip or functions of AMD's library."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from aecompiler.bindings import arith, ir, llvm, math, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass

_LIBRARY = {
    "arith.remf": "fmod",
    "math.acos": "acos",
    "math.acosh": "acosh",
    "math.asin": "asin",
    "math.asinh": "asinh",
    "math.atan": "atan",
    "math.atan2": "atan2",
    "math.atanh": "atanh",
    "math.cbrt": "cbrt",
    "math.cos": "cos",
    "math.cosh": "cosh",
    "math.erf": "erf",
    "math.erfc": "erfc",
    "math.expm1": "expm1",
    "math.fpowi": "pown",
    "math.log1p": "log1p",
    "math.powf": "pow",
    "math.rsqrt": "rsqrt",
    "math.sin": "sin",
    "math.sinh": "sinh",
    "math.tan": "tan",
    "math.tanh": "tanh",
}
"""Operations that are functions of ocml, by the function's name between `__ocml_` and `_f32`."""

_INTRINSICS = {
    ("math.ceil", "f16"): "llvm.ceil.f16",
    ("math.ceil", "f32"): "llvm.ceil.f32",
    ("math.ceil", "f64"): "llvm.ceil.f64",
    ("math.exp", "f32"): "llvm.exp.f32",
    ("math.exp2", "f32"): "llvm.amdgcn.exp2.f32",
    ("math.floor", "f16"): "llvm.floor.f16",
    ("math.floor", "f32"): "llvm.floor.f32",
    ("math.floor", "f64"): "llvm.floor.f64",
    ("math.log", "f32"): "llvm.log.f32",
    ("math.log2", "f32"): "llvm.log2.f32",
    ("math.log10", "f32"): "llvm.log10.f32",
}
"""Operations that LLVM makes of instructions, and that MLIR would call the library for."""

_DOUBLE = {f"math.{name}": name for name in ("exp", "exp2", "log", "log2", "log10")}
"""Operations that are functions of ocml in f64 alone."""

_CLASSES = {"math.isinf": 0x204, "math.isnormal": 0x108}
"""Questions that MLIR has no lowering for: infinite, and normal numbers of both signs."""

_WIDENED = {"f16": {*_LIBRARY, *_DOUBLE}, "bf16": {*_LIBRARY, *_DOUBLE}}
_WIDENED["bf16"] |= {"math.ceil", "math.floor", "math.fma", "math.sqrt"}
"""Operations that are computed in f32 for narrow types."""


@register_pass
class ExpandMath(Pass):
    """Turn math functions into instructions of AMD's chips or calls of its math library, element by element.

    *Before*: arith and math operations on scalars and vectors of one dimension. *After*: none whose lowering
    by MLIR or LLVM is missing or wrong.

    - `math.exp2` in f32 is `v_exp_f32`: within 1 ulp, but results below 2^-126 become 0, and so do arguments
      as small, whose power is 1 then. LLVM's own form scales to avoid that, at five times the instructions.
    - `math.exp`, `math.log`, `math.log2`, `math.log10` and `math.sqrt` in f32 stay: LLVM makes them from
      `v_exp_f32`, `v_log_f32` and `v_sqrt_f32`, with denormal numbers, within 1 ulp; `fastmath<afn>` on one
      asks for the bare instruction. In f64 they are functions of ocml, except for the root.
    - what has no instruction (`tanh`, `sin`, `erf`, `log1p`, `powf`, `rsqrt` ...), and `arith.remf`, is a
      function of ocml, which is linked with the code, in the operation's type.
    - `math.isinf` and `math.isnormal` ask for the class of a number (`llvm.is.fpclass`).
    - in f16 and bf16 all of these functions are computed in f32 and rounded. `arith.convertf` between the two
      goes over f32, and `arith.truncf` from f64 to bf16 rounds to odd in between, so that it rounds once.

    ```mlir
    %0 = math.exp2 %x : f32
    %1 = math.tanh %x : f32
    ```
    becomes
    ```mlir
    %0 = llvm.call_intrinsic "llvm.amdgcn.exp2.f32"(%x) : (f32) -> f32
    %1 = llvm.call @__ocml_tanh_f32(%x) : (f32) -> f32
    ```
    """

    NAME = "amd-expand-math"
    ANCHOR = "gpu.module"

    def run(self, op: ir.Operation) -> None:
        """Rewrite operations in `op`."""
        library = _Library(op)
        for child in rw.walk_list(op):
            expand = _expansion(child, library)
            if expand is None:
                continue
            with ir.InsertionPoint(child), child.location:
                news = _by_element(child, expand)
            for old, new in zip(child.results, news, strict=True):
                old.replace_all_uses_with(new)
            child.erase()


Expansion = Callable[[Sequence[ir.Value]], Sequence[ir.Value]]
"""Makes the results of an operation for scalars."""


@dataclasses.dataclass(frozen=True)
class _Library:
    """The functions of ocml that a module declares."""

    module: ir.Operation

    def call(self, function: str, operands: Sequence[ir.Value]) -> ir.Value:
        """A call of `__ocml_FUNCTION_TYPE`, which is declared before it is first called."""
        type_ = operands[0].type
        name = f"__ocml_{function}_{type_}"
        (block,) = self.module.regions[0].blocks
        if not any("sym_name" in op.attributes and rw.symbol_name(op) == name for op in block.operations):
            parameters = ", ".join(str(operand.type) for operand in operands)
            function_type = ir.TypeAttr.get(ir.Type.parse(f"!llvm.func<{type_} ({parameters})>"))
            with ir.InsertionPoint.at_block_begin(block):
                llvm.LLVMFuncOp(name, function_type)
        return llvm.call(type_, operands, [], [], callee=ir.FlatSymbolRefAttr.get(name))


def _element(type_: ir.Type) -> ir.Type:
    return type_.element_type if isinstance(type_, ir.VectorType) else type_


def _is_narrow(type_: ir.Type) -> bool:
    return isinstance(type_, (ir.F16Type, ir.BF16Type))


def _expansion(op: ir.Operation, library: _Library) -> Expansion | None:
    """How to compute the results of `op`; None for an operation that stays."""
    if op.name in ("arith.truncf", "arith.convertf"):
        return _conversion(op)
    type_ = _element(op.operands[0].type) if len(op.operands) else None
    if not (op.name.startswith("math.") or op.name in _LIBRARY) or isinstance(
        type_, (ir.IntegerType, ir.IndexType)
    ):
        return None
    if str(type_) not in ("f16", "bf16", "f32", "f64"):
        raise PassFailure(op, f"unsupported: {type_}; math functions are of f16, bf16, f32 and f64")
    if op.name in _CLASSES:
        return _class_of(f"llvm.is.fpclass.{type_}", _CLASSES[op.name])
    if op.name == "math.sincos":
        parts = [_function(f"math.{name}", type_, op, library) for name in ("sin", "cos")]
        return lambda operands: [value for part in parts if part for value in part(operands)]
    return _function(op.name, type_, op, library)


def _function(name: str, type_: ir.Type, op: ir.Operation, library: _Library) -> Expansion | None:
    """How `name` is computed in a type, with the flags of `op`."""
    if name in _WIDENED.get(str(type_), ()):
        return _in_f32(type_, _function(name, ir.F32Type.get(), op, library) or _same(name, op))
    if intrinsic := _INTRINSICS.get((name, str(type_))):
        return _intrinsic(type_, intrinsic, op)
    if name in _LIBRARY:
        return lambda operands: [library.call(_LIBRARY[name], operands)]
    if name in _DOUBLE and isinstance(type_, ir.F64Type):
        return lambda operands: [library.call(_DOUBLE[name], operands)]
    return None


def _class_of(name: str, classes: int) -> Expansion:
    """Whether a number is of one of the classes, in bits as LLVM numbers them."""

    def build(operands: Sequence[ir.Value]) -> list[ir.Value]:
        i1, i32 = ir.IntegerType.get_signless(1), ir.IntegerType.get_signless(32)
        mask = llvm.mlir_constant(ir.IntegerAttr.get(i32, classes))
        return [llvm.call_intrinsic(i1, ir.StringAttr.get(name), [*operands, mask], [], [])]

    return build


def _in_f32(type_: ir.Type, expand: Expansion) -> Expansion:
    f32 = ir.F32Type.get()

    def build(operands: Sequence[ir.Value]) -> list[ir.Value]:
        wider = [arith.extf(f32, v) if isinstance(v.type, ir.FloatType) else v for v in operands]
        return [arith.truncf(type_, value) for value in expand(wider)]

    return build


def _intrinsic(type_: ir.Type, name: str, op: ir.Operation) -> Expansion:
    flags = None
    if "fastmath" in op.attributes:
        flags = ir.Attribute.parse(str(op.attributes["fastmath"]).replace("#arith.", "#llvm."))

    def build(operands: Sequence[ir.Value]) -> list[ir.Value]:
        attribute = ir.StringAttr.get(name)
        return [llvm.call_intrinsic(type_, attribute, operands, [], [], fastmath_flags=flags)]

    return build


def _same(name: str, op: ir.Operation) -> Expansion:
    """The same operation on other operands, with its flags."""
    flags = {key: op.attributes[key] for key in ("fastmath",) if key in op.attributes}

    def build(operands: Sequence[ir.Value]) -> list[ir.Value]:
        type_ = operands[0].type
        return list(
            ir.Operation.create(name, results=[type_], operands=list(operands), attributes=flags).results
        )

    return build


def _conversion(op: ir.Operation) -> Expansion | None:
    source, target = _element(op.operands[0].type), _element(op.results[0].type)
    f32 = ir.F32Type.get()
    if op.name == "arith.convertf" and _is_narrow(source) and _is_narrow(target):
        return lambda operands: [arith.truncf(target, arith.extf(f32, operands[0]))]
    if isinstance(source, ir.F64Type) and isinstance(target, ir.BF16Type):
        return lambda operands: [arith.truncf(target, _rounded_to_odd(operands[0]))]
    return None


def _rounded_to_odd(value: ir.Value) -> ir.Value:
    """An f64 as f32: towards zero, with the last bit set where that is not exact."""
    f32, i32 = ir.F32Type.get(), ir.IntegerType.get_signless(32)
    nearest = arith.truncf(f32, value)
    back = arith.extf(value.type, nearest)
    bits = arith.bitcast(i32, nearest)
    larger = arith.cmpf(arith.CmpFPredicate.OGT, math.absf(back), math.absf(value))
    towards_zero = arith.subi(bits, arith.extui(i32, larger))
    odd = arith.bitcast(f32, arith.ori(towards_zero, rw.constant(i32, 1)))
    inexact = arith.cmpf(arith.CmpFPredicate.ONE, back, value)
    return arith.select(inexact, odd, nearest)


def _by_element(op: ir.Operation, expand: Expansion) -> list[ir.Value]:
    """The results of `op` by `expand`, which takes scalars."""
    type_ = op.results[0].type
    if not isinstance(type_, ir.VectorType):
        return list(expand(list(op.operands)))
    if type_.rank != 1:
        raise PassFailure(op, "expects scalars and vectors of one dimension")
    rows = [
        expand([vector.extract(operand, [], [at]) for operand in op.operands]) for at in range(type_.shape[0])
    ]
    return [
        vector.from_elements(result.type, list(elements))
        for result, elements in zip(op.results, zip(*rows, strict=True), strict=True)
    ]
