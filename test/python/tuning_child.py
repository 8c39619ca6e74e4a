"""Stands for the processes that the tuner starts: schedules that work, fail, crash and hang, by number.

Some do so when they are called first, others in the rounds: before any batch, or when all were timed.

`python tuning_child.py WORK FOLDER NUMBER...` as `aecompiler.backends.nvidia.tuner_child`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

CRASHES, HANGS, FAILS, SILENT = 3, 5, 7, 11
FAILS_AND_ENDS, CRASHES_IN_WARM_UP, CRASHES_IN_ROUNDS, HANGS_IN_ROUNDS = 13, 15, 17, 19
ROUNDS = 3


def say(**line):
    print(json.dumps(line), flush=True)


def crash():
    print("a fault", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def first_call(number):
    """Call a schedule for the first time; whether it works."""
    if number == SILENT:
        sys.exit(1)
    print("a library's greeting\n5", flush=True)
    say(begin=number)
    if number == CRASHES:
        crash()
    if number == HANGS:
        time.sleep(100)
    if number in (FAILS, FAILS_AND_ENDS):
        say(failed=number)
        if number == FAILS_AND_ENDS:
            sys.exit(1)
        return False
    say(works=number)
    return True


def batch(number, turn):
    """Time a schedule once more."""
    say(timing=number)
    if (number, turn) in ((CRASHES_IN_WARM_UP, 0), (CRASHES_IN_ROUNDS, 2)):
        crash()
    if (number, turn) == (HANGS_IN_ROUNDS, 2):
        time.sleep(100)
    say(number=number, ms=10.0 - number + (turn == 1))


if __name__ == "__main__":
    work, folder, *given = sys.argv[1:]
    numbers = [int(number) for number in given]
    if work == "compile":
        if numbers[0] not in (CRASHES, FAILS):
            Path(folder, f"{numbers[0]}.zip").touch()
        sys.exit(0)
    good = [number for number in numbers if first_call(number)]
    for turn in range(ROUNDS):
        for number in good:
            batch(number, turn)
    say(done=True)
