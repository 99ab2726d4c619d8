"""Writes embedded_model.json: logits of the embedded model by Hugging Face transformers.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    /tmp/venv/bin/python crates/recipes/tests/golden/make_embedded_model.py
"""

import json
import pathlib

import torch
import transformers

here = pathlib.Path(__file__).parent
folder = here.parent.parent / "model"
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

cases = []
for text in ["47+35-18+26:", "47+35:47+35=72\n?47+35=82\n#82\n", "9-9:9-9=0\n#0\n"]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    cases.append({"text": text, "tokens": ids, "last_logits": logits[-1].tolist(), "sum": logits.double().sum().item()})

made_by = f"make_embedded_model.py, transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, f32, CPU"
(here / "embedded_model.json").write_text(json.dumps({"made_by": made_by, "cases": cases}, indent=1) + "\n")
