// moe_route/1 (V3 report, section 2.1.2): s = sigmoid(logits), b = s + bias. Only selection sees b: a group scores the
// sum of its two best b, the best `groups_kept` groups stay, and their `top_k` best b are chosen. The weights are the
// chosen s, over their sum if `normalize`, times `scaling`. Equal values: lowest index first.
#include "plugins/args/ops/moe_route.h"
#include "plugins/cpu/load.h"

#include <algorithm>
#include <cmath>

namespace vks::cpu {
namespace {

using namespace args::moe_route;

// Per worker: s f32 [E], b f32 [E], chosen u8 [E], group score f32 [groups], kept u8 [groups].
struct Space {
    float *score, *biased, *group_score;
    uint8_t *chosen, *kept;

    static uint64_t bytes(int64_t experts, int64_t groups) {
        return static_cast<uint64_t>((9 * experts + 5 * groups + 63) / 64 * 64);
    }
    Space(std::byte* base, int64_t experts, int64_t groups)
        : score(reinterpret_cast<float*>(base)),
          biased(score + experts),
          group_score(biased + experts),
          chosen(reinterpret_cast<uint8_t*>(group_score + groups)),
          kept(chosen + experts) {}
};

uint64_t scratch(const Signature& s) {
    return static_cast<uint64_t>(s.threads) *
           Space::bytes(s.args[kLogits].dim[1], s.get<vks_moe_route_params>().groups);
}

// Marks the `k` largest of value[0, n) in taken, lowest index first among equals; NaN comes last.
void take_best(const float* value, int64_t n, int64_t k, uint8_t* taken) {
    for (; k > 0; --k) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; ++i) {
            if (taken[i]) continue;
            if (best < 0 || value[i] > value[best] || (std::isnan(value[best]) && !std::isnan(value[i]))) best = i;
        }
        taken[best] = 1;
    }
}

float sum_of_two_best(const float* value, int64_t n) {
    float first = -INFINITY, second = -INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        second = std::max(second, std::min(first, value[i]));
        first = std::max(first, value[i]);
    }
    return n > 1 ? first + second : first;
}

void choose(const vks_moe_route_params& p, const float* logits, const float* bias, int64_t experts,
            const Space& space) {
    const int64_t groups = p.groups, size = experts / groups;
    for (int64_t e = 0; e < experts; ++e) {
        space.score[e] = 1.0f / (1.0f + std::exp(-logits[e]));
        space.biased[e] = space.score[e] + bias[e];
    }
    for (int64_t g = 0; g < groups; ++g) space.group_score[g] = sum_of_two_best(space.biased + g * size, size);
    std::fill_n(space.kept, groups, uint8_t{0});
    take_best(space.group_score, groups, p.groups_kept, space.kept);
    // Experts of dropped groups are taken out beforehand: 2 tells them from the chosen.
    for (int64_t e = 0; e < experts; ++e) space.chosen[e] = space.kept[e / size] ? 0 : 2;
    take_best(space.biased, experts, p.top_k, space.chosen);
}

void run(const Call& call) {
    const auto& p = call.get<vks_moe_route_params>();
    const Arg& logits = call.args[kLogits];
    const int64_t experts = logits.dim[1];
    for_rows(call, logits.rows(), experts * p.top_k, [&](int64_t t, int worker) {
        std::byte* base = call.scratch + static_cast<uint64_t>(worker) * Space::bytes(experts, p.groups);
        const Space space(base, experts, p.groups);
        choose(p, row<float>(logits, t), call.args[kBias].as<float>(), experts, space);
        int32_t* idx = out_row<int32_t>(call.args[kIdx], t);
        float* weight = out_row<float>(call.args[kWeight], t);
        float sum = 0;
        for (int64_t e = 0, j = 0; e < experts; ++e) {
            if (space.chosen[e] != 1) continue;
            idx[j] = static_cast<int32_t>(e);
            weight[j++] = space.score[e];
            sum += space.score[e];
        }
        const float factor = p.normalize ? p.scaling / (sum + 1e-20f) : p.scaling;
        for (int64_t j = 0; j < p.top_k; ++j) weight[j] *= factor;
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, scratch, run};
constexpr const Variant* kVariants[] = {&plain};

}  // namespace

extern constinit const Op op_moe_route = {"moe_route/1", sizeof(vks_moe_route_params), check, kOutputs, kVariants};

}  // namespace vks::cpu
