"""Random programs: all forms against each other and the float64 reference, and transformations.

By default a fixed set of 1,000 different programs of attention and 80 of recurrences is run. `--programs N`
draws N new ones; a failure prints the program as source and how to reproduce it.
"""

from __future__ import annotations

import functools
import io
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from random_forms import Case, Forms, cases
from random_programs import RandomProgram, attention_programs
from random_recurrences import recurrence_programs
from random_tiles import tile_programs
from separable_programs import cascade_programs
from streaming_forms import passes

import aecompiler as aec
from aecompiler.bindings import ir, passmanager
from aecompiler.dialect import make_context
from aecompiler.reference import evaluate

ATTENTION = {"wild": 450, "tiles": 400, "separable": 150}
"""Programs of the fixed set with one attention, by how they are drawn; each is run in all forms."""

RECURRENCE, TRANSFORMED, TEMPERED = 80, 80, 30
"""Programs of the fixed set with a recurrence, ones that are only transformed, and ones with a temperature in
their normaliser and the lowest number among their scores."""

DEFAULT = 3
"""One in so many programs is also compiled on the CPU's default road, which takes longer than all else."""

VECTORIZED = 0.9
"""The part of those with default options whose tile programs must all be vectorized."""

ACCUMULATED = {"f64": 2e-14, "f32": 1e-5}
"""Error of a value before it is rounded to its type, relative to the largest value of its row, at least 1."""

LOST = {"shifted": 30.0}
"""Features of ill-conditioned programs, and by what their error is larger beside their result: scores far
from 0, whose products with v cancel where no normaliser scales them."""

WEIGHTS = {"bf16": 2.0**-7}
"""The same error of o where the weights may have been rounded to this type of v."""

ROUNDING = {"f64": 0.0, "f32": 0.0, "f16": 2.0**-11, "bf16": 2.0**-8}
"""Relative error of rounding a result once to its type."""


@dataclass
class Campaign:
    """Runs a check on different programs and remembers the largest errors."""

    programs: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    vectorized: Counter[bool | None] = field(default_factory=Counter)
    results: int = 0
    errors: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _seen: set[str] = field(default_factory=set)

    def run(self, strategy: Any, check: Callable[[Any], None], count: int, fixed: bool) -> None:
        """`check` on `count` different programs."""
        failed: list[Any] = []

        @settings(
            max_examples=count,
            derandomize=fixed,
            database=None,
            deadline=None,
            print_blob=not fixed,
            suppress_health_check=list(HealthCheck),
        )
        @given(program=strategy)
        def property_(program: Any) -> None:
            if program.source in self._seen and not failed:
                reject()
            try:
                check(program)
            except BaseException:
                failed.append(program)  # from here on hypothesis reduces it, and runs programs again
                raise
            self._seen.add(program.source)
            self.programs += 1

        property_()

    def text(self) -> str:
        """What was run, and how exact it was."""
        forms = "".join(f"{form} {count}, " for form, count in sorted(self.forms.items()))
        errors = ", ".join(f"{dtype} {error:.1e}" for dtype, error in sorted(self.errors.items()))
        known = self.vectorized[True] + self.vectorized[False]
        vectorized = f"{self.vectorized[True]} of {known} vectorized, " if known else ""
        return f"{forms}{vectorized}{self.results} results, largest error relative to the row: {errors}"

    def compare(
        self, name: str, element: str, got: np.ndarray, want: np.ndarray, accumulated: float | None = None
    ) -> None:
        """Check one result of a kernel, of element type `element`."""
        assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
        got = got.astype(np.float64)
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=f"{name}: infinities and NaN")
        row = np.where(finite, np.abs(want), 0.0)
        scale = (
            np.maximum(row.max(axis=-1, keepdims=True, initial=0.0), 1.0)
            if row.ndim
            else np.maximum(row, 1.0)
        )
        accumulated = accumulated or ACCUMULATED["f64" if element == "f64" else "f32"]
        error = np.where(finite, np.abs(got - np.where(finite, want, 0.0)), 0.0)
        allowed = accumulated * scale + ROUNDING[element] * row
        if error.size:
            worst = np.unravel_index(np.argmax(error / allowed), error.shape)
            assert error[worst] <= allowed[worst], (
                f"{name}[{', '.join(map(str, worst))}] is {got[worst]!r}, expected {want[worst]!r}: "
                f"error {error[worst]:.2e}, allowed {allowed[worst]:.2e}"
            )
            self.errors[element] = max(self.errors[element], float((error / scale).max()))
        self.results += 1


