"""aec-run: programs, inputs, outputs, the check, and every mistake that a user can make."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from outcomes import Outcome
from safetensors.numpy import load_file, save_file

from aecompiler.errors import UnsupportedError
from aecompiler.tools import run as aec_run

PROGRAM = """
import aecompiler as aec

x = aec.tensor("B", 2, "S", 4)


def build(dtype="f32"):
    x = aec.tensor("B", 2, "S", 4, dtype=dtype)

    @aec.program(q=x, k=x, v=x, scale=aec.scalar("f32"), results=("o", "top"))
    def attention(q, k, v, scale):
        def normalize(row):
            m = row.max()
            e = aec.exp(row - m)
            return e / e.sum(), m

        return aec.attention(q, k, v, score=lambda s: s * scale, normalize=normalize)

    return attention


attention = build()


def half():
    return build("bf16")


@aec.program(q=x, ids=aec.tensor("B", "S", dtype="i32"), keep=aec.tensor("S", dtype="i1"))
def masked(q, ids, keep):
    return aec.attention(q, q, q, mask=lambda b, h, i, j: keep[j] & (ids[b, i] == ids[b, j]))


@aec.program(q=x, table=aec.tensor(3))
def outside(q, table):
    return aec.attention(q, q, q, score=lambda s, b, h, i, j: s + table[j])


@aec.program(q=x, c=aec.scalar("i64"))
def counted(q, c):
    return aec.attention(q, q, q)


def build_one(heads):
    return attention


def broken():
    return 1 // 0


def number():
    return 3
