// Rotary position embedding with YaRN: the frequencies and the table of cosines and sines. Not the rotation itself,
// which is an operator.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "frontend/io/config.h"

namespace vks {

// Angle per position of each pair (x[2i], x[2i+1]): qk_rope_head_dim / 2 values. theta^(-2i/d), and with YaRN the blend
// of that and its factor-th part (YaRN section 3.2, "NTK-by-parts").
std::vector<double> rope_inv_freq(const ModelConfig& config);

// What cosines and sines are multiplied by: m(mscale) / m(mscale_all_dim), 1 without YaRN.
double rope_cos_sin_multiplier(const ModelConfig& config);

// Writes for each position cos_0, sin_0, cos_1, sin_1, ...: positions.size() × 2·inv_freq.size() floats. Angles are
// computed in double, so long contexts lose nothing.
void rope_table(std::span<const double> inv_freq, double multiplier, std::span<const int32_t> positions, float* out);

}  // namespace vks
