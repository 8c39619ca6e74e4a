"""Decays of the positions of a chunk: running sums of their logarithms, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable

from aecompiler.bindings import arith, ir, math
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_sums import running_sum


def shape_of(value: ir.Value) -> list[int]:
    """The static shape of a tile."""
    return list(ir.RankedTensorType(value.type).shape)


def last_of(value: ir.Value) -> ir.Value:
    """The last row of a tile `[L, n]`, as `[n]`; a sum of which all other terms are 0."""
    return row_of(value, shape_of(value)[0] - 1)


def row_of(value: ir.Value, place: int) -> ir.Value:
    """One row of a tile `[L, n]` or element of `[L]`, as a sum of which all other terms are 0."""
    shape, element = shape_of(value), value.type.element_type
    zero = rw.filled(shape[1:], element, 0.0)

    def pick(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
        here = arith.cmpi(arith.CmpIPredicate.eq, rw.loop_index(0), rw.index(place))
        return [arith.addf(outputs[0], arith.select(here, inputs[0], rw.constant(element, 0.0)))]

    every = tuple(range(len(shape)))
    (row,) = rw.generic([(value, every)], [(zero, every[1:])], "r" + "p" * len(every[1:]), pick)
    return row


class Decays:
    """The decays of one chunk, of one head: logarithms `[L]` or `[L, Dk]`, 0 past the end, and their signs.

    With c_i the sum of the logarithms up to i, `sums(False)`, `sums(True)` is c_i - log_decay_i.
    """

    def __init__(self, logs: ir.Value, signs: ir.Value | None, wide: ir.Type):
        self.logs, self.acc, self.wide = logs, logs.type.element_type, wide
        self.shape = shape_of(logs)
        self.every = tuple(range(len(self.shape)))
        self._made: dict[object, ir.Value] = {}
        self.signs = signs

    @property
    def is_scalar(self) -> bool:
        """Whether there is one decay for all key features."""
        return len(self.shape) == 1

    def _once(self, key: object, make: Callable[[], ir.Value]) -> ir.Value:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def sums(self, exclusive: bool, block: int = 0, reverse: bool = False) -> ir.Value:
        """Running sums of the logarithms, from each block's first position on or to its last."""
        return self._once(
            ("sum", exclusive, block, reverse),
            lambda: running_sum(self.logs, self.acc, block=block, reverse=reverse, inclusive=not exclusive),
        )

    def wide_sums(self, exclusive: bool) -> ir.Value:
        """Running sums of scalar logarithms, in the type in which their differences are taken."""
        if self.wide == self.acc:
            return self.sums(exclusive)
        return self._once(
            ("wide", exclusive), lambda: running_sum(self.logs, self.wide, inclusive=not exclusive)
        )

    def sign_products(self, exclusive: bool) -> ir.Value | None:
        """Products of the signs up to each position: 1 or -1 by whether the number of -1 is even."""
        if self.signs is None:
            return None
        signs, acc = self.signs, self.acc

        def products() -> ir.Value:
            zero, one = rw.constant(acc, 0.0), rw.constant(acc, 1.0)
            kind = arith.CmpFPredicate.OLT
            flips = rw.elementwise(
                [(signs, self.every)],
                self.shape,
                acc,
                lambda e: arith.select(arith.cmpf(kind, e[0], zero), one, zero),
            )
            counts = running_sum(flips, acc, inclusive=not exclusive)

            def parity(e: list[ir.Value]) -> ir.Value:
                half = arith.mulf(e[0], rw.constant(acc, 0.5))
                odd = arith.subf(half, math.floor(half))  # 0 or 1/2
                return arith.subf(one, arith.mulf(odd, rw.constant(acc, 4.0)))

            return rw.elementwise([(counts, self.every)], self.shape, acc, parity)

        return self._once(("sign", exclusive), products)

    def from_start(self, exclusive: bool) -> ir.Value:
        """What is left of the chunk's first state at each position: sign * exp(c) or exp(e)."""
        signs = self.sign_products(exclusive)
        return self._once(("start", exclusive), lambda: self._weights(self.sums(exclusive), signs))

    def to_end(self) -> ir.Value:
        """What is left at the chunk's end of what each position adds: sign * exp(c_L - c_j)."""

        def weights() -> ir.Value:
            sums = self.sums(True, reverse=True)
            return self._weights(sums, self._signs_to_end())

        return self._once("end", weights)

    def whole(self) -> ir.Value:
        """What is left at the chunk's end of its first state: `[]` or `[Dk]`."""
        return self._once("whole", lambda: last_of(self.from_start(False)))

    def _signs_to_end(self) -> ir.Value | None:
        """sigma_L sigma_j."""
        signs = self.sign_products(False)
        if signs is None:
            return None
        last = last_of(signs)
        ins = [(signs, self.every), (last, self.every[1:])]
        return self._once(
            "signs to end",
            lambda: rw.elementwise(ins, self.shape, self.acc, lambda e: arith.mulf(e[0], e[1])),
        )

    def _weights(self, sums: ir.Value, signs: ir.Value | None) -> ir.Value:
        ins = [(sums, self.every), *([(signs, self.every)] if signs is not None else [])]

        def weigh(e: list[ir.Value]) -> ir.Value:
            value = math.exp(e[0])
            return arith.mulf(value, e[1]) if signs is not None else value

        return rw.elementwise(ins, self.shape, self.acc, weigh)
