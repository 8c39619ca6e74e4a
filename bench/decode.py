"""One step of recurrences for many requests on one NVIDIA GPU, beside a copy of the states and other kernels.

    python bench/decode.py --list
    python bench/decode.py --case 'ssd/.*B256' --out decode.jsonl

A step reads and writes each state once, and does little else: so it is timed beside `copy_` of as many bytes
as the states have, and its part of that bandwidth is printed. All are captured in CUDA graphs. Requests have
their states in slots of a pool, in random order. Results and states after one step are compared with the
formula in float64 before calls are timed. Peers take states in the order of requests: plain torch, the same
through torch.compile, and the recurrent kernels of flash-linear-attention where that is installed.
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

import aecompiler as aec
from aecompiler.backends.nvidia.timing import event_batch_ms, interleaved_medians
from aecompiler.tools.bench_machine import versions

BATCHES = (1, 16, 64, 256)
SPARE = 16
"""Slots of the pool that no request has."""

TOLERANCE = {"o": 1.6e-2, "state": 1e-4}
"""Relative to the largest magnitude: o is rounded to bf16."""

Tensors = dict[str, torch.Tensor]
Gates = dict[str, tuple[tuple[Any, ...], Callable[[torch.Tensor], torch.Tensor]]]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A recurrence: its heads and features, the heads of q and k, and its other arguments.

    `gates` gives for each of these its dimensions, of "B", "H", "T" and numbers, and how it is drawn. `terms`
    makes of the arguments the q, k, v, and gates of `step`, as `[B, H, T, ...]`, and `skip` what is added to
    o. `step(S, q, k, v, **gates)` is the recurrence in torch, on all requests and heads: S [B, H, Dk, Dv]
    becomes (S, o). `fla` takes the same for a first argument, and q, k, v and gates as `[B, T, H, ...]`.
    """

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
        """The program of sequences, of which one step is compiled."""
        dk, dv = self.features
        qk = aec.tensor("B", self.key_heads, "T", dk, dtype="bf16")
        specs = {"q": qk, "k": qk, "v": aec.tensor("B", self.heads, "T", dv, dtype="bf16")}
        for name, (dims, _) in self.gates.items():
            specs[name] = aec.tensor(*(self.heads if each == "H" else each for each in dims))

        def program(q, k, v, **gates):
            return aec.recurrence(q, k, v, self.make(**gates))

        return aec.trace(program, **specs)


def _gated(state, q, k, v, g):
    state = g.exp() * state + k[..., :, None] * v[..., None, :]
    return state, torch.einsum("bhk,bhkv->bhv", q, state)


def scalar_step(S, q, k, v, g):
    return _gated(S, q, k, v, g[..., None, None])


def diagonal_step(S, q, k, v, g):
    return _gated(S, q, k, v, g[..., None])


def delta_step(S, q, k, v, g, beta):
    S = g.exp()[..., None, None] * S
    error = v - torch.einsum("bhk,bhkv->bhv", k, S)
    S = S + (beta[..., None] * k)[..., :, None] * error[..., None, :]
    return S, torch.einsum("bhk,bhkv->bhv", q, S)


def _fla_scalar(S, q, k, v, g):
    from fla.ops.simple_gla import fused_recurrent_simple_gla

    return fused_recurrent_simple_gla(q, k, v, g=g, scale=1.0, initial_state=S, output_final_state=True)


def _fla_diagonal(S, q, k, v, g):
    from fla.ops.gla import fused_recurrent_gla

    return fused_recurrent_gla(q, k, v, gk=g, scale=1.0, initial_state=S, output_final_state=True)


def _fla_delta(S, q, k, v, g, beta):
    from fla.ops.gated_delta_rule import fused_recurrent_gated_delta_rule

    return fused_recurrent_gated_delta_rule(
        q, k, v, g=g, beta=beta, scale=1.0, initial_state=S, output_final_state=True
    )


