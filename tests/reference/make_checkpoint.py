#!/usr/bin/env python3
"""Writes a random DeepSeek-V3 checkpoint in the released layout for a (small) config.json; same seed, same bytes.

FP8 with 128x128 scales when the config has a quantization_config, else bf16. Standard deviations are chosen so that
hidden states keep their size, attention and routing are decisive and logits are spread (deviation about 3.5).
"""

import argparse
import json
import zlib
from pathlib import Path

import numpy as np

import safetensors_file as st

BLOCK = 128
# Standard deviation times sqrt(fan-in); what is not named here has 1.1.
GAIN = {"mlp": 1.3, "o_proj": 1.6, "q_a_proj": 1.0, "mlp.gate": 1.6, "lm_head": 3.5, "shared_head.head": 3.5}
NEVER_FP8 = ("embed_tokens", "lm_head", "shared_head.head", "eh_proj", "mlp.gate.")


def ffn_shapes(prefix, hidden, width):
    return {
        f"{prefix}.gate_proj.weight": (width, hidden),
        f"{prefix}.up_proj.weight": (width, hidden),
        f"{prefix}.down_proj.weight": (hidden, width),
    }


def layer_shapes(c, layer):
    """Names and shapes of one decoder layer; MTP modules are layers from num_hidden_layers on."""
    p, hidden, heads = f"model.layers.{layer}.", c["hidden_size"], c["num_attention_heads"]
    nope, rope, latent = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["kv_lora_rank"]
    shapes = {p + "input_layernorm.weight": (hidden,), p + "post_attention_layernorm.weight": (hidden,)}
    q_rows, rank = heads * (nope + rope), c["q_lora_rank"]
    if rank is None:
        shapes[p + "self_attn.q_proj.weight"] = (q_rows, hidden)
    else:
        shapes[p + "self_attn.q_a_proj.weight"] = (rank, hidden)
        shapes[p + "self_attn.q_a_layernorm.weight"] = (rank,)
        shapes[p + "self_attn.q_b_proj.weight"] = (q_rows, rank)
    shapes[p + "self_attn.kv_a_proj_with_mqa.weight"] = (latent + rope, hidden)
    shapes[p + "self_attn.kv_a_layernorm.weight"] = (latent,)
    shapes[p + "self_attn.kv_b_proj.weight"] = (heads * (nope + c["v_head_dim"]), latent)
    shapes[p + "self_attn.o_proj.weight"] = (hidden, heads * c["v_head_dim"])
    if layer < c["first_k_dense_replace"]:
        return shapes | ffn_shapes(p + "mlp", hidden, c["intermediate_size"])
    shapes[p + "mlp.gate.weight"] = (c["n_routed_experts"], hidden)
    shapes[p + "mlp.gate.e_score_correction_bias"] = (c["n_routed_experts"],)
    for expert in range(c["n_routed_experts"]):
        shapes |= ffn_shapes(f"{p}mlp.experts.{expert}", hidden, c["moe_intermediate_size"])
    if c["n_shared_experts"]:
        shapes |= ffn_shapes(p + "mlp.shared_experts", hidden, c["n_shared_experts"] * c["moe_intermediate_size"])
    return shapes


def all_shapes(c):
    hidden, vocab, layers = c["hidden_size"], c["vocab_size"], c["num_hidden_layers"]
    shapes = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(layers):
        shapes |= layer_shapes(c, layer)
    shapes["model.norm.weight"] = (hidden,)
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    for layer in range(layers, layers + c["num_nextn_predict_layers"]):
        p = f"model.layers.{layer}."
        shapes[p + "embed_tokens.weight"] = (vocab, hidden)
        shapes |= {p + "enorm.weight": (hidden,), p + "hnorm.weight": (hidden,)}
        shapes[p + "eh_proj.weight"] = (hidden, 2 * hidden)
        shapes |= layer_shapes(c, layer)
        shapes[p + "shared_head.norm.weight"] = (hidden,)
        if not c["tie_word_embeddings"]:
            shapes[p + "shared_head.head.weight"] = (vocab, hidden)
    return shapes


def gain(name):
    return next((GAIN[key] for key in sorted(GAIN, key=len, reverse=True) if key in name), 1.1)


