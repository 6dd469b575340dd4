// gemm and fp8_gemm: one shader, shaders/gemm.comp, whose constants say which of the two it is.
#pragma once
#include "plugins/vulkan/matmul.h"

namespace vks::vulkan {

// Where an operator has these arguments; kNone: not at all.
struct DenseArgs {
    static constexpr size_t kNone = SIZE_MAX;
    size_t x, x_scale, w, w_scale, y;
};

Recipe dense_recipe(const Caps& caps, const Signature& s, const DenseArgs& at);
void encode_dense(Encoder& e, const Signature& s, const DenseArgs& at);

}  // namespace vks::vulkan
