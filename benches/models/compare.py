#!/usr/bin/env python3
"""Hugging Face language models side by side: tdrm-lm against transformers, TRL and llama.cpp on the CPU.

    cargo build --release -p tdrm-bench-models
    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers trl gguf llama-cpp-python
    /tmp/venv/bin/python benches/models/compare.py --binary target/release/tdrm-bench-models

Three shapes with random weights, written by our side and loaded unchanged by the others: tiny (175 k parameters), small
(8 M, 6 M of them in the layers) and half (Qwen2.5-0.5B's configuration). Both sides are processes that work on request; they
take turns, so that drift of the machine meets both, and what they compute must agree before anything is timed. Ratios are
medians over the rounds of (peer / tdrm), in wall time and in CPU time. A peer that is not installed is left out, and said so.
"""

import argparse
import json
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# d, layers, feed-forward, query heads, key-value heads, vocabulary
SIZES = {
    "tiny": (64, 3, 160, 4, 2, 700),
    "small": (256, 6, 1024, 8, 4, 8192),
    "half": (896, 24, 4864, 14, 2, 151936),
}
# what: (rows, length, new) for each size
SHAPES = {
    "prefill": {"tiny": (1, 512, 0), "small": (1, 512, 0), "half": (1, 256, 0)},
    "score": {"tiny": (64, 128, 0), "small": (16, 128, 0), "half": (2, 128, 0)},
    "decode": {"tiny": (64, 16, 64), "small": (64, 16, 64), "half": (8, 16, 16)},
    "greedy": {"tiny": (1, 16, 64), "small": (1, 16, 64), "half": (1, 16, 16)},
    "train": {"tiny": (32, 128, 0), "small": (8, 128, 0), "half": (2, 128, 0)},
    "grpo": {"tiny": (16, 16, 32), "small": (16, 16, 32), "half": (16, 16, 32)},
    "steps": {"tiny": (1, 32, 24), "small": (1, 32, 24), "half": (1, 32, 24)},
}
PEERS = {
    "prefill": ["transformers", "llama.cpp"],
    "score": ["transformers"],
    "decode": ["transformers"],
    "greedy": ["transformers", "llama.cpp"],
    "train": ["transformers"],
    "grpo": ["trl"],
    "steps": ["transformers", "prefixes", "prefix-batch"],
}
STEPS = 10
GROUP = 8
EOS = 2


def config(size, head):
    d, layers, ff, heads, kv_heads, vocabulary = SIZES[size]
    architecture = {"lm": "Qwen2ForCausalLM", "prm": "Qwen2ForProcessRewardModel"}[head]
    return {
        "architectures": [architecture],
        "model_type": "qwen2",
        "hidden_size": d,
        "num_hidden_layers": layers,
        "intermediate_size": ff,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768 if size == "half" else 2048,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "initializer_range": 0.02 if size == "half" else 0.05,
        "tie_word_embeddings": head == "lm",
        "use_sliding_window": False,
        "torch_dtype": "float32",
        **({"num_labels": 2} if head == "prm" else {}),
    }


def token_rows(rows, length, vocabulary):
    """The rule of `Work::tokens`."""
    return [[(i * 7 + j * j * 3 + j * (i % 5) + 1) % vocabulary for j in range(length)] for i in range(rows)]


# ---------------------------------------------------------------------------------------------------------------- workers


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(line):
    print(json.dumps(line), flush=True)


def serve(check, empty, work):
    say({"check": check, "empty": empty})
    for line in sys.stdin:
        times = int(line)
        start, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(times):
            tokens, value = work()
        wall, cpu = time.perf_counter() - start, cpu_seconds() - cpu
        say({"wall": wall, "cpu": cpu, "tokens": tokens * times, "check": value, "memory": memory()})


def few(row):
    row = [float(x) for x in row]
    return row[:: math.ceil(len(row) / 8)]


