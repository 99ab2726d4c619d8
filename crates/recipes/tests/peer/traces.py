"""Runs of TRL's GRPO and DPO trainers under every setting that `tdrm train replay` knows: recorded here, replayed by tdrm.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers trl
    cargo build --release
    /tmp/venv/bin/python crates/recipes/tests/peer/traces.py target/release/tdrm

With `--keep DIR` and names it records those runs only and leaves them in DIR, as for the tests of this crate:

    traces.py --keep crates/recipes/tests "grpo together" "dpo together"

Each run trains a small random model for a few steps. Prints the largest difference of losses, gradient norms (relative)
and final weights of each, and ends with status 1 if tdrm says that one does not agree. Not run by CI, which has no TRL.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import torch
import transformers
import trl
from datasets import Dataset
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback

VOCABULARY = 31
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.1, pad_token_id=0, eos_token_id=1, bos_token_id=2,
)  # fmt: skip
COMMON = dict(
    learning_rate=5e-4, max_steps=4, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, bf16=False,
    disable_tqdm=True, gradient_checkpointing=False, per_device_train_batch_size=8, logging_nan_inf_filter=False,
)  # fmt: skip
TWICE = dict(num_iterations=2)
TENSORS = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "num_items_in_batch", "tool_mask")
TENSORS += ("old_per_token_logps", "ref_per_token_logps", "input_ids", "attention_mask")


def runs():
    """Name, trainer, model type, settings."""
    for family in ("qwen2", "qwen3", "llama", "mistral", "glm", "glm4"):
        yield f"grpo {family}", "grpo", family, dict(TWICE, loss_type="grpo", beta=0.04)
        yield f"dpo {family}", "dpo", family, {}
    yield "grpo tied", "grpo", "qwen2 tied", dict(TWICE)
    yield "dpo tied", "dpo", "qwen2 tied", {}
    for loss in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo"):
        yield f"grpo {loss}", "grpo", "qwen2", dict(TWICE, loss_type=loss)
        yield f"grpo {loss} kl", "grpo", "qwen2", dict(TWICE, loss_type=loss, beta=0.1, use_bias_correction_kl=False)
        yield f"grpo {loss} accumulated", "grpo", "qwen2", dict(loss_type=loss, gradient_accumulation_steps=2, beta=0.02)
        reuse = dict(loss_type=loss, steps_per_generation=4, per_device_train_batch_size=4, beta=0.02)
        yield f"grpo {loss} reused", "grpo", "qwen2", dict(reuse, gradient_accumulation_steps=2)
        yield f"grpo {loss} truncated", "grpo", "qwen2", dict(TWICE, loss_type=loss, mask_truncated_completions=True)
        yield f"grpo {loss} entropy bonus", "grpo", "qwen2", dict(TWICE, loss_type=loss, entropy_coef=0.05)
        yield f"grpo {loss} top entropy", "grpo", "qwen2", dict(TWICE, loss_type=loss, top_entropy_quantile=0.3, beta=0.1)
        yield f"grpo {loss} off-policy mask", "grpo", "qwen2", dict(TWICE, loss_type=loss, off_policy_mask_threshold=0.02)
    for loss in ("grpo", "luspo", "bnpo", "dapo", "sapo", "cispo"):
        sequence = dict(TWICE, loss_type=loss, importance_sampling_level="sequence")
        yield f"grpo {loss} by sequence", "grpo", "qwen2", sequence
        yield f"grpo {loss} by sequence kl", "grpo", "qwen2", dict(sequence, beta=0.1)
    yield "grpo luspo by token", "grpo", "qwen2", dict(TWICE, loss_type="luspo")
    yield "grpo gspo", "grpo", "qwen2", dict(TWICE, loss_type="grpo", importance_sampling_level="sequence", epsilon=3e-4, epsilon_high=4e-4)
    yield "grpo clip higher", "grpo", "qwen2", dict(TWICE, epsilon=0.1, epsilon_high=0.28)
    yield "grpo two-sided", "grpo", "qwen2", dict(TWICE, loss_type="grpo", delta=1.3)
    yield "grpo minimax", "grpo", "qwen2", dict(TWICE, loss_type="cispo", epsilon_high=1.2)
    yield "grpo sapo temperatures", "grpo", "qwen2", dict(TWICE, loss_type="sapo", sapo_temperature_pos=0.7, sapo_temperature_neg=2.0)
    gamma = dict(vespo_k_pos=1.5, vespo_lambda_pos=2.0, vespo_k_neg=2.5, vespo_lambda_neg=1.0)
    yield "grpo vespo gammas", "grpo", "qwen2", dict(TWICE, loss_type="vespo", **gamma)
    # Behind equal prefixes entropies are equal: a cut among those, as at 0.4 here, is decided by rounding.
    yield "grpo entropy of the top", "grpo", "qwen2", dict(TWICE, top_entropy_quantile=0.35, entropy_coef=0.1)
    yield "grpo temperature", "grpo", "qwen2", dict(TWICE, temperature=0.7, beta=0.1)
    yield "grpo raw advantages", "grpo", "qwen2", dict(TWICE, scale_rewards="none")
    yield "grpo batch advantages", "grpo", "qwen2", dict(TWICE, scale_rewards="batch")
    yield "grpo decay", "grpo", "qwen2", dict(TWICE, weight_decay=0.3)
    yield "grpo optimiser", "grpo", "qwen2", dict(TWICE, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-5, max_grad_norm=0.1)
    yield "grpo no clipping", "grpo", "qwen2", dict(TWICE, max_grad_norm=0.0)
    yield "grpo cosine", "grpo", "qwen2", dict(TWICE, lr_scheduler_type="cosine", warmup_steps=2)
    smooth = dict(label_smoothing=0.1)
    for loss, settings in (
        ("hinge", {}), ("ipo", {}), ("exo_pair", smooth), ("nca_pair", {}), ("robust", smooth), ("bco_pair", {}), ("sppo_hard", {}),
        ("aot", {}), ("aot", smooth), ("aot_unpaired", smooth), ("apo_zero", {}), ("apo_down", {}), ("discopop", {}), ("sft", {}),
        ("sigmoid_norm", {}),
    ):  # fmt: skip
        yield " ".join(["dpo", loss, *settings]), "dpo", "qwen2", dict(loss_type=[loss], **settings)
    for divergence in ("forward_kl", "js_divergence", "alpha_divergence"):
        for loss in ("sigmoid", "hinge", "ipo", "robust", "discopop", "sigmoid_norm", "exo_pair"):
            settings = dict(loss_type=[loss], f_divergence_type=divergence, **(smooth if loss in ("robust", "exo_pair") else {}))
            yield f"dpo {loss} {divergence}", "dpo", "qwen2", settings
    yield "dpo alpha 2", "dpo", "qwen2", dict(f_divergence_type="alpha_divergence", f_alpha_divergence_coef=2.0)
    yield "dpo mixed", "dpo", "qwen2", dict(loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0])
    yield "dpo tails", "dpo", "qwen2", dict(ld_alpha=0.5)
    yield "dpo accumulated", "dpo", "qwen2", dict(gradient_accumulation_steps=2, per_device_train_batch_size=4)
    yield "dpo sft accumulated", "dpo", "qwen2", dict(gradient_accumulation_steps=2, loss_type=["sigmoid", "sft"])
    yield "dpo beta", "dpo", "qwen2", dict(beta=0.5)
    yield "dpo decay", "dpo", "qwen2", dict(weight_decay=0.3, adam_beta2=0.9)
    yield "dpo precomputed", "dpo", "qwen2", dict(precompute_ref_log_probs=True)
    yield "dpo short", "dpo", "qwen2", dict(max_length=12)
    yield "dpo weighted", "dpo", "qwen2", dict(use_weighting=True)
    everything = dict(loss_type="vespo", top_entropy_quantile=0.7, off_policy_mask_threshold=0.02, beta=0.1, entropy_coef=0.05)
    yield "grpo together", "grpo", "qwen2", dict(TWICE, **everything, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    everything = dict(loss_type=["sigmoid", "bco_pair"], use_weighting=True, sync_ref_model=True, ref_model_sync_steps=2, ld_alpha=0.5)
    yield "dpo together", "dpo", "qwen2", dict(**everything, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    yield from mixtures(24)
    yield "dpo synchronised", "dpo", "qwen2", dict(sync_ref_model=True, ref_model_sync_steps=2, ref_model_mixup_alpha=0.7)


def mixtures(count):
    """Settings drawn together, as people set them."""
    rng = random.Random(11)
    grpo = dict(
        loss_type=["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo"], num_iterations=[1, 2], beta=[0.0, 0.05],
        use_bias_correction_kl=[True, False], gradient_accumulation_steps=[1, 2], steps_per_generation=[2, 4], epsilon_high=[None, 0.3],
        delta=[None, None, 1.4], temperature=[1.0, 0.8], top_entropy_quantile=[1.0, 0.45], off_policy_mask_threshold=[None, 0.02],
        entropy_coef=[0.0, 0.02], mask_truncated_completions=[False, True], scale_rewards=["group", "batch", "none"], weight_decay=[0.0, 0.1],
        importance_sampling_level=["token", "token", "sequence"], max_grad_norm=[1.0, 0.2],
    )  # fmt: skip
    dpo = dict(
        loss_type=[["sigmoid"], ["ipo"], ["robust"], ["aot"], ["apo_zero"], ["sigmoid", "bco_pair"], ["hinge", "nca_pair"]], beta=[0.1, 0.3],
        label_smoothing=[0.05, 0.1], gradient_accumulation_steps=[1, 2], ld_alpha=[None, 0.5], use_weighting=[False, True],
        sync_ref_model=[False, True], ref_model_sync_steps=[1, 2], weight_decay=[0.0, 0.1], max_grad_norm=[1.0, 0.2],
    )  # fmt: skip
    for i in range(count):
        for trainer, choices in (("grpo", grpo), ("dpo", dpo)):
            settings = {name: rng.choice(values) for name, values in choices.items()}
            if settings["loss_type"] == "vespo":
                settings["importance_sampling_level"] = "token"
            yield f"{trainer} mixture {i}", trainer, "qwen2", settings


class Recorder(TrainerCallback):
    """Keeps what goes into `compute_loss` and what comes out of it."""

    def __init__(self):
        self.micro_steps = []

    def wrap(self, trainer):
        compute = trainer.compute_loss

        def recorded(model, inputs, *args, **kwargs):
            tensors = {k: v.tolist() if torch.is_tensor(v) else v for k, v in inputs.items() if k in TENSORS}
            loss = compute(model, inputs, *args, **kwargs)
            self.micro_steps.append({"loss": loss.item(), **tensors})
            return loss

        trainer.compute_loss = recorded


def tokenizer():
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w3"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1", bos_token="w2")


def text(rng, low, high):
    return " ".join(f"w{rng.randrange(3, VOCABULARY)}" for _ in range(rng.randint(low, high)))


def odd(completion_ids, **_):
    return [sum(token % 2 for token in row) / max(len(row), 1) for row in completion_ids]


def record(trainer, family, settings, folder):
    """Trains from `folder/model`; writes `folder/trace.json` and `folder/trace.final.safetensors`."""
    torch.manual_seed(0)
    rng = random.Random(5)
    family, *tied = family.split()
    # Half of GLM's key biases have no gradient but rounding errors, which AdamW makes as large as any.
    switches = dict(attention_bias=False) if family.startswith("glm") else {}
    config = AutoConfig.for_model(family, **SIZES, **switches, tie_word_embeddings=bool(tied))
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    shared = {**COMMON, "output_dir": str(folder / "out"), **settings}
    if trainer == "grpo":
        args = trl.GRPOConfig(**{"num_generations": 4, "max_completion_length": 20, "beta": 0.0, **shared})
        data = Dataset.from_dict({"prompt": [text(rng, 2, 8) for _ in range(64)]})
        run = trl.GRPOTrainer(model=str(folder / "model"), reward_funcs=odd, args=args, train_dataset=data, processing_class=tokenizer())
    else:
        args = trl.DPOConfig(**shared)
        rows = [{"prompt": text(rng, 2, 8), "chosen": " " + text(rng, 1, 9), "rejected": " " + text(rng, 1, 9)} for _ in range(64)]
        run = trl.DPOTrainer(model=str(folder / "model"), args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer())
    recorder = Recorder()
    recorder.wrap(run)
    run.train()
    trace = {
        "trainer": type(run).__name__,
        "config": {key: value if isinstance(value, (int, float, bool, list, type(None))) else str(value) for key, value in args.to_dict().items()},
        "log_history": [{k: v for k, v in entry.items() if isinstance(v, (int, float))} for entry in run.state.log_history if "loss" in entry],
        "micro_steps": recorder.micro_steps,
    }
    (folder / "trace.json").write_text(json.dumps(trace))
    weights = {name: value.detach().clone().contiguous() for name, value in run.model.named_parameters()}
    save_file(weights, folder / "trace.final.safetensors")


def keep(folder, names):
    """Records runs for tests: `golden/traces` with what TRL made, `data/replayed` with the model that all of them start from."""
    (folder / "golden/traces").mkdir(parents=True, exist_ok=True)
    made_by = f"peer/traces.py, TRL {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}, f32, CPU"
    for name, trainer, family, settings in runs():
        if name not in names:
            continue
        with tempfile.TemporaryDirectory() as made:
            made, trace = Path(made), folder / "golden/traces" / name.replace(" ", "_")
            record(trainer, family, settings, made)
            trace.with_suffix(".json").write_text(json.dumps({"made_by": made_by, **json.loads((made / "trace.json").read_text())}))
            shutil.copy(made / "trace.final.safetensors", trace.with_suffix(".final.safetensors"))
            (folder / "data/replayed").mkdir(parents=True, exist_ok=True)
            for file in ("config.json", "model.safetensors"):
                shutil.copy(made / "model" / file, folder / "data/replayed" / file)


def main():
    transformers.logging.set_verbosity_error()
    if sys.argv[1] == "--keep":
        return keep(Path(sys.argv[2]), sys.argv[3:])
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    agreed = compared = 0
    for name, trainer, family, settings in runs():
        if wanted not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            with open(os.devnull, "w") as quiet:
                stdout, sys.stdout = sys.stdout, quiet
                failure = None
                try:
                    record(trainer, family, settings, folder)
                except (RuntimeError, ValueError) as error:  # some settings do not go together in TRL
                    failure = str(error)
                finally:
                    sys.stdout = stdout
            if failure:
                print(f"{name:32} TRL does not run it: {failure[:80]}", flush=True)
                continue
            command = [sys.argv[1], "train", "replay", folder / "trace.json", "--model", folder / "model"]
            run = subprocess.run(command, capture_output=True, text=True)
        compared += 1
        agreed += run.returncode == 0
        summary = json.loads(run.stdout.splitlines()[-1]) if run.stdout.strip() else {}
        differences = [summary.get(f"max_{what}_difference") for what in ("loss", "grad_norm", "weight")]
        shown = " ".join("        -" if d is None else f"{d:9.1e}" for d in differences)
        print(f"{name:32} {shown} {'' if run.returncode == 0 else '<<< ' + run.stderr.strip()}", flush=True)
    print(f"TRL {trl.__version__}: {agreed} of {compared} agree")
    sys.exit(agreed < compared)


if __name__ == "__main__":
    main()
