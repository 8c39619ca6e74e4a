"""The reference pages are current, and the Python in the guides runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def generate(*arguments: str) -> subprocess.CompletedProcess:
    """Run the generator in a process of its own: other tests register passes in this one."""
    command = [sys.executable, "-m", "aecompiler.tools.docs", *arguments]
    return subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, timeout=120, check=False)


def test_reference_pages_are_current():
    done = generate("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_reports_a_stale_page_and_writes_nothing(tmp_path):
    assert generate("--directory", str(tmp_path)).returncode == 0
    assert generate("--check", "--directory", str(tmp_path)).returncode == 0
    page = tmp_path / "passes.md"
    page.write_text(page.read_text(encoding="utf-8") + "stale\n", encoding="utf-8")
    done = generate("--check", "--directory", str(tmp_path))
    assert done.returncode == 1
    assert "-stale" in done.stdout
    assert page.read_text(encoding="utf-8").endswith("stale\n")


@pytest.mark.parametrize("page", ["builder.md"])
def test_python_of_the_guide_traces(page, tmp_path):
    import aecompiler as aec

    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    if any("import torch" in block for block in blocks):
        pytest.importorskip("torch")
    path = tmp_path / "guide.py"
    path.write_text("\n".join(blocks), encoding="utf-8")
    scope: dict = {"__name__": "guide", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    programs = [value for value in scope.values() if isinstance(value, aec.Program)]
    assert len(programs) == sum("@aec.program" in block for block in blocks) >= len(blocks) - 1
    for program in programs:
        program.verify()
