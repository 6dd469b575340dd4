// Frequencies, multiplier and table against the golden values of tests/golden/ops/rope_yarn.
#include "frontend/model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "frontend/io/safetensors.h"
#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

template <class T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name) {
    const TensorView* tensor = file.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    if (tensor == nullptr) return {};
    std::vector<T> out(tensor->bytes / sizeof(T));
    std::memcpy(out.data(), tensor->data, tensor->bytes);
    return out;
}

ModelConfig config_of(const nlohmann::json& parameters) {
    ModelConfig c;
    c.qk_nope_head_dim = parameters["qk_nope_head_dim"];
    c.qk_rope_head_dim = parameters["qk_rope_head_dim"];
    c.rope_theta = parameters["rope_theta"];
    const auto& yarn = parameters["rope_scaling"];
    if (yarn.is_null()) return c;
    c.rope_scaling = YarnScaling{yarn["factor"],    yarn["original_max_position_embeddings"],
                                 yarn["beta_fast"], yarn["beta_slow"],
                                 yarn["mscale"],    yarn["mscale_all_dim"]};
    return c;
}

// x rotated by the table must be y; both are interleaved pairs.
void check_rotation(const std::vector<float>& x, const std::vector<float>& y, const std::vector<float>& table,
                    size_t at, double tolerance) {
    const double c = table[at], s = table[at + 1];
    EXPECT_NEAR(x[at] * c - x[at + 1] * s, y[at], tolerance);
    EXPECT_NEAR(x[at] * s + x[at + 1] * c, y[at + 1], tolerance);
}

TEST(Rope, MatchesTheGoldenValues) {
    const auto file = SafetensorsFile::open(test::data("ops/rope_yarn.safetensors"));
    ASSERT_TRUE(file) << file.error().text;
    const auto cases = nlohmann::json::parse(test::read_bytes(test::data("ops/rope_yarn.json")));
    std::vector<int32_t> positions;
    for (const int64_t p : values<int64_t>(*file, "positions")) positions.push_back(static_cast<int32_t>(p));
    ASSERT_EQ(cases.size(), 5u);
    for (const auto& parameters : cases) {
        const std::string prefix = "c" + std::to_string(parameters["case"].get<int>()) + ".";
        SCOPED_TRACE(prefix);
        const ModelConfig config = config_of(parameters);
        EXPECT_NEAR(config.softmax_scale(), parameters["softmax_scale"].get<double>(), 1e-15);
        const double multiplier = rope_cos_sin_multiplier(config);
        EXPECT_NEAR(multiplier, parameters["cos_sin_multiplier"].get<double>(), 1e-15);

        const std::vector<double> inv_freq = rope_inv_freq(config);
        const auto golden_freq = values<float>(*file, prefix + "inv_freq");
        ASSERT_EQ(inv_freq.size(), golden_freq.size());
        for (size_t i = 0; i < inv_freq.size(); ++i) EXPECT_EQ(static_cast<float>(inv_freq[i]), golden_freq[i]) << i;

        const size_t pairs = inv_freq.size();
        std::vector<float> table(positions.size() * 2 * pairs);
        rope_table(inv_freq, multiplier, positions, table.data());
        const auto cosine = values<float>(*file, prefix + "cos"), sine = values<float>(*file, prefix + "sin");
        const auto x = values<float>(*file, prefix + "x"), y = values<float>(*file, prefix + "y");
        for (size_t row = 0; row < positions.size(); ++row) {
            const double tolerance = 1e-6 + 5e-8 * positions[row];
            for (size_t i = 0; i < pairs; ++i) {
                const size_t at = 2 * (row * pairs + i);
                EXPECT_NEAR(table[at], cosine[row * pairs + i], 1e-7);
                EXPECT_NEAR(table[at + 1], sine[row * pairs + i], 1e-7);
                check_rotation(x, y, table, at, tolerance);
            }
        }
    }
}

// Kimi-K2's beta_fast == beta_slow can put both ends of the ramp on one pair.
TEST(Rope, RampOfNoWidthDividesNothingByZero) {
    ModelConfig config;
    config.qk_rope_head_dim = 64;
    config.rope_theta = 50000;
    config.rope_scaling = YarnScaling{32, 4096, 1, 1, 1, 1};
    for (const double beta : {1.0, 4096 / (2 * M_PI), 1e6, 1e-6}) {
        config.rope_scaling->beta_fast = config.rope_scaling->beta_slow = beta;
        for (const double f : rope_inv_freq(config)) {
            EXPECT_TRUE(std::isfinite(f));
            EXPECT_GT(f, 0);
            EXPECT_LE(f, 1);
        }
    }
}

}  // namespace
}  // namespace vks
