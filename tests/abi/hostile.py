"""Hostile plugins, one at a time among those of the installed program: `vkseek plugins` gives the reason, and the model
on the CPU plugin beside it gives the golden ids.

Three kinds: files that are no good plugin (made here from a good one), libraries that are refused when they shake hands,
and plugins whose device can't be used. The last two are copies of one library that goes wrong in the way its file name
says (bad_plugins/bad.cpp)."""
import argparse
import os
import pathlib
import shutil
import struct
import sys

import installed

HEADER = {"class": (4, "B"), "order": (5, "B"), "type": (16, "H"), "machine": (18, "H"), "phoff": (32, "Q"),
          "shoff": (40, "Q"), "phnum": (56, "H")}
PT_LOAD, EM_PPC64 = 1, 21

REFUSED = {
    "no_entry": "wanted the symbol vks_plugin_entry, found none",
    "constructor_aborts": "the process ended by signal 6",
    "constructor_crashes": "the process ended by signal 11",
    "constructor_exits": "the process ended with status 0",
    "constructor_throws_early": "the process ended by signal 6",
    "negotiate_crashes": "the process ended by signal 11",
    "negotiate_exits": "the process ended with status 0",
    "entry_magic": "wanted magic VKSPLUG",
    "entry_major": "wanted major 1, found 2",
    "entry_minor_new": "wanted minor 0 or less",
    "entry_huge": "wanted a size from 40",
    "entry_wild_negotiate": "negotiate: wanted a function",
    "negotiate_throws": "exception: out of a plugin",
    "negotiate_throws_int": "unknown exception",
    "negotiate_shouts": "A\\x1b\\xff\\x0aA",
    "table_wild": "plugin table: wanted an address",
    "table_at_the_edge": "plugin table: wanted an address",
    "table_small": "plugin table: wanted a size from 80, found 72",
    "table_huge": "plugin table: wanted a size from 80",
    "table_without_open": "open is missing",
    "device_null": "device is missing",
    "device_small": "device table: wanted a size from 144, found 136",
    "device_wild_copy": "copy: wanted a function",
    "name_path": "wanted [a-z0-9_]{1,31}",
    "name_unterminated": "wanted [a-z0-9_]{1,31}",
    "name_at_the_edge": "wanted [a-z0-9_]{1,31}",
    "ops_endless": "wanted a NULL within 4096 entries",
    "ops_at_the_edge": "wanted a NULL within 4096 entries",
    "ops_wild_name": "wanted name/revision",
    "ops_unterminated_name": "wanted name/revision",
    "enumerate_endless": "wanted at most 64 devices",
    "enumerate_throws": "exception: out of a plugin",
    "enumerate_garbage": "unknown status",
}
UNUSABLE = {
    "open_throws": "exception: out of a plugin",
    "open_null": "success without a device",
    "open_garbage": "unknown status",
    "info_alignment": "wanted a power of two",
    "buffer_null": "success without a buffer",
    "map_null": "wanted a host address, found none",
    "stream_throws": "exception: out of a plugin",
    "fence_null": "success without a fence",
    "submit_garbage": "unknown status",
    "await_never": "timeout: still busy",
    "await_lost": "device lost: fell off the bus",
    "close_throws": None,  # after all is done: only the run must end well
}
# Asked to run an operator that it claims: the operator runs on the CPU instead, at once or after a failure of that reason.
CLAIMS = {
    "query_throws": None,
    "query_garbage": None,
    "query_scratch": None,
    "query_layout": None,
    "prepare_throws": None,
    "prepare_null": None,
    "launch_throws": "exception: out of a plugin",
    "launch_garbage": "unknown status",
    "launch_lost": "device lost: fell off the bus",
}


def patched(good, **fields):
    blob = bytearray(good)
    for name, value in fields.items():
        offset, code = HEADER[name]
        struct.pack_into("<" + code, blob, offset, value)
    return bytes(blob)


def load_beyond_the_end(good):
    """The last segment to load is said to have a megabyte more in the file."""
    blob = bytearray(good)
    phoff, = struct.unpack_from("<Q", blob, HEADER["phoff"][0])
    phnum, = struct.unpack_from("<H", blob, HEADER["phnum"][0])
    last = max(phoff + 56 * i for i in range(phnum) if struct.unpack_from("<I", blob, phoff + 56 * i)[0] == PT_LOAD)
    for size in (last + 32, last + 40):
        struct.pack_into("<Q", blob, size, struct.unpack_from("<Q", blob, size)[0] + (1 << 20))
    return bytes(blob)