def check_on_cpu(campaign: Campaign, program: RandomProgram) -> None:
    """Compile, run each call, and compare with the reference; inputs stay as they were."""
    kernel = aec.compile(program.trace(), target="cpu", **program.options)
    for call in program.calls:
        inputs = program.inputs(call)
        copies = [np.array(x) for x in inputs]
        outputs = kernel(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        expected = kernel.evaluate_reference(*inputs)
        for number, (result, got, want) in enumerate(zip(kernel.results, outputs, expected, strict=True)):
            rounded = WEIGHTS.get(program.element) if number == 0 else None
            campaign.compare(result.name, result.dtype, np.asarray(got), want, rounded)
        for x, copy in zip(inputs, copies, strict=True):
            assert np.asarray(x).tobytes() == copy.tobytes(), "an input was written to"


def check_forms(campaign: Campaign, case: Case, one_pass: bool = False, default: int = DEFAULT) -> None:
    """Run all forms of a case, and compare them with the reference and so with each other."""
    forms = Forms(case, default=case.one_in(default))
    if one_pass:
        assert forms.streaming is not None
        assert passes(forms.streaming) == 1
    for results in forms.results():
        pairs = zip(results.dtypes, results.got, results.want, strict=True)
        for number, (dtype, got, want) in enumerate(pairs):
            accumulated = ACCUMULATED["f64" if dtype == "f64" else "f32"]
            accumulated *= max((LOST.get(feature, 1.0) for feature in case.program.features), default=1.0)
            if number == 0 and results.form == "default":
                accumulated = max(accumulated, WEIGHTS.get(case.program.element, 0.0))
            campaign.compare(f"{results.form}: result {number}", dtype, got, want, accumulated)
    campaign.forms.update(forms.names)
    campaign.vectorized[forms.is_vectorized] += 1


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        pytest.param(strategy, name, id=name)
        for name, strategy in {
            "wild": attention_programs(),
            "tiles": tile_programs(),
            "separable": cascade_programs(),
        }.items()
    ],
)
def test_all_forms_agree_with_the_reference(strategy, name, request, report_lines):
    wanted = request.config.getoption("--programs")
    total = sum(ATTENTION.values())
    count = ATTENTION[name] if wanted is None else max(1, round(wanted * ATTENTION[name] / total))
    campaign, start = Campaign(), time.monotonic()
    try:
        check = functools.partial(check_forms, campaign, one_pass=name == "separable")
        campaign.run(cases(strategy), check, count, fixed=wanted is None)
    finally:
        report_lines.append(
            f"{name}: {campaign.programs} random programs; {campaign.text()} "
            f"({time.monotonic() - start:.0f} s)"
        )
    assert campaign.programs >= count
    assert campaign.forms["direct"] == campaign.programs
    assert campaign.forms["streaming"] == campaign.forms["tiles"]
    assert campaign.programs - campaign.forms["streaming"] <= max(2, 0.02 * count), "many do not stream"
    if count >= 100:
        assert campaign.forms["default"] >= 0.7 * count / DEFAULT
        known = campaign.vectorized[True] + campaign.vectorized[False]
        assert known >= 0.5 * campaign.forms["default"], "few have default options"
        assert campaign.vectorized[True] >= VECTORIZED * known, "many are not vectorized"


