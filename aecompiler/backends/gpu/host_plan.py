"""The host function of a compiled program as plain data: what happens at a call, before and between kernels.

`read_plan` takes the function that is left of a program when its computation is in kernels, and returns a
*plan*: dictionaries, lists, numbers and strings that JSON can hold, from which `host_program.py` makes a
Python function, here or on a machine without MLIR.

A plan numbers its values; the first are the function's arguments. Keys:

- `function`: its name; `arguments`, `results`: each with `name`, `dtype`, and `shape` (a list of sizes, names
  of sizes, or null), or `shape` null for a scalar; an argument that kernels update has `in_place`, the number
  of the result that it then is, which is not among `results`;
- `types`: of each value, `"index"` and the like for a scalar, or `{"dtype": ..., "rank": ...}`;
- `labels`: what a value is called in messages, or null;
- `body`: the instructions, in order; `returns`: the values of the results; `owned`: whether the memory of
  each was allocated for it, and so need not be copied.

Instructions are dictionaries with `op` and, where they make values, `results`:

- `constant` with `value`, and integer or float arithmetic under the name it has in the `arith` dialect, with
  `operands`, `width` of the operands, `to` of the result, and `predicate` of a comparison;
- `dim` of `tensor`, `dimension`;
- `alloc` with `sizes` (values), and `output`: the result that the memory is for, or null;
- `clone`: a copy of a tensor in memory of its own;
- a view of the memory of `tensor` (`view_code.py`): `slice` with `offsets`, `sizes`, `steps` and the
  dimensions that are `dropped`; `permute` with the `order` of dimensions; `broadcast` with the dimensions
  `added` and all `sizes`; `expand` with `sizes`, and `collapse` with `groups` of dimensions;
- `full`: a tensor of `sizes` (numbers) with `value` everywhere;
- `launch` of `kernel` on `grid` with `arguments`, of which those at the positions `outputs` are written, and
  those at the positions `descriptors`, if there are any, are passed a second time as descriptors; with
  `spans` true the bytes from the first element of each tensor to the end of its last are passed behind them;
- `if` with `condition`, `then` and `else`, each with `body` and `yields`.

**Memory.** In the IR a tensor is a value; in a plan it is memory that kernels write. A kernel that writes
what a `tensor.empty` made gets memory of its own, since equal `tensor.empty` are one after `cse`. One that
updates a tensor works on its memory only if nobody else uses that tensor, and else on a copy; one that
updates an argument with `attn.in_place` always works on the caller's memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from aecompiler import diagnostics
from aecompiler.backends.gpu.host_arithmetic import OPERATIONS, PREDICATES
from aecompiler.backends.gpu.host_memory import Instruction, Memory, claim, value_numbers
from aecompiler.backends.gpu.host_views import VIEWS
from aecompiler.backends.triton.kernel_abi import (
    DESCRIPTORS,
    LAUNCH,
    is_descriptor,
    parameter_types,
    parse_descriptor,
)
from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC
from aecompiler.signature import updated_arguments

Plan = dict[str, Any]


def read_plan(function: ir.Operation, kernels: Mapping[str, Sequence[str]], *, spans: bool = False) -> Plan:
    """The plan of a host function; `kernels` gives the parameter types of each kernel by its name.

    `spans` says that kernels take the bytes behind each pointer after their parameters.

    Raises `CompileError`, which names op and place, for what a plan does not hold.
    """
    function = function.operation
    if len(function.regions[0].blocks) != 1:
        raise diagnostics.error_at(function, "expects a host function of one block")
    return _Reader(function, kernels, spans).plan()


class _Reader:
    def __init__(self, function: ir.Operation, kernels: Mapping[str, Sequence[str]], spans: bool):
        self._function = function
        self._spans = spans
        self._kernels = kernels
        self._types: list[Any] = []
        self._labels: list[str | None] = []
        self._numbers: dict[ir.Value, int] = {}  # of scalars
        self._constants: dict[ir.Value, int] = {}
        self._memories: dict[ir.Value, Memory] = {}
        self._empties: dict[ir.Value, list[int]] = {}  # sizes of tensors that nobody has written
        self._fulls: dict[ir.Value, float | int | str] = {}  # constant tensors that nobody has read
        self._depth = 0
        self._in_place = {number: result for result, number in updated_arguments(function).items()}

    def plan(self) -> Plan:
        block = self._function.regions[0].blocks[0]
        arguments = [self._argument(n, value) for n, value in enumerate(block.arguments)]
        body, passed = self._block(block, "func.return")
        for number, result in self._in_place.items():
            if self._memories[block.arguments[number]] is not passed[result]:
                raise diagnostics.error_at(
                    list(block.operations)[-1],
                    f"expects result {result} to be '{arguments[number]['name']}', updated in its memory",
                )
        kept = [n for n in range(len(passed)) if n not in self._in_place.values()]
        returns = [passed[n] for n in kept]
        name = ir.StringAttr(self._function.attributes["sym_name"]).value
        taken: dict[int, int] = {}
        owned = [
            isinstance(memory, Memory) and claim(memory, position, taken)
            for position, memory in enumerate(returns)
        ]
        types = [value.type for value in list(block.operations)[-1].operands]
        return {
            "function": name,
            "arguments": arguments,
            "results": [self._signature("res_attrs", n, types[n]) for n in kept],
            "types": self._types,
            "labels": self._labels,
            "body": body,
            "returns": value_numbers(returns),
            "owned": owned,
        }

    # ---- values ----

    def _new(self, type_: ir.Type, label: str | None = None) -> int:
        if isinstance(type_, ir.RankedTensorType):
            self._types.append({"dtype": str(type_.element_type), "rank": type_.rank})
        else:
            self._types.append(str(type_))
        self._labels.append(label)
        return len(self._types) - 1

    def _scalar(self, value: ir.Value, label: str | None = None) -> int:
        number = self._numbers[value] = self._new(value.type, label)
        return number

    def _argument(self, position: int, value: ir.Value) -> dict[str, Any]:
        signature = self._signature("arg_attrs", position, value.type)
        if isinstance(value.type, ir.RankedTensorType):
            number = self._new(value.type, signature["name"])
            if position in self._in_place:
                signature["in_place"] = self._in_place[position]
            self._memories[value] = Memory(number, in_place="in_place" in signature)
        else:
            self._scalar(value, signature["name"])
        return signature

    def _signature(self, attributes: str, position: int, type_: ir.Type) -> dict[str, Any]:
        own = self._function.attributes
        given = own[attributes][position] if attributes in own else {}
        default = f"arg{position}" if attributes == "arg_attrs" else f"result{position}"
        name = ir.StringAttr(given["attn.name"]).value if "attn.name" in given else default
        if not isinstance(type_, ir.RankedTensorType):
            return {"name": name, "dtype": str(type_), "shape": None}
        dims = [ir.StringAttr(d).value for d in given["attn.dims"]] if "attn.dims" in given else []
        dims += [""] * (type_.rank - len(dims))
        shape = [(dims[d] or None) if size == DYNAMIC else size for d, size in enumerate(type_.shape)]
        return {"name": name, "dtype": str(type_.element_type), "shape": shape}

    # ---- operations ----

    def _block(self, block: ir.Block, terminator: str) -> tuple[list[Instruction], list[Memory | int]]:
        """The instructions of a block, and what its terminator passes on."""
        body: list[Instruction] = []
        *operations, last = [op.operation for op in block.operations]
        if last.name != terminator:
            raise diagnostics.error_at(last, f"expects a block of a host function to end with '{terminator}'")
        for op in operations:
            self._operation(op, body)
        passed: list[Memory | int] = []
        for value in last.operands:
            is_tensor = isinstance(value.type, ir.RankedTensorType)
            passed.append(self._read(value, body) if is_tensor else self._numbers[value])
        return body, passed

    def _operation(self, op: ir.Operation, body: list[Instruction]) -> None:
        name = op.name
        if name == "arith.constant":
            self._constant(op, body)
        elif name == "arith.select" and isinstance(op.results[0].type, ir.RankedTensorType):
            self._select(op, body)
        elif name in OPERATIONS:
            self._arithmetic(op, body)
        elif name == "tensor.dim":
            self._dim(op, body)
        elif name == "tensor.empty":
            self._empties[op.results[0]] = self._sizes(op, body)
        elif name == "tensor.cast":
            self._cast(op, body)
        elif name in VIEWS:
            self._view(op, body)
        elif name == LAUNCH:
            self._launch(op, body)
        elif name == "scf.if":
            self._if(op, body)
        else:
            raise diagnostics.error_at(
                op,
                "unsupported: this operation between kernels (expects scalar arithmetic, tensor.dim, "
                "tensor.empty, views of tensors, scf.if and launches)",
            )

    def _constant(self, op: ir.Operation, body: list[Instruction]) -> None:
        value = op.results[0]
        attribute = op.attributes["value"]
        if isinstance(value.type, ir.ShapedType):
            self._full(op, attribute)
            return
        number = attribute.value
        if isinstance(number, bool) or str(value.type) == "i1":
            number = int(number) & 1
        if isinstance(number, float):
            number = number.hex()  # JSON has no infinities
        else:
            self._constants[value] = number
        body.append({"op": "constant", "results": [self._scalar(value)], "value": number})

    def _full(self, op: ir.Operation, attribute: ir.Attribute) -> None:
        """A tensor with one number everywhere, made where it is read: in a branch that is rarely taken."""
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            raise diagnostics.error_at(op, "unsupported: a tensor of different constants between kernels")
        number = attribute.get_splat_value().value
        self._fulls[op.results[0]] = number.hex() if isinstance(number, float) else int(number)

    def _arithmetic(self, op: ir.Operation, body: list[Instruction]) -> None:
        for value in (*op.operands, *op.results):
            if isinstance(value.type, ir.ShapedType):
                raise diagnostics.error_at(op, "unsupported: arithmetic on tensors between kernels")
        instruction: Instruction = {
            "op": op.name,
            "operands": [self._numbers[value] for value in op.operands],
            "from": str(op.operands[-1].type),
            "to": str(op.results[0].type),
        }
        if "predicate" in op.attributes:
            predicates = PREDICATES[op.name]
            instruction["predicate"] = predicates[ir.IntegerAttr(op.attributes["predicate"]).value]
        instruction["results"] = [self._scalar(op.results[0])]
        body.append(instruction)

    def _dim(self, op: ir.Operation, body: list[Instruction]) -> None:
        source, index = op.operands
        if index not in self._constants or not 0 <= self._constants[index] < source.type.rank:
            raise diagnostics.error_at(op, "expects a constant dimension of the tensor")
        dimension = self._constants[index]
        if source in self._empties:
            self._numbers[op.results[0]] = self._empties[source][dimension]
            return
        memory = self._read(source, body)
        label = self._labels[memory.number]
        number = self._scalar(op.results[0], f"{label}.shape[{dimension}]" if label else None)
        body.append({"op": "dim", "results": [number], "tensor": memory.number, "dimension": dimension})

    def _sizes(self, op: ir.Operation, body: list[Instruction]) -> list[int]:
        """The values of all sizes of what a `tensor.empty` makes."""
        dynamic = iter(op.operands)
        sizes = []
        for size in op.results[0].type.shape:
            sizes.append(self.number(body, next(dynamic) if size == DYNAMIC else size))
        return sizes

    def _cast(self, op: ir.Operation, body: list[Instruction]) -> None:
        source, result = op.operands[0], op.results[0]
        if source in self._empties:
            self._empties[result] = self._empties[source]
        else:
            self._memories[result] = self._read(source, body)

    def _view(self, op: ir.Operation, body: list[Instruction]) -> None:
        """Memory of an operand with other strides."""
        read = VIEWS[op.name](op, _Values(self, body))
        source = self._read(op.operands[0], body)
        memory = self._memories[op.results[0]] = Memory(self._new(op.results[0].type))
        body.append({**read, "results": [memory.number], "tensor": source.number})

    def number(self, body: list[Instruction], size: int | ir.Value) -> int:
        """The value of a number of the host."""
        if not isinstance(size, int):
            return self._numbers[size]
        number = self._new(ir.IndexType.get(self._function.context))
        body.append({"op": "constant", "results": [number], "value": size})
        return number

    def sizes(self, body: list[Instruction], tensor: ir.Value) -> list[int]:
        """The values of the sizes of a tensor."""
        if tensor in self._empties:
            return self._empties[tensor]
        memory = self._read(tensor, body)
        numbers = []
        for dimension in range(tensor.type.rank):
            numbers.append(self._new(ir.IndexType.get(self._function.context)))
            read = {"op": "dim", "results": numbers[-1:], "tensor": memory.number, "dimension": dimension}
            body.append(read)
        return numbers

    def _allocate(self, type_: ir.Type, sizes: list[int], body: list[Instruction]) -> Memory:
        number = self._new(type_)
        alloc: Instruction = {"op": "alloc", "results": [number], "sizes": sizes, "output": None}
        body.append(alloc)
        return Memory(number, alloc, self._depth)

    def _read(self, value: ir.Value, body: list[Instruction]) -> Memory:
        """The memory of a tensor whose elements somebody reads."""
        if value in self._empties:
            self._memories[value] = self._allocate(value.type, self._empties.pop(value), body)
        if value in self._fulls:
            number, sizes = self._new(value.type), list(value.type.shape)
            text = self._fulls.pop(value)
            body.append({"op": "full", "results": [number], "sizes": sizes, "value": text})
            self._memories[value] = Memory(number)
        return self._memories[value]

    def _written(self, value: ir.Value, body: list[Instruction]) -> Memory:
        """The memory in which a kernel makes a new tensor of what `value` holds."""
        if value in self._empties:
            return self._allocate(value.type, self._empties[value], body)
        memory = self._read(value, body)
        if memory.in_place:
            return self._updated(value, memory)
        if memory.alloc is not None and _is_used_once(value):
            return memory
        number = self._new(value.type)
        body.append({"op": "clone", "results": [number], "operands": [memory.number]})
        return Memory(number)

    def _updated(self, value: ir.Value, memory: Memory) -> Memory:
        """The caller's memory, of which nobody else may want what it held."""
        users = [use.owner.operation for use in value.uses]
        others = [user for user in users if user.name not in ("tensor.dim", "func.return")]
        if len(others) > 1:
            raise diagnostics.error_at(
                others[0], "unsupported: an argument that kernels update, and that others read"
            )
        return memory

    def _launch(self, op: ir.Operation, body: list[Instruction]) -> None:
        kernel = ir.FlatSymbolRefAttr(op.attributes["kernel"]).value
        outputs = [int(n) for n in op.attributes["outputs"]]
        grid, arguments = list(op.operands)[:3], list(op.operands)[3:]
        described = [int(n) for n in op.attributes[DESCRIPTORS]] if DESCRIPTORS in op.attributes else []
        self._check_launch(op, kernel, grid, arguments, outputs, described)
        numbers = []
        for position, value in enumerate(arguments):
            if not isinstance(value.type, ir.RankedTensorType):
                numbers.append(self._numbers[value])
                continue
            if position not in outputs:
                numbers.append(self._read(value, body).number)
                continue
            memory = self._written(value, body)
            self._memories[op.results[outputs.index(position)]] = memory
            numbers.append(memory.number)
        body.append(
            {
                "op": "launch",
                "kernel": kernel,
                "grid": [self._numbers[value] for value in grid],
                "arguments": numbers,
                "outputs": outputs,
                **({"descriptors": described} if described else {}),
                **({"spans": True} if self._spans else {}),
            }
        )

    def _check_launch(
        self,
        op: ir.Operation,
        kernel: str,
        grid: Sequence[ir.Value],
        arguments: Sequence[ir.Value],
        outputs: Sequence[int],
        described: Sequence[int],
    ) -> None:
        if len(grid) != 3 or any(str(value.type) != "index" for value in grid):
            raise diagnostics.error_at(op, "expects a grid of three index values before the arguments")
        if kernel not in self._kernels:
            raise diagnostics.error_at(op, f"expects a kernel of this module, got '{kernel}'")
        tensors = [n for n, value in enumerate(arguments) if isinstance(value.type, ir.RankedTensorType)]
        if not set(outputs) <= set(tensors) or len(set(outputs)) != len(outputs):
            raise diagnostics.error_at(op, f"expects outputs to be positions of tensors, got {outputs}")
        if [arguments[n].type for n in outputs] != [result.type for result in op.results]:
            raise diagnostics.error_at(op, "expects results of the types of the outputs")
        if not set(described) <= set(tensors):
            raise diagnostics.error_at(op, f"expects descriptors to be positions of tensors, got {described}")
        expected = [part for value in arguments for part in parameter_types(*_shape_of(value.type))]
        got = list(self._kernels[kernel])
        descriptors = got[len(expected) :]
        if len(descriptors) == len(described) and all(map(is_descriptor, descriptors)):
            for type_, position in zip(descriptors, described, strict=True):
                self._check_descriptor(op, kernel, type_, arguments[position].type)
            expected += descriptors
        else:
            expected += ["a descriptor"] * len(described)
        if got != expected:
            raise diagnostics.error_at(
                op,
                f"expects '{kernel}' to have the parameters ({', '.join(expected)}), got ({', '.join(got)})",
            )

    def _check_descriptor(self, op: ir.Operation, kernel: str, type_: str, tensor: ir.Type) -> None:
        form = parse_descriptor(type_)
        if form is None or (form.dtype, len(form.box)) != _shape_of(tensor):
            raise diagnostics.error_at(
                op, f"expects '{kernel}' to have a descriptor of boxes of {tensor}, got {type_}"
            )

    def _if(self, op: ir.Operation, body: list[Instruction]) -> None:
        condition = self._numbers[op.operands[0]]
        branches = []
        self._depth += 1
        for region in op.regions:
            blocks = list(region.blocks)
            branches.append(self._branch(blocks[0]) if blocks else ([], []))
        self._depth -= 1
        results = []
        for position, value in enumerate(op.results):
            passed = tuple(yields[position] for _, yields in branches)
            if isinstance(value.type, ir.RankedTensorType):
                memory = Memory(self._new(value.type), depth=self._depth, branches=passed)
                self._memories[value] = memory
                results.append(memory.number)
            else:
                results.append(self._scalar(value))
        (then, then_yields), (otherwise, else_yields) = branches
        body.append(
            {
                "op": "if",
                "results": results,
                "condition": condition,
                "then": {"body": then, "yields": value_numbers(then_yields)},
                "else": {"body": otherwise, "yields": value_numbers(else_yields)},
            }
        )

    def _select(self, op: ir.Operation, body: list[Instruction]) -> None:
        """One of two tensors, as a branch that computes nothing."""
        condition, *choices = op.operands
        if condition not in self._numbers:
            raise diagnostics.error_at(op, "unsupported: arithmetic on tensors between kernels")
        passed = tuple(self._read(value, body) for value in choices)
        memory = Memory(self._new(op.results[0].type), depth=self._depth, branches=passed)
        self._memories[op.results[0]] = memory
        yes, no = ({"body": [], "yields": [each.number]} for each in passed)
        results, number = [memory.number], self._numbers[condition]
        body.append({"op": "if", "results": results, "condition": number, "then": yes, "else": no})

    def _branch(self, block: ir.Block) -> tuple[list[Instruction], list[Any]]:
        """A block of an `scf.if`: memory that its operations read first is not there in the other one."""
        empties, fulls = dict(self._empties), dict(self._fulls)
        made = self._block(block, "scf.yield")
        for value, sizes in empties.items():
            self._empties[value] = sizes
            self._memories.pop(value, None)
        for value, number in fulls.items():
            self._fulls[value] = number
            self._memories.pop(value, None)
        return made


@dataclasses.dataclass(frozen=True)
class _Values:
    """The values that an instruction of a block refers to."""

    reader: _Reader
    body: list[Instruction]

    def number(self, value: int | ir.Value) -> int:
        return self.reader.number(self.body, value)

    def sizes(self, tensor: ir.Value) -> list[int]:
        return self.reader.sizes(self.body, tensor)


def _is_used_once(value: ir.Value) -> bool:
    """Whether one operation alone uses what a launch made. A cast shares the memory of its operand."""
    owner = value.owner
    is_made = not isinstance(owner, ir.Block) and owner.operation.name == LAUNCH
    return is_made and len(list(value.uses)) == 1


def _shape_of(type_: ir.Type) -> tuple[str, int | None]:
    if isinstance(type_, ir.RankedTensorType):
        return str(type_.element_type), type_.rank
    return str(type_), None
