#!/usr/bin/env python3
"""Training step and batched sampling of the compact language model, side by side with PyTorch on the CPU.

    cargo build --release -p tdrm-bench-lm
    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch safetensors numpy
    /tmp/venv/bin/python benches/lm/compare.py --binary target/release/tdrm-bench-lm

Both sides start from the same weights and see the same tokens, in alternating rounds, each in a process of its own; the losses
of the first steps must agree. PyTorch runs eagerly with scaled_dot_product_attention, rms_norm and the fused AdamW.
The table gives medians; ratios are medians over rounds of (tdrm / PyTorch), so drift of the machine cancels.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SHAPES = {"small": (128, 4, 4, 512, 64, 64, 96), "medium": (256, 6, 8, 1024, 64, 32, 128)}
ROWS, NEW = 64, 64


def worker(arguments):
    """The PyTorch side: prints the same JSON lines as the binary."""
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    d, layers, heads, _, vocabulary, sequences, length = SHAPES[arguments.shape]
    width = d // heads
    weights = load_file(os.path.join(arguments.weights, "model.safetensors"))
    parameters = {name: w.clone().requires_grad_(True) for name, w in weights.items()}
    frequencies = 10000.0 ** (-torch.arange(0, width, 2).float() / width)
    angles = torch.outer(torch.arange(512).float(), frequencies)
    angles = torch.cat([angles, angles], -1)
    cosines, sines = angles.cos(), angles.sin()

    def rotate(x, start):
        low, high = x.chunk(2, -1)
        end = start + x.shape[2]
        return x * cosines[start:end] + torch.cat([-high, low], -1) * sines[start:end]

    def forward(tokens, cache=None, start=0):
        rows, columns = tokens.shape
        x = F.embedding(tokens, parameters["model.embed_tokens.weight"])

        def project(h, name, i):
            y = F.linear(h, parameters[f"model.layers.{i}.self_attn.{name}_proj.weight"])
            return y.view(rows, columns, heads, width).transpose(1, 2)

        for i in range(layers):
            p = f"model.layers.{i}."
            h = F.rms_norm(x, (d,), parameters[p + "input_layernorm.weight"], 1e-6)
            q, k, v = rotate(project(h, "q", i), start), rotate(project(h, "k", i), start), project(h, "v", i)
            if cache is not None:
                keys, values = cache[i]
                keys[:, :, start : start + columns], values[:, :, start : start + columns] = k, v
                k, v = keys[:, :, : start + columns], values[:, :, : start + columns]
            o = F.scaled_dot_product_attention(q, k, v, is_causal=columns > 1)
            o = o.transpose(1, 2).reshape(rows, columns, d)
            x = x + F.linear(o, parameters[p + "self_attn.o_proj.weight"])
            h = F.rms_norm(x, (d,), parameters[p + "post_attention_layernorm.weight"], 1e-6)
            gate = F.silu(F.linear(h, parameters[p + "mlp.gate_proj.weight"]))
            up = F.linear(h, parameters[p + "mlp.up_proj.weight"])
            x = x + F.linear(gate * up, parameters[p + "mlp.down_proj.weight"])
        return F.linear(F.rms_norm(x, (d,), parameters["model.norm.weight"], 1e-6), parameters["model.embed_tokens.weight"])

    ids = [[(i * 7 + j * j * 3 + j * (i % 5)) % 64 for j in range(length + 1)] for i in range(sequences)]
    ids = torch.tensor(ids)

    def train(optimiser):
        log_probs = F.log_softmax(forward(ids[:, :-1]), -1).gather(-1, ids[:, 1:, None])
        loss = -log_probs.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return sequences * length, loss.item()

    def sample():
        with torch.no_grad():
            cache = [[torch.empty(ROWS, heads, NEW + 1, width) for _ in "kv"] for _ in range(layers)]
            tokens, total = torch.zeros(ROWS, 1, dtype=torch.long), 0
            for j in range(NEW):
                log_probs = F.log_softmax(forward(tokens, cache, j)[:, 0], -1)
                tokens = torch.multinomial(log_probs.exp(), 1)
                total += int(log_probs.gather(1, tokens).sum() < 0)  # the log-probability that a rollout keeps
        return ROWS * NEW, float(total)

    def score():
        with torch.no_grad():
            log_probs = F.log_softmax(forward(ids[:, :-1]), -1).gather(-1, ids[:, 1:, None])
        return sequences * length, log_probs.sum().item()

    adamw = torch.optim.AdamW(parameters.values(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01, fused=True)
    work = {"train": lambda: train(adamw), "sample": sample, "score": score}[arguments.what]
    for round_ in range(arguments.steps + 1):
        used = resource.getrusage(resource.RUSAGE_SELF)
        start, cpu = time.perf_counter(), used.ru_utime + used.ru_stime
        tokens, check = work()
        used = resource.getrusage(resource.RUSAGE_SELF)
        wall, cpu = time.perf_counter() - start, used.ru_utime + used.ru_stime - cpu
        if round_:
            line = {"what": arguments.what, "threads": arguments.threads, "wall": wall, "cpu": cpu}
            print(json.dumps({**line, "tokens": tokens, "check": check}))


def run(command, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return [json.loads(line) for line in output.splitlines()]


def compare(arguments):
    with tempfile.TemporaryDirectory() as weights:
        ours = [arguments.binary, "--shape", arguments.shape, "--rounds", str(arguments.steps)]
        run([*ours, "--what", "score", "--save", weights], 1)
        theirs = [sys.executable, __file__, "--worker", "--weights", weights, "--shape", arguments.shape]
        theirs += ["--steps", str(arguments.steps)]
        print(f"{'':8}{'threads':>8}{'tdrm tok/s':>12}{'torch tok/s':>12}{'wall ratio':>12}{'per CPU-s':>12}")
        for what in arguments.what:
            for threads in arguments.threads:
                extra = ["--what", what, "--threads", str(threads)]
                pairs = []
                for _ in range(arguments.rounds):
                    a, b = run([*ours, *extra], threads), run([*theirs, *extra], threads)
                    if what != "sample":
                        worst = max(abs(x["check"] - y["check"]) / abs(y["check"]) for x, y in zip(a, b))
                        assert worst < 1e-4, f"{what}: the two sides disagree by {worst}"
                    pairs.append((a, b))
                report(what, threads, pairs)


def report(what, threads, pairs):
    def best(lines, key):
        return min(line[key] for line in lines) / lines[0]["tokens"]

    def median(values):
        return statistics.median(values)

    ours, theirs = median([best(a, "wall") for a, _ in pairs]), median([best(b, "wall") for _, b in pairs])
    wall = median([best(b, "wall") / best(a, "wall") for a, b in pairs])
    # The binary's CPU clock ticks in 10 ms: take the mean, not the smallest.
    def mean(lines):
        return sum(line["cpu"] for line in lines)

    cpu = median([mean(b) / mean(a) for a, b in pairs])
    print(f"{what:8}{threads:8}{1 / ours:12.0f}{1 / theirs:12.0f}{wall:12.2f}{cpu:12.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/tdrm-bench-lm")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--what", nargs="+", default=["train", "sample", "score"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="processes of each side")
    parser.add_argument("--steps", type=int, default=6, help="measurements in a process")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.worker:
        parsed.what, parsed.threads = parsed.what[0], parsed.threads[0]
        worker(parsed)
    else:
        compare(parsed)
