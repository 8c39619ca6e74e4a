"""Passes, options and pipelines: reading, writing, running, and what goes wrong."""

import enum
from typing import Annotated, Literal

import pytest

from aecompiler.bindings import ir
from aecompiler.diagnostics import remark
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError, PipelineError
from aecompiler.passes import infra
from aecompiler.passes.infra import Pass, PassFailure, Pipeline, option, register_pass, register_pipeline


class Layout(enum.Enum):
    BSHD = "bshd"
    BHSD = "bhsd"


@register_pass
class Record(Pass):
    """Write its options on the op."""

    NAME = "unit-record"
    ANCHOR = "any"
    block_q: int = option(64, "rows")
    layout: Layout = option(Layout.BSHD, "order of axes")
    kind: Literal["fast", "exact"] = option("fast", "how")
    sizes: tuple[int, ...] = option((), "sizes")
    words: tuple[str, ...] = option((), "words")
    text: str = option("", "any text")
    limit: int | None = option(7, "a limit")
    rate: float = option(0.5, "a rate")
    verbose: bool = option(False, "talk")

    def __post_init__(self) -> None:
        if self.block_q <= 0:
            raise ValueError(f"expects block-q to be positive, got {self.block_q}")

    def run(self, op):
        op.attributes["unit.record"] = ir.StringAttr.get(self.spec())


@register_pass
class Misbehave(Pass):
    """Go wrong."""

    NAME = "unit-misbehave"
    ANCHOR = "func.func"
    how: Literal["refuse", "emit", "bug", "invalid", "nested", "remark"] = option("refuse", "in which way")

    def run(self, op):
        if self.how == "refuse":
            raise PassFailure(op, "expects another program")
        if self.how == "emit":
            op.location.emit_error("first")
            op.location.emit_error("second")
        if self.how == "bug":
            raise ZeroDivisionError("a bug")
        if self.how == "invalid":
            op.attributes["function_type"] = ir.TypeAttr.get(ir.F32Type.get())
        if self.how == "remark":
            remark(op, "could be better")
        if self.how == "nested":
            ir.Module.parse("func.func @broken(")


@register_pipeline("unit-pipeline")
def unit_pipeline(*, block_q: Annotated[int, "rows"] = 16, twice: Annotated[bool, "again"] = False) -> str:
    """Record, then clean up."""
    if block_q > 1000:
        raise ValueError("expects block-q to be at most 1000")
    record = f"unit-record{{block-q={block_q}}}"
    return f"builtin.module({record},func.func({record if twice else 'cse'},canonicalize))"


@register_pipeline("unit-endless")
def endless() -> str:
    """Contain itself."""
    return "cse,unit-endless"


@register_pipeline("unit-broken")
def broken() -> str:
    """Contain a mistake."""
    return "cse,nope"


SOURCE = """
func.func @f(%x: f32) -> f32 {
  %c = arith.constant 1.0 : f32
  %0 = arith.mulf %x, %c : f32
  return %0 : f32
}
func.func @g() { return }
"""


@pytest.fixture
def module():
    with make_context():
        yield ir.Module.parse(SOURCE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cse",
        "builtin.module(cse,canonicalize{max-iterations=3 top-down=false})",
        "func.func(cse,canonicalize),cse",
        "builtin.module(builtin.module(func.func(cse)),any(cse))",
        "any(cse)",
        "unit-record{block-q=1 layout=bhsd kind=exact sizes=1,2,3 limit=none rate=1e-3 verbose}",
        'unit-record{sizes={4,5} words=a,"b c",\'d,e\' text="say \\"{hi}\\" \\\\ " }',
        "unit-record{text={a b}}",
        "unit-pipeline{block-q=2 twice=true},func.func(unit-record)",
        " builtin.module( cse , func.func( cse ) ) ",
    ],
)
def test_text_round_trips(text):
    pipeline = Pipeline(text)
    assert Pipeline(str(pipeline)) == pipeline
    assert str(Pipeline(str(pipeline))) == str(pipeline)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"block_q": 8, "layout": Layout.BHSD, "kind": "exact", "verbose": True},
        {"sizes": (1, -2), "limit": None, "rate": 1e-30},
        {"words": ("a", "b c", 'd"e', "f,g", "h}i", "\\"), "text": "two words, {braces} \"quotes\" 'x' \\ ="},
        {"words": ("",), "text": "none"},
        {"words": ("", "none", '"q"'), "text": "'"},
    ],
)
def test_options_round_trip(values):
    made = Record(**values)
    (step,) = Pipeline(made.spec()).steps
    assert step.python_pass == made


