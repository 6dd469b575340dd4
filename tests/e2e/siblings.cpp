// Models of the same architecture: two layers of each, with its own heads, ranks, experts and rotation but narrow
// matrices, made up and run.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "frontend/model/shapes.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

using nlohmann::json;

class Siblings : public testing::TestWithParam<const char*> {};

// The shape with what makes files large cut down.
std::string narrow(std::string_view shape) {
    ModelConfig config = *named_shape(shape);
    config.vocab_size = 1024;
    config.hidden_size = 256;
    config.intermediate_size = 512;
    config.moe_intermediate_size = 128;
    config.num_attention_heads = 8;
    config.q_lora_rank = std::min<int64_t>(config.q_lora_rank, 192);
    config.bos_token_id = 0;
    config.eos_token_ids = {1};
    return config_json(config);
}

TEST_P(Siblings, TwoLayersRun) {
    const TempDir dir;
    write_bytes(dir / "shape.json", narrow(GetParam()));
    const std::string model = (dir / "model").string();
    const Ran made =
        run_program({"synth", "--shape", (dir / "shape.json").string(), "--layers", "2", "--dense", "1", "-o", model});
    ASSERT_EQ(made.status, 0) << made.err;
    const auto ids = [&](const char* chunk) {
        const Ran ran =
            run_program({"generate", "-m", model, "--backend", "cpu", "--math", "f32", "--ids", "5,6,7,8,9,10,11,12",
                         "-n", "12", "--temp", "0", "--ignore-eos", "--chunk", chunk, "--json"});
        EXPECT_EQ(ran.status, 0) << ran.err;
        const json document = json::parse(ran.out, nullptr, false);
        return document.is_object() ? document["ids"].get<std::vector<int64_t>>() : std::vector<int64_t>();
    };
    const std::vector<int64_t> whole = ids("512");
    EXPECT_EQ(whole.size(), 12u);
    EXPECT_EQ(ids("3"), whole);
}

INSTANTIATE_TEST_SUITE_P(All, Siblings,
                         testing::Values("deepseek-v3", "deepseek-v3.1", "kimi-k2", "moonlight-16b-a3b",
                                         "gigachat3-10b-a1.8b"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::ranges::replace_if(
                                 name, [](char c) { return c == '-' || c == '.'; }, '_');
                             return name;
                         });

}  // namespace
}  // namespace vks::test
