"""Region functions: which of its arguments a user's function takes, and tracing it into a region of an op."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aecompiler.bindings import ir
from aecompiler.builder import arithmetic, dtypes, emit, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.programs import Program
from aecompiler.builder.source import Place, definition_of, return_of
from aecompiler.builder.tracing import Dim, Scope, current_scope

ARGUMENTS = {
    "score": ("s", "b", "h", "i", "j"),
    "mask": ("b", "h", "i", "j"),
    "normalize": ("s", "b", "h", "i", "j"),
    "step": ("S", "q", "k", "v", "b", "h", "t"),
}
SIZES = {  # those that a function of the kind may ask for by name
    **dict.fromkeys(("score", "mask", "normalize"), ("q_len", "kv_len", "heads", "features")),
    "step": ("heads", "features"),
}
_LEADING = {"score": 1, "mask": 0, "normalize": 1, "step": 4}  # values, which the user names freely


def call(kind: str, function: Callable, arguments: Mapping[str, Any]) -> Any:
    """Call a user's region function with the arguments it asks for.

    Values (`s`; `S, q, k, v`) come first and may have any name. Indices are matched by their names; under
    other names all of them must be there, in order. Parameters called as one of `SIZES` get that size, and
    other ones with a default keep it. Raises TraceError at the function's definition.
    """
    signature = _signature(kind, function)
    available, sizes = ARGUMENTS[kind], SIZES[kind]
    positional, keywords = [], {}
    for name, parameter in signature.parameters.items():
        if name in (*available, *sizes) and parameter.default is not parameter.empty:
            raise TraceError(
                f"expects parameter {name!r} of the {kind} function to have no default, which would be "
                f"replaced by the region's own {name}; rename the parameter",
                definition_of(function),
            )
        if name in sizes and parameter.kind is not parameter.POSITIONAL_ONLY:
            keywords[name] = arguments[name]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            if parameter.default is parameter.empty:
                positional.append(name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += available[len(positional) :]
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if name in available:
                keywords[name] = arguments[name]
            elif parameter.default is parameter.empty:
                raise _signature_error(kind, function, f"parameter {name!r} is none of them")
    values = [arguments[name] for name in _matched(kind, function, positional)]
    by_position = dict(zip(positional, values, strict=True))
    if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        return function(*values, **keywords)
    by_name = {
        name: by_position.pop(name)
        for name, parameter in signature.parameters.items()
        if name in by_position and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    return function(*by_position.values(), **by_name, **keywords)


def _signature(kind: str, function: Callable) -> inspect.Signature:
    if isinstance(function, Program):
        raise TraceError(
            f"expects {kind} to be a function, got the program {function.name!r}; "
            "give a function that is not decorated"
        )
    if not callable(function):
        raise TraceError(f"expects {kind} to be a function, got {type(function).__name__}")
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise TraceError(f"expects {kind} to be a Python function, got {function!r}") from None


def _matched(kind: str, function: Callable, positional: list[str]) -> list[str]:
    """The argument of the region that each positional parameter stands for."""
    available, leading = ARGUMENTS[kind], _LEADING[kind]
    if all(name in available for name in positional):
        return positional
    free, rest = positional[:leading], positional[leading:]
    if len(free) < leading or any(name in available for name in free if name != available[free.index(name)]):
        raise _signature_error(kind, function, f"got ({', '.join(positional)})")
    if all(name in available[leading:] for name in rest):
        return [*available[:leading], *rest]
    if len(positional) != len(available):  # of a part under other names nobody can say which ones are meant
        raise _signature_error(kind, function, f"got ({', '.join(positional)})")
    for name, meaning in zip(rest, available[leading:], strict=True):
        if name in available and name != meaning:
            raise _signature_error(kind, function, f"parameter {name!r} stands in the place of {meaning!r}")
    return list(available)


def _signature_error(kind: str, function: Callable, fact: str) -> TraceError:
    names = ", ".join((*ARGUMENTS[kind], *SIZES[kind]))
    return TraceError(
        f"expects the {kind} function to take ({names}), or some of them by these names; {fact}",
        definition_of(function),
    )


Argument = tuple[str, tuple[Dim, ...], bool]  # element type, shape, whether it varies along a row
Finish = Callable[
    [Any, Place], list[ir.Value]
]  # (what the function returned, its place) -> what the region yields


def build(
    region: ir.Region,
    scope: Scope,
    function: Callable,
    arguments: Sequence[Argument],
    terminator: str,
    finish: Finish,
) -> None:
    """Trace `function` into the empty `region`, in the new `scope`.

    `arguments` are those of the region; `finish` checks what the function returned and turns it into the
    operands of the `terminator`.
    """
    trace, kind = scope.trace, scope.kind
    loc = trace.at(definition_of(function))
    types = [
        emit.tensor_type([dim for dim in dims if isinstance(dim, int)], dtype)
        if dims
        else dtypes.ir_type(dtype)
        for dtype, dims, _ in arguments
    ]
    block = ir.Block.create_at_start(region, types, [loc] * len(types))
    with trace.enter(scope, block):
        given = {
            name: values.Value(argument, dtype, dims, scope, varying)
            for name, argument, (dtype, dims, varying) in zip(
                ARGUMENTS[kind], block.arguments, arguments, strict=True
            )
        }
        returned = call(kind, function, {**given, **scope.sizes})
        here = isinstance(returned, values.Value) and returned._scope is scope
        made = trace.made_at(returned._ir) if here else None
        place = return_of(function, made)
        if callable(returned) and not isinstance(returned, values.Value):
            raise TraceError(
                f"expects the {kind} function to return values, got the function {returned!r}; call it", place
            )
        if returned is None:
            raise TraceError(
                f"expects the {kind} function to return a value, got None; add a `return`", place
            )
        operands = finish(returned, place)
        ir.Operation.create(terminator, [], operands, loc=trace.at(place))


def scalar_result(scope: Scope, thing: Any, dtype: str, what: str, place: Place) -> ir.Value:
    """A returned scalar as `dtype`; numbers of any type convert, booleans and numbers don't mix."""
    value = returned_value(thing, what, place)
    boolean = value.dtype == dtypes.BOOL if isinstance(value, values.Value) else isinstance(value, bool)
    if isinstance(value, values.Value) and value._dims:
        raise TraceError(
            f"expects {what} to be a scalar, got a tensor of shape {arithmetic.shape_text(value)}", place
        )
    if boolean != (dtype == dtypes.BOOL):
        got = (
            "a boolean"
            if boolean
            else value.dtype
            if isinstance(value, values.Value)
            else f"the number {value}"
        )
        want = "a boolean; compare it, for example `x != 0`" if dtype == dtypes.BOOL else "a number"
        hint = "; use aec.where(cond, a, b)" if boolean else ""
        expected, _, advice = want.partition("; ")
        raise TraceError(
            f"expects {what} to be {expected}, got {got}{'; ' + advice if advice else hint}", place
        )
    loc = scope.trace.at(place)
    if isinstance(value, values.Value):
        return emit.cast(value._ir, value.dtype, dtype, loc)
    return emit.constant(arithmetic.number(value, dtype), dtype, loc)


