"""Shows that baseline.py notices what costs, and only that."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent


def results(driver="radv, Mesa 1", shader="gemm", registers=96, waves=16, code=2000):
    return {"device": "a GPU", "driver": driver, "failures": [],
            "pipelines": [{"op": "gemm/1", "shape": "T=1", "shader": shader, "constants": "64 X=2",
                           "statistics": {"VGPRs": registers, "Subgroups per SIMD": waves, "Code size": code}}]}


class Baseline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.baseline = pathlib.Path(self.folder.name) / "baseline.json"
        (self.results_folder / "navi31.json").write_text(json.dumps(results()))
        self.assertEqual(self.run_it("--update", "the first figures").returncode, 0)

    @property
    def results_folder(self):
        path = pathlib.Path(self.folder.name) / "results"
        path.mkdir(exist_ok=True)
        return path

    def run_it(self, *options):
        return subprocess.run([sys.executable, HERE / "baseline.py", self.baseline, self.results_folder, *options],
                              capture_output=True, text=True, check=False)

    def after(self, **changes):
        (self.results_folder / "navi31.json").write_text(json.dumps(results(**changes)))
        return self.run_it()

    def test_the_same_passes(self):
        self.assertEqual(self.run_it().returncode, 0)

    def test_better_and_a_little_worse_pass(self):
        self.assertEqual(self.after(registers=64, waves=20, code=1500).returncode, 0)
        self.assertEqual(self.after(registers=100, code=2099).returncode, 0)

    def test_what_costs_fails(self):
        for change, text in (({"registers": 104}, "registers: wanted 96, found 104"),
                             ({"waves": 15}, "waves: wanted 16, found 15"),
                             ({"code": 2200}, "code: wanted 2000, found 2200")):
            ran = self.after(**change)
            self.assertEqual(ran.returncode, 5)
            self.assertIn(text, ran.stdout)

    def test_a_reason_makes_it_pass(self):
        self.assertEqual(self.after(registers=120).returncode, 5)
        self.assertEqual(self.run_it("--update", "hm").returncode, 2)
        self.assertEqual(self.run_it("--update", "longer tiles, measured faster").returncode, 0)
        self.assertEqual(self.run_it().returncode, 0)
        self.assertEqual(json.loads(self.baseline.read_text())["reasons"],
                         ["the first figures", "longer tiles, measured faster"])

    def test_other_pipelines_fail(self):
        ran = self.after(shader="gemm.subgroup")
        self.assertEqual(ran.returncode, 5)
        self.assertIn("not in the baseline", ran.stdout)
        self.assertIn("in the baseline only", ran.stdout)

    def test_another_driver_is_a_note(self):
        ran = self.after(driver="radv, Mesa 2", registers=200)
        self.assertEqual(ran.returncode, 0)
        self.assertIn("note: navi31: gemm 64 X=2: registers: wanted 96, found 200", ran.stdout)

    def test_a_missing_target_fails(self):
        (self.results_folder / "navi31.json").rename(self.results_folder / "navi21.json")
        self.assertEqual(self.run_it().returncode, 5)

    def test_no_results_at_all(self):
        (self.results_folder / "navi31.json").unlink()
        self.assertEqual(self.run_it().returncode, 3)


if __name__ == "__main__":
    unittest.main()
