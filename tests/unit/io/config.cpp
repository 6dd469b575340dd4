// What ModelConfig and GenerationDefaults accept, and what they make of it. What they refuse: damaged_checkpoint.cpp.
#include "frontend/io/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "frontend/model/shapes.h"
#include "tests/support/edit_checkpoint.h"

namespace vks {
namespace {

using test::Json;

Json golden_config(const std::string& model) {
    return Json::parse(test::read_bytes(test::data(model + "/checkpoint/config.json")));
}

Result<ModelConfig> parse(const Json& json) {
    return ModelConfig::parse(json.dump(), "config.json");
}

TEST(Config, ReadsAllFields) {
    const auto c = ModelConfig::load(test::data("nano-fp8/checkpoint"));
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->vocab_size, 640);
    EXPECT_EQ(c->hidden_size, 288);
    EXPECT_EQ(c->num_hidden_layers, 3);
    EXPECT_EQ(c->num_nextn_predict_layers, 1);
    EXPECT_EQ(c->total_layers(), 4);
    EXPECT_EQ(c->max_position_embeddings, 256);
    EXPECT_EQ(c->num_attention_heads, 4);
    EXPECT_EQ(c->q_lora_rank, 192);
    EXPECT_EQ(c->kv_lora_rank, 144);
    EXPECT_EQ(c->qk_nope_head_dim, 40);
    EXPECT_EQ(c->qk_rope_head_dim, 32);
    EXPECT_EQ(c->qk_head_dim(), 72);
    EXPECT_EQ(c->kv_cache_width(), 176);
    EXPECT_EQ(c->v_head_dim, 48);
    EXPECT_EQ(c->first_k_dense_replace, 1);
    EXPECT_FALSE(c->is_moe(0));
    EXPECT_TRUE(c->is_moe(1));
    EXPECT_TRUE(c->is_moe(3));
    EXPECT_EQ(c->intermediate_size, 416);
    EXPECT_EQ(c->moe_intermediate_size, 136);
    EXPECT_EQ(c->n_routed_experts, 12);
    EXPECT_EQ(c->n_shared_experts, 1);
    EXPECT_EQ(c->num_experts_per_tok, 4);
    EXPECT_EQ(c->n_group, 4);
    EXPECT_EQ(c->topk_group, 2);
    EXPECT_TRUE(c->norm_topk_prob);
    EXPECT_EQ(c->routed_scaling_factor, 2.5);
    EXPECT_EQ(c->rms_norm_eps, 1e-6);
    EXPECT_EQ(c->rope_theta, 10000);
    ASSERT_TRUE(c->rope_scaling);
    EXPECT_EQ(c->rope_scaling->factor, 4);
    EXPECT_EQ(c->rope_scaling->original_max_position_embeddings, 64);
    EXPECT_EQ(c->rope_scaling->mscale_all_dim, 1);
    EXPECT_TRUE(c->fp8);
    EXPECT_FALSE(c->ue8m0_scales);
    EXPECT_FALSE(c->tie_word_embeddings);
    EXPECT_EQ(c->bos_token_id, 0);
    EXPECT_EQ(c->eos_token_ids, std::vector<int32_t>{1});
}

TEST(Config, SoftmaxScale) {
    const auto plain = ModelConfig::load(test::data("nano-noqlora/checkpoint"));
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->q_lora_rank, 0);
    EXPECT_FALSE(plain->rope_scaling);
    EXPECT_DOUBLE_EQ(plain->softmax_scale(), 1 / std::sqrt(24.0));
    EXPECT_NEAR(named_shape("deepseek-v3")->softmax_scale(), 0.1352337788608801, 1e-15);
}

TEST(Config, OptionalFieldsMayBeMissing) {
    Json json = golden_config("nano-bf16");
    for (const char* name : {"architectures", "num_key_value_heads", "moe_layer_freq", "scoring_func", "topk_method",
                             "norm_topk_prob", "num_nextn_predict_layers", "hidden_act", "attention_bias",
                             "tie_word_embeddings", "bos_token_id", "eos_token_id", "q_lora_rank", "rope_scaling"}) {
        json.erase(name);
    }
    const auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->num_nextn_predict_layers, 0);
    EXPECT_EQ(c->q_lora_rank, 0);
    EXPECT_FALSE(c->rope_scaling);
    EXPECT_FALSE(c->bos_token_id);
    EXPECT_TRUE(c->eos_token_ids.empty());
}

