"""Compiled kernels from the cache: found when they should be, made anew when not, and never an error."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import build
from ir_programs import WEIGHTS, attention
from kernels import SHAPES, qkv

import aecompiler as aec
from aecompiler.backends import code_keys
from aecompiler.backends.cpu import backend, kernel_cache, launch, object_file
from aecompiler.backends.cpu.kernel_cache import CachedKernel
from aecompiler.disk_cache import DiskCache
from aecompiler.signature import parse

TEXT = attention(**SHAPES, element="f32", normalize=WEIGHTS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def work(monkeypatch):
    """What was done to get at kernels: "passes", "compile", "load"."""
    done = []

    def note(module, name, what):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (done.append(what), original(*a, **k))[1])

    note(backend, "run_pipeline", "passes")
    note(launch, "JitCode", "compile")
    note(launch, "LoadedObject", "load")
    return done


def entries(folder):
    return sorted(folder.glob("*.entry"))


def result(text=TEXT, **options):
    return aec.compile(text, **{"opt_level": 0, **options})(*qkv())


LOADS = sys.platform == "linux"
COLD, WARM = ["passes", "compile", "load"], ["load"] if LOADS else ["compile"]


def test_the_second_time_nothing_is_compiled(folder, work):
    first = result()
    assert work == COLD
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == WARM
    assert len(entries(folder)) == 1


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has files in memory")
def test_nothing_is_written_outside_of_the_cache(folder, work, monkeypatch, tmp_path):
    # LLVM would end the process if the disk of the temporary folder were full.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    result()
    work.clear()
    result()
    assert work == WARM


def test_the_artifact_is_the_same(folder):
    cold, warm = (aec.compile(TEXT, opt_level=0).artifact for _ in range(2))
    assert cold.text == warm.text
    assert cold.metadata == warm.metadata


def test_turned_off(folder, work, monkeypatch):
    monkeypatch.setenv("AECOMPILER_CACHE", "0")
    result()
    result()
    assert work == ["passes", "compile"] * 2
    assert not folder.exists()


@pytest.mark.parametrize("options", [{"opt_level": 1}, {"block_q": 8}])
def test_another_schedule_is_another_kernel(folder, work, options):
    result()
    work.clear()
    result(**options)
    assert work == COLD
    assert len(entries(folder)) == 2


def test_the_number_of_threads_is_not_in_the_code(folder, work):
    result(threads=1)
    work.clear()
    result(threads=2)
    assert work == WARM


def test_another_program_is_another_kernel(folder):
    result()
    result(TEXT.replace("arith.divf", "arith.mulf"))
    assert len(entries(folder)) == 2


def test_locations_do_not_matter(folder, work):
    result()
    work.clear()
    result("\n\n// moved down\n" + TEXT)
    assert work == WARM


def test_another_version_is_another_kernel(folder, work, monkeypatch):
    result()
    work.clear()
    monkeypatch.setattr(kernel_cache, "versions", lambda: ("another",))
    result()
    assert work == COLD


def test_versions_follow_the_files_of_the_compiler(tmp_path):
    assert code_keys.versions() == code_keys.versions.__wrapped__()
    names = "\n".join(code_keys.versions())
    assert "passes/attention_to_linalg.py" in names
    assert "backends/cpu/pipelines.py" in names
    assert "_mlir" in names
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.txt").write_text("1")
    before = code_keys.list_files(tmp_path, ".py")
    assert len(before) == 1
    (tmp_path / "a.py").write_text("22")
    assert code_keys.list_files(tmp_path, ".py") != before


def test_another_processor_is_another_kernel(folder, work, monkeypatch):
    result()
    work.clear()
    target = backend.CpuBackend.target
    monkeypatch.setattr(backend.CpuBackend, "target", dataclasses.replace(target, identity="another"))
    result()
    assert work == COLD


@pytest.mark.parametrize(
    "change",
    [{"cores": 1}, {"cores": 77}, {"l3_bytes": 1}, {"page_bytes": 65536}],
    ids=str,
)
def test_code_does_not_depend_on_cores_and_pages(folder, work, monkeypatch, change):
    """`taskset`, or another control group, must not compile everything anew."""
    result()
    work.clear()
    target = backend.CpuBackend.target
    monkeypatch.setattr(backend.CpuBackend, "target", dataclasses.replace(target, **change))
    result()
    assert work == WARM


@pytest.mark.parametrize(
    "change",
    [{"machine": "another"}, {"identity": "another"}, {"features": ("another",)}, {"vector_registers": 7}],
    ids=str,
)
def test_code_depends_on_the_processor(change):
    target = dataclasses.replace(backend.CpuBackend.target, **change)
    keys = set()
    for other in (backend.CpuBackend.target, target):
        module, _ = parse(TEXT)
        with module.context:
            keys.add(kernel_cache.key_of(module, "f", "pipeline", 0, other))
    assert len(keys) == 2


# ---- entries that are no good ----


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "foreign"])
def test_a_damaged_entry_is_made_anew(folder, work, damage):
    first = result()
    (path,) = entries(folder)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:middle],
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "foreign": b"#!/bin/sh\necho surprise\n",
        }[damage]
    )
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == COLD
    work.clear()
    result()
    assert work == WARM


def replace_entry(folder, **blobs):
    """Overwrite parts of the only entry, with a right checksum."""
    (path,) = entries(folder)
    cache = DiskCache(folder)
    cache.store(path.stem, {**cache.load(path.stem), **blobs})


@pytest.mark.skipif(not LOADS, reason="no object files are loaded here")
def test_an_object_file_that_can_not_be_loaded_is_made_anew(folder, work):
    first = result()
    replace_entry(folder, object=b"\x7fELF no more")
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == ["load", "compile", "load"]
    work.clear()
    result()
    assert work == WARM


@pytest.mark.parametrize("metadata", [b"", b"{", b"\xff"])
def test_metadata_that_can_not_be_read(folder, work, metadata):
    result()
    replace_entry(folder, metadata=metadata)
    work.clear()
    result()
    assert work == COLD


def test_without_an_object_file_the_passes_are_saved(folder, work, monkeypatch):
    monkeypatch.setattr(kernel_cache, "object_of", lambda engine: b"")
    first = result()
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == ["compile"]


@pytest.mark.skipif(not LOADS, reason="no object files are loaded here")
def test_an_object_file_that_is_refused_is_not_made_again(folder, work, monkeypatch):
    class Refused:
        def __init__(self, content):
            raise object_file.ObjectError("it is not to our liking")

    monkeypatch.setattr(launch, "LoadedObject", Refused)
    first = result()
    (path,) = entries(folder)
    written = path.stat().st_ino
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == ["compile"]
    assert path.stat().st_ino == written


def test_where_no_object_files_are_loaded_the_passes_are_saved(folder, work, monkeypatch):
    monkeypatch.setattr(object_file, "is_supported", lambda: False)
    first = result()
    work.clear()
    np.testing.assert_array_equal(result(), first)
    assert work == ["compile"]


def test_no_place_for_temporary_files(folder, monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kernel_cache.tempfile, "TemporaryDirectory", refuse)
    result()
    assert len(entries(folder)) == 1


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null", "file"])
def test_no_place_for_the_cache(folder, work, monkeypatch, place):
    folder.parent.joinpath("file").write_text("")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", place)
    result()
    result()
    assert work == COLD * 2


def test_what_can_not_be_linked_is_not_kept(folder):
    text = """
    func.func private @no_such_function(f32) -> f32
    func.func @f(%x: f32) -> f32 {
      %y = func.call @no_such_function(%x) : (f32) -> f32
      return %y : f32
    }"""
    for _ in range(2):
        with pytest.raises(aec.BackendError, match="can't be linked"):
            build(text)
    assert not folder.exists()


# ---- processes ----

SCRIPT = """
import sys, time
import numpy as np
import aecompiler as aec
import aecompiler.compiler
from aecompiler.backends.base import get_backend
get_backend("cpu")
text, x = open(sys.argv[1]).read(), np.load(sys.argv[2])
start = time.perf_counter()
kernel = aec.compile(text, opt_level=0)
seconds = time.perf_counter() - start
np.save(sys.argv[3], kernel(*(x[name] for name in ("q", "k", "v"))))
print(seconds, "torch" in sys.modules, "triton" in sys.modules)
"""


def start(folder, name):
    (folder.parent / "program.mlir").write_text(TEXT)
    np.savez(folder.parent / "x.npz", **dict(zip(("q", "k", "v"), qkv(), strict=True)))
    arguments = [str(folder.parent / file) for file in ("program.mlir", "x.npz", f"{name}.npy")]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def test_two_processes_at_once(folder):
    want = result()
    for path in entries(folder):
        path.unlink()
    processes = [start(folder, f"o{number}") for number in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    for number in range(3):
        np.testing.assert_array_equal(np.load(folder.parent / f"o{number}.npy"), want)
    assert len(entries(folder)) == 1
    assert len(list(folder.iterdir())) == 1


def test_a_process_takes_up_what_another_has_left(folder, report_lines):
    times = []
    for _ in range(4):
        process = start(folder, "o")
        seconds, *loaded = process.communicate(timeout=60)[0].split()
        assert process.returncode == 0
        assert loaded == ["False", "False"]  # a warm start needs neither torch nor triton
        times.append(float(seconds))
    cold, warm = times[0], min(times[1:])
    report_lines.append(f"compile: {cold * 1e3:.0f} ms cold, {warm * 1e3:.0f} ms from the cache")
    assert warm < cold


def test_entries_say_when_they_were_used(folder):
    result()
    (path,) = entries(folder)
    os.utime(path, (1, 1))
    result()
    assert path.stat().st_mtime > time.time() - 1000


def test_metadata_are_plain(folder):
    kernel = CachedKernel(b"code", b"", {"opt_level": 2, "parallel": False})
    kernel_cache.store("key", kernel)
    assert kernel_cache.load("key") == kernel
    assert json.loads(DiskCache(folder).load("key")["metadata"]) == {"opt_level": 2, "parallel": False}
