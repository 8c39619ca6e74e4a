"""Calls between the functions of a program."""

from __future__ import annotations

from collections.abc import Mapping

from aecompiler.bindings import ir
from aecompiler.passes.rewriting import inline_block, symbol_name, walk_list


def inline_calls(function: ir.Operation, callees: Mapping[str, ir.Operation]) -> None:
    """Replace each `func.call` in `function` by the body of its callee, and so on.

    Calls of functions of no or several blocks, and those that lead back to a function being inlined, stay.
    """

    def inline(call: ir.Operation, inside: frozenset[str]) -> None:
        name = symbol_name(call)
        blocks = list(callees[name].regions[0].blocks) if name in callees else []
        if len(blocks) != 1 or name in inside:
            return
        before = set(walk_list(function, "func.call"))
        with ir.InsertionPoint(call):
            results = inline_block(blocks[0], list(call.operands))
        # Found before anything else changes: the hash of an operation depends on its operands.
        added = [nested for nested in walk_list(function, "func.call") if nested not in before]
        for old, new in zip(call.results, results, strict=True):
            old.replace_all_uses_with(new)
        call.erase()
        for nested in added:
            inline(nested, inside | {name})

    for call in walk_list(function, "func.call"):
        inline(call, frozenset())
