"""The mask analysis: exact for masks of positions, sound and close for masks that read tensors."""

import mask_tiles as mt
import numpy as np
import pytest
import random_masks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_programs import attention

import aecompiler as aec
from aecompiler import masks
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.mask_analysis import analyze

OFFSETS = st.integers(-9, 9)
ALIGN = st.sampled_from([None, "end"])
NAMED = st.one_of(
    st.builds(masks.causal, OFFSETS, align=ALIGN),
    st.builds(masks.window, st.integers(1, 30), offset=OFFSETS, align=ALIGN, causal=st.booleans()),
    st.builds(masks.prefix_lm, st.integers(-3, 40)),
    st.builds(masks.chunked, st.integers(1, 12)),
    st.builds(masks.dilated, st.integers(1, 7)),
    st.builds(masks.global_local, st.integers(0, 9), st.integers(0, 9)),
    st.builds(masks.always),
)
COMBINE = {
    "a": lambda a, b: a,
    "~a": lambda a, b: ~a,
    "a & b": lambda a, b: a & b,
    "a | b": lambda a, b: a | b,
    "a & ~b": lambda a, b: a & ~b,
}
COMBINATIONS = st.builds(lambda how, a, b: COMBINE[how](a, b), st.sampled_from([*COMBINE]), NAMED, NAMED)
LENGTH, BLOCK = st.integers(0, 40), st.integers(1, 17)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHORT, BLOCK_OF_SHORT = st.integers(0, 24), st.integers(2, 9)
SOME = settings(FEW, max_examples=10)
MANY = settings(FEW, max_examples=250)


def arguments(q_len, kv_len, batch=1):
    shapes = [(batch, mt.HEADS, length, 1) for length in (q_len, kv_len, kv_len)]
    return [np.zeros(shape) for shape in shapes]


def three_ways(mask, q_len, kv_len, block_q, block_kv, **scalars):
    """The tiles of the last head by brute force, by the analysis on numbers, and by what it builds."""
    specs = {name: aec.scalar(dtype) for name, (dtype, _) in scalars.items()}
    values = {name: value for name, (_, value) in scalars.items()}
    program = mt.program(mask if scalars else lambda: mask, **specs)
    h = mt.HEADS - 1
    with program.module.context, ir.Location.unknown():
        op = mt.attention_op(program.module)
        kept = mt.kept(op.parent, 1, q_len, kv_len, values)[0, h]
        numbers = mt.on_numbers(analyze(op), {"b": 0, "h": h, **values}, q_len, kv_len, block_q, block_kv)
    built = mt.BuiltTiles(str(program.module), block_kv)
    inputs = [*arguments(q_len, kv_len), *values.values()]
    return (
        mt.brute(kept, block_q, block_kv),
        numbers,
        built.grid(inputs, q_len, kv_len, 0, h, block_q),
    )


@MANY
@given(COMBINATIONS, LENGTH, LENGTH, BLOCK, BLOCK)
def test_tiles_are_exact_on_numbers(mask, q_len, kv_len, block_q, block_kv):
    program = mt.program(lambda: mask)
    with program.module.context, ir.Location.unknown():
        op = mt.attention_op(program.module)
        kept = mt.kept(op.parent, 1, q_len, kv_len, {})[0, 0]
        numbers = mt.on_numbers(analyze(op), {"b": 0, "h": 0}, q_len, kv_len, block_q, block_kv)
    assert numbers == mt.brute(kept, block_q, block_kv)


PAIRED = [
    masks.causal(),
    masks.causal(-4),
    masks.causal(2, align="end"),
    masks.window(9),
    masks.window(7, causal=False),
    masks.prefix_lm(11),
    masks.chunked(6),
    masks.dilated(3),
    masks.global_local(4, 5),
    masks.always(),
]


@pytest.mark.parametrize("how", ["a & b", "a | b", "a & ~b"])
@pytest.mark.parametrize("sizes", [(23, 31, 8, 8), (31, 23, 7, 4)])
def test_every_pair_of_named_masks_is_exact(how, sizes):
    q_len, kv_len, block_q, block_kv = sizes
    for a in PAIRED:
        for b in PAIRED:
            mask = COMBINE[how](a, b)
            program = mt.program(lambda mask=mask: mask)
            with program.module.context:
                op = mt.attention_op(program.module)
                kept = mt.kept(op.parent, 1, q_len, kv_len, {})[0, 0]
                numbers = mt.on_numbers(analyze(op), {"b": 0, "h": 0}, *sizes)
            assert numbers == mt.brute(kept, block_q, block_kv), mask


