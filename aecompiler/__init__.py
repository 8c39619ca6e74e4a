"""aecompiler: a compiler for attention mechanisms.

A person writes what an attention variant computes, as a few lines of mathematics; the compiler turns it into
a kernel. The usual way in::

    import aecompiler as aec
    from aecompiler import masks

    x = aec.tensor("B", 8, "S", 64)                    # batch, heads, sequence, feature; f32

    @aec.program(q=x, k=x, v=x)
    def causal(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s / 8, mask=masks.causal())    # softmax by default

    o = aec.compile(causal, target="cpu")(q, k, v)

Names are imported at first use: `import aecompiler` loads neither MLIR nor torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES_BY_MODULE = {
    "aecompiler.errors": "AecError BackendError CompileError PipelineError UnsupportedError",
    "aecompiler.builder": (
        "Program TraceError apply attention program recurrence scalar tensor trace "
        "abs cast ceil clamp concat cos erf exp exp2 expm1 floor log log1p log2 max maximum min minimum "
        "outer rsqrt sigmoid sin sqrt sum tanh transpose where"
    ),
    "aecompiler.accuracy": "check",
    "aecompiler.compiler": "compile",
    "aecompiler.kernel": "Kernel",
}
_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()}
_LIBRARY = ("masks", "normalizers", "recurrences", "scores")

__all__ = ["__version__", *_MODULE_OF, *_LIBRARY]


def __getattr__(name: str) -> Any:
    if name in _LIBRARY:
        value = importlib.import_module(f"aecompiler.library.{name}")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
