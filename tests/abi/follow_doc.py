"""Does what docs/adding_a_backend.md says, word for word, in an empty folder.

Every fenced block is carried out in order: `sh` is run (in the folder that earlier blocks changed to), `diff` is applied
to the file that it names, any other language is written to the file that the block's first line names. Then what the
page promises is checked: the built plugin computes its operator in a model, and the ids are those of the CPU plugin.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import sys

from installed import run

COUNT = 24


def blocks(text):
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def script(page):
    """The page's blocks as one shell script."""
    lines = ["set -euxo pipefail"]
    for number, (language, content) in enumerate(blocks(page)):
        end = f"END_OF_BLOCK_{number}"
        if language == "sh":
            lines.append(content)
        elif language == "diff":
            lines.append(f"patch -p1 --fuzz=0 <<'{end}'\n{content}{end}\n")
        else:
            name = re.match(r"(?:#|//) ([\w./]+)", content)
            if not name:
                sys.exit(f"block {number} ({language}): wanted a file's name in its first line")
            lines.append(f"cat >{name.group(1)} <<'{end}'\n{content}{end}\n")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True, help="vkseek's source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="vkseek's build tree")
    parser.add_argument("--generator", required=True, help="what vkseek was built with, so that it is there")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder to use, emptied first")
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    page = (args.source / "docs" / "adding_a_backend.md").read_text()
    steps = [language for language, _ in blocks(page)]
    if steps.count("diff") < 2 or steps.count("sh") < 5 or "cmake" not in steps or "cpp" not in steps:
        sys.exit(f"wanted the page's steps, found blocks of {steps}")
    prefix = args.work / "prefix"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VKSEEK_")}
    environment.update(VKSEEK_SOURCE=str(args.source), VKSEEK_BUILD=str(args.build), VKSEEK_PREFIX=str(prefix),
                       CMAKE_GENERATOR=args.generator)
    (args.work / "steps.sh").write_text(script(page))
    run("bash", "steps.sh", cwd=args.work, env=environment)

    program, plugin = prefix / "bin" / "vkseek", args.work / "mine" / "build"
    listing = json.loads(run(program, "plugins", "--plugin-dir", plugin, "--json").stdout)
    if [entry.get("ops") for entry in listing if entry.get("name") == "mine"] != [["rms_norm/1"]]:
        sys.exit(f"plugins: wanted mine with rms_norm/1, found {listing}")
    reports = {}
    for backend in ("cpu", "mine,cpu"):
        reports[backend] = json.loads(run(program, "generate", "--plugin-dir", plugin, "--backend", backend, "-p",
                                          "vulkan-tools:", "-n", COUNT, "--temp", "0", "--math", "f32", "--json").stdout)
    wanted, found = reports["cpu"], reports["mine,cpu"]
    if found["ids"] != wanted["ids"] or found["placement"]["rms_norm"] != "mine":
        sys.exit(f"wanted rms_norm on mine and {wanted['ids']}, found {found['placement']} and {found['ids']}")
    # Where `cmake --install build` puts it, the program finds it by itself.
    run("cmake", "--install", plugin, env=environment)
    if not any(entry.get("name") == "mine" for entry in json.loads(run(program, "plugins", "--json").stdout)):
        sys.exit("wanted the installed plugin among the program's own, found it missing")


if __name__ == "__main__":
    main()
