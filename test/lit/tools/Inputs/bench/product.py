"""A case that is right, and one whose peer is wrong."""

import numpy as np

import aecompiler as aec
from aecompiler.tools.benchmark import Work, case

X = aec.tensor("B", 1, "S", 4)


@aec.program(q=X, v=X)
def linear(q, v):
    return aec.attention(q, q, v, normalize=lambda row: row)


def work(factor):
    q, v = np.random.default_rng(0).standard_normal((2, 1, 1, 5, 4)).astype(np.float32)
    return Work(linear, {"q": q, "v": v}, lambda q, v: factor * (q @ q.mT @ v), baseline=linear)


@case(peer="numpy", shapes=[(1, 1, 5, 4)])
def product(shape, dtype):
    return work(1)


@case(peer="twice of it", shapes=[(1, 1, 5, 4)])
def wrong_peer(shape, dtype):
    return work(2)
