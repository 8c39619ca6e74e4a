"""Attention on one NVIDIA GPU beside cuDNN, FlexAttention and torch.compile: forward, bf16.

    python bench/nvidia.py --list
    python bench/nvidia.py --case 'causal/.*D128' --peers cudnn --out results.jsonl

Each case runs a kernel of `aec.compile(program, target="cuda")` with dynamic batch and length and default
options. Results are computed into poisoned memory and allocated over poisoned memory, and each row of each
head is compared with the formula in float64, before calls are timed and after; so are the peers' results.
Then ours and the peers take turns.
"""

from __future__ import annotations

import sys

from nvidia_cases import all_settings
from nvidia_peers import PEERS

from aecompiler.tools.bench_peers import run

if __name__ == "__main__":
    sys.exit(run(all_settings(), PEERS, "nvidia.jsonl"))
