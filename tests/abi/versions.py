"""Plugins older and newer than this core: built with the frozen header of version 1.0, and with one that is longer than
today's. Both load in the installed program, and their operator runs in a model."""
import argparse
import pathlib
import shutil
import sys

import installed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="vkseek's build tree")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder to use, emptied first")
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("plugin", type=pathlib.Path, nargs="+")
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    program = installed.install(args.cmake, args.build, args.work)
    golden = installed.Golden(args.golden)
    for plugin in args.plugin:
        entry = installed.plugins(program, plugin.parent)[plugin.name]
        if not entry["accepted"] or entry["abi"] != "1.0" or "rms_norm/1" not in entry["ops"]:
            sys.exit(f"{plugin}: wanted it accepted, speaking version 1.0, with rms_norm/1; found {entry}")
        golden.check(plugin, program, "--plugin-dir", plugin.parent, "--backend", "cnorm,cpu", on="cnorm")


if __name__ == "__main__":
    main()
