"""The dialect as a whole: documented examples, captures, contexts, malformed text."""

import gc
import inspect
import io
import itertools
import re
import sys

import pytest

from aecompiler.bindings import ir, passmanager
from aecompiler.dialect import Attn, captures, make_context

EXAMPLES = [
    pytest.param(text, id=f"{cls.OPERATION_NAME}-{number}")
    for cls in Attn.operations
    for number, text in enumerate(re.findall(r"```mlir\n(.*?)```", inspect.getdoc(cls) or "", re.DOTALL))
]


def first_attn_op(module: ir.Module):
    found = []

    def visit(op):
        if op.name.startswith("attn."):
            found.append(op.opview)
            return ir.WalkResult.INTERRUPT
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found[0]


def test_every_op_is_documented():
    for cls in Attn.operations:
        assert (inspect.getdoc(cls) or "").strip(), cls
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("text", EXAMPLES)
def test_documented_example_round_trips(text):
    with make_context():
        module = ir.Module.parse(text)
        assert module.operation.verify()
        printed = str(module)
        assert str(ir.Module.parse(printed)) == printed
        generic = module.operation.get_asm(print_generic_op_form=True)
        assert str(ir.Module.parse(generic)) == printed
        buffer = io.BytesIO()
        module.operation.write_bytecode(buffer)
        assert str(ir.Module.parse(buffer.getvalue())) == printed


@pytest.mark.parametrize("text", EXAMPLES)
def test_documented_example_survives_canonicalize_and_cse(text):
    with make_context():
        module = ir.Module.parse(text)
        passmanager.PassManager.parse("builtin.module(canonicalize,cse,canonicalize)").run(module.operation)
        assert module.operation.verify()
        assert "attn." in str(module)


def test_captures_lists_outside_values_once_in_order_of_use():
    with make_context():
        module = ir.Module.parse(
            """
            func.func @f(%q: tensor<1x1x?x8xf32>, %a: tensor<?xf32>, %b: tensor<?xf32>, %x: f32, %t: i1)
                -> tensor<1x1x?x8xf32> {
              %o = "attn.attention"(%q, %q, %q) ({
              ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
                %0 = tensor.extract %b[%i] : tensor<?xf32>
                %1 = tensor.extract %a[%j] : tensor<?xf32>
                %2 = arith.addf %0, %1 : f32
                %3 = arith.mulf %2, %x : f32
                %4 = tensor.extract %b[%h] : tensor<?xf32>
                %5 = arith.mulf %3, %4 : f32
                "attn.yield"(%5) : (f32) -> ()
              }, {
              ^bb0(%b0: index, %h: index, %i: index, %j: index):
                "attn.yield"(%t) : (i1) -> ()
              }, {
              ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
                "attn.yield"(%s) : (f32) -> ()
              }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32>
              return %o : tensor<1x1x?x8xf32>
            }"""
        )
        function = module.body.operations[0]
        _, a, b, x, t = function.regions[0].blocks[0].arguments
        assert captures(first_attn_op(module)) == [b, a, x, t]


def test_repeated_contexts_register_the_dialect_again():
    text = EXAMPLES[0].values[0]
    for _ in range(20):
        with make_context():
            assert type(first_attn_op(ir.Module.parse(text))).__name__ == "AttentionOp"
        gc.collect()


def _mutations(text: str):
    """Texts with one line removed, one token doubled, or two neighbouring lines swapped."""
    lines = text.splitlines(keepends=True)
    for at in range(len(lines)):
        yield "".join(lines[:at] + lines[at + 1 :])
        yield "".join(lines[:at] + [lines[at]] * 2 + lines[at + 1 :])
    for at in range(len(lines) - 1):
        yield "".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
    for old, new in itertools.permutations(("f32", "index", "i1", "f16", "?", "-> ()", "128"), 2):
        yield text.replace(old, new)


def _diagnostics(text: str) -> list[str] | None:
    """What parsing reports, or `None` for a module that verifies."""
    with make_context():
        try:
            module = ir.Module.parse(text)
        except ir.MLIRError as error:
            return [diagnostic.message for diagnostic in error.error_diagnostics]
        return None if module.operation.verify() else []


@pytest.mark.parametrize("text", EXAMPLES)
def test_malformed_text_is_refused_with_a_message(text):
    """The answer is a verified module or an error that says what is wrong, never a bare failure."""
    found = {mutant: _diagnostics(mutant) for mutant in _mutations(text)}
    refused = {mutant: messages for mutant, messages in found.items() if messages is not None}
    assert len(refused) > 10
    for mutant, messages in refused.items():
        assert messages, mutant
        assert messages[0].strip(), mutant
        assert "is malformed" not in messages[0], mutant


@pytest.mark.parametrize("name", ["attn", "tt", "tt_host", "ttg", "ttng"])
def test_no_module_is_looked_for_at_operations_of_a_dialect_that_has_none(name, monkeypatch):
    """The search took two thirds of the time of lowering a kernel."""
    import aecompiler.backends.triton.kernel_ir  # noqa: F401  (declares dialects)

    sought = []

    class Finder:
        def find_spec(self, module, path=None, target=None):
            sought.append(module)

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with make_context(allow_unregistered_dialects=True):
        made = ir.Operation.create(f"{name}.yield", loc=ir.Location.unknown())
        assert made.opview.operation.name == f"{name}.yield"
    assert not [module for module in sought if ".dialects." in module]
