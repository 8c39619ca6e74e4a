"""What a call takes of memory beside its inputs and outputs, and what happens where it gets none."""

import mmap
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import build, run

from aecompiler import arrays
from aecompiler.backends.cpu import launch

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")

# ru_maxrss would not do: a process starts with that of the one that started it.
SCRIPT = """
import sys
import numpy as np
import aecompiler as aec
heads, queries, keys, features, causal = map(int, sys.argv[1:])

def resident(line):
    with open("/proc/self/status") as file:
        return next(int(text.split()[1]) * 1024 for text in file if text.startswith(line))

x = aec.tensor("B", heads, "K", features)

@aec.program(q=aec.tensor("B", heads, "Q", features), k=x, v=x)
def attend(q, k, v):
    return aec.attention(q, k, v, mask=aec.masks.causal() if causal else None)

kernel = aec.compile(attend)
q = np.ones((1, heads, queries, features), np.float32)
k = np.ones((1, heads, keys, features), np.float32)
v = np.cumsum(k, axis=2)  # the number of its row
kernel(q[:, :, :64], k[:, :, :64], v[:, :, :64])
before = resident("VmHWM:")
o = kernel(q, k, v)
rise = resident("VmHWM:") - before
seen = np.arange(1, queries + 1) if causal else np.full(queries, keys)
mean = np.broadcast_to((seen + 1)[:, None] / 2, o.shape)
np.testing.assert_allclose(o, mean, rtol=1e-4)
print(rise, q.nbytes + k.nbytes + v.nbytes, o.nbytes)
"""


def in_a_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def memory_of(heads, queries, keys, features, *, causal):
    """The rise of the peak of the resident memory in a checked call, and the sizes of inputs and outputs."""
    done = in_a_process(SCRIPT, heads, queries, keys, features, int(causal))
    return map(int, done.stdout.split())


@linux
def test_a_causal_forward_of_32k_tokens_adds_little_to_its_inputs_and_outputs():
    rise, inputs, outputs = memory_of(1, 32768, 32768, 32, causal=True)
    assert 0.9 * outputs <= rise <= 0.3 * (inputs + outputs)


@linux
def test_results_are_computed_where_they_are_returned():
    """A forward of 32k queries takes the memory of its result, once."""
    rise, _, outputs = memory_of(8, 32768, 4, 64, causal=False)
    assert 0.9 * outputs <= rise < 1.1 * outputs


# ---- memory that is not to be had ----

# Item i allocates one buffer that it fills, and another of sizes[i] elements, of which it uses the first.
ITEMS = """
func.func @f(%sizes: tensor<?xindex>) -> tensor<?xf64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c100000 = arith.constant 100000 : index
  %one = arith.constant 1.0 : f64
  %items = tensor.dim %sizes, %c0 : tensor<?xindex>
  %empty = tensor.empty(%items) : tensor<?xf64>
  %r = scf.forall (%i) in (%items) shared_outs(%o = %empty) -> (tensor<?xf64>) {
    %size = tensor.extract %sizes[%i] : tensor<?xindex>
    %long = arith.maxsi %size, %c100000 : index
    %short = arith.minsi %long, %c100000 : index
    %first = tensor.empty(%short) : tensor<?xf64>
    %filled = linalg.fill ins(%one : f64) outs(%first : tensor<?xf64>) -> tensor<?xf64>
    %large = tensor.empty(%size) : tensor<?xf64>
    %second = tensor.insert %one into %large[%c0] : tensor<?xf64>
    %last = arith.subi %short, %c1 : index
    %a = tensor.extract %filled[%last] : tensor<?xf64>
    %b = tensor.extract %second[%c0] : tensor<?xf64>
    %sum = arith.addf %a, %b : f64
    %cell = tensor.from_elements %sum : tensor<1xf64>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %cell into %o[%i] [1] [1] : tensor<1xf64> into tensor<?xf64>
    }
  }
  return %r : tensor<?xf64>
}"""

# The same, once and on the calling thread.
SERIAL = """
func.func @f(%sizes: tensor<?xindex>) -> tensor<1xf64> {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f64
  %size = tensor.extract %sizes[%c0] : tensor<?xindex>
  %large = tensor.empty(%size) : tensor<?xf64>
  %second = tensor.insert %one into %large[%c0] : tensor<?xf64>
  %b = tensor.extract %second[%c0] : tensor<?xf64>
  %cell = tensor.from_elements %b : tensor<1xf64>
  return %cell : tensor<1xf64>
}"""

