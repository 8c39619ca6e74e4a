"""Target-neutral passes; importing this package registers them."""

from aecompiler.passes import (
    attn_analyze_mask,
    attn_canonicalize,
    attn_derive_chunked,
    attn_derive_online,
    attn_derive_step,
    attn_fuse_elementwise,
    attn_guard_operations,
    attn_hoist_chunks,
    attn_tile,
    attn_tile_chunked,
    attn_tile_steps,
    attn_tile_tensors,
    attn_verify_chunked,
    attn_verify_online,
    convert_attn_to_linalg,
)

__all__ = [
    "attn_analyze_mask",
    "attn_canonicalize",
    "attn_derive_chunked",
    "attn_derive_online",
    "attn_derive_step",
    "attn_fuse_elementwise",
    "attn_guard_operations",
    "attn_hoist_chunks",
    "attn_tile",
    "attn_tile_chunked",
    "attn_tile_steps",
    "attn_tile_tensors",
    "attn_verify_chunked",
    "attn_verify_online",
    "convert_attn_to_linalg",
]
