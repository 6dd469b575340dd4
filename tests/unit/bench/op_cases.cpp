// The cases of bench ops: the reference's rows are the operator's rows, and a planted error is found and located.
#include "frontend/bench/op_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "backend/ops/rule.h"
#include "frontend/bench/op_bench.h"
#include "frontend/bench/op_maker.h"
#include "frontend/model/shapes.h"

#include "backend/registry/registry.h"
#include "tests/support/plugins.h"

namespace vks::bench {
namespace {

using conformance::Value;

std::vector<OpFamily> demo(bool half = true) {
    return op_families(*named_shape("demo"), {half, {64, 512}});
}

class Plugins {
public:
    const vks_plugin& cpu() { return *find("cpu"); }

private:
    const vks_plugin* find(const std::string& name) {
        const auto entries = registry_.select(name);
        CHECK(entries, "{}", entries.error().text);
        return entries->front()->plugin->table;
    }
    Registry registry_{{test::cpu_dir()}};
};

TEST(OpCases, EveryOperatorHasOne) {
    std::set<std::string> have, want;
    for (const OpFamily& family : demo()) have.insert(family.op);
    for (const OpRule* rule : all_rules()) want.insert(rule->id);
    EXPECT_EQ(have, want);
}

TEST(OpCases, WorkGrowsWithTheRows) {
    for (const OpFamily& family : demo()) {
        EXPECT_GE(family.flops(8), family.flops(1)) << family.op << " " << family.name;
        if (family.op == "fp8_gemm/1") {
            EXPECT_EQ(family.flops(8), 8 * family.flops(1));
        }
    }
}

// Whole and sampled, in both kinds of arithmetic; not timed, which would flush the caches every time.
TEST(OpBench, TheCpusResultsAreRight) {
    Plugins plugins;
    OpBenchOptions options;
    options.rows = {1, 3, 40};
    options.repetitions = 0;
    options.device_options = "threads=1";
    for (const bool half : {true, false}) {
        OpBench bench(plugins.cpu(), 0, plugins.cpu(), options);
        ASSERT_EQ(bench.problem(), "");
        int done = 0;
        for (const OpFamily& family : demo(half)) {
            const Status status = bench.run(family, [&](const OpResult& r) -> Status {
                ++done;
                EXPECT_EQ(r.skipped + r.problem, "") << r.op << " " << r.shape;
                EXPECT_FALSE(r.wrong) << r.op << " " << r.shape << ": " << r.wrong->text;
                EXPECT_GT(r.verified_rows, 0);
                return {};
            });
            EXPECT_TRUE(status);
        }
        EXPECT_GT(done, 80);
    }
}

TEST(OpBench, WhatIsTooLargeIsSkippedWithTheReason) {
    Plugins plugins;
    OpBenchOptions options;
    options.rows = {1, 40};
    options.repetitions = 2;
    options.most_flops = 1e6;
    options.most_bytes = 1e5;
    OpBench bench(plugins.cpu(), 0, plugins.cpu(), options);
    int skipped = 0;
    for (const OpFamily& family : demo()) {
        if (family.op != "fp8_gemm/1" && family.op != "mla_attention/1") continue;
        EXPECT_TRUE(bench.run(family, [&](const OpResult& r) -> Status {
            skipped += r.skipped.find("allows") != std::string::npos;
            EXPECT_EQ(r.seconds.size(), r.skipped.empty() ? 2u : 0u);
            return {};
        }));
    }
    EXPECT_GT(skipped, 2);
}

// A number of rows that no memory holds.
TEST(OpBench, RowsThatAreTooManyAreSkippedWithTheReason) {
    Plugins plugins;
    OpBenchOptions options;
    options.rows = {1 << 30};
    options.most_flops = 0;
    OpBench bench(plugins.cpu(), 0, plugins.cpu(), options);
    std::set<std::string> skipped;
    for (const OpFamily& family : demo()) {
        if (!OpBench::asks_for(family, 1 << 30) || family.row_bytes(1 << 30) < 1e12) continue;
        EXPECT_TRUE(bench.run(family, [&](const OpResult& r) -> Status {
            EXPECT_NE(r.skipped.find("its rows take "), std::string::npos) << r.op << " " << r.shape;
            EXPECT_TRUE(r.seconds.empty());
            skipped.insert(r.op);
            return {};
        }));
    }
    EXPECT_GT(skipped.size(), 8u);
}

// Memory for the rows is told about right before they are made.
TEST(OpCases, RowsTakeAboutWhatIsSaid) {
    for (const OpFamily& family : demo()) {
        constexpr int64_t kRows = 40;
        if (!OpBench::asks_for(family, kRows)) continue;
        OpCase c = family.make();
        family.set_rows(c, kRows);
        double bytes = 0;
        for (const conformance::Argument& a : c.arguments.args)
            if (a.value.dtype != VKS_NONE && a.most > 0)
                bytes += double(a.value.count()) * double(abi::element_bytes(a.value.dtype));
        EXPECT_GE(2 * family.row_bytes(kRows), bytes) << family.op << " " << family.name;
    }
}

// The first case of a family says how long the others would take.
TEST(OpBench, WhatWouldTakeTooLongIsSkippedWithTheReason) {
    Plugins plugins;
    OpBenchOptions options;
    options.rows = {1, 8, 40};
    options.repetitions = 1;
    options.cold = false;
    options.most_case_seconds = 1e-12;
    OpBench bench(plugins.cpu(), 0, plugins.cpu(), options);
    int families = 0;
    for (const OpFamily& family : demo()) {
        if (family.op != "head_gemm/1") continue;
        ++families;
        std::vector<std::string> skipped;
        EXPECT_TRUE(bench.run(family, [&](const OpResult& r) -> Status {
            skipped.push_back(r.skipped);
            return {};
        }));
        ASSERT_EQ(skipped.size(), 3U);
        EXPECT_EQ(skipped[0], "");
        for (int i : {1, 2})
            EXPECT_NE(skipped[size_t(i)].find("--most-time allows"), std::string::npos) << skipped[size_t(i)];
    }
    EXPECT_EQ(families, 2);
}

// Runs of one case in turn: each has all repetitions, and one that is wrong is not timed.
TEST(OpBench, RunsAreTimedInTurn) {
    Plugins plugins;
    OpBenchOptions options;
    options.repetitions = 3;
    options.cold = false;
    OpBench bench(plugins.cpu(), 0, plugins.cpu(), options);
    const std::vector<OpFamily> families = demo();
    const auto family =
        std::find_if(families.begin(), families.end(), [](const OpFamily& f) { return f.op == "rms_norm/1"; });
    OpCase c = family->make();
    family->set_rows(c, 2);
    PlacedConstants here(bench.target(), c.arguments), there(bench.reference(), c.arguments);
    std::optional<Expected> expected;
    const auto first = bench.check(here, there, c, expected), second = bench.check(here, there, c, expected),
               third = bench.check(here, there, c, expected);
    ASSERT_TRUE(first->right() && second->right() && third->right());
    third->result.wrong = Difference{};
    std::vector<size_t> turns;
    bench.time({first.get(), third.get(), second.get()}, [&](size_t turn) { turns.push_back(turn); });
    EXPECT_EQ(turns, (std::vector<size_t>{0, 2, 2, 0, 0, 2}));
    EXPECT_EQ(first->result.seconds.size(), 3U);
    EXPECT_EQ(second->result.seconds.size(), 3U);
    EXPECT_TRUE(third->result.seconds.empty());
}

TEST(OpBench, APlantedErrorIsFoundWhereItIs) {
    conformance::Case c;
    Filler fill("planted");
    c.op = "gemm/1";
    c.tolerance = 1e-3;
    c.args = {output(VKS_F32, {4, 8}), output(VKS_I32, {2, 2}, conformance::Compare::kExact)};
    const std::vector<Value> want = {fill.value(VKS_F32, {4, 8}, 1), fill.integers({2, 2}, 100)};
    EXPECT_FALSE(difference(c, want, want, "v"));
    std::vector<Value> got = want;
    got[0].set(13, want[0].at(13) + 0.5);
    got[0].set(20, want[0].at(20) + 0.5);
    auto found = difference(c, got, want, "v");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->argument, 0u);
    EXPECT_EQ(found->index, 13);
    EXPECT_EQ(found->wanted, want[0].at(13));
    EXPECT_EQ(found->found, got[0].at(13));
    got = want;
    got[1].set(2, -1);
    found = difference(c, got, want, "v");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->argument, 1u);
    EXPECT_EQ(found->index, 2);
    EXPECT_EQ(found->found, -1);
    got = want;
    got[0].set(0, NAN);
    EXPECT_EQ(difference(c, got, want, "v")->index, 0);
}

