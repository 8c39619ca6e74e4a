"""From a plan (`host_plan.py`) to a Python function: source text, compiled once, that runs at each call.

The function is `program(launchers, stream, empty, arguments, results)`:

- `launchers`: one function for each of `kernel_names(plan)`, called as
  `launch(stream, grid_x, grid_y, grid_z, misaligned, *values)` with the values of the kernel's parameters;
  `misaligned` is not 0 where an address or a stride is no multiple of 16 bytes, or, with `spans`, where a
  tensor has 2^31 bytes or more. The value of a descriptor
  is the address, the sizes and the strides of its tensor;
- `empty(sizes, dtype)` makes a tensor that is not initialised;
- `arguments`: tensors (of torch, or what looks like them) and numbers that the scalars' types hold;
- `results`: for each result a tensor to write to, or None for a new one. The function returns all results.

Kernels read rows whose elements are neighbours: an argument of another layout is copied first, and a result
of another layout is computed beside and copied. So are misaligned tensors that have a descriptor. This module
needs neither MLIR nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.backends.gpu import host_arithmetic
from aecompiler.backends.gpu.view_code import VIEWS
from aecompiler.backends.triton import kernel_abi

Program = Callable[..., list[Any]]

_NUMBERS = (-(1 << 31), (1 << 31) - 1)
_SIZES = (0, kernel_abi.MOST_SIZE)
"""The ranges of numbers, and of sizes of tensors, that kernels take: they add positions in 32 bits."""


def kernel_names(plan: dict[str, Any]) -> list[str]:
    """The kernels that a plan launches, in the order of `launchers`."""
    names: dict[str, None] = {}

    def visit(body: Sequence[dict[str, Any]]) -> None:
        for instruction in body:
            if instruction["op"] == "launch":
                names[instruction["kernel"]] = None
            elif instruction["op"] == "if":
                visit(instruction["then"]["body"])
                visit(instruction["else"]["body"])

    visit(plan["body"])
    return list(names)


def make_program(plan: dict[str, Any]) -> Program:
    """The function of a plan."""
    source = source_of(plan)
    names: dict[str, Any] = {
        **host_arithmetic.FUNCTIONS,
        "bits_of_f16": kernel_abi.bits_of_f16,
        "bits_of_bf16": kernel_abi.bits_of_bf16,
        "misaligned": misaligned,
        "span": span,
        "too_large": too_large,
        "wrong_shape": wrong_shape,
    }
    exec(compile(source, f"<host program of {plan['function']}>", "exec"), names)
    return names["program"]


NEAR_BITS = 31
"""The bits of offsets in tensors, in bytes, that aligned forms of kernels with `spans` may rely on."""


def misaligned(address: int, sizes: Sequence[int], strides: Sequence[int], item_bytes: int) -> int:
    """What keeps a tensor from being aligned: low bits of its address, and of strides that are used."""
    bits = address
    for size, stride in zip(sizes[:-1], strides, strict=False):
        if size > 1:
            bits |= stride * item_bytes
    return bits & (kernel_abi.ALIGNMENT - 1)


def span(sizes: Sequence[int], strides: Sequence[int], item_bytes: int) -> int:
    """The bytes from a tensor's first element to the end of its last."""
    if 0 in sizes:
        return 0
    return (1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))) * item_bytes


def too_large(label: str, low: int, high: int, value: int) -> ValueError:
    """The error for an index that kernels can't take."""
    return ValueError(f"expects {label} to be {low} to {high}, got {value}")


def wrong_shape(name: str, expected: Sequence[int], got: Sequence[int]) -> ValueError:
    """The error for memory of another shape than that of the result."""
    return ValueError(f"result '{name}': expects shape {tuple(expected)}, got {tuple(got)}")


def source_of(plan: dict[str, Any]) -> str:
    """The source text of the function of a plan."""
    return _Writer(plan).text()


