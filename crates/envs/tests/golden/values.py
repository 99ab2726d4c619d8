"""Writes gymnasium.json: values of Gymnasium's own transition tables, by numpy.

    python values.py OUT.json            Gymnasium 1.4 (Taxi-v4 and the rest)
    python values.py OUT.json --full F   also every transition, for a comparison that is not committed
Taxi-v3's rain exists in Gymnasium 1.2 only: run it there with --v3 and merge by hand.
"""
import json
import sys

import gymnasium
import numpy as np

GAMMA = 0.95
CASES_V3 = {"Taxi-v3 is_rainy=true": ("Taxi-v3", {"is_rainy": True})}
CASES = {
    "FrozenLake-v1": ("FrozenLake-v1", {}),
    "FrozenLake-v1 map_name=8x8": ("FrozenLake-v1", {"map_name": "8x8"}),
    "FrozenLake-v1 success_rate=0.75": ("FrozenLake-v1", {"success_rate": 0.75}),
    "FrozenLake-v1 map=SFHF/FFFS/HFFG is_slippery=true": ("FrozenLake-v1", {"desc": ["SFHF", "FFFS", "HFFG"]}),
    "FrozenLake-v1 reward_schedule=10/-5/-0.5": ("FrozenLake-v1", {"reward_schedule": (10, -5, -0.5)}),
    "FrozenLake-v1 map_name=8x8 success_rate=0.6 reward_schedule=2/-1/0.1": (
        "FrozenLake-v1",
        {"map_name": "8x8", "success_rate": 0.6, "reward_schedule": (2, -1, 0.1)},
    ),
    "CliffWalking-v1": ("CliffWalking-v1", {}),
    "CliffWalking-v1 is_slippery=true": ("CliffWalking-v1", {"is_slippery": True}),
    "Taxi-v4": ("Taxi-v4", {}),
    "Taxi-v4 is_rainy=true": ("Taxi-v4", {"is_rainy": True}),
    "Taxi-v4 is_rainy=true rainy_probability=0.6": ("Taxi-v4", {"is_rainy": True, "rainy_probability": 0.6}),
}


def arrays(P):
    n, m = len(P), len(P[0])
    p, r = np.zeros((n, m, n)), np.zeros((n, m))
    for s in range(n):
        for a in range(m):
            for q, t, reward, over in P[s][a]:
                r[s, a] += q * reward
                p[s, a, t] += 0.0 if over else q
    return p, r


def values(P):
    p, r = arrays(P)
    uniform = np.linalg.solve(np.eye(len(P)) - GAMMA * p.mean(1), r.mean(1))
    policy = np.zeros(len(P), dtype=int)
    while True:
        rows = np.arange(len(P))
        v = np.linalg.solve(np.eye(len(P)) - GAMMA * p[rows, policy], r[rows, policy])
        q = r + GAMMA * p @ v
        better = q.argmax(1)
        if (q[rows, better] <= q[rows, policy] + 1e-11).all():
            return uniform, v
        policy = better


def main():
    cases, out, full = (CASES_V3 if "--v3" in sys.argv else CASES), {}, {}
    for name, (env_id, kwargs) in cases.items():
        env = gymnasium.make(env_id, **kwargs).unwrapped
        uniform, best = values(env.P)
        step = 7 if len(uniform) > 100 else 1
        out[name] = {"every": step, "v_uniform": uniform[::step].tolist(), "v_star": best[::step].tolist()}
        full[name] = {
            "P": [[[[float(p), int(t), float(r), bool(d)] for p, t, r, d in env.P[s][a]] for a in env.P[s]] for s in env.P],
            "initial": env.initial_state_distrib.tolist(),
        }
    made_by = f"crates/envs/tests/golden/values.py with Gymnasium {gymnasium.__version__}, numpy {np.__version__}"
    json.dump({"made_by": made_by, "gamma": GAMMA, "cases": out}, open(sys.argv[1], "w"), indent=1)
    if "--full" in sys.argv:
        json.dump(full, open(sys.argv[sys.argv.index("--full") + 1], "w"))


main()
