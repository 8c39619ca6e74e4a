"""The CPU backend: programs to LLVM, compiled in this process. Nothing to install beyond the package."""

from aecompiler.backends.cpu.backend import BACKEND

__all__ = ["BACKEND"]
