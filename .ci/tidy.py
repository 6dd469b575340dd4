"""clang-tidy over every source of a configured build: tidy.py BUILD [FILE or FOLDER...]

Nearly all the time goes into the libraries' headers, over and over; so up to ten sources of a folder that have the same
flags are looked at as one. A batch that isn't clean, or whose unnamed namespaces clash, is halved and looked at again,
down to single sources; what is said about those counts. Each of them is held to the .clang-tidy of its folder.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

BATCH = 10
# Sources that all say the same names in unnamed namespaces, or are included by themselves (Highway).
SINGLE = re.compile(r"plugins/\w+/ops/|plugins/.*\.simd\.|tests/fuzz/|tests/abi/|tests/plugins/|tests/conformance/")
# Sources that declare what their neighbours define are no mistake.
TOGETHER = "--checks=-readability-redundant-declaration"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def flags_of(entry):
    """The compiler's options without the compiler, the files, and what clang does not know."""
    words = shlex.split(entry["command"])
    options = []
    for word, after in zip(words, words[1:]):
        if after.startswith("-") and after not in ("-c", "-o", "-fno-gnu-unique", "-Wno-restrict"):
            options.append(after)
        elif word in ("-isystem", "-I"):
            options.append(after)
    return tuple(options)


def read_sources(build, chosen):
    """Each source once, by its path in the tree, with its flags; nothing that the build generates."""
    sources = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if name and not path.is_relative_to(build) and (not chosen or name.startswith(chosen)):
            sources.setdefault(name, flags_of(entry))
    return sources


def batches_of(sources):
    groups = {}
    for name, flags in sorted(sources.items()):
        folder = name.rpartition("/")[0]
        groups.setdefault((name if SINGLE.match(name) else folder, flags), []).append(name)
    return [(names[at:at + BATCH], flags) for (_, flags), names in groups.items() for at in range(0, len(names), BATCH)]


def tidy(path, flags, *options):
    done = subprocess.run(["clang-tidy", "--quiet", *options, str(path), "--", *flags], cwd=ROOT, capture_output=True,
                          text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def write_together(batch, build):
    """A source that includes the batch, below the same .clang-tidy files as they are."""
    path = build / "tidy" / f"{batch[0]}.{len(batch)}.cpp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f'#include "{name}"  // NOLINT\n' for name in batch))
    for folder in pathlib.PurePath(batch[0]).parents:
        if (ROOT / folder / ".clang-tidy").exists():
            shutil.copy(ROOT / folder / ".clang-tidy", build / "tidy" / folder)
    return path


def look_at(batch, flags, build):
    if len(batch) == 1:
        return tidy(batch[0], flags)
    if not tidy(write_together(batch, build), flags, TOGETHER):
        return ""
    half = len(batch) // 2
    print("again, in halves:", *batch, flush=True)
    return look_at(batch[:half], flags, build) + look_at(batch[half:], flags, build)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    sources = read_sources(build, tuple(sys.argv[2:]))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [pool.submit(look_at, *batch, build) for batch in batches_of(sources)]
        failed = 0
        for job in concurrent.futures.as_completed(jobs):
            failed += bool(job.result())
            print(job.result(), end="", flush=True)
    print(f"tidy: {len(sources)} sources, {failed} failed")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
