"""TD(lambda) and GAE in f32 against rlax (jitted) and torchrl, one core, one run.

    cargo build --release -p tdrm-bench-value
    python -m venv /tmp/venv && /tmp/venv/bin/pip install rlax "jax[cpu]" torch torchrl
    /tmp/venv/bin/python benches/value/compare.py [path of the binary]

Every program is pinned to the same core and measured by its fastest run within two seconds, in turn, three times; the
table shows the median of the three. rlax is measured in both layouts: [B, T] as our trajectories are stored, and [T, B].
"""

import json
import os
import statistics
import subprocess
import sys
import time

CORE = max(os.sched_getaffinity(0))
os.sched_setaffinity(0, {CORE})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import rlax  # noqa: E402

SHAPES = [(4096, 128), (8, 32768)]
GAMMA, LAMBDA = 0.99, 0.95


def fastest(run, elements):
    run()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < 2:
        lap = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - lap)
    return elements / best


def columns(batch, length):
    rng = np.random.default_rng(7)
    rewards = rng.standard_normal((batch, length), dtype=np.float32)
    values = rng.standard_normal((batch, length + 1), dtype=np.float32)
    return rewards, np.full((batch, length), GAMMA, np.float32), values


def rlax_runs(batch, length):
    def returns(r, d, v):
        return rlax.lambda_returns(r, d, v[1:], LAMBDA)

    def gae(r, d, v):
        return rlax.truncated_generalized_advantage_estimation(r, d, LAMBDA, v)

    arrays = [jnp.array(x) for x in columns(batch, length)]
    turned = [jnp.array(x.T.copy()) for x in columns(batch, length)]
    for name, formula in [("td_lambda", returns), ("gae", gae)]:
        rows = jax.jit(jax.vmap(formula))
        yield name, "rlax [B,T]", lambda rows=rows: rows(*arrays).block_until_ready()
        across = jax.jit(jax.vmap(formula, in_axes=1, out_axes=1))
        yield name, "rlax [T,B]", lambda across=across: across(*turned).block_until_ready()


def torchrl_runs(batch, length):
    try:
        import torch
        from torchrl.objectives.value import functional
    except ImportError as error:
        print(f"torchrl left out: {error}", file=sys.stderr)
        return
    torch.set_num_threads(1)
    r, _, v = (torch.from_numpy(x) for x in columns(batch, length))
    r, now, then = r[..., None], v[:, :-1, None].contiguous(), v[:, 1:, None].contiguous()
    done = torch.zeros_like(r, dtype=torch.bool)
    for form in ("", "vec_"):
        td = getattr(functional, form + "td_lambda_return_estimate")
        gae = getattr(functional, form + "generalized_advantage_estimate")
        name = "torchrl vec" if form else "torchrl loop"
        yield "td_lambda", name, lambda td=td: td(GAMMA, LAMBDA, then, r, done, done)
        yield "gae", name, lambda gae=gae: gae(GAMMA, LAMBDA, now, then, r, done, done)


def ours(binary, batch, length):
    lines = subprocess.run(
        ["taskset", "-c", str(CORE), binary, str(batch), str(length)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in map(json.loads, lines):
        yield line["target"], f"tdrm {line['form']}", line["elements_per_second"]


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/tdrm-bench-value"
    for batch, length in SHAPES:
        speeds = {}
        for _ in range(3):
            for name, program, speed in ours(binary, batch, length):
                speeds.setdefault((name, program), []).append(speed)
            for runs in (rlax_runs, torchrl_runs):
                for name, program, run in runs(batch, length):
                    speeds.setdefault((name, program), []).append(fastest(run, batch * length))
        for name in ("td_lambda", "gae"):
            base = statistics.median(speeds[name, "tdrm batch"])
            for (target, program), values in speeds.items():
                if target == name:
                    speed = statistics.median(values)
                    low, high = min(values) / 1e6, max(values) / 1e6
                    print(f"{name:10} ({batch}, {length}) {program:12} {speed / 1e6:8.1f} M/s [{low:.1f}, {high:.1f}]  tdrm batch / this = {base / speed:.2f}")


if __name__ == "__main__":
    main()
