"""What a call takes of memory beside its inputs and outputs."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def memory_of(heads, queries, keys, features, *, causal):
    """The rise of the peak of the resident memory in a checked call, and the sizes of inputs and outputs."""
    numbers = map(str, (heads, queries, keys, features, int(causal)))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *numbers],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
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
