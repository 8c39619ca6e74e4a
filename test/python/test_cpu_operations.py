"""Every scalar operation that a region may hold, on the CPU and in the float64 reference, at corner cases.

One program per operand type has one extra per operation: extra n is operation n at the captured values x[i]
and y[i], and so at each pair of corner cases.
"""

import itertools

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.reference import supported_operations

INTEGER_BINARY = (
    *("addi", "subi", "muli", "divsi", "divui", "floordivsi", "ceildivsi", "ceildivui", "remsi", "remui"),
    *("maxsi", "minsi", "maxui", "minui", "andi", "ori", "xori", "shli", "shrsi", "shrui"),
)
INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")

FLOAT_BINARY = (
    *(
        "arith.addf",
        "arith.subf",
        "arith.mulf",
        "arith.divf",
        "arith.remf",
        "arith.maximumf",
        "arith.minimumf",
    ),
    *("arith.maxnumf", "arith.minnumf", "math.copysign"),
)
FLOAT_UNARY = (
    *("absf", "atan", "asinh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "floor"),
    *(
        "log",
        "log10",
        "log1p",
        "log2",
        "round",
        "roundeven",
        "rsqrt",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "trunc",
    ),
    *("acos", "acosh", "asin", "atanh"),
)
FLOAT_TESTS = ("isfinite", "isinf", "isnan")
_RELATIONS = ("eq", "gt", "ge", "lt", "le", "ne")
FLOAT_PREDICATES = (
    "false",
    *(f"o{r}" for r in _RELATIONS),
    "ord",
    *(f"u{r}" for r in _RELATIONS),
    "uno",
    "true",
)


def program(types: dict[str, str], extras: list[tuple[list[str], str]], acc: str) -> str:
    """A program of captures `types`, whose extras are the values (lines, name) of type `acc`."""
    captures = ", ".join(f"%{name}: tensor<?x{type_}>" for name, type_ in types.items())
    reads = "\n    ".join(
        f"%{name}_i = tensor.extract %{name}[%i] : tensor<?x{type_}>" for name, type_ in types.items()
    )
    lines = "\n    ".join(line for part, _ in extras for line in part)
    names = ["%o", *(f"%e{n}" for n in range(len(extras)))]
    results = [f"tensor<1x1x?x1x{acc}>", *[f"tensor<1x1x?x{acc}>"] * len(extras)]
    operands = ", ".join(["%s", *(name for _, name in extras)])
    q, k = f"tensor<1x1x?x1x{acc}>", f"tensor<1x1x1x1x{acc}>"
    return f"""
func.func @program(%q: {q}, %k: {k}, {captures}) -> ({", ".join(results)}) {{
  {", ".join(names)} = "attn.attention"(%q, %k, %k) ({{
  ^score(%s: {acc}, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : ({acc}) -> ()
  }}, {{
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.constant true
    "attn.yield"(%keep) : (i1) -> ()
  }}, {{
  ^normalize(%s: {acc}, %b: index, %h: index, %i: index, %j: index):
    {reads}
    {lines}
    "attn.yield"({operands}) : ({", ".join([acc] * (1 + len(extras)))}) -> ()
  }}) : ({q}, {k}, {k}) -> ({", ".join(results)})
  return {", ".join(names)} : {", ".join(results)}
}}"""


def compare(text: str, names: list[str], arrays: list[np.ndarray], acc: str, tolerance: float) -> None:
    """Run and compare each extra; `names` say what failed."""
    count = len(arrays[0])
    dtype = np.dtype("f8" if acc == "f64" else "f4")
    kernel = aec.compile(text, opt_level=0)
    inputs = [np.ones((1, 1, count, 1), dtype), np.ones((1, 1, 1, 1), dtype), *arrays]
    for name, got, want in zip(
        names, kernel(*inputs)[1:], kernel.evaluate_reference(*inputs)[1:], strict=True
    ):
        got, want = got.ravel().astype(np.float64), want.ravel()
        with np.errstate(over="ignore"):
            held = want.astype(dtype).astype(np.float64)  # what overflows in f32 is infinite there
        wrong = ~np.isclose(got, held, rtol=tolerance, atol=tolerance, equal_nan=True)
        if wrong.any():
            n = np.flatnonzero(wrong)[0]
            operands = ", ".join(str(x[n]) for x in arrays)
            pytest.fail(f"{name} at ({operands}): {got[n]!r}, expected {held[n]!r}")


def integer_corners(width: int) -> tuple[np.ndarray, np.ndarray]:
    low = -(2 ** (width - 1))
    values = [0, 1, -1, 2, -3, 7, 5, width - 1, width, low, low + 1, -low - 1]
    pairs = np.array(list(itertools.product(values, values)), np.int64)
    return pairs[:, 0].astype(f"i{width // 8}"), pairs[:, 1].astype(f"i{width // 8}")


@pytest.mark.parametrize("type_", ["i8", "i16", "i32", "i64", "index"])
def test_integer_operations(type_):
    width = 64 if type_ == "index" else int(type_[1:])
    names, extras = [], []

    def add(name: str, lines: list[str], result: str, result_type: str) -> None:
        held = f"%f{len(extras)}"
        if result_type == "index":
            lines = [*lines, f"{held}_w = arith.index_cast {result} : index to i64"]
            result, result_type = f"{held}_w", "i64"
        cast = "uitofp" if result_type == "i1" else "sitofp"
        names.append(f"{name} on {type_}")
        extras.append(([*lines, f"{held} = arith.{cast} {result} : {result_type} to f64"], held))

    for op in INTEGER_BINARY:
        r = f"%r{len(extras)}"
        lines = [f"{r} = arith.{op} %x_i, %y_i : {type_}"]
        add(op, lines, r, type_)
    for predicate in INTEGER_PREDICATES:
        r = f"%r{len(extras)}"
        add(predicate, [f"{r} = arith.cmpi {predicate}, %x_i, %y_i : {type_}"], r, "i1")
    for op in ("absi", "ctpop", "ctlz", "cttz"):
        r = f"%r{len(extras)}"
        if type_ != "index" or op == "absi":
            add(op, [f"{r} = math.{op} %x_i : {type_}"], r, type_)
    if type_ != "index":
        r = f"%r{len(extras)}"
        add("ipowi", [f"{r} = math.ipowi %x_i, %y_i : {type_}"], r, type_)
        for op, target in (("extsi", "i64"), ("extui", "i64"), ("trunci", "i8"), ("trunci", "i1")):
            if (target == "i64") != (width == 64) and not (target == "i8" and width == 8):
                r = f"%r{len(extras)}"
                add(f"{op} to {target}", [f"{r} = arith.{op} %x_i : {type_} to {target}"], r, target)
        for op in ("index_cast", "index_castui"):
            r = f"%r{len(extras)}"
            add(op, [f"{r} = arith.{op} %x_i : {type_} to index"], r, "index")
        held = f"%f{len(extras)}"
        names.append(f"uitofp of {type_}")
        extras.append(([f"{held} = arith.uitofp %x_i : {type_} to f64"], held))
    text = program({"x": type_, "y": type_}, extras, "f64")
    compare(text, names, list(integer_corners(width)), "f64", 1e-15)


FLOAT_CORNERS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    0.3,
    -0.7,
    3.3,
    -4.2,
    np.inf,
    -np.inf,
    np.nan,
)


