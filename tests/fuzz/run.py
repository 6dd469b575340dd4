#!/usr/bin/env python3
"""Fuzzes each target with a fixed seed and a fixed number of inputs, prints how many bytes that was, and exits 5 when
something was found. Build first: cmake --preset fuzz && cmake --build --preset fuzz

Nothing depends on the machine's speed, except that an input which takes longer than TIMEOUT is a finding.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SEED = 1
TIMEOUT = 5  # seconds for one input; the code is instrumented
LONGEST = 4096  # bytes of one input
MEMORY = 2048  # MB

# Inputs that take about half a minute on one core.
RUNS = {
    "chat_messages": 200_000,
    "chat_template": 60_000,
    "config": 250_000,
    "index": 500_000,
    "plugin_elf": 2_000_000,
    "safetensors": 500_000,
    "tokenizer_json": 250_000,
    "tokenizer_text": 120_000,
}


def command(target, runs, args, found):
    """`found`: where inputs that reach something new are kept; the seeds are only read."""
    line = [args.build / f"fuzz_{target}", f"-runs={runs}", f"-seed={SEED}", f"-timeout={TIMEOUT}",
            f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={args.artifacts}/{target}-", "-verbosity=0"]
    dictionary = HERE / "dictionaries" / f"{target}.dict"
    if dictionary.exists():
        line.append(f"-dict={dictionary}")
    line.append(found)
    return line + [path for folder in ("corpus", "findings") if (path := HERE / folder / target).exists()]


def fuzz(target, args, found):
    """Returns the executions and bytes, or nothing if something was found."""
    start = time.monotonic()
    done = subprocess.run(command(target, RUNS[target] * args.factor, args, found), capture_output=True, text=True,
                          errors="replace")
    totals = re.search(r"^fuzz: (\d+) executions, (\d+) bytes$", done.stderr, flags=re.MULTILINE)
    if done.returncode != 0 or not totals:
        print(done.stderr)
        print(f"{target}: exit status {done.returncode}", flush=True)
        return None
    executions, size = map(int, totals.groups())
    print(f"{target:15} {executions:11,} inputs {size:15,} bytes {time.monotonic() - start:6.0f} s", flush=True)
    return executions, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build/fuzz/tests/fuzz")
    parser.add_argument("--factor", type=int, default=1, help="so many times the usual number of inputs")
    parser.add_argument("--artifacts", type=pathlib.Path, default=pathlib.Path("."), help="where findings are written")
    parser.add_argument("--keep", type=pathlib.Path, help="keep the inputs that reached something new here, by target")
    args = parser.parse_args()
    sources = {path.stem for path in (HERE / "targets").glob("*.cpp")}
    if sources != set(RUNS) or not sources.issuperset(args.targets):
        parser.error(f"wanted a number of runs for each of {sorted(sources)}, and no other target")
    sums, failed = [0, 0], []
    for target in args.targets or sorted(RUNS):
        with tempfile.TemporaryDirectory() as temporary:
            found = pathlib.Path(temporary) if args.keep is None else args.keep / target
            found.mkdir(parents=True, exist_ok=True)
            totals = fuzz(target, args, found)
        if totals is None:
            failed.append(target)
        else:
            sums = [a + b for a, b in zip(sums, totals)]
    print(f"{'all':15} {sums[0]:11,} inputs {sums[1]:15,} bytes, found something in: {', '.join(failed) or 'none'}")
    sys.exit(5 if failed else 0)


if __name__ == "__main__":
    main()
