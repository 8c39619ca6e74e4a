"""Tiles that are too large are refused before Triton compiles them, in words that name options."""

import pytest
from example_files import load

import aecompiler as aec
from aecompiler.backends.triton.tile_limits import too_large
from aecompiler.errors import ResourceError

NV, AMD = "nvidia:sm_80", "amd:gfx942"


@pytest.mark.parametrize(
    ("target", "options"),
    [(NV, {"num_warps": 4}), (AMD, {"road": "triton", "waves": 4})],
)
@pytest.mark.parametrize(
    ("block", "message"),
    [
        (4096, "at most 1048576 elements in a tensor, got 16777216 of 4096x4096xf32; smaller tiles"),
        (1024, "at most 512 registers of a thread for one product, got .*; smaller tiles"),
    ],
)
def test_tiles_beyond_what_is_held_are_refused_at_once(target, options, block, message):
    pytest.importorskip("triton")
    with pytest.raises(
        ResourceError,
        match=f"kernel 'softmax_0' for {target}: resources: expects {message} .*block_q, block_kv",
    ):
        aec.compile(load("softmax").build(), target=target, block_q=block, block_kv=block, **options)


@pytest.mark.parametrize(
    ("line", "threads", "found"),
    [
        ('%3 = "tt.dot"(%0, %1, %2) : (tensor<8x8xf16>) -> tensor<512x256xf32>', 256, None),
        ('%3 = "tt.dot"(%0, %1, %2) : (tensor<8x8xf16>) -> tensor<512x256xf32>', 128, "1024 for 512x256xf32"),
        (
            "%3 = tt.dot %0, %1, %2 : tensor<8x8xf64> * tensor<8x8xf64> -> tensor<512x128xf64>",
            128,
            "1024 for",
        ),
        ('%3 = "tt.splat"(%0) : (f32) -> tensor<1024x1024xf32>', 32, None),
        ('%3 = "tt.splat"(%0) : (i64) -> tensor<1024x2048x!tt.ptr<f16>>', 32, "of 1024x2048x!tt.ptr<f16>"),
    ],
)
def test_products_are_held_in_registers_and_tensors_have_a_largest_size(line, threads, found):
    message = too_large(line, threads, 512)
    assert found in message if found else message is None
