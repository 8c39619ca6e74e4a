"""Programs on the road from tiles to whole-tile vectors, and their runs on numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy_host import run_plan
from vector_interpreter import kernels_of

import aecompiler.backends.amd.passes
import aecompiler.backends.nvidia.pipelines  # noqa: F401  (registers)
from aecompiler.backends.gpu import lowered
from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.bindings import ir
from aecompiler.passes.infra import run_pipeline

TO_TT = "attn-tt{library=ocml approximate-reciprocals=false %s},canonicalize,cse"
TO_VECTORS = "convert-tt-to-vector,canonicalize,cse"


class VectorProgram:
    """A function of a module, which is changed in place, with kernels on vectors; passes `then` follow."""

    def __init__(self, module: ir.Module, name: str, options: str = "", then: str = ""):
        run_pipeline(module, f"builtin.module({TO_TT % options})")
        functions = lowered.kernels_of(module)
        self._parameters = {name: lowered.parameters_of(function) for name, function in functions.items()}
        self._plan = read_plan(lowered.host_function(module, name), self._parameters)
        run_pipeline(module, f"builtin.module({TO_VECTORS}{then and ','}{then})")
        self._kernels = kernels_of(module)

    def __call__(self, arguments: Sequence[Any]) -> list[np.ndarray]:
        """The results on arrays and numbers."""
        return run_plan(self._plan, self._kernels, self._parameters, arguments)
