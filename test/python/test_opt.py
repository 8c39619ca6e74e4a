"""aec-opt as a process: signals, pipes, files, and what it imports."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BAD_PASSES = Path(__file__).parents[1] / "lit" / "tools" / "Inputs" / "bad_passes.py"
OPT = [sys.executable, "-m", "aecompiler.tools.opt"]
SOURCE = "func.func @f(%x: f32) -> f32 {\n  return %x : f32\n}\n"


def run(*flags, source=SOURCE, **kwargs):
    data = source.encode() if isinstance(source, str) else source
    return subprocess.run([*OPT, *flags], input=data, capture_output=True, timeout=120, check=False, **kwargs)


def hanging(tmp_path):
    file = tmp_path / "f.mlir"
    file.write_text(SOURCE)
    flags = [str(file), f"--load-pass-module={BAD_PASSES}", "--test-fail=how=hang", "--timeout=60"]
    process = subprocess.Popen([*OPT, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 30
    while not (children := _children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    return process, children


def _children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signal_ends_parent_and_child(tmp_path, number):
    process, children = hanging(tmp_path)
    assert len(children) == 1
    process.send_signal(number)
    assert process.wait(timeout=10) == -number
    deadline = time.monotonic() + 5
    while _is_alive(children[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(children[0])


def test_closed_pipe_is_quiet():
    source = "".join(f"func.func private @f{n}()\n" for n in range(20000))
    process = subprocess.Popen(OPT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(source.encode())
    process.stdin.close()
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0


def test_closed_standard_streams():
    closed = run(preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stdout) == (2, b"")
    assert b"cannot write to standard output" in closed.stderr
    assert run(preexec_fn=lambda: os.close(2)).stdout.startswith(b"module")
    assert run(preexec_fn=lambda: os.close(0)).stdout == b"module {\n}\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"// caf\xe9\n", b"<stdin>:1:7: error: expects UTF-8 text or MLIR bytecode, got byte 0xe9"),
        (b"\n\n a\0b", b"<stdin>:3:3: error: expects UTF-8 text or MLIR bytecode, got byte 0x00"),
        (b"ML\xefRgarbage", b"error: bytecode version"),
        (b"module {" * 20000, b"<stdin>:1:32776: error: expects at most 4096 levels of nesting"),
        (
            b"func.func private @f(%a: " + b"tuple<" * 20000 + b"i1" + b">" * 20000 + b")",
            b"at most 4096 levels",
        ),
        (b"func.func @f(", b"<stdin>:1:13: error: "),
    ],
)
def test_bad_input_is_a_diagnostic(source, message):
    result = run(source=source)
    assert result.returncode == 1
    assert message in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("holder", ["// %s", 'module attributes {test.text = "%s"} {}'])
def test_brackets_in_comments_and_strings_do_not_nest(holder):
    for bracket in ("{", "<"):
        result = run(source=holder % (bracket * 5000))
        assert (result.returncode, result.stderr) == (0, b"")


def test_closing_bracket_in_a_comment_does_not_hide_nesting():
    result = run(source="module { // }\n" * 5000)
    assert result.stderr == b"<stdin>:4097:8: error: expects at most 4096 levels of nesting\n"


def test_message_that_is_no_utf8_is_escaped():
    source = 'func.func private @"\\FF"()\n'
    twice = run(source=2 * source)
    assert twice.returncode == 1
    assert b"<stdin>:2:1: error: redefinition of symbol named '\\xff'\n" in twice.stderr
    assert b"<stdin>:1:1: note: see existing symbol definition here" in twice.stderr
    note, error = "// expected-note@+1 {{existing}}\n", "// expected-error@+1 {{named '\\xff'}}\n"
    assert run("--verify-diagnostics", source=note + source + error + source).returncode == 0
    bytecode = run("--emit-bytecode", source=source).stdout
    broken = run(source=bytecode.replace(b"func", b"f\xffnc"))
    assert broken.returncode == 1
    assert b"<stdin>: error: dialect 'f\\xffnc' is unknown" in broken.stderr


def test_name_that_is_no_utf8_is_printed_as_in_the_ir():
    dump = ("--pass-pipeline=func.func(canonicalize)", "--print-ir-after-all")
    result = run(*dump, source='func.func @"\\FF"() { return }')
    assert result.returncode == 0
    assert b"IR Dump After canonicalize ('func.func' operation: @\"\\FF\") //" in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_broken_stderr_keeps_output_and_status(tmp_path):
    output = tmp_path / "out.mlir"
    flags = ["--canonicalize", "--print-ir-after-all", "--timing", "-o", str(output)]
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open("/dev/full", "wb") as full, open(write_end, "wb") as pipe:
        assert subprocess.run([*OPT, "nope"], stderr=full, check=False).returncode == 2
        for stderr in (full, pipe):
            done = subprocess.run([*OPT, *flags], input=SOURCE.encode(), stderr=stderr, check=False)
            assert done.returncode == 0
            assert output.read_text().startswith("module")
            output.unlink()


def test_output_keeps_mode_and_follows_links(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert run("-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text().startswith("module")
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_default_reproducer_replays(tmp_path):
    flags = [f"--load-pass-module={BAD_PASSES}", "--cse", "--test-fail=how=abort"]
    result = run(*flags, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert result.returncode == 3
    (file,) = tmp_path.glob("aec-opt-*/reproducer.mlir")
    assert str(file) in result.stderr.decode()
    again = run(str(file), "--run-reproducer", *flags[:1], f"--crash-reproducer={tmp_path}/again")
    assert again.returncode == 3
    assert b"pass 'test-fail' crashed (SIGABRT)" in again.stderr


def test_crash_while_parsing_keeps_the_input(tmp_path):
    module = tmp_path / "crash.py"
    module.write_text(
        "import os\n"
        "from aecompiler.tools import opt_driver\n"
        "opt_driver.make_context = lambda **_: os.abort()\n"
    )
    target = tmp_path / "r.mlir"
    result = run(f"--load-pass-module={module}", f"--crash-reproducer={target}")
    assert result.returncode == 3
    assert b"while parsing the input, crashed (SIGABRT)" in result.stderr
    assert SOURCE in target.read_text()


def test_crash_while_reading_bytecode_keeps_a_copy_and_the_flags(tmp_path):
    bytecode = run("--emit-bytecode").stdout
    module = tmp_path / "crash.py"
    module.write_text(
        "import os\n"
        "from aecompiler.tools import opt_driver\n"
        "opt_driver.make_context = lambda **_: os.abort()\n"
    )
    flags = [f"--load-pass-module={module}", "--canonicalize=max-iterations=2 top-down=false"]
    result = run(*flags, source=bytecode, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert result.returncode == 3
    (copy,) = tmp_path.glob("aec-opt-*/input.mlirbc")
    assert copy.read_bytes() == bytecode
    assert b"--run-reproducer" not in result.stderr
    replay = result.stderr.decode().partition("note: replay: aec-opt ")[2]
    again = subprocess.run([*OPT, *shlex.split(replay)], capture_output=True, check=False)
    assert again.returncode == 3
    assert b"while parsing the input, crashed (SIGABRT)" in again.stderr


def test_heavy_modules_are_not_imported(tmp_path):
    module = tmp_path / "probe.py"
    module.write_text(
        "import sys\n"
        "heavy = [m for m in ('torch', 'triton', 'sympy', 'numpy') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    result = run(f"--load-pass-module={module}", "--attn-canonicalize")
    assert (result.returncode, result.stderr) == (0, b"")
