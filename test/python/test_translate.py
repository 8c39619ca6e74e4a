"""aec-translate as a process: inputs, outputs, pipes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from triton_kernels import KERNELS_FILE, kernels

TRANSLATE = [sys.executable, "-m", "aecompiler.tools.translate"]
PROGRAMS = KERNELS_FILE.parent
PROGRAM = "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n  return %x : tensor<4xf32>\n}\n"
TO_TT = ("--target=nvidia:sm_90", "--emit=tt")
TO_CPU = ("--target=cpu", "--emit=llvm")


def run(*flags, source=PROGRAM, **kwargs):
    data = source.encode() if isinstance(source, str) else source
    command = [*TRANSLATE, "-", *flags]
    return subprocess.run(command, input=data, capture_output=True, timeout=120, check=False, **kwargs)


@pytest.mark.parametrize("flags", [TO_TT, TO_CPU])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"// caf\xe9\n", b"<stdin>: error: expects MLIR, as UTF-8 text or as bytecode"),
        (b"ML\xefRgarbage", b"<stdin>: error: bytecode version"),
        (b"func.func @f(", b"<stdin>:1:13: error: "),
        (
            b'func.func private @"\\FF"()\nfunc.func private @"\\FF"()\n',
            b"redefinition of symbol named '\\xff'",
        ),
    ],
)
def test_bad_input_is_a_diagnostic(flags, source, message):
    result = run(*flags, source=source)
    assert result.returncode == 1
    assert message in result.stderr
    assert b"Traceback" not in result.stderr


def test_unknown_operations_are_refused_in_a_program():
    result = run(*TO_CPU, source='"x.y"() : () -> ()\n')
    assert result.returncode == 1
    assert b"<stdin>:1:6: error: operation being parsed with an unregistered dialect" in result.stderr


def test_bytecode_is_read_as_text_is():
    command = [sys.executable, "-m", "aecompiler.tools.opt", "-", "--emit-bytecode"]
    bytecode = subprocess.run(command, input=PROGRAM.encode(), capture_output=True, check=True).stdout
    assert run(*TO_CPU, source=bytecode).stdout == run(*TO_CPU).stdout != b""


def test_program_in_python_is_traced(tmp_path):
    (tmp_path / "program.py").write_text(
        "import aecompiler as aec\n\n\n"
        "@aec.program(x=aec.tensor(4))\n"
        "def f(x):\n    return x + x\n\n\n"
        "def broken():\n    return 1 // 0\n"
    )
    command = [*TRANSLATE, *TO_CPU]
    result = subprocess.run(
        [*command, f"{tmp_path}/program.py:f"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "fadd float" in result.stdout
    place = f"{tmp_path}/program.py"
    result = subprocess.run([*command, f"{place}:broken"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{place}:10: error: ZeroDivisionError")
    result = subprocess.run([*command, f"{place}:g"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == f"aec-translate: error: '{place}' has no 'g' (programs: f)\n"


def test_archive_holds_the_program(tmp_path):
    pytest.importorskip("triton")
    pytest.importorskip("torch")
    from aecompiler.saved_kernel import load

    file = tmp_path / "f.aec"
    source = (PROGRAMS / "translate-program.mlir").read_bytes()
    flags = ("--target=nvidia:sm_90", "--emit=archive", "--option=block_q=32", "-o", str(file))
    result = run(*flags, source=source)
    assert (result.returncode, result.stderr) == (0, b"")
    kernel = load(file)
    assert (kernel.name, len(kernel.arguments), len(kernel.results)) == ("attention", 3, 1)
    assert list(kernel.artifact.manifest["kernels"]) == ["attention_0"]


def test_mistakes_in_flags_for_an_archive():
    flags = ("--target=nvidia:sm_90", "--emit=archive")
    source = (PROGRAMS / "translate-program.mlir").read_bytes()
    assert b"error: no function 'g' in the program" in run(*flags, "--function=g", source=source).stderr
    assert b"--option: unknown option 'tile'" in run(*flags, "--option=tile=1", source=source).stderr


def test_archive_is_of_a_whole_program():
    pytest.importorskip("triton")
    flags = ("--target=nvidia:sm_90", "--emit=archive")
    lowered = run(*flags, source=KERNELS_FILE.read_bytes())
    assert lowered.returncode == 2
    assert lowered.stderr == b"aec-translate: error: --emit=archive: expects a whole program, not kernels\n"


def test_program_that_is_the_hosts_alone_has_no_kernel():
    assert b"func.func @f" in run(*TO_TT).stdout
    result = run("--target=nvidia:sm_90", "--emit=ptx")
    assert result.returncode == 2
    assert result.stderr == b"aec-translate: error: '<stdin>' makes no kernel: the host does all of it\n"


def test_text_in_tritons_own_form_is_taken_as_it_is(tmp_path):
    pytest.importorskip("triton")
    from aecompiler.backends.nvidia.target import SM_80
    from aecompiler.backends.triton.compiler import compile_kernel

    stages = compile_kernel(kernels()["f_1"].text, "f_1", SM_80, num_warps=2).stages
    for form in ("ttir", "ttgir"):
        file = tmp_path / f"kernel.{form}"
        file.write_text(str(stages[form]))
        command = [*TRANSLATE, str(file), "--target=nvidia:sm_80", "--emit=ptx"]
        option = ["--option=num_warps=2"] if form == "ttir" else []
        result = subprocess.run([*command, *option], capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        assert ".reqntid 64" in result.stdout
    result = subprocess.run([*command, "--option=num_warps=2"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "--option: a kernel with layouts says itself what its options are" in result.stderr


def test_file_in_tritons_own_form_without_a_kernel_is_refused(tmp_path):
    file = tmp_path / "empty.ttir"
    file.write_text("module {}")
    result = subprocess.run([*TRANSLATE, str(file), *TO_TT], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == f"aec-translate: error: '{file}' holds no tt.func\n"


def test_several_binaries_need_a_folder():
    pytest.importorskip("triton")
    result = run("--target=nvidia:sm_90", "--emit=cubin", source=KERNELS_FILE.read_bytes())
    assert result.returncode == 2
    assert result.stdout == b""
    assert b"--emit=cubin: expects --kernel, or -o DIR/, for several kernels (f_0, f_1)" in result.stderr


def test_one_binary_goes_to_a_file(tmp_path):
    pytest.importorskip("triton")
    flags = ("--target=nvidia:sm_90", "--emit=cubin", "--kernel=f_1")
    file = tmp_path / "f.cubin"
    assert run(*flags, "-o", str(file), source=KERNELS_FILE.read_bytes()).returncode == 0
    assert file.read_bytes().startswith(b"\x7fELF")
    assert run(*flags, source=KERNELS_FILE.read_bytes()).stdout == file.read_bytes()


def test_unwritable_folder_is_a_mistake(tmp_path):
    pytest.importorskip("triton")
    (tmp_path / "file").write_text("")
    flags = ("--target=nvidia:sm_90", "--emit=cubin", "-o", f"{tmp_path}/file/x/")
    result = run(*flags, source=KERNELS_FILE.read_bytes())
    assert result.returncode == 2
    assert result.stderr.startswith(b"aec-translate: error: cannot write '")


def test_failed_run_leaves_the_old_output(tmp_path):
    file = tmp_path / "out.ll"
    file.write_text("old")
    assert run(*TO_CPU, "-o", str(file), source="func.func @f(").returncode == 1
    assert file.read_text() == "old"


def test_closed_pipe_is_quiet():
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as pipe:
        done = subprocess.run(
            [*TRANSLATE, "-", *TO_CPU],
            input=PROGRAM.encode(),
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*TRANSLATE, "-", *TO_CPU],
            input=PROGRAM.encode(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == b"aec-translate: error: cannot write to standard output: No space left on device\n"


# ---- signals -----------------------------------------------------------------------------------------


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    found = [int(child) for child in children]
    return found + [each for child in found for each in _descendants(child)]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_ends_the_process_that_compiles_as_well(tmp_path, number):
    pytest.importorskip("triton")
    # An assembler that hangs.
    tool = tmp_path / "ptxas"
    tool.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo "Cuda compilation tools, release 12.9, V12.9.1"; exit; }\n'
        "exec sleep 60\n"
    )
    tool.chmod(0o755)
    environment = {**os.environ, "TRITON_PTXAS_PATH": str(tool)}
    flags = ["--target=nvidia:sm_80", "--emit=ptx", "--kernel=f_1"]
    process = subprocess.Popen([*TRANSLATE, str(KERNELS_FILE), *flags], env=environment)
    deadline = time.monotonic() + 60
    while not _runs_sleep(found := _descendants(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _runs_sleep(found)
    process.send_signal(number)
    assert process.wait(timeout=10) == -number
    compiling = [pid for pid in found if not _runs_sleep([pid])]
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in compiling) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_is_alive(pid) for pid in compiling)
    for pid in found:  # the stand-in for the assembler has no time limit of its own
        if _runs_sleep([pid]):
            os.kill(pid, signal.SIGKILL)


def _runs_sleep(pids: list[int]) -> bool:
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
                return True
        except OSError:
            continue
    return False
