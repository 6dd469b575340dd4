"""Builds the plugin in C the way its author would and runs a model with it.

Installs vkseek into a folder, configures and builds this folder's project against the installed header alone, and
generates with the installed program: the operator runs in the plugin, the ids are those of the CPU plugin alone.
"""
import argparse
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from installed import Golden, install, run  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--generator", required=True, help="what vkseek was built with, so that it is there")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="vkseek's build tree")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder to use, emptied first")
    parser.add_argument("--golden", type=pathlib.Path, required=True, help="checkpoint/ and expected.safetensors")
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    source, build = args.work / "source", args.work / "build"
    program = install(args.cmake, args.build, args.work)
    here = pathlib.Path(__file__).parent
    source.mkdir(parents=True)
    for name in ("CMakeLists.txt", "rms_norm.c"):
        shutil.copy(here / name, source)
    includes = [line for line in (source / "rms_norm.c").read_text().splitlines() if "#include" in line and "vkseek" in line]
    if len(includes) != 1:
        sys.exit(f"rms_norm.c: wanted one header of vkseek, found {includes}")
    run(args.cmake, "-G", args.generator, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={args.work / 'prefix'}", "-DCMAKE_BUILD_TYPE=Release")
    run(args.cmake, "--build", build)

    golden = Golden(args.golden)
    golden.check("CPU plugin alone", program, "--backend", "cpu")
    golden.check("first in the list", program, "--plugin-dir", build, "--backend", "cnorm,cpu", on="cnorm")
    golden.check("named for its operator", program, "--plugin-dir", build, "--backend", "cpu", "--op", "rms_norm=cnorm",
                 on="cnorm")

    # What it doesn't have it must not get, and the message names it.
    done = run(program, *golden.arguments(), "--plugin-dir", build, "--backend", "cpu", "--op", "embed=cnorm", check=False)
    line = done.stderr.strip()
    if done.returncode != 4 or "\n" in line or "embed" not in line or "cnorm has no other operator" not in line:
        sys.exit(f"--op embed=cnorm: wanted status 4 and one line with the reason, found {done.returncode}: {line}")
    listing = run(program, "plugins", "--plugin-dir", build).stdout
    if "rms_norm/1" not in listing or "rms_norm/2" not in listing:
        sys.exit(f"plugins: wanted both revisions of rms_norm, found:\n{listing}")


if __name__ == "__main__":
    main()