def test_named_pipeline_expands_with_options():
    assert str(Pipeline("unit-pipeline{block-q=4},cse")) == (
        "builtin.module(unit-record{block-q=4},func.func(cse,canonicalize),cse)"
    )


@pytest.mark.parametrize(
    ("text", "message", "caret"),
    [
        ("nope", "unknown pass or pipeline 'nope'", 0),
        ("unit-recrd", "did you mean 'unit-record'?", 0),
        ("cse,,cse", "expected the name", 4),
        ("cse(", "'cse' is no op name", 0),
        ("func.func(cse", "'(' is not closed", 9),
        ("cse)", "unbalanced ')'", 3),
        ("cse canonicalize", "expected ','", 4),
        ("canonicalize{max-iterations=3", "'{' is not closed", 12),
        ("canonicalize{foo=1}", "pass 'canonicalize': no such option foo", 0),
        ("unit-record{block-q=x}", "option 'block-q' of pass 'unit-record' expects an integer, got 'x'", 12),
        ("unit-record{block-q=1.5}", "expects an integer, got '1.5'", 12),
        ("unit-record{block-q}", "expects an integer, got no value", 12),
        ("unit-record{block-q=0}", "pass 'unit-record': expects block-q to be positive, got 0", 0),
        ("unit-record{blok-q=1}", "has no option 'blok-q'; did you mean 'block-q'?", 12),
        ("unit-record{verbose=2}", "expects true or false, got '2'", 12),
        ("unit-record{layout=x}", "expects one of bshd, bhsd, got 'x'", 12),
        ("unit-record{kind=slow}", "expects one of fast, exact, got 'slow'", 12),
        ("unit-record{sizes=1,a}", "expects a comma-separated list, each an integer, got '1,a'", 12),
        ("unit-record{limit=maybe}", "expects an integer or none, got 'maybe'", 12),
        ("unit-record{rate=fast}", "expects a number, got 'fast'", 12),
        ("unit-record{block-q=1 block-q=2}", "is given twice", 22),
        (
            "unit-misbehave",
            "runs on 'func.func', not on 'builtin.module': write func.func(unit-misbehave)",
            0,
        ),
        ("func.func(convert-func-to-llvm)", "runs on 'builtin.module', not on 'func.func'", 10),
        ("llvm-request-c-wrappers", "write func.func(llvm-request-c-wrappers)", 0),
        ("unit-pipeline{block-q=2000}", "pipeline 'unit-pipeline': expects block-q to be at most 1000", 0),
        ("cse,unit-broken", "in the expansion of pipeline 'unit-broken'", 4),
        ("unit-endless", "contains itself", 0),
        ("(" * 200, "expected the name", 0),
        ("any(" * 200, "nests more than", 0),
    ],
)
def test_bad_text_is_explained(text, message, caret):
    with pytest.raises(PipelineError) as error:
        Pipeline(text)
    assert message in str(error.value)
    if caret or len(text) < 100:
        assert " " * (caret + 2) + "^" in str(error.value).splitlines()


def test_mixed_pipeline_runs_on_each_anchor(module):
    Pipeline("func.func(unit-record{block-q=2},canonicalize),any(cse)").run(module)
    functions = [op.operation for op in module.body.operations]
    assert ["unit.record" in op.attributes for op in functions] == [True, True]
    assert "mulf" not in str(module)


