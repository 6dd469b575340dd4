#!/usr/bin/env python3
"""Holds `vkseek bench roofline` of the CPU against loops in plain C (roofline.c: reading and copying as STREAM does, and
multiply-adds), which take turns with it.

usage: bench/roofline.py [--rounds N] [--threads N]    after ./run.sh, which builds the program; needs a C compiler, cc

Compares the best of all rounds; exits 1 when one is more than 15 % from the other.
"""

import argparse
import os
import sys
import tempfile

from harness import PROGRAM, output, plain_loops


def ours(threads, cache):
    """GB/s of the largest size, GFLOP/s, and that size."""
    command = [PROGRAM, "bench", "roofline", "--backend", "cpu", "--threads", threads, "-o", "json"]
    best, largest = {}, 0
    for row in output(command, env={**os.environ, "XDG_CACHE_HOME": cache}):
        if row["what"] in ("read", "copy", "f32"):
            best[row["what"]] = row["value"]  # sizes rise
            largest = max(largest, row["bytes"] or 0)
    return best, largest


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
args = parser.parse_args()

best = [{}, {}]
with tempfile.TemporaryDirectory() as temporary:
    loops = plain_loops(temporary)
    for _ in range(args.rounds):
        figures, largest = ours(args.threads, temporary)
        for best_so_far, new in zip(best, (figures, output([loops, args.threads, largest]))):
            new.pop("read_median", None)
            for what, value in new.items():
                best_so_far[what] = max(value, best_so_far.get(what, 0))
off = False
print(f"| {args.threads} threads, {largest >> 20} MiB | bench roofline | plain C | ratio |\n|---|---|---|---|")
for what, unit in (("read", "GB/s"), ("copy", "GB/s"), ("f32", "GFLOP/s")):
    a, b = best[0][what], best[1][what]
    print(f"| {what}, {unit} | {a:.1f} | {b:.1f} | {a / b:.2f} |")
    off = off or abs(a / b - 1) > 0.15
sys.exit("more than 15 % apart" if off else 0)
