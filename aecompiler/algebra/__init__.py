"""The mathematics that passes stand on; knows nothing of MLIR."""
