"""The pass `attn-verify-online`."""

from __future__ import annotations

from aecompiler.algebra.laws import LawError, Proof, check
from aecompiler.algebra.streaming import StreamingForm
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass
from aecompiler.passes.streaming_ops import FORMS, largest_exponent, read_form


@register_pass
class AttnVerifyOnline(Pass):
    """Prove the laws of streaming forms from their regions alone, and refuse forms that break one.

    *Before*, and valid at any time: streaming forms, derived, written by hand or edited. *After*: the same
    IR. Attributes are ignored, `attn.proof` among them.

    The state means for a set of elements what `update` makes of `init` and the set as one tile. Proved for
    every state value and accumulator, by normal forms of the formulas:

    - identity: an empty or fully masked tile leaves the initial state as it is;
    - neutral: such a tile changes no state, and rescales by 1; nor does merging with the initial state;
    - union: two tiles after one another give what their union gives as one tile;
    - merge: merging gives what the union gives, so it is associative and commutative;
    - empty row: the coefficients are finite at the initial state, so that o = 0;
    - definedness: what is not defined everywhere (a quotient, a logarithm, a root, a power) is defined, as
      far as bounds and the choices around it show. A law that cancels x / x says nothing where x is 0. What
      one pass does of captures and scores alone needs no proof, being undefined in each pass or in none;
    - range: powers of states are at most e^80 (e^11 where v is f16, e^600 where it is f64), for the first
      elements and for later ones, in `update` and in `merge`. Powers of the scores alone are as large in one
      pass.

    A state value that is no reduction may be a reference, whatever moves it: one that lags (`lazy-rescale`),
    or the anchor of a variance. Then the others must obey the laws for any value of it, no result may depend
    on it, and powers relative to it must be bounded. If that fails as well, the error says why, after the law
    that the value breaks.

    An element that the form masks itself, `where(c, s, -inf)`, counts as masked; that a tile of such elements
    alone changes nothing is not proved.

    The laws are those of real numbers: rounding, sums and products that overflow without a power, and NaN and
    infinite scores and captures are left out. What the algebra can't take apart is refused as well, never
    accepted, and so are forms with more than 64 states and accumulators and those whose formulas are too
    large for a proof in bounded time.

    `aec-opt --explain attn-verify-online` prints what the states and accumulators were proved to be.

    ```mlir
    %rescale = math.exp %flipped : f32      // new - old, where old - new was meant
    ```
    gives
    ```
    error: 'attn.online_attention' op expects state 1 to obey the laws of a streaming form; identity: ...
    ```
    """

    NAME = "attn-verify-online"

    def run(self, op: ir.Operation) -> None:
        """See `Pass.run`."""
        for program in _forms(op):
            _proved(program)

    def explain(self, op: ir.Operation) -> str:
        """What each state value is, and what was proved."""
        texts = []
        for number, program in enumerate(_forms(op)):
            form, proof = _proved(program)
            lines = [f"{program.name} {number}: all laws hold"]
            for index, (symbol, new) in enumerate(zip(form.states, form.update, strict=True)):
                kind = ", a reference" if index in proof.references else ""
                lines.append(f"  state {index}: {symbol!r} becomes {new!r}{kind}")
            lines += [f"  {line}" for line in proof.lines]
            texts.append("\n".join(lines))
        return "\n\n".join(texts)


def _proved(program: ir.Operation) -> tuple[StreamingForm, Proof]:
    try:
        form = read_form(program).form
        return form, check(form, most=largest_exponent(program))
    except RecursionError:
        raise PassFailure(program, "unsupported: formulas that nest too deep to be analysed") from None
    except LawError as error:
        raise PassFailure(
            program, f"expects {error.subject} to obey the laws of a streaming form; {error.law}"
        ) from None


def _forms(op: ir.Operation) -> list[ir.Operation]:
    return [child for child in rw.walk_list(op, "attn.") if child.name in FORMS]
