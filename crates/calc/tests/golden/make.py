"""Makes own.json: the definitions, summed term by term in exact fractions; no recursion, nothing of the library.

    python make.py > own.json
"""

import json
from fractions import Fraction as F
from itertools import combinations
from math import prod

R = [F(1), F(-1, 2), F(2), F(1, 4)]
D = [F(1, 2), F(3, 4), F(1), F(1, 2)]
V = [F(1), F(2), F(-1), F(3), F(5)]
T = len(R)


def window(t, n, discounts=D):
    m = min(n, T - t)
    rewards = sum(prod(discounts[t : t + i]) * R[t + i] for i in range(m))
    return rewards + prod(discounts[t : t + m]) * V[t + m]


def lambda_return(t, lam):
    """(1 - lam) times the sum over n of lam^(n-1) n-step returns, the last with all the rest."""
    weights = [(1 - lam) * lam ** (n - 1) for n in range(1, T - t)] + [lam ** (T - t - 1)]
    return sum(w * window(t, n) for n, w in enumerate(weights, start=1))


def corrected(t, rho, c):
    """V-trace as the sum of the IMPALA paper, eq. 1."""
    total = V[t]
    for s in range(t, T):
        delta = rho[s] * (R[s] + D[s] * V[s + 1] - V[s])
        total += prod(D[t:s]) * prod(c[t:s]) * delta
    return total


def best_of(scores, outcomes, k):
    sets = list(combinations(range(len(scores)), k))
    return sum(outcomes[max(s, key=lambda i: scores[i])] for s in sets) / len(sets)


def value(kind, targets, rewards=R, discounts=D, values=V, **options):
    target = {"kind": kind} | {k: float(v) if isinstance(v, F) else v for k, v in options.items()}
    request = {"op": "value_target", "target": target}
    request |= {"rewards": list(map(float, rewards)), "discounts": list(map(float, discounts)), "values": list(map(float, values))}
    return {"request": request, "answer": {"targets": list(map(float, targets))}}


def cases():
    yield value("td0", [window(t, 1) for t in range(T)])
    for n in (2, 3, 9):
        yield value("n_step", [window(t, n) for t in range(T)], n=n)
    yield value("monte_carlo", [window(t, T) for t in range(T)])
    for lam in (F(0), F(1, 4), F(1)):
        yield value("td_lambda", [lambda_return(t, lam) for t in range(T)], **{"lambda": lam})
        case = value("gae", [lambda_return(t, lam) for t in range(T)], **{"lambda": lam})
        case["answer"]["advantages"] = [float(lambda_return(t, lam) - V[t]) for t in range(T)]
        yield case
    one = [F(1)] * T
    yield value("v_trace", [corrected(t, one, one) for t in range(T)])
    tdrm = [F(4, 5)] * T
    yield value("tdrm", [min(max(window(t, 2, tdrm), 0), 1) for t in range(T)], n=2)
    scores, outcomes = [F(1, 2), F(1, 8), F(7, 8), F(1, 4), F(3, 4)], [F(1), F(0), F(0), F(1), F(1)]
    for k in range(1, 6):
        request = {"op": "best_of_k", "scores": list(map(float, scores)), "outcomes": list(map(float, outcomes)), "k": k}
        yield {"request": request, "answer": {"best_of_k": float(best_of(scores, outcomes, k))}}
    group, others = [F(3), F(1), F(-1), F(5)], lambda i: [x for j, x in enumerate([F(3), F(1), F(-1), F(5)]) if j != i]
    for kind, rule in [("leave_one_out", lambda i: group[i] - sum(others(i)) / 3), ("group_mean", lambda i: group[i] - sum(group) / 4)]:
        request = {"op": "advantage", "estimator": {"kind": kind}, "rewards": list(map(float, group)), "groups": [9, 9, 9, 9]}
        yield {"request": request, "answer": {"advantages": [float(rule(i)) for i in range(4)]}}


print(json.dumps({"made_by": "crates/calc/tests/golden/make.py, Python fractions", "cases": list(cases())}, indent=1))
