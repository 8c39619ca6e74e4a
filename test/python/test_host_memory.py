"""Memory in plans: random host functions compute in memory what they say of values.

A function is drawn as a small tree, interpreted on terms (what was computed of what), and run as a host
program, whose launches and copies are replayed on memory that holds terms.
"""

from __future__ import annotations

import itertools
from typing import Any

from device_fakes import FakeTensor, Run
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.backends.gpu.host_plan import read_plan
from aecompiler.backends.gpu.host_program import kernel_names, make_program
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

T = "tensor<4xf32>"
KERNELS = {name: ["!tt.ptr<f32>", "!tt.ptr<f32>", "i32"] for name in ("write", "update")}
ARGUMENTS, CONDITIONS = ("%x", "%y"), ("%c", "%d")


class Drawn:
    """A random function: its `lines`, and `values(conditions)`, the terms that it returns."""

    def __init__(self, draw):
        self._draw = draw
        self._numbers = itertools.count()
        self.lines: list[str] = []
        self._steps, names = self._block(list(ARGUMENTS), ["%e"], 2, 5)
        self.returned = [draw(st.sampled_from(names)) for _ in range(draw(st.integers(1, 3)))]

    def _new(self) -> int:
        return next(self._numbers)

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("  " * (3 - depth) + text)

    def _block(
        self, names: list[str], empties: list[str], depth: int, most: int
    ) -> tuple[list[Any], list[str]]:
        """Steps of a block, and the tensors that are there after it."""
        names, empties, steps = list(names), list(empties), []
        for _ in range(self._draw(st.integers(0, most))):
            kind = self._draw(st.sampled_from(("write", "write", "update", "update", "empty", "if")))
            number = self._new()
            if kind == "empty":
                empties.append(f"%e{number}")
                self._line(depth, f"%e{number} = tensor.empty() : {T}")
            elif kind == "if":
                if depth:
                    steps.append(self._branches(number, names, empties, depth))
                    names += [f"%v{number}#0", f"%v{number}#1"]
            else:
                source = self._draw(st.sampled_from(names))
                target = self._draw(st.sampled_from(empties if kind == "write" else names))
                self._line(
                    depth,
                    f"%n{number} = arith.constant {number} : index\n"
                    f'%v{number} = "tt_host.launch"(%one, %one, %one, {source}, {target}, %n{number}) '
                    f"{{kernel = @{kind}, outputs = array<i64: 1>}} "
                    f": (index, index, index, {T}, {T}, index) -> {T}",
                )
                steps.append((kind, number, source, target))
                names.append(f"%v{number}")
        return steps, names

    def _branches(self, number: int, names: list[str], empties: list[str], depth: int) -> Any:
        condition = self._draw(st.sampled_from(CONDITIONS))
        self._line(depth, f"%v{number}:2 = scf.if {condition} -> ({T}, {T}) {{")
        branches = []
        for n in range(2):
            steps, inside = self._block(names, empties, depth - 1, 3)
            # What the branch has made is what it mostly yields.
            yields = [self._draw(st.sampled_from(inside[-3:])) for _ in range(2)]
            self._line(depth, f"scf.yield {', '.join(yields)} : {T}, {T}")
            self._line(depth, "} else {" if n == 0 else "}")
            branches.append((steps, yields))
        return ("if", number, condition, branches)

    @property
    def text(self) -> str:
        arguments = ", ".join([f"{name}: {T}" for name in ARGUMENTS] + [f"{name}: i1" for name in CONDITIONS])
        types = ", ".join([T] * len(self.returned))
        head = f"func.func @f({arguments}) -> ({types}) {{\n%one = arith.constant 1 : index\n"
        tail = f"return {', '.join(self.returned)} : {types}\n}}"
        return "\n".join([head, f"%e = tensor.empty() : {T}", *self.lines, tail])

    def values(self, conditions: dict[str, int]) -> list[Any]:
        terms: dict[str, Any] = {name: name for name in ARGUMENTS}
        self._interpret(self._steps, terms, conditions)
        return [terms[name] for name in self.returned]

    def _interpret(self, steps: list[Any], terms: dict[str, Any], conditions: dict[str, int]) -> None:
        for kind, number, *rest in steps:
            if kind == "if":
                condition, branches = rest
                inside, yields = branches[0 if conditions[condition] else 1]
                self._interpret(inside, terms, conditions)
                for n, name in enumerate(yields):
                    terms[f"%v{number}#{n}"] = terms[name]
            else:
                source, target = rest
                terms[f"%v{number}"] = (number, terms[source], terms[target] if kind == "update" else None)


