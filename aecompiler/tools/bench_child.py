"""The process that `bench_figures.py` starts: compiles or calls a program, and prints what it measured.

`python -m aecompiler.tools.bench_child compile|memory FOLDER`: the folder holds the programs, `first.mlirbc`
and `program.mlirbc`, the target's name, and arguments as `NAME.npy`; the results are written there too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context


def compile_twice(folder: Path) -> dict[str, float]:
    """The milliseconds that the first program of this process takes, and those of the second."""
    times = []
    for name in ("first", "program"):
        module = _module(folder, name)
        begin = time.perf_counter()
        kernel = aec.compile(module, _target(folder))
        times.append((time.perf_counter() - begin) * 1e3)
    _run(kernel, folder)
    return {"first_ms": times[0], "ms": times[1]}


def call(folder: Path) -> dict[str, float]:
    """By how much a call raises the peak of the resident memory, and the size of what goes in and out."""
    from aecompiler.tools.tolerances import default_tolerance

    kernel = aec.compile(_module(folder, "program"), _target(folder))
    inputs = _inputs(kernel, folder)
    before = _reset_peak()  # no call before: what it frees would serve this one again
    outputs = kernel(**inputs)
    rise = _status("VmHWM") - before
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    _save(outputs, folder)
    return {
        "rise": rise,
        "bytes": sum(array.nbytes for array in (*inputs.values(), *outputs)),
        "threads": kernel.artifact.metadata["threads"],
        "tolerance": default_tolerance(kernel.arguments),
    }


def _module(folder: Path, name: str) -> ir.Module:
    with make_context():
        return ir.Module.parse((folder / f"{name}.mlirbc").read_bytes())


def _target(folder: Path) -> str:
    return (folder / "target").read_text()


def _inputs(kernel: Any, folder: Path) -> dict[str, Any]:
    return {argument.name: np.load(folder / f"{argument.name}.npy") for argument in kernel.arguments}


def _run(kernel: Any, folder: Path) -> None:
    outputs = kernel(**_inputs(kernel, folder))
    _save(outputs if isinstance(outputs, tuple) else (outputs,), folder)


def _save(outputs: tuple[Any, ...], folder: Path) -> None:
    np.savez(folder / "outputs.npz", *outputs)


# ru_maxrss would not do: a process starts with that of the one that started it.


def _reset_peak() -> int:
    """Forget the peak of the resident memory; the bytes that are resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    measure = {"compile": compile_twice, "memory": call}[sys.argv[1]]
    print(json.dumps(measure(Path(sys.argv[2]))))
