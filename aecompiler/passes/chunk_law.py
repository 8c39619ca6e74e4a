"""The products of one chunk of a chunked recurrence: what its positions give each other, o, and the state.

Positions i and j count from the chunk's first. With c_i the sum of the logarithms of the decays up to i, and
r_i = c_i for what reads the state after the decay of position i, c_(i - 1) for what reads it before:

```
P[i, j] = sum_d x_i[d] k_j[d] exp(r_i[d] - c_j[d])      of queries and erases x; 0 unless j <= i, or j < i
(I + N) U = V - erase_scale exp(r) (E S0)               N[i, j] = erase_scale_i P_erase[i, j] key_scale_j
O = query_scale (exp(r) (Q S0) + P_query (key_scale U)) + skip
S1 = exp(c_L) S0 + sum_j exp(c_L - c_j) key_scale_j k_j U_j^T
```

No exponent is positive where no log_decay is: this is what separates the law from its usual form, which
divides by exp(c_j). Of scalar decays r_i - c_j is a difference of sums, which may be large where it is small:
both are of the type that `decay-sums` says. Other exponents are summed up from where they begin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aecompiler.bindings import arith, ir, math, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_decays import Decays, row_of, shape_of
from aecompiler.passes.structured_ops import TO_STATE

ROW, COLUMN, ELEMENT = (0,), (1,), (0, 1)
"""How loops over a tile index the number of a row, of a column, and an element."""

FALLBACK = "attn.fallback"
"""The attribute of an `scf.if` whose second branch is right in any case, slow, and hardly ever taken."""

INVERSE = "attn.inverse"
"""The attribute of products that make an inverse of factors which are inverses themselves: errors grow."""


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads the state: queries or erases `[L, Dk]`.

    `before`: the state it reads is that before the decay of its position; `strict`: what the position itself
    adds is not in it.
    """

    tile: ir.Value
    scale: ir.Value | None
    before: bool
    strict: bool


@dataclasses.dataclass(frozen=True)
class ChunkInputs:
    """What the positions of a chunk contribute, as tiles; scales are `[L]`, and None where they are 1.

    Past the end keys, values and erases are 0, or times a scale of 0. q, k and v may have their own type.
    """

    query: Reader
    erase: Reader | None
    key: ir.Value
    value: ir.Value
    key_scale: ir.Value | None
    decays: Decays | None
    skip: rw.Indexed | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LawOptions:
    """How the products are computed: options of `attn-tile-chunked`."""

    decay_bound: float
    solve_rows: int


