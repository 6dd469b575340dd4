// The program against the golden models: logits and what leads to them, in every mode and chunking, and greedy ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/e2e/goldens.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

constexpr double kF32 = 1e-4, kHalf = 4e-2;
// Nearer to the other decision than this, a router may decide otherwise (tests/reference/README.md).
constexpr float kMarginF32 = 1e-4F, kMarginHalf = 2e-2F;

class Models : public testing::TestWithParam<GoldenModel> {
protected:
    void SetUp() override {
        golden_ = TensorFile::open(GetParam().expected_path());
        ASSERT_TRUE(golden_);
    }

    std::string prompt_ids(int prompt) const { return join(golden_->integers(fmt::format("p{}.input_ids", prompt))); }

    // Runs `vkseek logits` on a prompt; the file it wrote.
    std::filesystem::path logits(int prompt, const std::vector<std::string>& options, const std::string& name) {
        const std::filesystem::path out = dir_ / name;
        std::vector<std::string> arguments = {
            "logits", "-m", GetParam().checkpoint(), "--backend", "cpu", "--ids", prompt_ids(prompt), "-o", out};
        arguments.insert(arguments.end(), options.begin(), options.end());
        const Ran ran = run_program(arguments);
        EXPECT_EQ(ran.status, 0) << ran.err;
        EXPECT_EQ(ran.out + ran.err, "");
        return out;
    }

    // Names the golden file has for a prompt that `logits --trace --mtp` writes as rows of floats.
    std::vector<std::string> float_names(int prompt) const {
        std::vector<std::string> names;
        for (const std::string& name : golden_->names(fmt::format("p{}.", prompt))) {
            const bool mtp_logits = name.starts_with("mtp") && name.ends_with(".logits");
            if (name == "logits" || name.starts_with("hidden.") || name.starts_with("kv.") || mtp_logits) {
                names.push_back(name);
            }
        }
        return names;
    }

    double distance(const TensorFile& ours, int prompt, const std::string& name) const {
        const std::vector<int64_t> rows = golden_->integers(fmt::format("p{}.rows", prompt));
        return relative(keep_rows(ours.floats(name), ours.width(name), rows),
                        golden_->floats(fmt::format("p{}.{}", prompt, name)));
    }

    // Router decisions of a prompt that differ from the golden ones, by layer: (position, margin).
    struct Flip {
        std::string layer;
        size_t position;
        float margin;
    };
    std::vector<Flip> flips(const TensorFile& ours, int prompt) const {
        std::vector<Flip> list;
        for (const std::string& name : golden_->names(fmt::format("p{}.router.", prompt))) {
            if (!name.ends_with(".topk_idx")) continue;
            const std::string layer = name.substr(0, name.find('.'));
            const std::string router = fmt::format("router.{}.", layer), golden = fmt::format("p{}.{}", prompt, router);
            const std::vector<int64_t> a = ours.integers(router + "topk_idx"),
                                       b = golden_->integers(golden + "topk_idx");
            const std::vector<float> margin = golden_->floats(golden + "margin");
            EXPECT_EQ(a.size(), b.size()) << router;
            if (a.size() != b.size()) continue;
            const size_t k = b.size() / margin.size();
            for (size_t t = 0; t < margin.size(); ++t) {
                const bool same = std::equal(&b[t * k], &b[t * k] + k, &a[t * k]);
                if (!same) list.push_back({layer, t, margin[t]});
            }
        }
        return list;
    }

    void expect_router_weights(const TensorFile& ours, int prompt) const {
        for (const std::string& name : golden_->names(fmt::format("p{}.router.", prompt))) {
            if (!name.ends_with(".topk_weight")) continue;
            const std::vector<float> a = ours.floats("router." + name);
            const std::vector<float> b = golden_->floats(fmt::format("p{}.router.{}", prompt, name));
            ASSERT_EQ(a.size(), b.size()) << name;
            for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << name << " " << i;
        }
    }

    TempDir dir_;
    std::optional<TensorFile> golden_;
};

