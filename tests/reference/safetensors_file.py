"""Reads and writes safetensors files and sharded checkpoints, and the number formats in them (bf16, FP8 e4m3).

numpy has neither bf16 nor e4m3, so both are decoded here to float32. For trusted test files: sizes are asserted only.
"""

import json
import struct
from pathlib import Path

import numpy as np

NUMPY_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
FLOAT_TYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3")
E4M3_MAX = 448.0


def _e4m3_table():
    """Value of every code: 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity, NaN is 0x7f and 0xff."""
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    magnitude = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10.0))
    magnitude[(code & 0x7F) == 0x7F] = np.nan
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float32)


E4M3_VALUE = _e4m3_table()


def round_to_e4m3(x):
    """Nearest e4m3 value of each element (ties to even, saturating at 448), as float64."""
    x = np.asarray(x, np.float64)
    exponent = np.maximum(np.frexp(x)[1] - 1, -6)  # below 2^-6 the grid is that of the subnormals
    step = np.exp2(exponent - 3.0)
    with np.errstate(invalid="ignore"):
        return np.clip(np.rint(x / step) * step, -E4M3_MAX, E4M3_MAX)


def encode_e4m3(x):
    """e4m3 codes (uint8); NaN becomes 0x7f."""
    value = round_to_e4m3(x)
    code = np.searchsorted(E4M3_VALUE[:0x7F], np.abs(value)).astype(np.uint8)
    code |= np.where(np.signbit(value), 0x80, 0).astype(np.uint8)
    return np.where(np.isnan(value), np.uint8(0x7F), code)


def encode_bf16(x):
    """bf16 bit patterns (uint16) of finite float32 values, round to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def decode(stored, dtype):
    """Stored numbers as float32 (float64 for F64); integers unchanged."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E4M3":
        return E4M3_VALUE[stored]
    if dtype == "F16":
        return stored.astype(np.float32)
    return stored


def read_stored(path):
    """{name: (dtype, array as stored)}; bf16 as uint16, e4m3 as uint8."""
    data = Path(path).read_bytes()
    (header_bytes,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + header_bytes])
    body = memoryview(data)[8 + header_bytes :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(body[begin:end], NUMPY_TYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], flat.reshape(entry["shape"]))
    return tensors


def read(path):
    """{name: array}, floats decoded."""
    return {name: decode(stored, dtype) for name, (dtype, stored) in read_stored(path).items()}


def write(path, tensors):
    """Writes {name: (dtype, array as stored)}. Wide types come first, so every tensor is aligned to its element."""
    order = sorted(tensors, key=lambda n: (-np.dtype(NUMPY_TYPES[tensors[n][0]]).itemsize, n))
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name in order:
        dtype, stored = tensors[name]
        raw = np.ascontiguousarray(stored, NUMPY_TYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(stored.shape), "data_offsets": [offset, offset + len(raw)]}
        parts.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_arrays(path, arrays):
    """Writes {name: numpy array}: integers as I32/I64, floats as F32."""
    kinds = {"i4": "I32", "i8": "I64"}
    write(path, {n: (kinds.get(a.dtype.str[1:], "F32"), a) for n, a in arrays.items()})


def read_checkpoint(directory):
    """{name: (dtype, array as stored)} of every shard that the index names, or of the single file."""
    directory = Path(directory)
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return read_stored(directory / "model.safetensors")
    where = json.loads(index.read_text())["weight_map"]
    shards = {file: read_stored(directory / file) for file in sorted(set(where.values()))}
    return {name: shards[file][name] for name, file in where.items()}
