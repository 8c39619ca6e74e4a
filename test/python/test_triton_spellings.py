"""Kernels with layouts in the words of versions of Triton, and one of two roles compiled."""

from __future__ import annotations

import re

import pytest
from triton_kernels import kernels

from aecompiler.backends.nvidia.target import SM_90
from aecompiler.backends.triton.compiler import compile_kernel
from aecompiler.backends.triton.spellings import respell

SHARED = "#ttg.nvmma_shared<{swizzlingByteWidth = 128, transposed = false, elementBitWidth = 16}>"
TURNED = SHARED.replace("transposed = false", "transposed = true")
BARRIERS = "#ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>"
PRODUCT = (
    "#ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 64, 16]}>"
)
BLOCKED = (
    "#ttg.blocked<{sizePerThread = [1, 2], threadsPerWarp = [4, 8], warpsPerCTA = [4, 1], order = [1, 0]}>"
)


def memory(sizes, layout, element="bf16"):
    return f"!ttg.memdesc<{sizes}x{element}, {layout}, #ttg.shared_memory, mutable>"


D, TILE, RING = f"!tt.tensordesc<tensor<1x1x64x64xbf16, {SHARED}>>", memory("64x64", SHARED), "2x64x64"
TILES, BARS, BAR = memory(RING, SHARED), memory("2x1", BARRIERS, "i64"), memory("1", BARRIERS, "i64")
ACC, ROWS = f"tensor<64x64xf32, {PRODUCT}>", f"tensor<64x64xbf16, {PRODUCT}>"
CAPTURED = f"{D}, {TILES}, {BARS}, i32"

# One warp group loads a tile and multiplies it by itself, and one warp copies it from memory.
ROLES = f"""
module attributes {{"ttg.num-ctas" = 1 : i32, "ttg.num-warps" = 4 : i32, ttg.target = "cuda:90",
    "ttg.threads-per-warp" = 32 : i32}} {{
"tt.func"() ({{
^bb0(%q: {D}, %n: i32):
  %tiles = "ttg.local_alloc"() : () -> {TILES}
  %full = "ttg.local_alloc"() : () -> {BARS}
  %c0 = arith.constant 0 : i32
  %b = "ttg.memdesc_index"(%full, %c0) : ({BARS}, i32) -> {BAR}
  "ttng.init_barrier"(%b) {{count = 1 : i32}} : ({BAR}) -> ()
  "ttng.fence_async_shared"() {{bCluster = false}} : () -> ()
  "ttg.warp_specialize"(%q, %tiles, %full, %n) ({{
    %true = arith.constant true
    %false = arith.constant false
    %zero = arith.constant dense<0.0> : {ACC}
    "ttng.wait_barrier"(%b, %c0, %true) {{operandSegmentSizes = array<i32: 1, 1, 1, 0>}}
      : ({BAR}, i32, i1) -> ()
    %t = "ttg.memdesc_index"(%tiles, %c0) : ({TILES}, i32) -> {TILE}
    %u = "ttg.memdesc_trans"(%t) {{order = array<i32: 1, 0>}} : ({TILE}) -> {memory("64x64", TURNED)}
    %s = "ttng.warp_group_dot"(%t, %u, %zero, %false)
      {{inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32}}
      : ({TILE}, {memory("64x64", TURNED)}, {ACC}, i1) -> {ACC}
    %w = "ttng.warp_group_dot_wait"(%s) {{pendings = 0 : i32}} : ({ACC}) -> {ACC}
    %r = arith.truncf %w : {ACC} to {ROWS}
    "ttg.local_store"(%r, %t) : ({ROWS}, {TILE}) -> ()
    "ttng.fence_async_shared"() {{bCluster = false}} : () -> ()
    "gpu.barrier"() : () -> ()
    "ttng.async_tma_copy_local_to_global"(%q, %c0, %c0, %n, %c0, %t) : ({D}, i32, i32, i32, i32, {TILE}) -> ()
    "ttng.async_tma_store_wait"() {{pendings = 0 : i32}} : () -> ()
    "ttg.warp_yield"() : () -> ()
  }}, {{
    "ttg.warp_specialize.partitions"() ({{
    ^bb0(%d: {D}, %ring: {TILES}, %bars: {BARS}, %row: i32):
      %z = arith.constant 0 : i32
      %yes = arith.constant true
      %bar = "ttg.memdesc_index"(%bars, %z) : ({BARS}, i32) -> {BAR}
      "ttng.barrier_expect"(%bar, %yes) {{size = 8192 : i32}} : ({BAR}, i1) -> ()
      %to = "ttg.memdesc_index"(%ring, %z) : ({TILES}, i32) -> {TILE}
      "ttng.async_tma_copy_global_to_local"(%d, %z, %z, %row, %z, %bar, %to, %yes)
        {{cache = 1 : i32, evict = 1 : i32, isVolatile = false}}
        : ({D}, i32, i32, i32, i32, {BAR}, {TILE}, i1) -> ()
      "ttg.warp_return"() : () -> ()
    }}) : () -> ()
  }}) {{partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>}} : ({CAPTURED}) -> ()
  "tt.return"() : () -> ()
}}) {{function_type = ({D}, i32) -> (), sym_name = "roles", sym_visibility = "public", noinline = false,
     arg_attrs = [{{}}, {{}}]}} : () -> ()
}}
"""


