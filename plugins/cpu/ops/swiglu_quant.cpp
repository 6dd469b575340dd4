// swiglu_quant/1: h = silu(gate) * up, silu(g) = g / (1 + exp(-g)); into FP8 groups of 128 when y is e4m3 (act_quant).
#include "plugins/args/ops/swiglu_quant.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/quant.h"

#include <algorithm>

namespace vks::cpu {
namespace {

using namespace args::swiglu_quant;

void run(const Call& call) {
    const Arg &gate = call.args[kGate], &up = call.args[kUp], &y = call.args[kY], &scale = call.args[kScale];
    const int64_t n = gate.dim[1];
    with_activation(gate.dtype, [&](auto gate_type) {
        with_activation(up.dtype, [&](auto up_type) {
            for_rows(call, gate.rows(), n, [&](int64_t t, int) {
                const auto* g = row<decltype(gate_type)>(gate, t);
                const auto* u = row<decltype(up_type)>(up, t);
                for (int64_t first = 0; first < n; first += kBlock) {
                    const int64_t count = std::min(kBlock, n - first);
                    float h[kBlock];
                    for (int64_t i = 0; i < count; ++i) {
                        const float x = to_float(g[first + i]);
                        h[i] = x / (1.0f + std::exp(-x)) * to_float(u[first + i]);
                    }
                    if (y.dtype == VKS_F8_E4M3) {
                        F8* codes = out_row<F8>(y, t) + first;
                        out_row<float>(scale, t)[first / kBlock] = quantise_group(h, count, false, codes);
                    } else {
                        with_activation(y.dtype, [&](auto y_type) {
                            auto* out = out_row<decltype(y_type)>(y, t) + first;
                            for (int64_t i = 0; i < count; ++i) store(out + i, h[i]);
                        });
                    }
                }
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_swiglu_quant, &plain};

}  // namespace

extern constinit const Op op_swiglu_quant = {"swiglu_quant/1", 0, check, kOutputs, kVariants};

}  // namespace vks::cpu
