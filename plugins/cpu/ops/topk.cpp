// topk/1: the k largest values of each row and their indices, descending; equal values: lowest index first; NaN last.
#include "plugins/args/ops/topk.h"
#include "plugins/cpu/load.h"

#include <cmath>

namespace vks::cpu {
namespace {

using namespace args::topk;

bool before(float a, float b) {
    return a > b || (std::isnan(b) && !std::isnan(a));
}

// The outputs are the sorted list of the best so far; each element is inserted where it belongs, if it does.
void select(const float* x, int64_t n, int64_t k, float* value, int32_t* index) {
    int64_t found = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (found == k && !before(x[i], value[k - 1])) continue;
        int64_t place = found < k ? found++ : k - 1;
        for (; place > 0 && before(x[i], value[place - 1]); --place) {
            value[place] = value[place - 1];
            index[place] = index[place - 1];
        }
        value[place] = x[i];
        index[place] = static_cast<int32_t>(i);
    }
}

void run(const Call& call) {
    const Arg& x = call.args[kX];
    const int64_t k = call.get<vks_topk_params>().k;
    if (k == 0) return;
    for_rows(call, x.rows(), x.dim[1], [&](int64_t r, int) {
        select(row<float>(x, r), x.dim[1], k, out_row<float>(call.args[kValue], r),
               out_row<int32_t>(call.args[kIndex], r));
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&plain};

}  // namespace

extern constinit const Op op_topk = {"topk/1", sizeof(vks_topk_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
