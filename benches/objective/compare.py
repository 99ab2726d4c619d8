#!/usr/bin/env python3
"""Loss and gradient of policy objectives per CPU-second, side by side with torch autograd.

    cargo build --release -p tdrm-bench-objective
    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch
    /tmp/venv/bin/python benches/objective/compare.py --binary target/release/tdrm-bench-objective

The torch side writes TRL's losses on a padded (64, 1024) batch with a mask (our own code after its formulas): ratio,
clip, KL, aggregation, then backward to the log-probabilities. Both sides use one thread and the same numbers; losses
and largest coefficients are compared before any time is. Rounds alternate; the table gives medians.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

os.environ.update({v: "1" for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})

import torch

torch.set_num_threads(1)


PRESETS = ("grpo", "dapo", "dr_grpo", "gspo", "cispo", "gmpo", "sapo", "rloo", "gpg", "kimi")


def batch(sequences, tokens, dtype):
    width = max(tokens // 2 + i * 97 % (tokens // 2 + 1) for i in range(sequences))
    columns = {name: torch.zeros(sequences, width, dtype=torch.float64) for name in ("logp", "old", "ref", "mask")}
    t = torch.arange(width, dtype=torch.float64)
    for i in range(sequences):
        length = tokens // 2 + i * 97 % (tokens // 2 + 1)
        base = -1.5 + torch.sin(t * 0.37 + i)
        for name, phase, shift in (("logp", 0.0, 0.0), ("old", 0.1, 0.2), ("ref", 0.5, 0.4)):
            columns[name][i] = base + shift * torch.sin((i * 31 + t) * 0.7 + phase)
        columns["mask"][i, :length] = 1.0
    columns["advantage"] = torch.tensor([math.cos(i * 1.3) for i in range(sequences)], dtype=torch.float64).unsqueeze(1)
    return {name: column.to(dtype) for name, column in columns.items()}


def mean_over_tokens(token, mask):
    return ((token * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()


def loss(preset, b, logp):
    mask, advantage = b["mask"], b["advantage"]
    if preset == "gpg":
        return (-advantage * logp * mask).sum() / mask.sum().clamp(min=1.0)
    if preset == "rloo":
        return (-advantage.squeeze(-1) * (logp * mask).sum(-1)).mean()
    log_ratio = logp - b["old"]
    if preset == "kimi":
        return ((advantage.squeeze(-1) - 0.1 * (log_ratio * mask).sum(-1)) ** 2).mean()
    if preset == "gmpo":
        sign = torch.sign(advantage)
        clipped = torch.clamp(log_ratio, -0.4, 0.4)
        log_ratio = sign * torch.min(sign * log_ratio, sign * clipped)
        return (-advantage.squeeze(-1) * torch.exp((log_ratio * mask).sum(-1) / mask.sum(-1))).mean()
    if preset == "gspo":
        log_ratio = ((log_ratio * mask).sum(-1) / mask.sum(-1)).unsqueeze(-1)
    ratio = torch.exp(log_ratio)
    if preset == "sapo":
        tau = 1.0 + 0.05 * (advantage <= 0).to(advantage.dtype)
        return mean_over_tokens(-torch.sigmoid(tau * (ratio - 1)) * 4 / tau * advantage, mask)
    low, high = {"dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4)}.get(preset, (0.2, 0.2))
    if preset == "cispo":
        token = -torch.clamp(ratio, max=1 + high).detach() * advantage * logp
    else:
        token = -torch.min(ratio * advantage, torch.clamp(ratio, 1 - low, 1 + high) * advantage)
    if preset == "grpo":
        d = b["ref"] - logp
        token = token + 0.04 * (torch.exp(d) - d - 1)
    if preset in ("grpo", "gspo"):
        return mean_over_tokens(token, mask)
    if preset == "dr_grpo":
        return (token * mask).sum() / 1024
    return (token * mask).sum() / mask.sum().clamp(min=1.0)


def theirs(preset, b, repeats):
    logp = b["logp"].clone().requires_grad_(True)
    for i in range(repeats + 3):
        if i == 3:
            start = time.process_time()
        logp.grad = None
        value = loss(preset, b, logp)
        value.backward()
    seconds = (time.process_time() - start) / repeats
    return seconds, value.item(), logp.grad.abs().max().item()


def ours(binary, repeats):
    command = [binary, "--rounds", "1", "--repeats", str(repeats)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {(row["preset"], row["scalar"]): row for row in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=100)
    args = parser.parse_args()
    batches = {"f32": batch(64, 1024, torch.float32), "f64": batch(64, 1024, torch.float64)}
    cases = [(p, s) for p in PRESETS for s in ("f32", "f64")]
    results = {case: [] for case in cases}
    for _ in range(args.rounds):
        mine = ours(args.binary, args.repeats)
        for preset, scalar in cases:
            seconds, value, largest = theirs(preset, batches[scalar], args.repeats)
            row = mine[preset, scalar]
            tolerance = 1e-9 if scalar == "f64" else 1e-3
            same = math.isclose(row["loss"], value, rel_tol=tolerance, abs_tol=tolerance * 1e-2)
            same &= math.isclose(row["largest_coefficient"], largest, rel_tol=tolerance)
            assert same, (preset, scalar, row, value, largest)
            results[preset, scalar].append((row["cpu_seconds"], seconds, row["tokens"]))
    print(f"torch {torch.__version__}, Python {sys.version.split()[0]}, one thread, {args.rounds} alternating rounds\n")
    print("| objective | scalar | ours, M tokens per CPU-s | torch | ratio (median, min to max) |\n|---|---|---|---|---|")
    for (preset, scalar), rounds in results.items():
        ratios = [theirs / ours for ours, theirs, _ in rounds]
        rate = lambda k: statistics.median(tokens / pair[k] / 1e6 for *pair, tokens in rounds)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {preset} | {scalar} | {rate(0):.1f} | {rate(1):.1f} | {spread} |")


if __name__ == "__main__":
    main()
