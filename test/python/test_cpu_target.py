"""What the CPU backend reads of a machine, from files as Linux has them, and what a schedule makes of it."""

import dataclasses
import importlib
import os
import platform
import re

import pytest
from example_files import FOLDER

from aecompiler.backends.base import get_backend
from aecompiler.backends.cpu import host
from aecompiler.backends.cpu.host import available_cores, cache_bytes, cpu_limits, host_target, read_target
from aecompiler.backends.cpu.schedule import CpuSchedule, pipeline_for
from aecompiler.backends.cpu.target import NAMED_TARGETS, CpuTarget
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import PIPELINES, run_pipeline

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
stepping\t: 1
cpu MHz\t\t: {mhz}
flags\t\t: fpu sse2 avx2 fma {more}

processor\t: 1
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd bf16 i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def read(root, machine, monkeypatch, cpus=(0, 1)):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(host, "usable_cpus", lambda: frozenset(cpus))
    return read_target(root)


# ---- the processor ----


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "bits", "registers"),
    [
        ("x86_64", X86.format(mhz=1, more="avx512f avx512dq avx512_bf16"), 512, 32),
        ("x86_64", X86.format(mhz=1, more="avx512f"), 256, 16),
        ("x86_64", X86.format(mhz=1, more=""), 256, 16),
        ("AMD64", X86.format(mhz=1, more=""), 256, 16),
        ("x86_64", X86.format(mhz=1, more="").replace("fma", "avx"), 128, 16),
        ("aarch64", ARM, 128, 32),
        ("arm64", ARM, 128, 32),
        ("riscv64", "processor\t: 0\nisa\t: rv64imafdcv", 128, 16),
    ],
)
def test_vectors(tmp_path, monkeypatch, machine, cpuinfo, bits, registers):
    write(tmp_path, {"proc/cpuinfo": cpuinfo})
    target = read(tmp_path, machine, monkeypatch)
    assert (target.vector_bits, target.vector_registers) == (bits, registers)
    assert target.lanes(32) == bits // 32
    assert target.has("fma") == ("fma" in cpuinfo)


def test_only_the_first_processor_is_read(tmp_path, monkeypatch):
    write(tmp_path, {"proc/cpuinfo": X86.format(mhz=1, more="")})
    assert read(tmp_path, "x86_64", monkeypatch).has("avx2")


def test_identity_follows_what_code_depends_on(tmp_path, monkeypatch):
    def identity(text, machine="x86_64"):
        write(tmp_path, {"proc/cpuinfo": text})
        return read(tmp_path, machine, monkeypatch).identity

    plain = identity(X86.format(mhz=1, more=""))
    assert plain == identity(X86.format(mhz=2, more=""))
    others = [X86.format(mhz=1, more="avx512f"), X86.format(mhz=1, more="").replace("17", "18"), ARM]
    assert len({plain, identity(X86, "aarch64"), *map(identity, others)}) == 5


def test_without_features_only_this_machine_is_the_same(tmp_path, monkeypatch):
    identities = set()
    for name in ("left", "right"):
        monkeypatch.setattr(platform, "node", lambda name=name: name)
        identities.add(read(tmp_path, "x86_64", monkeypatch).identity)
    assert len(identities) == 2


def test_a_system_that_tells_nothing(tmp_path, monkeypatch):
    target = read(tmp_path, "x86_64", monkeypatch)
    assert (target.vector_bits, target.features, target.cores) == (128, (), 2)
    defaults = {field.name: field.default for field in dataclasses.fields(CpuTarget)}
    for name in ("l1_bytes", "l2_bytes", "l3_bytes"):
        assert getattr(target, name) == defaults[name]


def test_caches(tmp_path):
    sizes = [
        ("1", "Data", "48K"),
        ("1", "Instruction", "32K"),
        ("2", "Unified", "2048K"),
        ("3", "Unified", "1G"),
    ]
    for number, (level, kind, size) in enumerate(sizes):
        folder = f"sys/devices/system/cpu/cpu3/cache/index{number}"
        write(tmp_path, {f"{folder}/level": level, f"{folder}/type": kind, f"{folder}/size": size})
    found = cache_bytes(tmp_path, 3)
    assert found == {"l1_bytes": 48 * 1024, "l2_bytes": 2048 * 1024, "l3_bytes": 1024**3}
    write(tmp_path, {"sys/devices/system/cpu/cpu3/cache/index2/size": "many"})
    assert "l2_bytes" not in cache_bytes(tmp_path, 3)
    assert cache_bytes(tmp_path, 0) == {}


# ---- cores ----


def topology(root, siblings):
    for cpu, core in enumerate(siblings):
        folder = f"sys/devices/system/cpu/cpu{cpu}/topology"
        write(root, {f"{folder}/physical_package_id": "0", f"{folder}/core_id": str(core)})


