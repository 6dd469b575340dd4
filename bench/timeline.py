#!/usr/bin/env python3
"""How much of a step's wall time the operators of `--trace-file` account for, and where the rest goes.

usage: bench/timeline.py [-m MODEL] [--threads N] [-n TOKENS] [OPTION ...]    after ./run.sh, which builds the program

Further options are those of `vkseek generate`. Prints a row for each graph and number of tokens: medians over its steps but the
first, which makes what later ones find. Exits 1 when operators are less than 95 % of the main model's steps of one token.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAM, ROOT

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("-m", dest="model", default=str(ROOT / "models/demo"))
parser.add_argument("--threads", default="1")
parser.add_argument("-n", dest="tokens", default="200")
args, options = parser.parse_known_args()

with tempfile.TemporaryDirectory() as temporary:
    trace = Path(temporary) / "trace.json"
    prompt = ["-p", "Once upon a time"]
    command = [PROGRAM, "generate", "-m", args.model, *prompt, "-n", args.tokens, "--threads", args.threads, "--backend", "cpu"]
    run = [*command, "--trace-file", trace, "--ignore-eos", *options]
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    events = json.loads(trace.read_text())["traceEvents"]

steps = {}
for event in events:
    if event.get("cat") == "step":
        steps.setdefault((event["args"]["graph"], event["args"]["tokens"]), []).append(event)
print("| graph | tokens | steps | step, us | operators | transfers | gaps |\n|---|---|---|---|---|---|---|")
failed = False
for (graph, tokens), all_of_it in sorted(steps.items()):
    counted = all_of_it[1:] or all_of_it
    share = {
        part: statistics.median(step["args"][f"{part}_us"] / step["dur"] for step in counted)
        for part in ("operators", "transfers", "gap")
    }
    failed = failed or (graph == "main" and tokens == 1 and share["operators"] < 0.95)
    microseconds = statistics.median(step["dur"] for step in counted)
    shares = " | ".join(f"{100 * value:.1f} %" for value in share.values())
    print(f"| {graph} | {tokens} | {len(all_of_it)} | {microseconds:.0f} | {shares} |")
sys.exit(1 if failed else 0)
