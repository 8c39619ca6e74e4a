"""Views of tensors in the words of a host program: expressions on tensors of torch.

They share memory with the tensor, except that a change of shape copies where its strides allow no view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Name = Callable[[int], str]
"""How a value of a plan is called."""


def _slice(view: dict[str, Any], tensor: str, name: Name) -> str:
    places = []
    for d, (offset, size, step) in enumerate(
        zip(map(name, view["offsets"]), map(name, view["sizes"]), view["steps"], strict=True)
    ):
        end = f"{offset} + {size}" if step == 1 else f"{offset} + {size} * {step}"
        places.append(offset if d in view["dropped"] else f"{offset}:{end}:{step}")
    return f"{tensor}[{', '.join(places)}]" if places else tensor


def _permute(view: dict[str, Any], tensor: str, _name: Name) -> str:
    return f"{tensor}.permute({_tuple(map(str, view['order']))})"


def _broadcast(view: dict[str, Any], tensor: str, name: Name) -> str:
    sizes = [name(size) for size in view["sizes"]]
    places = ["None" if d in view["added"] else ":" for d in range(len(sizes))]
    inserted = f"{tensor}[{', '.join(places)}]" if view["added"] else tensor
    return f"{inserted}.expand({_tuple(sizes)})"


def _expand(view: dict[str, Any], tensor: str, name: Name) -> str:
    return f"{tensor}.reshape({_tuple(map(name, view['sizes']))})"


def _collapse(view: dict[str, Any], tensor: str, _name: Name) -> str:
    groups = [" * ".join(f"{tensor}.shape[{axis}]" for axis in group) for group in view["groups"]]
    return f"{tensor}.reshape({_tuple(groups)})"


def _tuple(parts: Any) -> str:
    return f"({''.join(f'{part}, ' for part in parts)})"


VIEWS: dict[str, Callable[[dict[str, Any], str, Name], str]] = {
    "slice": _slice,
    "permute": _permute,
    "broadcast": _broadcast,
    "expand": _expand,
    "collapse": _collapse,
}
"""The instructions of plans that are views, and what writes them."""
