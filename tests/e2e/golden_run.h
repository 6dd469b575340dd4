// A golden model run through the program on one backend, and how far what it wrote is from the golden files.
#pragma once
#include <gtest/gtest.h>

#include "tests/e2e/goldens.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {

inline constexpr double kF32 = 1e-4, kHalf = 4e-2;
// Nearer to the other decision than this, a router may decide otherwise (tests/reference/README.md).
inline constexpr float kMarginF32 = 1e-4F, kMarginHalf = 2e-2F;

class GoldenRun : public testing::TestWithParam<GoldenModel> {
protected:
    explicit GoldenRun(std::string backend) : backend_(std::move(backend)) {}
    void SetUp() override;

    std::string prompt_ids(int prompt) const;
    // Runs `vkseek logits` on a prompt; the file it wrote.
    std::filesystem::path logits(int prompt, const std::vector<std::string>& options, const std::string& name);
    // Runs `vkseek generate` greedily for 32 tokens, under f32; its JSON document as text.
    std::string greedy(int prompt, const std::vector<std::string>& options);
    // Names the golden file has for a prompt that `logits --trace --mtp` writes as rows of floats.
    std::vector<std::string> float_names(int prompt) const;
    double distance(const TensorFile& ours, int prompt, const std::string& name) const;

    // Router decisions of a prompt that differ from the golden ones, by layer.
    struct Flip {
        std::string layer;
        size_t position;
        float margin;
    };
    std::vector<Flip> flips(const TensorFile& ours, int prompt) const;
    void expect_router_weights(const TensorFile& ours, int prompt) const;
    // Everything of a prompt under f32: floats, decisions, weights.
    void expect_f32(const TensorFile& ours, int prompt) const;
    // A prompt under half: decisions near the golden ones, floats where no decision changed. False if one did.
    bool expect_half(const TensorFile& ours, int prompt) const;

    std::string backend_;
    TempDir dir_;
    std::optional<TensorFile> golden_;
};

// "nano_fp8"
std::string golden_name(const testing::TestParamInfo<GoldenModel>& info);
std::vector<GoldenModel> fp8_models();

}  // namespace vks::test
