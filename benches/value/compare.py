"""Value targets against rlax (jitted) and torchrl, one core, one run.

    cargo build --release -p tdrm-bench-value
    python -m venv /tmp/venv && /tmp/venv/bin/pip install rlax "jax[cpu]" torch torchrl
    /tmp/venv/bin/python benches/value/compare.py [path of the binary] [--scalar f64] [--rounds 3]

Every program is pinned to the same core and measured by its fastest run within a second (ours) or two (the others), in
turn; the table shows the median of the rounds. rlax is measured in both layouts, [B, T] and [T, B], as ours is; torchrl,
where it is installed, in its loops and its vectorised form. V-trace reads log-ratios on both sides.
"""

import argparse
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

parser = argparse.ArgumentParser()
parser.add_argument("binary", nargs="?", default="target/release/tdrm-bench-value")
parser.add_argument("--scalar", choices=["f32", "f64"], default="f32")
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
jax.config.update("jax_enable_x64", args.scalar == "f64")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import rlax  # noqa: E402

SHAPES = [(4096, 128), (8, 32768)]
TARGETS = ["td_lambda", "gae", "n_step", "v_trace"]
GAMMA, LAMBDA, N = 0.99, 0.95, 5
DTYPE = np.float32 if args.scalar == "f32" else np.float64


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
    rewards = rng.standard_normal((batch, length)).astype(DTYPE)
    values = rng.standard_normal((batch, length + 1)).astype(DTYPE)
    log_ratios = (0.5 * rng.standard_normal((batch, length))).astype(DTYPE)
    return rewards, np.full((batch, length), GAMMA, DTYPE), values, log_ratios


def rlax_runs(batch, length):
    formulas = {
        "td_lambda": lambda r, d, v, x: rlax.lambda_returns(r, d, v[1:], LAMBDA),
        "gae": lambda r, d, v, x: rlax.truncated_generalized_advantage_estimation(r, d, LAMBDA, v),
        "n_step": lambda r, d, v, x: rlax.n_step_bootstrapped_returns(r, d, v[1:], N),
        "v_trace": lambda r, d, v, x: rlax.vtrace(v[:-1], v[1:], r, d, jnp.exp(x), LAMBDA) + v[:-1],
    }
    arrays = [jnp.array(x) for x in columns(batch, length)]
    turned = [jnp.array(x.T.copy()) for x in columns(batch, length)]
    for name, formula in formulas.items():
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
    r, _, v, _ = (torch.from_numpy(x) for x in columns(batch, length))
    r, now, then = r[..., None], v[:, :-1, None].contiguous(), v[:, 1:, None].contiguous()
    done = torch.zeros_like(r, dtype=torch.bool)
    for form in ("", "vec_"):
        td = getattr(functional, form + "td_lambda_return_estimate")
        gae = getattr(functional, form + "generalized_advantage_estimate")
        name = "torchrl vec" if form else "torchrl loop"
        yield "td_lambda", name, lambda td=td: td(GAMMA, LAMBDA, then, r, done, done)
        yield "gae", name, lambda gae=gae: gae(GAMMA, LAMBDA, now, then, r, done, done)


def ours(batch, length):
    command = ["taskset", "-c", str(CORE), args.binary, args.scalar, str(batch), str(length)]
    for line in map(json.loads, subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()):
        yield line["target"], f"tdrm {line['form']}", line["elements_per_second"]


def main():
    print(f"{args.scalar}, rlax {rlax.__version__}, jax {jax.__version__}, load {os.getloadavg()}")
    for batch, length in SHAPES:
        speeds = {}
        for _ in range(args.rounds):
            for name, program, speed in ours(batch, length):
                speeds.setdefault((name, program), []).append(speed)
            for runs in (rlax_runs, torchrl_runs):
                for name, program, run in runs(batch, length):
                    speeds.setdefault((name, program), []).append(fastest(run, batch * length))
        for name in TARGETS:
            row_major = statistics.median(speeds[name, "tdrm batch"])
            time_major = statistics.median(speeds[name, "tdrm time major"])
            for (target, program), values in speeds.items():
                if target == name:
                    speed = statistics.median(values)
                    low, high = min(values) / 1e6, max(values) / 1e6
                    print(
                        f"{name:10} ({batch}, {length}) {program:16} {speed / 1e6:8.1f} M/s [{low:.1f}, {high:.1f}]"
                        f"  tdrm batch / this = {row_major / speed:.2f}, tdrm time major / this = {time_major / speed:.2f}"
                    )


if __name__ == "__main__":
    main()
