"""The AMD backend."""