def ssd_terms(x: Tensors) -> Tensors:
    """Mamba-2 as gated retention: dt times v in place of k, and exp(A dt)."""
    dt = x["dt"]
    v = (x["v"] * dt[..., None]).to(x["v"].dtype)
    return {"q": x["q"], "k": x["k"], "v": v, "g": dt * x["A"][:, None].to(dt.dtype)}


def ssd_skip(x: Tensors) -> torch.Tensor:
    return x["D"][:, None, None] * x["v"]


PER_POSITION = ("B", "H", "T")
SSD: Gates = {
    "A": (("H",), lambda x: -x.exp()),
    "dt": (PER_POSITION, lambda x: F.softplus(x - 2)),
    "D": (("H",), lambda x: x),
}


def _log_decay(x: torch.Tensor) -> torch.Tensor:
    return F.logsigmoid(x + 3)


_SCALAR: Gates = {"g": (PER_POSITION, _log_decay)}
KINDS = {
    "ssd": Kind(
        *(80, 1, (128, 64), SSD, aec.recurrences.mamba2_ssd),
        *(scalar_step, _fla_scalar, ssd_terms, ssd_skip),
    ),
    "gated-retention": Kind(
        *(80, 1, (128, 64), _SCALAR, aec.recurrences.gated_retention),
        *(scalar_step, _fla_scalar),
    ),
    "gla": Kind(
        *(16, 16, (128, 128), {"g": ((*PER_POSITION, 128), _log_decay)}, aec.recurrences.gla),
        *(diagonal_step, _fla_diagonal),
    ),
    "gated-delta": Kind(
        *(16, 16, (128, 128), {**_SCALAR, "beta": (PER_POSITION, torch.sigmoid)}),
        *(aec.recurrences.gated_delta_rule, delta_step, _fla_delta),
    ),
}


def inputs_of(kind: Kind, batch: int, device: str = "cuda") -> Tensors:
    """Random arguments but for the pool and the slots; keys have length 1, decays are below 1."""
    torch.manual_seed(0)
    dk, dv = kind.features
    draw = functools.partial(torch.randn, device=device)
    q, k = (draw(batch, kind.key_heads, 1, dk) for _ in range(2))
    found = {"q": q, "k": F.normalize(k, dim=-1), "v": draw(batch, kind.heads, 1, dv)}
    found = {name: value.bfloat16() for name, value in found.items()}
    sizes = {"B": batch, "H": kind.heads, "T": 1}
    for name, (dims, make) in kind.gates.items():
        found[name] = make(draw(*(sizes.get(each, each) for each in dims)))
    return found


def rows_of(kind: Kind, inputs: Tensors, dtype: torch.dtype) -> Tensors:
    """The only position of what a step takes, with all heads."""
    terms = kind.terms({name: value.to(dtype) for name, value in inputs.items()})
    rows = {name: value[:, :, 0] for name, value in terms.items()}
    return {name: value.expand(-1, kind.heads, *value.shape[2:]) for name, value in rows.items()}