def returned_value(thing: Any, what: str, place: Place) -> Any:
    """What a region function returned, as a traced value or a number; errors point at its return."""
    if isinstance(thing, (tuple, list, dict)):
        raise TraceError(
            f"expects {what} to be one value, got a {type(thing).__name__} of {len(thing)}", place
        )
    try:
        return arithmetic.operand(thing)
    except TraceError as error:
        raise TraceError(f"{what}: {error.message}", place) from None


def apply(kind: str, function: Callable, *arguments: Any) -> Any:
    """Call a region function inside of another one: `apply("score", f, s, b, h, i, j)`.

    `kind` is score, mask, normalize or step, and the arguments are all those that such a function may take,
    in order. `function` may take some of them, and the sizes, as it may where an operation takes it. Raises
    TraceError outside of a region, and for arguments that don't fit.
    """
    if kind not in ARGUMENTS:
        raise TraceError(f"aec.apply expects a kind of {', '.join(ARGUMENTS)}, got {kind!r}")
    scope, names = current_scope(), ARGUMENTS[kind]
    if not scope.sizes.keys() >= set(SIZES[kind]):
        raise TraceError(f"a {kind} function can't be called in {scope.title}")
    if len(arguments) != len(names):
        raise TraceError(
            f"aec.apply expects the arguments ({', '.join(names)}) of a {kind} function, got {len(arguments)}"
        )
    return call(kind, function, {**dict(zip(names, arguments, strict=True)), **scope.sizes})
