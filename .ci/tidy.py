"""clang-tidy over every source of a configured build: tidy.py BUILD [FILE...]

Most of the time goes into the libraries' headers, over and over; so up to ten sources of a folder that have the same
flags are looked at as one. A batch that isn't clean, or whose unnamed namespaces clash, is looked at again source by
source, and that is what counts. Each source is held to the .clang-tidy of its folder.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

BATCH = 10
# Folders whose sources say the same names again in unnamed namespaces, or are included by themselves (Highway).
SINGLE = ("plugins/", "tests/")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def flags_of(entry):
    """The compiler's options without the compiler, the files, and what clang does not know."""
    words = shlex.split(entry["command"])
    options = []
    for word, after in zip(words, words[1:]):
        if after.startswith("-") and after not in ("-c", "-o", "-fno-gnu-unique"):
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
        if name and not path.is_relative_to(build) and (not chosen or name in chosen):
            sources.setdefault(name, flags_of(entry))
    return sources


def batches_of(sources):
    groups = {}
    for name, flags in sorted(sources.items()):
        single = name.startswith(SINGLE)
        groups.setdefault((name if single else name.split("/")[0], flags), []).append(name)
    return [(names[at:at + BATCH], flags) for (_, flags), names in groups.items() for at in range(0, len(names), BATCH)]


def tidy(path, flags, *options):
    done = subprocess.run(["clang-tidy", "--quiet", *options, str(path), "--", *flags], cwd=ROOT, capture_output=True,
                          text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def look_at(batch, flags, folder, number):
    if len(batch) > 1:
        together = folder / f"{number}.cpp"
        together.write_text("".join(f'#include "{name}"  // NOLINT\n' for name in batch))
        if not tidy(together, flags, f"--config-file={ROOT / '.clang-tidy'}"):
            return ""
        print("again, one by one:", *batch, flush=True)
    return "".join(tidy(name, flags) for name in batch)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    sources = read_sources(build, sys.argv[2:])
    folder = build / "tidy"
    folder.mkdir(exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [pool.submit(look_at, *batch, folder, number) for number, batch in enumerate(batches_of(sources))]
        failed = 0
        for job in concurrent.futures.as_completed(jobs):
            failed += bool(job.result())
            print(job.result(), end="", flush=True)
    print(f"tidy: {len(sources)} sources, {failed} failed")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
