#include "tests/support/damaged_checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <ostream>

#include "tests/support/edit_checkpoint.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kShard = "model-00001-of-000003.safetensors";
constexpr const char* kNorm = "model.norm.weight";
constexpr const char* kQ = "model.layers.0.self_attn.q_a_proj.weight";

// One field of config.json has another value.
Damage config(const std::string& field, Json value, const std::string& wanted, const std::string& model = "nano-bf16") {
    return {"config_" + field + "_" + value.dump().substr(0, 24),
            [=](const fs::path& dir) { edit_json(dir / "config.json", [&](Json& c) { c[field] = value; }); },
            "config.json", wanted, model};
}

// The same with a value that is fine by itself but doesn't fit the weights; the message names their file.
Damage mismatch(const std::string& field, const Json& value, const std::string& wanted,
                const std::string& model = "nano-bf16") {
    Damage damage = config(field, value, wanted, model);
    damage.file.clear();
    return damage;
}

Damage without(const std::string& field) {
    return {"config_without_" + field,
            [=](const fs::path& dir) { edit_json(dir / "config.json", [&](Json& c) { c.erase(field); }); },
            "config.json", field, "nano-bf16"};
}

Damage nested(const std::string& object, const std::string& field, Json value, const std::string& wanted) {
    return {"config_" + object + "_" + field + "_" + value.dump().substr(0, 24),
            [=](const fs::path& dir) { edit_json(dir / "config.json", [&](Json& c) { c[object][field] = value; }); },
            "config.json", wanted, "nano-fp8"};
}

Damage text(const std::string& what, const std::string& file, const std::string& content, const std::string& wanted,
            const std::string& model = "nano-bf16") {
    return {what, [=](const fs::path& dir) { write_bytes(dir / file, content); }, file, wanted, model};
}

Damage header(const std::string& what, const std::function<void(Json&)>& edit, const std::string& wanted) {
    return {what, [=](const fs::path& dir) { edit_header(dir / kWeights, edit); }, kWeights, wanted, "nano-bf16"};
}

// A tensor that no field of config.json accounts for.
Damage extra(const std::string& name) {
    const Json empty = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
    return header(
        "extra_" + name, [=](Json& h) { h[name] = empty; }, '"' + name + "\" (");
}

// The header's text instead of its JSON.
Damage raw(const std::string& what, const std::function<void(RawFile&)>& edit, const std::string& wanted) {
    return {what,
            [=](const fs::path& dir) {
                RawFile file = read_raw(dir / kWeights);
                edit(file);
                write_raw(dir / kWeights, file);
            },
            kWeights, wanted, "nano-bf16"};
}

Damage index(const std::string& what, const std::function<void(Json&)>& edit, const std::string& wanted,
             const std::string& file = kIndex) {
    return {what, [=](const fs::path& dir) { edit_json(dir / kIndex, edit); }, file, wanted, "nano-fp8"};
}

Damage shard(const std::string& what, const std::function<void(Json&)>& edit, const std::string& file,
             const std::string& wanted) {
    return {what, [=](const fs::path& dir) { edit_header(dir / kShard, edit); }, file, wanted, "nano-fp8"};
}

std::string deep(size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
}

void replace(std::string& text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
}

// `file` is a symbolic link instead. Links are followed, because caches are made of them; what they lead to is checked.
std::function<void(const fs::path&)> link(const std::string& file, const std::string& target) {
    return [=](const fs::path& dir) {
        fs::remove(dir / file);
        fs::create_symlink(target, dir / file);
    };
}

std::function<void(const fs::path&)> fifo(const std::string& file) {
    return [=](const fs::path& dir) {
        fs::remove(dir / file);
        ASSERT_EQ(mkfifo((dir / file).c_str(), 0600), 0);
    };
}

