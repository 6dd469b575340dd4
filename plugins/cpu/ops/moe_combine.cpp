// moe_combine/1: out[t] = base[t] + sum_j weight[t,j] * y[pos[t,j]], j ascending; a pos outside y (-1) is left out.
#include "plugins/args/ops/moe_combine.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::moe_combine;

template <class Y, class B, class O>
void combine(const Call& call, int64_t t) {
    const Arg &y = call.args[kY], &base = call.args[kBase];
    const int32_t* pos = row<int32_t>(call.args[kPos], t);
    const float* weight = row<float>(call.args[kWeight], t);
    O* out = out_row<O>(call.args[kOut], t);
    for (int64_t i = 0; i < y.dim[1]; ++i) {
        float sum = base ? to_float(row<B>(base, t)[i]) : 0.0f;
        for (int64_t j = 0; j < call.args[kPos].dim[1]; ++j) {
            if (pos[j] >= 0 && pos[j] < y.rows()) sum += weight[j] * to_float(row<Y>(y, pos[j])[i]);
        }
        store(out + i, sum);
    }
}

void run(const Call& call) {
    const Arg &base = call.args[kBase], &out = call.args[kOut];
    with_activation(call.args[kY].dtype, [&](auto y) {
        with_activation(base ? base.dtype : uint32_t{VKS_F32}, [&](auto b) {
            with_activation(out.dtype, [&](auto o) {
                for_rows(call, out.rows(), out.dim[1],
                         [&](int64_t t, int) { combine<decltype(y), decltype(b), decltype(o)>(call, t); });
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_moe_combine, &plain};

}  // namespace

extern constinit const Op op_moe_combine = {"moe_combine/1", 0, check, kOutputs, kVariants};

}  // namespace vks::cpu