@FEW
@given(COMBINATIONS, LENGTH, LENGTH, BLOCK, BLOCK)
def test_tiles_are_exact_as_built(mask, q_len, kv_len, block_q, block_kv):
    brute, numbers, built = three_ways(mask, q_len, kv_len, block_q, block_kv)
    assert numbers == brute
    assert built == brute


SCALAR_MASKS = {
    "causal": lambda w: masks.causal(w),
    "window": lambda w: masks.window(w),
    "both sides": lambda w: masks.window(w, causal=False),
    "prefix": lambda w: masks.prefix_lm(w),
    "chunked": lambda w: masks.chunked(w) & masks.causal(),
    "dilated": lambda w: masks.dilated(w) & masks.causal(),
    "global": lambda w: masks.global_local(w, 3),
    "chunks and holes": lambda w: masks.chunked(w) & ~masks.dilated(w),
    "two dilations": lambda w: masks.dilated(w) & masks.dilated(3),
}


@FEW
@given(
    st.sampled_from([*SCALAR_MASKS]),
    st.sampled_from(["i32", "i64", "index"]),
    st.integers(1, 12),
    LENGTH,
    LENGTH,
    BLOCK,
    BLOCK,
)
def test_tiles_are_exact_with_sizes_known_at_run_time(name, dtype, w, q_len, kv_len, block_q, block_kv):
    brute, numbers, built = three_ways(SCALAR_MASKS[name], q_len, kv_len, block_q, block_kv, w=(dtype, w))
    assert numbers == brute
    assert built == brute


