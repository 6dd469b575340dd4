#!/usr/bin/env python3
"""Compares what GPUs' compilers make of the shaders (TARGET.json of tests/isa/run.sh or of `vkseek bench isa`) with the
committed baseline.

usage: baseline.py BASELINE FOLDER                  a pipeline that costs more than the tolerance: exit 5
       baseline.py BASELINE FOLDER --update REASON  the baseline as it is now, and why

More registers or code by over 5 %, or fewer waves, costs. So does a pipeline of which the baseline has no figures, or
the other way round: it says that the baseline is of other shaders. Results of another driver than the baseline's are
shown and never fail: a new compiler is no change of ours.
"""
import argparse
import json
import pathlib
import sys

TOLERANCE = 0.05
# By the first of these names that a driver uses.
FIGURES = {
    "registers": ["VGPRs", "Number of GPRs", "Registers used", "GPRs", "Max Live Registers"],
    "shared": ["LDS size", "Workgroup Memory Size"],
    "waves": ["Subgroups per SIMD", "Max warps/SM", "Max Waves Per Core", "Threads"],
    "code": ["Code size", "Code Size", "Instruction Count", "Instruction count"],
}


def figures(pipeline):
    known = pipeline["statistics"]
    found = {}
    for figure, names in FIGURES.items():
        found[figure] = next((known[name] for name in names if name in known), None)
    return found


def read_results(folder):
    """{target: {"driver": text, "pipelines": {"shader constants": figures}}}"""
    results = {}
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        pipelines = {f"{p['shader']} {p['constants']}": figures(p) for p in data["pipelines"]}
        results[path.stem] = {"driver": data["driver"], "pipelines": dict(sorted(pipelines.items()))}
    return results


def compare_pipeline(was, now):
    problems = []
    for figure in ("registers", "code"):
        if was[figure] and now[figure] and now[figure] > was[figure] * (1 + TOLERANCE):
            problems.append(f"{figure}: wanted {was[figure]}, found {now[figure]}")
    if was["waves"] and now["waves"] and now["waves"] < was["waves"]:
        problems.append(f"waves: wanted {was['waves']}, found {now['waves']}")
    return problems


def compare(baseline, results):
    """Problems, notes that don't count, and how many targets have the baseline's driver."""
    problems, notes, same = [], [], 0
    for target, was in baseline["targets"].items():
        now = results.get(target)
        if now is None:
            problems.append(f"{target}: wanted results, found none")
            continue
        other = was["driver"] != now["driver"]
        same += not other
        if other:
            notes.append(f"{target}: the baseline is {was['driver']}'s, this is {now['driver']}")
        said = notes if other else problems
        for name in was["pipelines"].keys() - now["pipelines"].keys():
            problems.append(f"{target}: {name}: in the baseline only")
        for name in now["pipelines"].keys() - was["pipelines"].keys():
            problems.append(f"{target}: {name}: not in the baseline")
        for name in was["pipelines"].keys() & now["pipelines"].keys():
            said += [f"{target}: {name}: {p}" for p in compare_pipeline(was["pipelines"][name], now["pipelines"][name])]
    return sorted(problems), sorted(notes), same


def write_baseline(path, baseline):
    """A line for each pipeline, so that a change of one shows as one."""
    lines = ["{", ' "reasons": ' + json.dumps(baseline["reasons"], indent=2).replace("\n", "\n ") + ",", ' "targets": {']
    targets = []
    for target, data in sorted(baseline["targets"].items()):
        rows = ",\n".join(f"   {json.dumps(name)}: {json.dumps(row)}" for name, row in data["pipelines"].items())
        targets.append(f'  {json.dumps(target)}: {{"driver": {json.dumps(data["driver"])}, "pipelines": {{\n{rows}\n  }}}}')
    lines.append(",\n".join(targets))
    lines += [" }", "}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--update", metavar="REASON")
    args = parser.parse_args()
    results = read_results(args.folder)
    if not results:
        print(f"baseline ({args.folder}): wanted TARGET.json files, found none", file=sys.stderr)
        return 3
    baseline = {"reasons": [], "targets": {}}
    if args.baseline.exists():
        baseline = json.loads(args.baseline.read_text(encoding="utf-8"))
    if args.update is not None:
        if len(args.update.split()) < 2:
            print("baseline (--update): wanted a reason of a few words", file=sys.stderr)
            return 2
        write_baseline(args.baseline, {"reasons": [*baseline["reasons"], args.update],
                                       "targets": {**baseline["targets"], **results}})
        return 0
    problems, notes, same = compare(baseline, results)
    for line in notes:
        print(f"note: {line}")
    for line in problems:
        print(line)
    known = sum(len(target["pipelines"]) for target in baseline["targets"].values())
    targets = len(baseline["targets"])
    print(f"{known} pipelines of {targets} targets, {len(problems)} problems")
    if same < targets:
        print(f"costs compared on {same} of {targets} targets: the others' drivers aren't the baseline's (--update)")
    return 5 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
