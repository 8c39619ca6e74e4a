"""What the assembler says of a kernel, by a stand-in that says it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aecompiler.backends.triton.ptxas import AssemblyError, assemble

WRITTEN = """\
ptxas info    : 11 bytes gmem
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to X
ptxas info    : Compiling entry function 'f' for 'sm_90a'
ptxas-blackwell warning : Registers are spilled to local memory in function 'f'
ptxas info    : Function properties for f
    40 bytes stack frame, 52 bytes spill stores, 64 bytes spill loads
ptxas info    : Used 168 registers, used 9 barriers, 48 bytes smem, 600 bytes cmem[0]
"""


def stand_in(folder, written: str, *, status: int = 0, version: str = "13.4"):
    """A tool that notes its flags, writes a binary and that text, and ends with the status."""
    (folder / "written").write_text(written)
    tool = folder / "ptxas-stand-in"
    tool.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/flags\ncat {folder}/written >&2\n'
        f"printf ELF > kernel.cubin\nexit {status}\n"
    )
    tool.chmod(0o755)
    return SimpleNamespace(path=str(tool), version=version)


def test_numbers_and_warnings_are_read(tmp_path):
    found = assemble(".ptx", str(tmp_path), stand_in(tmp_path, WRITTEN), "sm_90a")
    assert (found.cubin, found.registers, found.stack) == (b"ELF", 168, 40)
    assert (found.spill_stores, found.spill_loads) == (52, 64)
    assert (found.static_shared, found.barriers) == (48, 9)
    serialized = "(C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to X"
    assert found.warnings == (serialized, "Registers are spilled to local memory in function 'f'")


def test_kernel_without_barriers_and_shared_memory(tmp_path):
    text = WRITTEN.replace(", used 9 barriers, 48 bytes smem", "")
    found = assemble(".ptx", str(tmp_path), stand_in(tmp_path, text), "sm_90a")
    assert (found.registers, found.static_shared, found.barriers) == (168, 0, 0)


@pytest.mark.parametrize(("version", "has_flag"), [("12.9", False), ("13.4", True)])
def test_workaround_is_for_the_release_with_the_fault(tmp_path, version, has_flag):
    assemble(".ptx", str(tmp_path), stand_in(tmp_path, WRITTEN, version=version), "sm_80")
    flags = (tmp_path / "flags").read_text().split()
    assert ("--regAllocOptLevel=2" in flags) == has_flag
    assert "--gpu-name=sm_80" in flags


def test_all_that_is_written_is_the_message_of_a_refusal(tmp_path):
    with pytest.raises(AssemblyError, match=r"^ptxas fatal   : No$"):
        assemble(".ptx", str(tmp_path), stand_in(tmp_path, "ptxas fatal   : No", status=255), "sm_90a")


def test_refusal_without_a_word_tells_the_status(tmp_path):
    with pytest.raises(AssemblyError, match=r"^ptxas ended with status 3$"):
        assemble(".ptx", str(tmp_path), stand_in(tmp_path, "", status=3), "sm_90a")


def test_output_of_another_form_is_refused(tmp_path):
    with pytest.raises(AssemblyError, match=r"^ptxas does not say what the kernel uses: "):
        assemble(".ptx", str(tmp_path), stand_in(tmp_path, "done\n"), "sm_90a")
