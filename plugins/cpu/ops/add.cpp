// add/1: y = a + b.
#include "plugins/args/ops/add.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::add;

void run(const Call& call) {
    const Arg &a = call.args[kA], &b = call.args[kB], &y = call.args[kY];
    with_activation(a.dtype, [&](auto a_type) {
        with_activation(b.dtype, [&](auto b_type) {
            with_activation(y.dtype, [&](auto y_type) {
                for_rows(call, y.rows(), y.dim[1], [&](int64_t t, int) {
                    const auto* left = row<decltype(a_type)>(a, t);
                    const auto* right = row<decltype(b_type)>(b, t);
                    auto* out = out_row<decltype(y_type)>(y, t);
                    for (int64_t i = 0; i < y.dim[1]; ++i) store(out + i, to_float(left[i]) + to_float(right[i]));
                });
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_add, &plain};

}  // namespace

extern constinit const Op op_add = {"add/1", 0, check, kOutputs, kVariants};

}  // namespace vks::cpu
