#!/usr/bin/env python3
"""Compares what `vkseek logits --trace --mtp -o OUT` wrote for one prompt with a golden file. Exit 5: out of tolerance.

The prompt itself: `compare.py EXPECTED PROMPT --print-ids`, for `vkseek logits --ids`.
"""

import argparse
import sys

import numpy as np

import safetensors_file as st
from deepseek_v3 import has_row_per_position, relative

FLOATS = ("logits", "hidden.", "kv.", "mtp")  # compared with --tol
MTP_PARTS = ("logits", "router")  # of what a golden holds about MTP modules, vkseek writes these
COARSE = 1e-3  # a --tol above it means a run under --math half


def wanted_keys(golden):
    for key in sorted(golden):
        if key.startswith("mtp") and key.split(".")[1] not in MTP_PARTS or key.endswith("next_ids"):
            continue
        if key.endswith((".topk_idx", ".topk_weight")) or key.startswith(FLOATS) and ".router." not in key:
            yield key


def deviation(key, ours, golden, tolerance):
    """(measure, deviation, limit); rows whose router decision is a toss-up are left out."""
    if ".router." not in "." + key:
        return "rel", relative(ours, golden[key]), tolerance
    # Below this margin a router decision may differ; weights follow the activations' precision.
    sure_margin, weight_tolerance = (1e-4, 1e-5) if tolerance <= COARSE else (2e-2, tolerance)
    sure = golden[key.rsplit(".", 1)[0] + ".margin"] > sure_margin
    ours, expected = ours[sure], golden[key][sure]
    if key.endswith("topk_idx"):
        return "differing", float(np.sum(ours != expected)), 0.0
    return "abs", float(np.abs(ours.astype(np.float64) - expected).max(initial=0.0)), weight_tolerance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("expected", help="expected*.safetensors")
    parser.add_argument("prompt", type=int, help="0 to 3")
    parser.add_argument("out", nargs="?", help="file written by vkseek logits")
    parser.add_argument("--tol", type=float, default=1e-4, help="relative, for logits, hidden, kv and MTP logits")
    parser.add_argument("--only", help="compare only keys beginning so, e.g. logits when OUT has no trace")
    parser.add_argument("--print-ids", action="store_true", help="print the prompt as 1,2,3 and stop")
    args = parser.parse_args()

    prefix = f"p{args.prompt}."
    golden = {k[len(prefix) :]: v for k, v in st.read(args.expected).items() if k.startswith(prefix)}
    if not golden:
        print(f"compare.py: no prompt {args.prompt} ({args.expected})", file=sys.stderr)
        sys.exit(3)
    if args.print_ids:
        print(",".join(map(str, golden["input_ids"])))
        return
    if args.out is None:
        parser.error("OUT is needed")
    out, bad = st.read(args.out), 0
    for key in wanted_keys(golden):
        if args.only and not key.startswith(args.only):
            continue
        if key not in out:
            if key.startswith("mtp") and ".router." in key:  # an addition vkseek need not write
                continue
            print(f"{key:28s} missing")
            bad += 1
            continue
        ours = out[key]
        if has_row_per_position(key) and len(ours) == len(golden["input_ids"]):
            ours = ours[golden["rows"]]
        if ours.shape != golden[key].shape:
            print(f"{key:28s} shape: wanted {golden[key].shape}, found {ours.shape}")
            bad += 1
            continue
        measure, found, limit = deviation(key, ours, golden, args.tol)
        fine = found <= limit  # false for NaN
        bad += not fine
        print(f"{key:28s} {measure} {found:.2e}{'' if fine else f'  > {limit:g}'}")
    sys.exit(5 if bad else 0)


if __name__ == "__main__":
    main()
