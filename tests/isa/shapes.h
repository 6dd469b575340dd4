// What the operators are asked for by DeepSeek-V3: every matrix, one to many tokens, both precisions.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "plugins/args/args.h"

namespace vks::test {

struct Question {
    std::string op;     // "rms_norm/1"
    std::string shape;  // "bf16 T=1 7168"
    std::vector<std::byte> params;
    std::vector<args::Arg> args;
};

std::vector<Question> deepseek_v3();

}  // namespace vks::test
