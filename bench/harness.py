"""Runs a command several times and reports what users feel: wall time and peak memory of the whole process."""

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
