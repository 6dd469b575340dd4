"""Shows that layout.py notices: a small tree that is right, then one thing wrong in it at a time."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import layout  # noqa: E402

OPS_H = """#ifndef X
#include "plugin.h"
/* add/1: y = a + b. */
/* rms_norm/1: y = x / rms(x) * w. */
typedef struct vks_norm_params { float eps; } vks_norm_params;
enum { VKS_FIRST = 0, VKS_SECOND = 1 };
#endif
"""
GOLDEN = "VKS_FIRST 0\nVKS_SECOND 1\nVKS_OK 0\nstruct vks_norm_params 4\nstruct vks_info 8\n"
BOTH = '// "add/1" "rms_norm/1"\n'

GOOD = {
    "README.md": "See [the core](backend/README.md#top), [elsewhere](https://example.org) and [below](#here).\n"
                 "\n    bench/run.py --all\n    python3 tests/plain.py\n",
    "bench/run.py": "#!/usr/bin/env python3\n",
    "tests/plain.py": "\n",
    "backend/abi/plugin.h": "typedef struct vks_info { long size; } vks_info;\nenum { VKS_OK = 0 };\n",
    "backend/abi/ops.h": OPS_H,
    "backend/abi/plugin.hpp": '#include "ops.h"\n',
    "backend/abi/draft/clock.h": '#define VKS_CLOCK_ID "vks.clock/1"\n',
    "docs/abi.md": "`vks.clock/1` times.\n",
    "backend/ops/rule.cpp": '#include "backend/ops/rule_list.h"\n// DeepSeek in a comment is a source.\n',
    "backend/CMakeLists.txt": "backend/ops/rule_list.h\n",
    "backend/ops/add.cpp": "#include <string>\n",
    "backend/ops/rms_norm.cpp": "#include <string>\n",
    "plugins/null/plugin.cpp": '#include "backend/abi/plugin.hpp"\n' + BOTH,
    "plugins/cpu/op.h": '#include "backend/abi/plugin.hpp"\n',
    "plugins/cpu/ops/add.cpp": '#include "plugins/cpu/op.h"\n',
    "plugins/cpu/ops/rms_norm.cpp": '#include "plugins/cpu/op.h"\n',
    "plugins/cpu/ops/rms_norm.simd.cpp": '#include "plugins/cpu/op.h"\n',
    "plugins/vulkan/ops/add.cpp": '#include "shaders/add.h"\n',
    "plugins/vulkan/ops/rms_norm.cpp": '#include "plugins/args/check.h"\n',
    "plugins/args/check.h": '#include "backend/abi/plugin.hpp"\n',
    "shaders/lib/host.h": "\n",
    "shaders/add.h": '#include "lib/host.h"\n',
    "frontend/model/model.cpp": '#include "backend/graph/builder.h"\n#include "frontend/io/config.h"\n',
    "frontend/io/config.h": '#include "backend/base/result.h"\n',
    "tests/abi/layout.golden": GOLDEN,
    "tests/ops/add.cpp": '#include "frontend/io/config.h"\n',
    "tests/ops/rms_norm.cpp": "\n",
    "tests/unit/ops/rules.cpp": BOTH,
    "backend/conformance/cases_rows.cpp": BOTH,
    "build/generated.cpp": "x\n" * 9999,
    **{f"{folder}/README.md": sentence + "\n" for folder, sentence in layout.SENTENCES.items()},
}

# A change, and what must be said about it. None: the file goes.
BAD = [
    ({"backend/ops/add.cpp": '#include "frontend/io/config.h"\n'}, "backend/ops/add.cpp: wanted includes from backend/"),
    ({"backend/ops/add.cpp": '#include "plugins/cpu/op.h"\n'}, "wanted includes from backend/ only"),
    ({"backend/ops/add.cpp": "#include <vulkan/vulkan.h>\n"}, "wanted no Vulkan header"),
    ({"frontend/io/config.h": "#include <volk.h>\n"}, "wanted no Vulkan header"),
    ({"backend/ops/add.cpp": "int deepseek_v3;\n"}, "wanted no model name"),
    ({"backend/abi/plugin.hpp": '#include "backend/base/result.h"\n'}, "backend/abi/plugin.hpp: wanted includes from"),
    ({"plugins/cpu/op.h": '#include "backend/base/result.h"\n'}, "plugins/cpu/op.h: wanted includes from backend/abi/"),
    ({"plugins/null/x.cpp": '#include "plugins/cpu/op.h"\n'}, "plugins/null/x.cpp: wanted includes from"),
    ({"frontend/io/config.h": '#include "tests/ops/harness.h"\n'}, "wanted includes from frontend/, backend/ only"),
    ({"frontend/model/model.cpp": '#include "backend/plan/plan.h"\n'}, "frontend/model/model.cpp: wanted includes"),
    ({"tests/plugins/remote/x.cpp": '#include "backend/base/result.h"\n'}, "tests/plugins/remote/x.cpp: wanted"),
    ({"shaders/host.cpp": '#include "backend/base/result.h"\n'}, "shaders/host.cpp: wanted includes"),
    ({"elsewhere/x.cpp": "\n"}, "elsewhere/x.cpp: wanted source in a folder"),
    ({"backend/ops/add.cpp": None}, "backend/ops/add.cpp: wanted the rule of add"),
    ({"plugins/cpu/ops/add.cpp": None}, "plugins/cpu/ops/add.cpp: wanted add in plain C++"),
    ({"plugins/vulkan/ops/add.cpp": None}, "plugins/vulkan/ops/add.cpp: wanted add on Vulkan"),
    ({"shaders/add.h": '#include "plugins/args/check.h"\n'}, "shaders/add.h: wanted includes from shaders/"),
    ({"plugins/cpu/ops/rms_norm.cpp": None}, "plugins/cpu/ops/rms_norm.simd.cpp: wanted the plain version"),
    ({"tests/ops/add.cpp": None}, "tests/ops/add.cpp: wanted a test of add"),
    ({"tests/unit/ops/rules.cpp": '"add/1"\n'}, "tests/unit/ops/rules.cpp: wanted rms_norm"),
    ({"backend/conformance/cases_rows.cpp": '"rms_norm/1"\n'}, "backend/conformance/cases_*.cpp: wanted add"),
    ({"plugins/null/plugin.cpp": "\n"}, "plugins/null/plugin.cpp: wanted add"),
    ({"docs/abi.md": "`vks.clock/10`\n"}, "backend/abi/draft/clock.h: wanted vks.clock/1 in docs/abi.md"),
    ({"docs/abi.md": None}, "backend/abi/draft/clock.h: wanted vks.clock/1 in docs/abi.md"),
    ({"backend/ops/subtract.cpp": "\n"}, "backend/ops/subtract.cpp: wanted the name of an operator"),
    ({"plugins/cpu/ops/ad.simd.cpp": "\n"}, "plugins/cpu/ops/ad.simd.cpp: wanted the name of an operator"),
    ({"backend/abi/ops.h": "\n"}, "wanted comments that begin with an operator's name"),
    ({"tests/abi/layout.golden": GOLDEN.replace("VKS_SECOND 1\n", "")}, "wanted VKS_SECOND in tests/abi/layout.golden"),
    ({"tests/abi/layout.golden": GOLDEN.replace("struct vks_info 8\n", "")}, "wanted struct vks_info in"),
    ({"frontend/io/long.cpp": "\n" * 601}, "frontend/io/long.cpp: wanted at most 600 lines, found 601"),
    ({"README.md": None}, "README.md: wanted the project's README"),
    ({"README.md": "[x](docs/gone.md)\n"}, "README.md: wanted links that lead somewhere, found docs/gone.md"),
    ({"bench/run.py": None}, "README.md: wanted scripts that are there, found bench/run.py"),
    ({"bench/run.py": "\n"}, "README.md: wanted scripts that can be run, or python3 in front, found bench/run.py"),
    ({"bench/README.md": "# bench\n"}, "bench/README.md: wanted as its first line"),
    ({"shaders/README.md": None}, "shaders/README.md: wanted a README"),
]


class Layout(unittest.TestCase):
    def run_on(self, change, *options):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**GOOD, **change}.items():
                if text is None:
                    continue
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
                (root / name).chmod(0o755)
            command = [sys.executable, HERE / "layout.py", root, *(o.replace("@", str(root)) for o in options)]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.stderr, "")
            return done.returncode, done.stdout

    def test_a_good_tree(self):
        self.assertEqual(self.run_on({}), (0, ""))

    def test_each_mistake(self):
        for change, expected in BAD:
            with self.subTest(expected):
                status, output = self.run_on(change)
                self.assertEqual(status, 5)
                self.assertIn(expected, output)

    def test_a_program_with_an_operator(self):
        def program(symbols):
            script = "#!/bin/sh\n" + "".join(f"echo '0000 T {s}'\n" for s in ["vks::Graph::Graph()", *symbols])
            return self.run_on({"nm.sh": script}, "--program", "vkseek", "--nm", "@/nm.sh")

        self.assertEqual(program(["vks::address(int)", "std::vector<int>::_M_add(int)", "std::cout", "vks::GraphBuilder::rms_norm(int)"]), (0, ""))
        for symbol in ("vks::cpu::op_rms_norm", "simd_rms_norm_avx2", "op_add", "add", "vks::cpu::add(float)"):
            with self.subTest(symbol):
                self.assertEqual(program([symbol]), (5, f"vkseek: wanted no operator, found {symbol}\n"))


if __name__ == "__main__":
    unittest.main()
