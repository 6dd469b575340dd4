"""Checks the tree: include directions, each operator's files, file lengths, READMEs, their links and the scripts that they
run, and that nothing of the plugin interface is missing from its layout test and its page. With --program: that the
program holds no operator.

Prints one line per problem and exits 5 when there is any. layout_test.py shows that it notices.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

LONGEST = 600  # lines
UNREAD = {".git", ".cache", "build", "golden", "models", "__pycache__"}  # folders that hold no source of ours
SOURCES = {".h", ".hpp", ".c", ".cpp", ".py", ".sh", ".cmake", ".comp", ".glsl", ".md"}

# The first line of each top folder's README.
SENTENCES = {
    "backend": "`backend/` — the engine behind the ABI: contract, registry, graph, planner, executor. "
               "No Vulkan header, no model name.",
    "plugins": "`plugins/` — the operator backends, each a shared library that includes only `backend/abi/`. "
               "CPU is a plugin like any other.",
    "shaders": "`shaders/` — GLSL for whichever plugins consume SPIR-V.",
    "frontend": "`frontend/` — everything that knows about text, files or DeepSeek: loader, model definition, tokenizer, "
                "generation, CLI, server.",
    "tests": "`tests/` — mirrors the folders it tests by name; every operator, plugin and promise has a test that can fail.",
    "bench": "`bench/` — benchmarks, which mirror the folders they measure by name.",
}

# Another form of operators that there are everywhere: a plugin may do without.
OTHER_FORMS = {"mla_expanded"}

# Which folders a file may include from; the first matching row counts. None: anything.
MAY_INCLUDE = [
    ("backend/abi/", ["backend/abi/"]),
    ("backend/", ["backend/"]),
    ("plugins/args/", ["backend/abi/", "plugins/args/"]),
    ("plugins/vulkan/", ["backend/abi/", "plugins/args/", "shaders/"]),  # and its own folder
    ("plugins/", ["backend/abi/", "plugins/args/"]),  # and its own folder
    ("frontend/model/", ["frontend/model/", "frontend/io/", "backend/graph/", "backend/base/", "backend/abi/"]),
    ("frontend/", ["frontend/", "backend/"]),
    ("bench/", ["bench/", "frontend/", "backend/"]),
    ("shaders/", ["shaders/"]),
    ("tests/abi/c_plugin/", []),
    ("tests/plugins/", ["backend/abi/"]),  # and its own folder
    ("tests/", None),
]


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


class Tree:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.files = []
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not UNREAD & set(relative.parts[:-1]):
                self.files.append(relative.as_posix())

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def problem(self, where, what):
        self.problems.append(f"{where}: {what}")

    def want(self, name, why):
        if name not in self.files:
            self.problem(name, f"wanted {why}, found no such file")

    def operators(self):
        """The operators of the vocabulary: each has a comment of its own that begins with its name."""
        return re.findall(r"^/\* (\w+)/\d+:", self.text("backend/abi/ops.h"), flags=re.MULTILINE)


def own_folder(name):
    """plugins/cpu/ of plugins/cpu/ops/add.cpp"""
    parts = name.split("/")
    depth = 3 if parts[0] == "tests" else 2
    return "/".join(parts[:depth]) + "/"


def check_includes(tree):
    for name in tree.files:
        if not name.endswith((".h", ".hpp", ".c", ".cpp", ".comp", ".glsl")):
            continue
        rows = [allowed for prefix, allowed in MAY_INCLUDE if name.startswith(prefix)]
        if not rows:
            tree.problem(name, "wanted source in a folder that layout.py knows")
            continue
        text = tree.text(name)
        vulkan = re.search(r'#include [<"](vulkan|vk_|volk)', text)
        if vulkan and not name.startswith(("plugins/vulkan/", "tests/")):
            tree.problem(name, "wanted no Vulkan header outside plugins/vulkan")
        if name.startswith("backend/") and re.search("deepseek", strip_comments(text), re.IGNORECASE):
            tree.problem(name, "wanted no model name in the core")
        if rows[0] is None:
            continue
        allowed = list(rows[0])
        if name.startswith(("plugins/", "tests/plugins/")):
            allowed.append(own_folder(name))
        for included in re.findall(r'#include "([^"]+)"', text):
            # Beside the file or from the root; shaders name files from their folder on.
            places = [(pathlib.PurePosixPath(name).parent / included).as_posix()]
            if name.startswith("shaders/"):
                places.append(f"shaders/{included}")
            path = next((place for place in places if place in tree.files), included)
            if not path.startswith(tuple(allowed)) and not is_generated(tree, included):
                tree.problem(name, f"wanted includes from {', '.join(allowed) or 'nowhere'} only, found \"{included}\"")


def is_generated(tree, included):
    """A file that a CMakeLists.txt writes: named there, and nowhere in the tree."""
    return included not in tree.files and any(
        included in tree.text(name) for name in tree.files if name.endswith("CMakeLists.txt"))


def check_operators(tree):
    operators = tree.operators()
    if not operators:
        tree.problem("backend/abi/ops.h", "wanted comments that begin with an operator's name, found none")
    rules = tree.text("tests/unit/ops/rules.cpp")
    cases = "".join(tree.text(name) for name in tree.files if name.startswith("backend/conformance/cases"))
    null = tree.text("plugins/null/plugin.cpp")
    for op in operators:
        tree.want(f"backend/ops/{op}.cpp", f"the rule of {op}")
        tree.want(f"plugins/cpu/ops/{op}.cpp", f"{op} in plain C++")
        if op not in OTHER_FORMS:
            tree.want(f"plugins/vulkan/ops/{op}.cpp", f"{op} on Vulkan")
        tree.want(f"tests/ops/{op}.cpp", f"a test of {op}")
        quoted = f'"{op}/'
        for where, text in (("tests/unit/ops/rules.cpp", rules), ("backend/conformance/cases_*.cpp", cases),
                            ("plugins/null/plugin.cpp", null)):
            if quoted not in text:
                tree.problem(where, f"wanted {op}, found no {quoted}...")
    for name in tree.files:
        # backend/ops/add.cpp, plugins/cpu/ops/add.simd.cpp
        match = re.fullmatch(r"(backend|plugins/\w+)/ops/(\w+)(\.\w+)?\.cpp", name)
        if not match or name == "backend/ops/rule.cpp":
            continue
        if match.group(2) not in operators:
            tree.problem(name, "wanted the name of an operator of backend/abi/ops.h")
        elif match.group(3) and f"{match.group(1)}/ops/{match.group(2)}.cpp" not in tree.files:
            tree.problem(name, "wanted the plain version beside it")


def check_interface(tree):
    """Whatever the headers define has a line in the layout test's golden file, each draft extension one in abi.md."""
    golden = tree.text("tests/abi/layout.golden")
    for header in ("backend/abi/plugin.h", "backend/abi/ops.h"):
        text = strip_comments(tree.text(header))
        names = [f"struct {name} " for name in re.findall(r"typedef struct (\w+) \{", text)]
        for block in re.findall(r"enum \{(.*?)\}", text, flags=re.DOTALL):
            names += [f"{name} " for name in re.findall(r"(VKS_\w+)\s*=", block)]
        for name in names:
            if not re.search("^" + re.escape(name), golden, flags=re.MULTILINE):
                tree.problem(header, f"wanted {name.strip()} in tests/abi/layout.golden, found nothing")

    pages = tree.text("docs/abi.md") if "docs/abi.md" in tree.files else ""
    for name in tree.files:
        if name.startswith("backend/abi/draft/"):
            for draft in re.findall(r'#define VKS_\w+_ID "([^"]+)"', tree.text(name)):
                if f"`{draft}`" not in pages:
                    tree.problem(name, f"wanted {draft} in docs/abi.md, found nothing")