"""

TEXT = """
func.func @first(%q: tensor<?x1x?x4xf32>, %k: tensor<?x1x?x4xf32>)
    -> (tensor<?x1x?x4xf32> {attn.name = "o"}) {
  %true = arith.constant true
  %o = "attn.attention"(%q, %k, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  return %o : tensor<?x1x?x4xf32>
}
"""

SIZES = ("--dim", "B=1", "--dim", "S=3")


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Run:
    """Runs aec-run in a folder that holds program.py and text.mlir."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "text.mlir").write_text(TEXT)
    monkeypatch.chdir(tmp_path)

    def work(*argv: str) -> Outcome:
        status = aec_run.main(list(argv))
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(status, captured.out, captured.err)

    return work


def softmax(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    s = scale * q.astype(float) @ k.astype(float).swapaxes(-1, -2)
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def qkv(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal((1, 2, 3, 4)).astype(dtype) for name in "qkv"}


# ---- programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["program.py:attention", "program.py:build", "program:build"])
def test_python_program_is_found_and_checked(run: Run, program: str) -> None:
    outcome = run(program, *SIZES, "--input", "scale=0.5", "--check")
    assert outcome.status == 0, outcome.err
    assert "o: f32 [1, 2, 3, 4]\n" in outcome.out
    assert "top: f32 [1, 2, 3]\n" in outcome.out
    assert "check o: ok" in outcome.out
    assert "check top: ok" in outcome.out


def test_text_takes_argument_names_from_its_source(run: Run) -> None:
    outcome = run("text.mlir", "--shape", "q=2x1x5x4", "--shape", "k=2x1x7x4", "--check")
    assert outcome.status == 0, outcome.err
    assert "o: f32 [2, 1, 5, 4]" in outcome.out


def test_sizes_follow_from_what_the_program_makes_equal(run: Run) -> None:
    assert "o: f32 [2, 1, 5, 4]" in run("text.mlir", "--shape", "q=2x1x5x4", "--shape", "k=2x1x5x4").out
    outcome = run("program.py:attention", "--shape", "k=3x2x6x4", "--input", "scale=1")
    assert "o: f32 [3, 2, 6, 4]" in outcome.out


def test_function_names_one_of_several(run: Run, tmp_path: Path) -> None:
    (tmp_path / "two.mlir").write_text(TEXT + TEXT.replace("@first", "@second"))
    shapes = ("--shape", "q=1x1x1x4", "--shape", "k=1x1x1x4")
    outcome = run("two.mlir", *shapes)
    assert outcome.status == 2
    assert "first, second" in outcome.err
    assert "--function" in outcome.err
    assert run("two.mlir", "--function", "second", *shapes).status == 0
    assert "no function 'third'" in run("two.mlir", "--function", "third", *shapes).err


def test_mlir_flag_prints_a_program_that_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "printed.mlir").write_text(run("program.py:attention", "--mlir").out)
    outcome = run("printed.mlir", *SIZES, "--input", "scale=1", "--check")
    assert outcome.status == 0, outcome.err
    assert run("text.mlir", "--mlir").out == TEXT


def test_bytecode_runs(run: Run, tmp_path: Path) -> None:
    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context

    with make_context() as context, open(tmp_path / "text.mlirbc", "wb") as file:
        ir.Module.parse(TEXT, context).operation.write_bytecode(file)
    assert run("text.mlirbc", "--shape", "arg0=1x1x2x4", "--shape", "arg1=1x1x3x4", "--check").status == 0
    (tmp_path / "cut.mlirbc").write_bytes((tmp_path / "text.mlirbc").read_bytes()[:60])
    assert run("cut.mlirbc").status == 1


# ---- inputs --------------------------------------------------------------------------------------


def test_npy_inputs_give_sizes_and_values(run: Run) -> None:
    arrays = qkv()
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    inputs = [f"--input={name}={name}.npy" for name in arrays]
    outcome = run("program.py:attention", *inputs, "--input", "scale=0.5", "--output", "o=o.npy")
    assert outcome.status == 0, outcome.err
    np.testing.assert_allclose(np.load("o.npy"), softmax(**arrays, scale=0.5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_archives_by_name_and_by_key(run: Run, suffix: str) -> None:
    arrays = qkv()
    save = (
        (lambda path, entries: np.savez(path, **entries)) if suffix == "npz" else lambda p, e: save_file(e, p)
    )
    save(f"all.{suffix}", {**arrays, "unused": arrays["q"]})
    save(f"one.{suffix}", {"something": arrays["q"]})
    whole = run(
        "program.py:attention", "--input", f"all.{suffix}", "--input", "scale=1", "--output", "o=a.npy"
    )
    assert whole.status == 0, whole.err
    parts = [f"--input=q=one.{suffix}", f"--input=k=all.{suffix}:k", f"--input=v=all.{suffix}"]
    single = run("program.py:attention", *parts, "--input", "scale=1", "--output", "o=b.npy")
    assert single.status == 0, single.err
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    outcome = run("program.py:attention", f"--input=q=all.{suffix}:nope", "--input=scale=1")
    assert outcome.status == 2
    assert "has no entry 'nope' (entries: " in outcome.err


def test_bf16_goes_through_safetensors_and_as_float32_through_npy(run: Run) -> None:
    arrays = qkv(ml_dtypes.bfloat16)
    save_file(arrays, "in.safetensors")
    outputs = ("--output", "out.safetensors", "--output", "out.npz", "--output", "o=o.npy")
    outcome = run("program.py:half", "--input", "in.safetensors", "--input", "scale=1", *outputs, "--check")
    assert outcome.status == 0, outcome.err
    exact = load_file("out.safetensors")
    assert exact["o"].dtype == ml_dtypes.bfloat16
    assert exact["top"].dtype == np.float32
    assert np.load("o.npy").dtype == np.float32
    np.testing.assert_array_equal(np.load("o.npy"), exact["o"].astype(np.float32))
    np.testing.assert_array_equal(np.load("out.npz")["o"], np.load("o.npy"))
    # What .npy holds as float32 goes back in, since no value changes.
    again = run("program.py:half", *SIZES, "--input", "q=o.npy", "--input", "scale=1")
    assert again.status == 0, again.err


def test_values_that_a_type_does_not_have_are_refused_unless_cast(run: Run) -> None:
    np.save("q.npy", qkv(np.float64)["q"])
    argv = ("program.py:attention", "--input", "q=q.npy", "--input", "scale=1")
    outcome = run(*argv)
    assert outcome.status == 2
    assert (
        "input 'q': expects f32, got float64 with values that f32 does not have; --cast rounds" in outcome.err
    )
    assert run(*argv, "--cast").status == 0
    np.save("ids.npy", np.full((1, 3), 2**40))
    outcome = run("program.py:masked", "--input", "ids=ids.npy")
    assert outcome.status == 2
    assert "input 'ids': expects i32, got int64 with values that i32 does not have" in outcome.err
    np.save("ids.npy", np.array([["a", "b", "c"]]))
    assert "input 'ids': expects i32, got <U1" in run("program.py:masked", "--input", "ids=ids.npy").err


def test_seed_decides_the_random_inputs(run: Run) -> None:
    def output(*argv: str) -> np.ndarray:
        outcome = run("program.py:attention", *SIZES, "--input", "scale=1", "--output", "o=o.npy", *argv)
        assert outcome.status == 0, outcome.err
        return np.load("o.npy")

    np.testing.assert_array_equal(output("--seed", "7"), output("--seed", "7"))
    assert not np.array_equal(output("--seed", "7"), output())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("zeros", np.zeros(6)),
        ("ones", np.ones(6)),
        ("arange", np.arange(6)),
        ("arange:2", np.arange(2, 8)),
        ("arange:1,0.5", 1 + 0.5 * np.arange(6)),
        ("[[0, 1, 2], [3, 4, 5]]", np.arange(6)),
        ("-2.5", np.full(6, -2.5)),
    ],
)
def test_values_are_what_they_say(value: str, expected: np.ndarray) -> None:
    from aecompiler.tools.run_values import make_tensor, parse_value

    made = make_tensor("x", "f32", parse_value("x", value), (2, 3), np.random.default_rng(0), {})
    np.testing.assert_array_equal(made, expected.reshape(2, 3))
    assert made.dtype == np.float32


@pytest.mark.parametrize(
    ("value", "dtype", "low", "high"),
    [
        ("uniform:-2,-1", "f32", -2, -1),
        ("randint:3,6", "i32", 3, 5),
        ("sorted:0,3", "i64", 0, 2),
        ("bernoulli:0.3", "i1", 0, 1),
        ("offsets:11", "i32", 0, 11),
        ("offsets:T", "i32", 0, 9),
    ],
)
def test_distributions_stay_in_range(value: str, dtype: str, low: float, high: float) -> None:
    from aecompiler.tools.run_values import make_tensor, parse_value

    made = make_tensor("x", dtype, parse_value("x", value), (500,), np.random.default_rng(0), {"T": 9})
    assert made.min() >= low
    assert made.max() <= high
    assert len(np.unique(made)) > 1
    if value.startswith(("sorted", "offsets")):
        assert np.all(np.diff(made) >= 0)
    if value.startswith("offsets"):
        assert (made[0], made[-1]) == (low, high)


def test_integers_and_booleans_have_defaults(run: Run) -> None:
    outcome = run("program.py:masked", "--dim", "B=2", "--dim", "S=9", "--check")
    assert outcome.status == 0, outcome.err
    lists = ("--input", "ids=[[0, 0, 1]]", "--input", "keep=[true, false, true]")
    assert run("program.py:masked", *lists, "--check").status == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_pipe_that_nobody_writes_is_refused(run: Run) -> None:
    os.mkfifo("q.npy")
    outcome = run("program.py:attention", *SIZES, "--input=q=q.npy", "--input=scale=1")
    assert outcome.status == 2
    assert "cannot read 'q.npy': it is a pipe or a device" in outcome.err


# ---- results -------------------------------------------------------------------------------------


def test_check_fails_above_the_tolerance(run: Run) -> None:
    argv = ("program.py:attention", *SIZES, "--input", "scale=1", "--check")
    outcome = run(*argv, "--tolerance", "1e-20")
    assert outcome.status == 1
    assert "check o: FAILED: error" in outcome.out
    assert "tolerance 1.0e-20" in outcome.out


def test_check_fails_at_reads_out_of_bounds(run: Run) -> None:
    inside = run("program.py:outside", "--dim", "B=1", "--dim", "S=3", "--check")
    assert inside.status == 0
    assert "out of bounds" not in inside.out
    beyond = run("program.py:outside", "--dim", "B=1", "--dim", "S=4", "--check")
    assert beyond.status == 1
    assert "check: FAILED: 8 reads out of bounds at unmasked elements" in beyond.out


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ('loc("-":16:6)', "p.mlir:16:6: error: unsupported: 'x.y' op"),
        ('loc("other.mlir":1:2)', "other.mlir:1:2: error: unsupported: 'x.y' op"),
        (
            'loc(callsite("f"("a.py":3:4) at "g"("b.py":5:6)))',
            "a.py:3:4: error: unsupported: 'x.y' op",
        ),
        ("loc(unknown)", "p.mlir: error: unsupported: 'x.y' op, at loc(unknown)"),
    ],
)
def test_error_with_its_location_in_the_text_points_at_the_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, location: str, expected: str
) -> None:
    def evaluate(*_: Any) -> Any:
        raise UnsupportedError(f"unsupported: 'x.y' op, at {location}")

    monkeypatch.setattr("aecompiler.kernel.Kernel.evaluate_reference", evaluate)
    Path("p.mlir").write_text(TEXT)
    outcome = run("p.mlir", "--shape", "q=1x1x2x4", "--shape", "k=1x1x2x4", "--check")
    assert outcome.status == 1
    assert outcome.err == f"{expected}\n"


