"""Texts that transformers generates on models and with settings drawn at random, and ours: tokens, and the log-probabilities of samples.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    cargo build --release
    /tmp/venv/bin/python crates/lm/tests/peer/generations.py target/release/tdrm

Settings go through the checkpoint's generation_config.json. Greedy and beam searches must give the same tokens, unless
transformers itself had two candidates within 1e-4 of each other; for samples, which come of another generator, transformers
scores our tokens: within 1e-4. Ends with status 1 if one differs. Not run by CI, which has no transformers.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, LogitsProcessorList
from variants import SIZES, variants

VOCABULARY, RUNS = 29, 300
CHOICES = dict(
    repetition_penalty=[1.0, 1.0, 1.3, 0.8], no_repeat_ngram_size=[0, 0, 2, 3], min_new_tokens=[None, None, 4], min_length=[0, 0, 9],
    suppress_tokens=[None, None, [5, 9]], begin_suppress_tokens=[None, None, [1, 7]], bad_words_ids=[None, None, [[4, 8], [11]]],
    sequence_bias=[None, None, [[[6], 1.5], [[3, 10], -2.0]]], eos_token_id=[1, [1, 12], [2, 3, 4]], max_new_tokens=[12, 20],
)  # fmt: skip
SAMPLING = dict(temperature=[1.0, 0.6, 1.7], top_k=[0, 5, 50], top_p=[1.0, 0.8, 0.3], min_p=[None, 0.1], typical_p=[1.0, 0.7])
BEAMS = dict(num_beams=[2, 3, 5], length_penalty=[1.0, 0.0, 2.0, -1.0], early_stopping=[False, True, "never"])


def make(family, changes, directory):
    config = AutoConfig.for_model(family, **{**SIZES, "vocab_size": VOCABULARY, "initializer_range": 0.3, **changes})
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def ours(binary, directory, prompts):
    lines = "".join(json.dumps({"tokens": prompt}) + "\n" for prompt in prompts)
    run = subprocess.run([binary, "lm", "generate", "--model", directory], input=lines, capture_output=True, text=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if len(answers) != len(prompts) or any("error" in answer for answer in answers):
        raise RuntimeError(run.stderr.strip() or str(answers))
    return answers


def scored(model, config, prompt, tokens):
    """Log-probabilities of tokens under the distributions that transformers would draw them from, and at temperature 1."""
    whole = torch.tensor([prompt + tokens])
    logits = model(whole).logits[0].float()
    model._prepare_special_tokens(config, True, device=logits.device)
    if config.min_new_tokens is not None:
        config.min_length = config.min_new_tokens + len(prompt)  # as `generate` does
    processors = model._get_logits_processor(generation_config=config, input_ids_seq_length=len(prompt), encoder_input_ids=whole[:, : len(prompt)],
                                             prefix_allowed_tokens_fn=None, logits_processor=LogitsProcessorList(), device="cpu", model_kwargs={})  # fmt: skip
    drawn, plain = [], []
    for i, token in enumerate(tokens):
        at = len(prompt) + i
        z = logits[at - 1 : at]
        drawn.append(processors(whole[:, :at], z.clone()).log_softmax(-1)[0, token].item())
        plain.append(z.log_softmax(-1)[0, token].item())
    return drawn, plain


def differs(binary, model, directory, settings, prompts):
    """What differs, or nothing."""
    config = GenerationConfig(**settings, pad_token_id=0)
    config.save_pretrained(directory)
    answers = ours(binary, directory, prompts)
    for prompt, answer in zip(prompts, answers):
        if settings["do_sample"]:
            drawn, plain = scored(model, config, prompt, answer["tokens"])
            for name, wanted in (("log_probs", drawn), ("log_probs_full", plain)):
                off = max(abs(a - b) for a, b in zip(answer[name], wanted))
                if off > 1e-4:
                    return f"{name} off by {off:.1e}"
            continue
        output = model.generate(torch.tensor([prompt]), generation_config=config, output_scores=True, return_dict_in_generate=True)
        wanted = output.sequences[0, len(prompt) :].tolist()
        if settings.get("num_beams", 1) > 1:
            while wanted and wanted[-1] == 0 != answer["tokens"][-1]:
                wanted.pop()
            score = output.sequences_scores[0].item()
            if abs(score - answer["score"]) > 1e-4 * max(1, abs(score)):
                return f"score {answer['score']} of {answer['tokens']}, {score} of {wanted}"
        if wanted != answer["tokens"]:
            best = [s[0].float().topk(2).values for s in output.scores]
            gap = min((b[0] - b[1]).item() for b in best)
            if gap > 1e-4 or settings.get("num_beams", 1) > 1:
                return f"{answer['tokens']} for {wanted}"
    return ""


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rng, failed, kinds = random.Random(2), 0, ("greedy", "beams", "samples")
    causal = [variant for variant in variants() if variant[2] == "causal"]
    for i in range(RUNS):
        torch.manual_seed(i)
        name, family, _, changes = rng.choice(causal)
        kind = kinds[i % 3]
        settings = {name: rng.choice(values) for name, values in {**CHOICES, **({"greedy": {}, "beams": BEAMS, "samples": SAMPLING}[kind])}.items()}
        settings = {name: value for name, value in settings.items() if value is not None}
        prompts = [[rng.randrange(3, VOCABULARY) for _ in range(rng.randint(1, 8))] for _ in range(6)]
        with tempfile.TemporaryDirectory() as directory:
            model = make(family, changes, directory)
            try:
                difference = differs(sys.argv[1], model, directory, {"do_sample": kind == "samples", **settings}, prompts)
            except RuntimeError as error:
                difference = str(error)
        failed += bool(difference)
        shown = {name: value for name, value in settings.items() if value != CHOICES.get(name, [None])[0]}
        print(f"{i:3} {name:20} {kind:8} {'<<< ' + difference + ' ' + str(shown) if difference else ''}", flush=True)
    print(f"transformers {transformers.__version__}: {RUNS - failed} of {RUNS} agree")
    sys.exit(failed > 0)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with torch.inference_mode():
        main()
