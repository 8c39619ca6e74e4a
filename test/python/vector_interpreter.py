"""Runs kernels on whole-tile vectors, those of `convert-tt-to-vector`, on arrays of numpy.

Each operation is one of numpy in the type that it has, so that 16-bit floats round and integers wrap as they
do in a kernel; sums may be in another order. Programs of a grid run one after the other. A read or a write
outside of its array is an error, and so is an operation that is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from aecompiler.bindings import ir

Values = dict[ir.Value, Any]
Step = Callable[[Values], None]
Compute = Callable[..., Any]

DTYPES = {
    "index": np.dtype(np.int64),
    "i1": np.dtype(np.bool_),
    **{f"i{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
"""The types of numpy of elements, by their names in MLIR."""


class Kernel:
    """A `gpu.func` that can be run."""

    def __init__(self, function: ir.Operation):
        (block,) = function.regions[0].blocks
        self._parameters = list(block.arguments)
        self._body = _Block(block)

    def __call__(self, grid: int, *arguments: Any) -> None:
        """Run all programs of a grid on arrays of one dimension, which are written in place, and numbers."""
        values: Values = {}
        for parameter, argument in zip(self._parameters, arguments, strict=True):
            if isinstance(parameter.type, ir.MemRefType):
                assert argument.dtype == _dtype(parameter.type), f"{argument.dtype} for {parameter.type}"
                values[parameter] = argument
            else:
                values[parameter] = _dtype(parameter.type).type(argument)
        with np.errstate(all="ignore"):
            for program in range(grid):
                self._body.run({**values, "program": np.int64(program), "programs": np.int64(grid)})


def _dtype(type_: ir.Type) -> np.dtype:
    """The type of the elements of a value."""
    return DTYPES[str(type_.element_type if isinstance(type_, ir.ShapedType) else type_)]


def _shape(type_: ir.Type) -> tuple[int, ...]:
    return tuple(type_.shape) if isinstance(type_, ir.VectorType) else ()


class _Block:
    """The operations of a block, read once."""

    def __init__(self, block: ir.Block):
        self.arguments = list(block.arguments)
        *body, end = (view.operation for view in block.operations)
        self._steps = [_step(op) for op in body]
        self._handed_on = list(end.operands)

    def run(self, values: Values, *arguments: Any) -> list[Any]:
        """Run the operations, and return what the last of them hands on."""
        values.update(zip(self.arguments, arguments, strict=bool(arguments)))
        for step in self._steps:
            step(values)
        return [values[value] for value in self._handed_on]


def _step(op: ir.Operation) -> Step:
    """What runs an operation on the values that are there."""
    if op.name in _CONTROL:
        return _CONTROL[op.name](op)
    if op.name not in _COMPUTES:
        raise NotImplementedError(f"'{op.name}'")
    compute, operands, results = _COMPUTES[op.name](op), list(op.operands), list(op.results)
    expected = [(_shape(result.type), _dtype(result.type)) for result in results]

    def step(values: Values) -> None:
        made = compute(*(values[operand] for operand in operands))
        for result, each, kind in zip(results, made if len(results) > 1 else [made], expected, strict=False):
            each = np.asarray(each)
            assert (each.shape, each.dtype) == kind, f"{op}: {each.dtype} {each.shape}"
            values[result] = each

    return step


# ---- control -------------------------------------------------------------------------------------


def _for(op: ir.Operation) -> Step:
    (lower, upper, by, *starts), results = op.operands, list(op.results)
    body = _Block(op.regions[0].blocks[0])
    dtype = _dtype(lower.type)

    def step(values: Values) -> None:
        carried = [values[start] for start in starts]
        for number in range(int(values[lower]), int(values[upper]), int(values[by])):
            carried = body.run(values, dtype.type(number), *carried)
        values.update(zip(results, carried, strict=True))

    return step


def _if(op: ir.Operation) -> Step:
    (condition,), results = op.operands, list(op.results)
    then, otherwise = (_Block(r.blocks[0]) if len(r.blocks) else None for r in op.regions)

    def step(values: Values) -> None:
        branch = then if values[condition] else otherwise
        values.update(zip(results, branch.run(values) if branch else [], strict=True))

    return step


def _number_of(which: str) -> Callable[[ir.Operation], Step]:
    def read(op: ir.Operation) -> Step:
        assert str(op.attributes["dimension"]) == "#gpu<dim x>"
        (result,) = op.results
        return lambda values: values.update({result: values[which]})

    return read


_CONTROL: dict[str, Callable[[ir.Operation], Step]] = {
    "scf.for": _for,
    "scf.if": _if,
    "gpu.block_id": _number_of("program"),
    "gpu.grid_dim": _number_of("programs"),
}


# ---- elements ------------------------------------------------------------------------------------


def _constant(op: ir.Operation) -> Compute:
    type_, value = op.results[0].type, op.attributes["value"]
    if isinstance(type_, ir.VectorType):
        dense = ir.DenseElementsAttr(value)
        number = dense.get_splat_value().value if dense.is_splat else np.array(dense)
        made = np.full(_shape(type_), number, _dtype(type_))
    else:
        made = np.asarray(value.value, _dtype(type_))
    return lambda: made


def _poison(op: ir.Operation) -> Compute:
    type_ = op.results[0].type
    return lambda: np.full(_shape(type_), 77, _dtype(type_))


def _cast(op: ir.Operation) -> Compute:
    dtype = _dtype(op.results[0].type)
    is_bit = _dtype(op.operands[0].type) == np.bool_ and op.name == "arith.extsi"
    return (lambda a: -a.astype(dtype)) if is_bit else (lambda a: a.astype(dtype))


def _cast_unsigned(op: ir.Operation) -> Compute:
    dtype = _dtype(op.results[0].type)
    return lambda a: _unsigned(a).astype(dtype)


def _truncate(op: ir.Operation) -> Compute:
    dtype = _dtype(op.results[0].type)
    return (lambda a: (a & 1).astype(dtype)) if dtype == np.bool_ else (lambda a: a.astype(dtype))


def _to_integer(op: ir.Operation) -> Compute:
    dtype = _dtype(op.results[0].type)
    return lambda a: np.trunc(a.astype(np.float64)).astype(dtype)


def _bits(op: ir.Operation) -> Compute:
    dtype = _dtype(op.results[0].type)
    return lambda a: np.asarray(a).view(dtype)


def _unsigned(value: Any) -> Any:
    value = np.asarray(value)
    return value if value.dtype == np.bool_ else value.view(f"u{value.dtype.itemsize}")


def _on_unsigned(function: Compute) -> Compute:
    def compute(*operands: Any) -> Any:
        dtype = np.asarray(operands[0]).dtype
        return np.asarray(function(*map(_unsigned, operands))).astype(dtype)

    return compute


def _quotient(a: Any, b: Any) -> Any:
    """Rounded towards 0; a remainder has the sign of `a`."""
    return (a - np.fmod(a, b)) // b


_COMPARED = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)


def _compare_integers(op: ir.Operation) -> Compute:
    predicate = op.attributes["predicate"].value
    if predicate < 6:
        return _COMPARED[predicate]
    function = _COMPARED[predicate - 4]
    return lambda a, b: function(_unsigned(a), _unsigned(b))


_ORDERED = (np.equal, np.greater, np.greater_equal, np.less, np.less_equal, np.not_equal)


def _compare_floats(op: ir.Operation) -> Compute:
    predicate = op.attributes["predicate"].value

    def compute(a: Any, b: Any) -> Any:
        unordered = np.isnan(a) | np.isnan(b)
        if predicate in (7, 14):
            return unordered if predicate == 14 else ~unordered
        holds = _ORDERED[(predicate - 1) % 7](a, b)
        return holds & ~unordered if predicate < 7 else holds | unordered

    return compute


def _in_python(function: Callable[[float], float]) -> Compute:
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda a: np.asarray(ufunc(a.astype(np.float64))).astype(np.asarray(a).dtype)


_ELEMENTWISE: dict[str, Compute] = {
    "arith.addf": np.add,
    "arith.addi": np.add,
    "arith.andi": np.bitwise_and,
    "arith.ceildivui": _on_unsigned(lambda a, b: a // b + (a % b != 0)),
    "arith.divf": np.divide,
    "arith.divsi": _quotient,
    "arith.divui": _on_unsigned(np.floor_divide),
    "arith.maximumf": np.maximum,
    "arith.maxnumf": np.fmax,
    "arith.maxsi": np.maximum,
    "arith.maxui": _on_unsigned(np.maximum),
    "arith.minimumf": np.minimum,
    "arith.minnumf": np.fmin,
    "arith.minsi": np.minimum,
    "arith.minui": _on_unsigned(np.minimum),
    "arith.mulf": np.multiply,
    "arith.muli": np.multiply,
    "arith.negf": np.negative,
    "arith.ori": np.bitwise_or,
    "arith.remsi": np.fmod,
    "arith.remui": _on_unsigned(np.fmod),
    "arith.select": np.where,
    "arith.shli": np.left_shift,
    "arith.shrsi": np.right_shift,
    "arith.shrui": _on_unsigned(np.right_shift),
    "arith.subf": np.subtract,
    "arith.subi": np.subtract,
    "arith.xori": np.bitwise_xor,
    "math.absf": np.abs,
    "math.ceil": np.ceil,
    "math.cos": np.cos,
    "math.erf": _in_python(math.erf),
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.floor": np.floor,
    "math.fma": lambda a, b, c: a * b + c,
    "math.log": np.log,
    "math.log1p": np.log1p,
    "math.log2": np.log2,
    "math.powf": np.power,
    "math.rsqrt": lambda a: (1 / np.sqrt(a)).astype(a.dtype),
    "math.sin": np.sin,
    "math.sqrt": np.sqrt,
    "math.tanh": np.tanh,
}


# ---- vectors -------------------------------------------------------------------------------------


def _broadcast(op: ir.Operation) -> Compute:
    shape = _shape(op.results[0].type)
    return lambda a: np.broadcast_to(a, shape)


def _shape_cast(op: ir.Operation) -> Compute:
    shape = _shape(op.results[0].type)
    return lambda a: a.reshape(shape)


def _transpose(op: ir.Operation) -> Compute:
    order = list(op.attributes["permutation"])
    return lambda a: np.transpose(a, order)


def _extract(op: ir.Operation) -> Compute:
    (known,) = op.attributes["static_position"]

    def compute(a: Any, place: Any = known) -> Any:
        assert 0 <= place < len(a), f"{op.name} at {place} of {len(a)}"
        return a[place]

    return compute


def _steps(op: ir.Operation) -> Compute:
    (size,) = _shape(op.results[0].type)
    return lambda: np.arange(size)


def _shuffle(op: ir.Operation) -> Compute:
    places = list(op.attributes["mask"])
    return lambda a, b: np.concatenate([a, b])[places]


def _contract(op: ir.Operation) -> Compute:
    left, right, out = (
        "".join("abcdefgh"[place] for place in _places(each)) for each in op.attributes["indexing_maps"]
    )

    def compute(a: Any, b: Any, c: Any) -> Any:
        product = np.einsum(f"{left},{right}->{out}", a.astype(c.dtype), b.astype(c.dtype), optimize=True)
        return c + product

    return compute


def _places(map_: ir.Attribute) -> list[int]:
    """The dimensions that a map picks, as its text says."""
    results = str(map_).partition("->")[2]
    return [int(each) for each in results.strip(" ()>").replace("d", "").split(",")]


_REDUCTIONS: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "maximumf": np.maximum,
    "maxnumf": np.fmax,
    "minimumf": np.minimum,
    "maxsi": np.maximum,
    "minsi": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _combine(op: ir.Operation) -> Any:
    return _REDUCTIONS[str(op.attributes["kind"]).removeprefix("#vector.kind<").removesuffix(">")]


def _reduce(op: ir.Operation) -> Compute:
    combine, axes = _combine(op), tuple(op.attributes["reduction_dims"])
    is_float = _dtype(op.operands[0].type).kind not in "bi"
    # numpy begins sums with 0, and so would not have one of -0
    first = {"initial": -0.0} if combine is np.add and is_float else {}
    return lambda a, start: combine(combine.reduce(a, axis=axes, dtype=a.dtype, **first), start)


def _scan(op: ir.Operation) -> Compute:
    combine, axis = _combine(op), op.attributes["reduction_dim"].value
    assert op.attributes["inclusive"].value

    def compute(a: Any, start: Any) -> Any:
        made = combine.accumulate(a, axis=axis, dtype=a.dtype)
        return made, np.take(made, -1, axis=axis)

    return compute


# ---- memory --------------------------------------------------------------------------------------


def _within(memory: Any, places: Any) -> Any:
    assert np.all((places >= 0) & (places < memory.size)), "out of the bounds of memory"
    return places


def _gather(op: ir.Operation) -> Compute:
    def compute(memory: Any, base: Any, offsets: Any, mask: Any, other: Any) -> Any:
        made = np.array(other)
        made[mask] = memory[_within(memory, base + offsets[mask].astype(np.int64))]
        return made

    return compute


def _scatter(op: ir.Operation) -> Compute:
    def compute(memory: Any, base: Any, offsets: Any, mask: Any, value: Any) -> Any:
        memory[_within(memory, base + offsets[mask].astype(np.int64))] = value[mask]
        return ()

    return compute


def _load(op: ir.Operation) -> Compute:
    return lambda memory, place: memory[_within(memory, place)]


def _store(op: ir.Operation) -> Compute:
    def compute(value: Any, memory: Any, place: Any) -> Any:
        memory[_within(memory, place)] = value
        return ()

    return compute


_COMPUTES: dict[str, Callable[[ir.Operation], Compute]] = {
    **{name: lambda op: _ELEMENTWISE[op.name] for name in _ELEMENTWISE},
    "arith.bitcast": _bits,
    "arith.cmpf": _compare_floats,
    "arith.cmpi": _compare_integers,
    "arith.constant": _constant,
    "arith.fptosi": _to_integer,
    "arith.trunci": _truncate,
    "memref.load": _load,
    "memref.store": _store,
    "ub.poison": _poison,
    "vector.broadcast": _broadcast,
    "vector.contract": _contract,
    "vector.extract": _extract,
    "vector.gather": _gather,
    "vector.multi_reduction": _reduce,
    "vector.scan": _scan,
    "vector.scatter": _scatter,
    "vector.shape_cast": _shape_cast,
    "vector.shuffle": _shuffle,
    "vector.step": _steps,
    "vector.transpose": _transpose,
    **dict.fromkeys(("arith.extf", "arith.truncf", "arith.extsi", "arith.sitofp", "arith.index_cast"), _cast),
    **dict.fromkeys(("arith.extui", "arith.uitofp", "arith.index_castui"), _cast_unsigned),
}
"""What reads an operation: its operands at each run then go to the function that is returned."""


def kernels_of(module: ir.Module) -> dict[str, Kernel]:
    """The kernels of the module `kernels`, by name."""
    found = {}
    for view in module.body.operations:
        if view.operation.name == "gpu.module":
            for function in view.operation.regions[0].blocks[0].operations:
                found[function.operation.attributes["sym_name"].value] = Kernel(function.operation)
    return found