def expected(kind: Kind, inputs: Tensors, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """The states after a step and o without the skip, in float64, and the skip."""
    state, o = kind.step(states.double(), **rows_of(kind, inputs, torch.float64))
    skip = kind.skip({name: value.double() for name, value in inputs.items()})
    return state, o, skip[:, :, 0] if isinstance(skip, torch.Tensor) else skip


def error_of(got: torch.Tensor, want: torch.Tensor) -> float:
    """The largest error relative to the largest magnitude; infinite unless all is finite."""
    error = float((got.double() - want).abs().max() / want.abs().max())
    return error if error < float("inf") else float("inf")


def checked(what: str, got: torch.Tensor, want: torch.Tensor) -> float:
    """The error, if it is small."""
    error = error_of(got, want)
    if not error <= TOLERANCE[what]:
        raise SystemExit(f"{what} is off by {error:.2e} (tolerance {TOLERANCE[what]:.1e})")
    return error


def captured(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call as a CUDA graph, as it is made when tokens are generated: the host takes no part."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def measure(name: str, batch: int, options: dict[str, int], rounds: int) -> dict[str, Any]:
    """Check and time one case."""
    kind = KINDS[name]
    inputs = inputs_of(kind, batch)
    pool = torch.randn(batch + SPARE, kind.heads, *kind.features, device="cuda")
    slots = torch.randperm(batch + SPARE, device="cuda")[:batch].int()
    states = pool[slots.long()]
    few = slice(0, min(batch, 16))
    some = {name: value[few] if value.dim() > 1 else value for name, value in inputs.items()}
    want_state, want_o, skip = expected(kind, some, states[few])
    kernel = aec.compile(kind.program(), target="cuda", form="step", **options)
    ours = functools.partial(kernel, **inputs, **{kernel.arguments[-2].name: pool, "slots": slots})
    errors = {"o": checked("o", ours()[few, :, 0], want_o + skip)}
    errors["state"] = checked("state", pool[slots[few].long()], want_state)
    calls: dict[str, Callable[[], Any]] = {"ours": ours}
    target = torch.empty_like(states)
    calls["copy"] = lambda: target.copy_(states)
    rows = rows_of(kind, inputs, torch.float32)  # without the skip, which peers are not asked for
    calls["torch"] = functools.partial(kind.step, states, **rows)
    torch._dynamo.reset()
    calls["compile"] = functools.partial(torch.compile(kind.step, dynamic=False), states, **rows)
    try:
        import fla.ops  # noqa: F401

        turned = {
            key: (value.bfloat16() if key in "qkv" else value)[:, None].contiguous()
            for key, value in rows.items()
        }
        calls["fla"] = functools.partial(kind.fla, states, **turned)
        o, _ = calls["fla"]()
        checked("o", o[few, 0], want_o)
    except ImportError:
        pass
    graphs = {key: captured(call) for key, call in calls.items()}
    times = interleaved_medians(graphs, rounds, event_batch_ms)
    moved = 2 * states.numel() * states.element_size()
    return {
        "case": f"{name}/B{batch}",
        "options": options,
        "device": torch.cuda.get_device_name(),
        "errors": errors,
        "us": {key: 1e3 * value for key, value in times.items()},
        "state_gb_per_s": moved / times["ours"] / 1e6,
        "of_copy": times["copy"] / times["ours"],
        "versions": versions(),
    }


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--list", action="store_true", help="print the cases; run nothing")
    add("--case", default="", help="a regular expression that the names of cases are matched with")
    add("--rounds", type=int, default=15, help="rounds in which all take turns (default: 15)")
    add("--value-block", type=int, default=0, help="value features of a program (default: chosen)")
    add("--num-warps", type=int, default=0, help="warps of a program (default: chosen)")
    add("--out", default="decode.jsonl", help="a line of JSON for each case (default: %(default)s)")
    args = parser.parse_args(argv)
    cases = [(name, batch) for name in KINDS for batch in BATCHES]
    cases = [each for each in cases if re.search(args.case, f"{each[0]}/B{each[1]}")]
    if args.list:
        print("\n".join(f"{name}/B{batch}" for name, batch in cases))
        return 0
    if not torch.cuda.is_available():
        print("expects a GPU that torch can use", file=sys.stderr)
        return 2
    given = {"value_block": args.value_block, "num_warps": args.num_warps}
    options = {key: value for key, value in given.items() if value}
    with Path(args.out).open("a", encoding="utf-8") as file:
        for name, batch in cases:
            found = measure(name, batch, options, args.rounds)
            file.write(json.dumps(found) + "\n")
            times = ", ".join(f"{key} {value:.1f}" for key, value in found["us"].items())
            print(
                f"{found['case']:16} {found['state_gb_per_s']:5.0f} GB/s of states, "
                f"{100 * found['of_copy']:3.0f} % of copy; us: {times}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
