"""Float64 reference: evaluates any program by its definition, and closed forms that test the evaluation."""

from aecompiler.reference.evaluate import Evaluation, evaluate, supported_operations

__all__ = ["Evaluation", "evaluate", "supported_operations"]
