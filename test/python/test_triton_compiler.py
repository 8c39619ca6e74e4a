"""Compiling kernels in Triton's dialects: what comes out for each chip, and every way in which it fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from triton_kernels import KERNELS_FILE, inline_assembly, kernels

from aecompiler.backends.nvidia.target import NAMED_TARGETS, SM_80, SM_90, SM_100, NvidiaTarget
from aecompiler.backends.triton.compiler import CompiledKernel, compile_kernel
from aecompiler.backends.triton.sass import disassemble
from aecompiler.errors import BackendError, CompileError

pytest.importorskip("triton")

PRODUCT, COPY = kernels()["f_0"], kernels()["f_1"]
INSTRUCTIONS = {"mma": "mma.sync.aligned", "wgmma": "wgmma.mma_async", "tcgen05": "tcgen05.mma"}


def compiled(
    text: str = COPY.text, name: str = "f_1", target: NvidiaTarget = SM_90, **options
) -> CompiledKernel:
    return compile_kernel(text, name, target, **options)


def refusal(text: str, name: str = "f_1", target: NvidiaTarget = SM_90, **options) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compile_kernel(text, name, target, **options)
    return caught.value


@pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.name)
def test_each_chip_gets_its_matrix_instruction(target):
    kernel = compiled(PRODUCT.text, "f_0", target, num_warps=4)
    found = [kind for kind, text in INSTRUCTIONS.items() if text in kernel.ptx]
    assert found == [target.matrix_instruction]
    assert f".target sm_{target.arch}" in kernel.ptx
    assert kernel.cubin.startswith(b"\x7fELF")
    assert (kernel.num_warps, kernel.threads) == (4, 128)
    assert 0 < kernel.shared <= target.shared_bytes_per_block
    assert 0 < kernel.registers <= target.registers_per_thread
    assert (kernel.spills, kernel.stack, kernel.warnings) == (0, 0, ())
    assert bool(kernel.tensor_memory) == (target.tensor_memory_bytes > 0)
    assert kernel.ptx == kernel.stages["ptx"]
    assert list(kernel.stages) == ["ttir", "ttgir", "llir", "ptx"]


def test_scratch_pointers_are_the_parameters_after_those_of_the_kernel():
    for kernel, parameters in ((compiled(PRODUCT.text, "f_0"), 4), (compiled(), 2)):
        declared = re.findall(rf"{kernel.name}_param_\d+(?=[,\n])", kernel.ptx.partition("{")[0])
        assert kernel.scratch == len(declared) - parameters == 2


def test_number_of_warps_is_that_of_the_call():
    one, eight = compiled(num_warps=1), compiled(num_warps=8)
    assert (one.threads, eight.threads) == (32, 256)
    assert ".reqntid 32" in one.ptx
    assert ".reqntid 256" in eight.ptx


def test_more_stages_take_more_shared_memory():
    two, four = (compiled(PRODUCT.text, "f_0", num_stages=count) for count in (2, 4))
    assert four.shared > two.shared


def test_code_is_the_same_each_time_and_names_no_temporary_folder():
    first, second = compiled(PRODUCT.text, "f_0"), compiled(PRODUCT.text, "f_0")
    assert first == second
    assert b"aec-triton-" not in first.cubin
    assert not any("aec-triton-" in str(text) for text in first.stages.values())


def test_compiling_writes_nothing_that_stays(tmp_path):
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from triton_kernels import kernels\n"
        "from aecompiler.backends.nvidia.target import SM_90\n"
        "from aecompiler.backends.triton.compiler import compile_kernel\n"
        "compile_kernel(kernels()['f_1'].text, 'f_1', SM_90)\n"
        "compile_kernel(kernels()['f_1'].text, 'f_1', SM_90, isolated=True)\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRITON_")},
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_environment_of_triton_changes_neither_chip_nor_rounding(monkeypatch):
    expected = compiled(PRODUCT.text, "f_0", SM_80)
    monkeypatch.setenv("TRITON_OVERRIDE_ARCH", "sm90")
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "0")
    assert compiled(PRODUCT.text, "f_0", SM_80) == expected


@pytest.mark.parametrize("target", [SM_80, SM_90], ids=lambda target: target.name)
def test_code_is_that_of_tritons_own_last_stage(target):
    from triton.backends.compiler import GPUTarget, Language
    from triton.compiler.compiler import make_backend

    kernel = compiled(PRODUCT.text, "f_0", target)
    backend = make_backend(GPUTarget("cuda", target.arch, 32))
    stages: dict = {}
    backend.add_stages(stages, backend.parse_options({"enable_fp_fusion": True}), Language.TRITON)
    assert disassemble(stages["cubin"](kernel.ptx, {})) == disassemble(kernel.cubin)


def test_text_with_layouts_skips_the_passes_before():
    kernel = compiled(PRODUCT.text, "f_0", num_warps=8)
    again = compile_kernel(str(kernel.stages["ttgir"]), "f_0", SM_90, stage="ttgir")
    assert list(again.stages) == ["ttgir", "llir", "ptx"]
    assert (again.num_warps, again.shared, again.registers) == (8, kernel.shared, kernel.registers)


def test_text_with_layouts_says_how_many_warps_it_has():
    error = refusal(COPY.text, stage="ttgir")
    assert str(error).endswith("Triton's parser: expects the attribute 'ttg.num-warps'")


def test_process_of_its_own_makes_the_same_code():
    assert compiled(isolated=True, timeout=60) == compiled()


# ---- refusals ----------------------------------------------------------------------------------------


def test_syntax_error_quotes_the_line_where_it_has_no_location():
    error = refusal(inline_assembly("mov.u32 $0, $1;").replace('"tt.return"()', '"tt.return"('), "asm")
    diagnostic = error.diagnostics[0]
    assert diagnostic.file is None
    assert re.fullmatch(
        r"kernel 'asm' for nvidia:sm_90: Triton's parser: expected .+: \"tt.return\"\( : \(\) -> \(\)",
        diagnostic.message,
    )


def test_complaint_of_the_verifier_is_at_the_location_in_the_program():
    text = re.sub(
        r"end = 128 : i32(.*)loc\(.*\)", r'end = 64 : i32\1loc("program.py":12:7)', COPY.text, count=1
    )
    error = refusal(text)
    diagnostic = error.diagnostics[0]
    assert (diagnostic.file, diagnostic.line, diagnostic.column) == ("program.py", 12, 7)
    assert "kernel 'f_1' for nvidia:sm_90: Triton's parser: " in diagnostic.message
    assert "'tt.make_range' op" in diagnostic.message


def test_complaint_of_a_pass_names_the_stage_and_is_at_the_location():
    stored = re.search(r'"tt.store"\((%\w+), (%[\w#]+)\)', PRODUCT.text)
    assert stored is not None
    atan = (
        f'%atan = "math.atan"({stored[2]}) : (tensor<64x64xf32>) -> tensor<64x64xf32> loc("program.py":3:5)\n'
    )
    text = PRODUCT.text.replace(stored[0], f'{atan}"tt.store"({stored[1]}, %atan)')
    diagnostic = refusal(text, "f_0").diagnostics[0]
    assert (diagnostic.file, diagnostic.line, diagnostic.column) == ("program.py", 3, 5)
    assert "kernel 'f_0' for nvidia:sm_90: stage 'ttgir': " in diagnostic.message
    assert "math.atan" in diagnostic.message


def test_complaint_of_the_assembler_is_at_the_location_of_its_instruction():
    error = refusal(inline_assembly("nonsense $0, $1;", place='loc("program.py":7:3)'), "asm")
    diagnostic = error.diagnostics[0]
    assert (diagnostic.file, diagnostic.line, diagnostic.column) == ("program.py", 7, 3)
    assert diagnostic.message.startswith(
        "kernel 'asm' for nvidia:sm_90: ptxas: Not a name of any known instruction"
    )
    assert "nonsense %r" in diagnostic.message


def test_other_name_is_refused():
    assert str(refusal(COPY.text, "g")).endswith("expects a public function 'g', got 'f_1'")


def test_more_shared_memory_than_a_block_may_have_is_refused_with_the_numbers():
    error = refusal(PRODUCT.text, "f_0", SM_80, num_stages=16)
    assert re.search(
        r"resources: expects at most 166912 bytes of shared memory in a block, got \d{6}$", str(error)
    )


def test_abort_of_the_compiler_is_an_error_in_a_process_of_its_own():
    text = inline_assembly("mov.u32 $0, $1;", "=r,r,r,r")
    error = refusal(text, "asm", SM_100, isolated=True)
    assert re.search(
        r"kernel 'asm' for nvidia:sm_100: Triton: the compiler crashed \(SIGABRT\): \w+", str(error)
    )


def test_hang_of_the_compiler_is_an_error_in_a_process_of_its_own():
    error = refusal(COPY.text, isolated=True, timeout=0.01)
    assert str(error).endswith("Triton: the compilation did not finish within 0.01 s")


def test_refusal_in_a_process_of_its_own_is_that_of_this_one():
    text = inline_assembly("nonsense $0, $1;", place='loc("program.py":7:3)')
    here, there = refusal(text, "asm"), refusal(text, "asm", isolated=True)
    assert (str(there), there.diagnostics) == (str(here), here.diagnostics)


def test_missing_triton_is_an_error_of_the_backend(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setitem(sys.modules, "triton.backends.nvidia.compiler", None)
    with pytest.raises(
        BackendError, match=r"^target 'nvidia:sm_90' needs Triton, which can't be imported here: "
    ):
        compiled()


# ---- threads and streams -----------------------------------------------------------------------------


def test_threads_compile_at_the_same_time_and_get_their_own_errors(capfd):
    bad = inline_assembly("nonsense $0, $1;")
    results: dict[int, object] = {}

    def work(number: int) -> None:
        try:
            results[number] = compiled() if number % 2 else compiled(bad, "asm")
        except CompileError as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[1] == results[3] == compiled()
    assert all("nonsense" in str(results[number]) for number in (0, 2))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_what_triton_writes_beside_errors_is_passed_on(capfd, monkeypatch):
    monkeypatch.setenv("MLIR_ENABLE_DUMP", "1")
    compiled()
    assert "IR Dump Before" in capfd.readouterr().err


def test_what_a_process_of_its_own_writes_is_passed_on(capfd, monkeypatch):
    monkeypatch.setenv("MLIR_ENABLE_DUMP", "1")
    compiled(isolated=True)
    assert "IR Dump Before" in capfd.readouterr().err


def test_bug_in_a_process_of_its_own_is_told_with_its_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)^compiling kernel 'f_1' failed:\nTraceback .*TypeError: "):
        compiled(isolated=True, num_warps="many")


def test_kernels_are_cut_out_with_their_options():
    assert (PRODUCT.num_warps, PRODUCT.num_stages, PRODUCT.stage) == (8, 3, "ttir")
    assert (COPY.num_warps, COPY.num_stages) == (4, 3)
    assert PRODUCT.text.count('"tt.func"') == COPY.text.count('"tt.func"') == 1
    assert "tt_host" not in PRODUCT.text + COPY.text
    assert "func.func" not in PRODUCT.text + COPY.text


def test_kernel_that_is_cut_out_is_known_to_have_sizes():
    text = KERNELS_FILE.read_text().replace(
        "tt_host.num_warps = 8 : i32", "tt_host.num_warps = 8 : i32, tt_host.sizes = array<i64: 1, 2>"
    )
    found = kernels(text)
    assert sorted(each.sizes for each in found.values()) == [(), (1, 2)]
    assert all("tt_host" not in each.text for each in found.values())


def test_module_with_layouts_keeps_its_attributes():
    attributes = '"ttg.num-warps" = 2 : i32, tt_host.x = 1 : i32'
    text = f"module attributes {{{attributes}}} {{\n{KERNELS_FILE.read_text()}\n}}"
    kernel = kernels(text)["f_1"]
    assert kernel.stage == "ttgir"
    assert '"ttg.num-warps" = 2' in kernel.text or "ttg.num-warps = 2" in kernel.text
    assert "tt_host" not in kernel.text


@pytest.mark.parametrize("value", ["0 : i32", '"four"'])
def test_option_of_a_kernel_that_is_no_positive_integer_is_refused(value):
    text = KERNELS_FILE.read_text().replace("tt_host.num_warps = 8 : i32", f"tt_host.num_warps = {value}")
    with pytest.raises(
        CompileError, match=r"'tt.func' op expects 'tt_host.num_warps' to be a positive integer"
    ):
        kernels(text)
