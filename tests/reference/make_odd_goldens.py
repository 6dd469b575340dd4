#!/usr/bin/env python3
"""Makes tests/golden/odd-*: checkpoints of awkward shapes with their expected outputs and hand-picked prompts.

A prompt is grown token by token; a token that puts any router within MIN_ROUTER_MARGIN of another decision is thrown
away, so that float32 implementations cannot flip one. The four nano and micro models are not made here.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

import deepseek_v3 as ds
import safetensors_file as st
from make_checkpoint import make_checkpoint

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
LENGTHS = (1, 5, 29, 70)
STEPS = 32
MIN_ROUTER_MARGIN = 0.012  # at prompt positions, main model and MTP, every mode
MIN_GREEDY_MARGIN = 0.02  # of the logits, first mode
MIN_GREEDY_ROUTER_MARGIN = 5e-4  # at the generated tokens, first mode

BASE = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "hidden_act": "silu", "initializer_range": 0.02,
    "max_position_embeddings": 4096, "model_type": "deepseek_v3", "moe_layer_freq": 1, "norm_topk_prob": True,
    "num_nextn_predict_layers": 0, "pretraining_tp": 1, "rms_norm_eps": 1e-06, "rope_scaling": None,
    "rope_theta": 10000, "scoring_func": "sigmoid", "seq_aux": True, "tie_word_embeddings": False,
    "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "transformers_version": "4.33.1", "use_cache": True,
    "vocab_size": 1003,
}  # fmt: skip
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}


def yarn(factor, original, mscale, mscale_all_dim, beta_fast=32, beta_slow=1):
    return {
        "type": "yarn", "factor": factor, "original_max_position_embeddings": original, "mscale": mscale,
        "mscale_all_dim": mscale_all_dim, "beta_fast": beta_fast, "beta_slow": beta_slow,
    }  # fmt: skip


# config: what differs from BASE; files: arguments of make_checkpoint; rows: how many positions are kept, from the end.
RECIPES = {
    "odd-fp8": {
        "config": {
            "num_hidden_layers": 2, "first_k_dense_replace": 1, "num_nextn_predict_layers": 1, "hidden_size": 200,
            "num_attention_heads": 5, "q_lora_rank": 52, "kv_lora_rank": 36, "qk_nope_head_dim": 22,
            "qk_rope_head_dim": 10, "v_head_dim": 26, "intermediate_size": 136, "moe_intermediate_size": 72,
            "n_routed_experts": 9, "n_shared_experts": 3, "n_group": 3, "topk_group": 2, "num_experts_per_tok": 4,
            "routed_scaling_factor": 1.7, "max_position_embeddings": 192, "rope_scaling": yarn(4, 48, 0.707, 1.0),
            "quantization_config": FP8,
        },
        "files": {"seed": 2001, "shards": 2, "stray_scales": True, "bias_mean": -0.7},
        "rows": (1, 5, 16, 16),
    },
    "odd-bf16": {
        "config": {
            "num_hidden_layers": 2, "first_k_dense_replace": 0, "num_nextn_predict_layers": 2, "hidden_size": 130,
            "num_attention_heads": 3, "q_lora_rank": None, "kv_lora_rank": 21, "qk_nope_head_dim": 14,
            "qk_rope_head_dim": 6, "v_head_dim": 17, "intermediate_size": 99, "moe_intermediate_size": 19,
            "n_routed_experts": 7, "n_shared_experts": 2, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
            "norm_topk_prob": False, "routed_scaling_factor": 2.0,
        },
        "files": {"seed": 2002},
        "rows": (1, 5, 16, 16),
    },
    "odd-mixed": {
        "config": {
            "num_hidden_layers": 2, "first_k_dense_replace": 1, "hidden_size": 77, "num_attention_heads": 7,
            "q_lora_rank": 19, "kv_lora_rank": 23, "qk_nope_head_dim": 9, "qk_rope_head_dim": 6, "v_head_dim": 11,
            "intermediate_size": 83, "moe_intermediate_size": 21, "n_routed_experts": 6, "n_shared_experts": 0,
            "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "routed_scaling_factor": 2.5,
            "max_position_embeddings": 96, "rope_theta": 3000.0, "vocab_size": 601,
        },
        "files": {"seed": 2003, "mixed": True, "bias_mean": 3.0},
        "lengths": (1, 5, 29, 64),  # with the greedy tokens the last one fills the 96 positions
        "rows": (1, 5, 29, 16),
    },
    "odd-dense": {
        "config": {
            "num_hidden_layers": 3, "first_k_dense_replace": 3, "hidden_size": 110, "num_attention_heads": 2,
            "q_lora_rank": 33, "kv_lora_rank": 40, "qk_nope_head_dim": 30, "qk_rope_head_dim": 12, "v_head_dim": 18,
            "intermediate_size": 150, "moe_intermediate_size": 24, "n_routed_experts": 4, "n_shared_experts": 1,
            "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "routed_scaling_factor": 1.0,
            "max_position_embeddings": 128, "rope_theta": 1000.0, "vocab_size": 555,
            "rope_scaling": yarn(8, 16, 1.0, 0.5, beta_fast=8, beta_slow=0.5),
        },
        "files": {"seed": 2004},
        "rows": (1, 5, 29, 16),
    },
}  # fmt: skip


def smallest_margin(trace, first=0):
    """Of all routers in a trace, from position `first` on."""
    found = [value[first:].min() for key, value in trace.items() if key.endswith(".margin")]
    return min(found, default=np.inf)


class PromptSearch:
    """Grows one prompt on several models (modes) at once; keeps their caches at the accepted length."""

    def __init__(self, models):
        self.models = models
        self.caches = [m.new_cache() for m in models]
        self.finals = [[[] for _ in range(m.mtp_modules + 1)] for m in models]
        self.ids = []

    def try_token(self, token):
        """Accepts the token if every router decision it causes is clear; MTP depth k gets it k positions back."""
        worst, length = np.inf, len(self.ids)
        for model, cache, finals in zip(self.models, self.caches, self.finals):
            trace = {}
            finals[0].append(model.forward([token], cache, trace)[1])
            for k in range(1, min(model.mtp_modules, length) + 1):
                finals[k].append(model.forward_mtp(k, [token], finals[k - 1][length - k], cache, trace)[1])
            worst = min(worst, smallest_margin(trace))
        if worst >= MIN_ROUTER_MARGIN:
            self.ids.append(token)
            return True
        for model, cache, finals in zip(self.models, self.caches, self.finals):
            for layer in range(model.layers + model.mtp_modules):
                depth = max(layer - model.layers + 1, 0)
                cache.truncate(layer, max(length - depth, 0))
            for k, rows in enumerate(finals):
                del rows[max(length - k, 0) :]
        return False


def grow_prompt(models, length, random):
    """One candidate prompt, or None. BOS first, except for the one-token prompt."""
    search, vocab = PromptSearch(models), models[0].config["vocab_size"]
    if length > 1 and not search.try_token(0):
        return None
    for _ in range(60 * length):
        if len(search.ids) == length:
            return search.ids
        search.try_token(int(random.randint(3, vocab)))
    return None


def margins(model, ids):
    """Smallest margins: routers at the prompt (with MTP), top-1 to top-2 logits, routers at the greedy tokens."""
    trace, again = ds.run_prompt(model, ids, STEPS), {}
    sequence = np.concatenate([trace["input_ids"], trace["greedy_ids"][:-1]])
    model.forward(sequence, model.new_cache(), again)
    prompt = smallest_margin(trace)
    return prompt, float(trace["greedy_margin"].min()), smallest_margin(again, len(ids))


def find_prompt(models, length, seed):
    for attempt in range(400):
        ids = grow_prompt(models, length, np.random.RandomState(seed * 1000 + length * 7 + attempt * 100003))
        if ids is None:
            continue
        found = [margins(m, ids) for m in models]
        prompt, logit, greedy = found[0]
        enough = logit >= MIN_GREEDY_MARGIN and greedy >= MIN_GREEDY_ROUTER_MARGIN
        if enough and all(f[0] >= MIN_ROUTER_MARGIN for f in found):
            return ids
    raise RuntimeError(f"no prompt of {length} tokens found: try another seed")


def finite(x):
    return round(float(x), 6) if np.isfinite(x) else None


def make(name, out):
    recipe = RECIPES[name]
    config, directory = BASE | recipe["config"], out / name
    checkpoint = directory / "checkpoint"
    make_checkpoint(config, checkpoint, **recipe["files"])
    for file in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(GOLDEN / "nano-bf16" / "checkpoint" / file, checkpoint / file)

    fp8 = "quantization_config" in config
    models = {mode: ds.Model(checkpoint, mode) for mode in (("dequant", "w8a8") if fp8 else ("dequant",))}
    seed = recipe["files"]["seed"]
    prompts = [find_prompt(list(models.values()), n, seed) for n in recipe.get("lengths", LENGTHS)]
    rows = recipe["rows"]

    stats, goldens = {"name": name, "seed": seed}, {}
    for mode, model in models.items():
        goldens[mode] = ds.golden_tensors(model, prompts, rows, STEPS)
        st.write_arrays(directory / (f"expected_{mode}.safetensors" if fp8 else "expected.safetensors"), goldens[mode])
        found = [margins(model, ids) for ids in prompts]
        keys = ("min_router_margin_prompt", "min_logit_margin", "min_router_margin_greedy")
        stats[mode] = {key: [finite(f[i]) for f in found] for i, key in enumerate(keys)}
        stats[mode]["logit_std"] = [finite(goldens[mode][f"p{i}.logits"].std()) for i in range(len(prompts))]
    if fp8:
        compared = [k for k in ("logits", "final_norm", "mtp1.logits") if f"p0.{k}" in goldens["dequant"]]
        stats["w8a8_vs_dequant_rel_l2"] = {
            f"p{i}": {k: finite(ds.relative(*(goldens[m][f"p{i}.{k}"] for m in ("w8a8", "dequant")))) for k in compared}
            for i in range(len(prompts))
        }
    (directory / "stats.json").write_text(json.dumps(stats, indent=1) + "\n")
    print(json.dumps(stats))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(RECIPES), default=list(RECIPES))
    parser.add_argument("-o", metavar="DIR", type=Path, default=GOLDEN)
    args = parser.parse_args()
    for name in args.names:
        make(name, args.o)


if __name__ == "__main__":
    main()
