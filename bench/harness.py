"""What the scripts here share: a command's wall time and peak memory, as users feel them, its JSON, plain loops to compare
with."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bin/vkseek"


def run(command):
    """Seconds and peak resident bytes of one run; ends the script when the command fails."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {child.returncode}: {errors.decode(errors='replace').strip()}")
    return seconds, usage.ru_maxrss * 1024


def times(command, runs):
    """Median, best and spread (worst / best) of `runs` runs, after one that is not counted."""
    run(command)
    seconds = sorted(run(command)[0] for _ in range(runs))
    return statistics.median(seconds), seconds[0], seconds[-1] / seconds[0]


def output(command, **more):
    """A command's standard output as JSON, None if there is none; ends the script when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout else None


def plain_loops(folder):
    """roofline.c, built there."""
    flags = ["-O3", "-march=native", "-ffast-math", "-fno-tree-loop-distribute-patterns", "-mprefer-vector-width=512"]
    program = Path(folder) / "roofline"
    output(["cc", *flags, ROOT / "bench/roofline.c", "-o", program, "-pthread"])
    return program
