#!/usr/bin/env python3
"""Decoding against memory: the bytes of weights and cache that a token takes, and what plain loads of as many threads
read (roofline.c), in turn. On a machine shared with others both change from minute to minute, so the median of a round's
tokens is held against the median of the reads before and after it, and the best of all against the best.

usage: bench/decode_share.py MODEL_DIR [--rounds N] [--threads N]    after ./run.sh; needs a C compiler, cc
"""

import argparse
import os
import statistics
import tempfile

from harness import PROGRAM, output, plain_loops

READ_BYTES = 512 << 20

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--rounds", type=int, default=8)
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
args = parser.parse_args()

decode = [PROGRAM, "bench", "model", "-m", args.model, "--backend", "cpu", "--threads", args.threads, "-p", "0", "-n", "64",
          "-r", "4", "-o", "json"]
shares, best_read, best_decode = [], 0, 0
print("| reads, GB/s: median, best | tokens/s: median, best | GB/s | of the median read |\n|---|---|---|---|")
with tempfile.TemporaryDirectory() as temporary:
    loops = plain_loops(temporary)
    read = [loops, args.threads, READ_BYTES, "read"]
    before = output(read)
    for _ in range(args.rounds):
        row, after = output(decode)[0], output(read)
        median, best = statistics.median(row["samples_ts"]), max(row["samples_ts"])
        reads = (before["read_median"] + after["read_median"]) / 2
        gb = row["step_bytes"] / 1e9
        shares.append(median * gb / reads)
        best_read = max(best_read, before["read"], after["read"])
        best_decode = max(best_decode, best * gb)
        print(f"| {reads:.1f}, {max(before['read'], after['read']):.1f} | {median:.0f}, {best:.0f} | {median * gb:.1f} | "
              f"{shares[-1]:.0%} |", flush=True)
        before = after
print(f"median share {statistics.median(shares):.0%}, from {min(shares):.0%} to {max(shares):.0%}; best against best "
      f"{best_decode / best_read:.0%}: {best_decode:.1f} of {best_read:.1f} GB/s")
