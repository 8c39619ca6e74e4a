"""Matrix instructions (MFMA), with their lane layouts as data.

Layouts are those of AMD's "Matrix Core" notes and the matrix instruction calculator. An operand of m x k
gives lane l the row `l % m` and the k elements that begin at `l // m * e`, where e is how many each lane
holds; B is taken as its transpose, n x k, in the same way. A result of f32 gives lane l the column `l % n`
and rows in groups of 4 for each group of lanes; a result of f64 the rows `l // 16 + 4 r`.

Products are summed in f32 (numpy's order); the hardware's order within one instruction isn't documented. All
lanes take part, whatever EXEC says. Denormal numbers are 0 on the chips whose target says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.operands import Run, read_vector, register, vector_row
from aecompiler.backends.amd.simulator.state import LANE, Wave
from aecompiler.backends.amd.simulator.text import Instruction
from aecompiler.backends.amd.simulator.vector import refuse_modifiers
from aecompiler.backends.amd.target import AmdTarget, MatrixInstruction

_ELEMENT_BYTES = {"f16": 2, "bf16": 2, "f32": 4, "xf32": 4, "f64": 8}


_SMALLEST = {"f16": np.float32(2.0**-14), "bf16": np.float32(2.0**-126)}
"""The smallest normal numbers of types whose denormal numbers some chips take for 0; of bf16 as of f32."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the elements of one matrix instruction stand.

    `rows`, `depths` [elements of an operand, 64]: the row of A (column of B) and the k of each lane's
    elements. `result_rows`, `result_columns` [elements of the result, 64]: the same for C and D.
    """

    rows: np.ndarray
    depths: np.ndarray
    result_rows: np.ndarray
    result_columns: np.ndarray


def layout_of(matrix: MatrixInstruction) -> Layout:
    """The layout of a matrix instruction with one block."""
    elements, results = matrix.operand_elements, matrix.sum_elements
    held, out = np.arange(elements)[:, None], np.arange(results)[:, None]
    group = LANE // matrix.m
    if matrix.sum_dtype == "f64":
        result_rows = group + 4 * out
    elif matrix.m == 16:
        result_rows = 4 * group + out
    else:
        result_rows = 8 * (out // 4) + 4 * group + out % 4
    return Layout(
        rows=np.broadcast_to(LANE % matrix.m, (elements, 64)),
        depths=group * elements + held,
        result_rows=result_rows,
        result_columns=np.broadcast_to(LANE % matrix.n, (results, 64)),
    )


@cache
def _gather(matrix: MatrixInstruction, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Indices [m, k] into the elements of an operand's registers, and [results, 64] into the product."""
    size = _ELEMENT_BYTES[matrix.dtype]
    per_word = max(1, 4 // size)
    held = np.arange(matrix.operand_elements)[:, None]
    # registers hold, for each word of an element's kind, 64 lanes side by side
    place = held // per_word * 64 * per_word + LANE * per_word + held % per_word
    index = np.zeros((matrix.m, matrix.k), np.intp)
    index[layout.rows, layout.depths] = place
    return index, layout.result_rows * matrix.n + layout.result_columns


def _halves(words: np.ndarray, index: np.ndarray) -> np.ndarray:
    return words.view(np.float16).take(index).astype(np.float32)


def _bfloats(words: np.ndarray, index: np.ndarray) -> np.ndarray:
    return (words.view(np.uint16).take(index).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _floats(words: np.ndarray, index: np.ndarray) -> np.ndarray:
    return words.view(np.float32).take(index)


def _short_floats(words: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values of f32 rounded to the 10 bits of mantissa of xf32."""
    bits = words.take(index)
    return (bits + np.uint32(0xFFF) + (bits >> np.uint32(13) & np.uint32(1)) & np.uint32(0xFFFFE000)).view(
        np.float32
    )


def _doubles(words: np.ndarray, index: np.ndarray) -> np.ndarray:
    pairs = words[0::2].astype(np.uint64) | words[1::2].astype(np.uint64) << np.uint64(32)
    return pairs.view(np.float64).take(index)


_ELEMENTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "f16": _halves,
    "bf16": _bfloats,
    "f32": _floats,
    "xf32": _short_floats,
    "f64": _doubles,
}


def build_matrix(instruction: Instruction, target: AmdTarget) -> Run | None:
    """The closure of a matrix instruction of the chip, or None where it has none of that name."""
    found = [matrix for matrix in target.matrix_instructions if matrix.name == instruction.opcode]
    if not found:
        return None
    refuse_modifiers(instruction, set())
    matrix = found[0]
    index, result = _gather(matrix, layout_of(matrix))
    words = matrix.operand_elements * _ELEMENT_BYTES[matrix.dtype] // 4
    destination, left, right, addend = instruction.operands
    for text, count in ((destination, result.shape[0]), (left, words), (right, words)):
        expected = count * (2 if matrix.sum_dtype == "f64" and text is destination else 1)
        given = register(text)
        if given is None or given[2] != expected:
            raise UnknownInstruction(f"expects {expected} registers, got '{text}'", instruction)
    if matrix.sum_dtype == "f64":
        return _double(instruction, index, result)
    a, b, d, count = vector_row(left), vector_row(right), vector_row(destination), result.shape[0]
    elements = _ELEMENTS[matrix.dtype]
    if target.matrix_flushes_denormals and matrix.dtype in _SMALLEST:
        return _flushing(instruction, matrix, index, result)
    if register(addend) is None:
        constant = read_vector(addend, "f")

        def run_constant(wave: Wave) -> None:
            x, y = elements(wave.vector[a : a + words], index), elements(wave.vector[b : b + words], index)
            wave.values[d : d + count] = (x @ y.T).take(result) + constant(wave)

        return run_constant
    c = vector_row(addend)

    def run(wave: Wave) -> None:
        x, y = elements(wave.vector[a : a + words], index), elements(wave.vector[b : b + words], index)
        wave.values[d : d + count] = (x @ y.T).take(result) + wave.values[c : c + count]

    return run


def _without_denormals(values: np.ndarray, smallest: np.float32) -> np.ndarray:
    """`values` with 0, of their sign, for those below the smallest normal number of their type."""
    return np.where(np.abs(values) < smallest, np.copysign(np.float32(0), values), values)


def _flushing(
    instruction: Instruction, matrix: MatrixInstruction, index: np.ndarray, result: np.ndarray
) -> Run:
    """A matrix instruction that takes and gives 0 for denormal numbers."""
    destination, left, right, addend = instruction.operands
    elements, smallest, words = _ELEMENTS[matrix.dtype], _SMALLEST[matrix.dtype], matrix.operand_elements // 2
    a, b, d, count = vector_row(left), vector_row(right), vector_row(destination), result.shape[0]
    c = None if register(addend) is None else vector_row(addend)
    constant = read_vector(addend, "f") if c is None else None

    def run(wave: Wave) -> None:
        x, y = (elements(wave.vector[at : at + words], index) for at in (a, b))
        product = _without_denormals(x, smallest) @ _without_denormals(y, smallest).T
        added = wave.values[c : c + count] if constant is None else constant(wave)
        total = product.take(result) + _without_denormals(added, _SMALLEST["bf16"])
        wave.values[d : d + count] = _without_denormals(total, _SMALLEST["bf16"])

    return run


def _double(instruction: Instruction, index: np.ndarray, result: np.ndarray) -> Run:
    """The matrix instruction of f64."""
    destination, left, right, addend = instruction.operands
    a, b, d, count = vector_row(left), vector_row(right), vector_row(destination), result.shape[0]
    c = None if register(addend) is None else vector_row(addend)
    constant = float(addend) if c is None else 0.0

    def run(wave: Wave) -> None:
        x, y = _doubles(wave.vector[a : a + 2], index), _doubles(wave.vector[b : b + 2], index)
        total = (x @ y.T).take(result)
        if c is None:
            total = total + constant
        else:
            places = np.arange(count * 64).reshape(count, 64)
            total = total + _doubles(wave.vector[c : c + 2 * count], places)
        bits = np.ascontiguousarray(total).view(np.uint64)
        wave.vector[d : d + 2 * count : 2] = bits.astype(np.uint32)
        wave.vector[d + 1 : d + 2 * count : 2] = (bits >> np.uint64(32)).astype(np.uint32)

    return run
