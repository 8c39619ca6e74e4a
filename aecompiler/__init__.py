"""aecompiler: a compiler for attention mechanisms."""
