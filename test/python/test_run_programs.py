"""What aec-run makes of Python files and modules: names, imports, failures, inputs beside a program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from outcomes import Outcome

PROGRAM = """
import aecompiler as aec

x = aec.tensor("B", 2, "S", 4)


@aec.program(q=x, ids=aec.tensor("N", dtype="i32"), scale=aec.scalar("f32"))
def p(q, ids, scale):
    return aec.attention(q, q, q, score=lambda s, b, h, i, j: s * scale + ids[0])
"""

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs aec-run in a process and a folder of its own: imports leave nothing behind."""
    monkeypatch.chdir(tmp_path)

    def work(*argv: str) -> Outcome:
        script = "import sys; from aecompiler.tools.run import main; sys.path.remove(''); sys.exit(main())"
        command = [sys.executable, "-c", script, *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return work


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise RuntimeError('why')", "RuntimeError: why"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ValueError('why')", "ValueError: why"),
        ("import not_installed", "ModuleNotFoundError: No module named 'not_installed'"),
        ("x = = 1", "SyntaxError: invalid syntax"),
    ],
)
def test_package_that_fails_to_import_tells_its_own_error(run: Run, text: str, error: str) -> None:
    Path("package").mkdir()
    Path("package/__init__.py").write_text(f"\n{text}\n")
    Path("package/module.py").write_text(PROGRAM)
    outcome = run("package.module:p")
    assert outcome.status == 1
    assert f"__init__.py:2: error: {error}" in outcome.err


@pytest.mark.parametrize(
    "name", ["absent", "package.absent", "package.module.absent", "package..module", "__main__"]
)
def test_absent_module_is_named(run: Run, name: str) -> None:
    Path("package").mkdir()
    Path("package/module.py").write_text(PROGRAM)
    outcome = run(f"{name}:p")
    assert outcome.status == 2
    assert name == "__main__" or outcome.err == f"aec-run: error: no module '{name}'\n"


@pytest.mark.parametrize("name", ["random", "types", "numpy"])
def test_file_with_the_name_of_a_library_leaves_that_alone(run: Run, name: str) -> None:
    Path(f"{name}.py").write_text(
        f"import {name}\nassert {name}.__file__ != __file__\nimport beside\n{PROGRAM}"
    )
    Path("beside.py").write_text("")
    outcome = run(f"{name}.py:p", "--dim=B=1", "--dim=S=3", "--dim=N=1", "--input=scale=1", "--check")
    assert outcome.status == 0, outcome.err


def test_inputs_beside_the_program_are_used(run: Run) -> None:
    inputs = {
        "q": "lambda rng, shape: rng.uniform(2, 3, shape)",
        "ids": "[7, 0]",
        "scale": "0.5",
        "unused": "None",
    }
    text = ", ".join(f"'{name}': {value}" for name, value in inputs.items())
    Path("program.py").write_text(f"{PROGRAM}\ninputs = {{{text}}}\n")
    argv = ("program.py:p", "--dim=B=1", "--dim=S=3")
    outcome = run(*argv, "--check", "--output=o.npy")
    assert outcome.status == 0, outcome.err
    assert np.all((np.load("o.npy") >= 2) & (np.load("o.npy") <= 3))
    # A flag is stronger.
    outcome = run(*argv, "--input=q=ones", "--output=o.npy")
    np.testing.assert_allclose(np.load("o.npy"), 1, rtol=1e-6)
    outcome = run(*argv, "--dim=N=3")
    assert outcome.status == 2
    assert "--dim N=3: the size in argument 'ids' is 2" in outcome.err


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        ("'offsets:S'", 0, ""),
        ("'nonsense'", 2, "input 'ids': expects a file"),
        (
            "{}",
            2,
            "input 'ids': expects an array, a number, a text as --input takes, or a function, got 'dict'",
        ),
        ("[0.5, 1]", 2, "input 'ids': expects i32, got numbers that i32 does not have"),
        (
            "lambda rng, shape: rng.integers(0, 3, 7)",
            2,
            "expects the function to return an array of shape (2,)",
        ),
        ("lambda rng, shape: 1 // 0", 1, "program.py:12: error: ZeroDivisionError"),
    ],
)
def test_inputs_that_do_not_fit_are_named(run: Run, value: str, status: int, message: str) -> None:
    Path("program.py").write_text(f"{PROGRAM}\n\ninputs = {{'ids': {value}}}\n")
    outcome = run("program.py:p", "--dim=B=1", "--dim=S=3", "--shape=ids=2", "--input=scale=1")
    assert outcome.status == status, outcome.err
    assert message in outcome.err


@pytest.mark.parametrize("tool", ["opt", "run", "bench"])
def test_every_tool_tells_its_version_and_help(tool: str) -> None:
    def out(flag: str) -> str:
        command = [sys.executable, "-m", f"aecompiler.tools.{tool}", flag]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert out("--version").startswith("aecompiler ")
    assert "print this text" in out("--help")
    assert "Exit status: 0 success" in out("-h")


SIZES = ("--dim=B=1", "--dim=S=3", "--dim=N=1", "--input=scale=1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("flags", [("--mlir",), SIZES])
def test_full_stdout_is_a_message(tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "aecompiler.tools.run", f"{tmp_path}/program.py:p", *flags]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "aec-run: error: cannot write to standard output: No space left on device\n"


def test_program_that_closes_stdout_is_a_message(run: Run) -> None:
    Path("closes.py").write_text(f"{PROGRAM}\nimport sys\nsys.stdout.close()\n")
    outcome = run("closes.py:p", *SIZES)
    assert outcome.status == 2
    assert outcome.err == "aec-run: error: cannot write to standard output: it is closed\n"
