"""The pass `attn-verify-chunked`."""

from __future__ import annotations

from aecompiler.algebra.chunked import ChunkedForm, explanation
from aecompiler.algebra.chunked_laws import ChunkedLawError, check
from aecompiler.algebra.polynomials import TooLargeError
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunked_ops import CHUNKED, read_form
from aecompiler.passes.infra import Pass, PassFailure, register_pass


@register_pass
class VerifyChunked(Pass):
    """Prove the laws of chunked recurrences from their regions alone, and refuse forms that break one.

    *Before*, and valid at any time: chunked recurrences, derived, written by hand or edited. *After*: the
    same IR. `attn.proof` is ignored.

    A chunk multiplies the decays of its positions as the exponential of a sum, times a product of signs. What
    that takes is proved from the formulas of `log_decay` and `sign`, by bounds and by cases:

    - bounded below: log_decay is at least -199, or -1460 in f64, so that no sum of it is -inf and no
      difference of two NaN. Less would be 0 all the same, also beside later decays above 1, unless their
      product overflows. Where `exponents` says "nonpositive" it is at least -110, or -750.
    - finite: it is not infinite by itself, as a constant is.
    - range: log_decay is at most 0, where `exponents` says "nonpositive": c_t - c_s is then at most 0 for
      every stretch of positions, and no exponential overflows. Where it says "any", an exponential overflows
      where the product of the decays of its stretch does; nothing is proved of that.
    - sign: each sign is 1 or -1, so that products of signs are, and |decay| is exp(log_decay).

    That no part depends on the state, and that scales are one number for the position, is a matter of types:
    the verifier of `attn.chunked_recurrence` holds it.

    The laws are those of real numbers; NaN and infinite operands are left out. What the bounds don't show is
    refused, never accepted. `aec-opt --explain attn-verify-chunked` prints the step that a form stands for,
    and what was proved.

    ```mlir
    %log_decay = arith.minimumf %g, %least : f32      // the larger one was meant
    ```
    gives
    ```
    error: 'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; bounded
    below: min(g[b, h, t], -199) is not proved to be at least -199, ...
    ```
    """

    NAME = "attn-verify-chunked"

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        for program in _forms(op):
            _proved(program)

    def explain(self, op: ir.Operation) -> str:
        """The step that each form stands for, and what was proved."""
        texts = []
        for number, program in enumerate(_forms(op)):
            form, proved = _proved(program)
            *lines, _ = explanation(form)  # the last line is of the derivation
            lines = [line for line in lines if not line.startswith("range")]
            lines += [f"proved: {line}" for line in proved]
            texts.append("\n".join([f"{program.name} {number}: all laws hold", *(f"  {x}" for x in lines)]))
        return "\n\n".join(texts)


def _forms(op: ir.Operation) -> list[ir.Operation]:
    return [child for child in rw.walk_list(op, "attn.") if child.name == CHUNKED]


def _proved(program: ir.Operation) -> tuple[ChunkedForm, list[str]]:
    accumulator = str(ir.RankedTensorType(program.operands[3].type).element_type)
    try:
        form = read_form(program)
        return form, check(form, ir.StringAttr(program.attributes["exponents"]).value, accumulator)
    except (RecursionError, TooLargeError):
        raise PassFailure(program, "unsupported: formulas too large to be analysed") from None
    except ChunkedLawError as error:
        raise PassFailure(
            program, f"expects {error.part} to obey the laws of a chunked form; {error.law}"
        ) from None