TEST(Config, NumbersMayBeWrittenEitherWay) {
    Json json = golden_config("nano-bf16");
    json["hidden_size"] = 64.0;
    json["rope_theta"] = 10000;
    json["routed_scaling_factor"] = 2;
    const auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->hidden_size, 64);
    EXPECT_EQ(c->routed_scaling_factor, 2);
}

TEST(Config, NewerSpellingOfRope) {
    Json json = golden_config("nano-bf16");
    json.erase("rope_theta");
    json.erase("rope_scaling");
    json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 50000.0}};
    auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->rope_theta, 50000);
    EXPECT_FALSE(c->rope_scaling);

    json["rope_parameters"] = {{"rope_type", "yarn"},
                               {"type", "yarn"},
                               {"rope_theta", 7e4},
                               {"factor", 8.0},
                               {"original_max_position_embeddings", 4096}};
    c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->rope_theta, 7e4);
    ASSERT_TRUE(c->rope_scaling);
    EXPECT_EQ(c->rope_scaling->factor, 8);
    EXPECT_EQ(c->rope_scaling->mscale_all_dim, 0);
}

TEST(Config, SiblingModels) {
    Json json = golden_config("nano-noqlora");
    json["model_type"] = "kimi_k2";
    json["n_group"] = nullptr;
    json["topk_group"] = nullptr;
    json["eos_token_id"] = {3, 4};
    json["quantization_config"] = {{"quant_method", "fp8"},
                                   {"fmt", "e4m3"},
                                   {"activation_scheme", "dynamic"},
                                   {"weight_block_size", {128, 128}},
                                   {"scale_fmt", "ue8m0"}};
    const auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->n_group, 1);
    EXPECT_EQ(c->topk_group, 1);
    EXPECT_EQ(c->eos_token_ids, (std::vector<int32_t>{3, 4}));
    EXPECT_TRUE(c->ue8m0_scales);
}

// As transformers saves it.
TEST(Config, QuantizationMayLeaveTheUsualUnsaid) {
    for (const bool null : {false, true}) {
        Json json = golden_config("nano-fp8");
        for (const char* name : {"fmt", "activation_scheme"}) {
            json["quantization_config"].erase(name);
            if (null) json["quantization_config"][name] = nullptr;
        }
        const auto c = parse(json);
        ASSERT_TRUE(c) << c.error().text;
        EXPECT_TRUE(c->fp8);
    }
}

TEST(Config, AllLayersDense) {
    Json json = golden_config("nano-noqlora");
    json["first_k_dense_replace"] = json["num_hidden_layers"];
    for (const char* name : {"n_routed_experts", "moe_intermediate_size", "num_experts_per_tok", "n_group"}) {
        json.erase(name);
    }
    const auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(c->n_routed_experts, 0);
    EXPECT_FALSE(c->is_moe(3));
}

// Whoever reads the file wants a number all the same.
TEST(Config, NoLayerDense) {
    Json json = golden_config("nano-noqlora");
    json["first_k_dense_replace"] = 0;
    const auto c = parse(json);
    ASSERT_TRUE(c) << c.error().text;
    EXPECT_EQ(Json::parse(config_json(*c))["intermediate_size"], json["intermediate_size"]);
    json.erase("intermediate_size");
    EXPECT_TRUE(parse(json));
}

TEST(Config, WhatIsWrittenIsReadBack) {
    for (const std::string_view name : shape_names()) {
        const ModelConfig shape = *named_shape(name);
        const std::string text = config_json(shape);
        const auto again = ModelConfig::parse(text, "config.json");
        ASSERT_TRUE(again) << name << ": " << again.error().text;
        EXPECT_EQ(config_json(*again), text) << name;
    }
    for (const char* model : {"nano-bf16", "nano-fp8", "nano-noqlora", "micro-mtp2"}) {
        const auto config = ModelConfig::load(test::data(std::string(model) + "/checkpoint"));
        ASSERT_TRUE(config) << config.error().text;
        const auto again = ModelConfig::parse(config_json(*config), "config.json");
        ASSERT_TRUE(again) << again.error().text;
        EXPECT_EQ(config_json(*again), config_json(*config));
    }
}

