"""Tile programs to loops over vectors: what the pass `cpu-vectorize-tiles` is made of."""
