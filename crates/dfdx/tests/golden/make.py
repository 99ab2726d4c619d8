#!/usr/bin/env python3
"""Makes tiny_models.json: logits and an AdamW trajectory of two tiny models, by transformers and PyTorch.

    pip install torch transformers && python3 make.py > tiny_models.json

The weights come from an integer formula that tests/tiny_models.rs repeats, so the file holds results only.
"""

import json

import torch
import transformers

SHAPE = {
    "vocab_size": 19, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
}
MODELS = [
    ("llama", transformers.LlamaConfig, transformers.LlamaForCausalLM, {"tie_word_embeddings": False, "rope_theta": 500.0}),
    ("qwen2", transformers.Qwen2Config, transformers.Qwen2ForCausalLM, {"tie_word_embeddings": True, "rope_theta": 10000.0}),
]
TOKENS = [(5 * i * i + 3 * i + 1) % 19 for i in range(40)]


def weights(name, shape):
    """Multiples of 1/1024 in [-1/2, 1/2), by a hash of the name and the index; norms around 1."""
    seed = 0
    for byte in name.encode():
        seed = (seed * 31 + byte) % 2**32
    count = torch.Size(shape).numel()
    values = [(((i + seed) * 2654435761 % 2**32) >> 12) % 1024 / 1024 - 0.5 for i in range(count)]
    return torch.tensor(values).reshape(shape) + (1.0 if "norm" in name else 0.0)


def case(name, config, model, extra):
    theta = extra.pop("rope_theta")
    model = model(config(**SHAPE, **extra, rope_parameters={"rope_type": "default", "rope_theta": theta}))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(weights(key, parameter.shape))
    ids = torch.tensor([TOKENS])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    logits, steps = model(ids).logits[0].detach(), []
    for _ in range(5):
        log_probs = torch.log_softmax(model(ids).logits[0, :-1], -1)
        loss = -log_probs.gather(1, ids[0, 1:, None]).mean()
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps.append({"loss": loss.item(), "gradient_norm": norm.item()})
    return {"architecture": name, "rope_theta": theta, **extra, "last_logits": logits[-1].tolist(), "steps": steps}


torch.manual_seed(0)
cases = [case(*model) for model in MODELS]
made_by = f"tests/golden/make.py with transformers {transformers.__version__}, torch {torch.__version__}"
print(json.dumps({"made_by": made_by, "tokens": TOKENS, "cases": cases}, indent=1))
