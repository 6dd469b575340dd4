#!/usr/bin/env python3
"""Experts found in memory, and tokens a second, by the room they have: the program's cache beside LRU and the optimum.

Every row runs `generate --memory cpu=SIZE` twice, the second time with the statistics that the first has left. LRU and
Belady's optimum (Belady 1966: what is needed last goes first) are simulated for the same requests, which `logits --trace`
records. Without a model it takes the demo model.
"""

import argparse
import collections
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAM, ROOT

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", type=Path, nargs="?", default=ROOT / "models/demo")
parser.add_argument("tokens", type=int, nargs="?", default=128, help="new ones")
args = parser.parse_args()
MODEL, NEW = args.model, args.tokens
PARTS = ("gate_proj", "up_proj", "down_proj")
NEVER = 1 << 60


def read_safetensors(path):
    """Name -> (dtype, shape, bytes) of a file's tensors."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in header.items()}


def generate(cache, *options):
    command = [PROGRAM, "generate", "-m", MODEL, "--backend", "cpu", "--math", "f32", "--temp", "0", "--ignore-eos",
               "--chunk", "1", "--json", *options]
    ran = subprocess.run([str(part) for part in command], env={**os.environ, "XDG_CACHE_HOME": str(cache)},
                         check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def requests(ids, folder):
    """(layer, part, expert) in the order in which weights are asked for, a token at a time."""
    out = Path(folder) / "trace.safetensors"
    subprocess.run([PROGRAM, "logits", "-m", MODEL, "--backend", "cpu", "--math", "f32", "--chunk", "1", "--trace", "--ids",
                    ",".join(map(str, ids)), "-o", out], check=True)
    layers = {}
    for name, (_, shape, data) in read_safetensors(out).items():
        if name.endswith(".topk_idx"):
            k = shape[1]
            flat = struct.unpack(f"<{len(data) // 4}i", data)
            layers[int(name.split(".")[1])] = [flat[i:i + k] for i in range(0, len(flat), k)]
    return [(layer, part, expert) for token in range(len(ids)) for layer in sorted(layers) for part in PARTS
            for expert in layers[layer][token]]


def lru(trace, room):
    held, hits = collections.OrderedDict(), 0
    for key in trace:
        if key in held:
            hits += 1
            held.move_to_end(key)
            continue
        if len(held) >= room:
            held.popitem(last=False)
        held[key] = True
    return hits / len(trace)


def belady(trace, room):
    following, seen = [NEVER] * len(trace), {}
    for i in range(len(trace) - 1, -1, -1):
        following[i] = seen.get(trace[i], NEVER)
        seen[trace[i]] = i
    held, hits = {}, 0
    for i, key in enumerate(trace):
        if key in held:
            hits += 1
        elif len(held) >= room:
            del held[max(held, key=held.get)]
        held[key] = following[i]
    return hits / len(trace)


def main():
    with tempfile.TemporaryDirectory() as folder:
        prompt = ("--ids", ",".join(str(3 + i * 37 % 997) for i in range(16)), "-n", str(NEW))
        free = generate(folder, *prompt)
        trace = requests(free["prompt_ids"] + free["ids"][:-1], folder)
        used = collections.Counter(trace)
        hottest = sum(n for _, n in used.most_common(len(used) // 4))
        weights = {name: len(data) for shard in MODEL.glob("*.safetensors")
                   for name, (_, _, data) in read_safetensors(shard).items()}
        layers = json.loads((MODEL / "config.json").read_text())["num_hidden_layers"]  # MTP modules don't run
        experts = {name: n for name, n in weights.items()
                   if ".experts." in name and name.endswith(".weight") and int(name.split(".")[2]) < layers}
        one = max(experts.values())
        # What there is beside experts is what a run under a cap pins, and what it takes beside weights.
        for tenths in range(9, 0, -1):
            cap = free["peak_bytes"]["cpu"] * tenths // 10
            whole = generate(folder, *prompt, "--memory", f"cpu={cap}")
            if "budget_bytes" in whole.get("paging", {}):
                break
        else:
            sys.exit("no cap makes this model's weights pass through")
        beside = cap - whole["paging"]["budget_bytes"]
        pinned = whole["paging"]["pinned_bytes"]
        print(f"{MODEL.name}: {len(experts)} expert matrices of {one} bytes, {len(trace)} requests; the most used quarter "
              f"gets {100 * hottest / len(trace):.0f} % of them\n")
        print("| room for experts | found: first run | second run | LRU | optimum | tok/s: first | second | read |")
        print("|---|---|---|---|---|---|---|---|")
        for eighths in (1, 2, 3, 4, 5, 6, 7):
            room = sum(experts.values()) * eighths // 8
            with tempfile.TemporaryDirectory() as cache:
                first, second = (generate(cache, *prompt, "--memory", f"cpu={beside + pinned + room}") for _ in range(2))
            assert first["ids"] == second["ids"] == free["ids"], "the ids differ"
            found = [run["paging"]["expert_hits"] / run["paging"]["expert_uses"] for run in (first, second)]
            rates = [run["decode"]["tok_s"] for run in (first, second)]
            slots = room // one
            print(f"| {eighths}/8 | {100 * found[0]:.1f} % | {100 * found[1]:.1f} % | {100 * lru(trace, slots):.1f} % | "
                  f"{100 * belady(trace, slots):.1f} % | {rates[0]:.0f} | {rates[1]:.0f} | "
                  f"{first['paging']['bytes_read'] / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
