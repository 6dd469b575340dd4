// moe_route/1 against the golden: experts exact where the margin is above 1e-5 or the tie is one the rule decides
// (margin 0), weights rel 1e-5.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/ops/harness.h"
#include "tests/support/paths.h"

namespace vks::test {
namespace {

using nlohmann::json;

std::vector<Value> route(Device& device, const vks_moe_route_params& p, const Value& logits, const Value& bias) {
    OpRun run("moe_route/1");
    run.params(p).in(logits).constant(bias);
    return run.out(VKS_I32, {logits.rows(), p.top_k}).out(VKS_F32, {logits.rows(), p.top_k}).on(device);
}

TEST(MoeRoute, Golden) {
    const Golden golden("ops/routing.safetensors");
    std::ifstream file(data("ops/routing.json"));
    const json cases = json::parse(file);
    on_every_device([&](Device& device) {
        for (const json& c : cases) {
            const std::string name = c["case"].get<std::string>();
            const vks_moe_route_params p{c["n_group"], c["topk_group"], c["top_k"], c["norm_topk_prob"].get<bool>(),
                                         c["routed_scaling_factor"]};
            const auto got = route(device, p, golden[name + ".logits"], golden[name + ".bias"]);
            const Value idx = golden[name + ".topk_idx"], margin = golden[name + ".margin"];
            const Value weight = golden[name + ".topk_weight"];
            int64_t compared = 0;
            for (int64_t t = 0; t < idx.rows(); ++t) {
                if (margin.at(t) <= 1e-5 && !c["has_ties"].get<bool>()) continue;
                expect_same_bits(name + " idx " + std::to_string(t), slice(got.at(0), t, 1), slice(idx, t, 1));
                const double error = relative_error(slice(got.at(1), t, 1).doubles(), slice(weight, t, 1).doubles());
                EXPECT_LE(error, 1e-5) << name << " row " << t;
                ++compared;
            }
            record("routing rows compared, " + name, static_cast<double>(compared) / static_cast<double>(idx.rows()));
            EXPECT_GE(2 * compared, idx.rows()) << name;
        }
    });
}

TEST(MoeRoute, AllEqualTakesTheFirst) {
    on_every_device([&](Device& device) {
        const auto got = route(device, {4, 2, 3, 1, 1.0f}, zeros(VKS_F32, {2, 16}), zeros(VKS_F32, {16}));
        expect_same_bits("idx", got.at(0), ints({2, 3}, {0, 1, 2, 0, 1, 2}));
        for (double w : got.at(1).doubles()) EXPECT_NEAR(w, 1.0 / 3, 1e-6);
    });
}

TEST(MoeRoute, EveryExpertChosen) {
    const Value logits = Random(95).value(VKS_F32, {3, 4});
    on_every_device([&](Device& device) {
        const auto got = route(device, {4, 4, 4, 1, 2.5f}, logits, zeros(VKS_F32, {4}));
        for (int64_t t = 0; t < 3; ++t) {
            expect_same_bits("idx", slice(got.at(0), t, 1), ints({1, 4}, {0, 1, 2, 3}));
            double sum = 0;
            for (int64_t j = 0; j < 4; ++j) sum += got.at(1).at(t, j);
            EXPECT_NEAR(sum, 2.5, 1e-5);
        }
    });
}

// The definition in f32, by sorting.
std::vector<int32_t> chosen(const vks_moe_route_params& p, const Value& logits, const Value& bias, int64_t t) {
    const int64_t experts = logits.columns(), size = experts / p.groups;
    std::vector<float> biased;
    for (int64_t e = 0; e < experts; ++e) {
        const float score = 1.0f / (1.0f + std::exp(-static_cast<float>(logits.at(t, e))));
        biased.push_back(score + static_cast<float>(bias.at(e)));
    }
    const auto best = [](std::vector<int64_t> all, uint32_t k, const auto& value) {
        std::stable_sort(all.begin(), all.end(), [&](int64_t a, int64_t b) {
            return value(a) > value(b) || (std::isnan(value(b)) && !std::isnan(value(a)));
        });
        all.resize(k);
        std::sort(all.begin(), all.end());
        return all;
    };
    std::vector<int64_t> groups(p.groups), candidates;
    std::iota(groups.begin(), groups.end(), int64_t{0});
    for (const int64_t g : best(groups, p.groups_kept, [&](int64_t group) {
             std::vector<float> of(biased.begin() + group * size, biased.begin() + (group + 1) * size);
             std::sort(of.begin(), of.end(), std::greater());
             return of[0] + (size > 1 ? of[1] : 0);
         }))
        for (int64_t e = g * size; e < (g + 1) * size; ++e) candidates.push_back(e);
    const auto result = best(candidates, p.top_k, [&](int64_t e) { return biased[static_cast<size_t>(e)]; });
    return {result.begin(), result.end()};
}

TEST(MoeRoute, SizesAndNan) {
    Random random(96);
    on_every_device([&](Device& device) {
        for (const auto& [experts, p] : {std::pair<int64_t, vks_moe_route_params>{256, {8, 4, 8, 1, 2.5f}},
                                         {257, {1, 1, 9, 0, 1.0f}},
                                         {63, {21, 5, 6, 1, 1.0f}},
                                         {20, {4, 4, 19, 1, 1.0f}},
                                         {600, {6, 2, 11, 1, 1.0f}},
                                         {72, {3, 1, 24, 1, 1.0f}}}) {
            // Where groups are dropped, what a NaN does to its group's score isn't said.
            for (const bool nan : {false, p.groups_kept == p.groups}) {
                Value logits = random.value(VKS_F32, {37, experts}, 2);
                const Value bias = random.value(VKS_F32, {experts}, 0.1);
                for (int64_t t = 0; nan && t < 37; ++t) logits.set(t * experts + random.below(experts), NAN);
                const auto got = route(device, p, logits, bias);
                for (int64_t t = 0; t < 37; ++t) {
                    const auto k = static_cast<int64_t>(p.top_k);
                    expect_same_bits("idx", slice(got.at(0), t, 1), ints({1, k}, chosen(p, logits, bias, t)));
                }
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