@pytest.mark.timeout(0)
def test_temperatures_beside_the_lowest_number(request, report_lines):
    """exp((row - max) * c), where the difference from the maximum is larger than any number."""
    wanted = request.config.getoption("--programs")
    count = TEMPERED if wanted is None else max(1, wanted // 20)
    campaign = Campaign()
    try:
        check = functools.partial(check_forms, campaign, default=1)
        campaign.run(cases(tile_programs(tempered=True)), check, count, fixed=wanted is None)
    finally:
        report_lines.append(f"temperatures: {campaign.programs} random programs; {campaign.text()}")
    assert campaign.programs >= count


def test_the_fixed_set_is_large():
    assert sum(ATTENTION.values()) >= 1000


@pytest.mark.timeout(0)
def test_recurrences_agree_with_the_reference(request, report_lines):
    wanted = request.config.getoption("--programs")
    count = RECURRENCE if wanted is None else max(1, wanted // 10)
    campaign, start = Campaign(), time.monotonic()
    try:
        check = functools.partial(check_on_cpu, campaign)
        campaign.run(recurrence_programs(), check, count, fixed=wanted is None)
    finally:
        report_lines.append(
            f"recurrences: {campaign.programs} random programs; {campaign.text()} "
            f"({time.monotonic() - start:.0f} s)"
        )
    assert campaign.programs >= count


# ---- transformations ----


def module_bytes(module: ir.Module) -> bytes:
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()


def results_of(module: ir.Module, program: RandomProgram) -> list[np.ndarray]:
    function = module.body.operations[0]
    return [array for call in program.calls for array in evaluate(function, program.inputs(call))]


def assert_same_meaning(
    before: list[np.ndarray], after: list[np.ndarray], what: str, tolerance: float = 1e-5
) -> None:
    """Equal results of the float64 reference; by default up to constants that were folded in f32."""
    for old, new in zip(before, after, strict=True):
        finite = np.isfinite(old)
        np.testing.assert_array_equal(new[~finite], old[~finite], err_msg=what)
        np.testing.assert_allclose(new[finite], old[finite], rtol=tolerance, atol=tolerance, err_msg=what)


def check_transformations(campaign: Campaign, program: RandomProgram) -> None:
    """Text and bytecode round-trip; the lowering and the canonicalizations keep what is computed."""
    import aecompiler.passes  # noqa: F401  registers the passes
    from aecompiler.passes.infra import run_pipeline

    traced = program.trace().module
    with make_context():
        original = ir.Module.parse(module_bytes(traced))
        text = str(original)
        generic = original.operation.get_asm(print_generic_op_form=True)
        assert str(ir.Module.parse(text)) == text, "the text does not round-trip"
        assert str(ir.Module.parse(generic)) == text, "the generic text does not round-trip"
        assert str(ir.Module.parse(module_bytes(original))) == text, "the bytecode does not round-trip"
        before = results_of(original, program)

        # The lowered program is evaluated operation by operation too: whatever the types of the program, it
        # must agree to float64.
        lowered = ir.Module.parse(text)
        run_pipeline(lowered, "convert-attn-to-linalg")
        assert "attn." not in re.sub(r"attn\.(name|dims)", "", str(lowered))
        changed = "convert-attn-to-linalg changed the result"
        assert_same_meaning(before, results_of(lowered, program), changed, tolerance=1e-12)

        cleaned = ir.Module.parse(text)
        passmanager.PassManager.parse("builtin.module(canonicalize,cse,canonicalize)").run(cleaned.operation)
        assert cleaned.operation.verify()
        assert_same_meaning(before, results_of(cleaned, program), "canonicalize,cse changed the result")

        for start, what in (
            (ir.Module.parse(text), "attn-canonicalize"),
            (cleaned, "attn-canonicalize after cse"),
        ):
            run_pipeline(start, "attn-canonicalize")
            assert start.operation.verify()
            assert_same_meaning(before, results_of(start, program), f"{what} changed the result")
    campaign.results += len(before)


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "strategy",
    [attention_programs(folded=True), recurrence_programs(folded=True)],
    ids=["attention", "recurrence"],
)
def test_transformations_keep_the_meaning(strategy, request, report_lines):
    wanted = request.config.getoption("--programs")
    count = TRANSFORMED // 2 if wanted is None else max(1, wanted // 4)
    campaign, start = Campaign(), time.monotonic()
    campaign.run(
        strategy, lambda program: check_transformations(campaign, program), count, fixed=wanted is None
    )
    assert campaign.programs >= count, "the campaign ended early"
    report_lines.append(
        f"{request.node.callspec.id}: {campaign.programs} random programs through text, bytecode, "
        f"lowering and canonicalization ({time.monotonic() - start:.0f} s)"
    )
