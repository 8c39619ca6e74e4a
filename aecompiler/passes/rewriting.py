"""What passes share when they build IR: cloning, loops, `linalg.generic`, constants, dimensions.

The bindings have no IRMapping and no inlineBlockBefore; `clone_op` and `inline_block` are both. Everything is
created at the current insertion point and location (`with InsertionPoint(...), op.location:`), except clones,
which keep the location of the operation they come from.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

from aecompiler.bindings import arith, ir, scf, tensor
from aecompiler.dialect.types import DYNAMIC as DYNAMIC
from aecompiler.passes.registry import PassFailure


def walk_list(op: ir.Operation, name_prefix: str = "") -> list[ir.Operation]:
    """The operations nested in `op` (`op` itself excluded) whose name starts with `name_prefix`, post-order.

    A list, so that the caller may change the IR while going through it.
    """
    found: list[ir.Operation] = []

    def visit(child: ir.Operation) -> ir.WalkResult:
        if child != op and child.name.startswith(name_prefix):
            found.append(child)
        return ir.WalkResult.ADVANCE

    op = op.operation
    op.walk(visit)
    return found


def symbol_name(op: ir.Operation) -> str:
    """The name that `op` defines, or the function that it calls; `PassFailure` for one that is no text."""
    attribute = op.attributes["callee" if "callee" in op.attributes else "sym_name"]
    try:
        return attribute.value
    except RuntimeError:  # MLIR takes any bytes
        raise PassFailure(op, "unsupported: a name that is no UTF-8 text") from None


def place_of(op: ir.Operation) -> str:
    """Where an operation stands, as people are told: " in @f", or "" outside of all that has a name."""
    parent = op.parent
    while parent is not None and "sym_name" not in parent.attributes:
        parent = parent.parent
    return "" if parent is None else f" in @{symbol_name(parent.operation)}"


# ---- cloning -------------------------------------------------------------------------------------


def clone_op(op: ir.Operation, mapping: MutableMapping[ir.Value, ir.Value]) -> ir.Operation:
    """Clone `op` at the insertion point, with operands (those in nested regions too) replaced by `mapping`.

    The results of the clone are added to `mapping`.
    """
    new = op.operation.clone()
    _remap(new, mapping)
    if len(new.regions):
        for nested in walk_list(new):
            _remap(nested, mapping)
    mapping.update(zip(op.operation.results, new.results, strict=True))
    return new


def definer(value: ir.Value) -> ir.Operation | None:
    """The operation that a value is a result of; None for an argument of a block."""
    return None if isinstance(value.owner, ir.Block) else value.owner.operation


def clone_as(op: ir.Operation, operands: Sequence[ir.Value], type_: ir.Type) -> ir.Value:
    """Clone `op`, which has one result, with other operands and a result of `type_`; return the result."""
    new = op.operation.clone()
    for index, operand in enumerate(operands):
        new.operands[index] = operand
    new.results[0].set_type(type_)
    return new.results[0]


def _remap(op: ir.Operation, mapping: MutableMapping[ir.Value, ir.Value]) -> None:
    for index, operand in enumerate(op.operands):
        if operand in mapping:
            op.operands[index] = mapping[operand]


def inline_block(
    block: ir.Block, args: Sequence[ir.Value], mapping: MutableMapping[ir.Value, ir.Value] | None = None
) -> list[ir.Value]:
    """Clone the operations of `block` at the insertion point, with `args` for its arguments.

    Returns what the clone of the block's terminator would have passed on; the terminator itself is not
    cloned. `mapping` may replace values from outside the block as well.
    """
    mapping = dict(mapping or {})
    mapping.update(zip(block.arguments, args, strict=True))
    *body, terminator = block.operations
    for op in body:
        clone_op(op, mapping)
    return [mapping.get(value, value) for value in terminator.operands]


# ---- constants and dimensions --------------------------------------------------------------------


def index(value: int) -> ir.Value:
    """A constant of type index."""
    return arith.constant(ir.IndexType.get(), value)


def constant(element_type: ir.Type, value: int | float) -> ir.Value:
    """A scalar constant; `value` is converted to the type."""
    if isinstance(element_type, (ir.IntegerType, ir.IndexType)):
        return arith.constant(element_type, int(value))
    return arith.constant(element_type, float(value))


def constant_like(like: ir.Value, value: int | float) -> ir.Value:
    """A constant of the type of `like`: a scalar, or a tensor with `value` everywhere."""
    shaped = like.type
    if not isinstance(shaped, ir.RankedTensorType):
        return constant(shaped, value)
    if shaped.has_static_shape:
        return constant_of(shaped, value)
    sizes = [tensor.dim(like, index(d)) for d in range(shaped.rank) if shaped.is_dynamic_dim(d)]
    return tensor.splat(shaped, constant(shaped.element_type, value), sizes)


def constant_of(shaped: ir.RankedTensorType, value: int | float) -> ir.Value:
    """A constant tensor of a static type with `value` everywhere."""
    element = shaped.element_type
    integer = isinstance(element, (ir.IntegerType, ir.IndexType))
    scalar = ir.IntegerAttr.get(element, int(value)) if integer else ir.FloatAttr.get(element, value)
    return arith.constant(shaped, ir.DenseElementsAttr.get_splat(shaped, scalar))


def constant_of_all(value: ir.Value) -> ir.Attribute | None:
    """The constant that a value, or each element of a vector, is; None for any other value."""
    op = definer(value)
    if op is None or op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if not isinstance(value.type, ir.VectorType):
        return attribute
    return attribute.get_splat_value() if attribute.is_splat else None


def constant_value(value: ir.Value) -> int | None:
    """The integer that `value` always is, or None."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != "arith.constant":
        return None
    attribute = value.owner.operation.attributes["value"]
    if isinstance(attribute, ir.BoolAttr):
        return -int(attribute.value)  # as a signed number of one bit
    if isinstance(attribute, ir.IntegerAttr):
        return attribute.value
    if isinstance(attribute, ir.DenseIntElementsAttr) and attribute.is_splat:
        splat = attribute.get_splat_value()
        return splat.value if isinstance(splat, ir.IntegerAttr) else None
    return None


