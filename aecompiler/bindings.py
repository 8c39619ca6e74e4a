"""The only module that names the distribution of the upstream MLIR Python bindings.

`mlir` is the package of `mlir-python-bindings` (wheels on LLVM's own index); the `torch-mlir` wheel ships
the same bindings below the prefix `torch_mlir`. Two prefixes must never meet in one process: each would load
its own copy of the MLIR C++ library, with its own type ids.

Modules are imported at first use, so that a tool pays only for the dialects it touches::

    from aecompiler.bindings import ir, arith          # modules of the chosen distribution
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

_MODULES = {
    "ir": "ir",
    "passmanager": "passmanager",
    "rewrite": "rewrite",
    "execution_engine": "execution_engine",
    "runtime": "runtime",
    "ext": "dialects.ext",
    **{
        name: f"dialects.{name}"
        for name in ("affine", "arith", "bufferization", "cf", "func", "linalg", "llvm", "math", "memref")
    },
    **{name: f"dialects.{name}" for name in ("scf", "tensor", "ub", "vector", "x86")},
}


def _is_complete(prefix: str) -> bool:
    """Whether `prefix` has the parts that are needed; LLVM's placeholder on the package index has none."""
    try:
        return all(
            importlib.util.find_spec(f"{prefix}.{part}")
            for part in ("ir", "execution_engine", "dialects.ext")
        )
    except ModuleNotFoundError:
        return False


def _find_prefix() -> str:
    if forced := os.environ.get("AECOMPILER_MLIR_PREFIX"):
        return forced
    for prefix in ("mlir", "torch_mlir"):
        if _is_complete(prefix):
            return prefix
    raise ImportError("no MLIR Python bindings found: run `pip install torch-mlir==20261001`")


PREFIX = _find_prefix()


def load(name: str) -> ModuleType:
    """Import the submodule `name` of the bindings, for example `load("dialects.transform")`."""
    return importlib.import_module(f"{PREFIX}.{name}")


def declare_dialects(*names: str) -> None:
    """Tell the bindings that dialects have no module in their distribution.

    They else look for it on the disk at each operation of the dialect that they show to Python.
    """
    for name in names:
        module = f"{PREFIX}.dialects.{name}"
        sys.modules.setdefault(module, ModuleType(module, f"The dialect {name}, which has no module."))


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = load(_MODULES[name])
    globals()[name] = module
    return module
