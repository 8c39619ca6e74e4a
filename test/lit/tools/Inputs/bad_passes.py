"""Passes that go wrong in every way there is, for the tests of aec-opt."""

import enum
import os
import signal
import sys
import time
from typing import Annotated

from aecompiler.bindings import ir
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass, register_pipeline


class How(enum.Enum):
    RAISE = "raise"
    RECURSE = "recurse"
    EXIT = "exit"
    INTERRUPT = "interrupt"
    PROCESS_EXIT = "process-exit"
    SEGFAULT = "segfault"
    ABORT = "abort"
    HANG = "hang"
    INVALID = "invalid"
    REFUSE = "refuse"


@register_pass
class TestFail(Pass):
    """Fail in the chosen way."""

    NAME = "test-fail"
    ANCHOR = "any"
    how: How = option(How.RAISE, "what to do")
    only: str | None = option(None, "the symbol of the only function to fail on")

    def run(self, op: ir.Operation) -> None:
        if self.only is not None and ir.StringAttr(op.attributes["sym_name"]).value != self.only:
            return
        getattr(self, f"_{self.how.name.lower()}")(op)

    def _raise(self, op: ir.Operation) -> None:
        raise KeyError("a bug")

    def _recurse(self, op: ir.Operation) -> None:
        self._recurse(op)

    def _exit(self, op: ir.Operation) -> None:
        sys.exit(0)

    def _interrupt(self, op: ir.Operation) -> None:
        raise KeyboardInterrupt

    def _process_exit(self, op: ir.Operation) -> None:
        os._exit(0)

    def _segfault(self, op: ir.Operation) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _abort(self, op: ir.Operation) -> None:
        os.abort()

    def _hang(self, op: ir.Operation) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        while True:
            time.sleep(1)

    def _invalid(self, op: ir.Operation) -> None:
        op.attributes["function_type" if op.name == "func.func" else "unprefixed"] = ir.UnitAttr.get()

    def _refuse(self, op: ir.Operation) -> None:
        raise PassFailure(op, "expects to be left alone")


@register_pass
class TestMark(Pass):
    """Set the attribute `test.mark` on a function."""

    NAME = "test-mark"
    ANCHOR = "func.func"
    text: str = option("here", "the text of the attribute")
    sizes: tuple[int, ...] = option((), "numbers")

    def explain(self, op: ir.Operation) -> str:
        if "test.mark" in op.attributes:
            raise PassFailure(op, "expects no mark yet")
        return f"{op.attributes['sym_name']} gets the mark {self.text}"

    def run(self, op: ir.Operation) -> None:
        op.attributes["test.mark"] = ir.StringAttr.get(" ".join([self.text, *map(str, self.sizes)]))


@register_pipeline("test-pipeline")
def pipeline(*, text: Annotated[str, "the text of the mark"] = "piped") -> str:
    """Mark functions, then clean up."""
    return f"func.func(test-mark{{text={text}}},canonicalize),cse"