def float_value(value: ir.Value) -> float | None:
    """The number that a float always is, or None."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != "arith.constant":
        return None
    attribute = value.owner.operation.attributes["value"]
    return attribute.value if isinstance(attribute, ir.FloatAttr) else None


def dim(value: ir.Value, dimension: int) -> ir.Value:
    """The size of a dimension of a tensor, as a constant where it is static."""
    shaped = ir.RankedTensorType(value.type)
    if shaped.is_dynamic_dim(dimension):
        return tensor.dim(value, index(dimension))
    return index(shaped.shape[dimension])


def sizes(value: ir.Value) -> list[int | ir.Value]:
    """The sizes of a tensor: a number where static, else a `tensor.dim`."""
    shaped = ir.RankedTensorType(value.type)
    return [
        tensor.dim(value, index(d)) if shaped.is_dynamic_dim(d) else shaped.shape[d]
        for d in range(shaped.rank)
    ]


# ---- structured operations -----------------------------------------------------------------------


def for_loop(
    lower: ir.Value,
    upper: ir.Value,
    step: ir.Value,
    inits: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """`scf.for` whose `body(induction_variable, carried)` returns the next carried values."""
    loop = scf.ForOp(lower, upper, step, list(inits))
    with ir.InsertionPoint(loop.body):
        scf.YieldOp(list(body(loop.induction_variable, list(loop.inner_iter_args))))
    return list(loop.results)


def for_ranges(
    ranges: Sequence[tuple[ir.Value, ir.Value]],
    inits: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]],
    attribute: str = "",
) -> list[ir.Value]:
    """One loop for the numbers in several ranges; with more than one, a loop over the ranges around it.

    `attribute` is set on the loop over numbers.
    """
    one = index(1)
    if not ranges:
        return list(inits)

    def loop_over(lower: ir.Value, upper: ir.Value, carried: Sequence[ir.Value]) -> list[ir.Value]:
        results = for_loop(lower, upper, one, carried, body)
        if attribute:
            results[0].owner.attributes[attribute] = ir.UnitAttr.get()
        return results

    if len(ranges) == 1:
        return loop_over(*ranges[0], inits)

    def in_range(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        begin, end = ranges[-1]
        for position, (lower, upper) in enumerate(ranges[:-1]):
            here = arith.cmpi(arith.CmpIPredicate.eq, number, index(position))
            begin, end = arith.select(here, lower, begin), arith.select(here, upper, end)
        return loop_over(begin, end, carried)

    return for_loop(index(0), index(len(ranges)), one, inits, in_range)


Part = tuple[ir.Value, ir.Value, Sequence[int | ir.Value], Sequence[int | ir.Value]]
"""A tensor, and where it is inserted: into which, at which offsets, with which sizes."""


def forall(
    bounds: Sequence[ir.Value],
    outs: Sequence[ir.Value],
    body: Callable[[list[ir.Value], list[ir.Value]], Sequence[Part]],
) -> list[ir.Value]:
    """`scf.forall` from 0 by 1 to each of `bounds`; `body(indices, outs)` returns what is inserted."""
    loop = scf.ForallOp([0] * len(bounds), list(bounds), [1] * len(bounds), list(outs))
    with ir.InsertionPoint(loop.body):
        parts = body(list(loop.induction_variables), list(loop.inner_iter_args))
        ending = scf.InParallelOp()
        region = ending.operation.regions[0]
        block = region.blocks[0] if len(region.blocks) else region.blocks.append()
        with ir.InsertionPoint(block):
            for value, into, offsets, sizes in parts:
                parallel_insert_slice(value, into, offsets, sizes)
    return list(loop.results)


def hoist_invariants(loop_body: ir.Block) -> None:
    """Move the operations of a loop's body that use nothing of the loop before it.

    They must be such as may run where the loop does not turn at all.
    """
    loop = loop_body.owner
    inner: set[ir.Value] = set(loop_body.arguments)
    for view in list(loop_body.operations):
        op = view.operation
        used = (operand for each in (op, *walk_list(op)) for operand in each.operands)
        if any(operand in inner for operand in used):
            inner.update(op.results)
        else:
            op.move_before(loop)


def if_else(
    condition: ir.Value,
    types: Sequence[ir.Type],
    then: Callable[[], Sequence[ir.Value]],
    otherwise: Callable[[], Sequence[ir.Value]],
) -> list[ir.Value]:
    """`scf.if` with the values of `types` that the two functions build and return."""
    op = scf.IfOp(condition, list(types), has_else=True)
    for block, build in ((op.then_block, then), (op.else_block, otherwise)):
        with ir.InsertionPoint(block):
            scf.YieldOp(list(build()))
    return list(op.results)


def loop_nest(
    bounds: Sequence[ir.Value],
    inits: Sequence[ir.Value],
    body: Callable[[list[ir.Value], list[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """Nested `scf.for` from 0 by 1 to each of `bounds`, outermost first."""
    zero, one = index(0), index(1)

    def nest(indices: list[ir.Value], carried: list[ir.Value]) -> Sequence[ir.Value]:
        if len(indices) == len(bounds):
            return body(indices, carried)
        return for_loop(zero, bounds[len(indices)], one, carried, lambda i, inner: nest([*indices, i], inner))

    return list(nest([], list(inits)))


Indexed = tuple[ir.Value, Sequence[int]]
"""An operand of `generic` and the loops that index it."""


def generic(
    ins: Sequence[Indexed],
    outs: Sequence[Indexed],
    iterators: str,
    body: Callable[[list[ir.Value], list[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """`linalg.generic`, on tensors with one result per output, or on buffers without results.

    Each operand stands with the loops that index it: `(k, (0, 1))` is k[d0, d1]. `iterators` has one letter
    per loop, "p" (parallel) or "r" (reduction). `body(inputs, outputs)` gets the elements and returns what
    to store.
    """
    from aecompiler.bindings import linalg  # slow to import: paid by the passes that build with it

    operands = [*ins, *outs]
    maps = [
        ir.AffineMap.get(len(iterators), 0, [ir.AffineDimExpr.get(loop) for loop in loops])
        for _, loops in operands
    ]
    kinds = {"p": linalg.IteratorType.parallel, "r": linalg.IteratorType.reduction}
    op = linalg.GenericOp(
        [value.type for value, _ in outs if isinstance(value.type, ir.RankedTensorType)],
        [value for value, _ in ins],
        [value for value, _ in outs],
        ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps]),
        [kinds[letter] for letter in iterators],
    )
    block = op.regions[0].blocks.append(*(value.type.element_type for value, _ in operands))
    with ir.InsertionPoint(block):
        arguments = list(block.arguments)
        linalg.YieldOp(list(body(arguments[: len(ins)], arguments[len(ins) :])))
    return list(op.results)


def elementwise(
    ins: Sequence[Indexed],
    shape: Sequence[int],
    element_type: ir.Type,
    body: Callable[[list[ir.Value]], ir.Value],
) -> ir.Value:
    """A new tensor of what `body` makes of the elements of `ins`."""
    out = (tensor.empty(shape, element_type), tuple(range(len(shape))))
    return generic(ins, [out], "p" * len(shape), lambda inputs, _: [body(inputs)])[0]


def loop_index(loop: int) -> ir.Value:
    """`linalg.index`, inside the body of a `generic`."""
    from aecompiler.bindings import linalg

    return linalg.IndexOp(loop).result


def fill(value: ir.Value, into: ir.Value) -> ir.Value:
    """A tensor like `into` with the scalar `value` everywhere."""
    from aecompiler.bindings import linalg

    return linalg.fill(value, outs=[into])


def filled(shape: Sequence[int | ir.Value], element_type: ir.Type, value: int | float) -> ir.Value:
    """A new tensor with `value` everywhere."""
    return fill(constant(element_type, value), tensor.empty(shape, element_type))


def copy(value: ir.Value, into: ir.Value) -> ir.Value:
    """`value`, stored where the tensor `into` is."""
    from aecompiler.bindings import linalg

    return linalg.copy(value, outs=[into])


def transpose(value: ir.Value, into: ir.Value, permutation: Sequence[int]) -> ir.Value:
    """Dimension n of the result, stored where `into` is, is dimension `permutation[n]` of `value`."""
    from aecompiler.bindings import linalg

    return linalg.transpose(value, outs=[into], permutation=list(permutation)).results[0]


def expand(
    value: ir.Value,
    shaped: ir.RankedTensorType,
    groups: Sequence[Sequence[int]],
    sizes: Sequence[int | ir.Value],
) -> ir.Value:
    """Dimension n of `value` as the dimensions `groups[n]` of a tensor of a type, with these sizes."""
    dynamic, static = _mixed(sizes)
    return tensor.expand_shape(shaped, value, [list(group) for group in groups], dynamic, static)


def pad(
    value: ir.Value,
    shaped: ir.RankedTensorType,
    low: Sequence[int | ir.Value],
    high: Sequence[int | ir.Value],
    element: ir.Value,
) -> ir.Value:
    """`value` as a tensor of a type, with `element` before and after."""
    (dynamic_low, static_low), (dynamic_high, static_high) = _mixed(low), _mixed(high)
    op = tensor.PadOp(shaped, value, dynamic_low, dynamic_high, static_low, static_high)
    block = op.operation.regions[0].blocks.append(*[ir.IndexType.get()] * shaped.rank)
    with ir.InsertionPoint(block):
        tensor.YieldOp(element)
    return op.operation.results[0]


def cast(value: ir.Value, shaped: ir.RankedTensorType) -> ir.Value:
    """`value` as a tensor of a type that differs in which sizes are static."""
    return tensor.cast(shaped, value)


def _mixed(values: Sequence[int | ir.Value]) -> tuple[list[ir.Value], list[int]]:
    """Split sizes or offsets into the operands and the static attribute that slice operations take."""
    dynamic = [value for value in values if not isinstance(value, int)]
    return dynamic, [value if isinstance(value, int) else DYNAMIC for value in values]


def extract_slice(
    source: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int | ir.Value],
    keep: Sequence[int],
) -> ir.Value:
    """A slice with unit strides of which only the dimensions `keep` stay; the others must have size 1."""
    if 0 in sizes:  # not valid as a slice: offset 0 is out of bounds where the size is 0
        return tensor.empty([sizes[d] for d in keep], source.type.element_type)
    (dyn_offsets, static_offsets), (dyn_sizes, static_sizes) = _mixed(offsets), _mixed(sizes)
    result = ir.RankedTensorType.get([static_sizes[d] for d in keep], source.type.element_type)
    ones = [1] * len(static_sizes)
    return tensor.extract_slice(
        result, source, dyn_offsets, dyn_sizes, [], static_offsets, static_sizes, ones
    )


def cut(
    value: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int | ir.Value],
    strides: Sequence[int | ir.Value],
) -> ir.Value:
    """A slice with all dimensions and any strides."""
    if 0 in sizes:
        return tensor.empty(sizes, value.type.element_type)
    parts = [_mixed(part) for part in (offsets, sizes, strides)]
    dynamic, static = zip(*parts, strict=True)
    shaped = ir.RankedTensorType.get(static[1], value.type.element_type)
    return tensor.extract_slice(shaped, value, *dynamic, *static)


def insert_slice(
    value: ir.Value,
    into: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int | ir.Value],
    strides: Sequence[int | ir.Value] | None = None,
) -> ir.Value:
    """`into` with `value` at a slice, of strides 1 by default; dimensions that `value` lacks have size 1."""
    if 0 in sizes:
        return into
    parts = [_mixed(part) for part in (offsets, sizes, strides or [1] * len(sizes))]
    dynamic, static = zip(*parts, strict=True)
    return tensor.insert_slice(value, into, *dynamic, *static)


def parallel_insert_slice(
    value: ir.Value,
    into: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int | ir.Value],
) -> None:
    """In the terminator of an `scf.forall`: insert `value` at a slice of unit strides."""
    if 0 in sizes:
        return
    parts = [_mixed(part) for part in (offsets, sizes, [1] * len(sizes))]
    dynamic, static = zip(*parts, strict=True)
    tensor.ParallelInsertSliceOp(value, into, *dynamic, *static)


def element_of(type_: ir.Type) -> ir.Type:
    """The type of the elements of a tensor; of a scalar its own."""
    return type_.element_type if isinstance(type_, ir.RankedTensorType) else type_


def convert_float(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """`value`, a float or a tensor of floats, in another float type; no operation if it has that type."""
    shaped = isinstance(value.type, ir.RankedTensorType)
    source = value.type.element_type if shaped else value.type
    if source == element_type:
        return value
    target = ir.RankedTensorType.get(value.type.shape, element_type) if shaped else element_type
    return (arith.extf if element_type.width > source.width else arith.truncf)(target, value)
