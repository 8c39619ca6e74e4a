"""Figures of a program that are not times of calls: how long it compiles, and what memory a call takes.

Both are measured in processes of their own, by `bench_child.py`, and the results that these compute are
checked here, whole.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from aecompiler.bytecode import bytecode_of
from aecompiler.tools.bench_machine import share_threads
from aecompiler.tools.benchmark import Case, Record, Subject, Work, WrongResultError, record

MAX_PROCESSES = 5
"""As many of each kind, however many calls are asked for: each takes seconds."""


def compile_times(case: Case, repeat: int) -> Record:
    """How many milliseconds `aec.compile` takes, tracing the program and imports by the person not counted.

    `cold_ms`: with an empty cache of kernels; `warm_ms`: when the cache has the kernel. Both in a process
    that has compiled another program, the baseline; `first_cold_ms` and `first_warm_ms` are the times of that
    one, the first of its process, which imports what the compiler is made of.
    """
    made = case.make(case.shape, case.dtype)
    if made.baseline is None:
        raise ValueError("expects a baseline, the program that is compiled first")
    ours = Subject("ours", made.program, made.inputs, case.target)
    processes = min(repeat, MAX_PROCESSES)
    times: dict[str, list[float]] = {}
    error = 0.0
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), case, made)
            for kind in ("cold", "warm"):
                found = _child("compile", folder)
                error = max(error, _checked(ours, _outputs(Path(folder))))
                times.setdefault(f"{kind}_ms", []).append(found["ms"])
                times.setdefault(f"first_{kind}_ms", []).append(found["first_ms"])
    figures = {name: statistics.median(found) for name, found in times.items()}
    threads, _ = share_threads(ours.kernel)
    return record(case, processes, figures=figures, error=error, threads=threads)


def peak_memory(case: Case, repeat: int) -> Record:
    """By how much a call raises the peak of the resident memory; Linux only.

    `rise_mib`, and `rise`: in parts of the size of inputs and outputs. The results are compared with those of
    the peer, which computes in float64: the reference would hold all scores. The largest of a few processes.
    """
    made = case.make(case.shape, case.dtype)
    if made.peer is None:
        raise ValueError("expects a peer to compare with")
    processes = min(repeat, MAX_PROCESSES)
    want = _arrays(made.peer(**made.inputs))
    rises: list[float] = []
    error, found = 0.0, {}
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), case, made)
            found = _child("memory", folder)
            rises.append(found["rise"])
            error = max(error, _compared(_outputs(Path(folder)), want, found["tolerance"]))
    figures = {"rise": max(rises) / found["bytes"], "rise_mib": max(rises) / 2**20}
    return record(case, processes, figures=figures, error=error, threads=int(found["threads"]))


def _write(folder: Path, case: Case, made: Work) -> None:
    """The programs and the arguments, for a child."""
    programs = {"program": made.program, "first": made.baseline}
    for name, program in programs.items():
        if program is not None:
            (folder / f"{name}.mlirbc").write_bytes(bytecode_of(program.module))
    (folder / "target").write_text(case.target)
    for name, value in made.inputs.items():
        np.save(folder / f"{name}.npy", np.asarray(value))


def _child(what: str, folder: str) -> dict[str, float]:
    """What a process of its own measured, with a cache of kernels in `folder`."""
    environment = {
        **os.environ,
        "AECOMPILER_CACHE": "1",
        "AECOMPILER_CACHE_DIR": os.path.join(folder, "cache"),
    }
    command = [sys.executable, "-m", "aecompiler.tools.bench_child", what, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise RuntimeError(f"the process that measures ended with status {done.returncode}: {last}")
    return json.loads(done.stdout)


def _outputs(folder: Path) -> tuple[Any, ...]:
    with np.load(folder / "outputs.npz") as file:
        return tuple(file[name] for name in file.files)


def _arrays(outputs: Any) -> tuple[Any, ...]:
    return tuple(np.asarray(part) for part in (outputs if isinstance(outputs, tuple) else (outputs,)))


def _checked(ours: Subject, outputs: tuple[Any, ...]) -> float:
    error = ours.error_of(outputs)
    if not error <= ours.tolerance:
        raise WrongResultError(f"ours is off by {error:.2e} (tolerance {ours.tolerance:.1e})", error)
    return error


def _compared(outputs: tuple[Any, ...], want: tuple[Any, ...], tolerance: float) -> float:
    from aecompiler.accuracy import compare

    pairs = zip(outputs, want, strict=True)
    error = max(compare("result", part, expected).max_rel_error for part, expected in pairs)
    if not error <= tolerance:
        raise WrongResultError(f"ours is off by {error:.2e} (tolerance {tolerance:.1e})", error)
    return error
