"""Lists of tiles hold those that the test of a tile keeps, in their order, and nothing else."""

import mask_tiles as mt
import numpy as np
import pytest
import triton_interpreter
from device_fakes import FakeTensor, Run

import aecompiler as aec
from aecompiler import masks
from aecompiler.backends.base import get_backend
from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.backends.nvidia import pipelines  # noqa: F401  (registers)
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import func, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.mask_analysis import analyze
from aecompiler.passes.pipeline import run_pipeline
from aecompiler.passes.tile_lists import Tiling, build_lists

BATCH, ROWS = 2, 21
MANY_KEYS = 150
"""As tiles of 1 key they are tested in three steps, and their lists are written by two programs."""


def documents(count, seed=1):
    ends = np.random.default_rng(seed).random((BATCH, count)) < 0.2
    return np.cumsum(ends, axis=1)


def blocks(*shape):
    return np.random.default_rng(2).random(shape) < 0.5


def of(dtype, *sizes):
    return aec.tensor(*sizes, dtype=dtype)


CASES = {
    "documents": (
        lambda d: masks.document(d) & masks.causal(),
        {"d": (of("i32", "B", "N"), documents(MANY_KEYS).astype(np.int32))},
    ),
    "documents of queries and of keys": (
        lambda d, e: masks.document(d, e),
        {
            "d": (of("i64", "B", "M"), documents(ROWS)),
            "e": (of("i64", "B", "N"), documents(MANY_KEYS) // 7),
        },
    ),
    "documents of all batches": (
        lambda d: masks.document(d),
        {"d": (of("i16", "N"), documents(MANY_KEYS)[0].astype(np.int16))},
    ),
    "numbers that are large": (
        lambda d: masks.document(d),
        {"d": (of("i64", "B", "N"), (documents(MANY_KEYS) - 2) << 50)},
    ),
    "blocks": (
        lambda m: masks.block_sparse(m, block_q=8, block_kv=4),
        {"m": (of("i1", "B", mt.HEADS, None, None), blocks(BATCH, mt.HEADS, 3, 38))},
    ),
    "blocks of one head": (
        lambda m: masks.block_sparse(m, block_q=8, block_kv=4),
        {"m": (of("i1", 1, 1, None, None), blocks(1, 1, 3, 38))},
    ),
    "keys of rows": (
        lambda n: lambda b, i, j: j < n[b, i],
        {"n": (of("i32", "B", "M"), np.arange(BATCH * ROWS, dtype=np.int32).reshape(BATCH, ROWS) * 3)},
    ),
    "dilated": (lambda: masks.dilated(5) & masks.causal(), {}),
    "nothing": (
        lambda d: masks.document(d),
        {
            "d": (
                of("i32", "B", "N"),
                np.arange(2 * MANY_KEYS).reshape(2, MANY_KEYS).astype(np.int32)[:, ::-1].copy(),
            )
        },
    ),
    "a tensor without elements": (
        lambda d: masks.document(d),
        {"d": (of("i32", "B", "N"), np.zeros((BATCH, 0), np.int32))},
    ),
}


class Lists:
    """The program that writes the lists of a mask, alone."""

    def __init__(self, program, block_q, block_kv):
        from aecompiler.dialect import make_context

        with make_context(allow_unregistered_dialects=True), ir.Location.unknown():
            module = ir.Module.parse(str(program.module))
            op = mt.attention_op(module)
            function = op.parent.operation
            block = function.regions[0].blocks[0]
            terminator = list(block.operations)[-1].operation
            with ir.InsertionPoint(terminator):
                q, k, _ = op.operands
                self.lists = build_lists(analyze(op), Tiling.of_operands(q, k, block_q, block_kv))
                if self.lists is None:
                    return
                self.varies = self.lists.varies
                self.prepared = len(
                    [each for each in rw.walk_list(function, "scf.forall") if len(each.results)]
                )
                made = [self.lists.positions, self.lists.full_ends, self.lists.partial_begins]
                types = [ir.RankedTensorType.get([rw.DYNAMIC] * 4, each.type.element_type) for each in made]
                func.ReturnOp([rw.cast(each, type_) for each, type_ in zip(made, types, strict=True)])
            terminator.erase()
            op.erase()
            inputs = [value.type for value in block.arguments]
            function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, types))
            del function.attributes["res_attrs"]
            run_pipeline(module, "builtin.module(canonicalize,cse,convert-tiles-to-tt)")
            self.module, self.function = module, rw.symbol_name(function)

    def classes(self, inputs, kv_tiles, b, h):
        """The classes of tiles of keys, a line for each tile of rows."""
        positions, ends, begins = triton_interpreter.run(self.module, self.function, inputs)
        at = tuple(n if varies else 0 for n, varies in zip((b, h), self.varies, strict=True))
        grid = []
        for places, (end, *other_ends), (begin, *other_begins) in zip(
            positions[at], ends[at], begins[at], strict=True
        ):
            assert set(other_ends) <= {end}
            assert set(other_begins) <= {begin}
            full, partial = list(places[:end]), list(places[begin:kv_tiles])
            assert full == sorted(full)
            assert partial == sorted(partial, reverse=True)
            assert not any(places[end:begin])
            line = [mt.EMPTY] * kv_tiles
            for kind, tiles in ((mt.FULL, full), (mt.PARTIAL, partial)):
                for tile in tiles:
                    assert line[tile] == mt.EMPTY
                    line[tile] = kind
            grid.append(line)
        return grid