def test_pipeline_is_reusable_in_many_contexts():
    pipeline = Pipeline("unit-pipeline,func.func(canonicalize)")
    for _ in range(20):
        with make_context():
            module = ir.Module.parse(SOURCE)
            assert pipeline.run(module) == []
            assert pipeline.run(module) == []
            assert "mulf" not in str(module)


def test_pipeline_anchored_on_a_function(module):
    function = module.body.operations[0]
    infra.run_pipeline(function, "canonicalize,unit-record")
    assert "mulf" not in str(function)
    with pytest.raises(PipelineError, match=r"runs on 'builtin.module', not on 'func.func'"):
        Pipeline("cse").run(function)


def test_refusal_is_a_located_diagnostic(module):
    with pytest.raises(CompileError) as error:
        infra.run_pipeline(module, "func.func(unit-misbehave)")
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.message == "'func.func' op expects another program"
    assert (diagnostic.severity, diagnostic.line, diagnostic.column) == ("error", 2, 1)
    assert str(error.value).endswith("--pass-pipeline='builtin.module(func.func(unit-misbehave))'")


def test_emitted_errors_fail_the_pass(module):
    with pytest.raises(CompileError) as error:
        Pipeline("func.func(unit-misbehave{how=emit})").run(module, file="x.mlir")
    assert [d.render() for d in error.value.diagnostics] == [
        "x.mlir:2:1: error: first",
        "x.mlir:2:1: error: second",
    ]


def test_remarks_are_returned(module, capfd):
    found = Pipeline("func.func(unit-misbehave{how=remark})").run(module, file="x.mlir")
    assert [d.render() for d in found][:1] == ["x.mlir:2:1: remark: 'func.func' op could be better"]
    assert len(found) == 2  # one for each function
    assert capfd.readouterr() == ("", "")


def test_remarks_outside_of_a_pipeline_are_printed(module, capfd):
    remark(module.body.operations[0], "could be better")
    assert capfd.readouterr().err.endswith("2:1: remark: 'func.func' op could be better\n")


def test_error_of_nested_parse_is_collected(module):
    with pytest.raises(CompileError) as error:
        Pipeline("func.func(unit-misbehave{how=nested})").run(module)
    assert error.value.diagnostics[0].severity == "error"


def test_bug_surfaces_as_itself_and_names_the_pass(module):
    with pytest.raises(ZeroDivisionError) as error:
        Pipeline("func.func(unit-misbehave{how=bug})").run(module)
    assert error.value.__notes__ == ["while running pass 'unit-misbehave'"]


def test_invalid_ir_names_the_pass(module):
    with pytest.raises(infra.InvalidIRError, match="pass 'unit-misbehave' made invalid IR"):
        Pipeline("func.func(unit-misbehave{how=invalid})").run(module)


def test_upstream_failure_is_a_diagnostic():
    with make_context():
        module = ir.Module.parse("func.func @f(%x: memref<*xf32>) { return }")
        with pytest.raises(CompileError):
            Pipeline("func.func(affine-super-vectorize{virtual-vector-size=0})").run(module)


def test_rest_of_a_pipeline_as_text():
    pipeline = Pipeline("cse,func.func(cse,canonicalize),sccp")
    assert pipeline.text(2) == "builtin.module(func.func(canonicalize),sccp)"
    assert pipeline.text(4) == "builtin.module()"


def _nameless():
    class NoDoc(Pass):
        NAME = "unit-no-doc"

    return NoDoc


def _unhelpful():
    class NoHelp(Pass):
        """Do nothing."""

        NAME = "unit-no-help"
        size: int = option(1, "")

    return NoHelp


def _twice():
    class Twice(Pass):
        """Do nothing."""

        NAME = "unit-record"

    return Twice


@pytest.mark.parametrize(
    ("make", "message"),
    [(_nameless, "has no docstring"), (_unhelpful, "has no help text"), (_twice, "already registered")],
)
def test_registration_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        register_pass(make())
