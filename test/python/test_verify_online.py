"""attn-verify-online: what it accepts gives the same however the keys are cut; the rest is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from streaming_forms import derived, inputs, program, run

import aecompiler as aec
from aecompiler import normalizers
from aecompiler.bindings import ir
from aecompiler.errors import CompileError
from aecompiler.passes.infra import run_pipeline

SPLITS = (
    [[0, 1, 2], [3, 4, 5]],
    [[5], [0, 2], [], [1, 3, 4]],
    ([[0, 1]], [[2], [3, 4, 5]]),
    ([[]], ([[4]], [[0, 1, 2, 3], [5]])),
)

OTHER_OPS = (
    ("arith.maximumf", "arith.minimumf"),
    ("arith.addf", "arith.subf"),
    ("arith.mulf", "arith.addf"),
    ("arith.subf", "arith.addf"),
    ('kind = "max"', 'kind = "sum"'),
    ('kind = "sum"', 'kind = "max"'),
    ("arith.cmpf oeq", "arith.cmpf une"),
    ("arith.cmpf ugt", "arith.cmpf ult"),
)


def changed_lines(line: str):
    """Versions of a line of IR with one thing changed."""
    for old, new in OTHER_OPS:
        if old in line:
            yield line.replace(old, new)
    if "0xFF" in line:
        yield re.sub(r"0xF\w+", "-1.0e3", line)
    if "0.000000e+00" in line:
        yield line.replace("0.000000e+00", "1.0")
    if match := re.search(r"((?:arith|math)\.\w+) (%\w+), (%\w+)", line):
        op, a, b = match.groups()
        pairs = [(a, a), (b, b)] + ([(b, a)] if op in ("arith.subf", "arith.divf") else [])
        yield from (line.replace(match[0], f"{op} {x}, {y}") for x, y in pairs if (x, y) != (a, b))
    if match := re.search(r"(arith\.select %\w+), (%\w+), (%\w+)", line):
        head, a, b = match.groups()
        yield from (line.replace(match[0], f"{head}, {x}, {y}") for x, y in ((a, a), (b, b), (b, a)))
    if match := re.search(r'"attn\.yield"\((%[^)]*)\) : \(', line):
        values = match[1].split(", ")
        for position in range(len(values) - 1):
            swapped = [*values]
            swapped[position], swapped[position + 1] = values[position + 1], values[position]
            yield line.replace(match[1], ", ".join(swapped))


def mutants(text: str):
    """The module with one line of the streaming form changed."""
    lines = text.split("\n")
    first = next(n for n, line in enumerate(lines) if "attn.online_attention" in line)
    for n in range(first, len(lines)):
        for changed in changed_lines(lines[n]):
            yield (
                f"{lines[n].strip()} -> {changed.strip()}",
                "\n".join([*lines[:n], changed, *lines[n + 1 :]]),
            )


def verified(module: ir.Module) -> bool:
    try:
        run_pipeline(module, "attn-verify-online")
    except CompileError as error:
        message = str(error)
    else:
        return True
    assert re.search(r"op expects .* to obey the laws of a streaming form; \w[\w ]*: ", message)
    return False


def scattered(i, j):
    """A mask that leaves row 1 nothing, and of the other rows some keys of each tile or none."""
    return (i != 1) & ((i + j) % 4 != 2)


def range_normalised(row):
    return (row - row.min()) / (row.max() - row.min() + 1.0)


def two_temperatures(row):
    cold = aec.exp(row - row.max())
    warm = aec.exp(0.5 * (row - row.max()))
    return cold / cold.sum() - warm / warm.sum()


def with_capture(normalize):
    """Attention whose normaliser reads a number of each head: here a negative one and a positive one."""

    @aec.program(
        q=aec.tensor(1, 2, "Q", 4, dtype="f64"),
        k=aec.tensor(1, 2, "S", 4, dtype="f64"),
        v=aec.tensor(1, 2, "S", 3, dtype="f64"),
        t=aec.tensor(2, dtype="f64"),
    )
    def attention(q, k, v, t):
        return aec.attention(q, k, v, normalize=lambda row, h: normalize(row, t[h]))

    return attention


def of_temperature(row, temperature):
    scaled = row * temperature
    e = aec.exp(scaled - scaled.max())
    return e / e.sum()


def times_capture(row, factor):
    e = aec.exp(row - row.max())
    return factor / e.sum() * e, row.max() / factor


CAPTURED = np.array([-1.25, 0.5])

FORMS = {
    "softmax": (program(normalizers.softmax(lse=True)), "", []),
    "softmax base 2, lagging": (program(normalizers.softmax(base=2)), "lazy-rescale=4", []),
    "sink": (program(normalizers.softmax_sink(0.3)), "", []),
    "softpick": (program(normalizers.softpick(epsilon=1e-6)), "", []),
    "log softmax": (program(normalizers.log_softmax()), "", []),
    "retention": (program(normalizers.retention()), "", []),
    "masked, lagging": (program(normalizers.softmax(lse=True), mask=scattered), "lazy-rescale=2", []),
    "maximum and minimum": (program(range_normalised), "", []),
    "two references that lag": (program(two_temperatures), "lazy-rescale=3", []),
    "captured temperature": (with_capture(of_temperature), "", [CAPTURED]),
    "captured factor": (with_capture(times_capture), "", [CAPTURED]),
}


@pytest.mark.parametrize("name", FORMS)
def test_changed_forms_are_refused_or_keep_the_laws(name):
    """For scores around 1, and for such whose powers are no floats."""
    traced, options, captured = FORMS[name]
    arguments = [[*inputs(3, 6, scale=scale), *captured] for scale in (1.5, 20.0)]
    accepted = refused = 0
    for what, text in mutants(str(derived(traced, options))):
        with traced.context:
            try:
                module = ir.Module.parse(text)
            except ir.MLIRError:
                continue  # a value is used before it is defined
        if not verified(module):
            refused += 1
            continue
        accepted += 1
        for values in arguments:
            with np.errstate(all="ignore"):
                one, *others = [run(module, values, split) for split in (None, *SPLITS)]
            for results in others:
                for new, old in zip(results, one, strict=True):
                    size = np.abs(old, where=np.isfinite(old), out=np.ones_like(old)).max(initial=1.0)
                    np.testing.assert_allclose(
                        new, old, rtol=1e-6, atol=1e-9 * size, err_msg=f"accepted: {what}"
                    )
        with np.errstate(all="ignore"):
            empty = run(module, [*inputs(2, 0), *captured])[0]
        assert not empty.any(), f"accepted: {what}"
    assert refused > accepted > 0  # what finalize makes of the state is not its business


def test_attributes_are_ignored():
    traced = program(normalizers.softmax())
    module = derived(traced)
    op = module.body.operations[0].regions[0].blocks[0].operations[0].operation
    with traced.context:
        op.attributes["attn.proof"] = ir.ArrayAttr.get([ir.StringAttr.get("whatever")])
    assert verified(module)


def test_forms_that_grow_beyond_bounds_are_refused_in_bounded_time():
    text = str(derived(program(normalizers.retention()), ""))
    lines = text.split("\n")
    start = next(n for n, line in enumerate(lines) if 'kind = "sum"' in line)
    match = re.search(r"\((%\w+)\)", lines[start])
    value, body = match[1], []
    for n in range(40):
        body += [f"%p{n} = arith.addf {value}, %arg3 : f64", f"%q{n} = arith.mulf %p{n}, %p{n} : f64"]
        value = f"%q{n}"
    lines[start : start + 1] = [*body, lines[start].replace(match[1], value)]
    traced = program(normalizers.retention())
    with traced.context:
        module = ir.Module.parse("\n".join(lines))
    with pytest.raises(CompileError, match="unsupported: formulas that grow beyond all bounds"):
        run_pipeline(module, "attn-verify-online")


def test_forms_of_too_many_states_are_refused_at_once():
    def many_sums(row):
        total = row.sum()
        for n in range(70):
            total = total + aec.sin(row * (0.1 + n)).sum()
        return row / total

    with pytest.raises(CompileError, match=r"unsupported: .*more than 64 states and accumulators"):
        derived(program(many_sums))
