"""The steps that `bench/decode.py` times are those that it compares them with."""

import pytest

torch = pytest.importorskip("torch")

from bench_files import load  # noqa: E402

import aecompiler as aec  # noqa: E402

decode = load("decode")


@pytest.mark.parametrize("name", decode.KINDS)
def test_formula_is_the_program(name):
    kind = decode.KINDS[name]
    inputs = decode.inputs_of(kind, 2, device="cpu")
    pool = torch.randn(3, kind.heads, *kind.features)
    slots = torch.tensor([2, 0], dtype=torch.int32)
    state, o, skip = decode.expected(kind, inputs, pool[slots.long()])
    kernel = aec.compile(kind.program(), target="cpu", form="step")
    got = kernel(**inputs, **{kernel.arguments[-2].name: pool, "slots": slots})
    decode.checked("o", got[:, :, 0], o + skip)
    decode.checked("state", pool[slots.long()], state)
