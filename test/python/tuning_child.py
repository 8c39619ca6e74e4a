"""Stands for the processes that the tuner starts: schedules that work, fail, crash and hang, by number.

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


def say(**line):
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    work, folder, *numbers = sys.argv[1:]
    if work == "compile":
        if int(numbers[0]) not in (CRASHES, FAILS):
            Path(folder, f"{numbers[0]}.zip").touch()
        sys.exit(0)
    good = []
    for number in map(int, numbers):
        if number == SILENT:
            sys.exit(1)
        say(begin=number)
        if number == CRASHES:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == HANGS:
            time.sleep(100)
        if number == FAILS:
            say(failed=number)
        else:
            good.append(number)
            say(works=number)
    say(times={number: 10.0 - number for number in good})
