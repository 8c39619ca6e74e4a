"""The state of a trace.

Which function or region is being traced, where its operations go, and sizes of dimensions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING

from aecompiler.bindings import arith, ir, tensor
from aecompiler.builder.errors import TraceError
from aecompiler.builder.source import Place, place_of, user_frame

if TYPE_CHECKING:
    from aecompiler.builder.values import Value

Dim = int | str  # a static size, or the symbol of a dynamic one


class Dims:
    """The symbols of a program's dynamic dimensions, and which of them must be equal.

    The symbol of an argument's dimension is its name, or `argument.axis` without one; such sizes can be
    checked when the kernel is called. The symbol of a slice's size is derived from another one, for example
    `S[1:]`.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._checkable: set[str] = set()
        self._named: set[str] = set()

    def declare(self, symbol: str, *, named: bool) -> None:
        """Enter the dimension of an argument."""
        self._checkable.add(symbol)
        if named:
            self._named.add(symbol)

    def find(self, dim: Dim) -> Dim:
        """The representative of all dimensions that are equal to `dim`."""
        while not isinstance(dim, int) and dim in self._parents:
            dim = self._parents[dim]
        return dim

    def unify(self, left: Dim, right: Dim) -> bool:
        """Require two dimensions to be equal; False when that is wrong or can't be checked at the call."""
        left, right = self.find(left), self.find(right)
        if left == right:
            return True
        if not (left in self._checkable and right in self._checkable):
            return False
        if right in self._named and left not in self._named:
            left, right = right, left
        self._parents[right] = left
        return True

    def name(self, symbol: str) -> str:
        """The name under which the argument's dimension is checked at the call.

        Empty without a need for one.
        """
        root = self.find(symbol)
        shared = root in self._named or symbol != root or root in self._parents.values()
        return str(root) if shared else ""


@dataclass(eq=False)
class Scope:
    """A function or region that is being traced.

    `kind` is function, score, mask, normalize or step. `acc` is the type of its scores and states. `sizes`
    are those that a region function may ask for by name.
    """

    trace: Trace
    kind: str
    parent: Scope | None
    acc: str = "f32"
    block: ir.Block | None = None
    sizes: Mapping[str, Value | int] = field(default_factory=dict)
    closed: bool = False

    @property
    def title(self) -> str:
        """How errors call it."""
        return f"the {self.kind} region" if self.kind != "function" else "the program"

    def contains(self, scope: Scope) -> bool:
        """Whether values of `scope` may be used here."""
        here: Scope | None = self
        while here is not None:
            if here is scope:
                return True
            here = here.parent
        return False


class Trace:
    """One program being traced: its context, function, open scopes and locations."""

    def __init__(self, context: ir.Context):
        self.context = context
        self.dims = Dims()
        self.scope: Scope | None = None
        self.body: Scope = Scope(self, "function", None)
        self.hints: dict[ir.Value, str] = {}  # names for results
        self.sizes: dict[str, ir.Value] = {}  # of dynamic dimensions, by their symbols
        self.scratch: list[ir.Operation] = []  # pure operations that may turn out to be unused
        self._outside: list[ir.InsertionPoint] = []
        self._locations: dict[tuple[CodeType, int], ir.Location] = {}

    def location(self) -> ir.Location:
        """The location of the user's line that is running."""
        frame = user_frame()
        if frame is None:
            return ir.Location.unknown(self.context)
        key = (frame.f_code, frame.f_lasti)
        known = self._locations.get(key)
        if known is None:
            known = self.at(place_of(frame.f_code, frame.f_lasti, frame.f_lineno))
            self._locations[key] = known
        return known

    def at(self, place: Place) -> ir.Location:
        """The location of `place`."""
        return ir.Location.file(place.file, place.line, place.column, self.context)

    @staticmethod
    def made_at(value: ir.Value) -> Place | None:
        """The user's line whose operation made `value`; None for an argument of a function or region."""
        if isinstance(value, ir.BlockArgument):
            return None
        location = value.owner.location
        if not isinstance(location, ir.FileLineColLoc):
            return None
        return Place(location.filename, location.start_line, location.start_col)

    @contextmanager
    def enter(self, scope: Scope, block: ir.Block) -> Iterator[Scope]:
        """Trace into `block`; values of `scope` become unusable at the end."""
        previous, self.scope = self.scope, scope
        scope.block = block
        try:
            with ir.InsertionPoint(block):
                yield scope
        finally:
            scope.closed = True
            self.scope = previous

    @contextmanager
    def building(self, op: ir.Operation) -> Iterator[None]:
        """Let code for the function's body go before `op` while the regions of `op` are traced.

        When that fails, `op` is erased, so that a program that catches the error may go on.
        """
        self._outside.append(ir.InsertionPoint(op))
        try:
            yield
        except BaseException:
            self.scratch = [each for each in self.scratch if each.operation.parent == op.parent]
            op.erase()
            raise
        finally:
            self._outside.pop()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Emit into the function's body, before the operation whose regions are being traced."""
        if not self._outside:
            yield
            return
        with self._outside[-1]:
            yield

    def size(self, value: ir.Value, axis: int, symbol: str) -> ir.Value:
        """The run-time size of a dynamic dimension of a tensor of the function's body, computed once per
        symbol.
        """
        known = self.sizes.get(symbol)
        if known is None:
            with self.outside():
                location = self.location()
                position = arith.ConstantOp(ir.IndexType.get(), axis, loc=location)
                dim = tensor.DimOp(value, position.result, loc=location)
            self.scratch += [position.operation, dim.operation]
            known = self.sizes[symbol] = dim.result
        return known

    def erase_unused(self) -> None:
        """Erase the scratch operations that nothing uses."""
        for op in reversed(self.scratch):
            if not any(True for result in op.results for _ in result.uses):
                op.erase()
        self.scratch.clear()


class _Active(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []


_active = _Active()


@contextmanager
def activate(trace: Trace) -> Iterator[None]:
    """Make `trace` the current one of this thread."""
    _active.traces.append(trace)
    try:
        with trace.context, ir.Location.unknown():
            yield
    finally:
        _active.traces.pop()


def is_tracing() -> bool:
    """Whether a program is being traced in this thread."""
    return bool(_active.traces)


def current_trace() -> Trace:
    """The trace of this thread; an error outside of one."""
    if not _active.traces:
        raise TraceError("a traced value can only be used while its program is traced")
    return _active.traces[-1]


def current_scope() -> Scope:
    """The scope that is being traced in this thread."""
    scope = current_trace().scope
    if scope is None:
        raise TraceError("a traced value can only be used while its program is traced")
    return scope