class ChunkLaw:
    """Builds the products of one chunk at the insertion point."""

    def __init__(self, inputs: ChunkInputs, acc: ir.Type, how: LawOptions):
        self.inputs, self.acc, self.how = inputs, acc, how
        self.decays = inputs.decays
        self.length = shape_of(inputs.key)[0]

    def apply(self, state: ir.Value) -> tuple[ir.Value, ir.Value]:
        """O `[L, Dv]` and the state after the chunk, `[Dk, Dv]`, from the state before it."""
        inputs = self.inputs = self._with_scaled_values(self.inputs)
        readers = [inputs.query, *([inputs.erase] if inputs.erase else [])]
        pairs = self._pairs(readers)
        update = inputs.value
        if inputs.erase is not None:
            update = self._solve(self._scaled_pairs(inputs.erase, pairs[1], -1.0), state)
            self.inputs = dataclasses.replace(inputs, key_scale=None)
        weights = self._scaled_pairs(inputs.query, pairs[0])
        outputs = self._product((weights, (0, 2)), (update, (2, 1)), self._carried_over(state))
        return outputs, self._next_state(state, update)

    def _with_scaled_values(self, inputs: ChunkInputs) -> ChunkInputs:
        """Without erases the scales of keys may as well be those of values, which are fewer than pairs."""
        if inputs.erase is not None or inputs.key_scale is None:
            return inputs
        return dataclasses.replace(inputs, value=self._with_key_scale(inputs.value), key_scale=None)

    # ---- what positions give each other ------------------------------------------------------------

    def _pairs(self, readers: Sequence[Reader]) -> list[ir.Value]:
        """For each reader sum_d x_i k_j, with decays between if there is one for each feature."""
        if self.decays is None or self.decays.is_scalar:
            return [self._dots(reader.tile, self.inputs.key) for reader in readers]
        return Diagonal(self, self.decays).pairs(readers)

    def _dots(self, rows: ir.Value, keys: ir.Value) -> ir.Value:
        """x_i . k_j of all pairs."""
        zeros = rw.filled([self.length, self.length], self.acc, 0.0)
        return self._product((rows, (0, 2)), (keys, (1, 2)), zeros)

    def _scaled_pairs(self, reader: Reader, pairs: ir.Value, factor: float = 1.0) -> ir.Value:
        """The weights of U in what a reader reads: 0 for positions that it does not see."""
        acc, inputs, decays = self.acc, self.inputs, self.decays
        ins: list[rw.Indexed] = [(pairs, ELEMENT)]
        factors = [(reader.scale, ROW), (inputs.key_scale, COLUMN)]
        scalar = decays is not None and decays.is_scalar
        if decays is not None and scalar:
            factors += [(decays.sign_products(reader.before), ROW), (decays.sign_products(False), COLUMN)]
            ins += [(decays.wide_sums(reader.before), ROW), (decays.wide_sums(False), COLUMN)]
        split = len(ins)
        ins += [(value, loops) for value, loops in factors if value is not None]
        kind = arith.CmpIPredicate.ult if reader.strict else arith.CmpIPredicate.ule

        def weigh(elements: list[ir.Value]) -> ir.Value:
            value = elements[0]
            if scalar:
                between = rw.convert_float(arith.subf(elements[1], elements[2]), acc)
                value = arith.mulf(value, math.exp(between))
            for each in elements[split:]:
                value = arith.mulf(value, each)
            if factor != 1.0:
                value = arith.mulf(value, rw.constant(acc, factor))
            seen = arith.cmpi(kind, rw.loop_index(1), rw.loop_index(0))
            return arith.select(seen, value, rw.constant(acc, 0.0))

        return rw.elementwise(ins, [self.length, self.length], acc, weigh)

    # ---- the rank-one terms ------------------------------------------------------------------------

    def _solve(self, pairs: ir.Value, state: ir.Value) -> ir.Value:
        """key_scale U, from -N and the state: rows of the inverse are scaled, which are known before."""
        inputs = self.inputs
        assert inputs.erase is not None
        erased = self._read(inputs.erase, state)
        shape = shape_of(erased)
        difference = rw.elementwise(
            [(inputs.value, ELEMENT), (erased, ELEMENT)],
            shape,
            self.acc,
            lambda e: arith.subf(rw.convert_float(e[0], self.acc), e[1]),
        )
        if 0 < self.how.solve_rows < self.length:
            return self._with_key_scale(self._substituted(pairs, difference))
        zeros = rw.filled(shape_of(difference), self.acc, 0.0)
        inverse = self._with_key_scale(self._inverse(pairs))
        return self._product((inverse, (0, 2)), (difference, (2, 1)), zeros)

    def _with_key_scale(self, tile: ir.Value) -> ir.Value:
        """A tile whose rows are scaled as the keys are."""
        scale = self.inputs.key_scale
        if scale is None:
            return tile
        return rw.elementwise(
            [(tile, ELEMENT), (scale, ROW)],
            shape_of(tile),
            self.acc,
            lambda e: arith.mulf(rw.convert_float(e[0], self.acc), e[1]),
        )

    def _times_inverse(self, negative: ir.Value, right: ir.Value) -> ir.Value:
        zeros = rw.filled(shape_of(right), self.acc, 0.0)
        return self._product((self._inverse(negative), (0, 2)), (right, (2, 1)), zeros)

    def _substituted(self, negative: ir.Value, right: ir.Value) -> ir.Value:
        """(I + N)^-1 times a tile, a block of rows after the other: what is known is put in, then solved."""
        step, columns = self.how.solve_rows, shape_of(right)[1]
        blocks: list[ir.Value] = []
        for first in range(0, self.length, step):
            count = min(step, self.length - first)
            rows = rw.extract_slice(right, [first, 0], [count, columns], (0, 1))
            for number, before in enumerate(blocks):
                part = rw.extract_slice(negative, [first, number * step], [count, step], (0, 1))
                rows = self._product((part, (0, 2)), (before, (2, 1)), rows)
            own = rw.extract_slice(negative, [first, first], [count, count], (0, 1))
            blocks.append(self._times_inverse(own, rows))
        return tensor.concat(right.type, 0, blocks)

    def _inverse(self, negative: ir.Value) -> ir.Value:
        """(I + N)^-1 of a strictly lower triangular N, given as -N, by doubling.

        The inverse of diagonal blocks of 2 s is that of blocks of s, T, and below the diagonal -T N T. Its
        entries are those that substitution finds, so it is as stable; a product of powers of N is not.
        """
        length = shape_of(negative)[0]
        inverse, block = None, 1
        while block < length:
            part = self._half_blocks(negative, block, None if inverse is not None else 1.0)
            if inverse is None:
                inverse = part
            else:
                zeros = rw.filled([length, length], self.acc, 0.0)
                right = self._product((part, (0, 2)), (inverse, (2, 1)), zeros)
                inverse = self._product((inverse, (0, 2)), (right, (2, 1)), inverse)
                for each in (right, inverse):
                    each.owner.attributes[INVERSE] = ir.UnitAttr.get()
            block *= 2
        if inverse is None:
            return rw.filled([1, 1], self.acc, 1.0)
        return inverse

    def _half_blocks(self, pairs: ir.Value, block: int, diagonal: float | None) -> ir.Value:
        """Of blocks of 2 `block` the rows of the second half, the columns of the first; all else is 0."""

        def part(elements: list[ir.Value]) -> ir.Value:
            zero = rw.constant(self.acc, 0.0)
            value = arith.select(in_halves(block), elements[0], zero)
            if diagonal is not None:
                same = arith.cmpi(arith.CmpIPredicate.eq, rw.loop_index(0), rw.loop_index(1))
                value = arith.select(same, rw.constant(self.acc, diagonal), value)
            return value

        return rw.elementwise([(pairs, ELEMENT)], shape_of(pairs), self.acc, part)

    # ---- the state -----------------------------------------------------------------------------------

    def _read(self, reader: Reader, state: ir.Value, skip: rw.Indexed | None = None) -> ir.Value:
        """scale_i (exp(r_i) x_i)^T S0, and skip: what a reader has of the chunk's first state."""
        decays, acc = self.decays, self.acc
        factors = [reader.scale] if reader.scale is not None else []
        rows = reader.tile
        if decays is not None and decays.is_scalar:
            factors.append(decays.from_start(reader.before))
        elif decays is not None:
            rows = self._times(rows, decays.from_start(reader.before))
        shape = [self.length, shape_of(state)[1]]
        product = self._product((rows, (0, 2)), (state, (2, 1)), rw.filled(shape, acc, 0.0))
        if not factors and skip is None:
            return product

        def scale(elements: list[ir.Value]) -> ir.Value:
            value = elements[0]
            for each in elements[1 : 1 + len(factors)]:
                value = arith.mulf(value, each)
            if skip is not None:
                value = arith.addf(value, rw.convert_float(elements[-1], acc))
            return value

        ins = [(product, ELEMENT), *((each, ROW) for each in factors), *([skip] if skip else [])]
        return rw.elementwise(ins, shape, acc, scale)

    def _carried_over(self, state: ir.Value) -> ir.Value:
        return self._read(self.inputs.query, state, self.inputs.skip)

    def _next_state(self, state: ir.Value, update: ir.Value) -> ir.Value:
        inputs, decays, acc = self.inputs, self.decays, self.acc
        keys, factors, kept = inputs.key, [], state
        if inputs.key_scale is not None:
            factors.append(inputs.key_scale)
        if decays is not None:
            whole = decays.whole()
            loops = () if decays.is_scalar else ROW
            kept = rw.elementwise(
                [(state, ELEMENT), (whole, loops)], shape_of(state), acc, lambda e: arith.mulf(e[0], e[1])
            )
            if decays.is_scalar:
                factors.append(decays.to_end())
            else:
                keys = self._times(keys, decays.to_end())
        if factors:

            def weigh(elements: list[ir.Value]) -> ir.Value:
                value = rw.convert_float(elements[0], acc)
                for each in elements[1:]:
                    value = arith.mulf(value, each)
                return value

            ins = [(update, ELEMENT), *((each, ROW) for each in factors)]
            update = rw.elementwise(ins, shape_of(update), acc, weigh)
        added = self._product((keys, (2, 0)), (update, (2, 1)), kept)
        added.owner.attributes[TO_STATE] = ir.UnitAttr.get()
        return added

    # ---- tiles ---------------------------------------------------------------------------------------

    def _times(self, tile: ir.Value, factors: ir.Value) -> ir.Value:
        return rw.elementwise(
            [(tile, ELEMENT), (factors, ELEMENT)],
            shape_of(tile),
            self.acc,
            lambda e: arith.mulf(rw.convert_float(e[0], self.acc), e[1]),
        )

    def _product(self, a: rw.Indexed, b: rw.Indexed, into: ir.Value) -> ir.Value:
        """into[0, 1] + sum over loop 2 of a b. Narrow operands are widened in the body, and nowhere else."""

        def add(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            left, right = (rw.convert_float(each, self.acc) for each in inputs)
            return [arith.addf(outputs[0], arith.mulf(left, right))]

        return rw.generic([a, b], [(into, ELEMENT)], "ppr", add)[0]


def in_halves(block: int) -> ir.Value:
    """In a body over pairs: whether, of a block of 2 `block`, i is in the second half and j in the first.

    `block` is a power of two.
    """
    kinds = arith.CmpIPredicate
    row, column = rw.loop_index(0), rw.loop_index(1)
    first = arith.andi(row, rw.index(-2 * block))  # of the block that the row is in
    second = arith.cmpi(kinds.ne, arith.andi(row, rw.index(block)), rw.index(0))
    from_first = arith.cmpi(kinds.sge, column, first)
    to_half = arith.cmpi(kinds.slt, column, arith.addi(first, rw.index(block)))
    return arith.andi(second, arith.andi(from_first, to_half))


class Diagonal:
    """Products of pairs with a decay for each key feature in between.

    The exponent r_i[d] - c_j[d] is no sum of terms of i and of j that are both at most 0. But there is a
    position between j and i, the *anchor* m: exp(r_i - c_m) and exp(c_m - c_j) are. Halves have one: of a
    block of 2 s positions the last one of the first half is between each j in the first and each i in the
    second. So log2 L products of all pairs, s = 1, 2, .., L / 2, of which each counts for the pairs of its
    halves, have no positive exponent. Mostly one product does, with an anchor in the middle for all pairs:
    where the sums stay within `decay-bound` of the anchor, no factor gets out of range. That is asked at run
    time.
    """

    def __init__(self, law: ChunkLaw, decays: Decays):
        self.law, self.decays, self.acc, self.length = law, decays, law.acc, law.length

    def pairs(self, readers: Sequence[Reader]) -> list[ir.Value]:
        """P of each reader, without scales; what is not seen may be anything."""
        square = ir.RankedTensorType.get([self.length, self.length], self.acc)
        if self.law.how.decay_bound <= 0:
            return self._by_halves(readers)
        sides = [False, *([True] if any(reader.before for reader in readers) else [])]
        middle = row_of(self.decays.sums(False), (self.length - 1) // 2)
        from_middle = {side: self._difference(self.decays.sums(side), middle) for side in sides}
        for side in sides:
            self.decays.sign_products(side)  # what both branches use is made before them
        inside = self._are_bounded(from_middle[False])
        if True in from_middle:
            inside = arith.andi(inside, self._are_bounded(from_middle[True]))
        results = rw.if_else(
            inside,
            [square] * len(readers),
            lambda: self._at_once(readers, from_middle),
            lambda: self._by_halves(readers),
        )
        results[0].owner.attributes[FALLBACK] = ir.UnitAttr.get()
        return results

    def _difference(self, sums: ir.Value, middle: ir.Value) -> ir.Value:
        ins = [(sums, ELEMENT), (middle, COLUMN)]
        return rw.elementwise(ins, shape_of(sums), self.acc, lambda e: arith.subf(e[0], e[1]))

    def _are_bounded(self, exponents: ir.Value) -> ir.Value:
        """Whether all exponents are numbers within the bound: none counts as outside."""
        acc = self.acc

        def count(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            kind = arith.CmpFPredicate.OLE
            fits = arith.cmpf(kind, math.absf(inputs[0]), rw.constant(acc, self.law.how.decay_bound))
            outside = arith.select(fits, rw.constant(acc, 0.0), rw.constant(acc, 1.0))
            return [arith.addf(outputs[0], outside)]

        (total,) = rw.generic([(exponents, ELEMENT)], [(rw.filled([], acc, 0.0), ())], "rr", count)
        return arith.cmpf(arith.CmpFPredicate.OEQ, tensor.extract(total, []), rw.constant(acc, 0.0))

    def _at_once(self, readers: Sequence[Reader], exponents: dict[bool, ir.Value]) -> list[ir.Value]:
        decays, law = self.decays, self.law
        keys = self._weighed(law.inputs.key, exponents[False], decays.sign_products(False), -1.0)
        found = []
        for reader in readers:
            signs = decays.sign_products(reader.before)
            found.append(law._dots(self._weighed(reader.tile, exponents[reader.before], signs), keys))
        return found

    def _by_halves(self, readers: Sequence[Reader]) -> list[ir.Value]:
        decays, law = self.decays, self.law
        shape = [self.length, self.length]
        found: list[ir.Value | None] = [None] * len(readers)
        block = 1
        while block < self.length:
            left = decays.sums(True, block, reverse=True)
            keys = self._weighed(law.inputs.key, left, decays.sign_products(False))
            for number, reader in enumerate(readers):
                signs = decays.sign_products(reader.before)
                rows = self._weighed(reader.tile, decays.sums(reader.before, block), signs)
                dots = law._dots(rows, keys)
                found[number] = self._chosen(dots, found[number], block)
            block *= 2
        for number, reader in enumerate(readers):
            if not reader.strict:
                found[number] = self._with_own(reader, found[number], shape)
        return [each if each is not None else rw.filled(shape, self.acc, 0.0) for each in found]

    def _chosen(self, new: ir.Value, old: ir.Value | None, block: int) -> ir.Value:
        """`new` for pairs in the halves of blocks, `old` for others."""
        ins = [(new, ELEMENT), *([(old, ELEMENT)] if old is not None else [])]

        def choose(elements: list[ir.Value]) -> ir.Value:
            other = elements[1] if old is not None else rw.constant(self.acc, 0.0)
            return arith.select(in_halves(block), elements[0], other)

        return rw.elementwise(ins, [self.length, self.length], self.acc, choose)

    def _with_own(self, reader: Reader, pairs: ir.Value | None, shape: list[int]) -> ir.Value:
        """With x_i . k_i on the diagonal, between which there is no decay."""
        acc = self.acc

        def add(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            a, b = (rw.convert_float(each, acc) for each in inputs)
            return [arith.addf(outputs[0], arith.mulf(a, b))]

        zeros = rw.filled([self.length], acc, 0.0)
        ins = [(reader.tile, ELEMENT), (self.law.inputs.key, ELEMENT)]
        (own,) = rw.generic(ins, [(zeros, ROW)], "pr", add)
        both = [(own, ROW), *([(pairs, ELEMENT)] if pairs is not None else [])]

        def choose(elements: list[ir.Value]) -> ir.Value:
            same = arith.cmpi(arith.CmpIPredicate.eq, rw.loop_index(0), rw.loop_index(1))
            other = elements[1] if pairs is not None else rw.constant(acc, 0.0)
            return arith.select(same, elements[0], other)

        return rw.elementwise(both, shape, acc, choose)

    def _weighed(
        self, tile: ir.Value, exponents: ir.Value, signs: ir.Value | None, factor: float = 1.0
    ) -> ir.Value:
        """sign exp(factor exponent) times a tile."""
        acc = self.acc

        def weigh(elements: list[ir.Value]) -> ir.Value:
            power = elements[1] if factor > 0 else arith.negf(elements[1])
            value = arith.mulf(rw.convert_float(elements[0], acc), math.exp(power))
            return arith.mulf(value, elements[2]) if signs is not None else value

        ins = [(tile, ELEMENT), (exponents, ELEMENT), *([(signs, ELEMENT)] if signs is not None else [])]
        return rw.elementwise(ins, shape_of(tile), acc, weigh)