@pytest.fixture(scope="module")
def roles():
    return kernels(ROLES)["roles"]


def captures(text):
    """What `ttg.warp_specialize` and its partitions have as operands."""
    return tuple(
        re.search(rf'"ttg.warp_specialize{name}"\(([^)]*)\)', text)[1].count("%")
        for name in ("", ".partitions")
    )


def segments(text):
    (copy,) = (line for line in text.splitlines() if "async_tma_copy_global_to_local" in line)
    return re.findall(r"operandSegmentSizes = array<i32: ([\d, ]*)>", copy)


@pytest.mark.parametrize(
    ("version", "operands", "sizes", "is_wrapped"),
    [
        ((3, 6), (4, 0), [], True),
        ((3, 7), (0, 4), ["1, 4, 0, 1, 1, 1"], True),
        ((3, 8), (0, 4), ["1, 4, 0, 1, 1, 1"], False),
        ((3, 9), (0, 4), ["1, 4, 0, 1, 1, 1"], False),
    ],
)
def test_each_version_gets_its_words(roles, version, operands, sizes, is_wrapped):
    text = respell(roles.text, version)
    assert captures(text) == operands
    assert segments(text) == sizes
    assert ("!tt.tensordesc<tensor<" in text) == is_wrapped
    assert ("evict" in text) == (version == (3, 6))
    assert text.count("!tt.tensordesc<") == roles.text.count("!tt.tensordesc<")
    assert text.count("\n") == roles.text.count("\n"), "complaints name the lines of our text"


def test_the_words_of_3_6_are_ours_but_for_the_scope_of_barriers(roles):
    scope = " <{scope = #gpu.barrier_scope<workgroup>}>"
    assert roles.text.count(scope) == 1
    assert respell(roles.text, (3, 6)) == roles.text.replace(scope, "")


def test_brackets_in_strings_are_none():
    body = '"x"() {s = "})({"} : () -> ()'
    inner = '"ttg.warp_specialize.partitions"(%s) ({}) : (%s) -> ()'
    form = '"ttg.warp_specialize"(%s) ({ BODY }, { INNER }) : (%s) -> ()'.replace("BODY", body)
    old, new = form % ("%a", "i32"), form % ("", "")
    old, new = old.replace("INNER", inner % ("", "")), new.replace("INNER", inner % ("%a", "i32"))
    assert respell(old, (3, 9)) == new


@pytest.mark.parametrize(
    "text",
    [
        '"ttg.warp_specialize"(%a ({})',
        '"ttg.warp_specialize"() ({}) : () -> ()',
        '"ttng.async_tma_copy_global_to_local"(%a, %b)',
        "!tt.tensordesc<tensor<16x16xf16",
        "ttg.warp_specialize(%a) default { ttg.warp_yield } : (i32) -> ()",
    ],
)
def test_what_is_no_kernel_stays_for_triton_to_refuse(text):
    assert respell(text, (3, 9)) == text


def test_a_kernel_of_two_roles_compiles(roles):
    pytest.importorskip("triton")
    assert roles.stage == "ttgir"
    made = compile_kernel(roles.text, "roles", SM_90, stage=roles.stage)
    assert ".param .align 64 .b8 roles_param_0[128]" in made.ptx
    assert "cp.async.bulk.tensor.4d.shared" in made.ptx
    assert "cp.async.bulk.tensor.4d.global" in made.ptx
    assert "wgmma.mma_async" in made.ptx
    assert made.num_warps > 4
    assert made.threads == 32 * made.num_warps
    assert made.scratch == 2
    assert made.spills == 0
    assert made.copies == (((1, 1, 64, 64), 128),)