TEST(OpCases, SampledRowsAreTheFirstTheLastAndSomeBetween) {
    Filler fill("rows");
    conformance::Case c;
    c.op = "rms_norm/1";
    c.args = {input(fill.value(VKS_F32, {100, 3}, 1)), constant(fill.value(VKS_F32, {3}, 1)),
              output(VKS_F32, {100, 3})};
    const SampledCase sampled = sample_rows(c, 4);
    EXPECT_EQ(sampled.rows, (std::vector<int64_t>{0, 33, 66, 99}));
    EXPECT_EQ(sampled.arguments.args[0].value, pick_rows(c.args[0].value, sampled.rows));
    EXPECT_EQ(sampled.arguments.args[0].value.at(3, 2), c.args[0].value.at(99, 2));
    EXPECT_EQ(sampled.arguments.args[2].value.dim[0], 4);
    EXPECT_TRUE(sample_rows(c, 100).rows.empty());
}

TEST(OpCases, ExpertListsAreThoseOfDispatch) {
    const ExpertLists lists(conformance::ints({3, 2}, {0, 2, 2, 3, 0, 2}), 5);
    EXPECT_EQ(lists.offset(), conformance::ints({6}, {0, 2, 2, 5, 6, 6}));
    EXPECT_EQ(lists.row(), conformance::ints({6}, {0, 2, 0, 1, 2, 1}));
    EXPECT_EQ(lists.pos(), conformance::ints({3, 2}, {0, 2, 3, 5, 1, 4}));
    EXPECT_EQ(lists.used(), 3);
}

TEST(OpCases, SkewedLoadsAreSkewed) {
    const auto share = [](bool skewed) {
        const Value chosen = Filler("choices").choices(512, 8, 256, skewed);
        int64_t low = 0;
        for (int64_t i = 0; i < chosen.count(); ++i) low += chosen.integer(i) < 64;
        return double(low) / double(chosen.count());
    };
    EXPECT_NEAR(share(false), 0.25, 0.03);
    EXPECT_GT(share(true), 0.5);
}

}  // namespace
}  // namespace vks::bench
