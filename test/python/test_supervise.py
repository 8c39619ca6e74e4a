"""Supervised work: signals that end the parent in the moment of the fork leave no child behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PARENT = """
import os, pathlib, signal, sys, time
from aecompiler.tools.supervise import supervise

os.register_at_fork(
    after_in_parent=lambda: os.kill(os.getpid(), {number}), after_in_child=lambda: time.sleep(0.5)
)


def work(report):
    report("doing", "what nobody waits for")
    pathlib.Path(sys.argv[1]).touch()
    return 0


supervise(work, 0)
"""


def obey_signals() -> None:
    """As in a shell's foreground: its jobs in the background ignore SIGINT."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="work is not supervised here")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_signal_at_the_fork_ends_parent_and_child(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    done = tmp_path / "done"
    command = [sys.executable, "-c", PARENT.format(number=int(number)), str(done)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=obey_signals)
    # The child holds stderr: its end is that of both.
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == -number
    assert not done.exists()