def test_message_that_is_no_utf8_is_escaped(run: Run, tmp_path: Path) -> None:
    (tmp_path / "twice.mlir").write_text(2 * 'func.func private @"\\FF"()\n')
    outcome = run("twice.mlir")
    assert outcome.status == 1
    assert "twice.mlir:2:1: error: redefinition of symbol named '\\xff'\n" in outcome.err


def test_print_and_time(run: Run) -> None:
    outcome = run(
        "program.py:attention", *SIZES, "--input=scale=0", "--input=v=ones", "--print", "--time", "--repeat=3"
    )
    assert "[1. 1. 1. 1.]" in outcome.out
    assert "ms of 3 calls" in outcome.out


def test_outputs_are_complete_or_absent(run: Run, tmp_path: Path) -> None:
    before = set(os.listdir(tmp_path))
    outcome = run("program.py:attention", *SIZES, "--input", "scale=1", "--output", "none/o.npz")
    assert outcome.status == 2
    assert "no folder 'none'" in outcome.err
    (tmp_path / "o.npz").mkdir()
    outcome = run("program.py:attention", *SIZES, "--input", "scale=1", "--output", "o.npz")
    assert outcome.status == 2
    assert "cannot write 'o.npz'" in outcome.err
    assert set(os.listdir(tmp_path)) - before <= {"o.npz", "__pycache__"}


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expects a PROGRAM"),
        (["nope.mlir"], "cannot read 'nope.mlir'"),
        (["program.py"], "expects FILE.mlir, FILE.py:NAME or MODULE:NAME"),
        (["nope.py:x"], "cannot read 'nope.py'"),
        (["no.module:x"], "no module 'no.module'"),
        (["program.py:nope"], "'program.py' has no 'nope' (programs: attention, masked, outside, counted)"),
        (["program.py:number"], "expects number() to return a Program, got int"),
        (["program.py:x"], "expects 'x' to be a Program or a function returning one"),
        (["program.py:attention"], "the size of dimension 'B' is not known; give --dim B=SIZE"),
        (["text.mlir"], "the size of dimension 0 is not known; give --shape q="),
        (["program.py:attention", *SIZES], "input 'scale': scalars have no default"),
        (["program.py:attention", *SIZES, "--input", "scale=randn"], "expects a number for a scalar"),
        (["program.py:attention", *SIZES, "--input", "x=1"], "no argument 'x' (arguments: q, k, v, scale)"),
        (["program.py:attention", *SIZES, "--input", "q"], "--input expects NAME=VALUE"),
        (["program.py:attention", *SIZES, "--input", "q=foo"], "a number, a list, or one of"),
        (["program.py:attention", *SIZES, "--input", "q=no.npy"], "input 'q': cannot read 'no.npy'"),
        (["program.py:attention", *SIZES, "--input", "q=bad.npy"], "it is not a .npy file"),
        (["program.py:attention", *SIZES, "--input", "q=bad.npz"], "it is not a .npz file"),
        (["program.py:attention", *SIZES, "--input", "q=bad.safetensors"], "cannot read 'bad.safetensors'"),
        (["program.py:attention", *SIZES, "--input", "q=[1,"], "input 'q': bad list"),
        (["program.py:attention", *SIZES, "--input", "q=[[1], [2, 3]]"], "input 'q': bad list"),
        (["program.py:attention", *SIZES, "--input", "q=uniform:2,1"], "expects LOW < HIGH"),
        (["program.py:attention", *SIZES, "--input", "q=randint"], "expects randint:LOW,HIGH, got 'randint'"),
        (["program.py:attention", *SIZES, "--input", "q=bernoulli:2"], "a probability from 0 to 1"),
        (["program.py:attention", *SIZES, "--input", "q=1", "--input", "q=2"], "input 'q' is given twice"),
        (["program.py:attention", "--dim", "X=2"], "no dimension 'X' (dimensions: B, S)"),
        (["program.py:attention", "--dim", "B=two"], "--dim B: expects a size, got 'two'"),
        (["program.py:attention", "--dim", "B"], "--dim expects NAME=SIZE"),
        (["program.py:attention", "--shape", "q=1x2"], "expects 4 sizes for argument 'q', got 2"),
        (["program.py:attention", "--shape", "q=1x2xax4"], "--shape expects sizes joined by x"),
        (
            ["program.py:attention", "--shape", "q=1x3x3x4", "--input", "scale=1"],
            "argument 'q': expects size 2",
        ),
        (["program.py:attention", *SIZES, "--output", "o.txt"], "--output expects a file ending in"),
        (["program.py:attention", *SIZES, "--output", "o.npy"], "holds one array and there are 2 results"),
        (["program.py:attention", *SIZES, "--output", "x=o.npy"], "no result 'x' (results: o, top)"),
        (["program.py:attention", *SIZES, "--target", "toaster"], "unknown target 'toaster'"),
        (["program.py:attention", "--frobnicate"], "--frobnicate"),
        (["program.py:attention", "--seed", "x"], "expects a whole number"),
        (["program.py:attention", "--tolerance", "x"], "expects a number of at least 0"),
        (["program.py:attention", "--tolerance", "1"], "--tolerance expects --check beside it"),
        (["program.py:attention", "--repeat", "3"], "--repeat expects --time beside it"),
        (
            ["program.py:attention", "--time", "--repeat", "0"],
            "expects a whole number of at least 1, got '0'",
        ),
        (["program.py:attention", "--mlir", "--seed", "0"], "--mlir and --seed exclude each other"),
        (["text.mlir", "--mlir", "--function", "nope"], "--mlir and --function exclude each other"),
        (["program.py:build_one"], "without required parameters that returns one, but it requires heads"),
        (
            ["program.py:attention", "--shape", "q=1x2x3x4", "--dim", "B=2"],
            "--dim B=2: the size in argument 'q' is 1",
        ),
        (["program.py:attention", "--dim", f"B={10**30}"], "--dim B: expects a size"),
        (["program.py:attention", "--output=o=o.npy", "--output=top=./o.npy"], "'./o.npy' is given twice"),
        (
            ["program.py:attention", *SIZES, "--input", f"q={'[' * 30000}"],
            "input 'q': bad list: it nests too deep",
        ),
        (["program.py:attention", *SIZES, "--input", "q=uniform:-1e308,1e308"], "HIGH - LOW to be finite"),
        (["program.py:masked", *SIZES, "--input", f"ids={10**22}"], "expects i32, got numbers that i32"),
        (["program.py:masked", *SIZES, "--input", f"ids=[[{10**22}, 0, 0]]"], "got numbers that i32"),
        (["program.py:counted", *SIZES, "--input", f"c={10**22}"], "expects i64, got numbers that i64"),
        (
            ["program.py:attention", "--dim=B=1", f"--dim=S={10**11}"],
            "not enough memory, while making the inputs",
        ),
        (["program.py:attention", "--dim=B=1", f"--dim=S={9 * 10**17}"], "input 'q': array is too big"),
        (["random.mlir"], "neither text nor MLIR bytecode"),
    ],
)
def test_mistake_is_named(run: Run, argv: list[str], message: str) -> None:
    for name in ("bad.npy", "bad.npz", "bad.safetensors", "random.mlir"):
        Path(name).write_bytes(bytes(range(120, 250)))
    outcome = run(*argv)
    assert outcome.status == 2
    assert outcome.err.startswith("aec-run: error: ")
    assert message in outcome.err
    assert outcome.out == ""


