#!/usr/bin/env python3
"""Makes beam.json: what transformers' generate(num_beams) finds in a toy language model.

    pip install torch transformers && python3 make_beam.py > beam.json

The model is a table: the logits after a sequence are row (5 a + b + 11 n) mod R, where a, b are its last two tokens
and n is its length. The file holds the tables, so that tests/sampling.rs can run the same model.
"""

import itertools
import json
import random

import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

PROMPT = [1, 2, 1]


class Toy(PreTrainedModel, GenerationMixin):
    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, table):
        super().__init__(PretrainedConfig(vocab_size=len(table[0])))
        self.weight = torch.nn.Parameter(torch.tensor(table))

    def forward(self, input_ids, **_):
        a, b, n = input_ids[:, -2], input_ids[:, -1], input_ids.shape[1]
        return CausalLMOutput(logits=self.weight[(5 * a + b + 11 * n) % len(self.weight)][:, None])


def table(seed, vocabulary, rows, spread):
    """No row has a number twice: which of two equal tokens comes first, transformers leaves to torch.topk."""
    draw = random.Random(seed)
    scale = round(1000 * spread)
    return [[x / 1000 for x in draw.sample(range(-2 * scale, 2 * scale), vocabulary)] for _ in range(rows)]


def search(model, config):
    vocabulary = model.config.vocab_size
    generation = GenerationConfig(**config, do_sample=False, pad_token_id=vocabulary, use_cache=False)
    with torch.no_grad():
        out = model.generate(
            torch.tensor([PROMPT]), generation_config=generation, return_dict_in_generate=True, output_scores=True
        )
    found = []
    for row, score in zip(out.sequences[:, len(PROMPT):].tolist(), out.sequences_scores.tolist()):
        row = row[: row.index(vocabulary)] if vocabulary in row else row
        found.append({"tokens": row, "score": score})
    return [f for f in found if f["score"] > -1e8]  # below are places that stayed empty


def configs(seed, count):
    grid = itertools.product(
        [2, 3, 4, 7],
        [0.0, 1.0, 2.0, 0.6, -0.5],
        [False, True, "never"],
        [0, [0, 3], None],
        [1, 4, 9],
        [{}, {}, {}, {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}, {"min_new_tokens": 3},
         {"suppress_tokens": [2, 5]}, {"bad_words_ids": [[1, 4], [5]]}, {"sequence_bias": [[[2], -1.0], [[1, 3], 0.5]]}],
    )
    for beams, penalty, early, eos, length, extra in random.Random(seed).sample(list(grid), count):
        yield {
            "num_beams": beams, "num_return_sequences": beams, "length_penalty": penalty, "early_stopping": early,
            "eos_token_id": eos, "max_new_tokens": length, **({} if eos is None and "min_new_tokens" in extra else extra),
        }


models = []
for seed, (vocabulary, rows, spread) in enumerate([(8, 16, 1.0), (24, 48, 2.0), (40, 97, 0.5)]):
    model = Toy(table(seed, vocabulary, rows, spread)).eval()
    cases = [{"config": c, "found": search(model, c)} for c in configs(seed, 90)]
    rounded = [[round(x, 3) for x in row] for row in model.weight.tolist()]
    models.append({"table": rounded, "cases": cases})
made_by = f"tests/golden/make_beam.py with transformers {transformers.__version__}, torch {torch.__version__}"
print(json.dumps({"made_by": made_by, "prompt": PROMPT, "models": models}, separators=(",", ":")))
