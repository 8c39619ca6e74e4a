"""Passes of the AMD backend. Importing this package registers them."""

from aecompiler.backends.amd.passes import (  # noqa: F401  (registers)
    amd_distribute_tiles,
    amd_extract_elements,
    amd_merge_bounds,
    amd_order_grid,
    amd_place_barriers,
    amd_place_sched_barriers,
    amd_prefetch_tiles,
    amd_raise_priority,
    amd_relax_maxima,
    amd_space_comparisons,
    amd_use_unsigned,
    amd_vote_nans,
    convert_tt_to_vector,
)