std::vector<Damage> damaged_configs() {
    std::vector<Damage> list = {
        {"config_missing", [](const fs::path& dir) { fs::remove(dir / "config.json"); }, "config.json", "No such file"},
        {"config_folder",
         [](const fs::path& dir) {
             fs::remove(dir / "config.json");
             fs::create_directory(dir / "config.json");
         },
         "config.json", "wanted a"},
        {"config_fifo", fifo("config.json"), "config.json", "wanted a regular file"},
        {"config_huge", [](const fs::path& dir) { fs::resize_file(dir / "config.json", 1 << 30); }, "config.json",
         "wanted at most 16777216 bytes"},
        text("config_empty", "config.json", "", "wanted JSON"),
        text("config_array", "config.json", "[1]", "wanted an object"),
        text("config_cut", "config.json", R"({"model_type":"deepseek_v3","hidden_si)", "wanted JSON"),
        text("config_trailing", "config.json", "{} {}", "wanted JSON"),
        text("config_bad_utf8", "config.json", "{\"\xff\":1}", "wanted JSON"),
        text("config_nul", "config.json", std::string("{}\0{}", 5), "found a NUL at byte 3"),
        text("config_deep", "config.json", "{\"a\":" + deep(1000000) + "}", "at most 64 levels"),
        text("config_key_twice", "config.json", R"({"model_type":"deepseek_v3","a":1,"a":2})", "each key once"),
        text("config_number_nan", "config.json", R"({"rope_theta":NaN})", "wanted JSON"),
        text("config_number_infinity", "config.json", R"({"rope_theta":-Infinity})", "wanted JSON"),
        text("config_bom", "config.json", "\xef\xbb\xbf{}", "wanted JSON, found a byte order mark"),
        text("config_of_many_keys", "config.json", many_keys(), "wanted at most 65536 keys"),
        text("config_bom_utf16", "config.json", std::string("\xff\xfe{\0}\0", 6), "NUL"),
        text("config_lone_surrogate", "config.json", R"({"model_type":"\ud800"})", "wanted JSON"),
        text("config_control_characters", "config.json", R"({"model_type":"a\n\u001b[31m\u0085\u0000b"})",
             R"(found "a\x0a\x1b[31m\xc2\x85\x00b")"),
        {"config_dangling_link", link("config.json", "nowhere"), "config.json", "No such file"},
        {"config_link_to_itself", link("config.json", "config.json"), "config.json", "symbolic links"},
        {"config_link_to_zeros", link("config.json", "/dev/zero"), "config.json", "wanted a regular file"},
        text("config_overflowing_number", "config.json", R"({"rope_theta":1e999})", "wanted JSON"),
        without("model_type"),
        without("hidden_size"),
        without("kv_lora_rank"),
        without("vocab_size"),
        without("n_routed_experts"),
        without("n_group"),
        without("rms_norm_eps"),
        without("rope_theta"),
        config("model_type", "llama", "wanted \"deepseek_v3\" or \"kimi_k2\", found \"llama\""),
        config("model_type", 3, "wanted a string"),
        config("architectures", {"LlamaForCausalLM"}, "found \"LlamaForCausalLM\""),
        config("hidden_size", "64", "hidden_size"),
        config("hidden_size", -64, "wanted an integer from 1 to 1048576, found -64"),
        config("hidden_size", 64.5, "found 64.5"),
        config("hidden_size", true, "found true"),
        config("hidden_size", 1e300, "found 1e+300"),
        config("hidden_size", {64}, "found an array of 1"),
        config("hidden_size", Json::object(), "found an object"),
        config("hidden_size", std::string(1 << 20, 'x'), "(1048576 bytes)"),
        config("rms_norm_eps", "1e-6", "wanted a number"),
        config("rope_theta", true, "found true"),
        config("num_hidden_layers", ~uint64_t{0}, "found 18446744073709551615"),
        config("hidden_size", uint64_t{1} << 63, "found 9223372036854775808"),
        mismatch("hidden_size", 1 << 20, "[512, 1048576]"),
        config("num_hidden_layers", 0, "wanted an integer from 1"),
        mismatch("num_hidden_layers", 4096, "model.layers.4."),
        config("num_nextn_predict_layers", -1, "wanted an integer from 0"),
        mismatch("num_nextn_predict_layers", 3, "model.layers.4."),
        config("vocab_size", 0, "wanted an integer from 1"),
        mismatch("vocab_size", 513, "[513, 64]"),
        config("max_position_embeddings", int64_t{1} << 40, "max_position_embeddings"),
        config("num_attention_heads", 5, "wanted num_attention_heads, 5, found 4"),
        config("num_key_value_heads", 2, "num_key_value_heads"),
        mismatch("q_lora_rank", nullptr, "q_proj"),
        config("qk_rope_head_dim", 15, "wanted an even number"),
        mismatch("v_head_dim", 23, "kv_b_proj"),
        config("first_k_dense_replace", 4, "first_k_dense_replace"),
        mismatch("first_k_dense_replace", 0, "model.layers.0.mlp.gate.weight"),
        config("moe_layer_freq", 2, "moe_layer_freq"),
        config("n_routed_experts", 0, "n_routed_experts"),
        config("n_routed_experts", 9, "wanted a divisor of n_routed_experts, 9"),
        mismatch("n_routed_experts", 1024, "[1024, 64]"),
        config("n_routed_experts", 1025, "n_routed_experts"),
        mismatch("n_shared_experts", 0, "shared_experts"),
        mismatch("n_shared_experts", 2, "shared_experts"),
        config("n_group", 3, "n_group"),
        config("n_group", 8, "at least two experts a group"),
        config("n_group", 0, "n_group"),
        config("topk_group", 5, "topk_group"),
        config("num_experts_per_tok", 5, "wanted at most the 4 experts of topk_group 2 groups"),
        config("num_experts_per_tok", 0, "num_experts_per_tok"),
        config("norm_topk_prob", 1, "wanted true or false"),
        config("routed_scaling_factor", -1, "routed_scaling_factor"),
        config("scoring_func", "softmax", "found \"softmax\""),
        config("topk_method", "greedy", "found \"greedy\""),
        config("hidden_act", "gelu", "found \"gelu\""),
        config("attention_bias", true, "found true"),
        config("rms_norm_eps", -1e-6, "rms_norm_eps"),
        config("rope_theta", 1, "rope_theta"),
        config("rope_interleave", false, "rope_interleave"),
        config("rope_scaling", "yarn", "wanted an object or null"),
        config("rope_scaling", {{"type", "linear"}, {"factor", 2}}, "found \"linear\""),
        config("rope_scaling", {{"type", "yarn"}}, "rope_scaling.factor"),
        config("rope_parameters", {{"rope_theta", 5000}}, "wanted what rope_theta says, 10000, found 5000"),
        config("rope_parameters", {{"rope_type", "linear"}}, "found \"linear\"", "nano-fp8"),
        config("rope_parameters", {{"rope_type", "default"}}, "wanted what rope_scaling says", "nano-fp8"),
        config("eos_token_id", 512, "eos_token_id"),
        config("eos_token_id", {1, -1}, "found -1"),
        config("bos_token_id", 512, "bos_token_id"),
        mismatch("quantization_config", nullptr, "wanted a quantization_config", "nano-fp8"),
        nested("rope_scaling", "factor", 0, "rope_scaling.factor"),
        nested("rope_scaling", "type", "dynamic", "found \"dynamic\""),
        nested("rope_scaling", "rope_type", "default", "rope_type"),
        nested("rope_scaling", "beta_fast", 0.5, "rope_scaling.beta_slow"),
        nested("rope_scaling", "attention_factor", 1.2, "attention_factor"),
        nested("rope_scaling", "original_max_position_embeddings", 0, "original_max_position_embeddings"),
        nested("quantization_config", "quant_method", "gptq", "found \"gptq\""),
        nested("quantization_config", "fmt", "e5m2", "found \"e5m2\""),
        nested("quantization_config", "activation_scheme", "static", "found \"static\""),
        nested("quantization_config", "weight_block_size", {64, 64}, "wanted [128,128], found [64,64]"),
        nested("quantization_config", "weight_block_size", nullptr, "found nothing"),
        nested("quantization_config", "scale_fmt", "e8m1", "found \"e8m1\""),
    };
    return list;
}

std::vector<Damage> damaged_headers() {
    const auto q = [](auto edit) { return [=](Json& h) { edit(h[kQ]); }; };
    return {
        text("file_empty", kWeights, "", "wanted 8 bytes with its length"),
        text("file_of_4_bytes", kWeights, "abcd", "found a file of 4"),
        text("header_length_0", kWeights, std::string(16, '\0'), "wanted 2 to 100000000 bytes, found 0"),
        text("header_length_above_cap", kWeights, std::string("\1\xe1\xf5\5\0\0\0\0{}", 10), "found 100000001"),
        text("header_length_huge", kWeights, std::string(7, '\0') + "\x80{}", "found 9223372036854775808"),
        {"weights_fifo", fifo(kWeights), kWeights, "wanted a regular file, found a device, pipe or socket"},
        {"weights_link_to_zeros", link(kWeights, "/dev/zero"), kWeights, "found a device, pipe or socket"},
        {"weights_link_to_config", link(kWeights, "config.json"), kWeights, "wanted 2 to 100000000 bytes"},
        {"weights_folder",
         [](const fs::path& dir) {
             fs::remove(dir / kWeights);
             fs::create_directory(dir / kWeights);
         },
         kWeights, "found a folder"},
        text("header_length_all_ones", kWeights, std::string(8, '\xff') + "{}", "found 18446744073709551615"),
        text("header_empty_object", kWeights, std::string("\2\0\0\0\0\0\0\0{}", 10), "found nothing"),
        {"header_of_100_MB_of_brackets",
         [](const fs::path& dir) {
             std::string brackets("\0\xe1\xf5\5\0\0\0\0{", 9);
             brackets.resize(brackets.size() + 99'999'999, '[');
             write_bytes(dir / kWeights, brackets);
         },
         kWeights, "wanted JSON"},
        raw(
            "header_name_with_control_characters",
            [](RawFile& f) {
                f.header.insert(1, R"("a\n\u001b]0;x\u0007":{"dtype":"U8","shape":[1],"data_offsets":[9,8]},)");
            },
            R"("a\x0a\x1b]0;x\x07")"),
        raw(
            "header_name_of_a_megabyte",
            [](RawFile& f) {
                f.header.insert(1, '"' + std::string(1 << 20, 'n') + R"(":{"dtype":"U8","shape":[-1]},)");
            },
            "(1048576 bytes)"),
        raw(
            "header_bom", [](RawFile& f) { f.header.insert(0, "\xef\xbb\xbf"); }, "wanted \"{\" first"),
        raw(
            "header_name_with_a_lone_surrogate", [](RawFile& f) { f.header.insert(1, R"("\udc00":{},)"); },
            "wanted JSON"),
        raw(
            "offsets_above_uint64",
            [](RawFile& f) {
                f.header.insert(1, R"("x":{"dtype":"U8","shape":[0],"data_offsets":[18446744073709551616,0]},)");
            },
            "wanted data_offsets to be an array of two offsets"),
        raw(
            "offsets_of_1e999",
            [](RawFile& f) { f.header.insert(1, R"("x":{"dtype":"U8","shape":[0],"data_offsets":[1e999,0]},)"); },
            "wanted JSON"),
        text("header_longer_than_file", kWeights, std::string("\x40\0\0\0\0\0\0\0{}", 10), "wanted 64 bytes, found 2"),
        {"sparse_file_of_zeros",
         [](const fs::path& dir) {
             write_bytes(dir / kWeights, std::string("\0\xe1\xf5\5\0\0\0\0", 8));
             fs::resize_file(dir / kWeights, uint64_t{1} << 34);
         },
         kWeights, "wanted \"{\" first"},
        raw(
            "header_garbage", [](RawFile& f) { f.header = "{garbage}"; }, "wanted JSON"),
        raw(
            "header_cut", [](RawFile& f) { f.header.resize(5000); }, "wanted JSON"),
        raw(
            "header_begins_with_space", [](RawFile& f) { f.header = " " + f.header; }, "wanted \"{\" first"),
        raw(
            "header_nul", [](RawFile& f) { f.header.back() = '\0'; }, "found a NUL"),
        raw(
            "header_trailing", [](RawFile& f) { f.header += "{}"; }, "wanted JSON"),
        raw(
            "header_bad_utf8", [](RawFile& f) { f.header = "{\"\xff\":{}}"; }, "wanted JSON"),
        raw(
            "header_deep", [](RawFile& f) { f.header = "{\"a\":{\"shape\":" + deep(1000000) + "}}"; },
            "wanted shape to be an array of sizes"),
        raw(
            "tensor_twice",
            [](RawFile& f) {
                replace(f.header, "{", R"({"lm_head.weight":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)");
            },
            "\"lm_head.weight\""),
        raw(
            "field_twice", [](RawFile& f) { replace(f.header, "\"dtype\"", R"("dtype":"F32","dtype")"); },
            "wanted each field once"),
        raw(
            "metadata_twice", [](RawFile& f) { f.header.insert(1, R"("__metadata__":{},)"); },
            "wanted __metadata__ once"),
        raw(
            "metadata_key_twice", [](RawFile& f) { replace(f.header, R"("format")", R"("format":"pt","format")"); },
            "wanted each key once"),
        header(
            "metadata_of_numbers", [](Json& h) { h["__metadata__"]["n"] = 1; }, "__metadata__"),
        header(
            "metadata_array", [](Json& h) { h["__metadata__"] = Json::array(); }, "__metadata__"),
        header(
            "tensor_is_a_number", [](Json& h) { h[kQ] = 1; }, "wanted an object"),
        header("dtype_unknown", q([](Json& t) { t["dtype"] = "BF17"; }), "wanted a safetensors dtype, found \"BF17\""),
        header("dtype_number", q([](Json& t) { t["dtype"] = 3; }), "wanted dtype to be a string, found a number"),
        header("dtype_missing", q([](Json& t) { t.erase("dtype"); }), "wanted dtype, shape and data_offsets"),
        header("shape_missing", q([](Json& t) { t.erase("shape"); }), kQ),
        header("offsets_missing", q([](Json& t) { t.erase("data_offsets"); }), kQ),
        header("unknown_field", q([](Json& t) {
                   t["strides"] = {1, 2};
               }),
               "\"strides\""),
        header("shape_object", q([](Json& t) { t["shape"] = Json::object(); }), "wanted shape to be an array"),
        header("shape_negative", q([](Json& t) {
                   t["shape"] = {-40, -64};
               }),
               "found -40"),
        header("shape_float", q([](Json& t) {
                   t["shape"] = {40.0, 64.0};
               }),
               "found \"40.0\""),
        header("shape_nested", q([](Json& t) {
                   t["shape"] = {{40, 64}};
               }),
               "found an array"),
        header("shape_overflows", q([](Json& t) {
                   t["shape"] = {uint64_t{1} << 62, 4};
               }),
               "below 2^61"),
        header("shape_overflows_to_fit", q([](Json& t) {
                   t["shape"] = {(uint64_t{1} << 56) + 40, 64, 256};
               }),
               "below 2^61"),
        header("shape_above_int64", q([](Json& t) { t["shape"] = {~uint64_t{0}}; }), "below 2^63"),
        header("rank_9", q([](Json& t) { t["shape"] = Json(std::vector<int>(9, 1)); }), "at most 8 dimensions"),
        header("shape_too_small", q([](Json& t) {
                   t["shape"] = {40, 63};
               }),
               "wanted the 5040 bytes of BF16 [40, 63]"),
        header("dtype_too_wide", q([](Json& t) { t["dtype"] = "F32"; }), "wanted the 10240 bytes"),
        header("half_a_byte", q([](Json& t) {
                   t["dtype"] = "F4";
                   t["shape"] = {3};
               }),
               kQ),
        header("one_offset", q([](Json& t) { t["data_offsets"] = {221680}; }), "wanted two data_offsets"),
        header("three_offsets", q([](Json& t) { t["data_offsets"].push_back(1); }), "wanted two data_offsets"),
        header("offsets_reversed", q([](Json& t) { std::swap(t["data_offsets"][0], t["data_offsets"][1]); }),
               "wanted a range within"),
        header("offsets_outside", q([](Json& t) {
                   t["data_offsets"] = {1 << 30, (1 << 30) + 5120};
               }),
               "wanted a range within"),
        header("offsets_wrap", q([](Json& t) {
                   t["data_offsets"] = {~uint64_t{0} - 5119, uint64_t{0}};
               }),
               kQ),
        header(
            "overlap",
            [](Json& h) {
                h[kQ]["data_offsets"] = h["lm_head.weight"]["data_offsets"];
                h[kQ]["shape"] = h["lm_head.weight"]["shape"];
            },
            "wanted to begin at"),
        header(
            "hole", [](Json& h) { h.erase(kQ); }, "where the tensor before ends"),
        raw(
            "data_cut", [](RawFile& f) { f.data.pop_back(); }, "wanted a range within"),
        raw(
            "data_trailing", [](RawFile& f) { f.data += "x"; }, "as the header says, found"),
        raw(
            "data_missing", [](RawFile& f) { f.data.clear(); }, "wanted a range within"),
    };
}

