"""The road "mlir": kernels in Triton's dialect through upstream MLIR to code of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aecompiler.backends.amd.artifact import KernelCode
from aecompiler.backends.amd.target import AmdTarget
from aecompiler.bindings import ir
from aecompiler.errors import UnsupportedError


def compile_kernels(
    module: ir.Module, target: AmdTarget, facts: Mapping[str, Mapping[str, Any]]
) -> dict[str, KernelCode]:
    """The code of the kernels (`tt.func`) of a module, which is changed; `facts` are those of the manifest.

    Kernels take, behind their parameters, the bytes behind each pointer.
    """
    raise UnsupportedError(f"unsupported: the road 'mlir' to {target.name} (roads: triton)")
