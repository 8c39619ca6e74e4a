"""Streaming forms written by hand, for tests of what works on them."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

SOFTMAX = """
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
  %log = math.log %l : f32
  %lse = arith.addf %m, %log : f32
"""
"""The regions init, update, merge and finalize of the online softmax, without the last terminator."""


def stream_softmax(module: ir.Module) -> None:
    """Replace each `attn.attention` in `module`, a softmax with or without lse, by its streaming form."""
    for op in rw.walk_list(module.operation, "attn.attention"):
        with ir.InsertionPoint(op), op.location:
            form = _softmax(op)
        for old, new in zip(op.results, form.results, strict=True):
            old.replace_all_uses_with(new)
        op.erase()


def _softmax(op: ir.Operation) -> ir.Operation:
    acc = str(op.regions[0].blocks[0].arguments[0].type)
    constants = {
        "inf": rw.constant(op.regions[0].blocks[0].arguments[0].type, float("-inf")),
        "zero": rw.constant(op.regions[0].blocks[0].arguments[0].type, 0.0),
    }
    handed_over = ["%c", "%lse"][: len(op.results)]
    kinds = ", ".join([acc] * len(handed_over))
    types = ", ".join(str(each.type) for each in op.operands)
    results = ", ".join(str(each.type) for each in op.results)
    names = ", ".join(f"%r{n}" for n in range(len(op.results)))
    indices = "%b: index, %h: index, %i: index"
    operands = ", ".join(f"%{n}: {each.type}" for n, each in zip("qkv", op.operands, strict=True))
    text = f"""
    func.func @form({operands}, %inf: {acc}, %zero: {acc}) {{
      {names} = "attn.online_attention"(%q, %k, %v) ({{
      ^score(%s: {acc}, {indices}, %j: index):
        "attn.yield"(%s) : ({acc}) -> ()
      }}, {{
      ^mask({indices}, %j: index):
        %keep = arith.constant true
        "attn.yield"(%keep) : (i1) -> ()
      }}, {{
      {SOFTMAX.replace("f32", acc)}
        "attn.yield"({", ".join(handed_over)}) : ({kinds}) -> ()
      }}) {{accumulators = 1 : i64}} : ({types}) -> ({results})
      return
    }}"""
    source = ir.Module.parse(text)
    (function,) = source.body.operations
    template = function.body.blocks[0].operations[0].operation
    values = dict(
        zip(
            function.body.blocks[0].arguments,
            [*op.operands, constants["inf"], constants["zero"]],
            strict=True,
        )
    )
    form = ir.Operation.create(
        template.name,
        [each.type for each in op.results],
        list(op.operands),
        {named: template.attributes[named] for named in ("accumulators",)},
        regions=len(template.regions),
    )
    for region, blocks in zip(
        form.regions,
        [*(r.blocks for r in op.regions[:2]), *(r.blocks for r in list(template.regions)[2:])],
        strict=True,
    ):
        blocks[0].append_to(region)
    for nested in rw.walk_list(form):
        for n, operand in enumerate(nested.operands):
            if operand in values:
                nested.operands[n] = values[operand]
    return form