std::vector<Damage> damaged_indexes() {
    const auto map = [](auto value) { return [=](Json& i) { i["weight_map"][kNorm] = value; }; };
    return {
        text("index_empty", kIndex, "", "wanted JSON", "nano-fp8"),
        text("index_array", kIndex, "[]", "wanted an object", "nano-fp8"),
        text("index_string", kIndex, "\"weight_map\"", "wanted a weight_map", "nano-fp8"),
        text("index_bom", kIndex, "\xef\xbb\xbf{}", "wanted JSON, found a byte order mark", "nano-fp8"),
        text("index_nul", kIndex, std::string("{}\0", 3), "found a NUL", "nano-fp8"),
        text("index_deep", kIndex, "{\"metadata\":" + deep(1000000) + "}", "at most 64 levels", "nano-fp8"),
        text("index_without_map", kIndex, R"({"metadata":{"total_size":1}})", "wanted a weight_map", "nano-fp8"),
        text("index_map_twice", kIndex, R"({"weight_map":{},"weight_map":{}})", "weight_map once", "nano-fp8"),
        text("index_tensor_twice", kIndex, R"({"weight_map":{"a":"s","a":"s"}})", "once, found it twice", "nano-fp8"),
        index(
            "index_map_empty", [](Json& i) { i["weight_map"] = Json::object(); }, "wanted a weight_map"),
        index(
            "index_map_array", [](Json& i) { i["weight_map"] = {"a"}; }, "found an array"),
        index(
            "index_map_number", [](Json& i) { i["weight_map"] = 1; }, "found a number"),
        text("index_bad_utf8", kIndex, "{\"weight_map\":{\"\xff\":\"a\"}}", "wanted JSON", "nano-fp8"),
        {"index_fifo", fifo(kIndex), kIndex, "wanted a regular file", "nano-fp8"},
        {"index_huge", [](const fs::path& dir) { fs::resize_file(dir / kIndex, 100'000'001); }, kIndex,
         "wanted at most 100000000 bytes", "nano-fp8"},
        index(
            "index_absent_tensor", [](Json& i) { i["weight_map"]["no.such"] = kShard; }, "\"no.such\""),
        index(
            "index_name_with_control_characters", [](Json& i) { i["weight_map"]["a\n\x1b[2J"] = kShard; },
            R"("a\x0a\x1b[2J")"),
        index("shard_with_nul", map(std::string("a\0b", 3)), "the name of a file in the same folder"),
        index("shard_with_dots_inside", map("x/../y"), "the name of a file in the same folder"),
        index("shard_backslash", map("..\\model"), "the name of a file in the same folder"),
        index("shard_is_the_index", map(kIndex), "safetensors header"),
        {"shard_fifo", fifo(kShard), kShard, "found a device, pipe or socket", "nano-fp8"},
        {"shard_dangling_link", link(kShard, "nowhere"), kShard, "which the index names", "nano-fp8"},
        {"shard_link_to_itself", link(kShard, kShard), kShard, "which the index names", "nano-fp8"},
        {"shard_link_out_to_no_weights", link(kShard, "/etc/passwd"), kShard, "safetensors header", "nano-fp8"},
        text("shard_empty_file", kShard, "", "wanted 8 bytes with its length", "nano-fp8"),
        index("shard_number", map(1), "wanted a file name"),
        index("shard_null", map(nullptr), "wanted a file name"),
        index("shard_list", map(Json::array({kShard})), "wanted a file name"),
        index("shard_above", map("../model.safetensors"), "the name of a file in the same folder"),
        index("shard_absolute", map("/etc/passwd"), "the name of a file in the same folder"),
        index("shard_dots", map(".."), "the name of a file in the same folder"),
        index("shard_empty", map(""), "the name of a file in the same folder"),
        index("shard_newline", map("a\nb"), "the name of a file in the same folder"),
        index("shard_long", map(std::string(300, 's')), "the name of a file in the same folder"),
        index("shard_missing", map("model-00009.safetensors"), "which the index names", "model-00009.safetensors"),
        index("shard_is_config", map("config.json"), "safetensors header", "config.json"),
        index("tensor_in_other_shard", map(kShard), "as the index says"),
        index(
            "tensor_unlisted", [](Json& i) { i["weight_map"].erase(kNorm); }, kNorm),
        index(
            "scale_unlisted", [](Json& i) { i["weight_map"].erase(std::string(kQ) + "_scale_inv"); }, "_scale_inv"),
        {"shard_is_a_folder",
         [](const fs::path& dir) {
             fs::remove(dir / kShard);
             fs::create_directory(dir / kShard);
         },
         kShard, "found a folder", "nano-fp8"},
        {"shard_cut", [](const fs::path& dir) { fs::resize_file(dir / kShard, 1000000); }, kShard,
         "wanted a range within", "nano-fp8"},
    };
}

std::vector<Damage> damaged_tensors() {
    const std::string scale = std::string(kQ) + "_scale_inv";
    const auto drop = [](const char* name) {
        return [=](Json& h) {
            h["x"] = h[name];
            h.erase(name);
        };
    };
    return {
        {"no_weights", [](const fs::path& dir) { fs::remove(dir / kWeights); }, "", "found neither"},
        {"not_a_folder",
         [](const fs::path& dir) {
             fs::remove_all(dir);
             write_bytes(dir, "x");
         },
         "", "found a file"},
        {"nothing_there", [](const fs::path& dir) { fs::remove_all(dir); }, "", "found nothing"},
        header("weight_missing", drop(kQ), "wanted F8_E4M3 or BF16 or F16 or F32 [40, 64], found nothing"),
        header("norm_missing", drop(kNorm), kNorm),
        header("head_missing", drop("lm_head.weight"), "lm_head.weight"),
        header("bias_missing", drop("model.layers.1.mlp.gate.e_score_correction_bias"), "e_score_correction_bias"),
        header("expert_missing", drop("model.layers.2.mlp.experts.7.down_proj.weight"), "experts.7.down_proj"),
        header("mtp_missing", drop("model.layers.3.eh_proj.weight"), "eh_proj"),
        header(
            "weight_transposed",
            [](Json& h) {
                h[kQ]["shape"] = {64, 40};
            },
            "found BF16 [64, 40]"),
        header(
            "weight_flat", [](Json& h) { h[kQ]["shape"] = {2560}; }, "found BF16 [2560]"),
        header(
            "weight_of_integers", [](Json& h) { h[kQ]["dtype"] = "I16"; }, "found I16 [40, 64]"),
        header(
            "norm_of_integers", [](Json& h) { h[kNorm]["dtype"] = "U16"; }, "found U16 [64]"),
        header(
            "weight_fp8_unexplained",
            [](Json& h) {
                h[kQ]["dtype"] = "F8_E4M3";
                h[kQ]["shape"] = {40, 128};
            },
            "found F8_E4M3 [40, 128]"),
        shard("scale_missing", drop("model.layers.0.self_attn.q_a_proj.weight_scale_inv"), kIndex, "as the index says"),
        shard(
            "scale_transposed",
            [=](Json& h) {
                h[scale]["shape"] = {3, 2};
            },
            kShard, "wanted F32 [2, 3], found F32 [3, 2]"),
        shard(
            "scale_of_integers", [=](Json& h) { h[scale]["dtype"] = "I32"; }, kShard, "wanted F32 [2, 3], found I32"),
        shard(
            "tensor_in_two_shards",
            [](Json& h) {
                h[kNorm] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
            },
            kShard, "wanted it in one shard, found it in"),
        shard(
            "weight_e5m2", [](Json& h) { h[kQ]["dtype"] = "F8_E5M2"; }, kShard, "found F8_E5M2"),
        shard(
            "embedding_fp8",
            [](Json& h) {
                h["model.embed_tokens.weight"]["dtype"] = "F8_E4M3";
                h["model.embed_tokens.weight"]["shape"] = {640, 576};
            },
            kShard, "wanted BF16 or F16 or F32 [640, 288], found F8_E4M3"),
        header(
            "weight_bf16_with_scale",
            [=](Json& h) {
                h[scale] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
            },
            "wanted F8_E4M3, as there is"),
        extra("model.layers.0.self_attn.q_a_proj.bias"),
        extra("model.embed_tokens.bias"),
        extra("lm_head.bias"),
        extra("model.layers.1.mlp.experts.8.up_proj.weight"),
        extra("model.layers.00.input_layernorm.weight"),
        extra("model.layers.-1.input_layernorm.weight"),
        extra("model.layers.99999999999999999999.input_layernorm.weight"),
        {"fewer_layers_than_weights",
         [](const fs::path& dir) {
             edit_json(dir / "config.json", [](Json& c) {
                 c["num_hidden_layers"] = 2;
                 c["num_nextn_predict_layers"] = 0;
             });
         },
         kWeights, "\"model.layers.2.input_layernorm.weight\""},
        {"mtp_module_as_a_layer",
         [](const fs::path& dir) {
             edit_json(dir / "config.json", [](Json& c) {
                 c["num_hidden_layers"] = 4;
                 c["num_nextn_predict_layers"] = 0;
             });
         },
         kWeights, "\"model.layers.3.eh_proj.weight\""},
        text("generation_config_empty", "generation_config.json", "", "wanted JSON"),
        {"generation_config_dangling_link", link("generation_config.json", "nowhere"), "generation_config.json",
         "No such file"},
        {"generation_config_fifo", fifo("generation_config.json"), "generation_config.json", "wanted a regular file"},
        text("generation_config_deep", "generation_config.json", deep(100000), "at most 64 levels"),
        text("generation_config_garbage", "generation_config.json", "garbage", "wanted JSON"),
        text("generation_config_array", "generation_config.json", "[]", "wanted an object"),
        text("generation_config_temperature", "generation_config.json", R"({"temperature":"hot"})", "found \"hot\""),
        text("generation_config_top_p", "generation_config.json", R"({"top_p":1.5})", "top_p"),
        text("generation_config_eos", "generation_config.json", R"({"eos_token_id":512})", "eos_token_id"),
    };
}

}  // namespace

void PrintTo(const Damage& damage, std::ostream* out) {
    *out << damage.what;
}

std::string test_name(const Damage& damage) {
    std::string name;
    for (const char c : damage.what) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return name;
}

std::vector<Damage> damaged_checkpoints() {
    std::vector<Damage> all;
    for (auto list : {damaged_configs(), damaged_headers(), damaged_indexes(), damaged_tensors(), damaged_sizes(),
                      other_checkpoints()}) {
        all.insert(all.end(), list.begin(), list.end());
    }
    return all;
}

}  // namespace vks::test
