"""Products of matrices by matrix instructions: where their operands and results are.

An instruction computes D[i, j] += sum_k A[i, k] B[k, j]. A product C[m, n] += sum_k L[m, k] R[k, n] is given
to it transposed: i is n and j is m. A lane then has, of one row m, some columns that follow each other, and
that is also what it must have of a left factor: weights are a factor without having left their registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Bit, Layout, Place, bits_of
from aecompiler.backends.amd.target import AmdTarget, MatrixInstruction


@dataclass(frozen=True)
class Form:
    """Where a matrix instruction has its operands and its result.

    A lane has `elements` of each operand: bits of k. `result_lanes` and `result_registers` are the bits of i
    of the result, in lanes behind those of j, and in registers. The tables of registers in AMD's "Instruction
    Set Architecture" documents of CDNA 2 to 4 say so.
    """

    instruction: MatrixInstruction
    result_lanes: tuple[int, ...]
    result_registers: tuple[int, ...]

    @property
    def side(self) -> int:
        """The bits of i, and of j."""
        return bits_of(self.instruction.m)

    @property
    def elements(self) -> int:
        """How many elements of an operand a lane has."""
        return self.instruction.operand_elements


def form_of(instruction: MatrixInstruction) -> Form:
    """Where an instruction of 16 or 32 rows and columns has its operands and its result."""
    if instruction.m == 32:
        return Form(instruction, (2,), (0, 1, 3, 4))
    if instruction.sum_dtype == "f64":
        return Form(instruction, (0, 1), (2, 3))
    return Form(instruction, (2, 3), (0, 1))


def choose_instruction(target: AmdTarget, dtype: str, m: int, n: int, k: int, size: int) -> MatrixInstruction:
    """The instruction for a product of these sizes: of at most `size` rows if it can be, of the largest k.

    LookupError where the matrix cores do not take it.
    """
    fitting = [
        each
        for each in target.instructions_for(dtype)
        if each.m == each.n and each.m <= min(m, n) and each.k <= k
    ]
    if not fitting:
        raise LookupError(f"no matrix instruction of {target.chip} for {m} x {n} x {k} of {dtype}")
    return max(fitting, key=lambda each: (each.m <= size, each.m if each.m <= size else -each.m, each.k))


@dataclass(frozen=True)
class Product:
    """Where the operands and the result of a product of matrices are."""

    form: Form
    left: Layout
    """Of [m, k]."""
    right: Layout
    """Of [k, n]."""
    result: Layout
    """Of [m, n]."""


def result_layout(form: Form, m: int, n: int, waves: int) -> Layout:
    """Where the result of a product is: waves have rows of their own, then columns where rows are few."""
    side = form.side
    lanes: list[Place] = [(0, bit) for bit in range(side)]
    lanes += [(1, bit) for bit in form.result_lanes]
    own: list[Bit] = [(0, bit) for bit in range(side, bits_of(m))]
    columns: list[Bit] = [(1, bit) for bit in range(side, bits_of(n))]
    given: list[Place] = [*own[len(own) - min(waves, len(own)) :]]
    given += columns[len(columns) - min(waves - len(given), len(columns)) :] if len(given) < waves else []
    given += [None] * (waves - len(given))
    registers: list[Bit] = [(1, bit) for bit in form.result_registers]
    registers += [bit for bit in (*columns, *own) if bit not in given]
    return Layout((m, n), tuple(registers), tuple(lanes), tuple(given))


def place_operands(
    form: Form, result: Layout, k: int, wide: int, left: Layout | None, right: Layout | None
) -> Product:
    """Where the operands are, given where the result is, and where they are already, if anywhere.

    Which bits of k lanes and registers have does not matter as long as both operands have the same: what
    stands well stays there. Otherwise lanes have up to `wide` elements that follow each other.
    """
    m, n = result.shape
    side = form.side
    for operand, own in ((left, 0), (right, 1)):
        if operand is None or not _stands_well(operand, own, form, result):
            continue
        registers = [bit for dim, bit in operand.registers if dim == 1 - own]
        lanes = [place[1] for place in operand.lanes[side:] if place is not None]
        break
    else:
        among = LANE_BITS - side
        run = max(bits_of(form.elements), min(bits_of(wide), bits_of(k) - among))
        registers = [*range(run), *range(run + among, bits_of(k))]
        lanes = list(range(run, run + among))
    return Product(
        form,
        _operand((m, k), 0, side, registers, lanes, result),
        _operand((k, n), 1, side, registers, lanes, result),
        result,
    )


def _operand(
    shape: tuple[int, int],
    own: int,
    side: int,
    registers: Sequence[int],
    lanes: Iterable[int],
    result: Layout,
) -> Layout:
    """The layout of an operand whose dimension `own` is one of the result."""
    other = 1 - own
    places: tuple[Place, ...] = (*((own, bit) for bit in range(side)), *((other, bit) for bit in lanes))
    waves = tuple(place if place is not None and place[0] == own else None for place in result.waves)
    rest = [(own, bit) for bit in range(side, bits_of(shape[own])) if (own, bit) not in waves]
    return Layout(shape, (*((other, bit) for bit in registers), *rest), places, waves)


def _stands_well(operand: Layout, own: int, form: Form, result: Layout) -> bool:
    """Whether an operand is where an instruction can take it, whatever bits of k lanes have."""
    side, other = form.side, 1 - own
    rows = tuple((own, bit) for bit in range(side))
    waves = tuple(place if place is not None and place[0] == own else None for place in result.waves)
    in_registers = [bit for bit in operand.registers if bit[0] == other]
    return (
        operand.lanes[:side] == rows
        and all(place is not None and place[0] == other for place in operand.lanes[side:])
        and operand.waves == waves
        and len(in_registers) >= bits_of(form.elements)
    )
