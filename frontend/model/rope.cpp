// Frequencies and tables of rotary embedding.
#include "frontend/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vks {
namespace {

// The (fractional) pair whose wave turns `rotations` times within the original context.
double pair_of_rotations(const ModelConfig& config, double rotations) {
    const auto dims = static_cast<double>(config.qk_rope_head_dim);
    const auto context = static_cast<double>(config.rope_scaling->original_max_position_embeddings);
    return dims * std::log(context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(config.rope_theta));
}

}  // namespace

std::vector<double> rope_inv_freq(const ModelConfig& config) {
    const auto dims = static_cast<double>(config.qk_rope_head_dim);
    std::vector<double> inv_freq(static_cast<size_t>(config.qk_rope_head_dim / 2));
    for (size_t i = 0; i < inv_freq.size(); ++i) {
        inv_freq[i] = std::pow(config.rope_theta, -2 * static_cast<double>(i) / dims);
    }
    if (!config.rope_scaling) return inv_freq;

    // Clamped to the dimensions, not to the pairs, as the released code does.
    const double low = std::max(std::floor(pair_of_rotations(config, config.rope_scaling->beta_fast)), 0.0);
    double high = std::min(std::ceil(pair_of_rotations(config, config.rope_scaling->beta_slow)), dims - 1);
    if (low == high) high += 0.001;  // the released code's way out of a division by zero
    for (size_t i = 0; i < inv_freq.size(); ++i) {
        const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
        inv_freq[i] *= (1 - ramp) + ramp / config.rope_scaling->factor;
    }
    return inv_freq;
}

double rope_cos_sin_multiplier(const ModelConfig& config) {
    if (!config.rope_scaling) return 1;
    const YarnScaling& yarn = *config.rope_scaling;
    return yarn_mscale(yarn.factor, yarn.mscale) / yarn_mscale(yarn.factor, yarn.mscale_all_dim);
}

void rope_table(std::span<const double> inv_freq, double multiplier, std::span<const int32_t> positions, float* out) {
    for (const int32_t position : positions) {
        for (const double frequency : inv_freq) {
            const double angle = position * frequency;
            *out++ = static_cast<float>(std::cos(angle) * multiplier);
            *out++ = static_cast<float>(std::sin(angle) * multiplier);
        }
    }
}

}  // namespace vks
