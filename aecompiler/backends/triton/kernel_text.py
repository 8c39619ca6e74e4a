"""The kernels of a module that has been lowered to Triton's dialects, each as the text that Triton gets."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from aecompiler.backends.triton.kernel_ir import FUNCTION, SIZES, WITHOUT_LAYOUTS
from aecompiler.backends.triton.stages import Stage
from aecompiler.bindings import ir
from aecompiler.diagnostics import error_at

NUM_WARPS, NUM_STAGES = "tt_host.num_warps", "tt_host.num_stages"
"""Attributes of a kernel that are options of its compilation, which Triton does not see."""

DEFAULT_NUM_WARPS, DEFAULT_NUM_STAGES = 4, 3

_HAS_LAYOUTS = "ttg.num-warps"
_OURS, _OF_LAYOUTS = "tt_host.", "ttg."
_NAME = re.compile(r'tt\.func\s+(?:public\s+)?@(?P<pretty>[\w.$-]+)|sym_name = "(?P<generic>[^"]+)"')


@dataclasses.dataclass(frozen=True)
class KernelText:
    """One kernel, and the options that it is compiled with.

    `sizes` are the numbers of its parameters that are known to be sizes of tensors.
    """

    name: str
    text: str
    num_warps: int = DEFAULT_NUM_WARPS
    num_stages: int = DEFAULT_NUM_STAGES
    stage: Stage = "ttir"
    sizes: tuple[int, ...] = ()


def kernel_texts(module: Any) -> list[KernelText]:
    """The kernels of a module, in its order; the host's functions are left out."""
    functions = [op.operation for op in module.body.operations if op.operation.name == FUNCTION]
    return [_cut_out(module, function) for function in functions]


def _cut_out(module: Any, function: Any) -> KernelText:
    has_layouts = _HAS_LAYOUTS in module.operation.attributes and WITHOUT_LAYOUTS not in function.attributes
    name = ir.StringAttr(function.attributes["sym_name"]).value
    num_warps = _number(function, NUM_WARPS, DEFAULT_NUM_WARPS)
    num_stages = _number(function, NUM_STAGES, DEFAULT_NUM_STAGES)
    sizes = ir.DenseI64ArrayAttr(function.attributes[SIZES]) if SIZES in function.attributes else ()
    with module.context, function.location:
        alone = ir.Module.create()
        for attribute in module.operation.attributes:
            key = _key(attribute)
            if key.startswith(_OF_LAYOUTS) and not has_layouts:
                continue
            alone.operation.attributes[key] = module.operation.attributes[key]
        with ir.InsertionPoint(alone.body):
            copy = function.clone()
        for holder in (alone.operation, copy.operation):
            for key in [_key(attribute) for attribute in holder.attributes]:
                if key.startswith(_OURS):
                    del holder.attributes[key]
        text = alone.operation.get_asm(print_generic_op_form=True, enable_debug_info=True)
    stage: Stage = "ttgir" if has_layouts else "ttir"
    return KernelText(name, text, num_warps, num_stages, stage, tuple(sizes))


def _key(attribute: Any) -> str:
    return attribute if isinstance(attribute, str) else attribute.name


def _number(function: Any, key: str, default: int) -> int:
    if key not in function.attributes:
        return default
    attribute = function.attributes[key]
    if not isinstance(attribute, ir.IntegerAttr) or attribute.value < 1:
        raise error_at(function, f"expects '{key}' to be a positive integer, got {attribute}")
    return attribute.value


def read_kernel(text: str, stage: Stage) -> KernelText | None:
    """The kernel in a file in Triton's own form, which may be pretty; None where there is no function."""
    found = _NAME.search(text)
    return KernelText(found["pretty"] or found["generic"], text, stage=stage) if found else None
