"""The interpreter of warp-specialised kernels: right ones give right results, and wrong ones never pass."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest
import warp_interpreter
from warp_interpreter import Deadlock, Mistake, Race
from warp_kernels import FEATURES, KEYS, ROWS, attention, changed, lines_of, without

from aecompiler.bindings import ir
from aecompiler.dialect import make_context

SEEDS = range(6)
TILES = 5  # of keys in the wrong kernels, so that each slot is used more than once


def inputs(batch, heads, rows, keys):
    random = np.random.default_rng(0)
    return [
        random.normal(size=(batch, heads, size, FEATURES)).astype(ml_dtypes.bfloat16)
        for size in (rows, keys, keys)
    ]


def reference(q, k, v):
    scores = q.astype(float) @ np.swapaxes(k.astype(float), -1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v.astype(float)


def run(text, arguments, seed):
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(text)
    return warp_interpreter.run(module, "f", arguments, seed=seed)[0]


def check(text, arguments, seed):
    got = run(text, arguments, seed).astype(float)
    np.testing.assert_allclose(got, reference(*arguments), atol=0.02)  # weights and results have 8 bits


@pytest.mark.parametrize("seed", SEEDS)
def test_attention_of_any_sizes(seed):
    check(attention(), inputs(2, 2, 2 * ROWS + 5, 4 * KEYS + 3), seed)


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("keys", [1, KEYS, KEYS + 1, 2 * KEYS, 7 * KEYS])
def test_attention_of_any_number_of_tiles(stages, keys):
    for seed in SEEDS:
        check(attention(stages), inputs(1, 1, 1, keys), seed)


def test_views_are_read_where_they_are():
    arguments = [np.swapaxes(each, 1, 2).copy().swapaxes(1, 2) for each in inputs(1, 3, 9, 20)]
    check(attention(), arguments, 0)


def flipped(text, tag, which):
    """The kernel with the parity of a wait the other way round."""
    lines = text.split("\n")
    number = lines_of(text, tag)[which]
    parity = lines[number].split(", ")[1]
    changes = [
        f"%one{number} = arith.constant 1 : i32",
        f"%flipped{number} = arith.xori {parity}, %one{number} : i32",
    ]
    lines[number] = "\n".join([*changes, lines[number].replace(f", {parity},", f", %flipped{number},", 1)])
    return "\n".join(lines)


def not_waited(text, tag, which):
    """The kernel that uses a product where it waited for it."""
    lines = text.split("\n")
    number = lines_of(text, tag)[which]
    found = re.match(r"(%\w+) = .*?\((%\w+)\) .* -> (.*)  //", lines[number])
    assert found
    lines[number] = ""
    uses = re.compile(re.escape(found[1]) + r"\b")
    return "\n".join(uses.sub(found[2], line) for line in lines)


def early(text, which):
    """The kernel that arrives at `empty` before it waits for the product of a slot."""
    lines = text.split("\n")
    wait, arrive = lines_of(text, "wait output")[which], lines_of(text, "arrive")[which]
    lines[arrive : arrive + 1] = [lines[arrive], lines[wait]]
    lines[wait] = ""
    return "\n".join(lines)


GOOD = attention()
BOTH = (0, 1)  # consumers, or tiles of the producer: the first, and those in its loop
WRONG = {
    **{f"no {tag} {i}": (without(GOOD, tag, i), Race) for tag in ("wait qf",) for i in BOTH},
    **{f"no {tag} {i}": (without(GOOD, tag, i), Mistake) for tag in ("wait kf", "wait vf") for i in range(4)},
    **{f"no {tag} {i}": (without(GOOD, tag, i), Mistake) for tag in ("wait em", "wait o") for i in BOTH},
    **{
        f"no {tag} {i}": (without(GOOD, tag, i), Deadlock) for tag in ("arrive", "first arrive") for i in BOTH
    },
    **{f"no expect {x} {i}": (without(GOOD, f"expect {x}", i), Deadlock) for x in "qkv" for i in BOTH},
    **{f"no copy {x} {i}": (without(GOOD, f"copy {x}", i), Deadlock) for x in "qkv" for i in BOTH},
    **{f"no barrier {x} {i}": (without(GOOD, x, i), Mistake) for x in ("qf", "kf", "vf", "em") for i in BOTH},
    **{f"parity of {x} {i}": (flipped(GOOD, x, i), Mistake) for x in ("wait qf", "wait em") for i in BOTH},
    **{
        f"parity of {x} {i}": (flipped(GOOD, x, i), Mistake) for x in ("wait kf", "wait vf") for i in range(4)
    },
    **{
        f"no {tag} {i}": (not_waited(GOOD, tag, i), Mistake)
        for tag in ("first scores", "wait scores", "wait output", "last output")
        for i in BOTH
    },
    **{
        f"too short {tag} {i}": (changed(GOOD, tag, i, f"pendings = {n}", f"pendings = {n + 1}"), Mistake)
        for tag, n in {"first scores": 0, "wait scores": 1, "wait output": 0, "last output": 0}.items()
        for i in BOTH
    },
    **{
        f"few bytes {x} {i}": (changed(GOOD, f"expect {x}", i, "size = 512", "size = 256"), Mistake)
        for x in "qkv"
        for i in BOTH
    },
    **{
        f"many bytes {x} {i}": (changed(GOOD, f"expect {x}", i, "size = 512", "size = 1024"), Deadlock)
        for x in "qkv"
        for i in BOTH
    },
    **{f"early arrive {i}": (early(GOOD, i), Race) for i in BOTH},
    "one consumer frees a slot": (changed(GOOD, "em", 0, "count = 2", "count = 1"), Mistake),
    "three consumers free a slot": (changed(GOOD, "em", 0, "count = 2", "count = 3"), Deadlock),
    "a small ring": (attention(stages=2, slots=1), Race),
    "a ring of two for three": (attention(stages=3, slots=2), Race),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_fails_in_any_order(name):
    text, error = WRONG[name]
    arguments = inputs(1, 1, 2 * ROWS, TILES * KEYS)
    for seed in SEEDS:
        with pytest.raises(error):
            run(text, arguments, seed)


@pytest.mark.parametrize("tag", ["store o", "copy o"])
def test_a_result_that_is_not_written_is_wrong(tag):
    arguments = inputs(1, 1, 2 * ROWS, KEYS)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(without(GOOD, tag, 0), arguments, 0)


def test_a_deadlock_says_who_waits_for_what():
    text = without(GOOD, "arrive", 0)
    with pytest.raises(Deadlock) as error:
        run(text, inputs(1, 1, 1, TILES * KEYS), 0)
    assert re.fullmatch(
        r"deadlock: the default partition waits for parity 1 of barrier %\d+\[1\] in phase 1, 1 of 1 arrivals"
        r" missing; partition 0 waits for .*; partition 1 waits for parity 0 of barrier %\d+\[1\] in phase 0,"
        r" 1 of 2 arrivals missing",
        str(error.value),
    )
    assert error.value.__notes__ == ["program (0, 0, 0) of a kernel, seed 0"]


def test_an_error_says_at_which_operation():
    with pytest.raises(Race) as error:
        run(without(GOOD, "wait qf", 1), inputs(1, 1, 1, KEYS), 3)
    assert re.match(
        "race on %.* product by .* of partition 0 is not certain to follow the copy", str(error.value)
    )
    assert error.value.__notes__[0].startswith("at ttng.warp_group_dot of partition 0: ")
    assert error.value.__notes__[1] == "program (0, 0, 0) of a kernel, seed 3"