def bad_files(good):
    """Name -> bytes and a part of the reason."""
    files = {
        "empty": (b"", "found nothing in it"),
        "script": (b"#!/bin/sh\nexit 0\n", "wanted an ELF library"),
        "noise": (bytes(range(1, 256)) * 64, "wanted an ELF library"),
        "linker_script": (b"INPUT(libvkseek_cpu.so)\n", "wanted an ELF library"),
        "bits_32": (patched(good, **{"class": 1}), "ELF class"),
        "big_endian": (patched(good, order=2), "ELF byte order"),
        "other_machine": (patched(good, machine=EM_PPC64), "ELF machine"),
        "program": (patched(good, type=2), "ELF type"),
        "no_program_headers": (patched(good, phnum=0), "ELF program headers"),
        "program_headers_outside": (patched(good, phoff=1 << 62), "ELF program headers"),
        "section_headers_outside": (patched(good, shoff=1 << 62), "ELF section headers"),
        "load_beyond_the_end": (load_beyond_the_end(good), "within the file's"),
    }
    for size in (1, 4, 16, 63, 64, 100, 512, 1000, 4096, 8192, len(good) // 2, len(good) - 4096, len(good) - 1):
        files[f"cut_at_{size}"] = (good[:size], "")
    # What a loader maps is gone, and no section headers tell: the first touch of the missing page would be a SIGBUS.
    files["cut_without_sections"] = (patched(good, shoff=0)[:8192], "within the file's")
    return files


class Program:
    def __init__(self, args):
        self.program = installed.install(args.cmake, args.build, args.work)
        self.folder = args.work / "prefix" / "lib" / "vkseek" / "plugins"
        self.golden = installed.Golden(args.golden)
        for path in self.folder.iterdir():
            if path.name != "libvkseek_cpu.so":
                path.unlink()

    def beside(self, name, place, judge):
        """With the plugin that `place` puts there: what is listed goes to `judge`; the CPU plugin must be unharmed."""
        path = self.folder / f"libvkseek_{name}.so"
        place(path)
        listing = installed.plugins(self.program, self.folder)
        problem = judge(listing[path.name])
        cpu = listing["libvkseek_cpu.so"]
        if not cpu["accepted"] or not all(device["usable"] for device in cpu["devices"]):
            problem = problem or f"wanted the CPU plugin unharmed, found {cpu}"
        if problem:
            sys.exit(f"{name}: {problem}")
        self.golden.check(name, self.program, "--backend", "cpu")
        return path

    def refused(self, name, place, reason):
        def judge(entry):
            if entry["accepted"] or not entry["reason"] or reason not in entry["reason"]:
                return f"wanted it refused: {reason}; found {entry}"
        self.beside(name, place, judge).unlink()

    def unusable(self, name, place, reason):
        def judge(entry):
            found = [device.get("reason") for device in entry.get("devices", [])]
            if len(found) != 1 or (reason or "") not in (found[0] or "") or bool(reason) != bool(found[0]):
                return f"wanted one device, not usable: {reason}; found {entry}"
        self.beside(name, place, judge).unlink()

    def claims(self, name, place, reason):
        path = self.beside(name, place, lambda entry: None if entry["accepted"] else f"wanted it listed, found {entry}")
        swaps = self.golden.check(name, self.program, "--backend", f"{name},cpu")["swaps"]
        if len(swaps) != bool(reason) or (reason and reason not in swaps[0]["reason"]):
            sys.exit(f"{name}: wanted {'it left: ' + reason if reason else 'no swap'}; found {swaps}")
        path.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="vkseek's build tree")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder to use, emptied first")
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("--good", type=pathlib.Path, required=True, help="a plugin to damage")
    parser.add_argument("--bad", type=pathlib.Path, required=True, help="the plugin that goes wrong as its name says")
    parser.add_argument("--no-entry", type=pathlib.Path, required=True, help="a library that is no plugin")
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    program = Program(args)

    def copy(name):
        return lambda path: shutil.copy(args.no_entry if name == "no_entry" else args.bad, path)

    files = bad_files(args.good.read_bytes())
    for name, (blob, reason) in files.items():
        program.refused(name, lambda path, blob=blob: path.write_bytes(blob), reason)
    program.refused("fifo", os.mkfifo, "wanted a regular file")
    program.refused("dangling", lambda path: path.symlink_to("nowhere"), "No such file")
    for name, reason in REFUSED.items():
        program.refused(name, copy(name), reason)
    for name, reason in UNUSABLE.items():
        program.unusable(name, copy(name), reason)
    for name, reason in CLAIMS.items():
        program.claims(name, copy(name), reason)
    print(f"{len(files) + 2 + len(REFUSED) + len(UNUSABLE) + len(CLAIMS)} hostile plugins")


if __name__ == "__main__":
    main()
