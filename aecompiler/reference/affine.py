"""Affine maps, read from their text: `affine_map<(d0, d1)[s0] -> (d0 + d1 * 2, d1 floordiv 4)>`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aecompiler.errors import UnsupportedError

_MAP = re.compile(r"(?:affine_map<)?\((?P<dims>[^)]*)\)(?:\[(?P<symbols>[^\]]*)\])? -> \((?P<results>.*)\)>?")

# The three divisions of affine expressions, spelled as Python operators of the same precedence.
_SPELLING = {"floordiv": "//", "mod": "%", "ceildiv": "@"}

_OPERATORS: dict[type[ast.operator], Callable] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.MatMult: lambda a, b: -np.floor_divide(-a, b),
}


@dataclass(frozen=True)
class AffineMap:
    """A map from `rank` loop indices to one expression per axis of an operand."""

    rank: int
    results: tuple[ast.expr, ...]

    @property
    def loops(self) -> tuple[int | None, ...]:
        """For each result the loop that it is, or `None` if it is an expression."""
        return tuple(int(e.id[1:]) if isinstance(e, ast.Name) else None for e in self.results)

    @property
    def is_projection(self) -> bool:
        """Whether each result is a loop of its own."""
        return None not in self.loops and len(set(self.loops)) == len(self.results)

    def apply(self, indices: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The results at loop indices given as arrays that broadcast against each other."""
        return [np.asarray(_apply(result, indices)) for result in self.results]


def projection(rank: int, loops: Sequence[int]) -> AffineMap:
    """The map that picks `loops` out of `rank` loop indices."""
    return AffineMap(rank, tuple(ast.Name(f"d{loop}", ast.Load()) for loop in loops))


def einsum_maps(formula: str) -> list[AffineMap]:
    """The maps of a contraction written as for einsum, `"mk,kn->mn"`; loops count in order of appearance."""
    operands = formula.replace("->", ",").split(",")
    letters = list(dict.fromkeys("".join(operands)))
    return [projection(len(letters), [letters.index(letter) for letter in text]) for text in operands]


@lru_cache(maxsize=1024)
def parse_map(text: str) -> AffineMap:
    """The map printed as `text`; `UnsupportedError` for maps with symbols."""
    match = _MAP.fullmatch(text)
    if not match or match["symbols"]:
        raise UnsupportedError(f"unsupported: {text} in the reference evaluation")
    results = re.sub(r"\b(floordiv|mod|ceildiv)\b", lambda word: _SPELLING[word[0]], match["results"])
    tree = ast.parse(f"({results},)" if results else "()", mode="eval").body
    assert isinstance(tree, ast.Tuple)
    return AffineMap(len([name for name in match["dims"].split(",") if name.strip()]), tuple(tree.elts))


def _apply(node: ast.expr, indices: Sequence[np.ndarray]) -> np.ndarray | int:
    if isinstance(node, ast.Name):
        return indices[int(node.id[1:])]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_apply(node.operand, indices)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_apply(node.left, indices), _apply(node.right, indices))
    raise UnsupportedError(f"unsupported: affine expression {ast.unparse(node)} in the reference evaluation")
