#!/usr/bin/env python3
"""Steps per CPU-second of the environments, side by side with Gymnasium.

    cargo build --release -p tdrm-bench-envs
    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gymnasium numpy
    /tmp/venv/bin/python benches/envs/compare.py --binary target/release/tdrm-bench-envs

Gymnasium runs its own vector environment for CartPole (numpy over --envs environments at once), and its toy text and
MountainCar environments as gymnasium.make returns them and, stripped of all wrappers, as `bare`. Actions are drawn beforehand on both sides.
Rounds alternate; the table gives medians of steps per CPU-second and of the ratio within a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

# one thread, as the other side
os.environ.update({v: "1" for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})

SINGLE = {
    "FrozenLake-v1": ("FrozenLake-v1", {}),
    "CliffWalking-v1": ("CliffWalking-v1", {}),
    "Taxi-v4": ("Taxi-v4", {}),
    "Blackjack-v1": ("Blackjack-v1", {}),
    "MountainCar-v0": ("MountainCar-v0", {}),
}


def timed(run, steps):
    start = time.process_time()
    run()
    return steps / (time.process_time() - start)


def single(env, steps):
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(4096)]

    def run():
        env.reset(seed=2)
        for i in range(steps):
            _, _, terminated, truncated, _ = env.step(actions[i % 4096])
            if terminated or truncated:
                env.reset()

    return timed(run, steps)


def cart_pole(envs, steps):
    import gymnasium

    env = gymnasium.make_vec("CartPole-v1", num_envs=envs, vectorization_mode="vector_entry_point")
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(64)]
    env.reset(seed=2)
    rounds = steps // envs

    def run():
        for i in range(rounds):
            env.step(actions[i % 64])

    return timed(run, rounds * envs)


def ours(binary, steps):
    lines = subprocess.run([binary, "--rounds", "1", "--steps", str(steps)], check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in lines.stdout.splitlines()]
    return {row["environment"]: row["steps_per_cpu_second"] for row in rows}


def theirs(vector_sizes):
    import gymnasium

    rates = {}
    for name, (env_id, kwargs) in SINGLE.items():
        rates[name] = single(gymnasium.make(env_id, **kwargs), 50_000)
        rates[name + " bare"] = single(gymnasium.make(env_id, **kwargs).unwrapped, 50_000)
    for envs in vector_sizes:
        rates[f"CartPole-v1 vector of {envs}"] = cart_pole(envs, 4_000_000 if envs > 100 else 1_000_000)
    return rates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000_000)
    parser.add_argument("--envs", type=int, nargs="+", default=[64, 1024, 8192])
    args = parser.parse_args()
    mine, peers, ratios = {}, {}, {}
    for _ in range(args.rounds):
        a, b = ours(args.binary, args.steps), theirs(args.envs)
        for name, rate in a.items():
            mine.setdefault(name, []).append(rate)
        for name, rate in b.items():
            peers.setdefault(name, []).append(rate)
            ratios.setdefault(name, []).append(a[name.removesuffix(" bare")] / rate)
    import gymnasium
    import numpy

    print(f"Gymnasium {gymnasium.__version__}, numpy {numpy.__version__}, Python {sys.version.split()[0]}, {args.rounds} rounds")
    print("\n| tdrm-envs | M steps per CPU-second (median, min to max) |\n|---|---|")
    for name, rates in mine.items():
        print(f"| {name} | {statistics.median(rates) / 1e6:.1f} ({min(rates) / 1e6:.1f} to {max(rates) / 1e6:.1f}) |")
    print("\n| Gymnasium | M steps per CPU-second | ratio tdrm / Gymnasium (median, min to max) |\n|---|---|---|")
    for name, rates in peers.items():
        r = ratios[name]
        print(f"| {name} | {statistics.median(rates) / 1e6:.3f} | {statistics.median(r):.1f} ({min(r):.1f} to {max(r):.1f}) |")


if __name__ == "__main__":
    main()
