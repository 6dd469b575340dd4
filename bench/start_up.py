#!/usr/bin/env python3
"""Time from start to first token on the demo model: the whole process with -n 1, start, load, plan, prompt, exit.

usage: bench/start_up.py [RUNS]      after ./run.sh, which builds the program
"""

import sys

from harness import PROGRAM, ROOT, times

runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
command = [PROGRAM, "generate", "-m", ROOT / "models/demo", "-p", "vulkan-tools:", "-n", "1", "--temp", "0"]
median, best, spread = times(command, runs)
print(f"first token, demo model: median {median * 1e3:.0f} ms, best {best * 1e3:.0f} ms, worst/best {spread:.2f}, {runs} runs")
