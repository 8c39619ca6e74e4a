"""What a call takes of memory beside its inputs and outputs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource
import numpy as np
import aecompiler as aec
x = aec.tensor("B", 8, "S", 64)

@aec.program(q=x, k=aec.tensor("B", 8, "K", 64), v=aec.tensor("B", 8, "K", 64))
def attend(q, k, v):
    return aec.attention(q, k, v)

kernel = aec.compile(attend)
q, k = np.ones((1, 8, 32768, 64), np.float32), np.ones((1, 8, 4, 64), np.float32)
kernel(q[:, :, :64], k, k)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
o = kernel(q, k, k)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / o.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_results_are_computed_where_they_are_returned():
    """A forward of 32k queries takes the memory of its result, once."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.1
