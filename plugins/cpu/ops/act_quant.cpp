// act_quant/1: per row and 128 channels s = max(amax, 1e-4)/448, q = e4m3(x/s); ue8m0: s rounded up to a power of two.
// A ragged tail is a group of its own.
#include "plugins/args/ops/act_quant.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/quant.h"

#include <algorithm>

namespace vks::cpu {
namespace {

using namespace args::act_quant;

void run(const Call& call) {
    const Arg &x = call.args[kX], &q = call.args[kQ], &scale = call.args[kScale];
    const bool ue8m0 = call.get<vks_act_quant_params>().ue8m0 != 0;
    const int64_t n = x.dim[1];
    with_activation(x.dtype, [&](auto type) {
        for_rows(call, x.rows(), n, [&](int64_t t, int) {
            const auto* in = row<decltype(type)>(x, t);
            for (int64_t first = 0; first < n; first += kBlock) {
                const int64_t count = std::min(kBlock, n - first);
                float group[kBlock];
                for (int64_t i = 0; i < count; ++i) group[i] = to_float(in[first + i]);
                out_row<float>(scale, t)[first / kBlock] =
                    quantise_group(group, count, ue8m0, out_row<F8>(q, t) + first);
            }
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_act_quant, &plain};

}  // namespace

extern constinit const Op op_act_quant = {"act_quant/1", sizeof(vks_act_quant_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