def check(name, keys, block_q, block_kv):
    mask, given = CASES[name]
    program = mt.program(mask, **{key: spec for key, (spec, _) in given.items()})
    lists, tested = Lists(program, block_q, block_kv), mt.BuiltTiles(str(program.module), block_kv)
    inputs = [np.zeros((BATCH, mt.HEADS, length, 1)) for length in (ROWS, keys, keys)]
    inputs += [value for _, value in given.values()]
    for b in range(BATCH):
        found = lists.classes(inputs, -(-keys // block_kv), b, 1)
        assert found == tested.grid(inputs, ROWS, keys, b, 1, block_q)


@pytest.mark.parametrize(("keys", "block_q", "block_kv"), [(37, 8, 4), (41, 16, 12), (0, 4, 4)])
@pytest.mark.parametrize("name", CASES)
def test_lists_hold_what_the_test_of_a_tile_keeps(name, keys, block_q, block_kv):
    check(name, keys, block_q, block_kv)


def test_lists_of_several_chunks():
    check("documents", MANY_KEYS, 8, 1)


@pytest.mark.parametrize(
    ("name", "varies", "prepared"),
    [
        ("documents", (True, False), 2),
        ("documents of queries and of keys", (True, False), 2),
        ("documents of all batches", (False, False), 2),
        ("blocks", (True, True), 1),
        ("blocks of one head", (False, False), 1),
        ("keys of rows", (True, False), 1),
        ("dilated", (False, False), 1),
    ],
)
def test_lists_are_written_once_for_what_they_depend_on(name, varies, prepared):
    """There is a table of what is read at many keys; few elements are compared where they are read."""
    mask, given = CASES[name]
    lists = Lists(mt.program(mask, **{key: spec for key, (spec, _) in given.items()}), 16, 16)
    assert lists.varies == varies
    assert lists.prepared == prepared


@pytest.mark.parametrize(
    ("mask", "specs", "block_q"),
    [
        (masks.causal(), {}, 8),
        (masks.dilated(3) & masks.dilated(5), {}, 8),
        (lambda i, j: (i % 3 == 0) & (j % 2 == 0) & (i + j > 4), {}, 8),
        (lambda m: masks.block_sparse(m, block_q=8, block_kv=8), {"m": of("i1", 1, 1, None, None)}, 64),
    ],
    ids=["ranges", "two divisors", "rows one by one", "many blocks"],
)
def test_no_lists_where_ranges_tell_or_a_test_takes_a_loop(mask, specs, block_q):
    program = mt.program(mask if specs else lambda: mask, **specs)
    assert Lists(program, block_q, 16).lists is None


@pytest.mark.parametrize("length", [8192, 3 * 64 + 40, 200 * 64 + 8])
def test_strides_of_lists_and_tables_are_multiples_of_16_bytes(length):
    """Or kernels would be compiled in a second form, which loads no vectors."""

    def attention(q, k, v, d):
        return aec.attention(q, k, v, mask=masks.document(d) & masks.causal())

    x = aec.tensor("B", 2, "S", 16, dtype="bf16")
    program = aec.trace(attention, q=x, k=x, v=x, d=of("i32", "B", "S"))
    backend = get_backend("nvidia:sm_80")
    module = backend.lower(program.module, backend.schedule({}))
    with module.context:
        function = next(iter(rw.walk_list(module.operation, "func.func")))
        types = {
            rw.symbol_name(each): [str(type_) for type_ in kir.body_of(each).arguments.types]
            for each in kir.kernels(module.operation)
        }
        plan = read_plan(function, types)
    arrays = [FakeTensor((BATCH, 2, length, 16)) for _ in "qkv"] + [FakeTensor((BATCH, length))]
    run = Run(make_program(plan), kernel_names(plan), arrays, [None])
    assert len(run.launches) == 3
    assert not any(launch.misaligned for launch in run.launches)
