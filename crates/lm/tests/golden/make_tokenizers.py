"""Trains two small tokenizers on text of our own and writes their folders and tokenizers.json, the answers to replay.

    pip install transformers==4.57.1 tokenizers==0.22.2 jinja2==3.1.6
    python make_tokenizers.py

`byte_level` is in the manner of Qwen and Llama 3: byte-level BPE, digits in threes, added tokens, clean-up of spaces on.
`byte_fallback` is in the manner of Llama 2 and Mistral: words marked by U+2581, bytes as `<0x..>`, one leading space
stripped; its class builds the post-processor anew.
"""

import json
import pathlib
import random

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent

TEXT = [
    "The reward of a step is the value after it less the value before it.",
    "We add 12 to 345 and get 357, then we check: 357 - 345 = 12.",
    "A model samples tokens; the tokens are scored as they were sampled.",
    "It's the user's question, isn't it? They've said so, and we're done!",
    "Größe, naïve café, 日本語のテキスト, мир, 😀 and 👩‍🚀.",
    "    indented\n\tlines\n\n  and   runs of     spaces ",
] * 4

SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken("<|begin|>", special=True), AddedToken("<|end|>", special=True)])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False, rstrip=True)])
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1", special_tokens=[("<|begin|>", begin)]),
    ])
    # What a plain call must switch off again.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="!")
    return tokenizer, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": True,
        "bos_token": "<|begin|>",
        "eos_token": {"__type": "AddedToken", "content": "<|end|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False},
        "pad_token": "<|pad|>",
        "additional_special_tokens": ["<think>"],
        "chat_template": [
            {"name": "default", "template": "{{ bos_token }}{% for m in messages %}{{ m.role }}:\n{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}\n{% endfor %}{% if add_generation_prompt %}assistant:\n<think>{% endif %}"},
            {"name": "tool_use", "template": "{{ bos_token }}{{ tools | tojson }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"},
        ],
    }, {"eos_token_id": [begin + 1, 3]}


def byte_fallback():
    pieces = sorted({"\u2581" + word for line in TEXT[:5] for word in line.split()} | {c for line in TEXT[:5] for c in line if c.isascii() and c != " "})
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{byte:02X}>": byte + 3 for byte in range(256)}, "\u2581": 259}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    merges, known = [], dict(vocabulary)
    for piece in pieces:
        for end in range(1, len(piece) + 1):
            if len(piece) > 1 and end > 1 and piece[:end] not in known and all(c.isascii() or c == "\u2581" for c in piece[:end]):
                merges.append((piece[: end - 1], piece[end - 1]))
            if all(c.isascii() or c == "\u2581" for c in piece[:end]):
                known.setdefault(piece[:end], len(known))
    for _, last in merges:
        known.setdefault(last, len(known))
    tokenizer.model = models.BPE(vocab=known, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    return tokenizer, {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": True,
        "add_bos_token": True,
        "add_eos_token": True,
        "added_tokens_decoder": {
            "0": {"content": "<unk>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
            "1": {"content": "<s>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
            "2": {"content": "</s>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
        },
        "pad_token": None,
        "chat_template": "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + eos_token }}{% endfor %}",
    }, {"eos_token_id": 2}


TEXTS = [
    "", "a", " ", "  ", "\n", "The reward", " The reward ", "12345 + 67 = ?", "It's so, isn't it ? Yes , we 've !", "naïve café — 日本語 😀 👩‍🚀",
    "e\u0301 decomposed", "<|begin|>hi<|end|>", "<think>\nso </think>  \n done", "<s>[INST] x [/INST]</s>", "\u0000\u0001\u007f", "tab\tand\r\nlines\n\n\n", "ﬁ ½ Ⅷ",
    "a" * 40, "word " * 12, "don't we're they've I'm he'd she'll 's", "mixed日本words123and4567", "\ufeffbom \u200b zero", "Ünïcödé ÀÉÎ", "🏳️‍🌈 flag", "</think>x <think>",
]

CHATS = [
    {"messages": [{"role": "user", "content": "We add 12"}], "add_generation_prompt": True},
    {"messages": [{"role": "user", "content": "naïve 😀"}, {"role": "assistant", "content": "It's the reward . "}], "add_generation_prompt": False},
    {"messages": [{"role": "user", "content": "q"}], "tools": [{"type": "function", "function": {"name": "f", "b": 1, "a": [2.5, None]}}], "add_generation_prompt": False},
]


def answers(folder, rng):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    size = len(tokenizer)
    encodings, decodings, chats = [], [], []
    for text in TEXTS:
        with_special = tokenizer(text, return_offsets_mapping=True)
        encodings.append({"text": text, "ids": with_special["input_ids"], "offsets": with_special["offset_mapping"],
                          "ids_without": tokenizer(text, add_special_tokens=False)["input_ids"]})
    lists = [case["ids"] for case in encodings] + [[rng.randrange(size) for _ in range(rng.randrange(1, 12))] for _ in range(60)]
    for ids in lists:
        decodings.append({"ids": ids, "text": tokenizer.decode(ids), "text_without": tokenizer.decode(ids, skip_special_tokens=True)})
    for chat in CHATS:
        text = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), add_generation_prompt=chat["add_generation_prompt"], tokenize=False)
        ids = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), add_generation_prompt=chat["add_generation_prompt"])
        chats.append({**chat, "text": text, "ids": ids})
    roles = {role: [getattr(tokenizer, role), getattr(tokenizer, role + "_id")] for role in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return {"size": size, "roles": roles, "special_ids": sorted(tokenizer.all_special_ids), "encodings": encodings, "decodings": decodings, "chats": chats}


def main():
    golden = {"made_by": f"crates/lm/tests/golden/make_tokenizers.py: transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"}
    for name, (tokenizer, config, generation) in (("byte_level", byte_level()), ("byte_fallback", byte_fallback())):
        folder = HERE.parent / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        for file, content in (("tokenizer_config.json", config), ("generation_config.json", generation)):
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        golden[name] = answers(folder, random.Random(7))
    (HERE / "tokenizers.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in sorted(HERE.rglob("*.json")):
        print(path.relative_to(HERE), path.stat().st_size)


main()
