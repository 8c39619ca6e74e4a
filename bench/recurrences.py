"""Whole sequences of recurrences on one NVIDIA GPU, beside flash-linear-attention's kernels.

    python bench/recurrences.py --list
    python bench/recurrences.py --case 'ssd|gla' --out recurrences.jsonl
    python bench/recurrences.py --batch 1 --tune 8

Results and final states of one sequence are compared with the formula, one step after the other in float64,
before calls are timed; results are written over NaN. Where flash-linear-attention is not installed, the peer
is the chunked form in batched products of plain torch, for decays that are one number for each head. Cases
`length/S` are one sequence each, of Mamba-2's shape: the state and the second half of the results must be
those of two calls, of which the second begins with the state of the first.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from decode import (
    PER_POSITION,
    SSD,
    Gates,
    Tensors,
    delta_step,
    diagonal_step,
    error_of,
    scalar_step,
    ssd_skip,
    ssd_terms,
)

import aecompiler as aec
from aecompiler.backends.nvidia.timing import event_batch_ms, interleaved_medians
from aecompiler.tools.bench_machine import versions

LENGTHS = [1 << n for n in range(10, 19)]
CHECKED_HEADS = 4
OPTIONS = {
    "chunk": "positions of a chunk",
    "chunk_value_block": "value features of a program",
    "chunk_stages": "chunks on their way from memory",
    "shared_heads": "heads with a product that is computed once",
    "tune": "schedules that are timed before",
}
TOLERANCE = 2e-2
"""Relative to the largest magnitude; weights, states and results are rounded to bf16."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A recurrence: its shape, its other arguments, and the same in torch and in flash-linear-attention.

    `gates` gives for each other argument its dimensions, of "B", "H", "T" and numbers, and how it is drawn.
    `terms` makes of the arguments the q, k, v, and gates of `step`, a step in torch, as `[B, H, T, ...]`;
    and `skip` what is added to o. `fla` takes the same, as `[B, T, H, ...]`.
    """

    batch: int
    heads: int
    key_heads: int
    features: tuple[int, int]
    gates: Gates
    make: Callable[..., Any]
    step: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    fla: Callable[..., Any]
    terms: Callable[[Tensors], Tensors] = dict
    skip: Callable[[Tensors], Any] = lambda _: 0.0

    def program(self) -> Any:
        """The program, whose first state is an argument."""
        dk, dv = self.features
        qk = aec.tensor("B", self.key_heads, "T", dk, dtype="bf16")
        specs = {"q": qk, "k": qk, "v": aec.tensor("B", self.heads, "T", dv, dtype="bf16")}
        for name, (dims, _) in self.gates.items():
            specs[name] = aec.tensor(*(self.heads if each == "H" else each for each in dims))
        specs["initial"] = aec.tensor("B", self.heads, dk, dv)

        def program(q, k, v, initial, **gates):
            return aec.recurrence(q, k, v, self.make(**gates), initial=initial)

        return aec.trace(program, **specs)

    def inputs(self, batch: int, length: int) -> Tensors:
        """Random arguments; keys have length 1."""
        torch.manual_seed(0)
        dk, dv = self.features
        draw = functools.partial(torch.randn, device="cuda")
        q = (draw(batch, self.key_heads, length, dk) * dk**-0.5).bfloat16()
        k = F.normalize(draw(batch, self.key_heads, length, dk), dim=-1).bfloat16()
        found = {"q": q, "k": k, "v": draw(batch, self.heads, length, dv, dtype=torch.bfloat16)}
        sizes = {"B": batch, "H": self.heads, "T": length}
        for name, (dims, make) in self.gates.items():
            found[name] = make(draw(*(sizes.get(each, each) for each in dims)))
        found["initial"] = torch.zeros(batch, self.heads, dk, dv, device="cuda")
        return found


def _log_decay(x: torch.Tensor) -> torch.Tensor:
    return F.logsigmoid(x) / 16


def _retnet_terms(x: Tensors) -> Tensors:
    batch, _, length, dk = x["q"].shape
    g = x["gamma"].log()[None, :, None].expand(batch, -1, length)
    return {"q": x["q"] * dk**-0.5, "k": x["k"], "v": x["v"], "g": g}


def _fla_scalar(q, k, v, g):
    from fla.ops.simple_gla import chunk_simple_gla

    return chunk_simple_gla(q, k, v, g, scale=1.0, output_final_state=True)


def _fla_retention(q, k, v, g):
    from fla.ops.retention import chunk_retention

    return chunk_retention(q, k, v, scale=1.0, output_final_state=True)


def _fla_diagonal(q, k, v, g):
    from fla.ops.gla import chunk_gla

    return chunk_gla(q, k, v, g, scale=1.0, output_final_state=True)


def _fla_delta(q, k, v, beta):
    from fla.ops.delta_rule import chunk_delta_rule

    return chunk_delta_rule(q, k, v, beta.to(q.dtype), scale=1.0, output_final_state=True)


def _fla_gated_delta(q, k, v, g, beta):
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    return chunk_gated_delta_rule(q, k, v, g, beta.to(q.dtype), scale=1.0, output_final_state=True)


def _plain_delta_step(S, q, k, v, beta):
    return delta_step(S, q, k, v, torch.zeros_like(beta), beta)


def _retnet_decays(x: torch.Tensor) -> torch.Tensor:
    return 1 - torch.exp2(-5.0 - torch.arange(len(x), device=x.device))


_BETA = (PER_POSITION, torch.sigmoid)
KINDS = {
    "ssd": Kind(
        *(8, 80, 1, (128, 64), SSD, aec.recurrences.mamba2_ssd),
        *(scalar_step, _fla_scalar, ssd_terms, ssd_skip),
    ),
    "retention": Kind(
        *(4, 8, 8, (256, 512), {"gamma": (("H",), _retnet_decays)}),
        *(aec.recurrences.retnet, scalar_step, _fla_retention, _retnet_terms),
    ),
    "gla": Kind(
        *(8, 16, 16, (128, 128), {"g": (("B", "H", "T", 128), _log_decay)}),
        *(aec.recurrences.gla, diagonal_step, _fla_diagonal),
    ),
    "delta": Kind(
        *(8, 16, 16, (128, 128), {"beta": _BETA}),
        *(aec.recurrences.delta_rule, _plain_delta_step, _fla_delta),
    ),
    "gated-delta": Kind(
        *(8, 16, 16, (128, 128), {"g": (PER_POSITION, _log_decay), "beta": _BETA}),
        *(aec.recurrences.gated_delta_rule, delta_step, _fla_gated_delta),
    ),
}


def terms_of(kind: Kind, inputs: Tensors) -> Tensors:
    """What the step of a kind takes, for all heads."""
    terms = kind.terms({name: value for name, value in inputs.items() if name != "initial"})
    return {name: value.expand(-1, kind.heads, *value.shape[2:]) for name, value in terms.items()}


def stepwise(kind: Kind, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """o and the last state of the first heads of the first sequence, in float64."""
    wide = {name: value[:1] if name in "qkvg" or value.dim() > 2 else value for name, value in inputs.items()}
    wide = {name: value.double() for name, value in wide.items()}
    few = {name: value[:, :CHECKED_HEADS] for name, value in terms_of(kind, wide).items()}
    state = torch.zeros(1, CHECKED_HEADS, *kind.features, device="cuda", dtype=torch.float64)
    rows = []
    for t in range(few["q"].shape[2]):
        state, o = kind.step(state, **{name: value[:, :, t] for name, value in few.items()})
        rows.append(o)
    skip = kind.skip(wide)
    if isinstance(skip, torch.Tensor):
        skip = skip[:, :CHECKED_HEADS]
    return torch.stack(rows, 2) + skip, state


def torch_chunks(q, k, v, g, size: int = 64):
    """The chunked form of a scalar decay in batched products; all [B, H, T, ...]."""
    q, k, v, g = (x.unflatten(2, (-1, size)) for x in (q, k, v, g))
    sums = g.cumsum(-1)
    weights = (sums[..., :, None] - sums[..., None, :]).tril().exp().tril()
    inner = ((q @ k.mT) * weights).to(v.dtype) @ v
    left = (k * (sums[..., -1:] - sums).exp()[..., None]).to(v.dtype)
    added = left.mT @ v
    state = torch.zeros_like(added[:, :, 0], dtype=torch.float32)
    states = []
    for n in range(q.shape[2]):
        states.append(state.to(v.dtype))
        state = sums[:, :, n, -1:, None].exp() * state + added[:, :, n]
    carried = (q * sums.exp()[..., None]).to(v.dtype) @ torch.stack(states, 2)
    return (inner + carried).flatten(2, 3), state


def peer_of(kind: Kind, inputs: Tensors) -> tuple[str, Callable[[], Any]] | None:
    """A name and a call that gives o as [B, T, H, Dv], without the skip."""
    terms = terms_of(kind, inputs)
    try:
        import fla.ops  # noqa: F401
    except ImportError:
        if "g" not in terms or "beta" in terms or terms["g"].dim() != 3:
            return None
        return "torch chunks", lambda: (torch_chunks(**terms)[0].transpose(1, 2), None)
    turned = {name: value.transpose(1, 2).contiguous() for name, value in terms.items()}
    return "fla", functools.partial(kind.fla, **turned)


def measure(name: str, options: dict[str, int], rounds: int, length: int, batch: int = 0) -> dict[str, Any]:
    """Check and time one case, whose batch is that of its kind if it is 0."""
    kind = KINDS[name]
    if batch:
        kind, options = dataclasses.replace(kind, batch=batch), {"sequences": batch, **options}
    inputs = kind.inputs(kind.batch, length)
    kernel = aec.compile(kind.program(), target="cuda", **options)
    out = (
        torch.full((kind.batch, kind.heads, length, kind.features[1]), torch.nan, device="cuda").bfloat16(),
        torch.full_like(inputs["initial"], torch.nan),
    )
    ours = functools.partial(kernel, **inputs, out=out)
    ours()
    wanted = stepwise(kind, inputs)
    errors = {
        "ours": [error_of(got[:1, :CHECKED_HEADS], want) for got, want in zip(out, wanted, strict=True)]
    }
    if not all(torch.isfinite(each).all() for each in out):
        raise SystemExit(f"{name}: results are not finite")
    calls: dict[str, Callable[[], Any]] = {"ours": ours}
    if (peer := peer_of(kind, inputs)) is not None:
        label, call = peer
        o = call()[0][:1].transpose(1, 2)[:, :CHECKED_HEADS]
        skip = kind.skip({key: value[:1] if value.dim() > 1 else value for key, value in inputs.items()})
        skip = skip[:, :CHECKED_HEADS] if isinstance(skip, torch.Tensor) else skip
        errors[label] = [error_of(o + skip, wanted[0])]
        calls[label] = call
    if max(errors["ours"]) > TOLERANCE:
        raise SystemExit(f"{name} is off by {max(errors['ours']):.2e} (tolerance {TOLERANCE:.1e})")
    return _row(
        f"{name}/B{kind.batch}xS{length}" if batch else f"{name}/S{length}",
        options,
        errors,
        interleaved_medians(calls, rounds, event_batch_ms),
    )


def measure_length(length: int, options: dict[str, int], rounds: int) -> dict[str, Any]:
    """Check and time one sequence of some length."""
    kind = KINDS["ssd"]
    inputs = kind.inputs(1, length)
    kernel = aec.compile(kind.program(), target="cuda", **options)
    o, state = kernel(**inputs)
    half = length // 2

    def part(at: slice) -> Tensors:
        return {
            key: value[:, :, at] if key in ("q", "k", "v", "dt") else value for key, value in inputs.items()
        }

    _, between = kernel(**part(slice(0, half)))
    again, last = kernel(**{**part(slice(half, length)), "initial": between})
    errors = {"ours": [error_of(again, o[:, :, half:].double()), error_of(last, state.double())]}
    if not max(errors["ours"]) <= TOLERANCE:
        raise SystemExit(f"length {length} is off by {max(errors['ours']):.2e} (tolerance {TOLERANCE:.1e})")
    ours = functools.partial(kernel, **inputs, out=(o, state))
    return _row(
        f"length/S{length}", options, errors, interleaved_medians({"ours": ours}, rounds, event_batch_ms)
    )


def _row(
    case: str, options: dict[str, int], errors: dict[str, list[float]], ms: dict[str, float]
) -> dict[str, Any]:
    return {
        "case": case,
        "options": options,
        "device": torch.cuda.get_device_name(),
        "errors": errors,
        "ms": ms,
        "versions": versions(),
    }


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--list", action="store_true", help="print the cases; run nothing")
    add("--case", default="", help="a regular expression that the names of cases are matched with")
    add("--length", type=int, default=4096, help="positions of a sequence (default: %(default)s)")
    add("--rounds", type=int, default=15, help="rounds in which all take turns (default: 15)")
    add("--batch", type=int, default=0, help="sequences of whole cases (default: those of each)")
    for option, what in OPTIONS.items():
        add(f"--{option.replace('_', '-')}", type=int, default=0, help=f"{what} (default: chosen)")
    add("--out", default="recurrences.jsonl", help="a line of JSON for each case (default: %(default)s)")
    args = parser.parse_args(argv)
    options = {option: value for option in OPTIONS if (value := getattr(args, option))}
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        f"{name}/S{args.length}": functools.partial(
            measure, name, options, args.rounds, args.length, args.batch
        )
        for name in KINDS
    }
    for length in LENGTHS:
        cases[f"length/S{length}"] = functools.partial(measure_length, length, options, args.rounds)
    cases = {name: case for name, case in cases.items() if re.search(args.case, name)}
    if args.list:
        print("\n".join(cases))
        return 0
    if not torch.cuda.is_available():
        print("expects a GPU that torch can use", file=sys.stderr)
        return 2
    failed = 0
    with Path(args.out).open("a", encoding="utf-8") as file:
        for name, case in cases.items():
            try:
                found = case()
            except (SystemExit, aec.AecError, RuntimeError) as error:
                print(f"{name:18} {error}", file=sys.stderr, flush=True)
                failed = 1
                continue
            file.write(json.dumps(found) + "\n")
            file.flush()
            times = ", ".join(f"{key} {value:.3f}" for key, value in found["ms"].items())
            wrong = ", ".join(f"{key} {max(value):.1e}" for key, value in found["errors"].items())
            print(f"{name:18} ms: {times}; largest errors: {wrong}", flush=True)
            torch.cuda.empty_cache()
    return failed


if __name__ == "__main__":
    sys.exit(main())
