"""The picture of aec-run --plot-mask: which tiles of a mask are full, partial and empty for given inputs."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aecompiler import arrays
from aecompiler.bindings import func, ir
from aecompiler.dialect import make_context
from aecompiler.kernel import Kernel
from aecompiler.passes import rewriting as rw
from aecompiler.passes.mask_analysis import ATTENTION_OPS, analyze
from aecompiler.passes.mask_reading import KV_LEN, Q_LEN
from aecompiler.passes.mask_text import Sizes, grid_of
from aecompiler.reference import evaluate
from aecompiler.tools.errors import UsageError
from aecompiler.tools.files import check_writable, replace_file

COLOURS = {"full": "#1b4965", "partial": "#62b6cb", "empty": "#f1f1ee"}


@dataclass(frozen=True)
class MaskTiles:
    """The tiles of one attention op, of batch 0 and head 0."""

    grid: list[list[str]]
    sizes: Sizes


def check_plot(path: str) -> None:
    """Raises UsageError if no picture can be written to `path`."""
    if not path.endswith(".png"):
        raise UsageError(f"--plot-mask expects a file ending in .png, got '{path}'")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot-mask needs matplotlib: pip install 'aecompiler[plot]'")
    check_writable(path)


def plot(path: str, kernel: Kernel, inputs: Sequence[Any], block_q: int, block_kv: int) -> None:
    """Draw the tiles of every attention op of the program. Raises UsageError."""
    found = mask_tiles(kernel, inputs, block_q, block_kv)
    data = _draw(found)
    replace_file(path, lambda file: file.write(data))


def mask_tiles(kernel: Kernel, inputs: Sequence[Any], block_q: int, block_kv: int) -> list[MaskTiles]:
    """The tiles of every attention op for the inputs of a call. Raises UsageError."""
    values = [arrays.to_numpy(value) for value in kernel.bind(list(inputs), {})]
    with make_context():
        _module, function = kernel.inlined_program()
        count = len(_attention_ops(function))
    if not count:
        raise UsageError("--plot-mask: the program has no attention with a mask")
    return [_tiles_of(kernel, number, values, block_q, block_kv) for number in range(count)]


def _attention_ops(function: Any) -> list[ir.Operation]:
    return [op for op in rw.walk_list(function, "attn.") if op.name in ATTENTION_OPS]


def _tiles_of(kernel: Kernel, number: int, values: Sequence[Any], block_q: int, block_kv: int) -> MaskTiles:
    """Evaluate what the mask of one op depends on, in place of the op; then classify on numbers."""
    with make_context(), ir.Location.unknown():
        _module, function = kernel.inlined_program()
        function = function.operation
        op = _attention_ops(function)[number]
        block = function.regions[0].blocks[0]
        if op.block != block:
            raise UsageError("--plot-mask: unsupported: attention in a loop or a branch")
        analysis = analyze(op)
        with ir.InsertionPoint(op):
            zero = rw.index(0)
            symbols, tensors = analysis.build_names(zero, zero)
            lengths = {name: rw.dim(op.operands[n], 2) for n, name in enumerate((Q_LEN, KV_LEN))}
            names = {**symbols, **lengths}
            outputs = [*names.values(), *tensors.values()]
            end = func.ReturnOp(outputs).operation
        following = list(block.operations)
        for later in reversed(following[following.index(end) + 1 :]):
            later.operation.erase()
        types = ir.FunctionType.get([each.type for each in block.arguments], [each.type for each in outputs])
        function.attributes["function_type"] = ir.TypeAttr.get(types)
        results = evaluate(function, values)
        numbers = {name: int(value) for name, value in zip(names, results, strict=False)}
        sizes = Sizes(numbers[Q_LEN], numbers[KV_LEN], block_q, block_kv, {})
        read = dict(zip(tensors, results[len(names) :], strict=True))
        return MaskTiles(grid_of(analysis, sizes, numbers, read), sizes)


def _draw(found: Sequence[MaskTiles]) -> bytes:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    kinds = list(COLOURS)
    figure = Figure(figsize=(5.5 * len(found), 6), layout="constrained")
    for number, tiles in enumerate(found):
        axes = figure.add_subplot(1, len(found), number + 1)
        sizes = tiles.sizes
        counts = {kind: sum(line.count(kind) for line in tiles.grid) for kind in kinds}
        if tiles.grid and tiles.grid[0]:
            height, width = len(tiles.grid) * sizes.block_q, len(tiles.grid[0]) * sizes.block_kv
            axes.imshow(
                [[kinds.index(kind) for kind in line] for line in tiles.grid],
                cmap=ListedColormap(list(COLOURS.values())),
                vmin=-0.5,
                vmax=len(kinds) - 0.5,
                extent=(0, width, height, 0),
                interpolation="nearest",
            )
        axes.set_xlabel(f"keys ({sizes.kv_len})")
        axes.set_ylabel(f"queries ({sizes.q_len})")
        axes.set_title(f"{sizes.block_q} x {sizes.block_kv} tiles, batch 0, head 0")
        handles = [Patch(color=COLOURS[kind], label=f"{counts[kind]} {kind}") for kind in kinds]
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()
