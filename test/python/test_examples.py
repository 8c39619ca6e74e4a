"""Every example, as Python and as MLIR: against the reference, at odd sizes, in every element type."""

from __future__ import annotations

import itertools
import re
import shlex
from typing import Any

import numpy as np
import pytest
from example_files import FOLDER, load

import aecompiler as aec
from aecompiler.tools import run as aec_run
from aecompiler.tools.tolerances import default_tolerance

NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "demo")

# Sizes that are no multiple of anything, one position, and none at all; Blocks covers the longest.
SIZES: tuple[dict[str, int], ...] = (
    {"B": 2, "S": 37, "Sq": 5, "Skv": 37, "T": 37, "Blocks": 5, "Bounds": 5},
    {"B": 1, "S": 1, "Sq": 1, "Skv": 1, "T": 1, "Blocks": 1, "Bounds": 2},
    {"B": 3, "S": 17, "Sq": 16, "Skv": 2, "T": 2, "Blocks": 2, "Bounds": 1},
    {"B": 2, "S": 0, "Sq": 0, "Skv": 0, "T": 0, "Blocks": 0, "Bounds": 1},
)


demo = load("demo")


def inputs_of(module: Any) -> dict[str, Any]:
    return getattr(module, "inputs", {})


def as_tuple(results: Any) -> tuple[np.ndarray, ...]:
    return results if isinstance(results, tuple) else (results,)


def check(kernel: aec.Kernel, values: dict[str, Any]) -> None:
    before = {name: np.copy(value) for name, value in values.items()}
    report = aec.check(kernel, **values)
    tolerance = default_tolerance(kernel.arguments)
    assert report.max_rel_error <= tolerance, str(report)
    assert report.out_of_bounds == 0
    for name, value in values.items():
        np.testing.assert_array_equal(value, before[name], err_msg=f"the call changed its input {name}")


@pytest.mark.parametrize("name", NAMES)
def test_example_agrees_with_reference(name: str) -> None:
    module = load(name)
    kernel = aec.compile(getattr(module, name), target="cpu")
    for sizes in SIZES:
        check(kernel, demo.draw(kernel, inputs_of(module), sizes))


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
@pytest.mark.parametrize("name", NAMES)
def test_example_in_other_element_types(name: str, dtype: str) -> None:
    module = load(name)
    kernel = aec.compile(module.build(dtype=dtype), target="cpu")
    check(kernel, demo.draw(kernel, inputs_of(module), SIZES[0]))


@pytest.mark.parametrize("name", NAMES)
def test_mlir_computes_what_python_does(name: str) -> None:
    module = load(name)
    python = aec.compile(getattr(module, name), target="cpu")
    text = aec.compile(FOLDER / "mlir" / f"{name}.mlir", target="cpu")
    assert text.name == python.name == name
    assert text.arguments == python.arguments
    assert text.results == python.results
    for sizes in SIZES[:2]:
        values = demo.draw(python, inputs_of(module), sizes, seed=1)
        check(text, values)
        for ours, theirs in zip(as_tuple(text(**values)), as_tuple(python(**values)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_command_in_the_header_of_mlir_passes(name: str, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    header = (FOLDER / "mlir" / f"{name}.mlir").read_text()
    found = re.search(r"// Run: (aec-run [^\\\n]*(?:\\\n// [^\\\n]*)*)", header)
    assert found is not None
    words = shlex.split(found[1].replace("\\\n//", " "))
    monkeypatch.chdir(FOLDER.parent)
    assert aec_run.main(words[1:]) == 0, capfd.readouterr()
    assert "ok" in capfd.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_command_in_the_index_passes(name: str, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    sizes = {"B": 2, "S": 20, "Sq": 3, "Skv": 20, "T": 20, "Blocks": 5, "Bounds": 4}
    kernel = aec.compile(getattr(load(name), name), target="cpu")
    dims = {dim for argument in kernel.arguments for dim in argument.shape if isinstance(dim, str)}
    flags = [f"--dim={dim}={sizes[dim]}" for dim in dims]
    assert aec_run.main([f"examples/{name}.py:{name}", *flags, "--check"]) == 0, capfd.readouterr()
    assert ": ok: " in capfd.readouterr().out


def test_causal_program_ignores_the_future() -> None:
    kernel = aec.compile(load("softmax").softmax, target="cpu")
    values = demo.draw(kernel, {}, {"B": 1, "S": 20})
    before, _ = kernel(**values)
    values["k"][:, :, 10:] = np.nan
    values["v"][:, :, 10:] = np.inf
    after, _ = kernel(**values)
    # The products of a tile with such a v are left out one by one, which rounds otherwise.
    np.testing.assert_allclose(after[:, :, :10], before[:, :, :10], rtol=1e-4, atol=1e-6)


def test_retnet_continues_from_the_final_state() -> None:
    kernel = aec.compile(load("retnet").retnet, target="cpu")
    values = demo.draw(kernel, {}, {"B": 2, "T": 21})
    whole, final = kernel(**values)
    first = {name: value if name == "initial" else value[:, :, :13] for name, value in values.items()}
    head, state = kernel(**first)
    rest = {name: value[:, :, 13:] for name, value in values.items() if name != "initial"}
    tail, last = kernel(**rest, initial=state)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=2), whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last, final, rtol=1e-5, atol=1e-5)


def test_packed_sequences_equal_separate_ones() -> None:
    packed = aec.compile(load("gated_retention_packed").gated_retention_packed, target="cpu")
    single = aec.compile(load("gated_retention").gated_retention, target="cpu")
    offsets = np.array([0, 5, 5, 22, 37], np.int32)
    values = demo.draw(packed, {"gate": demo.log_decay, "offsets": offsets}, {"T": 37, "Bounds": 5})
    o, final = packed(**values)
    del values["offsets"]
    for n, (begin, end) in enumerate(itertools.pairwise(offsets)):
        part, state = single(**{name: value[:, :, begin:end] for name, value in values.items()})
        np.testing.assert_allclose(o[:, :, begin:end], part, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(final[n], state[0], rtol=1e-5, atol=1e-5)


def test_every_example_is_in_the_index_and_has_its_mlir() -> None:
    index = (FOLDER / "README.md").read_text()
    for name in NAMES:
        assert f"[{name}]({name}.py)" in index
        assert (FOLDER / "mlir" / f"{name}.mlir").is_file()
    assert {path.stem for path in (FOLDER / "mlir").glob("*.mlir")} == set(NAMES)
