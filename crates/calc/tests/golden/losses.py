#!/usr/bin/env python3
"""Makes losses.json: losses by plain arithmetic, gradients by central differences at 50 digits.

    python3 crates/calc/tests/golden/losses.py > crates/calc/tests/golden/losses.json
"""

import json
from decimal import Decimal, getcontext

getcontext().prec = 60
D = Decimal
STEP = D(10) ** -20

LOGP = [["-0.5", "-1.25", "-2"], ["-0.75", "-0.125"]]
OLD = [["-0.75", "-1", "-2.5"], ["-0.5", "-0.25"]]
REF = [["-0.625", "-1.5", "-1.75"], ["-1", "-0.5"]]
ADVANTAGES = ["1.5", "-0.75"]


def d(rows):
    return [[D(x) for x in row] for row in rows]


def clip(x, low, high):
    return max(low, min(high, x))


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def grpo(logp):
    total = D(0)
    for row, old, ref, a in zip(logp, d(OLD), d(REF), map(D, ADVANTAGES)):
        tokens = D(0)
        for p, o, r in zip(row, old, ref):
            ratio = (p - o).exp()
            k3 = (r - p).exp() - (r - p) - 1
            tokens += -min(ratio * a, clip(ratio, D("0.8"), D("1.2")) * a) + D("0.04") * k3
        total += tokens / len(row)
    return total / len(logp)


def gspo(logp):
    total = D(0)
    for row, old, a in zip(logp, d(OLD), map(D, ADVANTAGES)):
        ratio = (sum(p - o for p, o in zip(row, old)) / len(row)).exp()
        total += -min(ratio * a, clip(ratio, D("0.8"), D("1.2")) * a)
    return total / len(logp)


def dr_grpo(logp):
    tokens = D(0)
    for row, old, a in zip(logp, d(OLD), map(D, ADVANTAGES)):
        tokens += sum(-min((p - o).exp() * a, clip((p - o).exp(), D("0.8"), D("1.2")) * a) for p, o in zip(row, old))
    return tokens / 16


def gmpo(logp):
    total = D(0)
    for row, old, a in zip(logp, d(OLD), map(D, ADVANTAGES)):
        bounded = [min(p - o, D("0.4")) if a > 0 else max(p - o, D("-0.4")) for p, o in zip(row, old)]
        total += -a * (sum(bounded) / len(row)).exp()
    return total / len(logp)


def sapo(logp):
    tokens, n = D(0), 0
    for row, old, a in zip(logp, d(OLD), map(D, ADVANTAGES)):
        tau = D(1) if a > 0 else D("1.05")
        tokens += sum(-4 / tau * sigmoid(tau * ((p - o).exp() - 1)) * a for p, o in zip(row, old))
        n += len(row)
    return tokens / n


def kimi(logp):
    total = D(0)
    for row, old, a in zip(logp, d(OLD), map(D, ADVANTAGES)):
        total += (a - D("0.5") * sum(p - o for p, o in zip(row, old))) ** 2
    return total / len(logp)


def margin(logp):
    ref = d(REF)
    return sum(logp[0]) - sum(ref[0]) - sum(logp[1]) + sum(ref[1])


def dpo(logp):
    return -sigmoid(D("0.1") * margin(logp)).ln()


def cdpo(logp):
    z = D("0.1") * margin(logp)
    return -D("0.9") * sigmoid(z).ln() - D("0.1") * sigmoid(-z).ln()


def ipo(logp):
    return (margin(logp) - 5) ** 2


def simpo(logp):
    mean = [sum(row) / len(row) for row in logp]
    return -sigmoid(2 * (mean[0] - mean[1]) - D("0.5")).ln()


def orpo(logp):
    mean = [sum(row) / len(row) for row in logp]
    odds = [m - (1 - m.exp()).ln() for m in mean]
    return -mean[0] - D("0.25") * sigmoid(odds[0] - odds[1]).ln()


def clipped(low, high, aggregation, ratio="token", **more):
    return {"ratio": ratio, "surrogate": {"kind": "ppo_clip", "low": low, "high": high}, "aggregation": aggregation, **more}


OBJECTIVES = [
    (grpo, clipped(0.2, 0.2, "sequence_mean_token_mean", kl={"estimator": "k3", "coefficient": 0.04})),
    (gspo, clipped(0.2, 0.2, "sequence_mean", ratio="sequence_mean")),
    (dr_grpo, clipped(0.2, 0.2, {"kind": "constant", "denominator": 16})),
    (gmpo, {"preset": "gmpo"}),
    (sapo, {"preset": "sapo", "aggregation": "token_mean"}),
    (kimi, {"preset": "kimi", "surrogate": {"kind": "mirror_descent", "tau": 0.5}}),
]
PREFERENCES = [
    (dpo, {"kind": "dpo", "beta": 0.1}),
    (cdpo, {"kind": "cdpo", "beta": 0.1, "label_smoothing": 0.1}),
    (ipo, {"kind": "ipo", "beta": 0.1}),
    (simpo, {"kind": "simpo", "beta": 2.0, "gamma": 0.5}),
    (orpo, {"kind": "orpo", "beta": 0.25}),
]


def gradient(loss):
    def slope(i, t):
        up, down = d(LOGP), d(LOGP)
        up[i][t] += STEP
        down[i][t] -= STEP
        return float((loss(up) - loss(down)) / (2 * STEP))

    return [[slope(i, t) for t in range(len(row))] for i, row in enumerate(LOGP)]


def main():
    numbers = lambda rows: [[float(x) for x in row] for row in rows]
    logp, old, ref = numbers(LOGP), numbers(OLD), numbers(REF)
    sequences = [
        {"logp": p, "old_logp": o, "ref_logp": r, "advantages": float(a)} for p, o, r, a in zip(logp, old, ref, ADVANTAGES)
    ]
    pair = {"chosen": logp[0], "rejected": logp[1], "ref_chosen": ref[0], "ref_rejected": ref[1]}
    cases = []
    for loss, objective in OBJECTIVES:
        answer = {"loss": float(loss(d(LOGP))), "dlogp": gradient(loss)}
        cases.append({"request": {"op": "objective", "objective": objective, "sequences": sequences}, "answer": answer})
    for loss, kind in PREFERENCES:
        slopes = gradient(loss)
        answer = {"loss": float(loss(d(LOGP))), "dchosen": [slopes[0]], "drejected": [slopes[1]]}
        cases.append({"request": {"op": "preference", "loss": kind, "pairs": [pair]}, "answer": answer})
    made_by = "crates/calc/tests/golden/losses.py: decimal arithmetic with 60 digits, central differences of 1e-20"
    print(json.dumps({"made_by": made_by, "cases": cases}, indent=1))


main()
