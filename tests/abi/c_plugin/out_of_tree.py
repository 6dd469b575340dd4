"""Builds the plugin in C the way its author would and runs a model with it.

Installs vkseek into a folder, configures and builds this folder's project against the installed header alone, and
generates with the installed program: the operator runs in the plugin, the ids are those of the CPU plugin alone.
"""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys

COUNT = 32


def run(*command, check=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def golden(path, names):
    """Integer tensors of a safetensors file."""
    blob = path.read_bytes()
    size = struct.unpack_from("<Q", blob)[0]
    header = json.loads(blob[8:8 + size])
    tensors = []
    for name in names:
        entry = header[name]
        first, last = entry["data_offsets"]
        code = {"I64": "q", "I32": "i"}[entry["dtype"]]
        data = blob[8 + size + first:8 + size + last]
        tensors.append(list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)))
    return tensors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--generator", required=True, help="what vkseek was built with, so that it is there")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="vkseek's build tree")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder to use, emptied first")
    parser.add_argument("--golden", type=pathlib.Path, required=True, help="checkpoint/ and expected.safetensors")
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    prefix, source, build = args.work / "prefix", args.work / "source", args.work / "build"
    run(args.cmake, "--install", args.build, "--prefix", prefix)
    here = pathlib.Path(__file__).parent
    source.mkdir(parents=True)
    for name in ("CMakeLists.txt", "rms_norm.c"):
        shutil.copy(here / name, source)
    includes = [line for line in (source / "rms_norm.c").read_text().splitlines() if "#include" in line and "vkseek" in line]
    if len(includes) != 1:
        sys.exit(f"rms_norm.c: wanted one header of vkseek, found {includes}")
    run(args.cmake, "-G", args.generator, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run(args.cmake, "--build", build)

    program = prefix / "bin" / "vkseek"
    prompt, expected = golden(args.golden / "expected.safetensors", ["p1.input_ids", "p1.greedy_ids"])
    common = [program, "generate", "-m", args.golden / "checkpoint", "--ids", ",".join(map(str, prompt)), "-n", COUNT,
              "--temp", "0", "--ignore-eos", "--math", "f32", "--json"]
    ways = {
        "CPU plugin alone": (["--backend", "cpu"], "cpu"),
        "first in the list": (["--plugin-dir", build, "--backend", "cnorm,cpu"], "cnorm"),
        "named for its operator": (["--plugin-dir", build, "--backend", "cpu", "--op", "rms_norm=cnorm"], "cnorm"),
    }
    for name, (options, where) in ways.items():
        report = json.loads(run(*common, *options).stdout)
        if report["ids"] != expected[:COUNT]:
            sys.exit(f"{name}: wanted ids {expected[:COUNT]}, found {report['ids']}")
        placement = report["placement"]
        if placement["rms_norm"] != where or placement["mla_attention"] != "cpu":
            sys.exit(f"{name}: wanted rms_norm on {where} and the rest on cpu, found {placement}")

    # What it doesn't have it must not get, and the message names it.
    done = run(*common, "--plugin-dir", build, "--backend", "cpu", "--op", "embed=cnorm", check=False)
    line = done.stderr.strip()
    if done.returncode != 4 or "\n" in line or "embed" not in line or "cnorm has no other operator" not in line:
        sys.exit(f"--op embed=cnorm: wanted status 4 and one line with the reason, found {done.returncode}: {line}")
    listing = run(program, "plugins", "--plugin-dir", build).stdout
    if "rms_norm/1" not in listing or "rms_norm/2" not in listing:
        sys.exit(f"plugins: wanted both revisions of rms_norm, found:\n{listing}")


if __name__ == "__main__":
    main()
