"""LoRA adapters that PEFT makes, on models that transformers makes: logits, scores and gradients side by side.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers peft
    cargo build --release
    /tmp/venv/bin/python crates/lm/tests/peer/adapters.py target/release/tdrm

Prints the largest difference of each adapter and ends with status 1 if one is above its bound: 5e-5 for logits and
scores, 1e-4 relative for the norm of each gradient. Not run by CI, which has no PEFT.
"""
import os
import sys
import tempfile

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig
from variants import CLASSES, LENGTH, SIZES, agree

TASKS = {"causal": "CAUSAL_LM", "sequence": "SEQ_CLS", "token": "TOKEN_CLS"}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def adapters():
    """Name, model type, kind of head, PEFT's settings, kind of the base model where it is another."""
    for family in ("qwen2", "qwen3", "llama", "mistral", "glm", "glm4"):
        yield family, family, "causal", dict(target_modules=["q_proj", "v_proj"]), None
        yield f"{family} all-linear", family, "causal", dict(target_modules="all-linear"), None
        yield f"{family} classifier", family, "sequence", dict(target_modules=["q_proj", "v_proj"]), None
    yield "rank-stabilised", "llama", "causal", dict(target_modules=ATTENTION, use_rslora=True), None
    yield "patterns", "llama", "causal", dict(target_modules=ATTENTION, rank_pattern={"k_proj": 3, "layers.1.self_attn.q_proj": 5}, alpha_pattern={"v_proj": 7, "layers.2.self_attn.q_proj": 1}), None
    yield "some layers", "llama", "causal", dict(target_modules=ATTENTION, layers_to_transform=[0, 2], layers_pattern="layers"), None
    yield "by expression", "llama", "causal", dict(target_modules=r".*\.(q_proj|down_proj)"), None
    yield "but some", "llama", "causal", dict(target_modules=ATTENTION, exclude_modules=["layers.1.self_attn.q_proj"]), None
    yield "biases of adapted modules", "qwen2", "causal", dict(target_modules=["q_proj", "v_proj"], bias="lora_only"), None
    yield "all biases", "qwen2", "causal", dict(target_modules=["q_proj"], bias="all"), None
    yield "saved modules", "llama", "causal", dict(target_modules=["v_proj"], modules_to_save=["lm_head", "embed_tokens"]), None
    yield "saved tied embedding", "qwen2", "causal", dict(target_modules=["v_proj"], modules_to_save=["embed_tokens"], tied=True), None
    yield "saved tied output", "qwen2", "causal", dict(target_modules=["v_proj"], modules_to_save=["lm_head"], tied=True), None
    yield "saved norms", "qwen3", "causal", dict(target_modules=["v_proj"], modules_to_save=["q_norm", "input_layernorm"]), None
    yield "dropout", "llama", "causal", dict(target_modules=ATTENTION, lora_dropout=0.3), None
    yield "classifier on a language model", "qwen2", "sequence", dict(target_modules=["q_proj", "v_proj"]), "causal"
    yield "3 classes on a language model", "llama", "sequence", dict(target_modules=["q_proj"], labels=3), "causal"
    yield "classes of tokens on a language model", "llama", "token", dict(target_modules=["q_proj"]), "causal"


def make(family, kind, settings, base, directory):
    """The adapted model; writes `directory/base` and `directory/adapter`."""
    labels = settings.pop("labels", 1 if kind == "sequence" else 2)
    config = AutoConfig.for_model(family, **SIZES, num_labels=labels, tie_word_embeddings=settings.pop("tied", False))
    path = os.path.join(directory, "base")
    CLASSES[base or kind].from_config(config).save_pretrained(path)
    model = CLASSES[kind].from_pretrained(path, num_labels=labels)
    settings = {"r": 4, "lora_alpha": 9, "init_lora_weights": False, **settings}
    adapted = get_peft_model(model, LoraConfig(task_type=TASKS[kind], **settings)).eval()
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if values.requires_grad and "lora_" not in name:
                values.add_(torch.randn_like(values) * 0.1)
    adapted.save_pretrained(os.path.join(directory, "adapter"))
    return adapted


def ours(name):
    """Our name of PEFT's parameter."""
    for level in (".default", ".modules_to_save", ".base_layer"):
        name = name.replace(level, "")
    return name if "lora_" in name else name.removeprefix("base_model.model.")


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokens = torch.randint(3, SIZES["vocab_size"], (1, LENGTH), generator=torch.Generator().manual_seed(3))
    agreed = compared = 0
    for name, family, kind, settings, base in adapters():
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as directory:
            adapted = make(family, kind, dict(settings), base, directory)
            flags = ["--adapter", os.path.join(directory, "adapter")]
            agreed += agree(name, sys.argv[1], adapted, os.path.join(directory, "base"), kind, tokens, flags=flags, ours=ours)
        compared += 1
    print(f"PEFT {peft.__version__}: {agreed} of {compared} agree")
    sys.exit(agreed < compared)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
