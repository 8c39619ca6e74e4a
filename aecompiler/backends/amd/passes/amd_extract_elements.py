"""The pass `amd-extract-elements`: what stands at one place of a tile is taken, not summed with zeros."""

from __future__ import annotations

import math

from aecompiler.backends.amd.distribute.offsets import unit_places
from aecompiler.bindings import arith, ir, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_REDUCTION = "vector.multi_reduction"
_EQ = 0
_CASTS = ("arith.index_cast", "arith.index_castui", "arith.extsi", "arith.extui")


@register_pass
class ExtractElements(Pass):
    """Take what stands at a place of a tile.

    *Before*: kernels of `convert-tt-to-vector`. *After*: a sum along a dimension of a tile in which all but
    the elements at one place are 0, as tiles are read at a place that a loop counts, is a `vector.extract` at
    that place. The place must be known to be in the tile: it is a constant, or counted by a loop with
    constant bounds. `amd-distribute-tiles` asks the bits of the place, each once for the wave, and moves what
    one lane has: a sum compares each place, keeps a bit of each lane for it, and adds. Of a float there is
    a sum with 0 left, which makes -0.0 what it is in a sum of zeros, 0.0.

    ```mlir
    %here = arith.cmpi eq, %step, %places : vector<64xi32>              // of a broadcast of %t
    %some = arith.select %heres, %x, %zeros : vector<16x64xi1>, vector<16x64xf32>
    %column = vector.multi_reduction <add>, %some, %start [1] : vector<16x64xf32> to vector<16xf32>
    ```
    becomes
    ```mlir
    %turned = vector.transpose %x, [1, 0] : vector<16x64xf32> to vector<64x16xf32>
    %taken = vector.extract %turned[%t] : vector<16xf32> from vector<64x16xf32>
    %column = arith.addf %taken, %zero : vector<16xf32>
    ```
    """

    NAME = "amd-extract-elements"

    def run(self, op: ir.Operation) -> None:
        """Change every kernel in `op`."""
        for function in rw.walk_list(op, "gpu.func"):
            for reduction in rw.walk_list(function, _REDUCTION):
                _change(reduction)


def _change(op: ir.Operation) -> None:
    """Replace a sum of which one place is left."""
    source, start = op.operands
    dims = [int(each) for each in op.attributes["reduction_dims"]]
    select = rw.definer(source)
    if "add" not in str(op.attributes["kind"]) or len(dims) != 1 or not _is_zero(start):
        return
    if select is None or select.name != "arith.select" or not _is_zero(select.operands[2], any_sign=False):
        return
    (dim,) = dims
    mask, tile, _ = select.operands
    size = tile.type.shape[dim]
    place = _place_of(mask, dim) if isinstance(mask.type, ir.VectorType) else None
    if place is None or size == 1 or not _is_below(place, size):
        return
    with ir.InsertionPoint(op), op.location:
        found = _taken(tile, dim, place)
    op.results[0].replace_all_uses_with(found)
    op.erase()


def _taken(tile: ir.Value, dim: int, place: ir.Value) -> ir.Value:
    """The elements at a place along a dimension."""
    shape, element = list(tile.type.shape), tile.type.element_type
    if dim:
        order = [dim, *(each for each in range(len(shape)) if each != dim)]
        turned = ir.VectorType.get([shape[each] for each in order], element)
        tile = vector.transpose(turned, tile, order)
    known = rw.constant_value(place)
    if known is not None:
        found = vector.extract(tile, [], [known])
    else:
        index = place
        if not isinstance(place.type, ir.IndexType):
            index = arith.index_cast(ir.IndexType.get(), place)
        found = vector.extract(tile, [index], [ir.ShapedType.get_dynamic_size()])
    if not isinstance(element, ir.FloatType):
        return found
    zero = ir.FloatAttr.get(element, 0.0)
    if isinstance(found.type, ir.VectorType):
        zero = ir.DenseElementsAttr.get_splat(found.type, zero)
    return arith.addf(found, arith.constant(found.type, zero))


def _place_of(mask: ir.Value, dim: int) -> ir.Value | None:
    """The number that positions along a dimension are compared with in a mask; None for any other mask."""
    op = rw.definer(mask)
    if op is None:
        return None
    if op.name == "arith.cmpi":
        if ir.IntegerAttr(op.attributes["predicate"]).value != _EQ:
            return None
        left, right = op.operands
        if not _is_position(left, dim):
            left, right = right, left
        return _number(right) if _is_position(left, dim) else None
    inner = _inner(op, dim)
    return None if inner is None else _place_of(*inner)


def _is_position(value: ir.Value, dim: int) -> bool:
    """Whether the elements of a tile are their positions along a dimension."""
    op = rw.definer(value)
    if op is None:
        return False
    if op.name == "vector.step":
        return True
    if op.name in _CASTS and _is_wide(op.operands[0]) and _is_wide(value):
        return _is_position(op.operands[0], dim)
    inner = _inner(op, dim)
    return inner is not None and _is_position(*inner)


def _inner(op: ir.Operation, dim: int) -> tuple[ir.Value, int] | None:
    """What an operation moves or repeats along other dimensions, and which of its dimensions one is."""
    if not len(op.operands) or not isinstance(op.operands[0].type, ir.VectorType):
        return None
    (source, *_), shape = op.operands, op.results[0].type.shape
    old = source.type.shape
    match op.name:
        case "vector.broadcast":
            inner = dim - (len(shape) - len(old))
            return (source, inner) if inner >= 0 and old[inner] == shape[dim] else None
        case "vector.shape_cast":
            places = unit_places(old, shape)
            found = [] if places is None else [before for before, after in places.items() if after == dim]
            return (source, found[0]) if found else None
        case "vector.transpose":
            return source, list(op.attributes["permutation"])[dim]
    return None


def _number(value: ir.Value) -> ir.Value | None:
    """The scalar that each element of a tile is; None where elements may differ."""
    while isinstance(value.type, ir.VectorType):
        op = rw.definer(value)
        if op is None or op.name not in ("vector.broadcast", "vector.shape_cast"):
            return None
        value = op.operands[0]
    return value


def _is_below(value: ir.Value, size: int) -> bool:
    """Whether a scalar is known to be a place in a dimension."""
    known = rw.constant_value(value)
    if known is not None:
        return 0 <= known < size
    op = rw.definer(value)
    if op is not None:
        return op.name in _CASTS and _is_wide(op.operands[0]) and _is_below(op.operands[0], size)
    parent = value.owner.owner.operation
    if parent.name != "scf.for" or ir.BlockArgument(value).arg_number != 0:
        return False
    lower, upper, *_ = map(rw.constant_value, list(parent.operands)[:2])
    return lower is not None and upper is not None and lower >= 0 and upper <= size


def _is_wide(value: ir.Value) -> bool:
    """Whether numbers have 32 bits or more, in which positions are what they are."""
    element = value.type.element_type if isinstance(value.type, ir.VectorType) else value.type
    return isinstance(element, ir.IndexType) or element.width >= 32


def _is_zero(value: ir.Value, *, any_sign: bool = True) -> bool:
    """Whether a number, or each of a tile, is 0; -0.0 as well with `any_sign`."""
    op = rw.definer(value)
    if op is not None and op.name == "vector.broadcast":
        return _is_zero(op.operands[0], any_sign=any_sign)
    attribute = rw.constant_of_all(value)
    if isinstance(attribute, ir.IntegerAttr):
        return attribute.value == 0
    if not isinstance(attribute, ir.FloatAttr) or attribute.value != 0:
        return False
    return any_sign or math.copysign(1.0, attribute.value) > 0
