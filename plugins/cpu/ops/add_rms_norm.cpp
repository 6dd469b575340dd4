// add_rms_norm/1: sum = x + delta, y = rms_norm(sum). The residual stream x, sum is f32 in every mode.
#include "plugins/args/ops/add_rms_norm.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/norm.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::add_rms_norm;

void run(const Call& call) {
    const Arg &x = call.args[kX], &delta = call.args[kDelta], &w = call.args[kW], &y = call.args[kY];
    const int64_t n = x.dim[1];
    with_activation(delta.dtype, [&](auto delta_type) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(y.dtype, [&](auto y_type) {
                const auto* weight = w.as<decltype(w_type)>();
                for_rows(call, x.rows(), n, [&](int64_t t, int) {
                    const float* in = row<float>(x, t);
                    const auto* change = row<decltype(delta_type)>(delta, t);
                    float* sum = out_row<float>(call.args[kSum], t);
                    for (int64_t i = 0; i < n; ++i) sum[i] = in[i] + to_float(change[i]);
                    auto* out = out_row<decltype(y_type)>(y, t);
                    const float inverse = inverse_rms(sum, n, call.get<vks_norm_params>().eps);
                    for (int64_t i = 0; i < n; ++i) store(out + i, sum[i] * inverse * to_float(weight[i]));
                });
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_add_rms_norm, &plain};

}  // namespace

extern constinit const Op op_add_rms_norm = {"add_rms_norm/1", sizeof(vks_norm_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
