#!/usr/bin/env python3
"""Times by context, by length of the prompt, by rows of a step, by experts and by threads, of a shape with random weights:
the laws that fit them, and a page with the plots.

usage: bench/growth.py REPORT.html [--shape NAME] [--backend B] [--repetitions N]    after ./run.sh, which builds the program
"""

import argparse
import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAM

parser = argparse.ArgumentParser()
parser.add_argument("report", type=Path)
parser.add_argument("--shape", default="bench-s")
parser.add_argument("--backend", default="cpu")
parser.add_argument("--repetitions", default="5")
args = parser.parse_args()

CORES = len(os.sched_getaffinity(0))
MEASURED = [
    "-p 0 -n 16 -d 0,2048,8192,16384,32768,65000 --depth-rows repeated",
    "-n 0 -p 1,2,3,4,6,8,32,64,128,256,512,1024,2048",
    *(f"-p 0 -n 32 --experts {experts}" for experts in (8, 16, 32, 48, 64)),
    *(f"-p 0 -n 32 --threads {threads}" for threads in range(1, CORES + 1)),
]

with tempfile.TemporaryDirectory() as folder:
    files = []
    for i, measured in enumerate(MEASURED):
        print(f"bench model --shape {args.shape} {measured}", file=sys.stderr)
        files.append(Path(folder) / f"{i}.json")
        with files[-1].open("w") as out:
            subprocess.run([PROGRAM, "bench", "model", "--shape", args.shape, "--backend", args.backend, "-r",
                            args.repetitions, "-o", "json", *measured.split()], stdout=out, check=True)
    subprocess.run([PROGRAM, "bench", "report", *files, "-o", args.report, "--title", f"How {args.shape} grows"], check=True)
for title, law in re.findall(r"<h2>(Time by [^<]*)</h2>\s*<p>(.*?)</p>", args.report.read_text()):
    print(f"{title}: {html.unescape(law)}")
