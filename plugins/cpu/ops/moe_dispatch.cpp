// moe_dispatch/1: a counting sort of the (token, chosen expert) pairs by expert, for the experts [first, first+count):
// the list of expert e is row[offset[e] .. offset[e+1]), tokens ascending; pos[t, j] says where pair (t, j) went.
#include "plugins/args/ops/moe_dispatch.h"
#include "plugins/cpu/load.h"

#include <algorithm>

namespace vks::cpu {
namespace {

using namespace args::moe_dispatch;

// The next free place of each list, i32 [count].
uint64_t scratch(const Signature& s) {
    return s.get<vks_moe_dispatch_params>().count * sizeof(int32_t);
}

void run(const Call& call) {
    const auto& p = call.get<vks_moe_dispatch_params>();
    const Arg& idx = call.args[kIdx];
    const int32_t* chosen = idx.as<int32_t>();
    const int64_t pairs = idx.dim[0] * idx.dim[1];
    int32_t* next = reinterpret_cast<int32_t*>(call.scratch);
    int32_t* offset = call.args[kOffset].out<int32_t>();
    // The shard's number of a pair's expert, or -1.
    const auto local = [&](int64_t pair) -> int64_t {
        const int64_t e = int64_t{chosen[pair]} - p.first;
        return e >= 0 && e < p.count ? e : -1;
    };
    std::fill_n(next, p.count, 0);
    for (int64_t pair = 0; pair < pairs; ++pair) {
        if (const int64_t e = local(pair); e >= 0) ++next[e];
    }
    offset[0] = 0;
    for (int64_t e = 0; e < p.count; ++e) {
        offset[e + 1] = offset[e] + next[e];
        next[e] = offset[e];
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
        const int64_t e = local(pair);
        const int32_t place = e >= 0 ? next[e]++ : -1;
        if (place >= 0) call.args[kRow].out<int32_t>()[place] = static_cast<int32_t>(pair / idx.dim[1]);
        call.args[kPos].out<int32_t>()[pair] = place;
    }
}

constinit const Variant plain = {"plain", nullptr, nullptr, scratch, run};
constexpr const Variant* kVariants[] = {&plain};

}  // namespace

extern constinit const Op op_moe_dispatch = {"moe_dispatch/1", sizeof(vks_moe_dispatch_params), check, kOutputs,
                                             kVariants};

}  // namespace vks::cpu