@pytest.mark.parametrize("name", ["causal", "window", "chunked", "dilated"])
@pytest.mark.parametrize("w", [0, -3, 2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_what_no_guard_lets_through_is_partial(name, w):
    """Divisors that are not positive, and numbers with which the mask's own arithmetic may overflow."""
    brute, numbers, built = three_ways(SCALAR_MASKS[name], 20, 20, 8, 8, w=("i64", w))
    assert numbers == built
    for exact, found in zip(brute, built, strict=True):
        assert all(have in (want, mt.PARTIAL) for want, have in zip(exact, found, strict=True))


CLOSED = {
    "causal": (lambda: masks.causal(3, align="end"), 1, 1),
    "window": (lambda: masks.window(9), 1, 2),
    "prefix": (lambda: masks.prefix_lm(5), 1, 1),
    "chunked and causal": (lambda: masks.chunked(6) & masks.causal(), 1, 2),
    "chunked": (lambda: masks.chunked(6), 1, 2),
    "global_local": (lambda: masks.global_local(4, 9), 2, 4),
    "two windows": (lambda: masks.window(9) & masks.window(7, causal=False), 1, 2),
    "always": (masks.always, 1, 1),
    "never": (lambda: ~masks.always(), 1, 0),
}


@pytest.mark.parametrize("name", [*CLOSED])
def test_intervals_need_no_test(name):
    mask, full, partial = CLOSED[name]
    program = mt.program(lambda: mask())
    with program.module.context:
        found = analyze(mt.attention_op(program.module))
    assert (found.needs_test, found.full_count, found.partial_count) == (False, full, partial)


# ---- masks that read tensors ----


def compare(program, given_tensors, q_len, kv_len, block_q, block_kv, batch=1):
    """Pairs of grids, exact and built, of each batch and head; the built ones are checked to be sound."""
    with program.module.context:
        op = mt.attention_op(program.module)
        kept = mt.kept(op.parent, batch, q_len, kv_len, given_tensors)
    built = mt.BuiltTiles(str(program.module), block_kv)
    inputs = [*arguments(q_len, kv_len, batch), *given_tensors.values()]
    for b in range(batch):
        for h in range(mt.HEADS):
            exact = mt.brute(kept[b, h], block_q, block_kv)
            found = built.grid(inputs, q_len, kv_len, b, h, block_q)
            for want, have in zip(exact, found, strict=True):
                assert all(each in (right, mt.PARTIAL) for right, each in zip(want, have, strict=True))
                yield want, have


def wrong(want, have):
    return sum(a != b for a, b in zip(want, have, strict=True))


def boundaries(values):
    return int(np.count_nonzero(np.diff(values)))


@SOME
@given(st.data(), SHORT.filter(bool), BLOCK_OF_SHORT, BLOCK_OF_SHORT, st.booleans())
def test_documents_are_sound_and_close(data, length, block_q, block_kv, causal):
    steps = data.draw(st.lists(st.integers(0, 1), min_size=length, max_size=length))
    documents = np.cumsum(steps)[None].astype(np.int32)

    def mask(d):
        return masks.document(d) & masks.causal() if causal else masks.document(d)

    program = mt.program(mask, d=aec.tensor("B", "N", dtype="i32"))
    pairs = compare(program, {"d": documents}, length, length, block_q, block_kv)
    extra = sum(wrong(want, have) for want, have in pairs)
    assert extra <= boundaries(documents[0]) * mt.HEADS


@SOME
@given(st.data(), SHORT, SHORT, BLOCK_OF_SHORT, BLOCK_OF_SHORT)
def test_prefixes_and_padding_are_exact(data, q_len, kv_len, block_q, block_kv):
    lengths = np.array(data.draw(st.lists(st.integers(-3, 30), min_size=2, max_size=2)), np.int64)
    for mask in (lambda n: masks.padding(n) & masks.causal(), lambda n: masks.prefix_lm(n)):
        program = mt.program(mask, n=aec.tensor("B", dtype="i64"))
        for want, have in compare(program, {"n": lengths}, q_len, kv_len, block_q, block_kv, batch=2):
            assert want == have


@SOME
@given(st.data(), SHORT, SHORT, BLOCK_OF_SHORT, BLOCK_OF_SHORT)
def test_lengths_of_queries_are_close(data, q_len, kv_len, block_q, block_kv):
    lengths = np.array(data.draw(st.lists(st.integers(-3, 30), min_size=q_len, max_size=q_len)), np.int32)
    program = mt.program(lambda n: masks.Mask(lambda i, j: j < n[i]), n=aec.tensor("N", dtype="i32"))
    for want, have in compare(program, {"n": lengths}, q_len, kv_len, block_q, block_kv):
        assert wrong(want, have) <= 1


@SOME
@given(
    st.data(),
    SHORT,
    SHORT,
    BLOCK_OF_SHORT,
    BLOCK_OF_SHORT,
    st.sampled_from(["i1", "i8", "i32"]),
    st.integers(2, 9),
)
def test_block_masks_are_close(data, q_len, kv_len, block_q, block_kv, dtype, size):
    shape = (1, mt.HEADS, -(-q_len // size), -(-kv_len // size))
    seed = data.draw(st.integers(0, 2**32 - 1))
    blocks = np.random.default_rng(seed).random(shape) < 0.5
    blocks = blocks.astype({"i1": bool, "i8": np.int8, "i32": np.int32}[dtype])
    program = mt.program(
        lambda m: masks.block_sparse(m, block_q=size, block_kv=size),
        m=aec.tensor("B", mt.HEADS, None, None, dtype=dtype),
    )
    for want, have in compare(program, {"m": blocks}, q_len, kv_len, block_q, block_kv):
        # A bound of ranges is exact for "some block is kept" and for "all are".
        assert want == have


def test_masks_of_single_elements_are_partial():
    program = mt.program(lambda m: masks.dense(m), m=aec.tensor("Sq", "Skv", dtype="i1"))
    with program.module.context:
        found = analyze(mt.attention_op(program.module))
    assert not found.needs_test
    pairs = list(compare(program, {"m": np.ones((9, 20), bool)}, 9, 20, 4, 8))
    assert all(have == [mt.PARTIAL] * 3 for _, have in pairs)


# ---- several heads in a tile ----


@SOME
@given(st.data(), SHORT, SHORT.filter(bool), BLOCK_OF_SHORT, BLOCK_OF_SHORT)
def test_tiles_of_several_heads(data, q_len, kv_len, block_q, block_kv):
    """A tile is full or empty only if it is so for each of its heads, and both where no head differs."""
    windows = np.array(data.draw(st.lists(st.integers(1, 9), min_size=mt.HEADS, max_size=mt.HEADS)), np.int32)
    mask = data.draw(
        st.sampled_from(
            [
                lambda w: masks.causal() & (lambda h, i, j: i - j < w[h]),
                lambda w: masks.window(7) | (lambda h: h == 1),
                lambda w: masks.causal(2),
            ]
        )
    )
    program = mt.program(mask, w=aec.tensor(mt.HEADS, dtype="i32"))
    with program.module.context:
        op = mt.attention_op(program.module)
        kept = mt.kept(op.parent, 1, q_len, kv_len, {"w": windows})[0]
    built = mt.BuiltTiles(str(program.module), block_kv, packed=True)
    exact = [mt.brute(each, block_q, block_kv) for each in kept]
    for n, first in enumerate(range(0, q_len, block_q)):
        rows = (first, min(first + block_q, q_len) - 1)
        found = built.row_of_tiles([*arguments(q_len, kv_len), windows], kv_len, 0, (0, mt.HEADS - 1), rows)
        for tile, kind in enumerate(found):
            kinds = {grid[n][tile] for grid in exact}
            assert kind == mt.PARTIAL or kinds == {kind}


# ---- masks written in other ways ----

SHAPES = {"q": "?x2x?x1", "k": "?x2x?x1", "v": "?x2x?x1"}

HAND_WRITTEN = {
    "remainder that truncates": """
    %d = arith.subi %i, %j : index
    %c = arith.constant 3 : index
    %r = arith.remsi %d, %c : index
    %zero = arith.constant 0 : index
    %keep = arith.cmpi eq, %r, %zero : index
    yield %keep""",
    "unsigned": """
    %c = arith.constant 5 : index
    %x = arith.divui %i, %c : index
    %y = arith.divui %j, %c : index
    %keep = arith.cmpi ule, %y, %x : index
    yield %keep""",
    "32 bits": """
    %x = arith.index_cast %i : index to i32
    %y = arith.index_cast %j : index to i32
    %d = arith.subi %x, %y : i32
    %w = arith.constant 7 : i32
    %abs = math.absi %d : i32
    %keep = arith.cmpi slt, %abs, %w : i32
    yield %keep""",
    "select and xor": """
    %c = arith.constant 6 : index
    %near = arith.cmpi slt, %i, %c : index
    %past = arith.cmpi sle, %j, %i : index
    %t = arith.constant true
    %future = arith.xori %past, %t : i1
    %keep = arith.select %near, %future, %past : i1
    yield %keep""",
    "extremes": """
    %c = arith.constant 6 : index
    %low = arith.maxsi %i, %c : index
    %high = arith.minsi %j, %i : index
    %sum = arith.addi %high, %c : index
    %keep = arith.cmpi sgt, %sum, %low : index
    yield %keep""",
    "bits": """
    %c = arith.constant 7 : index
    %two = arith.constant 2 : index
    %x = arith.andi %i, %c : index
    %y = arith.shrsi %j, %two : index
    %keep = arith.cmpi sge, %x, %y : index
    yield %keep""",
    "a sum of positions": """
    %s = arith.addi %i, %j : index
    %c = arith.constant 20 : index
    %keep = arith.cmpi slt, %s, %c : index
    yield %keep""",
    "a remainder for some rows": """
    %c = arith.constant 6 : index
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    %near = arith.cmpi slt, %i, %c : index
    %want = arith.select %near, %one, %two : index
    %four = arith.constant 4 : index
    %r = arith.remui %j, %four : index
    %keep = arith.cmpi eq, %r, %want : index
    yield %keep""",
    "every other row": """
    %two = arith.constant 2 : index
    %r = arith.remui %i, %two : index
    %zero = arith.constant 0 : index
    %odd = arith.cmpi ne, %r, %zero : index
    %past = arith.cmpi sle, %j, %i : index
    %keep = arith.andi %odd, %past : i1
    yield %keep""",
    "a length in floats, per head": """
    %n = arith.index_cast %h : index to i64
    %f = arith.sitofp %n : i64 to f64
    %e = math.exp2 %f : f64
    %size = arith.fptosi %e : f64 to i64
    %x = arith.index_cast %i : index to i64
    %y = arith.index_cast %j : index to i64
    %d = arith.subi %x, %y : i64
    %keep = arith.cmpi slt, %d, %size : i64
    yield %keep""",
}


def text_of(mask, **more):
    """A program without names: a score of 0, and weights of 1."""
    zero, one = (f"%number = arith.constant {n} : f64\nyield %number" for n in ("0.0", "1.0"))
    return attention(score=zero, mask=mask, normalize=one, **SHAPES, **more)


@pytest.mark.parametrize("name", [*HAND_WRITTEN])
@pytest.mark.parametrize("sizes", [(33, 29, 8, 4), (7, 40, 3, 16), (40, 1, 16, 5)])
def test_masks_in_other_words_are_exact(name, sizes):
    q_len, kv_len, block_q, block_kv = sizes
    text = text_of(HAND_WRITTEN[name])
    with make_context():
        module = ir.Module.parse(text)
        kept = mt.kept(module.body.operations[0], 1, q_len, kv_len, {})
    built = mt.BuiltTiles(text, block_kv)
    for h in range(mt.HEADS):
        found = built.grid(arguments(q_len, kv_len), q_len, kv_len, 0, h, block_q)
        assert found == mt.brute(kept[0, h], block_q, block_kv)


@pytest.mark.parametrize("seed", range(40))
def test_random_masks_are_never_wrong(seed):
    """What is full or empty is so, whatever the mask computes, overflows and divisions by zero included."""
    rng = np.random.default_rng(seed)
    q_len, kv_len, block_q, block_kv = (int(n) for n in rng.integers(1, [24, 24, 9, 9]))
    w = [0, 1, 2, 5, -2, 9, 2**62, -(2**63)][seed % 8]
    text = text_of(random_masks.mask(seed), captures="%w: index")
    with make_context():
        module = ir.Module.parse(text)
        kept = mt.kept(module.body.operations[0], 1, q_len, kv_len, {"w": w})
    built = mt.BuiltTiles(text, block_kv)
    for h in range(mt.HEADS):
        found = built.grid([*arguments(q_len, kv_len), w], q_len, kv_len, 0, h, block_q)
        for want, have in zip(mt.brute(kept[0, h], block_q, block_kv), found, strict=True):
            assert all(each in (right, mt.PARTIAL) for right, each in zip(want, have, strict=True))


@pytest.mark.parametrize("op", ["arith.xori", "arith.select"])
def test_long_masks_are_given_up_not_expanded(op):
    """Their normal forms have more alternatives than there are atoms."""
    lines = ["%k0 = arith.cmpi sle, %j, %i : index"]
    for n in range(1, 200):
        lines.append(f"%c{n} = arith.constant {n} : index")
        lines.append(f"%t{n} = arith.cmpi sle, %j, %c{n} : index")
        operands = f"%k{n - 1}, %t{n}" if op == "arith.xori" else f"%t{n}, %k{n - 1}, %k0"
        lines.append(f"%k{n} = {op} {operands} : i1")
    text = attention(mask="\n".join([*lines, "yield %k199"]), **SHAPES)
    with make_context():
        module = ir.Module.parse(text)
        numbers = mt.on_numbers(analyze(mt.attention_op(module)), {"b": 0, "h": 0}, 8, 8, 4, 4)
    assert all(kind == mt.PARTIAL for line in numbers for kind in line[:1])


@pytest.mark.timeout(60)
def test_sums_of_many_remainders_end():
    """Their bounds may be found by replacing remainders in any order, which are factorially many."""
    lines = ["%s1 = arith.constant 0 : index", "%most = arith.constant 20 : index"]
    for n in range(2, 13):
        lines.append(f"%c{n} = arith.constant {n} : index")
        lines.append(f"%r{n} = arith.remui %j, %c{n} : index")
        lines.append(f"%s{n} = arith.addi %s{n - 1}, %r{n} : index")
    lines += ["%keep = arith.cmpi sle, %s12, %most : index", "yield %keep"]
    text = attention(mask="\n".join(lines), **SHAPES)
    with make_context():
        module = ir.Module.parse(text)
        numbers = mt.on_numbers(analyze(mt.attention_op(module)), {"b": 0, "h": 0}, 8, 8, 4, 4)
    assert all(kind == mt.PARTIAL for line in numbers for kind in line)


def test_long_computations_around_the_op_are_symbols():
    """They are read no deeper than Python can recurse."""
    lines = ["%x0 = arith.addi %w, %w : index"]
    lines += [f"%x{n} = arith.muli %x{n - 1}, %w : index" for n in range(1, 3000)]
    text = attention(
        mask="%keep = arith.cmpi slt, %j, %x2999 : index\nyield %keep",
        captures="%w: index",
        before="\n".join(lines),
        **SHAPES,
    )
    with make_context():
        module = ir.Module.parse(text)
        found = analyze(mt.attention_op(module))
    assert (found.needs_test, found.full_count, found.partial_count) == (False, 1, 1)