@pytest.mark.parametrize("type_", ["f32", "f64"])
def test_float_operations(type_):
    names, extras = [], []

    def add(name: str, lines: list[str], result: str, is_boolean: bool = False) -> None:
        if is_boolean:
            held = f"%f{len(extras)}"
            lines, result = [*lines, f"{held} = arith.uitofp {result} : i1 to {type_}"], held
        names.append(f"{name} on {type_}")
        extras.append((lines, result))

    def fresh() -> str:
        return f"%r{len(extras)}"

    for op in FLOAT_BINARY:
        add(op, [f"{fresh()} = {op} %x_i, %y_i : {type_}"], fresh())
    for op in FLOAT_UNARY:
        add(op, [f"{fresh()} = math.{op} %x_i : {type_}"], fresh())
    for op in FLOAT_TESTS:
        add(op, [f"{fresh()} = math.{op} %x_i : {type_}"], fresh(), is_boolean=True)
    for predicate in FLOAT_PREDICATES:
        add(
            predicate, [f"{fresh()} = arith.cmpf {predicate}, %x_i, %y_i : {type_}"], fresh(), is_boolean=True
        )
    add("negf", [f"{fresh()} = arith.negf %x_i : {type_}"], fresh())
    add("powf", [f"{fresh()} = math.powf %x_i, %y_i : {type_}"], fresh())
    add("atan2", [f"{fresh()} = math.atan2 %x_i, %y_i : {type_}"], fresh())
    add("fma", [f"{fresh()} = math.fma %x_i, %y_i, %y_i : {type_}"], fresh())
    r = fresh()
    clamp = [
        f"{r}_lo = arith.constant -1.0 : {type_}",
        f"{r}_hi = arith.constant 2.0 : {type_}",
        f"{r} = math.clampf %x_i to [{r}_lo, {r}_hi] : {type_}",
    ]
    add("clampf", clamp, r)
    for target in ("i8", "i32", "i64"):
        for op, back in (("fptosi", "sitofp"), ("fptoui", "uitofp")):
            r = fresh()
            lines = [
                f"{r}_n = arith.{op} %x_i : {type_} to {target}",
                f"{r} = arith.{back} {r}_n : {target} to {type_}",
            ]
            add(f"{op} to {target}", lines, r)
    r = fresh()
    add("fpowi", [f"{r}_n = arith.constant -3 : i32", f"{r} = math.fpowi %x_i, {r}_n : {type_}, i32"], r)

    pairs = np.array(list(itertools.product(FLOAT_CORNERS, FLOAT_CORNERS)), "f8" if type_ == "f64" else "f4")
    text = program({"x": type_, "y": type_}, extras, type_)
    compare(text, names, [pairs[:, 0], pairs[:, 1]], type_, 1e-14 if type_ == "f64" else 2e-6)
    used = {line.split(" = ")[1].split()[0] for part, _ in extras for line in part}
    floats = {name for name in supported_operations() if name.startswith("math.")}
    integers = {f"math.{op}" for op in ("absi", "ctpop", "ctlz", "cttz", "ipowi")}
    assert floats - used - integers <= {"math.isnormal", "math.sincos"}


@pytest.mark.parametrize(("element", "dtype"), [("f32", np.float32), ("f64", np.float64)])
@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_accuracy_near_zero(name, element, dtype):
    """Every digit was lost below the precision of 1."""
    tiny = 10.0 ** np.arange(-30, 0, 0.37)
    x = np.concatenate([tiny, -tiny, np.linspace(-0.999, 5, 501), [0.0, -0.0, -1.0, 88.0, 1e30, -30.0]])
    x = np.concatenate([x, [np.inf, -np.inf, np.nan]]).astype(dtype)
    kernel = aec.compile(
        f"""func.func @f(%x: tensor<?x{element}>) -> tensor<?x{element}> {{
  %r = math.{name} %x : tensor<?x{element}>
  return %r : tensor<?x{element}>
}}"""
    )
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_allclose(kernel(x), expected, rtol=2 * np.finfo(dtype).eps, atol=0)