TEST(Config, GenerationDefaults) {
    const auto defaults = GenerationDefaults::load(test::data("nano-bf16/checkpoint"), 512);
    ASSERT_TRUE(defaults) << defaults.error().text;
    EXPECT_EQ(defaults->do_sample, true);
    EXPECT_EQ(defaults->temperature, 0.6);
    EXPECT_EQ(defaults->top_p, 0.95);
    EXPECT_EQ(defaults->eos_token_ids, std::vector<int32_t>{1});
    EXPECT_FALSE(defaults->top_k);

    const test::TempDir empty;
    const auto none = GenerationDefaults::load(empty.path(), 512);
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->temperature);
    const auto several = GenerationDefaults::parse(R"({"eos_token_id":[5,6.0],"top_k":40,"min_p":0.1})", "g.json", 512);
    ASSERT_TRUE(several) << several.error().text;
    EXPECT_EQ(several->eos_token_ids, (std::vector<int32_t>{5, 6}));
    EXPECT_EQ(several->top_k, 40);
    EXPECT_EQ(several->min_p, 0.1);
    EXPECT_FALSE(GenerationDefaults::parse(R"({"min_p":1.5})", "g.json", 512));
}

TEST(Shapes, OverridesKeepTheRouterPossible) {
    const ModelConfig v3 = *named_shape("deepseek-v3");
    const auto small = override_shape(v3, {.layers = 2, .dense = 1, .experts = 8});
    ASSERT_TRUE(small) << small.error().text;
    EXPECT_EQ(small->num_hidden_layers, 2);
    EXPECT_EQ(small->num_nextn_predict_layers, 0);
    EXPECT_EQ(small->first_k_dense_replace, 1);
    EXPECT_EQ(small->n_routed_experts, 8);
    EXPECT_EQ(small->n_group, 4);
    EXPECT_EQ(small->topk_group, 2);
    EXPECT_EQ(small->num_experts_per_tok, 4);
    for (int64_t experts = 1; experts < 300; ++experts) {
        const auto shape = override_shape(v3, {.experts = experts});
        EXPECT_TRUE(shape) << experts << ": " << shape.error().text;
    }
    EXPECT_EQ(override_shape(v3, {.layers = 1})->first_k_dense_replace, 1);
    EXPECT_EQ(override_shape(v3, {.layers = 4, .mtp = 1})->num_nextn_predict_layers, 1);
    EXPECT_FALSE(override_shape(v3, {.layers = 0}));
    EXPECT_FALSE(override_shape(v3, {.layers = 2, .dense = 3}));
    EXPECT_FALSE(override_shape(v3, {.experts = 0}));
    EXPECT_TRUE(override_shape(v3, {.experts = 1024}));
    EXPECT_FALSE(override_shape(v3, {.experts = 1025}));
    // The options that were given, and no others.
    const auto modules = override_shape(v3, {.mtp = 100});
    EXPECT_TRUE(modules.error().text.starts_with("num_nextn_predict_layers (--mtp): wanted ")) << modules.error().text;
    const auto dense = override_shape(v3, {.layers = 2, .dense = 3});
    EXPECT_NE(dense.error().text.find("(--layers, --dense): wanted "), std::string::npos) << dense.error().text;
}

TEST(Shapes, ByNameOrFile) {
    EXPECT_TRUE(named_shape(test::data("nano-fp8/checkpoint/config.json").string()));
    const auto unknown = named_shape("deepseek-v9");
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().text.find("bench-m"), std::string::npos) << unknown.error().text;
    EXPECT_EQ(unknown.error().code, Code::kUsage);
    EXPECT_TRUE(unknown.error().text.starts_with("shape (--shape): wanted ")) << unknown.error().text;
    EXPECT_EQ(named_shape("nothing-here.json").error().code, Code::kBadInput);
}

}  // namespace
}  // namespace vks