TEST_P(Models, F32EqualsTheGoldensInAnyChunking) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const std::vector<std::string> options = {"--math", "f32", "--trace", "--mtp"};
        const auto with_chunk = [&](const char* chunk) {
            std::vector<std::string> more = options;
            more.insert(more.end(), {"--chunk", chunk});
            return logits(prompt, more, fmt::format("chunk-{}", chunk));
        };
        const auto whole = logits(prompt, options, "whole");
        const auto ours = TensorFile::open(whole);
        ASSERT_TRUE(ours);
        const std::vector<std::string> names = float_names(prompt);
        EXPECT_GE(names.size(), 6U);  // logits, hidden before, between and after layers, two of the latent cache
        for (const std::string& name : names) EXPECT_LE(distance(*ours, prompt, name), kF32) << name;
        for (const Flip& flip : flips(*ours, prompt)) {
            EXPECT_LE(flip.margin, kMarginF32) << "layer " << flip.layer << " position " << flip.position;
        }
        expect_router_weights(*ours, prompt);
        const std::string bytes = read_bytes(whole);
        EXPECT_EQ(bytes, read_bytes(with_chunk("1")));
        EXPECT_EQ(bytes, read_bytes(with_chunk("7")));
    }
}

TEST_P(Models, HalfStaysNearTheGoldens) {
    int comparable = 0;
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const auto ours = TensorFile::open(logits(prompt, {"--trace"}, "half"));
        ASSERT_TRUE(ours);
        const std::vector<Flip> changed = flips(*ours, prompt);
        // What comes after a changed decision may well differ. The first MoE layer has none before it.
        for (const Flip& flip : changed) {
            if (flip.layer == changed.front().layer) {
                EXPECT_LE(flip.margin, kMarginHalf) << flip.position;
            }
        }
        if (!changed.empty()) continue;
        ++comparable;
        for (const std::string& name : float_names(prompt)) {
            if (!name.starts_with("mtp")) {
                EXPECT_LE(distance(*ours, prompt, name), kHalf) << name;
            }
        }
    }
    EXPECT_GE(comparable, 2);
}

using Fp8Models = Models;

// Nearer to the exact activations than half of what the reference measures: they aren't quantised at all.
TEST_P(Fp8Models, W8a8IsAsFarAsTheReference) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const auto ours = TensorFile::open(logits(prompt, {"--math", "f32", "--precision", "w8a8"}, "w8a8"));
        ASSERT_TRUE(ours);
        const double expected = GetParam().w8a8_distance[static_cast<size_t>(prompt)];
        EXPECT_GE(distance(*ours, prompt, "logits"), 0.5 * expected);
        EXPECT_LE(distance(*ours, prompt, "logits"), 1.5 * expected);
    }
}

TEST_P(Models, GreedyIdsAreTheGoldenOnes) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        for (const char* chunk : {"512", "7", "1"}) {
            const Ran ran =
                run_program({"generate", "-m", GetParam().checkpoint(), "--math", "f32", "--temp", "0", "--ignore-eos",
                             "-n", "32", "--json", "--chunk", chunk, "--ids", prompt_ids(prompt)});
            ASSERT_EQ(ran.status, 0) << ran.err;
            const auto document = nlohmann::json::parse(ran.out, nullptr, false);
            ASSERT_TRUE(document.is_object()) << ran.out;
            EXPECT_EQ(document["ids"].get<std::vector<int64_t>>(),
                      golden_->integers(fmt::format("p{}.greedy_ids", prompt)));
        }
    }
}

std::vector<GoldenModel> fp8_models() {
    std::vector<GoldenModel> models = golden_models();
    std::erase_if(models, [](const GoldenModel& model) { return model.w8a8_distance.empty(); });
    return models;
}

std::string test_name(const testing::TestParamInfo<GoldenModel>& info) {
    std::string name = info.param.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(All, Models, testing::ValuesIn(golden_models()), test_name);
INSTANTIATE_TEST_SUITE_P(All, Fp8Models, testing::ValuesIn(fp8_models()), test_name);

}  // namespace
}  // namespace vks::test
