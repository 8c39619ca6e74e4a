"""Passes of the AMD backend. Importing this package registers them."""

from aecompiler.backends.amd.passes import convert_tt_to_vector  # noqa: F401  (registers)
