"""Read the region of a recurrent op in index notation: each value as a term, or as a function of the state.

A tensor is a term in which the indices along its axes are free (`algebra.indexed`). What depends on the state
is a `StateMap`. An operation that no rule takes apart gives a tensor of its own, equal for equal operands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.indexed import axis, element, indices_of, summed, tensor
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import Poly, TooLargeError, as_number, to_term
from aecompiler.algebra.state_maps import NotAffineError, StateMap, chosen
from aecompiler.algebra.terms import Depends, Term
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.element_computations import STRUCTURED, Nest
from aecompiler.passes.index_arithmetic import dropped_dimensions, slice_parts
from aecompiler.passes.region_terms import OPERATIONS, PREDICATES
from aecompiler.passes.registry import PassFailure
from aecompiler.passes.tensor_elements import Unreadable

Meaning = Term | StateMap

_SUMS = {"arith.addf": Fraction(1), "arith.subf": Fraction(-1)}
_SAME = ("tensor.splat", "tensor.cast", "linalg.copy")
_RESHAPES = ("tensor.expand_shape", "tensor.collapse_shape")
_CASTS = ("arith.extf", "arith.truncf")
"""Of the state these count as exact, as in the verifier."""
_WHOLE = ("arith.index_cast", "arith.index_castui", "arith.extsi", "arith.extui")
_WIDE = ("index", "i32", "i64")
_AS_FLOAT = ("arith.sitofp", "arith.uitofp")


def index_symbol(name: str) -> Term:
    """The symbol of b, h or t: an index that is not that of a feature."""
    return t.symbol(name, Depends.FIXED, 0.0, key="place")


class StepReader:
    """The meanings of the values of a region, in order; `order` is that of the operations that gave them."""

    def __init__(
        self, op: ir.Operation, arguments: Mapping[ir.Value, Meaning], like: StepReader | None = None
    ):
        """`like` has read a region of which this one is made: the same captures and tensors have one name."""
        self.accumulator = ir.RankedTensorType(op.operands[3].type).element_type
        self.meanings: dict[ir.Value, Meaning] = dict(arguments)
        self.prototypes: dict[tuple, ir.Operation] = {}
        self._captures: dict[ir.Value, Term] = {} if like is None else like._captures
        self._numbers: dict[tuple, int] = {} if like is None else like._numbers

    def read(self, block: ir.Block) -> Iterator[tuple[ir.Operation, Sequence[ir.Value]]]:
        """Read all operations but the last, and tell after each what was read."""
        *operations, _ = block.operations
        for view in operations:
            op = view.operation
            try:
                self._read(op)
            except (NotAffineError, Unreadable) as error:
                raise PassFailure(op, f"unsupported: {error} in a chunked form") from None
            except TooLargeError:
                raise PassFailure(op, "unsupported: formulas too large to be analysed") from None
            yield op, list(op.results)

    def state_map(self, value: ir.Value) -> StateMap:
        """The function of the state that a value is."""
        meaning = self.meaning(value)
        return meaning if isinstance(meaning, StateMap) else StateMap.of(meaning)

    def meaning(self, value: ir.Value) -> Meaning:
        """The meaning of a value of the region, or of a capture."""
        if value not in self.meanings:
            self.meanings[value] = self._capture(value)
        return self.meanings[value]

    # ---- captures --------------------------------------------------------------------------------

    def _capture(self, value: ir.Value) -> Term:
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
            return self._constant(owner.operation)
        name = _name_of_argument(value) or f"c{len(self._captures)}"
        if isinstance(value.type, ir.RankedTensorType):
            return element(self._source(value, name), _axes(value.type.rank))
        return t.symbol(name, Depends.FIXED, key=("capture", self._number((value,))))

    def _source(self, value: ir.Value, name: str) -> Term:
        if value not in self._captures:
            self._captures[value] = tensor(name, self._number((value,)))
        return self._captures[value]

    def _number(self, key: tuple) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    # ---- operations ------------------------------------------------------------------------------

    def _read(self, op: ir.Operation) -> None:
        if any(isinstance(self.meanings.get(value), StateMap) for value in _used(op)):
            results = self._of_state(op)
            if results is None:
                raise NotAffineError(f"'{op.name}' of the state")
        else:
            results = self._of_terms(op) or [self._unknown(op, n) for n in range(len(op.results))]
        self.meanings.update(zip(op.results, results, strict=True))

    def _of_terms(self, op: ir.Operation) -> list[Meaning] | None:
        """The results of an operation that does not see the state; None without a rule."""
        if op.name == "arith.constant":
            return [self._constant(op)]
        if op.name == "tensor.empty":
            return [t.ZERO]
        if op.name == "tensor.extract":
            return [self._extract(op)]
        if op.name == "tensor.extract_slice":
            return [self._extract_slice(op)]
        if op.name.startswith("linalg."):
            try:
                return self._structured(op)
            except (Unreadable, NotAffineError):
                return None
        return self._elementwise(op, [self.meaning(value) for value in op.operands])

    def _of_state(self, op: ir.Operation) -> list[Meaning] | None:
        if op.name.startswith("linalg."):
            return self._structured(op)
        if op.name == "tensor.extract" and not len(op.operands) > 1:
            return [self.meaning(op.operands[0])]
        return self._elementwise(op, [self.meaning(value) for value in op.operands])

    def _elementwise(self, op: ir.Operation, args: Sequence[Meaning]) -> list[Meaning] | None:
        """An operation on numbers, or on the elements of tensors of one shape."""
        if op.name in _SAME:
            return [args[0]]
        if op.name in _RESHAPES:
            names = _axes_of_reshape(op)
            return None if names is None else [_along(args[0], names)]
        if len(op.results) != 1:
            return None
        terms = [arg for arg in args if not isinstance(arg, StateMap)]
        if len(terms) < len(args):
            found = self._affine(op, args)
            return None if found is None else [found]
        result = self._scalar(op, terms)
        return None if result is None else [result]

    def _affine(self, op: ir.Operation, args: Sequence[Meaning]) -> StateMap | None:
        maps = [arg if isinstance(arg, StateMap) else StateMap.of(arg) for arg in args]
        if op.name in _SUMS:
            return maps[0].plus(maps[1], _SUMS[op.name])
        if op.name in _CASTS:
            return maps[0]
        if op.name == "arith.negf":
            return maps[0].scaled(Fraction(-1))
        if op.name in ("arith.mulf", "math.fma"):
            first, second = args[:2]
            rest = maps[2] if len(maps) == 3 else StateMap({}, {})
            if not isinstance(first, StateMap):
                return maps[1].times(normal(first)).plus(rest)
            if not isinstance(second, StateMap):
                return maps[0].times(normal(second)).plus(rest)
        if op.name == "arith.divf" and not isinstance(args[1], StateMap):
            return maps[0].over(args[1])
        if op.name == "arith.select" and not isinstance(args[0], StateMap):
            return chosen(args[0], maps[1], maps[2])
        return None

    def _scalar(self, op: ir.Operation, args: Sequence[Term]) -> Term | None:
        """A function of numbers as a term. A sum is held: products with it are no sums of products."""
        acc = self.accumulator
        kinds = [rw.element_of(value.type) for value in op.operands]
        result = rw.element_of(op.results[0].type)
        if op.name in _WHOLE and _is_place(args[0]) and str(result) in _WIDE:
            return args[0]
        if op.name in _AS_FLOAT and result == acc and _is_place(args[0]):
            return args[0] if args[0].op == "const" else t.function("float", args[0])
        if op.name == "arith.cmpf" and kinds[0] == acc:
            predicate = PREDICATES[ir.IntegerAttr(op.attributes["predicate"]).value]
            if predicate not in ("true", "false"):
                return t.compare(predicate, *args)
        if result == acc and op.name == "arith.select":
            return t.select(*args)
        if result == acc and op.name in OPERATIONS and all(kind == acc for kind in kinds):
            term = OPERATIONS[op.name](*args)
            if term.op in ("add", "sub"):
                return _held(term)
            return term
        if not op.name.startswith(("arith.", "math.")) or len(op.regions):
            return None
        attributes = tuple(sorted(f"{name}={op.attributes[name]}" for name in op.attributes))
        key = (op.name, attributes, tuple(map(str, (*kinds, result))))
        self.prototypes.setdefault(key, op)
        return t.opaque((*key, 0), args)

    def _unknown(self, op: ir.Operation, result: int) -> Term:
        """A tensor or number of which nothing is known but its operands."""
        key = (self._key(op, {}), result)
        name = f"{op.name.rpartition('.')[2]}{self._number(key)}"
        type_ = op.results[result].type
        rank = type_.rank if isinstance(type_, ir.RankedTensorType) else 0
        return element(tensor(name, self._number(key)), _axes(rank))

    def _key(self, op: ir.Operation, local: dict[ir.Value, int]) -> tuple:
        """What is equal for operations that compute the same; `local` numbers the values of a body."""
        attributes = tuple(f"{name}={op.attributes[name]}" for name in op.attributes)
        types = tuple(str(value.type) for value in (*op.operands, *op.results))
        operands = tuple(local[v] if v in local else self.meaning(v) for v in op.operands)
        bodies: list[tuple] = []
        for region in op.regions:
            for block in region.blocks:
                for value in block.arguments:
                    local[value] = len(local)
                for child in block.operations:
                    bodies.append(self._key(child.operation, local))
                    for value in child.operation.results:
                        local[value] = len(local)
        return (op.name, attributes, types, operands, tuple(bodies))

    def _constant(self, op: ir.Operation) -> Term:
        attribute, type_ = op.attributes["value"], op.results[0].type
        if isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat:
            attribute = attribute.get_splat_value()
        if isinstance(attribute, ir.FloatAttr) and rw.element_of(type_) == self.accumulator:
            return t.const(attribute.value)
        if isinstance(attribute, ir.IntegerAttr) and isinstance(type_, ir.IndexType):
            return t.const(attribute.value)
        return self._unknown(op, 0)

    def _extract(self, op: ir.Operation) -> Term:
        source, *places = op.operands
        return self._read_at(op, source, [self._place(place) for place in places])

    def _extract_slice(self, op: ir.Operation) -> Term:
        source, result = op.operands[0], op.results[0]
        offsets, sizes, strides = slice_parts(op, 1)
        dropped = dropped_dimensions(sizes, result.type)
        places, free = [], iter(_axes(result.type.rank))
        for d, (offset, stride) in enumerate(zip(offsets, strides, strict=True)):
            start = self._place(offset)
            if d in dropped:
                places.append(start)
                continue
            step = self._place(stride)
            places.append(t.add(start, t.mul(step, next(free))))
        return self._read_at(op, source, places)

    def _place(self, place: ir.Value | int) -> Term:
        if isinstance(place, int):
            return t.const(place)
        meaning = self.meaning(place)
        assert not isinstance(meaning, StateMap), "the state is no index"
        return meaning

    def _read_at(self, op: ir.Operation, source: ir.Value, places: Sequence[Term]) -> Term:
        """An element of a tensor at places that are clamped; of one from the region, if they are inside."""
        meaning = self.meaning(source)
        assert not isinstance(meaning, StateMap)
        shape = ir.RankedTensorType(source.type).shape
        if source in self._captures:
            return element(self._captures[source], places)
        inside = all(
            place in _axes(len(shape)) or (place.op == "const" and 0 <= float(place.data) < size)
            for place, size in zip(places, shape, strict=True)
        )
        if not inside:
            return self._unknown(op, 0)
        return t.substitute(meaning, dict(zip(_axes(len(shape)), places, strict=True)))

    # ---- structured operations -------------------------------------------------------------------

    def _structured(self, op: ir.Operation) -> list[Meaning] | None:
        if op.name == "linalg.fill":
            return [self.meaning(op.operands[0])]
        if op.name in ("linalg.broadcast", "linalg.transpose"):
            return [_along(self.meaning(op.operands[0]), _axes_of_move(op))]
        if op.name not in (*STRUCTURED, "linalg.map"):
            return None
        nest = Nest.of(op)
        loops = [axis(f"loop{n}") for n in range(nest.maps[0].n_dims)]
        known = dict(self.meanings)
        arguments: list[Meaning] = []
        for operand, map_ in zip(op.operands, nest.maps, strict=True):
            meaning = self.meaning(operand)
            places = [_loop(each, loops) for each in map_.results]
            arguments.append(_along(meaning, dict(zip(_axes(len(places)), places, strict=True))))
        outputs = len(nest.outputs)
        inputs = arguments[:-outputs]
        results: list[Meaning] = []
        for position in range(outputs):
            results.append(self._result(nest, position, inputs, arguments[len(inputs) :], loops))
        self.meanings = known
        return results

    def _result(
        self,
        nest: Nest,
        position: int,
        inputs: Sequence[Meaning],
        starts: Sequence[Meaning],
        loops: Sequence[Term],
    ) -> Meaning:
        """One result of a structured operation: the body, summed over the loops that reduce."""
        kept: Sequence[Meaning] = starts
        if nest.reductions:
            kept = [t.symbol(f"accumulator{n}", Depends.FIXED, key="kept") for n in range(len(starts))]
        value = self._body(nest.block, [*inputs, *kept], loops)[position]
        result_map = nest.maps[len(nest.inputs) + position]
        back = {_loop(each, loops): axis(str(d)) for d, each in enumerate(result_map.results)}
        if nest.reductions:
            value = _without(value, kept[position], kept)
            for loop in nest.reductions:
                value = _summed(value, loops[loop], _size(nest, loop))
            start = starts[position]
            if start is not t.ZERO:
                value = _plus(start, value)
        return _along(value, back)

    def _body(self, block: ir.Block, arguments: Sequence[Meaning], loops: Sequence[Term]) -> list[Meaning]:
        self.meanings.update(zip(block.arguments, arguments, strict=False))
        *operations, last = block.operations
        for view in operations:
            op = view.operation
            if op.name == "linalg.index":
                self.meanings[op.results[0]] = loops[op.attributes["dim"].value]
            else:
                self._read(op)
        return [self.meaning(value) for value in last.operation.operands]


# ---- helpers -------------------------------------------------------------------------------------


def _axes(rank: int) -> list[Term]:
    return [axis(str(d)) for d in range(rank)]


def _is_place(term: Term) -> bool:
    """Whether a term is an index, or a number that may be one: casts leave it as it is."""
    return term.op in ("sym", "const") and bounds(term)[0] >= 0


def _used(op: ir.Operation) -> list[ir.Value]:
    """What an operation uses, its body included."""
    bodies = (child for region in op.regions for block in region.blocks for child in block.operations)
    return [*op.operands, *(value for child in bodies for value in child.operation.operands)]


def _held(term: Term) -> Term:
    known = as_number(normal(term)) if not t.symbols(term) else None
    if known is not None:
        return t.const(float(known))
    return t.held(term) if len(indices_of(term)) <= 1 else term


def _along(meaning: Meaning, names: Mapping[Term, Term]) -> Meaning:
    """A value with its indices replaced, all at once."""
    if isinstance(meaning, StateMap):
        return meaning.renamed(names)
    return t.substitute(meaning, {old: new for old, new in names.items() if old is not new})


def _plus(a: Meaning, b: Meaning) -> Meaning:
    if isinstance(a, StateMap) or isinstance(b, StateMap):
        first, second = (each if isinstance(each, StateMap) else StateMap.of(each) for each in (a, b))
        return first.plus(second)
    return _held(t.add(a, b))


def _summed(value: Meaning, loop: Term, size: int) -> Meaning:
    if isinstance(value, StateMap):
        return value.summed(loop, size)
    return to_term(summed(normal(value), loop, size))


def _without(value: Meaning, own: Meaning, kept: Sequence[Meaning]) -> Meaning:
    """What a body adds to its accumulator; raise `Unreadable` for one that does something else with it."""
    assert not isinstance(own, StateMap)
    added: Meaning
    if isinstance(value, StateMap):
        added = value.plus(StateMap.of(own), Fraction(-1))
        rest = {part for poly in (*added.linear.values(), added.constant) for part in _symbols(poly)}
    else:
        poly = dict(normal(value.args[0] if value.op == "held" else value))
        (own_monomial,) = normal(own)
        if poly.pop(own_monomial, None) != 1:
            raise Unreadable("a reduction that is no sum")
        remaining = to_term(poly)
        added, rest = remaining, set(t.symbols(remaining))
    if not rest.isdisjoint(kept):
        raise Unreadable("a reduction that is no sum")
    return added


def _symbols(poly: Poly) -> set[Term]:
    return set(t.symbols(to_term(poly)))


def _axes_of_move(op: ir.Operation) -> dict[Term, Term]:
    """The axes of the result that the axes of the operand become."""
    rank = ir.RankedTensorType(op.results[0].type).rank
    if op.name == "linalg.broadcast":
        added = set(op.attributes["dimensions"])
        left = [d for d in range(rank) if d not in added]
    else:
        permutation = list(op.attributes["permutation"])
        left = [permutation.index(d) for d in range(rank)]
    return {axis(str(d)): axis(str(to)) for d, to in enumerate(left)}


def _axes_of_reshape(op: ir.Operation) -> dict[Term, Term] | None:
    """The axes that those of the operand become, if only axes of size 1 come or go."""
    grows = op.name == "tensor.expand_shape"
    source, result = (ir.RankedTensorType(value.type).shape for value in (op.operands[0], op.results[0]))
    groups = [[int(d) for d in group] for group in op.attributes["reassociation"]]
    names: dict[Term, Term] = {}
    for single, group in enumerate(groups):
        long = [d for d in group if (result if grows else source)[d] != 1] or group[:1]
        if len(long) > 1:
            return None
        pair = (single, long[0]) if grows else (long[0], single)
        names[axis(pair[0])] = axis(pair[1])
    if not grows:
        names.update((axis(d), t.ZERO) for d in range(len(source)) if axis(d) not in names)
    return names


def _loop(expression: ir.AffineExpr, loops: Sequence[Term]) -> Term:
    if not isinstance(expression, ir.AffineDimExpr):
        raise Unreadable("an operand that is not indexed by loops")
    return loops[expression.position]


def _size(nest: Nest, loop: int) -> int:
    for operand, map_ in zip(nest.op.operands, nest.maps, strict=True):
        for d, each in enumerate(map_.results):
            if isinstance(each, ir.AffineDimExpr) and each.position == loop:
                return ir.RankedTensorType(operand.type).shape[d]
    raise Unreadable("a loop whose size no operand has")


def _name_of_argument(value: ir.Value) -> str | None:
    """The name that a program gives to an argument of its function."""
    if not isinstance(value.owner, ir.Block):
        return None
    function = value.owner.owner
    if function is None or "arg_attrs" not in function.attributes:
        return None
    attributes = function.attributes["arg_attrs"][ir.BlockArgument(value).arg_number]
    if "attn.name" not in attributes or not isinstance(attributes["attn.name"], ir.StringAttr):
        return None
    return attributes["attn.name"].value
