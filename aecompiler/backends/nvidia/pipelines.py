"""The pipelines to Triton's dialects. Importing this module registers them and the passes in them."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.cpu.passes import guard_operations  # noqa: F401  (registers)
from aecompiler.backends.triton import convert_tiles_to_tt, tt_skew_products  # noqa: F401  (registers)
from aecompiler.passes.infra import register_pipeline


@register_pipeline("attn-tt")
def tt(
    *,
    block_q: Annotated[int, "query rows of a tile"] = 64,
    block_kv: Annotated[int, "keys of a tile"] = 64,
    precision: Annotated[str, "how products of f32 are computed: ieee, tf32x3 or tf32"] = "tf32x3",
    library: Annotated[str, "the device's library of math functions: libdevice or ocml"] = "libdevice",
    least_value_features: Annotated[int, "what v's features are padded to at least, in 16 bits"] = 16,
    descriptors: Annotated[bool, "copy tiles through descriptors of tensors where that can be done"] = False,
) -> str:
    """Lower programs through their streaming and tile forms to kernels in Triton's `tt` dialect.

    The context must allow unregistered dialects. What is left of a function is what the host does.
    """
    return ",".join(
        (
            "cpu-guard-operations",
            "attn-derive-online",
            f"attn-tile{{block-q={block_q} block-kv={block_kv} rows-last=false masked-values=check-result}}",
            "attn-fuse-elementwise",
            "canonicalize",
            "cse",
            f"convert-tiles-to-tt{{precision={precision} library={library} "
            f"least-value-features={least_value_features} descriptors={str(descriptors).lower()}}}",
        )
    )
