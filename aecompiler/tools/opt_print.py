"""What aec-opt shows while passes run: the IR around them, and their times."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from aecompiler.bindings import ir
from aecompiler.passes.infra import Instrumentation, Step


class Instrumentations(Instrumentation):
    """Several instrumentations as one."""

    def __init__(self, parts: Iterable[Instrumentation]):
        self._parts = tuple(parts)

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        """See `Instrumentation`."""
        for part in self._parts:
            part.before_pass(step, op)

    def after_pass(self, step: Step, op: ir.Operation) -> None:
        """See `Instrumentation`."""
        for part in self._parts:
            part.after_pass(step, op)

    def after_verifier(self, step: Step, op: ir.Operation) -> None:
        """See `Instrumentation`."""
        for part in self._parts:
            part.after_verifier(step, op)

    def after_failure(self, step: Step, op: ir.Operation) -> None:
        """See `Instrumentation`."""
        for part in self._parts:
            part.after_failure(step, op)


class PrintIR(Instrumentation):
    """Print the IR to stderr before and after passes; `None` stands for all passes."""

    def __init__(
        self,
        before: frozenset[str] | None,
        after: frozenset[str] | None,
        only_changes: bool,
        to_text: Callable[[ir.Operation], str],
    ):
        self._before, self._after, self._only_changes = before, after, only_changes
        self._to_text = to_text
        self._text_before = ""

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        """Print `op` when the pass is chosen."""
        if self._before is None or step.name in self._before:
            self._print("Before", step, op)
        if self._only_changes:
            self._text_before = self._to_text(op)

    def after_pass(self, step: Step, op: ir.Operation) -> None:
        """Print `op` when the pass is chosen and, if that is asked for, has changed it."""
        if self._after is not None and step.name not in self._after:
            return
        if self._only_changes and self._to_text(op) == self._text_before:
            return
        self._print("After", step, op)

    def after_failure(self, step: Step, op: ir.Operation) -> None:
        """Print what the failed pass left behind."""
        if self._after is None or step.name in self._after:
            self._print("After", step, op, " Failed")

    def _print(self, when: str, step: Step, op: ir.Operation, suffix: str = "") -> None:
        where = ""
        if step.path:
            name = op.attributes.get("sym_name")
            symbol = f": {_symbol(name)}" if name is not None else ""
            where = f" ('{op.name}' operation{symbol})"
        text = self._to_text(op).rstrip("\n")
        sys.stderr.write(f"// -----// IR Dump {when} {step.name}{suffix}{where} //----- //\n{text}\n\n")
        sys.stderr.flush()


class Explain(Instrumentation):
    """Collect what the pass `name` says of the ops that it is about to run on."""

    def __init__(self, name: str):
        self._name = name
        self._texts: list[str] = []

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        """Ask the pass, when it is the chosen one."""
        if step.name == self._name and step.python_pass is not None:
            self._texts.append(step.python_pass.explain(op).rstrip("\n"))

    def take(self) -> str:
        """What was said since the last call."""
        texts, self._texts = self._texts, []
        return "\n\n".join(text for text in texts if text) + "\n"


def _symbol(name: ir.Attribute) -> str:
    """`@name`, quoted as in the IR where it is no plain word."""
    text = str(name)  # as MLIR escapes it: the name may be no UTF-8
    plain = text.strip('"')
    return f"@{plain}" if plain.isidentifier() and plain.isascii() else f"@{text}"


class Timing(Instrumentation):
    """Wall-clock time of each pass, of the verifier, and of other phases."""

    def __init__(self) -> None:
        self._start = self._mark = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def before_pass(self, step: Step, op: ir.Operation) -> None:
        """Start the clock of the pass."""
        self._mark = time.perf_counter()

    def after_pass(self, step: Step, op: ir.Operation) -> None:
        """Stop the clock of the pass, and start that of the verifier."""
        self._stop(f"{step.index}:{step.name}")

    def after_verifier(self, step: Step, op: ir.Operation) -> None:
        """Stop the clock of the verifier."""
        self._stop("Verifier")

    def phase(self, name: str, seconds: float) -> None:
        """Add to the time of something that is no pass."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def report(self) -> str:
        """A table in the layout of MLIR's own."""
        total = time.perf_counter() - self._start
        rows = [(name.partition(":")[2] or name, seconds) for name, seconds in self._seconds.items()]
        rows.append(("Rest", max(0.0, total - sum(seconds for _, seconds in rows))))
        bar = f"===-{'-' * 73}-==="
        lines = [bar, f"{'... Execution time report ...':^81}".rstrip(), bar]
        lines += [f"  Total Execution Time: {total:.4f} seconds", "", "  ----Wall Time----  ----Name----"]
        for name, seconds in [*rows, ("Total", total)]:
            lines.append(f"  {seconds:8.4f} ({100 * seconds / total if total else 0:5.1f}%)  {name}")
        return "\n".join(lines) + "\n"

    def _stop(self, name: str) -> None:
        now = time.perf_counter()
        self.phase(name, now - self._mark)
        self._mark = now
