#!/usr/bin/env python3
"""Peak memory of generate on a checkpoint, against file size + latent cache + 200 MB.

usage: bench/peak_memory.py [--backend NAME] [MODEL_DIR] [PROMPT_TOKENS] [NEW_TOKENS]
Without a model it writes a synthetic bench-m checkpoint (1.14 B parameters, FP8) into a temporary folder first.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAM, run


def measure(model, prompt, new):
    config = json.loads((model / "config.json").read_text())
    width = config["kv_lora_rank"] + config["qk_rope_head_dim"]
    for math, element in (("half", 2), ("f32", 4)):
        cache = (prompt + new) * config["num_hidden_layers"] * width * element
        files = sum(f.stat().st_size for f in model.glob("*.safetensors"))
        ids = ",".join(str(3 + i * 37 % (config["vocab_size"] - 3)) for i in range(prompt))
        seconds, peak = run([PROGRAM, "generate", "-m", model, "--ids", ids, "-n", str(new), "--temp", "0", "--ignore-eos",
                             "--math", math, *backend])
        limit = files + cache + 200e6
        print(f"--math {math}: peak {peak / 1e6:.0f} MB; files {files / 1e6:.0f} + cache {cache / 1e6:.1f} + 200 = "
              f"{limit / 1e6:.0f} MB: {'within' if peak <= limit else 'OVER'}; {prompt} + {new} tokens in {seconds:.1f} s")


backend = []
if sys.argv[1:2] == ["--backend"]:
    backend = sys.argv[1:3]
    del sys.argv[1:3]
prompt = int(sys.argv[2]) if len(sys.argv) > 2 else 512
new = int(sys.argv[3]) if len(sys.argv) > 3 else 16
if len(sys.argv) > 1:
    measure(Path(sys.argv[1]), prompt, new)
else:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "synth", "--shape", "bench-m", "-o", folder + "/bench-m"], check=True)
        measure(Path(folder) / "bench-m", prompt, new)