def test_disagreeing_inputs_name_both_arguments(run: Run) -> None:
    outcome = run("program.py:attention", "--shape=q=1x2x3x4", "--shape=k=2x2x3x4", "--input=scale=1")
    assert outcome.status == 2
    assert "q.shape[0]" in outcome.err
    assert "k.shape[0]" in outcome.err


def test_invalid_text_gives_diagnostics(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.mlir").write_text(TEXT.replace("(%s) : (f32) -> ()", "() : () -> ()"))
    outcome = run("bad.mlir")
    assert outcome.status == 1
    assert outcome.err.startswith("bad.mlir:7:5: error: ")
    (tmp_path / "bad.mlir").write_text("func.func @f(")
    assert run("bad.mlir").err.startswith("bad.mlir:1:")


def test_error_in_the_users_python_points_at_the_line(run: Run, tmp_path: Path) -> None:
    outcome = run("program.py:broken")
    assert outcome.status == 1
    line = PROGRAM[: PROGRAM.index("1 // 0")].count("\n") + 1
    assert f"program.py:{line}: error: ZeroDivisionError" in outcome.err
    (tmp_path / "syntax.py").write_text("x = 1\nif x\n")
    outcome = run("syntax.py:x")
    assert outcome.status == 1
    assert "syntax.py:2: error: SyntaxError" in outcome.err


def test_crash_and_hang_end_with_a_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    outcome = run("crash.py:x")
    assert outcome.status == 3
    assert outcome.err == "aec-run: internal error: loading the program crashed (SIGKILL)\n"
    (tmp_path / "hang.py").write_text("import time\ntime.sleep(60)\n")
    outcome = run("hang.py:x", "--timeout", "0.5")
    assert outcome.status == 3
    assert "did not finish within 0.5 s (see --timeout)" in outcome.err


def test_help_names_every_way_to_give_a_value(run: Run) -> None:
    from aecompiler.tools.run_values import _PARAMETERS

    outcome = run("--help")
    assert outcome.status == 0
    for name in _PARAMETERS:
        assert name in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 110


def test_installed_script_runs() -> None:
    script = Path(sys.executable).with_name("aec-run")
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "aecompiler.tools.run"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--input" in done.stdout