def check_lengths(tree):
    for name in tree.files:
        path = pathlib.PurePosixPath(name)
        if path.suffix in SOURCES or path.name == "CMakeLists.txt":
            lines = tree.text(name).count("\n")
            if lines > LONGEST:
                tree.problem(name, f"wanted at most {LONGEST} lines, found {lines}")


def check_readmes(tree):
    for folder, sentence in SENTENCES.items():
        name = f"{folder}/README.md"
        if name not in tree.files:
            tree.problem(name, "wanted a README, found none")
        elif tree.text(name).splitlines()[:1] != [sentence]:
            tree.problem(name, f"wanted as its first line: {sentence}")
    tree.want("README.md", "the project's README")
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        text = re.sub(r"^```.*?^```", "", tree.text(name), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:|#", link):
                continue
            target = (tree.root / name).parent / link.split("#")[0]
            if not target.exists():
                tree.problem(name, f"wanted links that lead somewhere, found {link}")
        # Commands that begin with a script, from the root or beside the page.
        for script in re.findall(r"^    (?:\./)?((?:[\w.-]+/)*[\w-]+\.(?:py|sh))(?: |$)", text, flags=re.MULTILINE):
            beside = (pathlib.PurePosixPath(name).parent / script).as_posix()
            script = script if script in tree.files else beside
            if script not in tree.files:
                tree.problem(name, f"wanted scripts that are there, found {script}")
            elif not os.access(tree.root / script, os.X_OK) or not tree.text(script).startswith("#!"):
                tree.problem(name, f"wanted scripts that can be run, or python3 in front, found {script}")


def check_program(tree, program, nm):
    """No function of a plugin or named after an operator is defined in it: operators come from plugins. What has an
    operator's name there is in a namespace: the graph's nodes, the operators' rules."""
    done = subprocess.run([nm, "-C", "--defined-only", program], capture_output=True, text=True)
    if done.returncode != 0:
        tree.problem(program, f"wanted a program that {nm} can read: {done.stderr.strip()}")
        return
    symbols = [line.split(maxsplit=2)[-1] for line in done.stdout.splitlines()]
    if not any(symbol.startswith("vks::") for symbol in symbols):
        tree.problem(program, f"wanted symbols, found {len(symbols)} and none of vks")
    for symbol in symbols:
        for op in tree.operators():
            # "add" alone is in many names; "rms_norm" in none.
            plain = rf"\w*{op}\w*" if "_" in op else f"(op|rule|run|vks)?_?{op}(_op)?"
            if re.match(r"vks::(cpu|vulkan)::", symbol) or re.fullmatch(plain, symbol) or re.search(rf"\bop_{op}\b", symbol):
                tree.problem(program, f"wanted no operator, found {symbol}")
                break


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--program", help="check this program instead of the tree")
    parser.add_argument("--nm", default="nm")
    args = parser.parse_args()
    tree = Tree(args.root)
    if args.program:
        check_program(tree, args.program, args.nm)
    else:
        for check in (check_includes, check_operators, check_interface, check_lengths, check_readmes):
            check(tree)
    for line in tree.problems:
        print(line)
    sys.exit(5 if tree.problems else 0)


if __name__ == "__main__":
    main()
