// mtp_merge/1: y[t] = [ rms_norm(e[t]) * we ; rms_norm(h[t]) * wh ]  (V3 report, eq. 21: what M_k multiplies).
#include "plugins/args/ops/mtp_merge.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/norm.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::mtp_merge;

// Writes one normalised half into columns [column, column + H) of y.
void half(const Call& call, const Arg& x, const Arg& w, int64_t column) {
    const Arg& y = call.args[kY];
    const int64_t n = x.dim[1];
    with_activation(x.dtype, [&](auto x_type) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(y.dtype, [&](auto y_type) {
                const auto* weight = w.as<decltype(w_type)>();
                for_rows(call, x.rows(), n, [&](int64_t t, int) {
                    const auto* in = row<decltype(x_type)>(x, t);
                    auto* out = out_row<decltype(y_type)>(y, t) + column;
                    const float inverse = inverse_rms(in, n, call.get<vks_norm_params>().eps);
                    for (int64_t i = 0; i < n; ++i) store(out + i, to_float(in[i]) * inverse * to_float(weight[i]));
                });
            });
        });
    });
}

void run(const Call& call) {
    half(call, call.args[kE], call.args[kWe], 0);
    half(call, call.args[kH], call.args[kWh], call.args[kE].dim[1]);
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_mtp_merge, &plain};

}  // namespace

extern constinit const Op op_mtp_merge = {"mtp_merge/1", sizeof(vks_norm_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
