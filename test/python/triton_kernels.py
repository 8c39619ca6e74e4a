"""Kernels in Triton's dialect: those of the lit test of aec-translate."""

from __future__ import annotations

from pathlib import Path

from aecompiler.backends.triton.kernel_text import KernelText, kernel_texts
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

KERNELS_FILE = Path(__file__).parents[1] / "lit" / "tools" / "translate.mlir"


def kernels(text: str | None = None) -> dict[str, KernelText]:
    """The kernels of a module, or of that file, by name: `f_0` multiplies in a loop, `f_1` copies."""
    with make_context(allow_unregistered_dialects=True):
        module = ir.Module.parse(KERNELS_FILE.read_text() if text is None else text)
    return {kernel.name: kernel for kernel in kernel_texts(module)}


def inline_assembly(instruction: str, constraints: str = "=r,r", place: str = "") -> str:
    """A kernel `asm` around an instruction, at a location as `loc("f.py":1:2)`."""
    return f"""
"builtin.module"() ({{
  "tt.func"() ({{
  ^bb0(%o: !tt.ptr<i32>):
    %x = "arith.constant"() <{{value = 1 : i32}}> : () -> i32
    %y = "tt.elementwise_inline_asm"(%x) {{asm_string = "{instruction}", constraints = "{constraints}",
      packed_element = 1 : i32, pure = true}} : (i32) -> i32 {place}
    "tt.store"(%o, %y) {{boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32}}
      : (!tt.ptr<i32>, i32) -> ()
    "tt.return"() : () -> ()
  }}) {{function_type = (!tt.ptr<i32>) -> (), noinline = false, sym_name = "asm", sym_visibility = "public"}}
    : () -> () {place}
}}) : () -> ()
"""
