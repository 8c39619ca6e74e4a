"""Attention programs as text, for tests that must not depend on the builder; and their evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SOFTMAX = """
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64
    %d = arith.subf %s, %m : f64
    %e = math.exp %d : f64
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f64) -> f64
    %p = arith.divf %e, %l : f64
    %log = math.log %l : f64
    %lse = arith.addf %m, %log : f64
    yield %p, %lse
"""

WEIGHTS = SOFTMAX.replace("yield %p, %lse", "yield %p")

CAUSAL = """
    %keep = arith.cmpi sge, %i, %j : index
    yield %keep
"""

ALL = """
    %keep = arith.constant true
    yield %keep
"""


def yields(body: str, terminator: str, types: Sequence[str]) -> str:
    """`yield %a, %b` spelled as the terminator of the dialect."""
    before, _, values = body.rpartition("yield ")
    count = len(values.split(","))
    kinds = ", ".join((list(types) * count)[:count])
    return f'{before}"{terminator}"({values.strip()}) : ({kinds}) -> ()'


def attention(
    score: str = "yield %s",
    mask: str = ALL,
    normalize: str = SOFTMAX,
    captures: str = "",
    *,
    before: str = "",
    parameters: str = "qkv",
    q: str = "?x?x?x?",
    k: str = "?x?x?x?",
    v: str = "?x?x?x?",
    element: str = "f64",
) -> str:
    """A function of q, k, v and `captures` ("%bias: tensor<?xf64>, ...") with one `attn.attention`.

    `q`, `k`, `v` are shapes; `before` stands in front of the op and defines those that are no `parameters`.
    The number of results follows from what `normalize` yields.
    """
    acc = "f64" if element == "f64" else "f32"
    normalize = normalize.replace("f64", acc)
    extras = normalize.rpartition("yield ")[2].count(",")
    sizes = q.split("x")
    o = "x".join([*sizes[:3], v.split("x")[3]])
    results = [f"tensor<{o}x{element}>", *[f"tensor<{'x'.join(sizes[:3])}x{acc}>"] * extras]
    types = f"tensor<{q}x{element}>, tensor<{k}x{element}>, tensor<{v}x{element}>"
    named = zip("qkv", types.split(", "), strict=True)
    arguments = ", ".join(f"%{name}: {type_}" for name, type_ in named if name in parameters)
    arguments += f", {captures}" if captures else ""
    names = [f"%r{n}" for n in range(1 + extras)]
    indices = "%b: index, %h: index, %i: index, %j: index"
    return f"""
func.func @program({arguments}) -> ({", ".join(results)}) {{
  {before}
  {", ".join(names)} = "attn.attention"(%q, %k, %v) ({{
  ^score(%s: {acc}, {indices}):
    {yields(score, "attn.yield", [acc])}
  }}, {{
  ^mask({indices}):
    {yields(mask, "attn.yield", ["i1"])}
  }}, {{
  ^normalize(%s: {acc}, {indices}):
    {yields(normalize, "attn.yield", [acc])}
  }}) : ({types}) -> ({", ".join(results)})
  return {", ".join(names)} : {", ".join(results)}
}}"""


def recurrence(
    step: str,
    captures: str = "",
    *,
    dk: int,
    dv: int,
    heads: tuple[str, str, str, str] = ("?", "?", "?", "?"),
    element: str = "f64",
    varlen: bool = False,
) -> str:
    """A function of q, k, v, initial, `captures` and, if `varlen`, offsets, with one `attn.recurrence`.

    `heads` are the head counts of q, k, v and initial. In `step`, `$S`, `$K`, `$V` stand for the types of the
    state, of a key and of a value.
    """
    acc = "f64" if element == "f64" else "f32"
    state, key, value = (f"tensor<{shape}x{acc}>" for shape in (f"{dk}x{dv}", f"{dk}", f"{dv}"))
    batch = "1" if varlen else "?"
    tensors = [
        f"tensor<{batch}x{count}x?x{size}x{element}>"
        for count, size in zip(heads, (dk, dk, dv), strict=False)
    ]
    tensors.append(f"tensor<?x{heads[3]}x{dk}x{dv}x{acc}>")
    names = ["%q", "%k", "%v", "%initial"]
    if varlen:
        names.append("%offsets")
        tensors.append("tensor<?xi32>")
    most = heads[3]
    results = f"tensor<{batch}x{most}x?x{dv}x{element}>, {tensors[3]}"
    arguments = ", ".join(f"{n}: {t}" for n, t in zip(names, tensors, strict=True))
    arguments += f", {captures}" if captures else ""
    body = yields(step, "attn.step_yield", [state, value])
    for letter, type_ in {"$S": state, "$K": key, "$V": value}.items():
        body = body.replace(letter, type_)
    return f"""
func.func @program({arguments}) -> ({results}) {{
  %o, %final = "attn.recurrence"({", ".join(names)}) ({{
  ^step(%S: {state}, %qt: {key}, %kt: {key}, %vt: {value}, %b: index, %h: index, %t: index):
    {body}
  }}) : ({", ".join(tensors)}) -> ({results})
  return %o, %final : {results}
}}"""


def run(text: str, *arguments: Any) -> Any:
    """Parse, verify and evaluate the one function in `text`."""
    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context
    from aecompiler.reference import evaluate

    with make_context():
        module = ir.Module.parse(text)
        return evaluate(module.body.operations[0], arguments)