def random_values(name, shape, seed, bias_mean):
    """float64 values; the MTP modules repeat the main model's embedding and head."""
    name = "model.embed_tokens.weight" if "embed_tokens" in name else name
    name = "lm_head.weight" if "shared_head.head" in name else name
    # RandomState: its streams never change between numpy versions.
    normal = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32).standard_normal(shape)
    if "norm" in name:
        return np.clip(1.0 + 0.25 * normal, 0.3, 2.0)
    if "e_score_correction_bias" in name:
        return bias_mean + 0.15 * normal
    if "embed_tokens" in name:
        return normal
    return normal * gain(name) / np.sqrt(shape[-1])


def quantise_blocks(w, random):
    """(codes, scale_inv) of w [N, K]. Blocks get different magnitudes first, so that a misplaced scale shows."""
    rows, columns = (np.arange(n) // BLOCK for n in w.shape)
    factor = np.exp2(random.uniform(-1.0, 1.0, (rows[-1] + 1, columns[-1] + 1)))
    w = w * factor[rows[:, None], columns]
    scale = np.empty(factor.shape, np.float32)
    for i, j in np.ndindex(scale.shape):
        block = w[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK]
        scale[i, j] = np.abs(block).max() / st.E4M3_MAX
    return st.encode_e4m3(w / scale[rows[:, None], columns]), scale


def make_tensors(config, seed, bias_mean=0.0, mixed=False):
    """{name: (dtype, array as stored)} in the model's order. mixed: matrices take turns in f16, f32 and bf16."""
    fp8, tensors, turn = "quantization_config" in config, {}, 0
    for name, shape in all_shapes(config).items():
        values = random_values(name, shape, seed, bias_mean)
        if "e_score_correction_bias" in name:
            tensors[name] = ("F32", values.astype(np.float32))
        elif fp8 and len(shape) == 2 and not any(part in name for part in NEVER_FP8):
            codes, scale = quantise_blocks(values, np.random.RandomState((zlib.crc32(name.encode()) ^ seed) % 2**32))
            tensors[name], tensors[name + "_scale_inv"] = ("F8_E4M3", codes), ("F32", scale)
        elif mixed and len(shape) == 2:
            kind, turn = ("F16", "F32", "BF16")[turn % 3], turn + 1
            stored = st.encode_bf16(values) if kind == "BF16" else values.astype(st.NUMPY_TYPES[kind])
            tensors[name] = (kind, stored)
        else:
            tensors[name] = ("BF16", st.encode_bf16(values))
    return tensors


def assign_shards(tensors, shards, stray_scales):
    """{name: shard}: about equal bytes, in order; with stray_scales every fourth scale goes one shard further."""
    total, seen, scales, where = sum(a.nbytes for _, a in tensors.values()), 0, 0, {}
    for name, (_, stored) in tensors.items():
        where[name] = min(seen * shards // total, shards - 1)
        seen += stored.nbytes
        if name.endswith("_scale_inv"):
            scales += 1
            if stray_scales and scales % 4 == 0:
                where[name] = (where[name] + 1) % shards
    return where


def make_checkpoint(config, directory, seed, shards=1, stray_scales=False, bias_mean=0.0, mixed=False):
    """Writes config.json and the safetensors file(s) into `directory`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors = make_tensors(config, seed, bias_mean, mixed)
    if shards == 1:
        st.write(directory / "model.safetensors", tensors)
        return
    where = assign_shards(tensors, shards, stray_scales)
    files = [f"model-{i + 1:05d}-of-{shards:06d}.safetensors" for i in range(shards)]
    for i, file in enumerate(files):
        st.write(directory / file, {n: t for n, t in tensors.items() if where[n] == i})
    index = {
        "metadata": {"total_size": sum(a.nbytes for _, a in tensors.values())},
        "weight_map": {name: files[where[name]] for name in tensors},
    }
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="config.json")
    parser.add_argument("-o", metavar="DIR", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--stray-scales", action="store_true", help="put some scales in another shard")
    parser.add_argument("--bias-mean", type=float, default=0.0, help="centre of e_score_correction_bias")
    parser.add_argument("--mixed", action="store_true", help="matrices take turns in f16, f32 and bf16")
    args = parser.parse_args()
    config = json.loads(Path(args.config).read_text())
    make_checkpoint(config, args.o, args.seed, args.shards, args.stray_scales, args.bias_mean, args.mixed)


if __name__ == "__main__":
    main()