def test_siblings_are_one_core(tmp_path):
    topology(tmp_path, [0, 0, 1, 1])
    assert available_cores(tmp_path, frozenset({0, 1, 2, 3})) == 2
    assert available_cores(tmp_path, frozenset({0, 1, 2})) == 2
    assert available_cores(tmp_path, frozenset({2, 3})) == 1
    assert available_cores(tmp_path, frozenset({2, 7})) == 2  # nothing is known of processor 7


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, [2]),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, []),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "50000 100000"}, [1]),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "300000 100000"}, [3]),
        ({"proc/self/cgroup": "0::/gone/b", "sys/fs/cgroup/cpu.max": "300000 100000"}, [3]),
        (
            {
                "proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/x",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/m/cpu.max": "100000 100000",
            },
            [3],
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            [],
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "0 0"}, []),
        ({}, []),
    ],
)
def test_limits_of_control_groups(tmp_path, files, limits):
    write(tmp_path, files)
    assert cpu_limits(tmp_path) == limits


def test_a_limit_below_the_cores(tmp_path):
    topology(tmp_path, [0, 1, 2, 3])
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"})
    assert available_cores(tmp_path, frozenset(range(4))) == 2
    assert available_cores(tmp_path, frozenset({1})) == 1


def test_this_machine():
    target = host_target()
    assert target is get_backend("cpu").target
    assert 1 <= target.cores <= len(host.usable_cpus()) <= (os.cpu_count() or 1)
    assert target.vector_bits in (128, 256, 512)
    assert target.identity


# ---- targets that are described, and schedules ----


@pytest.mark.parametrize(
    ("name", "machine", "lanes", "registers"),
    [("cpu:avx2", "x86_64", 8, 16), ("cpu:avx512", "x86_64", 16, 32), ("cpu:neon", "aarch64", 4, 32)],
)
def test_named_targets(name, machine, lanes, registers):
    target = NAMED_TARGETS[name]
    assert (target.name, target.machine, target.lanes(32), target.vector_registers) == (
        name,
        machine,
        lanes,
        registers,
    )
    assert not target.identity


@pytest.mark.parametrize("name", sorted(NAMED_TARGETS))
def test_what_is_zero_is_chosen(name):
    target = NAMED_TARGETS[name]
    assert CpuSchedule(direct=True).resolved(target).block_q == 32
    chosen = CpuSchedule().resolved(target)
    assert (chosen.block_q, chosen.block_kv, chosen.threads) == (0, 0, 4)  # blocks depend on the program
    own = dataclasses.replace(chosen, block_q=96, block_kv=3, threads=7, opt_level=0)
    assert own.resolved(target) == own


@pytest.mark.parametrize(("name", "lanes"), [("cpu:avx2", 8), ("cpu:avx512", 16), ("cpu:neon", 4)])
def test_rows_are_rounded_up_to_whole_vectors(name, lanes):
    target = NAMED_TARGETS[name]
    for given, chosen in ((1, lanes), (lanes, lanes), (lanes + 1, 2 * lanes), (4095, 4096)):
        assert CpuSchedule(block_q=given).resolved(target).block_q == chosen
    assert CpuSchedule(block_q=3, direct=True).resolved(target).block_q == 3


@pytest.mark.parametrize("text", ["", " ", "0", "3", " 12 ", "1024"])
def test_threads_from_the_environment(monkeypatch, text):
    monkeypatch.setenv("AECOMPILER_NUM_THREADS", text)
    assert CpuSchedule.from_options({}).threads == int(text.strip() or 0)
    assert CpuSchedule.from_options({"threads": 5}).threads == 5


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "1025", "٣"])
def test_a_wrong_number_of_threads_in_the_environment(monkeypatch, text):
    monkeypatch.setenv("AECOMPILER_NUM_THREADS", text)
    with pytest.raises(
        ValueError, match="expects the environment variable AECOMPILER_NUM_THREADS to be 1 to 1024"
    ):
        CpuSchedule.from_options({})


@pytest.mark.parametrize("threads", [-1, 1025])
def test_a_wrong_number_of_threads(threads):
    with pytest.raises(ValueError, match="expects threads to be 1 to 1024, or 0 for all, got"):
        CpuSchedule.from_options({"threads": threads})


@pytest.mark.parametrize("name", sorted(NAMED_TARGETS))
def test_pipelines_of_described_processors_vectorize_for_them(name):
    """Up to LLVM, which makes code for this processor only: the vectors are those of the other one."""
    importlib.import_module("aecompiler.backends.cpu.pipelines")  # registers
    target = NAMED_TARGETS[name]
    text = pipeline_for(CpuSchedule(), target)
    options = PIPELINES["attn-cpu"].build(**options_in(text))
    steps = options.partition(",convert-elementwise-to-linalg")[0]
    source = (FOLDER / "mlir" / "softmax.mlir").read_text()
    source = re.sub(r"(tensor<\?x4x\?x\d+x)f32>", r"\1bf16>", source)  # q, k, v and o: bf16 has instructions
    module = ir.Module.parse(source, context=make_context())
    run_pipeline(module, f"builtin.module({steps})")
    widths = {int(width) for width in re.findall(r"vector<(\d+)xf32>", str(module))}
    assert widths == {target.lanes(32)}
    assert ("x86.avx512.dot" in str(module)) == target.has("avx512_bf16")
    assert ("x86." in str(module)) == target.has("avx512_bf16")


def options_in(text):
    """The options of the one named pipeline in a text, as keyword arguments."""
    pairs = (pair.split("=") for pair in re.search(r"\{(.*)\}", text)[1].split())
    return {
        key.replace("-", "_"): value == "true" if value in ("true", "false") else int(value)
        for key, value in pairs
    }
