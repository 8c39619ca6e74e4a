"""What a pass needs: the `Pass` base class, options, the registries, and pipelines that mix passes.

```python
@register_pass
class CountOps(Pass):
    \"\"\"Write the number of its ops on every function.\"\"\"

    NAME = "attn-count-ops"
    ANCHOR = "func.func"
    limit: int = option(100, "the largest number of ops that is accepted")

    def run(self, op: ir.Operation) -> None:
        ...
```
"""

from aecompiler.passes.pipeline import (
    Instrumentation,
    InvalidIRError,
    Pipeline,
    Step,
    make_pass,
    run_pipeline,
)
from aecompiler.passes.pipeline_text import parse_pipeline
from aecompiler.passes.registry import (
    ANY,
    PASSES,
    PIPELINES,
    NamedPipeline,
    Pass,
    PassFailure,
    option,
    options_of,
    register_pass,
    register_pipeline,
    summary,
)

__all__ = [
    "ANY",
    "PASSES",
    "PIPELINES",
    "Instrumentation",
    "InvalidIRError",
    "NamedPipeline",
    "Pass",
    "PassFailure",
    "Pipeline",
    "Step",
    "make_pass",
    "option",
    "options_of",
    "parse_pipeline",
    "register_pass",
    "register_pipeline",
    "run_pipeline",
    "summary",
]
