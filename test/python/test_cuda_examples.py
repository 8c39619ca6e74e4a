"""Every example on a GPU: against the reference, at odd and even sizes, in all types."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import FOLDER, load

import aecompiler as aec
from aecompiler.tools.tolerances import default_tolerance

pytestmark = pytest.mark.cuda

NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "demo")

SIZES: tuple[dict[str, int], ...] = (
    {"B": 2, "S": 37, "Sq": 5, "Skv": 37, "T": 37, "Blocks": 5, "Bounds": 5},
    {"B": 1, "S": 1, "Sq": 1, "Skv": 1, "T": 1, "Blocks": 1, "Bounds": 2},
    {"B": 3, "S": 17, "Sq": 16, "Skv": 2, "T": 2, "Blocks": 2, "Bounds": 1},
    {"B": 2, "S": 0, "Sq": 0, "Skv": 0, "T": 0, "Blocks": 0, "Bounds": 1},
    {"B": 1, "S": 256, "Sq": 128, "Skv": 256, "T": 256, "Blocks": 16, "Bounds": 3},
    {"B": 1, "S": 333, "Sq": 200, "Skv": 333, "T": 333, "Blocks": 21, "Bounds": 4},
)

demo = load("demo")


RECURRENCES = [name for name in NAMES if "aec.recurrence(" in (FOLDER / f"{name}.py").read_text()]


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
@pytest.mark.parametrize("name", NAMES)
def test_example_agrees_with_reference(name: str, dtype: str) -> None:
    check_sizes(name, dtype, SIZES)


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
@pytest.mark.parametrize("name", RECURRENCES)
def test_recurrence_position_by_position_agrees_with_reference(name: str, dtype: str) -> None:
    check_sizes(name, dtype, SIZES[:4], chunk=1)


def check_sizes(name: str, dtype: str, all_sizes: tuple[dict[str, int], ...], **options: int) -> None:
    """An example against the reference, with random arguments, which calls leave as they are."""
    module = load(name)
    kernel = aec.compile(module.build(dtype=dtype), target="cuda", **options)
    for sizes in all_sizes:
        values = demo.draw(kernel, getattr(module, "inputs", {}), sizes)
        before = {key: np.copy(value) for key, value in values.items()}
        report = aec.check(kernel, **values)
        assert report.max_rel_error <= default_tolerance(kernel.arguments), f"{sizes}: {report}"
        for key, value in values.items():
            np.testing.assert_array_equal(value, before[key], err_msg=f"the call changed its input {key}")