TOO_LARGE = 2**57  # elements: more than there are addresses


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.parametrize("opt_level", [0, 2, 3])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_item_without_memory_ends_the_call(threads, opt_level):
    """Whichever thread has it; and the next call works."""
    executable = build(ITEMS, threads=threads, opt_level=opt_level)
    for place in (0, 1, 37, 98, 99):
        sizes, out = np.full(100, 10), np.full(100, np.nan)
        sizes[place] = TOO_LARGE
        with pytest.raises(MemoryError, match=r"^'aec.f' needs more memory than there is$"):
            run(executable, [sizes], [out])
        assert np.isnan(out[place])
        assert set(out[~np.isnan(out)]) <= {2.0}
        sizes[place] = 10
        run(executable, [sizes], [out])
        np.testing.assert_array_equal(out, 2.0)


def test_no_item_has_memory():
    executable = build(ITEMS, threads=4)
    for _ in range(50):
        with pytest.raises(MemoryError):
            run(executable, [np.full(100, TOO_LARGE)], [np.zeros(100)])


@pytest.mark.parametrize("opt_level", [0, 2])
def test_a_call_without_parallel_loops_and_memory(opt_level):
    executable = build(SERIAL, opt_level=opt_level)
    for size in (10, TOO_LARGE, 10):
        out = np.zeros(1)
        if size == TOO_LARGE:
            with pytest.raises(MemoryError):
                run(executable, [np.array([size])], [out])
        else:
            run(executable, [np.array([size])], [out])
            assert out == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_the_system_has_no_memory_for_a_value_of_the_thread(threads, monkeypatch):
    """Nothing is run that could not come back: here, since there is no such key."""
    executable = build(ITEMS, threads=threads)
    sizes, out = np.full(100, 10), np.full(100, np.nan)
    with monkeypatch.context() as patch:
        patch.setattr(launch, "_thread_key", lambda: 2**20)
        with pytest.raises(MemoryError):
            run(executable, [sizes], [out])
    assert np.isnan(out).all()
    run(executable, [sizes], [out])
    np.testing.assert_array_equal(out, 2.0)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_calls_that_fail_give_back_what_they_had():
    executable = build(ITEMS, threads=2)
    sizes, out = np.full(20, 10), np.zeros(20)
    sizes[-2:] = TOO_LARGE
    for count in (20, 200):
        before = resident()
        for _ in range(count):
            with pytest.raises(MemoryError):
                run(executable, [sizes], [out])
    assert resident() - before < 20e6  # each call had 0.8 MB or more when it failed


def test_calls_fail_in_several_threads_at_once():
    executable = build(ITEMS, threads=3)
    wrong = []

    def call(number):
        for turn in range(20):
            sizes, out = np.full(50, 10), np.full(50, np.nan)
            fails = (turn + number) % 2
            if fails:
                sizes[turn] = TOO_LARGE
            try:
                run(executable, [sizes], [out])
            except MemoryError:
                fails = not fails
            if fails:
                wrong.append((number, turn))

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


LIMITED = """
import resource
import numpy as np
import aecompiler as aec
x = aec.tensor("B", 2, "S", 64)

@aec.program(q=aec.tensor("B", 2, "Q", 64), k=x, v=x)
def attend(q, k, v):
    return aec.attention(q, k, v)

kernel = aec.compile(attend, threads=2)
q = np.ones((1, 2, 4, 64), np.float32)
k = np.ones((1, 2, 64, 60000), np.float32).swapaxes(2, 3)  # copied inside of the call
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
kernel(q, k[:, :, :8], k[:, :, :8])
resource.setrlimit(resource.RLIMIT_AS, (used + 2**23, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        kernel(q, k, k)
    except MemoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
np.testing.assert_allclose(kernel(q, k, k), 1, rtol=1e-5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_limit_of_memory_is_an_error():
    """Tensors whose rows are not side by side are copied; that may fail where all else fits."""
    assert in_a_process(LIMITED).stdout == "'aec.attend' needs more memory than there is\n" * 3


@pytest.mark.parametrize("like_torch", [False, True])
def test_a_result_without_memory(like_torch):
    pytest.importorskip("torch")
    with pytest.raises(MemoryError):
        arrays.allocate("f32", (2**20, 2**30), like_torch)
