"""Forms of kernels that are known to compute wrongly."""

from __future__ import annotations

import pytest

from aecompiler.backends.triton.guards import sums_registers_by_wgmma

WEIGHTS = "tensor<64x64xbf16, #ttg.dot_op<{opIdx = 0, parent = #mma, kWidth = 2}>>"
SHARED = "!ttg.memdesc<64x16xbf16, #shared, #smem>"
TOTAL = (
    f"%o = ttng.warp_group_dot %p, %v, %acc {{inputPrecision = 0 : i32}} : {WEIGHTS} * {SHARED} -> tensor<>"
)
SCORES = """
  %k = ttg.local_alloc %1 : (tensor<64x64xbf16, #blocked>) -> !ttg.memdesc<64x64xbf16, #shared, #smem>
  %kt = ttg.memdesc_trans %k {order = array<i32: 1, 0>} : ...
  %s = ttng.warp_group_dot %q, %kt, %zero {isAsync = true} : !ttg.memdesc<64x64xbf16> * !ttg.memdesc<> -> ...
"""


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("ttg.local_alloc %2 : (tensor<64x16xbf16, #blocked>) -> !ttg.memdesc<64x16xbf16>", True),
        ("ttg.memdesc_index %ring[%i] : !ttg.memdesc<3x64x16xbf16> -> !ttg.memdesc<64x16xbf16>", False),
    ],
)
def test_second_product_of_what_registers_wrote_is_found(made, expected):
    assert sums_registers_by_wgmma(f"{SCORES}  %v = {made}\n  {TOTAL}\n") is expected


def test_first_products_alone_are_right():
    assert not sums_registers_by_wgmma(SCORES)


def test_name_of_another_region_is_another_value():
    """Numbers of values are taken again after a region."""
    region = "scf.if %c {\n  %v = ttg.local_alloc %2 : (tensor<64x16xbf16>) -> !ttg.memdesc<64x16xbf16>\n}"
    copied = "%v = ttg.memdesc_index %ring[%i] : !ttg.memdesc<3x64x16xbf16> -> !ttg.memdesc<64x16xbf16>"
    assert not sums_registers_by_wgmma(f"{region}\n{copied}\n{TOTAL}\n")
    assert not sums_registers_by_wgmma(f"{copied}\n{TOTAL}\n{region}\n")
    assert sums_registers_by_wgmma(f"{copied}\n{region[:-2]}\n{TOTAL}\n}}")
