// gemm/1, by shaders/gemm.comp. Bound: bytes of w for few rows of x, else arithmetic.
#include "plugins/args/ops/gemm.h"

#include "plugins/vulkan/dense.h"

namespace vks::vulkan {
namespace {

using namespace args::gemm;

constexpr DenseArgs kArgs = {kX, DenseArgs::kNone, kW, DenseArgs::kNone, kY};

Recipe recipe(const Caps& caps, const Signature& s) {
    return dense_recipe(caps, s, kArgs);
}

void encode(Encoder& e, const Signature& s) {
    encode_dense(e, s, kArgs);
}

}  // namespace

extern constinit const Op op_gemm = {"gemm/1", 0, check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
