// rms_norm/1: y = x / sqrt(mean(x^2) + eps) * w.
#include "plugins/args/ops/rms_norm.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/norm.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::rms_norm;

void run(const Call& call) {
    const Arg &x = call.args[kX], &w = call.args[kW], &y = call.args[kY];
    const int64_t n = x.dim[1];
    with_activation(x.dtype, [&](auto x_type) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(y.dtype, [&](auto y_type) {
                const auto* weight = w.as<decltype(w_type)>();
                for_rows(call, x.rows(), n, [&](int64_t t, int) {
                    const auto* in = row<decltype(x_type)>(x, t);
                    auto* out = out_row<decltype(y_type)>(y, t);
                    const float inverse = inverse_rms(in, n, call.get<vks_norm_params>().eps);
                    for (int64_t i = 0; i < n; ++i) store(out + i, to_float(in[i]) * inverse * to_float(weight[i]));
                });
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_rms_norm, &plain};

}  // namespace

extern constinit const Op op_rms_norm = {"rms_norm/1", sizeof(vks_norm_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