def transformers_worker(a):
    import torch
    import torch.nn.functional as F
    from transformers import AutoModel, AutoModelForCausalLM

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    vocabulary = json.load(open(os.path.join(a.model, "config.json")))["vocab_size"]
    dtype = torch.bfloat16 if a.bf16 else torch.float32
    empty = memory()
    kind = AutoModel if a.what == "steps" else AutoModelForCausalLM
    model = kind.from_pretrained(a.model, dtype=dtype)
    # The same work for every size: no continuation ends early.
    model.eval()

    def rows(count, length):
        return torch.tensor(token_rows(count, length, vocabulary))

    if a.what == "steps":
        from safetensors.torch import load_file

        head = load_file(os.path.join(a.model, "model.safetensors"))
        head = {name: w.to(dtype) for name, w in head.items() if name.startswith("score.")}
        ids = rows(1, a.length + STEPS * a.new)
        ends = torch.tensor([a.length + k * a.new - 1 for k in range(1, STEPS + 1)])

        @torch.inference_mode()
        def work():
            x = model(ids, use_cache=False).last_hidden_state[0, ends]
            x = F.relu(F.linear(x, head["score.0.weight"], head["score.0.bias"]))
            scores = F.linear(x, head["score.2.weight"], head["score.2.bias"])
            return ids.numel(), scores.flatten().tolist()

        first = work()[1]
        return serve(first, empty, lambda: (ids.numel(), sum(work()[1])))

    def log_probs(ids, **options):
        logits = model(ids, use_cache=False, **options).logits[:, :-1].float()
        chosen = logits.gather(-1, ids[:, 1:, None]).squeeze(-1)
        return chosen - logits.logsumexp(-1)

    last = lambda ids: model(ids, logits_to_keep=1).logits[0, -1]  # noqa: E731
    ids = rows(a.rows, a.length)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True) if a.what == "train" else None

    @torch.inference_mode()
    def prefill():
        return ids.numel(), last(ids)[0].item()

    @torch.inference_mode()
    def score():
        # A row at a time in each of the sequences' parts, so that the logits do not exist all at once: as a user would.
        part = max(1, 2048 // a.length)
        return ids.numel(), sum(log_probs(chunk).sum().item() for chunk in ids.split(part))

    @torch.inference_mode()
    def generate(**options):
        mask = torch.ones_like(ids)
        options |= {"max_new_tokens": a.new, "pad_token_id": 0}
        new = model.generate(ids, attention_mask=mask, **options)[:, a.length :]
        return new.numel(), new.sum().item()

    def train():
        optimiser.zero_grad()
        loss = -log_probs(ids).mean()
        loss.backward()
        optimiser.step()
        return ids.numel(), loss.item()

    with torch.inference_mode():
        if a.what in ("score", "train"):
            check = [log_probs(ids[:1]).sum().item()]
        else:
            check = few(last(ids[:1]))
    work = {
        "prefill": prefill,
        "score": score,
        "decode": lambda: generate(do_sample=True, temperature=1.0, top_k=0, top_p=1.0),
        "greedy": lambda: generate(do_sample=False),
        "train": train,
    }[a.what]
    serve(check, empty, work)


def llama_worker(a):
    import ctypes

    import llama_cpp
    import numpy

    vocabulary = json.load(open(os.path.join(a.model, "config.json")))["vocab_size"]
    empty = memory()
    path = os.path.join(a.model, "model.gguf")
    if not os.path.exists(path):
        write_gguf(a.model, path)
    room = a.length + max(a.new, 1)
    llama_cpp.llama_backend_init()
    # Speed is measured with the library's own calls: its Python class copies all logits after every token.
    model = llama_cpp.llama_load_model_from_file(path.encode(), llama_cpp.llama_model_default_params())
    assert model, "llama.cpp does not load the model"
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = max(room, 64), 512, 512
    parameters.n_threads, parameters.n_threads_batch = a.threads, a.threads
    # By default keys and values are kept in 16 bits, which moves the logits by 2e-3.
    parameters.type_k = parameters.type_v = 0  # GGML_TYPE_F32
    parameters.flash_attn_type = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_new_context_with_model(model, parameters)
    prompt = token_rows(1, a.length, vocabulary)[0]

    def run(tokens):
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0
        pointer = llama_cpp.llama_get_logits_ith(context, -1)
        return numpy.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (vocabulary,))

    def forget():
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)

    def prefill():
        forget()
        return a.length, float(run(prompt)[0])

    def greedy():
        forget()
        logits, new = run(prompt), []
        while True:
            new.append(int(logits.argmax()))
            if len(new) == a.new:
                return a.new, sum(new)
            logits = run(new[-1:])

    check = few(run(prompt))
    serve(check, empty, {"prefill": prefill, "greedy": greedy}[a.what])


