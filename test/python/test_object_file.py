"""The loader of object files: code runs as LLVM's own linking would have it, and damage is refused."""

import os
import platform
import struct
import sys

import numpy as np
import pytest
from cpu_kernels import GRID, buffer, emit, expected, run

from aecompiler.backends.base import Scalar
from aecompiler.backends.cpu.kernel_cache import object_of
from aecompiler.backends.cpu.launch import CpuExecutable, JitCode
from aecompiler.backends.cpu.names import PREFIX
from aecompiler.backends.cpu.object_file import LoadedObject, ObjectError, process_symbol

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="no loader for this machine"
)

# Functions of libm and of libc, constants in memory, and a loop.
MATH = """
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf64>) {
  %table = arith.constant dense<[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]> : tensor<8xf64>
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %a = math.exp %x : tensor<?xf32>
  %b = math.sin %a : tensor<?xf32>
  %c = math.erf %b : tensor<?xf32>
  %d = tensor.generate %n {
  ^bb0(%i: index):
    %place = arith.remui %i, %c8 : index
    %t = tensor.extract %table[%place] : tensor<8xf64>
    %v = tensor.extract %c[%i] : tensor<?xf32>
    %w = arith.extf %v : f32 to f64
    %u = arith.addf %t, %w : f64
    tensor.yield %u : f64
  } : tensor<?xf64>
  return %c, %d : tensor<?xf32>, tensor<?xf64>
}"""


def compiled(text, opt_level):
    artifact = emit(text, opt_level=opt_level, threads=2)
    code = JitCode(artifact, keep_object=True)
    assert code.address(f"_mlir_ciface_{artifact.entry}")
    return artifact, code, object_of(code.engine)


@pytest.fixture(scope="module")
def grid_object():
    return compiled(GRID, 0)[2]


@pytest.mark.parametrize("opt_level", [0, 1, 2, 3])
def test_results_are_those_of_the_engine(opt_level):
    artifact, code, content = compiled(MATH, opt_level)
    x = np.random.default_rng(0).standard_normal(1001).astype(np.float32)
    results = []
    for where in (code, LoadedObject(content)):
        outs = [np.full(1001, np.nan, dtype) for dtype in (np.float32, np.float64)]
        run(CpuExecutable(where, artifact, 1), [x], outs)
        results.append(outs)
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)
        assert not np.isnan(got).any()
    table = 2.0 ** (np.arange(1001) % 8)
    np.testing.assert_allclose(results[1][1], table + results[1][0], rtol=1e-6)


@pytest.mark.parametrize("opt_level", [0, 2])
def test_parallel_loops(opt_level):
    artifact, _, content = compiled(GRID, opt_level)
    executable = CpuExecutable(LoadedObject(content), artifact, 3)
    x, out = np.zeros((50, 60)), np.full((50, 60), np.nan)
    run(executable, [x, np.array([2000])], [out])
    np.testing.assert_array_equal(out, expected(x))


def test_code_stays_while_a_function_is_used():
    artifact, _, content = compiled(GRID, 0)
    executables = [CpuExecutable(LoadedObject(content), artifact, 1) for _ in range(20)]
    for executable in executables[::3]:
        x, out = np.zeros((2, 2)), np.full((2, 2), np.nan)
        run(executable, [x, np.array([1])], [out])
        np.testing.assert_array_equal(out, expected(x))


def rights_of(address):
    """What may be done with the memory at an address."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            region, rights = line.split()[:2]
            low, high = (int(end, 16) for end in region.split("-"))
            if low <= address < high:
                return rights
    pytest.fail("the address is nowhere")


def test_code_can_not_be_written_to():
    """Memory is never writable and executable at once."""
    loaded = LoadedObject(compiled(MATH, 2)[2])
    assert rights_of(loaded.address(f"_mlir_ciface_{PREFIX}f")) == "r-xp"


DATA = """
llvm.mlir.global @count(0 : i64) : i64
llvm.mlir.global constant @step(3 : i64) : i64
func.func @f(%x: i64) -> i64 {
  %count = llvm.mlir.addressof @count : !llvm.ptr
  %step = llvm.mlir.addressof @step : !llvm.ptr
  %by = llvm.load volatile %step : !llvm.ptr -> i64
  %before = llvm.load %count : !llvm.ptr -> i64
  %after = llvm.add %before, %by : i64
  llvm.store %after, %count : i64, !llvm.ptr
  return %after : i64
}"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_constants_stay_and_data_is_not_shared_with_a_child():
    artifact, _, content = compiled(DATA, 0)
    loaded = LoadedObject(content)
    assert rights_of(loaded._functions["count"]) == "rw-p"
    assert rights_of(loaded._functions["step"]) == "r--p"
    executable = CpuExecutable(loaded, artifact, 1)

    def call():
        out = np.zeros((), np.int64)
        executable([Scalar(bytes(8))], [buffer(out)])
        return int(out)

    assert call() == 3
    child = os.fork()
    if not child:
        os._exit(call() + call())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6 + 9
    assert call() == 6


def test_a_function_that_is_not_there(grid_object):
    assert LoadedObject(grid_object).address("nothing") is None


# ---- damage ----


@pytest.mark.parametrize("part", [0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated(grid_object, part):
    with pytest.raises(ObjectError):
        LoadedObject(grid_object[: int(len(grid_object) * part)])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x7fELG"),  # another format
        (4, b"\x01"),  # 32 bits
        (5, b"\x02"),  # the other order of bytes
        (16, b"\x03\x00"),  # a shared object
        (18, b"\xb7\x00"),  # another machine
        (58, b"\x20\x00"),  # sections of another size
    ],
)
def test_foreign(grid_object, place, value):
    with pytest.raises(ObjectError):
        LoadedObject(grid_object[:place] + value + grid_object[place + len(value) :])


def sections_of(content):
    (table,) = struct.unpack_from("<Q", content, 40)
    (count,) = struct.unpack_from("<H", content, 60)
    return [struct.unpack_from("<IIQQQQIIQQ", content, table + 64 * number) for number in range(count)]


def relocated(content, **changes):
    """`content` with its first relocation of code changed."""
    sections = sections_of(content)
    offset = next(s[4] for s in sections if s[1] == 4 and sections[s[7]][2] & 4 and s[5])
    names = ("offset", "kind", "symbol", "addend")
    entry = dict(zip(names, struct.unpack_from("<QIIq", content, offset), strict=True)) | changes
    return content[:offset] + struct.pack("<QIIq", *entry.values()) + content[offset + 24 :]


def test_an_unknown_relocation(grid_object):
    with pytest.raises(ObjectError, match=r"^it has a relocation of kind 77$"):
        LoadedObject(relocated(grid_object, kind=77))


def test_a_relocation_outside_of_its_section(grid_object):
    with pytest.raises(ObjectError, match=r"^it has a relocation outside of its section$"):
        LoadedObject(relocated(grid_object, offset=2**30))


def test_a_distance_that_is_too_long(grid_object):
    with pytest.raises(ObjectError, match="can't be loaded"):
        LoadedObject(relocated(grid_object, kind=2, addend=2**40))


def test_a_function_that_this_process_has_not():
    assert process_symbol("expf") != process_symbol("malloc")
    with pytest.raises(ObjectError, match=r"^this process has no function 'aec_no_such_function'$"):
        process_symbol("aec_no_such_function")