class _Writer:
    def __init__(self, plan: dict[str, Any]):
        self._plan = plan
        self._types = plan["types"]
        self._launchers = {name: f"launch{n}" for n, name in enumerate(kernel_names(plan))}
        self._literals: dict[int, str] = {}
        self._dims: set[int] = set()
        self._lines: list[str] = []
        self._indent = 1
        self._launched = _launched(plan["body"], False)
        self._described = _launched(plan["body"], True)

    def text(self) -> str:
        arguments, returns = self._plan["arguments"], self._plan["returns"]
        self._line("def program(launchers, stream, empty, arguments, results):", 0)
        self._unpack([*self._launchers.values()], "launchers")
        self._unpack([f"v{n}" for n in range(len(arguments))], "arguments")
        self._unpack([f"r{n}" for n in range(len(returns))], "results")
        for number, argument in enumerate(arguments):
            if argument["shape"] is not None:
                otherwise = "" if argument.get("in_place") is not None else "contiguous"
                self._describe(number, otherwise, number in self._launched)
        self._body(self._plan["body"])
        for position, number in enumerate(returns):
            self._return(position, number)
        self._line(f"return [{', '.join(f'r{n}' for n in range(len(returns)))}]")
        return "\n".join(self._lines) + "\n"

    def _line(self, text: str, indent: int | None = None) -> None:
        self._lines.append("    " * (self._indent if indent is None else indent) + text)

    def _unpack(self, names: Sequence[str], source: str) -> None:
        if names:
            self._line(f"{', '.join(names)}, = {source}")

    def _value(self, number: int) -> str:
        return self._literals.get(number, f"v{number}")

    def _rank(self, number: int) -> int:
        return self._types[number]["rank"]

    # ---- tensors: v is the tensor, s its sizes, t its strides, p its address, m not 0 if misaligned ----

    def _describe(self, number: int, otherwise: str, is_launched: bool) -> None:
        """What launches need of a tensor; `otherwise` is what to do where elements of a row are apart."""
        v, s, t, p, m = (f"{letter}{number}" for letter in "vstpm")
        rank = self._rank(number)
        if rank:
            self._line(f"{s} = {v}.shape")
        if not is_launched:
            return
        if rank:
            self._line(f"{t} = {v}.stride()")
            if otherwise:
                self._line(f"if {t}[{rank - 1}] != 1 and {s}[{rank - 1}] != 1:")
                self._line(f"    {v} = {v}.{otherwise}()")
                self._line(f"    {t} = {v}.stride()")
        self._line(f"{p} = {v}.data_ptr()")
        strides = " | ".join(f"{t}[{d}]" for d in range(rank - 1))
        item = kernel_abi.ITEM_BYTES[self._types[number]["dtype"]]
        mask = kernel_abi.ALIGNMENT - 1
        self._line(f"{m} = ({p} | ({strides}) * {item}) & {mask}" if strides else f"{m} = {p} & {mask}")
        if strides:
            self._line(f"if {m}:")
            self._line(f"    {m} = misaligned({p}, {s}, {t}, {item})")
        if otherwise and number in self._described:
            self._line(f"if {m}:")
            self._line(f"    {v} = empty({s}, {self._types[number]['dtype']!r}).copy_({v})")
            self._line(f"    {t} = {v}.stride()")
            self._line(f"    {p} = {v}.data_ptr()")
            self._line(f"    {m} = 0")

    def _alloc(self, instruction: dict[str, Any]) -> None:
        (number,) = instruction["results"]
        rank, dtype, result = self._rank(number), self._types[number]["dtype"], instruction["output"]
        sizes = "".join(f"{self._value(size)}, " for size in instruction["sizes"])
        make = f"v{number} = empty(({sizes}), {dtype!r})"
        if result is None:
            self._line(make)
        else:
            v, last = f"v{number}", rank - 1
            self._line(f"{v} = r{result}")
            self._line(f"if {v} is None:")
            self._line(f"    {make}")
            self._line(f"elif {v}.shape != ({sizes}):")
            self._line(f"    raise wrong_shape({self._result_name(result)!r}, ({sizes}), {v}.shape)")
            if rank:
                self._line(f"elif {v}.stride({last}) != 1 and {v}.shape[{last}] != 1:")
                self._line(f"    {make}")
            if number in self._described:
                item = kernel_abi.ITEM_BYTES[dtype]
                self._line(f"elif misaligned({v}.data_ptr(), {v}.shape, {v}.stride(), {item}):")
                self._line(f"    {make}")
        self._describe(number, "", True)

    def _return(self, position: int, number: int) -> None:
        result, value, type_ = f"r{position}", self._value(number), self._types[number]
        if not self._plan["owned"][position]:
            sizes, dtype = (f"{value}.shape", type_["dtype"]) if isinstance(type_, dict) else ("()", type_)
            self._line(f"if {result} is None:")
            self._line(f"    {result} = empty({sizes}, {dtype!r})")
            self._line(f"elif {result}.shape != {sizes}:")
            self._line(f"    raise wrong_shape({self._result_name(position)!r}, {sizes}, {result}.shape)")
            self._line(f"{result}.{'copy_' if isinstance(type_, dict) else 'fill_'}({value})")
            return
        self._line(f"if {result} is None:")
        self._line(f"    {result} = {value}")
        self._line(f"elif {result} is not {value}:")
        self._line(f"    {result}.copy_({value})")

    def _result_name(self, position: int) -> str:
        return self._plan["results"][position]["name"]

    # ---- instructions ----

    def _body(self, body: Sequence[dict[str, Any]]) -> None:
        for instruction in body:
            op = instruction["op"]
            if op == "constant":
                self._constant(instruction)
            elif op == "dim":
                source, dimension = instruction["tensor"], instruction["dimension"]
                self._dims.update(instruction["results"])
                self._line(f"v{instruction['results'][0]} = s{source}[{dimension}]")
            elif op == "alloc":
                self._alloc(instruction)
            elif op == "clone":
                (number,), (source,) = instruction["results"], instruction["operands"]
                self._line(f"v{number} = empty(v{source}.shape, {self._types[number]['dtype']!r})")
                self._line(f"v{number}.copy_(v{source})")
                self._describe(number, "", True)
            elif op == "full":
                (number,), value = instruction["results"], instruction["value"]
                value = float.fromhex(value) if isinstance(value, str) else value
                sizes = "".join(f"{size}, " for size in instruction["sizes"])
                self._line(f"v{number} = empty(({sizes}), {self._types[number]['dtype']!r})")
                self._line(f"v{number}.fill_({_literal(value)})")
                self._describe(number, "", True)
            elif op in VIEWS:
                (number,), source = instruction["results"], instruction["tensor"]
                self._line(f"v{number} = {VIEWS[op](instruction, f'v{source}', self._value)}")
                self._describe(number, "contiguous", number in self._launched)
            elif op == "launch":
                self._launch(instruction)
            elif op == "if":
                self._if(instruction)
            else:
                self._arithmetic(instruction)

    def _constant(self, instruction: dict[str, Any]) -> None:
        (number,), value = instruction["results"], instruction["value"]
        if isinstance(value, str):
            value = float.fromhex(value)
            self._literals[number] = _literal(value)
        else:
            self._literals[number] = f"({value})" if value < 0 else str(value)

    def _arithmetic(self, instruction: dict[str, Any]) -> None:
        code = host_arithmetic.expression(
            instruction["op"],
            [self._value(number) for number in instruction["operands"]],
            instruction["from"],
            instruction["to"],
            instruction.get("predicate"),
        )
        self._line(f"v{instruction['results'][0]} = {code}")

    def _launch(self, instruction: dict[str, Any]) -> None:
        values, bits = [], []
        for number in instruction["arguments"]:
            type_ = self._types[number]
            if isinstance(type_, dict):
                bits.append(f"m{number}")
                values.append(f"p{number}")
                values += [f"t{number}[{d}]" for d in range(type_["rank"] - 1)]
                continue
            value = self._value(number)
            if type_ == "index":
                self._check_index(number)
            elif type_ in ("f16", "bf16"):
                value = f"bits_of_{type_}({value})"
            values.append(value)
        described = [instruction["arguments"][position] for position in instruction.get("descriptors", ())]
        if described:
            bits = []  # the kernel has one form, for any layout of the others
            values += [f"(p{number}, s{number}, t{number})" for number in described]
        if instruction.get("spans"):
            spans = [self._span(number) for number in instruction["arguments"] if self._is_tensor(number)]
            values += spans
            bits += [f"{each} >> {NEAR_BITS}" for each in spans]
        grid = [self._value(number) for number in instruction["grid"]]
        parts = ["stream", *grid, " | ".join(dict.fromkeys(bits)) or "0", *values]
        self._line(f"{self._launchers[instruction['kernel']]}({', '.join(parts)})")

    def _is_tensor(self, number: int) -> bool:
        return isinstance(self._types[number], dict)

    def _span(self, number: int) -> str:
        item = kernel_abi.ITEM_BYTES[self._types[number]["dtype"]]
        return f"span(s{number}, t{number}, {item})" if self._rank(number) else str(item)

    def _check_index(self, number: int) -> None:
        value = self._value(number)
        low, high = _SIZES if number in self._dims else _NUMBERS
        if number in self._literals and low <= int(value.strip("()")) <= high:
            return
        label = self._plan["labels"][number] or f"a size in '{self._plan['function']}'"
        self._line(f"if not {low} <= {value} <= {high}:")
        self._line(f"    raise too_large({label!r}, {low}, {high}, {value})")

    def _if(self, instruction: dict[str, Any]) -> None:
        self._line(f"if {self._value(instruction['condition'])}:")
        for keyword in ("then", "else"):
            branch = instruction[keyword]
            if keyword == "else":
                self._line("else:")
            self._indent += 1
            before = len(self._lines)
            self._body(branch["body"])
            for result, value in zip(instruction["results"], branch["yields"], strict=True):
                self._yield(result, value)
            if len(self._lines) == before:
                self._line("pass")
            self._indent -= 1

    def _yield(self, result: int, value: int) -> None:
        if not isinstance(self._types[result], dict):
            self._line(f"v{result} = {self._value(value)}")
            return
        self._line(f"v{result} = v{value}")
        self._describe(result, "contiguous", result in self._launched)


def _literal(value: int | float) -> str:
    """A number in Python's words."""
    return f"({value!r})" if abs(value) < float("inf") else f"float('{value!r}')"


def _launched(body: Sequence[dict[str, Any]], described: bool) -> set[int]:
    """The tensors that kernels take, all of them or those with descriptors."""
    found: set[int] = set()
    for instruction in body:
        if instruction["op"] == "launch":
            arguments = instruction["arguments"]
            positions = instruction.get("descriptors", ()) if described else range(len(arguments))
            found.update(arguments[position] for position in positions)
        elif instruction["op"] == "if":
            for branch in ("then", "else"):
                found |= _launched(instruction[branch]["body"], described)
    return found