def write_gguf(directory, path):
    """The same 32-bit weights as GGUF, without a tokenizer."""
    import gguf
    from safetensors.numpy import load_file

    c = json.load(open(os.path.join(directory, "config.json")))
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_rope_freq_base(1000000.0)
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_vocab_size(c["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, c["num_hidden_layers"])
    for name, tensor in load_file(os.path.join(directory, "model.safetensors")).items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def trl_worker(a):
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(a.threads)
    vocabulary = json.load(open(os.path.join(a.model, "config.json")))["vocab_size"]
    empty = memory()
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(vocabulary)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"w{EOS}", pad_token="w0")
    prompts = token_rows(a.rows // GROUP, a.length, vocabulary)
    prompts = [" ".join(f"w{token}" for token in prompt) for prompt in prompts]
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    with torch.inference_mode():
        ids = torch.tensor(token_rows(1, a.length, vocabulary))
        check = few(model(ids, logits_to_keep=1).logits[0, -1])

    def odd(completion_ids, **_):
        return [sum(token % 2 for token in row) / max(len(row), 1) for row in completion_ids]

    class Served(TrainerCallback):
        """Waits for a request before a step, answers after the last one that was asked for."""

        left = 0

        def on_step_begin(self, arguments, state, control, **_):
            if self.left == 0:
                line = sys.stdin.readline()
                if not line:
                    os._exit(0)
                self.left = self.times = int(line)
                self.start, self.cpu = time.perf_counter(), cpu_seconds()

        def on_step_end(self, arguments, state, control, **_):
            self.left -= 1
            if self.left == 0:
                wall, cpu = time.perf_counter() - self.start, cpu_seconds() - self.cpu
                tokens = self.times * a.rows * a.new
                say({"wall": wall, "cpu": cpu, "tokens": tokens, "check": 0.0, "memory": memory()})

    options = dict(per_device_train_batch_size=a.rows, num_generations=GROUP, max_completion_length=a.new)
    options |= dict(gradient_accumulation_steps=1, max_steps=10**6, learning_rate=1e-4, weight_decay=0.01, beta=0.0)
    options |= dict(bf16=False, fp16=False, use_cpu=True, gradient_checkpointing=False, report_to="none")
    options |= dict(save_strategy="no", logging_steps=10**6, disable_tqdm=True, temperature=1.0, lr_scheduler_type="constant")
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=odd,
            args=GRPOConfig(output_dir=folder, **options),
            train_dataset=Dataset.from_dict({"prompt": prompts * 64}),
            processing_class=tokenizer,
            callbacks=[Served()],
        )
        say({"check": check, "empty": empty})
        trainer.train()


# --------------------------------------------------------------------------------------------------------------- comparison


class Worker:
    def __init__(self, command, threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        environment |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
        self.errors = tempfile.TemporaryFile("w+")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self.ready = self.read()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.errors.seek(0)
        raise RuntimeError(self.errors.read()[-1500:])

    def ask(self, times):
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        answer = self.read()
        return {**answer, "wall": answer["wall"] / times, "cpu": answer["cpu"] / times, "tokens": answer["tokens"] / times}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def commands(a, size, what, peer, threads, folder):
    rows, length, new = SHAPES[what][size]
    shape = ["--rows", rows, "--length", length, "--new", new]
    model = os.path.join(folder, size, "prm" if what == "steps" else "lm")
    bf16 = peer.endswith("-bf16")
    ours = [a.binary, "run", "--what", what, "--threads", threads, *shape, "--dtype", "bf16" if bf16 else "f32", model]
    if peer in ("prefixes", "prefix-batch"):
        theirs = [a.binary, "run", "--what", peer, "--threads", threads, *shape, model]
    else:
        theirs = [sys.executable, __file__, "--worker", peer.removesuffix("-bf16"), "--what", what]
        theirs += ["--threads", threads, *shape, "--model", model]
        theirs += ["--bf16"] if bf16 else []
    return [str(x) for x in ours], [str(x) for x in theirs]


def check_tiles():
    """Keeps PyTorch from instructions that end it: where a hypervisor hides the tiles' sizes, oneDNN configures none."""
    probe = "import torch; x = torch.ones(64, 64, dtype=torch.bfloat16); print(torch.nn.functional.linear(x, x)[0, 0])"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True).returncode == -signal.SIGILL:
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_FP16"
        print("PyTorch in bfloat16 dies of an illegal instruction here: it runs without AMX", file=sys.stderr)


def difference(x, y):
    return max(abs(p - q) for p, q in zip(x, y)) / max(1.0, max(abs(q) for q in y))


def compare(a, size, what, peer, threads, folder):
    """One row of the table."""
    both = commands(a, size, what, peer, threads, folder)
    # Two copies of the large model in training do not fit into the memory: they run one after the other.
    apart = size == "half" and what in ("train", "grpo")
    pairs = []
    ours, theirs = Worker(both[0], threads), None
    if not apart:
        theirs = Worker(both[1], threads)
        ready = ours.ready, theirs.ready
        ours.ask(1), theirs.ask(1)  # warms up; in training both take the same steps
        once = min(ours.ask(1)["wall"], theirs.ask(1)["wall"])
        times = max(1, round(a.seconds / max(once, 1e-6)))
        for _ in range(a.rounds):
            pairs.append((ours.ask(times), theirs.ask(times)))
        ours.close(), theirs.close()
    else:
        ready, times = [ours.ready], 1
        mine = [ours.ask(1) for _ in range(3)][1:]
        ours.close()
        theirs = Worker(both[1], threads)
        ready.append(theirs.ready)
        pairs = list(zip(mine, [theirs.ask(1) for _ in range(3)][1:]))
        theirs.close()
    tolerance = 0.05 if peer.endswith("-bf16") else 2e-4
    apart_by = difference(ready[0]["check"], ready[1]["check"])
    if what == "train":
        apart_by = max([apart_by] + [abs(p["check"] - q["check"]) / abs(q["check"]) for p, q in pairs])
    assert apart_by < tolerance, f"{size} {what}: tdrm and {peer} disagree by {apart_by}"
    line = {"size": size, "what": what, "peer": peer, "threads": threads, "rounds": len(pairs), "times": times}
    median = statistics.median
    line["tdrm"] = median(p["tokens"] / p["wall"] for p, _ in pairs)
    line["other"] = median(q["tokens"] / q["wall"] for _, q in pairs)
    line["wall"] = median(q["wall"] / p["wall"] for p, q in pairs)
    line["cpu"] = median(q["cpu"] / p["cpu"] for p, q in pairs if p["cpu"] > 0)
    line["spread"] = [min(q["wall"] / p["wall"] for p, q in pairs), max(q["wall"] / p["wall"] for p, q in pairs)]
    line["memory"] = [pairs[-1][0]["memory"], pairs[-1][1]["memory"]]
    line["empty"] = [ready[0]["empty"], ready[1]["empty"]]
    line["difference"] = apart_by
    line["same"] = pairs[-1][0]["check"] == pairs[-1][1]["check"]
    line["load"] = os.getloadavg()[0]
    return line


def show(line):
    memory = "{:.0f} / {:.0f}".format(*line["memory"])
    spread = "{:.2f}-{:.2f}".format(*line["spread"])
    print(
        f"| {line['size']} | {line['what']} | {line['threads']} | {line['peer']} | {line['tdrm']:,.0f} | {line['other']:,.0f} "
        f"| {line['wall']:.2f} ({spread}) | {line['cpu']:.2f} | {memory} | {line['difference']:.0e} | {line['load']:.1f} |",
        flush=True,
    )


def main(a):
    print("| size | what | threads | peer | tdrm tok/s | peer tok/s | wall ratio (spread) | CPU ratio | MiB | differ | load |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    check_tiles()
    with tempfile.TemporaryDirectory() as temporary:
        folder = a.models or temporary
        for size in a.size:
            for head in ("lm", "prm"):
                directory = os.path.join(folder, size, head)
                if not os.path.exists(os.path.join(directory, "model.safetensors")):
                    os.makedirs(directory, exist_ok=True)
                    written = os.path.join(directory, "wanted.json")
                    json.dump(config(size, head), open(written, "w"))
                    subprocess.run([a.binary, "init", "--config", written, directory], check=True, capture_output=True)
                    os.remove(written)
            for what in a.what:
                peers = PEERS[what]
                if size == "half" and what in ("prefill", "score", "greedy", "decode", "steps"):
                    peers = [*peers, "transformers-bf16"]
                for peer in [peer for peer in peers if not a.peer or peer in a.peer]:
                    for threads in a.threads:
                        try:
                            line = compare(a, size, what, peer, threads, folder)
                        except (RuntimeError, AssertionError) as error:
                            print(f"{size} {what} {threads} {peer}: {error}", file=sys.stderr, flush=True)
                            continue
                        show(line)
                        if a.out:
                            with open(a.out, "a") as out:
                                print(json.dumps(line), file=out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/tdrm-bench-models")
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--what", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peer", nargs="+", help="only these")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7, help="turns of both sides")
    parser.add_argument("--seconds", type=float, default=0.4, help="of the faster side in a turn")
    parser.add_argument("--models", help="keeps the models here")
    parser.add_argument("--out", help="appends each row here, as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    for name in ("rows", "length", "new"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--bf16", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.worker:
        parsed.what, parsed.threads = parsed.what[0], parsed.threads[0]
        workers = {"transformers": transformers_worker, "llama.cpp": llama_worker, "trl": trl_worker}
        workers[parsed.worker](parsed)
    else:
        main(parsed)
