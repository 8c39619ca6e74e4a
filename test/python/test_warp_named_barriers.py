"""Named barriers in warp_interpreter: who waits, who only arrives, and what is known then."""

import re

import numpy as np
import pytest
import small_warp_kernels
from ml_dtypes import bfloat16
from small_warp_kernels import SIZE, kernel
from warp_interpreter import Deadlock, Mistake

SEEDS = range(8)


def at(region, instruction, number=8, threads=256):
    """An instruction at a named barrier."""
    attributes = f'asm_string = "{instruction} $1, $2; mov.u32 $0, 0;", constraints = "=r,n,n"'
    attributes += ", packed_element = 1 : i32, pure = false"
    operands = f"{region.number(number)}, {region.number(threads)}"
    region.value(f'"tt.elementwise_inline_asm"({operands}) {{{attributes}}} : (i32, i32) -> i32')


def run(default, partition, seed=0):
    return small_warp_kernels.run(kernel(default, partition), np.zeros((SIZE, SIZE), bfloat16), seed=seed)


def writes(region, instruction="bar.arrive"):
    region.local_store(region.tile(4.0), 0)
    at(region, instruction)


def reads(region, instruction="bar.sync"):
    at(region, instruction)
    region.copy_out(0, 0)


@pytest.mark.parametrize("instruction", ["bar.arrive", "bar.sync"])
def test_who_waits_knows_what_who_arrives_has_written(instruction):
    for seed in SEEDS:
        assert (run(lambda t: writes(t, instruction), reads, seed) == 4).all()


def test_who_only_arrives_knows_nothing():
    for seed in SEEDS:
        with pytest.raises(Mistake, match=r"not certain to follow|nothing wrote"):
            run(writes, lambda t: reads(t, "bar.arrive"), seed)


def test_who_waits_alone_waits_forever():
    with pytest.raises(Deadlock, match=re.escape("waits for phase 0 of the named barrier 8")):
        run(lambda t: at(t, "bar.sync"), lambda t: at(t, "bar.arrive", 9))


def test_a_group_arrives_once_in_a_phase():
    def twice(region):
        at(region, "bar.arrive")
        at(region, "bar.arrive")

    with pytest.raises(Mistake, match=r"arrives twice in phase 0 of the named barrier 8"):
        run(twice, lambda t: None)


def test_phases_follow_each_other():
    def default(region):
        for number in range(3):
            at(region, "bar.arrive", 8)
            at(region, "bar.sync", 9)
            if number == 2:
                region.copy_out(0, 0)

    def partition(region):
        for number in range(3):
            at(region, "bar.sync", 8)
            region.local_store(region.tile(float(number)), 0)
            at(region, "bar.arrive", 9)

    for seed in SEEDS:
        assert (run(default, partition, seed) == 2).all()
