"""The reference pages are current, and the Python in the guides runs."""

import re
from pathlib import Path

import pytest

from aecompiler.tools import docs

DOCS = Path(__file__).parents[2] / "docs"


def test_reference_pages_are_current():
    for name, build in docs.PAGES.items():
        assert (DOCS / name).read_text(encoding="utf-8") == build(), "run `python -m aecompiler.tools.docs`"


def test_check_reports_a_stale_page_and_writes_nothing(tmp_path, capsys):
    assert docs.main(["--directory", str(tmp_path)]) == 0
    assert docs.main(["--check", "--directory", str(tmp_path)]) == 0
    page = tmp_path / "passes.md"
    page.write_text(page.read_text(encoding="utf-8") + "stale\n", encoding="utf-8")
    assert docs.main(["--check", "--directory", str(tmp_path)]) == 1
    assert "-stale" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").endswith("stale\n")


@pytest.mark.parametrize("page", ["builder.md"])
def test_python_of_the_guide_traces(page, tmp_path):
    import aecompiler as aec

    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "guide.py"
    path.write_text("\n".join(blocks), encoding="utf-8")
    scope: dict = {"__name__": "guide", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    programs = [value for value in scope.values() if isinstance(value, aec.Program)]
    assert len(programs) == len(blocks)
    for program in programs:
        program.verify()
