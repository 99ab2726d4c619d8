#!/usr/bin/env python3
"""Speed of tdrm-verify against Math-Verify: the same unique inputs, one thread each, in one run.

    python3 -m venv /tmp/mv && /tmp/mv/bin/pip install 'math-verify[antlr4_13_2]'
    cargo build --release -p tdrm-bench-verify
    /tmp/mv/bin/python benches/verify/compare.py --binary target/release/tdrm-bench-verify --golden ../shared/golden/verify

For each set both sides judge every unique pair from its text: extraction, parsing and comparison. Math-Verify runs once
over each set (its caches never see a pair twice) with its default time-outs, timed in CPU seconds of the process; ours
runs for --seconds. Prints one JSON line per set.
"""
import argparse, json, os, subprocess, tempfile, time

SETS = {
    "real": ["real_outputs_qwen800.json", "real_outputs_gsm1200.json"],
    "suite": ["suite_cases.json"],
    "gold": ["gold_pairs.json"],
    "constructed": ["metamorphic.json"],
}


def pairs_of(folder, files):
    seen = {}
    for name in files:
        with open(os.path.join(folder, name)) as f:
            for case in json.load(f):
                gold, pred = case.get("gold"), case.get("pred")
                if isinstance(gold, str) and isinstance(pred, str):
                    seen[(gold, pred)] = None
    return list(seen)


def math_verify(pairs):
    from math_verify import parse, verify
    parse("$1$")  # imports and grammar tables
    correct = 0
    start = time.process_time()
    for gold, pred in pairs:
        try:
            g = parse(gold)
            if "$" not in gold and not g:
                g = parse(f"${gold}$")
            p = parse(pred)
            correct += bool(verify(g, p))
        except Exception:
            pass
    return len(pairs) / (time.process_time() - start), correct


def ours(pairs, binary, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as f:
        for gold, pred in pairs:
            f.write(json.dumps({"gold": gold, "pred": pred}) + "\n")
    out = subprocess.run([binary, f.name, "--seconds", str(seconds)], capture_output=True, text=True, check=True).stdout
    os.unlink(f.name)
    return json.loads(out)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--binary", required=True)
    args.add_argument("--golden", required=True)
    args.add_argument("--seconds", type=float, default=2.0)
    args = args.parse_args()
    for name, files in SETS.items():
        pairs = pairs_of(args.golden, files)
        theirs, agreed = math_verify(pairs)
        mine = ours(pairs, args.binary, args.seconds)
        print(json.dumps({
            "set": name, "pairs": len(pairs), "mean_characters": round(sum(len(p) for _, p in pairs) / len(pairs)),
            "math_verify_pairs_per_cpu_s": round(theirs, 1), "math_verify_correct": agreed,
            "tdrm_pairs_per_cpu_s": round(mine["pairs_per_cpu_second"]), "tdrm_correct": mine["correct"],
            "ratio": round(mine["pairs_per_cpu_second"] / theirs, 1),
            "p50_us": mine["p50_us"], "p99_us": mine["p99_us"], "p99_9_us": mine["p99_9_us"], "max_us": mine["max_us"],
            "scaling_2_threads": round(mine["scaling"], 3),
        }), flush=True)


if __name__ == "__main__":
    main()
