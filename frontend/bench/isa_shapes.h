// What the operators are asked for by DeepSeek-V3: every matrix, one to many tokens, both precisions.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "backend/abi/plugin.hpp"

namespace vks::bench {

struct IsaQuestion {
    std::string op;     // "rms_norm/1"
    std::string shape;  // "bf16 T=1 7168"
    std::vector<std::byte> params;
    std::vector<vks_tensor> args;  // without buffers; varying dims at their maximum
};

std::vector<IsaQuestion> deepseek_v3_questions();

}  // namespace vks::bench
