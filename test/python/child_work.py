"""What the tests of processes do in a child: a module that a new process can import."""

from __future__ import annotations

import os
import signal
import time


def act(item):
    """Do what the item says."""
    if item == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "hang":
        time.sleep(100)
    if item == "raise":
        raise ValueError("no")
    if item == "exit":
        os._exit(0)
    return item


def own_process(item):
    """The number of this process."""
    return os.getpid()


def never():
    """No."""
    return False


def leave_file(path):
    """Make a file, unless it is to crash."""
    if path.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    path.touch()
