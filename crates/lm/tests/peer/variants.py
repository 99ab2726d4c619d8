"""Random models of every family and switch that tdrm-lm knows, made by transformers: logits, scores and gradients side by side.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    cargo build --release
    /tmp/venv/bin/python crates/lm/tests/peer/variants.py target/release/tdrm

Prints the largest difference of each variant and ends with status 1 if one is above its bound: 5e-5 for logits and
scores, 1e-4 relative for the norm of each gradient. Not run by CI, which has no transformers.
"""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification

CLASSES = {"causal": AutoModelForCausalLM, "sequence": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification}
SIZES = dict(
    vocab_size=211, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, initializer_range=0.08, pad_token_id=0, eos_token_id=1, bos_token_id=2,
)  # fmt: skip
LENGTH = 40


def variants():
    """Name, model type, kind of head, changes of the configuration."""
    for family in ("qwen2", "qwen3", "llama", "mistral", "glm", "glm4"):
        yield family, family, "causal", {}
        yield f"{family} tied", family, "causal", dict(tie_word_embeddings=True)
        yield f"{family} one key head", family, "causal", dict(num_key_value_heads=1)
        yield f"{family} all key heads", family, "causal", dict(num_key_value_heads=4)
        yield f"{family} head_dim", family, "causal", dict(head_dim=16)
        yield f"{family} theta", family, "causal", dict(rope_theta=1e6)
        yield f"{family} epsilon", family, "causal", dict(rms_norm_eps=1e-3)
        yield f"{family} linear", family, "causal", dict(rope_scaling={"rope_type": "linear", "factor": 2.0})
        yield f"{family} 3 classes", family, "sequence", dict(num_labels=3)
        yield f"{family} 1 class", family, "sequence", dict(num_labels=1)
        yield f"{family} 2 classes of tokens", family, "token", dict(num_labels=2)
    for family in ("qwen2", "qwen3", "llama", "mistral"):
        yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
        yield f"{family} yarn", family, "causal", dict(rope_scaling=yarn)
        yarn = {**yarn, "original_max_position_embeddings": 32, "beta_fast": 16, "beta_slow": 2, "attention_factor": 0.8}
        yield f"{family} yarn betas", family, "causal", dict(rope_scaling=yarn)
        yarn = {"rope_type": "yarn", "factor": 2.0, "mscale": 1.0, "mscale_all_dim": 0.7, "original_max_position_embeddings": 32}
        yield f"{family} yarn mscale", family, "causal", dict(rope_scaling=yarn)
        llama3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
        yield f"{family} llama3", family, "causal", dict(rope_scaling={"rope_type": "llama3", **llama3})
        yield f"{family} dynamic", family, "causal", dict(rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    window = dict(use_sliding_window=True, sliding_window=7)
    yield "qwen2 window", "qwen2", "causal", dict(**window, max_window_layers=1)
    yield "qwen3 window", "qwen3", "causal", dict(**window, max_window_layers=2)
    yield "qwen2 layer types", "qwen2", "causal", dict(**window, layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    yield "mistral window", "mistral", "causal", dict(sliding_window=6)
    yield "mistral no window", "mistral", "causal", dict(sliding_window=None)
    yield "llama biases", "llama", "causal", dict(attention_bias=True, mlp_bias=True)
    yield "qwen3 biases", "qwen3", "causal", dict(attention_bias=True)
    yield "glm no biases", "glm", "causal", dict(attention_bias=False)
    yield "glm4 biases", "glm4", "causal", dict(attention_bias=True)
    yield "glm all rotary", "glm", "causal", dict(partial_rotary_factor=1.0)
    yield "glm4 quarter rotary", "glm4", "causal", dict(partial_rotary_factor=0.25, head_dim=16)
    yield "llama wide heads", "llama", "causal", dict(head_dim=24)


def ask(binary, command, directory, request):
    run = subprocess.run([binary, *command, "--model", directory], input=json.dumps(request) + "\n", capture_output=True, text=True)
    answer = json.loads(run.stdout) if run.stdout.strip() else {"error": run.stderr.strip()}
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def compare(binary, model, directory, kind, tokens, flags=(), ours=str):
    """Largest difference of logits or scores between a model and what the binary makes of a directory with `flags`, and the
    largest relative one of gradient norms (0 for classifiers); `ours` is our name of a parameter."""
    output = model(input_ids=tokens, labels=tokens) if kind == "causal" else model(input_ids=tokens)
    logits, ids = output.logits[0].detach(), tokens[0].tolist()
    if kind == "sequence":
        z = logits.reshape(-1)
        wanted = z[0] if len(z) == 1 else z.softmax(0)[-1]
        return abs(wanted.item() - ask(binary, ["score", *flags], directory, {"tokens": ids})["score"]), 0.0
    if kind == "token":
        request = {"tokens": ids, "step_ends": list(range(1, len(ids) + 1))}
        got = ask(binary, ["score", *flags], directory, request)["step_scores"]
        return (torch.tensor(got) - logits.softmax(1)[:, -1]).abs().max().item(), 0.0
    got = torch.tensor(ask(binary, ["lm", "logits", *flags], directory, {"tokens": ids})["logits"])
    output.loss.backward()
    norms = ask(binary, ["lm", "grads", *flags], directory, {"tokens": ids})["grad_norms"]
    wanted = {ours(name): p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    if set(norms) != set(wanted):
        raise RuntimeError(f"gradients of {sorted(set(norms) ^ set(wanted))} on one side only")
    off = max(abs(norms[name] - norm) / max(norm, 1e-6) for name, norm in wanted.items())
    return (got - logits).abs().max().item(), off


def agree(name, *arguments, **options):
    """Compares, prints a line, and says whether both differences are within their bounds."""
    try:
        logits, gradients = compare(*arguments, **options)
    except RuntimeError as error:
        logits, gradients = float("inf"), 0.0
        print(str(error)[:400])
    fine = logits <= 5e-5 and gradients <= 1e-4
    print(f"{name:38} {logits:8.1e} {gradients:8.1e} {'' if fine else '<<<'}", flush=True)
    return fine


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokens = torch.randint(0, SIZES["vocab_size"], (1, LENGTH), generator=torch.Generator().manual_seed(3))
    tokens[0, [7, -1]] = SIZES["pad_token_id"]  # its embedding is not trained, and no classifier reads it at the end
    agreed = compared = 0
    for name, family, kind, changes in variants():
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as directory:
            try:
                model = CLASSES[kind].from_config(AutoConfig.for_model(family, **{**SIZES, **changes}))
                with torch.no_grad():
                    for parameter, values in model.named_parameters():
                        if "norm" in parameter or parameter.endswith("bias"):
                            values.add_(torch.randn_like(values) * 0.1)
                model.save_pretrained(directory)
            except Exception as error:  # not every version of transformers makes every variant
                print(f"{name:38} transformers does not make it: {str(error)[:80]}")
                continue
            model = CLASSES[kind].from_pretrained(directory).eval()
            agreed += agree(name, sys.argv[1], model, directory, kind, tokens)
            compared += 1
    print(f"transformers {transformers.__version__}: {agreed} of {compared} agree")
    sys.exit(agreed < compared)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
