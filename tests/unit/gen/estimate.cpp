// Estimates against what can be worked out by hand.
#include "frontend/gen/estimate.h"

#include <gtest/gtest.h>

#include <numeric>

#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

constexpr uint64_t kGB = 1'000'000'000;

struct Subject {
    ModelConfig config = *named_shape("deepseek-v3");
    ModelStats stats = shape_stats(config);
    std::vector<ModelPiece> pieces = shape_pieces(config);
    Workload work{.context = 8192, .kv_bytes_per_token = 70272};

    Estimate on(const Machine& machine) const { return estimate(config, pieces, machine, work); }
};

Machine machine(uint64_t device, uint64_t host) {
    Machine m;
    if (device > 0) m.devices.push_back({.name = "gpu", .memory = device, .bandwidth = 900e9, .link = 25e9});
    m.devices.push_back({.name = "cpu", .memory = host, .bandwidth = 80e9});
    m.disk = 4e9;
    return m;
}

double part(const Rate& rate, const std::string& link) {
    for (const Rate::Part& part : rate.parts)
        if (part.link == link) return part.seconds;
    return 0;
}

TEST(Estimate, HomesAddUpToTheCheckpoint) {
    const Subject v3;
    for (const uint64_t host : {1 * kGB, 64 * kGB, 384 * kGB, 2000 * kGB}) {
        const Estimate e = v3.on(machine(24 * kGB, host));
        ASSERT_EQ(e.homes.size(), 3u);
        uint64_t all = 0;
        for (size_t h = 0; h < 3; ++h) {
            const Home& home = e.homes[h];
            all += home.bytes;
            EXPECT_EQ(std::accumulate(home.kinds.begin(), home.kinds.end(), uint64_t{0}), home.bytes);
            const uint64_t room = h == 0 ? 24 * kGB : h == 1 ? host : UINT64_MAX;
            if (home.bytes > 0) {
                EXPECT_LE(home.bytes + home.reserved, room);
            }
        }
        EXPECT_EQ(all, v3.stats.bytes);
        for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
            EXPECT_EQ(e.homes[0].kinds[k] + e.homes[1].kinds[k] + e.homes[2].kinds[k], v3.stats.kinds[k].bytes)
                << kTensorKindNames[k];
        }
    }
}

TEST(Estimate, WhatEveryTokenNeedsIsOnTheDevice) {
    const Subject v3;
    const Estimate e = v3.on(machine(24 * kGB, 64 * kGB));
    for (const TensorKind kind : {TensorKind::kAttention, TensorKind::kDenseFfn, TensorKind::kSharedExperts,
                                  TensorKind::kRouter, TensorKind::kHead, TensorKind::kNorms}) {
        EXPECT_EQ(e.homes[0].kinds[static_cast<size_t>(kind)], v3.stats[kind].bytes);
    }
    EXPECT_GT(e.homes[0].experts, 100);
    EXPECT_GE(e.homes[0].reserved, 8192u * 70272u);
    EXPECT_EQ(e.homes[2].kinds[static_cast<size_t>(TensorKind::kMtp)], v3.stats[TensorKind::kMtp].bytes);
}

// With all in one memory, a token takes what it reads, active weights and the cache, by that memory's bandwidth.
TEST(Estimate, OneMemoryIsReadOnce) {
    const Subject v3;
    const Estimate e = v3.on(machine(0, 2000 * kGB));
    EXPECT_EQ(e.decode.limit, "cpu memory");
    ASSERT_EQ(e.decode.parts.size(), 1u);
    double read = 8192.0 * 70272;
    for (const ModelPiece& piece : v3.pieces) read += piece.reads * static_cast<double>(piece.bytes);
    EXPECT_NEAR(part(e.decode, "cpu memory"), read / 80e9, 1e-6);
}

TEST(Estimate, NamesTheLimitAndWhatHelps) {
    const Subject v3;
    const Estimate poor = v3.on(machine(24 * kGB, 64 * kGB)), rich = v3.on(machine(24 * kGB, 1000 * kGB));
    EXPECT_EQ(poor.decode.limit, "disk");
    EXPECT_EQ(poor.prefill.limit, "disk");
    EXPECT_EQ(rich.decode.limit, "cpu memory");
    EXPECT_GT(rich.decode.tok_s, 5 * poor.decode.tok_s);
    EXPECT_GT(v3.on(machine(24 * kGB, 65 * kGB)).decode.tok_s, poor.decode.tok_s);
    EXPECT_GT(v3.on(machine(25 * kGB, 64 * kGB)).decode.tok_s, poor.decode.tok_s);
}

TEST(Estimate, ArithmeticCountsWhereItIsKnown) {
    const Subject v3;
    Machine m = machine(0, 2000 * kGB);
    EXPECT_FALSE(v3.on(m).counts_flops);
    m.devices[0].flops = 1e12;
    const Estimate e = v3.on(m);
    EXPECT_TRUE(e.counts_flops);
    EXPECT_EQ(e.prefill.limit, "cpu arithmetic");
    // 2 operations for each of 36.6 billion weights.
    EXPECT_NEAR(e.prefill.tok_s, 1e12 / (2 * static_cast<double>(v3.stats.active_parameters)), 0.1);
}

}  // namespace
}  // namespace vks
