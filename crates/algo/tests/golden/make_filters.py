#!/usr/bin/env python3
"""Makes filters.json: what the logits processors that transformers sets up for a config make of a step.

    pip install torch transformers && python3 make_filters.py > filters.json

Logits are rounded, in half of the cases to one decimal, so that there are ties. Which of two equal tokens top_p drops
first, transformers leaves to torch.sort, which leaves it to the machine: here the sort is made a stable one.
"""

import functools
import json
import random

import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel


class Model(PreTrainedModel, GenerationMixin):
    """Carries the method that sets up the processors."""

    config_class = PretrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.zeros(1))


SETTINGS = [
    {"temperature": 0.7}, {"temperature": 1.9}, {"top_k": 5}, {"top_k": 1}, {"top_p": 0.9}, {"top_p": 0.3},
    {"min_p": 0.1}, {"min_p": 0.0}, {"typical_p": 0.4}, {"typical_p": 0.9}, {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.8}, {"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 3},
    {"min_length": 12}, {"min_new_tokens": 4}, {"suppress_tokens": [1, 2]}, {"begin_suppress_tokens": [0, 3]},
    {"bad_words_ids": [[0], [5], [1, 2], [2, 1, 3]]}, {"sequence_bias": [[[4], 2.0], [[1, 3], -1.5], [[2, 1, 5], 4.0]]},
]


def case(draw):
    config = {"do_sample": draw.random() < 0.9, "eos_token_id": draw.choice([0, [0, 7]]), "top_k": 0}
    for setting in draw.sample(SETTINGS, draw.choice([1, 2, 3, 4])):
        config.update(setting)
    vocabulary = draw.choice([10, 20, 40])
    history = [draw.randrange(6) for _ in range(draw.choice([1, 2, 3, 9, 14]))]
    prompt = draw.randint(1, len(history))
    decimals, spread = draw.choice([1, 4]), draw.choice([0.3, 1, 4])
    logits = [round(draw.gauss(0, spread), decimals) for _ in range(vocabulary)]
    generation = GenerationConfig(**config)
    model = Model(PretrainedConfig(vocab_size=vocabulary))
    model._prepare_special_tokens(generation, False)
    if generation.min_new_tokens is not None:
        generation.min_length = generation.min_new_tokens + prompt  # as `generate` does
    processors = model._get_logits_processor(generation, input_ids_seq_length=prompt)
    scores = processors(torch.tensor([history]), torch.tensor([logits]))[0]
    kept = [i for i, score in enumerate(scores.tolist()) if score > float("-inf")]
    if not kept:
        return None
    probabilities = torch.softmax(scores, -1).tolist()
    return {
        "config": config, "prompt": prompt, "history": history, "logits": logits, "kept": kept,
        "probabilities": [round(probabilities[i], 9) for i in kept],
    }


torch.sort = functools.partial(torch.sort, stable=True)
draw = random.Random(3)
cases = [c for c in (case(draw) for _ in range(320)) if c]
made_by = f"tests/golden/make_filters.py with transformers {transformers.__version__}, torch {torch.__version__}"
print(json.dumps({"made_by": made_by, "cases": cases}, separators=(",", ":")))
