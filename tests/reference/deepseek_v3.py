#!/usr/bin/env python3
"""DeepSeek-V3 in float64, written from the technical report (arXiv 2412.19437): the oracle for the golden files.

Slow and plain: attention rebuilds keys and values from the latent cache, experts run one by one. It shares no code with
the C++ and is not a way to run models of any size. Equation numbers are the report's; T new tokens, S cached ones.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

import safetensors_file as st

QUANT_BLOCK = 128


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def top_indices(scores, count):
    """Indices of the `count` largest along the last axis, largest first; equal scores: lowest index first."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :count]


def decision_gap(scores, count):
    """How far the `count` largest are from being another set: the last one taken minus the first one left."""
    ordered = -np.sort(-scores, axis=-1)
    if count >= scores.shape[-1]:
        return np.full(scores.shape[:-1], np.inf)
    return ordered[..., count - 1] - ordered[..., count]


def quantised_image(x):
    """x after a trip through e4m3: per token and 128 channels, scale max(amax, 1e-4)/448, arithmetic in float32."""
    x = np.asarray(x, np.float32)
    image = np.empty(x.shape, np.float64)
    for begin in range(0, x.shape[-1], QUANT_BLOCK):
        group = x[..., begin : begin + QUANT_BLOCK]
        amax = np.maximum(np.abs(group).max(axis=-1, keepdims=True), np.float32(1e-4))
        scale = amax / np.float32(st.E4M3_MAX)
        image[..., begin : begin + QUANT_BLOCK] = st.round_to_e4m3(group / scale) * scale.astype(np.float64)
    return image