def replay(made: Run, arguments: list[FakeTensor]) -> dict[int, Any]:
    """What memory holds after a run, by address."""
    memory: dict[int, Any] = {x.address: name for x, name in zip(arguments, ARGUMENTS, strict=True)}
    for kind, *rest in made.events:
        if kind == "launch":
            source, target, number = rest[0].values
            assert source != target, "a kernel may write before it has read all"
            memory[target] = (number, memory[source], memory[target] if rest[0].kernel == "update" else None)
        elif kind == "copy":
            memory[rest[0].address] = memory[rest[1].address]
    return memory


@st.composite
def functions(draw):
    return Drawn(draw)


@settings(max_examples=300, deadline=None)
@given(functions(), st.lists(st.booleans(), min_size=3, max_size=3))
def test_random_functions_compute_their_values(drawn: Drawn, given_results: list[bool]) -> None:
    with make_context() as context:
        context.allow_unregistered_dialects = True
        module = ir.Module.parse(drawn.text)
        plan = read_plan(module.body.operations[0].operation, KERNELS)
    program = make_program(plan)
    for c, d in itertools.product((0, 1), repeat=2):
        arguments = [FakeTensor((4,)) for _ in ARGUMENTS]
        count = len(drawn.returned)
        results = [FakeTensor((4,)) if is_given else None for is_given in given_results[:count]]
        made = Run(program, kernel_names(plan), [*arguments, c, d], results)
        memory = replay(made, arguments)
        assert [memory[each.address] for each in made.results] == drawn.values({"%c": c, "%d": d}), drawn.text
        assert [memory[each.address] for each in arguments] == list(ARGUMENTS), "arguments are not written to"
        addresses = {each.address for each in (*arguments, *made.results)}
        assert len(addresses) == len(ARGUMENTS) + count, "results are tensors of their own"
        for given_one, result in zip(results, made.results, strict=True):
            assert given_one is None or result is given_one


def test_branch_that_reads_what_the_other_yields_writes_elsewhere() -> None:
    text = f"""
func.func @f(%x: {T}, %c: i1) -> {T} {{
  %one = arith.constant 1 : index
  %e = tensor.empty() : {T}
  %a = "tt_host.launch"(%one, %one, %one, %x, %e, %one) {{kernel = @write, outputs = array<i64: 1>}}
    : (index, index, index, {T}, {T}, index) -> {T}
  %r = scf.if %c -> ({T}) {{
    scf.yield %a : {T}
  }} else {{
    %b = "tt_host.launch"(%one, %one, %one, %a, %e, %one) {{kernel = @write, outputs = array<i64: 1>}}
      : (index, index, index, {T}, {T}, index) -> {T}
    scf.yield %b : {T}
  }}
  return %r : {T}
}}"""
    with make_context() as context:
        context.allow_unregistered_dialects = True
        module = ir.Module.parse(text)
        plan = read_plan(module.body.operations[0].operation, KERNELS)
    made = Run(make_program(plan), kernel_names(plan), [FakeTensor((4,)), 0], [FakeTensor((4,))])
    (first, second) = made.launches
    assert second.values[0] == first.values[1]
    assert second.values[1] != first.values[1]
