"""The arguments of a function while a pass changes their types and adds others, with their attributes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from aecompiler.bindings import ir
from aecompiler.passes.registry import PassFailure

NAME, DIMS = "attn.name", "attn.dims"

IN_PLACE_ATTRIBUTE = "attn.in_place"
"""The attribute of an argument that a function updates: which of its results is the argument as updated."""


def in_place_of(function: ir.Operation) -> dict[int, int]:
    """The arguments that a function updates, by the number of the result that each is then.

    Raises `PassFailure` where `attn.in_place` is no number of a result of the argument's type, or where two
    arguments have the same.
    """
    function = function.operation
    attributes = function.attributes
    given = list(attributes["arg_attrs"]) if "arg_attrs" in attributes else []
    type_ = ir.FunctionType(ir.TypeAttr(attributes["function_type"]).value)
    i64 = ir.IntegerType.get_signless(64, function.context)
    found: dict[int, int] = {}
    for number, each in enumerate(given):
        if IN_PLACE_ATTRIBUTE not in each:
            continue
        attribute, own = each[IN_PLACE_ATTRIBUTE], type_.inputs[number]
        if not isinstance(own, ir.RankedTensorType):
            raise PassFailure(
                function, f"expects '{IN_PLACE_ATTRIBUTE}' on tensors, got argument {number} of type {own}"
            )
        result = attribute.value if isinstance(attribute, ir.IntegerAttr) and attribute.type == i64 else -1
        has = type_.results[result] if 0 <= result < len(type_.results) else None
        if has != own:
            got = f"{attribute}" if has is None else f"result {result} of type {has}"
            raise PassFailure(
                function,
                f"expects '{IN_PLACE_ATTRIBUTE}' of argument {number} to be the number of a result of type "
                f"{own}, got {got}",
            )
        if result in found:
            raise PassFailure(
                function,
                f"expects '{IN_PLACE_ATTRIBUTE}' to name each result once, got {result} for arguments "
                f"{found[result]} and {number}",
            )
        found[result] = number
    return found


def check_names(function: ir.Operation) -> None:
    """Raise `PassFailure` where a name of an argument, a result or a size is no string."""
    function = function.operation
    for which in ("arg_attrs", "res_attrs"):
        for each in list(function.attributes[which]) if which in function.attributes else []:
            if NAME in each and not isinstance(each[NAME], ir.StringAttr):
                raise PassFailure(function, f"expects '{NAME}' to be a string, got {each[NAME]}")
            if DIMS not in each:
                continue
            is_array = isinstance(each[DIMS], ir.ArrayAttr)
            if not is_array or not all(isinstance(name, ir.StringAttr) for name in each[DIMS]):
                raise PassFailure(function, f"expects '{DIMS}' to be an array of strings, got {each[DIMS]}")


def dimension_name(argument: ir.Value, axis: int) -> str | None:
    """The name of a size of a function's argument: a call checks that those of one name are equal."""
    function = argument.owner.owner.operation
    if function.name != "func.func" or "arg_attrs" not in function.attributes:
        return None
    attributes = function.attributes["arg_attrs"][ir.BlockArgument(argument).arg_number]
    if DIMS not in attributes or not isinstance(attributes[DIMS], ir.ArrayAttr):
        return None
    name = next(itertools.islice(attributes[DIMS], axis, None), None)
    return (name.value or None) if isinstance(name, ir.StringAttr) else None


class ProgramArguments:
    """The arguments of a function: types, and the names of arguments and of sizes (`attn.name`, `attn.dims`).

    Each change leaves the function's type and attributes as they belong to its block.
    """

    def __init__(self, function: ir.Operation):
        check_names(function)
        self.function = function
        self.block = function.regions[0].blocks[0]
        given = list(function.attributes["arg_attrs"]) if "arg_attrs" in function.attributes else []
        self.attributes = [
            {each.name: each.attr for each in given[n]} if n < len(given) else {}
            for n in range(len(self.block.arguments))
        ]

    def name(self, names: Sequence[str]) -> None:
        """Call the arguments so."""
        for attributes, name in zip(self.attributes, names, strict=True):
            attributes[NAME] = ir.StringAttr.get(name)
        self._write()

    def places(self) -> Iterator[tuple[int, int]]:
        """The dimensions of arguments that are tensors."""
        for number, value in enumerate(self.block.arguments):
            if isinstance(value.type, ir.RankedTensorType):
                yield from ((number, d) for d in range(value.type.rank))

    def name_of(self, number: int, d: int) -> str:
        """The name of a size of an argument, or ""."""
        dims = self.attributes[number].get(DIMS)
        return ir.StringAttr(dims[d]).value if dims is not None and d < len(dims) else ""

    def dim_name(self, value: ir.Value, d: int) -> str:
        """The name of a size of the argument `value`, or ""."""
        return self.name_of(list(self.block.arguments).index(value), d)

    def new_dim_name(self, name: str) -> str:
        """A name of a size that no argument has, `name` if that is such."""
        return _unique(name, {self.name_of(*place) for place in self.places()})

    def add(self, name: str, shaped: ir.RankedTensorType, dims: Sequence[str]) -> ir.Value:
        """A new last argument, called `name`, or with a number behind that if another one is called so."""
        taken = {ir.StringAttr(each[NAME]).value for each in self.attributes if NAME in each}
        found = _unique(name, taken)
        value = self.block.add_argument(shaped, self.function.location)
        self.attributes.append({NAME: ir.StringAttr.get(found)})
        self._set_dims(len(self.attributes) - 1, dict(enumerate(dims)), shaped.rank)
        self._write()
        return value

    def set_type(self, value: ir.Value, shaped: ir.RankedTensorType, dims: Mapping[int, str]) -> None:
        """Give an argument another type, and names to these of its sizes; `""` takes a name away."""
        value.set_type(shaped)
        self._set_dims(list(self.block.arguments).index(value), dims, shaped.rank)
        self._write()

    def set_in_place(self, value: ir.Value, result: int, results: Sequence[ir.Type]) -> None:
        """Say which result an argument is as updated, and what types the results have now."""
        i64 = ir.IntegerType.get_signless(64)
        number = list(self.block.arguments).index(value)
        self.attributes[number][IN_PLACE_ATTRIBUTE] = ir.IntegerAttr.get(i64, result)
        if "res_attrs" in self.function.attributes:
            given = list(self.function.attributes["res_attrs"])
            given += [ir.DictAttr.get({})] * (len(results) - len(given))
            self.function.attributes["res_attrs"] = ir.ArrayAttr.get(given)
        self._write(results)

    def _set_dims(self, number: int, dims: Mapping[int, str], rank: int) -> None:
        names = [self.name_of(number, d) for d in range(rank)]
        for d, name in dims.items():
            names[d] = name
        if any(names) or DIMS in self.attributes[number]:
            self.attributes[number][DIMS] = ir.ArrayAttr.get([ir.StringAttr.get(each) for each in names])

    def _write(self, results: Sequence[ir.Type] | None = None) -> None:
        attributes = self.function.attributes
        type_ = ir.FunctionType(ir.TypeAttr(attributes["function_type"]).value)
        inputs = [value.type for value in self.block.arguments]
        outputs = list(type_.results) if results is None else list(results)
        attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, outputs))
        attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(each) for each in self.attributes])


def _unique(name: str, taken: set[str]) -> str:
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name}{count}"
    return found