class Rope:
    """Rotation of adjacent pairs, with YaRN frequencies (arXiv 2309.00071) when the config asks for them."""

    def __init__(self, config):
        dim, theta = config["qk_rope_head_dim"], float(config.get("rope_theta", 10000.0))
        pair = np.arange(dim // 2)
        self.inv_freq = theta ** (-2.0 * pair / dim)
        self.multiplier, self.score_factor = 1.0, 1.0
        scaling = config.get("rope_scaling")
        if scaling is None:
            return
        kind = scaling.get("type", scaling.get("rope_type"))
        if kind != "yarn":
            raise ValueError(f"rope_scaling.type: wanted yarn, found {kind}")
        factor, original = float(scaling["factor"]), scaling["original_max_position_embeddings"]

        def pair_turning(rotations):  # the pair that turns this many times within the original context
            return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

        low = max(math.floor(pair_turning(scaling.get("beta_fast", 32))), 0)
        high = min(math.ceil(pair_turning(scaling.get("beta_slow", 1))), dim - 1)
        width = high - low if high != low else 0.001
        ramp = np.clip((pair - low) / width, 0.0, 1.0)
        self.inv_freq = self.inv_freq / factor * ramp + self.inv_freq * (1.0 - ramp)

        def mscale(s):
            return 0.1 * s * math.log(factor) + 1.0 if factor > 1 else 1.0

        all_dim = mscale(scaling.get("mscale_all_dim", 0.0))
        self.multiplier = mscale(scaling.get("mscale", 1.0)) / all_dim
        self.score_factor = all_dim**2

    def rotate(self, x, positions):
        """x [T, ..., rope], positions [T]."""
        angle = positions[:, None] * self.inv_freq
        angle = angle.reshape(len(positions), *[1] * (x.ndim - 2), -1)
        cos, sin = np.cos(angle) * self.multiplier, np.sin(angle) * self.multiplier
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


class Cache:
    """Per layer the latent [S, kv_lora] and the rotated shared key [S, rope]; MTP modules have their own layers."""

    def __init__(self, config, layers):
        self.c_kv = [np.empty((0, config["kv_lora_rank"])) for _ in range(layers)]
        self.k_pe = [np.empty((0, config["qk_rope_head_dim"])) for _ in range(layers)]

    def length(self, layer):
        return len(self.c_kv[layer])

    def append(self, layer, c_kv, k_pe):
        self.c_kv[layer] = np.concatenate([self.c_kv[layer], c_kv])
        self.k_pe[layer] = np.concatenate([self.k_pe[layer], k_pe])

    def truncate(self, layer, length):
        self.c_kv[layer], self.k_pe[layer] = self.c_kv[layer][:length], self.k_pe[layer][:length]


class Model:
    """A checkpoint directory. mode "w8a8" quantises the input of every FP8 matrix but kv_b_proj; "dequant" nothing."""

    def __init__(self, directory, mode="dequant"):
        self.config = json.loads((Path(directory) / "config.json").read_text())
        self._check_config()
        self.quantise_inputs = mode == "w8a8"
        self.stored = st.read_checkpoint(directory)
        self.dense = {}  # weights already decoded to float64
        self.rope = Rope(self.config)
        self.layers = self.config["num_hidden_layers"]
        self.mtp_modules = self.config.get("num_nextn_predict_layers") or 0
        self.eps = self.config["rms_norm_eps"]

    def _check_config(self):
        fixed = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "hidden_act": "silu", "attention_bias": False}
        for key, wanted in fixed.items():
            if self.config.get(key, wanted) != wanted:
                raise ValueError(f"{key}: wanted {wanted}, found {self.config[key]}")

    def new_cache(self):
        return Cache(self.config, self.layers + self.mtp_modules)

    def has(self, name):
        return name in self.stored

    def weight(self, name):
        if name not in self.dense:
            dtype, stored = self.stored[name]
            value = st.decode(stored, dtype).astype(np.float64)
            if dtype == "F8_E4M3":
                scale = self.stored[name + "_scale_inv"][1].astype(np.float64)
                rows, columns = (np.arange(n) // QUANT_BLOCK for n in value.shape)
                value *= scale[rows[:, None], columns]
            self.dense[name] = value
        return self.dense[name]

    def linear(self, name, x):
        name += ".weight"
        if self.quantise_inputs and self.stored[name][0] == "F8_E4M3":
            x = quantised_image(x)
        return x @ self.weight(name).T

    def norm(self, name, x):
        return rms_norm(x, self.weight(name + ".weight"), self.eps)

    def embed(self, ids, own=None):
        return self.weight(own if own and self.has(own) else "model.embed_tokens.weight")[np.asarray(ids)]

    def head(self, x, own=None):
        """Logits, from an MTP module's own head if the checkpoint has it, else from the main model's."""
        tied = self.config.get("tie_word_embeddings", False)
        main = "model.embed_tokens.weight" if tied else "lm_head.weight"
        return x @ self.weight(own if own and self.has(own) else main).T

    def attention(self, layer, x, cache):
        """Eq. 1-11, x [T, hidden]. The T tokens follow those cached; the layer's cache grows by them."""
        c, prefix = self.config, f"model.layers.{layer}.self_attn."
        heads, nope, rope, v_dim = (
            c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        )  # fmt: skip
        past, tokens = cache.length(layer), len(x)
        positions = np.arange(past, past + tokens)

        if c.get("q_lora_rank") is None:
            q = self.linear(prefix + "q_proj", x)
        else:
            q = self.norm(prefix + "q_a_layernorm", self.linear(prefix + "q_a_proj", x))
            q = self.linear(prefix + "q_b_proj", q)
        q = q.reshape(tokens, heads, nope + rope)
        q_pe = self.rope.rotate(q[..., nope:], positions)

        latent = self.linear(prefix + "kv_a_proj_with_mqa", x)
        c_kv = self.norm(prefix + "kv_a_layernorm", latent[:, : c["kv_lora_rank"]])
        k_pe = self.rope.rotate(latent[:, c["kv_lora_rank"] :], positions)
        cache.append(layer, c_kv, k_pe)

        kv = cache.c_kv[layer] @ self.weight(prefix + "kv_b_proj.weight").T  # never from quantised latents
        kv = kv.reshape(-1, heads, nope + v_dim)
        scores = np.einsum("thd,shd->hts", q[..., :nope], kv[..., :nope], optimize=True)
        scores += np.einsum("thd,sd->hts", q_pe, cache.k_pe[layer], optimize=True)
        scores *= (nope + rope) ** -0.5 * self.rope.score_factor
        scores[:, np.arange(past + tokens) > positions[:, None]] = -np.inf
        out = np.einsum("hts,shd->thd", softmax(scores), kv[..., nope:], optimize=True)
        return self.linear(prefix + "o_proj", out.reshape(tokens, heads * v_dim))

    def feed_forward(self, prefix, x):
        gate = silu(self.linear(prefix + "gate_proj", x))
        return self.linear(prefix + "down_proj", gate * self.linear(prefix + "up_proj", x))

    def route(self, prefix, x):
        """Eq. 15-16, group-limited: expert ids ascending and weights [T, K]; margin [T] to another selection."""
        c = self.config
        groups, kept, k = c.get("n_group", 1), c.get("topk_group", 1), c["num_experts_per_tok"]
        affinity = sigmoid(x @ self.weight(prefix + "gate.weight").T)
        biased = affinity + self.weight(prefix + "gate.e_score_correction_bias")
        margin = np.full(len(x), np.inf)
        allowed = biased
        if groups > 1:
            grouped = biased.reshape(len(x), groups, -1)
            score = -np.sort(-grouped, axis=-1)[..., :2].sum(axis=-1)
            margin = decision_gap(score, kept)
            mask = np.full(score.shape, -np.inf)
            np.put_along_axis(mask, top_indices(score, kept), 0.0, axis=-1)
            allowed = (grouped + mask[..., None]).reshape(biased.shape)
        ids = np.sort(top_indices(allowed, k), axis=-1)
        margin = np.minimum(margin, decision_gap(allowed, k))
        weights = np.take_along_axis(affinity, ids, axis=-1)
        if c.get("norm_topk_prob", True):
            weights = weights / (weights.sum(axis=-1, keepdims=True) + 1e-20)
        return ids, weights * c["routed_scaling_factor"], margin

    def is_moe(self, layer):
        return layer >= self.config["first_k_dense_replace"] and layer % self.config.get("moe_layer_freq", 1) == 0

    def block(self, layer, x, cache, trace, router_key, kv_key):
        """One layer on the residual stream [T, hidden]; the MTP blocks too (always MoE)."""
        prefix, past = f"model.layers.{layer}.", cache.length(layer)
        x = x + self.attention(layer, self.norm(prefix + "input_layernorm", x), cache)
        trace[kv_key + "c_kv"], trace[kv_key + "k_pe"] = cache.c_kv[layer][past:], cache.k_pe[layer][past:]
        y = self.norm(prefix + "post_attention_layernorm", x)
        if not (self.is_moe(layer) or layer >= self.layers):
            return x + self.feed_forward(prefix + "mlp.", y)
        ids, weights, margin = self.route(prefix + "mlp.", y)
        trace[router_key + "topk_idx"], trace[router_key + "topk_weight"] = ids.astype(np.int32), weights
        trace[router_key + "margin"] = margin
        out = np.zeros_like(x)
        if self.config.get("n_shared_experts"):
            out += self.feed_forward(prefix + "mlp.shared_experts.", y)
        for expert in np.unique(ids):
            rows, slots = np.nonzero(ids == expert)
            out[rows] += weights[rows, slots, None] * self.feed_forward(f"{prefix}mlp.experts.{expert}.", y[rows])
        return x + out

    def forward(self, ids, cache, trace=None):
        """Main model on T more tokens: (logits [T, vocab], hidden after the final norm [T, hidden])."""
        trace = {} if trace is None else trace
        x = self.embed(ids)
        for layer in range(self.layers):
            trace[f"hidden.{layer}"] = x
            x = self.block(layer, x, cache, trace, f"router.{layer}.", f"kv.{layer}.")
        trace[f"hidden.{self.layers}"] = x
        trace["final_norm"] = self.norm("model.norm", x)
        trace["logits"] = self.head(trace["final_norm"])
        return trace["logits"], trace["final_norm"]

    def forward_mtp(self, k, next_ids, previous, cache, trace=None):
        """Eq. 21-23, module k (from 1) on T more positions: next_ids[i] is token i + k, previous [T, hidden] the normed
        output of the model (k = 1) or of module k - 1. Returns its logits and its own normed output."""
        trace = {} if trace is None else trace
        layer, key = self.layers + k - 1, f"mtp{k}."
        prefix = f"model.layers.{layer}."
        embedded = self.norm(prefix + "enorm", self.embed(next_ids, prefix + "embed_tokens.weight"))
        joined = np.concatenate([embedded, self.norm(prefix + "hnorm", previous)], axis=-1)
        x = trace[key + "eh_proj"] = joined @ self.weight(prefix + "eh_proj.weight").T
        x = trace[key + "hidden"] = self.block(layer, x, cache, trace, key + "router.", key + "kv.")
        y = trace[key + "final_norm"] = self.norm(prefix + "shared_head.norm", x)
        trace[key + "logits"] = self.head(y, prefix + "shared_head.head.weight")
        return trace[key + "logits"], y


def run_prompt(model, ids, steps=32):
    """Everything a golden file holds about one prompt, for all positions, in float64. Layout: README.md."""
    ids, trace, cache = np.asarray(ids, np.int64), {}, model.new_cache()
    logits, final = model.forward(ids, cache, trace)
    row, rows = logits[-1], []
    greedy = np.empty(steps, np.int64)
    for step in range(steps):
        greedy[step] = np.argmax(row)
        rows.append(row)
        if step + 1 < steps:
            row = model.forward(greedy[step : step + 1], cache)[0][-1]
    best = -np.sort(-np.stack(rows), axis=-1)
    trace |= {"input_ids": ids, "greedy_ids": greedy, "greedy_margin": best[:, 0] - best[:, 1]}
    trace["greedy_logits"] = np.stack(rows)
    sequence = np.concatenate([ids, greedy])
    for k in range(1, model.mtp_modules + 1):
        next_ids = trace[f"mtp{k}.next_ids"] = sequence[k : k + len(ids)]
        final = model.forward_mtp(k, next_ids, final, cache, trace)[1]
    return trace


def has_row_per_position(key):
    """Whether a golden file keeps only the positions in `rows` of this key."""
    return key.startswith(("logits", "hidden", "final_norm", "kv")) or (
        key.startswith("mtp") and ".router." not in key and not key.endswith("next_ids")
    )


def golden_tensors(model, prompts, max_rows, steps=32):
    """{"p{i}.key": array} as stored: float32, rows trimmed to the last max_rows[i], latents of one layer only."""
    moe_layers = [layer for layer in range(model.layers) if model.is_moe(layer)]
    kv_layer = moe_layers[0] if moe_layers else 0
    out = {}
    for i, ids in enumerate(prompts):
        trace = run_prompt(model, ids, steps)
        rows = np.arange(len(ids))[-max_rows[i] :]
        out[f"p{i}.rows"] = rows
        for key, value in trace.items():
            if key.startswith("kv.") and not key.startswith(f"kv.{kv_layer}.") or key == "greedy_logits" and i != 1:
                continue
            value = value[rows] if has_row_per_position(key) else value
            out[f"p{i}.{key}"] = value.astype(np.float32) if value.dtype == np.float64 else value
    return out


def relative(a, b):
    """||a - b|| / ||b|| over the whole tensor."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


def check(model, golden, tolerance):
    """Recomputes every prompt of a golden file, prints the largest deviation of each key, returns how many are out."""
    prompts = sorted({k.split(".")[0] for k in golden if k.endswith(".input_ids")})
    ids = [golden[f"{p}.input_ids"] for p in prompts]
    rows = [len(golden[f"{p}.rows"]) for p in prompts]
    ours = golden_tensors(model, ids, rows, len(golden[prompts[0] + ".greedy_ids"]))
    bad = len(set(golden) ^ set(ours))
    for name in sorted(set(golden) ^ set(ours)):
        print(f"{name}: only in {'the golden' if name in golden else 'the reference'}")
    worst = {}
    for name in set(golden) & set(ours):
        exact = golden[name].dtype.kind == "i"
        same = ours[name].shape == golden[name].shape
        if exact:
            error = float(np.sum(ours[name] != golden[name])) if same else np.inf
        else:
            error = relative(ours[name], golden[name]) if same else np.inf
        bad += not error <= (0 if exact else tolerance)  # NaN counts
        key = name.split(".", 1)[1] + (" (differing)" if exact else "")
        worst.setdefault(key, {})[name.split(".")[0]] = error
    for key in sorted(worst):
        print(f"{key:34s}" + "".join(f"  {p} {worst[key][p]:.2e}" for p in sorted(worst[key])))
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="directory with config.json and safetensors")
    parser.add_argument("--mode", choices=["dequant", "w8a8"], default="dequant")
    parser.add_argument("--check", metavar="GOLDEN", help="recompute this golden file and compare")
    parser.add_argument("--tol", type=float, default=1e-6, help="relative tolerance of --check")
    parser.add_argument("--ids", action="append", default=[], metavar="1,2,3", help="a prompt, repeatable")
    parser.add_argument("--rows", type=int, default=1 << 30, help="positions to keep of each prompt")
    parser.add_argument("--steps", type=int, default=32, help="greedy tokens")
    parser.add_argument("-o", metavar="OUT", help="golden file to write for --ids")
    args = parser.parse_args()
    model = Model(args.checkpoint, args.mode)
    if args.check:
        sys.exit(5 if check(model, st.read(args.check), args.tol) else 0)
    if not (args.ids and args.o):
        parser.error("--check, or --ids and -o, are needed")
    prompts = [[int(t) for t in text.split(",")] for text in args.ids]
    st.write_arrays(args.o, golden_tensors(model, prompts, [args.rows] * len(prompts), args.steps))


if __name__ == "__main__":
    main()
