#!/usr/bin/env python3
"""`vkseek bench shader` on an unchanged copy of each shipped shader: is it right, and as fast as the built-in one? Then
`--watch`: how long from saving a small shader to its verdict, and what of a mistake in it?

usage: bench/shaders.py [--backend vulkan:0] [--rounds N] [NAME ...]    after ./run.sh, which builds the program

Of each case the best time of all rounds counts; within a round copy and built-in take turns, 20 times. Exits 1 when a copy is
wrong, or all its cases together take over 10 % longer or less than with the built-in one, when a verdict takes a second, or a
mistake's line isn't named.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import PROGRAM

SHADERS = PROGRAM.parent.parent / "share/vkseek/shaders"
SMALL = "add"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--backend", default="vulkan:0")
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("names", nargs="*", metavar="NAME")
args = parser.parse_args()

failed = False


def report(line, ok):
    global failed
    failed = failed or not ok
    print(line + ("" if ok else "  <-"), flush=True)


def command(path, *more):
    return [str(word) for word in (PROGRAM, "bench", "shader", path, "--backend", args.backend, *more)]


def measure(path):
    best = {}
    for _ in range(args.rounds):
        done = subprocess.run(command(path, "--rows", "1,8,512", "-r", "20", "-o", "json"), capture_output=True, text=True)
        if done.returncode != 0:
            return None, done.stderr.strip()
        for row in json.loads(done.stdout):
            case = (row["op"], row["shape"])
            before = best.get(case, (float("inf"), float("inf")))
            best[case] = (min(before[0], row["best_us"]), min(before[1], row["builtin_us"]))
    given, builtin = (sum(times) for times in zip(*best.values()))
    return given / builtin, f"| {path.stem} | {len(best)} | {builtin:.0f} | {given:.0f} | {given / builtin:.2f} |"


def verdict(child):
    """Lines on stderr until it waits again, and seconds until then."""
    begin, lines = time.monotonic(), []
    for line in child.stderr:
        if line.startswith("watching"):
            break
        lines.append(line.strip())
    return time.monotonic() - begin, lines


def watch(path):
    text = path.read_text()
    child = subprocess.Popen(command(path, "--rows", "1", "--watch"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        verdict(child)
        seconds = []
        for i in range(5):
            path.write_text(text + "\n" * i)
            seconds.append(verdict(child)[0])
        report(f"--watch, {path.stem}: from save to verdict {min(seconds):.2f} to {max(seconds):.2f} s", max(seconds) < 1)
        path.write_text(text + "mistake;\n")
        _, lines = verdict(child)
        number = text.count("\n") + 1
        report(f"a mistake: {lines[0] if lines else ''}", any(f"{path.name}:{number})" in line for line in lines))
    finally:
        child.terminate()
        child.wait()


with tempfile.TemporaryDirectory() as temporary:
    print("| shader | cases | built-in, us | copy, us | ratio |\n|---|---|---|---|---|")
    for source in sorted(SHADERS.glob("*.comp")):
        if args.names and source.stem not in args.names:
            continue
        copy = Path(shutil.copy(source, temporary))
        ratio, line = measure(copy)
        report(line if ratio else f"| {copy.stem} | {line} | | | |", ratio is not None and abs(ratio - 1) <= 0.1)
    watch(Path(shutil.copy(SHADERS / f"{SMALL}.comp", temporary)))
sys.exit(1 if failed else 0)
