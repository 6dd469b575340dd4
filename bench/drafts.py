#!/usr/bin/env python3
"""Drafts of the demo model on its validation text: how many stand, ids a step, and whether that is what `vkseek logits
--mtp` says of the same text.

usage: bench/drafts.py [--windows N] [--prompt N] [--tokens N] [--text FILE]    after ./run.sh, which builds the program

Takes N windows of the text, evenly spread, as prompts and lets the model go on, greedily and at temperature 0.8, with
1, 2 and 4 drafts a step. For one draft a step it also works out which of them must stand: those that are the first
choice of the module's row for that position, by `logits --mtp` of prompt and continuation.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAM, ROOT

MODEL = ROOT / "models/demo"


def vkseek(*arguments, text=None):
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return done.stdout


def first_choices(path, name):
    """The largest column of each row of a tensor."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    about = json.loads(data[8 : 8 + length])[name]
    rows, columns = about["shape"]
    first = 8 + length + about["data_offsets"][0]
    values = memoryview(data)[first : first + 4 * rows * columns].cast("f")
    return [max(range(columns), key=values[row * columns : (row + 1) * columns].__getitem__) for row in range(rows)]


def foretold(folder, prompt, ids):
    """Drafts made and those that stand, one a step: row i of module 1 speaks of position i + 2."""
    text = prompt + ids
    out = folder / "logits.safetensors"
    vkseek("logits", "-m", MODEL, "--math", "f32", "--mtp", "--ids", ",".join(map(str, text)), "-o", out)
    choices = first_choices(out, "mtp1.logits")
    drafted = accepted = 0
    last = len(prompt)  # position of the last id that is known
    while last + 2 < len(text):
        drafted += 1
        right = choices[last - 1] == text[last + 1]
        accepted += right
        last += 2 if right else 1
    return drafted, accepted


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--windows", type=int, default=24)
parser.add_argument("--prompt", type=int, default=48)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--text", type=Path, default=ROOT / "tests/golden/demo_val.txt")
args = parser.parse_args()

ids = json.loads(vkseek("tokenize", "-m", MODEL, text=args.text.read_text()))
step = max(1, (len(ids) - args.prompt) // args.windows)
windows = [[0] + ids[at : at + args.prompt] for at in range(0, len(ids) - args.prompt, step)][: args.windows]
print(f"{len(windows)} windows of {args.prompt} ids, {args.tokens} more each")
off = False
with tempfile.TemporaryDirectory() as temporary:
    for temperature in ("0", "0.8"):
        plain = {}
        for drafts in (0, 1, 2, 4):
            total = {"drafted": 0, "accepted": 0, "steps": 0, "tokens": 0}
            expected = [0, 0]
            for at, prompt in enumerate(windows):
                run = json.loads(vkseek("generate", "-m", MODEL, "--ids", ",".join(map(str, prompt)), "--math", "f32", "--json",
                                        "-n", args.tokens, "--ignore-eos", "--temp", temperature, "--seed", at, "--mtp", drafts))
                if run["ids"] != plain.setdefault(at, run["ids"]):
                    sys.exit(f"window {at}, temperature {temperature}: other ids with {drafts} drafts a step")
                for key in ("drafted", "accepted", "steps"):
                    total[key] += run["mtp"][key]
                total["tokens"] += run["decode"]["tokens"]
                if drafts == 1 and temperature == "0":
                    expected = [a + b for a, b in zip(expected, foretold(Path(temporary), prompt, run["ids"]))]
            if drafts == 0:
                continue
            rate = total["accepted"] / total["drafted"]
            line = (f"temperature {temperature}, {drafts} drafts: {total['accepted']} of {total['drafted']} stand "
                    f"({100 * rate:.1f} %), {total['tokens'] / total['steps']:.2f} ids a step")
            if expected[0]:
                line += f"; by logits --mtp {expected[1]} of {expected[0]} ({100 * expected[1] / expected[0]:.1f} %)"
                off = off or abs(rate - expected[1] / expected[0]) > 0.01
            print(line, flush=True)
sys.exit("more than 1 % from what logits --mtp says" if off else 0)
