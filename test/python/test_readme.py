"""The README's example and commands are what they claim to be."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(mark: str, language: str) -> str:
    match = re.search(rf"<!-- {re.escape(mark)} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert match, f"README.md has no block marked '{mark}'"
    return match[1]


def test_example_runs_and_agrees_with_the_reference(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    import aecompiler as aec

    path = tmp_path / "readme_example.py"  # a file: the builder reads source lines for its messages
    path.write_text(fenced("example", "python"), encoding="utf-8")
    scope: dict = {"__name__": "readme_example", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    assert scope["o"].shape == (1, 8, 100, 64)
    slopes = 2.0 ** -scope["torch"].arange(1, 9)
    report = aec.check(scope["alibi"], scope["q"], scope["k"], scope["v"], slopes)
    assert report.out_of_bounds == 0
    assert max(result.max_abs_error for result in report.results) < 1e-5


@pytest.mark.parametrize("name", ["run", "test"])
def test_commands_are_marked_for_ci(name):
    command = fenced(f"command: {name}", "sh")
    assert "pip install" in command
    assert "constraints-cpu.txt" in command


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
