"""What the tests that use vkseek as installed share: running commands, golden ids, generating."""
import json
import os
import pathlib
import struct
import subprocess
import sys


def run(*command, check=True, **options):
    options.setdefault("env", {name: value for name, value in os.environ.items() if not name.startswith("VKSEEK_")})
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-8000:]}{done.stderr[-8000:]}")
    return done


def integers(path, names):
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


class Golden:
    """A checkpoint, a prompt, and the ids that greedy decoding gives."""
    def __init__(self, folder, count=32):
        expected = folder / "expected_dequant.safetensors"
        if not expected.exists():
            expected = folder / "expected.safetensors"
        self.checkpoint = folder / "checkpoint"
        self.prompt, ids = integers(expected, ["p1.input_ids", "p1.greedy_ids"])
        self.ids = ids[:count]

    def arguments(self):
        return ["generate", "-m", self.checkpoint, "--ids", ",".join(map(str, self.prompt)), "-n", len(self.ids),
                "--temp", "0", "--ignore-eos", "--math", "f32", "--json"]

    def check(self, name, program, *options, on=None):
        """Generates; the ids must be the golden ones, and rms_norm where `on` says, the rest on the CPU. The report."""
        report = json.loads(run(program, *self.arguments(), *options).stdout)
        if report["ids"] != self.ids:
            sys.exit(f"{name}: wanted ids {self.ids}, found {report['ids']}")
        placement = report["placement"]
        if placement["rms_norm"] != (on or "cpu") or placement["mla_attention"] != "cpu":
            sys.exit(f"{name}: wanted rms_norm on {on or 'cpu'} and the rest on cpu, found {placement}")
        return report


def install(cmake, build, work):
    """The installed program, in work/prefix."""
    run(cmake, "--install", build, "--prefix", work / "prefix")
    return work / "prefix" / "bin" / "vkseek"


def plugins(program, folder):
    """What `vkseek plugins` says, by file name; its stderr must stay empty."""
    done = run(program, "plugins", "--plugin-dir", folder, "--json")
    if done.stderr:
        sys.exit(f"plugins: wanted nothing on stderr, found {done.stderr}")
    return {pathlib.Path(entry["path"]).name: entry for entry in json.loads(done.stdout)}
